"""pybreaker over the shared breaker: its names and listeners, and none of its surprises."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pybreaker
import pytest
from pymongo.database import Database
from pymongo.errors import AutoReconnect
from structlog.testing import capture_logs

from pferdewert_ops.adapters.mongo.breakers import Admission, Change, SharedBreaker
from pferdewert_ops.adapters.mongo.circuits import ANSWERS, SharedStorage, Verdict, circuit, verdict_of
from pferdewert_ops.domain.breaker import Breaker, BreakerLimits, BreakerMode
from pferdewert_ops.domain.failures import POLICIES, ErrorClass, OperationFailed

NAME = "model:claude-opus-5-5"
LIMITS = BreakerLimits(failures=3, rest=timedelta(0))
LOST_AT_ONCE = replace(LIMITS, probe_lease=timedelta(0))

MakeBreaker = Callable[..., SharedBreaker]


class Stopped(Exception):  # noqa: N818 - an order, not an error
    """Stands for what our own side raises to end a call, such as a cancellation."""


@dataclass
class Heard(pybreaker.CircuitBreakerListener):
    changes: list[tuple[str, str]] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)
    successes: int = 0
    calls: int = 0

    def before_call(self, *_: object, **__: object) -> None:
        self.calls += 1

    def failure(self, _: object, exc: BaseException) -> None:
        self.failures.append(exc)

    def success(self, _: object) -> None:
        self.successes += 1

    def state_change(self, _: object, old_state: Any, new_state: Any) -> None:
        self.changes.append((old_state.name, new_state.name))


@pytest.fixture
def make(database: Database[dict[str, Any]]) -> MakeBreaker:
    def made(limits: BreakerLimits = LIMITS, holder: str = "host-a") -> SharedBreaker:
        return SharedBreaker(database["ops_breakers"], NAME, limits, holder)

    return made


def admitted(shared: SharedBreaker) -> Admission:
    admission = shared.admit()
    assert admission is not None
    return admission


def stored(shared: SharedBreaker) -> Breaker:
    return shared.read()[0]


def failure(error_class: ErrorClass = ErrorClass.OVERLOADED) -> OperationFailed:
    return OperationFailed(error_class=error_class, code="test")


def call(shared: SharedBreaker, error: BaseException | None = None, heard: Heard | None = None) -> None:
    """One call through the circuit that ends with `error`, which has to come out as it is."""
    one_call = circuit(shared, admitted(shared), [heard or Heard()])
    if error is None:
        with one_call.calling():
            return
    with pytest.raises(type(error)) as raised, one_call.calling():
        raise error
    assert raised.value is error


def opened(shared: SharedBreaker) -> None:
    for admission in [admitted(shared) for _ in range(LIMITS.failures)]:
        shared.failed(admission)
    assert stored(shared).mode is BreakerMode.OPEN


NEUTRAL = [
    pytest.param(Stopped(), id="our own stop"),
    pytest.param(KeyboardInterrupt(), id="keyboard"),
    pytest.param(SystemExit(), id="exit"),
    pytest.param(failure(ErrorClass.INTERNAL), id="a bug of ours"),
    pytest.param(failure(ErrorClass.SPEND_LIMIT), id="an empty purse"),
]


@pytest.mark.parametrize("error_class", ErrorClass)
def test_every_error_class_has_a_verdict(error_class: ErrorClass) -> None:
    expected = Verdict.NOTHING
    if POLICIES[error_class].feeds_breaker:
        expected = Verdict.FAILED
    elif error_class in {"refusal", "truncated", "invalid_output", "mail_refused"}:
        expected = Verdict.ANSWERED
    assert verdict_of(failure(error_class)) is expected


def test_no_answer_feeds_the_breaker() -> None:
    assert not [error_class for error_class in ANSWERS if POLICIES[error_class].feeds_breaker]


# The trap: pybreaker takes an excluded error for a success, which zeroes the counter and closes a half-open circuit.
@pytest.mark.parametrize("error", NEUTRAL)
def test_what_says_nothing_leaves_the_count(make: MakeBreaker, error: BaseException) -> None:
    shared, heard = make(), Heard()
    call(shared, failure())
    before = stored(shared)
    call(shared, error, heard)
    assert stored(shared) == before
    assert (heard.calls, heard.successes, heard.failures, heard.changes) == (1, 0, [], [])


# The trap: pybreaker counts every BaseException, so that a cancelled or interrupted probe opens the circuit anew.
@pytest.mark.parametrize("error", NEUTRAL)
def test_a_probe_that_says_nothing_neither_closes_nor_rests_again(make: MakeBreaker, error: BaseException) -> None:
    shared, heard = make(), Heard()
    opened(shared)
    before = stored(shared)
    call(shared, error, heard)
    after = stored(shared)
    assert (after.mode, after.opened_at, after.failures) == (BreakerMode.OPEN, before.opened_at, before.failures)
    assert admitted(shared).probe
    assert heard.changes == [("open", "half-open"), ("half-open", "open")]
    assert (heard.successes, heard.failures) == (0, [])


def test_a_body_that_is_thrown_away_says_nothing(make: MakeBreaker) -> None:
    shared = make()
    opened(shared)
    left = circuit(shared, admitted(shared)).calling()
    left.__enter__()
    del left
    assert stored(shared).mode is BreakerMode.OPEN
    assert admitted(shared).probe


@pytest.mark.parametrize("error_class", sorted(ANSWERS))
def test_an_answer_of_no_use_is_an_answer(make: MakeBreaker, error_class: ErrorClass) -> None:
    shared, heard = make(), Heard()
    opened(shared)
    call(shared, failure(error_class), heard)
    assert stored(shared) == Breaker(generation=stored(shared).generation)
    assert heard.changes == [("open", "half-open"), ("half-open", "closed")]
    assert (heard.successes, heard.failures) == (1, [])


# The trap: whoever notices "closed" zeroes the counter for all.
def test_noticing_a_closed_circuit_leaves_the_fleets_count(make: MakeBreaker) -> None:
    late, fleet = make(LOST_AT_ONCE), make(LOST_AT_ONCE, holder="host-b")
    opened(fleet)
    lost = admitted(late)
    call(fleet)  # the next probe closes it
    call(fleet, failure())
    call(fleet, failure())
    storage = SharedStorage(NAME, Breaker(mode=BreakerMode.OPEN))
    face = pybreaker.CircuitBreaker(state_storage=storage)
    storage.show(stored(fleet))
    assert face.state.name == "closed"
    assert face.fail_counter == 2
    with circuit(late, lost).calling():
        pass
    assert stored(fleet).failures == 0  # only its good answer starts the count anew


# The trap: a half-open circuit lets everybody through.
def test_while_the_probe_runs_nobody_else_may(make: MakeBreaker) -> None:
    shared, others = make(), [make(holder=f"host-{n}") for n in range(8)]
    opened(shared)
    with circuit(shared, admitted(shared)).calling(), ThreadPoolExecutor(8) as pool:
        assert list(pool.map(SharedBreaker.admit, others)) == [None] * 8
    assert stored(shared).mode is BreakerMode.CLOSED


# The trap: the call that trips the circuit raises CircuitBreakerError in place of its cause. `call` checks it.
def test_the_tripping_call_and_a_failed_probe_raise_their_cause(make: MakeBreaker) -> None:
    shared, heard = make(), Heard()
    causes = [failure() for _ in range(3)]
    for cause in causes:
        call(shared, cause, heard)
    assert stored(shared).mode is BreakerMode.OPEN
    trial = failure(ErrorClass.AI_TIMEOUT)
    call(shared, trial, heard)
    assert stored(shared).mode is BreakerMode.OPEN
    assert heard.failures == [*causes, trial]
    assert heard.changes == [("closed", "open"), ("open", "half-open"), ("half-open", "open")]


# The trap: state_change fires in every process that notices.
def test_one_process_tells_of_a_change_though_all_of_them_fail(make: MakeBreaker) -> None:
    calls = [
        (circuit(shared := make(holder=f"host-{n}"), admitted(shared), [heard := Heard()]), heard) for n in range(8)
    ]

    def run(one_call: Any) -> None:
        with pytest.raises(OperationFailed), one_call.calling():
            raise failure()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(run, [one_call for one_call, _ in calls]))
    told = [change for _, heard in calls for change in heard.changes]
    assert told == [("closed", "open")]
    assert sum(len(heard.failures) for _, heard in calls) == 8


# The trap: `call` holds one lock for as long as the call takes.
def test_calls_of_one_breaker_run_side_by_side(make: MakeBreaker) -> None:
    shared = make()
    inside = threading.Barrier(4, timeout=30)  # breaks unless all four are in their calls at the same time

    def run(_: int) -> None:
        with circuit(shared, admitted(shared)).calling():
            inside.wait()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(4)))
    assert not inside.broken


def test_a_lost_probe_tells_of_no_change(make: MakeBreaker) -> None:
    shared, heard = make(LOST_AT_ONCE), Heard()
    opened(shared)
    late = circuit(shared, admitted(shared), [heard])
    newer = admitted(shared)
    with pytest.raises(OperationFailed), late.calling():
        raise failure()
    assert stored(shared).probe == newer.holder
    assert heard.changes == [("open", "half-open")]


@pytest.mark.parametrize("error", [None, failure()])
def test_a_report_that_is_lost_costs_neither_the_answer_nor_the_cause(
    make: MakeBreaker, monkeypatch: pytest.MonkeyPatch, error: OperationFailed | None
) -> None:
    shared = make()

    def gone(_: Admission) -> Change | None:
        raise AutoReconnect("connection closed")

    monkeypatch.setattr(shared, "succeeded", gone)
    monkeypatch.setattr(shared, "failed", gone)
    with capture_logs() as logs:
        call(shared, error)
    [log] = logs
    assert log["event"] == "breaker_report_lost"
    assert log["breaker"] == NAME
    assert log["reason"] == "AutoReconnect"


def test_pybreaker_cannot_write_through_the_storage() -> None:
    face = pybreaker.CircuitBreaker(state_storage=SharedStorage(NAME, Breaker()))
    for move in (face.open, face.close, face.half_open):
        with pytest.raises(AssertionError):
            move()
    with pytest.raises(AssertionError):
        face.call(lambda: 1 / 0)
