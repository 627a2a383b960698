"""What a retry of an order comes to, and in which order it is done."""
# ruff: noqa: ARG002 - the fakes take what the ports give

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from pferdewert_ops.domain.jobs import CancelReason, JobStatus
from pferdewert_ops.domain.letters import MailKind
from pferdewert_ops.domain.orders import Delivery, JobView, Limits, MailStatus, OrderView, Payment, Step, StepKind, Why
from pferdewert_ops.domain.products import BEWERTUNG, ProductKey
from pferdewert_ops.operations.ports import Order
from pferdewert_ops.operations.retry import Result, Retry
from pferdewert_ops.operations.retry_plan import JobState, Plan, Planner, Treatment, judge

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
HORIZON = NOW - timedelta(days=2)
LIMITS = Limits()


@dataclass(frozen=True)
class StoredJob:
    id: str = "job"
    status: JobStatus = JobStatus.FAILED
    fence: int | None = 3
    abandoned: bool = False
    has_result: bool = False


PAID = OrderView(
    order_id="order",
    product=ProductKey.BEWERTUNG,
    created_at=NOW - timedelta(hours=1),
    taken_in=True,
    payment=Payment.PAID,
    paid_at=NOW - timedelta(hours=1),
    has_address=True,
)
OLD = replace(PAID, created_at=NOW - timedelta(days=30), paid_at=None, taken_in=False)


def with_job(view: OrderView, status: JobStatus, *, paid: bool = True, reason: CancelReason | None = None) -> OrderView:
    return replace(view, job=JobView(id="job", status=status, paid=paid, cancel_reason=reason))


def judged(view: OrderView, job: JobState | None = None, *, handed_over: bool = False, limits: Limits = LIMITS) -> Plan:
    if job is None and view.job is not None:
        job = StoredJob(status=view.job.status)
    return judge(view, job, handed_over=handed_over, horizon=HORIZON, now=NOW, limits=limits)


FAILED = with_job(PAID, JobStatus.FAILED)
PENDING = with_job(PAID, JobStatus.PENDING)
RUNNING = with_job(PAID, JobStatus.PROCESSING)
COMPLETED = with_job(PAID, JobStatus.COMPLETED)
DELIVERED = replace(COMPLETED, delivery=Delivery.OURS)
UNPAID = replace(FAILED, payment=Payment.PENDING, paid_at=None)
UNKNOWN = replace(OLD, payment=Payment.UNKNOWN)


