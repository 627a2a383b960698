"""What needs somebody: each figure of an overview by itself, its urgency and its command."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pferdewert_ops.domain.breaker import BreakerMode
from pferdewert_ops.operations.advance import HUMAN_KINDS
from pferdewert_ops.operations.concerns import Concern, Severity, concerns, needs_somebody
from pferdewert_ops.operations.overview import (
    ALL_WAIT,
    UNPAID_WAIT,
    BreakerSeen,
    FindingsSeen,
    OrdersSeen,
    Overview,
    QueueSeen,
    WorkerSeen,
)
from pferdewert_ops.operations.survey import GUARD_FINDING
from pferdewert_ops.worker.calls import BUDGET_FINDING

RUNBOOK = Path(__file__).parents[2] / "docs" / "operating.md"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

WORKER = WorkerSeen(
    name="ops-1/812/a",
    queues=("evaluation", "mail"),
    concurrency=4,
    busy=1,
    state="running",
    seen_ago=timedelta(seconds=2),
    is_alive=True,
)
EVALUATION = QueueSeen(name="evaluation", ready=0, waiting=0, running=1, stuck=0, failed=0)
MAIL = QueueSeen(name="mail", ready=0, waiting=0, running=0, stuck=0, failed=0)
WELL = Overview(
    database="shop",
    horizon=NOW - timedelta(days=3),
    workers=(WORKER,),
    queues=(EVALUATION, MAIL),
    breakers=(BreakerSeen(name="model:opus", mode=BreakerMode.CLOSED, failures=2),),
    models=("opus", "sonnet"),
    spent_micro=1_000_000,
    calls=12,
    budget_micro=20_000_000,
    orders=OrdersSeen(since=NOW - timedelta(days=3), seen=5),
    findings=(),
)


def written(duration: timedelta) -> str:
    return f"{duration.total_seconds():.0f} s"


def only(seen: Overview) -> Concern:
    [concern] = concerns(seen, written)
    return concern


def test_all_is_well() -> None:
    assert concerns(WELL, written) == []
    assert not needs_somebody([])


def test_no_worker_is_the_first_thing_said_and_the_only_thing_about_workers() -> None:
    gone = replace(WORKER, is_alive=False, state="gone", seen_ago=5 * MINUTE)
    seen = replace(WELL, workers=(gone,), queues=())

    concern = only(seen)

    assert concern.severity is Severity.DOWN
    assert concern.sentence == "No worker is running; last seen 300 s ago."
    assert concern.command == "pwops run-worker"
    assert only(replace(seen, workers=())).sentence == "No worker has ever run here."


def test_a_queue_that_nobody_serves_is_down() -> None:
    concern = only(replace(WELL, workers=(replace(WORKER, queues=("evaluation",)),)))

    assert concern.severity is Severity.DOWN
    assert concern.command == "pwops run-worker --queue mail"


def test_missing_indexes_beside_a_running_worker_are_down() -> None:
    concern = only(replace(WELL, queues=()))

    assert (concern.severity, concern.command) == (Severity.DOWN, "pwops migrate")


def test_a_lost_worker_beside_others_wakes_nobody() -> None:
    lost = replace(WORKER, name="ops-2/7/b", is_alive=False, seen_ago=MINUTE)

    found = concerns(replace(WELL, workers=(WORKER, lost)), written)

    assert [one.severity for one in found] == [Severity.NOTICE]
    assert not needs_somebody(found)


def test_one_that_ended_in_order_is_no_concern() -> None:
    gone = replace(WORKER, name="ops-2/7/b", is_alive=False, state="gone", seen_ago=MINUTE)

    assert concerns(replace(WELL, workers=(WORKER, gone)), written) == []


def test_a_paused_queue() -> None:
    concern = only(replace(WELL, queues=(replace(EVALUATION, paused_by="anna@ops-1", ready=3), MAIL)))

    assert concern.severity is Severity.DOWN
    assert concern.sentence == "The evaluation queue is paused, by anna@ops-1; 3 wait."
    assert concern.command == "pwops queue resume evaluation"


@pytest.mark.parametrize(
    "queues",
    [(replace(EVALUATION, paused_by="anna@ops-1"), MAIL), (EVALUATION, replace(MAIL, paused_by="anna@ops-1", ready=3))],
)
def test_a_paused_queue_that_holds_back_no_evaluation_is_not_yet_down(queues: tuple[QueueSeen, ...]) -> None:
    assert only(replace(WELL, queues=queues)).severity is Severity.ATTENTION


def test_jobs_of_a_lost_worker_come_back_by_themselves() -> None:
    assert only(replace(WELL, queues=(replace(EVALUATION, stuck=2), MAIL))).severity is Severity.NOTICE


@pytest.mark.parametrize(
    ("mail", "sends_mail", "command"),
    [
        (replace(MAIL, ready=2, oldest=9 * MINUTE), True, None),
        (replace(MAIL, ready=2, oldest=10 * MINUTE), True, "pwops doctor --deep"),
        (replace(MAIL, ready=2, oldest=MINUTE), False, "pwops doctor"),
        (replace(MAIL, ready=0), False, None),
        (replace(MAIL, ready=2, oldest=60 * MINUTE, paused_by="anna"), True, "pwops queue resume mail"),
    ],
)
def test_mails_that_do_not_go_out(mail: QueueSeen, sends_mail: bool, command: str | None) -> None:
    found = concerns(replace(WELL, queues=(EVALUATION, mail), sends_mail=sends_mail), written)

    assert [one.command for one in found] == ([command] if command else [])


def shut(name: str) -> BreakerSeen:
    return BreakerSeen(
        name=name,
        mode=BreakerMode.OPEN,
        failures=10,
        open_for=timedelta(seconds=20),
        next_probe_in=timedelta(seconds=40),
    )


def test_one_resting_model_is_a_notice_because_the_other_answers() -> None:
    concern = only(replace(WELL, breakers=(shut("model:opus"),)))

    assert concern.severity is Severity.NOTICE
    assert concern.sentence == (
        "opus is not asked; its breaker opened 20 s ago; next try in 40 s; paid orders go to the other model."
    )


def test_when_every_model_rests_somebody_should_look() -> None:
    found = concerns(replace(WELL, breakers=(shut("model:opus"), shut("model:sonnet"))), written)

    assert {one.severity for one in found} == {Severity.ATTENTION}
    assert all("nothing is evaluated meanwhile" in one.sentence for one in found)


def test_a_probe_that_is_due_decides() -> None:
    due = replace(shut("model:opus"), mode=BreakerMode.HALF_OPEN, next_probe_in=timedelta(seconds=-1))

    assert "the next call decides" in only(replace(WELL, breakers=(due,))).sentence


@pytest.mark.parametrize(
    ("spent", "severity"),
    [(15_999_999, None), (16_000_000, Severity.NOTICE), (20_000_000, Severity.DOWN)],
)
def test_the_budget(spent: int, severity: Severity | None) -> None:
    found = concerns(replace(WELL, spent_micro=spent), written)

    assert [one.severity for one in found] == ([] if severity is None else [severity])


def test_late_orders_name_the_one_that_has_waited_longest() -> None:
    late = OrdersSeen(since=NOW, seen=9, late=2, latest_by=25 * MINUTE, latest="6561aa")

    concern = only(replace(WELL, orders=late))

    assert concern.severity is Severity.ATTENTION
    assert concern.sentence == "2 paid orders are late; the longest has waited for 1500 s."
    assert concern.command == "pwops jobs show 6561aa"


def finding(kind: str, *, count: int = 1, seen_ago: timedelta = MINUTE) -> FindingsSeen:
    return FindingsSeen(kind=kind, count=count, open_for=3 * MINUTE, seen_ago=seen_ago, subjects=("6561aa", "6561ab"))


def test_a_finding_names_its_order_and_the_command_that_helps() -> None:
    concern = only(replace(WELL, findings=(finding("evaluation_failed"),)))

    assert concern.severity is Severity.ATTENTION
    assert concern.sentence == "6561aa: paid, and the evaluation failed for good (for 180 s)."
    assert concern.command == "pwops retry 6561aa"


def test_several_of_a_kind_are_one_line() -> None:
    concern = only(replace(WELL, findings=(finding("mail_uncertain", count=4),)))

    assert concern.sentence == (
        "4 × mail_uncertain: nobody knows whether the mail went out (for 180 s): 6561aa, 6561ab, …"
    )


def test_the_orders_that_were_held_back_are_named() -> None:
    held = replace(finding("intake_guard"), subjects=("deep",), detail="11 orders paid over an hour ago: 6561aa, …")

    assert only(replace(WELL, findings=(held,))).sentence.endswith(": 11 orders paid over an hour ago: 6561aa, …")


@pytest.mark.parametrize("kind", ["mail_uncertain", "mail_failed"])
def test_a_delay_mail_is_called_that_and_its_order_shown(kind: str) -> None:
    concern = only(replace(WELL, findings=(replace(finding(kind), subjects=("6561aa:delay",)),)))

    assert "the mail that it takes longer" in concern.sentence
    assert concern.command == "pwops jobs show 6561aa"


def test_a_kind_that_is_new_to_the_screen_is_shown_all_the_same() -> None:
    assert only(replace(WELL, findings=(finding("never_heard_of"),))).sentence == "6561aa: never heard of (for 180 s)."


def test_a_finding_about_a_service_ends_when_it_is_not_renewed() -> None:
    def said(kind: str, minutes: int) -> int:
        return len(concerns(replace(WELL, findings=(finding(kind, seen_ago=minutes * MINUTE),)), written))

    assert (said("auth", 60), said("auth", 61), said("mail_failed", 61)) == (1, 0, 1)


def test_a_spent_budget_is_said_once() -> None:
    spent = replace(WELL, spent_micro=20_000_000, findings=(finding("model_budget"),))

    assert "used up (20.00 of 20.00 EUR)" in only(spent).sentence
    assert only(replace(spent, spent_micro=0)).command == "pwops queue stats"


@pytest.mark.parametrize(
    ("detail", "severity", "words"),
    [
        (ALL_WAIT, Severity.DOWN, "every order waits"),
        (UNPAID_WAIT, Severity.NOTICE, "unpaid orders wait"),
    ],
)
@pytest.mark.parametrize("spent", [0, 17_000_000])
def test_the_worker_knows_who_waits_for_the_budget(detail: str, severity: Severity, words: str, spent: int) -> None:
    concern = only(
        replace(WELL, spent_micro=spent, findings=(replace(finding("model_budget"), detail=detail),)),
    )

    assert concern.severity is severity
    assert words in concern.sentence


@pytest.mark.parametrize("kind", ["auth", "spend_limit"])
@pytest.mark.parametrize(("subject", "severity"), [("model", Severity.DOWN), ("mail", Severity.ATTENTION)])
def test_a_model_that_refuses_everything_is_down(kind: str, subject: str, severity: Severity) -> None:
    refused = replace(finding(kind), subjects=(subject,))

    assert only(replace(WELL, findings=(refused,))).severity is severity


def test_the_most_urgent_comes_first() -> None:
    seen = replace(
        WELL,
        workers=(),
        breakers=(shut("model:opus"),),
        findings=(finding("mail_failed"),),
        orders=OrdersSeen(since=NOW, seen=1, late=1, latest_by=MINUTE, latest="6561aa"),
    )

    found = concerns(seen, written)

    severities = [one.severity for one in found]
    assert severities == [Severity.DOWN, Severity.ATTENTION, Severity.ATTENTION, Severity.NOTICE]
    assert needs_somebody(found)


@pytest.mark.parametrize("kind", [*sorted(HUMAN_KINDS), GUARD_FINDING, BUDGET_FINDING])
def test_every_kind_of_finding_has_its_words_its_command_and_its_entry_in_the_runbook(kind: str) -> None:
    concern = only(replace(WELL, findings=(finding(str(kind)),)))

    assert concern.runbook
    assert concern.command.startswith("pwops ")
    assert f"\n## {concern.runbook} " in RUNBOOK.read_text(encoding="utf-8")
