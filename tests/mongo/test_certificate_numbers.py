"""Certificate numbers: each order one, no number twice, whatever happens between counting and writing down."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database

from pferdewert_ops.adapters.mongo.orders import MongoOrders
from pferdewert_ops.operations.ports import DeliveryOutcome
from tests.mongo.queue_support import Document
from tests.shop_documents.results import CERTIFICATE

COMPLETED_AT = datetime(2026, 1, 20, 12, tzinfo=UTC)


class Crashed(Exception):  # noqa: N818 - it is no error that anybody handles
    """Stands for a worker that dies here."""


@pytest.fixture
def orders(shop: Database[Document]) -> MongoOrders:
    return MongoOrders(shop, horizon=datetime(2020, 1, 1, tzinfo=UTC))


def ready(shop: Database[Document], *, completed_at: datetime = COMPLETED_AT, **changes: Any) -> str:
    """A paid certificate whose result waits in its job."""
    order_id = ObjectId()
    shop.wertgutachten.insert_one({"_id": order_id, "status": "offen", "paymentStatus": "paid", **changes})
    shop.evaluation_jobs.insert_one(
        {
            "_id": order_id,
            "bewertungId": order_id,
            "status": "completed",
            "result": {"value": CERTIFICATE, "model": "m", "model_version": "M"},
            "completedAt": completed_at,
        }
    )
    return str(order_id)


def number(shop: Database[Document], order_id: str) -> str | None:
    found = shop.wertgutachten.find_one({"_id": ObjectId(order_id)})
    assert found is not None
    return found.get("zertifikatNummer")


def test_the_shops_counter_goes_on(shop: Database[Document], orders: MongoOrders) -> None:
    shop.counters.insert_one({"name": "zertifikat_2026", "seq": 41.0})
    shop.counters.insert_one({"name": "zertifikat_2025", "seq": 900})
    first, second = ready(shop), ready(shop)
    orders.deliver(first)
    orders.deliver(second)
    assert (number(shop, first), number(shop, second)) == ("CERT-2026-000042", "CERT-2026-000043")
    assert {one["name"]: one["seq"] for one in shop.counters.find()} == {"zertifikat_2026": 43, "zertifikat_2025": 900}


def test_each_year_counts_from_one(shop: Database[Document], orders: MongoOrders) -> None:
    last, first = (
        ready(shop, completed_at=datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ready(shop, completed_at=datetime(2027, 1, 1, tzinfo=UTC)),
    )
    orders.deliver(first)
    orders.deliver(last)
    assert (number(shop, last), number(shop, first)) == ("CERT-2026-000001", "CERT-2027-000001")


def test_a_number_that_the_shop_gave_stays(shop: Database[Document], orders: MongoOrders) -> None:
    order_id = ready(shop, zertifikatNummer="CERT-2026-000099")
    assert orders.deliver(order_id) is DeliveryOutcome.DELIVERED
    assert number(shop, order_id) == "CERT-2026-000099"
    assert shop.counters.count_documents({}) == 0


def test_eight_at_once_get_eight_numbers(shop: Database[Document], orders: MongoOrders) -> None:
    """Beginning with the year's first, for which the counter has yet to be made."""
    waiting = [ready(shop) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(orders.deliver, waiting))
    assert outcomes == [DeliveryOutcome.DELIVERED] * 8
    assert sorted(str(number(shop, order_id)) for order_id in waiting) == [f"CERT-2026-{n:06d}" for n in range(1, 9)]
    assert [one["seq"] for one in shop.counters.find()] == [8]


def test_two_workers_that_deliver_one_order_agree_on_its_number(shop: Database[Document], orders: MongoOrders) -> None:
    order_id = ready(shop)
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda _: orders.deliver(order_id), range(8)))
    assert outcomes.count(DeliveryOutcome.DELIVERED) == 1
    [kept] = shop.ops_certificates.find()
    assert kept == {"_id": order_id, "number": number(shop, order_id)}


@pytest.mark.parametrize("place", ["certificate_counted", "certificate_numbered"])
def test_a_crash_on_the_way_shares_no_number(shop: Database[Document], place: str) -> None:
    first, second = ready(shop), ready(shop)

    def crash(name: str) -> None:
        if name == place:
            raise Crashed

    horizon = datetime(2020, 1, 1, tzinfo=UTC)
    with pytest.raises(Crashed):
        MongoOrders(shop, horizon=horizon, reach=crash).deliver(first)
    assert number(shop, first) is None
    orders = MongoOrders(shop, horizon=horizon)
    for order_id in (second, first, first, second):
        orders.deliver(order_id)
    numbers = [number(shop, order_id) for order_id in (first, second)]
    assert None not in numbers
    assert len(set(numbers)) == 2
    assert orders.deliver(first) is DeliveryOutcome.ALREADY_OURS


def test_a_counter_that_was_set_back_gives_no_number_again(
    shop: Database[Document], orders: MongoOrders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a restore of the shop's collections from an older copy."""
    taken = [{"_id": str(n), "number": f"CERT-2026-{n:06d}"} for n in range(1, 41)]
    shop.ops_certificates.insert_many(taken)
    shop.counters.insert_one({"name": "zertifikat_2026", "seq": 0})
    order_id = ready(shop)
    assert orders.deliver(order_id) is DeliveryOutcome.DELIVERED
    assert number(shop, order_id) == "CERT-2026-000041"
    shop.counters.update_one({}, {"$set": {"seq": 0}})
    monkeypatch.setattr("pferdewert_ops.adapters.mongo.certificates.TRIES", 20)
    late = ready(shop)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="counter"):
            orders.deliver(late)
    assert number(shop, late) is None
    # The counter goes on with every try: nobody is stuck for good.
    assert orders.deliver(late) is DeliveryOutcome.DELIVERED
    assert number(shop, late) == "CERT-2026-000042"


def test_no_number_is_skipped_by_a_crash_or_by_two_at_once(shop: Database[Document], orders: MongoOrders) -> None:
    """Counting and remembering for whom is one write."""

    def crash(name: str) -> None:
        if name == "certificate_counted":
            raise Crashed

    first, second = ready(shop), ready(shop)
    with pytest.raises(Crashed):
        MongoOrders(shop, horizon=datetime(2020, 1, 1, tzinfo=UTC), reach=crash).deliver(first)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(orders.deliver, [first, second] * 4))

    assert {number(shop, first), number(shop, second)} == {"CERT-2026-000001", "CERT-2026-000002"}
    counter = shop.counters.find_one({"name": "zertifikat_2026"})
    assert counter is not None
    assert counter["seq"] == 2
