"""Findings: what only a person can settle. One record per kind and subject, open until the facts agree again."""

from datetime import UTC, datetime

from pymongo import ASCENDING, IndexModel
from pymongo.database import Database
from pymongo.write_concern import WriteConcern

from pferdewert_ops.adapters.mongo import documents
from pferdewert_ops.adapters.mongo.documents import Document

INDEXES = [IndexModel([("state", ASCENDING), ("firstSeenAt", ASCENDING)], name="pwops_open")]


class MongoFindings:
    def __init__(self, database: Database[Document]) -> None:
        self._findings = database[documents.FINDINGS].with_options(write_concern=WriteConcern("majority"))

    def open(self, kind: str, subject: str, detail: str) -> bool:
        """Note a finding; True if it was not open before. `detail` is a code or figures, never customer data."""
        now = datetime.now(UTC)
        before = self._findings.find_one_and_update(
            {"_id": f"{kind}:{subject}"},
            [
                {
                    "$set": {
                        "kind": kind,
                        "subject": {"$literal": subject},
                        "detail": {"$literal": detail},
                        "firstSeenAt": {"$cond": [{"$eq": ["$state", "open"]}, "$firstSeenAt", now]},
                        "lastSeenAt": now,
                        "state": "open",
                    }
                }
            ],
            upsert=True,
            projection={"state": 1},
        )
        return before is None or before.get("state") != "open"

    def close(self, kind: str, subject: str) -> None:
        """The facts agree again."""
        self._findings.update_one(
            {"_id": f"{kind}:{subject}", "state": "open"},
            {"$set": {"state": "closed", "closedAt": datetime.now(UTC)}},
        )

    def close_subject(self, subject: str) -> None:
        """Whatever was the matter with this, it works again."""
        self._findings.update_many(
            {"state": "open", "subject": subject}, {"$set": {"state": "closed", "closedAt": datetime.now(UTC)}}
        )

    def open_subjects(self, kind: str) -> set[str]:
        """The subjects of the open findings of one kind."""
        with self._findings.find({"state": "open", "kind": kind}, {"subject": 1}) as found:
            return {finding["subject"] for finding in found}
