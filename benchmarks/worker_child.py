"""The real worker as a process of its own, pointed at a local shop, and gone with whoever started it."""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pymongo.database import Database

from benchmarks.ground import Document, Ground
from benchmarks.shop import new_job, new_order
from pferdewert_ops.adapters.mongo import documents
from pferdewert_ops.sandbox.anthropic_server import AnthropicServer
from pferdewert_ops.sandbox.environment import NO_SETTINGS
from pferdewert_ops.sandbox.guardian import GuardedProcess
from pferdewert_ops.sandbox.walls import sandbox_environment

PROGRAM = (sys.executable, "-c", "from pferdewert_ops.cli.main import main; main()")
COMMAND = (*PROGRAM, "run-worker", "--queue", "evaluation")
READY_LIMIT = 60.0  # seconds: about twenty times what a start takes


def variables(ground: Ground, database: Database[Document], model: AnthropicServer) -> dict[str, str]:
    """Default settings but for where things are. The stand-in's answers cost nothing: no budget shall stop them."""
    return {
        "PWOPS_CONFIG": str(NO_SETTINGS),
        "PWOPS_MONGODB_URI": ground.uri,
        "PWOPS_DATABASE": database.name,
        "PWOPS_ANTHROPIC_API_KEY": model.api_key,
        "PWOPS_ANTHROPIC_BASE_URL": model.url,
        "PWOPS_DAILY_BUDGET_EUR": "100000",
    }


@contextmanager
def working(given: Mapping[str, str]) -> Iterator[GuardedProcess]:
    """Start a worker; it may not be ready yet. What is left of it at the end is killed."""
    with tempfile.TemporaryDirectory(prefix="pwops-bench-") as folder:
        environment = sandbox_environment(given, home=Path(folder))
        log = Path(folder) / "worker.log"
        with GuardedProcess.start(COMMAND, folder=None, log_path=log, environment=environment) as worker:
            try:
                yield worker
            except TimeoutError as late:
                raise TimeoutError(f"{late}; the worker said: {log.read_text(encoding='utf-8')[-2000:]}") from late


def wait_until(happens: Callable[[], object], what: str, *, limit: float = READY_LIMIT, pause: float = 0.01) -> None:
    """Look often, at most for so many seconds."""
    deadline = time.monotonic() + limit
    while not happens():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {limit:.0f} s")
        time.sleep(pause)


def wait_serving(database: Database[Document]) -> None:
    """Until a job goes all the way through: then every thread of the worker runs, and every import is done."""
    order = {**new_order(), "paymentStatus": "paid"}
    database.bewertungen.insert_one(order)
    database[documents.JOBS].insert_one(new_job(order["_id"]))
    wait_until(lambda: database.bewertungen.find_one({"_id": order["_id"], "status": "fertig"}), "the first evaluation")
