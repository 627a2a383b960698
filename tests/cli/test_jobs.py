"""`pwops jobs`: lists, the screen of one job, and cancelling."""

import os
from datetime import UTC, datetime, timedelta

import pytest
from bson import ObjectId
from pymongo.database import Database

from pferdewert_ops.adapters.mongo.listing import Listing
from pferdewert_ops.cli import jobs_command
from pferdewert_ops.domain.jobs import JobStatus
from pferdewert_ops.sandbox.anthropic_rules import Fault, Rule
from pferdewert_ops.sandbox.guardian_process import until
from pferdewert_ops.wiring import Shop
from tests.cli.operator_support import (
    MISSING,
    Call,
    Document,
    audit,
    everything,
    migrated,
    on_a_terminal,
    our_job,
    our_mail,
)
from tests.cli.programs import LIMIT, Surroundings
from tests.harness import ShopFloor


@pytest.fixture(autouse=True)
def ready(floor: ShopFloor) -> None:
    migrated(floor)


def test_the_states_on_offer_are_those_that_there_are() -> None:
    assert set(jobs_command.STATUSES) == {status.value for status in JobStatus}


# --- lists -----------------------------------------------------------------------------------------------------------


def listed(invoke: Call, *options: str) -> list[Document]:
    said = invoke("jobs", "list", "-o", "json", *options)
    assert said.exit_code == 0
    rows: list[Document] = said.json()["rows"]
    return rows


def test_the_newest_come_first_whoever_inserted_them(invoke: Call, floor: ShopFloor) -> None:
    first, second = floor.order(age=timedelta(hours=2)), floor.order(age=timedelta(hours=1))
    job = floor.shop_job(second)
    our_job(floor, first)
    assert [row["job"] for row in listed(invoke)] == [job, first]


def test_what_the_shops_own_job_says_of_itself_and_what_it_does_not(invoke: Call, floor: ShopFloor) -> None:
    words = "429 Rate limit\x1b[31m for anna@example.org " + "x" * 100
    job = floor.shop_job(floor.order())
    floor.database.evaluation_jobs.update_one({}, {"$set": {"status": "failed", "error": words}})

    (row,) = listed(invoke)

    assert (row["job"], row["paid"]) == (job, None)
    assert row["error"].startswith("429 Rate limit\\x1b[31m for [address] xxx")
    assert len(row["error"]) == 60
    assert " –  " in invoke("jobs", "list").stdout


def test_states_age_and_number_narrow_the_list(invoke: Call, floor: ShopFloor) -> None:
    old = [floor.order(age=timedelta(minutes=20 + number)) for number in range(3)]
    new = floor.order()
    for order_id in old:
        our_job(floor, order_id)
    our_job(floor, new, status="cancelled", cancelReason="operator")

    assert [row["job"] for row in listed(invoke, "--status", "failed", "--status", "cancelled")] == [new, *old]
    assert [row["job"] for row in listed(invoke, "--status", "failed")] == old
    assert [row["job"] for row in listed(invoke, "--older-than", "10m")] == old
    assert [row["job"] for row in listed(invoke, "--status", "failed", "--limit", "2")] == old[:2]
    assert [row["job"] for row in listed(invoke, "--status", "pending")] == []


def test_a_list_that_is_cut_says_so(invoke: Call, floor: ShopFloor) -> None:
    for _ in range(2):
        our_job(floor, floor.order())
    assert "--limit" in invoke("jobs", "list", "--limit", "1").stderr


def test_what_nobody_took_over_is_shown_as_that(invoke: Call, floor: ShopFloor) -> None:
    floor.shop_job(floor.order(age=timedelta(days=5)))
    assert "not taken over" in invoke("jobs", "list").stdout


@pytest.mark.parametrize(
    "odd",
    [
        {"status": "new-fangled"},
        {"attempts": "three", "maxAttempts": None},
        {"scheduledAt": "soon", "createdAt": "yesterday"},
        {"error": "Kunde anna@example.org: Timeout", "status": "failed"},
        {"history": "none", "result": "text", "progress": 3, "usage": []},
        {"bewertungId": ...},
    ],
)
def test_whatever_the_shop_wrote_can_be_listed_and_shown(invoke: Call, floor: ShopFloor, odd: Document) -> None:
    job_id = floor.shop_job(floor.order())
    job = {**floor.database.evaluation_jobs.find_one({}, {"_id": 0}), **odd}  # type: ignore[dict-item]
    floor.database.evaluation_jobs.replace_one({}, {name: value for name, value in job.items() if value is not ...})
    assert len(listed(invoke)) == 1
    shown = invoke("jobs", "show", job_id)
    assert shown.exit_code == 0
    assert "example.org" not in shown.stdout + invoke("jobs", "list").stdout


@pytest.mark.parametrize("age", ["ten minutes", "-5m", "10"])
def test_an_age_is_a_duration(invoke: Call, age: str) -> None:
    said = invoke("jobs", "list", f"--older-than={age}")
    assert said.exit_code == (0 if age == "10" else 2)


