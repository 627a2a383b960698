"""The main job on a real MongoDB, through real SDKs: claimed, evaluated, delivered, mailed."""

from tests.harness import ShopFloor


def test_a_paid_order_is_evaluated_delivered_and_mailed(floor: ShopFloor) -> None:
    order_id = floor.order()

    floor.drain()

    order = floor.document(order_id)
    assert order["status"] == "fertig"
    assert "Preisspanne" in order["bewertung"]
    assert floor.job(order_id)["status"] == "completed"
    assert floor.mails_to_customer(order_id) == ["result"]
