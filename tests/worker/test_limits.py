"""Limits for the whole fleet: so many at once, so many a minute, and nothing that leaks."""

from collections.abc import Sequence
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from pferdewert_ops.adapters.mongo.slots import Slot, Slots
from pferdewert_ops.sandbox.anthropic_journal import Entry, Outcome
from pferdewert_ops.sandbox.anthropic_rules import Fault, Rule
from pferdewert_ops.sandbox.guardian_process import until
from pferdewert_ops.sandbox.mailbox import Fault as MailFault
from pferdewert_ops.sandbox.mailbox import FaultRule
from pferdewert_ops.worker.gates import FleetLimits
from tests.faults.checks import check_delivered, check_mailed_once, marked_order
from tests.harness import Document, ShopFloor

LIMIT = 30.0
RUNNING = frozenset({Outcome.OPEN, Outcome.HANGING})


def taken(floor: ShopFloor, limiter: str) -> int:
    """How many slots of this limiter are held now."""
    held: Document = {"limiter": limiter, "$expr": {"$gt": ["$leaseUntil", "$$NOW"]}}
    return floor.database.ops_slots.count_documents(held)


class Gauge:
    """The most calls of this test that ran at once, looked at whenever one begins or ends."""

    def __init__(self, floor: ShopFloor) -> None:
        self._before = len(floor.model.journal.entries())
        self.most = 0

    def hanging(self, count: int, made: int) -> Any:
        def reached(entries: Sequence[Entry]) -> bool:
            calls = entries[self._before :]
            self.most = max(self.most, sum(call.outcome in RUNNING for call in calls))
            return len(calls) == made and sum(call.outcome is Outcome.HANGING for call in calls) == count

        return reached


def test_two_workers_of_eight_places_make_three_calls_at_once(floor: ShopFloor) -> None:
    floor.model.rules.add(Rule(fault=Fault.STALL, times=None))
    orders = [marked_order(floor) for _ in range(9)]
    gauge = Gauge(floor)
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(floor.working(concurrency=8, evaluation_limit=3))
        for made in (3, 6, 9):
            floor.model.journal.wait_until(gauge.hanging(3, made), LIMIT)
            assert taken(floor, "evaluation") == 3
            floor.model.release()
        assert until(lambda: floor.database.mail_outbox.count_documents({"status": "sent"}) == 9, LIMIT)
        assert until(lambda: taken(floor, "evaluation") == 0, LIMIT)
    assert gauge.most == 3
    for order_id in orders:
        check_delivered(floor, order_id)
        check_mailed_once(floor, order_id)


def test_a_rate_is_kept_and_what_found_no_work_does_not_count(floor: ShopFloor) -> None:
    floor.drain(evaluation_rate=4)
    assert taken(floor, "evaluation per minute") == 0
    orders = [marked_order(floor) for _ in range(6)]

    floor.drain(evaluation_rate=4, concurrency=3)
    floor.drain(evaluation_rate=4, concurrency=3)

    jobs = [floor.job(order_id) for order_id in orders]
    assert sorted((job["status"], job["attempts"]) for job in jobs) == [("completed", 1)] * 4 + [("pending", 0)] * 2

    # The minute is over.
    floor.database.ops_slots.update_many({"limiter": "evaluation per minute"}, [{"$set": {"leaseUntil": "$$NOW"}}])
    floor.drain(evaluation_rate=4, concurrency=3)

    for order_id in orders:
        check_delivered(floor, order_id)


def test_mails_have_a_limit_of_their_own(floor: ShopFloor) -> None:
    floor.mail.rules.add(FaultRule(fault=MailFault.SLOW, seconds=LIMIT))
    orders = [marked_order(floor) for _ in range(3)]
    with floor.working(mail_limit=1, mail_concurrency=3):
        for _ in orders:
            assert floor.mail.rules.slow.wait_until_held(1, LIMIT)
            assert not floor.mail.rules.slow.wait_until_held(2, 0)
            assert taken(floor, "mail") == 1
            accepted = len(floor.mail.mailbox.mails())
            floor.mail.rules.slow.release()
            assert len(floor.mail.mailbox.wait_for(accepted + 1, LIMIT)) == accepted + 1
        assert until(lambda: floor.database.mail_outbox.count_documents({"status": "sent"}) == 3, LIMIT)
    for order_id in orders:
        check_mailed_once(floor, order_id)


def test_places_granted_before_the_rate_could_be_read_are_given_back(
    floor: ShopFloor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(self: Slots, most: int, holder: str) -> list[Slot]:
        raise AutoReconnect("the primary is gone")

    slots = floor.database.ops_slots
    at_once = Slots(slots, "evaluation", 3, timedelta(seconds=30))
    per_minute = Slots(slots, "evaluation per minute", 3, timedelta(minutes=1))
    monkeypatch.setattr(per_minute, "take", away.__get__(per_minute))
    limits = FleetLimits(at_once, per_minute, "this-worker")

    with pytest.raises(AutoReconnect):
        limits.take(3)

    assert taken(floor, "evaluation") == 0
    limits.renew(floor.database)
    assert taken(floor, "evaluation") == 0


def test_a_place_that_cannot_be_returned_ends_no_thread(floor: ShopFloor, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = iter([AutoReconnect("the primary is gone")])
    release = Slots.release

    def sometimes(self: Slots, slots: Sequence[Slot]) -> None:
        if slots and (failure := next(failures, None)) is not None:
            raise failure
        release(self, slots)

    monkeypatch.setattr(Slots, "release", sometimes)
    orders = [marked_order(floor) for _ in range(3)]

    # Two places, one of which is lost with the first job until its lease ends: the other serves on.
    with floor.working(evaluation_limit=2, lease=timedelta(seconds=60), concurrency=1):
        assert until(lambda: floor.database.mail_outbox.count_documents({"status": "sent"}) == 3, LIMIT)

    assert len(floor.events("slot_not_returned")) + len(floor.events("claim_failed")) == 1
    for order_id in orders:
        check_delivered(floor, order_id)
