"""Jobs and mails as screens show them: read only, every query on an index, every list bounded.

What the shop itself wrote may lack any field or hold another type in it; a screen shows what it can read.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from heapq import merge
from itertools import islice
from typing import Any

from bson import ObjectId
from pymongo import DESCENDING
from pymongo.database import Database

from pferdewert_ops.adapters.mongo import documents
from pferdewert_ops.adapters.mongo.documents import Document
from pferdewert_ops.domain.letters import MailKind
from pferdewert_ops.redaction import printable, without_personal_data

# A person is waiting, and the workers use the same server.
MOST_MS = 10_000
_UNSHOWN = {"horseData": 0, "result.value": 0}
# The letter holds the customer's name; only its existence matters here.
_UNSHOWN_OF_MAIL = {"letter.html": 0, "letter.text": 0, "letter.subject": 0}
# Enough to tell one trouble of the shop's own worker from another, and to fit a table.
FOREIGN_ERROR_CHARACTERS = 60
LISTING_INDEX = "pwops_listing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of a history. `kind` is our word for it; `details` are codes and figures."""

    at: datetime
    kind: str
    details: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLine:
    """One job in a list. `due_at` is set while it waits for a time; `taken_over`: it is a worker's to claim; until then
    nothing is known of a payment, and `paid` is None.
    """

    job_id: str
    order_id: str
    product: str | None
    status: str
    paid: bool | None
    attempts: int
    limit: int
    error: str | None
    made_at: datetime
    due_at: datetime | None
    holder: str | None
    taken_over: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDetail:
    """One job whole, without the customer's words and without the result's text."""

    line: JobLine
    stage: str | None
    cancel_reason: str | None
    failures: Mapping[str, int]
    history: Sequence[Event]
    model: str | None
    usage: Mapping[str, int]
    cost_micro: int
    seconds: float | None
    progress: Mapping[str, object]
    started_at: datetime | None
    completed_at: datetime | None
    lease_until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MailLine:
    """One mail. `handed_over_at`: since then the provider may have it; `address` is the first recipient's."""

    mail_id: str
    order_id: str
    kind: str
    status: str
    attempts: int
    error: str | None
    made_at: datetime | None
    due_at: datetime | None
    handed_over_at: datetime | None
    sent_at: datetime | None
    transport: str | None
    provider_id: str | None
    key: str | None
    resends: int
    address: str | None
    history: Sequence[Event]


class Listing:
    """Read-only views of one shop's jobs and mails."""

    def __init__(self, database: Database[Document]) -> None:
        self._jobs = database[documents.JOBS]
        self._mails = database[documents.MAILS]

    def jobs(self, statuses: Sequence[str], *, older_than: timedelta | None, most: int) -> list[JobLine]:
        """The newest jobs in these states (in any, where none is named), by the order's age."""
        bound: Document = {}
        if older_than is not None:
            bound = {"_id": {"$lt": documents.id_from_time(datetime.now(UTC) - older_than)}}
        if not statuses:
            cursor = self._jobs.find(bound, _UNSHOWN).sort("_id", DESCENDING).limit(most).max_time_ms(MOST_MS)
            with cursor:
                return [job_line(job) for job in cursor]
        pages = [self._in_state(status, bound, most) for status in dict.fromkeys(statuses)]
        newest = merge(*pages, key=lambda job: _sortable(job["_id"]), reverse=True)
        return [job_line(job) for job in islice(newest, most)]

    def _in_state(self, status: str, bound: Document, most: int) -> list[Document]:
        cursor = self._jobs.find({"status": status, **bound}, _UNSHOWN).sort("_id", DESCENDING).limit(most)
        with cursor.hint(LISTING_INDEX).max_time_ms(MOST_MS) as found:
            return list(found)

    def job(self, job_id: str) -> JobDetail | None:
        """One job by its own id."""
        job = self._jobs.find_one({"_id": {"$in": documents.both_ids([job_id])}}, _UNSHOWN)
        return None if job is None else job_detail(job)

    def mails(self, statuses: Sequence[str], *, most: int) -> list[MailLine]:
        """The newest mails in these states (in any, where none is named)."""
        if not statuses:
            # Not by id, which is the order's: an old order may owe a new mail.
            cursor = self._mails.find({}, _UNSHOWN_OF_MAIL).sort("createdAt", DESCENDING).limit(most)
            with cursor.max_time_ms(MOST_MS) as found:
                return [mail_line(mail) for mail in found]
        pages: list[list[MailLine]] = []
        for status in dict.fromkeys(statuses):
            cursor = self._mails.find({"status": status}, _UNSHOWN_OF_MAIL).sort("createdAt", DESCENDING).limit(most)
            with cursor.hint(LISTING_INDEX).max_time_ms(MOST_MS) as found:
                pages.append([mail_line(mail) for mail in found])
        newest = merge(*pages, key=lambda mail: mail.made_at or _EPOCH, reverse=True)
        return list(islice(newest, most))

    def mails_of(self, order_id: str) -> list[MailLine]:
        """All mails of one order, in the order in which they were owed."""
        match = {"_id": {"$in": [f"{order_id}:{kind}" for kind in MailKind]}}
        with self._mails.find(match, _UNSHOWN_OF_MAIL) as found:
            return sorted((mail_line(mail) for mail in found), key=lambda mail: mail.made_at or _EPOCH)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _sortable(identity: object) -> tuple[bool, str]:
    """As the server sorts them: any ObjectId after any text."""
    return isinstance(identity, ObjectId), str(identity)


