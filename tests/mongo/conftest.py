"""One real server for all tests of this folder, and a database of its own for each test."""

from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from pferdewert_ops.sandbox.mongodb import MongoSandbox


@pytest.fixture(scope="session")
def mongo_server() -> Iterator[MongoSandbox]:
    with MongoSandbox.start() as sandbox:
        yield sandbox


@pytest.fixture
def database(mongo_server: MongoSandbox) -> Iterator[Database[dict[str, Any]]]:
    with MongoClient[dict[str, Any]](mongo_server.uri, tz_aware=True) as client:
        name = mongo_server.fresh_database()
        yield client[name]
        client.drop_database(name)
