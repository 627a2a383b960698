"""One real server for all tests of this folder, and a database of its own for each test."""

from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from pferdewert_ops.adapters.mongo import schema
from pferdewert_ops.sandbox.mongodb import MongoSandbox


@pytest.fixture
def database(mongo_server: MongoSandbox) -> Iterator[Database[dict[str, Any]]]:
    with MongoClient[dict[str, Any]](mongo_server.uri, tz_aware=True) as client:
        name = mongo_server.fresh_database()
        yield client[name]
        client.drop_database(name)


@pytest.fixture(scope="session")
def shops_schema(mongo_server: MongoSandbox) -> Iterator[Database[dict[str, Any]]]:
    """One database with all our indexes; making them for each test would take longer than most tests."""
    with MongoClient[dict[str, Any]](mongo_server.uri, tz_aware=True) as client:
        name = mongo_server.fresh_database()
        schema.apply(client[name])
        yield client[name]
        client.drop_database(name)


@pytest.fixture
def shop(shops_schema: Database[dict[str, Any]]) -> Database[dict[str, Any]]:
    """An empty shop with all our indexes."""
    for name in shops_schema.list_collection_names():
        if shops_schema[name].find_one({}, {"_id": 1}) is not None:
            shops_schema[name].delete_many({})
    return shops_schema
