"""The breaker's rules, by table and at the instants where they turn."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pferdewert_ops.domain.breaker import (
    Breaker,
    BreakerLimits,
    BreakerMode,
    after_failure,
    after_success,
    give_back_probe,
    is_admitting,
    probe_is_due,
    take_probe,
)

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
TICK = timedelta(milliseconds=1)
LIMITS = BreakerLimits(
    failures=3, window=timedelta(minutes=15), rest=timedelta(seconds=60), probe_lease=timedelta(seconds=330)
)
CLOSED = Breaker()
OPEN = Breaker(mode=BreakerMode.OPEN, generation=7, failures=3, first_failure_at=NOW - 2 * TICK, opened_at=NOW)
HALF_OPEN = replace(OPEN, mode=BreakerMode.HALF_OPEN, generation=8, probe="p", probe_until=NOW + LIMITS.probe_lease)


@pytest.mark.parametrize(
    ("breaker", "after", "due", "admitting"),
    [
        pytest.param(CLOSED, timedelta(0), False, True, id="closed"),
        pytest.param(OPEN, timedelta(0), False, False, id="just opened"),
        pytest.param(OPEN, LIMITS.rest - TICK, False, False, id="rest not over"),
        pytest.param(OPEN, LIMITS.rest, True, True, id="rest over"),
        pytest.param(replace(OPEN, opened_at=None), timedelta(0), True, True, id="open since nobody knows when"),
        pytest.param(HALF_OPEN, LIMITS.rest, False, False, id="probe running"),
        pytest.param(HALF_OPEN, LIMITS.probe_lease - TICK, False, False, id="probe's lease not over"),
        pytest.param(HALF_OPEN, LIMITS.probe_lease, True, True, id="probe lost"),
        pytest.param(replace(HALF_OPEN, probe_until=None), timedelta(0), True, True, id="probe without a lease"),
    ],
)
def test_who_may_call(breaker: Breaker, after: timedelta, due: bool, admitting: bool) -> None:
    now = NOW + after
    assert probe_is_due(breaker, now, LIMITS) is due
    assert is_admitting(breaker, now, LIMITS) is admitting
    assert (take_probe(breaker, "q", now, LIMITS) is not None) is due


def test_taking_the_probe_leases_it_and_keeps_what_is_known() -> None:
    now = NOW + LIMITS.rest
    assert take_probe(OPEN, "q", now, LIMITS) == replace(
        OPEN, mode=BreakerMode.HALF_OPEN, generation=8, probe="q", probe_until=now + LIMITS.probe_lease
    )


@pytest.mark.parametrize(
    ("breaker", "holder", "given_back"),
    [
        pytest.param(HALF_OPEN, "p", True, id="the prober"),
        pytest.param(HALF_OPEN, "q", False, id="somebody else"),
        pytest.param(OPEN, "p", False, id="not half-open"),
        pytest.param(CLOSED, "p", False, id="closed"),
    ],
)
def test_only_the_prober_gives_back(breaker: Breaker, holder: str, given_back: bool) -> None:
    after = give_back_probe(breaker, holder)
    assert (after is not None) is given_back
    if after is not None:
        assert after == replace(OPEN, generation=9)
        assert probe_is_due(after, NOW + LIMITS.rest, LIMITS)


@pytest.mark.parametrize(
    ("failures", "first", "expected_failures", "expected_first", "opens"),
    [
        pytest.param(0, None, 1, NOW, False, id="first"),
        pytest.param(1, NOW - TICK, 2, NOW - TICK, False, id="second"),
        pytest.param(2, NOW - LIMITS.window, 3, NOW - LIMITS.window, True, id="last, at the edge of the window"),
        pytest.param(2, NOW - LIMITS.window - TICK, 1, NOW, False, id="the first was too long ago"),
    ],
)
def test_failures_while_closed(
    failures: int, first: datetime | None, expected_failures: int, expected_first: datetime, opens: bool
) -> None:
    after = after_failure(replace(CLOSED, failures=failures, first_failure_at=first), "h", NOW, LIMITS)
    assert after is not None
    assert (after.failures, after.first_failure_at) == (expected_failures, expected_first)
    assert after.mode is (BreakerMode.OPEN if opens else BreakerMode.CLOSED)
    assert after.opened_at == (NOW if opens else None)
    assert after.generation > 0


def test_a_limit_of_one_opens_at_the_first_failure() -> None:
    after = after_failure(CLOSED, "h", NOW, replace(LIMITS, failures=1))
    assert after is not None
    assert after.mode is BreakerMode.OPEN


def test_a_failure_says_nothing_to_an_open_breaker_or_against_anothers_probe() -> None:
    assert after_failure(OPEN, "p", NOW, LIMITS) is None
    assert after_failure(HALF_OPEN, "q", NOW, LIMITS) is None


def test_a_failed_probe_rests_anew_and_is_nobodys() -> None:
    later = NOW + LIMITS.rest
    after = after_failure(HALF_OPEN, "p", later, LIMITS)
    assert after == replace(OPEN, generation=9, opened_at=later)


@pytest.mark.parametrize(
    ("breaker", "holder", "expected"),
    [
        pytest.param(CLOSED, "h", None, id="nothing to forget"),
        pytest.param(
            replace(CLOSED, generation=4, failures=2, first_failure_at=NOW), "h", Breaker(generation=5), id="forget"
        ),
        pytest.param(OPEN, "p", None, id="began before it opened"),
        pytest.param(HALF_OPEN, "q", None, id="not the probe"),
        pytest.param(HALF_OPEN, "p", Breaker(generation=9), id="the probe closes"),
    ],
)
def test_a_success(breaker: Breaker, holder: str, expected: Breaker | None) -> None:
    assert after_success(breaker, holder) == expected


RULES: dict[str, Callable[[Breaker, str, datetime], Breaker | None]] = {
    "take": lambda breaker, holder, now: take_probe(breaker, holder, now, LIMITS),
    "give back": lambda breaker, holder, _: give_back_probe(breaker, holder),
    "fail": lambda breaker, holder, now: after_failure(breaker, holder, now, LIMITS),
    "succeed": lambda breaker, holder, _: after_success(breaker, holder),
}
MOVES = st.lists(
    st.tuples(
        st.sampled_from(sorted(RULES)),
        st.sampled_from(["p", "q", "r"]),
        st.integers(min_value=0, max_value=400),
    ),
    max_size=60,
)


@given(MOVES)
def test_whatever_happens_each_change_is_newer_and_a_probe_is_one_leased_holder(
    moves: list[tuple[str, str, int]],
) -> None:
    breaker, now = CLOSED, NOW
    for move, holder, seconds in moves:
        now += timedelta(seconds=seconds)
        after = RULES[move](breaker, holder, now)
        if after is None:
            continue
        assert after.generation > breaker.generation
        half_open = after.mode is BreakerMode.HALF_OPEN
        assert (after.probe is not None, after.probe_until is not None) == (half_open, half_open)
        assert after.mode is BreakerMode.CLOSED or after.failures >= LIMITS.failures
        if breaker.mode is BreakerMode.HALF_OPEN and move != "take":
            assert holder == breaker.probe
        breaker = after
