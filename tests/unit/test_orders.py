"""What an order is owed next: every branch of the central rule beside its near miss."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pferdewert_ops.domain.jobs import CancelReason, JobStatus
from pferdewert_ops.domain.letters import MailKind
from pferdewert_ops.domain.orders import (
    Delivery,
    IntakeGuard,
    JobView,
    Limits,
    MailStatus,
    OrderView,
    Payment,
    Step,
    StepKind,
    Why,
    can_still_be_paid,
    next_step,
)
from pferdewert_ops.domain.products import ProductKey

NOW = datetime(2026, 1, 20, 12, 0, tzinfo=UTC)
LIMITS = Limits(unpaid_max_age=timedelta(hours=24), delay_mail_after=timedelta(minutes=10))
SECOND = timedelta(seconds=1)


def view(**changes: object) -> OrderView:
    """A paid order of five minutes ago with an address, and nothing done yet."""
    made = NOW - timedelta(minutes=5)
    plain = OrderView(
        order_id="a",
        product=ProductKey.BEWERTUNG,
        created_at=made,
        taken_in=True,
        payment=Payment.PAID,
        paid_at=made,
        has_address=True,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def job(status: JobStatus, *, paid: bool = True, reason: CancelReason | None = None) -> JobView:
    return JobView(id="j", status=status, paid=paid, cancel_reason=reason)


def step_of(order: OrderView, limits: Limits = LIMITS) -> tuple[StepKind, Why]:
    step = next_step(order, NOW, limits)
    return step.kind, step.why


PENDING, PROCESSING, COMPLETED = job(JobStatus.PENDING), job(JobStatus.PROCESSING), job(JobStatus.COMPLETED)
FAILED = job(JobStatus.FAILED)
UNPAID = [Payment.PENDING, Payment.UNKNOWN]
OVER = [Payment.FAILED, Payment.CANCELLED]
JOBS = [None, *(job(status, paid=paid) for status in JobStatus for paid in (True, False))]


# --- before the horizon ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("payment", Payment)
@pytest.mark.parametrize("delivery", Delivery)
def test_what_was_not_taken_in_is_owed_nothing(payment: Payment, delivery: Delivery) -> None:
    for one in JOBS:
        order = view(taken_in=False, payment=payment, delivery=delivery, job=one, paid_at=NOW - timedelta(days=2))
        assert next_step(order, NOW, LIMITS) == Step(kind=StepKind.NOTHING, why=Why.BEFORE_HORIZON)


# --- paid, not delivered -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (None, (StepKind.MAKE_JOB, Why.PAID)),
        (PENDING, (StepKind.WAIT, Why.QUEUED)),
        (PROCESSING, (StepKind.WAIT, Why.RUNNING)),
        (job(JobStatus.PENDING, paid=False), (StepKind.MARK_PAID, Why.PAID)),
        (job(JobStatus.PROCESSING, paid=False), (StepKind.MARK_PAID, Why.PAID)),
        (COMPLETED, (StepKind.DELIVER, Why.RESULT_READY)),
        (job(JobStatus.COMPLETED, paid=False), (StepKind.DELIVER, Why.RESULT_READY)),
        (FAILED, (StepKind.TELL_HUMAN, Why.EVALUATION_FAILED)),
        (job(JobStatus.FAILED, paid=False), (StepKind.TELL_HUMAN, Why.EVALUATION_FAILED)),
        (job(JobStatus.CANCELLED), (StepKind.REVIVE_JOB, Why.PAID)),
    ],
)
def test_a_paid_order_without_a_result_goes_by_its_job(one: JobView | None, expected: tuple[StepKind, Why]) -> None:
    assert step_of(view(job=one)) == expected


@pytest.mark.parametrize("reason", [None, *CancelReason])
def test_what_was_cancelled_comes_back_when_it_is_owed_unless_an_operator_said_so(reason: CancelReason | None) -> None:
    for paid in (True, False):
        order = view(job=job(JobStatus.CANCELLED, paid=paid, reason=reason))
        if reason is CancelReason.OPERATOR:
            assert step_of(order) == (StepKind.TELL_HUMAN, Why.CANCELLED)
        else:
            assert step_of(order) == (StepKind.REVIVE_JOB, Why.PAID)


BY_OPERATOR = job(JobStatus.CANCELLED, reason=CancelReason.OPERATOR)
WAITING = [PENDING, PROCESSING, FAILED]
OTHERWISE = {
    "no_job": None,
    "result_ready": COMPLETED,
    "paid_just_now": job(JobStatus.PENDING, paid=False),
    "owed_again": job(JobStatus.CANCELLED, reason=CancelReason.PAYMENT_FAILED),
    "cancelled_by_a_person": BY_OPERATOR,
}


@pytest.mark.parametrize("one", WAITING, ids=lambda one: one.status.value)
def test_who_waits_too_long_is_told_once(one: JobView) -> None:
    late = view(job=one, paid_at=NOW - LIMITS.delay_mail_after)
    told = Step(kind=StepKind.MAIL, why=Why.LATE, mail=MailKind.DELAY)
    assert next_step(late, NOW, LIMITS) == told
    assert next_step(replace(late, paid_at=NOW - LIMITS.delay_mail_after + SECOND), NOW, LIMITS) != told
    assert next_step(replace(late, has_address=False), NOW, LIMITS) != told
    for status in MailStatus:
        assert next_step(replace(late, delay_mail=status), NOW, LIMITS) != told


@pytest.mark.parametrize("one", OTHERWISE.values(), ids=list(OTHERWISE))
def test_who_can_be_helped_at_once_or_not_at_all_is_promised_nothing(one: JobView | None) -> None:
    late = view(job=one, paid_at=NOW - timedelta(hours=3))
    assert step_of(late) == step_of(view(job=one))


def test_without_a_time_of_payment_the_wait_counts_from_the_order() -> None:
    made = NOW - LIMITS.delay_mail_after
    assert step_of(view(job=PENDING, paid_at=None, created_at=made)) == (StepKind.MAIL, Why.LATE)
    assert step_of(view(job=PENDING, paid_at=None, created_at=made + SECOND)) == (StepKind.WAIT, Why.QUEUED)
    assert step_of(view(job=PENDING, paid_at=NOW, created_at=made)) == (StepKind.WAIT, Why.QUEUED)


# --- paid and delivered ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delivery", [Delivery.OURS, Delivery.OTHERS])
@pytest.mark.parametrize(
    ("mail", "expected"),
    [
        (MailStatus.SENT, (StepKind.NOTHING, Why.SETTLED)),
        (MailStatus.PENDING, (StepKind.WAIT, Why.MAIL_QUEUED)),
        (MailStatus.PROCESSING, (StepKind.WAIT, Why.MAIL_QUEUED)),
        (MailStatus.UNCERTAIN, (StepKind.TELL_HUMAN, Why.MAIL_UNCERTAIN)),
        (MailStatus.FAILED, (StepKind.TELL_HUMAN, Why.MAIL_FAILED)),
        (MailStatus.SUPPRESSED, (StepKind.TELL_HUMAN, Why.MAIL_FAILED)),
    ],
)
def test_a_delivered_order_goes_by_its_mail(
    delivery: Delivery, mail: MailStatus, expected: tuple[StepKind, Why]
) -> None:
    order = view(delivery=delivery, job=COMPLETED, result_mail=mail, paid_at=NOW - timedelta(hours=3))
    assert step_of(order) == expected


def test_our_delivery_is_mailed_if_there_is_an_address() -> None:
    ours = view(delivery=Delivery.OURS, job=COMPLETED)
    assert next_step(ours, NOW, LIMITS) == Step(kind=StepKind.MAIL, why=Why.DELIVERED, mail=MailKind.RESULT)
    assert step_of(replace(ours, has_address=False)) == (StepKind.TELL_HUMAN, Why.NO_ADDRESS)
    assert step_of(replace(ours, delay_mail=MailStatus.SENT)) == (StepKind.MAIL, Why.DELIVERED)


@pytest.mark.parametrize("one", [COMPLETED, FAILED, PROCESSING, BY_OPERATOR])
def test_what_others_delivered_is_never_mailed_on_a_guess(one: JobView) -> None:
    others = view(delivery=Delivery.OTHERS, job=one)
    assert step_of(others) == (StepKind.TELL_HUMAN, Why.DELIVERED_ELSEWHERE)
    assert step_of(replace(others, job=None)) == (StepKind.NOTHING, Why.DELIVERED_ELSEWHERE)


def test_a_job_that_still_waits_for_what_others_delivered_goes() -> None:
    order = view(delivery=Delivery.OTHERS, job=PENDING)
    assert step_of(order) == (StepKind.CANCEL_JOB, Why.DELIVERED_ELSEWHERE)
    assert step_of(replace(order, result_mail=MailStatus.SENT)) == (StepKind.NOTHING, Why.SETTLED)


# --- not paid ----------------------------------------------------------------------------------------------------


def test_whether_an_order_without_a_job_was_paid_is_not_guessed() -> None:
    for age in (timedelta(0), timedelta(days=400)):
        order = view(created_at=NOW - age, paid_at=None)
        assert step_of(replace(order, payment=Payment.UNKNOWN)) == (StepKind.WAIT, Why.PAYMENT_UNKNOWN)
        assert step_of(replace(order, payment=Payment.PENDING)) == (StepKind.WAIT, Why.AWAITS_PAYMENT)


@pytest.mark.parametrize("payment", UNPAID)
@pytest.mark.parametrize("status", JobStatus)
def test_an_unpaid_order_with_a_job_may_be_evaluated_while_it_can_be_paid(payment: Payment, status: JobStatus) -> None:
    young = view(payment=payment, job=job(status, paid=False), created_at=NOW - LIMITS.unpaid_max_age + SECOND)
    assert can_still_be_paid(young, NOW, LIMITS)
    wait = Step(kind=StepKind.WAIT, why=Why.AWAITS_PAYMENT, until=NOW + SECOND)
    assert next_step(young, NOW, LIMITS) == wait
    old = replace(young, created_at=NOW - LIMITS.unpaid_max_age)
    assert not can_still_be_paid(old, NOW, LIMITS)
    kind = StepKind.CANCEL_JOB if status is JobStatus.PENDING else StepKind.NOTHING
    assert step_of(old) == (kind, Why.NEVER_PAID)


@pytest.mark.parametrize("payment", UNPAID)
def test_by_setting_nothing_is_evaluated_before_it_is_paid(payment: Payment) -> None:
    order = view(payment=payment, job=PENDING, created_at=NOW)
    assert step_of(order, replace(LIMITS, unpaid_max_age=timedelta(0))) == (StepKind.CANCEL_JOB, Why.NEVER_PAID)


@pytest.mark.parametrize("payment", [*OVER, Payment.REFUNDED])
def test_an_order_that_will_not_be_paid_is_owed_nothing(payment: Payment) -> None:
    why = Why.REFUNDED if payment is Payment.REFUNDED else Why.PAYMENT_FAILED
    for one in JOBS:
        pending = one is not None and one.status is JobStatus.PENDING
        kind = StepKind.CANCEL_JOB if pending else StepKind.NOTHING
        assert step_of(view(payment=payment, job=one, paid_at=NOW - timedelta(days=1))) == (kind, why)


@pytest.mark.parametrize("payment", OVER)
@pytest.mark.parametrize("delivery", [Delivery.OURS, Delivery.OTHERS])
def test_delivered_and_mailed_but_never_paid_is_a_persons_matter(payment: Payment, delivery: Delivery) -> None:
    order = view(payment=payment, delivery=delivery, job=COMPLETED, result_mail=MailStatus.SENT)
    assert step_of(order) == (StepKind.TELL_HUMAN, Why.DELIVERED_NEVER_PAID)
    assert step_of(replace(order, delivery=Delivery.NONE)) == (StepKind.NOTHING, Why.PAYMENT_FAILED)
    for mail in (None, *(status for status in MailStatus if status is not MailStatus.SENT)):
        assert step_of(replace(order, result_mail=mail)) == (StepKind.NOTHING, Why.PAYMENT_FAILED)
    assert step_of(replace(order, payment=Payment.REFUNDED)) == (StepKind.NOTHING, Why.REFUNDED)


# --- over all of it ----------------------------------------------------------------------------------------------

MAILS = [None, *MailStatus]


def test_nobody_is_ever_mailed_or_delivered_to_unpaid() -> None:
    unpaid = [payment for payment in Payment if payment is not Payment.PAID]
    for payment, delivery, one, result, delay in itertools.product(unpaid, Delivery, JOBS, MAILS, MAILS):
        order = view(payment=payment, delivery=delivery, job=one, result_mail=result, delay_mail=delay)
        kind = next_step(order, NOW, LIMITS).kind
        assert kind not in {StepKind.MAIL, StepKind.DELIVER, StepKind.MAKE_JOB, StepKind.REVIVE_JOB, StepKind.MARK_PAID}


def test_nothing_is_evaluated_or_mailed_again_once_it_is_on_record() -> None:
    for delivery, one, result, delay, age in itertools.product(Delivery, JOBS, MAILS, MAILS, (1, 60)):
        paid_at = NOW - timedelta(minutes=age)
        order = view(delivery=delivery, job=one, result_mail=result, delay_mail=delay, paid_at=paid_at)
        step = next_step(order, NOW, LIMITS)
        if step.mail is MailKind.RESULT:
            assert (result, delivery) == (None, Delivery.OURS)
        if step.mail is MailKind.DELAY:
            assert (delay, delivery) == (None, Delivery.NONE)
        if step.kind is StepKind.MAKE_JOB:
            assert (one, delivery) == (None, Delivery.NONE)
        assert (step.kind is StepKind.MAIL) == (step.mail is not None)


# --- the guard ---------------------------------------------------------------------------------------------------


def test_a_stranger_was_paid_over_an_hour_ago_and_nobody_knew_it() -> None:
    guard = IntakeGuard()
    at = NOW - timedelta(hours=1)
    assert (guard.most, guard.old) == (10, timedelta(hours=1))
    assert guard.is_stranger(view(paid_at=at - SECOND), NOW, known=False)
    assert not guard.is_stranger(view(paid_at=at), NOW, known=False)
    assert not guard.is_stranger(view(paid_at=at - SECOND), NOW, known=True)
    assert guard.is_stranger(view(paid_at=None, created_at=at - SECOND), NOW, known=False)
    assert not guard.is_stranger(view(paid_at=None, created_at=at), NOW, known=False)
    assert not guard.is_stranger(view(paid_at=NOW, created_at=NOW - timedelta(days=3)), NOW, known=False)
