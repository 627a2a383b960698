"""Results into the shop's documents: only over what is none, only if paid, as a whole or not at all."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database

from pferdewert_ops.adapters.mongo.orders import MongoOrders
from pferdewert_ops.domain.orders import Delivery
from pferdewert_ops.domain.products import PRODUCTS, ProductKey
from pferdewert_ops.operations.ports import DeliveryOutcome
from tests.mongo.queue_support import Document, server_now
from tests.shop_documents import SHOP_DOCUMENTS
from tests.shop_documents.results import CERTIFICATE, PLACEHOLDER, SWISS_VALUATION, VALUATION

HORIZON = datetime(2020, 1, 1, tzinfo=UTC)
COMPLETED_AT = datetime(2026, 1, 20, 11, 59, 30, 123_000, tzinfo=UTC)
MODEL, VERSION = "claude-opus-5-5", "Claude-Opus-5-5"
BEWERTUNGEN, WERTGUTACHTEN = "bewertungen", "wertgutachten"
RESULTS: dict[str, Any] = {BEWERTUNGEN: VALUATION, WERTGUTACHTEN: CERTIFICATE}
FIELDS = {BEWERTUNGEN: "bewertung", WERTGUTACHTEN: "zertifikat_data"}


@pytest.fixture
def orders(shop: Database[Document]) -> MongoOrders:
    return MongoOrders(shop, horizon=HORIZON)


def finished(shop: Database[Document], order_id: Any, value: Any, **changes: Any) -> Any:
    """A job of ours with its result; the order's id is its own unless said otherwise."""
    job = finished_job(order_id, value, **changes)
    shop.evaluation_jobs.insert_one(job)
    return job["_id"]


def finished_job(order_id: Any, value: Any, **changes: Any) -> Document:
    return {
        "_id": order_id,
        "bewertungId": order_id,
        "status": "completed",
        "fence": 1,
        "result": {"value": value, "model": MODEL, "model_version": VERSION},
        "completedAt": COMPLETED_AT,
        **changes,
    }


def paid(shop: Database[Document], collection: str = BEWERTUNGEN, **changes: Any) -> Any:
    """A paid order of the shop without a result; `...` leaves a field out."""
    order = {"_id": ObjectId(), "status": "offen", "erstellt": COMPLETED_AT, "paymentStatus": "paid", **changes}
    shop[collection].insert_one({name: value for name, value in order.items() if value is not ...})
    return order["_id"]


def stored(shop: Database[Document], order_id: Any, collection: str = BEWERTUNGEN) -> Document:
    found = shop[collection].find_one({"_id": order_id})
    assert found is not None
    return found


# --- what is overwritten, and what is kept -----------------------------------------------------------------------


def test_a_valid_result_is_kept_and_anything_else_is_overwritten(
    shop: Database[Document], orders: MongoOrders, subtests: pytest.Subtests
) -> None:
    """Every document of the shop, as if it were paid and our result were ready."""
    paid_for: dict[str, Document] = {}
    for shaped in SHOP_DOCUMENTS:
        order = {name: value for name, value in shaped.document.items() if name != "refundedAt"}
        paid_for[shaped.name] = {**order, "paymentStatus": "paid"}
    for key, product in PRODUCTS.items():
        chosen = [paid_for[shaped.name] for shaped in SHOP_DOCUMENTS if shaped.product is key]
        shop[product.collection].insert_many(chosen)
        result = RESULTS[product.collection]
        shop.evaluation_jobs.insert_many([finished_job(order["_id"], result) for order in chosen])
    for shaped in SHOP_DOCUMENTS:
        with subtests.test(shaped.name):
            collection = PRODUCTS[shaped.product].collection
            _is_delivered(shop, orders, paid_for[shaped.name], collection, over_nothing=shaped.delivered != "valid")