def job_line(job: Mapping[str, Any]) -> JobLine:
    waiting = job.get("status") == "pending" and job.get("rank") is None
    identity = job.get("_id")
    made_at = _moment(job.get("createdAt"))
    if made_at is None:
        made_at = identity.generation_time if isinstance(identity, ObjectId) else _EPOCH
    return JobLine(
        job_id=str(identity),
        order_id=str(job.get("bewertungId", "")),
        product=_text(job.get("product")),
        status=documents.job_status(job).value,
        paid=_flag(job.get("paid")),
        attempts=_count(job.get("attempts")),
        limit=_count(job.get("maxAttempts")),
        error=_error(job.get("error")),
        made_at=made_at,
        due_at=_moment(job.get("scheduledAt")) if waiting else None,
        holder=_text(job.get("processedBy")) if job.get("status") == "processing" else None,
        taken_over=job.get("fence") is not None,
    )


def job_detail(job: Mapping[str, Any]) -> JobDetail:
    history = _history(job.get("history"))
    result, progress, usage = (_mapping(job.get(name)) for name in ("result", "progress", "usage"))
    failed = Counter(str(event.details["class"]) for event in history if event.kind == "failed")
    seconds = job.get("seconds")
    return JobDetail(
        line=job_line(job),
        stage=_text(job.get("stage")),
        cancel_reason=_text(job.get("cancelReason")),
        failures=dict(failed),
        history=history,
        model=_text(result.get("model_version")) or _text(result.get("model")),
        usage={str(name): _count(value) for name, value in usage.items()},
        cost_micro=_count(job.get("costMicroEur")),
        seconds=seconds if isinstance(seconds, float) else None,
        progress={name: progress.get(name) for name in ("phase", "outputTokens", "secondsLeft") if name in progress},
        started_at=_moment(job.get("startedAt")),
        completed_at=_moment(job.get("completedAt")),
        lease_until=_moment(job.get("leaseUntil")),
    )


def mail_line(mail: Mapping[str, Any]) -> MailLine:
    waiting = mail.get("status") == "pending" and mail.get("rank") is None
    addresses = _mapping(mail.get("letter")).get("to")
    return MailLine(
        mail_id=str(mail["_id"]),
        order_id=str(mail.get("orderId", "")),
        kind=str(mail.get("kind", "")),
        status=str(mail.get("status", "")),
        attempts=_count(mail.get("attempts")),
        error=_error(mail.get("error")),
        made_at=_moment(mail.get("createdAt")),
        due_at=_moment(mail.get("scheduledAt")) if waiting else None,
        handed_over_at=_moment(mail.get("handedOverAt")),
        sent_at=_moment(mail.get("sentAt")),
        transport=_text(mail.get("transport")),
        provider_id=_text(mail.get("providerId")),
        key=_text(mail.get("key")),
        resends=_count(mail.get("resends")),
        address=str(addresses[0]) if isinstance(addresses, list) and addresses else None,
        history=_history(mail.get("history")),
    )


def _history(stored: object) -> list[Event]:
    events = stored if isinstance(stored, list) else []
    return [
        Event(
            at=event["at"],
            kind=str(event.get("event", "")),
            details={name: value for name, value in event.items() if name not in {"at", "event"}},
        )
        for event in events
        if isinstance(event, Mapping) and isinstance(event.get("at"), datetime)
    ]


def _error(stored: object) -> str | None:
    """Class and code of ours; of the shop's own sentence, which may hold anything, the beginning without addresses."""
    if isinstance(stored, str):
        return printable(without_personal_data(stored)).strip()[:FOREIGN_ERROR_CHARACTERS] or None
    if not isinstance(stored, Mapping):
        return None if not stored else "unknown"
    words = [str(stored[name]) for name in ("class", "code") if stored.get(name)]
    return ": ".join(words) or None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _moment(value: object) -> datetime | None:
    return value if isinstance(value, datetime) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
