"""The hands of the central rule: one step, one deed, and then the order is asked about again."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from pferdewert_ops.domain.jobs import CancelReason, JobStatus
from pferdewert_ops.domain.orders import Delivery, JobView, Limits, MailStatus, Payment, StepKind, Why
from pferdewert_ops.operations.advance import MOST_STEPS, Advance
from pferdewert_ops.operations.ports import DeliveryOutcome, Order
from tests.operations.stubs import ORDER_ID, Places, StoppedClock, delivered, order

PENDING = JobView(id="j", status=JobStatus.PENDING, paid=True)
COMPLETED = replace(PENDING, status=JobStatus.COMPLETED)
QUEUED = order(job=PENDING)
Call = tuple[Any, ...]


class World:
    """Shows these orders one look after the other, the last one for ever; writes down every deed."""

    def __init__(self, *shown: Order | None, succeeds: bool = True, outcome: DeliveryOutcome | None = None) -> None:
        self.shown = list(shown)
        self.deeds: list[Call] = []
        self.told: list[str] = []
        self.places = Places()
        self._succeeds = succeeds
        self._outcome = outcome or DeliveryOutcome.DELIVERED

    def run(self, *, tell_operators: bool = False) -> StepKind | None:
        advance = Advance(
            orders=self,  # type: ignore[arg-type]  # it answers what an advance asks, and nothing else
            jobs=self,  # type: ignore[arg-type]
            mails=self,
            findings=self,
            clock=StoppedClock(),
            failpoints=self.places,
            limits=Limits(),
            tell_operators=tell_operators,
            on_step=lambda _order, step: self.told.append(step.kind.value),
        )
        step = advance.order(ORDER_ID)
        return None if step is None else step.kind

    def look(self, order_ids: Sequence[str]) -> list[Order]:
        assert list(order_ids) == [ORDER_ID]
        shown = self.shown.pop(0) if len(self.shown) > 1 else self.shown[0]
        return [] if shown is None else [shown]

    def deliver(self, order_id: str) -> DeliveryOutcome:
        self.deeds.append(("deliver", order_id))
        return self._outcome

    def make(self, order_id: str) -> bool:
        return self._did("make", order_id)

    def mark_paid(self, job_id: str) -> bool:
        return self._did("mark_paid", job_id)

    def revive(self, job_id: str, *, actor: str, expected: Sequence[str]) -> bool:
        return self._did("revive", job_id, actor, list(expected))

    def cancel(self, job_id: str, reason: CancelReason) -> bool:
        return self._did("cancel", job_id, reason)

    def owe(self, order_id: str, kind: str, *, with_bcc: bool = False) -> bool:
        return self._did("owe", order_id, str(kind), with_bcc)

    def open(self, kind: str, subject: str, detail: str) -> bool:
        return self._did("open", kind, subject, detail)

    def close(self, kind: str, subject: str) -> None:
        raise AssertionError(f"an advance closes nothing, {kind} of {subject} neither")

    def _did(self, *deed: object) -> bool:
        self.deeds.append(deed)
        return self._succeeds


CANCELLED = replace(PENDING, status=JobStatus.CANCELLED, cancel_reason=CancelReason.PAYMENT_FAILED)
DEEDS: dict[str, tuple[Order, Call]] = {
    "make": (order(), ("make", ORDER_ID)),
    "mark_paid": (order(job=replace(PENDING, paid=False)), ("mark_paid", "j")),
    "revive": (order(job=CANCELLED), ("revive", "j", "payment", ["cancelled"])),
    "deliver": (order(job=COMPLETED), ("deliver", ORDER_ID)),
    "mail": (delivered(job=COMPLETED), ("owe", ORDER_ID, "result", True)),
    "mail_after_delay": (
        delivered(job=COMPLETED, delay_mail=MailStatus.SENT),
        ("owe", ORDER_ID, "result", False),
    ),
    "payment_failed": (
        order(job=PENDING, payment=Payment.FAILED),
        ("cancel", "j", CancelReason.PAYMENT_FAILED),
    ),
    "refunded": (order(job=PENDING, payment=Payment.REFUNDED), ("cancel", "j", CancelReason.NO_LONGER_OWED)),
    "delivered_elsewhere": (
        order(job=PENDING, delivery=Delivery.OTHERS),
        ("cancel", "j", CancelReason.ALREADY_DELIVERED),
    ),
}


@pytest.mark.parametrize("name", DEEDS)
def test_each_step_is_one_deed_and_then_it_is_asked_again(name: str) -> None:
    shown, deed = DEEDS[name]
    world = World(shown, QUEUED)
    assert world.run() is StepKind.WAIT
    assert world.deeds == [deed]
    assert len(world.told) == 1


@pytest.mark.parametrize("name", DEEDS)
def test_who_was_too_late_stops_and_tells_of_nothing(name: str) -> None:
    shown, deed = DEEDS[name]
    world = World(shown, QUEUED, succeeds=False, outcome=DeliveryOutcome.KEPT_OTHERS)
    assert world.run() is not StepKind.WAIT
    assert (world.deeds, world.told) == ([deed], [])


@pytest.mark.parametrize("outcome", [one for one in DeliveryOutcome if one is not DeliveryOutcome.DELIVERED])
def test_only_a_delivery_of_ours_goes_on(outcome: DeliveryOutcome) -> None:
    world = World(order(job=COMPLETED), delivered(job=COMPLETED), outcome=outcome)
    assert world.run() is StepKind.DELIVER
    assert world.deeds == [("deliver", ORDER_ID)]


def test_the_whole_way_at_once() -> None:
    settled = delivered(job=COMPLETED, result_mail=MailStatus.PENDING)
    world = World(order(job=COMPLETED), delivered(job=COMPLETED), settled)
    assert world.run() is StepKind.WAIT
    assert world.deeds == [("deliver", ORDER_ID), ("owe", ORDER_ID, "result", True)]
    assert world.places.passed == ["delivered", "mail_owed"]


def test_operators_are_owed_their_notice_first() -> None:
    """The other way round a crash between the two would leave it out for good."""
    world = World(delivered(job=COMPLETED), QUEUED)
    world.run(tell_operators=True)
    assert [deed[2] for deed in world.deeds] == ["operator", "result"]
    assert world.places.passed == ["notice_owed", "mail_owed"]
    late = World(order(job=PENDING, paid_at=StoppedClock().now().replace(hour=1)), QUEUED)
    late.run(tell_operators=True)
    assert late.deeds == [("owe", ORDER_ID, "delay", False)]


@pytest.mark.parametrize(("is_new", "told"), [(True, ["tell_human"]), (False, [])])
def test_a_person_is_told_once(is_new: bool, told: list[str]) -> None:
    world = World(order(job=replace(PENDING, status=JobStatus.FAILED)), succeeds=is_new)
    assert world.run() is StepKind.TELL_HUMAN
    assert world.deeds == [("open", Why.EVALUATION_FAILED.value, ORDER_ID, Why.EVALUATION_FAILED.value)]
    assert world.told == told


def test_doubles_of_its_job_go_whatever_it_is_owed() -> None:
    world = World(replace(QUEUED, surplus_jobs=("a", "b")))
    assert world.run() is StepKind.WAIT
    assert world.deeds == [("cancel", "a", CancelReason.DUPLICATE), ("cancel", "b", CancelReason.DUPLICATE)]


def test_what_was_not_taken_in_keeps_even_its_doubles() -> None:
    world = World(replace(order(job=PENDING, taken_in=False), surplus_jobs=("a",)))
    assert world.run() is StepKind.NOTHING
    assert world.deeds == []


def test_an_order_that_is_gone_is_left() -> None:
    world = World(None)
    assert (world.run(), world.deeds) == (None, [])


def test_an_order_that_never_rests_is_left_to_the_next_pass() -> None:
    world = World(order())
    assert world.run() is None
    assert len(world.deeds) == MOST_STEPS
