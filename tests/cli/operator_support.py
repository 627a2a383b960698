"""What the tests of operators' commands look at: everything that is stored, and what the audit says."""

import os
import pty
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId

from pferdewert_ops.wiring import Shop
from tests.cli.programs import PROGRAM, Ended, Running, Surroundings
from tests.harness import ShopFloor

Call = Callable[..., Ended]
Start = Callable[..., Running]
Document = dict[str, Any]

MISSING = "66f0000000000000000000ff"
PLACEHOLDER = "Wir arbeiten gerade an unserem KI-Modell und melden uns bald."


def everything(floor: ShopFloor) -> dict[str, list[Document]]:
    """All that the database holds, to see that nothing changed."""
    return {name: list(floor.database[name].find().sort("_id")) for name in floor.database.list_collection_names()}


def audit(floor: ShopFloor) -> list[Document]:
    """The entries, oldest first, without the migration's."""
    return list(floor.database.ops_audit.find({"action": {"$ne": "migrate"}}).sort("_id"))


def migrated(floor: ShopFloor, *, horizon: timedelta = timedelta(hours=24)) -> None:
    """As after a worker's first run: our indexes, and a horizon."""
    with Shop(floor.settings(lookback=horizon)) as shop:
        shop.migrate()
        _ = shop.horizon


def our_job(floor: ShopFloor, order_id: str, **changes: Any) -> Document:
    """A job as a worker of ours would have left it: failed after all its attempts, unless said otherwise."""
    now = datetime.now(UTC)
    job: Document = {
        "_id": ObjectId(order_id),
        "bewertungId": ObjectId(order_id),
        "product": "bewertung",
        "status": "failed",
        "priority": "normal",
        "paid": True,
        "attempts": 8,
        "maxAttempts": 8,
        "failures": {"overloaded": 5},
        "stage": "fallback",
        "fence": 8,
        "createdAt": now,
        "failedAt": now,
        "error": {"class": "overloaded", "code": "http_529", "at": now},
        "history": [{"at": now, "event": "failed", "class": "overloaded", "code": "http_529", "fence": 8}],
        **changes,
    }
    job = {name: value for name, value in job.items() if value is not ...}
    floor.database.evaluation_jobs.insert_one(job)
    return job


def our_mail(floor: ShopFloor, order_id: str, kind: str = "result", **changes: Any) -> Document:
    """A mail that was refused for good, unless said otherwise."""
    mail: Document = {
        "_id": f"{order_id}:{kind}",
        "orderId": ObjectId(order_id),
        "kind": kind,
        "key": f"pwops:{order_id}:{kind}",
        "withBcc": False,
        "status": "failed",
        "paid": True,
        "attempts": 1,
        "maxAttempts": 40,
        "failures": {},
        "fence": 1,
        "createdAt": datetime.now(UTC),
        "failedAt": datetime.now(UTC),
        "error": {"class": "mail_refused", "code": "http_422"},
        **changes,
    }
    floor.database.mail_outbox.insert_one({name: value for name, value in mail.items() if value is not ...})
    return mail


@contextmanager
def on_a_terminal(surroundings: Surroundings, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The command with a terminal to ask on and to draw on, and our end of it; its stdout is a pipe."""
    ours, its = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, *arguments],
        env=surroundings.with_({"TERM": "xterm"}),
        cwd=surroundings.folder,
        stdin=its,
        stdout=subprocess.PIPE,
        stderr=its,
    )
    os.close(its)
    try:
        yield process, ours
    finally:
        process.kill()
        process.communicate()
        os.close(ours)
