"""A worker that stands still beyond its lease: others take over, and when it wakes it changes nothing."""

from datetime import timedelta
from typing import Any

import pytest

from pferdewert_ops.sandbox.guardian_process import until
from tests.faults.checks import check_delivered, check_mailed_once, losses, marked_order, snapshot
from tests.faults.processes import LIMIT, ChildWorker, Nursery
from tests.faults.test_kills import smtp
from tests.harness import ShopFloor

# Where it freezes, and whether it holds a lease there.
PLACES = {
    "claimed": True,
    "answered": True,
    "evaluated": True,
    "finished": False,
    "delivered": False,
    "mail_owed": False,
    "mail_claimed": True,
    "mail_marked": True,
    "mail_handed_over": True,
}


def frozen_at(floor: ShopFloor, nursery: Nursery, place: str, **changes: Any) -> ChildWorker:
    worker = nursery.start(floor, failpoint=f"{place}:freeze", **changes)
    worker.wait_stopped()
    return worker


def take_over(floor: ShopFloor, order_id: str, **changes: Any) -> None:
    """Its leases run out, and another worker brings the order to its end.

    A renewal that the sleeper had just sent may reach a busy server after that: then they run out once more.
    """

    def taken_over() -> bool:
        for name in ("evaluation_jobs", "mail_outbox"):
            floor.database[name].update_many({"status": "processing"}, [{"$set": {"leaseUntil": "$$NOW"}}])
        floor.drain(**changes)
        return (floor.mail_record(order_id) or {}).get("status") in {"sent", "uncertain"}

    assert until(taken_over, LIMIT)


def wake_and_end(worker: ChildWorker) -> None:
    """It goes on where it stood, and is told to finish what it holds."""
    worker.thaw()
    worker.terminate()
    assert worker.wait() == 0


@pytest.mark.parametrize("place", PLACES)
def test_a_worker_that_wakes_after_its_lease_writes_nothing(floor: ShopFloor, nursery: Nursery, place: str) -> None:
    order_id = marked_order(floor)
    sleeper = frozen_at(floor, nursery, place, lease=timedelta(minutes=10))
    take_over(floor, order_id)
    check_delivered(floor, order_id)
    check_mailed_once(floor, order_id)
    before = snapshot(floor)

    wake_and_end(sleeper)

    assert snapshot(floor) == before
    check_mailed_once(floor, order_id)
    assert bool(sleeper.events("outcome_lost")) == PLACES[place]


@pytest.mark.parametrize("place", ["mail_marked", "mail_handed_over"])
def test_by_smtp_the_one_that_wakes_sends_no_second_mail(floor: ShopFloor, nursery: Nursery, place: str) -> None:
    order_id = marked_order(floor)
    settings = smtp(floor)
    sleeper = frozen_at(floor, nursery, place, lease=timedelta(minutes=10), **settings)
    take_over(floor, order_id, **settings)
    before = snapshot(floor)

    wake_and_end(sleeper)

    assert snapshot(floor) == before
    mail = floor.mail_record(order_id)
    assert mail is not None
    assert mail["status"] == "uncertain"
    assert len(floor.mail.mailbox.mails()) == 1


def test_a_lease_that_nobody_renews_runs_out_by_itself(floor: ShopFloor, nursery: Nursery) -> None:
    order_id = marked_order(floor)
    short: dict[str, Any] = {"lease": timedelta(seconds=1), "renew_every": timedelta(seconds=0.2)}
    sleeper = frozen_at(floor, nursery, "evaluated", **short)

    with floor.working(**short):
        assert until(lambda: (floor.mail_record(order_id) or {}).get("status") == "sent", LIMIT)
    before = snapshot(floor)
    wake_and_end(sleeper)

    assert snapshot(floor) == before
    check_delivered(floor, order_id)
    job = floor.job(order_id)
    assert (job["attempts"], losses(job)) == (2, 1)
    # Claimed, taken back from the sleeper, claimed again: each raised the fence.
    assert job["fence"] == 3
