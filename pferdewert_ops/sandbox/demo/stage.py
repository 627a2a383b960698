"""The stage: a sandbox with the shop's orders in it, and real workers; all of it goes with whoever set it up."""

import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from bson import ObjectId
from pymongo import MongoClient
from pymongo.database import Database

from pferdewert_ops.adapters.mongo import documents
from pferdewert_ops.domain.products import PRODUCTS
from pferdewert_ops.sandbox.anthropic_rules import Rule, When
from pferdewert_ops.sandbox.demo.fates import Document
from pferdewert_ops.sandbox.demo.orders import CERTIFICATES_BEFORE, DemoOrder, demo_orders
from pferdewert_ops.sandbox.demo.workers import WorkerProcess
from pferdewert_ops.sandbox.environment import Sandbox
from pferdewert_ops.sandbox.guardian_process import remove_folder

OPERATORS = "betrieb@example.org"
# Up to so many orders the model writes slowly enough to be watched (an answer has about thirty events).
WATCHED_ORDERS = 48
WATCHED_PACE, QUICK_PACE = 40.0, 400.0
# Shorter than in production, so that what is due is seen at once. The lease and every policy are the real ones.
WORKER_SETTINGS = {
    "PWOPS_POLL_EVERY": "200ms",
    "PWOPS_SURVEY_EVERY": "500ms",
    "PWOPS_GRACE": "10s",
    "PWOPS_CONCURRENCY": "8",
    "PWOPS_OPERATORS": OPERATORS,
    # Some 500 valuations at 0.03 EUR each must not come near the limit.
    "PWOPS_DAILY_BUDGET_EUR": "100",
}


class Stage:
    """Everything that the demonstration needs. Made by `set_up`; close it, or use `with`."""

    def __init__(
        self, *, sandbox: Sandbox, orders: list[DemoOrder], database: Database[Document], folder: Path, parts: ExitStack
    ) -> None:
        self.sandbox = sandbox
        self.orders = orders
        self.database = database
        self.workers: list[WorkerProcess] = []
        self.began = time.monotonic()
        self._folder = folder
        self._parts = parts

    @classmethod
    def set_up(cls, count: int, seed: int) -> Self:
        """Start the sandbox and write `count` orders into it. Raises what `Sandbox.start` raises."""
        began = time.monotonic()
        with ExitStack() as parts:
            folder = Path(tempfile.mkdtemp(prefix="pwops-demo-"))
            parts.callback(remove_folder, folder)
            pace = WATCHED_PACE if count <= WATCHED_ORDERS else QUICK_PACE
            sandbox = parts.enter_context(Sandbox.start(events_per_second=pace))
            client = parts.enter_context(MongoClient[Document](sandbox.mongo.uri, tz_aware=True, appname="pwops-demo"))
            stage = cls(
                sandbox=sandbox,
                orders=demo_orders(count, seed, datetime.now(UTC)),
                database=client[sandbox.database],
                folder=folder,
                parts=parts,
            )
            stage.began = began
            stage._write()
            stage._parts = parts.pop_all()
            return stage

    @property
    def variables(self) -> dict[str, str]:
        """What points a `pwops` here."""
        return {**self.sandbox.variables(), **WORKER_SETTINGS}

    def start_worker(self) -> WorkerProcess:
        worker = WorkerProcess.start(self.variables, number=len(self.workers) + 1, folder=self._folder)
        self._parts.callback(worker.abandon)
        self.workers.append(worker)
        return worker

    def worker_with(self, pid: int) -> WorkerProcess | None:
        return next((worker for worker in self.workers if worker.pid == pid and not worker.has_ended), None)

    def check(self) -> None:
        """Raise WorkerBroken if a process has ended by itself."""
        for worker in self.workers:
            worker.check()

    def stop_workers(self) -> None:
        """Tell every worker to end in order, and wait for it."""
        for worker in self.workers:
            worker.tell_to_stop()
        for worker in self.workers:
            worker.await_end()

    def close(self) -> None:
        self._parts.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self) -> None:
        for product in PRODUCTS.values():
            written: Sequence[Document] = [order.document for order in self.orders if order.product is product]
            if written:
                self.database[product.collection].insert_many(written)
        jobs = [job for order in self.orders for job in order.jobs]
        if jobs:
            self.database[documents.JOBS].insert_many(jobs)
        year = datetime.now(UTC).year
        counter = {"_id": ObjectId(), "name": f"zertifikat_{year}", "seq": CERTIFICATES_BEFORE}
        self.database["counters"].insert_one(counter)
        self.sandbox.model.rules.add(
            *(
                Rule(fault=fault, when=When(prompt_contains=order.brand))
                for order in self.orders
                for fault in order.kind.model_faults
            )
        )
