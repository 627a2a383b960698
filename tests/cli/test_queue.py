"""`pwops queue`: figures of a fleet, and the switch that holds it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from bson import ObjectId

from pferdewert_ops.adapters.mongo.documents import BREAKERS
from pferdewert_ops.domain.failures import Usage
from pferdewert_ops.sandbox.guardian_process import until
from pferdewert_ops.wiring import Shop
from tests.cli.operator_support import Call, audit, everything, migrated, our_job, our_mail
from tests.harness import ShopFloor


@pytest.fixture(autouse=True)
def ready(floor: ShopFloor) -> None:
    migrated(floor)


def stats(invoke: Call, **changes: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The evaluation queue, the mail queue, and the summary."""
    said = invoke("queue", "stats", "-o", "json", **changes)
    assert said.exit_code == 0
    evaluation, mail = said.json()["rows"]
    return evaluation, mail, said.json()["summary"]


def test_every_state_is_counted_where_it_belongs(invoke: Call, floor: ShopFloor) -> None:
    now = datetime.now(UTC)

    def job(**changes: Any) -> None:
        our_job(floor, str(ObjectId()), **{"failedAt": ..., **changes})

    hour = timedelta(hours=1)
    job(status="pending", rank=now - hour, scheduledAt=now - hour)
    job(status="pending", scheduledAt=now - 2 * hour)
    job(status="pending", scheduledAt=..., createdAt=now)
    job(status="pending", scheduledAt=now + hour)
    job(status="processing", leaseUntil=now + hour, rank=now)
    job(status="processing", leaseUntil=now - hour, rank=now)
    job(status="completed", completedAt=now - hour)
    job(status="completed", completedAt=now - 25 * hour)
    job(status="failed", failedAt=now - hour)
    job(status="failed", failedAt=now - 25 * hour)
    with Shop(floor.settings()) as shop:
        shop.fleet.first_horizon(timedelta(days=3))
    floor.shop_job(floor.order(age=timedelta(days=5)))
    floor.shop_job(floor.order())
    our_mail(floor, str(ObjectId()), status="sent", sentAt=now)
    our_mail(floor, str(ObjectId()), status="uncertain", failedAt=...)
    our_mail(floor, str(ObjectId()))

    evaluation, mail, _ = stats(invoke)

    assert (evaluation["ready"], evaluation["waiting"]) == (3, 1)
    assert (evaluation["left_alone"], evaluation["not_taken_over"]) == (1, 1)
    assert (evaluation["processing"], evaluation["stuck"]) == (2, 1)
    assert (evaluation["done_24h"], evaluation["failed_24h"]) == (1, 1)
    assert 7_200 <= evaluation["oldest"] < 7_300
    assert (mail["done_24h"], mail["failed_24h"], mail["uncertain"]) == (1, 1, 1)


def test_an_empty_queue_has_no_oldest(invoke: Call) -> None:
    evaluation, mail, summary = stats(invoke)
    assert evaluation["oldest"] is None
    assert mail["ready"] == 0
    assert summary["workers"] == 0


def test_places_workers_breakers_and_money_are_told(invoke: Call, floor: ShopFloor) -> None:
    with Shop(floor.settings()) as shop:
        shop.spending.book("claude-opus-5-5", Usage(input_tokens=1, output_tokens=1), 1_250_000, "a:1")
        for _ in range(shop.settings.breaker_failures):
            shared = shop.circuits._breaker("model:claude-opus-5-5")
            admission = shared.admit()
            assert admission is not None
            shared.failed(admission)
    with floor.working(evaluation_limit=3):
        evaluation, _, summary = stats(invoke, PWOPS_EVALUATION_LIMIT="3")
    assert (evaluation["slots"], evaluation["slots_limit"]) == ("0 of 3", 3)
    assert summary["workers"] == 1
    assert Decimal(summary["spent_today_eur"]) == Decimal("1.25")
    assert [(one["name"], one["mode"]) for one in summary["breakers"]] == [("model:claude-opus-5-5", "open")]
    text = invoke("queue", "stats").stdout
    assert "model:claude-opus-5-5 open, next trial in" in text
    assert "1.25 of 20.00 EUR today" in text
    assert floor.database[BREAKERS].count_documents({}) == 1


def test_taken_slots_are_counted_while_their_lease_lasts(invoke: Call, floor: ShopFloor) -> None:
    now = datetime.now(UTC)
    floor.database.ops_slots.insert_many(
        [
            {"_id": f"mail:{n}", "limiter": "mail", "n": n, "leaseUntil": now + timedelta(minutes=1 - 2 * n)}
            for n in range(2)
        ]
    )
    _, mail, _ = stats(invoke, PWOPS_MAIL_LIMIT="2")
    assert mail["slots"] == "1 of 2"


# --- the switch ------------------------------------------------------------------------------------------------------


def test_a_paused_queue_claims_nothing_until_it_is_resumed(invoke: Call, floor: ShopFloor) -> None:
    with floor.working():
        assert invoke("queue", "pause", "evaluation").exit_code == 0
        order_id = floor.order()
        evaluation, mail, _ = stats(invoke)
        assert (evaluation["paused"], mail["paused"]) == (True, False)
        # The worker has read the pause once its answer has been renewed; then it makes the job and leaves it there.
        assert until(lambda: floor.database.evaluation_jobs.count_documents({"status": "pending"}) == 1, 20)
        assert invoke("queue", "resume", "evaluation").exit_code == 0
        assert until(lambda: floor.mails_to_customer(order_id) == ["result"], 20)


def test_a_paused_queue_is_not_drained(invoke: Call, floor: ShopFloor) -> None:
    order_id = floor.order()
    invoke("queue", "pause", "mail")
    floor.drain()
    assert floor.job(order_id)["status"] == "completed"
    assert floor.mails_to_customer(order_id) == []
    assert "paused    mail since" in invoke("queue", "stats").stdout


def test_who_paused_is_told_and_on_record(invoke: Call, floor: ShopFloor) -> None:
    invoke("queue", "pause", "mail", SUDO_USER="anna")
    again = invoke("queue", "pause", "mail", SUDO_USER="bert")
    assert again.exit_code == 0
    assert "by anna@" in again.stderr
    invoke("queue", "resume", "mail", SUDO_USER="bert")
    assert [(entry["action"], entry["actor"].partition("@")[0]) for entry in audit(floor)] == [
        ("queue_pause", "anna"),
        ("queue_resume", "bert"),
    ]


def test_resuming_what_runs_changes_nothing(invoke: Call, floor: ShopFloor) -> None:
    before = everything(floor)
    said = invoke("queue", "resume", "mail", "-o", "json")
    assert said.json()["rows"] == [{"queue": "mail", "paused": False, "changed": False}]
    assert everything(floor) == before


def test_there_are_two_queues(invoke: Call) -> None:
    assert invoke("queue", "pause", "refunds").exit_code == 2
