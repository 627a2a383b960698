"""A worker killed with its hands full, and the next one: at once on the same host, by the lease from another."""

from datetime import timedelta
from typing import Any

from pferdewert_ops.sandbox.anthropic_journal import Outcome
from pferdewert_ops.sandbox.anthropic_rules import Fault, Rule
from tests.faults.checks import (
    calls_of,
    check_delivered,
    check_mailed_once,
    check_nothing_is_held,
    losses,
    marked_order,
)
from tests.faults.processes import LIMIT, ChildWorker, Nursery
from tests.harness import ShopFloor

# So long that nothing in these tests can have waited for one to run out.
LONG: dict[str, Any] = {"lease": timedelta(minutes=10)}


def killed_with(floor: ShopFloor, nursery: Nursery, orders: list[str], **changes: Any) -> ChildWorker:
    """A worker that died while each of these orders was being written."""
    floor.model.rules.add(Rule(fault=Fault.STALL, times=len(orders)))
    worker = nursery.start(floor, concurrency=len(orders), **LONG, **changes)
    floor.model.journal.wait_until(
        lambda entries: (
            sum(
                entry.outcome is Outcome.HANGING and any(f"Zeuge {order}" in entry.prompt for order in orders)
                for entry in entries
            )
            == len(orders)
        ),
        LIMIT,
    )
    worker.kill()
    worker.wait_killed()
    return worker


def test_on_the_same_host_everything_runs_again_at_once(floor: ShopFloor, nursery: Nursery) -> None:
    orders = [marked_order(floor) for _ in range(20)]
    worker = killed_with(floor, nursery, orders)
    [served] = worker.events("serving")

    floor.drain(concurrency=20, **LONG)

    # By the register of workers and nothing else: the first thing that the new one did.
    assert floor.events("worker_lost") == [{"worker": served["holder"], "leases": 20}]
    assert [event for event, _ in floor.told][:2] == ["worker_lost", "lease_expired"]
    for order_id in orders:
        check_delivered(floor, order_id)
        check_mailed_once(floor, order_id)
        job = floor.job(order_id)
        assert (job["attempts"], losses(job), len(calls_of(floor, order_id))) == (2, 1, 2)
    check_nothing_is_held(floor)


def test_more_leases_than_one_look_takes_back(floor: ShopFloor, nursery: Nursery) -> None:
    """A big worker's 150 jobs are not taken back a hundred at a time, with a pause between."""
    worker = nursery.start(floor, queues=("mail",))
    [served] = worker.wait_for("serving")
    worker.kill()
    worker.wait_killed()
    floor.database.evaluation_jobs.insert_many(
        [
            {
                "bewertungId": f"order-{number}",
                "status": "processing",
                "fence": 1,
                "attempts": 1,
                "maxAttempts": 8,
                "processedBy": served["holder"],
                "leaseUntil": served_until(floor),
                "paid": True,
            }
            for number in range(150)
        ]
    )

    with floor.working(queues=("mail",), **LONG):
        pass

    assert floor.events("worker_lost") == [{"worker": served["holder"], "leases": 150}]
    assert len(floor.events("lease_expired")) == 150


def served_until(floor: ShopFloor) -> Any:
    """A lease by the server's clock that has ten minutes left."""
    [now] = floor.database.client.admin.aggregate([{"$documents": [{}]}, {"$project": {"now": "$$NOW"}}])
    return now["now"] + timedelta(minutes=10)


def test_a_dead_workers_places_under_a_fleet_limit_come_back_with_its_leases(
    floor: ShopFloor, nursery: Nursery
) -> None:
    orders = [marked_order(floor) for _ in range(3)]
    killed_with(floor, nursery, orders, evaluation_limit=3)

    floor.drain(concurrency=3, evaluation_limit=3, **LONG)

    for order_id in orders:
        check_delivered(floor, order_id)


def test_what_another_host_held_waits_for_its_lease(floor: ShopFloor, nursery: Nursery) -> None:
    order_id = marked_order(floor)
    killed_with(floor, nursery, [order_id], host_identity="another-host", evaluation_limit=1)

    floor.drain(evaluation_limit=1, **LONG)

    assert floor.events("worker_lost") == []
    job = floor.job(order_id)
    assert (job["status"], job["attempts"]) == ("processing", 1)

    for leased in (floor.database.evaluation_jobs, floor.database.ops_slots):
        leased.update_many({}, [{"$set": {"leaseUntil": "$$NOW"}}])
    floor.drain(evaluation_limit=1, **LONG)

    assert [event["fence"] for event in floor.events("lease_expired")] == [job["fence"]]
    check_delivered(floor, order_id)
    check_mailed_once(floor, order_id)
    assert losses(floor.job(order_id)) == 1
