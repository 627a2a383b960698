"""How a command shows what it found: a table for people, one JSON document for scripts, notes on stderr."""

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal

import click

from pferdewert_ops.redaction import printable, without_secrets

Output = Literal["table", "json"]
Row = Mapping[str, object]
NOTHING = "–"

output_option = click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="A table for people, or one JSON document for scripts.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of the table. JSON always has every key of a row, whether it has a column or not.

    `whole`: never wrapped (ids, which people copy). `style`: the rich style for a value, on a terminal with colours.
    """

    key: str
    title: str
    whole: bool = False
    style: Callable[[object], str] | None = None


def emit(
    rows: Iterable[Row],
    columns: Sequence[Column],
    output: str,
    *,
    schema: str,
    version: int = 1,
    summary: Row | None = None,
    empty: str = "Nothing to show.",
) -> None:
    """Print the rows on stdout.

    `schema` and `version` name the shape of the JSON document for whoever reads it: a key that goes or changes its
    meaning raises the version. `summary` is for figures about the whole, in JSON only. `empty` is said on stderr.
    """
    listed = list(rows)
    if output == "json":
        _print_json(listed, schema=schema, version=version, summary=summary)
        return
    if not listed:
        note(empty)
        return
    lines = [[_cell(row.get(column.key)) for column in columns] for row in listed]
    right = [_is_numeric(row.get(column.key) for row in listed) for column in columns]
    if sys.stdout.isatty():
        from pferdewert_ops.cli.terminal_table import print_table

        styles = [[column.style(row.get(column.key)) if column.style else "" for column in columns] for row in listed]
        print_table(columns, lines, styles=styles, right=right, no_color=_colourless())
    else:
        _print_aligned([[column.title for column in columns], *lines], right)


def emit_record(row: Row, fields: Sequence[Column], output: str, *, schema: str, version: int = 1) -> None:
    """Print one thing: a line a field. In JSON it is a document with one row."""
    if output == "json":
        _print_json([row], schema=schema, version=version, summary=None)
        return
    width = max(len(field.title) for field in fields)
    for field in fields:
        title = field.title.ljust(width)
        click.echo(f"{click.style(title, dim=True)}  {_cell(row.get(field.key))}")


def note(sentence: str) -> None:
    """One line for the person at the screen, on stderr."""
    click.echo(printable(without_secrets(sentence)), err=True)


def local_time(moment: datetime) -> str:
    """An aware time as the clock on the wall shows it: `2026-11-22 14:02:11 CET`."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def age(duration: timedelta) -> str:
    """A duration in its largest unit, cut: `38 s`, `4 min`, `3 h`, `2 d`; what is still to come as `in 4 min`."""
    if duration < timedelta(0):
        return f"in {age(-duration)}"
    seconds = int(duration.total_seconds())
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min"
    # Up to two days people count hours.
    return f"{seconds // 3600} h" if seconds < 172_800 else f"{seconds // 86_400} d"


def _cell(value: object) -> str:
    match value:
        case None | "":
            return NOTHING
        case bool():
            return "yes" if value else "no"
        case str():
            return printable(value)
        case datetime():
            return local_time(value)
        case timedelta():
            return age(value)
        case int():
            return str(value)
        case float():
            return f"{value:.2f}"
        case Decimal():
            return f"{value:f}"
        case list() | tuple():
            return ", ".join(map(_cell, value)) or NOTHING
        case _:
            raise TypeError(f"a {type(value).__name__} has no place in a table")


def _is_numeric(values: Iterable[object]) -> bool:
    given = [value for value in values if value is not None]
    return bool(given) and all(
        isinstance(value, int | float | Decimal | timedelta) and not isinstance(value, bool) for value in given
    )


def _print_aligned(lines: Sequence[Sequence[str]], right: Sequence[bool]) -> None:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = [
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(line, widths, right, strict=True)
        ]
        click.echo("  ".join(cells).rstrip())


def _colourless() -> bool:
    context = click.get_current_context(silent=True)
    return context is not None and context.color is False


# Inside JSON text these can only stand within a string: DEL and C1, bidirectional overrides, lone surrogates.
_STEERING = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def _print_json(rows: Sequence[Row], *, schema: str, version: int, summary: Row | None) -> None:
    document = {
        "schema": {"name": schema, "version": version},
        "generated_at": datetime.now(UTC),
        **({} if summary is None else {"summary": summary}),
        "rows": rows,
    }
    text = json.dumps(_plain(document), ensure_ascii=False, indent=2, allow_nan=False)
    click.echo(_STEERING.sub(lambda match: f"\\u{ord(match[0]):04x}", text))


def _plain(value: object) -> object:
    """The value in JSON's own types: times in UTC, durations in seconds, decimals as text so that none is rounded."""
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return str(value)
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case timedelta():
            return value.total_seconds()
        case Decimal():
            return f"{value:f}"
        case Mapping():
            return {str(key): _plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case _:
            raise TypeError(f"a {type(value).__name__} has no place in a document")
