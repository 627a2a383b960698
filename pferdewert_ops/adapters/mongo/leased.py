"""The one queue mechanism: fenced claims in batches, leases by the server's clock, one write for every outcome.

A document is claimable when its `status` is pending and it has a `rank`. Every later write matches
`{_id, fence, status: processing}`: whoever lost the lease modifies nothing. Whoever takes a document away from its
holder raises the fence, so that the fence alone tells whether it was lost. `evaluation_jobs` and `mail_outbox` are
both served by it.
"""

import contextlib
import random
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo import ASCENDING, IndexModel, UpdateMany, UpdateOne
from pymongo.collection import Collection
from pymongo.errors import AutoReconnect, WriteConcernError
from pymongo.write_concern import WriteConcern

from pferdewert_ops.adapters.mongo.ranking import ranked_if_due

Document = dict[str, Any]
Update = Mapping[str, Any] | list[Mapping[str, Any]]

CLAIM_INDEX = "pwops_claim"
PROMOTE_INDEX = "pwops_promote"
LEASE_INDEX = "pwops_lease"
# Said where ids are named: left alone, the server tries the indexes on `status` too, and sometimes keeps one.
BY_ID = "_id_"

# A claim that starts where the last one ended may overlook, for this long, a job that got a better rank since.
FLOOR_LIFE = 0.5  # seconds
_OLDEST = datetime(1, 1, 1, tzinfo=UTC)

