"""Writes whose reply was lost, refused or doubtful: nothing is claimed into nowhere, nothing is written twice."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import AutoReconnect, PyMongoError

from pferdewert_ops.adapters.mongo.evaluation_jobs import EvaluationQueue
from pferdewert_ops.operations.ports import ClaimedJob, JobOutcome
from pferdewert_ops.sandbox.mongodb import MongoSandbox
from tests.mongo.lossy_line import LossyLine
from tests.mongo.queue_support import Document, Jobs, completed, queue_of, ranked, stored

APP = "pwops-under-fault"
NOT_PRIMARY = 10107
# Written here, and in doubt whether it stays: the primary steps down, or the majority did not confirm in time.
STEPPED_DOWN = {"writeConcernError": {"code": 189, "errmsg": "stepped down"}}
TIMED_OUT = {"writeConcernError": {"code": 64, "errmsg": "timed out", "errInfo": {"wtimeout": True}}}


@pytest.fixture
def jobs(shop: Database[Document]) -> Jobs:
    return shop["evaluation_jobs"]


@pytest.fixture
def line(mongo_server: MongoSandbox) -> Iterator[LossyLine]:
    with LossyLine(int(mongo_server.members[0].address.rpartition(":")[2])) as made:
        yield made


@contextmanager
def connected(uri: str, jobs: Jobs) -> Iterator[Jobs]:
    with MongoClient[Document](uri, tz_aware=True, appname=APP, heartbeatFrequencyMS=500) as client:
        client.admin.command("ping")
        yield client[jobs.database.name][jobs.name]


@pytest.fixture
def faulty(mongo_server: MongoSandbox, jobs: Jobs) -> Iterator[Jobs]:
    """The same collection through a client whose commands can be made to fail."""
    with connected(mongo_server.uri, jobs) as collection:
        yield collection


@contextmanager
def failing(jobs: Jobs, times: int, **data: Any) -> Iterator[None]:
    """The next so many commands of the client under fault fail in this way; that they did is checked."""
    admin = jobs.database.client.admin
    before = admin.command({"configureFailPoint": "failCommand", "mode": "off"})["count"]
    fault = {"appName": APP, "failCommands": ["update"], **data}
    admin.command({"configureFailPoint": "failCommand", "mode": {"times": times}, "data": fault})
    try:
        yield
    finally:
        after = admin.command({"configureFailPoint": "failCommand", "mode": "off"})["count"]
    assert after - before == times


def test_a_claim_whose_reply_was_lost_is_found_by_its_token(line: LossyLine, jobs: Jobs) -> None:
    identities = [one["_id"] for one in map(ranked, range(5))]
    jobs.insert_many([ranked(place, _id=identity) for place, identity in enumerate(identities)])
    with connected(f"mongodb://127.0.0.1:{line.port}/?directConnection=true", jobs) as through:
        queue = queue_of(through)
        line.lose_reply_to(b"claimToken")
        claimed = queue.claim(3)
        assert line.lost == 1
        assert [one.id for one in claimed] == identities[:3]
        assert [(one.fence, one.document["attempts"]) for one in claimed] == [(1, 1)] * 3
        assert [one.id for one in queue.claim(3)] == identities[3:]


def test_an_outcome_whose_reply_was_lost_is_known_as_ours(line: LossyLine, jobs: Jobs) -> None:
    jobs.insert_many([ranked(1), ranked(2)])
    with connected(f"mongodb://127.0.0.1:{line.port}/?directConnection=true&retryWrites=false", jobs) as through:
        queue = EvaluationQueue(queue_of(through))
        claimed = queue.claim(2, paid_only=False)
        outcomes: list[tuple[ClaimedJob, JobOutcome]] = [(one, completed(cost_micro=5)) for one in claimed]
        line.lose_reply_to(b"costMicroEur")
        with pytest.raises(AutoReconnect):
            queue.settle(outcomes)
        assert line.lost == 1
        assert queue.settle(outcomes) == set()
    assert [stored(jobs, one.handle.id)["costMicroEur"] for one in claimed] == [5, 5]


@pytest.mark.parametrize("doubt", [STEPPED_DOWN, TIMED_OUT], ids=["stepped_down", "timed_out"])
def test_a_claim_that_is_in_doubt_is_found(jobs: Jobs, faulty: Jobs, doubt: Document) -> None:
    jobs.insert_many([ranked(1), ranked(2)])
    with failing(jobs, 1, **doubt):
        claimed = queue_of(faulty).claim(2)
    assert len(claimed) == 2
    assert jobs.count_documents({"status": "processing", "fence": 1, "attempts": 1}) == 2


@pytest.mark.parametrize(
    "fault",
    [{"closeConnection": True}, {"errorCode": NOT_PRIMARY}],
    ids=["connection_closed", "not_primary"],
)
def test_a_claim_that_was_never_made_is_none_and_the_next_one_finds_all(
    jobs: Jobs, faulty: Jobs, fault: Document
) -> None:
    jobs.insert_many([ranked(1), ranked(2)])
    queue = queue_of(faulty)
    with failing(jobs, 1, **fault):
        assert queue.claim(2) == []
    assert jobs.count_documents({"status": "pending", "fence": 0, "attempts": 0}) == 2
    assert len(queue.claim(2)) + len(queue.claim(2)) == 2


@pytest.mark.parametrize(
    "fault",
    [
        {"closeConnection": True},
        {"errorCode": NOT_PRIMARY},
        TIMED_OUT,
    ],
    ids=["connection_closed", "not_primary", "timed_out"],
)
@pytest.mark.parametrize("times", [1, 3])
def test_an_outcome_is_written_once_however_often_it_has_to_be_tried(
    jobs: Jobs, faulty: Jobs, fault: Document, times: int
) -> None:
    jobs.insert_many([ranked(place) for place in range(4)])
    queue = EvaluationQueue(queue_of(faulty))
    claimed = queue.claim(4, paid_only=False)
    outcomes: list[tuple[ClaimedJob, JobOutcome]] = [(one, completed("Text", cost_micro=5)) for one in claimed]
    with failing(jobs, times, **fault):
        assert settled(queue, outcomes, tries=times + 1) == set()
    assert jobs.count_documents({"status": "completed", "costMicroEur": 5, "fence": 1}) == 4


def settled(queue: EvaluationQueue, outcomes: Sequence[tuple[ClaimedJob, JobOutcome]], *, tries: int) -> set[str]:
    """Tries again after an error, as the committer does."""
    for _ in range(tries - 1):
        with suppress(PyMongoError):
            return queue.settle(outcomes)
    return queue.settle(outcomes)
