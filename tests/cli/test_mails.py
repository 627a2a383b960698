"""`pwops mails`: lists, one order's mails, and a person's word where only a person can know."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pferdewert_ops.cli import mails_command
from pferdewert_ops.domain.letters import MailKind
from pferdewert_ops.domain.orders import MailStatus
from tests.cli.operator_support import MISSING, Call, Document, audit, everything, migrated, our_mail
from tests.harness import ShopFloor


@pytest.fixture(autouse=True)
def ready(floor: ShopFloor) -> None:
    migrated(floor)


@pytest.fixture
def evaluated(floor: ShopFloor) -> str:
    """An order that is delivered, and whose mail is what the test makes of it."""
    order_id = floor.order()
    floor.drain(queues=("evaluation",))
    floor.database.mail_outbox.delete_many({})
    return order_id


def uncertain(floor: ShopFloor, order_id: str, **changes: Any) -> Document:
    letter = {"to": ["kundin@example.org"], "html": "Anna Feuerzauber", "text": "Anna Feuerzauber", "subject": "Anna"}
    handed = {"handedOverAt": datetime.now(UTC) - timedelta(minutes=5), "transport": "resend", "letter": letter}
    return our_mail(floor, order_id, **{"status": "uncertain", **handed, "failedAt": ..., **changes})


def test_states_and_kinds_on_offer_are_those_that_there_are() -> None:
    assert set(mails_command.STATUSES) == {status.value for status in MailStatus}
    assert set(mails_command.KINDS) == {kind.value for kind in MailKind}


def test_the_newest_come_first_and_states_narrow_the_list(invoke: Call, floor: ShopFloor) -> None:
    now = datetime.now(UTC)
    orders = [floor.order() for _ in range(3)]
    for number, (order_id, status) in enumerate(zip(orders, ("uncertain", "failed", "sent"), strict=True)):
        our_mail(floor, order_id, status=status, createdAt=now + timedelta(seconds=number))

    def listed(*options: str) -> list[str]:
        said = invoke("mails", "list", "-o", "json", *options)
        assert said.exit_code == 0
        return [row["order"] for row in said.json()["rows"]]

    assert listed() == orders[::-1]
    assert listed("--status", "uncertain", "--status", "failed") == orders[1::-1]
    assert listed("--limit", "1") == orders[2:]
    assert listed("--status", "pending") == []


def test_the_newest_mail_comes_first_whatever_the_age_of_its_order(invoke: Call, floor: ShopFloor) -> None:
    now = datetime.now(UTC)
    orders = [floor.order() for _ in range(2)]
    for number, order_id in enumerate(reversed(orders)):
        our_mail(floor, order_id, status="sent", createdAt=now + timedelta(seconds=number))

    assert [row["order"] for row in invoke("mails", "list", "-o", "json").json()["rows"]] == orders


def test_nothing_of_the_letter_is_shown(invoke: Call, floor: ShopFloor, evaluated: str) -> None:
    uncertain(floor, evaluated)
    said = [
        invoke("mails", "list"),
        invoke("mails", "show", evaluated),
        invoke("mails", "show", evaluated, "-o", "json"),
    ]
    for one in said:
        assert one.exit_code == 0
        assert "Anna" not in one.stdout
        assert "kundin@" not in one.stdout
    assert "k•••@•••.org" in said[1].stdout
    assert f"pwops mails resolve {evaluated}:result --resend or --sent" in said[1].stdout


@pytest.mark.parametrize("by", ["mail", "order", "kind", "session"])
def test_a_mail_has_several_names(invoke: Call, floor: ShopFloor, evaluated: str, by: str) -> None:
    our_mail(floor, evaluated, status="sent")
    arguments = {
        "mail": [f"{evaluated}:result"],
        "order": [evaluated],
        "kind": [evaluated, "--kind", "result"],
        "session": [floor.document(evaluated)["stripeSessionId"]],
    }[by]
    (row,) = invoke("mails", "show", *arguments, "-o", "json").json()["rows"]
    assert row["mail"] == f"{evaluated}:result"


@pytest.mark.parametrize(
    ("given", "code"),
    [("xyz", 2), (f"{MISSING}:letter", 2), (f"{MISSING}:result", 4), (MISSING, 4), ("cs_live_nobody", 4)],
)
@pytest.mark.parametrize("command", [["show"], ["resolve", "--sent"]])
def test_ids_that_mean_nothing(invoke: Call, command: list[str], given: str, code: int) -> None:
    said = invoke("mails", *command, given)
    assert said.exit_code == code
    assert said.stderr.count("\n") == 1


# --- resolving -------------------------------------------------------------------------------------------------------


def test_what_went_out_is_taken_as_sent(invoke: Call, floor: ShopFloor, evaluated: str) -> None:
    uncertain(floor, evaluated)
    floor.database.ops_findings.insert_one(
        {"_id": f"mail_uncertain:{evaluated}", "kind": "mail_uncertain", "subject": evaluated, "state": "open"}
    )

    said = invoke("mails", "resolve", evaluated, "--sent")

    assert said.exit_code == 0
    record = floor.mail_record(evaluated) or {}
    assert record["status"] == "sent"
    assert record["sentAt"] == record["handedOverAt"]
    assert record["history"][-1]["event"] == "resolved_sent"
    assert floor.database.ops_findings.count_documents({"state": "open"}) == 0
    floor.drain()
    assert floor.mails_to_customer(evaluated) == []
    assert invoke("jobs", "show", evaluated).stdout.count("delivered and mailed: done") == 1


def test_what_did_not_is_sent_anew_once_that_is_confirmed(invoke: Call, floor: ShopFloor, evaluated: str) -> None:
    before = uncertain(floor, evaluated)
    untouched = everything(floor)
    refused = invoke("mails", "resolve", evaluated, "--resend")
    assert (refused.exit_code, everything(floor)) == (5, untouched)

    assert invoke("mails", "resolve", evaluated, "--resend", "--yes").exit_code == 0

    entry = audit(floor)[-1]
    assert (entry["action"], entry["subject"]) == ("mail_resolve", f"{evaluated}:result")
    assert (entry["before"]["status"], entry["before"]["handedOver"]) == ("uncertain", True)
    assert "example.org" not in str(entry)
    floor.drain()
    assert floor.mails_to_customer(evaluated) == ["result"]
    assert (floor.mail_record(evaluated) or {})["key"] != before["key"]


@pytest.mark.parametrize("handed_over", [True, False])
def test_the_question_says_whether_it_may_come_twice(
    invoke: Call, floor: ShopFloor, evaluated: str, monkeypatch: pytest.MonkeyPatch, handed_over: bool
) -> None:
    asked: list[str] = []

    def note(question: str, *, yes: bool) -> None:
        asked.append(question)

    monkeypatch.setattr(mails_command, "confirm", note)
    uncertain(floor, evaluated, **({} if handed_over else {"handedOverAt": ...}))
    invoke("mails", "resolve", evaluated, "--resend")
    assert ("TWICE" in asked[0]) is handed_over


def test_an_order_older_than_the_horizon_is_taken_in_by_sending(invoke: Call, floor: ShopFloor) -> None:
    order_id = floor.order(age=timedelta(days=5), bewertung="## Eine Bewertung\n\nEin gutes Pferd.", status="fertig")
    our_mail(floor, order_id, status="suppressed", error={"code": "before_horizon"}, failedAt=...)
    assert invoke("mails", "resolve", order_id, "--resend", "--yes").exit_code == 0
    assert audit(floor)[-1]["after"]["takesIn"] is True
    floor.drain()
    assert floor.mails_to_customer(order_id) == ["result"]


@pytest.mark.parametrize("status", ["pending", "processing", "sent"])
@pytest.mark.parametrize("word", ["--sent", "--resend"])
def test_nobody_overrules_what_is_known(invoke: Call, floor: ShopFloor, evaluated: str, status: str, word: str) -> None:
    our_mail(floor, evaluated, status=status)
    before = everything(floor)
    said = invoke("mails", "resolve", evaluated, word, "--yes")
    assert said.exit_code == 6
    assert f"is {status}" in said.stderr
    assert everything(floor) == before


def test_of_two_unsettled_mails_one_has_to_be_named(invoke: Call, floor: ShopFloor, evaluated: str) -> None:
    uncertain(floor, evaluated)
    our_mail(floor, evaluated, "operator")
    floor.database.ops_findings.insert_one(
        {"_id": f"mail_failed:{evaluated}", "kind": "mail_failed", "subject": evaluated, "state": "open"}
    )
    said = invoke("mails", "resolve", evaluated, "--sent")
    assert said.exit_code == 2
    assert "--kind result or --kind operator" in said.stderr

    assert invoke("mails", "resolve", evaluated, "--kind", "result", "--sent").exit_code == 0
    assert floor.database.ops_findings.count_documents({"state": "open"}) == 1
    assert invoke("mails", "resolve", f"{evaluated}:operator", "--sent").exit_code == 0
    assert floor.database.ops_findings.count_documents({"state": "open"}) == 0


@pytest.mark.parametrize("words", [["--sent", "--resend"], ["--resend", "--sent"]])
def test_two_words_that_contradict_each_other_change_nothing(
    invoke: Call, floor: ShopFloor, evaluated: str, words: list[str]
) -> None:
    uncertain(floor, evaluated)
    before = everything(floor)
    said = invoke("mails", "resolve", evaluated, *words, "--yes")
    assert said.exit_code == 2
    assert "Only one of --sent and --resend" in said.stderr
    assert everything(floor) == before


def test_a_word_has_to_be_said(invoke: Call, floor: ShopFloor, evaluated: str) -> None:
    uncertain(floor, evaluated)
    said = invoke("mails", "resolve", evaluated)
    assert said.exit_code == 2
    assert "--sent or --resend" in said.stderr
