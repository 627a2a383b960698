"""Every way in which an attempt can fail, and what each one means for the job, the breaker and a human."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class ErrorClass(StrEnum):
    """Closed set: metrics, documents and screens use these words."""

    AI_TIMEOUT = "ai_timeout"
    AI_ERROR = "ai_error"
    NETWORK_ERROR = "network_error"
    QUEUE_FULL = "queue_full"
    OVERLOADED = "overloaded"
    RATE_LIMITED = "rate_limited"
    SPEND_LIMIT = "spend_limit"
    REFUSAL = "refusal"
    TRUNCATED = "truncated"
    INVALID_OUTPUT = "invalid_output"
    BAD_INPUT = "bad_input"
    AUTH = "auth"
    WORKER_LOST = "worker_lost"
    MAIL_REFUSED = "mail_refused"
    MAIL_UNKNOWN = "mail_unknown"
    INTERNAL = "internal"


class Backoff(StrEnum):
    FIXED = "fixed"
    LINEAR = "linear"
    EXPONENTIAL = "exponential"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one model call. The whole input is the sum of the three input figures."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_write_tokens: int = 0
    cache_read_tokens: int = 0


class OperationFailed(Exception):  # noqa: N818 - it is a report of what happened, read as such at every raise
    """An adapter's failure in our terms. `code` is a stable word, never text of the customer or of a secret.

    `retry_after` is the wait that the other side asked for; `usage` is what was billed all the same.
    """

    def __init__(
        self,
        *,
        error_class: ErrorClass,
        code: str,
        retry_after: timedelta | None = None,
        request_id: str | None = None,
        usage: Usage | None = None,
    ) -> None:
        super().__init__(f"{error_class}: {code}" + (f" (request {request_id})" if request_id else ""))
        self.error_class = error_class
        self.code = code
        self.retry_after = retry_after
        self.request_id = request_id
        self.usage = usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What one error class means.

    `attempts`: failures of this class that a job survives on one model, less one: at this many it has run out.
    `wait`, `cap`: first wait between attempts and its ceiling. `feeds_breaker`: counts against the dependency.
    `spends`: the attempt is used up. `tells_human`: a finding at once, whatever attempts are left.
    `other_model`: another model may succeed where this one ran out.
    """

    attempts: int
    wait: timedelta
    backoff: Backoff
    cap: timedelta = timedelta(minutes=30)
    feeds_breaker: bool = False
    spends: bool = True
    tells_human: bool = False
    other_model: bool = False


def _seconds(value: float) -> timedelta:
    return timedelta(seconds=value)


# Attempts and shapes of ai_timeout, ai_error, network_error and queue_full are the shop's published policy.
# The others follow from what the failure is: a refusal or an unusable answer is worth one more try, a wrong key none.
POLICIES: dict[ErrorClass, Policy] = {
    ErrorClass.AI_TIMEOUT: Policy(
        attempts=2, wait=_seconds(30), backoff=Backoff.EXPONENTIAL, feeds_breaker=True, other_model=True
    ),
    ErrorClass.AI_ERROR: Policy(
        attempts=3, wait=_seconds(30), backoff=Backoff.LINEAR, feeds_breaker=True, other_model=True
    ),
    ErrorClass.NETWORK_ERROR: Policy(attempts=5, wait=_seconds(5), backoff=Backoff.EXPONENTIAL, feeds_breaker=True),
    ErrorClass.QUEUE_FULL: Policy(attempts=10, wait=_seconds(30), backoff=Backoff.FIXED),
    ErrorClass.OVERLOADED: Policy(
        attempts=5, wait=_seconds(20), backoff=Backoff.EXPONENTIAL, feeds_breaker=True, other_model=True
    ),
    ErrorClass.RATE_LIMITED: Policy(
        attempts=5, wait=_seconds(30), backoff=Backoff.EXPONENTIAL, feeds_breaker=True, other_model=True
    ),
    # Nothing that this job does can help, and every other job meets the same wall: hand back, wait, tell.
    ErrorClass.SPEND_LIMIT: Policy(
        attempts=1, wait=timedelta(minutes=30), backoff=Backoff.FIXED, spends=False, tells_human=True
    ),
    ErrorClass.AUTH: Policy(
        attempts=1,
        wait=timedelta(minutes=5),
        backoff=Backoff.FIXED,
        spends=False,
        tells_human=True,
        feeds_breaker=True,
    ),
    ErrorClass.REFUSAL: Policy(attempts=2, wait=_seconds(5), backoff=Backoff.FIXED, other_model=True),
    ErrorClass.TRUNCATED: Policy(attempts=2, wait=_seconds(5), backoff=Backoff.FIXED, other_model=True),
    ErrorClass.INVALID_OUTPUT: Policy(attempts=2, wait=_seconds(5), backoff=Backoff.FIXED, other_model=True),
    ErrorClass.BAD_INPUT: Policy(attempts=1, wait=timedelta(0), backoff=Backoff.FIXED, tells_human=True),
    # The first loss is usually a deploy or a reboot: run again at once. A job that kills its worker waits ever longer.
    ErrorClass.WORKER_LOST: Policy(attempts=3, wait=timedelta(0), backoff=Backoff.LINEAR),
    ErrorClass.MAIL_REFUSED: Policy(attempts=1, wait=timedelta(0), backoff=Backoff.FIXED, tells_human=True),
    ErrorClass.MAIL_UNKNOWN: Policy(attempts=1, wait=timedelta(0), backoff=Backoff.FIXED, tells_human=True),
    # A bug of ours: a second try may meet other data, a third would only burn money.
    ErrorClass.INTERNAL: Policy(attempts=2, wait=_seconds(60), backoff=Backoff.FIXED, tells_human=True),
}

# A mail costs nothing to try again and is worth a day of patience: waits grow from half a minute to half an hour.
_PATIENT = Policy(attempts=40, wait=_seconds(30), backoff=Backoff.EXPONENTIAL)
MAIL_POLICIES: dict[ErrorClass, Policy] = {
    **POLICIES,
    **dict.fromkeys(
        (ErrorClass.NETWORK_ERROR, ErrorClass.RATE_LIMITED, ErrorClass.QUEUE_FULL, ErrorClass.MAIL_UNKNOWN), _PATIENT
    ),
}

WORKER_LOST_STEP = _seconds(30)


def wait_before_retry(
    error_class: ErrorClass,
    failures_of_class: int,
    jitter: float,
    retry_after: timedelta | None = None,
    policies: Mapping[ErrorClass, Policy] = POLICIES,
) -> timedelta:
    """How long the job rests after its n-th failure of this class (n ≥ 1).

    `jitter` is a number in [0, 1): exponential waits are drawn from the upper half of their range, so that a burst of
    jobs that failed together does not come back together; fixed and linear ones are spread by a tenth.
    A wait that the other side asked for is a floor.
    """
    policy = policies[error_class]
    count = max(1, failures_of_class)
    if error_class is ErrorClass.WORKER_LOST:
        wait = WORKER_LOST_STEP * (count - 1)
    elif policy.backoff is Backoff.EXPONENTIAL:
        wait = min(policy.cap, policy.wait * 2 ** min(count - 1, 16))
    elif policy.backoff is Backoff.LINEAR:
        wait = min(policy.cap, policy.wait * count)
    else:
        wait = policy.wait
    spread = 0.5 + jitter / 2 if policy.backoff is Backoff.EXPONENTIAL else 1 + jitter / 10
    return max(wait * spread, retry_after or timedelta(0))
