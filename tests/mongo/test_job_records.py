"""Jobs as records: made once, moved up by a payment, cancelled and revived without a word lost."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database

from pferdewert_ops.adapters.mongo.evaluation_jobs import EvaluationQueue, MongoJobs
from pferdewert_ops.domain.failures import ErrorClass
from pferdewert_ops.domain.jobs import CancelReason, Failure, GiveUp, handicap
from pferdewert_ops.operations.ports import HandedBack, Unsuccessful
from tests.mongo.queue_support import Document, completed, evaluation_queue, job, ranked, server_now, stored

GIVE_UP = Unsuccessful(
    failure=Failure(error_class=ErrorClass.AI_ERROR, code="x"), after=GiveUp(failures={ErrorClass.AI_ERROR: 3})
)


@pytest.fixture
def jobs(shop: Database[Document]) -> MongoJobs:
    return MongoJobs(shop)


@pytest.fixture
def queue(shop: Database[Document]) -> EvaluationQueue:
    return evaluation_queue(shop)


def insert(shop: Database[Document], **changes: Any) -> Any:
    return shop.evaluation_jobs.insert_one(job(**changes)).inserted_id


# --- made --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("collection", ["bewertungen", "wertgutachten"])
def test_an_order_gets_one_job_with_its_own_id(
    shop: Database[Document], jobs: MongoJobs, queue: EvaluationQueue, collection: str
) -> None:
    order_id = shop[collection].insert_one({"paymentStatus": "paid"}).inserted_id
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: jobs.make(str(order_id)), range(8))) == 1
    [made] = shop.evaluation_jobs.find()
    assert (made["_id"], made["bewertungId"], made["paid"], made["fence"]) == (order_id, order_id, True, 0)
    queue.leased.promote()
    [claimed] = queue.claim(1, paid_only=True)
    assert (claimed.id, claimed.order_id, claimed.attempts.limit) == (str(order_id), str(order_id), 8)


def test_no_order_no_job(shop: Database[Document], jobs: MongoJobs) -> None:
    assert not jobs.make(str(ObjectId()))
    assert shop.evaluation_jobs.count_documents({}) == 0


# --- paid --------------------------------------------------------------------------------------------------------


def test_a_payment_moves_a_waiting_job_up(shop: Database[Document], jobs: MongoJobs, queue: EvaluationQueue) -> None:
    due = server_now(shop.evaluation_jobs) - timedelta(minutes=1)
    earlier = insert(shop, paid=False, scheduledAt=due - timedelta(minutes=20))
    payer = insert(shop, paid=False, scheduledAt=due)
    queue.leased.promote()
    assert jobs.mark_paid(str(payer))
    assert not jobs.mark_paid(str(payer))
    queue.leased.promote()
    assert stored(shop.evaluation_jobs, payer)["rank"] == due + handicap(paid=True, retry=False, premium=False)
    assert [one.handle.id for one in queue.claim(5, paid_only=False)] == [payer, earlier]


def test_a_running_job_that_is_paid_comes_back_among_the_payers(
    shop: Database[Document], jobs: MongoJobs, queue: EvaluationQueue
) -> None:
    due = server_now(shop.evaluation_jobs) - timedelta(minutes=1)
    payer = insert(shop, paid=False, scheduledAt=due)
    queue.leased.promote()
    [claimed] = queue.claim(1, paid_only=False)
    assert jobs.mark_paid(str(payer))
    assert queue.leased.renew([(claimed.handle, None)], shop.evaluation_jobs) == set()
    assert queue.settle([(claimed, HandedBack())]) == set()
    queue.leased.promote()
    assert stored(shop.evaluation_jobs, payer)["rank"] == due + handicap(paid=True, retry=False, premium=False)
    assert [one.paid for one in queue.claim(1, paid_only=True)] == [True]


def test_a_retry_that_is_paid_still_waits_for_its_time(
    shop: Database[Document], jobs: MongoJobs, queue: EvaluationQueue
) -> None:
    waiting = insert(shop, paid=False, attempts=1, scheduledAt=server_now(shop.evaluation_jobs) + timedelta(hours=1))
    assert jobs.mark_paid(str(waiting))
    assert queue.leased.promote() == 0


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_what_is_over_is_not_moved(shop: Database[Document], jobs: MongoJobs, status: str) -> None:
    over = insert(shop, status=status, paid=False)
    before = stored(shop.evaluation_jobs, over)
    assert not jobs.mark_paid(str(over))
    assert stored(shop.evaluation_jobs, over) == before


# --- cancelled and revived ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", CancelReason)
@pytest.mark.parametrize("status", ["pending", "processing", "completed", "failed", "cancelled"])
def test_only_an_operator_ends_what_is_running_and_nobody_what_is_over(
    shop: Database[Document], jobs: MongoJobs, reason: CancelReason, status: str
) -> None:
    identity = insert(shop, status=status, fence=3)
    before = stored(shop.evaluation_jobs, identity)
    may = status == "pending" or (status == "processing" and reason is CancelReason.OPERATOR)
    assert jobs.cancel(str(identity), reason) is may
    after = stored(shop.evaluation_jobs, identity)
    if may:
        assert (after["status"], after["cancelReason"], after["fence"]) == ("cancelled", reason, 4)
    else:
        assert after == before


def test_a_revived_job_starts_afresh_and_remembers(
    shop: Database[Document], jobs: MongoJobs, queue: EvaluationQueue
) -> None:
    shop.evaluation_jobs.insert_one(ranked(1, attempts=7, failures={"ai_error": 2}, stage="fallback"))
    [claimed] = queue.claim(1, paid_only=False)
    queue.settle([(claimed, GIVE_UP)])
    assert not jobs.revive(claimed.id, actor="anna", expected=["cancelled"])
    assert jobs.revive(claimed.id, actor="$anna", expected=["failed", "cancelled"])
    assert not jobs.revive(claimed.id, actor="anna", expected=["failed", "cancelled"])
    queue.leased.promote()
    [again] = queue.claim(1, paid_only=False)
    assert (again.attempts.spent, again.attempts.failures, again.attempts.stage) == (1, {}, "primary")
    assert again.fence > claimed.fence
    now = stored(shop.evaluation_jobs, claimed.handle.id)
    assert [event["event"] for event in now["history"]] == ["failed", "retry"]
    assert now["history"][-1]["actor"] == "$anna"


def test_a_revived_job_forgets_its_result(shop: Database[Document], jobs: MongoJobs, queue: EvaluationQueue) -> None:
    shop.evaluation_jobs.insert_one(ranked(1))
    [claimed] = queue.claim(1, paid_only=False)
    queue.settle([(claimed, completed())])
    assert jobs.revive(claimed.id, actor="anna", expected=["completed"])
    assert not {"result", "completedAt", "error"} & set(stored(shop.evaluation_jobs, claimed.handle.id))


def test_a_worker_that_was_cancelled_and_revived_over_is_lost(
    shop: Database[Document], jobs: MongoJobs, queue: EvaluationQueue
) -> None:
    shop.evaluation_jobs.insert_one(ranked(1))
    [old] = queue.claim(1, paid_only=False)
    jobs.cancel(old.id, CancelReason.OPERATOR)
    jobs.revive(old.id, actor="anna", expected=["cancelled"])
    assert queue.settle([(old, completed())]) == {old.id}
    queue.leased.promote()
    [new] = queue.claim(1, paid_only=False)
    assert queue.settle([(old, completed("alt"))]) == {old.id}
    assert queue.settle([(new, completed("neu"))]) == set()
    assert stored(shop.evaluation_jobs, new.handle.id)["result"]["value"] == "neu"


# --- figures -----------------------------------------------------------------------------------------------------


def test_the_usual_time_is_the_median_of_the_latest(shop: Database[Document], jobs: MongoJobs) -> None:
    assert jobs.median_seconds() is None
    at = server_now(shop.evaluation_jobs)
    for minutes, seconds in enumerate([900.0, 10.0, 30.0, 20.0, "40", None]):
        insert(shop, status="completed", completedAt=at + timedelta(minutes=minutes), seconds=seconds)
    assert jobs.median_seconds(most=5) == 20.0
    assert jobs.median_seconds() == 30.0
