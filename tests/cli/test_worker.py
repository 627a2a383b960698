"""`pwops run-worker` as a process of its own: what it does, how it is stopped, and what it refuses to start with."""

import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import pytest

from pferdewert_ops import logs
from pferdewert_ops.cli import worker_command
from pferdewert_ops.cli.errors import Terminated
from pferdewert_ops.sandbox.anthropic_journal import Outcome
from pferdewert_ops.sandbox.anthropic_rules import Fault, Rule
from tests.cli.programs import LIMIT, PROGRAM, Ended, Running, Surroundings
from tests.harness import ShopFloor

Call = Callable[..., Ended]
Start = Callable[..., Running]


def events(text: str, name: str) -> list[dict[str, object]]:
    told: list[dict[str, object]] = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [event for event in told if event["event"] == name]


def is_waiting_unspent(floor: ShopFloor, order_id: str) -> bool:
    job = floor.job(order_id)
    return (job["status"], job["attempts"], "leaseUntil" in job) == ("pending", 0, False)


def hanging(floor: ShopFloor, calls_before: int) -> None:
    """Wait until the model has begun to answer a further call and fallen silent."""
    floor.model.journal.wait_until(
        lambda entries: any(entry.outcome is Outcome.HANGING for entry in entries[calls_before:]), LIMIT
    )


# --- what it does ----------------------------------------------------------------------------------------------------


def test_a_paid_order_ends_delivered_and_mailed(floor: ShopFloor, pwops: Call) -> None:
    order_id = floor.order()

    ended = pwops("run-worker", "--drain", "-o", "json")

    assert ended.exit_code == 0
    assert "Preisspanne" in floor.document(order_id)["bewertung"]
    assert floor.mails_to_customer(order_id) == ["result"]
    [row] = ended.json()["rows"]
    assert (row["evaluated"], row["mails_sent"], row["jobs_failed"], row["held_back"]) == (1, 1, 0, 0)
    told = [json.loads(line) for line in ended.stderr.splitlines()]
    assert {"first_run", "started", "evaluated", "mail_sent", "stopped", "ended"} <= {one["event"] for one in told}
    assert {one["level"] for one in told} == {"info"}
    assert events(ended.stderr, "evaluated")[0]["order"] == order_id
    assert not [word for word in ("kundin", "Beispiel", floor.model.api_key) if word in ended.stderr]


def test_only_the_first_run_stores_the_horizon_and_says_so(floor: ShopFloor, pwops: Call) -> None:
    first, second = (pwops("run-worker", "--drain", "--queue", "mail") for _ in range(2))

    [said] = events(first.stderr, "first_run")
    assert "first run on this database" in str(said["text"])
    stored = floor.database.ops_settings.find_one({"_id": "horizon"})
    assert stored is not None
    assert events(first.stderr, "started")[0]["horizon"] == stored["at"].isoformat()
    assert not events(second.stderr, "first_run")
    assert not events(second.stderr, "migrated")


def test_what_is_chosen_is_served_and_said(floor: ShopFloor, pwops: Call) -> None:
    orders = [floor.order() for _ in range(3)]

    ended = pwops("run-worker", "--queue", "evaluation", "--concurrency", "2", "--max-jobs", "2")

    assert (ended.exit_code, ended.stdout) == (0, "")
    [started] = events(ended.stderr, "started")
    assert (started["queues"], started["concurrency"]) == (["evaluation"], 2)
    assert sorted(floor.job(order)["status"] for order in orders) == ["completed", "completed", "pending"]
    assert [floor.mails_to_customer(order) for order in orders] == [[], [], []]


def on_a_terminal(surroundings: Surroundings, **changes: str) -> str:
    controller, terminal = pty.openpty()
    subprocess.run(
        [*PROGRAM, "run-worker", "--drain", "--queue", "mail"],
        env=surroundings.with_(changes),
        cwd=surroundings.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=terminal,
        timeout=LIMIT,
        check=True,
    )
    os.close(terminal)
    said = b""
    with suppress(OSError):  # how a terminal says that nobody is left at its other end
        while read := os.read(controller, 65536):
            said += read
    os.close(controller)
    return said.decode()


