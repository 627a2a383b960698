"""How the queues stand, counted on their indexes: what waits, what runs, what the last day brought. Read only."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from pferdewert_ops.adapters.mongo import documents
from pferdewert_ops.adapters.mongo.documents import Document
from pferdewert_ops.adapters.mongo.evaluation_jobs import ADOPT_INDEX
from pferdewert_ops.adapters.mongo.leased import CLAIM_INDEX, LEASE_INDEX, PROMOTE_INDEX
from pferdewert_ops.adapters.mongo.listing import LISTING_INDEX, MOST_MS
from pferdewert_ops.adapters.mongo.settings import FleetSettings

EVALUATION, MAIL = "evaluation", "mail"
LATELY = timedelta(hours=24)
_OLDEST = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFigures:
    """One queue now, and its last 24 hours.

    `ready` may be claimed, `waiting` rests until its time, `left_alone` are jobs of the shop's for orders from before
    the horizon, `not_taken_over` its other ones that no worker has taken over yet. `stuck` is running by its status
    with a lease that ran out. `oldest_since` is when the longest-ready one became due. `uncertain` mails need a person.
    """

    queue: str
    ready: int
    waiting: int
    left_alone: int
    not_taken_over: int
    processing: int
    stuck: int
    oldest_since: datetime | None
    done_lately: int
    failed_lately: int
    uncertain: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """That an operator paused a queue, since when, and who."""

    since: datetime
    actor: str


class Figures:
    """Figures of one shop's queues. Needs the indexes of `pwops migrate`."""

    def __init__(self, database: Database[Document]) -> None:
        self._database = database

    def evaluation(self) -> QueueFigures:
        """The evaluation queue."""
        shops = {"status": "pending", "fence": None}
        left_alone = self._before_horizon(shops)
        return self._figures(
            EVALUATION,
            documents.JOBS,
            left_alone=left_alone,
            not_taken_over=max(self._count(documents.JOBS, shops, ADOPT_INDEX) - left_alone, 0),
            done=("completed", "completedAt", "pwops_completed"),
        )

    def _before_horizon(self, shops: Document) -> int:
        """Those for orders made before the horizon, whose ids tell when; none before a first worker has stored it."""
        horizon = FleetSettings(self._database).horizon()
        if horizon is None:
            return 0
        first = ObjectId.from_datetime(horizon)
        # The shop writes the reference as an id or as its text, and a range finds values of its own kind only.
        return sum(
            self._count(documents.JOBS, {**shops, "bewertungId": {"$lt": bound}}, ADOPT_INDEX)
            for bound in (first, str(first))
        )

    def mail(self) -> QueueFigures:
        """The mail queue."""
        return self._figures(
            MAIL, documents.MAILS, left_alone=0, not_taken_over=0, done=("sent", "sentAt", "pwops_sent")
        )

    def pauses(self) -> dict[str, Pause]:
        """The paused queues."""
        with self._database[documents.SETTINGS].find(
            {"_id": {"$in": [f"pause:{EVALUATION}", f"pause:{MAIL}"]}}
        ) as found:
            return {
                str(one["_id"]).removeprefix("pause:"): Pause(since=one["at"], actor=str(one.get("actor", "")))
                for one in found
            }

    def slots_in_use(self) -> dict[str, int]:
        """How many slots of each fleet-wide limit are taken, by the server's clock."""
        pipeline: list[Mapping[str, Any]] = [
            {"$match": {"$expr": {"$gt": ["$leaseUntil", "$$NOW"]}}},
            {"$group": {"_id": "$limiter", "taken": {"$sum": 1}}},
        ]
        with self._database[documents.SLOTS].aggregate(pipeline, maxTimeMS=MOST_MS) as found:
            return {str(one["_id"]): one["taken"] for one in found}

    def workers_alive(self, within: timedelta) -> int:
        """How many workers have given a sign of life lately."""
        seen = {"$expr": {"$gt": ["$seenAt", {"$subtract": ["$$NOW", documents.milliseconds(within)]}]}}
        return self._database[documents.WORKERS].count_documents(
            {"state": {"$in": ["running", "stopping"]}, **seen}, maxTimeMS=MOST_MS
        )

    def _figures(
        self, queue: str, collection: str, *, left_alone: int, not_taken_over: int, done: tuple[str, str, str]
    ) -> QueueFigures:
        since = datetime.now(UTC) - LATELY
        done_status, done_field, done_index = done
        ranked, ranked_since = self._waiting(collection, {"rank": {"$gte": _OLDEST}}, CLAIM_INDEX)
        # Due, and ranked by the next worker that looks: without any worker this is where everything gathers.
        due = {"rank": None, "fence": {"$gte": 0}, "$expr": {"$lte": ["$scheduledAt", "$$NOW"]}}
        unranked, unranked_since = self._waiting(collection, due, PROMOTE_INDEX)
        resting = {"status": "pending", "rank": None, "$expr": {"$gt": ["$scheduledAt", "$$NOW"]}}
        # Without a lease it is not a worker of ours that runs it.
        held = {"status": "processing", "leaseUntil": {"$gte": _OLDEST}}
        expired = {**held, "$expr": {"$lte": ["$leaseUntil", "$$NOW"]}}
        return QueueFigures(
            queue=queue,
            ready=ranked + unranked,
            waiting=self._count(collection, {**resting, "fence": {"$gte": 0}}, PROMOTE_INDEX),
            left_alone=left_alone,
            not_taken_over=not_taken_over,
            processing=self._count(collection, held, LEASE_INDEX),
            stuck=self._count(collection, expired, LEASE_INDEX),
            oldest_since=min((at for at in (ranked_since, unranked_since) if at is not None), default=None),
            done_lately=self._count(collection, {"status": done_status, done_field: {"$gte": since}}, done_index),
            failed_lately=self._count(collection, {"status": "failed", "failedAt": {"$gte": since}}, "pwops_failed"),
            uncertain=self._count(collection, {"status": "uncertain"}, LISTING_INDEX) if queue == MAIL else 0,
        )

    def _waiting(self, collection: str, match: Document, index: str) -> tuple[int, datetime | None]:
        """How many there are, and since when the first of them is due. The rank tells the turn, not the time."""
        since = {"$ifNull": ["$scheduledAt", "$createdAt"]}
        pipeline: list[Mapping[str, Any]] = [
            {"$match": {"status": "pending", **match}},
            {"$group": {"_id": None, "count": {"$sum": 1}, "oldest": {"$min": since}}},
        ]
        with self._database[collection].aggregate(pipeline, hint=index, maxTimeMS=MOST_MS) as found:
            row = next(found, None)
        if row is None:
            return 0, None
        return row["count"], row["oldest"] if isinstance(row["oldest"], datetime) else None

    def _count(self, collection: str, match: Document, index: str) -> int:
        return self._database[collection].count_documents(match, hint=index, maxTimeMS=MOST_MS)
