"""The long waits after a failure: compared with the policy that they follow, and then not sat out.

A model that asks for patience and a mail that was refused for now rest for 10 to 30 seconds. The demonstration leaves
the policy and the record of it alone, and moves only the moment at which the wait ends.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pymongo.database import Database

from pferdewert_ops.adapters.mongo import documents
from pferdewert_ops.domain.failures import MAIL_POLICIES, POLICIES, ErrorClass, Policy, wait_before_retry
from pferdewert_ops.sandbox.demo.fates import Document
from pferdewert_ops.sandbox.demo.progress import Facts

# Waits up to this are sat out: those after a stream that was cut (5 s at most) and after an unusable answer (5.5 s).
SAT_OUT = timedelta(seconds=6)
# A longer one is shown for this moment before it ends.
SHOWN = timedelta(seconds=1)
# Times are stored in whole milliseconds.
_ROUNDING = timedelta(milliseconds=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class LongWait:
    """One wait in the database, as it was written down."""

    collection: str
    id: object
    order_id: str
    error_class: ErrorClass
    since: datetime
    until: datetime
    failures: int

    @property
    def length(self) -> timedelta:
        return self.until - self.since

    def problem(self) -> str | None:
        """In what it differs from the policy of its error class; None if in nothing."""
        policies: Mapping[ErrorClass, Policy] = MAIL_POLICIES if self.collection == documents.MAILS else POLICIES
        least, most = (
            wait_before_retry(self.error_class, self.failures, jitter, policies=policies) for jitter in (0.0, 1.0)
        )
        if least - _ROUNDING <= self.length <= most + _ROUNDING:
            return None
        wanted = f"{least.total_seconds():.1f} to {most.total_seconds():.1f} s"
        return f"waits {self.length.total_seconds():.1f} s after {self.error_class}; its policy says {wanted}"


def long_waits(facts: Sequence[Facts], now: datetime) -> Iterator[LongWait]:
    """The waits that are too long to be sat out, once each has been shown for a moment."""
    for one in facts:
        for collection, records in ((documents.JOBS, one.jobs), (documents.MAILS, one.mails.values())):
            for record in records:
                wait = _wait_of(record, collection, str(one.order.id))
                if wait is not None and wait.length > SAT_OUT and wait.since + SHOWN <= now < wait.until:
                    yield wait


def end_now(database: Database[Document], wait: LongWait) -> bool:
    """End one wait, if nothing has happened to it since it was read."""
    still = {"_id": wait.id, "status": "pending", "scheduledAt": wait.until, "rank": None}
    return database[wait.collection].update_one(still, {"$currentDate": {"scheduledAt": True}}).modified_count == 1


def _wait_of(record: Document, collection: str, order_id: str) -> LongWait | None:
    error, until = record.get("error"), record.get("scheduledAt")
    rests = record["status"] == "pending" and record.get("rank") is None
    if not rests or not isinstance(error, dict) or not isinstance(until, datetime):
        return None
    error_class = ErrorClass(error["class"])
    return LongWait(
        collection=collection,
        id=record["_id"],
        order_id=order_id,
        error_class=error_class,
        since=error["at"],
        until=until,
        failures=record.get("failures", {}).get(error_class.value, 0),
    )
