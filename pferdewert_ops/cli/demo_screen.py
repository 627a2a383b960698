"""What a demonstration shows while it runs: a live table on a terminal, else one line for each thing that happens."""

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pferdewert_ops.cli.output import note
from pferdewert_ops.domain.money import MICRO

if TYPE_CHECKING:
    from pferdewert_ops.sandbox.demo.progress import Progress
    from pferdewert_ops.sandbox.demo.story import Scene

Watch = Callable[["Scene"], None]

NEWS_LINES = 5
# What stands around the rows: heading, column titles, blank lines, news, and a line that stays free for the cursor.
OTHER_LINES = NEWS_LINES + 7
# Beyond this, lines about single orders would only rush past.
MOST_TOLD_ONE_BY_ONE = 48
COUNT_EVERY = 2.0
FRAMES_A_SECOND = 8
# Below so many characters the figures would squeeze the words.
FIGURES_FROM = 120
# What stands in the words of a state that waits for its next attempt.
AGAIN = " again in "


@contextmanager
def screen(count: int, seed: int, *, live: bool) -> Iterator[Watch]:
    """Something to show scenes to."""
    if not (live and sys.stdout.isatty()):
        yield PlainLines(count).show
        return
    context = click.get_current_context(silent=True)
    colourless = context is not None and context.color is False
    console = Console(file=sys.stdout, no_color=colourless or None, highlight=False)
    table = LiveTable(console, count, seed)
    with Live(console=console, refresh_per_second=FRAMES_A_SECOND, transient=True) as shown:
        shown.update(table.starting())

        def show(scene: "Scene") -> None:
            shown.update(table.picture(scene))

        yield show


# --- on a terminal ---------------------------------------------------------------------------------------------------


class LiveTable:
    """One row an order, and below them what has just happened."""

    def __init__(self, console: Console, count: int, seed: int) -> None:
        self._console = console
        self._count = count
        self._title = f"pwops demo · {count} order{'' if count == 1 else 's'} · seed {seed}"
        self._news: deque[str] = deque(maxlen=NEWS_LINES)

    def starting(self) -> Text:
        return Text(self._title + " · MongoDB, model and mail are starting", style="bold")

    def picture(self, scene: "Scene") -> Group:
        self._news.extend(f"{scene.seconds:5.1f} s  {sentence}" for sentence in scene.news)
        room = max(3, self._console.height - OTHER_LINES)
        shown = _worth_showing(scene.orders, room)
        settled = sum(one.settled for one in scene.orders)
        heading = Text.assemble(
            (self._title, "bold"),
            (f" · {scene.seconds:.1f} s · ", "dim"),
            (f"{settled} of {self._count} where they should be", "green" if settled == self._count else ""),
        )
        parts: list[Text | Table] = [heading, Text(), _table(shown, figures=self._console.width >= FIGURES_FROM)]
        if left := len(scene.orders) - len(shown):
            parts.append(Text(f"… and {left} more", style="dim"))
        parts += [Text(), *(Text(line, style="cyan", no_wrap=True, overflow="ellipsis") for line in self._news)]
        return Group(*parts)


def _worth_showing(orders: Sequence["Progress"], room: int) -> Sequence["Progress"]:
    """All of them where there is room; else those that move first, then those that wait, in their own order."""
    if len(orders) <= room:
        return orders
    ranked = sorted(range(len(orders)), key=lambda place: (_calm(orders[place]), place))[:room]
    return [orders[place] for place in sorted(ranked)]


def _calm(one: "Progress") -> int:
    return 3 if one.settled else 0 if one.busy else 2 if one.step == "queued" else 1


def _table(orders: Sequence["Progress"], *, figures: bool) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim", expand=True)
    table.add_column("", width=1)
    table.add_column("order", width=6)
    table.add_column("product", width=16, no_wrap=True)
    table.add_column("kind", ratio=6, no_wrap=True, overflow="ellipsis")
    table.add_column("step", ratio=4, no_wrap=True, overflow="ellipsis")
    table.add_column("mail", ratio=3, no_wrap=True, overflow="ellipsis")
    if figures:
        table.add_column("model", width=10, no_wrap=True, overflow="ellipsis")
        table.add_column("EUR", width=6, justify="right")
    for one in orders:
        table.add_row(*_words(one), *(_figures(one) if figures else ()))
    return table


def _words(one: "Progress") -> list[Text]:
    order = one.order
    style = "dim" if one.settled else "bold" if one.busy else ""
    mark = ("✓", "green") if one.settled else ("●", "cyan") if one.busy else ("·", "dim")
    step_style = "yellow" if AGAIN in one.step else "cyan" if one.busy else "dim" if one.settled else ""
    return [
        Text(*mark),
        Text(str(order.id)[-6:], style=style),
        Text(f"{order.product.key.value.capitalize()} {order.country}", style=style),
        Text(order.kind.words, style=style),
        Text(one.step, style=step_style),
        Text(one.mail, style="yellow" if AGAIN in one.mail or "human" in one.mail else style),
    ]


def _figures(one: "Progress") -> list[Text]:
    cost = f"{one.cost_micro / MICRO:.4f}" if one.cost_micro else ""
    return [Text((one.model or "").removeprefix("claude-"), style="dim"), Text(cost, style="dim")]


# --- elsewhere -------------------------------------------------------------------------------------------------------


class PlainLines:
    """Lines on stderr: what happened, and each order's change of state."""

    def __init__(self, count: int) -> None:
        self._one_by_one = count <= MOST_TOLD_ONE_BY_ONE
        self._said: dict[str, tuple[str, str]] = {}
        self._counted_at = time.monotonic()

    def show(self, scene: "Scene") -> None:
        for sentence in scene.news:
            note(f"{scene.seconds:5.1f} s  {sentence}")
        if self._one_by_one:
            for one in scene.orders:
                self._tell(scene.seconds, one)
        elif time.monotonic() - self._counted_at >= COUNT_EVERY:
            self._counted_at = time.monotonic()
            settled = sum(one.settled for one in scene.orders)
            note(f"{scene.seconds:5.1f} s  {settled} of {len(scene.orders)} orders are where they should be")

    def _tell(self, seconds: float, one: "Progress") -> None:
        text = str(one.order.id)
        state = (_word(one.step), _word(one.mail))
        if self._said.get(text) == state:
            return
        self._said[text] = state
        words = ", ".join(part for part in (one.step, f"mail: {one.mail}" if one.mail else "") if part)
        note(f"{seconds:5.1f} s  {text[-6:]}  {one.order.kind.words}: {words}{' ✓' if one.settled else ''}")


def _word(step: str) -> str:
    """The step without the figures that change in it."""
    return step.partition(AGAIN)[0].partition(": ")[0]
