"""How fast one worker process empties a queue of jobs that do nothing."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from pymongo import IndexModel

from benchmarks import bare
from benchmarks.figures import Figure, Target, median
from benchmarks.ground import Ground
from benchmarks.noop import FinishLine, fill, jobs_in, lane_on, queue_on, serve
from benchmarks.scale import Scale
from pferdewert_ops.adapters.mongo.evaluation_jobs import INDEXES
from pferdewert_ops.adapters.mongo.leased import LEASED_INDEXES
from pferdewert_ops.worker.held import HeldDocuments

CONCURRENCY = 1_000  # the best of 100, 250, 500, 1,000 and 2,000
BARE_THREADS = 8
BARE_BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """Jobs per second, and microseconds of processor time per job in both processes."""

    rate: float
    worker: float
    server: float


def run(ground: Ground, scale: Scale) -> list[Figure]:
    count = scale.drain_jobs
    ours, every_index, batched, one_by_one = [], [], [], []
    for number in range(scale.drain_rounds):
        if number % 4 == 0:  # it takes ten times as long as all the others together
            one_by_one.append(_one_by_one(ground, count))
        ours.append(_lane(ground, count, LEASED_INDEXES))
        batched.append(_batched(ground, count))
        every_index.append(_lane(ground, count, INDEXES))
    rates = [drained.rate for drained in ours]
    what = f"{count:,} no-op jobs"
    against_one = f"one by one, {BARE_THREADS} threads"
    return [
        Figure(
            benchmark="drain",
            what=f"{what} beside one by one",
            measured=median(rates),
            unit="jobs/s",
            bare=median(one_by_one),
            bare_what=against_one,
            target=Target(bound=8, least=True, of_ratio=True),
            note=f"median of {scale.drain_rounds}, best {max(rates):,.0f}; {CONCURRENCY} at once",
        ),
        Figure(
            benchmark="drain",
            what=f"{what} beside a batched loop",
            measured=median(rates),
            unit="jobs/s",
            bare=median(batched),
            bare_what=f"batches of {BARE_BATCH} without lease, fence or attempts",
        ),
        Figure(
            benchmark="drain",
            what=f"{what}, every index of evaluation_jobs",
            measured=median([drained.rate for drained in every_index]),
            unit="jobs/s",
            bare=median(one_by_one),
            bare_what=against_one,
        ),
        _cost("worker", [drained.worker for drained in ours]),
        _cost("mongod", [drained.server for drained in ours]),
    ]


def _cost(process: str, microseconds: list[float]) -> Figure:
    return Figure(
        benchmark="drain", what=f"processor time of the {process}", measured=median(microseconds), unit="µs/job"
    )


def _lane(ground: Ground, count: int, indexes: Sequence[IndexModel]) -> Drained:
    jobs = jobs_in(ground.fresh(), indexes)
    fill(jobs, count)
    line = FinishLine(count)
    lane = lane_on(queue_on(jobs), HeldDocuments(), line, concurrency=CONCURRENCY)
    worker, server = time.process_time(), ground.server_cpu()
    seconds = serve(lane, line)
    worker, server = time.process_time() - worker, ground.server_cpu() - server
    assert jobs.count_documents({"status": "completed", "attempts": 1, "fence": 1}) == count
    ground.client.drop_database(jobs.database.name)
    return Drained(rate=count / seconds, worker=worker / count * 1e6, server=server / count * 1e6)


def _one_by_one(ground: Ground, count: int) -> float:
    jobs = jobs_in(ground.fresh())
    fill(jobs, count)
    seconds = bare.one_by_one(jobs, threads=BARE_THREADS)
    ground.client.drop_database(jobs.database.name)
    return count / seconds


def _batched(ground: Ground, count: int) -> float:
    jobs = jobs_in(ground.fresh())
    fill(jobs, count)
    seconds = bare.batched(jobs, size=BARE_BATCH)
    ground.client.drop_database(jobs.database.name)
    return count / seconds
