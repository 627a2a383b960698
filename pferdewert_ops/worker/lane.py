"""A lane: one queue served by one process. Claims in batches, handles on threads, settles through the committer."""

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from pymongo.errors import PyMongoError

from pferdewert_ops.adapters.mongo.leased import Leased, LeasedQueue
from pferdewert_ops.operations.ports import HandedBack, Watch
from pferdewert_ops.worker.committer import Committer
from pferdewert_ops.worker.held import Held, HeldDocuments
from pferdewert_ops.worker.threads import WorkerThreads


class Claimed(Protocol):
    """What a lane needs to know of a claimed item."""

    @property
    def id(self) -> str: ...
    @property
    def order_id(self) -> str: ...
    @property
    def fence(self) -> int: ...
    @property
    def handle(self) -> Any: ...


# A handler that met a database error is tried again after about an election.
DATABASE_WAIT = timedelta(seconds=10)

Item = TypeVar("Item", bound=Claimed)
Outcome = TypeVar("Outcome")


class Gate(Protocol):
    """Says how many free places may be filled now. Told what of that was not used, and when an item ended."""

    def allowance(self, free: int) -> int: ...
    def unused(self, count: int) -> None: ...
    def ended(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Service(Generic[Item, Outcome]):
    """What a lane serves: how to claim, handle and settle, and what to do once an outcome is stored.

    `crashed` turns an error of ours into an outcome; `after`, where there is one, runs on a lane thread once that
    is stored.
    """

    name: str
    queue: LeasedQueue
    gate: Gate
    claim: Callable[[int], list[Item]]
    handle: Callable[[Item, Watch], Outcome | HandedBack]
    settle: Callable[[Sequence[tuple[Item, Outcome | HandedBack]]], set[str]]
    crashed: Callable[[Item, BaseException], Outcome]
    after: Callable[[Item, Outcome | HandedBack], None] | None = None


class Lane(Generic[Item, Outcome]):
    """Serves one queue with up to `concurrency` items at a time, until it is told to stop."""

    def __init__(
        self,
        service: Service[Item, Outcome],
        held: HeldDocuments,
        *,
        concurrency: int,
        poll: float,
        monotonic: Callable[[], float],
        estimate: Callable[[], float | None],
        tell: Callable[..., None],
        most: int | None = None,
    ) -> None:
        self.name = service.name
        self._service = service
        self._held = held
        self._concurrency = concurrency
        self._poll = poll
        self._monotonic = monotonic
        self._estimate = estimate
        self._tell = tell
        self._left = most
        self._busy = 0
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._looks_wanted = 0
        self._fruitless_look = -1
        self._entries: dict[tuple[str, int], _Entry] = {}
        self._threads = WorkerThreads(concurrency, service.name, self._thread_crashed)
        self._committer: Committer[Item, Outcome | HandedBack] = Committer(
            service.settle, self._settled, service.crashed, lambda item: item.id, tell
        )
        self._claimer = threading.Thread(target=self._run, name=f"{service.name}-claimer", daemon=True)

    # --- life ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self._committer.start()
        self._claimer.start()

    def wake(self) -> None:
        """Something may be claimable: look now. Any look that began before this says nothing any more."""
        with self._lock:
            self._looks_wanted += 1
        self._wake.set()

    def close(self) -> None:
        """Claim no more."""
        self._closed.set()
        self._wake.set()
        if self._claimer.is_alive():
            self._claimer.join()

    def finish(self, seconds: float) -> None:
        """Write the last outcomes. Only after the lane is closed and empty."""
        if not self._committer.stop(seconds):
            self._tell("outcomes_lost", queue=self.name, outcomes=self._busy)

    def abandon(self) -> None:
        """Hand back on behalf of handlers that do not end: their claim still stands, no attempt is spent."""
        with self._lock:
            left = list(self._entries.values())
        try:
            self._service.settle([(entry.item, HandedBack()) for entry in left])
        except PyMongoError as error:
            self._tell("hand_back_failed", queue=self.name, items=len(left), error=type(error).__name__)

    @property
    def busy(self) -> int:
        return self._busy

    @property
    def limited(self) -> bool:
        """Whether it may claim only so many items."""
        return self._left is not None

    @property
    def used_up(self) -> bool:
        """Whether it has claimed as many items as it may, and handled them."""
        return self._left == 0 and self._busy == 0

    def is_idle(self) -> bool:
        """Nothing in hand, and the last look found nothing to claim (or the lane may claim no more)."""
        looked = self._fruitless_look == self._looks_wanted
        return self._busy == 0 and (looked or self._closed.is_set() or self._left == 0)

    # --- claiming --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._closed.is_set():
            self._wake.clear()
            try:
                progressed = self._fill()
            except PyMongoError as error:
                self._tell("claim_failed", queue=self.name, error=type(error).__name__)
                progressed = False
            except Exception as error:  # noqa: BLE001 - one look ends here; a lane that looks no more would go unnoticed
                self._tell("lane_crashed", queue=self.name, error=crash_site(error))
                progressed = False
            if not progressed:
                # Jittered, so that a fleet does not ask in step; a hint or a free place ends the wait at once.
                self._wake.wait(self._poll * random.uniform(0.75, 1.25))

    def _fill(self) -> bool:
        look = self._looks_wanted
        free = self._concurrency - self._busy
        if self._left is not None:
            free = min(free, self._left)
        if free <= 0:
            return False
        allowed = self._service.gate.allowance(free)
        if allowed <= 0:
            self._fruitless_look = look
            return False
        items: list[Item] = []
        try:
            items = self._service.claim(allowed)
            self._begin(items)
        finally:
            if len(items) < allowed:
                self._service.gate.unused(allowed - len(items))
        if not items:
            self._fruitless_look = look
        return bool(items)

    def _begin(self, items: Sequence[Item]) -> None:
        if self._left is not None:
            self._left -= len(items)
        with self._lock:
            self._busy += len(items)
        for item in items:
            leased: Leased = item.handle
            entry = _Entry(
                leased=leased,
                queue=self._service.queue,
                began=self._monotonic(),
                monotonic=self._monotonic,
                estimate=self._estimate,
                item=item,
            )
            with self._lock:
                self._entries[item.id, item.fence] = entry
            self._held.add(entry)
            self._threads.run(partial(self._handle, item, entry))

    # --- handling --------------------------------------------------------------------------------------------

    def _handle(self, item: Item, entry: Held) -> None:
        outcome: Outcome | HandedBack
        try:
            outcome = self._service.handle(item, entry)
        except PyMongoError as error:
            # Nobody's fault but the database's: no attempt is spent on it.
            self._tell("handler_interrupted", queue=self.name, job=item.id, fence=item.fence, error=crash_site(error))
            outcome = HandedBack(wait=DATABASE_WAIT)
        except Exception as error:  # noqa: BLE001 - a job ends here: whatever went wrong becomes its outcome
            self._tell("handler_crashed", queue=self.name, job=item.id, fence=item.fence, error=crash_site(error))
            outcome = self._service.crashed(item, error)
        # Even where the lease seemed lost: the fence decides, and what was paid for is worth the try.
        self._committer.add(item, outcome)

    def _settled(self, batch: Sequence[tuple[Item, Outcome | HandedBack, bool]]) -> None:
        """Outcomes are stored, or lost: their places are free, now or after what follows."""
        free: list[_Entry] = []
        for item, outcome, lost in batch:
            entry = self._entries[item.id, item.fence]
            self._held.remove(entry)
            if lost:
                self._tell("outcome_lost", queue=self.name, job=item.id, fence=item.fence)
            if lost or self._service.after is None:
                free.append(entry)
            else:
                self._threads.run(partial(self._follow_up, item, outcome, entry))
        if free:
            self._release(free)

    def _follow_up(self, item: Item, outcome: Outcome | HandedBack, entry: "_Entry") -> None:
        try:
            if self._service.after is not None:
                self._service.after(item, outcome)
        except Exception as error:  # noqa: BLE001 - the outcome is stored; what is left the next survey does
            self._tell("follow_up_failed", queue=self.name, job=item.id, error=crash_site(error))
        finally:
            self._release([entry])

    def _release(self, entries: Sequence["_Entry"]) -> None:
        """Free their places together: the claimer fills in one claim what it finds free at once."""
        with self._lock:
            for entry in entries:
                self._entries.pop((entry.item.id, entry.item.fence), None)
            self._busy -= len(entries)
        for _ in entries:
            try:
                self._service.gate.ended()
            except PyMongoError as error:  # its slot comes back with its lease
                self._tell("slot_not_returned", queue=self.name, error=type(error).__name__)
        self._wake.set()

    def _thread_crashed(self, error: BaseException) -> None:
        self._tell("lane_crashed", queue=self.name, error=crash_site(error))


def crash_site(error: BaseException) -> str:
    """The type of an error and the line it came from: enough to find it, and none of the values in it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return type(error).__name__
    return f"{type(error).__name__} at {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"


@dataclass(slots=True, kw_only=True)
class _Entry(Held):
    """A held document with the item that the lane made of it."""

    item: Any = None
