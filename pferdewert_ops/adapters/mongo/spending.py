"""What the model calls of a day have cost, for the whole fleet: one small document for each billed attempt.

A day's total is their sum over an index. A running total beside them would need a second write, and a crash between
the two would lose money or count it twice; one write with the attempt as its id can do neither.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from pymongo import ASCENDING, IndexModel, ReadPreference, WriteConcern
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError

from pferdewert_ops.domain.failures import Usage
from pferdewert_ops.domain.spending import ModelSpend, SpentToday

COLLECTION = "ops_spend"

# A year, and a month to look back at it. At 20 EUR a day the collection stays well under a million small documents.
KEPT = timedelta(days=400)
INDEXES = (
    IndexModel([("day", ASCENDING)], name="day"),
    IndexModel([("at", ASCENDING)], name="at_expires", expireAfterSeconds=round(KEPT.total_seconds())),
)

Document = dict[str, Any]

_DAY = {"$dateToString": {"format": "%Y-%m-%d", "date": "$$NOW", "timezone": "UTC"}}
_TOKENS = ("inputTokens", "outputTokens", "cacheWriteTokens", "cacheReadTokens")


class Spending:
    """The fleet's book of model cost. Both methods raise pymongo's errors; booking again is always safe."""

    def __init__(self, collection: Collection[Document]) -> None:
        self._collection = collection.with_options(
            codec_options=collection.codec_options.with_options(tz_aware=True),
            read_preference=ReadPreference.PRIMARY,
            write_concern=WriteConcern("majority"),
        )

    def book(self, model: str, usage: Usage, micro: int, job_key: str) -> bool:
        """Book one attempt on the server's present day. `micro` is in millionths of a euro.

        `job_key` is `<job id>:<fence>`. False where this attempt is booked already: then nothing changes, not even
        to another amount or day.
        """
        # Literal, because a text that begins with a dollar sign would be read as a field's name.
        booked = {"$literal": {"model": model, "micro": micro, **_tokens_of(usage)}}
        first = {"$mergeObjects": [{"_id": "$_id", "day": _DAY, "at": "$$NOW"}, booked]}
        is_new = {"$eq": [{"$type": "$at"}, "missing"]}
        try:
            result = self._collection.update_one(
                {"_id": job_key}, [{"$replaceWith": {"$cond": [is_new, first, "$$ROOT"]}}], upsert=True
            )
        except DuplicateKeyError:
            return False  # the same attempt was booked at the same moment
        return result.upserted_id is not None

    def today(self) -> SpentToday:
        """What is booked on the server's present UTC day."""
        sums = {name: {"$sum": f"${name}"} for name in ("micro", *_TOKENS)}
        pipeline: list[Mapping[str, Any]] = [
            {"$match": {"$expr": {"$eq": ["$day", _DAY]}}},
            # The facet gives a row, and with it the server's day, where nothing is booked too.
            {"$facet": {"models": [{"$group": {"_id": "$model", "calls": {"$sum": 1}, **sums}}]}},
            {"$project": {"models": 1, "now": "$$NOW"}},
        ]
        with self._collection.aggregate(pipeline) as cursor:
            row = cursor.next()
        return SpentToday(day=row["now"].date(), models={model["_id"]: _spend_of(model) for model in row["models"]})


def _tokens_of(usage: Usage) -> dict[str, int]:
    counts = (usage.input_tokens, usage.output_tokens, usage.cache_write_tokens, usage.cache_read_tokens)
    return dict(zip(_TOKENS, counts, strict=True))


def _spend_of(model: Document) -> ModelSpend:
    usage = Usage(
        input_tokens=model["inputTokens"],
        output_tokens=model["outputTokens"],
        cache_write_tokens=model["cacheWriteTokens"],
        cache_read_tokens=model["cacheReadTokens"],
    )
    return ModelSpend(calls=model["calls"], usage=usage, micro=model["micro"])
