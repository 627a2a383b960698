"""One call seen through pybreaker: its names for the states and its listeners, over the shared breaker's truth.

pybreaker decides nothing here. Its own machine counts a cancelled call as a failure and an excluded error as a
success, lets everybody through a half-open circuit, and tells of a change in every process that notices it. So the
outcome is judged here, written by compare-and-set, and only what this process changed is shown to pybreaker.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from enum import Enum, auto
from typing import assert_never

import pybreaker
from pymongo.errors import PyMongoError

from pferdewert_ops.adapters.mongo.breakers import Admission, BreakerContended, Change, SharedBreaker
from pferdewert_ops.domain.breaker import Breaker, BreakerMode
from pferdewert_ops.domain.failures import POLICIES, ErrorClass, OperationFailed

_NAMES = {
    BreakerMode.CLOSED: pybreaker.STATE_CLOSED,
    BreakerMode.OPEN: pybreaker.STATE_OPEN,
    BreakerMode.HALF_OPEN: pybreaker.STATE_HALF_OPEN,
}

# The dependency was reached and did its work, though the answer is of no use: it is up.
ANSWERS = frozenset({ErrorClass.REFUSAL, ErrorClass.TRUNCATED, ErrorClass.INVALID_OUTPUT, ErrorClass.MAIL_REFUSED})


class Verdict(Enum):
    """What the end of a call says about the dependency."""

    FAILED = auto()
    ANSWERED = auto()
    NOTHING = auto()


def verdict_of(error: BaseException | None) -> Verdict:
    """None is a good answer. A stop, a bug of ours, an empty purse or an unknown outcome says nothing."""
    if error is None:
        return Verdict.ANSWERED
    if not isinstance(error, OperationFailed):
        return Verdict.NOTHING
    if POLICIES[error.error_class].feeds_breaker:
        return Verdict.FAILED
    return Verdict.ANSWERED if error.error_class in ANSWERS else Verdict.NOTHING


class SharedStorage(pybreaker.CircuitBreakerStorage):
    """What pybreaker may see of the shared breaker. It cannot write through it."""

    def __init__(self, name: str, seen: Breaker) -> None:
        super().__init__(name)
        self._seen = seen

    def show(self, breaker: Breaker) -> None:
        """Let pybreaker notice this from now on."""
        self._seen = breaker

    @property
    def state(self) -> str:
        return _NAMES[self._seen.mode]

    @state.setter
    def state(self, state: str) -> None:
        raise AssertionError(f"pybreaker must not move {self.name} to {state}")

    @property
    def opened_at(self) -> datetime | None:
        return self._seen.opened_at

    @opened_at.setter
    def opened_at(self, datetime: datetime) -> None:  # noqa: ARG002 - the interface's name
        raise AssertionError(f"pybreaker must not date {self.name}")

    @property
    def counter(self) -> int:
        return self._seen.failures

    @property
    def success_counter(self) -> int:
        return 0

    def increment_counter(self) -> None:
        raise AssertionError(f"pybreaker must not count for {self.name}")

    def increment_success_counter(self) -> None:
        raise AssertionError(f"pybreaker must not count for {self.name}")

    def reset_counter(self) -> None:
        """Nothing: pybreaker calls this whenever it notices a closed circuit, and the failures are the fleet's."""

    def reset_success_counter(self) -> None:
        """Nothing, as above: one good probe closes."""


class Circuit:
    """One admitted call. Made for one use: `with circuit.calling(): evaluator.evaluate(...)`."""

    def __init__(
        self,
        shared: SharedBreaker,
        admission: Admission,
        listeners: Sequence[pybreaker.CircuitBreakerListener],
    ) -> None:
        self._shared = shared
        self._admission = admission
        self._storage = SharedStorage(shared.name, Breaker(mode=admission.found))
        self.breaker = pybreaker.CircuitBreaker(
            fail_max=shared.limits.failures,
            reset_timeout=shared.limits.rest.total_seconds(),
            listeners=listeners,
            state_storage=self._storage,
            name=shared.name,
            throw_new_error_on_trip=False,
        )

    @contextmanager
    def calling(self) -> Iterator[None]:
        """Make the call in the body. Whatever leaves the body leaves this unchanged, once it is reported.

        A report that MongoDB does not take is logged and given up: an answer that was paid for is worth more than
        the count, and the probe's lease ends by itself.
        """
        try:
            self._begin()
            yield
        except BaseException as error:
            self._report(error)
            raise
        self._report(None)

    def _begin(self) -> None:
        if self._admission.probe:
            self._notice(Breaker(mode=BreakerMode.HALF_OPEN))
        for listener in self.breaker.listeners:
            listener.before_call(self.breaker, self.calling)

    def _report(self, error: BaseException | None) -> None:
        verdict = verdict_of(error)
        try:
            change = self._written(verdict)
        except (PyMongoError, BreakerContended) as lost:
            import structlog

            structlog.get_logger(__name__).warning(
                "breaker_report_lost", breaker=self._shared.name, verdict=verdict.name, reason=type(lost).__name__
            )
            change = None
        for listener in self.breaker.listeners:
            if verdict is Verdict.FAILED and error is not None:
                listener.failure(self.breaker, error)
            elif verdict is Verdict.ANSWERED:
                listener.success(self.breaker)
        if change is not None:
            self._notice(change.after)

    def _written(self, verdict: Verdict) -> Change | None:
        match verdict:
            case Verdict.FAILED:
                return self._shared.failed(self._admission)
            case Verdict.ANSWERED:
                return self._shared.succeeded(self._admission)
            case Verdict.NOTHING:
                return self._shared.gave_back(self._admission)
            case _:
                assert_never(verdict)

    def _notice(self, breaker: Breaker) -> None:
        """Show it to pybreaker, which tells the listeners if the state is another one than before."""
        self._storage.show(breaker)
        _ = self.breaker.state


def circuit(
    shared: SharedBreaker,
    admission: Admission,
    listeners: Sequence[pybreaker.CircuitBreakerListener] = (),
) -> Circuit:
    """The circuit of one admitted call. `state_change` reaches the listeners of the one process that made it."""
    return Circuit(shared, admission, listeners)
