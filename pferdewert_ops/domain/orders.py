"""The central rule: what one order is owed next, seen from every side."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from pferdewert_ops.domain.jobs import CancelReason, JobStatus
from pferdewert_ops.domain.letters import MailKind
from pferdewert_ops.domain.products import ProductKey


class Payment(StrEnum):
    """The document's `paymentStatus`. UNKNOWN: the old flow, which never says, or a word that nobody knows."""

    PENDING = "pending"
    PAID = "paid"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"
    UNKNOWN = "unknown"


class Delivery(StrEnum):
    """Whether the customer's page shows a valid result, and whose it is."""

    NONE = "none"
    OURS = "ours"
    OTHERS = "others"


class MailStatus(StrEnum):
    PENDING = "pending"
    PROCESSING = "processing"
    SENT = "sent"
    UNCERTAIN = "uncertain"
    FAILED = "failed"
    SUPPRESSED = "suppressed"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """What the rule needs of an order's job. `paid`: the queue knows of the payment."""

    id: str
    status: JobStatus
    paid: bool
    cancel_reason: CancelReason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderView:
    """One order as every side shows it. `taken_in`: after the horizon, or taken in by a person."""

    order_id: str
    product: ProductKey
    created_at: datetime
    taken_in: bool
    payment: Payment
    paid_at: datetime | None = None
    delivery: Delivery = Delivery.NONE
    job: JobView | None = None
    result_mail: MailStatus | None = None
    delay_mail: MailStatus | None = None
    has_address: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long an unpaid order can still be paid, and how long a payer waits before being told of the delay."""

    unpaid_max_age: timedelta = timedelta(hours=24)
    delay_mail_after: timedelta = timedelta(minutes=10)


class StepKind(StrEnum):
    WAIT = "wait"
    MAKE_JOB = "make_job"
    REVIVE_JOB = "revive_job"
    MARK_PAID = "mark_paid"
    CANCEL_JOB = "cancel_job"
    DELIVER = "deliver"
    MAIL = "mail"
    TELL_HUMAN = "tell_human"
    NOTHING = "nothing"


class Why(StrEnum):
    """Closed set of reasons: documents, metrics and screens use these words."""

    BEFORE_HORIZON = "before_horizon"
    PAYMENT_UNKNOWN = "payment_unknown"
    AWAITS_PAYMENT = "awaits_payment"
    NEVER_PAID = "never_paid"
    REFUNDED = "refunded"
    PAYMENT_FAILED = "payment_failed"
    DELIVERED_NEVER_PAID = "delivered_never_paid"
    PAID = "paid"
    QUEUED = "queued"
    RUNNING = "running"
    RESULT_READY = "result_ready"
    DELIVERED = "delivered"
    DELIVERED_ELSEWHERE = "delivered_elsewhere"
    LATE = "late"
    MAIL_QUEUED = "mail_queued"
    MAIL_UNCERTAIN = "mail_uncertain"
    MAIL_FAILED = "mail_failed"
    NO_ADDRESS = "no_address"
    EVALUATION_FAILED = "evaluation_failed"
    CANCELLED = "cancelled"
    SETTLED = "settled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What an order is owed next, and why. `mail` is set for a step MAIL, `until` for a wait that ends by itself."""

    kind: StepKind
    why: Why
    mail: MailKind | None = None
    until: datetime | None = None


def next_step(view: OrderView, now: datetime, limits: Limits) -> Step:
    """What this order is owed next: the one rule that worker, survey, sweep and status screen ask."""
    if not view.taken_in:
        return Step(kind=StepKind.NOTHING, why=Why.BEFORE_HORIZON)
    match view.payment:
        case Payment.PAID:
            return _paid(view, now, limits)
        case Payment.REFUNDED:
            return _not_owed(view, Why.REFUNDED)
        case Payment.FAILED | Payment.CANCELLED:
            if view.delivery is not Delivery.NONE and view.result_mail is MailStatus.SENT:
                return Step(kind=StepKind.TELL_HUMAN, why=Why.DELIVERED_NEVER_PAID)
            return _not_owed(view, Why.PAYMENT_FAILED)
        case Payment.PENDING | Payment.UNKNOWN:
            return _unpaid(view, now, limits)


def can_still_be_paid(view: OrderView, now: datetime, limits: Limits) -> bool:
    """Whether an unpaid order is young enough to be evaluated in advance."""
    return view.created_at + limits.unpaid_max_age > now


