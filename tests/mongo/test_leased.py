"""Claims on a real server: best rank first, one owner at a time, a fence for every claim."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient
from pymongo.database import Database

from pferdewert_ops.adapters.mongo.leased import FLOOR_LIFE, Leased, LeasedQueue
from pferdewert_ops.sandbox.mongodb import MongoSandbox
from tests.mongo.queue_support import (
    LIMIT_SECONDS,
    LONG,
    Document,
    Jobs,
    Ticks,
    expire,
    finished,
    job,
    queue_of,
    ranked,
    server_now,
    stored,
)


@pytest.fixture
def jobs(shop: Database[Document]) -> Jobs:
    return shop["evaluation_jobs"]


def ids(claimed: Sequence[Leased]) -> list[Any]:
    return [leased.id for leased in claimed]


def insert(jobs: Jobs, *documents: Document) -> list[Any]:
    jobs.insert_many(list(documents))
    return [document["_id"] for document in documents]


# --- what is claimed, and in which order -------------------------------------------------------------------------


def test_the_best_rank_goes_first_and_no_more_than_asked_for(jobs: Jobs) -> None:
    late, best, middle = insert(jobs, ranked(9), ranked(1), ranked(5))
    queue = queue_of(jobs)
    assert ids(queue.claim(2)) == [best, middle]
    assert ids(queue.claim(2)) == [late]
    assert queue.claim(2) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "processing"},
        {"status": "completed"},
        {"status": "failed"},
        {"status": "cancelled"},
        {"rank": None},
        {"rank": "2026-01-20"},
        {"rank": 0},
    ],
)
def test_only_what_is_pending_and_ranked_is_claimed(jobs: Jobs, changes: Document) -> None:
    insert(jobs, {**ranked(1), **changes})
    assert queue_of(jobs).claim(5) == []


def test_a_job_without_a_rank_is_not_claimed(jobs: Jobs) -> None:
    insert(jobs, job())
    assert queue_of(jobs).claim(5) == []


def test_the_claim_can_be_narrowed(jobs: Jobs) -> None:
    unpaid, paid = insert(jobs, ranked(1, paid=False), ranked(2, paid=True))
    queue = queue_of(jobs)
    assert ids(queue.claim(5, {"paid": True})) == [paid]
    assert ids(queue.claim(5)) == [unpaid]


def test_a_claim_says_who_until_when_and_spends_an_attempt(jobs: Jobs) -> None:
    [identity] = insert(jobs, ranked(1, attempts=2, fence=7))
    before = server_now(jobs)
    [claimed] = queue_of(jobs, "$host", lease=timedelta(seconds=30)).claim(1)
    after = server_now(jobs)
    document = stored(jobs, identity)
    assert document == claimed.document
    assert (document["status"], document["fence"], document["attempts"]) == ("processing", 8, 3)
    assert document["processedBy"] == "$host"
    assert before <= document["startedAt"] <= after
    assert document["leaseUntil"] == document["startedAt"] + timedelta(seconds=30)


def test_the_fence_grows_with_every_claim(jobs: Jobs) -> None:
    [identity] = insert(jobs, ranked(1))
    queue, fences = queue_of(jobs), []
    for _ in range(4):
        [claimed] = queue.claim(1)
        fences.append(claimed.fence)
        jobs.update_one({"_id": identity}, {"$set": {"status": "pending"}})
    assert fences == [1, 2, 3, 4]


@pytest.mark.parametrize("attempts", ["3", None, ["x"]])
def test_a_count_that_is_no_number_stops_no_claim(jobs: Jobs, attempts: object) -> None:
    odd, other = insert(jobs, ranked(1, attempts=attempts, fence=2), ranked(2))
    claimed = queue_of(jobs).claim(5)
    assert ids(claimed) == [odd, other]
    assert [one.document["attempts"] for one in claimed] == [1, 1]


def test_ids_of_several_kinds_stand_in_one_queue(jobs: Jobs) -> None:
    """One rank, two kinds of id, and a neighbour who takes half of it: comparing must not need more than the server."""
    identities: list[Any] = [ObjectId(), "text-id", ObjectId(), "another-id", 5, 6]
    insert(jobs, *(ranked(1, _id=identity) for identity in identities))
    mine, other = queue_of(jobs), queue_of(jobs, "host-b")
    with_neighbour = Neighbour(mine, other, take=2)
    taken = ids(with_neighbour.claim(6)) + ids(with_neighbour.claim(6))
    assert sorted(map(str, taken + ids(with_neighbour.taken))) == sorted(map(str, identities))


class Neighbour:
    """A queue whose candidates are partly taken by somebody else between its look and its claim."""

    def __init__(self, queue: LeasedQueue, other: LeasedQueue, *, take: int) -> None:
        self._queue = queue
        self.taken: list[Leased] = []
        look = queue._candidates

        def look_and_lose(most: int, only: Any) -> list[tuple[datetime, Any]]:
            found = look(most, only)
            if not self.taken:
                self.taken = other.claim(take)
            return found

        queue._candidates = look_and_lose  # type: ignore[method-assign]

    def claim(self, most: int) -> list[Leased]:
        return self._queue.claim(most)


def test_what_a_neighbour_took_meanwhile_is_not_claimed(jobs: Jobs) -> None:
    identities = insert(jobs, *(ranked(number) for number in range(4)))
    mine = Neighbour(queue_of(jobs), queue_of(jobs, "host-b"), take=2)
    assert ids(mine.claim(4)) == identities[2:]
    assert ids(mine.taken) == identities[:2]
    assert {stored(jobs, identity)["fence"] for identity in identities} == {1}


def test_eight_workers_never_claim_one_job_twice(mongo_server: MongoSandbox, jobs: Jobs) -> None:
    count = 2_000
    insert(jobs, *(ranked(number / 60) for number in range(count)))
    start = threading.Barrier(8, timeout=LIMIT_SECONDS)

    def work(number: int) -> list[Any]:
        with MongoClient[Document](mongo_server.uri, tz_aware=True) as client:
            queue = queue_of(client[jobs.database.name][jobs.name], f"host-{number}")
            start.wait()
            mine: list[Any] = []
            # A claim that loses every race comes back empty; only an empty queue ends the work.
            while jobs.find_one({"status": "pending"}, {"_id": 1}) is not None:
                mine += [(leased.id, leased.fence) for leased in queue.claim(20)]
            return mine

    with ThreadPoolExecutor(8) as pool:
        claimed = [one for mine in pool.map(work, range(8)) for one in mine]
    assert len(claimed) == len({identity for identity, _ in claimed}) == count
    assert {fence for _, fence in claimed} == {1}
    assert jobs.count_documents({"status": "processing", "attempts": 1}) == count


# --- where a claim starts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("neighbour_takes", [0, 3])
def test_a_job_ranked_below_the_last_claim_is_claimed_within_the_floors_life(jobs: Jobs, neighbour_takes: int) -> None:
    insert(jobs, *(ranked(number) for number in range(40)))
    ticks = Ticks()
    queue = queue_of(jobs, monotonic=ticks)
    mine = Neighbour(queue, queue_of(jobs, "host-b"), take=neighbour_takes) if neighbour_takes else queue
    mine.claim(5)
    mine.claim(5)
    [premium] = insert(jobs, ranked(-4, priority="premium"))
    overlooked = ids(mine.claim(5))
    ticks.now += FLOOR_LIFE
    later = ids(mine.claim(20))
    assert len(overlooked) == 5
    assert premium in later
    assert later[0] == premium


def test_a_job_ranked_below_is_claimed_at_once_where_the_queue_seems_to_end(jobs: Jobs) -> None:
    insert(jobs, *(ranked(number) for number in range(7)))
    queue = queue_of(jobs, monotonic=Ticks())
    queue.claim(5)
    [premium] = insert(jobs, ranked(-4))
    assert ids(queue.claim(5))[0] == premium


def test_a_forgotten_floor_holds_nothing_back(jobs: Jobs) -> None:
    insert(jobs, *(ranked(number) for number in range(20)))
    queue = queue_of(jobs, monotonic=Ticks())
    queue.claim(5)
    queue.claim(5)
    [premium] = insert(jobs, ranked(-4))
    queue.forget_floor()
    assert ids(queue.claim(5))[0] == premium


def test_after_a_contended_claim_the_better_ranks_are_not_passed_over(jobs: Jobs) -> None:
    """Where others claim too, K of the best 2K are drawn; the rest of these is the first that comes next."""
    identities = insert(jobs, *(ranked(number) for number in range(40)))
    queue = queue_of(jobs, monotonic=Ticks())
    mine = Neighbour(queue, queue_of(jobs, "host-b"), take=1)
    lost_one = ids(mine.claim(4))
    drawn = ids(mine.claim(4))
    assert len(lost_one) == 3
    assert set(drawn) <= set(identities[4:12])
    rest = [identity for identity in identities[4:12] if identity not in drawn]
    assert ids(mine.claim(4)) == rest


def test_a_lease_is_taken_back_only_when_it_ran_out(jobs: Jobs) -> None:
    held, gone = insert(jobs, ranked(1), ranked(2))
    queue = queue_of(jobs)
    queue.claim(2)
    expire(jobs, [gone])
    assert ids(queue.expired(10)) == [gone]
    assert held not in ids(queue.expired(10))


def test_the_longest_gone_are_taken_back_first(jobs: Jobs) -> None:
    identities = insert(jobs, *(ranked(number) for number in range(4)))
    queue = queue_of(jobs)
    queue.claim(4)
    for minutes, identity in enumerate(reversed(identities)):
        ended = datetime(2026, 1, 20, 12, minutes, tzinfo=UTC)
        jobs.update_one({"_id": identity}, {"$set": {"leaseUntil": ended}})
    assert ids(queue.expired(2)) == [identities[3], identities[2]]


def test_a_foreign_processing_job_without_a_lease_is_none_of_ours(jobs: Jobs) -> None:
    insert(jobs, {"_id": ObjectId(), "status": "processing", "startedAt": datetime.now(UTC)})
    insert(jobs, ranked(1))
    queue = queue_of(jobs)
    assert queue.expired(10) == []
    queue.claim(1)
    assert queue.processing() == 1


def test_the_leases_of_a_dead_worker_end_at_once_and_nobody_elses(jobs: Jobs) -> None:
    [dead] = insert(jobs, ranked(1))
    queue_of(jobs, "host-dead").claim(1)
    insert(jobs, ranked(2))
    alive = queue_of(jobs, "host-alive")
    [held] = alive.claim(1)
    assert alive.expire_holder("host-dead") == 1
    assert ids(alive.expired(10)) == [dead]
    assert alive.expire_holder("host-dead") == 1  # and again, harmlessly
    assert stored(jobs, held.id)["leaseUntil"] > server_now(jobs) + LONG / 2


def test_how_many_the_fleet_holds(jobs: Jobs) -> None:
    insert(jobs, *(ranked(number) for number in range(5)))
    mine, other = queue_of(jobs), queue_of(jobs, "host-b")
    claimed = mine.claim(2)
    other.claim(2)
    assert mine.processing() == 4
    mine.settle(finished(claimed))
    assert mine.processing() == 2
