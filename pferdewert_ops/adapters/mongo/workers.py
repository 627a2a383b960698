"""`ops_workers`: which workers there are, when each was last seen by the server's clock, and which are dead."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from pymongo import ASCENDING, IndexModel
from pymongo.database import Database

from pferdewert_ops.adapters.mongo import documents
from pferdewert_ops.adapters.mongo.documents import Document

# A worker's record is of interest for a week after it was last seen.
INDEXES = [IndexModel([("seenAt", ASCENDING)], name="pwops_expire", expireAfterSeconds=7 * 86_400)]


class Workers:
    """The register of one fleet, as one worker uses it."""

    def __init__(self, database: Database[Document]) -> None:
        self._workers = database[documents.WORKERS]

    def register(self, holder: str, identity: Document, *, queues: list[str], concurrency: int) -> None:
        self._workers.update_one(
            {"_id": holder},
            [
                {
                    "$set": {
                        "identity": {"$literal": identity},
                        "queues": queues,
                        "concurrency": concurrency,
                        "startedAt": "$$NOW",
                        "seenAt": "$$NOW",
                        "state": "running",
                    }
                }
            ],
            upsert=True,
        )

    def seen(self, holder: str, *, busy: int, database: Database[Document] | None = None) -> None:
        """The sign of life; `database` is the same one through the renewing thread's own client."""
        workers = self._workers if database is None else database[documents.WORKERS]
        workers.update_one({"_id": holder}, [{"$set": {"seenAt": "$$NOW", "busy": busy}}])

    def state(self, holder: str, state: str) -> None:
        self._workers.update_one({"_id": holder}, {"$set": {"state": state}})

    def bury(self, dead: Callable[[Document], bool]) -> list[str]:
        """Mark the workers that are certainly dead; returns their names, so that their leases can be ended."""
        with self._workers.find({"state": {"$ne": "gone"}}, {"identity": 1}) as found:
            gone = [worker["_id"] for worker in found if dead(worker["identity"])]
        for holder in gone:
            self.state(holder, "lost")
        return gone

    def buried(self, holder: str) -> None:
        self.state(holder, "gone")

    def overview(self) -> list[tuple[Document, datetime]]:
        """Every worker on record with the server's time, for a status screen."""
        with self._workers.aggregate([{"$addFields": {"now": "$$NOW"}}, {"$sort": {"startedAt": 1}}]) as found:
            return [(worker, worker.pop("now")) for worker in found]

    def identity(self, document: Document) -> dict[str, Any]:
        return dict(document["identity"])
