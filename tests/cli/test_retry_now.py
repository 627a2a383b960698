"""`pwops retry --now`: one order in the foreground, with a worker's claim, lease, gates and hands."""

import os
import signal
from datetime import UTC, datetime, timedelta

import pytest

from pferdewert_ops.sandbox.anthropic_journal import Outcome
from pferdewert_ops.sandbox.anthropic_rules import Fault, Rule
from pferdewert_ops.sandbox.guardian_process import until
from tests.cli.operator_support import Call, Start, everything, migrated, on_a_terminal, our_job, our_mail
from tests.cli.programs import LIMIT, Surroundings
from tests.harness import ShopFloor


@pytest.fixture(autouse=True)
def ready(floor: ShopFloor) -> None:
    migrated(floor)


def is_running(floor: ShopFloor) -> bool:
    return floor.database.evaluation_jobs.count_documents({"status": "processing"}) == 1


def is_hanging(floor: ShopFloor, calls_before: int) -> bool:
    """Whether the model has begun to answer a further call and fallen silent."""
    calls = floor.model.journal.entries()
    return len(calls) > calls_before and calls[-1].outcome is Outcome.HANGING


def is_handed_back(floor: ShopFloor, order_id: str) -> bool:
    job = floor.job(order_id)
    return (job["status"], job["attempts"], "leaseUntil" in job) == ("pending", 0, False)


def test_an_order_is_evaluated_delivered_and_mailed_here(invoke: Call, floor: ShopFloor) -> None:
    order_id = floor.order(age=timedelta(days=5))

    said = invoke("retry", order_id, "--now", PWOPS_OPERATORS="kauf@example.org")

    assert said.exit_code == 0
    assert "delivered and mailed: done" in said.stdout
    assert "Preisspanne" in floor.document(order_id)["bewertung"]
    assert sorted(mail.kind or "" for mail in floor.mail.mailbox.mails()) == ["operator", "result"]
    job = floor.job(order_id)
    assert (job["status"], job["attempts"], job["fence"]) == ("completed", 1, 1)
    assert floor.database.ops_workers.find_one({"state": "running"}) is None


def test_a_certificate_is_too(invoke: Call, floor: ShopFloor) -> None:
    order_id = floor.order(collection="wertgutachten")
    assert invoke("retry", order_id, "--now").exit_code == 0
    assert floor.document(order_id, "wertgutachten")["status"] == "fertig"


def test_a_failed_job_is_run_with_a_fresh_budget(invoke: Call, floor: ShopFloor) -> None:
    order_id = floor.order()
    our_job(floor, order_id)
    said = invoke("retry", order_id, "--now", "-o", "json")
    (row,) = said.json()["rows"]
    assert (row["result"], row["why"]) == ("done", "settled")
    assert floor.job(order_id)["attempts"] == 1


@pytest.mark.parametrize("waits", [timedelta(0), timedelta(minutes=30)])
def test_what_waits_for_a_worker_or_for_its_time_is_run_at_once(
    invoke: Call, floor: ShopFloor, waits: timedelta
) -> None:
    order_id = floor.order()
    our_job(floor, order_id, status="pending", attempts=2, scheduledAt=datetime.now(UTC) + waits, error=...)
    assert invoke("retry", order_id, "--now").exit_code == 0
    assert floor.job(order_id)["attempts"] == 3


def test_a_waiting_mail_alone_is_sent(invoke: Call, floor: ShopFloor) -> None:
    order_id = floor.order()
    floor.drain(queues=("evaluation",))
    assert floor.mails_to_customer(order_id) == []
    calls = len(floor.model.journal.entries())
    assert invoke("retry", order_id, "--now").exit_code == 0
    assert floor.mails_to_customer(order_id) == ["result"]
    assert len(floor.model.journal.entries()) == calls


def test_only_this_order_is_touched(invoke: Call, floor: ShopFloor) -> None:
    order_id, other = floor.order(), floor.order()
    first = datetime.now(UTC) - timedelta(hours=1)
    our_job(floor, other, status="pending", attempts=0, scheduledAt=first, rank=first, error=...)
    our_mail(floor, other, status="pending", attempts=0, scheduledAt=first, rank=first, error=..., failedAt=...)
    before = floor.job(other), floor.mail_record(other)
    assert invoke("retry", order_id, "--now").exit_code == 0
    assert (floor.job(other), floor.mail_record(other)) == before
    assert floor.mails_to_customer(order_id) == ["result"]


def test_the_lease_is_renewed_for_as_long_as_it_takes(invoke: Call, floor: ShopFloor) -> None:
    floor.model.rules.add(Rule(fault=Fault.SLOW_START, seconds=5.5))
    order_id = floor.order(age=timedelta(days=5))
    with floor.working():
        # Else this worker would take it back after the lease of four seconds.
        said = invoke("retry", order_id, "--now", PWOPS_HOST_IDENTITY="elsewhere", PWOPS_LEASE="4s")
    assert said.exit_code == 0
    job = floor.job(order_id)
    assert (job["status"], job["attempts"]) == ("completed", 1)


