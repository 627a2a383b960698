"""A day's budget for the model: at 80 % unpaid orders wait, at 100 % all do, and it is said where people look."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from pferdewert_ops.adapters.mongo.spending import Spending
from pferdewert_ops.domain.failures import Usage
from pferdewert_ops.domain.money import MICRO
from pferdewert_ops.sandbox.anthropic_journal import Outcome
from pferdewert_ops.sandbox.anthropic_rules import Fault, Rule
from pferdewert_ops.sandbox.guardian_process import until
from pferdewert_ops.worker import gates
from tests.faults.checks import calls_of, check_delivered, check_mailed_once, marked_order
from tests.harness import Document, ShopFloor

LIMIT = 30.0
# A call of the first model costs 0.333 EUR at most, so the last third of a euro under a limit is out of reach.
SETTINGS: dict[str, Any] = {"daily_budget_eur": Decimal(10)}


@pytest.fixture(autouse=True)
def asked_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "VERDICT_LIFE", 0.0)


def spend(floor: ShopFloor, euros: str) -> None:
    """Calls of others cost this much today."""
    micro = int(Decimal(euros) * MICRO)
    key = f"others:{floor.database.ops_spend.count_documents({})}"
    assert Spending(floor.database.ops_spend).book("claude-opus-5-5", Usage(output_tokens=1), micro, key)


def visitor(floor: ShopFloor) -> str:
    """An order that is not paid yet, with the job that checkout inserted."""
    order_id = marked_order(floor, paymentStatus="pending", paidAt=...)
    floor.shop_job(order_id)
    return order_id


def untouched(floor: ShopFloor, order_id: str) -> bool:
    job = floor.job(order_id)
    return (job["status"], job["attempts"], calls_of(floor, order_id)) == ("pending", 0, [])


def finding(floor: ShopFloor) -> Document:
    return floor.database.ops_findings.find_one({"_id": "model_budget:today"}) or {"state": "none"}


def test_below_eighty_per_cent_everybody_goes(floor: ShopFloor) -> None:
    spend(floor, "7.6")
    unpaid = visitor(floor)

    floor.drain(**SETTINGS)

    assert floor.job(unpaid)["status"] == "completed"
    assert finding(floor)["state"] != "open"


def test_from_eighty_per_cent_on_unpaid_orders_wait(floor: ShopFloor) -> None:
    spend(floor, "7.7")
    paid, unpaid = marked_order(floor), visitor(floor)

    floor.drain(**SETTINGS)

    check_delivered(floor, paid)
    check_mailed_once(floor, paid)
    assert untouched(floor, unpaid)
    assert {"verdict": "paid_only", "because": "budget"} in floor.events("evaluation_gate")
    assert (finding(floor)["state"], finding(floor)["detail"]) == ("open", "unpaid orders wait")


def test_at_a_hundred_per_cent_everybody_waits_until_the_next_day(floor: ShopFloor) -> None:
    spend(floor, "9.7")
    paid, unpaid = marked_order(floor), visitor(floor)

    floor.drain(**SETTINGS)

    assert untouched(floor, paid)
    assert untouched(floor, unpaid)
    assert {"verdict": "closed", "because": "budget"} in floor.events("evaluation_gate")
    assert (finding(floor)["state"], finding(floor)["detail"]) == ("open", "every order waits")

    yesterday = (datetime.now(UTC) - timedelta(days=1)).strftime("%Y-%m-%d")
    floor.database.ops_spend.update_many({}, {"$set": {"day": yesterday}})
    floor.drain(**SETTINGS)

    check_delivered(floor, paid)
    assert floor.job(unpaid)["status"] == "completed"
    assert finding(floor)["state"] == "closed"


def test_what_runs_is_set_aside_so_that_no_crowd_overdraws(floor: ShopFloor) -> None:
    """Nine euros are spent, and a call may cost a third of one: three run at once, not eight."""
    spend(floor, "9.0")
    floor.model.rules.add(Rule(fault=Fault.STALL, times=None))
    orders = [marked_order(floor) for _ in range(8)]
    before = len(floor.model.journal.entries())
    closed = {"verdict": "closed", "because": "budget"}
    with floor.working(concurrency=8, **SETTINGS):
        floor.model.journal.wait_until(
            lambda entries: sum(entry.outcome is Outcome.HANGING for entry in entries[before:]) == 3, LIMIT
        )
        assert until(lambda: closed in floor.events("evaluation_gate"), LIMIT)
        assert len(floor.model.journal.entries()) - before == 3

        floor.model.rules.clear()
        floor.model.release()

        assert until(lambda: floor.database.mail_outbox.count_documents({"status": "sent"}) == 8, LIMIT)
    for order_id in orders:
        check_delivered(floor, order_id)
