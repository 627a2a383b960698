"""What the queues ask of the server is answered from an index, however much lies finished beside it.

The commands are those that the code really sends: they are recorded on their way, and explained.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from pferdewert_ops.adapters.mongo import schema
from pferdewert_ops.adapters.mongo.evaluation_jobs import MongoJobs
from pferdewert_ops.adapters.mongo.figures import Figures
from pferdewert_ops.adapters.mongo.findings import MongoFindings
from pferdewert_ops.adapters.mongo.leased import LeasedQueue, Settlement
from pferdewert_ops.adapters.mongo.listing import Listing
from pferdewert_ops.adapters.mongo.orders import MongoOrders
from pferdewert_ops.sandbox.mongodb import MongoSandbox
from tests.mongo.queue_support import LONG, PAST, Document, job

FINISHED = 10_000
HELD = 20
NOW = datetime.now(UTC)
SINCE = NOW - timedelta(hours=24)
# Beyond what is returned: the entry at which a scan notices that it is done, one for each range.
SLACK = 5
# What never stands in a plan here: a scan of the collection, or a sort that the index does not give.
FORBIDDEN = {"COLLSCAN", "SORT", "SORT_KEY_GENERATOR"}
_ENVELOPE = {"lsid", "txnNumber", "writeConcern", "readConcern", "maxTimeMS"}
_READS = {"find", "aggregate", "count", "distinct"}


class Recorder(CommandListener):
    """Every command that is sent, while it is told to listen."""

    def __init__(self) -> None:
        self.commands: list[Document] = []
        self.listening = False

    def started(self, event: CommandStartedEvent) -> None:
        if self.listening and event.command_name in {*_READS, "update", "findAndModify"}:
            self.commands.append({name: value for name, value in event.command.items() if name[0] != "$"})

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How the server answered one command."""

    command: Document
    stages: set[str] = field(default_factory=set)
    indexes: set[str] = field(default_factory=set)
    returned: int = 0
    keys: int = 0
    documents: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """A shop with ten thousand finished jobs, mails and findings, and a handful of each that waits or runs."""

    database: Database[Document]
    recorder: Recorder
    some_job: Document

    def queue(self, collection: str = "evaluation_jobs") -> LeasedQueue:
        return LeasedQueue(self.database[collection], holder="host-a", lease=LONG)

    def plans(self, act: Callable[["Crowd"], object]) -> list[Plan]:
        """The plans of all that was asked by `act`."""
        self.recorder.commands.clear()
        self.recorder.listening = True
        act(self)
        self.recorder.listening = False
        return [self._explained(one) for command in self.recorder.commands for one in _single(command)]

    def _explained(self, command: Document) -> Plan:
        body = {name: value for name, value in command.items() if name not in _ENVELOPE}
        told = self.database.command({"explain": body, "verbosity": "executionStats"})
        stats = list(_found(told, "executionStats"))
        return Plan(
            command=body,
            stages={stage for plan in _found(told, "winningPlan") for stage in _found(plan, "stage")},
            indexes={name for plan in _found(told, "winningPlan") for name in _found(plan, "indexName")},
            returned=sum(one["nReturned"] + _changed(one) for one in stats),
            keys=sum(one["totalKeysExamined"] for one in stats),
            documents=sum(one["totalDocsExamined"] for one in stats),
        )


def _single(command: Document) -> list[Document]:
    """An update of several statements as several of one: the server explains one at a time."""
    if "updates" not in command:
        return [command]
    return [{**command, "updates": [one]} for one in command["updates"]]


def _found(told: Any, name: str) -> Iterator[Any]:
    """Every value under this name, at any depth."""
    if isinstance(told, Mapping):
        for key, value in told.items():
            if key == name:
                yield value
            yield from _found(value, name)
    elif isinstance(told, list):
        for one in told:
            yield from _found(one, name)


def _changed(stats: Mapping[str, Any]) -> int:
    return sum(_found(stats.get("executionStages", {}), "nWouldModify"))


