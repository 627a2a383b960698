"""Advance one order: ask the central rule what it is owed, do that one thing, ask again, until it has to wait."""

from collections.abc import Callable
from dataclasses import dataclass

from pferdewert_ops.domain.jobs import CancelReason, JobStatus
from pferdewert_ops.domain.letters import MailKind
from pferdewert_ops.domain.orders import Limits, Step, StepKind, Why, next_step
from pferdewert_ops.operations.ports import Clock, DeliveryOutcome, Failpoints, Findings, Jobs, Mails, Order, Orders

# Steps that one order can take without waiting: revive, mark paid, deliver, mail, and once more to see that it rests.
MOST_STEPS = 6

# A finding of one of these kinds ends by itself once the order needs nobody any more.
HUMAN_KINDS = frozenset(
    {
        Why.DELIVERED_NEVER_PAID,
        Why.DELIVERED_ELSEWHERE,
        Why.MAIL_UNCERTAIN,
        Why.MAIL_FAILED,
        Why.NO_ADDRESS,
        Why.EVALUATION_FAILED,
        Why.CANCELLED,
    }
)

_CANCEL_REASONS = {
    Why.NEVER_PAID: CancelReason.UNPAID_TOO_OLD,
    Why.PAYMENT_FAILED: CancelReason.PAYMENT_FAILED,
    Why.DELIVERED_ELSEWHERE: CancelReason.ALREADY_DELIVERED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Advance:
    """The hands of the central rule. `tell_operators`: a second mail goes to the shop's own people."""

    orders: Orders
    jobs: Jobs
    mails: Mails
    findings: Findings
    clock: Clock
    failpoints: Failpoints
    limits: Limits
    tell_operators: bool
    on_step: Callable[[Order, Step], None]

    def order(self, order_id: str) -> Step | None:
        """Move one order as far as it can go now; returns the step at which it rests, None if it is gone."""
        for _ in range(MOST_STEPS):
            found = self.orders.look([order_id])
            if not found:
                return None
            step = next_step(found[0].view, self.clock.now(), self.limits)
            self._cancel_surplus(found[0])
            if not self._do(found[0], step):
                return step
        return None

    def _cancel_surplus(self, order: Order) -> None:
        """Of two jobs for one order the other one goes: it would only be paid for twice."""
        if not order.view.taken_in:
            return
        for job_id in order.surplus_jobs:
            self.jobs.cancel(job_id, CancelReason.DUPLICATE)

    def _do(self, order: Order, step: Step) -> bool:
        """Do one step; True if the order has moved and should be asked about again."""
        moved = self._act(order, step)
        if moved:
            self.on_step(order, step)
        return moved

    def _act(self, order: Order, step: Step) -> bool:
        view = order.view
        job_id = view.job.id if view.job is not None else ""
        match step.kind:
            case StepKind.WAIT | StepKind.NOTHING:
                return False
            case StepKind.TELL_HUMAN:
                if self.findings.open(step.why.value, view.order_id, step.why.value):
                    self.on_step(order, step)
                return False
            case StepKind.MAKE_JOB:
                return self._then("job_made", self.jobs.make(view.order_id))
            case StepKind.REVIVE_JOB:
                return self.jobs.revive(job_id, actor="payment", expected=[JobStatus.CANCELLED.value])
            case StepKind.MARK_PAID:
                return self._then("paid_marked", self.jobs.mark_paid(job_id))
            case StepKind.CANCEL_JOB:
                return self.jobs.cancel(job_id, _CANCEL_REASONS.get(step.why, CancelReason.NO_LONGER_OWED))
            case StepKind.DELIVER:
                return self._deliver(view.order_id)
            case StepKind.MAIL:
                return self._owe(order, step.mail or MailKind.RESULT)

    def _then(self, failpoint: str, done: bool) -> bool:  # noqa: FBT001 - passed through
        self.failpoints.reach(failpoint)
        return done

    def _deliver(self, order_id: str) -> bool:
        outcome = self.orders.deliver(order_id)
        self.failpoints.reach("delivered")
        return outcome is DeliveryOutcome.DELIVERED

    def _owe(self, order: Order, kind: MailKind) -> bool:
        order_id = order.view.order_id
        if kind is MailKind.RESULT and self.tell_operators:
            self.mails.owe(order_id, MailKind.OPERATOR)
            self.failpoints.reach("notice_owed")
        owed = self.mails.owe(order_id, kind, with_bcc=kind is MailKind.RESULT and order.view.delay_mail is None)
        self.failpoints.reach("mail_owed")
        return owed