LEASED_INDEXES = [
    # Pending documents without a rank stand in it under null; the claim's lower bound passes over them.
    IndexModel(
        [("rank", ASCENDING), ("_id", ASCENDING)], name=CLAIM_INDEX, partialFilterExpression={"status": "pending"}
    ),
    # `rank: null` also means absent; a partial index refuses `$exists: false`. Without a fence it is the shop's own.
    IndexModel(
        [("scheduledAt", ASCENDING)],
        name=PROMOTE_INDEX,
        partialFilterExpression={"status": "pending", "rank": None, "fence": {"$gte": 0}},
    ),
    IndexModel([("leaseUntil", ASCENDING)], name=LEASE_INDEX, partialFilterExpression={"status": "processing"}),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leased:
    """A document that this process holds: its id, the fence of the claim, and the document as claimed."""

    id: Any
    fence: int
    document: Document


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """One write for one held document. It leaves the state `processing`, or it is lost."""

    leased: Leased
    update: Update


class LeasedQueue:
    """One collection used as a queue by one process (`holder`)."""

    def __init__(
        self,
        collection: Collection[Document],
        *,
        holder: str,
        lease: timedelta,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._collection = collection.with_options(write_concern=WriteConcern("majority"))
        self._holder = holder
        self._lease_ms = round(lease.total_seconds() * 1000)
        self._monotonic = monotonic
        self._floor: tuple[Any, Any] | None = None
        self._floor_ends = 0.0
        self._contended = False

    # --- claim -----------------------------------------------------------------------------------------------

    def claim(self, most: int, only: Mapping[str, Any] | None = None) -> list[Leased]:
        """Take up to `most` documents, best rank first; `only` narrows what may be taken."""
        wanted = 2 * most if self._contended else most
        candidates = self._candidates(wanted, only or {})
        if not candidates:
            return []
        # Alone, the queue is served strictly by rank. Where others claim too, sharing the best 2K avoids collisions.
        chosen = random.sample(candidates, min(most, len(candidates))) if self._contended else candidates
        claimed = self._take([identity for _, identity in chosen], only or {})
        self._contended = len(claimed) < len(chosen)
        took_all = len(claimed) == len(candidates)
        if len(candidates) == wanted:  # else the queue ends here, and the next claim has to look from the bottom
            self._floor = candidates[-1] if took_all else candidates[0]
        order = {identity: place for place, (_, identity) in enumerate(candidates)}
        return sorted(claimed, key=lambda leased: order[leased.id])

    def forget_floor(self) -> None:
        """Start the next claim at the bottom of the index: something may have been ranked below the last one."""
        self._floor = None

    def _candidates(self, most: int, only: Mapping[str, Any]) -> list[tuple[datetime, Any]]:
        now = self._monotonic()
        if self._floor is not None and now < self._floor_ends:
            found = self._read(most, only, self._floor)
            if len(found) == most:
                return found
        # From the bottom, past the index entries of jobs claimed lately, which the server keeps for a while: at most
        # every FLOOR_LIFE and whenever the queue seems to end, so that a better rank is overlooked briefly at worst.
        self._floor, self._floor_ends = None, now + FLOOR_LIFE
        return self._read(most, only, None)

    def _read(self, most: int, only: Mapping[str, Any], floor: tuple[Any, Any] | None) -> list[tuple[datetime, Any]]:
        cursor = (
            self._collection.find({"status": "pending", "rank": {"$gte": _OLDEST}, **only}, {"rank": 1})
            .sort([("rank", ASCENDING), ("_id", ASCENDING)])
            .limit(most)
            .hint(CLAIM_INDEX)
        )
        if floor is not None:
            bound: list[Any] = [("rank", floor[0]), ("_id", floor[1])]
            cursor = cursor.min(bound)
        with cursor:
            return [(found["rank"], found["_id"]) for found in cursor]

    def _take(self, ids: Sequence[Any], only: Mapping[str, Any]) -> list[Leased]:
        token = uuid.uuid4().hex
        claim = {
            "status": "processing",
            "fence": {"$add": [{"$ifNull": ["$fence", 0]}, 1]},
            # An outsider may have written anything here, and one odd document must not stop the others.
            "attempts": {"$add": [{"$cond": [{"$isNumber": "$attempts"}, "$attempts", 0]}, 1]},
            "leaseUntil": {"$add": ["$$NOW", self._lease_ms]},
            "startedAt": "$$NOW",
            "claimToken": token,
            "processedBy": {"$literal": self._holder},
        }
        # What narrows the claim must not replace what makes it one, so both stand beside each other.
        still = {"$and": [{"_id": {"$in": list(ids)}, "status": "pending", "rank": {"$gte": _OLDEST}}, dict(only)]}
        # A reply that is lost, or that tells of a stepping down, is no lost claim: the token says what was written.
        with contextlib.suppress(AutoReconnect, WriteConcernError):
            self._collection.update_many(still, [{"$set": claim}], hint=BY_ID)
        mine = {"_id": {"$in": list(ids)}, "claimToken": token, "status": "processing"}
        with self._collection.find(mine).hint(BY_ID) as cursor:
            return [Leased(id=document["_id"], fence=document["fence"], document=document) for document in cursor]

    # --- hold ------------------------------------------------------------------------------------------------

    def renew(
        self, held: Sequence[tuple[Leased, Mapping[str, Any] | None]], collection: Collection[Document]
    ) -> set[tuple[Any, int]]:
        """Prolong leases, with progress where there is some, in one bulk write; returns id and fence of what was lost.

        `collection` is the same one through the renewing thread's own client, whose sockets give up early.
        """
        until = {"leaseUntil": {"$add": ["$$NOW", self._lease_ms]}}
        updates: list[Settlement] = []
        for leased, progress in held:
            more = {} if progress is None else {"progress": {"$literal": dict(progress)}}
            updates.append(Settlement(leased=leased, update=[{"$set": {**until, **more}}]))
        writes = _grouped(updates, {})
        if not writes:
            return set()
        result = collection.with_options(write_concern=WriteConcern("majority")).bulk_write(writes, ordered=False)
        if result.matched_count == len(held):
            return set()
        fences = _fences(collection, [leased.id for leased, _ in held])
        return {(leased.id, leased.fence) for leased, _ in held if fences.get(leased.id) != leased.fence}

    # --- let go ----------------------------------------------------------------------------------------------

    def settle(self, settlements: Sequence[Settlement], *, expired: bool = False) -> set[Any]:
        """Write outcomes, each only while its claim still holds; returns the ids that somebody else owns by now.

        `expired`: additionally only where the lease ran out, for taking back what a lost worker held. Repeating a
        call whose reply was lost is harmless: a document that left `processing` under our fence was settled by us.
        """
        if not settlements:
            return set()
        if expired:
            settlements = [replace(one, update=_taken_away(one.update)) for one in settlements]
        also: Document = {"$expr": {"$lte": ["$leaseUntil", "$$NOW"]}} if expired else {}
        result = self._collection.bulk_write(_grouped(settlements, also), ordered=False)
        if result.matched_count == len(settlements):
            return set()
        fences = _fences(self._collection, [one.leased.id for one in settlements])
        raised = 1 if expired else 0
        return {one.leased.id for one in settlements if fences.get(one.leased.id) != one.leased.fence + raised}

    # --- keep moving -----------------------------------------------------------------------------------------

    def promote(self) -> int:
        """Give a rank to what is due and has none: new documents, and retries whose time has come."""
        due = {
            "status": "pending",
            "rank": None,
            "fence": {"$gte": 0},
            "$expr": {"$lte": ["$scheduledAt", "$$NOW"]},
        }
        return self._collection.update_many(due, ranked_if_due(), hint=PROMOTE_INDEX).modified_count

    def expired(self, most: int) -> list[Leased]:
        """Documents whose holder let the lease run out, longest gone first."""
        gone = {
            "status": "processing",
            "leaseUntil": {"$gte": _OLDEST},
            "$expr": {"$lte": ["$leaseUntil", "$$NOW"]},
        }
        cursor = self._collection.find(gone).sort("leaseUntil", ASCENDING).limit(most).hint(LEASE_INDEX)
        with cursor:
            return [Leased(id=found["_id"], fence=found["fence"], document=found) for found in cursor]

    def expire_holder(self, holder: str) -> int:
        """End the leases of a worker that is known to be dead, so that they are taken back at once."""
        held = {"status": "processing", "processedBy": holder, "leaseUntil": {"$gte": _OLDEST}}
        return self._collection.update_many(held, [{"$set": {"leaseUntil": "$$NOW"}}], hint=LEASE_INDEX).modified_count

    def processing(self) -> int:
        """How many documents the whole fleet holds now. What others left in this state has no lease of ours."""
        held = {"status": "processing", "leaseUntil": {"$gte": _OLDEST}}
        return self._collection.count_documents(held, hint=LEASE_INDEX)


def _taken_away(update: Update) -> Update:
    """The same outcome with the fence raised: a holder who only was slow must not take it for its own."""
    assert isinstance(update, list), "what happens to an expired lease is a pipeline"  # noqa: S101
    return [*update, {"$set": {"fence": {"$add": ["$fence", 1]}}}]


def _fences(collection: Collection[Document], ids: Sequence[Any]) -> dict[Any, Any]:
    with collection.find({"_id": {"$in": list(ids)}}, {"fence": 1}) as found:
        return {document["_id"]: document.get("fence") for document in found}


def _grouped(settlements: Sequence[Settlement], also: Mapping[str, Any]) -> list[UpdateMany | UpdateOne]:
    """Equal updates under equal fences become one `updateMany`, at a quarter of the cost of single ones."""
    groups: dict[tuple[int, str], list[Settlement]] = defaultdict(list)
    for one in settlements:
        groups[one.leased.fence, repr(one.update)].append(one)
    writes: list[UpdateMany | UpdateOne] = []
    for (fence, _), group in groups.items():
        match: Document = {"fence": fence, "status": "processing", **also}
        if len(group) == 1:
            writes.append(UpdateOne({"_id": group[0].leased.id, **match}, group[0].update, hint=BY_ID))
        else:
            ids = [one.leased.id for one in group]
            writes.append(UpdateMany({"_id": {"$in": ids}, **match}, group[0].update, hint=BY_ID))
    return writes
