"""What it costs to keep many leases: one round of the keeper, with and without progress to store."""

import time
from collections.abc import Callable
from typing import Any

from pymongo.collection import Collection

from benchmarks.figures import Figure, median
from benchmarks.ground import Document, Ground
from benchmarks.noop import LEASE, fill, jobs_in, queue_on
from benchmarks.scale import Scale
from pferdewert_ops.adapters.mongo import connection
from pferdewert_ops.adapters.mongo.evaluation_jobs import INDEXES
from pferdewert_ops.adapters.mongo.leased import Leased

PROGRESS = {"phase": "writing", "secondsLeft": 40}


def run(ground: Ground, scale: Scale) -> list[Figure]:
    database = ground.fresh()
    jobs = jobs_in(database, INDEXES)
    fill(jobs, scale.held)
    queue = queue_on(jobs)
    held = queue.claim(scale.held)
    assert len(held) == scale.held
    with connection.open_keeper_client(ground.uri) as client:
        own = connection.database_of(client, database.name)[jobs.name]
        plain = [(leased, None) for leased in held]
        # Each job has written another number of tokens, so no two of these updates are alike.
        telling = [(leased, {**PROGRESS, "outputTokens": number}) for number, leased in enumerate(held)]
        ours = _milliseconds(scale.renewals, lambda: _held(queue.renew(plain, own)))
        bare = _milliseconds(max(1, scale.renewals // 10), lambda: _one_by_one(own, held))
        with_progress = _milliseconds(scale.renewals, lambda: _held(queue.renew(telling, own)))
    what = f"one renewal of {scale.held} leases"
    return [
        Figure(
            benchmark="renew",
            what=what,
            measured=median(ours),
            unit="ms",
            bare=median(bare),
            bare_what="an update each",
            note=f"median of {scale.renewals}, every 5 s in a worker",
        ),
        Figure(
            benchmark="renew",
            what=f"{what}, each with progress",
            measured=median(with_progress),
            unit="ms",
            bare=median(bare),
            bare_what="an update each, without progress",
            note="the worst case: every job has news in the same second",
        ),
    ]


def _held(lost: set[tuple[Any, int]]) -> None:
    assert not lost


def _one_by_one(jobs: Collection[Document], held: list[Leased]) -> None:
    until = [{"$set": {"leaseUntil": {"$add": ["$$NOW", round(LEASE.total_seconds() * 1000)]}}}]
    for leased in held:
        jobs.update_one({"_id": leased.id, "fence": leased.fence, "status": "processing"}, until)


def _milliseconds(rounds: int, action: Callable[[], None]) -> list[float]:
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        action()
        took.append((time.perf_counter() - began) * 1000)
    return took
