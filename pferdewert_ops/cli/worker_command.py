"""`pwops run-worker`: the worker, from its checks before the first claim to its exit code."""

import sys
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from pferdewert_ops.cli.errors import ConfigProblem, GuardRefused, Terminated
from pferdewert_ops.cli.output import Column, emit_record, local_time, note, output_option

if TYPE_CHECKING:
    from pferdewert_ops.config import Settings
    from pferdewert_ops.wiring import Shop
    from pferdewert_ops.worker.assembly import Worker

QUEUES = ("evaluation", "mail")

# What has cost an order or a mail its way, or us the record of it.
_ERRORS = frozenset(
    {
        "booking_lost",
        "chore_crashed",
        "follow_up_failed",
        "handler_crashed",
        "job_failed",
        "lane_crashed",
        "mail_failed",
        "mail_uncertain",
        "order_stuck",
    }
)
# What somebody should look at if it goes on; the names of such events end in what happened. The rest is the day's work.
_TROUBLE = ("crashed", "expired", "failed", "interrupted", "lost", "overdue", "refused", "returned", "told")
_WARNINGS = frozenset({"breaker_changed", "job_without_order", "no_mail_provider"})

# The events that the closing report counts, and what it calls them.
_REPORTED = {
    "evaluated": "evaluated",
    "attempt_failed": "attempts_failed",
    "job_failed": "jobs_failed",
    "job_cancelled": "jobs_cancelled",
    "handed_back": "handed_back",
    "mail_sent": "mails_sent",
    "mail_failed": "mails_failed",
    "mail_uncertain": "mails_uncertain",
}


@click.command("run-worker")
@click.option("--concurrency", type=click.IntRange(min=1), metavar="N", help="Evaluations at once in this process.")
@click.option("--drain", is_flag=True, help="End when there is nothing left to do.")
@click.option("--max-jobs", type=click.IntRange(min=1), metavar="N", help="End once N jobs were claimed and handled.")
@click.option(
    "--queue",
    "queues",
    type=click.Choice(QUEUES),
    multiple=True,
    help="Serve only this queue; may be given twice.  [default: both]",
)
@output_option
def run_worker(
    concurrency: int | None, max_jobs: int | None, queues: Sequence[str], output: str, *, drain: bool
) -> None:
    """Evaluate, deliver and mail what is owed, until told to stop.

    Any number of workers may run, on any number of hosts. SIGTERM or Ctrl-C: claim no more, finish what is running
    (PWOPS_GRACE) or hand it back, and exit with 0; a second one hands back at once.

    Orders from before the horizon, which the first run stores, are never touched. Logs go to stderr; with -o json a
    report follows on stdout at the end.
    """
    from pferdewert_ops.config import load_settings
    from pferdewert_ops.logs import configure_logs, log_uncaught

    settings = load_settings()
    if concurrency is not None:
        settings = settings.model_copy(update={"concurrency": concurrency})
    served = [queue for queue in QUEUES if queue in queues or not queues]
    _check_settings(settings, served)
    configure_logs(settings)
    log_uncaught()
    journal = Journal(speaks=sys.stderr.isatty() and settings.log_format != "json")
    try:
        held_back = _serve(settings, journal, served, max_jobs, drain=drain)
    except (KeyboardInterrupt, Terminated):
        # Told to stop before the first claim: that is in order too.
        held_back = 0
    _report(journal, held_back, output)
    if held_back:
        raise GuardRefused(
            f"{held_back} orders that were paid over an hour ago and that no pass had known before were not taken in: "
            f"a pass takes in at most {settings.intake_guard} of them (PWOPS_INTAKE_GUARD). Look at them with "
            "pwops status, then take them in one by one with pwops retry ID, or raise the setting."
        )


class Journal:
    """Where the worker's events go: to the log, each with its level, and into the counts of the closing report."""

    def __init__(self, *, speaks: bool) -> None:
        """`speaks`: somebody reads along, and the log is text."""
        from pferdewert_ops.logs import get_logger

        self._speaks = speaks
        self.counts: Counter[str] = Counter()
        self._logger = get_logger()
        self._lock = threading.Lock()

    def tell(self, event: str, **fields: Any) -> None:
        if event in _REPORTED:
            with self._lock:
                self.counts[_REPORTED[event]] += 1
        if event in _ERRORS:
            self._logger.error(event, **fields)
        elif event in _WARNINGS or event.endswith(_TROUBLE):
            self._logger.warning(event, **fields)
        else:
            self._logger.info(event, **fields)

    def say(self, event: str, sentence: str, fields: Mapping[str, object] | None = None) -> None:
        """What a person should read: a sentence on a terminal; in a log an event, with the sentence if it is all."""
        if self._speaks:
            note(sentence)
        else:
            self.tell(event, **(fields or {"text": sentence}))


# --- before the first claim ------------------------------------------------------------------------------------------


