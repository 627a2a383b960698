"""`pwops retry --now`: one order in the foreground, with a line that tells how far it is."""

import sys
from typing import TYPE_CHECKING

import click

from pferdewert_ops.cli.errors import ConfigProblem, ExitCode, GuardRefused, Terminated
from pferdewert_ops.cli.operators import order_of
from pferdewert_ops.cli.output import age, local_time, note
from pferdewert_ops.cli.retry_command import HELD_FOR_US, Line, gone, line_of, planner_to_look, refused, retry_of

if TYPE_CHECKING:
    from pferdewert_ops.operations.ports import JobOutcome
    from pferdewert_ops.operations.retry_plan import Judged
    from pferdewert_ops.wiring import Shop
    from pferdewert_ops.worker.foreground import Foreground, Glance

# A line that moves four times a second reads as alive.
REDRAWN_EVERY = 0.25
# Stopping takes the handler's five seconds and the last writes' ten at most.
STOPPING_SECONDS = 20.0


def retry_here(shop: "Shop", given: str, *, said_paid: bool) -> Line:
    """Retry one order and see it through. Raises what stops it before anything was changed."""
    order_id = order_of(shop, given)
    judged = planner_to_look(shop).plan(order_id, said_paid=said_paid)
    if judged is None:
        return gone(given, order_id)
    waiting = _is_waiting(judged)
    if judged.plan.treatment is None and not waiting:
        return refused(given, judged)
    try:
        run = _opened(shop, judged)
    except ValueError as unusable:
        raise ConfigProblem(f"The worker cannot be built from this configuration: {unusable}.") from unusable
    with run:
        _check_gates(shop, run, judged, said_paid=said_paid)
        if not waiting:
            outcome = retry_of(shop).order(order_id, said_paid=said_paid, delay=HELD_FOR_US)
            if outcome is None:
                return gone(given, order_id)
            line = line_of(given, outcome)
            # A worker's pass may have made it a job in between: then there is work, as was wanted.
            if line.exit_code and not _is_waiting(outcome.judged):
                return line
        _follow(run, _job_to_run(shop, order_id))
        return _line(shop, given, order_id, run)


def _is_waiting(judged: "Judged") -> bool:
    """Whether there is work already, which needs no retry, only hands."""
    return judged.plan.treatment is None and judged.plan.why.value in {"queued", "mail_queued"}


def _opened(shop: "Shop", judged: "Judged") -> "Foreground":
    from pferdewert_ops.worker.foreground import Foreground

    if shop.settings.mail_provider == "none":
        note("No mail provider is configured, so the mail will wait: set PWOPS_RESEND_API_KEY or PWOPS_SMTP_HOST.")
    return Foreground(shop, judged.order.view.order_id)


def _check_gates(shop: "Shop", run: "Foreground", judged: "Judged", *, said_paid: bool) -> None:
    """What would hold a worker back holds this back too. Raises GuardRefused; nothing was changed yet."""
    if judged.plan.why.value == "mail_queued" or (judged.plan.treatment or "") in {"finish", "send_mail"}:
        return
    from pferdewert_ops.adapters.mongo.figures import Figures

    pause = Figures(shop.database).pauses().get("evaluation")
    if pause is not None:
        raise GuardRefused(
            f"The queue evaluation is paused since {local_time(pause.since)} by {pause.actor}: "
            "go on with pwops queue resume evaluation. Nothing was changed."
        )
    if run.places(paid=said_paid or judged.order.view.payment.value == "paid") <= 0:
        raise GuardRefused(
            "No model call may be made now: its breaker is open or the day's budget is used up "
            "(pwops queue stats). Nothing was changed."
        )


def _job_to_run(shop: "Shop", order_id: str) -> str | None:
    found = shop.orders.look([order_id])
    view = found[0].view if found else None
    return view.job.id if view is not None and view.job is not None and view.job.status.value == "pending" else None


# --- waiting ---------------------------------------------------------------------------------------------------------


def _follow(run: "Foreground", job_id: str | None) -> None:
    """Start it and stay with it; Ctrl-C and SIGTERM hand back what is held."""
    moving = sys.stderr.isatty()
    if not moving:
        note("Running this order here; Ctrl-C hands it back." if job_id else "Sending this order's mail here.")
    run.start(job_id)
    try:
        while not run.wait(REDRAWN_EVERY):
            if moving:
                _draw(_words(run.glance()))
    except (KeyboardInterrupt, Terminated):
        run.stop()
        if moving:
            _draw("")
        if run.wait(STOPPING_SECONDS):
            note("Stopped. What had not finished was handed back without spending an attempt.")
        raise
    finally:
        if moving:
            _draw("")


def _words(glance: "Glance") -> str:
    seconds = int(glance.seconds)
    parts = [glance.phase, f"{seconds // 60}:{seconds % 60:02d}"]
    if glance.output_tokens:
        parts.append(f"{glance.output_tokens:,} tokens")
    if glance.seconds_left is not None:
        parts.append(f"about {int(glance.seconds_left)} s left")
    return "   ".join(parts) + "   (Ctrl-C hands back)"


def _draw(words: str) -> None:
    r"""The one line that is drawn over itself: \r to its beginning, then erase to its end (ECMA-48, EL)."""
    click.echo(f"\r\x1b[K{words}", nl=False, err=True, color=True)


# --- saying ----------------------------------------------------------------------------------------------------------


def _line(shop: "Shop", given: str, order_id: str, run: "Foreground") -> Line:
    """Where the order stands now, and whether that is what was wanted."""
    from pferdewert_ops.domain.orders import next_step

    found = shop.orders.look([order_id])
    if not found:
        return gone(given, order_id)
    view = found[0].view
    step = next_step(view, shop.clock.now(), shop.limits)
    words, well = _of_job(run.report.job)
    settled = step.why.value in {"settled", "awaits_payment", "no_address"}
    others = run.report.job is None and step.why.value in {"queued", "running"}
    if others:
        words = "a worker was faster, and has it now" if step.why.value == "running" else "it is still waiting"
        well = step.why.value == "running"
    from pferdewert_ops.cli.steps import sentence_of

    return Line(
        given=given,
        result="done" if well and (settled or others) else "unfinished",
        words="; ".join(part for part in (words, sentence_of(step)) if part),
        order=order_id,
        job=None if view.job is None else view.job.id,
        why=step.why.value,
        treatment="run_here",
        exit_code=ExitCode.CLEAN if well and (settled or others) else ExitCode.PARTIAL,
    )


def _of_job(outcome: "JobOutcome | None") -> tuple[str, bool]:
    """What the evaluation came to, and whether that is well."""
    from pferdewert_ops.domain.jobs import Retry
    from pferdewert_ops.domain.money import eur_text
    from pferdewert_ops.operations.ports import Cancelled, Completed, HandedBack, Unsuccessful

    match outcome:
        case None:
            return "", True
        case Completed():
            tokens = f"{outcome.usage.output_tokens:,} tokens"
            return f"evaluated in {outcome.seconds:.1f} s, {tokens}, {eur_text(outcome.cost_micro)}", True
        case Cancelled():
            return f"not evaluated: {outcome.reason.value.replace('_', ' ')}", False
        case HandedBack():
            return "handed back without spending an attempt", False
        case Unsuccessful():
            failure = outcome.failure
            again = f", tried again in {age(outcome.after.wait)}" if isinstance(outcome.after, Retry) else ""
            return f"the attempt failed ({failure.error_class.value}: {failure.code}){again}", False
