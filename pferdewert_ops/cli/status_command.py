"""`pwops status`: one screen that answers whether the operator can sleep."""

import shutil
import sys
from datetime import datetime
from typing import TYPE_CHECKING

import click

from pferdewert_ops.cli.errors import ConfigProblem, Findings, translate
from pferdewert_ops.cli.operators import open_shop
from pferdewert_ops.cli.output import Column, age, emit_record, output_option

if TYPE_CHECKING:
    from pferdewert_ops.operations.overview import OrdersSeen, Overview
    from pferdewert_ops.wiring import Shop

# How often --watch looks again. A look costs about twenty short reads.
WATCH_SECONDS = 2.0
# What is not a terminal has no width.
_ENDLESS = 10_000


@click.command()
@output_option
@click.option("--watch", is_flag=True, help="Look again every two seconds, until Ctrl-C.")
def status(output: str, *, watch: bool) -> None:
    """Say in one screen whether all is well, and if not, what to do next.

    Exit code 0: nothing needs you. 3: something does. 69: MongoDB cannot be reached. 78: it is no
    replica set. Changes nothing.
    """
    if watch:
        if output == "json" or not sys.stdout.isatty():
            raise click.UsageError("--watch is for a terminal; for scripts, run pwops status -o json again and again.")
        _watch()
        return
    with open_shop(indexed=False) as shop:
        _check_replicated(shop)
        needs_somebody = _show(shop, output)
    if needs_somebody:
        raise Findings("")


def _check_replicated(shop: "Shop") -> None:
    """Raises ConfigProblem where no worker would start, so that nobody is sent to start one."""
    from pferdewert_ops.adapters.mongo import connection
    from pferdewert_ops.operations.checkup import check_replica_set

    if not connection.is_replicated(shop.client):
        needed = check_replica_set(is_replicated=False)
        raise ConfigProblem(f"{needed.sentence} {needed.fix}")


def _show(shop: "Shop", output: str) -> bool:
    from pferdewert_ops.cli.status_screen import document, screen
    from pferdewert_ops.operations.concerns import concerns, needs_somebody

    at = shop.clock.now()
    seen = look(shop, at)
    found = concerns(seen, age)
    if output == "json":
        emit_record(document(seen, found, at), [Column(key="state", title="state")], output, schema="status")
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else _ENDLESS
        click.echo(screen(seen, found, at, width=width))
    return needs_somebody(found)


def look(shop: "Shop", at: datetime) -> "Overview":
    """Read everything that the screen shows. `at` is the present time by our clock."""
    from decimal import Decimal

    from pferdewert_ops.adapters.mongo import schema
    from pferdewert_ops.adapters.mongo.overview import MongoOverview
    from pferdewert_ops.domain.money import MICRO
    from pferdewert_ops.operations.overview import Overview

    settings = shop.settings
    figures = MongoOverview(shop.database)
    server_now = figures.server_time()
    indexed = not any(change.index is not None for change in schema.missing(shop.database))
    spent = shop.spending.today()
    horizon = shop.fleet.horizon()
    models = (settings.model_primary, *([settings.model_fallback] if settings.model_fallback else []))
    return Overview(
        database=settings.database,
        horizon=horizon,
        workers=figures.workers(settings.lease),
        queues=figures.queues(server_now) if indexed else (),
        breakers=figures.breakers(server_now),
        models=models,
        spent_micro=spent.micro,
        calls=spent.calls,
        budget_micro=int(Decimal(settings.daily_budget_eur) * MICRO),
        orders=_orders(shop, horizon or at - settings.lookback, at),
        findings=figures.findings(server_now),
        sends_mail=settings.mail_provider != "none",
    )


def _orders(shop: "Shop", horizon: datetime, at: datetime) -> "OrdersSeen":
    from pferdewert_ops.adapters.mongo.orders import MongoOrders
    from pferdewert_ops.operations.overview import LOOKS_BACK, survey_standings

    since = max(horizon, at - LOOKS_BACK)
    return survey_standings(MongoOrders(shop.database, horizon=horizon).since(since), since, at, shop.limits)


def _watch() -> None:
    """Redraw the screen until Ctrl-C. A server that is away is said on the screen, and looked for again."""
    import time

    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from pferdewert_ops.cli.status_screen import screen
    from pferdewert_ops.operations.concerns import concerns

    console = Console(highlight=False, no_color=click.get_current_context().color is False or None)
    with open_shop(indexed=False) as shop, Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            at = shop.clock.now()
            try:
                seen = look(shop, at)
                shown = screen(seen, concerns(seen, age), at, width=console.width)
            except Exception as error:  # whatever is not known to pass by itself ends the command
                known = translate(error)
                if known is None:
                    raise
                shown = f"{click.style('DOWN', fg='red', bold=True)}  {known.message}"
            live.update(Text.from_ansi(f"{shown}\n\nCtrl-C ends this."), refresh=True)
            time.sleep(WATCH_SECONDS)
