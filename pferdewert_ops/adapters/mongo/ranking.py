"""The rank of a job in the queue, worked out by the server: time of readiness plus a handicap by class."""

from collections.abc import Mapping
from typing import Any

from pferdewert_ops.domain.jobs import handicap


def ranked_if_due() -> list[Mapping[str, Any]]:
    """The stages that give a pending document its rank, if its time has come."""
    is_date = {"$eq": [{"$type": "$scheduledAt"}, "date"]}
    is_due = {"$lte": ["$scheduledAt", "$$NOW"]}
    rank = {"$add": ["$scheduledAt", _handicap_expression()]}
    return [
        # Anything but a date, be it absent or somebody's text, means due now: one odd document must not stop all.
        {"$set": {"scheduledAt": {"$cond": [is_date, "$scheduledAt", "$$NOW"]}}},
        {"$set": {"rank": {"$cond": [is_due, rank, "$$REMOVE"]}}},
    ]


def _handicap_expression() -> dict[str, Any]:
    """The rule of `jobs.handicap` as the server's arithmetic, in milliseconds."""
    paid = {"$eq": ["$paid", True]}
    retry = {"$gt": ["$attempts", 0]}
    premium = {"$eq": ["$priority", "premium"]}

    def branch(*, is_paid: bool, is_retry: bool, is_premium: bool) -> dict[str, Any]:
        conditions = [
            paid if is_paid else {"$not": [paid]},
            retry if is_retry else {"$not": [retry]},
            premium if is_premium else {"$not": [premium]},
        ]
        delay = handicap(paid=is_paid, retry=is_retry, premium=is_premium)
        return {"case": {"$and": conditions}, "then": round(delay.total_seconds() * 1000)}

    choices = (False, True)
    return {
        "$switch": {
            "branches": [
                branch(is_paid=is_paid, is_retry=is_retry, is_premium=is_premium)
                for is_paid in choices
                for is_retry in choices
                for is_premium in choices
            ],
            "default": 0,
        }
    }
