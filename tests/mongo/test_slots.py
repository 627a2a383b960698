"""Fleet-wide limits on a real server: never more than allowed, nothing leaks, late holders touch nothing."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from pferdewert_ops.adapters.mongo.slots import INDEXES, Slot, Slots
from pferdewert_ops.sandbox.mongodb import MongoSandbox

Documents = Collection[dict[str, Any]]

LONG = timedelta(minutes=5)  # no test takes that long
SHORT = timedelta(milliseconds=300)
PAST = datetime(2020, 1, 1, tzinfo=UTC)
LIMIT_SECONDS = 20.0


@pytest.fixture
def collection(database: Database[dict[str, Any]]) -> Documents:
    slots: Documents = database["ops_slots"]
    slots.create_indexes(list(INDEXES))
    return slots


def until(happens: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    pause = threading.Event()
    while not happens():
        assert time.monotonic() < deadline, "did not happen in time"
        pause.wait(0.02)


def expire(collection: Documents, slots: list[Slot]) -> None:
    collection.update_many({"_id": {"$in": [slot.id for slot in slots]}}, {"$set": {"leaseUntil": PAST}})


def leases(collection: Documents) -> dict[str, datetime]:
    return {document["_id"]: document["leaseUntil"] for document in collection.find()}


@dataclass
class Gauge:
    """How many run at one time, and the most that ever did."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    running: int = 0
    most: int = 0

    @contextmanager
    def using(self, count: int) -> Iterator[None]:
        with self.lock:
            self.running += count
            self.most = max(self.most, self.running)
        yield
        with self.lock:
            self.running -= count


def test_no_more_than_the_limit_and_all_of_it(collection: Documents) -> None:
    slots = Slots(collection, "evaluation", 3, LONG)
    first = slots.take(2, "host-a")
    second = slots.take(2, "host-b")
    assert (len(first), len(second)) == (2, 1)
    assert len({slot.id for slot in [*first, *second]}) == 3
    assert slots.take(1, "host-c") == []
    slots.release(first)
    assert len(slots.take(5, "host-c")) == 2
    holders = sorted(document["holder"] for document in collection.find())
    assert holders == ["host-b", "host-c", "host-c"]


@pytest.mark.parametrize("most", [0, -1])
def test_who_wants_none_gets_none(collection: Documents, most: int) -> None:
    assert Slots(collection, "evaluation", 3, LONG).take(most, "host-a") == []


def test_a_limit_of_zero_gives_none(collection: Documents) -> None:
    assert Slots(collection, "evaluation", 0, LONG).take(3, "host-a") == []


def test_limiters_do_not_touch_each_other(collection: Documents) -> None:
    assert len(Slots(collection, "evaluation", 2, LONG).take(2, "host-a")) == 2
    mail = Slots(collection, "mail", 2, LONG)
    assert len(mail.take(5, "host-a")) == 2
    assert mail.take(1, "host-a") == []


def test_names_are_stored_as_given(collection: Documents) -> None:
    Slots(collection, "$limiter", 1, LONG).take(1, "$limiter")
    assert collection.find_one({}, {"limiter": 1, "holder": 1, "_id": 0}) == {
        "limiter": "$limiter",
        "holder": "$limiter",
    }


def test_many_holders_never_run_more_than_the_limit(mongo_server: MongoSandbox, collection: Documents) -> None:
    size, gauge = 5, Gauge()
    start = threading.Barrier(12, timeout=LIMIT_SECONDS)

    def run(number: int) -> int:
        with MongoClient[dict[str, Any]](mongo_server.uri) as client:
            own = client[collection.database.name][collection.name]
            slots, used = Slots(own, "evaluation", size, LONG), 0
            start.wait()
            for _ in range(15):
                taken = slots.take(2, f"host-{number}")
                with gauge.using(len(taken)):
                    assert slots.renew(taken) == taken
                slots.release(taken)
                used += len(taken)
            return used

    with ThreadPoolExecutor(12) as pool:
        used = sum(pool.map(run, range(12)))
    assert 2 <= gauge.most <= size
    assert used > size
    assert collection.count_documents({}) == size
    assert len(Slots(collection, "evaluation", size, LONG).take(size, "host-z")) == size


def test_first_takers_at_the_same_moment_share_what_is_there(collection: Documents) -> None:
    start = threading.Barrier(8, timeout=LIMIT_SECONDS)

    def run(number: int) -> list[Slot]:
        start.wait()
        return Slots(collection, "evaluation", 16, LONG).take(2, f"host-{number}")

    with ThreadPoolExecutor(8) as pool:
        taken = [slot for slots in pool.map(run, range(8)) for slot in slots]
    taken += Slots(collection, "evaluation", 16, LONG).take(16, "host-z")
    assert len(taken) == len({slot.id for slot in taken}) == 16


