"""`pwops doctor`: the whole set-up, checked from the configuration to the last worker's sign of life."""

import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from pferdewert_ops.cli.errors import Findings
from pferdewert_ops.cli.output import Column, emit, output_option

if TYPE_CHECKING:
    from pferdewert_ops.operations.checkup import Check

_MARKS = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "red")}
NAME_WIDTH = 16
_INDENT = " " * (NAME_WIDTH + 2)


@click.command()
@click.option("--deep", is_flag=True, help="Also ask the model and the mail provider; costs nothing, sends nothing.")
@output_option
def doctor(output: str, *, deep: bool) -> None:
    """Check the whole set-up; every finding carries its fix.

    Exit code 0: nothing is broken, though there may be warnings. 3: something is. Changes nothing.
    """
    from pferdewert_ops.cli.examination import examine

    checks = examine(deep=deep)
    if output == "json":
        listed = list(checks)
        emit(
            (
                {"name": one.name, "level": one.level, "sentence": one.sentence, "fix": one.fix or None}
                for one in listed
            ),
            [Column(key="name", title="name")],
            output,
            schema="doctor",
            summary=_counts(listed),
        )
    else:
        listed = list(_shown(checks))
        counts = _counts(listed)
        click.echo(f"\n{counts['fail']} failed, {_plural(counts['warn'], 'warning')}, {counts['ok']} fine.")
    if _counts(listed)["fail"]:
        raise Findings("")


def _counts(checks: "list[Check]") -> dict[str, int]:
    counted = Counter(check.level.value for check in checks)
    return {level: counted[level] for level in _MARKS}


def _shown(checks: "Iterable[Check]") -> "Iterator[Check]":
    """Print each as soon as it is known: a service that does not answer takes its time."""
    for check in checks:
        mark, colour = _MARKS[check.level.value]
        first, *more = _wrapped(check.sentence)
        click.echo(f"{click.style(mark, fg=colour, bold=True)} {check.name.ljust(NAME_WIDTH)}{first}")
        for line in more:
            click.echo(_INDENT + line)
        for number, line in enumerate(_wrapped(check.fix)):
            click.echo(f"{_INDENT}{'  ' if number else '→ '}{click.style(line, bold=True)}")
        yield check


def _wrapped(text: str) -> list[str]:
    """The text in lines that fit the terminal beside the names; whole where there is no terminal."""
    if not text or not sys.stdout.isatty():
        return [text] if text else []
    return textwrap.wrap(text, max(20, shutil.get_terminal_size().columns - len(_INDENT) - 2), break_on_hyphens=False)


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
