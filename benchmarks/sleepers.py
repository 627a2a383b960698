"""A child process in which many jobs wait at once; prints how long that took and the most memory that it held."""

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from pymongo.database import Database

from benchmarks import bare
from benchmarks.ground import Document
from benchmarks.noop import JOBS, LEASE, FinishLine, lane_on, queue_on, serve
from pferdewert_ops.adapters.mongo import connection
from pferdewert_ops.sandbox.walls import clear_user_environment, require_loopback
from pferdewert_ops.worker.held import HeldDocuments
from pferdewert_ops.worker.keeper import Keeper

HEAVY = ("anthropic", "httpx2", "pydantic", "pymongo", "structlog")
BARE, LANE, WORKER = "bare", "lane", "worker"
RENEW_EVERY = timedelta(seconds=5)  # the default
NOBODY = "http://127.0.0.1:9"  # nothing is evaluated and nothing is mailed here


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """`how`: bare threads, the lane by itself, or the lane inside a whole worker."""

    how: str
    uri: str
    database: str
    jobs: int
    each: float
    concurrency: int


def main() -> None:
    clear_user_environment()
    given = Given(**json.loads(sys.argv[1]))
    require_loopback(given.uri)
    if given.how == BARE:
        took = _bare(given)
    elif given.how == LANE:
        took = _lane(given)
    else:
        with _worker(given):
            took = _lane(given)
    imported = [name for name in HEAVY if name in sys.modules]
    print(json.dumps({"seconds": took, "peak_mib": _peak_mib(), "imported": imported}))


@contextmanager
def _database(given: Given) -> Iterator[Database[Document]]:
    with connection.open_client(given.uri, name="pwops-sleepers", most=given.concurrency + 20) as client:
        yield connection.database_of(client, given.database)


def _bare(given: Given) -> float:
    with _database(given) as database:
        return bare.one_by_one(database[JOBS], threads=given.concurrency, work=lambda: time.sleep(given.each))


def _lane(given: Given) -> float:
    """The real lane with the real keeper, which renews all leases while the jobs wait."""
    with _database(given) as database, connection.open_keeper_client(given.uri) as client:
        queue, held, line = queue_on(database[JOBS]), HeldDocuments(), FinishLine(given.jobs)
        keeper = Keeper(
            held,
            connection.database_of(client, given.database),
            collections={id(queue): JOBS},
            lease=LEASE,
            renew_every=RENEW_EVERY,
            monotonic=time.monotonic,
            beat=lambda database, busy: None,  # noqa: ARG005
            tell=lambda event, **fields: None,  # noqa: ARG005
        )
        keeper.start()
        try:
            return serve(lane_on(queue, held, line, concurrency=given.concurrency, seconds=given.each), line)
        finally:
            keeper.stop()


@contextmanager
def _worker(given: Given) -> Iterator[None]:
    """A whole worker beside it, with all that `pwops run-worker` imports: its own lanes are idle."""
    from pydantic import SecretStr

    import pferdewert_ops.cli.main
    import pferdewert_ops.cli.worker_command  # noqa: F401
    from pferdewert_ops.config import Settings
    from pferdewert_ops.logs import configure_logs
    from pferdewert_ops.wiring import Shop
    from pferdewert_ops.worker.assembly import Worker

    settings = Settings(
        mongodb_uri=SecretStr(given.uri),
        database=given.database,
        concurrency=given.concurrency,
        anthropic_api_key=SecretStr("unused"),
        anthropic_base_url=NOBODY,
        resend_api_key=SecretStr("unused"),
        resend_base_url=NOBODY,
    )
    configure_logs(settings)
    with Shop(settings) as shop:
        shop.migrate()
        worker = Worker(shop, queues=["evaluation", "mail"], max_jobs=None)
        thread = threading.Thread(target=worker.process.run, kwargs={"drain": False})
        thread.start()
        try:
            yield
        finally:
            worker.process.stop()
            thread.join()
            worker.close()


def _peak_mib() -> float:
    """The most that was resident. `getrusage` would count what the parent held before this program began."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(kib) / 1024


if __name__ == "__main__":
    main()
