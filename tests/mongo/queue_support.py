"""Jobs for tests of the queue, and what moves them from outside: time, other workers, operators."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo.collection import Collection
from pymongo.database import Database

from pferdewert_ops.adapters.mongo import documents
from pferdewert_ops.adapters.mongo.evaluation_jobs import EvaluationQueue
from pferdewert_ops.adapters.mongo.leased import Leased, LeasedQueue, Settlement
from pferdewert_ops.domain.failures import Usage
from pferdewert_ops.operations.ports import Completed, Result

Document = dict[str, Any]
Jobs = Collection[Document]

LONG = timedelta(minutes=5)  # a lease that no test outlives
LIMIT_SECONDS = 20.0
PAST = datetime(2020, 1, 1, tzinfo=UTC)
TEXT = "Ihr Pferd ist etwa 9.000 bis 12.000 Euro wert."


class Ticks:
    """A monotonic clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def queue_of(
    jobs: Jobs, holder: str = "host-a", *, lease: timedelta = LONG, monotonic: Callable[[], float] = time.monotonic
) -> LeasedQueue:
    return LeasedQueue(jobs, holder=holder, lease=lease, monotonic=monotonic)


def evaluation_queue(database: Database[Document], holder: str = "host-a") -> EvaluationQueue:
    return EvaluationQueue(queue_of(database[documents.JOBS], holder))


def job(**changes: Any) -> Document:
    """A job of ours that is due and has no rank yet."""
    identity = changes.pop("_id", None) or ObjectId()
    return {
        "_id": identity,
        "bewertungId": identity,
        "product": "bewertung",
        "status": "pending",
        "priority": "normal",
        "paid": True,
        "attempts": 0,
        "maxAttempts": 8,
        "failures": {},
        "stage": "primary",
        "fence": 0,
        "scheduledAt": datetime.now(UTC) - timedelta(minutes=1),
        **changes,
    }


def ranked(minutes: float, **changes: Any) -> Document:
    """A claimable job whose rank lies so many minutes ahead of a fixed moment."""
    return job(rank=datetime(2026, 1, 20, 12, tzinfo=UTC) + timedelta(minutes=minutes), **changes)


def expire(jobs: Jobs, ids: Iterable[Any]) -> None:
    jobs.update_many({"_id": {"$in": list(ids)}, "status": "processing"}, {"$set": {"leaseUntil": PAST}})


def finished(leased: Sequence[Leased]) -> list[Settlement]:
    """The shortest way out of `processing`: one write for each."""
    return [Settlement(leased=one, update={"$set": {"status": "completed"}}) for one in leased]


def completed(text: Any = TEXT, *, cost_micro: int = 1_000) -> Completed:
    return Completed(
        result=Result(value=text, model="claude-opus-5-5", model_version="Claude-Opus-5-5"),
        usage=Usage(input_tokens=10, output_tokens=20),
        cost_micro=cost_micro,
        seconds=1.5,
    )


def stored(jobs: Jobs, identity: Any) -> Document:
    found = jobs.find_one({"_id": identity})
    assert found is not None
    return found


def server_now(jobs: Jobs) -> datetime:
    """The time by the server's clock, to the millisecond."""
    now: datetime = jobs.database.command("hello", codec_options=jobs.codec_options)["localTime"]
    return now


def until(happens: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    pause = threading.Event()
    while not happens():
        assert time.monotonic() < deadline, "did not happen in time"
        pause.wait(0.01)
