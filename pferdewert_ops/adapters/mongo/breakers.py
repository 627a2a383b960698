"""The breaker of one dependency, the same for the whole fleet: one document, changed by compare-and-set alone.

The rules are those of `domain.breaker`; here they meet the server's clock and the document's generation.
"""

import random
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pymongo import ReadPreference, WriteConcern
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError

from pferdewert_ops.domain.breaker import (
    Breaker,
    BreakerLimits,
    BreakerMode,
    after_failure,
    after_success,
    give_back_probe,
    is_admitting,
    take_probe,
)

COLLECTION = "ops_breakers"

# A lost round is somebody else's win, so this only runs out where twenty others were faster one after another.
TRIES = 20
# Waits between rounds are drawn up to this, doubled each round: a single-document majority write takes 2 to 4 ms.
FIRST_PAUSE_SECONDS = 0.004
LONGEST_PAUSE_SECONDS = 0.1
# How old an answer of `admitting` may be. A breaker rests for a minute, so a second more or less changes nothing.
CACHE_SECONDS = 1.0

Document = dict[str, Any]
Decision = Callable[[Breaker, datetime], Breaker | None]


class BreakerContended(Exception):  # noqa: N818 - what happened, not whose error it is
    """Others changed the breaker in every one of our rounds; nothing was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Leave to make one call. `holder` is unique to it; `found` is the mode that the breaker was in before."""

    holder: str
    probe: bool
    found: BreakerMode = BreakerMode.CLOSED


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one write of ours made of the breaker."""

    before: Breaker
    after: Breaker


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerOverview:
    """One line of a status screen. `next_probe_at` is when the next trial may go; None while closed."""

    name: str
    mode: BreakerMode
    failures: int
    opened_at: datetime | None
    next_probe_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    breaker: Breaker
    server_now: datetime
    at: float


class SharedBreaker:
    """One dependency's breaker as this process sees and moves it. Safe to use from many threads.

    `name` is the document's id, such as `model:claude-opus-5-5` or `mail:resend`; `holder` names this process.
    All methods raise pymongo's errors; those that report raise BreakerContended when they lost every round.
    """

    def __init__(
        self,
        collection: Collection[Document],
        name: str,
        limits: BreakerLimits,
        holder: str,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._collection = _as_needed(collection)
        self.name = name
        self.limits = limits
        self._holder = holder
        self._monotonic = monotonic
        self._seen: _Seen | None = None

    def read(self) -> tuple[Breaker, datetime]:
        """The stored breaker (closed where none is stored yet) and the server's time, in one query."""
        at = self._monotonic()
        # The facet gives a row, and with it the time, where there is no document too.
        pipeline: list[Mapping[str, Any]] = [
            {"$match": {"_id": self.name}},
            {"$facet": {"found": [{"$limit": 1}]}},
            {"$project": {"found": 1, "now": "$$NOW"}},
        ]
        with self._collection.aggregate(pipeline) as cursor:
            row = cursor.next()
        breaker = _breaker_of(row["found"][0]) if row["found"] else Breaker()
        self._seen = _Seen(breaker=breaker, server_now=row["now"], at=at)
        return breaker, row["now"]

    def admitting(self) -> bool:
        """Whether a call may be made, be it as the one probe. Writes nothing; may be a second old."""
        seen = self._seen
        elapsed = 0.0 if seen is None else self._monotonic() - seen.at
        if seen is None or elapsed > CACHE_SECONDS:
            return is_admitting(*self.read(), self.limits)
        return is_admitting(seen.breaker, seen.server_now + timedelta(seconds=elapsed), self.limits)

    def admit(self) -> Admission | None:
        """Leave to make a call now: any number while closed, one probe in the whole fleet when a trial is due.

        Every admission has to be reported back; a probe that is not is lost when its lease ends.
        """
        holder = f"{self._holder}/{secrets.token_hex(8)}"
        for _ in range(TRIES):
            breaker, now = self.read()
            if breaker.mode is BreakerMode.CLOSED:
                return Admission(holder=holder, probe=False)
            taken = take_probe(breaker, holder, now, self.limits)
            if taken is None:
                return None
            if self._store(breaker, taken):
                return Admission(holder=holder, probe=True, found=breaker.mode)
        return None  # others moved it in every round: to wait is the safe answer

    def succeeded(self, admission: Admission) -> Change | None:
        """The dependency answered. None where that changes nothing, which costs no write."""
        return self._change(lambda breaker, _: after_success(breaker, admission.holder))

    def failed(self, admission: Admission) -> Change | None:
        """The dependency failed. None where that says nothing any more: it is open already."""
        return self._change(lambda breaker, now: after_failure(breaker, admission.holder, now, self.limits))

    def gave_back(self, admission: Admission) -> Change | None:
        """The call ended without saying anything about the dependency: a probe is free for the next one."""
        if not admission.probe:
            return None
        return self._change(lambda breaker, _: give_back_probe(breaker, admission.holder))

    def _change(self, decide: Decision) -> Change | None:
        for turn in range(TRIES):
            before, now = self.read()
            after = decide(before, now)
            if after is None:
                return None
            if self._store(before, after):
                return Change(before=before, after=after)
            longest = min(FIRST_PAUSE_SECONDS * 2**turn, LONGEST_PAUSE_SECONDS)
            time.sleep(random.uniform(0, longest))
        raise BreakerContended(self.name)

    def _store(self, before: Breaker, after: Breaker) -> bool:
        """Whether the document was still at the generation that `after` was decided on."""
        try:
            result = self._collection.replace_one(
                {"_id": self.name, "generation": before.generation},
                _document_of(self.name, after, self.limits),
                upsert=before.generation == 0,
            )
        except DuplicateKeyError:
            return False  # somebody else created the document first
        self._seen = None
        return result.matched_count == 1 or result.upserted_id is not None


