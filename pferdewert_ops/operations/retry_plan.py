"""What a retry of an order comes to: which fresh start it is given, or why it needs or deserves none."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol, assert_never

from pferdewert_ops.domain.jobs import JobStatus
from pferdewert_ops.domain.letters import MailKind
from pferdewert_ops.domain.orders import Delivery, Limits, OrderView, Payment, Step, StepKind, Why, next_step
from pferdewert_ops.operations.ports import Clock, Order

# Payments that a person's word can settle. A failed or refunded one is a statement, not a gap.
OPEN_PAYMENTS = frozenset({Payment.UNKNOWN, Payment.PENDING})


class Treatment(StrEnum):
    """What a retry does. FINISH: deliver and mail what is there already, without a new evaluation."""

    MAKE_JOB = "make_job"
    RESTART_JOB = "restart_job"
    FINISH = "finish"
    SEND_MAIL = "send_mail"


class JobState(Protocol):
    """A job as it stands now. `abandoned`: running by its status, but nobody holds it any more."""

    @property
    def id(self) -> str: ...
    @property
    def status(self) -> JobStatus: ...
    @property
    def fence(self) -> int | None: ...
    @property
    def abandoned(self) -> bool: ...
    @property
    def has_result(self) -> bool: ...


class Restarts(Protocol):
    """What a retry reads and writes beyond what passes do. Writes change nothing if the state moved on."""

    def state(self, job_id: str) -> JobState | None: ...
    def make(self, order_id: str, *, delay: timedelta) -> bool: ...
    def restart(self, order: Order, job: JobState, *, paid: bool, actor: str, delay: timedelta) -> bool: ...
    def was_handed_over(self, order_id: str, kind: MailKind) -> bool: ...
    def resend(self, order_id: str, kind: MailKind, *, actor: str) -> bool: ...


class OrdersToRetry(Protocol):
    def look(self, order_ids: Sequence[str]) -> list[Order]: ...
    def confirm_payment(self, order_id: str, judged: Payment) -> bool: ...
    def take_in(self, order_id: str) -> None: ...
    def remember(self, order_ids: Sequence[str]) -> None: ...
    def show_status(self, order_id: str, status: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a retry of one order comes to, and why; without a `treatment` it is refused."""

    why: Why
    treatment: Treatment | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One order, its job and the plan. `pays`: a person's word for the payment would be stored."""

    order: Order
    job: JobState | None
    plan: Plan
    pays: bool


def judge(
    view: OrderView, job: JobState | None, *, handed_over: bool, horizon: datetime, now: datetime, limits: Limits
) -> Plan:
    """What a retry of this order comes to, by the central rule, asked as if a person had taken the order in.

    `handed_over`: its failed result mail may have reached the provider, so that a new one could be a second one.
    """
    if view.payment in OPEN_PAYMENTS and view.delivery is not Delivery.NONE:
        return Plan(why=Why.DELIVERED_ELSEWHERE)
    # The delay mail would hide what the order waits for, and no retry is about it.
    patient = replace(limits, delay_mail_after=timedelta.max)
    step = next_step(replace(view, taken_in=True), now, patient)
    left_behind = not view.taken_in or (job is not None and job.fence is None and view.created_at < horizon)
    match step.kind:
        case StepKind.MAKE_JOB:
            return Plan(why=step.why, treatment=Treatment.MAKE_JOB)
        case StepKind.DELIVER:
            ready = job is not None and job.status is JobStatus.COMPLETED and job.has_result
            finish = Plan(why=step.why, treatment=Treatment.FINISH)
            return finish if ready else _of_job(job, step, left_behind=left_behind)
        case StepKind.MAIL:
            return Plan(why=step.why, treatment=Treatment.FINISH)
        case StepKind.REVIVE_JOB | StepKind.MARK_PAID:
            return _of_job(job, step, left_behind=left_behind)
        case StepKind.WAIT:
            of_mail = step.why is Why.MAIL_QUEUED
            return Plan(why=step.why) if of_mail else _of_job(job, step, left_behind=left_behind)
        case StepKind.TELL_HUMAN:
            if step.why is Why.MAIL_FAILED:
                return _of_mail(view, handed_over=handed_over)
            undelivered = step.why in {Why.EVALUATION_FAILED, Why.CANCELLED}
            return _of_job(job, step, left_behind=left_behind) if undelivered else Plan(why=step.why)
        case StepKind.CANCEL_JOB | StepKind.NOTHING:
            return Plan(why=Why.PAYMENT_UNKNOWN if view.payment is Payment.UNKNOWN else step.why)
        case _:
            assert_never(step.kind)


def _of_mail(view: OrderView, *, handed_over: bool) -> Plan:
    if handed_over:
        return Plan(why=Why.MAIL_UNCERTAIN)
    return Plan(why=Why.MAIL_FAILED, treatment=Treatment.SEND_MAIL) if view.has_address else Plan(why=Why.NO_ADDRESS)


def _of_job(job: JobState | None, step: Step, *, left_behind: bool) -> Plan:
    if job is None:
        return Plan(why=step.why)
    match job.status:
        case JobStatus.FAILED:
            return Plan(why=Why.EVALUATION_FAILED, treatment=Treatment.RESTART_JOB)
        case JobStatus.CANCELLED:
            return Plan(why=Why.CANCELLED, treatment=Treatment.RESTART_JOB)
        case JobStatus.PROCESSING:
            return Plan(why=Why.RUNNING, treatment=Treatment.RESTART_JOB if job.abandoned else None)
        case JobStatus.PENDING:
            if left_behind:
                return Plan(why=Why.BEFORE_HORIZON, treatment=Treatment.RESTART_JOB)
            return Plan(why=Why.QUEUED)
        case JobStatus.COMPLETED:
            return Plan(why=step.why, treatment=None if job.has_result else Treatment.RESTART_JOB)
        case _:
            assert_never(job.status)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planner:
    """Reads an order and judges it; writes nothing."""

    orders: OrdersToRetry
    restarts: Restarts
    clock: Clock
    limits: Limits
    horizon: datetime

    def plan(self, order_id: str, *, said_paid: bool = False) -> Judged | None:
        """The order as judged now; None if neither collection holds it.

        `said_paid`: a person has seen the payment in Stripe. It counts where the order itself does not say.
        """
        found = self.orders.look([order_id])
        if not found:
            return None
        order = found[0]
        view = order.view
        pays = said_paid and view.payment in OPEN_PAYMENTS
        job = None if view.job is None else self.restarts.state(view.job.id)
        plan = judge(
            replace(view, payment=Payment.PAID) if pays else view,
            job,
            handed_over=self.restarts.was_handed_over(order_id, MailKind.RESULT),
            horizon=self.horizon,
            now=self.clock.now(),
            limits=self.limits,
        )
        return Judged(order=order, job=job, plan=plan, pays=pays and plan.treatment is not None)