@pytest.fixture(scope="module")
def crowd(mongo_server: MongoSandbox) -> Iterator[Crowd]:
    recorder = Recorder()
    with MongoClient[Document](mongo_server.uri, tz_aware=True, event_listeners=[recorder]) as client:
        database = client[mongo_server.fresh_database()]
        schema.apply(database)
        some_job = _fill(database)
        yield Crowd(database=database, recorder=recorder, some_job=some_job)
        client.drop_database(database.name)


def _fill(database: Database[Document]) -> Document:
    over = ["completed", "failed", "cancelled"]
    ours = [job(status=over[n % 3], rank=NOW, completedAt=NOW, failedAt=NOW, seconds=2.0) for n in range(FINISHED)]
    theirs = [{"_id": ObjectId(), "bewertungId": ObjectId(), "status": over[n % 3]} for n in range(FINISHED // 2)]
    # What the shop inserted before the horizon and nobody ever took over, and what rests until a later time.
    left = [{**_stranger(age=400), "status": word} for word in ("pending", "processing") for _ in range(1_000)]
    resting = [job(scheduledAt=NOW + timedelta(hours=1)) for _ in range(1_000)]
    ranked = [job(rank=NOW - timedelta(seconds=n), paid=n % 2 == 0) for n in range(40)]
    due = [job() for _ in range(40)]
    held = [_held(PAST if n < HELD // 2 else NOW + LONG) for n in range(HELD)]
    new = [_stranger(age=0, as_text=n % 2 == 0) for n in range(10)]
    database.evaluation_jobs.insert_many(ours + theirs + left + resting + ranked + due + held + new)
    sent = {"status": "sent", "sentAt": NOW, "createdAt": NOW, "fence": 1}
    database.mail_outbox.insert_many([{"_id": f"{n}:result", **sent} for n in range(FINISHED)])
    waiting = {"status": "pending", "fence": 0, "createdAt": NOW, "orderId": ObjectId(), "kind": "result", "key": "k"}
    database.mail_outbox.insert_many([{"_id": f"{n}:delay", **waiting, "rank": NOW} for n in range(20)])
    closed = {"kind": "mail_failed", "state": "closed", "firstSeenAt": NOW}
    findings = [{"_id": f"mail_failed:{n}", "subject": str(n), **closed} for n in range(FINISHED)]
    database.ops_findings.insert_many(findings)
    database.ops_findings.insert_one({"_id": "x", "subject": "x", **closed, "state": "open"})
    order = {"erstellt": NOW - timedelta(days=400), "paymentStatus": "paid", "bewertung": "Text"}
    ancient = [{"_id": _id_of(400), **order} for _ in range(FINISHED)]
    database.bewertungen.insert_many([*ancient, *({"_id": ObjectId(), **order, "erstellt": NOW} for _ in range(20))])
    return held[-1]


def _id_of(days: int) -> ObjectId:
    made = ObjectId.from_datetime(NOW - timedelta(days=days))
    return ObjectId(str(made)[:8] + str(ObjectId())[8:])


def _stranger(*, age: int, as_text: bool = False) -> Document:
    reference = _id_of(age)
    return {"_id": ObjectId(), "bewertungId": str(reference) if as_text else reference, "status": "pending"}


def _held(until: datetime) -> Document:
    return job(status="processing", fence=1, leaseUntil=until, processedBy="host-a", claimToken="t", rank=NOW)


# --- the commands ------------------------------------------------------------------------------------------------


def _renew(crowd: Crowd) -> None:
    queue = crowd.queue()
    queue.renew([(one, None) for one in queue.expired(3)], crowd.database.evaluation_jobs)


def _settle(crowd: Crowd) -> None:
    queue = crowd.queue()
    held = queue.expired(3)
    queue.settle([Settlement(leased=one, update=[{"$set": {"note": "x"}}]) for one in held], expired=True)


def _survey(crowd: Crowd) -> None:
    for _ in MongoOrders(crowd.database, horizon=SINCE).since(SINCE):
        pass


ASKED: dict[str, tuple[Callable[[Crowd], object], set[str]]] = {
    "claim": (lambda crowd: crowd.queue().claim(5), {"pwops_claim", "_id_"}),
    "claim_mails": (lambda crowd: crowd.queue("mail_outbox").claim(5), {"pwops_claim", "_id_"}),
    "promote": (lambda crowd: crowd.queue().promote(), {"pwops_promote"}),
    "promote_mails": (lambda crowd: crowd.queue("mail_outbox").promote(), {"pwops_promote"}),
    "expired": (lambda crowd: crowd.queue().expired(100), {"pwops_lease"}),
    "end_leases": (lambda crowd: crowd.queue().expire_holder("host-z"), {"pwops_lease"}),
    "processing": (lambda crowd: crowd.queue().processing(), {"pwops_lease"}),
    "renew": (_renew, {"pwops_lease", "_id_"}),
    "settle": (_settle, {"pwops_lease", "_id_"}),
    "mark_paid": (lambda crowd: MongoJobs(crowd.database).mark_paid(str(crowd.some_job["_id"])), {"_id_"}),
    "adopt": (lambda crowd: MongoJobs(crowd.database).adopt(SINCE), {"pwops_adopt", "_id_"}),
    "median": (lambda crowd: MongoJobs(crowd.database).median_seconds(), {"pwops_completed"}),
    "survey": (_survey, {"pwops_order", "_id_"}),
    "open_findings": (lambda crowd: MongoFindings(crowd.database).open_subjects("mail_failed"), {"pwops_open"}),
    "list_failed_jobs": (
        lambda crowd: Listing(crowd.database).jobs(["failed"], older_than=None, most=20),
        {"pwops_listing"},
    ),
    "list_old_running_jobs": (
        lambda crowd: Listing(crowd.database).jobs(["processing"], older_than=timedelta(days=399), most=20),
        {"pwops_listing"},
    ),
    "list_newest_mails": (lambda crowd: Listing(crowd.database).mails([], most=10), {"pwops_newest"}),
    "list_waiting_mails": (lambda crowd: Listing(crowd.database).mails(["pending"], most=10), {"pwops_listing"}),
}


@pytest.mark.parametrize("name", ASKED)
def test_it_is_answered_from_its_index_and_reads_what_it_returns(crowd: Crowd, name: str) -> None:
    act, indexes = ASKED[name]
    plans = crowd.plans(act)
    assert plans
    assert {index for plan in plans for index in plan.indexes} <= indexes
    assert not {stage for plan in plans for stage in plan.stages} & FORBIDDEN
    named = indexes - {"_id_"} or indexes
    assert named <= {index for plan in plans for index in plan.indexes}
    for plan in plans:
        # An explained update changes nothing, but its earlier self did: what it would still match is what it returns.
        held = crowd.queue().processing() if name == "end_leases" else 0  # rare, and by holder there is no index
        most = max(plan.returned, _asked_for(plan.command), held) + SLACK
        assert plan.keys <= most, plan
        assert plan.documents <= most, plan


def _asked_for(command: Mapping[str, Any]) -> int:
    """How many ids a command names, or how many documents it wants at most."""
    named = [ids for ids in _found(command, "$in") if isinstance(ids, list)]
    return max([*map(len, named), *(limit for limit in _found(command, "limit") if isinstance(limit, int))], default=0)


def test_a_claim_reads_no_more_than_its_batch_however_much_waits(crowd: Crowd) -> None:
    """In a queue of one's own: nothing of what rests, is unpaid or is the shop's lies in the way."""
    queue = crowd.queue()
    for _ in range(3):  # the second and third start where the one before ended
        [look, *_] = crowd.plans(lambda _: queue.claim(4))
        assert look.indexes == {"pwops_claim"}
        assert (look.returned, look.keys) == (4, 4)


def test_figures_are_counted_on_indexes(crowd: Crowd) -> None:
    plans = crowd.plans(lambda crowd: (Figures(crowd.database).evaluation(), Figures(crowd.database).mail()))
    assert len(plans) > 8
    assert not {stage for plan in plans for stage in plan.stages} & FORBIDDEN
    assert all(index.startswith("pwops_") for plan in plans for index in plan.indexes)
