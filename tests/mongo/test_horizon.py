"""The first day on a live database: what lies there stays as it is, and not too many strangers are let in."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from pferdewert_ops.domain.products import PRODUCTS
from pferdewert_ops.wiring import Shop
from tests.harness import ShopFloor
from tests.mongo.queue_support import Document, until
from tests.shop_documents import shop_documents

OLD = 20_000
STATUSES = ["pending", "processing", "completed", "failed", "cancelled"]
HOURS_2 = timedelta(hours=2)
SHOPS = ["bewertungen", "wertgutachten", "evaluation_jobs", "webhook_processing", "counters"]
# Seconds, for two workers from their start to their end. It takes five on an idle machine; a pass that looked at
# every old document one by one would take minutes.
FIRST_RUNS = 40.0
# The pace of production: suites survey more often than ten times a second.
CALM: dict[str, Any] = {"poll_every": timedelta(seconds=1), "survey_every": timedelta(seconds=10)}
PATIENT: dict[str, Any] = {"delay_mail_after": timedelta(days=1)}


@pytest.fixture
def old_shop(floor: ShopFloor) -> ShopFloor:
    """Sixty days ago and older: every shape of order, with jobs in every state."""
    then = datetime.now(UTC) - timedelta(days=60)
    shapes = shop_documents(then)
    orders: dict[str, list[Document]] = {product.collection: [] for product in PRODUCTS.values()}
    jobs: list[Document] = []
    for number in range(OLD):
        shape = shapes[number % len(shapes)]
        order = {**shape.document, "_id": _another_id(shape.document, fresh=number % 9 == 0)}
        orders[PRODUCTS[shape.product].collection].append(order)
        if shape.job is not None or number % 4 == 0:
            reference = order["_id"] if number % 8 else str(order["_id"])
            jobs += [{**_job(shape.job, number), "_id": ObjectId(), "bewertungId": reference} for _ in range(2)]
    for collection, documents in orders.items():
        floor.database[collection].insert_many(documents)
    floor.database.evaluation_jobs.insert_many(jobs)
    floor.database.webhook_processing.insert_one(
        {"sessionId": "cs_live_1", "status": "processing", "processedAt": then}
    )
    floor.database.counters.insert_one({"name": f"zertifikat_{then.year}", "seq": 41})
    return floor


def _another_id(document: Document, *, fresh: bool) -> Any:
    """An id of the same time, or of just now where `erstellt` tells the time: restored copies have such ids."""
    if fresh and isinstance(document.get("erstellt"), datetime):
        return ObjectId()
    identity = document["_id"]
    if isinstance(identity, ObjectId):
        return ObjectId(str(identity)[:8] + str(ObjectId())[8:])
    return f"{identity}-{ObjectId()}"


def _job(shaped: Document | None, number: int) -> Document:
    return shaped or {"status": STATUSES[number // 4 % len(STATUSES)], "attempts": 0, "priority": "premium"}


def fingerprints(floor: ShopFloor) -> dict[str, str]:
    """The server's own hash over every document of the shop's collections."""
    hashes: dict[str, str] = floor.database.command("dbHash", collections=SHOPS)["collections"]
    return hashes


def test_twenty_thousand_old_documents_are_left_as_they_are(old_shop: ShopFloor) -> None:
    before = fingerprints(old_shop)
    assert set(before) == set(SHOPS)
    calls = len(old_shop.model.journal.entries())
    began = time.monotonic()
    old_shop.drain(**CALM)
    old_shop.drain(**CALM)
    assert time.monotonic() - began < FIRST_RUNS
    assert fingerprints(old_shop) == before
    assert len(old_shop.model.journal.entries()) == calls
    assert old_shop.mail.mailbox.mails() == ()
    assert old_shop.database.mail_outbox.count_documents({}) == 0
    assert old_shop.database.ops_findings.count_documents({}) == 0

    new = old_shop.order()  # and what comes today is served past all of them
    old_shop.drain(**CALM)
    assert old_shop.mails_to_customer(new) == ["result"]
    touched = old_shop.database.bewertungen.find({"aktualisiert": {"$gte": datetime.now(UTC) - HOURS_2}})
    assert [str(order["_id"]) for order in touched] == [new]
    assert len(old_shop.model.journal.entries()) == calls + 1


def test_the_horizon_is_stored_once_and_said_once(floor: ShopFloor) -> None:
    began = datetime.now(UTC)
    floor.drain(lookback=timedelta(hours=3))
    [stored] = floor.database.ops_settings.find({"_id": "horizon"})
    assert abs(stored["at"] - (began - timedelta(hours=3))) < timedelta(seconds=30)
    floor.drain(lookback=timedelta(days=300))
    assert list(floor.database.ops_settings.find({"_id": "horizon"})) == [stored]
    assert len(floor.events("horizon_set")) == 1


@pytest.mark.parametrize("with_job", [False, True])
def test_the_horizon_parts_what_is_served_from_what_is_left(floor: ShopFloor, with_job: bool) -> None:
    before, after = floor.order(age=timedelta(minutes=70)), floor.order(age=timedelta(minutes=50))
    if with_job:
        for order_id in (before, after):
            floor.shop_job(order_id)
    floor.drain(lookback=timedelta(hours=1), **PATIENT)
    assert (floor.mails_to_customer(before), floor.mails_to_customer(after)) == ([], ["result"])
    assert "bewertung" not in floor.document(before)


# --- the guard ---------------------------------------------------------------------------------------------------


def strangers(floor: ShopFloor, count: int, **changes: Any) -> list[str]:
    """Orders that were paid two hours ago and that no pass has ever seen."""
    return [floor.order(age=HOURS_2, **changes) for _ in range(count)]


def test_ten_strangers_are_taken_in(floor: ShopFloor) -> None:
    found = strangers(floor, 10)
    floor.drain(concurrency=10, **PATIENT)
    assert [floor.mails_to_customer(order_id) for order_id in found] == [["result"]] * 10
    assert floor.database.ops_findings.count_documents({"state": "open"}) == 0


def test_eleven_strangers_are_all_left_to_a_person(floor: ShopFloor) -> None:
    calls = len(floor.model.journal.entries())
    found = strangers(floor, 11)
    known = floor.order()
    floor.drain()
    floor.drain()
    assert len(floor.model.journal.entries()) == calls + 1
    assert floor.mails_to_customer(known) == ["result"]
    assert floor.database.evaluation_jobs.count_documents({}) == 1
    assert [floor.mails_to_customer(order_id) for order_id in found] == [[]] * 11
    [finding] = floor.database.ops_findings.find({"state": "open"})
    assert (finding["kind"], finding["detail"][:2]) == ("intake_guard", "11")
    assert [event["orders"] for event in floor.events("intake_refused")] == [11, 11]  # once a worker

    floor.drain(intake_guard=11, concurrency=11, **PATIENT)  # a person has raised the limit
    assert [floor.mails_to_customer(order_id) for order_id in found] == [["result"]] * 11
    assert floor.database.ops_findings.count_documents({"state": "open"}) == 0


def test_strangers_that_the_shop_made_jobs_for_are_not_counted(floor: ShopFloor) -> None:
    found = strangers(floor, 11)
    for order_id in found:
        floor.shop_job(order_id)
    floor.drain(concurrency=11, **PATIENT)
    assert [floor.mails_to_customer(order_id) for order_id in found] == [["result"]] * 11


def test_a_backlog_of_known_orders_is_worked_off_after_an_outage(floor: ShopFloor) -> None:
    """Twelve orders were known when the model went away; hours later they are strangers to nobody."""
    found = [floor.order() for _ in range(12)]
    floor.drain(queues=("mail",))
    assert floor.database.evaluation_jobs.count_documents({"status": "pending"}) == 12
    long_ago = {"paidAt": datetime.now(UTC) - HOURS_2, "erstellt": datetime.now(UTC) - HOURS_2}
    floor.database.bewertungen.update_many({}, {"$set": long_ago})
    floor.drain(concurrency=12, **PATIENT)
    assert [floor.mails_to_customer(order_id) for order_id in found] == [["result"]] * 12


def test_an_order_that_was_known_while_it_waited_for_its_payment_is_no_stranger(floor: ShopFloor) -> None:
    """The payments were told late, hours after they were made; the orders were there all the time."""
    found = strangers(floor, 11, paymentStatus="pending")
    floor.drain()
    floor.database.bewertungen.update_many({}, {"$set": {"paymentStatus": "paid"}})
    floor.drain(concurrency=11, **PATIENT)
    assert [floor.mails_to_customer(order_id) for order_id in found] == [["result"]] * 11


def test_payments_of_long_ago_that_are_told_at_once_go_through_the_guard_too(floor: ShopFloor) -> None:
    """A script of the shop's that marks many orders as paid must not get them all evaluated by way of the hints."""
    calls = len(floor.model.journal.entries())
    with floor.working(survey_every=timedelta(minutes=5)) as worker:
        until(lambda: all(lane.is_idle() for lane in worker.lanes))  # the passes of its start are over
        hints = worker.process._hints
        assert hints is not None
        assert hints.wait_listening(20)
        # Without a word about a payment no pass knows them either.
        found = strangers(floor, 11, paymentStatus=...)
        floor.database.bewertungen.update_many({"paymentStatus": None}, {"$set": {"paymentStatus": "paid"}})
        new = floor.order(paymentStatus="pending")
        floor.database.bewertungen.update_one({"_id": ObjectId(new)}, {"$set": {"paymentStatus": "paid"}})
        until(lambda: floor.mails_to_customer(new) == ["result"])  # told after the others
    assert len(floor.model.journal.entries()) == calls + 1
    assert [floor.mails_to_customer(order_id) for order_id in found] == [[]] * 11
    assert floor.database.evaluation_jobs.count_documents({}) == 1


