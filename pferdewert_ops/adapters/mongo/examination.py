"""What a checkup asks of the server itself: its clock, its version, the way to it, and whether a write gets through."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import WriteConcernError
from pymongo.uri_parser import parse_uri

from pferdewert_ops.adapters.mongo import documents
from pferdewert_ops.adapters.mongo.documents import Document
from pferdewert_ops.domain.products import PRODUCTS

# No document of the shop or of ours has it, so that a write to it changes nothing.
NOBODY = "pwops:nobody"
# The last of several questions is the one that found a connection waiting.
QUESTIONS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """`seconds` is the time that an answer takes; `skew` is our clock less the server's."""

    version: str
    seconds: float
    skew: timedelta
    is_replicated: bool


def ask_server(client: MongoClient[Document]) -> ServerFacts:
    """Raises pymongo's errors."""
    hello: dict[str, Any] = {}
    seconds, middle = 0.0, datetime.now(UTC)
    for _ in range(QUESTIONS):
        began, at = time.monotonic(), datetime.now(UTC)
        hello = client.admin.command("hello")
        seconds = time.monotonic() - began
        middle = at + timedelta(seconds=seconds / 2)
    told = hello["localTime"]
    return ServerFacts(
        version=str(client.server_info()["version"]),
        seconds=seconds,
        skew=middle - (told if told.tzinfo else told.replace(tzinfo=UTC)),
        is_replicated="setName" in hello or hello.get("msg") == "isdbgrid",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How a connection string leads to the server."""

    is_encrypted: bool
    is_local: bool


def way_to(uri: str) -> Way:
    """Read a valid connection string. One that is found by a name server is encrypted unless it says otherwise."""
    if uri.startswith("mongodb+srv://"):
        query = uri.partition("?")[2].lower()
        return Way(is_encrypted="tls=false" not in query and "ssl=false" not in query, is_local=False)
    parsed = parse_uri(uri)
    return Way(
        is_encrypted=bool(parsed["options"].get("tls")),
        is_local=all(_is_loopback(host) for host, _ in parsed["nodelist"]),
    )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".sock")


def majority_confirms_writes(database: Database[Document]) -> bool:
    """Write to nobody, in every collection where a worker writes, and wait until a majority has heard of it.

    Raises pymongo's errors, such as for a right that is missing.
    """
    collections = [product.collection for product in PRODUCTS.values()]
    try:
        for name in [*collections, documents.JOBS, documents.MAILS, documents.SETTINGS]:
            database[name].update_one({"_id": NOBODY}, {"$set": {"nobody": True}})
    except WriteConcernError:
        return False
    return True
