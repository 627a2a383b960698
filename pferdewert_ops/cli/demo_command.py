"""`pwops demo`: a difficult day of the shop, played through by real workers, and every order checked at the end."""

import os
import shlex
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from pferdewert_ops.cli.errors import CliError, ConfigProblem, DependencyDown, ExitCode
from pferdewert_ops.cli.output import Column, emit, note, output_option

if TYPE_CHECKING:
    from pferdewert_ops.cli.demo_screen import Watch
    from pferdewert_ops.sandbox.demo.outcome import Outcome, Totals, Verdict
    from pferdewert_ops.sandbox.demo.stage import Stage

# How often a demonstration that is kept looks whether its servers still live.
LOOK_SECONDS = 1.0
# The width of a terminal, in characters, from which the table has room for everything.
FIGURES_FROM = 130
ELSEWHERE = "not where it should be"


@click.command()
@click.option(
    "--orders",
    "count",
    type=click.IntRange(1, 500),
    default=24,
    show_default=True,
    metavar="N",
    help="How many orders, 1 to 500. The first 24 are of 24 kinds; fewer begin with the most telling ones.",
)
@click.option("--seed", type=int, default=7, show_default=True, metavar="N", help="Other horses, in another order.")
@click.option("--keep", is_flag=True, help="Leave everything running at the end, to try commands on it, until Ctrl-C.")
@output_option
def demo(count: int, seed: int, output: str, *, keep: bool) -> None:
    """Watch the worker get through a difficult day.

    Starts MongoDB, a stand-in for the model and one for mail on this machine, writes orders of every kind that the
    shop produces, lets the model and the mail provider fail, runs two workers, kills one with SIGKILL, and compares
    where every order has ended with where it should be. Exits with 1 if a single one is not exactly there.

    Nothing of it is real, it reads none of your settings and listens on loopback only. The workers' policies are the
    real ones; of the waits after a failure the short ones are sat out (5 s at most), while the long ones (10 to 30 s)
    are checked against their policy and then cut short.
    """
    from pferdewert_ops.cli.demo_screen import screen

    with ExitStack() as running:
        with screen(count, seed, live=output == "table") as watch:
            stage = running.enter_context(_set(count, seed))
            outcome = _play(stage, watch)
        _show(outcome, seed, output)
        if keep:
            _keep(stage, to_stderr=output == "json")
    if not outcome.is_right:
        raise CliError(f"{_complaint(outcome)}; see above.", ExitCode.BUG)


def _complaint(outcome: "Outcome") -> str:
    wrong = sum(not verdict.is_right for verdict in outcome.verdicts)
    if not wrong:
        return "Every order is where it should be, but something else is not"
    where = "is not where it should be" if wrong == 1 else "are not where they should be"
    return f"{wrong} of {len(outcome.verdicts)} orders {where}"


@contextmanager
def _set(count: int, seed: int) -> "Iterator[Stage]":
    from pferdewert_ops.sandbox.demo.stage import Stage
    from pferdewert_ops.sandbox.demo.workers import WorkerBroken
    from pferdewert_ops.sandbox.guardian import GuardError
    from pferdewert_ops.sandbox.mongodb import MongodMissing, SandboxMongoError

    try:
        with Stage.set_up(count, seed) as stage:
            yield stage
    except MongodMissing as missing:
        raise ConfigProblem(str(missing)) from missing
    except (SandboxMongoError, GuardError) as broken:
        raise DependencyDown(str(broken)) from broken
    except WorkerBroken as broken:
        raise CliError(str(broken), ExitCode.BUG) from broken


def _play(stage: "Stage", watch: "Watch") -> "Outcome":
    from pferdewert_ops.sandbox.demo.story import Story

    return Story(stage, watch).play()


# --- the end ---------------------------------------------------------------------------------------------------------


def _show(outcome: "Outcome", seed: int, output: str) -> None:
    if output == "json":
        rows = [_row(verdict) for verdict in outcome.verdicts]
    else:
        rows = [_row(verdict) | _shown(verdict) for verdict in outcome.verdicts]
    emit(
        rows,
        _columns(),
        output,
        schema="demo",
        summary=_summary(outcome, seed),
    )
    if output == "table":
        _show_totals(outcome)


def _columns() -> list[Column]:
    """The table's columns; the figures of the model are left out where they would squeeze the words."""
    words = [
        Column(key="mark", title="", whole=True, style=lambda mark: "green" if mark == "✓" else "bold red"),
        Column(key="short", title="order", whole=True),
        Column(key="what", title="product", whole=True),
        Column(key="kind", title="kind"),
        Column(key="fate", title="fate", style=_style_of_fate),
    ]
    figures = [
        Column(key="model", title="model", whole=True, style=lambda _: "dim"),
        Column(key="model_calls", title="calls"),
        Column(key="cost", title="EUR"),
    ]
    narrow = sys.stdout.isatty() and shutil.get_terminal_size().columns < FIGURES_FROM
    return [*words, *([] if narrow else figures), Column(key="mails", title="mails accepted")]


