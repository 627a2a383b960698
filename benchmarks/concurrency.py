"""How many waiting jobs one process carries, how near to the ideal, and in how much memory."""

from typing import Any

from benchmarks.figures import Figure, Target
from benchmarks.ground import Ground, in_child
from benchmarks.noop import fill, jobs_in
from benchmarks.scale import Scale, Sleepers
from benchmarks.sleepers import BARE, LANE, WORKER
from pferdewert_ops.adapters.mongo.evaluation_jobs import INDEXES

# The marks, by concurrency: how many times the ideal it may take.
WITHIN = {200: 1.05, 500: 1.25}
MIB = 120


def run(ground: Ground, scale: Scale) -> list[Figure]:
    figures: list[Figure] = []
    for sleepers in scale.sleepers:
        worker, lane, bare = (_in_child(ground, sleepers, how) for how in (WORKER, LANE, BARE))
        what = f"{sleepers.jobs:,} jobs of {sleepers.seconds:g} s, {sleepers.concurrency} at once"
        bare_what = f"{sleepers.concurrency} threads, one by one"
        within = WITHIN.get(sleepers.concurrency)
        figures += [
            Figure(
                benchmark="concurrency",
                what=what,
                measured=worker["seconds"] / sleepers.ideal,
                unit="x ideal",
                bare=bare["seconds"] / sleepers.ideal,
                bare_what=bare_what,
                target=None if within is None else Target(bound=within),
                note=f"ideal {sleepers.ideal:g} s; the lane inside a whole worker, its keeper renewing",
            ),
            Figure(
                benchmark="concurrency",
                what=f"peak memory, {sleepers.concurrency} at once, whole worker",
                measured=worker["peak_mib"],
                unit="MiB",
                bare=bare["peak_mib"],
                bare_what=bare_what,
                target=Target(bound=MIB),
                note=f"with {', '.join(worker['imported'])}",
            ),
            Figure(
                benchmark="concurrency",
                what=f"peak memory, {sleepers.concurrency} at once, lane and keeper",
                measured=lane["peak_mib"],
                unit="MiB",
                bare=bare["peak_mib"],
                bare_what=bare_what,
                note=f"with {', '.join(lane['imported'])}; {lane['seconds'] / sleepers.ideal:.2f} x ideal",
            ),
        ]
        assert "anthropic" in worker["imported"], "the memory of a worker is its memory with the model's SDK"
    return figures


def _in_child(ground: Ground, sleepers: Sleepers, how: str) -> dict[str, Any]:
    jobs = jobs_in(ground.fresh(), INDEXES)
    fill(jobs, sleepers.jobs)
    given = {
        "how": how,
        "uri": ground.uri,
        "database": jobs.database.name,
        "jobs": sleepers.jobs,
        "each": sleepers.seconds,
        "concurrency": sleepers.concurrency,
    }
    told: dict[str, Any] = in_child("sleepers", given)
    assert jobs.count_documents({"status": "completed"}) == sleepers.jobs
    ground.client.drop_database(jobs.database.name)
    return told