@pytest.mark.parametrize(
    ("view", "job", "treatment", "why"),
    [
        (PAID, None, Treatment.MAKE_JOB, Why.PAID),
        (OLD, None, Treatment.MAKE_JOB, Why.PAID),
        (FAILED, None, Treatment.RESTART_JOB, Why.EVALUATION_FAILED),
        (replace(FAILED, delay_mail=MailStatus.SENT), None, Treatment.RESTART_JOB, Why.EVALUATION_FAILED),
        *(
            (with_job(PAID, JobStatus.CANCELLED, reason=reason), None, Treatment.RESTART_JOB, Why.CANCELLED)
            for reason in (None, *CancelReason)
        ),
        (RUNNING, StoredJob(status=JobStatus.PROCESSING, abandoned=True), Treatment.RESTART_JOB, Why.RUNNING),
        (
            with_job(PAID, JobStatus.PROCESSING, paid=False),
            StoredJob(status=JobStatus.PROCESSING, abandoned=True),
            Treatment.RESTART_JOB,
            Why.RUNNING,
        ),
        # A job of the shop's that nobody takes over because its order is too old; and one that a retry began to take
        # over and did not end.
        (
            with_job(OLD, JobStatus.PENDING),
            StoredJob(status=JobStatus.PENDING, fence=None),
            Treatment.RESTART_JOB,
            Why.BEFORE_HORIZON,
        ),
        (
            with_job(replace(OLD, taken_in=True), JobStatus.PENDING),
            StoredJob(status=JobStatus.PENDING, fence=None),
            Treatment.RESTART_JOB,
            Why.BEFORE_HORIZON,
        ),
        (
            with_job(OLD, JobStatus.PENDING),
            StoredJob(status=JobStatus.PENDING),
            Treatment.RESTART_JOB,
            Why.BEFORE_HORIZON,
        ),
        (COMPLETED, StoredJob(status=JobStatus.COMPLETED, has_result=True), Treatment.FINISH, Why.RESULT_READY),
        (COMPLETED, StoredJob(status=JobStatus.COMPLETED), Treatment.RESTART_JOB, Why.RESULT_READY),
        (DELIVERED, None, Treatment.FINISH, Why.DELIVERED),
        (replace(DELIVERED, result_mail=MailStatus.FAILED), None, Treatment.SEND_MAIL, Why.MAIL_FAILED),
        (replace(DELIVERED, result_mail=MailStatus.SUPPRESSED), None, Treatment.SEND_MAIL, Why.MAIL_FAILED),
        # What the shop's own worker left is no result of ours.
        (FAILED, StoredJob(status=JobStatus.COMPLETED), Treatment.RESTART_JOB, Why.EVALUATION_FAILED),
        # Evaluated in advance, while it can still be paid.
        (UNPAID, None, Treatment.RESTART_JOB, Why.EVALUATION_FAILED),
        (replace(UNPAID, payment=Payment.UNKNOWN), None, Treatment.RESTART_JOB, Why.EVALUATION_FAILED),
    ],
)
def test_what_got_stuck_is_given_a_fresh_start(
    view: OrderView, job: JobState | None, treatment: Treatment, why: Why
) -> None:
    assert judged(view, job) == Plan(treatment=treatment, why=why)


@pytest.mark.parametrize(
    ("view", "job", "why"),
    [
        (replace(DELIVERED, result_mail=MailStatus.SENT), None, Why.SETTLED),
        (replace(DELIVERED, result_mail=MailStatus.PENDING), None, Why.MAIL_QUEUED),
        (replace(DELIVERED, result_mail=MailStatus.PROCESSING), None, Why.MAIL_QUEUED),
        (replace(DELIVERED, result_mail=MailStatus.UNCERTAIN), None, Why.MAIL_UNCERTAIN),
        (replace(DELIVERED, has_address=False), None, Why.NO_ADDRESS),
        (replace(DELIVERED, result_mail=MailStatus.SUPPRESSED, has_address=False), None, Why.NO_ADDRESS),
        (replace(FAILED, delivery=Delivery.OTHERS), None, Why.DELIVERED_ELSEWHERE),
        (replace(PENDING, delivery=Delivery.OTHERS), None, Why.DELIVERED_ELSEWHERE),
        (replace(UNKNOWN, delivery=Delivery.OTHERS), None, Why.DELIVERED_ELSEWHERE),
        (PENDING, None, Why.QUEUED),
        (with_job(PAID, JobStatus.PENDING, paid=False), None, Why.QUEUED),
        # The shop inserted it just now; a worker takes it over in a moment.
        (PENDING, StoredJob(status=JobStatus.PENDING, fence=None), Why.QUEUED),
        (RUNNING, None, Why.RUNNING),
        (replace(FAILED, payment=Payment.REFUNDED), None, Why.REFUNDED),
        (replace(PENDING, payment=Payment.REFUNDED), None, Why.REFUNDED),
        (replace(FAILED, payment=Payment.FAILED), None, Why.PAYMENT_FAILED),
        (replace(FAILED, payment=Payment.CANCELLED), None, Why.PAYMENT_FAILED),
        (
            replace(DELIVERED, payment=Payment.FAILED, result_mail=MailStatus.SENT),
            None,
            Why.DELIVERED_NEVER_PAID,
        ),
        (replace(UNPAID, job=None), None, Why.AWAITS_PAYMENT),
        (
            with_job(UNPAID, JobStatus.COMPLETED),
            StoredJob(status=JobStatus.COMPLETED, has_result=True),
            Why.AWAITS_PAYMENT,
        ),
        (replace(UNPAID, created_at=NOW - timedelta(hours=25)), None, Why.NEVER_PAID),
        (with_job(replace(UNPAID, created_at=NOW - timedelta(hours=25)), JobStatus.PENDING), None, Why.NEVER_PAID),
        (UNKNOWN, None, Why.PAYMENT_UNKNOWN),
        (with_job(UNKNOWN, JobStatus.FAILED), None, Why.PAYMENT_UNKNOWN),
        (with_job(UNKNOWN, JobStatus.PENDING), StoredJob(status=JobStatus.PENDING, fence=None), Why.PAYMENT_UNKNOWN),
    ],
)
def test_what_needs_or_deserves_no_retry_is_refused_with_its_reason(
    view: OrderView, job: JobState | None, why: Why
) -> None:
    assert judged(view, job) == Plan(treatment=None, why=why)


