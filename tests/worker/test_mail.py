"""Mails on their way: after the result only, once only, patient with a provider, and never sent on a guess."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from pferdewert_ops.sandbox.anthropic_rules import Fault as ModelFault
from pferdewert_ops.sandbox.anthropic_rules import Rule
from pferdewert_ops.sandbox.guardian_process import until
from pferdewert_ops.sandbox.mailbox import AcceptedMail, Fault, FaultRule, Via
from tests.faults.checks import calls_of, check_delivered, check_mailed_once, marked_order, move_waits_back
from tests.harness import Document, ShopFloor

LIMIT = 30.0
LATE = timedelta(minutes=11)


def mail_of(floor: ShopFloor, order_id: str, kind: str = "result") -> AcceptedMail:
    [mail] = [mail for mail in floor.mail.mailbox.mails() if mail.kind == kind and order_id in mail.text + mail.html]
    return mail


def record(floor: ShopFloor, order_id: str, kind: str = "result") -> Document:
    found = floor.mail_record(order_id, kind)
    assert found is not None
    return found


def reached(condition: Callable[[], object]) -> bool:
    return until(lambda: bool(condition()), LIMIT)


def pay(floor: ShopFloor, order_id: str) -> None:
    paid = {"$set": {"paymentStatus": "paid", "paidAt": datetime.now(UTC)}}
    assert floor.database.bewertungen.update_one({"_id": ObjectId(order_id)}, paid).modified_count == 1


def open_finding(floor: ShopFloor, name: str) -> bool:
    return floor.database.ops_findings.find_one({"_id": name, "state": "open"}) is not None


# --- when -----------------------------------------------------------------------------------------------------------


def test_the_customer_is_told_when_the_result_can_be_read(floor: ShopFloor) -> None:
    order_id = marked_order(floor)
    floor.drain()
    assert mail_of(floor, order_id).at >= floor.document(order_id)["aktualisiert"]


def test_a_mail_waits_for_a_result_that_was_overwritten_meanwhile(floor: ShopFloor) -> None:
    order_id = marked_order(floor)
    floor.drain(queues=("evaluation",))
    floor.database.ops_settings.insert_one({"_id": "pause:mail"})
    with floor.working(queues=("mail",), survey_every=timedelta(minutes=5)) as worker:
        assert reached(worker.lanes[0].is_idle)
        overwritten = {"$set": {"bewertung": "Wir arbeiten gerade an unserem KI-Modell."}}
        floor.database.bewertungen.update_one({"_id": ObjectId(order_id)}, overwritten)
        floor.database.ops_settings.delete_one({"_id": "pause:mail"})
        assert reached(lambda: record(floor, order_id).get("error", {}).get("code") == "result_not_readable")
    assert floor.mail.mailbox.mails() == ()
    assert record(floor, order_id)["status"] == "pending"
    assert "handedOverAt" not in record(floor, order_id)

    move_waits_back(floor)
    floor.drain()

    check_delivered(floor, order_id)
    check_mailed_once(floor, order_id)


def test_an_unpaid_order_is_evaluated_and_neither_delivered_nor_mailed_until_it_is_paid(floor: ShopFloor) -> None:
    order_id = marked_order(floor, paymentStatus="pending", paidAt=...)
    floor.shop_job(order_id)
    floor.drain()
    job = floor.job(order_id)
    assert (job["status"], job["attempts"]) == ("completed", 1)
    assert "Preisspanne" in job["result"]["value"]
    assert "bewertung" not in floor.document(order_id)
    assert floor.mail_record(order_id) is None

    with floor.working(survey_every=timedelta(minutes=5)):
        pay(floor, order_id)
        assert reached(lambda: floor.mails_to_customer(order_id))

    check_delivered(floor, order_id)
    check_mailed_once(floor, order_id)
    assert len(calls_of(floor, order_id)) == 1


def test_payment_moves_a_waiting_job_up(floor: ShopFloor) -> None:
    """Two visitors wait, the later one pays: it goes first."""
    first, second = (marked_order(floor, paymentStatus="pending", paidAt=...) for _ in range(2))
    for order_id in (first, second):
        floor.shop_job(order_id)
    floor.drain(queues=("mail",))
    assert floor.job(first)["rank"] <= floor.job(second)["rank"]

    pay(floor, second)
    floor.drain(concurrency=1)

    assert floor.job(first)["rank"] - floor.job(second)["rank"] > timedelta(minutes=29)
    assert calls_of(floor, second)[0].number < calls_of(floor, first)[0].number


# --- the delay ------------------------------------------------------------------------------------------------------


def test_a_payer_who_waits_is_told_once_and_later_gets_the_result_with_an_apology(floor: ShopFloor) -> None:
    floor.model.rules.add(Rule(fault=ModelFault.SERVER_ERROR, times=2))
    late, young = marked_order(floor, age=LATE), marked_order(floor, age=timedelta(minutes=9))
    settings: dict[str, Any] = {"mail_bcc": "bewertung@example.org"}

    floor.drain(**settings)
    floor.drain(**settings)

    assert (floor.mails_to_customer(late), floor.mails_to_customer(young)) == (["delay"], [])

    move_waits_back(floor)
    floor.drain(**settings)

    check_mailed_once(floor, late, "delay", "result")
    check_mailed_once(floor, young, "result")
    # Nobody who had to wait is invited to a review.
    assert mail_of(floor, late).bcc == ()
    assert mail_of(floor, young).bcc == ("bewertung@example.org",)
    assert "länger als üblich" in mail_of(floor, late).text
    assert "länger als üblich" not in mail_of(floor, young).text


def test_no_delay_is_announced_for_what_is_delivered_or_unpaid(floor: ShopFloor) -> None:
    delivered = marked_order(floor)
    floor.drain()
    long_ago = {"$set": {"paidAt": datetime.now(UTC) - LATE, "erstellt": datetime.now(UTC) - LATE}}
    floor.database.bewertungen.update_one({"_id": ObjectId(delivered)}, long_ago)
    unpaid = marked_order(floor, age=LATE, paymentStatus="pending", paidAt=...)
    floor.shop_job(unpaid)

    floor.drain()

    assert (floor.mails_to_customer(delivered), floor.mails_to_customer(unpaid)) == (["result"], [])
    assert floor.job(unpaid)["status"] == "completed"


# --- who ------------------------------------------------------------------------------------------------------------


def test_operators_read_the_right_currency(floor: ShopFloor) -> None:
    swiss = marked_order(floor, user_country="CH", land="CH")
    german = marked_order(floor)
    certificate = marked_order(floor, "wertgutachten", user_country="CH")

    floor.drain(operators=("kauf@example.org",))

    for order_id in (swiss, german, certificate):
        check_mailed_once(floor, order_id, "operator", "result")
        assert mail_of(floor, order_id, "operator").to == ("kauf@example.org",)
    assert "Betrag: CHF 19,90" in mail_of(floor, swiss, "operator").text
    assert "Betrag: 14,90 €" in mail_of(floor, german, "operator").text
    assert "Betrag: 49,90 €" in mail_of(floor, certificate, "operator").text


def test_without_an_address_a_human_is_told_and_nothing_is_mailed(floor: ShopFloor) -> None:
    order_id = marked_order(floor, customer_email=...)
    floor.drain()
    check_delivered(floor, order_id)
    assert floor.mail_record(order_id) is None
    assert open_finding(floor, f"no_address:{order_id}")


# --- a provider in trouble ------------------------------------------------------------------------------------------


def test_an_outage_of_an_hour_costs_patience_and_nothing_else(floor: ShopFloor) -> None:
    order_id = marked_order(floor)
    floor.drain(queues=("evaluation",))
    waits: list[float] = []
    with floor.working(queues=("mail",), survey_every=timedelta(minutes=5)):
        with floor.mail.refusing_connections(Via.RESEND):
            while sum(waits) < 3_600:
                assert reached(lambda: settled_attempts(floor, order_id) == len(waits) + 1)
                assert record(floor, order_id)["error"]["class"] == "network_error"
                waits.extend(move_waits_back(floor))
        assert reached(lambda: floor.mails_to_customer(order_id))
    assert len(waits) < 12  # ever longer ones, up to half an hour each
    check_mailed_once(floor, order_id)
    assert not open_finding(floor, f"mail_failed:{order_id}")


def settled_attempts(floor: ShopFloor, order_id: str) -> int:
    """How many hand-overs have come to their end, without one that is under way."""
    mail = record(floor, order_id)
    return int(mail["attempts"]) if mail["status"] == "pending" else -1


def test_a_letter_that_is_refused_for_good_is_shown_and_not_tried_again(floor: ShopFloor) -> None:
    floor.mail.rules.add(FaultRule(fault=Fault.REFUSE, count=1))
    order_id = marked_order(floor)

    floor.drain()
    floor.drain()

    assert (record(floor, order_id)["status"], record(floor, order_id)["attempts"]) == ("failed", 1)
    assert move_waits_back(floor) == []
    assert open_finding(floor, f"mail_failed:{order_id}")
    assert floor.mail.mailbox.mails() == ()
    check_delivered(floor, order_id)


def test_a_provider_that_dies_after_taking_a_mail_is_asked_again_under_the_same_key(floor: ShopFloor) -> None:
    floor.mail.rules.add(FaultRule(fault=Fault.DIE_AFTER, count=1))
    order_id = marked_order(floor)

    floor.drain()
    assert (record(floor, order_id)["status"], record(floor, order_id)["error"]["class"]) == ("pending", "mail_unknown")
    assert move_waits_back(floor) != []
    floor.drain()

    check_mailed_once(floor, order_id)
    assert record(floor, order_id)["attempts"] == 2


def test_a_key_of_yesterday_proves_nothing_any_more(floor: ShopFloor) -> None:
    """After 23 hours the provider may have forgotten it, and would send a second mail."""
    floor.mail.rules.add(FaultRule(fault=Fault.DIE_AFTER, count=1))
    order_id = marked_order(floor)
    floor.drain()
    long_ago = [{"$set": {"handedOverAt": {"$subtract": ["$handedOverAt", 23 * 3_600_000]}}}]
    floor.database.mail_outbox.update_one({"_id": f"{order_id}:result"}, long_ago)
    move_waits_back(floor)

    floor.drain()

    assert record(floor, order_id)["status"] == "uncertain"
    assert floor.mails_to_customer(order_id) == ["result"]
    assert open_finding(floor, f"mail_uncertain:{order_id}")


def test_by_smtp_a_lost_answer_is_uncertain_at_once(floor: ShopFloor) -> None:
    floor.mail.rules.add(FaultRule(fault=Fault.DIE_AFTER, count=1))
    order_id = marked_order(floor)
    server = floor.mail.smtp
    settings: dict[str, Any] = {
        "resend_api_key": None,
        "resend_base_url": None,
        "smtp_host": server.host,
        "smtp_port": server.port,
        "smtp_security": "none",
    }

    floor.drain(**settings)
    floor.drain(**settings)

    assert (record(floor, order_id)["status"], record(floor, order_id)["attempts"]) == ("uncertain", 1)
    assert len(floor.mail.mailbox.mails()) == 1
    assert open_finding(floor, f"mail_uncertain:{order_id}")


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_key_costs_no_attempt_and_is_told(floor: ShopFloor, status: int) -> None:
    floor.mail.rules.add(FaultRule(fault=Fault.REFUSE, status=status, count=1))
    order_id = marked_order(floor)

    floor.drain()

    assert (record(floor, order_id)["status"], record(floor, order_id)["attempts"]) == ("pending", 0)
    assert open_finding(floor, "auth:mail")
    assert 250 < sum(move_waits_back(floor)) < 331
    floor.drain()
    check_mailed_once(floor, order_id)


def test_a_provider_that_names_a_wait_is_given_it(floor: ShopFloor) -> None:
    floor.mail.rules.add(FaultRule(fault=Fault.RATE_LIMIT, count=1, retry_after=900))
    order_id = marked_order(floor)

    floor.drain()

    assert record(floor, order_id)["error"]["class"] == "rate_limited"
    assert 890 < sum(move_waits_back(floor)) <= 900
    floor.drain()
    check_mailed_once(floor, order_id)
