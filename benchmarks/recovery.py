"""How soon the jobs of a worker that was killed with SIGKILL run again."""

import signal
import time

from pymongo.database import Database

from benchmarks.figures import Figure, Target
from benchmarks.ground import Document, Ground
from benchmarks.scale import Scale
from benchmarks.shop import new_job, new_order
from benchmarks.worker_child import variables, wait_until, working
from pferdewert_ops.adapters.mongo import documents
from pferdewert_ops.config.durations import format_duration
from pferdewert_ops.sandbox.anthropic_rules import Fault, Rule
from pferdewert_ops.sandbox.anthropic_server import AnthropicServer

SAME_HOST = 3
OTHER_HOST = 35
RECOVERY_LIMIT = 120.0


def run(ground: Ground, scale: Scale) -> list[Figure]:
    settings = "default settings" if scale.lease is None else f"a lease of {format_duration(scale.lease)}"
    what = f"kill -9, {scale.in_flight} jobs in flight"
    return [
        Figure(
            benchmark="recovery",
            what=f"{what}, to claimed again on the same host",
            measured=_same_host(ground, scale),
            unit="s",
            target=Target(bound=SAME_HOST),
            note=f"{settings}; the next worker is started at the kill, its start included. A bare loop: never",
        ),
        Figure(
            benchmark="recovery",
            what=f"{what}, to claimed again on another host",
            measured=_other_host(ground, scale),
            unit="s",
            target=Target(bound=OTHER_HOST) if scale.lease is None else None,
            note=f"{settings}; killed just after it renewed, the worst moment. A bare loop: never",
        ),
    ]


def _same_host(ground: Ground, scale: Scale) -> float:
    database = ground.fresh()
    with AnthropicServer.start() as model:
        given = _settings(ground, database, model, scale)
        with working(given) as first:
            _occupy(database, scale.in_flight)
            first.signal(signal.SIGKILL)
            killed = time.monotonic()
            with working(given):
                return _claimed_again(database, scale.in_flight) - killed


def _other_host(ground: Ground, scale: Scale) -> float:
    database = ground.fresh()
    with AnthropicServer.start() as model:
        given = _settings(ground, database, model, scale)
        with working(given) as first:
            _occupy(database, scale.in_flight)
            with working({**given, "PWOPS_HOST_IDENTITY": "another-host"}):
                wait_until(lambda: database[documents.WORKERS].count_documents({"state": "running"}) == 2, "the second")
                _wait_for_renewal(database)
                first.signal(signal.SIGKILL)
                killed = time.monotonic()
                return _claimed_again(database, scale.in_flight) - killed


def _settings(ground: Ground, database: Database[Document], model: AnthropicServer, scale: Scale) -> dict[str, str]:
    model.rules.add(Rule(fault=Fault.STALL, times=None))  # every job stays in flight
    short = {}
    if scale.lease is not None:
        short = {"PWOPS_LEASE": format_duration(scale.lease), "PWOPS_RENEW_EVERY": format_duration(scale.lease / 6)}
    # A second worker finds room for all of them.
    return {**variables(ground, database, model), "PWOPS_CONCURRENCY": str(scale.in_flight), **short}


def _occupy(database: Database[Document], count: int) -> None:
    """Give the worker so many jobs, and wait until it has them all."""
    orders = [{**new_order(), "paymentStatus": "paid"} for _ in range(count)]
    database.bewertungen.insert_many(orders)
    database[documents.JOBS].insert_many([new_job(order["_id"]) for order in orders])
    wait_until(lambda: _running(database, fence=1) == count, "the first claim of all jobs")


def _claimed_again(database: Database[Document], count: int) -> float:
    wait_until(lambda: _running(database, fence=2) == count, "the second claim of all jobs", limit=RECOVERY_LIMIT)
    return time.monotonic()


def _running(database: Database[Document], *, fence: int) -> int:
    return database[documents.JOBS].count_documents({"status": "processing", "fence": {"$gte": fence}})


def _wait_for_renewal(database: Database[Document]) -> None:
    jobs = database[documents.JOBS]
    before = jobs.find_one({"status": "processing"})
    assert before is not None
    wait_until(
        lambda: jobs.count_documents({"_id": before["_id"], "leaseUntil": {"$gt": before["leaseUntil"]}}), "a renewal"
    )
