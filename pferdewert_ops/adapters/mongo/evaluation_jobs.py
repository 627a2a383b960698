"""`evaluation_jobs`: as the worker's queue, and as records that passes and operators change."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo import ASCENDING, IndexModel
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError
from pymongo.write_concern import WriteConcern

from pferdewert_ops.adapters.mongo import documents
from pferdewert_ops.adapters.mongo.documents import Document, milliseconds
from pferdewert_ops.adapters.mongo.leased import LEASED_INDEXES, Leased, LeasedQueue, Settlement, Update
from pferdewert_ops.adapters.mongo.ranking import ranked_if_due
from pferdewert_ops.domain.jobs import DEFAULT_MAX_ATTEMPTS, CancelReason, GiveUp, JobStatus, Release, Retry
from pferdewert_ops.domain.products import PRODUCTS, Product
from pferdewert_ops.operations.ports import (
    Cancelled,
    ClaimedJob,
    Completed,
    HandedBack,
    JobOutcome,
    Unsuccessful,
)

ADOPT_INDEX = "pwops_adopt"
ADOPT_PAGE = 500
HISTORY_KEPT = 50  # attempts of one job that stay on record: far above any limit, and bounded
# A shop's own worker that stopped in the middle left `processing` without a lease; after this it is dead.
FOREIGN_LIMIT = timedelta(minutes=10)

INDEXES = [
    *LEASED_INDEXES,
    IndexModel([("bewertungId", ASCENDING)], name="pwops_order"),
    IndexModel(
        [("status", ASCENDING), ("bewertungId", ASCENDING)], name=ADOPT_INDEX, partialFilterExpression={"fence": None}
    ),
    IndexModel([("completedAt", ASCENDING)], name="pwops_completed", partialFilterExpression={"status": "completed"}),
    IndexModel([("failedAt", ASCENDING)], name="pwops_failed", partialFilterExpression={"status": "failed"}),
    # By id, because the shop's own jobs do not say when they were made.
    IndexModel([("status", ASCENDING), ("_id", ASCENDING)], name="pwops_listing"),
]


class EvaluationQueue:
    """The jobs as the worker sees them: claim, settle, keep moving."""

    name = "evaluation"

    def __init__(self, queue: LeasedQueue) -> None:
        self.leased = queue

    def claim(self, most: int, *, paid_only: bool) -> list[ClaimedJob]:
        return [_claimed(leased) for leased in self.leased.claim(most, {"paid": True} if paid_only else None)]

    def claim_one(self, job_id: str, *, paid_only: bool) -> list[ClaimedJob]:
        """This very job, if it is claimable."""
        this = {"_id": {"$in": documents.both_ids([job_id])}}
        # In an $and, beside the ids that the claim itself names.
        only: Document = {"$and": [this], **({"paid": True} if paid_only else {})}
        return [_claimed(leased) for leased in self.leased.claim(1, only)]

    def settle(self, outcomes: Sequence[tuple[ClaimedJob, JobOutcome]], *, expired: bool = False) -> set[str]:
        """Write each outcome under its fence; returns the ids of jobs that somebody else owns by now."""
        writes = [Settlement(leased=job.handle, update=_update(job, outcome)) for job, outcome in outcomes]
        return {str(identity) for identity in self.leased.settle(writes, expired=expired)}

    def expired(self, most: int) -> list[ClaimedJob]:
        return [_claimed(leased) for leased in self.leased.expired(most)]


class MongoJobs:
    """The jobs as records."""

    def __init__(self, database: Database[Document]) -> None:
        majority = WriteConcern("majority")
        self._jobs = database[documents.JOBS].with_options(write_concern=majority)
        self._orders = {product: database[product.collection] for product in PRODUCTS.values()}

    def make(self, order_id: str, *, delay: timedelta = timedelta(0)) -> bool:
        """Insert the order's job under the order's own id, due after `delay`; False if there is one."""
        product, order = self._order(order_id)
        if order is None or product is None:
            return False
        now = datetime.now(UTC)
        due = {"scheduledAt": now + delay} if delay else {}
        try:
            self._jobs.insert_one({**documents.new_job(order, product, now), **due})
        except DuplicateKeyError:
            return False
        return True

    def mark_paid(self, job_id: str) -> bool:
        """The payment moves a waiting job up: without a rank it is ranked anew, as paid."""
        waiting = {"_id": {"$in": documents.both_ids([job_id])}, "paid": {"$ne": True}}
        # A running one too: handed back, it would stand where the unpaid do.
        moved = self._jobs.update_one(
            {**waiting, "status": {"$in": ["pending", "processing"]}}, {"$set": {"paid": True}, "$unset": {"rank": ""}}
        )
        return moved.modified_count == 1

    def revive(self, job_id: str, *, actor: str, expected: Sequence[str]) -> bool:
        """Make a job claimable again with a fresh attempt budget; the history stays, the old fence goes on."""
        written = self._jobs.update_one(
            {"_id": {"$in": documents.both_ids([job_id])}, "status": {"$in": list(expected)}}, fresh_start(actor)
        )
        return written.modified_count == 1

    def cancel(self, job_id: str, reason: CancelReason) -> bool:
        """End a job that nobody has finished. A running one loses its fence: its worker notices and stops."""
        update: list[Mapping[str, Any]] = [
            {
                "$set": {
                    "status": JobStatus.CANCELLED.value,
                    "cancelReason": reason.value,
                    "fence": {"$add": [{"$ifNull": ["$fence", 0]}, 1]},
                    "history": _appended({"at": "$$NOW", "event": "cancelled", "reason": reason.value}),
                }
            },
            {"$unset": ["rank", "leaseUntil", "claimToken", "progress"]},
        ]
        open_states = ["pending"] if reason is not CancelReason.OPERATOR else ["pending", "processing"]
        written = self._jobs.update_one(
            {"_id": {"$in": documents.both_ids([job_id])}, "status": {"$in": open_states}}, update
        )
        return written.modified_count == 1

    def adopt(self, since: datetime) -> tuple[list[str], list[str]]:
        """Take over jobs that the shop inserted for orders made at `since` or later.

        Returns the ids of the orders whose jobs were taken over, and the ids of jobs that name no order at all.
        """
        adopted: list[str] = []
        orphans: list[str] = []
        floor = documents.oldest_id_since(since)
        for bound in (floor, str(floor)):
            for status in ("pending", "processing"):
                after: dict[str, Any] = {"$gte": bound}
                while page := self._strangers(status, after):
                    taken, unknown = self._adopt_page(page, since)
                    adopted += taken
                    orphans += unknown
                    after = {"$gt": page[-1]["bewertungId"]}
        return adopted, orphans

    def adopt_one(self, job_id: Any, since: datetime) -> str | None:
        """Take over one job that was inserted just now; the id of its order, None if there was nothing to do."""
        new = {"_id": job_id, "status": "pending", "fence": None, "bewertungId": {"$type": ["objectId", "string"]}}
        job = self._jobs.find_one(new, {"horseData": 0})
        if job is None:
            return None
        adopted, _ = self._adopt_page([job], since)
        return adopted[0] if adopted else None

    def _strangers(self, status: str, reference: Mapping[str, Any]) -> list[Document]:
        match: Document = {"status": status, "bewertungId": reference, "fence": None}
        if status == "processing":
            match["startedAt"] = {"$not": {"$gt": datetime.now(UTC) - FOREIGN_LIMIT}}
        cursor = (
            self._jobs.find(match, {"horseData": 0})
            .sort([("status", ASCENDING), ("bewertungId", ASCENDING)])
            .limit(ADOPT_PAGE)
            .hint(ADOPT_INDEX)
        )
        with cursor:
            return list(cursor)

    def _adopt_page(self, page: Sequence[Document], since: datetime) -> tuple[list[str], list[str]]:
        adopted: list[str] = []
        orphans: list[str] = []
        orders: dict[str, tuple[Product, Document]] = {}
        for product, collection in self._orders.items():
            missing = {str(job["bewertungId"]) for job in page} - set(orders)
            if not missing:
                break
            fields = {"erstellt": 1, "paymentStatus": 1, "refundedAt": 1}
            with collection.find({"_id": {"$in": documents.both_ids(sorted(missing))}}, fields) as cursor:
                orders.update({str(order["_id"]): (product, order) for order in cursor})
        for job in page:
            order_id = str(job["bewertungId"])
            if order_id not in orders:
                orphans.append(str(job["_id"]))
                continue
            product, order = orders[order_id]
            if documents.created_at(order) >= since:
                taken = self._jobs.update_one(
                    {name: job.get(name) for name in ("_id", "status", "startedAt", "fence")},
                    [{"$set": documents.literal(documents.adoption(job, order, product))}, *ranked_if_due()],
                )
                if taken.modified_count:
                    adopted.append(order_id)
        return adopted, orphans

    def _order(self, order_id: str) -> tuple[Product | None, Document | None]:
        for product, collection in self._orders.items():
            order = collection.find_one(
                {"_id": {"$in": documents.both_ids([order_id])}}, {"paymentStatus": 1, "refundedAt": 1}
            )
            if order is not None:
                return product, order
        return None, None

    def median_seconds(self, most: int = 50) -> float | None:
        """How long the latest finished evaluations took, as the median; None before the first."""
        cursor = self._jobs.find({"status": "completed"}, {"seconds": 1}).sort("completedAt", -1).limit(most)
        with cursor.hint("pwops_completed") as found:
            seconds = sorted(job["seconds"] for job in found if isinstance(job.get("seconds"), float))
        return seconds[len(seconds) // 2] if seconds else None


def fresh_start(actor: str, *, delay: timedelta = timedelta(0)) -> list[Mapping[str, Any]]:
    """The stages that make a job claimable again, after `delay`, with all its attempts; its history stays."""
    fresh: Document = {
        "status": JobStatus.PENDING.value,
        "attempts": 0,
        "maxAttempts": DEFAULT_MAX_ATTEMPTS,
        "failures": {"$literal": {}},
        "stage": "primary",
        "scheduledAt": {"$add": ["$$NOW", milliseconds(delay)]},
        "fence": {"$add": [{"$ifNull": ["$fence", 0]}, 1]},
        "history": _appended({"at": "$$NOW", "event": "retry", "actor": {"$literal": actor}}),
    }
    gone = ["rank", "leaseUntil", "claimToken", "cancelReason", "error", "result", "completedAt", "progress"]
    return [{"$set": fresh}, {"$unset": gone}]


def _claimed(leased: Leased) -> ClaimedJob:
    document = leased.document
    return ClaimedJob(
        handle=leased,
        id=str(leased.id),
        order_id=str(document["bewertungId"]),
        attempts=documents.attempts_of(document),
        paid=document.get("paid") is True,
        fence=leased.fence,
    )


_RELEASED = ["leaseUntil", "claimToken", "progress"]


def _update(job: ClaimedJob, outcome: JobOutcome) -> Update:
    match outcome:
        case Completed():
            # No pipeline here: in one, a `$` in the model's text would be read as the name of a field.
            return {
                "$set": {
                    "status": JobStatus.COMPLETED.value,
                    "result": {
                        "value": outcome.result.value,
                        "model": outcome.result.model,
                        "model_version": outcome.result.model_version,
                    },
                    "usage": {
                        "input_tokens": outcome.usage.input_tokens,
                        "output_tokens": outcome.usage.output_tokens,
                        "cache_write_tokens": outcome.usage.cache_write_tokens,
                        "cache_read_tokens": outcome.usage.cache_read_tokens,
                    },
                    "seconds": outcome.seconds,
                },
                "$inc": {"costMicroEur": outcome.cost_micro},
                "$currentDate": {"completedAt": True},
                "$unset": dict.fromkeys([*_RELEASED, "error"], ""),
            }
        case Cancelled():
            return _closed({"status": JobStatus.CANCELLED.value, "cancelReason": outcome.reason.value}, 0)
        case HandedBack():
            return released(outcome.wait)
        case Unsuccessful():
            return failed_update(outcome, fence=job.fence)


def released(wait: timedelta, error: Mapping[str, Any] | None = None) -> list[Mapping[str, Any]]:
    """Back to the queue with the attempt returned; without a wait the job keeps its place."""
    fields: Document = {"status": JobStatus.PENDING.value, "attempts": {"$subtract": ["$attempts", 1]}}
    gone = list(_RELEASED)
    if wait > timedelta(0):
        fields["scheduledAt"] = {"$add": ["$$NOW", milliseconds(wait)]}
        gone.append("rank")
    if error is not None:
        fields["error"] = error
    return [{"$set": fields}, {"$unset": gone}]


def failed_update(outcome: Unsuccessful, *, fence: int) -> list[Mapping[str, Any]]:
    """The write for an attempt that failed: wait, give up, or hand back; the same for jobs and mails."""
    failure, after = outcome.failure, outcome.after
    error: Document = {"class": failure.error_class.value, "code": {"$literal": failure.code}, "at": "$$NOW"}
    event: Document = {"at": "$$NOW", "event": "failed", "class": failure.error_class.value, "fence": fence}
    event["code"] = {"$literal": failure.code}
    common: Document = {
        "history": _appended(event),
        "error": error,
        "costMicroEur": {"$add": [{"$ifNull": ["$costMicroEur", 0]}, outcome.cost_micro]},
    }
    match after:
        case Release():
            update = released(after.wait, error)
            return [{"$set": common}, *update]
        case Retry():
            waiting: Document = {
                "status": JobStatus.PENDING.value,
                "failures": {"$literal": {word.value: count for word, count in after.failures.items()}},
                "stage": after.stage.value,
                "scheduledAt": {"$add": ["$$NOW", milliseconds(after.wait)]},
            }
            return [{"$set": {**common, **waiting}}, {"$unset": [*_RELEASED, "rank"]}]
        case GiveUp():
            failures = {"$literal": {word.value: count for word, count in after.failures.items()}}
            closed = {"status": JobStatus.FAILED.value, "failures": failures, "failedAt": "$$NOW"}
            return [{"$set": {**common, **closed}}, {"$unset": [*_RELEASED, "rank"]}]


def _closed(fields: Mapping[str, Any], spent: int) -> list[Mapping[str, Any]]:
    attempts = {"attempts": {"$add": ["$attempts", spent - 1]}}
    event = {"at": "$$NOW", "event": "closed", **{key: {"$literal": value} for key, value in fields.items()}}
    return [{"$set": {**fields, **attempts, "history": _appended(event)}}, {"$unset": [*_RELEASED, "rank"]}]


def _appended(event: Mapping[str, Any]) -> Document:
    """The job's history with one more event, bounded."""
    history = {"$cond": [{"$isArray": "$history"}, "$history", []]}
    return {"$slice": [{"$concatArrays": [history, [event]]}, -HISTORY_KEPT]}
