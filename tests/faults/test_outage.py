"""The database is away while models answer: outcomes wait for it, and the worker goes on by itself."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from pferdewert_ops.sandbox.anthropic_journal import Outcome
from pferdewert_ops.sandbox.anthropic_rules import Fault, Rule
from pferdewert_ops.sandbox.anthropic_server import AnthropicServer
from pferdewert_ops.sandbox.guardian_process import until
from pferdewert_ops.sandbox.mail import MailSandbox
from pferdewert_ops.sandbox.mongodb import MongoSandbox
from tests.faults.checks import (
    calls_of,
    check_delivered,
    check_mailed_once,
    check_nothing_is_held,
    marked_order,
    move_waits_back,
)
from tests.faults.processes import LIMIT
from tests.harness import ShopFloor, shop_floor

ORDERS = 4


def told(floor: ShopFloor, event: str, count: int = 1) -> bool:
    return until(lambda: len(floor.events(event)) >= count, LIMIT)


def answered(floor: ShopFloor, count: int) -> None:
    """Until the stand-in has sent so many whole answers to this floor's orders."""
    floor.model.journal.wait_until(
        lambda entries: sum(entry.outcome is Outcome.COMPLETE for entry in entries[-count:]) == count, LIMIT
    )


def all_sent(floor: ShopFloor, count: int) -> bool:
    """Whether so many mails are out. What met the outage itself rests for ten seconds, which nobody waits for here."""
    move_waits_back(floor)
    return floor.database.mail_outbox.count_documents({"status": "sent"}) == count


@pytest.mark.parametrize(
    ("lease", "sign"),
    [
        # The keeper fails at least once; the lease outlives that.
        (timedelta(seconds=30), "renewal_failed"),
        # The whole lease runs out meanwhile, and nobody else was there to take anything over.
        (timedelta(seconds=2), "lease_overdue"),
    ],
)
def test_what_was_answered_meanwhile_is_not_lost(
    floor: ShopFloor, mongo_server: MongoSandbox, lease: timedelta, sign: str
) -> None:
    [server] = mongo_server.members
    settings: dict[str, Any] = {"lease": lease, "renew_every": timedelta(seconds=0.4), "concurrency": ORDERS}
    floor.model.rules.add(Rule(fault=Fault.STALL, times=ORDERS))
    orders = [marked_order(floor) for _ in range(ORDERS)]
    with floor.working(**settings):
        floor.model.journal.wait_until(
            lambda entries: sum(entry.outcome is Outcome.HANGING for entry in entries) == ORDERS, LIMIT
        )
        server.freeze()
        try:
            floor.model.release()
            answered(floor, ORDERS)
            assert told(floor, sign, 1 if sign == "renewal_failed" else ORDERS)
        finally:
            server.thaw()
        assert until(lambda: all_sent(floor, ORDERS), LIMIT)
    for order_id in orders:
        check_delivered(floor, order_id)
        check_mailed_once(floor, order_id)
        assert (floor.job(order_id)["attempts"], len(calls_of(floor, order_id))) == (1, 1)
    check_nothing_is_held(floor)


@pytest.fixture
def own_server() -> Iterator[MongoSandbox]:
    """One that has little to recover: the server of all tests has made and dropped a hundred databases by now."""
    with MongoSandbox.start() as sandbox:
        yield sandbox


def test_a_database_that_was_killed_and_comes_back_finds_the_worker_waiting(
    own_server: MongoSandbox, model_server: AnthropicServer, mail_servers: MailSandbox
) -> None:
    [server] = own_server.members
    with shop_floor(own_server, model_server, mail_servers) as floor:
        floor.model.rules.add(Rule(fault=Fault.STALL, times=1))
        running = marked_order(floor)
        with floor.working(lease=timedelta(seconds=60)):
            floor.model.journal.wait_until(
                lambda entries: sum(entry.outcome is Outcome.HANGING for entry in entries) == 1, LIMIT
            )
            server.kill()
            floor.model.release()
            answered(floor, 1)
            server.restart()
            later = marked_order(floor)
            orders = (running, later)
            assert until(lambda: all_sent(floor, len(orders)), LIMIT)
        for order_id in orders:
            check_delivered(floor, order_id)
            check_mailed_once(floor, order_id)
            assert (floor.job(order_id)["attempts"], len(calls_of(floor, order_id))) == (1, 1)
