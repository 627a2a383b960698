"""The status screen: the verdict with the next command first, then the figures that it rests on."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timedelta
from decimal import Decimal

import click

from pferdewert_ops.cli.output import NOTHING, Row, age, local_time
from pferdewert_ops.domain.breaker import BreakerMode
from pferdewert_ops.domain.money import MICRO
from pferdewert_ops.operations.concerns import Concern, Severity
from pferdewert_ops.operations.overview import LOOKS_BACK, BreakerSeen, Overview, QueueSeen, Standing

LABEL = 10
_COLOURS = {Severity.DOWN: "red", Severity.ATTENTION: "yellow", Severity.NOTICE: "cyan"}

# In the order in which a person wants to know: trouble, work, waiting, done.
_STANDINGS = {
    Standing.NEEDS_PERSON: "need a person",
    Standing.DUE: "due now",
    Standing.QUEUED: "queued",
    Standing.RUNNING: "being evaluated",
    Standing.MAIL_QUEUED: "about to be mailed",
    Standing.AWAITS_PAYMENT: "await payment",
    Standing.PAYMENT_UNKNOWN: "payment unknown: wait for the reconcile",
    Standing.SETTLED: "settled",
    Standing.NOT_OWED: "owed nothing",
}


def screen(seen: Overview, found: list[Concern], at: datetime, *, width: int = 10_000) -> str:
    """The whole screen as text with colours. `at` is when the figures were read; `width` is the terminal's."""
    return "\n".join(
        [
            *_verdict(found, width),
            "",
            *_line("workers", _workers(seen)),
            *_queues(seen),
            *_line("orders", _orders(seen)),
            *_line("findings", _findings(seen)),
            *_line("model", _model(seen)),
            *_line("breakers", _breakers(seen)),
            *_line("horizon", _horizon(seen)),
            *_line("read", [f"{local_time(at)}, database {seen.database}"]),
        ]
    )


def document(seen: Overview, found: list[Concern], at: datetime) -> Row:
    """The same for scripts."""
    figures = asdict(seen)
    spent, budget = figures.pop("spent_micro"), figures.pop("budget_micro")
    return {
        "state": _state(found).lower(),
        "concerns": [
            {
                "severity": one.severity.name.lower(),
                "sentence": one.sentence,
                "command": one.command or None,
                "runbook": one.runbook or None,
            }
            for one in found
        ],
        "read_at": at,
        **figures,
        "spent_today_eur": Decimal(spent) / MICRO,
        "daily_budget_eur": Decimal(budget) / MICRO,
    }


def _state(found: list[Concern]) -> str:
    worst = found[0].severity if found else Severity.NOTICE
    return "OK" if worst is Severity.NOTICE else worst.name


def _verdict(found: list[Concern], width: int) -> Iterator[str]:
    state = _state(found)
    if state == "OK":
        yield f"{click.style('OK', fg='green', bold=True)}  Nothing needs you."
    indent = len(state) + 2
    for number, concern in enumerate(found):
        head = " " * indent
        if number == 0 and state != "OK":
            head = click.style(state, fg=_COLOURS[concern.severity], bold=True) + "  "
        sentence = click.style(concern.sentence, dim=concern.severity is Severity.NOTICE or None)
        command = f"  → {click.style(concern.command, bold=True)}" if concern.command else ""
        if concern.runbook:
            command += f"  {click.style(concern.runbook, dim=True)}"
        if indent + len(concern.sentence) + len(click.unstyle(command)) > width:
            yield head + sentence
            head, sentence = " " * indent, ""
        if sentence or command:
            yield head + sentence + command


def _line(label: str, texts: Iterator[str] | list[str]) -> Iterator[str]:
    """A label once, and what belongs to it in lines below each other."""
    for number, text in enumerate(texts):
        yield click.style((label if number == 0 else "").ljust(LABEL), dim=True) + text


