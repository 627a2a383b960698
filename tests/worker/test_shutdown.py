"""Told to stop, a worker claims no more, finishes or hands back what it has, and leaves nothing `processing`."""

import contextlib
import signal
from collections.abc import Iterator, Sequence
from datetime import timedelta
from types import FrameType
from typing import Any, cast

import pytest
from pymongo.errors import ServerSelectionTimeoutError

from pferdewert_ops.sandbox.anthropic_journal import Outcome
from pferdewert_ops.sandbox.anthropic_rules import Fault, Rule
from pferdewert_ops.sandbox.guardian_process import until
from pferdewert_ops.sandbox.mailbox import Fault as MailFault
from pferdewert_ops.sandbox.mailbox import FaultRule
from pferdewert_ops.worker import process
from pferdewert_ops.worker.assembly import Worker
from pferdewert_ops.worker.held import HeldDocuments
from pferdewert_ops.worker.keeper import Keeper
from pferdewert_ops.worker.lane import Lane
from pferdewert_ops.worker.process import WorkerProcess
from pferdewert_ops.worker.steward import Steward
from tests.faults.checks import (
    calls_of,
    check_delivered,
    check_mailed_once,
    check_nothing_is_held,
    marked_order,
)
from tests.harness import ShopFloor

LIMIT = 30.0
LONG = timedelta(minutes=5)


@contextlib.contextmanager
def writing(floor: ShopFloor, orders: Sequence[str], **settings: Any) -> Iterator[Worker]:
    """A worker that is in the middle of each of these orders. The body has to stop it."""
    floor.model.rules.add(Rule(fault=Fault.STALL, times=len(orders)))
    with floor.working(concurrency=len(orders), **settings) as worker:
        floor.model.journal.wait_until(
            lambda entries: (
                all(entry.outcome is Outcome.HANGING for entry in entries[-len(orders) :])
                and all(calls_of(floor, order_id) for order_id in orders)
            ),
            LIMIT,
        )
        yield worker
        assert until(lambda: bool(floor.events("stopped")), LIMIT)
    check_nothing_is_held(floor)


def told(floor: ShopFloor, event: str) -> bool:
    return until(lambda: bool(floor.events(event)), LIMIT)


def test_what_runs_is_finished_and_nothing_new_is_claimed(floor: ShopFloor) -> None:
    running = [marked_order(floor) for _ in range(2)]
    with writing(floor, running, grace=LONG) as worker:
        worker.process.stop()
        assert told(floor, "stopping")
        late = marked_order(floor)
        floor.model.release()
    for order_id in running:
        check_delivered(floor, order_id)
        assert floor.job(order_id)["attempts"] == 1
    assert calls_of(floor, late) == []
    assert floor.events("handing_back") == []


def test_what_takes_longer_than_the_grace_goes_back_without_an_attempt(floor: ShopFloor) -> None:
    running = [marked_order(floor) for _ in range(2)]
    with writing(floor, running, grace=timedelta(seconds=0.1)) as worker:
        ranks = [floor.job(order_id)["rank"] for order_id in running]
        worker.process.stop()
    for order_id, rank in zip(running, ranks, strict=True):
        job = floor.job(order_id)
        assert (job["status"], job["attempts"], job["rank"]) == ("pending", 0, rank)
        assert job.get("history", []) == []
        # The stand-in saw the client go: nobody pays for the rest of an answer that nobody waits for.
        assert [call.outcome for call in calls_of(floor, order_id)] == [Outcome.ABANDONED]

    floor.drain(concurrency=2)

    for order_id in running:
        check_mailed_once(floor, order_id)
        assert floor.job(order_id)["attempts"] == 1


def test_said_twice_it_goes_back_at_once(floor: ShopFloor) -> None:
    order_id = marked_order(floor)
    with writing(floor, [order_id], grace=LONG) as worker:
        worker.process.stop()
        worker.process.stop()
    assert floor.events("handing_back") == [{"held": 1}]
    job = floor.job(order_id)
    assert (job["status"], job["attempts"]) == ("pending", 0)


def test_a_handler_that_nothing_can_interrupt_holds_up_nobody(
    floor: ShopFloor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mail in mid-air: handed back with its intent, so that the next hand-over is a repetition under its key."""
    monkeypatch.setattr(process, "HAND_BACK_SECONDS", 0.1)
    floor.mail.rules.add(FaultRule(fault=MailFault.SLOW, count=1, seconds=LIMIT))
    order_id = marked_order(floor)
    with floor.working(grace=timedelta(seconds=0.1)) as worker:
        assert floor.mail.rules.slow.wait_until_held(1, LIMIT)
        worker.process.stop()
        assert told(floor, "stopped")
    check_nothing_is_held(floor)
    mail = floor.mail_record(order_id)
    assert mail is not None
    assert (mail["status"], mail["attempts"]) == ("pending", 0)
    assert mail["handedOverAt"] is not None

    floor.mail.rules.slow.release()
    floor.mail.mailbox.wait_for(1, LIMIT)
    floor.drain()

    check_mailed_once(floor, order_id)


# --- the order of the shut-down, with parts that only note what is asked of them --------------------------------------


class Part:
    """Stands for a lane, the keeper or the steward."""

    busy = 0

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: self.asked.append(name)


def process_of(lane: Part, keeper: Part, **changes: Any) -> WorkerProcess:
    given: dict[str, Any] = {
        "lanes": [cast("Lane[Any, Any]", lane)],
        "held": HeldDocuments(),
        "keeper": cast("Keeper", keeper),
        "steward": cast("Steward", Part()),
        "hints": None,
        "grace": 60.0,
        "tell": lambda *_, **__: None,
        "on_stopping": lambda: None,
        **changes,
    }
    return WorkerProcess(**given)


def test_a_database_that_is_away_does_not_keep_a_worker_from_stopping_in_order() -> None:
    def away() -> None:
        raise ServerSelectionTimeoutError("no primary")

    lane, keeper = Part(), Part()
    worker = process_of(lane, keeper, on_stopping=away)
    worker.stop()

    worker.run(drain=False)

    assert lane.asked == ["start", "close", "finish"]
    assert keeper.asked == ["start", "stop"]


def test_a_signal_may_come_at_any_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler that takes a lock meets its own thread inside it sooner or later, and waits for ever."""
    lane = Part()
    worker = process_of(lane, Part())
    heard = 0

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal heard
        heard += 1
        worker.stop()

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
    try:
        while heard < 1_000:
            worker._hears_stop(0.0002)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
