"""One order in trouble: what cannot be written for it stops neither the worker nor any other order."""

import queue
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from pferdewert_ops.adapters.mongo.evaluation_jobs import EvaluationQueue, MongoJobs
from pferdewert_ops.domain.horse import Horse
from pferdewert_ops.domain.products import Product
from pferdewert_ops.domain.rejections import Rejected
from pferdewert_ops.operations import evaluate
from pferdewert_ops.operations.ports import ClaimedJob, ModelAnswer, Result
from pferdewert_ops.sandbox.guardian_process import until
from pferdewert_ops.worker.threads import WorkerThreads
from tests.faults.checks import check_delivered, check_mailed_once, marked_order
from tests.harness import ShopFloor

LIMIT = 30.0


def refuse_results_of(floor: ShopFloor, order_id: str) -> None:
    """The shop's own rule for its collection: this order must not get a result (as one that is at 16 MB could not)."""
    rule: dict[str, Any] = {"$or": [{"_id": {"$ne": ObjectId(order_id)}}, {"bewertung": {"$exists": False}}]}
    floor.database.command("collMod", "bewertungen", validator=rule)


def test_an_order_that_refuses_its_result_is_shown_and_stops_no_other(floor: ShopFloor) -> None:
    stuck = marked_order(floor)
    refuse_results_of(floor, stuck)
    floor.drain()
    later = [marked_order(floor) for _ in range(2)]
    # Nobody follows up on these but the survey, which meets the stuck one first.
    floor.drain(failpoint="finished:raise", concurrency=1)

    floor.drain()

    for order_id in later:
        check_delivered(floor, order_id)
        check_mailed_once(floor, order_id)
    assert floor.job(stuck)["status"] == "completed"
    assert floor.mails_to_customer(stuck) == []
    assert floor.database.ops_findings.count_documents({"_id": f"order_stuck:{stuck}", "state": "open"}) == 1

    floor.database.command("collMod", "bewertungen", validator={})
    floor.drain()

    check_delivered(floor, stuck)
    check_mailed_once(floor, stuck)
    assert floor.database.ops_findings.count_documents({"_id": f"order_stuck:{stuck}", "state": "closed"}) == 1


def test_a_result_that_cannot_be_stored_holds_up_no_other(floor: ShopFloor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of a surrogate pair is text to Python and nothing that the driver can encode."""
    judge = evaluate.judge
    odd, *others = [marked_order(floor) for _ in range(4)]

    def judge_oddly(answer: ModelAnswer, product: Product, horse: Horse) -> Result | Rejected:
        judged = judge(answer, product, horse)
        if isinstance(judged, Result) and odd in str(horse):
            return replace(judged, value="Preisspanne \ud83d")
        return judged

    monkeypatch.setattr(evaluate, "judge", judge_oddly)

    floor.drain(concurrency=4)

    for order_id in others:
        check_delivered(floor, order_id)
        check_mailed_once(floor, order_id)
    job = floor.job(odd)
    assert (job["status"], job["attempts"], job["error"]["class"]) == ("pending", 1, "internal")
    assert job["error"]["code"] == "UnicodeEncodeError"
    assert [event["error"] for event in floor.events("outcome_refused")] == ["UnicodeEncodeError"]


def test_a_mail_of_a_kind_that_this_version_does_not_know_is_left_to_those_who_do(floor: ShopFloor) -> None:
    unknown = [
        {"_id": "a:invoice", "status": "pending", "rank": datetime.now(UTC)},
        {"_id": "b:invoice", "status": "processing", "leaseUntil": datetime.now(UTC) - timedelta(minutes=1)},
    ]
    common = {"orderId": "a", "kind": "invoice", "key": "k", "attempts": 1, "fence": 1}
    floor.database.mail_outbox.insert_many([{**common, **one} for one in unknown])
    order_id = marked_order(floor)

    floor.drain()

    check_mailed_once(floor, order_id)
    with floor.database.mail_outbox.find({"kind": "invoice"}).sort("_id") as found:
        assert [(mail["status"], mail["fence"]) for mail in found] == [("pending", 1), ("processing", 1)]
    assert floor.events("lane_crashed") + floor.events("chore_crashed") == []


def test_a_look_that_meets_a_bug_is_told_and_not_the_last_one(
    floor: ShopFloor, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim, failures = EvaluationQueue.claim, iter([KeyError("bewertungId")])

    def claim_or_crash(self: EvaluationQueue, most: int, *, paid_only: bool) -> list[ClaimedJob]:
        if (failure := next(failures, None)) is not None:
            raise failure
        return claim(self, most, paid_only=paid_only)

    monkeypatch.setattr(EvaluationQueue, "claim", claim_or_crash)
    order_id = marked_order(floor)
    with floor.working():
        assert until(lambda: bool(floor.mails_to_customer(order_id)), LIMIT)
    [crash] = floor.events("lane_crashed")
    assert crash["error"].startswith("KeyError at test_odd_orders.py")


def test_a_chore_that_meets_a_bug_is_told_and_stops_no_other(floor: ShopFloor, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(self: MongoJobs, since: datetime) -> tuple[list[str], list[str]]:
        raise ValueError("a shape that nobody has met")

    monkeypatch.setattr(MongoJobs, "adopt", crash)
    order_id = marked_order(floor)

    floor.drain()

    check_mailed_once(floor, order_id)
    assert {(event["chore"], event["error"].split()[0]) for event in floor.events("chore_crashed")} == {
        ("adopt", "ValueError")
    }


def test_where_the_system_has_no_thread_left_work_goes_on_with_those_that_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    done: queue.SimpleQueue[str] = queue.SimpleQueue()
    threads = WorkerThreads(4, "test", lambda _: None)
    with monkeypatch.context() as without:
        without.setattr(threading.Thread, "start", refuse)
        threads.run(lambda: done.put("by who asked"))
        assert done.get_nowait() == "by who asked"
    busy = threading.Event()

    def wait_and_tell() -> None:
        if busy.wait(LIMIT):
            done.put("by its own thread")

    threads.run(wait_and_tell)
    with monkeypatch.context() as without:
        without.setattr(threading.Thread, "start", refuse)
        threads.run(lambda: done.put("by the one that runs"))
    busy.set()
    assert [done.get(timeout=LIMIT), done.get(timeout=LIMIT)] == ["by its own thread", "by the one that runs"]