def overview(collection: Collection[Document]) -> list[BreakerOverview]:
    """Every breaker that has ever moved, by name. One that is missing is closed."""
    with _as_needed(collection).find().sort("_id") as cursor:
        return [
            BreakerOverview(
                name=document["_id"],
                mode=BreakerMode(document["mode"]),
                failures=document["failures"],
                opened_at=document["openedAt"],
                next_probe_at=document["nextProbeAt"],
            )
            for document in cursor
        ]


def _as_needed(collection: Collection[Document]) -> Collection[Document]:
    """Majority, so that a failover does not forget an open breaker; aware times, whatever the client was given."""
    return collection.with_options(
        codec_options=collection.codec_options.with_options(tz_aware=True),
        read_preference=ReadPreference.PRIMARY,
        write_concern=WriteConcern("majority"),
    )


def _breaker_of(document: Document) -> Breaker:
    return Breaker(
        mode=BreakerMode(document["mode"]),
        generation=document["generation"],
        failures=document["failures"],
        first_failure_at=document["firstFailureAt"],
        opened_at=document["openedAt"],
        probe=document["probe"],
        probe_until=document["probeUntil"],
    )


def _document_of(name: str, breaker: Breaker, limits: BreakerLimits) -> Document:
    rested_at = breaker.opened_at + limits.rest if breaker.opened_at else None
    return {
        "_id": name,
        "mode": breaker.mode.value,
        "generation": breaker.generation,
        "failures": breaker.failures,
        "firstFailureAt": breaker.first_failure_at,
        "openedAt": breaker.opened_at,
        "probe": breaker.probe,
        "probeUntil": breaker.probe_until,
        # For screens only: the decision is made afresh from the fields above.
        "nextProbeAt": {
            BreakerMode.CLOSED: None,
            BreakerMode.OPEN: rested_at,
            BreakerMode.HALF_OPEN: breaker.probe_until,
        }[breaker.mode],
    }
