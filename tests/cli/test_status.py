"""`pwops status` on a real database: the verdict, its exit code, and that a look changes nothing."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pferdewert_ops.adapters.mongo import connection
from pferdewert_ops.adapters.mongo.overview import MongoOverview
from pferdewert_ops.domain.breaker import BreakerLimits
from pferdewert_ops.domain.failures import ErrorClass, OperationFailed
from pferdewert_ops.wiring import FleetCircuits, Shop
from tests.cli.programs import LIMIT, PROGRAM, Ended, Surroundings
from tests.harness import ShopFloor

Call = Callable[..., Ended]


def stored(floor: ShopFloor) -> dict[str, list[dict[str, Any]]]:
    return {name: list(floor.database[name].find()) for name in sorted(floor.database.list_collection_names())}


def test_before_the_first_worker_the_next_command_is_named_and_nothing_is_written(
    floor: ShopFloor, invoke: Call
) -> None:
    floor.order()
    before = stored(floor)

    ended = invoke("status")

    assert ended.exit_code == 3
    assert ended.stdout.splitlines()[0] == "DOWN  No worker has ever run here.  → pwops run-worker  RB-01"
    assert "     1  due now" in ended.stdout
    assert "none yet: the first pwops run-worker stores it" in ended.stdout
    assert stored(floor) == before


def test_a_settled_order_and_a_living_worker_let_the_operator_sleep(floor: ShopFloor, invoke: Call) -> None:
    floor.order()
    floor.order(paymentStatus=...)
    floor.drain()
    with floor.working():
        before = stored(floor)
        ended = invoke("status")
        after = stored(floor)

    assert ended.stdout.splitlines()[0] == "OK  Nothing needs you."
    assert ended.exit_code == 0
    assert "     1  settled" in ended.stdout
    assert "     1  payment unknown: wait for the reconcile" in ended.stdout
    assert "busy 0 of 4, seen 0 s ago" in ended.stdout
    assert ended.stderr == ""
    moving = {"ops_workers", "ops_settings"}
    assert {name: rows for name, rows in after.items() if name not in moving} == {
        name: rows for name, rows in before.items() if name not in moving
    }


def test_json_has_every_figure_and_the_same_exit_code(floor: ShopFloor, invoke: Call) -> None:
    floor.drain()
    late = floor.order(age=timedelta(minutes=25))
    floor.database.ops_findings.insert_one(
        {
            "_id": "mail_failed:6561aa",
            "kind": "mail_failed",
            "subject": "6561aa",
            "detail": "refused",
            "state": "open",
            "firstSeenAt": datetime.now(UTC) - timedelta(hours=2),
            "lastSeenAt": datetime.now(UTC),
        }
    )

    ended = invoke("status", "-o", "json")

    assert ended.exit_code == 3
    found = ended.json()
    assert found["schema"] == {"name": "status", "version": 1}
    [row] = found["rows"]
    assert row["state"] == "down"
    assert [one["command"] for one in row["concerns"]] == [
        "pwops run-worker",
        f"pwops jobs show {late}",
        "pwops mails list --status failed",
    ]
    assert row["orders"]["standings"] == {"due": 1}
    assert (row["orders"]["late"], row["orders"]["latest"]) == (1, late)
    assert [queue["name"] for queue in row["queues"]] == ["evaluation", "mail"]
    assert (row["spent_today_eur"], row["daily_budget_eur"]) == ("0", "20")
    assert row["findings"][0]["open_for"] == pytest.approx(7200, abs=60)


def test_only_the_last_seven_days_are_looked_at_and_that_is_said(floor: ShopFloor, invoke: Call) -> None:
    with Shop(floor.settings()) as shop:
        shop.fleet.first_horizon(timedelta(days=30))
    floor.order(age=timedelta(days=8))
    floor.order(age=timedelta(days=6))

    said = invoke("status").stdout

    assert "1 order since " in said
    assert "(only the last 7 days are looked at), 1 late" in said


def test_a_paused_queue_and_resting_models_are_seen(floor: ShopFloor, invoke: Call) -> None:
    with floor.working(), Shop(floor.settings()) as shop:
        shop.fleet.pause("evaluation", "anna@ops-1")
        circuits = FleetCircuits(shop.database, BreakerLimits(failures=1), "test", floor.tell)
        for model in (shop.settings.model_primary, shop.settings.model_fallback):
            call = circuits.call(f"model:{model}")
            assert call is not None
            with pytest.raises(OperationFailed), call:
                raise OperationFailed(error_class=ErrorClass.OVERLOADED, code="http_529")
        ended = invoke("status")

    assert ended.exit_code == 3
    first = ended.stdout.splitlines()[0]
    assert first == "ATTENTION  The evaluation queue is paused, by anna@ops-1; 0 wait.  → pwops queue resume evaluation"
    assert "paused by anna@ops-1" in ended.stdout
    assert "model:claude-opus-5-5 open, next trial in" in ended.stdout
    assert "nothing is evaluated meanwhile" in ended.stdout


def test_a_worker_that_gives_no_sign_is_lost(floor: ShopFloor, invoke: Call) -> None:
    floor.drain()
    floor.database.ops_workers.update_one(
        {}, {"$set": {"state": "running", "seenAt": datetime.now(UTC) - timedelta(minutes=5)}}
    )

    ended = invoke("status")

    assert ended.stdout.splitlines()[0].startswith("DOWN  No worker is running; last seen 5 min ago.")


def test_an_unreachable_server_is_69(invoke: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SELECTION_MS", 200)

    ended = invoke("status", PWOPS_MONGODB_URI="mongodb://127.0.0.1:1/?replicaSet=shop")

    assert (ended.exit_code, ended.stdout) == (69, "")
    assert "cannot be reached" in ended.stderr


def test_a_server_without_a_replica_set_is_said_to_be_that(
    floor: ShopFloor, invoke: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "is_replicated", lambda _: False)

    ended = invoke("status")

    assert (ended.exit_code, ended.stdout) == (78, "")
    assert "without a replica set" in ended.stderr


def test_it_imports_neither_the_models_nor_the_payments_sdk(floor: ShopFloor, surroundings: Surroundings) -> None:
    floor.drain()
    script = (
        "import sys; from pferdewert_ops.cli.main import run; code = run(['status']); "
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


def test_the_open_findings_are_read_through_their_index(floor: ShopFloor) -> None:
    with Shop(floor.settings()) as shop:
        shop.migrate()
        for number in range(20):
            shop.findings.open("mail_failed", f"order-{number}", "refused")
            shop.findings.open("auth", f"service-{number}", "http_401")
            shop.findings.close("auth", f"service-{number}")
        [seen] = MongoOverview(shop.database).findings(shop.clock.now())
        plan = shop.database.ops_findings.find({"state": "open"}).sort("firstSeenAt", 1).explain()

    assert (seen.kind, seen.count, seen.subjects) == ("mail_failed", 20, tuple(f"order-{n}" for n in range(5)))
    assert "pwops_open" in str(plan["queryPlanner"]["winningPlan"])
    assert "SORT'" not in str(plan["queryPlanner"]["winningPlan"])


def test_a_bad_form_is_counted_once_and_delay_mails_by_themselves(floor: ShopFloor) -> None:
    with Shop(floor.settings()) as shop:
        shop.migrate()
        for kind, subject in [
            ("evaluation_failed", "6561aa"),
            ("bad_input", "6561aa"),
            ("evaluation_failed", "6561ab"),
            ("mail_failed", "6561ac"),
            ("mail_failed", "6561ad:delay"),
        ]:
            shop.findings.open(kind, subject, "told")
        seen = MongoOverview(shop.database).findings(shop.clock.now())

    assert {(one.kind, one.subjects, one.detail) for one in seen} == {
        ("bad_input", ("6561aa",), "told"),
        ("evaluation_failed", ("6561ab",), "told"),
        ("mail_failed", ("6561ac",), "told"),
        ("mail_failed", ("6561ad:delay",), "told"),
    }


@pytest.mark.parametrize("more", [[], ["-o", "json"]])
def test_watch_is_for_a_terminal(invoke: Call, more: list[str]) -> None:
    ended = invoke("status", "--watch", *more)

    assert ended.exit_code == 2
    assert "--watch is for a terminal" in ended.stderr


def test_watch_draws_until_ctrl_c(surroundings: Surroundings) -> None:
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, "status", "--watch"],
        env=surroundings.with_({"TERM": "xterm"}),
        cwd=surroundings.folder,
        stdin=subprocess.DEVNULL,
        stdout=terminal,
        stderr=subprocess.PIPE,
    )
    os.close(terminal)
    try:
        drawn = b""
        while b"Ctrl-C ends this." not in drawn:
            drawn += os.read(controller, 65536)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=LIMIT)
    finally:
        process.kill()
        process.wait()
        os.close(controller)

    assert process.returncode == 130
    assert stderr == b""
    assert b"No worker has ever run here." in drawn
