"""The whole shop at one look: figures as values, and where each order stands by the central rule."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import assert_never

from pferdewert_ops.domain.breaker import BreakerMode
from pferdewert_ops.domain.jobs import JobStatus
from pferdewert_ops.domain.orders import Delivery, Limits, OrderView, Payment, Step, StepKind, Why, next_step
from pferdewert_ops.operations.ports import Order

# A status screen looks this far back: what is older and not settled has a finding by now.
LOOKS_BACK = timedelta(days=7)
# And at no more orders than these; a shop has fifty a day.
MOST_ORDERS = 20_000

# What the finding about the day's model budget says of who waits; it knows of the money set aside for what runs.
UNPAID_WAIT, ALL_WAIT = "unpaid orders wait", "every order waits"

# How the subject of a finding ends that is about an order's delay mail.
OF_DELAY_MAIL = ":delay"


class Standing(StrEnum):
    """Where an order stands, in the words of the status screen."""

    NEEDS_PERSON = "needs_person"
    DUE = "due"
    QUEUED = "queued"
    RUNNING = "running"
    MAIL_QUEUED = "mail_queued"
    AWAITS_PAYMENT = "awaits_payment"
    PAYMENT_UNKNOWN = "payment_unknown"
    SETTLED = "settled"
    NOT_OWED = "not_owed"


def standing_of(step: Step) -> Standing:
    """What the order's next step says about it. DUE: a worker takes it within seconds."""
    match step.kind:
        case StepKind.TELL_HUMAN:
            return Standing.NEEDS_PERSON
        case StepKind.NOTHING:
            return Standing.SETTLED if step.why is Why.SETTLED else Standing.NOT_OWED
        case StepKind.WAIT:
            return _WAITS.get(step.why, Standing.QUEUED)
        case (
            StepKind.MAKE_JOB
            | StepKind.REVIVE_JOB
            | StepKind.MARK_PAID
            | StepKind.CANCEL_JOB
            | StepKind.DELIVER
            | StepKind.MAIL
        ):
            return Standing.DUE
        case _:
            assert_never(step.kind)


_WAITS = {
    Why.RUNNING: Standing.RUNNING,
    Why.MAIL_QUEUED: Standing.MAIL_QUEUED,
    Why.AWAITS_PAYMENT: Standing.AWAITS_PAYMENT,
    Why.PAYMENT_UNKNOWN: Standing.PAYMENT_UNKNOWN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSeen:
    """One worker on record. `seen_ago` by the server's clock; alive as long as a lease of its would be."""

    name: str
    queues: tuple[str, ...]
    concurrency: int
    busy: int
    state: str
    seen_ago: timedelta
    is_alive: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSeen:
    """One queue. `ready` may be claimed now, `waiting` later; `stuck` of those that run have let their lease lapse.

    `failed` are those of the last 24 hours. `left_alone` are jobs of the shop's for orders from before the horizon,
    `not_taken_over` its other ones, which the next worker takes over.
    `oldest`: how long the first one has been ready.
    """

    name: str
    ready: int
    waiting: int
    running: int
    stuck: int
    failed: int
    uncertain: int = 0
    left_alone: int = 0
    not_taken_over: int = 0
    oldest: timedelta | None = None
    paused_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerSeen:
    name: str
    mode: BreakerMode
    failures: int
    open_for: timedelta | None = None
    next_probe_in: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingsSeen:
    """The open findings of one kind. `open_for` is the oldest's, `seen_ago` the latest's; `subjects` are a few of them,
    the oldest first, and `detail` is the oldest's.
    """

    kind: str
    count: int
    open_for: timedelta
    seen_ago: timedelta
    subjects: tuple[str, ...]
    detail: str = ""

    @property
    def is_about_delay_mails(self) -> bool:
        """The reader of the findings puts these apart, so that the first one tells of all."""
        return bool(self.subjects) and self.subjects[0].endswith(OF_DELAY_MAIL)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersSeen:
    """The orders made since then. `late`: paid, owed, and longer without a result than a customer is left waiting."""

    since: datetime
    seen: int
    is_partial: bool = False
    standings: Mapping[Standing, int] = field(default_factory=dict)
    late: int = 0
    latest_by: timedelta = timedelta(0)
    latest: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Everything that the status screen shows. Amounts in millionths of a euro.

    `queues` is empty where our indexes are missing, without which counting would read whole collections.
    """

    database: str
    horizon: datetime | None
    workers: tuple[WorkerSeen, ...]
    queues: tuple[QueueSeen, ...]
    breakers: tuple[BreakerSeen, ...]
    models: tuple[str, ...]
    spent_micro: int
    calls: int
    budget_micro: int
    orders: OrdersSeen
    findings: tuple[FindingsSeen, ...]
    sends_mail: bool = True

    @property
    def alive(self) -> tuple[WorkerSeen, ...]:
        return tuple(worker for worker in self.workers if worker.is_alive)


def survey_standings(
    pages: Iterable[list[Order]], since: datetime, now: datetime, limits: Limits, most: int = MOST_ORDERS
) -> OrdersSeen:
    """Ask the central rule about every order, and change nothing."""
    standings: Counter[Standing] = Counter()
    seen = late = 0
    latest_by, latest = timedelta(0), None
    for page in pages:
        for order in page:
            seen += 1
            standings[standing_of(next_step(order.view, now, limits))] += 1
            waited = late_by(order.view, now, limits)
            if waited is not None:
                late += 1
                if waited > latest_by:
                    latest_by, latest = waited, order.view.order_id
        if seen >= most:
            return OrdersSeen(
                since=since,
                seen=seen,
                is_partial=True,
                standings=dict(standings),
                late=late,
                latest_by=latest_by,
                latest=latest,
            )
    return OrdersSeen(since=since, seen=seen, standings=dict(standings), late=late, latest_by=latest_by, latest=latest)


def late_by(view: OrderView, now: datetime, limits: Limits) -> timedelta | None:
    """How long a payer has been waiting for a result that is still on its way, once that is too long.

    One whose evaluation has failed for good is a finding instead: no worker will help it.
    """
    if not view.taken_in or view.payment is not Payment.PAID or view.delivery is not Delivery.NONE:
        return None
    if view.job is not None and view.job.status in {JobStatus.FAILED, JobStatus.CANCELLED}:
        return None
    waited = now - (view.paid_at or view.created_at)
    return waited if waited >= limits.delay_mail_after else None