def _is_delivered(
    shop: Database[Document], orders: MongoOrders, before: Document, collection: str, *, over_nothing: bool
) -> None:
    order_id = str(before["_id"])
    outcome = orders.deliver(order_id)
    after = stored(shop, before["_id"], collection)
    [looked] = orders.look([order_id])
    if over_nothing:
        assert (outcome, looked.view.delivery) == (DeliveryOutcome.DELIVERED, Delivery.OURS)
        assert after[FIELDS[collection]] == RESULTS[collection]
    else:
        assert (outcome, looked.view.delivery) == (DeliveryOutcome.KEPT_OTHERS, Delivery.OTHERS)
        assert after == before
    job = shop.evaluation_jobs.find_one({"_id": before["_id"]})
    assert job is not None
    assert job["result"]["value"] == RESULTS[collection]


def test_a_look_and_a_find_judge_alike(
    shop: Database[Document], orders: MongoOrders, subtests: pytest.Subtests
) -> None:
    """A look reads no more than the head of the result; it must not come to another view of the order."""
    for key, product in PRODUCTS.items():
        shop[product.collection].insert_many([shaped.document for shaped in SHOP_DOCUMENTS if shaped.product is key])
    shop.evaluation_jobs.insert_many([shaped.job for shaped in SHOP_DOCUMENTS if shaped.job is not None])
    surveyed = {order.view.order_id: order for page in orders.since(HORIZON) for order in page}
    for shaped in SHOP_DOCUMENTS:
        with subtests.test(shaped.name):
            order_id = str(shaped.document["_id"])
            found = orders.find(order_id)
            assert found is not None
            [looked] = orders.look([order_id])
            assert replace(found, form={}) == looked
            assert (looked.view.delivery is not Delivery.NONE) == (shaped.delivered == "valid")
            if isinstance(shaped.document["_id"], ObjectId):  # the shop makes no others
                assert surveyed[order_id] == looked


@pytest.mark.parametrize(
    "valid",
    ["Ihr Pferd", "\u200b Ihr Pferd", " \n\t" * 300 + "Ihr Pferd", "x" * 5_000],
    ids=["short", "invisible_first", "blank_head", "long"],
)
def test_a_text_that_a_person_can_read_is_kept(shop: Database[Document], orders: MongoOrders, valid: str) -> None:
    order_id = paid(shop, bewertung=valid)
    finished(shop, order_id, VALUATION)
    assert orders.look([str(order_id)])[0].view.delivery is Delivery.OTHERS
    assert orders.deliver(str(order_id)) is DeliveryOutcome.KEPT_OTHERS
    assert stored(shop, order_id)["bewertung"] == valid


# --- what is written ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("collection", [BEWERTUNGEN, WERTGUTACHTEN])
def test_the_order_gains_exactly_these_fields(shop: Database[Document], orders: MongoOrders, collection: str) -> None:
    order_id = paid(
        shop, collection, paidAt=COMPLETED_AT, rasse="Holsteiner", pferdeName="Feuer", stripeSessionId="cs_1"
    )
    before = stored(shop, order_id, collection)
    job_id = finished(shop, order_id, RESULTS[collection], _id=ObjectId())
    at = server_now(shop.evaluation_jobs)
    assert orders.deliver(str(order_id)) is DeliveryOutcome.DELIVERED
    after = stored(shop, order_id, collection)
    written = {name: value for name, value in after.items() if before.get(name) != value}
    assert at <= written.pop("aktualisiert") <= server_now(shop.evaluation_jobs)
    if collection == WERTGUTACHTEN:
        assert written.pop("zertifikatNummer") == "CERT-2026-000001"
    assert written == {
        FIELDS[collection]: RESULTS[collection],
        "status": "fertig",
        "completedAt": COMPLETED_AT,
        "ai_model": MODEL,
        "ai_model_version": VERSION,
        "jobId": job_id,
    }
    assert set(before) <= set(after)
    assert after["paymentStatus"] == "paid"


@pytest.mark.parametrize("odd", [{"$gt": ""}, {"$exists": False}, ["a"], 5, float("nan"), {}], ids=str)
def test_any_value_that_is_no_result_is_overwritten(shop: Database[Document], orders: MongoOrders, odd: object) -> None:
    order_id = paid(shop, bewertung=odd)
    finished(shop, order_id, VALUATION)
    assert orders.deliver(str(order_id)) is DeliveryOutcome.DELIVERED
    assert stored(shop, order_id)["bewertung"] == VALUATION