def test_a_failed_mail_that_may_have_left_is_not_sent_anew() -> None:
    view = replace(DELIVERED, result_mail=MailStatus.FAILED)
    assert judged(view, handed_over=True) == Plan(treatment=None, why=Why.MAIL_UNCERTAIN)


@pytest.mark.parametrize(
    ("age", "starts"), [(timedelta(hours=24) - timedelta(seconds=1), True), (timedelta(hours=24), False)]
)
def test_an_unpaid_order_is_evaluated_up_to_the_limit(age: timedelta, starts: bool) -> None:
    assert (judged(replace(UNPAID, created_at=NOW - age)).treatment is not None) is starts


def test_nothing_unpaid_is_started_where_that_is_switched_off() -> None:
    assert judged(UNPAID, limits=Limits(unpaid_max_age=timedelta(0))).why is Why.NEVER_PAID


# --- doing -----------------------------------------------------------------------------------------------------------


class Clock:
    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return 0.0


@dataclass
class World:
    """One order between all the ports of a retry; notes what is done, in order."""

    view: OrderView | None
    job: StoredJob | None = None
    done: list[str] = field(default_factory=list)
    entries: list[tuple[Mapping[str, object], Mapping[str, object]]] = field(default_factory=list)
    closed: set[str] = field(default_factory=set)
    writable: bool = True
    afterwards: OrderView | None = None

    # orders
    def look(self, order_ids: Sequence[str]) -> list[Order]:
        if self.view is None:
            return []
        return [Order(view=self.view, product=BEWERTUNG, known=False, address="anna@example.org")]

    def confirm_payment(self, order_id: str, judged: Payment) -> bool:
        return self._write(f"paid, was {judged}")

    def take_in(self, order_id: str) -> None:
        self.done.append("taken in")

    def remember(self, order_ids: Sequence[str]) -> None:
        self.done.append("remembered")

    def show_status(self, order_id: str, status: str) -> None:
        self.done.append(f"status {status}")

    # restarts
    def state(self, job_id: str) -> StoredJob | None:
        return self.job

    def make(self, order_id: str, *, delay: timedelta) -> bool:
        return self._write("job made")

    def restart(self, order: Order, job: JobState, *, paid: bool, actor: str, delay: timedelta) -> bool:
        return self._write(f"job restarted by {actor} {'paid' if paid else 'unpaid'} at fence {job.fence}")

    def was_handed_over(self, order_id: str, kind: MailKind) -> bool:
        return False

    def resend(self, order_id: str, kind: MailKind, *, actor: str) -> bool:
        return self._write(f"{kind} mail again")

    def _write(self, what: str) -> bool:
        self.done.append(what if self.writable else f"not {what}")
        if self.afterwards is not None:
            self.view = self.afterwards
            self.job = StoredJob(status=JobStatus.PENDING)
        return self.writable

    # the rest
    def order(self, order_id: str) -> Step | None:
        self.done.append("advanced")
        return Step(kind=StepKind.WAIT, why=Why.QUEUED)

    def close(self, kind: str, subject: str) -> None:
        self.closed.add(kind)

    def open(self, kind: str, subject: str, detail: str) -> bool:
        raise AssertionError("a retry opens no finding")

    def record(self, action: str, subject: str, *, before: Mapping[str, object], after: Mapping[str, object]) -> None:
        assert (action, subject) == ("retry", "order")
        self.done.append("audited")
        self.entries.append((before, after))


