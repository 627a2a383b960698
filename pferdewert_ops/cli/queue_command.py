"""`pwops queue`: how the queues stand, and the switch that holds one."""

from decimal import Decimal
from typing import TYPE_CHECKING

import click

from pferdewert_ops.cli.operators import actor, audit_of, open_shop
from pferdewert_ops.cli.output import Column, age, emit, emit_record, local_time, note, output_option

if TYPE_CHECKING:
    from datetime import datetime

    from pferdewert_ops.adapters.mongo.figures import Pause, QueueFigures
    from pferdewert_ops.wiring import Shop

QUEUES = ("evaluation", "mail")

queue_argument = click.argument("queue", type=click.Choice(QUEUES))


@click.group("queue")
def queue() -> None:
    """Show the queues, and hold or release one of them for the whole fleet."""


@queue.command()
@output_option
def stats(output: str) -> None:
    """What waits, runs and was done; limits, breakers, money."""
    from pferdewert_ops.adapters.mongo.figures import Figures

    with open_shop() as shop:
        figures = Figures(shop.database)
        pauses = figures.pauses()
        slots = figures.slots_in_use()
        now = shop.clock.now()
        rows = [_row(shop, one, pauses, slots, now) for one in (figures.evaluation(), figures.mail())]
        summary = _summary(shop, figures.workers_alive(2 * shop.settings.lease), now)
    emit(rows, _COLUMNS, output, schema="queue.stats", summary=summary)
    if output == "table":
        _print_rest(rows, summary)


def _style(count: object) -> str:
    return "bold red" if count else ""


_COLUMNS = [
    Column(key="queue", title="queue", whole=True),
    Column(key="ready", title="ready"),
    Column(key="oldest", title="oldest"),
    Column(key="waiting", title="waiting"),
    Column(key="processing", title="running"),
    Column(key="stuck", title="stuck", style=_style),
    Column(key="slots", title="slots"),
    Column(key="done_24h", title="done 24 h"),
    Column(key="failed_24h", title="failed 24 h", style=_style),
    Column(key="uncertain", title="uncertain", style=_style),
    Column(key="paused", title="paused", style=lambda paused: "bold yellow" if paused else ""),
]


def _row(
    shop: "Shop", figures: "QueueFigures", pauses: "dict[str, Pause]", slots: dict[str, int], now: "datetime"
) -> dict[str, object]:
    is_evaluation = figures.queue == QUEUES[0]
    limit = shop.settings.evaluation_limit if is_evaluation else shop.settings.mail_limit
    pause = pauses.get(figures.queue)
    in_use = slots.get(figures.queue, 0)
    return {
        "queue": figures.queue,
        "ready": figures.ready,
        "oldest": None if figures.oldest_since is None else now - figures.oldest_since,
        "waiting": figures.waiting,
        "left_alone": figures.left_alone,
        "not_taken_over": figures.not_taken_over,
        "processing": figures.processing,
        "stuck": figures.stuck,
        "slots": None if limit is None else f"{in_use} of {limit}",
        "slots_in_use": in_use,
        "slots_limit": limit,
        "done_24h": figures.done_lately,
        "failed_24h": figures.failed_lately,
        "uncertain": None if is_evaluation else figures.uncertain,
        "paused": pause is not None,
        "paused_since": None if pause is None else pause.since,
        "paused_by": None if pause is None else pause.actor,
    }


def _summary(shop: "Shop", workers: int, now: "datetime") -> dict[str, object]:
    from pferdewert_ops.adapters.mongo import breakers
    from pferdewert_ops.adapters.mongo.documents import BREAKERS
    from pferdewert_ops.domain.money import MICRO

    spent = shop.spending.today()
    return {
        "workers": workers,
        "breakers": [
            {
                "name": breaker.name,
                "mode": breaker.mode.value,
                "failures": breaker.failures,
                "opened_at": breaker.opened_at,
                "next_probe_in": None if breaker.next_probe_at is None else max(breaker.next_probe_at - now, now - now),
            }
            for breaker in breakers.overview(shop.database[BREAKERS])
        ],
        "spent_today_eur": Decimal(spent.micro) / MICRO,
        "daily_budget_eur": shop.settings.daily_budget_eur,
        "calls_today": spent.calls,
    }


def _print_rest(rows: list[dict[str, object]], summary: dict[str, object]) -> None:
    breakers = summary["breakers"]
    assert isinstance(breakers, list)  # noqa: S101 - built above
    shut = [
        f"{one['name']} {one['mode'].replace('_', ' ')}"
        + (f", next trial in {age(one['next_probe_in'])}" if one["next_probe_in"] is not None else "")
        for one in breakers
        if one["mode"] != "closed"
    ]
    click.echo()
    click.echo(f"workers   {summary['workers']} alive")
    click.echo(f"breakers  {'; '.join(shut) or 'all closed'}")
    spent, budget = summary["spent_today_eur"], summary["daily_budget_eur"]
    click.echo(f"model     {spent:.2f} of {budget:.2f} EUR today (UTC), {summary['calls_today']} calls")
    for row in rows:
        since = row["paused_since"]
        if row["paused"]:
            click.echo(f"paused    {row['queue']} since {local_time(since)} by {row['paused_by']}")  # type: ignore[arg-type]
            note(f"Go on with: pwops queue resume {row['queue']}")
        if row["left_alone"]:
            note(
                f"Jobs of the shop's own from before the horizon, which are left alone: {row['left_alone']}. "
                "pwops retry ID takes one in."
            )
        if row["not_taken_over"]:
            note(
                f"Jobs of the shop's own that are not taken over yet: {row['not_taken_over']}. "
                "A running worker does that within seconds, unless their orders do not exist (pwops status says so)."
            )


@queue.command()
@queue_argument
@output_option
def pause(queue: str, output: str) -> None:
    """Claim nothing more from a queue, anywhere.

    What is running goes on. Effective within about a second, until pwops queue resume.
    """
    from pferdewert_ops.adapters.mongo.figures import Figures

    with open_shop(indexed=False) as shop:
        known = Figures(shop.database).pauses().get(queue)
        if known is None:
            audit_of(shop).record("queue_pause", queue, before={"paused": False}, after={"paused": True})
            shop.fleet.pause(queue, actor())
    if known is not None:
        note(f"The queue {queue} has been paused since {local_time(known.since)} by {known.actor}.")
    _show_switch(queue, output, paused=True, changed=known is None)


@queue.command()
@queue_argument
@output_option
def resume(queue: str, output: str) -> None:
    """Go on with a paused queue, at once."""
    with open_shop(indexed=False) as shop:
        was_paused = queue in shop.fleet.paused()
        if was_paused:
            audit_of(shop).record("queue_resume", queue, before={"paused": True}, after={"paused": False})
            shop.fleet.resume(queue)
    if not was_paused:
        note(f"The queue {queue} was not paused.")
    _show_switch(queue, output, paused=False, changed=was_paused)


def _show_switch(queue: str, output: str, *, paused: bool, changed: bool) -> None:
    row = {"queue": queue, "paused": paused, "changed": changed}
    columns = [Column(key=key, title=key) for key in row]
    emit_record(row, columns, output, schema="queue.switch")
    if paused:
        note(f"Go on with: pwops queue resume {queue}")
