"""The shared breaker on a real server: every failure counted once, opened once, one probe in the whole fleet."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.database import Database

from pferdewert_ops.adapters.mongo.breakers import (
    CACHE_SECONDS,
    TRIES,
    Admission,
    BreakerContended,
    Change,
    SharedBreaker,
    overview,
)
from pferdewert_ops.domain.breaker import Breaker, BreakerLimits, BreakerMode
from pferdewert_ops.sandbox.mongodb import MongoSandbox

Documents = Collection[dict[str, Any]]
MakeBreaker = Callable[..., SharedBreaker]

NAME = "model:claude-opus-5-5"
LIMITS = BreakerLimits(failures=3)
AT_ONCE = replace(LIMITS, rest=timedelta(0))  # a trial is due as soon as it opens
LOST_AT_ONCE = replace(AT_ONCE, probe_lease=timedelta(0))  # and its prober is taken for lost as soon as it has it


@dataclass
class Clock:
    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def collection(database: Database[dict[str, Any]]) -> Documents:
    return database["ops_breakers"]


@pytest.fixture
def make(collection: Documents) -> MakeBreaker:
    def made(limits: BreakerLimits = LIMITS, holder: str = "host-a", name: str = NAME, **others: Any) -> SharedBreaker:
        return SharedBreaker(collection, name, limits, holder, **others)

    return made


def admitted(shared: SharedBreaker) -> Admission:
    admission = shared.admit()
    assert admission is not None
    return admission


def fail(shared: SharedBreaker, times: int) -> None:
    """Calls that were all let through before the first of them failed."""
    for admission in [admitted(shared) for _ in range(times)]:
        shared.failed(admission)


def stored(shared: SharedBreaker) -> Breaker:
    return shared.read()[0]


def test_a_missing_breaker_is_closed_and_looking_at_it_writes_nothing(make: MakeBreaker, collection: Documents) -> None:
    shared = make()
    breaker, now = shared.read()
    assert breaker == Breaker()
    assert now.utcoffset() == timedelta(0)
    assert shared.admitting()
    assert not admitted(shared).probe
    assert shared.succeeded(admitted(shared)) is None
    assert collection.count_documents({}) == 0


def test_the_time_is_the_servers_and_aware_whatever_the_client_was_given(mongo_server: MongoSandbox) -> None:
    with MongoClient[dict[str, Any]](mongo_server.uri) as naive, time_machine.travel(datetime(2001, 1, 1, tzinfo=UTC)):
        shared = SharedBreaker(naive[mongo_server.fresh_database()]["ops_breakers"], NAME, LIMITS, "host-a")
        fail(shared, 3)
        breaker, now = shared.read()
        assert breaker.opened_at is not None
        assert datetime(2002, 1, 1, tzinfo=UTC) < breaker.opened_at <= now
        naive.drop_database(shared._collection.database)


def test_the_last_allowed_failure_opens_and_state_outlives_the_process(make: MakeBreaker) -> None:
    one, other = make(holder="host-a"), make(holder="host-b")
    fail(one, 2)
    assert stored(other).failures == 2
    assert other.admitting()
    change = other.failed(admitted(other))
    assert change is not None
    assert (change.before.mode, change.after.mode) == (BreakerMode.CLOSED, BreakerMode.OPEN)
    restarted = make(holder="host-a")
    assert not restarted.admitting()
    assert restarted.admit() is None


def test_a_success_between_starts_the_count_anew(make: MakeBreaker) -> None:
    shared = make()
    fail(shared, 2)
    shared.succeeded(admitted(shared))
    fail(shared, 2)
    assert stored(shared).mode is BreakerMode.CLOSED
    assert stored(shared).failures == 2


def test_failures_of_sixteen_threads_at_once_are_all_counted(make: MakeBreaker) -> None:
    fleet = [make(replace(LIMITS, failures=1000), holder=f"host-{n}") for n in range(16)]
    start = threading.Barrier(len(fleet), timeout=30)

    def run(shared: SharedBreaker) -> list[Change | None]:
        admission = admitted(shared)
        start.wait()
        return [shared.failed(admission) for _ in range(4)]

    with ThreadPoolExecutor(len(fleet)) as pool:
        changes = [change for made in pool.map(run, fleet) for change in made]
    assert stored(fleet[0]).failures == 64
    assert sorted(change.after.failures for change in changes if change) == list(range(1, 65))


def test_of_sixteen_failures_at_once_exactly_one_opens(make: MakeBreaker) -> None:
    fleet = [make(replace(LIMITS, failures=10), holder=f"host-{n}") for n in range(16)]
    admissions = [admitted(shared) for shared in fleet]
    with ThreadPoolExecutor(len(fleet)) as pool:
        changes = list(pool.map(lambda pair: pair[0].failed(pair[1]), zip(fleet, admissions, strict=True)))
    modes = [change.after.mode for change in changes if change is not None]
    assert modes.count(BreakerMode.CLOSED) == 9
    assert modes.count(BreakerMode.OPEN) == 1
    assert changes.count(None) == 6


def test_one_probe_in_the_whole_fleet(make: MakeBreaker) -> None:
    fleet = [make(AT_ONCE, holder=f"host-{n}") for n in range(16)]
    fail(fleet[0], 3)
    start = threading.Barrier(len(fleet), timeout=30)

    def ask(shared: SharedBreaker) -> Admission | None:
        start.wait()
        return shared.admit()

    with ThreadPoolExecutor(len(fleet)) as pool:
        [probe] = [admission for admission in pool.map(ask, fleet) if admission is not None]
    assert probe.probe
    assert probe.found is BreakerMode.OPEN
    assert not any(shared.admitting() for shared in fleet)
    closed = fleet[0].succeeded(probe)
    assert closed is not None
    assert closed.after.mode is BreakerMode.CLOSED
    assert closed.after.failures == 0
    assert not admitted(fleet[1]).probe


def test_a_failed_probe_opens_again(make: MakeBreaker) -> None:
    shared = make(AT_ONCE)
    fail(shared, 3)
    first_opened = stored(shared).opened_at
    change = shared.failed(admitted(shared))
    assert change is not None
    assert change.after.mode is BreakerMode.OPEN
    assert first_opened is not None
    assert change.after.opened_at is not None
    assert change.after.opened_at >= first_opened
    assert make(LIMITS).admit() is None  # with a rest of a minute it is not due again


def test_a_probe_given_back_is_free_at_once(make: MakeBreaker) -> None:
    shared = make(AT_ONCE)
    fail(shared, 3)
    first = admitted(shared)
    assert shared.admit() is None
    shared.gave_back(first)
    second = admitted(shared)
    assert second.probe
    assert second.holder != first.holder


def test_a_lost_probe_is_replaced_and_its_late_report_changes_nothing(make: MakeBreaker) -> None:
    shared = make(LOST_AT_ONCE)
    fail(shared, 3)
    lost, probe = admitted(shared), admitted(shared)
    assert probe.found is BreakerMode.HALF_OPEN
    before = stored(shared)
    assert shared.succeeded(lost) is None
    assert shared.failed(lost) is None
    assert shared.gave_back(lost) is None
    assert stored(shared) == before
    assert shared.succeeded(probe) is not None


def test_a_call_from_before_it_opened_neither_closes_nor_frees_the_probe(make: MakeBreaker) -> None:
    shared = make(AT_ONCE)
    early = admitted(shared)
    fail(shared, 3)
    probe = admitted(shared)
    assert shared.succeeded(early) is None
    assert shared.failed(early) is None
    assert shared.gave_back(early) is None
    assert stored(shared).probe == probe.holder


def test_admitting_is_cached_for_a_second_and_forgotten_by_an_own_write(make: MakeBreaker) -> None:
    clock = Clock()
    watching, other = make(monotonic=clock), make(holder="host-b")
    assert watching.admitting()
    fail(other, 3)
    clock.seconds = CACHE_SECONDS
    assert watching.admitting()
    clock.seconds += 0.1
    assert not watching.admitting()
    fresh = make(monotonic=clock, name="mail:resend")
    assert fresh.admitting()
    fail(fresh, 3)
    assert not fresh.admitting()


def test_a_cached_open_breaker_rests_on_by_the_monotonic_clock(make: MakeBreaker, collection: Documents) -> None:
    clock = Clock()
    shared = make(replace(LIMITS, rest=timedelta(seconds=60)), monotonic=clock)
    fail(shared, 3)
    _, now = shared.read()
    collection.update_one({"_id": NAME}, {"$set": {"openedAt": now - timedelta(seconds=59, milliseconds=300)}})
    shared.read()
    clock.seconds = 0.6
    assert not shared.admitting()
    clock.seconds = 0.8
    assert shared.admitting()


def test_a_report_that_loses_every_round_says_so(make: MakeBreaker, monkeypatch: pytest.MonkeyPatch) -> None:
    shared, rival = make(replace(LIMITS, failures=1000)), make(replace(LIMITS, failures=1000), holder="host-b")
    rounds = []
    read = shared.read

    def always_overtaken() -> tuple[Breaker, datetime]:
        seen = read()
        rounds.append(rival.failed(admission))
        return seen

    admission = admitted(shared)
    monkeypatch.setattr(shared, "read", always_overtaken)
    with pytest.raises(BreakerContended, match=NAME):
        shared.failed(admission)
    assert len(rounds) == TRIES
    assert stored(rival).failures == TRIES


def test_a_breaker_deleted_meanwhile_starts_anew(
    make: MakeBreaker, collection: Documents, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = make()
    fail(shared, 2)
    admission, read = admitted(shared), shared.read

    def deleted_after_this_look() -> tuple[Breaker, datetime]:
        seen = read()
        collection.delete_one({"_id": NAME, "failures": 2})
        return seen

    monkeypatch.setattr(shared, "read", deleted_after_this_look)
    shared.failed(admission)
    assert stored(make()) == Breaker(generation=1, failures=1, first_failure_at=stored(make()).first_failure_at)


def test_overview_lists_what_has_ever_moved(make: MakeBreaker, collection: Documents) -> None:
    resting = make(LIMITS, name="mail:resend")
    probed = make(AT_ONCE)
    counted = make(name="model:claude-sonnet-5-5")
    fail(resting, 3)
    fail(probed, 3)
    fail(counted, 1)
    admitted(probed)
    mail, opus, sonnet = overview(collection)
    assert (mail.name, mail.mode) == ("mail:resend", BreakerMode.OPEN)
    assert mail.opened_at is not None
    assert mail.next_probe_at == mail.opened_at + LIMITS.rest
    assert (opus.name, opus.mode) == (NAME, BreakerMode.HALF_OPEN)
    assert opus.next_probe_at == stored(probed).probe_until
    assert (sonnet.mode, sonnet.failures, sonnet.next_probe_at) == (BreakerMode.CLOSED, 1, None)
