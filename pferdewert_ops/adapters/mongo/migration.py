"""The migration as a person runs it: collections without an index are made too, so that a second run finds nothing."""

from pymongo.database import Database
from pymongo.errors import CollectionInvalid, OperationFailure

from pferdewert_ops.adapters.mongo import schema
from pferdewert_ops.adapters.mongo.documents import Document

_EXISTS = 48  # NamespaceExists, in the server's table of errors


def make_missing(database: Database[Document]) -> list[schema.Change]:
    """Make what `schema.missing` lists, whole; returns that. Safe to run by several at once."""
    changes = schema.missing(database)
    for change in changes:
        if change.index is None:
            _create(database, change.collection)
    schema.apply(database)
    return changes


def _create(database: Database[Document], name: str) -> None:
    try:
        database.create_collection(name)
    except CollectionInvalid:
        return  # another process was faster, or a first document made it
    except OperationFailure as error:
        if error.code != _EXISTS:
            raise
