"""`ops_settings`: what the whole fleet agrees on: the horizon, and which queues are paused."""

from datetime import UTC, datetime, timedelta

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError
from pymongo.write_concern import WriteConcern

from pferdewert_ops.adapters.mongo import documents
from pferdewert_ops.adapters.mongo.documents import Document


class FleetSettings:
    def __init__(self, database: Database[Document]) -> None:
        self._settings = database[documents.SETTINGS].with_options(write_concern=WriteConcern("majority"))

    def horizon(self) -> datetime | None:
        """The moment before which no unattended pass touches an order; None before the first writing pass."""
        stored = self._settings.find_one({"_id": "horizon"})
        return None if stored is None else stored["at"]

    def first_horizon(self, lookback: timedelta) -> tuple[datetime, bool]:
        """The stored horizon; the first writing pass stores its own start less `lookback`. True if that was now."""
        known = self.horizon()
        if known is not None:
            return known, False
        now = datetime.now(UTC)
        at = (now - lookback).replace(microsecond=0)
        try:
            self._settings.insert_one({"_id": "horizon", "at": at, "setAt": now})
        except DuplicateKeyError:
            return self._settings.find_one({"_id": "horizon"})["at"], False  # type: ignore[index]
        return at, True

    def paused(self) -> set[str]:
        """The queues that an operator has paused."""
        with self._settings.find({"_id": {"$in": ["pause:evaluation", "pause:mail"]}}) as found:
            return {str(one["_id"]).removeprefix("pause:") for one in found}

    def pause(self, queue: str, actor: str) -> None:
        self._settings.update_one(
            {"_id": f"pause:{queue}"}, {"$setOnInsert": {"at": datetime.now(UTC), "actor": actor}}, upsert=True
        )

    def resume(self, queue: str) -> bool:
        return self._settings.delete_one({"_id": f"pause:{queue}"}).deleted_count == 1

    def take_tick(self, name: str, every: timedelta) -> bool:
        """Whether this process does the fleet's periodic work now: one of them, at most once in `every`."""
        due = {"_id": f"tick:{name}", "$expr": {"$lte": ["$nextAt", "$$NOW"]}}
        step = [{"$set": {"nextAt": {"$add": ["$$NOW", documents.milliseconds(every)]}}}]
        if self._settings.update_one(due, step).modified_count:
            return True
        try:
            self._settings.insert_one({"_id": f"tick:{name}", "nextAt": datetime.now(UTC) + every})
        except DuplicateKeyError:
            return False
        return True
