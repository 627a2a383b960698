"""What the demonstration does to the running shop: a worker is killed, customers pay, mails fail, waits are cut short.

Each act looks at the facts again and again, and does its part when its moment has come. `news` are its sentences.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pferdewert_ops.adapters.mongo import documents
from pferdewert_ops.domain.failures import ErrorClass
from pferdewert_ops.domain.jobs import JobStatus
from pferdewert_ops.domain.letters import MailKind
from pferdewert_ops.domain.orders import MailStatus
from pferdewert_ops.sandbox.anthropic_journal import Outcome as CallOutcome
from pferdewert_ops.sandbox.demo.orders import DemoOrder
from pferdewert_ops.sandbox.demo.progress import Facts
from pferdewert_ops.sandbox.demo.stage import Stage
from pferdewert_ops.sandbox.demo.waits import LongWait, end_now, long_waits
from pferdewert_ops.sandbox.demo.workers import WorkerBroken
from pferdewert_ops.sandbox.mailbox import FaultRule, Via

Tell = Callable[[str], None]

# A fault that strikes in the very moment of the kill would be lost with the worker: the kill waits so long for a
# moment without one.
CALM = timedelta(seconds=5)


@dataclass(slots=True, kw_only=True)
class Killed:
    """A worker that was killed: when, under which name it held how many leases, and how long after they were others'.

    `taken_back` ends with the lease, `in_work_again` with the next claim, for which there may be a queue.
    """

    holder: str
    at: datetime
    leases: int
    taken_back: timedelta | None = None
    in_work_again: timedelta | None = None


class Kill:
    """One worker is killed with SIGKILL while it holds an order, and a fresh one is started in its place."""

    def __init__(self, stage: Stage, tell: Tell) -> None:
        self._stage = stage
        self._tell = tell
        self._victim = next((order for order in stage.orders if order.kind.dies), None)
        self._ready_since: datetime | None = None
        self.killed: Killed | None = None

    @property
    def is_over(self) -> bool:
        return self._victim is None or (self.killed is not None and self.killed.in_work_again is not None)

    def look(self, facts: Sequence[Facts], now: datetime) -> None:
        if self.is_over:
            return
        job = next((one.job for one in facts if one.order is self._victim), None)
        if job is None:
            return
        if self.killed is None:
            if job["status"] == JobStatus.PROCESSING and self._is_writing() and self._is_calm(facts, job, now):
                self._strike(str(job["processedBy"]))
            return
        loss = next((event for event in job.get("history", []) if event.get("class") == ErrorClass.WORKER_LOST), None)
        if self.killed.taken_back is None and loss is not None:
            self.killed.taken_back = loss["at"] - self.killed.at
            seconds = self.killed.taken_back.total_seconds()
            self._tell(f"the job that the killed worker held was taken back after {seconds:.1f} s")
        if job.get("processedBy") != self.killed.holder:
            self.killed.in_work_again = job["startedAt"] - self.killed.at

    def _is_writing(self) -> bool:
        """Whether the model has begun to write about the victim, and hangs there as it was told to."""
        return any(
            entry.outcome is CallOutcome.HANGING and self._victim is not None and self._victim.brand in entry.prompt
            for entry in self._stage.sandbox.model.journal.entries()
        )

    def _is_calm(self, facts: Sequence[Facts], job: dict[str, object], now: datetime) -> bool:
        self._ready_since = self._ready_since or now
        if now - self._ready_since >= CALM:
            return True
        return not any(
            one.order.kind.model_faults
            for one in facts
            if one.order is not self._victim
            and one.job is not None
            and one.job["status"] == JobStatus.PROCESSING
            and one.job.get("processedBy") == job["processedBy"]
        )

    def _strike(self, holder: str) -> None:
        pid = int(holder.split("/")[-2])
        worker = self._stage.worker_with(pid)
        if worker is None:
            raise WorkerBroken(f"A job is held by {holder}, which is no worker of this demonstration.")
        at = datetime.now(UTC)
        worker.kill()
        held = {"status": JobStatus.PROCESSING.value, "processedBy": holder}
        leases = sum(
            self._stage.database[collection].count_documents(held) for collection in (documents.JOBS, documents.MAILS)
        )
        fresh = self._stage.start_worker()
        self.killed = Killed(holder=holder, at=at, leases=leases)
        self._tell(f"worker {worker.number} (pid {pid}) was killed with SIGKILL; worker {fresh.number} is started")


class Payments:
    """Customers who pay while their evaluation is written already: first the plain ones, then those whose mail fails.

    A mail fault strikes whichever result mail goes out next. So these come last, one by one, when no other is left.
    """

    def __init__(self, stage: Stage, tell: Tell) -> None:
        self._stage = stage
        self._tell = tell

    def look(self, facts: Sequence[Facts], *, may_begin: bool) -> None:
        if not may_begin:
            return
        open_ = [one for one in facts if one.order.kind.pays and one.is_evaluated and not one.paid]
        plain = [one for one in open_ if one.order.kind.mail_fault is None]
        for one in plain:
            self._pay(one.order)
        failing = [one for one in facts if one.order.kind.mail_fault is not None]
        others_rest = all(one.is_settled for one in facts if one not in failing)
        if plain or not others_rest or not all(one.is_evaluated for one in failing):
            return
        if all(not one.paid or _has_failed(one) for one in failing):
            waiting = next((one for one in failing if not one.paid), None)
            if waiting is not None:
                self._arm(waiting.order)
                self._pay(waiting.order)

    def have_struck(self, facts: Sequence[Facts]) -> bool:
        """Whether every mail fault has met its mail."""
        return all(_has_failed(one) for one in facts if one.order.kind.mail_fault is not None)

    def _arm(self, order: DemoOrder) -> None:
        fault = order.kind.mail_fault
        assert fault is not None, "asked only of orders whose mail fails"  # noqa: S101
        self._stage.sandbox.mail.add_rule(FaultRule(fault=fault, via=Via.RESEND, kind=MailKind.RESULT.value, count=1))

    def _pay(self, order: DemoOrder) -> None:
        """As the shop's webhook does it. The time stays the one that was fixed when the orders were made up."""
        self._stage.database[order.product.collection].update_one({"_id": order.id}, {"$set": order.payment})
        self._tell(f"the customer of {str(order.id)[-6:]} pays")


def _has_failed(facts: Facts) -> bool:
    mail = facts.mails.get(MailKind.RESULT.value)
    return mail is not None and (mail.get("error") is not None or mail["status"] == MailStatus.SENT)


class Waits:
    """Long waits are compared with their policy and then cut short."""

    def __init__(self, stage: Stage, tell: Tell) -> None:
        self._stage = stage
        self._tell = tell
        self.skipped: list[LongWait] = []

    def look(self, facts: Sequence[Facts], now: datetime, *, of_mails: bool) -> None:
        """`of_mails`: mails may go out again, because every mail fault has struck the mail that it was meant for."""
        for wait in long_waits(facts, now):
            if (of_mails or wait.collection != documents.MAILS) and end_now(self._stage.database, wait):
                self.skipped.append(wait)
                length, after = wait.length.total_seconds(), wait.error_class.replace("_", " ")
                self._tell(f"{wait.order_id[-6:]}: the wait of {length:.0f} s after {after} is cut short here")
