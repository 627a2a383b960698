"""Outcomes on a real server: one fenced write each, harmless twice, refused once somebody else owns the document."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from pferdewert_ops.adapters.mongo.evaluation_jobs import EvaluationQueue, MongoJobs
from pferdewert_ops.adapters.mongo.leased import Leased, LeasedQueue, Settlement
from pferdewert_ops.domain.failures import ErrorClass
from pferdewert_ops.domain.jobs import CancelReason, Failure, GiveUp, Release, Retry, Stage
from pferdewert_ops.operations.ports import Cancelled, ClaimedJob, HandedBack, JobOutcome, Unsuccessful
from tests.mongo.queue_support import (
    PAST,
    TEXT,
    Document,
    Jobs,
    completed,
    evaluation_queue,
    expire,
    finished,
    job,
    queue_of,
    ranked,
    server_now,
    stored,
)

TIMEOUT = Failure(error_class=ErrorClass.AI_TIMEOUT, code="read_timeout")
RETRY = Retry(wait=timedelta(seconds=30), failures={ErrorClass.AI_TIMEOUT: 1}, stage=Stage.PRIMARY)
GIVE_UP = GiveUp(failures={ErrorClass.AI_TIMEOUT: 2})
OUTCOMES: dict[str, JobOutcome] = {
    "completed": completed(),
    "cancelled": Cancelled(reason=CancelReason.ALREADY_DELIVERED),
    "handed_back": HandedBack(),
    "handed_back_for_later": HandedBack(wait=timedelta(seconds=15)),
    "retry": Unsuccessful(failure=TIMEOUT, after=RETRY, cost_micro=5),
    "give_up": Unsuccessful(failure=TIMEOUT, after=GIVE_UP, cost_micro=5),
    "released": Unsuccessful(failure=TIMEOUT, after=Release(wait=timedelta(minutes=5))),
}


@pytest.fixture
def jobs(shop: Database[Document]) -> Jobs:
    return shop["evaluation_jobs"]


@pytest.fixture
def queue(jobs: Jobs) -> EvaluationQueue:
    return evaluation_queue(jobs.database)


def claim(jobs: Jobs, queue: EvaluationQueue, **changes: Any) -> ClaimedJob:
    jobs.insert_one(ranked(1, **changes))
    [claimed] = queue.claim(1, paid_only=False)
    return claimed


def current(jobs: Jobs, claimed: ClaimedJob) -> Document:
    return stored(jobs, claimed.handle.id)


# --- what each outcome writes ------------------------------------------------------------------------------------


def test_a_result_is_stored_in_the_write_that_completes_the_job(jobs: Jobs, queue: EvaluationQueue) -> None:
    claimed = claim(jobs, queue, error={"class": "overloaded"}, costMicroEur=7)
    assert queue.settle([(claimed, completed(cost_micro=1_000))]) == set()
    job_now = current(jobs, claimed)
    assert job_now["status"] == "completed"
    assert job_now["result"] == {"value": TEXT, "model": "claude-opus-5-5", "model_version": "Claude-Opus-5-5"}
    assert job_now["usage"]["output_tokens"] == 20
    assert (job_now["costMicroEur"], job_now["seconds"], job_now["attempts"]) == (1_007, 1.5, 1)
    assert job_now["startedAt"] <= job_now["completedAt"] <= server_now(jobs)
    assert not {"leaseUntil", "claimToken", "progress", "error"} & set(job_now)


@pytest.mark.parametrize(
    "value",
    [
        "$bewertung",
        "$$NOW und $rank.x kosten 5.000 $",
        "{'$literal': 1}",
        "Punkt. Punkt.. und $. am Ende.$",
        "ä€𝄞\u0000\r\n\t\\u0041",
        {"preisVon": 1, "bewertungsDetails": {"fazit": "$$ROOT und $fazit."}, "haupteignung": "$status"},
    ],
)
def test_what_the_model_wrote_is_stored_to_the_letter(jobs: Jobs, queue: EvaluationQueue, value: Any) -> None:
    claimed = claim(jobs, queue)
    queue.settle([(claimed, completed(value))])
    assert current(jobs, claimed)["result"]["value"] == value


def test_codes_and_progress_are_stored_to_the_letter(jobs: Jobs, queue: EvaluationQueue) -> None:
    claimed = claim(jobs, queue)
    queue.leased.renew([(claimed.handle, {"phase": "$status", "note": {"$set": 1}})], jobs)
    assert current(jobs, claimed)["progress"] == {"phase": "$status", "note": {"$set": 1}}
    odd = Failure(error_class=ErrorClass.AI_ERROR, code="$horseData.name")
    queue.settle([(claimed, Unsuccessful(failure=odd, after=RETRY))])
    job_now = current(jobs, claimed)
    assert job_now["error"]["code"] == job_now["history"][-1]["code"] == "$horseData.name"


def test_a_retry_waits_in_the_database_with_what_it_used_up(jobs: Jobs, queue: EvaluationQueue) -> None:
    claimed = claim(jobs, queue)
    before = server_now(jobs)
    assert queue.settle([(claimed, Unsuccessful(failure=TIMEOUT, after=RETRY, cost_micro=5))]) == set()
    job_now = current(jobs, claimed)
    assert (job_now["status"], job_now["attempts"], job_now["fence"]) == ("pending", 1, 1)
    assert (job_now["failures"], job_now["stage"], job_now["costMicroEur"]) == ({"ai_timeout": 1}, "primary", 5)
    assert before + RETRY.wait <= job_now["scheduledAt"] <= server_now(jobs) + RETRY.wait
    assert "rank" not in job_now
    assert queue.claim(5, paid_only=False) == []
    jobs.update_one({"_id": job_now["_id"]}, {"$set": {"scheduledAt": PAST}})
    queue.leased.promote()
    [again] = queue.claim(5, paid_only=False)
    assert (again.attempts.spent, again.attempts.failures, again.fence) == (2, {ErrorClass.AI_TIMEOUT: 1}, 2)


def test_a_job_without_attempts_left_fails_with_its_history(jobs: Jobs, queue: EvaluationQueue) -> None:
    claimed = claim(jobs, queue, history=[{"event": "retry"}])
    queue.settle([(claimed, Unsuccessful(failure=TIMEOUT, after=GIVE_UP))])
    job_now = current(jobs, claimed)
    assert (job_now["status"], job_now["attempts"], job_now["failures"]) == ("failed", 1, {"ai_timeout": 2})
    assert [event["event"] for event in job_now["history"]] == ["retry", "failed"]
    assert job_now["failedAt"] == job_now["error"]["at"]


def test_handing_back_keeps_the_place_and_returns_the_attempt(jobs: Jobs, queue: EvaluationQueue) -> None:
    claimed = claim(jobs, queue, attempts=2)
    rank = current(jobs, claimed)["rank"]
    queue.settle([(claimed, HandedBack())])
    job_now = current(jobs, claimed)
    assert (job_now["status"], job_now["rank"], job_now["attempts"]) == ("pending", rank, 2)
    assert not {"leaseUntil", "claimToken", "progress"} & set(job_now)
    [again] = queue.claim(1, paid_only=False)
    assert (again.fence, again.attempts.spent) == (2, 3)


@pytest.mark.parametrize("name", ["handed_back_for_later", "released"])
def test_a_release_with_a_wait_returns_the_attempt_too(jobs: Jobs, queue: EvaluationQueue, name: str) -> None:
    claimed = claim(jobs, queue, attempts=2)
    queue.settle([(claimed, OUTCOMES[name])])
    job_now = current(jobs, claimed)
    assert (job_now["status"], job_now["attempts"], "rank" in job_now) == ("pending", 2, False)
    assert job_now["scheduledAt"] > server_now(jobs) + timedelta(seconds=10)


def test_a_cancelled_job_spends_nothing_and_says_why(jobs: Jobs, queue: EvaluationQueue) -> None:
    claimed = claim(jobs, queue)
    queue.settle([(claimed, Cancelled(reason=CancelReason.DUPLICATE))])
    job_now = current(jobs, claimed)
    assert (job_now["status"], job_now["attempts"], job_now["cancelReason"]) == ("cancelled", 0, "duplicate")


def test_the_history_of_a_job_is_bounded(jobs: Jobs, queue: EvaluationQueue) -> None:
    claimed = claim(jobs, queue, history=[{"event": str(number)} for number in range(60)])
    queue.settle([(claimed, Unsuccessful(failure=TIMEOUT, after=RETRY))])
    history = current(jobs, claimed)["history"]
    assert (len(history), history[0]["event"], history[-1]["event"]) == (50, "11", "failed")


# --- whose outcome counts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", OUTCOMES.values(), ids=list(OUTCOMES))
def test_an_old_fence_writes_nothing(jobs: Jobs, queue: EvaluationQueue, outcome: JobOutcome) -> None:
    old = claim(jobs, queue)
    expire(jobs, [old.handle.id])
    other = evaluation_queue(jobs.database, "host-b")
    lost = Unsuccessful(failure=TIMEOUT, after=Retry(wait=timedelta(0), failures={}, stage=Stage.PRIMARY))
    assert other.settle([(one, lost) for one in other.expired(5)], expired=True) == set()
    between = current(jobs, old)
    assert queue.settle([(old, outcome)]) == {old.id}  # before somebody else claims it
    assert current(jobs, old) == between
    other.leased.promote()
    [new] = other.claim(1, paid_only=False)
    held = current(jobs, new)
    assert new.fence > old.fence
    assert queue.settle([(old, outcome)]) == {old.id}
    assert queue.settle([(old, outcome)], expired=False) == {old.id}
    assert queue.leased.renew([(old.handle, {"phase": "late"})], jobs) == {(old.handle.id, old.fence)}
    assert current(jobs, old) == held


def test_a_late_outcome_counts_while_nobody_took_the_job_back(jobs: Jobs, queue: EvaluationQueue) -> None:
    claimed = claim(jobs, queue)
    expire(jobs, [claimed.handle.id])
    assert queue.settle([(claimed, completed())]) == set()
    assert current(jobs, claimed)["status"] == "completed"


def test_a_renewed_lease_is_not_taken_back(jobs: Jobs, queue: EvaluationQueue) -> None:
    claimed = claim(jobs, queue)
    expire(jobs, [claimed.handle.id])
    other = evaluation_queue(jobs.database, "host-b")
    [gone] = other.expired(5)
    assert queue.leased.renew([(claimed.handle, None)], jobs) == set()
    held = current(jobs, claimed)
    assert other.settle([(gone, Unsuccessful(failure=TIMEOUT, after=RETRY))], expired=True) == {claimed.id}
    assert current(jobs, claimed) == held
    assert queue.settle([(claimed, completed())]) == set()


def test_repeating_an_outcome_whose_reply_was_lost_is_harmless(jobs: Jobs, queue: EvaluationQueue) -> None:
    claimed = claim(jobs, queue)
    outcome = Unsuccessful(failure=TIMEOUT, after=GIVE_UP, cost_micro=5)
    assert queue.settle([(claimed, outcome)]) == set()
    once = current(jobs, claimed)
    assert queue.settle([(claimed, outcome)]) == set()
    assert current(jobs, claimed) == once


def test_a_cancelled_running_job_is_lost_to_its_worker(jobs: Jobs, queue: EvaluationQueue) -> None:
    claimed = claim(jobs, queue)
    assert MongoJobs(jobs.database).cancel(claimed.id, CancelReason.OPERATOR)
    assert queue.leased.renew([(claimed.handle, None)], jobs) == {(claimed.handle.id, claimed.fence)}
    assert queue.settle([(claimed, completed())]) == {claimed.id}
    assert current(jobs, claimed)["status"] == "cancelled"


# --- many at once ------------------------------------------------------------------------------------------------


def test_equal_and_unequal_outcomes_in_one_write(jobs: Jobs, queue: EvaluationQueue) -> None:
    jobs.insert_many([ranked(number, fence=number % 2) for number in range(9)])
    claimed = queue.claim(9, paid_only=False)
    outcomes: list[tuple[ClaimedJob, JobOutcome]] = [
        (one, HandedBack() if place % 3 == 0 else completed(f"Text {place}")) for place, one in enumerate(claimed)
    ]
    expire(jobs, [claimed[4].handle.id])
    jobs.update_one({"_id": claimed[4].handle.id}, {"$inc": {"fence": 1}})
    assert queue.settle(outcomes) == {claimed[4].id}
    for place, one in enumerate(claimed):
        job_now = current(jobs, one)
        if place == 4:
            assert job_now["status"] == "processing"
        elif place % 3 == 0:
            assert job_now["status"] == "pending"
        else:
            assert (job_now["status"], job_now["result"]["value"]) == ("completed", f"Text {place}")


def test_no_outcomes_are_no_write(queue: EvaluationQueue) -> None:
    assert queue.settle([]) == set()
    assert queue.leased.renew([], queue.leased._collection) == set()


def test_renewing_tells_two_claims_of_one_document_apart(jobs: Jobs) -> None:
    """A process that lost a job and claimed it again holds both entries until the first handler ends."""
    jobs.insert_many([ranked(1), ranked(2)])
    mine: LeasedQueue = queue_of(jobs)
    first, other = mine.claim(2)
    jobs.update_one({"_id": first.id}, {"$set": {"status": "pending"}})
    [second] = mine.claim(1)
    for order in ([first, other, second], [second, first, other]):
        assert mine.renew(_without_progress(order), jobs) == {(first.id, first.fence)}


def test_a_job_that_was_settled_meanwhile_is_not_told_as_lost(jobs: Jobs) -> None:
    jobs.insert_many([ranked(1), ranked(2)])
    mine = queue_of(jobs)
    done, running = mine.claim(2)
    mine.settle(finished([done]))
    before = stored(jobs, running.id)["leaseUntil"]
    assert mine.renew(_without_progress([done, running]), jobs) == set()
    assert stored(jobs, running.id)["leaseUntil"] >= before
    assert stored(jobs, done.id)["status"] == "completed"


def _without_progress(held: Sequence[Leased]) -> list[tuple[Leased, None]]:
    return [(one, None) for one in held]


def test_an_odd_document_does_not_stop_the_outcomes_of_others(jobs: Jobs) -> None:
    jobs.insert_many([ranked(1), job(rank=datetime(2026, 1, 20, 13, tzinfo=UTC))])
    mine = queue_of(jobs)
    odd, plain = mine.claim(2)
    jobs.delete_one({"_id": odd.id})
    assert mine.settle([Settlement(leased=one, update={"$set": {"status": "completed"}}) for one in (odd, plain)]) == {
        odd.id
    }
    assert stored(jobs, plain.id)["status"] == "completed"