def _unpaid(view: OrderView, now: datetime, limits: Limits) -> Step:
    if view.job is None:
        known = view.payment is Payment.PENDING
        return Step(kind=StepKind.WAIT, why=Why.AWAITS_PAYMENT if known else Why.PAYMENT_UNKNOWN)
    if can_still_be_paid(view, now, limits):
        until = view.created_at + limits.unpaid_max_age
        return Step(kind=StepKind.WAIT, why=Why.AWAITS_PAYMENT, until=until)
    return _not_owed(view, Why.NEVER_PAID)


def _not_owed(view: OrderView, why: Why) -> Step:
    if view.job is not None and view.job.status is JobStatus.PENDING:
        return Step(kind=StepKind.CANCEL_JOB, why=why)
    return Step(kind=StepKind.NOTHING, why=why)


def _paid(view: OrderView, now: datetime, limits: Limits) -> Step:
    if view.delivery is not Delivery.NONE:
        return _delivered(view)
    step = _undelivered(view)
    promised = step.kind is StepKind.WAIT or step.why is Why.EVALUATION_FAILED
    if promised and _delay_mail_is_due(view, now, limits):
        return Step(kind=StepKind.MAIL, why=Why.LATE, mail=MailKind.DELAY)
    return step


def _undelivered(view: OrderView) -> Step:
    job = view.job
    if job is None:
        return Step(kind=StepKind.MAKE_JOB, why=Why.PAID)
    match job.status:
        case JobStatus.COMPLETED:
            return Step(kind=StepKind.DELIVER, why=Why.RESULT_READY)
        case JobStatus.FAILED:
            return Step(kind=StepKind.TELL_HUMAN, why=Why.EVALUATION_FAILED)
        case JobStatus.CANCELLED:
            # What was cancelled because nothing was owed is owed now. An operator's word stands.
            if job.cancel_reason is CancelReason.OPERATOR:
                return Step(kind=StepKind.TELL_HUMAN, why=Why.CANCELLED)
            return Step(kind=StepKind.REVIVE_JOB, why=Why.PAID)
        case JobStatus.PENDING | JobStatus.PROCESSING:
            if not job.paid:
                return Step(kind=StepKind.MARK_PAID, why=Why.PAID)
            running = job.status is JobStatus.PROCESSING
            return Step(kind=StepKind.WAIT, why=Why.RUNNING if running else Why.QUEUED)


def _delivered(view: OrderView) -> Step:
    match view.result_mail:
        case MailStatus.SENT:
            return Step(kind=StepKind.NOTHING, why=Why.SETTLED)
        case MailStatus.PENDING | MailStatus.PROCESSING:
            return Step(kind=StepKind.WAIT, why=Why.MAIL_QUEUED)
        case MailStatus.UNCERTAIN:
            return Step(kind=StepKind.TELL_HUMAN, why=Why.MAIL_UNCERTAIN)
        case MailStatus.FAILED | MailStatus.SUPPRESSED:
            return Step(kind=StepKind.TELL_HUMAN, why=Why.MAIL_FAILED)
        case None:
            return _unmailed(view)


def _unmailed(view: OrderView) -> Step:
    if view.delivery is Delivery.OTHERS:
        # Whoever wrote this result may have mailed it too; nothing in the database tells. Never mail on a guess.
        if view.job is None:
            return Step(kind=StepKind.NOTHING, why=Why.DELIVERED_ELSEWHERE)
        if view.job.status is JobStatus.PENDING:
            return Step(kind=StepKind.CANCEL_JOB, why=Why.DELIVERED_ELSEWHERE)
        return Step(kind=StepKind.TELL_HUMAN, why=Why.DELIVERED_ELSEWHERE)
    if not view.has_address:
        return Step(kind=StepKind.TELL_HUMAN, why=Why.NO_ADDRESS)
    return Step(kind=StepKind.MAIL, why=Why.DELIVERED, mail=MailKind.RESULT)


def _delay_mail_is_due(view: OrderView, now: datetime, limits: Limits) -> bool:
    since = view.paid_at or view.created_at
    return view.delay_mail is None and view.has_address and now - since >= limits.delay_mail_after


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeGuard:
    """A pass that would take in more than `most` strangers, each paid longer than `old` ago, takes in none."""

    most: int = 10
    old: timedelta = timedelta(hours=1)

    def is_stranger(self, view: OrderView, now: datetime, *, known: bool) -> bool:
        """Paid long ago, and no pass has known it before: on its own a lost order, in numbers a mistake of ours."""
        return not known and now - (view.paid_at or view.created_at) > self.old
