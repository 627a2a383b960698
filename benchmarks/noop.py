"""A queue of jobs that do nothing (or only wait), served by the real lane on a real MongoDB."""

import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo import IndexModel
from pymongo.collection import Collection
from pymongo.database import Database

from pferdewert_ops.adapters.mongo.leased import LEASED_INDEXES, Leased, LeasedQueue, Settlement
from pferdewert_ops.operations.ports import HandedBack, Watch
from pferdewert_ops.worker.held import HeldDocuments
from pferdewert_ops.worker.lane import Lane, Service

Document = dict[str, Any]
JOBS = "bench_jobs"
LEASE = timedelta(seconds=30)  # the default
LIMIT_SECONDS = 120.0
INSERTED_AT_ONCE = 10_000

FINISHED: Document = {
    "$set": {"status": "completed"},
    "$currentDate": {"completedAt": True},
    "$unset": {"leaseUntil": "", "claimToken": ""},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    handle: Leased
    id: str
    order_id: str
    fence: int


class OpenGate:
    def allowance(self, free: int) -> int:
        return free

    def unused(self, count: int) -> None:
        """Nothing was taken."""

    def ended(self) -> None:
        """Nothing to give back."""


class FinishLine:
    """Crossed when so many outcomes are stored."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._crossed = threading.Event()

    def passed(self, count: int) -> None:
        self._left -= count  # by the one thread that settles
        if self._left <= 0:
            self._crossed.set()

    def wait(self) -> None:
        if not self._crossed.wait(LIMIT_SECONDS):
            raise TimeoutError(f"{self._left} jobs were not finished within {LIMIT_SECONDS:.0f} s")


def jobs_in(database: Database[Document], indexes: Sequence[IndexModel] = LEASED_INDEXES) -> Collection[Document]:
    """An empty collection of jobs with what the queue needs, or with more."""
    database[JOBS].create_indexes(list(indexes))
    return database[JOBS]


def queue_on(jobs: Collection[Document]) -> LeasedQueue:
    return LeasedQueue(jobs, holder=f"bench/{uuid.uuid4().hex[:8]}", lease=LEASE)


def job(number: int = 0) -> Document:
    """A claimable job of about the size of a real one's control fields."""
    now = datetime.now(UTC)
    identity = ObjectId()
    return {
        "_id": identity,
        "bewertungId": identity,
        "status": "pending",
        "priority": "normal",
        "paid": True,
        "attempts": 0,
        "maxAttempts": 8,
        "failures": {},
        "fence": 0,
        "scheduledAt": now,
        "rank": now,
        "horseData": {"rasse": "Hannoveraner", "alter": 8, "ausbildung": "L-Dressur", "nummer": number},
    }


def fill(jobs: Collection[Document], count: int, *, finished: bool = False) -> None:
    """Insert so many jobs: claimable ones, or such as were finished long ago."""
    done = {"status": "completed", "attempts": 1, "fence": 1, "completedAt": datetime.now(UTC)} if finished else {}
    for start in range(0, count, INSERTED_AT_ONCE):
        batch = [{**job(number), **done} for number in range(start, min(count, start + INSERTED_AT_ONCE))]
        jobs.insert_many(batch, ordered=False)


def lane_on(
    queue: LeasedQueue, held: HeldDocuments, line: FinishLine, *, concurrency: int, seconds: float = 0.0
) -> Lane[Item, str]:
    """The real lane with a handler that does nothing, or waits."""

    def claim(most: int) -> list[Item]:
        return [Item(handle=leased, id=str(leased.id), order_id="", fence=leased.fence) for leased in queue.claim(most)]

    def handle(item: Item, watch: Watch) -> str:  # noqa: ARG001 - the handler's signature
        if seconds:
            time.sleep(seconds)
        return "done"

    def settle(outcomes: Sequence[tuple[Item, str | HandedBack]]) -> set[str]:
        lost = queue.settle([Settlement(leased=item.handle, update=FINISHED) for item, _ in outcomes])
        line.passed(len(outcomes) - len(lost))
        return {str(gone) for gone in lost}

    service: Service[Item, str] = Service(
        name="bench",
        queue=queue,
        gate=OpenGate(),
        claim=claim,
        handle=handle,
        settle=settle,
        crashed=lambda item, error: "crashed",  # noqa: ARG005
    )
    return Lane(
        service,
        held,
        concurrency=concurrency,
        poll=1.0,
        monotonic=time.monotonic,
        estimate=lambda: None,
        tell=lambda event, **fields: None,  # noqa: ARG005
    )


def serve(lane: Lane[Item, str], line: FinishLine) -> float:
    """Start the lane; returns the seconds until every job's outcome is stored, then ends it."""
    began = time.perf_counter()
    lane.start()
    line.wait()
    took = time.perf_counter() - began
    lane.close()
    lane.finish(10)
    return took
