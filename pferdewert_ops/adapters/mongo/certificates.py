"""Certificate numbers from the shop's own counter: one for each order, exactly once, and none skipped."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from pymongo import ASCENDING, IndexModel, ReturnDocument
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError
from pymongo.write_concern import WriteConcern

from pferdewert_ops.adapters.mongo.documents import Document

COLLECTION = "ops_certificates"
INDEXES = [IndexModel([("number", ASCENDING)], name="pwops_number", unique=True)]

# How many of the last numbers the counter itself remembers: what was counted and not yet recorded is among the latest.
REMEMBERED = 500
# A counter that was set back (a restore) hands out numbers that were given before; each try passes one of them.
TRIES = 10_000


class CertificateNumbers:
    """Counting and remembering for whom is one write to the counter, so a crash behind it loses nothing.

    The counter's field `pwopsIssued` is ours; the shop, which increments `seq` and reads it, never has to know of it.
    """

    def __init__(self, database: Database[Document], reach: Callable[[str], None]) -> None:
        majority = WriteConcern("majority")
        self._counters = database["counters"].with_options(write_concern=majority)
        self._given = database[COLLECTION].with_options(write_concern=majority)
        self._reach = reach

    def number_for(self, order_id: str, completed_at: datetime) -> str:
        """The order's number, however often and by how many it is asked for. Its year is that of the completion."""
        for _ in range(TRIES):
            kept = self._given.find_one({"_id": order_id})
            if kept is not None:
                return str(kept["number"])
            number = self._count(order_id, f"zertifikat_{completed_at.year}", completed_at.year)
            self._reach("certificate_counted")
            try:
                self._given.insert_one({"_id": order_id, "number": number})
            except DuplicateKeyError:
                self._forget_unless_recorded(order_id, f"zertifikat_{completed_at.year}")
                continue
            self._reach("certificate_numbered")
            return number
        raise RuntimeError("the counter of certificates lies far behind the numbers that were given")

    def _count(self, order_id: str, name: str, year: int) -> str:
        if self._counters.find_one({"name": name}, {"_id": 1}) is None:
            with suppress(DuplicateKeyError):  # another worker began the year
                self._counters.insert_one({"_id": name, "name": name, "seq": 0})
        issued = {"$ifNull": ["$pwopsIssued", []]}
        known = {"$in": [order_id, {"$ifNull": ["$pwopsIssued.order", []]}]}
        following = {"$add": [{"$ifNull": ["$seq", 0]}, 1]}
        entry = {"order": order_id, "seq": following}
        appended = {"$slice": [{"$concatArrays": [issued, [entry]]}, -REMEMBERED]}
        counter = self._counters.find_one_and_update(
            {"name": name},
            [
                {
                    "$set": {
                        "seq": {"$cond": [known, "$seq", following]},
                        "pwopsIssued": {"$cond": [known, "$pwopsIssued", appended]},
                    }
                }
            ],
            return_document=ReturnDocument.AFTER,
        )
        assert counter is not None, "the counter was made above and is never deleted"  # noqa: S101
        seq = next(entry["seq"] for entry in counter["pwopsIssued"] if entry["order"] == order_id)
        return f"CERT-{year}-{int(seq):06d}"

    def _forget_unless_recorded(self, order_id: str, name: str) -> None:
        """Another worker recorded the same order meanwhile, or this number was given to somebody else before."""
        if self._given.find_one({"_id": order_id}, {"_id": 1}) is None:
            self._counters.update_one({"name": name}, {"$pull": {"pwopsIssued": {"order": order_id}}})