def test_a_terminal_gets_sentences(floor: ShopFloor, surroundings: Surroundings) -> None:
    said = on_a_terminal(surroundings)

    assert "This is the first run on this database: orders made before " in said
    assert f"Serving mail · mail by resend · database {floor.database.name} · orders since " in said
    assert "Ended: there was nothing to do." in said
    assert '"event"' not in said


def test_a_terminal_that_asks_for_json_gets_nothing_else(surroundings: Surroundings) -> None:
    said = on_a_terminal(surroundings, PWOPS_LOG_FORMAT="json")

    assert {"started", "ended"} <= {json.loads(line)["event"] for line in said.splitlines()}


# --- how it is stopped -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_while_idle_it_exits_0(floor: ShopFloor, start_pwops: Start, number: signal.Signals) -> None:
    worker = start_pwops("run-worker", "--queue", "mail")
    holder = worker.wait_for_event("started")["worker"]

    worker.signal(number)
    ended = worker.end()

    assert ended.exit_code == 0
    assert "Traceback" not in ended.stderr
    record = floor.database.ops_workers.find_one({"_id": holder})
    assert record is not None
    assert record["state"] == "gone"


def test_told_to_stop_it_finishes_what_is_running(floor: ShopFloor, start_pwops: Start) -> None:
    floor.model.rules.add(Rule(fault=Fault.STALL))
    calls_before = len(floor.model.journal.entries())
    order_id = floor.order()
    worker = start_pwops("run-worker")
    hanging(floor, calls_before)

    worker.signal(signal.SIGTERM)
    worker.wait_for_event("stopping")
    floor.model.release()
    ended = worker.end()

    assert ended.exit_code == 0
    assert len(floor.model.journal.entries()) == calls_before + 1
    assert floor.job(order_id)["status"] == "completed"
    assert "Preisspanne" in floor.document(order_id)["bewertung"]


def test_what_does_not_end_within_the_grace_time_is_handed_back(floor: ShopFloor, start_pwops: Start) -> None:
    floor.model.rules.add(Rule(fault=Fault.STALL))
    calls_before = len(floor.model.journal.entries())
    order_id = floor.order()
    worker = start_pwops("run-worker", PWOPS_GRACE="200ms")
    hanging(floor, calls_before)

    worker.signal(signal.SIGTERM)
    ended = worker.end()

    assert ended.exit_code == 0
    assert events(ended.stderr, "handing_back")
    assert is_waiting_unspent(floor, order_id)


def test_a_second_signal_hands_back_at_once(floor: ShopFloor, start_pwops: Start) -> None:
    floor.model.rules.add(Rule(fault=Fault.STALL))
    calls_before = len(floor.model.journal.entries())
    order_id = floor.order()
    worker = start_pwops("run-worker", PWOPS_GRACE="10m")
    hanging(floor, calls_before)

    worker.signal(signal.SIGTERM)
    worker.wait_for_event("stopping")
    worker.signal(signal.SIGTERM)
    ended = worker.end()

    assert ended.exit_code == 0
    assert is_waiting_unspent(floor, order_id)
    assert events(ended.stderr, "handed_back")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_after_the_end_changes_nothing(floor: ShopFloor, start_pwops: Start, number: signal.Signals) -> None:
    worker = start_pwops("run-worker", "--queue", "mail")
    worker.wait_for_event("started")
    worker.signal(number)
    worker.wait_for_event("ended")
    until = time.monotonic() + 60
    # The interpreter takes its time to end: every moment of it is tried.
    while worker.process.poll() is None and time.monotonic() < until:
        worker.process.send_signal(number)

    assert worker.end().exit_code == 0


