"""What each error class means: how long it waits, whom it tells, what it says about the dependency."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pferdewert_ops.domain.failures import (
    MAIL_POLICIES,
    POLICIES,
    WORKER_LOST_STEP,
    Backoff,
    ErrorClass,
    OperationFailed,
    Usage,
    wait_before_retry,
)

SECOND = timedelta(seconds=1)
ALMOST_ONE = 1 - 2**-53
OF_BACKOFF = {
    backoff: [one for one in ErrorClass if POLICIES[one].backoff is backoff and one is not ErrorClass.WORKER_LOST]
    for backoff in Backoff
}


@pytest.mark.parametrize("table", [POLICIES, MAIL_POLICIES], ids=["jobs", "mails"])
def test_every_class_has_a_policy(table: dict[ErrorClass, object]) -> None:
    assert set(table) == set(ErrorClass)


@pytest.mark.parametrize(
    ("error_class", "seconds"),
    [
        (ErrorClass.AI_TIMEOUT, [30, 60, 120, 240]),
        (ErrorClass.AI_ERROR, [30, 60, 90, 120]),
        (ErrorClass.NETWORK_ERROR, [5, 10, 20, 40]),
        (ErrorClass.QUEUE_FULL, [30, 30, 30, 30]),
        (ErrorClass.WORKER_LOST, [0, 30, 60, 90]),
        (ErrorClass.BAD_INPUT, [0, 0, 0, 0]),
    ],
)
def test_the_published_shapes(error_class: ErrorClass, seconds: list[int]) -> None:
    """The longest wait of an exponential class and the shortest of the others are the plain figure."""
    jitter = ALMOST_ONE if POLICIES[error_class].backoff is Backoff.EXPONENTIAL else 0.0
    waits = [wait_before_retry(error_class, count, jitter) for count in range(1, 5)]
    assert [round(wait / SECOND, 3) for wait in waits] == seconds
    assert timedelta(seconds=30) == WORKER_LOST_STEP


@pytest.mark.parametrize("error_class", OF_BACKOFF[Backoff.EXPONENTIAL])
def test_exponential_waits_are_drawn_from_the_upper_half(error_class: ErrorClass) -> None:
    policy = POLICIES[error_class]
    for count in range(1, 40):
        longest = min(policy.cap, policy.wait * 2 ** (count - 1)) if count < 20 else policy.cap
        assert wait_before_retry(error_class, count, 0.0) == longest / 2
        assert wait_before_retry(error_class, count, ALMOST_ONE) == pytest.approx(longest, abs=SECOND / 1000)


@pytest.mark.parametrize("error_class", OF_BACKOFF[Backoff.FIXED] + OF_BACKOFF[Backoff.LINEAR])
def test_other_waits_are_spread_by_a_tenth(error_class: ErrorClass) -> None:
    policy = POLICIES[error_class]
    for count in range(1, 40):
        plain = policy.wait if policy.backoff is Backoff.FIXED else min(policy.cap, policy.wait * count)
        assert wait_before_retry(error_class, count, 0.0) == plain
        assert wait_before_retry(error_class, count, ALMOST_ONE) == pytest.approx(plain * 1.1, abs=SECOND / 1000)


@settings(deadline=None)
@given(
    st.sampled_from(list(ErrorClass)),
    st.integers(-3, 10_000),
    st.floats(0, 1, exclude_max=True),
    st.one_of(st.none(), st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=1))),
    st.sampled_from([POLICIES, MAIL_POLICIES]),
)
def test_no_wait_is_negative_endless_or_shorter_than_asked_for(
    error_class: ErrorClass,
    count: int,
    jitter: float,
    retry_after: timedelta | None,
    table: dict[ErrorClass, object],
) -> None:
    policies = POLICIES if table is POLICIES else MAIL_POLICIES
    wait = wait_before_retry(error_class, count, jitter, retry_after, policies)
    assert wait >= (retry_after or timedelta(0))
    plain = wait_before_retry(error_class, count, jitter, None, policies)
    assert wait == max(plain, retry_after or timedelta(0))
    assert timedelta(0) <= plain
    if error_class is not ErrorClass.WORKER_LOST:
        assert plain <= max(policies[error_class].cap, policies[error_class].wait) * 1.1


def test_waits_grow_with_the_failures() -> None:
    for error_class in OF_BACKOFF[Backoff.EXPONENTIAL] + OF_BACKOFF[Backoff.LINEAR] + [ErrorClass.WORKER_LOST]:
        waits = [wait_before_retry(error_class, count, 0.3) for count in range(1, 8)]
        assert waits == sorted(waits)
        assert waits[0] < waits[-1]


def test_two_that_failed_together_do_not_come_back_together() -> None:
    for error_class in ErrorClass:
        if POLICIES[error_class].wait:
            assert wait_before_retry(error_class, 2, 0.1) != wait_before_retry(error_class, 2, 0.2)


def test_what_feeds_the_breaker_and_what_tells_a_person() -> None:
    assert {one.value for one in ErrorClass if POLICIES[one].feeds_breaker} == {
        "ai_timeout",
        "ai_error",
        "network_error",
        "overloaded",
        "rate_limited",
        "auth",
    }
    assert {one.value for one in ErrorClass if POLICIES[one].tells_human} == {
        "spend_limit",
        "auth",
        "bad_input",
        "mail_refused",
        "mail_unknown",
        "internal",
    }


def test_a_failure_reads_as_class_code_and_request() -> None:
    usage = Usage(input_tokens=3)
    failed = OperationFailed(
        error_class=ErrorClass.OVERLOADED, code="overloaded_error", request_id="req_1", usage=usage
    )
    assert str(failed) == "overloaded: overloaded_error (request req_1)"
    assert (failed.usage, failed.retry_after) == (usage, None)
    assert str(OperationFailed(error_class=ErrorClass.AUTH, code="key")) == "auth: key"