def retry_in(world: World, *, show_statuses: bool = False) -> Retry:
    planner = Planner(orders=world, restarts=world, clock=Clock(), limits=LIMITS, horizon=HORIZON)
    return Retry(
        planner=planner, advance=world, findings=world, audit=world, actor="anna@desk", show_statuses=show_statuses
    )


def test_a_restart_is_audited_first_and_names_what_was_judged() -> None:
    world = World(FAILED, StoredJob(fence=7))
    outcome = retry_in(world).order("order")
    assert outcome is not None
    assert outcome.result is Result.DONE
    assert world.done == ["audited", "remembered", "job restarted by anna@desk paid at fence 7", "advanced"]
    assert world.closed >= {"evaluation_failed", "cancelled", "mail_failed", "bad_input"}
    before, after = world.entries[0]
    assert before["jobStatus"] == "failed"
    assert before["fence"] == 7
    assert after == {"treatment": "restart_job", "takenIn": True}


def test_an_old_order_is_taken_in_before_its_job_is_made() -> None:
    world = World(OLD)
    retry_in(world).order("order")
    assert world.done[:4] == ["audited", "taken in", "remembered", "job made"]


def test_a_persons_word_for_the_payment_is_stored_as_his() -> None:
    world = World(UNKNOWN)
    retry_in(world).order("order", said_paid=True)
    assert world.done[:2] == ["audited", "paid, was unknown"]
    assert world.entries[0][1]["paymentSource"] == "operator"


def test_the_shops_page_is_told_where_it_knows_the_word() -> None:
    world = World(FAILED, StoredJob())
    retry_in(world, show_statuses=True).order("order")
    assert "status retry" in world.done


@pytest.mark.parametrize("payment", [Payment.FAILED, Payment.CANCELLED, Payment.REFUNDED])
def test_no_word_turns_a_failed_or_refunded_payment_into_a_paid_one(payment: Payment) -> None:
    world = World(replace(FAILED, payment=payment), StoredJob())
    outcome = retry_in(world).order("order", said_paid=True)
    assert outcome is not None
    assert outcome.result is Result.REFUSED
    assert world.done == []


def test_what_is_refused_changes_nothing_even_with_a_word_for_the_payment() -> None:
    world = World(replace(UNKNOWN, delivery=Delivery.OTHERS))
    outcome = retry_in(world).order("order", said_paid=True)
    assert outcome is not None
    assert (outcome.result, world.done) == (Result.REFUSED, [])


def test_whoever_runs_it_here_keeps_the_passes_away() -> None:
    world = World(PAID)
    outcome = retry_in(world).order("order", delay=timedelta(seconds=60))
    assert outcome is not None
    assert outcome.result is Result.DONE
    assert "advanced" not in world.done


def test_a_payment_that_changed_meanwhile_ends_it() -> None:
    world = World(UNKNOWN, writable=False)
    outcome = retry_in(world).order("order", said_paid=True)
    assert outcome is not None
    assert outcome.result is Result.CHANGED
    assert world.done == ["audited", "not paid, was unknown"]


@pytest.mark.parametrize(("afterwards", "result"), [(PENDING, Result.OTHERS), (FAILED, Result.CHANGED)])
def test_a_lost_race_is_well_if_the_winner_did_what_was_wanted(afterwards: OrderView, result: Result) -> None:
    world = World(PAID, writable=False, afterwards=afterwards)
    if afterwards is FAILED:
        world.afterwards = None
    outcome = retry_in(world).order("order")
    assert outcome is not None
    assert outcome.result is result
    assert "advanced" not in world.done


def test_an_order_that_is_gone_is_said_to_be() -> None:
    assert retry_in(World(None)).order("order") is None