def test_slots_that_nobody_gives_back_come_back_with_their_lease(collection: Documents) -> None:
    slots = Slots(collection, "mail per minute", 4, SHORT)
    assert len(slots.take(4, "host-a")) == 4
    before = leases(collection)
    again: list[Slot] = []

    def all_back() -> bool:
        again.extend(slots.take(4, "host-b"))
        return len({slot.id for slot in again}) == 4

    until(all_back)
    # By the server's clock none was given again before its lease was over: 4 in any 300 ms is the rate.
    after = leases(collection)
    assert all(after[slot] - SHORT >= before[slot] for slot in before)


def test_renewing_moves_the_lease_on(collection: Documents) -> None:
    slots = Slots(collection, "evaluation", 2, LONG)
    taken = slots.take(2, "host-a")
    collection.update_many({}, {"$set": {"leaseUntil": datetime.now(UTC) + timedelta(seconds=30)}})
    nearly = leases(collection)
    assert slots.renew(taken) == taken
    renewed = leases(collection)
    assert all(renewed[slot] > nearly[slot] for slot in nearly)


def test_late_but_not_replaced_goes_on(collection: Documents) -> None:
    slots = Slots(collection, "evaluation", 1, LONG)
    taken = slots.take(1, "host-a")
    expire(collection, taken)
    assert slots.renew(taken) == taken
    assert slots.take(1, "host-b") == []


def test_who_was_replaced_learns_it_and_touches_nothing(collection: Documents) -> None:
    slots = Slots(collection, "evaluation", 2, LONG)
    taken = slots.take(2, "host-a")
    expire(collection, taken[:1])
    [replacement] = slots.take(2, "host-a")  # its own process may be the one
    before = leases(collection)[replacement.id]
    assert slots.renew(taken) == taken[1:]
    assert leases(collection)[replacement.id] == before
    slots.release(taken[:1])
    assert slots.renew([replacement]) == [replacement]
    assert slots.take(1, "host-b") == []


def test_nothing_to_renew_or_release_is_no_error(collection: Documents) -> None:
    slots = Slots(collection, "evaluation", 2, LONG)
    assert slots.renew([]) == []
    slots.release([])
    assert collection.count_documents({}) == 0


def test_a_raised_limit_holds_at_once(collection: Documents) -> None:
    assert len(Slots(collection, "evaluation", 2, LONG).take(1, "host-a")) == 1
    assert len(Slots(collection, "evaluation", 5, LONG).take(9, "host-a")) == 4


def test_a_lowered_limit_holds_when_the_slots_above_it_have_come_back(collection: Documents) -> None:
    wide, narrow = Slots(collection, "evaluation", 5, LONG), Slots(collection, "evaluation", 2, LONG)
    taken = wide.take(5, "host-a")
    assert narrow.take(1, "host-b") == []
    assert narrow.renew(taken) == taken
    narrow.release(taken)
    assert len(narrow.take(5, "host-b")) == 2
    assert len(wide.take(5, "host-a")) == 3


def test_slots_that_were_deleted_are_made_again(collection: Documents) -> None:
    slots = Slots(collection, "evaluation", 3, LONG)
    taken = slots.take(3, "host-a")
    collection.delete_many({})
    assert slots.renew(taken) == []
    assert len(slots.take(3, "host-a")) == 3


def test_another_error_than_a_duplicate_is_not_swallowed(collection: Documents) -> None:
    collection.database.command("collMod", collection.name, validator={"n": {"$lt": 2}})
    with pytest.raises(BulkWriteError):
        Slots(collection, "evaluation", 3, LONG).take(3, "host-a")


def test_taking_reads_the_free_slots_alone(collection: Documents) -> None:
    for limiter in ("mail", "refund", "evaluation"):
        slots = Slots(collection, limiter, 400, LONG)
        slots.release(slots.take(400, "host-a")[:3])
    database = collection.database
    database.command("profile", 2)
    assert len(slots.take(3, "host-b")) == 3
    database.command("profile", 0)
    searched, fetched = database["system.profile"].find({"op": "query", "ns": collection.full_name}).sort("ts")
    assert searched["planSummary"] == "IXSCAN { limiter: 1, leaseUntil: 1, n: 1 }"
    assert (searched["nreturned"], searched["docsExamined"]) == (3, 3)
    assert searched["keysExamined"] <= 5
    assert fetched["docsExamined"] == 3
    [written] = database["system.profile"].find({"op": "update", "ns": collection.full_name})
    assert written["docsExamined"] == 3
