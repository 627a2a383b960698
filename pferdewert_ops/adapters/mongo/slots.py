"""Fleet-wide limits as slots that expire with their lease: nobody counts, so no counter can leak.

A limit on how many run at once is slots that are renewed while the job runs and released after it. A limit of N a
minute is N slots with a lease of a minute that are neither renewed nor released. The server's clock alone decides.
"""

import random
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo import ASCENDING, IndexModel, ReadPreference, UpdateOne, WriteConcern
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError

COLLECTION = "ops_slots"
INDEXES = (IndexModel([("limiter", ASCENDING), ("leaseUntil", ASCENDING), ("n", ASCENDING)], name="limiter_lease_n"),)

# Rounds of one take. Each lost round means that others got what we picked; what is left over waits for the next poll.
ROUNDS = 5
DUPLICATE_KEY = 11000  # the server's error code
_FREE_SINCE_EVER = datetime(1970, 1, 1, tzinfo=UTC)

Document = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One slot as taken. It is ours for as long as the document carries `token`."""

    id: str
    token: str


class Slots:
    """One limit of `size` slots. `limiter` names it, such as `evaluation` or `mail per minute`.

    A smaller size holds as soon as the slots above it have come back; a larger one holds at once. Where processes are
    configured with different sizes, the largest holds. All methods raise pymongo's errors; slots that a lost reply
    left taken come back with their lease.
    """

    def __init__(self, collection: Collection[Document], limiter: str, size: int, lease: timedelta) -> None:
        self._collection = _as_needed(collection)
        self._limiter = limiter
        self._size = size
        self._lease_ms = round(lease / timedelta(milliseconds=1))

    def take(self, most: int, holder: str) -> list[Slot]:
        """Up to `most` slots for `holder`: fewer where the limit is reached, none where it is used up."""
        taken: list[Slot] = []
        for _ in range(ROUNDS):
            wanted = most - len(taken)
            free = self._free() if wanted > 0 else []
            if not free:
                break
            random.shuffle(free)  # so that those who look at the same time seldom pick the same ones
            taken += self._taken_of(free[:wanted], holder)
        return taken

    def renew(self, slots: Sequence[Slot], collection: Collection[Document] | None = None) -> list[Slot]:
        """Those that are still ours, with a new lease. One that is missing was late and belongs to somebody else.

        `collection` is the same one through the renewing thread's own client, whose sockets give up early.
        """
        if not slots:
            return []
        through = self._collection if collection is None else _as_needed(collection)
        lease = {"$set": {"leaseUntil": self._lease_end()}}
        through.bulk_write([UpdateOne(_ours(slot), [lease]) for slot in slots], ordered=False)
        return _held(through, slots)

    def release(self, slots: Sequence[Slot]) -> None:
        """Give them back at once. One that is somebody else's by now stays theirs."""
        if not slots:
            return
        free = {"$set": {"holder": None, "token": None, "leaseUntil": _FREE_SINCE_EVER}}
        self._collection.bulk_write([UpdateOne(_ours(slot), free) for slot in slots], ordered=False)

    def _free(self) -> list[str]:
        free = self._find_free()
        if not free and self._add_missing():
            free = self._find_free()
        return free

    def _find_free(self) -> list[str]:
        query = {"limiter": self._limiter, "n": {"$lt": self._size}, "$expr": _EXPIRED}
        with self._collection.find(query, {"_id": 1}) as cursor:
            return [document["_id"] for document in cursor]

    def _add_missing(self) -> bool:
        """Whether slots were missing: at the first use, and after the size was raised."""
        query = {"limiter": self._limiter, "n": {"$lt": self._size}}
        with self._collection.find(query, {"_id": 0, "n": 1}) as cursor:
            present = {document["n"] for document in cursor}
        missing = [n for n in range(self._size) if n not in present]
        if not missing:
            return False
        try:
            self._collection.insert_many([self._new(n) for n in missing], ordered=False)
        except BulkWriteError as error:
            # Another process adds the same ones at the same time; any other error is one.
            if any(failed["code"] != DUPLICATE_KEY for failed in error.details["writeErrors"]):
                raise
        return True

    def _new(self, n: int) -> Document:
        return {
            "_id": f"{self._limiter}:{n}",
            "limiter": self._limiter,
            "n": n,
            "holder": None,
            "token": None,
            "leaseUntil": _FREE_SINCE_EVER,
        }

    def _taken_of(self, picked: list[str], holder: str) -> list[Slot]:
        token = secrets.token_hex(12)
        # Literals, because a name that begins with a dollar sign would be read as a field's.
        values = {"holder": {"$literal": holder}, "token": {"$literal": token}, "leaseUntil": self._lease_end()}
        self._collection.update_many({"_id": {"$in": picked}, "$expr": _EXPIRED}, [{"$set": values}])
        return _held(self._collection, [Slot(id=name, token=token) for name in picked])

    def _lease_end(self) -> Mapping[str, Any]:
        return {"$add": ["$$NOW", self._lease_ms]}


_EXPIRED = {"$lte": ["$leaseUntil", "$$NOW"]}


def _as_needed(collection: Collection[Document]) -> Collection[Document]:
    return collection.with_options(read_preference=ReadPreference.PRIMARY, write_concern=WriteConcern("majority"))


def _held(collection: Collection[Document], slots: Sequence[Slot]) -> list[Slot]:
    with collection.find({"_id": {"$in": [slot.id for slot in slots]}}, {"token": 1}) as cursor:
        tokens = {document["_id"]: document["token"] for document in cursor}
    return [slot for slot in slots if tokens.get(slot.id) == slot.token]


def end_leases(collection: Collection[Document], limiters: Sequence[str], holder: str) -> None:
    """Free what a worker held that is known to be dead, of these limiters; what it used up of a rate stays used."""
    free = {"$set": {"holder": None, "token": None, "leaseUntil": _FREE_SINCE_EVER}}
    _as_needed(collection).update_many({"limiter": {"$in": list(limiters)}, "holder": {"$eq": holder}}, free)


def _ours(slot: Slot) -> Document:
    return {"_id": slot.id, "token": slot.token}
