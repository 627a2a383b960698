"""SIGTERM and SIGINT to a real worker process: it ends with 0, and nothing is left in its hands."""

import os
import signal
from datetime import timedelta

import pytest

from pferdewert_ops.sandbox.anthropic_journal import Outcome
from pferdewert_ops.sandbox.anthropic_rules import Fault, Rule
from tests.faults.checks import calls_of, check_delivered, check_nothing_is_held, marked_order
from tests.faults.processes import LIMIT, ChildWorker, Nursery
from tests.harness import ShopFloor


def writing(floor: ShopFloor, nursery: Nursery, order_id: str) -> ChildWorker:
    floor.model.rules.add(Rule(fault=Fault.STALL, times=1))
    worker = nursery.start(floor, grace=timedelta(minutes=5))
    floor.model.journal.wait_until(
        lambda entries: any(
            entry.outcome is Outcome.HANGING and f"von Zeuge {order_id}" in entry.prompt for entry in entries
        ),
        LIMIT,
    )
    return worker


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_once_it_finishes_what_runs(floor: ShopFloor, nursery: Nursery, number: signal.Signals) -> None:
    order_id = marked_order(floor)
    worker = writing(floor, nursery, order_id)

    os.kill(worker.pid, number)
    worker.wait_for("stopping")
    floor.model.release()

    assert worker.wait() == 0
    check_delivered(floor, order_id)
    check_nothing_is_held(floor)
    with floor.database.ops_workers.find() as found:
        assert [one["state"] for one in found] == ["gone"]


def test_told_twice_it_hands_back_at_once(floor: ShopFloor, nursery: Nursery) -> None:
    order_id = marked_order(floor)
    worker = writing(floor, nursery, order_id)

    os.kill(worker.pid, signal.SIGTERM)
    worker.wait_for("stopping")
    os.kill(worker.pid, signal.SIGTERM)

    assert worker.wait() == 0
    job = floor.job(order_id)
    assert (job["status"], job["attempts"], len(calls_of(floor, order_id))) == ("pending", 0, 1)
    check_nothing_is_held(floor)
