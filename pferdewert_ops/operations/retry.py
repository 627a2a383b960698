"""Retry: give an order that got stuck a fresh start on a person's word."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Protocol, assert_never

from pferdewert_ops.domain.failures import ErrorClass
from pferdewert_ops.domain.letters import MailKind
from pferdewert_ops.domain.orders import Payment, Step, Why
from pferdewert_ops.operations.ports import Findings
from pferdewert_ops.operations.retry_plan import Judged, Planner, Treatment

# Findings about an order that a fresh start answers.
_ANSWERED = (Why.EVALUATION_FAILED, Why.CANCELLED, Why.MAIL_FAILED, ErrorClass.BAD_INPUT)


class Advancing(Protocol):
    def order(self, order_id: str) -> Step | None: ...


class Audit(Protocol):
    """The append-only record of what people change; an entry is stored before the change that it tells of."""

    def record(
        self, action: str, subject: str, *, before: Mapping[str, object], after: Mapping[str, object]
    ) -> None: ...


class Result(StrEnum):
    """DONE here; by OTHERS at the same moment; REFUSED by the plan; CHANGED meanwhile, so that nothing was done."""

    DONE = "done"
    OTHERS = "others"
    REFUSED = "refused"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a retry. `judged` is what was decided on; `rests` is where it stands now, if it was advanced."""

    result: Result
    judged: Judged
    rests: Step | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """The hands: audit, take in, then one compare-and-set on the state that was judged."""

    planner: Planner
    advance: Advancing
    findings: Findings
    audit: Audit
    actor: str
    show_statuses: bool = False

    def order(self, order_id: str, *, said_paid: bool = False, delay: timedelta = timedelta(0)) -> Outcome | None:
        """Retry one order; None if it is gone. `delay`: workers leave a made or restarted job alone for so long."""
        judged = self.planner.plan(order_id, said_paid=said_paid)
        if judged is None:
            return None
        if judged.plan.treatment is None:
            return Outcome(result=Result.REFUSED, judged=judged)
        self.audit.record("retry", order_id, before=_facts(judged), after=_intent(judged))
        if judged.pays and not self.planner.orders.confirm_payment(order_id, judged.order.view.payment):
            return Outcome(result=Result.CHANGED, judged=judged)
        if not judged.order.view.taken_in:
            self.planner.orders.take_in(order_id)
        self.planner.orders.remember([order_id])
        if not self._treat(judged, judged.plan.treatment, delay):
            return self._lost(order_id, judged)
        for kind in _ANSWERED:
            self.findings.close(kind.value, order_id)
        # Who evaluates it himself right away brings it further than a pass could now.
        rests = None if delay else self.advance.order(order_id)
        return Outcome(result=Result.DONE, judged=judged, rests=rests)

    def _treat(self, judged: Judged, treatment: Treatment, delay: timedelta) -> bool:
        order_id, restarts = judged.order.view.order_id, self.planner.restarts
        match treatment:
            case Treatment.MAKE_JOB:
                return restarts.make(order_id, delay=delay)
            case Treatment.RESTART_JOB:
                assert judged.job is not None, "only a job is restarted"  # noqa: S101
                paid = judged.pays or judged.order.view.payment is Payment.PAID
                done = restarts.restart(judged.order, judged.job, paid=paid, actor=self.actor, delay=delay)
                if done and self.show_statuses:
                    self.planner.orders.show_status(order_id, "retry")
                return done
            case Treatment.FINISH:
                return True  # advancing is the treatment
            case Treatment.SEND_MAIL:
                return restarts.resend(order_id, MailKind.RESULT, actor=self.actor)
            case _:
                assert_never(treatment)

    def _lost(self, order_id: str, judged: Judged) -> Outcome:
        """Somebody was faster. If what he did is what was wanted, that is as good."""
        now = self.planner.plan(order_id)
        served = {Why.QUEUED, Why.RUNNING, Why.MAIL_QUEUED, Why.SETTLED}
        if now is not None and now.plan.treatment is None and now.plan.why in served:
            return Outcome(result=Result.OTHERS, judged=now)
        return Outcome(result=Result.CHANGED, judged=judged)


def _facts(judged: Judged) -> dict[str, object]:
    """What was judged, as the audit keeps it: states and codes only."""
    view = judged.order.view
    return {
        "payment": view.payment.value,
        "delivery": view.delivery.value,
        "takenIn": view.taken_in,
        "job": None if judged.job is None else judged.job.id,
        "jobStatus": None if judged.job is None else judged.job.status.value,
        "fence": None if judged.job is None else judged.job.fence,
        "resultMail": None if view.result_mail is None else view.result_mail.value,
        "why": judged.plan.why.value,
    }


def _intent(judged: Judged) -> dict[str, object]:
    treatment = judged.plan.treatment
    intent: dict[str, object] = {"treatment": None if treatment is None else treatment.value, "takenIn": True}
    return {**intent, "payment": Payment.PAID.value, "paymentSource": "operator"} if judged.pays else intent
