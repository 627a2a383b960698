"""What one claim costs: behind a long trail of claimed jobs, and beside ever more finished ones."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from pymongo.collection import Collection

from benchmarks import bare
from benchmarks.figures import Figure, Target
from benchmarks.ground import Document, Ground
from benchmarks.noop import fill, jobs_in, queue_on
from benchmarks.scale import Scale
from pferdewert_ops.adapters.mongo.evaluation_jobs import INDEXES
from pferdewert_ops.adapters.mongo.leased import LeasedQueue

CLAIMED_AT_ONCE = 500
# What counts as flat: twice the spread of one and the same figure between runs on a shared machine.
FLAT = 1.3

Jobs = Collection[Document]
ClaimOne = Callable[[LeasedQueue, Jobs], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Milliseconds for one claim of one job, before and after."""

    before: float
    after: float

    @property
    def growth(self) -> float:
        return self.after / self.before


def run(ground: Ground, scale: Scale) -> list[Figure]:
    return [*_behind_a_trail(ground, scale), *_beside_the_finished(ground, scale)]


# --- the trail: MongoDB keeps the index entries of what was claimed in the last minutes, and walks over them ---------


def _behind_a_trail(ground: Ground, scale: Scale) -> list[Figure]:
    floor, bottom, plain = (_through_the_backlog(ground, scale, claim) for claim in (_claim, _claim_low, _claim_bare))
    what = f"one claim after {scale.backlog - scale.claims:,} others"
    note = f"mean of {scale.claims}; {floor.before:.2f} ms at first, from the bottom {bottom.before:.2f} ms"
    return [
        Figure(
            benchmark="claim",
            what=what,
            measured=floor.after,
            unit="ms",
            bare=plain.after,
            bare_what="find_one_and_update from the bottom",
            note=f"{note}, bare {plain.before:.2f} ms",
        ),
        Figure(
            benchmark="claim",
            what=f"{what}, without the floor",
            measured=bottom.after,
            unit="ms",
            bare=plain.after,
            bare_what="find_one_and_update from the bottom",
        ),
        Figure(
            benchmark="claim",
            what=f"growth along a backlog of {scale.backlog:,}",
            measured=floor.growth,
            unit="x",
            bare=plain.growth,
            bare_what="find_one_and_update from the bottom",
            target=Target(bound=FLAT),
        ),
    ]


def _through_the_backlog(ground: Ground, scale: Scale, claim: ClaimOne) -> Costs:
    jobs = jobs_in(ground.fresh())
    fill(jobs, scale.backlog)
    queue = queue_on(jobs)
    before = _mean(scale.claims, lambda: claim(queue, jobs))
    left = scale.backlog - 2 * scale.claims
    while left > 0:
        left -= len(queue.claim(min(left, CLAIMED_AT_ONCE)))
    after = _mean(scale.claims, lambda: claim(queue, jobs))
    ground.client.drop_database(jobs.database.name)
    return Costs(before=before, after=after)


# --- the finished: they stay in the collection, and in its other indexes ---------------------------------------------


def _beside_the_finished(ground: Ground, scale: Scale) -> list[Figure]:
    few, many = (_with_finished(ground, scale, count) for count in (scale.finished_few, scale.finished_many))
    ground.client.admin.command("fsync")  # what was inserted is on the disk before anything is measured
    ours, plain = (_alternating(scale.claims, few, many, claim) for claim in (_claim, _claim_bare))
    for jobs in (few, many):
        ground.client.drop_database(jobs.database.name)
    note = f"mean of {scale.claims}; beside {scale.finished_few:,} {ours.before:.2f} ms, bare {plain.before:.2f} ms"
    return [
        Figure(
            benchmark="claim",
            what=f"one claim beside {scale.finished_many:,} finished jobs",
            measured=ours.after,
            unit="ms",
            bare=plain.after,
            bare_what="find_one_and_update",
            note=note,
        ),
        Figure(
            benchmark="claim",
            what=f"growth from {scale.finished_few:,} to {scale.finished_many:,} finished",
            measured=ours.growth,
            unit="x",
            bare=plain.growth,
            bare_what="find_one_and_update",
            target=Target(bound=FLAT),
        ),
    ]


def _with_finished(ground: Ground, scale: Scale, count: int) -> Jobs:
    """Finished jobs in every index that the real collection has, and enough claimable ones for two rounds."""
    jobs = jobs_in(ground.fresh(), INDEXES)
    fill(jobs, count, finished=True)
    fill(jobs, 2 * scale.claims)
    return jobs


def _alternating(claims: int, few: Jobs, many: Jobs, claim: ClaimOne) -> Costs:
    """Both sides in turn, so that what else the machine does meets them alike."""
    queues = {id(jobs): queue_on(jobs) for jobs in (few, many)}
    seconds = {id(jobs): 0.0 for jobs in (few, many)}
    for _ in range(claims):
        for jobs in (few, many):
            began = time.perf_counter()
            claim(queues[id(jobs)], jobs)
            seconds[id(jobs)] += time.perf_counter() - began
    return Costs(before=seconds[id(few)] / claims * 1000, after=seconds[id(many)] / claims * 1000)


# --- one claim ------------------------------------------------------------------------------------------------------


def _claim(queue: LeasedQueue, jobs: Jobs) -> None:  # noqa: ARG001 - one of three ways to claim
    assert len(queue.claim(1)) == 1


def _claim_low(queue: LeasedQueue, jobs: Jobs) -> None:
    queue.forget_floor()
    _claim(queue, jobs)


def _claim_bare(queue: LeasedQueue, jobs: Jobs) -> None:  # noqa: ARG001 - likewise
    assert bare.claim_one(jobs) is not None


def _mean(rounds: int, action: Callable[[], None]) -> float:
    """Milliseconds for one, over so many."""
    began = time.perf_counter()
    for _ in range(rounds):
        action()
    return (time.perf_counter() - began) / rounds * 1000
