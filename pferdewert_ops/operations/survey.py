"""Survey: a pass over all orders after the horizon, which finds what no event told of and moves each one on."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import chain

from pferdewert_ops.domain.jobs import JobStatus
from pferdewert_ops.domain.orders import IntakeGuard, Limits, Step, StepKind, Why, next_step
from pferdewert_ops.operations.advance import HUMAN_KINDS
from pferdewert_ops.operations.one_by_one import ORDER_STUCK, OneByOne
from pferdewert_ops.operations.ports import Clock, Findings, Order, Orders

# What takes an order in: from here on it costs money or speaks to a customer.
_TAKES_IN = frozenset({StepKind.MAKE_JOB, StepKind.MAIL, StepKind.REVIVE_JOB, StepKind.DELIVER})
GUARD_FINDING = "intake_guard"
BAD_INPUT = "bad_input"
# Enough of those that were held back to look at what they have in common.
STRANGERS_NAMED = 10


class Scope(StrEnum):
    """How far back a pass looks. What the deep one refused to take in, a recent one must not take in piece by piece."""

    RECENT = "recent"
    DEEP = "deep"


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyReport:
    """What one pass saw and did. `held_back`: strangers that were not taken in because there were too many."""

    seen: int
    moved: int
    held_back: int
    steps: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    orders: Orders
    advance: OneByOne
    findings: Findings
    clock: Clock
    limits: Limits
    guard: IntakeGuard
    open_findings: Callable[[str], set[str]]

    def run(
        self, since: datetime, *, scope: Scope = Scope.DEEP, stop: Callable[[], bool] = lambda: False
    ) -> SurveyReport:
        """Look at every order made since then, and at those that a person took in; bounded memory.

        At most a page of orders and the ids of the strangers are held at once.
        """
        steps: Counter[str] = Counter()
        strangers: list[str] = []
        seen = moved = 0
        told = {kind: self.open_findings(kind) for kind in (*HUMAN_KINDS, BAD_INPUT, ORDER_STUCK)}
        for page in chain(self.orders.since(since), self.orders.watched()):
            if stop():
                # How many strangers there are is not known by half a pass, so none of them is taken in.
                return SurveyReport(seen=seen, moved=moved, held_back=0, steps=steps)
            now = self.clock.now()
            seen += len(page)
            known: list[str] = []
            settled: list[str] = []
            for order in page:
                step = next_step(order.view, now, self.limits)
                steps[step.kind.value] += 1
                self._close_findings(order, step, told)
                if order.watched and step.kind is StepKind.NOTHING:
                    settled.append(order.view.order_id)
                if not _needs_hands(order, step):
                    if step.why is Why.AWAITS_PAYMENT and not order.known:
                        known.append(order.view.order_id)
                    continue
                if step.kind in _TAKES_IN and self.guard.is_stranger(order.view, now, known=order.known):
                    strangers.append(order.view.order_id)
                    continue
                known.append(order.view.order_id)
                self.advance.order(order.view.order_id)
                moved += 1
            self.orders.remember(known)
            self.orders.unwatch(settled)
        admitted = self._admitted(strangers, scope)
        for order_id in admitted:
            self.orders.remember([order_id])
            self.advance.order(order_id)
        held_back = len(strangers) - len(admitted)
        return SurveyReport(seen=seen, moved=moved + len(admitted), held_back=held_back, steps=steps)

    def _admitted(self, strangers: list[str], scope: Scope) -> list[str]:
        """A few lost orders are taken in; many at once are more likely our mistake, and wait for a person."""
        refused_deep = scope is Scope.RECENT and Scope.DEEP.value in self.open_findings(GUARD_FINDING)
        too_many = len(strangers) > self.guard.most
        if scope is Scope.DEEP or refused_deep:
            self.findings.close(GUARD_FINDING, Scope.RECENT.value)  # the deep one's finding says it all
        if refused_deep:
            return []
        if too_many:
            few = ", ".join(strangers[:STRANGERS_NAMED]) + (", …" if len(strangers) > STRANGERS_NAMED else "")
            told = f"{len(strangers)} orders paid over an hour ago: {few}"
            self.findings.open(GUARD_FINDING, scope.value, told)
            return []
        self.findings.close(GUARD_FINDING, scope.value)
        return strangers

    def _close_findings(self, order: Order, step: Step, told: Mapping[str, set[str]]) -> None:
        for kind, subjects in told.items():
            if order.view.order_id in subjects and not _still_holds(kind, order, step):
                self.findings.close(kind, order.view.order_id)


def _still_holds(kind: str, order: Order, step: Step) -> bool:
    """Whether the order still needs a person for this reason. A delay mail that falls due settles nothing."""
    job_failed = order.view.job is not None and order.view.job.status is JobStatus.FAILED
    if kind == BAD_INPUT:
        return job_failed
    if kind == ORDER_STUCK:
        return step.kind not in {StepKind.WAIT, StepKind.NOTHING, StepKind.TELL_HUMAN}
    if step.why is Why.LATE:
        return kind == Why.EVALUATION_FAILED and job_failed
    return step.kind is StepKind.TELL_HUMAN and step.why == kind


def _needs_hands(order: Order, step: Step) -> bool:
    surplus = order.view.taken_in and bool(order.surplus_jobs)
    return step.kind not in {StepKind.WAIT, StepKind.NOTHING} or surplus