def test_told_to_stop_before_the_first_claim_it_exits_0(invoke: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> int:
        raise Terminated

    monkeypatch.setattr(worker_command, "_serve", stopped)
    monkeypatch.setattr(logs, "configure_logs", lambda _: None)
    monkeypatch.setattr(logs, "log_uncaught", lambda: None)

    assert invoke("run-worker").exit_code == 0


# --- what it refuses to start with -----------------------------------------------------------------------------------


def test_without_a_server_and_a_key_both_are_asked_for_at_once(invoke: Call) -> None:
    ended = invoke("run-worker", PWOPS_MONGODB_URI=None, PWOPS_ANTHROPIC_API_KEY=None)

    assert ended.exit_code == 78
    uri, key = ended.stderr.splitlines()
    assert uri.startswith("pwops: No MongoDB is configured: set PWOPS_MONGODB_URI")
    assert key.startswith("pwops: No key for the model is configured")


def test_mail_alone_needs_no_key_but_a_provider(pwops: Call, invoke: Call) -> None:
    assert pwops("run-worker", "--queue", "mail", "--drain", PWOPS_ANTHROPIC_API_KEY=None).exit_code == 0
    ended = invoke("run-worker", "--queue", "mail", PWOPS_RESEND_API_KEY=None, PWOPS_RESEND_BASE_URL=None)
    assert ended.exit_code == 78
    assert "nothing to serve: set PWOPS_RESEND_API_KEY or PWOPS_SMTP_HOST" in ended.stderr


def test_without_a_mail_provider_mails_wait_and_that_is_said(floor: ShopFloor, pwops: Call) -> None:
    order_id = floor.order()

    ended = pwops("run-worker", "--drain", PWOPS_RESEND_API_KEY=None)

    assert ended.exit_code == 0
    [said] = events(ended.stderr, "no_mail_provider")
    assert said["level"] == "warning"
    assert floor.document(order_id)["status"] == "fertig"
    record = floor.mail_record(order_id)
    assert record is not None
    assert record["status"] == "pending"


def test_an_unreachable_server_is_69(pwops: Call) -> None:
    ended = pwops("run-worker", PWOPS_MONGODB_URI="mongodb://127.0.0.1:1/?replicaSet=shop")

    assert ended.exit_code == 69
    [sentence] = ended.stderr.splitlines()
    assert sentence.startswith("pwops: MongoDB at 127.0.0.1:1 cannot be reached")


def test_wrong_credentials_are_77_and_stay_secret(floor: ShopFloor, pwops: Call) -> None:
    uri = floor.uri.replace("mongodb://", "mongodb://shop:geheim-4711@")

    ended = pwops("run-worker", PWOPS_MONGODB_URI=uri)

    assert ended.exit_code == 77
    [sentence] = ended.stderr.splitlines()
    assert "refused the user or the password" in sentence
    assert "geheim" not in sentence


def test_a_server_without_a_replica_set_is_78(lone_mongod: str, pwops: Call) -> None:
    ended = pwops("run-worker", PWOPS_MONGODB_URI=f"mongodb://127.0.0.1:{lone_mongod}")

    assert ended.exit_code == 78
    [sentence] = ended.stderr.splitlines()
    assert "runs without a replica set" in sentence
    assert "rs.initiate()" in sentence


def test_a_failpoint_outside_the_sandbox_is_78_and_nothing_is_written(floor: ShopFloor, pwops: Call) -> None:
    floor.order()

    ended = pwops("run-worker", PWOPS_FAILPOINT="claimed:kill", PWOPS_SANDBOX_MARKER="another")

    assert ended.exit_code == 78
    assert "PWOPS_FAILPOINT is for tests" in ended.stderr
    assert floor.database.list_collection_names() == ["bewertungen"]


def test_too_many_strangers_are_left_alone_and_a_draining_worker_exits_6(floor: ShopFloor, pwops: Call) -> None:
    orders = [floor.order(age=timedelta(hours=2)) for _ in range(11)]

    ended = pwops("run-worker", "--drain", "--queue", "mail")

    assert ended.exit_code == 6
    assert ended.stderr.splitlines()[-1].startswith("pwops: 11 orders that were paid over an hour ago")
    assert "at most 10 of them (PWOPS_INTAKE_GUARD)" in ended.stderr
    assert floor.database.evaluation_jobs.count_documents({}) == 0
    assert all("bewertung" not in floor.document(order) for order in orders)