def test_lists_read_through_their_index(database_of_jobs: Database[Document]) -> None:
    for wanted, plan in (([], "IXSCAN { _id: 1 }"), (["failed"], "IXSCAN { status: 1, _id: 1 }")):
        database_of_jobs.command("profile", 2)
        Listing(database_of_jobs).jobs(wanted, older_than=timedelta(minutes=1), most=10)
        database_of_jobs.command("profile", 0)
        seen = database_of_jobs["system.profile"].find_one({"op": "query", "ns": {"$regex": "evaluation_jobs"}})
        assert seen is not None
        assert seen["planSummary"] == plan
        assert seen["docsExamined"] == 10
        database_of_jobs["system.profile"].drop()


@pytest.fixture
def database_of_jobs(floor: ShopFloor) -> Database[Document]:
    """Many finished jobs, and a few failed ones."""
    documents = [
        {"_id": ObjectId(), "status": "failed" if number % 100 == 0 else "completed"} for number in range(2000)
    ]
    moment = datetime.now(UTC) - timedelta(hours=1)
    for number, document in enumerate(documents):
        document["_id"] = ObjectId(ObjectId.from_datetime(moment).binary[:4] + number.to_bytes(8, "big"))
    floor.database.evaluation_jobs.insert_many(documents)
    return floor.database


# --- one job ---------------------------------------------------------------------------------------------------------


def test_a_finished_job_shows_its_way(invoke: Call, floor: ShopFloor) -> None:
    floor.model.rules.add(Rule(fault=Fault.REFUSAL))
    order_id = floor.order()
    floor.drain()
    floor.database.evaluation_jobs.update_one({"status": "pending"}, {"$set": {"scheduledAt": datetime.now(UTC)}})
    floor.drain()

    text = invoke("jobs", "show", order_id).stdout
    assert "COMPLETED" in text
    assert "k•••@•••.org" in text
    assert "delivered and mailed: done" in text
    assert "refusal ×1" in text
    assert "claude-opus-5-5" in text
    assert "result mail sent" in text

    (row,) = invoke("jobs", "show", order_id, "-o", "json").json()["rows"]
    assert row["failures"] == {"refusal": 1}
    assert row["usage"]["output_tokens"] > 0
    assert float(row["cost_eur"]) > 0
    assert row["next"]["why"] == "settled"
    assert [line["event"] for line in row["timeline"]][:3] == ["ordered", "paid", "job made"]
    assert row["timeline"][-1]["event"] == "result mail sent"


def test_a_failed_job_names_the_next_command(invoke: Call, floor: ShopFloor) -> None:
    order_id = floor.order()
    our_job(floor, order_id)
    text = invoke("jobs", "show", order_id).stdout
    assert "overloaded: http_529" in text
    assert f"pwops retry {order_id}" in text
    assert "failed: overloaded: http_529" in text


def test_a_bad_form_names_the_field_to_correct(invoke: Call, floor: ShopFloor) -> None:
    order_id = floor.order()
    our_job(floor, order_id, error={"class": "bad_input", "code": "stockmass:missing"})

    assert "correct stockmass in the order, then retry" in invoke("jobs", "show", order_id).stdout


def test_what_holds_a_waiting_job_is_named(invoke: Call, floor: ShopFloor) -> None:
    order_id = floor.order()
    floor.shop_job(order_id)
    with Shop(floor.settings()) as shop:
        shop.migrate()
        shop.findings.open("model_budget", "today", "every order waits")
        budget = invoke("jobs", "show", order_id).stdout
        shop.fleet.pause("evaluation", "anna@ops-1")
        paused = invoke("jobs", "show", order_id).stdout

    assert "model budget" in budget
    assert "pwops queue resume evaluation" in paused
    assert "--now" not in budget + paused


def test_a_running_job_shows_how_far_it_is(invoke: Call, floor: ShopFloor) -> None:
    floor.model.rules.add(Rule(fault=Fault.STALL, after=20))
    order_id = floor.order()
    with floor.working(grace=timedelta(0)):
        assert until(lambda: bool((floor.database.evaluation_jobs.find_one() or {}).get("progress")), 20)
        text = invoke("jobs", "show", order_id).stdout
        floor.model.release()
    assert "PROCESSING" in text
    assert "tokens" in text
    assert "lease until" in text


@pytest.mark.parametrize("by", ["order", "job", "session"])
def test_one_job_has_three_names(invoke: Call, floor: ShopFloor, by: str) -> None:
    order_id = floor.order()
    job_id = floor.shop_job(order_id)
    given = {"order": order_id, "job": job_id, "session": floor.document(order_id)["stripeSessionId"]}[by]
    (row,) = invoke("jobs", "show", given, "-o", "json").json()["rows"]
    assert (row["order"], row["job"]) == (order_id, job_id)


def test_an_order_without_a_job_is_shown_too(invoke: Call, floor: ShopFloor) -> None:
    order_id = floor.order(paymentStatus=...)
    said = invoke("jobs", "show", order_id)
    assert said.exit_code == 0
    assert "NO JOB" in said.stdout
    assert f"pwops retry {order_id} --paid" in said.stdout


