"""The keeper: every lease renewed in one write, progress in between, and nothing held on to that is lost."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, cast

from bson import ObjectId
from pymongo.database import Database
from pymongo.errors import NetworkTimeout

from pferdewert_ops.adapters.mongo.leased import Leased, LeasedQueue
from pferdewert_ops.sandbox.anthropic_journal import Outcome
from pferdewert_ops.sandbox.anthropic_rules import Fault, Rule
from pferdewert_ops.sandbox.guardian_process import until
from pferdewert_ops.worker.held import Held, HeldDocuments
from pferdewert_ops.worker.keeper import Keeper
from tests.faults.checks import calls_of, check_nothing_is_held, marked_order
from tests.harness import Document, ShopFloor

LIMIT = 30.0
Renewal = list[tuple[Leased, Mapping[str, Any] | None]]


class Queue:
    """Stands for a queue: notes each renewal, and loses or fails on order."""

    def __init__(self) -> None:
        self.renewals: list[Renewal] = []
        self.lost: set[tuple[object, int]] = set()
        self.failing = False
        self.failure: Exception = NetworkTimeout("the primary is frozen")
        self.tried = 0

    def renew(
        self, held: Sequence[tuple[Leased, Mapping[str, Any] | None]], collection: object
    ) -> set[tuple[object, int]]:
        assert collection == "through the keeper's own client"
        self.tried += 1
        if self.failing:
            raise self.failure
        self.renewals.append(list(held))
        return self.lost


class Desk:
    """A keeper with the documents that it keeps."""

    def __init__(self, *, lease: float, renew_every: float) -> None:
        self.queue = Queue()
        self.held = HeldDocuments()
        self.told: list[str] = []
        self.beats = 0
        self.seconds = 1_000.0  # the time, as a test has it
        self.keeper = Keeper(
            self.held,
            cast("Database[Document]", {"jobs": "through the keeper's own client"}),
            collections={id(self.queue): "jobs"},
            lease=timedelta(seconds=lease),
            renew_every=timedelta(seconds=renew_every),
            monotonic=lambda: self.seconds,
            beat=lambda _database, _busy: self._beat(),
            tell=lambda event, **_: self.told.append(event),
        )

    def _beat(self) -> None:
        self.beats += 1

    def renewed(self, after: float = 1.0) -> Renewal:
        """The next renewal, so many seconds later."""
        before = len(self.queue.renewals)
        self.seconds += after
        assert reached(lambda: len(self.queue.renewals) > before)
        return self.queue.renewals[-1]

    def take(self, name: str, *, usual: float | None = None) -> Held:
        held = Held(
            leased=Leased(id=name, fence=1, document={}),
            queue=cast("LeasedQueue", self.queue),
            began=self.seconds,
            monotonic=lambda: self.seconds,
            estimate=lambda: usual,
        )
        self.held.add(held)
        return held


@contextmanager
def desk(*, lease: float = 60.0, renew_every: float = 0.02) -> Iterator[Desk]:
    made = Desk(lease=lease, renew_every=renew_every)
    made.keeper.start()
    try:
        yield made
    finally:
        made.keeper.stop()


def reached(condition: Callable[[], object]) -> bool:
    return until(lambda: bool(condition()), LIMIT)


def names(renewal: Renewal) -> set[Any]:
    return {leased.id for leased, _ in renewal}


def test_all_leases_are_renewed_together_and_again() -> None:
    with desk() as one:
        one.take("a")
        one.take("b")
        one.renewed()
        assert names(one.renewed()) == {"a", "b"}
        assert reached(lambda: one.beats >= 2)


def test_what_ended_is_renewed_no_more() -> None:
    with desk() as one:
        ended = one.take("ended")
        one.take("runs")
        one.renewed()
        one.held.remove(ended)
        one.renewed()
        assert names(one.renewed()) == {"runs"}


def test_progress_travels_between_renewals_and_only_when_there_is_some(monkeypatch: Any) -> None:
    monkeypatch.setattr("pferdewert_ops.worker.keeper.PROGRESS_EVERY", 0.01)
    with desk(renew_every=60.0) as one:
        writing = one.take("writing", usual=100.0)
        one.take("silent")
        assert reached(lambda: one.queue.renewals)
        first = len(one.queue.renewals)
        writing.progress(250)
        assert reached(lambda: len(one.queue.renewals) > first)
        [(leased, news)] = one.queue.renewals[-1]
        assert leased.id == "writing"
        assert news == {"phase": "writing", "outputTokens": 250, "secondsLeft": 100}


def test_a_lost_lease_stops_its_handler_and_no_other() -> None:
    with desk() as one:
        lost, kept = one.take("lost"), one.take("kept")
        one.queue.lost = {("lost", 1)}
        assert lost.wait_stop(LIMIT)
        assert lost.lost
        assert not kept.cancelled()
        assert one.told.count("lease_lost") == 1


def test_a_lease_that_cannot_be_renewed_for_its_whole_length_stops_its_handler() -> None:
    with desk(lease=30.0) as one:
        one.queue.failing = True
        held = one.take("a")
        assert reached(lambda: "renewal_failed" in one.told)
        one.seconds += 29.9
        tried = one.queue.tried
        assert reached(lambda: one.queue.tried >= tried + 2)
        assert not held.cancelled()
        one.seconds += 0.1
        assert held.wait_stop(LIMIT)
        assert held.lost
        assert one.told.count("lease_overdue") == 1
        # And yet it is kept, should the server come back before anybody else was there.
        one.queue.failing = False
        assert reached(lambda: one.queue.renewals)
        assert names(one.queue.renewals[-1]) == {"a"}


def test_a_renewal_that_failed_is_tried_again_before_the_next_is_due(monkeypatch: Any) -> None:
    """Every two seconds that a frozen primary costs are missing from the lease."""
    monkeypatch.setattr("pferdewert_ops.worker.keeper.PROGRESS_EVERY", 0.01)
    with desk(renew_every=30.0) as one:
        one.queue.failing = True
        one.take("a")
        assert reached(lambda: one.queue.tried >= 3)
        one.queue.failing = False
        assert reached(lambda: one.queue.renewals)


def test_a_bug_in_one_round_does_not_end_the_keeper() -> None:
    with desk() as one:
        one.queue.failure, one.queue.failing = KeyError("a bug"), True
        one.take("a")
        assert reached(lambda: one.queue.tried >= 2)
        one.queue.failing = False
        assert reached(lambda: one.queue.renewals)


def test_a_renewed_lease_is_not_overdue() -> None:
    with desk(lease=30.0) as one:
        held = one.take("a")
        for _ in range(4):
            one.renewed(after=10.0)
        one.renewed()
        assert not held.cancelled()
        assert "lease_overdue" not in one.told


# --- on the real server ----------------------------------------------------------------------------------------------


def test_the_customers_page_sees_how_far_it_is(floor: ShopFloor) -> None:
    marked_order(floor)
    floor.drain()
    floor.model.rules.add(Rule(fault=Fault.STALL, times=1, after=12))
    order_id = marked_order(floor)
    with floor.working():
        written = {"bewertungId": ObjectId(order_id), "progress.outputTokens": {"$gt": 0}}
        assert reached(lambda: floor.database.evaluation_jobs.find_one(written))
        progress = floor.job(order_id)["progress"]
        assert progress["phase"] == "writing"
        # From the median of the orders before it: those took no second.
        assert progress["secondsLeft"] == 0
        floor.model.release()
        assert reached(lambda: floor.mails_to_customer(order_id))
    assert "progress" not in floor.job(order_id)


def test_a_job_that_an_operator_cancels_stops_costing_money(floor: ShopFloor) -> None:
    floor.model.rules.add(Rule(fault=Fault.TRICKLE, times=1, seconds=0.05))
    order_id = marked_order(floor)
    with floor.working() as worker:
        assert reached(lambda: [call for call in calls_of(floor, order_id) if call.outcome is Outcome.HANGING])
        taken_away = [{"$set": {"status": "cancelled", "cancelReason": "operator", "fence": {"$add": ["$fence", 1]}}}]
        floor.database.evaluation_jobs.update_one({"_id": floor.job(order_id)["_id"]}, taken_away)
        assert reached(lambda: calls_of(floor, order_id)[0].outcome is Outcome.ABANDONED)
        assert reached(lambda: floor.events("outcome_lost"))
        assert reached(lambda: not any(lane.busy for lane in worker.lanes))
    job = floor.job(order_id)
    assert (job["status"], job["attempts"]) == ("cancelled", 1)
    assert "bewertung" not in floor.document(order_id)
    check_nothing_is_held(floor)


def test_the_keeper_ends_with_its_worker(floor: ShopFloor) -> None:
    with floor.working():
        assert any(thread.name == "keeper" for thread in threading.enumerate())
    assert not any(thread.name == "keeper" for thread in threading.enumerate())
