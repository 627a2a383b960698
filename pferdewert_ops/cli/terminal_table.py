"""The table on a terminal. Apart from the rest because rich takes as long to import as the help to show."""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pferdewert_ops.cli.output import Column

# Below this a wrapped column is a column of letters; the terminal may then wrap the line itself.
NARROWEST = 8
# Two blanks between columns.
GAP = 2


def print_table(
    columns: Sequence[Column],
    lines: Sequence[Sequence[str]],
    *,
    styles: Sequence[Sequence[str]],
    right: Sequence[bool],
    no_color: bool,
) -> None:
    """Print on stdout. Wraps what may be wrapped; where that is not enough it is wider than the terminal, never cut."""
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="dim", show_edge=False)
    for column, to_right in zip(columns, right, strict=True):
        table.add_column(
            Text(column.title, style="dim"),
            justify="right" if to_right else "left",
            no_wrap=column.whole or to_right,
            overflow="fold",
        )
    for line, line_styles in zip(lines, styles, strict=True):
        # Text, not str: a customer's [brackets] are no markup.
        table.add_row(*(Text(text, style=style) for text, style in zip(line, line_styles, strict=True)))
    console = Console(file=sys.stdout, no_color=no_color or None, highlight=False)
    console.width = max(console.width, _least_width(columns, lines, right))
    console.print(table)


def _least_width(columns: Sequence[Column], lines: Sequence[Sequence[str]], right: Sequence[bool]) -> int:
    total = 0
    for column, cells, to_right in zip(columns, zip(*lines, strict=True), right, strict=True):
        widest = max(len(column.title), *map(len, cells))
        total += GAP + (widest if column.whole or to_right else min(widest, NARROWEST))
    return total