def test_an_old_order_that_a_person_took_in_is_finished_after_a_crash(floor: ShopFloor) -> None:
    """No survey looks back before the horizon: what was taken in is looked at until it is settled."""
    order_id = floor.order(age=timedelta(days=40))
    with Shop(floor.settings(), tell=floor.tell) as shop:
        shop.migrate()
        shop.orders.take_in(order_id)
    floor.drain()

    assert floor.mails_to_customer(order_id).count("result") == 1
    record = floor.database.ops_orders.find_one({"_id": order_id})
    assert record is not None
    assert "takenInAt" in record
    floor.drain()
    settled = floor.database.ops_orders.find_one({"_id": order_id})
    assert settled is not None
    assert "watched" not in settled


def test_what_the_deep_pass_refused_is_not_taken_in_piece_by_piece(floor: ShopFloor) -> None:
    """Eleven strangers, most of them older than the recent pass looks back: none is taken in, and it stays said."""
    old = [floor.order(age=timedelta(days=5)) for _ in range(8)]
    recent = [floor.order(age=timedelta(hours=3)) for _ in range(3)]
    floor.drain(lookback=timedelta(days=7))
    floor.drain(lookback=timedelta(days=7))

    assert floor.database.evaluation_jobs.count_documents({}) == 0
    found = list(floor.database.ops_findings.find({"kind": "intake_guard", "state": "open"}))
    [detail] = [finding["detail"] for finding in found]
    count, _, named = detail.partition(": ")
    assert count == "11 orders paid over an hour ago"
    assert len(old + recent) == 11
    *ids, rest = named.split(", ")
    assert (len(set(ids)), rest) == (10, "…")
    assert set(ids) < set(old + recent)
