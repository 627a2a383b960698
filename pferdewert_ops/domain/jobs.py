"""Jobs: their states, their place in the queue, and what follows from the outcome of an attempt."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from pferdewert_ops.domain.failures import POLICIES, ErrorClass, Policy, wait_before_retry


class JobStatus(StrEnum):
    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Priority(StrEnum):
    NORMAL = "normal"
    PREMIUM = "premium"


class Stage(StrEnum):
    """Which model the job's next attempt is for."""

    PRIMARY = "primary"
    FALLBACK = "fallback"


class CancelReason(StrEnum):
    OPERATOR = "operator"
    DUPLICATE = "duplicate"
    UNPAID_TOO_OLD = "unpaid_too_old"
    PAYMENT_FAILED = "payment_failed"
    ALREADY_DELIVERED = "already_delivered"
    NO_LONGER_OWED = "no_longer_owed"


DEFAULT_MAX_ATTEMPTS = 8

# The shop's order of service: paid and new, paid retries, unpaid new, unpaid retries. Everybody ages at one slope, so
# a handicap is the longest time for which somebody of a better class can go first.
_HANDICAPS = {
    (True, False): timedelta(0),
    (True, True): timedelta(minutes=5),
    (False, False): timedelta(minutes=30),
    (False, True): timedelta(minutes=60),
}
PREMIUM_BONUS = timedelta(minutes=4)


def handicap(*, paid: bool, retry: bool, premium: bool) -> timedelta:
    """What is added to the time of readiness to make a job's rank; lower ranks go first."""
    return _HANDICAPS[(paid, retry)] - (PREMIUM_BONUS if premium else timedelta(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """What a job has used up. `spent` counts the running attempt; `failures` are those on the present stage."""

    spent: int = 0
    limit: int = DEFAULT_MAX_ATTEMPTS
    failures: Mapping[ErrorClass, int] = field(default_factory=dict)
    stage: Stage = Stage.PRIMARY


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """How an attempt ended that did not succeed."""

    error_class: ErrorClass
    code: str
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Wait in the database, then run again: with these failures on the record, on this stage."""

    wait: timedelta
    failures: Mapping[ErrorClass, int]
    stage: Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """No attempt is left. The job becomes failed and a human is told."""

    failures: Mapping[ErrorClass, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Hand back without spending the attempt; `wait` of zero keeps the job's place in the queue."""

    wait: timedelta = timedelta(0)


AfterFailure = Retry | GiveUp | Release


def after_failure(
    attempts: Attempts,
    failure: Failure,
    *,
    jitter: float,
    fallback: bool,
    policies: Mapping[ErrorClass, Policy] = POLICIES,
) -> AfterFailure:
    """What becomes of a job whose attempt failed. `fallback`: a second model is configured.

    A class that ran out on the primary model starts again on the fallback, where that can help; the sum of all
    attempts never passes the job's limit.
    """
    policy = policies[failure.error_class]
    if not policy.spends:
        return Release(wait=wait_before_retry(failure.error_class, 1, jitter, failure.retry_after, policies))
    failures = {**attempts.failures, failure.error_class: attempts.failures.get(failure.error_class, 0) + 1}
    if attempts.spent >= attempts.limit:
        return GiveUp(failures=failures)
    count = failures[failure.error_class]
    if count < policy.attempts:
        wait = wait_before_retry(failure.error_class, count, jitter, failure.retry_after, policies)
        return Retry(wait=wait, failures=failures, stage=attempts.stage)
    if fallback and policy.other_model and attempts.stage is Stage.PRIMARY:
        return Retry(wait=timedelta(0), failures={}, stage=Stage.FALLBACK)
    return GiveUp(failures=failures)
