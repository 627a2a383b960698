"""The demonstration's screen: each state in words, and which orders are shown where not all have room."""

from datetime import timedelta
from typing import Any

import pytest

from pferdewert_ops.cli.demo_screen import _worth_showing
from pferdewert_ops.sandbox.demo.progress import Facts, Progress, progress_of
from tests.unit.demo_support import NOW, ORDERS, order_where

REFUSED = {"class": "rate_limited", "at": NOW}


def shown(words: str = "premium", *, job: dict[str, Any] | None, **facts: Any) -> Progress:
    jobs = [] if job is None else [job]
    known = {"paid": True, "delivered": False, **facts}
    return progress_of(Facts(order=order_where(words), jobs=jobs, **known), NOW)


@pytest.mark.parametrize(
    ("job", "facts", "step"),
    [
        (None, {}, "no job"),
        (None, {"paid": False}, "waits for the reconcile"),
        ({"status": "pending"}, {}, "queued"),
        ({"status": "pending", "error": REFUSED, "scheduledAt": NOW + timedelta(seconds=7.2)}, {}, "again in 8 s"),
        ({"status": "pending", "error": REFUSED, "scheduledAt": NOW}, {}, "rate limited, queued again"),
        ({"status": "processing"}, {}, "asks the model"),
        ({"status": "processing", "progress": {"outputTokens": 500}}, {}, "writing: 500 tokens"),
        ({"status": "completed"}, {}, "evaluated"),
        ({"status": "completed"}, {"paid": False}, "evaluated, not paid"),
        ({"status": "completed"}, {"delivered": True}, "delivered"),
        ({"status": "cancelled", "cancelReason": "already_delivered"}, {}, "cancelled: already delivered"),
        ({"status": "failed", "error": {"class": "bad_input"}}, {}, "failed: bad input"),
    ],
)
def test_the_step_in_words(job: dict[str, Any] | None, facts: dict[str, Any], step: str) -> None:
    assert shown(job=job, **facts).step.endswith(step)


@pytest.mark.parametrize(
    ("mails", "words"),
    [
        ({}, ""),
        ({"result": {"status": "pending"}}, "owed"),
        ({"result": {"status": "processing"}}, "handing over"),
        ({"result": {"status": "sent"}}, "sent"),
        ({"result": {"status": "failed"}}, "refused, a human was told"),
        ({"result": {"status": "pending", "error": REFUSED, "scheduledAt": NOW}}, "rate limited, queued again"),
        ({"delay": {"status": "sent"}}, "delay told"),
        ({"delay": {"status": "sent"}, "result": {"status": "sent"}}, "delay told, sent"),
    ],
)
def test_the_mail_in_words(mails: dict[str, Any], words: str) -> None:
    assert shown(job={"status": "completed"}, delivered=True, mails=mails).mail == words


def test_what_is_before_the_horizon_says_so_whatever_its_job_is() -> None:
    assert shown("40 days ago", job={"status": "pending"}).step == "before the horizon"


@pytest.mark.parametrize(
    "facts",
    [
        {"delivered": False},
        {"mails": {"result": {"status": "sent"}}},
        {"mails": {"result": {"status": "pending"}, "operator": {"status": "sent"}}},
        {"findings": frozenset({"no_address"})},
        {"job": {"status": "processing"}},
    ],
    ids=str,
)
def test_settled_means_on_every_side(facts: dict[str, Any]) -> None:
    sent = {"result": {"status": "sent"}, "operator": {"status": "sent"}}
    there: dict[str, Any] = {"job": {"status": "completed"}, "delivered": True, "mails": sent}

    assert shown(**there).settled
    assert not shown(**{**there, **facts}).settled


def test_where_not_all_have_room_those_that_move_go_first() -> None:
    orders = [
        Progress(order=order, step="queued", mail="", model=None, cost_micro=0, settled=place < 20, busy=place == 22)
        for place, order in enumerate(ORDERS)
    ]

    assert _worth_showing(orders, 24) == orders
    assert _worth_showing(orders, 3) == [orders[20], orders[21], orders[22]]
