"""The breaker as the fleet meets it: when it opens nobody claims, one probe goes for all, payers go elsewhere."""

from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest

from pferdewert_ops.domain.breaker import BreakerLimits
from pferdewert_ops.sandbox.anthropic_journal import Entry, Outcome
from pferdewert_ops.sandbox.anthropic_rules import Fault, Rule, When
from pferdewert_ops.sandbox.guardian_process import until
from pferdewert_ops.worker import gates
from tests.faults.checks import calls_of, check_delivered, check_mailed_once, marked_order, move_waits_back
from tests.harness import Document, ShopFloor

LIMIT = 30.0
PRIMARY, FALLBACK = "claude-opus-5-5", "claude-sonnet-5-5"


@pytest.fixture(autouse=True)
def asked_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gate's verdict lives for a second and a half; here every claim asks anew."""
    monkeypatch.setattr(gates, "VERDICT_LIFE", 0.0)


def breaker(floor: ShopFloor, model: str = PRIMARY) -> Document:
    return floor.database.ops_breakers.find_one({"_id": f"model:{model}"}) or {"mode": "closed"}


def rested(floor: ShopFloor, model: str = PRIMARY) -> None:
    """The minute of rest is over."""
    past = [{"$set": {"openedAt": {"$subtract": ["$openedAt", 61_000]}}}]
    assert floor.database.ops_breakers.update_one({"_id": f"model:{model}"}, past).modified_count == 1


def open_breaker(floor: ShopFloor, model: str = PRIMARY) -> None:
    """Ten failures lie behind it."""
    opened: list[Document] = [
        {
            "$set": {
                "mode": "open",
                "generation": 10,
                "failures": 10,
                "firstFailureAt": "$$NOW",
                "openedAt": "$$NOW",
                "probe": None,
                "probeUntil": None,
                "nextProbeAt": None,
            }
        }
    ]
    floor.database.ops_breakers.update_one({"_id": f"model:{model}"}, opened, upsert=True)


def fleet(stack: ExitStack, floor: ShopFloor, **settings: Any) -> None:
    for _ in range(2):
        stack.enter_context(floor.working(**settings))


def made_since(floor: ShopFloor) -> Callable[[], list[Entry]]:
    """The calls that are made from now on."""
    before = len(floor.model.journal.entries())
    return lambda: list(floor.model.journal.entries()[before:])


def total_attempts(floor: ShopFloor) -> int:
    with floor.database.evaluation_jobs.find({}, {"attempts": 1}) as jobs:
        return sum(job["attempts"] for job in jobs)


def closed_verdicts(floor: ShopFloor) -> int:
    return sum(event["verdict"] == "closed" for event in floor.events("evaluation_gate"))


def test_ten_failures_stop_the_whole_fleet_and_cost_no_further_attempt(floor: ShopFloor) -> None:
    floor.model.rules.add(Rule(fault=Fault.SERVER_ERROR, times=None))
    calls = made_since(floor)
    for _ in range(30):
        marked_order(floor)
    with ExitStack() as stack:
        fleet(stack, floor, concurrency=2, model_fallback=None)
        assert until(lambda: closed_verdicts(floor) >= 2, LIMIT)
        # Each of them has looked, and nobody holds anything any more.
        assert until(lambda: floor.database.evaluation_jobs.count_documents({"status": "processing"}) == 0, LIMIT)
        made = len(calls())
    # The tenth failure opened it; what the two workers had under way at that moment came on top.
    assert BreakerLimits().failures <= made <= BreakerLimits().failures + 3
    assert total_attempts(floor) == made == len(calls())
    assert breaker(floor)["mode"] == "open"
    opened = [event for event in floor.events("breaker_changed") if event["after"] == "open"]
    assert len(opened) == 1

    # Neither a restart nor a model that is well again ends its rest.
    floor.model.rules.clear()
    floor.drain(concurrency=2, model_fallback=None)

    assert total_attempts(floor) == made == len(calls())
    assert floor.database.evaluation_jobs.count_documents({"attempts": 0, "status": "pending"}) == 30 - made


def test_after_its_rest_one_probe_goes_for_all(floor: ShopFloor) -> None:
    open_breaker(floor)
    rested(floor)
    floor.model.rules.add(Rule(fault=Fault.STALL, times=1))
    orders = [marked_order(floor) for _ in range(10)]
    calls = made_since(floor)
    with ExitStack() as stack:
        fleet(stack, floor, concurrency=5, model_fallback=None)
        floor.model.journal.wait_until(lambda entries: entries[-1].outcome is Outcome.HANGING, LIMIT)
        # While it is out, both have asked and were told to wait.
        assert until(lambda: closed_verdicts(floor) >= 2, LIMIT)
        assert len(calls()) == 1
        assert breaker(floor)["mode"] == "half_open"

        floor.model.release()

        assert until(lambda: breaker(floor)["mode"] == "closed", LIMIT)
    # Who had claimed for a probe that another one made was handed back for a while.
    move_waits_back(floor)
    floor.drain(concurrency=10)
    for order_id in orders:
        check_delivered(floor, order_id)
        assert floor.job(order_id)["attempts"] == 1


def test_a_probe_that_fails_buys_another_rest(floor: ShopFloor) -> None:
    open_breaker(floor)
    rested(floor)
    floor.model.rules.add(Rule(fault=Fault.SERVER_ERROR, times=None))
    orders = [marked_order(floor) for _ in range(5)]
    calls = made_since(floor)

    floor.drain(concurrency=5, model_fallback=None)

    assert len(calls()) == 1
    assert total_attempts(floor) == 1
    assert breaker(floor)["mode"] == "open"
    assert sorted(len(calls_of(floor, order_id)) for order_id in orders) == [0, 0, 0, 0, 1]


def test_while_the_first_model_rests_payers_go_to_the_second_and_others_wait(floor: ShopFloor) -> None:
    open_breaker(floor)
    payer = marked_order(floor)
    visitor = marked_order(floor, paymentStatus="pending", paidAt=...)
    floor.shop_job(visitor)

    floor.drain()

    check_delivered(floor, payer)
    check_mailed_once(floor, payer)
    assert floor.document(payer)["ai_model"] == FALLBACK
    job = floor.job(visitor)
    assert (job["status"], job["attempts"], calls_of(floor, visitor)) == ("pending", 0, [])
    assert floor.events("evaluation_gate")[-1] == {"verdict": "paid_only", "because": "breaker"}


def test_while_both_models_rest_everybody_waits(floor: ShopFloor) -> None:
    for model in (PRIMARY, FALLBACK):
        open_breaker(floor, model)
    orders = [marked_order(floor) for _ in range(3)]

    floor.drain()

    assert [floor.job(order_id)["attempts"] for order_id in orders] == [0, 0, 0]
    assert floor.events("evaluation_gate")[-1] == {"verdict": "closed", "because": "breaker"}


def test_each_model_has_a_breaker_of_its_own(floor: ShopFloor) -> None:
    floor.model.rules.add(Rule(fault=Fault.SERVER_ERROR, times=None, when=When(model=PRIMARY)))
    orders = [marked_order(floor) for _ in range(14)]

    floor.drain(concurrency=2, breaker_window=timedelta(minutes=15))

    assert (breaker(floor)["mode"], breaker(floor, FALLBACK)["mode"]) == ("open", "closed")
    # Ten or a few more met the first model and wait for their next attempt; for the rest the second one wrote.
    by_model = [floor.document(order_id).get("ai_model") for order_id in orders]
    assert 1 <= by_model.count(FALLBACK) <= 4
    assert by_model.count(None) == 14 - by_model.count(FALLBACK)
