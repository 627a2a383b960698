"""A queue of jobs that do nothing (or only wait), served by the real lane on a real MongoDB."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from pferdewert_ops.adapters.mongo.leased import LEASED_INDEXES, Leased, LeasedQueue, Settlement
from pferdewert_ops.operations.ports import HandedBack, Watch
from pferdewert_ops.worker.held import HeldDocuments
from pferdewert_ops.worker.lane import Lane, Service

Document = dict[str, Any]
LEASE = timedelta(seconds=30)

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


def queue_on(database: Database[Document], name: str = "bench_jobs") -> LeasedQueue:
    collection = database[name]
    collection.create_indexes(LEASED_INDEXES)
    return LeasedQueue(collection, holder=f"bench/{uuid.uuid4().hex[:8]}", lease=LEASE)


def job(number: int = 0, *, ranked: bool = True) -> Document:
    """A job of about the size of a real one's control fields."""
    now = datetime.now(UTC)
    document: Document = {
        "_id": ObjectId(),
        "bewertungId": ObjectId(),
        "status": "pending",
        "priority": "normal",
        "paid": True,
        "attempts": 0,
        "maxAttempts": 8,
        "failures": {},
        "fence": 0,
        "scheduledAt": now,
        "horseData": {"rasse": "Hannoveraner", "alter": 8, "ausbildung": "L-Dressur", "nummer": number},
    }
    if ranked:
        document["rank"] = now
    return document


def fill(database: Database[Document], count: int, *, name: str = "bench_jobs", status: str = "pending") -> float:
    """Insert `count` jobs; returns the seconds it took."""
    began = time.perf_counter()
    for start in range(0, count, 10_000):
        batch = [job(number) for number in range(start, min(count, start + 10_000))]
        if status != "pending":
            for one in batch:
                one |= {"status": status, "completedAt": datetime.now(UTC)}
        database[name].insert_many(batch, ordered=False)
    return time.perf_counter() - began


def lane_on(
    queue: LeasedQueue,
    held: HeldDocuments,
    *,
    concurrency: int,
    seconds: float = 0.0,
    poll: float = 1.0,
    on_start: Any = None,
) -> Lane[Item, str]:
    """The real lane with a handler that does nothing, or waits."""

    def claim(most: int) -> list[Item]:
        return [Item(handle=leased, id=str(leased.id), order_id="", fence=leased.fence) for leased in queue.claim(most)]

    def handle(item: Item, watch: Watch) -> str:
        if on_start is not None:
            on_start(item)
        if seconds:
            time.sleep(seconds)
        return "done"

    def settle(outcomes: Sequence[tuple[Item, str | HandedBack]]) -> set[str]:
        return {
            str(gone)
            for gone in queue.settle([Settlement(leased=item.handle, update=FINISHED) for item, _ in outcomes])
        }

    service: Service[Item, str] = Service(
        name="bench",
        queue=queue,
        gate=OpenGate(),
        claim=claim,
        handle=handle,
        settle=settle,
        crashed=lambda item, error: "crashed",
    )
    return Lane(
        service,
        held,
        concurrency=concurrency,
        poll=poll,
        monotonic=time.monotonic,
        estimate=lambda: None,
        tell=lambda event, **fields: None,
    )


def serve_until_empty(lane: Lane[Item, str], held: HeldDocuments, database: Database[Document], count: int) -> float:
    """Start the lane; returns the seconds until `count` jobs are completed."""
    began = time.perf_counter()
    lane.start()
    completed = database["bench_jobs"]
    while True:
        if lane.is_idle() and completed.count_documents({"status": "completed"}) >= count:
            break
        time.sleep(0.01)
    took = time.perf_counter() - began
    lane.close()
    lane.finish(10)
    return took
