"""How soon an idle worker starts a job that another process inserted."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pymongo.database import Database

from benchmarks.figures import Figure, Target, quantile
from benchmarks.ground import ROOT, Document, Ground, child_command, child_environment, in_child
from benchmarks.scale import Scale
from benchmarks.shop import new_order
from benchmarks.worker_child import variables, wait_serving, working
from pferdewert_ops.adapters.mongo import documents
from pferdewert_ops.sandbox.anthropic_server import AnthropicServer

BARE_JOBS = "bare_jobs"
PAUSE = 0.1  # seconds between one job's end and the next one's beginning: the worker is idle by then


def run(ground: Ground, scale: Scale) -> list[Figure]:
    started, asked = _worker(ground, scale)
    bare = _bare(ground, scale)
    what = "insert to start on an idle worker"
    bare_what = "change stream, find_one_and_update"
    target = Target(bound=25)
    return [
        Figure(
            benchmark="enqueue_to_start",
            what=f"{what}, p{share}",
            measured=quantile(started, share / 100),
            unit="ms",
            bare=quantile(bare, share / 100),
            bare_what=bare_what,
            target=target if share == 95 else None,
            note=f"{len(started)} jobs, from before the insert to startedAt by the server's clock",
        )
        for share in (50, 95)
    ] + [
        Figure(
            benchmark="enqueue_to_start",
            what="insert to the model's receipt, p95",
            measured=quantile(asked, 0.95),
            unit="ms",
            note="the claim, another look at the order, and the request",
        )
    ]


def _worker(ground: Ground, scale: Scale) -> tuple[list[float], list[float]]:
    """Milliseconds from insert to claim, and from insert to the model's receipt."""
    database = ground.fresh()
    with AnthropicServer.start() as model, working(variables(ground, database, model)):
        wait_serving(database)
        seen = len(model.journal.entries())
        began = _insert(ground, database, scale.starts, documents.JOBS, then="completed")
        started = _since(began, database, documents.JOBS)
        received = [entry.received.timestamp() for entry in model.journal.entries()[seen:]]
    # One job at a time: the n-th call is the n-th job's.
    asked = [(at - start) * 1000 for at, start in zip(received, began.values(), strict=True)]
    return started, asked


def _bare(ground: Ground, scale: Scale) -> list[float]:
    database = ground.fresh()
    with _hinted(ground, database):
        began = _insert(ground, database, scale.starts, BARE_JOBS, then="processing")
    return _since(began, database, BARE_JOBS)


def _insert(
    ground: Ground, database: Database[Document], count: int, collection: str, *, then: str
) -> dict[str, float]:
    orders = [new_order() for _ in range(count)]
    database.bewertungen.insert_many(orders)
    given = {
        "uri": ground.uri,
        "database": database.name,
        "collection": collection,
        "orders": [str(order["_id"]) for order in orders],
        "then": then,
        "pause": PAUSE,
    }
    began: dict[str, float] = in_child("inserter", given)
    return began


def _since(began: dict[str, float], database: Database[Document], collection: str) -> list[float]:
    """All processes are on one machine, and so is their clock. The server's times are cut to the millisecond."""
    started = {str(job["_id"]): job["startedAt"].timestamp() for job in database[collection].find({}, {"startedAt": 1})}
    return [(started[identity] - at) * 1000 for identity, at in began.items()]


@contextmanager
def _hinted(ground: Ground, database: Database[Document]) -> Iterator[None]:
    given: dict[str, Any] = {"uri": ground.uri, "database": database.name, "collection": BARE_JOBS}
    with subprocess.Popen(
        child_command("hinted", given), env=child_environment(), cwd=ROOT, stdout=subprocess.PIPE
    ) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == b"listening\n"
            yield
        finally:
            child.terminate()
