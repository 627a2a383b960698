"""`pwops doctor` on a real database: what it finds, its exit code, and that it leaves everything as it was."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pymongo import MongoClient

from pferdewert_ops.adapters.mongo import connection, schema
from pferdewert_ops.domain.letters import MailKind
from pferdewert_ops.sandbox.anthropic_rules import Fault, Rule
from pferdewert_ops.wiring import Shop
from tests.cli.programs import LIMIT, Ended, Surroundings
from tests.harness import ShopFloor

Call = Callable[..., Ended]


def levels(ended: Ended) -> dict[str, str]:
    """Each check's level; of several of one name the worst counts."""
    found: dict[str, str] = {}
    for row in ended.json()["rows"]:
        found[row["name"]] = max(found.get(row["name"], "a"), row["level"], key=["a", "ok", "warn", "fail"].index)
    return found


def test_a_shop_with_a_living_worker_is_well(floor: ShopFloor, invoke: Call) -> None:
    floor.order(paymentStatus="pending")
    with floor.working(queues=("mail",)):
        ended = invoke("doctor", "--deep", PWOPS_OPERATORS="anna@example.org")
        told = invoke("doctor", "--deep", "-o", "json", PWOPS_OPERATORS="anna@example.org")

    assert ended.exit_code == 0
    assert ended.stdout.splitlines()[-1] == "0 failed, 2 warnings, 18 fine."
    assert ended.stderr == ""
    assert levels(told) == {
        "configuration": "ok",
        "mongodb": "ok",
        "replica set": "ok",
        "transport": "ok",
        "clock": "ok",
        "shop": "ok",
        "writes": "ok",
        "indexes": "ok",
        "horizon": "ok",
        "worker": "ok",
        "queues": "ok",
        "uncertain mails": "ok",
        "breakers": "ok",
        "model key": "warn",  # a stand-in
        "budget": "ok",
        "model": "ok",
        "mail": "warn",  # another
        "operators": "ok",
    }
    assert told.json()["summary"] == {"ok": 18, "warn": 2, "fail": 0}


def test_a_new_database_is_left_as_it_was(floor: ShopFloor, invoke: Call) -> None:
    ended = invoke("doctor")

    assert ended.exit_code == 3
    assert "✗ worker          None has ever run.\n                  → Start one: pwops run-worker" in ended.stdout
    ours = sum(len(indexes) for indexes in schema.SCHEMA.values())
    assert f"! indexes         {ours} of {ours} indexes are missing." in ended.stdout
    assert floor.database.list_collection_names() == []


def test_nothing_secret_is_shown(floor: ShopFloor, invoke: Call) -> None:
    secrets = {
        "PWOPS_ANTHROPIC_API_KEY": "sk-ant-api03-geheimgeheim",
        "PWOPS_RESEND_API_KEY": "re_geheim_geheim",
        "PWOPS_MONGODB_URI": floor.uri.replace("mongodb://", "mongodb://shop:geheimgeheim@"),
    }

    ended = invoke("doctor", "--deep", **secrets)

    assert ended.exit_code == 3
    assert "geheim" not in ended.stdout + ended.stderr
    assert "refused the user or the password" in ended.stdout


def test_every_problem_of_the_configuration_is_a_line(invoke: Call) -> None:
    ended = invoke("doctor", PWOPS_LEASEX="3s", PWOPS_GRACE="soon")

    assert ended.exit_code == 3
    assert "✗ configuration   PWOPS_LEASEX is no setting; did you mean PWOPS_LEASE?" in ended.stdout
    assert "✗ configuration   PWOPS_GRACE: 'soon' is not a duration" in ended.stdout


