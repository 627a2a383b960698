"""Connections to MongoDB with every option stated, and what is asked of the server before anything is written."""

from typing import Any

from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import ConnectionFailure, ExecutionTimeout, WTimeoutError
from pymongo.write_concern import WriteConcern

Document = dict[str, Any]

SELECTION_MS = 5_000  # a person waits for a command; a worker asks again anyway
CONNECT_MS = 5_000
# A frozen primary must not hang a call for longer than it takes the others to elect a new one, and then some.
SOCKET_MS = 20_000
# The keeper's own: shorter than its period, so that a lease survives a primary that freezes.
KEEPER_SOCKET_MS = 2_000
KEEPER_HEARTBEAT_MS = 1_000
MAJORITY_MS = 10_000
# The shop's dates reach from the year -271821 to 275760: one beyond Python's must not make a whole page unreadable.
ANY_DATE = "DATETIME_CLAMP"


def open_client(uri: str, *, name: str, most: int = 100) -> MongoClient[Document]:
    """A client for operations: aware datetimes, majority writes, the driver's retries on."""
    return MongoClient(
        uri,
        appname=name,
        tz_aware=True,
        datetime_conversion=ANY_DATE,
        maxPoolSize=most,
        serverSelectionTimeoutMS=SELECTION_MS,
        connectTimeoutMS=CONNECT_MS,
        socketTimeoutMS=SOCKET_MS,
        retryWrites=True,
        retryReads=True,
    )


def open_keeper_client(uri: str) -> MongoClient[Document]:
    """A client for renewing leases: it gives up early and looks for a new primary often."""
    return MongoClient(
        uri,
        appname="pwops-keeper",
        tz_aware=True,
        datetime_conversion=ANY_DATE,
        maxPoolSize=2,
        serverSelectionTimeoutMS=KEEPER_SOCKET_MS,
        connectTimeoutMS=KEEPER_SOCKET_MS,
        socketTimeoutMS=KEEPER_SOCKET_MS,
        heartbeatFrequencyMS=KEEPER_HEARTBEAT_MS,
        retryWrites=True,
    )


def database_of(client: MongoClient[Document], name: str) -> Database[Document]:
    """The shop's database, with the write concern that claims, results and money need."""
    return client.get_database(name, write_concern=WriteConcern("majority", wtimeout=MAJORITY_MS))


def is_away(error: Exception) -> bool:
    """Whether the server could not be reached or did not finish in time, so that anything else would fail as well."""
    return isinstance(error, ConnectionFailure | ExecutionTimeout | WTimeoutError)


def is_replicated(client: MongoClient[Document]) -> bool:
    """Whether this is a replica set or a sharded cluster; elsewhere a write can be lost and no change is told."""
    hello = client.admin.command("hello")
    return "setName" in hello or hello.get("msg") == "isdbgrid"
