"""Ranks given by the server: to what is due, by the rule of the domain, past every odd document."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import Int64
from pymongo.database import Database

from pferdewert_ops.domain.jobs import handicap
from tests.mongo.queue_support import PAST, Document, Jobs, job, queue_of, server_now, stored

ODD_TIMES: dict[str, Any] = {
    "absent": ...,
    "null": None,
    "text": "2026-01-20T12:00:00Z",
    "later_text": "9999-12-31",
    "number": 1_768_910_400_000,
    "long": Int64(1),
    "list": ["2026-01-20"],
    "object": {"$date": "2026"},
    "boolean": True,
}


@pytest.fixture
def jobs(shop: Database[Document]) -> Jobs:
    return shop["evaluation_jobs"]


def insert(jobs: Jobs, **changes: Any) -> Any:
    document = {name: value for name, value in job(**changes).items() if value is not ...}
    return jobs.insert_one(document).inserted_id


@pytest.mark.parametrize(("paid", "retry", "premium"), list(itertools.product((False, True), repeat=3)))
def test_the_server_ranks_by_the_rule_of_the_domain(jobs: Jobs, paid: bool, retry: bool, premium: bool) -> None:
    due = datetime(2026, 1, 20, 12, 0, 0, 123_000, tzinfo=UTC)
    identity = insert(
        jobs,
        paid=paid,
        attempts=2 if retry else 0,
        priority="premium" if premium else "normal",
        scheduledAt=due,
    )
    assert queue_of(jobs).promote() == 1
    assert stored(jobs, identity)["rank"] == due + handicap(paid=paid, retry=retry, premium=premium)


@pytest.mark.parametrize("paid", [..., None, "true", 1, "paid"])
@pytest.mark.parametrize("priority", [..., None, "PREMIUM", "urgent", 5])
def test_words_that_nobody_knows_are_ranked_as_unpaid_and_normal(jobs: Jobs, paid: object, priority: object) -> None:
    identity = insert(jobs, paid=paid, priority=priority, attempts=..., scheduledAt=PAST)
    assert queue_of(jobs).promote() == 1
    assert stored(jobs, identity)["rank"] == PAST + handicap(paid=False, retry=False, premium=False)


@pytest.mark.parametrize("odd", ODD_TIMES.values(), ids=list(ODD_TIMES))
def test_a_time_that_is_none_means_now_and_stops_nobody(jobs: Jobs, odd: object) -> None:
    before = server_now(jobs)
    identity = insert(jobs, scheduledAt=odd)
    others = [insert(jobs), insert(jobs)]
    assert queue_of(jobs).promote() == 3
    ranked = stored(jobs, identity)
    assert before <= ranked["scheduledAt"] == ranked["rank"] <= server_now(jobs)
    assert all("rank" in stored(jobs, other) for other in others)


def test_what_is_not_due_waits(jobs: Jobs) -> None:
    later = insert(jobs, scheduledAt=server_now(jobs) + timedelta(minutes=1))
    due = insert(jobs)
    assert queue_of(jobs).promote() == 1
    assert "rank" not in stored(jobs, later)
    assert "rank" in stored(jobs, due)


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "processing"},
        {"status": "completed"},
        {"status": "failed"},
        {"status": "cancelled"},
        {"fence": ...},
        {"fence": None},
        {"rank": PAST},
    ],
    ids=str,
)
def test_what_is_not_waiting_for_a_rank_stays_as_it_is(jobs: Jobs, changes: Document) -> None:
    identity = insert(jobs, **changes)
    before = stored(jobs, identity)
    assert queue_of(jobs).promote() == 0
    assert stored(jobs, identity) == before


def test_a_second_promotion_finds_nothing_left(jobs: Jobs) -> None:
    for _ in range(5):
        insert(jobs)
    queue = queue_of(jobs)
    assert (queue.promote(), queue.promote()) == (5, 0)


def test_who_waits_longest_is_claimed_before_any_class(jobs: Jobs) -> None:
    """Everybody ages at one slope: an unpaid retry of 61 minutes ago goes before a payer of this minute."""
    now = server_now(jobs)
    payer = insert(jobs, paid=True, scheduledAt=now)
    aged = insert(jobs, paid=False, attempts=1, scheduledAt=now - timedelta(minutes=61))
    young = insert(jobs, paid=False, attempts=1, scheduledAt=now - timedelta(minutes=59))
    premium = insert(jobs, paid=True, priority="premium", scheduledAt=now)
    queue = queue_of(jobs)
    queue.promote()
    assert [one.id for one in queue.claim(4)] == [premium, aged, payer, young]