def test_without_a_database_the_rest_is_checked_all_the_same(invoke: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SELECTION_MS", 200)

    absent = invoke("doctor", "-o", "json", PWOPS_MONGODB_URI=None)
    away = invoke("doctor", "-o", "json", PWOPS_MONGODB_URI="mongodb://127.0.0.1:1/?replicaSet=shop")

    for ended in (absent, away):
        assert ended.exit_code == 3
        assert levels(ended) | {"mongodb": "fail", "budget": "ok"} == levels(ended)
    assert "No MongoDB is configured" in absent.stdout
    assert "cannot be reached" in away.stdout


def test_a_server_without_a_replica_set(lone_mongod: str, invoke: Call) -> None:
    ended = invoke("doctor", "-o", "json", PWOPS_MONGODB_URI=f"mongodb://127.0.0.1:{lone_mongod}")

    assert ended.exit_code == 3
    assert levels(ended)["replica set"] == "fail"


@contextmanager
def failing(floor: ShopFloor, data: dict[str, Any]) -> Iterator[None]:
    """The server answers the next update of this program with a failure on order."""
    with MongoClient[dict[str, Any]](floor.uri) as client:
        data = {"failCommands": ["update"], "appName": "pwops", **data}
        client.admin.command("configureFailPoint", "failCommand", mode={"times": 1}, data=data)
        try:
            yield
        finally:
            client.admin.command("configureFailPoint", "failCommand", mode="off")


def test_a_right_to_write_that_is_missing(floor: ShopFloor, invoke: Call) -> None:
    with failing(floor, {"errorCode": 13}):
        ended = invoke("doctor", "-o", "json")

    assert levels(ended)["writes"] == "fail"
    assert "lacks a right" in ended.stdout


def test_a_majority_that_does_not_answer(floor: ShopFloor, invoke: Call) -> None:
    with failing(floor, {"writeConcernError": {"code": 64, "errmsg": "waiting for replication timed out"}}):
        ended = invoke("doctor", "-o", "json")

    assert levels(ended)["writes"] == "fail"
    assert "No majority of MongoDB's members confirms a write." in ended.stdout


def test_what_the_services_answer_is_asked_only_on_demand(floor: ShopFloor, invoke: Call) -> None:
    keys = {"PWOPS_ANTHROPIC_API_KEY": "sk-ant-wrong", "PWOPS_RESEND_API_KEY": "re_wrong_000000"}
    floor.model.rules.add(Rule(fault=Fault.OVERLOADED, times=None))

    plain = invoke("doctor", "-o", "json", **keys)
    deep = invoke("doctor", "--deep", "-o", "json", **keys)

    assert "model" not in levels(plain)
    assert levels(plain)["mail"] == "warn"
    assert (levels(deep)["model"], levels(deep)["mail"]) == ("fail", "fail")


def test_smtp_is_asked_too(floor: ShopFloor, invoke: Call) -> None:
    ended = invoke(
        "doctor",
        "--deep",
        PWOPS_RESEND_API_KEY=None,
        PWOPS_SMTP_HOST=floor.mail.smtp.host,
        PWOPS_SMTP_PORT=str(floor.mail.smtp.port),
        PWOPS_SMTP_SECURITY="none",
    )

    assert "✓ mail            By smtp, from PferdeWert <info@pferdewert.de>." in ended.stdout
    assert "✓ mail            127.0.0.1 answers in " in ended.stdout


def test_what_waits_for_a_person_and_what_somebody_switched(floor: ShopFloor, invoke: Call) -> None:
    with Shop(floor.settings()) as shop:
        shop.migrate()
        shop.fleet.pause("mail", "anna@ops-1")
        shop.mails.owe(floor.order(), MailKind.RESULT)
    floor.database.mail_outbox.update_one({}, {"$set": {"status": "uncertain"}})

    ended = invoke("doctor", "-o", "json", PWOPS_DAILY_BUDGET_EUR="0.1")

    assert (levels(ended)["queues"], levels(ended)["uncertain mails"]) == ("warn", "fail")
    assert levels(ended)["budget"] == "fail"


def test_a_failpoint_outside_the_sandbox(invoke: Call) -> None:
    ended = invoke("doctor", "-o", "json", PWOPS_FAILPOINT="claimed:kill", PWOPS_SANDBOX_MARKER="another")

    assert levels(ended)["failpoint"] == "fail"


def test_it_imports_neither_the_models_nor_the_payments_sdk(surroundings: Surroundings) -> None:
    script = (
        "import sys; from pferdewert_ops.cli.main import run; code = run(['doctor', '--deep']); "
        "print({'anthropic', 'stripe'} & set(sys.modules), code)"
    )

    done = subprocess.run(
        [sys.executable, "-c", script],
        env=surroundings.with_({}),
        cwd=surroundings.folder,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=True,
    )

    assert done.stdout.splitlines()[-1] == "set() 3"
