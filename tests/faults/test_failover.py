"""The primary steps down, dies or freezes while orders are being written: each ends delivered and mailed, once."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest

from pferdewert_ops.adapters.mongo import connection
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
from tests.harness import ShopFloor, shop_floor

ORDERS = 8
LIMIT = 60.0
# A fast election takes 1.6 s and the keeper's client gives up on a frozen primary after 2: the lease outlives both.
SETTINGS: dict[str, Any] = {"lease": timedelta(seconds=9), "renew_every": timedelta(seconds=1), "concurrency": ORDERS}


def step_down(servers: MongoSandbox) -> Callable[[], None]:
    servers.step_down()
    return lambda: None


def kill(servers: MongoSandbox) -> Callable[[], None]:
    member = servers.primary()
    member.kill()
    return member.restart


def freeze(servers: MongoSandbox) -> Callable[[], None]:
    member = servers.primary()
    member.freeze()
    servers.primary()  # the shop's own client has no patience of two seconds: it is asked once there is a new one
    return member.thaw


def test_no_order_is_lost_with_the_primary(
    model_server: AnthropicServer,
    mail_servers: MailSandbox,
    monkeypatch: pytest.MonkeyPatch,
    subtests: pytest.Subtests,
) -> None:
    """Two workers serve through all three."""
    # What is under way at a frozen primary hangs for the client's own patience; the keeper's is two seconds anyway.
    monkeypatch.setattr(connection, "SOCKET_MS", 3_000)
    with ExitStack() as stack:
        servers = stack.enter_context(MongoSandbox.start(members=3))
        floor = stack.enter_context(shop_floor(servers, model_server, mail_servers))
        for _ in range(2):
            stack.enter_context(floor.working(**SETTINGS))
        # The killed one comes last: clients look only every ten seconds whether one that was down is there again.
        for strike in (step_down, freeze, kill):
            with subtests.test(strike.__name__):
                orders_outlive(floor, servers, strike)


def orders_outlive(
    floor: ShopFloor, servers: MongoSandbox, strike: Callable[[MongoSandbox], Callable[[], None]]
) -> None:
    """Half of the orders are being written when it strikes, half come in right after."""
    floor.model.rules.add(Rule(fault=Fault.STALL, times=ORDERS // 2))
    running = [marked_order(floor) for _ in range(ORDERS // 2)]
    floor.model.journal.wait_until(
        lambda entries: sum(entry.outcome is Outcome.HANGING for entry in entries) == len(running), LIMIT
    )

    heal = strike(servers)
    later = [marked_order(floor) for _ in range(ORDERS - len(running))]
    floor.model.release()

    orders = running + later
    assert until(lambda: all_settled(floor, orders), LIMIT)
    heal()
    servers.settle()
    for order_id in orders:
        check_delivered(floor, order_id)
        check_mailed_once(floor, order_id)
    check_nothing_is_held(floor)
    # The keeper kept every lease: nothing that was running was taken away and paid for again.
    assert floor.events("lease_expired") == []
    assert [len(calls_of(floor, order_id)) for order_id in running] == [1] * len(running)


def all_settled(floor: ShopFloor, orders: Sequence[str]) -> bool:
    """Whether all are mailed. What met the failover itself rests for ten seconds, which nobody waits for here."""
    move_waits_back(floor)
    mails = [floor.mail_record(order_id) for order_id in orders]
    return all(mail is not None and mail["status"] == "sent" for mail in mails)