@pytest.mark.parametrize("text", ["$bewertung", "$$ROOT und 5.000 $ im Monat.", "Preis: {'$set': 1} a.b.$c"])
def test_the_text_is_delivered_to_the_letter(shop: Database[Document], orders: MongoOrders, text: str) -> None:
    order_id = paid(shop)
    finished(shop, order_id, text)
    orders.deliver(str(order_id))
    assert stored(shop, order_id)["bewertung"] == text


def test_delivering_again_changes_nothing(shop: Database[Document], orders: MongoOrders) -> None:
    order_id = paid(shop, WERTGUTACHTEN)
    finished(shop, order_id, CERTIFICATE)
    orders.deliver(str(order_id))
    once = stored(shop, order_id, WERTGUTACHTEN)
    assert orders.deliver(str(order_id)) is DeliveryOutcome.ALREADY_OURS
    assert stored(shop, order_id, WERTGUTACHTEN) == once


@pytest.mark.parametrize("collection", [BEWERTUNGEN, WERTGUTACHTEN])
def test_what_the_shop_overwrote_is_delivered_again_with_its_number(
    shop: Database[Document], orders: MongoOrders, collection: str
) -> None:
    order_id = paid(shop, collection)
    finished(shop, order_id, RESULTS[collection])
    orders.deliver(str(order_id))
    once = stored(shop, order_id, collection)
    placeholder = PLACEHOLDER if collection == BEWERTUNGEN else {"preisVon": 0}
    late = {FIELDS[collection]: placeholder, "ai_model": "fallback"}
    shop[collection].update_one({"_id": order_id}, {"$set": late, "$unset": {"zertifikatNummer": ""}})
    assert orders.look([str(order_id)])[0].view.delivery is Delivery.NONE
    assert orders.deliver(str(order_id)) is DeliveryOutcome.DELIVERED
    again = stored(shop, order_id, collection)
    assert {**again, "aktualisiert": None} == {**once, "aktualisiert": None}


# --- what stands in the way --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"paymentStatus": "pending"},
        {"paymentStatus": "failed"},
        {"paymentStatus": "cancelled"},
        {"paymentStatus": "refunded"},
        {"paymentStatus": ...},
        {"paymentStatus": None},
        {"paymentStatus": "Paid"},
        {"refundedAt": COMPLETED_AT},
    ],
    ids=str,
)
def test_what_is_not_paid_is_not_delivered(shop: Database[Document], orders: MongoOrders, changes: Document) -> None:
    order_id = paid(shop, WERTGUTACHTEN, **changes)
    finished(shop, order_id, CERTIFICATE)
    before = stored(shop, order_id, WERTGUTACHTEN)
    assert orders.deliver(str(order_id)) is DeliveryOutcome.NOT_PAID
    assert stored(shop, order_id, WERTGUTACHTEN) == before
    assert shop.counters.count_documents({}) == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "processing"},
        {"status": "failed"},
        {"status": "cancelled"},
        {"result": None},
        {"result": "Text"},
        {"result": {"text": "Text"}},
        {"completedAt": None},
        {"completedAt": "gestern"},
    ],
    ids=str,
)
def test_without_a_result_that_can_be_read_nothing_is_delivered(
    shop: Database[Document], orders: MongoOrders, changes: Document
) -> None:
    order_id = paid(shop)
    finished(shop, order_id, VALUATION, **changes)
    before = stored(shop, order_id)
    assert orders.deliver(str(order_id)) is DeliveryOutcome.NO_RESULT
    assert stored(shop, order_id) == before


def test_an_order_that_is_gone_is_gone(orders: MongoOrders) -> None:
    assert orders.deliver(str(ObjectId())) is DeliveryOutcome.GONE
    assert orders.look([str(ObjectId())]) == []


