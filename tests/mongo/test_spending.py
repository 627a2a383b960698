"""The day's book of model cost on a real server: each attempt once, on the server's day, summed over an index."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from pferdewert_ops.adapters.mongo.spending import INDEXES, KEPT, Spending
from pferdewert_ops.domain.failures import Usage
from pferdewert_ops.domain.spending import ModelSpend
from pferdewert_ops.sandbox.mongodb import MongoSandbox

Documents = Collection[dict[str, Any]]

OPUS, SONNET = "claude-opus-5-5", "claude-sonnet-5-5"
USAGE = Usage(input_tokens=100, output_tokens=2000, cache_write_tokens=30, cache_read_tokens=4000)


@pytest.fixture
def collection(database: Database[dict[str, Any]]) -> Documents:
    spend: Documents = database["ops_spend"]
    spend.create_indexes(list(INDEXES))
    return spend


@pytest.fixture
def server_now(database: Database[dict[str, Any]]) -> Callable[[], datetime]:
    def now() -> datetime:
        local: datetime = database.command("hello")["localTime"]
        return local.replace(tzinfo=UTC)

    return now


def times(usage: Usage, count: int) -> Usage:
    return Usage(
        input_tokens=usage.input_tokens * count,
        output_tokens=usage.output_tokens * count,
        cache_write_tokens=usage.cache_write_tokens * count,
        cache_read_tokens=usage.cache_read_tokens * count,
    )


def test_a_day_without_calls_is_known_by_its_date(collection: Documents, server_now: Callable[[], datetime]) -> None:
    before = server_now().date()
    today = Spending(collection).today()
    assert before <= today.day <= server_now().date()
    assert (today.micro, today.calls, today.models) == (0, 0, {})


def test_calls_are_summed_by_model(collection: Documents) -> None:
    spending = Spending(collection)
    assert spending.book(OPUS, USAGE, 50_416, "65f0aa:1")
    assert spending.book(OPUS, USAGE, 50_416, "65f0aa:2")
    assert spending.book(SONNET, Usage(output_tokens=7), 12, "65f0bb:1")
    today = spending.today()
    assert (today.micro, today.calls) == (2 * 50_416 + 12, 3)
    assert today.models == {
        OPUS: ModelSpend(calls=2, usage=times(USAGE, 2), micro=2 * 50_416),
        SONNET: ModelSpend(calls=1, usage=Usage(output_tokens=7), micro=12),
    }


def test_an_attempt_is_booked_once_whatever_is_said_the_second_time(collection: Documents) -> None:
    spending = Spending(collection)
    assert spending.book(OPUS, USAGE, 50_416, "65f0aa:1")
    [first] = collection.find()
    assert not spending.book(SONNET, times(USAGE, 3), 99, "65f0aa:1")
    assert list(collection.find()) == [first]


def test_an_attempt_booked_before_midnight_is_not_booked_again_after_it(collection: Documents) -> None:
    spending = Spending(collection)
    spending.book(OPUS, USAGE, 50_416, "65f0aa:1")
    collection.update_one({}, [{"$set": {"at": {"$subtract": ["$at", 86_400_000]}, "day": "2020-01-01"}}])
    assert not spending.book(OPUS, USAGE, 50_416, "65f0aa:1")
    assert spending.today().micro == 0


def test_the_same_attempt_by_many_at_once_is_booked_once(collection: Documents) -> None:
    spending = Spending(collection)
    keys = [f"65f0aa:{n % 10}" for n in range(160)]
    with ThreadPoolExecutor(16) as pool:
        booked = list(pool.map(lambda key: spending.book(OPUS, USAGE, 5, key), keys))
    assert booked.count(True) == 10
    today = spending.today()
    assert (today.calls, today.micro) == (10, 50)


def test_losing_a_race_for_the_same_attempt_is_no_error(collection: Documents, monkeypatch: pytest.MonkeyPatch) -> None:
    spending = Spending(collection)

    def lost(*_: object, **__: object) -> None:
        raise DuplicateKeyError("E11000")

    monkeypatch.setattr(spending._collection, "update_one", lost)
    assert not spending.book(OPUS, USAGE, 5, "65f0aa:1")


def test_names_are_stored_as_given(collection: Documents) -> None:
    spending = Spending(collection)
    spending.book("$micro", USAGE, 5, "$_id:1")
    assert list(spending.today().models) == ["$micro"]
    assert collection.count_documents({"_id": "$_id:1"}) == 1


def test_the_day_is_the_servers(mongo_server: MongoSandbox, server_now: Callable[[], datetime]) -> None:
    with MongoClient[dict[str, Any]](mongo_server.uri) as naive, time_machine.travel(datetime(2001, 1, 1, tzinfo=UTC)):
        collection = naive[mongo_server.fresh_database()]["ops_spend"]
        before = server_now()
        Spending(collection).book(OPUS, USAGE, 5, "65f0aa:1")
        today = Spending(collection).today()
        [booked] = collection.find()
        naive.drop_database(collection.database)
        at = booked["at"].replace(tzinfo=UTC)
        assert before <= at <= server_now()
        assert booked["day"] == at.date().isoformat()
        assert at.date() <= today.day <= server_now().date()


def test_the_total_reads_one_day_by_its_index(collection: Documents) -> None:
    collection.insert_many(
        {"_id": f"{day}:{n}", "day": f"2020-01-{day:02d}", "model": OPUS, "micro": 1}
        for day in range(1, 21)
        for n in range(100)
    )
    spending = Spending(collection)
    for n in range(5):
        spending.book(OPUS, USAGE, 5, f"65f0aa:{n}")
    database = collection.database
    database.command("profile", 2)
    assert spending.today().calls == 5
    database.command("profile", 0)
    [read] = database["system.profile"].find({"ns": collection.full_name, "command.aggregate": collection.name})
    assert read["planSummary"] == "IXSCAN { day: 1 }"
    assert (read["keysExamined"], read["docsExamined"]) == (5, 5)


def test_what_is_booked_is_kept_for_a_year_and_a_month(collection: Documents) -> None:
    spending = Spending(collection)
    spending.book(OPUS, USAGE, 5, "65f0aa:1")
    expiry = collection.index_information()["at_expires"]
    assert timedelta(seconds=expiry["expireAfterSeconds"]) == KEPT
    assert [name for name, _ in expiry["key"]] == ["at"]
    assert collection.count_documents({"at": {"$type": "date"}}) == 1
