"""`pwops retry`: a fresh start for what got stuck, by a worker or here and now."""

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from pferdewert_ops.cli.errors import CliError, ExitCode, GuardRefused, NotFound, Partial
from pferdewert_ops.cli.operators import OrderOrJob, actor, audit_of, open_shop, order_of, status_style
from pferdewert_ops.cli.output import Column, emit, note, output_option
from pferdewert_ops.cli.retry_words import intent_of, refusal_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pferdewert_ops.operations.retry import Outcome, Retry
    from pferdewert_ops.operations.retry_plan import Judged, Planner
    from pferdewert_ops.wiring import Shop

# So long workers leave a job alone that is about to be run here; if this process dies before, they take it then.
HELD_FOR_US = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What became of one id. `exit_code` is 0 where it is well."""

    given: str
    result: str
    words: str
    order: str | None = None
    job: str | None = None
    why: str | None = None
    treatment: str | None = None
    exit_code: ExitCode = ExitCode.CLEAN

    def row(self) -> dict[str, object]:
        return {
            "id": self.given,
            "result": self.result,
            "order": self.order,
            "job": self.job,
            "why": self.why,
            "treatment": self.treatment,
            "words": self.words,
        }


_COLUMNS = [
    Column(key="id", title="id", whole=True),
    Column(key="result", title="result", whole=True, style=status_style),
    Column(key="words", title="what and why"),
]


@click.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True, type=OrderOrJob())
@click.option("--now", "here", is_flag=True, help="Evaluate, deliver and mail this one order here, without a worker.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--paid", is_flag=True, help="You have seen in Stripe that it is paid: store that, in your name.")
@output_option
def retry(ids: "Sequence[str]", output: str, *, here: bool, dry_run: bool, paid: bool) -> None:
    """Give orders a fresh start whose evaluation or mail failed, was cancelled or got stuck.

    An ID is that of an order, a job or a Stripe session. A job gets all its attempts anew and keeps its history. An
    order older than the horizon is taken in by it. What needs no retry is left alone, with a reason.
    """
    if here and len(ids) > 1:
        raise click.UsageError("--now runs one order: give one ID.")
    with open_shop() as shop:
        if here and not dry_run:
            from pferdewert_ops.cli.retry_here import retry_here

            lines = [retry_here(shop, ids[0], said_paid=paid)]
        else:
            lines = _all(shop, ids, dry_run=dry_run, said_paid=paid)
            if any(line.result == "done" for line in lines):
                _warn_if_nobody_works(shop)
    show(lines, output)


def _all(shop: "Shop", ids: "Sequence[str]", *, dry_run: bool, said_paid: bool) -> list[Line]:
    """Every id in turn, and each order once."""
    hands = None if dry_run else retry_of(shop)
    planner = planner_to_look(shop) if hands is None else hands.planner
    seen: dict[str, str] = {}
    lines: list[Line] = []
    for given in ids:
        try:
            order_id = order_of(shop, given)
        except NotFound as missing:
            lines.append(Line(given=given, result="unknown", words=missing.message, exit_code=ExitCode.NOT_FOUND))
            continue
        if order_id in seen:
            lines.append(Line(given=given, result="same", words=f"the same order as {seen[order_id]}", order=order_id))
            continue
        seen[order_id] = given
        lines.append(_one(given, order_id, planner, hands, said_paid=said_paid))
    return lines


def _one(given: str, order_id: str, planner: "Planner", hands: "Retry | None", *, said_paid: bool) -> Line:
    if hands is not None:
        outcome = hands.order(order_id, said_paid=said_paid)
        return gone(given, order_id) if outcome is None else line_of(given, outcome)
    judged = planner.plan(order_id, said_paid=said_paid)
    if judged is None:
        return gone(given, order_id)
    return refused(given, judged) if judged.plan.treatment is None else _line(given, judged, "would")


# --- building --------------------------------------------------------------------------------------------------------


def retry_of(shop: "Shop") -> "Retry":
    """The operation on the real thing. The first change in a database stores the horizon."""
    from pferdewert_ops.adapters.mongo.restarts import MongoRestarts
    from pferdewert_ops.operations.retry import Retry
    from pferdewert_ops.operations.retry_plan import Planner

    planner = Planner(
        orders=shop.orders,
        restarts=MongoRestarts(shop.database, shop.jobs, shop.mails),
        clock=shop.clock,
        limits=shop.limits,
        horizon=shop.horizon,
    )
    return Retry(
        planner=planner,
        advance=shop.advance,
        findings=shop.findings,
        audit=audit_of(shop),
        actor=actor(),
        show_statuses=shop.settings.statuses == "extended",
    )


def planner_to_look(shop: "Shop") -> "Planner":
    """The same eyes without hands."""
    from pferdewert_ops.adapters.mongo.restarts import MongoRestarts
    from pferdewert_ops.operations.retry_plan import Planner

    return Planner(
        orders=shop.orders_to_look_at,
        restarts=MongoRestarts(shop.database, shop.jobs, shop.mails),
        clock=shop.clock,
        limits=shop.limits,
        horizon=shop.horizon_if_set,
    )


# --- saying ----------------------------------------------------------------------------------------------------------


def line_of(given: str, outcome: "Outcome") -> Line:
    """The line for what was done, or was not."""
    from pferdewert_ops.operations.retry import Result

    judged = outcome.judged
    match outcome.result:
        case Result.DONE:
            return _line(given, judged, "done", outcome)
        case Result.OTHERS:
            return _line(given, judged, "done", outcome)
        case Result.REFUSED:
            return refused(given, judged)
        case Result.CHANGED:
            order_id = judged.order.view.order_id
            words = f"it changed while it was judged, and was left alone: look at pwops jobs show {order_id}"
            return _line(given, judged, "changed", words=words, exit_code=ExitCode.GUARD_REFUSED)


def _line(
    given: str,
    judged: "Judged",
    result: str,
    outcome: "Outcome | None" = None,
    *,
    words: str | None = None,
    exit_code: ExitCode = ExitCode.CLEAN,
) -> Line:
    return Line(
        given=given,
        result=result,
        words=words or intent_of(judged, outcome),
        order=judged.order.view.order_id,
        job=None if judged.job is None else judged.job.id,
        why=judged.plan.why.value,
        treatment=None if judged.plan.treatment is None else judged.plan.treatment.value,
        exit_code=exit_code,
    )


def refused(given: str, judged: "Judged") -> Line:
    """The line for an order that needs no retry, or deserves none."""
    return _line(given, judged, "refused", words=refusal_of(judged), exit_code=ExitCode.GUARD_REFUSED)


def gone(given: str, order_id: str) -> Line:
    """The line for a job whose order is not there any more."""
    words = f"neither collection holds the order {order_id} of this job"
    return Line(given=given, result="unknown", words=words, order=order_id, exit_code=ExitCode.NOT_FOUND)


def show(lines: list[Line], output: str) -> None:
    """Print the lines, and end with the code that fits them all."""
    bad = [line for line in lines if line.exit_code]
    alone = len(lines) == 1
    if output == "json" or not (alone and bad):
        emit((line.row() for line in lines), _COLUMNS, output, schema="retry")
    if not bad:
        return
    if alone:
        raise _error(bad[0])
    codes = {line.exit_code for line in bad}
    sentence = f"{len(bad)} of {len(lines)} were not retried; their lines say why."
    raise CliError(sentence, codes.pop() if len(bad) == len(lines) and len(codes) == 1 else ExitCode.PARTIAL)


def _error(line: Line) -> CliError:
    match line.exit_code:
        case ExitCode.NOT_FOUND:
            return NotFound(line.words)
        case ExitCode.GUARD_REFUSED:
            return GuardRefused(f"{line.given} was not retried: {line.words}.")
        case _:
            return Partial(f"{line.given}: {line.words}.")


def _warn_if_nobody_works(shop: "Shop") -> None:
    """A fresh start is of no use while nobody takes it."""
    from pferdewert_ops.adapters.mongo.figures import Figures

    figures = Figures(shop.database)
    if not figures.workers_alive(2 * shop.settings.lease):
        note("No worker is running: start one with pwops run-worker, or run one order here with --now.")
    for queue, pause in figures.pauses().items():
        note(f"The queue {queue} is paused by {pause.actor}: go on with pwops queue resume {queue}.")
