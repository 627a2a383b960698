"""The end of the demonstration: every order against what it should be, and the figures of the whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from pferdewert_ops.config import Settings
from pferdewert_ops.domain.jobs import JobStatus
from pferdewert_ops.domain.letters import MailKind
from pferdewert_ops.sandbox.demo.acts import Killed
from pferdewert_ops.sandbox.demo.comparison import differences
from pferdewert_ops.sandbox.demo.evidence import Evidence
from pferdewert_ops.sandbox.demo.fates import Fate, Found, Written, was_lost
from pferdewert_ops.sandbox.demo.orders import DemoOrder, stored_bytes
from pferdewert_ops.sandbox.demo.waits import LongWait


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One order's fate. `problems` is empty where it is exactly where it should be."""

    order: DemoOrder
    problems: tuple[str, ...]
    model: str | None
    calls: int
    cost_micro: int
    mails: tuple[str, ...]

    @property
    def is_right(self) -> bool:
        return not self.problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """The figures of the whole. Amounts in millionths of a euro; `mailed` counts customers who got their result."""

    orders: int
    delivered: int
    mailed: int
    waiting_for_payment: int
    waiting_for_reconcile: int
    told_to_a_human: int
    not_owed: int
    untouched: int
    model_calls: int
    cost_micro: int
    mails_accepted: int
    duplicate_mails: int
    waits_cut_short: int
    worker_killed: bool
    leases_taken_back: int
    taken_back_after: timedelta | None
    in_work_again_after: timedelta | None
    took: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How it ended. `problems` are about the whole, `verdicts` about each order."""

    verdicts: Sequence[Verdict]
    problems: Sequence[str]
    totals: Totals

    @property
    def is_right(self) -> bool:
        return not self.problems and all(verdict.is_right for verdict in self.verdicts)


def judge(
    orders: Sequence[DemoOrder],
    evidence: Evidence,
    *,
    killed: Killed | None,
    waits: Sequence[LongWait],
    took: timedelta,
) -> Outcome:
    """Compare everything with what it should be."""
    verdicts = [_verdict(order, evidence.found[str(order.id)]) for order in orders]
    problems = [f"there is {stray}" if stray.startswith("a ") else stray for stray in evidence.strays]
    problems += [problem for wait in waits if (problem := wait.problem())]
    problems += _of_the_kill(orders, evidence, killed)
    problems += _of_the_cost(verdicts, evidence)
    return Outcome(verdicts=verdicts, problems=problems, totals=_totals(verdicts, evidence, killed, waits, took))


def _verdict(order: DemoOrder, found: Found | None) -> Verdict:
    settings = Settings()
    document = order.at_the_end()
    written = Written(
        product=order.product,
        currency=order.product.valuation_currency(order.country),
        document=document,
        raw=stored_bytes(document),
        jobs=order.jobs,
        models=(settings.model_primary, settings.model_fallback or settings.model_primary),
    )
    jobs = found.jobs if found is not None else []
    completed = next((job for job in jobs if job["status"] == JobStatus.COMPLETED), None)
    return Verdict(
        order=order,
        problems=tuple(differences(written, order.kind.expectation, found)),
        model=None if completed is None else completed["result"]["model"],
        calls=len(found.calls) if found is not None else 0,
        cost_micro=sum(job.get("costMicroEur", 0) for job in jobs),
        mails=tuple(sorted(found.accepted)) if found is not None else (),
    )


def _of_the_kill(orders: Sequence[DemoOrder], evidence: Evidence, killed: Killed | None) -> list[str]:
    lost = sum(
        was_lost(record)
        for found in evidence.found.values()
        if found is not None
        for record in (*found.jobs, *found.mails.values())
    )
    if killed is None:
        meant = any(order.kind.dies for order in orders)
        return ["no worker was killed"] if meant else [f"{lost} leases were lost without a kill"] if lost else []
    if killed.taken_back is None or killed.in_work_again is None:
        return ["what the killed worker held was never taken up again"]
    if lost != killed.leases:
        return [f"the killed worker held {killed.leases} leases, {lost} were taken back"]
    return []


def _of_the_cost(verdicts: Sequence[Verdict], evidence: Evidence) -> list[str]:
    """Every call that was billed is booked, and stands on its job; one that died with its worker may be booked only."""
    on_jobs = sum(verdict.cost_micro for verdict in verdicts)
    lost = any(was_lost(job) for found in evidence.found.values() if found is not None for job in found.jobs)
    if evidence.booked_micro == on_jobs or (lost and evidence.booked_micro > on_jobs):
        return []
    return [f"{evidence.booked_micro} millionths of a euro are booked, {on_jobs} stand on the jobs"]


def _totals(
    verdicts: Sequence[Verdict],
    evidence: Evidence,
    killed: Killed | None,
    waits: Sequence[LongWait],
    took: timedelta,
) -> Totals:
    right = [verdict.order.kind.expectation for verdict in verdicts if verdict.is_right]
    return Totals(
        orders=len(verdicts),
        delivered=sum(expectation.delivered for expectation in right),
        mailed=sum(MailKind.RESULT.value in verdict.mails for verdict in verdicts),
        waiting_for_payment=sum(expectation.fate is Fate.EVALUATED for expectation in right),
        waiting_for_reconcile=sum(expectation.fate is Fate.RECONCILE for expectation in right),
        told_to_a_human=sum(bool(expectation.findings) for expectation in right),
        not_owed=sum(expectation.fate is Fate.NOT_OWED for expectation in right),
        untouched=sum(expectation.fate is Fate.UNTOUCHED for expectation in right),
        model_calls=evidence.calls,
        cost_micro=evidence.booked_micro,
        mails_accepted=evidence.mails,
        duplicate_mails=evidence.duplicate_mails,
        waits_cut_short=len(waits),
        worker_killed=killed is not None,
        leases_taken_back=0 if killed is None else killed.leases,
        taken_back_after=None if killed is None else killed.taken_back,
        in_work_again_after=None if killed is None else killed.in_work_again,
        took=took,
    )
