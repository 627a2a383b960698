"""Hints: one change stream per process says that something may be worth a look. Losing every one costs time only."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

from pymongo.database import Database
from pymongo.errors import PyMongoError

# How long one wait for changes lasts before the thread looks whether it should stop.
AWAIT_MS = 500
# After an error: the stream is only a hint, and polling goes on meanwhile.
AGAIN = 1.0


class Hints:
    """Calls `on_change(collection name, order or document id)` for what may have become claimable or owed.

    `on_quiet` is called whenever nothing changed for half a second: for what no job's start should wait for.
    """

    def __init__(
        self,
        database: Database[dict[str, Any]],
        *,
        queues: list[str],
        orders: list[str],
        on_change: Callable[[str, Any], None],
        on_quiet: Callable[[], None],
        tell: Callable[..., None],
    ) -> None:
        self._database = database
        self._on_change = on_change
        self._on_quiet = on_quiet
        self._tell = tell
        self._stop = threading.Event()
        self._listening = threading.Event()
        self._pipeline: list[dict[str, Any]] = [
            {
                "$match": {
                    "$or": [
                        {"ns.coll": {"$in": queues}, "operationType": "insert"},
                        {"ns.coll": {"$in": queues}, "updateDescription.updatedFields.status": "pending"},
                        {"ns.coll": {"$in": queues}, "updateDescription.removedFields": "rank"},
                        {
                            "ns.coll": {"$in": orders},
                            "updateDescription.updatedFields.paymentStatus": {"$exists": True},
                        },
                        {"ns.coll": "ops_settings", "operationType": "delete"},
                    ]
                }
            },
            {"$project": {"ns": 1, "documentKey": 1, "operationType": 1}},
        ]
        self._thread = threading.Thread(target=self._run, name="hints", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def wait_listening(self, seconds: float) -> bool:
        return self._listening.wait(seconds)

    def _tell_of(self, change: Mapping[str, Any] | None) -> None:
        try:
            if change is None:
                self._on_quiet()
            else:
                self._on_change(change["ns"]["coll"], change["documentKey"]["_id"])
        except Exception as error:  # noqa: BLE001 - one hint ends here; the next one may be better
            self._tell("hint_failed", error=type(error).__name__, code=getattr(error, "code", None))

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with self._database.watch(self._pipeline, max_await_time_ms=AWAIT_MS) as stream:
                    self._listening.set()
                    while not self._stop.is_set():
                        self._tell_of(stream.try_next())
            except PyMongoError as error:
                self._tell("hints_lost", error=type(error).__name__, code=getattr(error, "code", None))
                self._stop.wait(AGAIN)