def _check_settings(settings: "Settings", queues: Sequence[str]) -> None:
    """Everything that is missing at once, so that nobody mends it one start at a time."""
    from pferdewert_ops.config import ConfigError

    problems: list[str] = []
    needed = ["required_mongodb_uri", *(["required_anthropic_api_key"] if "evaluation" in queues else [])]
    for name in needed:
        try:
            getattr(settings, name)
        except ConfigError as error:
            problems += error.problems
    if list(queues) == ["mail"] and settings.mail_provider == "none":
        problems.append("No mail provider is configured, so --queue mail has nothing to serve: " + _HOW_TO_MAIL)
    if problems:
        raise ConfigProblem("\n".join(problems))


_HOW_TO_MAIL = "set PWOPS_RESEND_API_KEY or PWOPS_SMTP_HOST."


def _check_server(shop: "Shop") -> None:
    """Raises ConfigProblem; the driver's own errors become sentences further out."""
    from pferdewert_ops.adapters.failpoints import NotASandbox
    from pferdewert_ops.adapters.mongo import connection
    from pferdewert_ops.operations.checkup import check_replica_set

    if not connection.is_replicated(shop.client):
        needed = check_replica_set(is_replicated=False)
        raise ConfigProblem(f"{needed.sentence} {needed.fix}")
    try:
        _ = shop.failpoints
    except NotASandbox as elsewhere:
        raise ConfigProblem(f"PWOPS_FAILPOINT is for tests: {elsewhere}.") from elsewhere


def _prepare(shop: "Shop", journal: Journal, queues: Sequence[str]) -> None:
    """Make our own collections and indexes and store the horizon, and say what that was."""
    _check_server(shop)
    made = [change.index for change in shop.migrate() if change.index is not None]
    if made:
        sentence = f"Made {len(made)} indexes on the queues and on our own collections."
        journal.say("migrated", sentence, {"indexes": len(made)})
    is_first = shop.fleet.horizon() is None
    horizon = shop.horizon
    if is_first:
        journal.say(
            "first_run",
            f"This is the first run on this database: orders made before {local_time(horizon)} are never evaluated, "
            "mailed or changed, only shown; pwops retry ID takes one in.",
        )
    if "mail" in queues and shop.settings.mail_provider == "none":
        journal.say("no_mail_provider", f"No mail provider is configured, so mails wait: {_HOW_TO_MAIL}")


# --- the run ---------------------------------------------------------------------------------------------------------


def _serve(settings: "Settings", journal: Journal, queues: Sequence[str], max_jobs: int | None, *, drain: bool) -> int:
    """Run one worker to its end; returns how many orders the intake guard held back in its last survey."""
    from pferdewert_ops.worker.collector import collector_at_rest

    with collector_at_rest() as built:
        from pferdewert_ops.wiring import Shop
        from pferdewert_ops.worker.assembly import Worker

        with Shop(settings, tell=journal.tell) as shop:
            _prepare(shop, journal, queues)
            try:
                worker = Worker(shop, queues=queues, max_jobs=max_jobs)
            except ValueError as unusable:
                # What an SDK or a mail server's client refuses of the settings; it never repeats a secret.
                raise ConfigProblem(f"The worker cannot be built from this configuration: {unusable}.") from unusable
            built()
            try:
                worker.process.on_signals()
                _announce(shop, journal, queues)
                worker.process.run(drain=drain)
            finally:
                worker.close()
                worker.process.ignore_signals()
            return _held_back(worker) if drain or max_jobs is not None else 0


def _held_back(worker: "Worker") -> int:
    return worker.chores.held_back


def _announce(shop: "Shop", journal: Journal, queues: Sequence[str]) -> None:
    settings = shop.settings
    models = [settings.model_primary, *([settings.model_fallback] if settings.model_fallback else [])]
    parts = [f"Serving {' and '.join(queues)}"]
    if "evaluation" in queues:
        parts += [f"{settings.concurrency} at once", ", else ".join(models)]
    if "mail" in queues:
        parts.append(f"mail by {settings.mail_provider}" if settings.mail_provider != "none" else "no mail")
    parts += [f"database {settings.database}", f"orders since {local_time(shop.horizon)}", "Ctrl-C stops in order"]
    journal.say(
        "started",
        " · ".join(parts) + ".",
        {
            "worker": shop.identity.holder,
            "queues": list(queues),
            "concurrency": settings.concurrency,
            "models": models,
            "mail": settings.mail_provider,
            "database": settings.database,
            "horizon": shop.horizon,
        },
    )


def _report(journal: Journal, held_back: int, output: str) -> None:
    row = {name: journal.counts[name] for name in _REPORTED.values()} | {"held_back": held_back}
    if output == "json":
        emit_record(row, [Column(key=name, title=name) for name in row], output, schema="run-worker")
    done = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in row.items() if count)
    journal.say("ended", f"Ended: {done or 'there was nothing to do'}.", row)
