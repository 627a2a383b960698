"""Our collections and indexes: what there should be, what is missing, and how to make and undo it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymongo import ASCENDING, IndexModel
from pymongo.database import Database

from pferdewert_ops.adapters.mongo import (
    certificates,
    documents,
    evaluation_jobs,
    findings,
    mail_outbox,
    orders,
    slots,
    spending,
    workers,
)
from pferdewert_ops.adapters.mongo.documents import Document

SCHEMA: Mapping[str, Sequence[IndexModel]] = {
    documents.JOBS: evaluation_jobs.INDEXES,
    documents.MAILS: mail_outbox.INDEXES,
    documents.FINDINGS: findings.INDEXES,
    documents.WORKERS: workers.INDEXES,
    documents.SLOTS: slots.INDEXES,
    documents.SPEND: spending.INDEXES,
    documents.AUDIT: [IndexModel([("at", ASCENDING)], name="pwops_at")],
    documents.ORDERS: orders.INDEXES,
    documents.SETTINGS: [],
    documents.BREAKERS: [],
    certificates.COLLECTION: certificates.INDEXES,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing to make or to drop: an index of a collection, or (`index` is None) the collection itself."""

    action: str
    collection: str
    index: str | None
    detail: str


def missing(database: Database[Document]) -> list[Change]:
    """What `apply` would make. An index of our name with another definition is replaced."""
    present = set(database.list_collection_names())
    changes: list[Change] = []
    for collection, wanted in SCHEMA.items():
        existing = database[collection].index_information() if collection in present else {}
        for model in wanted:
            name = model.document["name"]
            if name not in existing:
                changes.append(Change(action="create", collection=collection, index=name, detail=_keys(model)))
            elif not _same(model, existing[name]):
                changes.append(Change(action="replace", collection=collection, index=name, detail=_keys(model)))
    return changes


def apply(database: Database[Document]) -> list[Change]:
    """Make what is missing, and nothing else; returns what was made. Safe to run at any time, by several at once."""
    changes = missing(database)
    for change in changes:
        if change.action == "replace" and change.index is not None:
            database[change.collection].drop_index(change.index)
    for collection, wanted in SCHEMA.items():
        if wanted and any(change.collection == collection and change.index for change in changes):
            database[collection].create_indexes(list(wanted))
    return changes


def undoable(database: Database[Document]) -> list[Change]:
    """What `undo` would drop: our indexes, and those of our own collections that are empty."""
    present = set(database.list_collection_names())
    changes: list[Change] = []
    for collection, wanted in SCHEMA.items():
        if collection not in present:
            continue
        existing = database[collection].index_information()
        names = [model.document["name"] for model in wanted if model.document["name"] in existing]
        changes += [Change(action="drop", collection=collection, index=name, detail="index") for name in names]
        if collection != documents.JOBS and database[collection].find_one({}, {"_id": 1}) is None:
            changes.append(Change(action="drop", collection=collection, index=None, detail="empty collection"))
    return changes


def undo(database: Database[Document]) -> list[Change]:
    """Drop our indexes and our empty collections. Records stay: nobody's mail or money is forgotten."""
    changes = undoable(database)
    for change in changes:
        if change.index is not None:
            database[change.collection].drop_index(change.index)
        else:
            database[change.collection].drop()
    return changes


def _keys(model: IndexModel) -> str:
    return ", ".join(f"{field} {direction:+d}" for field, direction in model.document["key"].items())


def _same(model: IndexModel, existing: Mapping[str, Any]) -> bool:
    wanted = model.document
    options = ("partialFilterExpression", "expireAfterSeconds", "unique")
    same_keys = list(wanted["key"].items()) == [(field, int(direction)) for field, direction in existing["key"]]
    return same_keys and all(wanted.get(option) == _plain(existing.get(option)) for option in options)


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value
