"""The judgement of the whole demonstration: it is right only if nothing at all is wrong."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from pferdewert_ops.domain.failures import ErrorClass
from pferdewert_ops.sandbox.demo.waits import LongWait
from tests.unit.demo_support import BOOKED, EVIDENCE, FOUND, KILLED, NOW, ORDERS, judged, order_where


def test_all_is_right() -> None:
    outcome = judged()

    assert outcome.problems == []
    assert outcome.is_right
    totals = outcome.totals
    assert (totals.orders, totals.delivered, totals.mailed) == (24, 16, 14)
    assert (totals.waiting_for_payment, totals.waiting_for_reconcile, totals.untouched) == (1, 1, 1)
    assert (totals.told_to_a_human, totals.not_owed) == (4, 3)
    assert totals.cost_micro == BOOKED > 0


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.kind.words)
def test_one_order_that_is_elsewhere_makes_the_whole_wrong(order: Any) -> None:
    outcome = judged(replace(EVIDENCE, found={**FOUND, str(order.id): None}))

    assert not outcome.is_right
    assert [verdict.order for verdict in outcome.verdicts if not verdict.is_right] == [order]


def test_what_belongs_to_no_order_makes_the_whole_wrong() -> None:
    outcome = judged(replace(EVIDENCE, strays=["a mail about 000000000000000000000000, which is no order"]))

    assert not outcome.is_right
    assert outcome.problems == ["there is a mail about 000000000000000000000000, which is no order"]


def test_a_demonstration_in_which_nobody_was_killed_is_wrong() -> None:
    assert judged(killed=None).problems == ["no worker was killed"]


def test_a_killed_worker_whose_work_nobody_took_up_is_wrong() -> None:
    assert not judged(killed=replace(KILLED, in_work_again=None)).is_right
    assert not judged(killed=replace(KILLED, taken_back=None)).is_right


def test_leases_that_were_lost_otherwise_are_wrong() -> None:
    assert judged(killed=replace(KILLED, leases=0)).problems == ["the killed worker held 0 leases, 1 were taken back"]


def test_the_book_must_agree_with_the_jobs() -> None:
    assert judged(replace(EVIDENCE, booked_micro=BOOKED - 1)).problems
    # The killed worker may have booked a call that it could not write down any more.
    assert judged(replace(EVIDENCE, booked_micro=BOOKED + 1)).is_right


def test_a_wait_that_no_policy_knows_is_wrong() -> None:
    wait = LongWait(
        collection="evaluation_jobs",
        id=1,
        order_id=str(order_where("429").id),
        error_class=ErrorClass.RATE_LIMITED,
        since=NOW,
        until=NOW + timedelta(minutes=5),
        failures=1,
    )

    assert len(judged(waits=[wait]).problems) == 1
