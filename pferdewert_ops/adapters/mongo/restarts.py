"""What a person's retry reads and writes: jobs and mails as they stand, and one compare-and-set for a fresh start."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from pymongo.database import Database
from pymongo.write_concern import WriteConcern

from pferdewert_ops.adapters.mongo import documents
from pferdewert_ops.adapters.mongo.documents import Document, milliseconds
from pferdewert_ops.adapters.mongo.evaluation_jobs import FOREIGN_LIMIT, MongoJobs, fresh_start
from pferdewert_ops.adapters.mongo.mail_outbox import MongoMails
from pferdewert_ops.adapters.mongo.ranking import ranked_if_due
from pferdewert_ops.domain.jobs import JobStatus
from pferdewert_ops.domain.letters import MailKind
from pferdewert_ops.operations.ports import Order


def _date_or(field: str, otherwise: object) -> Document:
    return {"$cond": [{"$eq": [{"$type": field}, "date"]}, field, otherwise]}


# A lease of ours that ran out; or a worker of the shop's own, which has no lease, past the longest time it can live.
_LEASE_ENDS = _date_or(
    "$leaseUntil", {"$add": [_date_or("$startedAt", datetime(1970, 1, 1, tzinfo=UTC)), milliseconds(FOREIGN_LIMIT)]}
)
_ABANDONED = {"$lte": [_LEASE_ENDS, "$$NOW"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredJob:
    """A job as it stands. `abandoned`: nobody holds it any more, by the server's clock. `holder`: who did, or does."""

    id: str
    status: JobStatus
    fence: int | None
    abandoned: bool
    has_result: bool
    holder: str | None
    due_at: datetime | None


class Judgeable(Protocol):
    """What of a judged job the write depends on."""

    @property
    def id(self) -> str: ...
    @property
    def status(self) -> JobStatus: ...
    @property
    def fence(self) -> int | None: ...


_RANKED_NOW = [{"$set": {"scheduledAt": "$$NOW"}}, *ranked_if_due()]


class MongoRestarts:
    """Jobs and mails under a person's hands."""

    def __init__(self, database: Database[Document], jobs: MongoJobs, mails: MongoMails) -> None:
        majority = WriteConcern("majority")
        self._stored_jobs = database[documents.JOBS].with_options(write_concern=majority)
        self._stored_mails = database[documents.MAILS].with_options(write_concern=majority)
        self._jobs = jobs
        self._mails = mails

    def state(self, job_id: str) -> StoredJob | None:
        """The job as it stands now."""
        fields = {
            "status": 1,
            "fence": 1,
            "processedBy": 1,
            "scheduledAt": 1,
            "abandoned": _ABANDONED,
            # As `documents.job_standing` reads it: only a result of ours has this shape.
            "hasResult": {
                "$and": [{"$eq": [{"$type": "$result.model"}, "string"]}, {"$eq": [{"$type": "$completedAt"}, "date"]}]
            },
        }
        pipeline: list[Mapping[str, Any]] = [
            {"$match": {"_id": {"$in": documents.both_ids([job_id])}}},
            {"$project": fields},
        ]
        with self._stored_jobs.aggregate(pipeline) as found:
            job = next(found, None)
        if job is None:
            return None
        fence, due = job.get("fence"), job.get("scheduledAt")
        return StoredJob(
            id=str(job["_id"]),
            status=documents.job_status(job),
            fence=fence if isinstance(fence, int) else None,
            abandoned=job["abandoned"],
            has_result=job["hasResult"],
            holder=str(job["processedBy"]) if job.get("processedBy") else None,
            due_at=due if isinstance(due, datetime) else None,
        )

    def make(self, order_id: str, *, delay: timedelta) -> bool:
        """Insert the order's job, left alone by workers for `delay`; False if there is one."""
        return self._jobs.make(order_id, delay=delay)

    def restart(self, order: Order, job: Judgeable, *, paid: bool, actor: str, delay: timedelta) -> bool:
        """A fresh start for a job that still stands as it was judged; False if it does not.

        A job that the shop inserted is taken over by it. A frozen worker that wakes finds its fence gone.
        """
        as_judged: Document = {"_id": {"$in": documents.both_ids([job.id])}, "fence": job.fence}
        if job.status is JobStatus.FAILED:
            # A word that nobody knows counts as failed, and is no other state.
            as_judged["status"] = {"$nin": [status.value for status in JobStatus if status is not JobStatus.FAILED]}
        else:
            as_judged["status"] = job.status.value
        if job.status is JobStatus.PROCESSING:
            as_judged["$expr"] = _ABANDONED
        ours: Document = {"product": order.product.key.value, "paid": paid}
        written = self._stored_jobs.update_one(as_judged, [*fresh_start(actor, delay=delay), {"$set": ours}])
        return written.modified_count == 1

    def was_handed_over(self, order_id: str, kind: MailKind) -> bool:
        """Whether the provider may have got this mail."""
        mail = self._stored_mails.find_one({"_id": f"{order_id}:{kind}"}, {"handedOverAt": 1})
        return mail is not None and mail.get("handedOverAt") is not None

    def resend(self, order_id: str, kind: MailKind, *, actor: str) -> bool:
        """Send anew a mail that certainly never left; False if it stands otherwise by now."""
        return self._mails.resolve(f"{order_id}:{kind}", sent=False, actor=actor)

    # --- for one order in the foreground ---------------------------------------------------------------------

    def rank_job(self, job_id: str) -> bool:
        """Make a waiting job claimable now, whatever it waits for; False if it is so already, or waits no more."""
        waiting = {"_id": {"$in": documents.both_ids([job_id])}, "status": "pending", "rank": None}
        return self._stored_jobs.update_one(waiting, _RANKED_NOW).modified_count == 1

    def rank_mail(self, order_id: str, kind: MailKind) -> bool:
        """Make a waiting mail claimable now; False if it is so already, waits no more or is not owed."""
        waiting = {"_id": f"{order_id}:{kind}", "status": "pending", "rank": None}
        return self._stored_mails.update_one(waiting, _RANKED_NOW).modified_count == 1
