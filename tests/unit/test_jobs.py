"""What becomes of a job whose attempt failed, and who is served first."""

import itertools
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pferdewert_ops.domain.failures import MAIL_POLICIES, POLICIES, ErrorClass
from pferdewert_ops.domain.jobs import (
    DEFAULT_MAX_ATTEMPTS,
    AfterFailure,
    Attempts,
    Failure,
    GiveUp,
    Release,
    Retry,
    Stage,
    after_failure,
    handicap,
)

SPENDING = [one for one in ErrorClass if POLICIES[one].spends]
FREE = [one for one in ErrorClass if not POLICIES[one].spends]
OTHER_MODEL = [one for one in SPENDING if POLICIES[one].other_model]


def decide(
    error_class: ErrorClass,
    *,
    spent: int = 1,
    limit: int = 100,
    failures: dict[ErrorClass, int] | None = None,
    stage: Stage = Stage.PRIMARY,
    fallback: bool = False,
) -> AfterFailure:
    attempts = Attempts(spent=spent, limit=limit, failures=failures or {}, stage=stage)
    failure = Failure(error_class=error_class, code="x")
    return after_failure(attempts, failure, jitter=0.0, fallback=fallback)


def history(first: ErrorClass, *, fallback: bool, limit: int = 100) -> tuple[int, AfterFailure]:
    """How many attempts a job makes that always fails in this way, and how it ends."""
    failures: dict[ErrorClass, int] = {}
    stage = Stage.PRIMARY
    for spent in range(1, 200):
        after = decide(first, spent=spent, limit=limit, failures=failures, stage=stage, fallback=fallback)
        if not isinstance(after, Retry):
            return spent, after
        failures, stage = dict(after.failures), after.stage
    raise AssertionError("it never ended")


# --- budgets -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error_class", "attempts"),
    [
        (ErrorClass.AI_TIMEOUT, 2),
        (ErrorClass.AI_ERROR, 3),
        (ErrorClass.NETWORK_ERROR, 5),
        (ErrorClass.QUEUE_FULL, 10),
        (ErrorClass.OVERLOADED, 5),
        (ErrorClass.RATE_LIMITED, 5),
        (ErrorClass.REFUSAL, 2),
        (ErrorClass.TRUNCATED, 2),
        (ErrorClass.INVALID_OUTPUT, 2),
        (ErrorClass.BAD_INPUT, 1),
        (ErrorClass.WORKER_LOST, 3),
        (ErrorClass.INTERNAL, 2),
    ],
)
def test_each_class_has_its_own_number_of_attempts(error_class: ErrorClass, attempts: int) -> None:
    made, end = history(error_class, fallback=False)
    assert (made, end) == (attempts, GiveUp(failures={error_class: attempts}))


@pytest.mark.parametrize("error_class", SPENDING)
def test_where_another_model_may_help_it_gets_as_many_again(error_class: ErrorClass) -> None:
    alone, _ = history(error_class, fallback=False)
    made, end = history(error_class, fallback=True)
    assert made == (2 * alone if error_class in OTHER_MODEL else alone)
    assert end == GiveUp(failures={error_class: alone})


def test_a_failure_that_the_model_is_not_to_blame_for_does_not_change_it() -> None:
    assert set(SPENDING) - set(OTHER_MODEL) == {
        ErrorClass.NETWORK_ERROR,
        ErrorClass.QUEUE_FULL,
        ErrorClass.BAD_INPUT,
        ErrorClass.WORKER_LOST,
        ErrorClass.INTERNAL,
        ErrorClass.MAIL_REFUSED,
        ErrorClass.MAIL_UNKNOWN,
    }


@pytest.mark.parametrize("error_class", SPENDING)
@pytest.mark.parametrize("fallback", [False, True])
@pytest.mark.parametrize("limit", [1, 2, 3, DEFAULT_MAX_ATTEMPTS])
def test_no_class_passes_the_limit_of_the_job(error_class: ErrorClass, fallback: bool, limit: int) -> None:
    made, end = history(error_class, fallback=fallback, limit=limit)
    assert made == min(limit, history(error_class, fallback=fallback)[0])
    assert isinstance(end, GiveUp)


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(SPENDING), min_size=40, max_size=40),
    st.integers(1, 12),
    st.booleans(),
)
def test_no_mixture_of_classes_passes_the_limit(classes: list[ErrorClass], limit: int, fallback: bool) -> None:
    attempts = Attempts(limit=limit)
    for spent, error_class in enumerate(classes, start=1):
        attempts = Attempts(spent=spent, limit=limit, failures=attempts.failures, stage=attempts.stage)
        failure = Failure(error_class=error_class, code="x")
        after = after_failure(attempts, failure, jitter=0.5, fallback=fallback)
        if isinstance(after, GiveUp):
            break
        assert isinstance(after, Retry)
        assert spent < limit
        assert attempts.stage is Stage.PRIMARY or after.stage is Stage.FALLBACK  # never back
        attempts = Attempts(spent=spent, limit=limit, failures=after.failures, stage=after.stage)
    else:
        raise AssertionError("it never gave up")
    assert spent <= limit


