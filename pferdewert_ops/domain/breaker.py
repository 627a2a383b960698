"""The circuit breaker that a whole fleet shares: closed, open, half-open with exactly one leased probe.

Pure transitions. Each change raises the generation; whoever stores a change names the one that it was decided on.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum


class BreakerMode(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerLimits:
    """Opens after `failures` without a success between, within `window`; asks again after `rest`.

    A probe that is not reported back within `probe_lease` is taken for lost, and another one may go.
    """

    failures: int = 10
    window: timedelta = timedelta(minutes=15)
    rest: timedelta = timedelta(seconds=60)
    probe_lease: timedelta = timedelta(seconds=330)


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """One dependency's breaker as stored. `probe` names who holds the one trial of a half-open breaker."""

    mode: BreakerMode = BreakerMode.CLOSED
    generation: int = 0
    failures: int = 0
    first_failure_at: datetime | None = None
    opened_at: datetime | None = None
    probe: str | None = None
    probe_until: datetime | None = None


def is_admitting(breaker: Breaker, now: datetime, limits: BreakerLimits) -> bool:
    """Whether a call may be made now, be it as the one probe."""
    return breaker.mode is BreakerMode.CLOSED or probe_is_due(breaker, now, limits)


def probe_is_due(breaker: Breaker, now: datetime, limits: BreakerLimits) -> bool:
    """Whether the one trial call may be taken: rested after opening, or the last prober was lost."""
    if breaker.mode is BreakerMode.OPEN:
        return breaker.opened_at is None or now >= breaker.opened_at + limits.rest
    if breaker.mode is BreakerMode.HALF_OPEN:
        return breaker.probe_until is None or now >= breaker.probe_until
    return False


def take_probe(breaker: Breaker, holder: str, now: datetime, limits: BreakerLimits) -> Breaker | None:
    """The half-open breaker whose trial `holder` has; None where no trial is due."""
    if not probe_is_due(breaker, now, limits):
        return None
    return replace(
        breaker,
        mode=BreakerMode.HALF_OPEN,
        generation=breaker.generation + 1,
        probe=holder,
        probe_until=now + limits.probe_lease,
    )


def give_back_probe(breaker: Breaker, holder: str) -> Breaker | None:
    """The trial ended without saying anything about the dependency: the next one may go at once."""
    if breaker.mode is not BreakerMode.HALF_OPEN or breaker.probe != holder:
        return None
    return replace(breaker, mode=BreakerMode.OPEN, generation=breaker.generation + 1, probe=None, probe_until=None)


def after_failure(breaker: Breaker, holder: str, now: datetime, limits: BreakerLimits) -> Breaker | None:
    """The breaker after a failed call by `holder`; None where the call says nothing (it is open already)."""
    if breaker.mode is BreakerMode.OPEN:
        return None
    if breaker.mode is BreakerMode.HALF_OPEN:
        return _opened(breaker, now) if breaker.probe == holder else None
    stale = breaker.first_failure_at is None or now - breaker.first_failure_at > limits.window
    failures = 1 if stale else breaker.failures + 1
    counted = replace(
        breaker,
        failures=failures,
        first_failure_at=now if stale else breaker.first_failure_at,
        generation=breaker.generation + 1,
    )
    return _opened(counted, now) if failures >= limits.failures else counted


def after_success(breaker: Breaker, holder: str) -> Breaker | None:
    """The breaker after a good call by `holder`; None where nothing changes.

    Only the probe closes a half-open breaker: a call that began before it opened proves nothing about now.
    """
    if breaker.mode is BreakerMode.CLOSED:
        if breaker.failures == 0:
            return None
        return replace(breaker, failures=0, first_failure_at=None, generation=breaker.generation + 1)
    if breaker.mode is BreakerMode.HALF_OPEN and breaker.probe == holder:
        return Breaker(generation=breaker.generation + 1)
    return None


def _opened(breaker: Breaker, now: datetime) -> Breaker:
    return replace(
        breaker,
        mode=BreakerMode.OPEN,
        opened_at=now,
        generation=breaker.generation + 1,
        probe=None,
        probe_until=None,
    )
