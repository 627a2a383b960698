"""The keeper: one thread per process that renews every lease in one bulk write, and notices which are lost.

It has a client of its own whose sockets give up after two seconds: with the defaults, one call against a frozen
primary would hang for thirty, which is a whole lease.
"""

import threading
from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from pymongo.database import Database

from pferdewert_ops.adapters.mongo.leased import LeasedQueue
from pferdewert_ops.worker.held import Held, HeldDocuments

PROGRESS_EVERY = 1.0  # seconds: a customer's page that polls every three never shows older progress than this


class Keeper:
    """Renews every `renew_every`, writes progress in between, and gives up what cannot be renewed in time."""

    def __init__(
        self,
        held: HeldDocuments,
        database: Database[dict[str, Any]],
        *,
        collections: dict[int, str],
        lease: timedelta,
        renew_every: timedelta,
        monotonic: Callable[[], float],
        beat: Callable[[Database[dict[str, Any]], int], None],
        tell: Callable[..., None],
    ) -> None:
        self._held = held
        self._database = database
        self._collections = collections
        self._lease = lease.total_seconds()
        self._every = renew_every.total_seconds()
        self._monotonic = monotonic
        self._beat = beat
        self._tell = tell
        self._stop = threading.Event()
        self._renewed_at: dict[int, float] = {}
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        due = self._monotonic()
        pause = min(PROGRESS_EVERY, self._every)
        while not self._stop.wait(pause):
            began = self._monotonic()
            renewing = began >= due
            try:
                self._round(renew_all=renewing)
                if renewing:
                    due = began + self._every  # what failed is tried again after the next pause
                    self._beat(self._database, len(self._held))
            except Exception as error:  # noqa: BLE001 - a round ends here; without the next one every lease would be lost
                self._tell("renewal_failed", error=type(error).__name__)
            self._give_up_overdue()

    def _round(self, *, renew_all: bool) -> None:
        batches: dict[int, list[tuple[Held, dict[str, object] | None]]] = defaultdict(list)
        for one in self._held.all():
            news = one.news()
            if renew_all or news is not None:
                batches[id(one.queue)].append((one, news))
        for batch in batches.values():
            self._renew(batch[0][0].queue, batch)

    def _renew(self, queue: LeasedQueue, batch: list[tuple[Held, dict[str, object] | None]]) -> None:
        began = self._monotonic()
        collection = self._database[self._collections[id(queue)]]
        gone = queue.renew([(one.leased, news) for one, news in batch], collection)
        for one, _ in batch:
            self._renewed_at[id(one)] = began
            if (one.leased.id, one.leased.fence) in gone and not one.lost:
                self._tell("lease_lost", job=str(one.leased.id), fence=one.leased.fence)
                one.stop(lost=True)

    def _give_up_overdue(self) -> None:
        """A lease that could not be renewed for its whole length belongs to somebody else by now: stop spending."""
        now = self._monotonic()
        alive = set()
        for one in self._held.all():
            alive.add(id(one))
            since = max(self._renewed_at.get(id(one), 0.0), one.began)
            if now - since >= self._lease and not one.lost:
                self._tell("lease_overdue", job=str(one.leased.id), fence=one.leased.fence)
                one.stop(lost=True)
        self._renewed_at = {key: at for key, at in self._renewed_at.items() if key in alive}