def test_the_default_limit_is_eight() -> None:
    assert (Attempts().limit, DEFAULT_MAX_ATTEMPTS) == (8, 8)


# --- stages ------------------------------------------------------------------------------------------------------


def test_the_other_model_starts_at_once_with_a_clean_record() -> None:
    before = {ErrorClass.AI_TIMEOUT: 1, ErrorClass.NETWORK_ERROR: 4}
    after = decide(ErrorClass.AI_TIMEOUT, failures=before, fallback=True)
    assert after == Retry(wait=timedelta(0), failures={}, stage=Stage.FALLBACK)
    assert decide(ErrorClass.AI_TIMEOUT, failures=before, fallback=True, stage=Stage.FALLBACK) == GiveUp(
        failures={ErrorClass.AI_TIMEOUT: 2, ErrorClass.NETWORK_ERROR: 4}
    )
    assert isinstance(decide(ErrorClass.AI_TIMEOUT, failures=before, fallback=False), GiveUp)


def test_the_last_attempt_is_not_spent_on_another_model_that_it_could_not_pay_for() -> None:
    gone = {ErrorClass.AI_TIMEOUT: 1}
    assert isinstance(decide(ErrorClass.AI_TIMEOUT, spent=8, limit=8, failures=gone, fallback=True), GiveUp)
    assert isinstance(decide(ErrorClass.AI_TIMEOUT, spent=7, limit=8, failures=gone, fallback=True), Retry)


def test_classes_are_counted_apart() -> None:
    after = decide(ErrorClass.AI_TIMEOUT, spent=6, failures={ErrorClass.AI_ERROR: 2, ErrorClass.OVERLOADED: 3})
    assert isinstance(after, Retry)
    assert after.failures == {ErrorClass.AI_ERROR: 2, ErrorClass.OVERLOADED: 3, ErrorClass.AI_TIMEOUT: 1}
    assert after.stage is Stage.PRIMARY


@pytest.mark.parametrize("error_class", FREE)
@pytest.mark.parametrize("spent", [1, 8, 9])
def test_what_is_not_the_jobs_fault_spends_nothing_however_often(error_class: ErrorClass, spent: int) -> None:
    after = decide(error_class, spent=spent, limit=8, fallback=True)
    assert isinstance(after, Release)
    assert after.wait == POLICIES[error_class].wait
    assert set(FREE) == {ErrorClass.SPEND_LIMIT, ErrorClass.AUTH}


def test_what_the_provider_asked_for_is_waited_for() -> None:
    hour = timedelta(hours=1)
    for error_class in ErrorClass:
        failure = Failure(error_class=error_class, code="x", retry_after=hour)
        after = after_failure(Attempts(spent=1, limit=100), failure, jitter=0.9, fallback=False)
        if not isinstance(after, GiveUp):
            assert after.wait == hour


def test_mails_are_worth_a_day_of_tries() -> None:
    for error_class in (ErrorClass.NETWORK_ERROR, ErrorClass.RATE_LIMITED, ErrorClass.QUEUE_FULL):
        attempts = Attempts(spent=39, limit=40, failures={error_class: 38})
        failure = Failure(error_class=error_class, code="x")
        after = after_failure(attempts, failure, jitter=0.0, fallback=False, policies=MAIL_POLICIES)
        assert isinstance(after, Retry)
        assert isinstance(after_failure(attempts, failure, jitter=0.0, fallback=False), GiveUp)


# --- who goes first ----------------------------------------------------------------------------------------------


def test_the_order_of_service() -> None:
    served = [(True, False), (True, True), (False, False), (False, True)]
    for premium in (False, True):
        waits = [handicap(paid=paid, retry=retry, premium=premium) for paid, retry in served]
        assert waits == sorted(waits)
        assert len(set(waits)) == len(waits)
    assert [handicap(paid=paid, retry=retry, premium=False) for paid, retry in served] == [
        timedelta(minutes=minutes) for minutes in (0, 5, 30, 60)
    ]


def test_premium_goes_sooner_within_its_class_and_never_before_a_better_one() -> None:
    for paid, retry in itertools.product((True, False), repeat=2):
        assert handicap(paid=paid, retry=retry, premium=True) < handicap(paid=paid, retry=retry, premium=False)
    ladder = [
        handicap(paid=paid, retry=retry, premium=premium)
        for paid, retry in ((True, False), (True, True), (False, False), (False, True))
        for premium in (True, False)
    ]
    assert ladder == sorted(ladder)
