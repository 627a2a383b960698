"""Gates: how many free places of a lane may be filled now, by pause, breaker, budget and fleet-wide limits."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from pymongo.database import Database
from pymongo.errors import PyMongoError

from pferdewert_ops.adapters.mongo.slots import COLLECTION, Slot, Slots

# Pause, breaker and budget are read at most this often: a little longer than an idle lane's poll, so that a job that
# comes in finds the answer there.
VERDICT_LIFE = 1.5
# A lane that is about to wait reads them anew when they are older than this: within one poll's jitter of a second they
# are then never too old for a job that comes in meanwhile.
VERDICT_FRESH = 0.2
RATE_WINDOW = timedelta(minutes=1)


class FleetLimits:
    """Slots that this process holds of one queue's fleet-wide limits: so many at once, so many a minute."""

    def __init__(self, at_once: Slots | None, per_minute: Slots | None, holder: str) -> None:
        self._at_once = at_once
        self._per_minute = per_minute
        self._holder = holder
        self._held: list[Slot] = []
        self._fresh: list[Slot] = []
        self._lock = threading.Lock()

    def take(self, wanted: int) -> int:
        """How many of the wanted places the limits grant."""
        if self._at_once is not None and wanted > 0:
            slots = self._at_once.take(wanted, self._holder)
            with self._lock:
                self._held += slots
            wanted = len(slots)
        if self._per_minute is not None and wanted > 0:
            try:
                self._fresh = self._per_minute.take(wanted, self._holder)
            except PyMongoError:
                self.give_back(wanted)  # else they would be renewed for ever, and nothing run under them
                raise
            self.give_back(wanted - len(self._fresh))
            wanted = len(self._fresh)
        return wanted

    def unused(self, count: int) -> None:
        """Granted, but there was nothing to claim: nobody has to wait for these."""
        if self._per_minute is not None and count > 0:
            back, self._fresh = self._fresh[:count], self._fresh[count:]
            self._per_minute.release(back)
        self.give_back(count)

    def give_back(self, count: int) -> None:
        if self._at_once is None or count <= 0:
            return
        with self._lock:
            back, self._held = self._held[:count], self._held[count:]
        self._at_once.release(back)

    def renew(self, database: Database[dict[str, Any]]) -> None:
        """Keep the slots of what is running. One that was lost belongs to somebody else: the limit bends, briefly.

        `database` is the renewing thread's own client's: a frozen primary must not hang the lease renewals.
        """
        if self._at_once is None:
            return
        with self._lock:
            held = list(self._held)
        kept = {slot.id for slot in self._at_once.renew(held, database[COLLECTION])}
        with self._lock:
            self._held = [slot for slot in self._held if slot.id in kept or slot not in held]


class LimitsGate:
    """The gate of a queue without conditions of its own: open unless paused, within the fleet's limits."""

    def __init__(self, queue: str, limits: FleetLimits, paused: Callable[[], set[str]], monotonic: Callable[[], float]):
        self._queue = queue
        self._limits = limits
        self._paused = paused
        self._monotonic = monotonic
        self._asked_at = float("-inf")
        self._open = True

    def allowance(self, free: int) -> int:
        self._ask_unless_younger(VERDICT_LIFE)
        return self._limits.take(free) if self._open else 0

    def unused(self, count: int) -> None:
        self._limits.unused(count)
        self._ask_unless_younger(VERDICT_FRESH)

    def _ask_unless_younger(self, seconds: float) -> None:
        if self._monotonic() - self._asked_at > seconds:
            self._open = self._queue not in self._paused()
            self._asked_at = self._monotonic()

    def ended(self) -> None:
        self._limits.give_back(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """How many model calls may be made next: for anybody, and for payers. `because` says what holds others back."""

    everybody: int
    payers: int
    because: str


class ModelCalls(Protocol):
    """What breakers and budget say; told when that changes, so that it can be said where people look."""

    def places(self) -> Places: ...
    def changed(self, places: Places) -> None: ...


@dataclass(slots=True)
class EvaluationGate:
    """The gate of the evaluation queue. After `allowance`, `paid_only` says which jobs may be claimed.

    Unpaid orders wait while the first model rests or the day's budget runs low; everybody waits while no model
    answers or the budget is used up.
    """

    inner: LimitsGate
    calls: ModelCalls
    monotonic: Callable[[], float]
    tell: Callable[..., None]
    paid_only: bool = False
    _asked_at: float = float("-inf")
    _places: int = 0
    _said: tuple[str, str] = ("", "")

    def allowance(self, free: int) -> int:
        self._ask_unless_younger(VERDICT_LIFE)
        granted = self.inner.allowance(min(free, self._places))
        self._places -= granted
        return granted

    def _ask_unless_younger(self, seconds: float) -> None:
        if self.monotonic() - self._asked_at <= seconds:
            return
        places = self.calls.places()
        self.paid_only = places.everybody <= 0
        self._places = places.payers if self.paid_only else places.everybody
        self._asked_at = self.monotonic()
        verdict = "closed" if self._places <= 0 else "paid_only" if self.paid_only else "open"
        said = (verdict, places.because)
        if said != self._said:
            self._said = said
            self.tell("evaluation_gate", verdict=verdict, because=places.because)
            self.calls.changed(places)

    def unused(self, count: int) -> None:
        self._places += count
        self.inner.unused(count)
        self._ask_unless_younger(VERDICT_FRESH)

    def ended(self) -> None:
        self.inner.ended()
