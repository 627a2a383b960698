"""`ops_audit`: who changed what, written before the change and never altered. States and codes, no customer data."""

from collections.abc import Mapping
from datetime import UTC, datetime

from pymongo.database import Database
from pymongo.write_concern import WriteConcern

from pferdewert_ops.adapters.mongo import documents
from pferdewert_ops.adapters.mongo.documents import Document
from pferdewert_ops.redaction import printable, without_personal_data

# A person's reason fits into a sentence or two; a pasted mail does not belong here.
LONGEST_TEXT = 200


class MongoAudit:
    """The record as one person writes to it. `actor` is who sits at the machine: `name@host`."""

    def __init__(self, database: Database[Document], actor: str) -> None:
        self._audit = database[documents.AUDIT].with_options(write_concern=WriteConcern("majority"))
        self._actor = actor

    def record(self, action: str, subject: str, *, before: Mapping[str, object], after: Mapping[str, object]) -> None:
        """Append one entry, stored by a majority when this returns. Raises pymongo's errors: then change nothing.

        `after` is what is meant to be; whether the change came about the changed document shows.
        """
        self._audit.insert_one(
            {
                "at": datetime.now(UTC),
                "actor": self._actor,
                "action": action,
                "subject": subject,
                "before": _facts(before),
                "after": _facts(after),
            }
        )


def _facts(values: Mapping[str, object]) -> Document:
    return {name: _fact(value) for name, value in values.items()}


def _fact(value: object) -> object:
    """A state, a figure or a time; of a text only what is certainly nobody's address, and not much of it."""
    match value:
        case None | bool() | int() | datetime():
            return value
        case str():
            return printable(without_personal_data(value))[:LONGEST_TEXT]
        case _:
            raise TypeError(f"a {type(value).__name__} has no place in the audit")