def _workers(seen: Overview) -> Iterator[str]:
    if not seen.alive:
        yield "none"
    for worker in seen.alive:
        stopping = ", stopping" if worker.state == "stopping" else ""
        yield (
            f"{worker.name}  {' and '.join(worker.queues)}, busy {worker.busy} of {worker.concurrency}, "
            f"seen {age(worker.seen_ago)} ago{stopping}"
        )


def _queues(seen: Overview) -> Iterator[str]:
    if not seen.queues:
        yield from _line("queues", ["not counted: indexes are missing"])
        return
    titles = ["ready", "oldest", "waiting", "running", "failed 24 h", "uncertain"]
    rows = [[queue.name, *_cells(queue)] for queue in seen.queues]
    width = max(len(queue.name) for queue in seen.queues)
    yield click.style("queues".ljust(LABEL) + " " * width + "  " + "  ".join(titles), dim=True)
    for queue, (name, *cells) in zip(seen.queues, rows, strict=True):
        figures = "  ".join(cell.rjust(len(title)) for cell, title in zip(cells, titles, strict=True))
        notes = [f"paused by {queue.paused_by}"] if queue.paused_by else []
        if queue.left_alone:
            notes.append(f"{queue.left_alone} from before the horizon left alone")
        if queue.not_taken_over:
            notes.append(f"{queue.not_taken_over} not taken over yet")
        yield f"{'':{LABEL}}{name:{width}}  {figures}  {', '.join(notes)}".rstrip()


def _cells(queue: QueueSeen) -> list[str]:
    return [
        str(queue.ready),
        NOTHING if queue.oldest is None else age(queue.oldest),
        str(queue.waiting),
        str(queue.running),
        str(queue.failed),
        str(queue.uncertain) if queue.name == "mail" else NOTHING,
    ]


def _orders(seen: Overview) -> Iterator[str]:
    orders = seen.orders
    noun = "order" if orders.seen == 1 else "orders"
    more = " (the oldest of them only)" if orders.is_partial else ""
    late = f", {orders.late} late" if orders.late else ""
    yield f"{orders.seen} {noun} since {local_time(orders.since)} ({_reach(seen)}){more}{late}"
    for standing, words in _STANDINGS.items():
        count = orders.standings.get(standing, 0)
        if count:
            yield f"{count:>6}  {words}"


def _reach(seen: Overview) -> str:
    if seen.horizon is None:
        return "what a first run now would take in"
    return "the horizon" if seen.orders.since == seen.horizon else f"only the last {LOOKS_BACK.days} days are looked at"


def _findings(seen: Overview) -> list[str]:
    if not seen.findings:
        return ["none"]
    kinds = ", ".join(
        f"{one.count} × {one.kind}{' (delay mail)' if one.is_about_delay_mails else ''}" for one in seen.findings
    )
    return [f"{sum(one.count for one in seen.findings)} open: {kinds}"]


def _model(seen: Overview) -> list[str]:
    share = f" ({100 * seen.spent_micro // seen.budget_micro} %)" if seen.budget_micro else ""
    spent, budget = seen.spent_micro / MICRO, seen.budget_micro / MICRO
    return [f"{spent:.2f} of {budget:.2f} EUR today (UTC){share}, {seen.calls} calls"]


def _breakers(seen: Overview) -> list[str]:
    shut = [one for one in seen.breakers if one.mode is not BreakerMode.CLOSED]
    if not shut:
        return ["all closed"]
    return [f"{one.name} {one.mode.value.replace('_', ' ')}, next trial {_next_trial(one)}" for one in shut]


def _next_trial(breaker: BreakerSeen) -> str:
    left = breaker.next_probe_in
    return f"in {age(left)}" if left is not None and left > timedelta(0) else "with the next call"


def _horizon(seen: Overview) -> list[str]:
    if seen.horizon is None:
        return ["none yet: the first pwops run-worker stores it"]
    return [f"{local_time(seen.horizon)}; what is older is never touched"]
