"""`pwops migrate`: our own collections and indexes: what is missing, made; or what is ours and empty, dropped."""

from typing import TYPE_CHECKING

import click

from pferdewert_ops.cli.errors import GuardRefused
from pferdewert_ops.cli.operators import audit_of, confirm, open_shop, yes_option
from pferdewert_ops.cli.output import Column, emit, note, output_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pferdewert_ops.adapters.mongo.schema import Change
    from pferdewert_ops.wiring import Shop

_COLUMNS = [
    Column(key="action", title="action"),
    Column(key="collection", title="collection", whole=True),
    Column(key="index", title="index", whole=True),
    Column(key="detail", title="what"),
]


@click.command()
@click.option("--dry-run", is_flag=True, help="Only show what would be changed.")
@click.option("--undo", is_flag=True, help="Drop our indexes and our empty collections; records stay.")
@yes_option
@output_option
def migrate(output: str, *, dry_run: bool, undo: bool, yes: bool) -> None:
    """Create our own collections and indexes, and nothing else; may be run at any time.

    The shop's collections are not touched, but for our indexes in evaluation_jobs. The worker does the same when it
    starts.
    """
    with open_shop(indexed=False) as shop:
        if undo:
            _undo(shop, output, dry_run=dry_run, yes=yes)
        else:
            _apply(shop, output, dry_run=dry_run)


def _apply(shop: "Shop", output: str, *, dry_run: bool) -> None:
    from pferdewert_ops.adapters.mongo import schema

    changes = schema.missing(shop.database)
    if changes and not dry_run:
        audit_of(shop).record("migrate", shop.settings.database, before={}, after=_summary(changes))
        schema.apply(shop.database)
    _show(changes, output)
    if changes:
        note(f"{_counted(changes)} {'would be made' if dry_run else 'made'} in {shop.settings.database}.")


def _undo(shop: "Shop", output: str, *, dry_run: bool, yes: bool) -> None:
    from pferdewert_ops.adapters.mongo import schema

    changes = schema.undoable(shop.database)
    if changes and not dry_run:
        _refuse_beside_workers(shop)
        confirm(f"Drop {_counted(changes)} in {shop.settings.database}? Workers cannot run without them.", yes=yes)
        audit_of(shop).record("migrate_undo", shop.settings.database, before=_summary(changes), after={})
        changes = schema.undo(shop.database)
    _show(changes, output)
    if changes:
        note(f"{_counted(changes)} {'would be dropped' if dry_run else 'dropped'} in {shop.settings.database}.")


def _refuse_beside_workers(shop: "Shop") -> None:
    from pferdewert_ops.adapters.mongo.figures import Figures

    running = Figures(shop.database).workers_alive(2 * shop.settings.lease)
    if running:
        raise GuardRefused(
            f"{running} worker{'s run' if running > 1 else ' runs'} on this database and could not claim any more: "
            "stop them first. Nothing was dropped."
        )


def _show(changes: "Sequence[Change]", output: str) -> None:
    emit(
        (
            {
                "action": change.action,
                "collection": change.collection,
                "index": change.index,
                "detail": change.detail,
            }
            for change in changes
        ),
        _COLUMNS,
        output,
        schema="migrate",
        empty="Nothing to do: everything is as it should be.",
    )


def _summary(changes: "Sequence[Change]") -> dict[str, object]:
    indexes = sum(change.index is not None for change in changes)
    return {"indexes": indexes, "collections": len(changes) - indexes}


def _counted(changes: "Sequence[Change]") -> str:
    indexes = sum(change.index is not None for change in changes)
    collections = len(changes) - indexes
    parts = [
        f"{count} {one if count == 1 else many}"
        for count, one, many in ((collections, "collection", "collections"), (indexes, "index", "indexes"))
        if count
    ]
    return " and ".join(parts)
