"""How far every order is at this moment, read from the database alone, as an operator would see it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pymongo.database import Database

from pferdewert_ops.adapters.mongo import documents
from pferdewert_ops.domain.jobs import JobStatus
from pferdewert_ops.domain.letters import MailKind
from pferdewert_ops.domain.orders import MailStatus
from pferdewert_ops.domain.products import PRODUCTS
from pferdewert_ops.sandbox.demo.fates import Document, Fate
from pferdewert_ops.sandbox.demo.orders import DemoOrder

_JOB_FIELDS = ("bewertungId", "status", "error", "scheduledAt", "startedAt", "processedBy", "rank", "failures")
_MORE_JOB_FIELDS = ("history", "cancelReason", "costMicroEur", "result.model", "progress")
_MAIL_FIELDS = ("orderId", "kind", "status", "error", "scheduledAt", "rank", "failures", "processedBy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One order now. `step` and `mail` are words for the screen; `settled`: it is where it should end."""

    order: DemoOrder
    step: str
    mail: str
    model: str | None
    cost_micro: int
    settled: bool
    busy: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the database holds of one order: its jobs oldest first, its mails by kind, its open findings."""

    order: DemoOrder
    paid: bool
    delivered: bool
    jobs: Sequence[Document] = ()
    mails: Mapping[str, Document] = field(default_factory=dict)
    findings: frozenset[str] = frozenset()

    @property
    def job(self) -> Document | None:
        """The one that counts."""
        return self.jobs[0] if self.jobs else None

    @property
    def is_evaluated(self) -> bool:
        return self.job is not None and self.job["status"] == JobStatus.COMPLETED

    @property
    def is_settled(self) -> bool:
        """Whether every side has the state that it should end in. What exactly stands there is compared at the end."""
        expected = self.order.kind.expectation
        return (
            [job["status"] for job in self.jobs] == [job.status for job in expected.jobs]
            and {kind: mail["status"] for kind, mail in self.mails.items()}
            == {kind.value: mail.status.value for kind, mail in expected.mails.items()}
            and self.delivered == expected.delivered
            and self.findings == expected.findings
        )


def read_facts(database: Database[Document], orders: Sequence[DemoOrder]) -> list[Facts]:
    """Every order as it is now."""
    shown: dict[str, Document] = {}
    for product in PRODUCTS.values():
        with database[product.collection].find({}, {"paymentStatus": 1, "completedAt": 1}) as found:
            shown |= {str(document["_id"]): document for document in found}
    jobs = _by_order(database, documents.JOBS, "bewertungId", (*_JOB_FIELDS, *_MORE_JOB_FIELDS))
    mails = _by_order(database, documents.MAILS, "orderId", _MAIL_FIELDS)
    with database[documents.FINDINGS].find({"state": "open"}, {"kind": 1, "subject": 1}) as found:
        findings = [(finding["subject"], finding["kind"]) for finding in found]
    return [
        Facts(
            order=order,
            paid=shown.get(text, {}).get("paymentStatus") == "paid",
            delivered=shown.get(text, {}).get("completedAt") is not None,
            jobs=jobs.get(text, ()),
            mails={mail["kind"]: mail for mail in mails.get(text, ())},
            findings=frozenset(kind for subject, kind in findings if subject == text),
        )
        for order in orders
        for text in (str(order.id),)
    ]


def _by_order(
    database: Database[Document], collection: str, reference: str, fields: Iterable[str]
) -> dict[str, list[Document]]:
    grouped: dict[str, list[Document]] = {}
    with database[collection].find({}, dict.fromkeys(fields, 1)).sort("_id", 1) as found:
        for document in found:
            grouped.setdefault(str(document[reference]), []).append(document)
    return grouped


# --- in words --------------------------------------------------------------------------------------------------------


def progress_of(facts: Facts, now: datetime) -> Progress:
    job = facts.job
    busy = any(one["status"] == JobStatus.PROCESSING for one in (*facts.jobs, *facts.mails.values()))
    return Progress(
        order=facts.order,
        step=_step(facts, now),
        mail=_mail(facts, now),
        model=None if job is None else job.get("result", {}).get("model"),
        cost_micro=sum(one.get("costMicroEur", 0) for one in facts.jobs),
        settled=facts.is_settled,
        busy=busy,
    )


def _step(facts: Facts, now: datetime) -> str:
    job = facts.job
    if facts.order.kind.expectation.fate is Fate.UNTOUCHED:
        return "before the horizon"
    if job is None:
        return "no job" if facts.paid else "waits for the reconcile"
    match job["status"]:
        case "pending":
            return _waiting(job, now) or "queued"
        case "processing":
            tokens = job.get("progress", {}).get("outputTokens", 0)
            return f"writing: {tokens} tokens" if tokens else "asks the model"
        case "completed" if facts.delivered:
            return "delivered"
        case "completed":
            return "evaluated" if facts.paid else "evaluated, not paid"
        case "cancelled":
            return f"cancelled: {_words(job.get('cancelReason'))}"
        case _:
            return f"failed: {_words(job.get('error', {}).get('class'))}"


def _mail(facts: Facts, now: datetime) -> str:
    words = []
    delay, result = (facts.mails.get(kind.value) for kind in (MailKind.DELAY, MailKind.RESULT))
    if delay is not None:
        words.append("delay told" if delay["status"] == MailStatus.SENT else "delay owed")
    if result is not None:
        words.append(_one_mail(result, now))
    elif facts.findings:
        words.append("a human was told")
    return ", ".join(words)


def _one_mail(mail: Document, now: datetime) -> str:
    match mail["status"]:
        case "pending":
            return _waiting(mail, now) or "owed"
        case "processing":
            return "handing over"
        case "failed":
            return "refused, a human was told"
        case other:
            return str(other)


def _waiting(record: Document, now: datetime) -> str | None:
    """Why and how long it still rests after a failed attempt; None where it does not."""
    at = record.get("scheduledAt")
    if record.get("error") is None or not isinstance(at, datetime):
        return None
    after = _words(record["error"].get("class"))
    seconds = math.ceil((at - now).total_seconds())
    return f"{after}, again in {seconds} s" if seconds > 0 else f"{after}, queued again"


def _words(code: Any) -> str:
    return str(code).replace("_", " ")
