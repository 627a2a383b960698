"""The collection is what it says: its facts agree with the rules, and a database can hold every document."""

from datetime import UTC, datetime, timedelta
from typing import Any

import bson
import pytest

from pferdewert_ops.domain.answers import delivered_certificate, delivered_text
from pferdewert_ops.domain.horse import BadInput, Horse, normalise
from pferdewert_ops.domain.products import PRODUCTS, ProductKey
from pferdewert_ops.domain.prompts import evaluation_prompt
from tests.shop_documents import SHOP_DOCUMENTS, shop_documents
from tests.shop_documents.model import NOW, ShopDocument

every_document = pytest.mark.parametrize("order", SHOP_DOCUMENTS, ids=lambda order: order.name)


def test_there_are_enough_of_them() -> None:
    names = [order.name for order in SHOP_DOCUMENTS]
    assert len(names) == len(set(names)) >= 40
    assert len({str(order.document["_id"]) for order in SHOP_DOCUMENTS}) == len(names)
    jobs = [order.job["_id"] for order in SHOP_DOCUMENTS if order.job is not None]
    assert len(jobs) == len(set(jobs)) >= 15


def test_they_cover_what_the_shop_produces() -> None:
    def all_of(field: str) -> set[Any]:
        return {repr(order.document.get(field)) for order in SHOP_DOCUMENTS}

    assert {order.product for order in SHOP_DOCUMENTS} == set(ProductKey)
    assert {"'DE'", "'AT'", "'CH'", "None"} <= all_of("land")
    assert {"None", "'pending'", "'paid'", "'failed'", "'cancelled'"} <= all_of("paymentStatus")
    statuses = {"offen", "fertig", "wartend", "in_bearbeitung", "bezahlt", "fehler", "timeout", "retry"}
    assert {repr(status) for status in statuses} <= all_of("status")
    kinds = {order.delivered for order in SHOP_DOCUMENTS}
    assert kinds == {"absent", "blank", "not_text", "placeholder", "incomplete", "valid"}
    assert {order.job["status"] for order in SHOP_DOCUMENTS if order.job} == {
        "pending",
        "processing",
        "completed",
        "failed",
    }
    rows = [row["status"] for order in SHOP_DOCUMENTS for row in order.webhooks]
    assert set(rows) == {"processing", "completed", "failed"}


@every_document
def test_the_horse_is_usable_or_not_as_stated(order: ShopDocument) -> None:
    horse = normalise(order.document)
    if not order.horse_usable:
        assert isinstance(horse, BadInput)
        assert horse.field == order.bad_field
        return
    assert isinstance(horse, Horse)
    assert order.stockmass_cm in {None, horse.stockmass_cm}
    prompt = evaluation_prompt(horse, PRODUCTS[order.product])
    assert prompt.user.count("<pferdedaten>") == prompt.user.count("</pferdedaten>") == 1
    # What a whole form can cost at most: the caps of the fields together, and what escaping adds to one of them.
    assert len(prompt.user) < 20_000


@every_document
def test_the_stored_result_is_what_is_stated(order: ShopDocument) -> None:
    value = order.document.get(PRODUCTS[order.product].result_field)
    kind = delivered_certificate(value) if order.product is ProductKey.WERTGUTACHTEN else delivered_text(value)
    assert kind.value == order.delivered


@every_document
def test_a_database_can_hold_it(order: ShopDocument) -> None:
    for document in (order.document, order.job, *order.webhooks):
        if document is not None:
            stored = bson.decode(bson.encode(document))
            assert list(stored) == list(document)


@every_document
def test_its_job_and_webhooks_belong_to_it(order: ShopDocument) -> None:
    if order.job is not None:
        assert str(order.job["bewertungId"]) == str(order.document["_id"])
    for row in order.webhooks:
        assert row["sessionId"] == order.document["stripeSessionId"]


def test_the_collection_can_be_moved_in_time() -> None:
    later = NOW + timedelta(days=400)
    for order, moved in zip(SHOP_DOCUMENTS, shop_documents(later), strict=True):
        assert order.name == moved.name
        for field in ("erstellt", "paidAt", "completedAt", "aktualisiert"):
            if isinstance(order.document.get(field), datetime):
                assert moved.document[field] - order.document[field] == timedelta(days=400)
        stamped = moved.document["_id"]
        if isinstance(stamped, bson.ObjectId):
            assert stamped.generation_time.astimezone(UTC) <= later
