"""Random histories of three workers, the shop, its customers and an operator keep every promise."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from pymongo import MongoClient
from pymongo.database import Database

from pferdewert_ops.adapters.mongo import schema
from pferdewert_ops.sandbox.mongodb import MongoSandbox
from tests.mongo.history_promises import Promises
from tests.mongo.history_world import PLAN, WORKERS, World
from tests.mongo.queue_support import Document

Operation = tuple[str, Callable[[World], None]]

order = st.sampled_from([0, *range(len(PLAN))])
worker = st.integers(0, WORKERS - 1)
ANSWERS = ["completed"] * 4 + ["handed_back", "ai_timeout", "invalid_output", "network_error", "auth"]
HANDOVERS = ["accepted", "accepted", "refused", "lost_before", "lost_after"]


def does(
    name: str, *arguments: st.SearchStrategy[Any], **named: st.SearchStrategy[Any]
) -> st.SearchStrategy[Operation]:
    """One operation with drawn arguments, and how it reads in a report."""

    def made(drawn: tuple[tuple[Any, ...], dict[str, Any]]) -> Operation:
        positional, keywords = drawn
        told = ", ".join([*map(repr, positional), *(f"{key}={value!r}" for key, value in keywords.items())])
        return f"{name}({told})", lambda world: getattr(world, name)(*positional, **keywords)

    return st.tuples(st.tuples(*arguments), st.fixed_dictionaries(named)).map(made)


CLAIM = does("claim", worker)
CLAIM_MAIL = does("claim_mail", worker)
EVALUATE = does("evaluate", worker, st.sampled_from(ANSWERS))
SETTLE = does("settle", worker)
SEND_MAIL = does("send_mail", worker, st.sampled_from(HANDOVERS), dies=st.booleans())
BETWEEN = [
    does("claim", worker, paid_only=st.booleans()),
    does("renew", worker),
    does("die", worker),
    does("freeze", worker, worker, claims=st.booleans()),
    does("freeze", worker, worker, claims=st.just(True)),
    does("expire", order),
    does("rescue", worker),
    does("come_due"),
    does("adopt"),
    does("look_at", order),
    does("pay", order),
    does("long_ago", order),
    does("unpay", order, st.sampled_from(["pending", "failed", "cancelled"])),
    does("insert_job", order, as_text=st.booleans()),
    does("overwrite", order, st.sampled_from(["placeholder", "blank", "result"])),
    does("cancel", order),
    does("retry", order),
]


def next_of(world: World, data: st.DataObject) -> Operation:
    """What happens next: in three steps of four somebody works, or few histories would get anywhere."""
    if data.draw(st.integers(0, 3)) == 3:
        return data.draw(data.draw(st.sampled_from(BETWEEN)))
    hands = world.workers
    work = [CLAIM, CLAIM_MAIL]
    work += [EVALUATE] * 3 if any(one.held for one in hands) else []
    work += [SETTLE] * 3 if any(one.ready for one in hands) else []
    work += [SEND_MAIL] * 3 if any(one.letters for one in hands) else []
    return data.draw(data.draw(st.sampled_from(work)))


@pytest.fixture(scope="module")
def database(mongo_server: MongoSandbox) -> Iterator[Database[Document]]:
    with MongoClient[Document](mongo_server.uri, tz_aware=True) as client:
        name = mongo_server.fresh_database()
        schema.apply(client[name])
        yield client[name]
        client.drop_database(name)


def emptied(database: Database[Document]) -> Database[Document]:
    for name in database.list_collection_names():
        if database[name].find_one({}, {"_id": 1}) is not None:
            database[name].delete_many({})
    return database


@settings(
    max_examples=30,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
@given(unpaid=st.sets(order), jobless=st.sets(order), steps=st.integers(25, 50), data=st.data())
def test_every_promise_holds_in_every_history(
    database: Database[Document], unpaid: set[int], jobless: set[int], steps: int, data: st.DataObject
) -> None:
    world = World(emptied(database))
    promises = Promises(world)
    begin(world, unpaid, jobless)
    for _ in range(steps):
        told, operation = next_of(world, data)
        note(told)
        operation(world)
        promises.check(told.partition("(")[0])
    world.quiet_down()
    promises.check("passes")
    promises.check_quiet()


def begin(world: World, unpaid: set[int], jobless: set[int]) -> None:
    for number in range(len(PLAN)):
        if number not in unpaid:
            world.pay(number)
        if number not in jobless:
            world.insert_job(number, as_text=number % 2 == 0)
    world.adopt()