def test_a_job_whose_order_is_gone_is_shown(invoke: Call, floor: ShopFloor) -> None:
    said = invoke("jobs", "show", floor.shop_job(MISSING))
    assert "the order of this job is gone" in said.stdout


def test_an_unsettled_mail_is_shown_with_what_to_do(invoke: Call, floor: ShopFloor) -> None:
    order_id = floor.order()
    floor.drain(queues=("evaluation",))
    floor.database.mail_outbox.delete_many({})
    our_mail(floor, order_id, status="uncertain", handedOverAt=datetime.now(UTC))
    assert f"pwops mails resolve {order_id}:result --sent|--resend" in invoke("jobs", "show", order_id).stdout


def test_no_word_of_the_customer_is_shown(invoke: Call, floor: ShopFloor) -> None:
    order_id = floor.order(besonderheiten="Er heißt Feuerzauber", charakter="lieb", customer_name="Anna Beispiel")
    floor.drain()
    said = invoke("jobs", "show", order_id).stdout + invoke("jobs", "show", order_id, "-o", "json").stdout
    for word in ("Feuerzauber", "lieb", "Anna", "Beispiel", "kundin@", "Hannoveraner", "Preisspanne"):
        assert word not in said


@pytest.mark.parametrize(("given", "code"), [("xyz", 2), (MISSING, 4), ("cs_live_nobody", 4)])
@pytest.mark.parametrize("command", ["show", "cancel"])
def test_ids_that_mean_nothing(invoke: Call, command: str, given: str, code: int) -> None:
    said = invoke("jobs", command, given)
    assert said.exit_code == code
    assert said.stderr.count("\n") == 1


# --- cancelling ------------------------------------------------------------------------------------------------------


def test_nothing_is_cancelled_without_consent(invoke: Call, floor: ShopFloor) -> None:
    order_id = floor.order()
    our_job(floor, order_id, status="pending")
    before = everything(floor)
    said = invoke("jobs", "cancel", order_id)
    assert said.exit_code == 5
    assert "--yes" in said.stderr
    assert everything(floor) == before


@pytest.mark.parametrize(
    ("answer", "code", "status"), [(b"n\n", 5, "pending"), (b"y\n", 0, "cancelled"), (b"\x04", 5, "pending")]
)
def test_on_a_terminal_somebody_is_asked(
    surroundings: Surroundings, floor: ShopFloor, answer: bytes, code: int, status: str
) -> None:
    order_id = floor.order()
    our_job(floor, order_id, status="pending")
    with on_a_terminal(surroundings, "jobs", "cancel", order_id) as (process, screen):
        seen = b""
        while b"[y/N]" not in seen:
            seen += os.read(screen, 4096)
        os.write(screen, answer)
        assert process.wait(LIMIT) == code
    assert b"PAID" in seen
    assert floor.job(order_id)["status"] == status


def test_a_cancelled_job_stays_so_until_a_retry(invoke: Call, floor: ShopFloor) -> None:
    order_id = floor.order()
    our_job(floor, order_id, status="pending", attempts=0)

    said = invoke("jobs", "cancel", order_id, "--yes", "--reason", "bought twice, see anna@example.org")

    assert said.exit_code == 0
    assert f"pwops retry {order_id}" in said.stderr
    entry = audit(floor)[-1]
    assert entry["action"] == "job_cancel"
    assert entry["before"]["status"] == "pending"
    assert entry["after"]["reason"] == "bought twice, see [address]"
    floor.drain()
    assert floor.job(order_id)["status"] == "cancelled"
    assert floor.job(order_id)["cancelReason"] == "operator"
    invoke("retry", order_id)
    floor.drain()
    assert floor.job(order_id)["status"] == "completed"


def test_a_running_one_is_stopped_and_writes_nothing(invoke: Call, floor: ShopFloor) -> None:
    floor.model.rules.add(Rule(fault=Fault.STALL, after=20))
    order_id = floor.order()
    with floor.working(grace=timedelta(0)):
        assert until(lambda: floor.database.evaluation_jobs.count_documents({"status": "processing"}) == 1, 20)
        assert invoke("jobs", "cancel", order_id, "--yes").exit_code == 0
        floor.model.release()
        assert until(lambda: not floor.database.ops_workers.count_documents({"busy": {"$gt": 0}}), 20)
    assert floor.job(order_id)["status"] == "cancelled"
    assert "bewertung" not in floor.document(order_id)


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_what_has_ended_cannot_be_cancelled(invoke: Call, floor: ShopFloor, status: str) -> None:
    order_id = floor.order()
    our_job(floor, order_id, status=status)
    before = everything(floor)
    assert invoke("jobs", "cancel", order_id, "--yes").exit_code == 6
    assert everything(floor) == before


def test_an_order_without_a_job_has_nothing_to_cancel(invoke: Call, floor: ShopFloor) -> None:
    assert invoke("jobs", "cancel", floor.order(), "--yes").exit_code == 4