def _row(verdict: "Verdict") -> dict[str, object]:
    order = verdict.order
    expected = order.kind.expectation.fate.value
    return {
        "order": str(order.id),
        "product": order.product.key.value,
        "country": order.country.value,
        "kind": order.kind.words,
        "expected": expected,
        "fate": expected if verdict.is_right else ELSEWHERE,
        "right": verdict.is_right,
        "problems": list(verdict.problems),
        "model": verdict.model,
        "model_calls": verdict.calls,
        "cost_micro_eur": verdict.cost_micro,
        "mails": list(verdict.mails),
    }


def _shown(verdict: "Verdict") -> dict[str, object]:
    """The row as the table shows it."""
    from pferdewert_ops.domain.money import MICRO

    order = verdict.order
    return {
        "mark": "✓" if verdict.is_right else "✗",
        "short": str(order.id)[-6:],
        "what": f"{order.product.key.value.capitalize()} {order.country}",
        "model": verdict.model and verdict.model.removeprefix("claude-"),
        "cost": f"{verdict.cost_micro / MICRO:.4f}" if verdict.cost_micro else None,
    }


def _style_of_fate(fate: object) -> str:
    if fate == ELSEWHERE:
        return "bold red"
    return "yellow" if "human" in str(fate) else "dim" if str(fate).startswith(("not owed", "untouched")) else ""


def _summary(outcome: "Outcome", seed: int) -> dict[str, object]:
    from dataclasses import asdict

    return {"right": outcome.is_right, "seed": seed, "problems": list(outcome.problems), **asdict(outcome.totals)}


def _show_totals(outcome: "Outcome") -> None:
    totals = outcome.totals
    click.echo()
    for verdict in outcome.verdicts:
        for problem in verdict.problems:
            click.secho(f"✗ {str(verdict.order.id)[-6:]}  {problem}", fg="red")
    for problem in outcome.problems:
        click.secho(f"✗ {problem}", fg="red")
    took = f"{_counted(totals.orders, 'order')} in {_seconds(totals.took)}"
    if outcome.is_right:
        click.secho(f"{took}, every one exactly where it should be.", fg="green", bold=True)
    else:
        click.secho(f"{took}.", bold=True)
    for line in _totals(totals):
        click.echo(line)


def _totals(totals: "Totals") -> Iterator[str]:
    from pferdewert_ops.domain.money import eur_text

    yield (
        f"{totals.delivered} delivered, {totals.mailed} mailed, {totals.waiting_for_payment} waiting for payment, "
        f"{totals.waiting_for_reconcile} waiting for the reconcile,"
    )
    yield f"{totals.told_to_a_human} told to a human, {totals.not_owed} not owed, {totals.untouched} untouched."
    yield (
        f"{totals.model_calls} model calls for {eur_text(totals.cost_micro)}, {totals.mails_accepted} mails accepted, "
        f"{totals.duplicate_mails} duplicates."
    )
    if totals.taken_back_after is not None and totals.in_work_again_after is not None:
        yield (
            f"A worker was killed with {_counted(totals.leases_taken_back, 'lease')} in its hands: taken back after "
            f"{_seconds(totals.taken_back_after)}, in work again after {_seconds(totals.in_work_again_after)}."
        )
    if totals.waits_cut_short:
        waits = _counted(totals.waits_cut_short, "long wait")
        yield f"{waits} after a failure (10 to 30 s) compared with the policy and then cut short."


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _seconds(duration: timedelta) -> str:
    return f"{duration.total_seconds():.1f} s"


# --- afterwards ------------------------------------------------------------------------------------------------------


def _keep(stage: "Stage", *, to_stderr: bool) -> None:
    """Print how to look around, and run on until a signal ends it."""
    from pferdewert_ops.cli.sandbox_command import _in_the_way

    stage.start_worker()
    click.echo(err=to_stderr)
    for name in _in_the_way(os.environ, stage.variables):
        click.echo(f"unset {name}", err=to_stderr)
    for name, value in stage.variables.items():
        click.echo(f"export {name}={shlex.quote(value)}", err=to_stderr)
    note("Everything is still there, and a worker goes on. Put the lines above into another shell and try:")
    # What only a person's word takes in is the most telling one to retry.
    old = [order for order in stage.orders if order.kind.expectation.fate.value == "untouched"]
    order = (old or stage.orders)[0].id
    for command in ("status", "jobs list", f"jobs show {order}", "mails list", f"retry {order}"):
        note(f"  pwops {command}")
    note("Ctrl-C ends it and removes all that it stored.")
    never = threading.Event()
    while not never.wait(LOOK_SECONDS):
        stage.check()
