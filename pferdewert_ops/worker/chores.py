"""What a worker does besides its queues: rescue, adopt, survey, promote. Any number of workers may."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from pferdewert_ops.adapters.mongo.evaluation_jobs import EvaluationQueue
from pferdewert_ops.adapters.mongo.mail_outbox import MailQueue
from pferdewert_ops.adapters.mongo.slots import COLLECTION as SLOTS
from pferdewert_ops.adapters.mongo.slots import end_leases
from pferdewert_ops.adapters.mongo.workers import Workers
from pferdewert_ops.adapters.system import Identity, is_dead
from pferdewert_ops.domain.failures import MAIL_POLICIES, POLICIES, ErrorClass, Policy
from pferdewert_ops.domain.jobs import Attempts, Failure, after_failure
from pferdewert_ops.operations.ports import Unsuccessful
from pferdewert_ops.operations.survey import GUARD_FINDING, Scope, SurveyReport
from pferdewert_ops.wiring import Shop
from pferdewert_ops.worker.held import HeldDocuments

RESCUED_AT_ONCE = 100
JOB_WITHOUT_ORDER = "job_without_order"
# A session can be paid for a day, and what is delayed settles within days: everything else is rare enough to wait.
RECENT = timedelta(days=3)
DEEP_EVERY = timedelta(minutes=30)
LOST = Failure(error_class=ErrorClass.WORKER_LOST, code="lease_expired")


class Chores:
    """The chores of one worker. `report` is the last survey's, for the exit code of a draining worker."""

    def __init__(
        self,
        shop: Shop,
        *,
        evaluation: EvaluationQueue,
        mail: MailQueue,
        workers: Workers,
        held: HeldDocuments,
        on_median: Callable[[float | None], None],
    ) -> None:
        self._shop = shop
        self._evaluation = evaluation
        self._mail = mail
        self._workers = workers
        self._held = held
        self._on_median = on_median
        self._reports: dict[Scope, SurveyReport] = {}

    def rescue(self) -> bool:
        """Take back what dead workers held: at once where they certainly are dead, else when the lease ran out."""
        queues = (self._evaluation, self._mail)
        for holder in self._workers.bury(self._is_dead):
            ended = sum(queue.leased.expire_holder(holder) for queue in queues)
            end_leases(self._shop.database[SLOTS], [queue.name for queue in queues], holder)
            self._workers.buried(holder)
            self._shop.tell("worker_lost", worker=holder, leases=ended)
        return self._take_back_all(self._evaluation, POLICIES) + self._take_back_all(self._mail, MAIL_POLICIES) > 0

    def _is_dead(self, worker: dict[str, Any]) -> bool:
        return is_dead(Identity(**worker), self._shop.identity)

    def _take_back_all(self, queue: Any, policies: dict[ErrorClass, Policy]) -> int:
        total = taken = self._take_back(queue, policies)
        while taken == RESCUED_AT_ONCE:
            taken = self._take_back(queue, policies)
            total += taken
        return total

    def _take_back(self, queue: Any, policies: dict[ErrorClass, Policy]) -> int:
        fallback = self._shop.models.fallback is not None and policies is POLICIES
        outcomes = [
            (item, Unsuccessful(failure=LOST, after=_after_loss(item.attempts, policies, fallback=fallback)))
            for item in queue.expired(RESCUED_AT_ONCE)
            # After a long outage our own leases have run out too; what was paid for is still on its way to the server.
            if not self._held.holds(queue.leased, item.handle)
        ]
        if not outcomes:
            return 0
        others = queue.settle(outcomes, expired=True)
        self._shop.failpoints.reach("taken_back")
        for item, _ in outcomes:
            if item.id not in others:
                self._shop.tell("lease_expired", queue=queue.name, job=item.id, fence=item.fence)
        if queue is self._evaluation:
            for item, _ in outcomes:
                self._shop.one_by_one.order(item.order_id)
        self.promote()
        return len(outcomes) - len(others)

    def adopt(self) -> bool:
        """Take over the jobs that the shop itself inserted since the horizon."""
        adopted, orphans = self._shop.jobs.adopt(self._shop.horizon)
        told = self._shop.findings.open_subjects(JOB_WITHOUT_ORDER)
        for job_id in set(orphans) - told:
            self._shop.findings.open(JOB_WITHOUT_ORDER, job_id, "no order has this id")
            self._shop.tell(JOB_WITHOUT_ORDER, job=job_id)
        for job_id in told - set(orphans):
            self._shop.findings.close(JOB_WITHOUT_ORDER, job_id)
        for order_id in adopted:
            self.adopted(order_id)
            self.know(order_id)
        return bool(adopted)

    def adopted(self, order_id: str) -> None:
        """The shop's job for this order is ours now."""
        self._shop.failpoints.reach("adopted")
        self._shop.tell("adopted", order=order_id)

    def know(self, order_id: str) -> None:
        """From here on the order is known; a second job for it goes."""
        self._shop.orders.remember([order_id])
        self._shop.one_by_one.order(order_id)

    def survey(self, stop: Callable[[], bool]) -> bool:
        """Look at the orders of the last days; one worker of the fleet does it at a time."""
        self._on_median(self._shop.jobs.median_seconds())
        if self._reports and not self._shop.fleet.take_tick("survey", self._shop.settings.survey_every):
            return False
        return self._survey(Scope.RECENT, max(self._shop.horizon, self._shop.clock.now() - RECENT), stop)

    def deep_survey(self, stop: Callable[[], bool]) -> bool:
        """Look at all orders after the horizon, for what changed late and was not told."""
        is_ours = self._shop.fleet.take_tick("deep_survey", DEEP_EVERY) or self._judges_again()
        return is_ours and self._survey(Scope.DEEP, self._shop.horizon, stop)

    def _judges_again(self) -> bool:
        """A worker that starts while the guard holds orders back looks for itself: its limit may be another one."""
        if Scope.DEEP in self._reports:
            return False
        return Scope.DEEP.value in self._shop.findings.open_subjects(GUARD_FINDING)

    def _survey(self, scope: Scope, since: datetime, stop: Callable[[], bool]) -> bool:
        report = self._shop.survey.run(since, scope=scope, stop=stop)
        if report.held_back not in {0, self.held_back}:
            self._shop.tell("intake_refused", orders=report.held_back, most=self._shop.settings.intake_guard)
        self._reports[scope] = report
        return report.moved > 0

    @property
    def held_back(self) -> int:
        """How many orders the intake guard refused in the latest passes of this worker."""
        return max((report.held_back for report in self._reports.values()), default=0)

    def promote(self) -> bool:
        """Rank what is due."""
        return self._evaluation.leased.promote() + self._mail.leased.promote() > 0

    def paid(self, order_id: str) -> None:
        """An order's payment status changed just now. One that was paid long ago goes through the survey's guard."""
        guard, now = self._shop.guard, self._shop.clock.now()
        for order in self._shop.orders.look([order_id]):
            if not guard.is_stranger(order.view, now, known=order.known):
                self._shop.orders.remember([order_id])
                self._shop.one_by_one.order(order_id)


def _after_loss(attempts: Attempts, policies: dict[ErrorClass, Policy], *, fallback: bool) -> Any:
    return after_failure(attempts, LOST, jitter=random.random(), fallback=fallback, policies=policies)
