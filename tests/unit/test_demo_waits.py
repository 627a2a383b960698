"""The long waits of the demonstration: found, held against the policy, and no other one."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pferdewert_ops.domain.failures import ErrorClass
from pferdewert_ops.sandbox.demo.progress import Facts
from pferdewert_ops.sandbox.demo.waits import LongWait, long_waits
from tests.unit.demo_support import order_where

SINCE = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)


def wait(
    seconds: float, error_class: ErrorClass, *, collection: str = "evaluation_jobs", failures: int = 1
) -> LongWait:
    return LongWait(
        collection=collection,
        id=1,
        order_id="1",
        error_class=error_class,
        since=SINCE,
        until=SINCE + timedelta(seconds=seconds),
        failures=failures,
    )


@pytest.mark.parametrize(
    ("seconds", "error_class", "collection", "failures"),
    [
        (10.0, ErrorClass.OVERLOADED, "evaluation_jobs", 1),
        (20.0, ErrorClass.OVERLOADED, "evaluation_jobs", 1),
        (40.0, ErrorClass.OVERLOADED, "evaluation_jobs", 2),
        (29.9, ErrorClass.RATE_LIMITED, "evaluation_jobs", 1),
        (15.1, ErrorClass.MAIL_UNKNOWN, "mail_outbox", 1),
    ],
)
def test_a_wait_as_the_policy_wants_it(seconds: float, error_class: ErrorClass, collection: str, failures: int) -> None:
    assert wait(seconds, error_class, collection=collection, failures=failures).problem() is None


@pytest.mark.parametrize(
    ("seconds", "error_class", "collection", "failures"),
    [
        (9.9, ErrorClass.OVERLOADED, "evaluation_jobs", 1),
        (20.1, ErrorClass.OVERLOADED, "evaluation_jobs", 1),
        (19.0, ErrorClass.OVERLOADED, "evaluation_jobs", 2),
        (31.0, ErrorClass.RATE_LIMITED, "evaluation_jobs", 1),
        (15.1, ErrorClass.MAIL_UNKNOWN, "evaluation_jobs", 1),
        (14.9, ErrorClass.MAIL_UNKNOWN, "mail_outbox", 1),
    ],
)
def test_a_wait_that_the_policy_does_not_know(
    seconds: float, error_class: ErrorClass, collection: str, failures: int
) -> None:
    problem = wait(seconds, error_class, collection=collection, failures=failures).problem()
    assert problem is not None
    assert error_class in problem


def facts(**changes: Any) -> Facts:
    record = {
        "_id": 1,
        "status": "pending",
        "error": {"class": "rate_limited", "at": SINCE},
        "scheduledAt": SINCE + timedelta(seconds=20),
        "failures": {"rate_limited": 1},
    }
    return Facts(order=order_where("429"), paid=True, delivered=False, jobs=[{**record, **changes}])


def found(one: Facts, seconds: float) -> list[LongWait]:
    return list(long_waits([one], SINCE + timedelta(seconds=seconds)))


def test_a_long_wait_is_shown_for_a_moment_before_it_is_cut_short() -> None:
    assert found(facts(), 0.9) == []
    assert [one.length for one in found(facts(), 1.0)] == [timedelta(seconds=20)]
    assert found(facts(), 20.0) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "processing"},
        {"rank": SINCE},
        {"error": None},
        {"scheduledAt": SINCE + timedelta(seconds=5.5)},
        {"scheduledAt": None},
    ],
    ids=str,
)
def test_what_does_not_rest_for_long_is_left_alone(changes: dict[str, Any]) -> None:
    assert found(facts(**changes), 2.0) == []


def test_mails_are_looked_at_too() -> None:
    rests = facts()
    of_mail = Facts(order=rests.order, paid=True, delivered=True, mails={"result": rests.jobs[0]})
    assert [one.collection for one in found(of_mail, 2.0)] == ["mail_outbox"]
