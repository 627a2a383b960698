"""Jobs that the shop itself inserted: taken over as they are, whatever their figures look like, and none twice."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import Int64, ObjectId, Regex, Timestamp
from pymongo.database import Database

from pferdewert_ops.adapters.mongo.evaluation_jobs import ADOPT_PAGE, FOREIGN_LIMIT, MongoJobs
from pferdewert_ops.domain.jobs import CancelReason
from tests.harness import HORSE, ShopFloor
from tests.mongo.queue_support import Document, evaluation_queue, queue_of, server_now, stored

HOUR = timedelta(hours=1)


@pytest.fixture
def since() -> datetime:
    return datetime.now(UTC) - timedelta(hours=24)


def order(shop: Database[Document], *, collection: str = "bewertungen", age: timedelta = HOUR, **changes: Any) -> Any:
    """An order of the shop; `...` leaves a field out."""
    made = datetime.now(UTC) - age
    identity = ObjectId(str(ObjectId.from_datetime(made))[:8] + str(ObjectId())[8:])
    document = {"_id": identity, **HORSE, "status": "offen", "erstellt": made, "paymentStatus": "paid", **changes}
    shop[collection].insert_one({name: value for name, value in document.items() if value is not ...})
    return document["_id"]


def shop_job(shop: Database[Document], reference: Any, **changes: Any) -> Any:
    """A job as the shop's checkout inserts it: no rank, no fence."""
    document = {
        "_id": ObjectId(),
        "bewertungId": reference,
        "horseData": dict(HORSE),
        "status": "pending",
        "priority": "normal",
        "attempts": 0,
        "maxAttempts": 5,
        "scheduledAt": datetime.now(UTC) - timedelta(minutes=1),
        **changes,
    }
    shop.evaluation_jobs.insert_one({name: value for name, value in document.items() if value is not ...})
    return document["_id"]


def claimable(shop: Database[Document]) -> list[Any]:
    return [one.handle.id for one in evaluation_queue(shop).claim(100, paid_only=False)]


@pytest.mark.parametrize(("collection", "product"), [("bewertungen", "bewertung"), ("wertgutachten", "wertgutachten")])
@pytest.mark.parametrize("as_text", [False, True], ids=["object_id", "text"])
def test_a_job_for_either_product_is_taken_over(
    shop: Database[Document], since: datetime, collection: str, product: str, as_text: bool
) -> None:
    identity = order(shop, collection=collection)
    job_id = shop_job(shop, str(identity) if as_text else identity)
    assert MongoJobs(shop).adopt(since) == ([str(identity)], [])
    taken = stored(shop.evaluation_jobs, job_id)
    assert (taken["product"], taken["paid"], taken["fence"], taken["stage"]) == (product, True, 0, "primary")
    assert taken["horseData"] == HORSE
    assert claimable(shop) == [job_id]
    assert MongoJobs(shop).adopt(since) == ([], [])


@pytest.mark.parametrize(
    ("attempts", "limit", "read"),
    [
        (..., ..., (0, 8)),
        (None, None, (0, 8)),
        ("2", "5", (0, 8)),
        (2, 5, (2, 5)),
        (Int64(2), Int64(5), (2, 5)),
        (2.0, 5.0, (2, 5)),
        (9, 5, (4, 5)),
        (-1, 0, (0, 8)),
        (True, True, (0, 8)),
        (1.5, float("nan"), (0, 8)),
        (float("inf"), float("inf"), (0, 8)),
        ([3], {"n": 3}, (0, 8)),
    ],
    ids=[
        "absent",
        "null",
        "text",
        "whole",
        "long",
        "double",
        "used_up",
        "too_small",
        "boolean",
        "broken",
        "endless",
        "nested",
    ],
)
def test_odd_figures_become_usable(
    shop: Database[Document], since: datetime, attempts: object, limit: object, read: tuple[int, int]
) -> None:
    shop_job(shop, order(shop), attempts=attempts, maxAttempts=limit)
    MongoJobs(shop).adopt(since)
    [claimed] = evaluation_queue(shop).claim(1, paid_only=False)
    assert (claimed.attempts.spent - 1, claimed.attempts.limit) == read


@pytest.mark.parametrize("odd", [..., None, "2026-01-20", 5, Timestamp(1, 1), Regex("^2026"), [1]], ids=str)
def test_an_odd_time_means_now(shop: Database[Document], since: datetime, odd: object) -> None:
    job_id = shop_job(shop, order(shop), scheduledAt=odd)
    MongoJobs(shop).adopt(since)
    queue_of(shop.evaluation_jobs).promote()
    assert claimable(shop) == [job_id]


def test_a_job_that_is_not_due_is_taken_over_and_waits(shop: Database[Document], since: datetime) -> None:
    identity = order(shop)
    job_id = shop_job(shop, identity, scheduledAt=server_now(shop.evaluation_jobs) + HOUR)
    assert MongoJobs(shop).adopt(since) == ([str(identity)], [])
    assert "rank" not in stored(shop.evaluation_jobs, job_id)
    assert claimable(shop) == []


