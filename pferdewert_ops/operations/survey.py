"""Survey: a pass over all orders after the horizon, which finds what no event told of and moves each one on."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pferdewert_ops.domain.orders import IntakeGuard, Limits, Step, StepKind, Why, next_step
from pferdewert_ops.operations.advance import HUMAN_KINDS, Advance
from pferdewert_ops.operations.ports import Clock, Findings, Order, Orders

# What takes an order in: from here on it costs money or speaks to a customer.
_TAKES_IN = frozenset({StepKind.MAKE_JOB, StepKind.MAIL, StepKind.REVIVE_JOB, StepKind.DELIVER})
GUARD_FINDING = "intake_guard"


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
    advance: Advance
    findings: Findings
    clock: Clock
    limits: Limits
    guard: IntakeGuard
    open_findings: Callable[[str], set[str]]

    def run(self, since: datetime, stop: Callable[[], bool] = lambda: False) -> SurveyReport:
        """Look at every order made since then; bounded memory, at most a page and the strangers at once."""
        steps: Counter[str] = Counter()
        strangers: list[str] = []
        seen = moved = 0
        told: dict[str, set[str]] = {kind.value: self.open_findings(kind) for kind in HUMAN_KINDS}
        for page in self.orders.since(since):
            if stop():
                break
            now = self.clock.now()
            seen += len(page)
            known: list[str] = []
            for order in page:
                step = next_step(order.view, now, self.limits)
                steps[step.kind.value] += 1
                self._close_findings(order, step, told)
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
        return self._admit(strangers, seen, moved, steps)

    def _admit(self, strangers: list[str], seen: int, moved: int, steps: Counter[str]) -> SurveyReport:
        """A few lost orders are taken in; many at once are more likely our mistake, and wait for a person."""
        if len(strangers) > self.guard.most:
            self.findings.open(GUARD_FINDING, "survey", f"{len(strangers)} orders paid over an hour ago")
            return SurveyReport(seen=seen, moved=moved, held_back=len(strangers), steps=steps)
        self.findings.close(GUARD_FINDING, "survey")
        for order_id in strangers:
            self.orders.remember([order_id])
            self.advance.order(order_id)
        return SurveyReport(seen=seen, moved=moved + len(strangers), held_back=0, steps=steps)

    def _close_findings(self, order: Order, step: Step, told: Mapping[str, set[str]]) -> None:
        for kind, subjects in told.items():
            if order.view.order_id in subjects and not (step.kind is StepKind.TELL_HUMAN and step.why == kind):
                self.findings.close(kind, order.view.order_id)


def _needs_hands(order: Order, step: Step) -> bool:
    return step.kind not in {StepKind.WAIT, StepKind.NOTHING} or bool(order.surplus_jobs)
