"""`pwops retry` answers what a person was told: once the fresh start has worked, nothing is left open."""

from bson import ObjectId

from tests.cli.operator_support import Call, migrated
from tests.harness import ShopFloor


def open_findings(floor: ShopFloor) -> set[str]:
    return {finding["kind"] for finding in floor.database.ops_findings.find({"state": "open"})}


def test_a_form_that_was_put_right_leaves_no_finding(invoke: Call, floor: ShopFloor) -> None:
    migrated(floor)
    order_id = floor.order(stockmass=0)
    floor.drain()
    assert open_findings(floor) == {"bad_input", "evaluation_failed"}

    floor.database.bewertungen.update_one({"_id": ObjectId(order_id)}, {"$set": {"stockmass": 168}})
    assert invoke("retry", order_id).exit_code == 0
    floor.drain()

    assert floor.mails_to_customer(order_id) == ["result"]
    assert open_findings(floor) == set()