def test_premium_goes_first(shop: Database[Document], since: datetime) -> None:
    due = server_now(shop.evaluation_jobs) - timedelta(minutes=1)
    normal = shop_job(shop, order(shop), scheduledAt=due - timedelta(minutes=3))
    premium = shop_job(shop, order(shop), priority="premium", scheduledAt=due)
    MongoJobs(shop).adopt(since)
    assert claimable(shop) == [premium, normal]


@pytest.mark.parametrize(
    ("changes", "paid"),
    [
        ({}, True),
        ({"paymentStatus": "pending"}, False),
        ({"paymentStatus": ...}, False),
        ({"paymentStatus": "PAID"}, False),
        ({"refundedAt": datetime(2026, 1, 1, tzinfo=UTC)}, False),
    ],
    ids=str,
)
def test_whether_it_is_paid_is_read_from_the_order(
    shop: Database[Document], since: datetime, changes: Document, paid: bool
) -> None:
    job_id = shop_job(shop, order(shop, **changes), paid="yes")
    MongoJobs(shop).adopt(since)
    assert stored(shop.evaluation_jobs, job_id)["paid"] is paid


# --- a worker of the shop's own ----------------------------------------------------------------------------------


@pytest.mark.parametrize("started", [..., None, "yesterday", FOREIGN_LIMIT + timedelta(seconds=1)], ids=str)
def test_what_a_dead_foreign_worker_left_is_taken_over(shop: Database[Document], since: datetime, started: Any) -> None:
    at = datetime.now(UTC) - started if isinstance(started, timedelta) else started
    job_id = shop_job(shop, order(shop), status="processing", startedAt=at, processedBy="lambda-7", attempts=1)
    MongoJobs(shop).adopt(since)
    taken = stored(shop.evaluation_jobs, job_id)
    assert (taken["status"], taken["attempts"]) == ("pending", 1)
    assert claimable(shop) == [job_id]


def test_a_foreign_worker_that_may_live_is_left_alone(shop: Database[Document], since: datetime) -> None:
    at = datetime.now(UTC) - FOREIGN_LIMIT + timedelta(minutes=1)
    job_id = shop_job(shop, order(shop), status="processing", startedAt=at)
    before = stored(shop.evaluation_jobs, job_id)
    assert MongoJobs(shop).adopt(since) == ([], [])
    assert stored(shop.evaluation_jobs, job_id) == before


