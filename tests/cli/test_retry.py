"""`pwops retry` on a real MongoDB: what it revives, what it leaves alone, and what it tells."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from pferdewert_ops.adapters.mongo.restarts import MongoRestarts
from pferdewert_ops.domain.orders import Payment
from pferdewert_ops.sandbox.guardian_process import until
from pferdewert_ops.wiring import Shop
from tests.cli.operator_support import MISSING, PLACEHOLDER, Call, audit, everything, migrated, our_job, our_mail
from tests.harness import ShopFloor

OLD = timedelta(days=5)


@pytest.fixture(autouse=True)
def ready(floor: ShopFloor) -> None:
    migrated(floor)


def delivered(floor: ShopFloor, **changes: object) -> str:
    """An order that a worker evaluated, delivered and mailed."""
    order_id = floor.order(**changes)  # type: ignore[arg-type]
    floor.drain()
    return order_id


# --- what is revived -------------------------------------------------------------------------------------------------


def test_a_failed_job_gets_all_its_attempts_anew_and_keeps_its_history(invoke: Call, floor: ShopFloor) -> None:
    order_id = floor.order()
    our_job(floor, order_id)

    said = invoke("retry", order_id)

    assert said.exit_code == 0
    assert "starts anew" in said.stdout
    job = floor.job(order_id)
    assert (job["status"], job["attempts"], job["failures"], job["stage"]) == ("pending", 0, {}, "primary")
    assert [event["event"] for event in job["history"]] == ["failed", "retry"]
    assert job["fence"] == 9
    floor.drain()
    assert floor.mails_to_customer(order_id) == ["result"]


def test_a_running_worker_is_woken(invoke: Call, floor: ShopFloor) -> None:
    order_id = floor.order()
    our_job(floor, order_id)
    with floor.working():
        said = invoke("retry", order_id)
        assert until(lambda: floor.mails_to_customer(order_id) == ["result"], 20)
    assert "No worker is running" not in said.stderr


def test_nobody_working_is_said(invoke: Call, floor: ShopFloor) -> None:
    assert "No worker is running" in invoke("retry", floor.order()).stderr


def test_a_paused_queue_is_said(invoke: Call, floor: ShopFloor) -> None:
    invoke("queue", "pause", "evaluation")
    assert "pwops queue resume evaluation" in invoke("retry", floor.order()).stderr


def test_a_cancelled_job_starts_anew(invoke: Call, floor: ShopFloor) -> None:
    order_id = floor.order()
    our_job(floor, order_id, status="cancelled", cancelReason="operator")
    assert invoke("retry", order_id).exit_code == 0
    job = floor.job(order_id)
    assert job["status"] == "pending"
    assert "cancelReason" not in job


def test_a_job_whose_lease_ran_out_is_taken_from_its_frozen_worker(invoke: Call, floor: ShopFloor) -> None:
    order_id = floor.order()
    ended = datetime.now(UTC) - timedelta(minutes=1)
    our_job(floor, order_id, status="processing", leaseUntil=ended, processedBy="far/1/a", attempts=2, rank=ended)
    assert invoke("retry", order_id).exit_code == 0
    job = floor.job(order_id)
    assert (job["status"], job["fence"]) == ("pending", 9)


def test_a_job_of_the_shops_own_dead_worker_is_taken_over(invoke: Call, floor: ShopFloor) -> None:
    order_id = floor.order(age=OLD)
    floor.shop_job(order_id, status="processing", startedAt=datetime.now(UTC) - timedelta(hours=1))
    assert invoke("retry", order_id).exit_code == 0
    floor.drain()
    assert floor.mails_to_customer(order_id) == ["delay", "result"]


def test_a_job_that_the_shops_own_worker_has_just_begun_is_left_to_it(invoke: Call, floor: ShopFloor) -> None:
    order_id = floor.order(age=OLD)
    floor.shop_job(order_id, status="processing", startedAt=datetime.now(UTC))
    assert invoke("retry", order_id).exit_code == 6


def test_an_old_orders_waiting_job_is_taken_over(invoke: Call, floor: ShopFloor) -> None:
    order_id = floor.order(age=OLD)
    job_id = floor.shop_job(order_id)
    floor.drain()
    assert floor.job(order_id)["status"] == "pending"

    assert invoke("retry", job_id).exit_code == 0

    floor.drain()
    assert floor.job(order_id)["status"] == "completed"
    assert "Preisspanne" in floor.document(order_id)["bewertung"]


def test_an_old_paid_order_without_a_job_gets_one(invoke: Call, floor: ShopFloor) -> None:
    order_id = floor.order(age=OLD)
    said = invoke("retry", order_id)
    assert "older than the horizon" in said.stdout
    floor.drain()
    # So late, the customer is told of the delay like any other who waits.
    assert floor.mails_to_customer(order_id) == ["delay", "result"]


def test_a_certificate_is_retried_by_its_session(invoke: Call, floor: ShopFloor) -> None:
    order_id = floor.order(collection="wertgutachten", age=OLD)
    session = floor.document(order_id, "wertgutachten")["stripeSessionId"]
    assert invoke("retry", session).exit_code == 0
    floor.drain()
    assert floor.document(order_id, "wertgutachten")["zertifikat_data"]


@pytest.mark.parametrize("result", [PLACEHOLDER, "  \n", 7])
def test_what_was_delivered_instead_of_a_valuation_is_none(invoke: Call, floor: ShopFloor, result: object) -> None:
    order_id = floor.order(age=OLD, bewertung=result, status="fertig", ai_model="fallback")
    assert invoke("retry", order_id).exit_code == 0
    floor.drain()
    assert "Preisspanne" in floor.document(order_id)["bewertung"]


def test_an_incomplete_certificate_is_none(invoke: Call, floor: ShopFloor) -> None:
    order_id = floor.order(collection="wertgutachten", age=OLD, zertifikat_data={"preisVon": 1}, status="fertig")
    assert invoke("retry", order_id).exit_code == 0


def test_a_result_that_was_overwritten_is_delivered_again_without_the_model(invoke: Call, floor: ShopFloor) -> None:
    order_id = delivered(floor)
    floor.database.bewertungen.update_one({"_id": ObjectId(order_id)}, {"$set": {"bewertung": PLACEHOLDER}})
    calls = len(floor.model.journal.entries())

    said = invoke("retry", order_id)

    assert "delivered and mailed" in said.stdout
    assert "Preisspanne" in floor.document(order_id)["bewertung"]
    assert len(floor.model.journal.entries()) == calls


def test_a_job_without_a_result_of_ours_is_evaluated(invoke: Call, floor: ShopFloor) -> None:
    order_id = floor.order()
    our_job(floor, order_id, status="completed", result="some text", completedAt=datetime.now(UTC))
    assert invoke("retry", order_id).exit_code == 0
    floor.drain()
    assert "Preisspanne" in floor.document(order_id)["bewertung"]


def test_a_refused_mail_is_sent_anew_under_a_new_key(invoke: Call, floor: ShopFloor) -> None:
    order_id = delivered(floor)
    key = (floor.mail_record(order_id) or {})["key"]
    floor.database.mail_outbox.delete_many({})
    floor.mail.reset()
    our_mail(floor, order_id)

    assert invoke("retry", order_id).exit_code == 0

    floor.drain()
    assert floor.mails_to_customer(order_id) == ["result"]
    assert (floor.mail_record(order_id) or {})["key"] != key


# --- what is left alone ----------------------------------------------------------------------------------------------


def test_a_failed_mail_that_may_have_left_needs_a_persons_eyes(invoke: Call, floor: ShopFloor) -> None:
    order_id = delivered(floor)
    floor.database.mail_outbox.update_one({"_id": f"{order_id}:result"}, {"$set": {"status": "failed"}})
    said = invoke("retry", order_id)
    assert said.exit_code == 6
    assert f"pwops mails resolve {order_id}:result" in said.stderr


def test_a_settled_order_needs_none(invoke: Call, floor: ShopFloor) -> None:
    order_id = delivered(floor)
    before = everything(floor)
    said = invoke("retry", order_id)
    assert (said.exit_code, said.stdout) == (6, "")
    assert said.stderr == f"pwops: {order_id} was not retried: it is delivered and mailed.\n"
    assert everything(floor) == before


def test_a_job_with_a_live_lease_is_left_to_its_worker(invoke: Call, floor: ShopFloor) -> None:
    order_id = floor.order()
    lease = datetime.now(UTC) + timedelta(minutes=1)
    our_job(floor, order_id, status="processing", leaseUntil=lease, processedBy="far/1/a")
    before = everything(floor)
    assert invoke("retry", order_id).exit_code == 6
    assert everything(floor) == before


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"paymentStatus": "refunded"}, "refunded"),
        ({"refundedAt": datetime(2026, 1, 1, tzinfo=UTC)}, "refunded"),
        ({"paymentStatus": "failed"}, "payment failed"),
        ({"paymentStatus": "pending"}, "never paid"),
        ({"paymentStatus": ...}, "look it up in Stripe"),
        ({"paymentStatus": "perhaps"}, "look it up in Stripe"),
    ],
)
def test_what_was_not_paid_is_owed_nothing(invoke: Call, floor: ShopFloor, changes: dict[str, Any], words: str) -> None:
    order_id = floor.order(age=OLD, **changes)
    our_job(floor, order_id)
    before = everything(floor)
    said = invoke("retry", order_id)
    assert said.exit_code == 6
    assert words in said.stderr
    assert everything(floor) == before


# --- a person's word -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stored", [..., "pending"])
def test_a_persons_word_is_stored_and_audited(invoke: Call, floor: ShopFloor, stored: object) -> None:
    order_id = floor.order(age=OLD, paymentStatus=stored, paidAt=...)

    said = invoke("retry", order_id, "--paid")

    assert said.exit_code == 0
    assert "on your word" in said.stdout
    order = floor.document(order_id)
    assert order["paymentStatus"] == "paid"
    assert "paidAt" not in order
    entry = audit(floor)[-1]
    assert entry["before"]["payment"] in {"unknown", "pending"}
    assert entry["after"]["payment"] == "paid"
    assert entry["after"]["paymentSource"] == "operator"
    floor.drain()
    assert floor.document(order_id)["bewertung"]


@pytest.mark.parametrize("stored", ["failed", "refunded", "perhaps"])
def test_a_persons_word_overrules_no_other_word(invoke: Call, floor: ShopFloor, stored: str) -> None:
    order_id = floor.order(age=OLD, paymentStatus=stored)
    assert invoke("retry", order_id, "--paid").exit_code == 6
    assert floor.document(order_id)["paymentStatus"] == stored
    assert floor.database.evaluation_jobs.count_documents({}) == 0


def test_an_order_that_cannot_be_mailed_is_said_to_be(invoke: Call, floor: ShopFloor) -> None:
    order_id = floor.order(age=OLD, customer_email=...)
    assert "no usable mail address" in invoke("retry", order_id).stdout


# --- ids -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["xyz", "cs_", "66f0", "{'$ne': null}", "../etc", "", "66f0000000000000000000fg"])
def test_a_malformed_id_is_one_sentence(invoke: Call, floor: ShopFloor, given: str) -> None:
    before = everything(floor)
    said = invoke("retry", given)
    assert said.exit_code == 2
    assert said.stderr.count("\n") == 1
    assert "is no id" in said.stderr
    assert everything(floor) == before


@pytest.mark.parametrize("given", [MISSING, MISSING.upper(), "cs_live_nobody"])
def test_an_unknown_id_is_one_sentence(invoke: Call, given: str) -> None:
    said = invoke("retry", given)
    assert said.exit_code == 4
    assert said.stderr.count("\n") == 1


def test_a_job_whose_order_is_gone_is_unknown(invoke: Call, floor: ShopFloor) -> None:
    job_id = floor.shop_job(MISSING)
    assert invoke("retry", job_id).exit_code == 4


def test_of_several_ids_each_has_its_line(invoke: Call, floor: ShopFloor) -> None:
    good, settled = floor.order(age=OLD), delivered(floor)
    said = invoke("retry", good, settled, MISSING, good.upper(), "-o", "json")
    assert said.exit_code == 7
    assert [(row["id"], row["result"]) for row in said.json()["rows"]] == [
        (good, "done"),
        (settled, "refused"),
        (MISSING, "unknown"),
        (good, "same"),
    ]
    assert said.stderr.endswith("pwops: 2 of 4 were not retried; their lines say why.\n")


def test_several_ids_that_all_fail_alike_keep_their_code(invoke: Call) -> None:
    assert invoke("retry", MISSING, "cs_live_nobody").exit_code == 4


# --- looking, and the record -----------------------------------------------------------------------------------------


def test_a_dry_run_says_all_and_changes_nothing(invoke: Call, floor: ShopFloor) -> None:
    failed, old, unknown = floor.order(), floor.order(age=OLD), floor.order(age=OLD, paymentStatus=...)
    our_job(floor, failed)
    before = everything(floor)
    said = invoke("retry", failed, old, unknown, "--paid", "--dry-run", "-o", "json")
    assert [row["result"] for row in said.json()["rows"]] == ["would"] * 3
    assert [row["treatment"] for row in said.json()["rows"]] == ["restart_job", "make_job", "make_job"]
    assert everything(floor) == before


def test_a_dry_run_stores_no_horizon(invoke: Call, floor: ShopFloor) -> None:
    floor.database.ops_settings.delete_many({})
    assert invoke("retry", floor.order(), "--dry-run").exit_code == 0
    assert floor.database.ops_settings.count_documents({}) == 0


def test_the_first_change_stores_the_horizon_and_says_so(invoke: Call, floor: ShopFloor) -> None:
    floor.database.ops_settings.delete_many({})
    assert "from now on never touched unasked" in invoke("retry", floor.order()).stderr
    assert floor.database.ops_settings.find_one({"_id": "horizon"}) is not None


def test_the_record_names_the_person_and_no_customer(invoke: Call, floor: ShopFloor) -> None:
    order_id = floor.order()
    our_job(floor, order_id)
    invoke("retry", order_id, SUDO_USER="anna")
    entry = audit(floor)[-1]
    assert entry["actor"].startswith("anna@")
    assert (entry["action"], entry["subject"]) == ("retry", order_id)
    assert "example.org" not in str(entry)
    assert floor.job(order_id)["history"][-1]["actor"] == entry["actor"]


def test_without_our_indexes_the_way_is_shown(invoke: Call, floor: ShopFloor) -> None:
    floor.database.evaluation_jobs.drop_indexes()
    said = invoke("retry", MISSING)
    assert said.exit_code == 78
    assert "pwops migrate" in said.stderr


# --- writes compare --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("since", [{"status": "cancelled"}, {"fence": 9}, {"status": "pending", "fence": 9}])
def test_a_job_that_moved_on_is_not_overwritten(floor: ShopFloor, since: dict[str, Any]) -> None:
    order_id = floor.order()
    our_job(floor, order_id)
    with Shop(floor.settings()) as shop:
        restarts = MongoRestarts(shop.database, shop.jobs, shop.mails)
        judged = restarts.state(order_id)
        order = shop.orders.look([order_id])[0]
        assert judged is not None
        floor.database.evaluation_jobs.update_one({}, {"$set": since})
        before = everything(floor)
        assert not restarts.restart(order, judged, paid=True, actor="a", delay=timedelta(0))
    assert everything(floor) == before


def test_a_lease_that_is_renewed_meanwhile_is_not_broken(floor: ShopFloor) -> None:
    order_id = floor.order()
    ended = datetime.now(UTC) - timedelta(minutes=1)
    our_job(floor, order_id, status="processing", leaseUntil=ended)
    with Shop(floor.settings()) as shop:
        restarts = MongoRestarts(shop.database, shop.jobs, shop.mails)
        judged = restarts.state(order_id)
        assert judged is not None
        assert judged.abandoned
        renewed = datetime.now(UTC) + timedelta(minutes=1)
        floor.database.evaluation_jobs.update_one({}, {"$set": {"leaseUntil": renewed}})
        order = shop.orders.look([order_id])[0]
        assert not restarts.restart(order, judged, paid=True, actor="a", delay=timedelta(0))
    assert floor.job(order_id)["status"] == "processing"


@pytest.mark.parametrize(
    "told", [{"paymentStatus": "failed"}, {"paymentStatus": ..., "refundedAt": datetime(2026, 1, 1, tzinfo=UTC)}]
)
def test_a_payment_that_is_told_meanwhile_is_not_overwritten(floor: ShopFloor, told: dict[str, Any]) -> None:
    order_id = floor.order(**told)
    before = everything(floor)
    with Shop(floor.settings(lookback=timedelta(hours=24))) as shop:
        assert not shop.orders.confirm_payment(order_id, Payment.UNKNOWN)
        assert not shop.orders.confirm_payment(order_id, Payment.PENDING)
    assert everything(floor) == before
