"""What should become of an order of the demonstration, and what is known of it at the end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pferdewert_ops.domain.failures import ErrorClass
from pferdewert_ops.domain.jobs import CancelReason, JobStatus
from pferdewert_ops.domain.letters import MailKind
from pferdewert_ops.domain.money import Currency
from pferdewert_ops.domain.orders import MailStatus, Why
from pferdewert_ops.domain.products import Product

Document = dict[str, Any]


class Fate(StrEnum):
    """Where an order ends up, in the words of the screen."""

    SETTLED = "delivered and mailed"
    UNMAILED = "delivered, a human was told"
    EVALUATED = "evaluated, waits for payment"
    RECONCILE = "waits for the reconcile"
    HUMAN = "a human was told"
    NOT_OWED = "not owed, job cancelled"
    UNTOUCHED = "untouched"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedJob:
    """One job's end. `failures` are the error classes of its failed attempts, in their order."""

    status: JobStatus = JobStatus.COMPLETED
    failures: tuple[ErrorClass, ...] = ()
    cancelled_for: CancelReason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedMail:
    """One mail's end."""

    status: MailStatus = MailStatus.SENT
    failures: tuple[ErrorClass, ...] = ()

    @property
    def accepted(self) -> bool:
        """Whether the provider has it, exactly once."""
        return self.status is MailStatus.SENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """Where an order must be at the end, from every side. `jobs` are the oldest first.

    `delivered`: the document gains our result, in the second model's words if `by_fallback`; otherwise it stays as it
    was written, to the byte. `findings` are what a person must be told of it, and all that a person is told.
    """

    fate: Fate
    jobs: tuple[ExpectedJob, ...] = ()
    delivered: bool = False
    by_fallback: bool = False
    mails: Mapping[MailKind, ExpectedMail] = field(default_factory=dict)
    findings: frozenset[str] = frozenset()


SENT = {MailKind.RESULT: ExpectedMail(), MailKind.OPERATOR: ExpectedMail()}


def settled(*failures: ErrorClass, by_fallback: bool = False, **mails: ExpectedMail) -> Expectation:
    """Delivered and mailed, after these failed attempts; `mails` differ from, or come beside, the usual two."""
    differing = {MailKind(kind): mail for kind, mail in mails.items()}
    return Expectation(
        fate=Fate.SETTLED,
        jobs=(ExpectedJob(failures=failures),),
        delivered=True,
        by_fallback=by_fallback,
        mails={**SENT, **differing},
    )


def cancelled(reason: CancelReason, *findings: Why) -> Expectation:
    """Its job is cancelled, and nothing else happens to it but that a person may be told."""
    return Expectation(
        fate=Fate.HUMAN if findings else Fate.NOT_OWED,
        jobs=(ExpectedJob(status=JobStatus.CANCELLED, cancelled_for=reason),),
        findings=frozenset(findings),
    )


def left_alone(fate: Fate, *jobs: ExpectedJob) -> Expectation:
    """No mail, no finding, no change."""
    return Expectation(fate=fate, jobs=jobs)


# --- what is compared with it ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One order as the shop wrote it, its document also as bytes. `models`: the first, and the one that stands in."""

    product: Product
    currency: Currency
    document: Document
    raw: bytes
    jobs: tuple[Document, ...]
    models: tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of the model about an order. `right`: the whole, right answer was sent, which is `answer`."""

    model: str
    right: bool
    answer: str | Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One order as it is at the end: its jobs oldest first, its mail records by kind, the kinds that the provider has
    accepted, the kinds of the open findings, the model calls in their order."""

    document: Document
    raw: bytes
    jobs: Sequence[Document]
    mails: Mapping[str, Document]
    accepted: Sequence[str]
    findings: frozenset[str]
    calls: Sequence[Call]


def failures_of(record: Mapping[str, Any]) -> list[str]:
    """The error classes of the failed attempts of a job or a mail, in their order."""
    return [event["class"] for event in record.get("history", []) if event.get("event") == "failed"]


def was_lost(record: Mapping[str, Any]) -> bool:
    """Whether a worker died with this job or mail in its hands."""
    return ErrorClass.WORKER_LOST in failures_of(record)