def test_a_foreign_worker_that_took_it_meanwhile_keeps_it(
    shop: Database[Document], since: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look and the write the shop's own worker began anew: its job is not taken from under it."""
    stale = datetime.now(UTC) - HOUR
    job_id = shop_job(shop, order(shop), status="processing", startedAt=stale)
    jobs = MongoJobs(shop)
    look = jobs._strangers

    def look_and_lose(status: str, reference: Any) -> list[Document]:
        found = look(status, reference)
        if found:
            shop.evaluation_jobs.update_one({"_id": job_id}, {"$set": {"startedAt": datetime.now(UTC)}})
        return found

    monkeypatch.setattr(jobs, "_strangers", look_and_lose)
    assert jobs.adopt(since) == ([], [])
    assert stored(shop.evaluation_jobs, job_id)["status"] == "processing"


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled", "archived"])
def test_what_is_over_is_not_taken_over(shop: Database[Document], since: datetime, status: str) -> None:
    job_id = shop_job(shop, order(shop), status=status)
    before = stored(shop.evaluation_jobs, job_id)
    assert MongoJobs(shop).adopt(since) == ([], [])
    assert stored(shop.evaluation_jobs, job_id) == before


# --- which orders ------------------------------------------------------------------------------------------------


def test_jobs_of_orders_before_the_horizon_stay_as_they_are(shop: Database[Document], since: datetime) -> None:
    old = timedelta(days=30)
    by_id = order(shop, age=old)
    fresh_id = order(shop, age=old, _id=ObjectId())
    undated = order(shop, age=old, erstellt=...)
    for reference in (by_id, fresh_id, str(fresh_id), undated):
        for status in ("pending", "processing"):
            shop_job(shop, reference, status=status)
    before = list(shop.evaluation_jobs.find().sort("_id"))
    assert MongoJobs(shop).adopt(since) == ([], [])
    assert list(shop.evaluation_jobs.find().sort("_id")) == before


def test_an_order_whose_id_was_made_just_before_the_horizon_is_taken_in(shop: Database[Document]) -> None:
    """The shop makes the id first and writes `erstellt` last: an order on the line belongs to what came after."""
    since = datetime.now(UTC) - HOUR
    identity = order(shop, age=HOUR + timedelta(seconds=20), erstellt=since + timedelta(seconds=1))
    job_id = shop_job(shop, identity)
    assert MongoJobs(shop).adopt(since) == ([str(identity)], [])
    assert claimable(shop) == [job_id]


@pytest.mark.parametrize("reference", [ObjectId(), str(ObjectId()), "zzz"], ids=["object_id", "text", "no_id"])
def test_a_job_of_an_unknown_order_is_told_and_left_alone(
    shop: Database[Document], since: datetime, reference: Any
) -> None:
    job_id = shop_job(shop, reference)
    before = stored(shop.evaluation_jobs, job_id)
    assert MongoJobs(shop).adopt(since) == ([], [str(job_id)])
    assert stored(shop.evaluation_jobs, job_id) == before


@pytest.mark.parametrize("reference", [..., None, 17, {"$gt": ""}], ids=str)
def test_a_reference_that_is_none_stops_nobody(shop: Database[Document], since: datetime, reference: Any) -> None:
    odd = shop_job(shop, reference)
    fine = shop_job(shop, order(shop))
    assert MongoJobs(shop).adopt_one(odd, since) is None
    MongoJobs(shop).adopt(since)
    assert claimable(shop) == [fine]


def test_dates_that_no_calendar_has_stop_nobody(floor: ShopFloor) -> None:
    """JavaScript's dates reach from the year -271821 to 275760."""
    odd = floor.order(geburtstag=None)
    floor.shop_job(odd)
    fine = floor.order()
    floor.shop_job(fine)
    for collection in ("bewertungen", "evaluation_jobs"):
        floor.database[collection].update_one(
            {"$or": [{"_id": ObjectId(odd)}, {"bewertungId": ObjectId(odd)}]},
            [{"$set": {"archivedAt": {"$toDate": 8_640_000_000_000_000}}}],
        )
    floor.drain()
    assert floor.mails_to_customer(fine) == floor.mails_to_customer(odd) == ["result"]


def test_more_jobs_than_a_page_are_all_taken_over(shop: Database[Document], since: datetime) -> None:
    count = ADOPT_PAGE + 20
    made = datetime.now(UTC) - HOUR
    base = {**HORSE, "status": "offen", "erstellt": made, "paymentStatus": "paid"}
    identities = [ObjectId() for _ in range(count)]
    shop.bewertungen.insert_many([{**base, "_id": identity} for identity in identities])
    jobs = [{"bewertungId": identity, "status": "pending", "attempts": 0} for identity in identities]
    shop.evaluation_jobs.insert_many(jobs)
    adopted, orphans = MongoJobs(shop).adopt(since)
    assert (sorted(adopted), orphans) == (sorted(map(str, identities)), [])
    assert shop.evaluation_jobs.count_documents({"fence": 0, "rank": {"$type": "date"}}) == count


# --- through a whole worker --------------------------------------------------------------------------------------


@pytest.mark.parametrize("second", ["shop", "ours"])
def test_of_two_jobs_for_one_order_the_older_lives(floor: ShopFloor, second: str) -> None:
    order_id = floor.order()
    older = floor.shop_job(order_id, _id=ObjectId.from_datetime(datetime.now(UTC) - timedelta(minutes=5)))
    if second == "shop":
        younger: Any = ObjectId(floor.shop_job(order_id))
    else:
        assert MongoJobs(floor.database).make(order_id)
        younger = ObjectId(order_id)
    calls = len(floor.model.journal.entries())
    floor.drain(concurrency=1)
    lived = stored(floor.database.evaluation_jobs, ObjectId(older))
    ended = stored(floor.database.evaluation_jobs, younger)
    assert (lived["status"], ended["status"]) == ("completed", "cancelled")
    assert ended["cancelReason"] == CancelReason.DUPLICATE
    assert len(floor.model.journal.entries()) - calls == 1
    assert floor.mails_to_customer(order_id) == ["result"]


def test_a_job_without_an_order_is_a_finding_until_the_order_is_there(floor: ShopFloor) -> None:
    late = ObjectId()
    job_id = floor.shop_job(str(late))
    floor.drain()
    floor.drain()
    [finding] = floor.database.ops_findings.find({"kind": "job_without_order"})
    assert (finding["subject"], finding["state"]) == (job_id, "open")
    assert len(floor.events("job_without_order")) == 1
    floor.order(_id=late)
    floor.drain()
    assert floor.mails_to_customer(str(late)) == ["result"]
    [finding] = floor.database.ops_findings.find({"kind": "job_without_order"})
    assert finding["state"] == "closed"


def test_a_result_that_the_shops_own_worker_left_in_its_job_is_a_persons_matter(floor: ShopFloor) -> None:
    """A foreign `result` has no known shape: it is not delivered on a guess, and it stops nobody else's order."""
    lost = floor.order()
    floor.shop_job(lost, status="completed", result="Text", completedAt="gestern")
    other = floor.order()
    floor.drain()
    assert "bewertung" not in floor.document(lost)
    assert floor.mails_to_customer(other) == ["result"]
    [finding] = floor.database.ops_findings.find({"subject": lost})
    assert (finding["kind"], finding["state"]) == ("evaluation_failed", "open")