def test_a_failed_attempt_says_what_happens_next(invoke: Call, floor: ShopFloor) -> None:
    floor.model.rules.add(Rule(fault=Fault.OVERLOADED))
    order_id = floor.order()
    said = invoke("retry", order_id, "--now")
    assert said.exit_code == 7
    assert "overloaded" in said.stderr
    assert "tried again in" in said.stderr
    job = floor.job(order_id)
    assert (job["status"], job["attempts"]) == ("pending", 1)


def test_bad_input_is_named(invoke: Call, floor: ShopFloor) -> None:
    order_id = floor.order(stockmass="sehr groß")
    said = invoke("retry", order_id, "--now")
    assert said.exit_code == 7
    assert "bad_input: stockmass" in said.stderr
    assert "groß" not in said.stderr + said.stdout
    assert floor.job(order_id)["status"] == "failed"


# --- gates -----------------------------------------------------------------------------------------------------------


def test_a_paused_queue_holds_this_back_too(invoke: Call, floor: ShopFloor) -> None:
    order_id = floor.order()
    invoke("queue", "pause", "evaluation")
    before = everything(floor)
    said = invoke("retry", order_id, "--now")
    assert said.exit_code == 6
    assert "pwops queue resume evaluation" in said.stderr
    assert {**everything(floor), "ops_workers": []} == {**before, "ops_workers": []}


def test_a_used_up_budget_holds_this_back_too(invoke: Call, floor: ShopFloor) -> None:
    order_id = floor.order()
    said = invoke("retry", order_id, "--now", PWOPS_DAILY_BUDGET_EUR="0.01")
    assert said.exit_code == 6
    assert "budget" in said.stderr
    assert floor.database.evaluation_jobs.count_documents({}) == 0


def test_a_paused_mail_queue_keeps_the_mail(invoke: Call, floor: ShopFloor) -> None:
    order_id = floor.order()
    invoke("queue", "pause", "mail")
    said = invoke("retry", order_id, "--now")
    assert said.exit_code == 7
    assert floor.job(order_id)["status"] == "completed"
    assert (floor.mail_record(order_id) or {})["status"] == "pending"


def test_without_a_key_nothing_is_begun(invoke: Call, floor: ShopFloor) -> None:
    before = everything(floor)
    order_id = floor.order()
    said = invoke("retry", order_id, "--now", PWOPS_ANTHROPIC_API_KEY=None)
    assert said.exit_code == 78
    assert {**everything(floor), "bewertungen": []} == {**before, "bewertungen": []}


def test_it_is_for_one_order(invoke: Call, floor: ShopFloor) -> None:
    assert invoke("retry", floor.order(), floor.order(), "--now").exit_code == 2


def test_a_dry_run_of_it_changes_nothing(invoke: Call, floor: ShopFloor) -> None:
    order_id = floor.order()
    before = everything(floor)
    assert invoke("retry", order_id, "--now", "--dry-run").exit_code == 0
    assert everything(floor) == before


def test_a_worker_that_was_faster_is_named(invoke: Call, floor: ShopFloor) -> None:
    order_id = floor.order()
    floor.model.rules.add(Rule(fault=Fault.STALL))
    with floor.working(grace=timedelta(0)):
        assert until(lambda: is_running(floor), 20)
        said = invoke("retry", order_id, "--now")
        floor.model.release()
    assert said.exit_code == 6
    assert "it is being evaluated" in said.stderr


# --- stopping --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopping_hands_the_job_back_without_spending_an_attempt(
    start_pwops: Start, floor: ShopFloor, number: signal.Signals, code: int
) -> None:
    order_id = floor.order()
    floor.model.rules.add(Rule(fault=Fault.STALL))
    calls = len(floor.model.journal.entries())
    running = start_pwops("retry", order_id, "--now")
    assert until(lambda: is_hanging(floor, calls) or running.process.poll() is not None, LIMIT)
    assert running.process.poll() is None, running.text()

    running.signal(number)
    ended = running.end()

    assert ended.exit_code == code
    assert "handed back without spending an attempt" in ended.stderr
    assert is_handed_back(floor, order_id)
    floor.drain()
    assert floor.mails_to_customer(order_id) == ["result"]


def test_on_a_terminal_a_line_tells_how_far_it_is(surroundings: Surroundings, floor: ShopFloor) -> None:
    order_id = floor.order()
    floor.model.rules.add(Rule(fault=Fault.STALL, after=20))
    with on_a_terminal(surroundings, "retry", order_id, "--now") as (process, screen):
        seen = b""
        while b"tokens" not in seen:
            seen += os.read(screen, 4096)
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT) == 130
    assert b"writing" in seen
    assert is_handed_back(floor, order_id)
