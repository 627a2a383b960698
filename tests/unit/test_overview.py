"""Where an order stands, and when a payer has waited too long."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pferdewert_ops.domain.jobs import JobStatus
from pferdewert_ops.domain.orders import Delivery, JobView, Limits, OrderView, Payment, Step, StepKind, Why
from pferdewert_ops.domain.products import BEWERTUNG, ProductKey
from pferdewert_ops.operations.overview import Standing, late_by, standing_of, survey_standings
from pferdewert_ops.operations.ports import Order

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LIMITS = Limits(delay_mail_after=timedelta(minutes=10))
PAID = OrderView(
    order_id="6561aa",
    product=ProductKey.BEWERTUNG,
    created_at=NOW - timedelta(minutes=30),
    taken_in=True,
    payment=Payment.PAID,
    paid_at=NOW - timedelta(minutes=10),
)


def job(status: JobStatus) -> JobView:
    return JobView(id="6561aa", status=status, paid=True)


@pytest.mark.parametrize("kind", list(StepKind))
def test_every_step_has_its_standing(kind: StepKind) -> None:
    assert standing_of(Step(kind=kind, why=Why.PAID)) in set(Standing)


@pytest.mark.parametrize(
    ("kind", "why", "standing"),
    [
        (StepKind.TELL_HUMAN, Why.MAIL_FAILED, Standing.NEEDS_PERSON),
        (StepKind.NOTHING, Why.SETTLED, Standing.SETTLED),
        (StepKind.NOTHING, Why.REFUNDED, Standing.NOT_OWED),
        (StepKind.WAIT, Why.QUEUED, Standing.QUEUED),
        (StepKind.WAIT, Why.RUNNING, Standing.RUNNING),
        (StepKind.WAIT, Why.MAIL_QUEUED, Standing.MAIL_QUEUED),
        (StepKind.WAIT, Why.AWAITS_PAYMENT, Standing.AWAITS_PAYMENT),
        (StepKind.WAIT, Why.PAYMENT_UNKNOWN, Standing.PAYMENT_UNKNOWN),
        (StepKind.DELIVER, Why.RESULT_READY, Standing.DUE),
        (StepKind.MAIL, Why.LATE, Standing.DUE),
    ],
)
def test_what_a_step_says(kind: StepKind, why: Why, standing: Standing) -> None:
    assert standing_of(Step(kind=kind, why=why)) is standing


@pytest.mark.parametrize(
    ("view", "waited"),
    [
        (PAID, timedelta(minutes=10)),
        (replace(PAID, paid_at=NOW - timedelta(minutes=9)), None),
        (replace(PAID, paid_at=None), timedelta(minutes=30)),
        (replace(PAID, job=job(JobStatus.PROCESSING)), timedelta(minutes=10)),
        (replace(PAID, job=job(JobStatus.COMPLETED)), timedelta(minutes=10)),
        (replace(PAID, job=job(JobStatus.FAILED)), None),
        (replace(PAID, job=job(JobStatus.CANCELLED)), None),
        (replace(PAID, delivery=Delivery.OURS), None),
        (replace(PAID, payment=Payment.UNKNOWN), None),
        (replace(PAID, taken_in=False), None),
    ],
)
def test_late_is_a_payer_whose_result_is_on_its_way_too_long(view: OrderView, waited: timedelta | None) -> None:
    assert late_by(view, NOW, LIMITS) == waited


def order(view: OrderView) -> Order:
    return Order(view=view, product=BEWERTUNG, known=True)


def test_orders_are_counted_by_where_they_stand() -> None:
    longest = replace(PAID, order_id="6561ab", paid_at=NOW - timedelta(minutes=20))
    unknown = replace(PAID, order_id="6561ac", payment=Payment.UNKNOWN)

    seen = survey_standings([[order(PAID)], [order(longest), order(unknown)]], NOW, NOW, LIMITS)

    assert seen.seen == 3
    assert seen.standings == {Standing.DUE: 2, Standing.PAYMENT_UNKNOWN: 1}
    assert (seen.late, seen.latest_by, seen.latest) == (2, timedelta(minutes=20), "6561ab")
    assert not seen.is_partial


def test_a_look_is_bounded() -> None:
    def endless() -> "list[Order]":
        return [order(PAID), order(PAID)]

    seen = survey_standings(iter(endless, None), NOW, NOW, LIMITS, most=5)

    assert (seen.seen, seen.is_partial) == (6, True)