def interposed(monkeypatch: pytest.MonkeyPatch, orders: MongoOrders, happens: Callable[[], object]) -> None:
    """Something happens between the reading of the order and the write."""
    look = orders._jobs.find

    class Jobs:
        def find(self, *args: Any) -> Any:
            happens()
            return look(*args)

    monkeypatch.setattr(orders, "_jobs", Jobs())


@pytest.mark.parametrize(
    "late",
    [
        {"bewertung": SWISS_VALUATION, "status": "fertig", "ai_model": "claude"},
        {"bewertung": PLACEHOLDER, "status": "fertig", "ai_model": "fallback"},
        {"bewertung": ""},
        {"paymentStatus": "cancelled"},
        {"refundedAt": COMPLETED_AT},
    ],
    ids=["result", "placeholder", "blank", "cancelled", "refunded"],
)
def test_who_writes_between_look_and_write_wins_as_a_whole(
    shop: Database[Document], orders: MongoOrders, monkeypatch: pytest.MonkeyPatch, late: Document
) -> None:
    order_id = paid(shop)
    finished(shop, order_id, VALUATION)
    interposed(monkeypatch, orders, lambda: shop.bewertungen.update_one({"_id": order_id}, {"$set": late}))
    assert orders.deliver(str(order_id)) is DeliveryOutcome.KEPT_OTHERS
    after = stored(shop, order_id)
    assert {name: after[name] for name in late} == late
    assert "jobId" not in after


def test_a_field_that_nobody_judged_may_change_meanwhile(
    shop: Database[Document], orders: MongoOrders, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = paid(shop)
    finished(shop, order_id, VALUATION)
    late = {"$set": {"attribution_source": "newsletter"}}
    interposed(monkeypatch, orders, lambda: shop.bewertungen.update_one({"_id": order_id}, late))
    assert orders.deliver(str(order_id)) is DeliveryOutcome.DELIVERED
    assert stored(shop, order_id)["attribution_source"] == "newsletter"


def test_many_at_once_deliver_one_order_once(shop: Database[Document], orders: MongoOrders) -> None:
    order_id = paid(shop)
    finished(shop, order_id, VALUATION)
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda _: orders.deliver(str(order_id)), range(8)))
    assert outcomes.count(DeliveryOutcome.DELIVERED) == 1
    assert set(outcomes) <= {DeliveryOutcome.DELIVERED, DeliveryOutcome.ALREADY_OURS, DeliveryOutcome.KEPT_OTHERS}


# --- which of several jobs ---------------------------------------------------------------------------------------


def test_the_finished_job_counts_before_any_other(shop: Database[Document], orders: MongoOrders) -> None:
    order_id = paid(shop)
    finished(shop, order_id, "nie", _id=ObjectId(), status="cancelled", cancelReason="duplicate")
    finished(shop, order_id, "nie", _id=ObjectId(), status="pending")
    ours = finished(shop, order_id, VALUATION, _id=ObjectId())
    finished(shop, str(order_id), "nie", _id=ObjectId(), status="failed")
    assert orders.deliver(str(order_id)) is DeliveryOutcome.DELIVERED
    assert stored(shop, order_id)["jobId"] == ours


def test_an_operators_cancellation_counts_before_a_duplicates(shop: Database[Document], orders: MongoOrders) -> None:
    """What a person ended must not come back because an older double of it was ended for being one."""
    order_id = paid(shop)
    older, younger = ObjectId("65" + 22 * "0"), ObjectId("66" + 22 * "0")
    finished(shop, order_id, None, _id=older, status="cancelled", cancelReason="duplicate")
    finished(shop, order_id, None, _id=younger, status="cancelled", cancelReason="operator")
    view = orders.look([str(order_id)])[0].view
    assert view.job is not None
    assert view.job.id == str(younger)


def test_products_are_told_apart_by_the_collection(shop: Database[Document], orders: MongoOrders) -> None:
    order_id = paid(shop, WERTGUTACHTEN)
    [order] = orders.look([str(order_id)])
    assert order.product.key is ProductKey.WERTGUTACHTEN
