"""The loops that anybody would write with pymongo alone: what every figure stands beside.

They hold no lease, count no attempt, renew nothing and rescue nobody; they have the best index that there is.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

from pymongo import ASCENDING
from pymongo.collection import Collection

Document = dict[str, Any]
Jobs = Collection[Document]

BEST_FIRST = [("rank", ASCENDING), ("_id", ASCENDING)]


def claim_one(jobs: Jobs) -> Document | None:
    """The usual claim: one document, in one round trip, from the bottom of the index."""
    taken: Document | None = jobs.find_one_and_update(
        {"status": "pending"}, {"$set": {"status": "processing"}}, sort=BEST_FIRST
    )
    return taken


def finish_one(jobs: Jobs, job: Document) -> None:
    jobs.update_one({"_id": job["_id"]}, {"$set": {"status": "completed"}})


def one_by_one(jobs: Jobs, *, threads: int, work: Callable[[], None] = lambda: None) -> float:
    """Claim, work and finish each job by itself on so many threads; returns the seconds until none is left."""

    def serve() -> None:
        while (job := claim_one(jobs)) is not None:
            work()
            finish_one(jobs, job)

    serving = [threading.Thread(target=serve, daemon=True) for _ in range(threads)]
    began = time.perf_counter()
    for thread in serving:
        thread.start()
    for thread in serving:
        thread.join()
    return time.perf_counter() - began


def batched(jobs: Jobs, *, size: int) -> float:
    """Read the ids, take them, finish them, a batch at a time on one thread; the seconds until none is left."""
    began = time.perf_counter()
    while True:
        ids = [job["_id"] for job in jobs.find({"status": "pending"}).sort(BEST_FIRST).limit(size)]
        if not ids:
            return time.perf_counter() - began
        jobs.update_many({"_id": {"$in": ids}, "status": "pending"}, {"$set": {"status": "processing"}})
        jobs.update_many({"_id": {"$in": ids}, "status": "processing"}, {"$set": {"status": "completed"}})
