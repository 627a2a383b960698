"""Every way in which the model can fail, end to end through the real SDK: its class, its wait, its end."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from pferdewert_ops.domain.jobs import DEFAULT_MAX_ATTEMPTS
from pferdewert_ops.sandbox.anthropic_rules import Fault, Rule, When
from tests.faults.checks import calls_of, check_delivered, check_mailed_once, marked_order, move_waits_back
from tests.harness import Document, ShopFloor

PRIMARY, FALLBACK = "claude-opus-5-5", "claude-sonnet-5-5"
# The breaker has tests of its own; here every fault strikes all the time. A second is long for the stand-in.
SETTINGS: dict[str, Any] = {
    "breaker_failures": 1_000,
    "evaluation_deadline": timedelta(seconds=1),
    "concurrency": 30,
}
HINT = 100.0  # seconds: longer than any wait of our own after a first failure

# For the default of 8 attempts and the two models of the defaults: the class of each fault, the least and longest wait
# after the first failure, and how many attempts each model gets. Where the shop says 10 attempts, or 5 and the second
# model 5 more, the job's own limit of 8 ends it.
SPENDING = {
    Fault.STALL: ("ai_timeout", 15, 30, 2, 2),
    Fault.TRICKLE: ("ai_timeout", 15, 30, 2, 2),
    Fault.SERVER_ERROR: ("ai_error", 30, 33, 3, 3),
    Fault.BAD_GATEWAY: ("ai_error", 30, 33, 3, 3),
    Fault.CUT: ("network_error", 2.5, 5, 5, 0),
    Fault.EARLY_EOF: ("network_error", 2.5, 5, 5, 0),
    Fault.RAMP_LIMIT: ("queue_full", HINT, HINT, 8, 0),
    Fault.OVERLOADED: ("overloaded", 10, 20, 5, 3),
    Fault.ERROR_EVENT: ("overloaded", 10, 20, 5, 3),
    Fault.RATE_LIMITED: ("rate_limited", HINT, HINT, 5, 3),
    Fault.RATE_LIMITED_WITHOUT_HINT: ("rate_limited", 15, 30, 5, 3),
    Fault.REFUSAL: ("refusal", 5, 5.5, 2, 2),
    Fault.MAX_TOKENS: ("truncated", 5, 5.5, 2, 2),
    Fault.EMPTY: ("invalid_output", 5, 5.5, 2, 2),
    Fault.GARBAGE: ("invalid_output", 5, 5.5, 2, 2),
    Fault.ENGLISH: ("invalid_output", 5, 5.5, 2, 2),
    Fault.PLACEHOLDER: ("invalid_output", 5, 5.5, 2, 2),
}
FREE = {
    Fault.UNAUTHORIZED: ("auth", 300, 330),
    Fault.SPEND_LIMIT: ("spend_limit", 1800, 1980),
    Fault.PAYMENT_REQUIRED: ("spend_limit", 1800, 1980),
}


def always(floor: ShopFloor, fault: Fault, order_id: str, **rule: Any) -> None:
    """This fault meets every call for this order."""
    when = When(prompt_contains=f"von Zeuge {order_id}", model=rule.pop("model", None))
    floor.model.rules.add(Rule(fault=fault, times=None, when=when, seconds=HINT, **rule))


def wait_written(job: Document) -> float:
    """The seconds between the failure and the next attempt, both stored by one write."""
    failed_at = [event["at"] for event in job["history"] if event["event"] == "failed"]
    wait: timedelta = job["scheduledAt"] - failed_at[-1]
    return wait.total_seconds()


def run_out(floor: ShopFloor) -> None:
    """Attempt after attempt, without their waits, until nothing waits any more."""
    for _ in range(DEFAULT_MAX_ATTEMPTS):
        if not move_waits_back(floor):
            return
        floor.drain(**SETTINGS)
    assert move_waits_back(floor) == []


def open_findings(floor: ShopFloor) -> set[str]:
    with floor.database.ops_findings.find({"state": "open"}) as found:
        return {finding["_id"] for finding in found}


def test_every_fault_has_its_class_its_wait_and_its_end(floor: ShopFloor, subtests: pytest.Subtests) -> None:
    """What never becomes a valuation is never delivered, whatever it looks like, and never passes its attempts."""
    orders = {fault: marked_order(floor) for fault in SPENDING}
    for fault, order_id in orders.items():
        always(floor, fault, order_id)

    floor.drain(**SETTINGS)

    for fault, (error_class, least, most, _, _) in SPENDING.items():
        with subtests.test("first failure", fault=fault.value):
            job = floor.job(orders[fault])
            assert (job["status"], job["attempts"], job["error"]["class"]) == ("pending", 1, error_class)
            assert least <= wait_written(job) <= most

    run_out(floor)

    for fault, (error_class, _, _, on_primary, on_fallback) in SPENDING.items():
        with subtests.test("end", fault=fault.value):
            job = floor.job(orders[fault])
            models = Counter(call.model for call in calls_of(floor, orders[fault]))
            assert (job["status"], job["error"]["class"]) == ("failed", error_class)
            assert (models[PRIMARY], models[FALLBACK]) == (on_primary, on_fallback)
            assert job["attempts"] == on_primary + on_fallback <= job["maxAttempts"]
            assert "bewertung" not in floor.document(orders[fault])
            assert f"evaluation_failed:{orders[fault]}" in open_findings(floor)
    assert floor.mail.mailbox.mails() == ()


def test_no_certificate_is_made_of_what_is_none(floor: ShopFloor) -> None:
    faults = (Fault.REFUSAL, Fault.MAX_TOKENS, Fault.EMPTY, Fault.GARBAGE, Fault.ENGLISH)
    orders = {fault: marked_order(floor, "wertgutachten") for fault in faults}
    for fault, order_id in orders.items():
        always(floor, fault, order_id)

    floor.drain(**SETTINGS)

    for order_id in orders.values():
        job = floor.job(order_id)
        assert (job["status"], job["attempts"]) == ("pending", 1)
        assert not {"zertifikat_data", "zertifikatNummer"} & set(floor.document(order_id, "wertgutachten"))


def test_the_second_model_writes_what_the_first_could_not(floor: ShopFloor) -> None:
    order_id = marked_order(floor)
    always(floor, Fault.GARBAGE, order_id, model=PRIMARY)

    floor.drain(**SETTINGS)
    run_out(floor)

    check_delivered(floor, order_id)
    check_mailed_once(floor, order_id)
    assert floor.document(order_id)["ai_model"] == FALLBACK
    assert [call.model for call in calls_of(floor, order_id)] == [PRIMARY, PRIMARY, FALLBACK]


@pytest.mark.parametrize("limit", [1, 5])
def test_the_shops_own_limit_of_attempts_holds(floor: ShopFloor, limit: int) -> None:
    order_id = marked_order(floor)
    floor.shop_job(order_id, maxAttempts=limit)
    always(floor, Fault.OVERLOADED, order_id)

    floor.drain(**SETTINGS)
    run_out(floor)

    job = floor.job(order_id)
    assert (job["status"], job["attempts"], len(calls_of(floor, order_id))) == ("failed", limit, limit)


def test_a_wrong_key_and_an_empty_purse_cost_no_attempt_and_are_told(floor: ShopFloor) -> None:
    orders = {fault: marked_order(floor) for fault in FREE}
    for fault, order_id in orders.items():
        always(floor, fault, order_id)

    for _ in range(3):
        floor.drain(**SETTINGS)
        for fault, (error_class, least, most) in FREE.items():
            job = floor.job(orders[fault])
            assert (job["status"], job["attempts"], job["error"]["class"]) == ("pending", 0, error_class)
            assert least <= wait_written(job) <= most
        assert {"auth:model", "spend_limit:model"} <= open_findings(floor)
        move_waits_back(floor)

    floor.model.rules.clear()
    floor.drain(**SETTINGS)

    for order_id in orders.values():
        check_mailed_once(floor, order_id)
        assert floor.job(order_id)["attempts"] == 1


def test_input_that_nobody_can_use_fails_at_once_without_a_call(floor: ShopFloor) -> None:
    forms: list[Document] = [{"stockmass": "sehr groß"}, {"rasse": ""}, {"alter": None}]
    orders = {next(iter(form)): marked_order(floor, **form) for form in forms}

    floor.drain(**SETTINGS)

    for field, order_id in orders.items():
        job = floor.job(order_id)
        assert (job["status"], job["attempts"], job["error"]["class"]) == ("failed", 1, "bad_input")
        assert job["error"]["code"].startswith(field)
        assert calls_of(floor, order_id) == []
        assert {f"bad_input:{order_id}", f"evaluation_failed:{order_id}"} <= open_findings(floor)
    assert floor.mail.mailbox.mails() == ()


def test_a_bug_of_ours_is_told_and_tried_once_more(floor: ShopFloor) -> None:
    order_id = marked_order(floor)

    floor.drain(failpoint="claimed:raise", **SETTINGS)

    job = floor.job(order_id)
    assert (job["status"], job["attempts"], job["error"]["class"]) == ("pending", 1, "internal")
    assert 60 <= wait_written(job) <= 66
    assert floor.events("handler_crashed")
    assert "internal:model" in open_findings(floor)
    run_out(floor)
    check_delivered(floor, order_id)


def test_what_a_call_costs_stands_on_the_job_and_in_the_book(floor: ShopFloor) -> None:
    order_id = marked_order(floor)
    floor.model.rules.add(Rule(fault=Fault.GARBAGE, times=1))

    floor.drain(**SETTINGS)
    run_out(floor)

    job = floor.job(order_id)
    with floor.database.ops_spend.find() as found:
        booked = {entry["_id"]: entry["micro"] for entry in found}
    assert set(booked) == {f"{job['_id']}:{fence}" for fence in (1, 2)}
    assert job["costMicroEur"] == sum(booked.values()) > 0
    assert job["usage"]["output_tokens"] > 0
