"""Can the operator sleep? What of an overview needs somebody, how urgently, and the command that helps."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum

from pferdewert_ops.domain.breaker import BreakerMode
from pferdewert_ops.domain.money import MICRO
from pferdewert_ops.domain.spending import Spend, verdict
from pferdewert_ops.operations.overview import ALL_WAIT, OF_DELAY_MAIL, UNPAID_WAIT, FindingsSeen, Overview, QueueSeen

Age = Callable[[timedelta], str]

# A mail goes out within seconds; after ten minutes something holds it, as with an order (the shop's own limit).
MAIL_LATE = timedelta(minutes=10)


class Severity(IntEnum):
    """DOWN: customers are waiting for a person. ATTENTION: somebody is needed today. NOTICE: it mends itself."""

    DOWN = 0
    ATTENTION = 1
    NOTICE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Concern:
    """One thing that is not as it should be. `command` is what to run next, empty where there is nothing to do.

    `runbook` is the entry of docs/operating.md that says more, such as `RB-03`.
    """

    severity: Severity
    sentence: str
    command: str = ""
    runbook: str = ""


def concerns(seen: Overview, age: Age) -> list[Concern]:
    """Everything that is not as it should be, the most urgent first, causes before what follows from them.

    `age` writes a duration for the reader.
    """
    found = [
        *_workers(seen, age),
        *_queues(seen),
        *_models(seen, age),
        *_budget(seen),
        *_late(seen, age),
        *_findings(seen, age),
    ]
    return sorted(found, key=lambda concern: concern.severity)


def needs_somebody(found: list[Concern]) -> bool:
    return any(concern.severity is not Severity.NOTICE for concern in found)


def _workers(seen: Overview, age: Age) -> Iterator[Concern]:
    if not seen.alive:
        last = min((worker.seen_ago for worker in seen.workers), default=None)
        sentence = (
            "No worker has ever run here." if last is None else f"No worker is running; last seen {age(last)} ago."
        )
        yield Concern(severity=Severity.DOWN, sentence=sentence, command="pwops run-worker", runbook="RB-01")
        return
    if not seen.queues:
        yield Concern(severity=Severity.DOWN, sentence="Indexes of ours are missing.", command="pwops migrate")
    served = {queue for worker in seen.alive for queue in worker.queues}
    for queue in seen.queues:
        if queue.name not in served:
            sentence, command = f"No worker serves the {queue.name} queue.", f"pwops run-worker --queue {queue.name}"
            yield Concern(severity=Severity.DOWN, sentence=sentence, command=command, runbook="RB-01")
    for worker in seen.workers:
        if not worker.is_alive and worker.state != "gone":
            sentence = f"The worker {worker.name} was lost {age(worker.seen_ago)} ago; others took over."
            yield Concern(severity=Severity.NOTICE, sentence=sentence)


def _queues(seen: Overview) -> Iterator[Concern]:
    for queue in seen.queues:
        if queue.paused_by is not None:
            sentence = f"The {queue.name} queue is paused, by {queue.paused_by}; {queue.ready} wait."
            command = f"pwops queue resume {queue.name}"
            # Nobody's order is evaluated meanwhile.
            keeps_waiting = queue.name == "evaluation" and queue.ready > 0
            severity = Severity.DOWN if keeps_waiting else Severity.ATTENTION
            yield Concern(severity=severity, sentence=sentence, command=command)
        if queue.stuck and seen.alive:
            sentence = f"{queue.stuck} in the {queue.name} queue were left by a lost worker and will be taken back."
            yield Concern(severity=Severity.NOTICE, sentence=sentence)
        yield from _held_mail(queue, seen)


def _held_mail(queue: QueueSeen, seen: Overview) -> Iterator[Concern]:
    if queue.name != "mail" or not queue.ready or queue.paused_by is not None or not seen.alive:
        return
    if not seen.sends_mail:
        sentence = f"{queue.ready} mails wait, and no mail provider is configured here."
        yield Concern(severity=Severity.ATTENTION, sentence=sentence, command="pwops doctor")
    elif queue.oldest is not None and queue.oldest >= MAIL_LATE:
        sentence = f"{queue.ready} mails are not going out."
        yield Concern(severity=Severity.ATTENTION, sentence=sentence, command="pwops doctor --deep")


def _models(seen: Overview, age: Age) -> Iterator[Concern]:
    resting = [breaker for breaker in seen.breakers if breaker.mode is not BreakerMode.CLOSED]
    names = {breaker.name for breaker in resting}
    all_rest = all(f"model:{model}" in names for model in seen.models)
    for breaker in resting:
        name = breaker.name.removeprefix("model:")
        opened = "" if breaker.open_for is None else f"; its breaker opened {age(breaker.open_for)} ago"
        then = "the next call decides"
        if breaker.next_probe_in is not None and breaker.next_probe_in > timedelta(0):
            then = f"next try in {age(breaker.next_probe_in)}"
        follows = "nothing is evaluated meanwhile" if all_rest else "paid orders go to the other model"
        yield Concern(
            severity=Severity.ATTENTION if all_rest else Severity.NOTICE,
            sentence=f"{name} is not asked{opened}; {then}; {follows}.",
            command="pwops doctor --deep" if all_rest else "",
            runbook="RB-06",
        )


def _budget(seen: Overview) -> Iterator[Concern]:
    amounts = f"{seen.spent_micro / MICRO:.2f} of {seen.budget_micro / MICRO:.2f} EUR"
    match _spend(seen):
        case Spend.CLOSED:
            used = "used up" if seen.spent_micro >= seen.budget_micro else "used up with what may still be running"
            sentence = f"The day's model budget is {used} ({amounts}): every order waits, until midnight UTC."
            command = "set PWOPS_DAILY_BUDGET_EUR, restart the worker"
            yield Concern(severity=Severity.DOWN, sentence=sentence, command=command, runbook="RB-07")
        case Spend.PAID_ONLY:
            sentence = f"The day's model budget runs low ({amounts}): unpaid orders wait until midnight UTC."
            yield Concern(severity=Severity.NOTICE, sentence=sentence, runbook="RB-07")
        case Spend.OPEN:
            pass


def _spend(seen: Overview) -> Spend:
    """Who waits: as the worker found while its finding is open, for it knows what is set aside; else by the figures."""
    told = {finding.detail for finding in seen.findings if finding.kind == "model_budget"}
    if ALL_WAIT in told:
        return Spend.CLOSED
    return Spend.PAID_ONLY if UNPAID_WAIT in told else verdict(seen.spent_micro, 0, seen.budget_micro)


def _late(seen: Overview, age: Age) -> Iterator[Concern]:
    orders = seen.orders
    if orders.late:
        noun, verb = ("order", "is") if orders.late == 1 else ("orders", "are")
        yield Concern(
            severity=Severity.ATTENTION,
            sentence=f"{orders.late} paid {noun} {verb} late; the longest has waited for {age(orders.latest_by)}.",
            command=f"pwops jobs show {orders.latest}",
            runbook="RB-02",
        )


# What a finding of each kind means, the command that helps ({id} is the oldest one's subject), and its runbook entry.
_ADVICE = {
    "delivered_never_paid": ("delivered and mailed, but never paid", "pwops jobs show {id}", "RB-14"),
    "delivered_elsewhere": ("delivered by somebody else, and perhaps not mailed", "pwops jobs show {id}", "RB-11"),
    "evaluation_failed": ("paid, and the evaluation failed for good", "pwops retry {id}", "RB-03"),
    "cancelled": ("paid, and the job was cancelled", "pwops retry {id}", "RB-15"),
    "mail_uncertain": ("nobody knows whether the mail went out", "pwops mails list --status uncertain", "RB-04"),
    "mail_failed": ("delivered, and the mail was refused", "pwops mails list --status failed", "RB-05"),
    "no_address": ("delivered, and there is no usable mail address", "pwops jobs show {id}", "RB-12"),
    "job_without_order": ("a job of the shop names an order that does not exist", "pwops jobs show {id}", "RB-10"),
    "intake_guard": (
        "a pass found unusually many lost orders and took in none",
        "pwops retry ID, or PWOPS_INTAKE_GUARD",
        "RB-08",
    ),
    "bad_input": ("the form holds what cannot be used", "pwops jobs show {id}", "RB-03"),
    "auth": ("a key is refused", "pwops doctor --deep", "RB-09"),
    "spend_limit": ("Anthropic's own spend limit is reached", "pwops doctor --deep", "RB-09"),
    "model_budget": ("what is running may use up the day's model budget", "pwops queue stats", "RB-07"),
    "internal": ("an error of this program itself", "pwops jobs list --status failed", "RB-17"),
    "order_stuck": ("the next step of the order fails each time", "pwops jobs show {id}", "RB-17"),
}

# The same of a delay mail, which is not sent again: the mail with the result ends it.
_ADVICE_DELAY = {
    "mail_uncertain": (
        "nobody knows whether the mail that it takes longer went out; the result's mail settles it",
        "pwops jobs show {id}",
        "RB-04",
    ),
    "mail_failed": (
        "the mail that it takes longer was refused; the result's mail settles it",
        "pwops jobs show {id}",
        "RB-05",
    ),
}

# Findings about a service, not about an order: nobody closes them, and while it goes on they are renewed with every
# attempt, which a job waits for half an hour at most.
_OF_SERVICES = {"auth", "spend_limit", "internal", "mail_refused", "mail_unknown"}
_RENEWED_WITHIN = timedelta(hours=1)


def _findings(seen: Overview, age: Age) -> Iterator[Concern]:
    for finding in seen.findings:
        if finding.kind in _OF_SERVICES and finding.seen_ago > _RENEWED_WITHIN:
            continue
        if finding.kind == "model_budget" and _spend(seen) is not Spend.OPEN:
            continue  # said already, with the amounts
        unknown = (finding.kind.replace("_", " "), "pwops jobs list", "")
        advice = _ADVICE_DELAY if finding.is_about_delay_mails else _ADVICE
        meaning, command, runbook = advice.get(finding.kind, unknown)
        # Without the model's key or money no order at all is evaluated.
        stops_all = finding.kind in {"auth", "spend_limit"} and "model" in finding.subjects
        yield Concern(
            severity=Severity.DOWN if stops_all else Severity.ATTENTION,
            sentence=f"{_subject(finding)}: {meaning} (for {age(finding.open_for)}){_which(finding)}",
            command=command.format(id=finding.subjects[0].removesuffix(OF_DELAY_MAIL) if finding.subjects else "ID"),
            runbook=runbook,
        )


def _subject(finding: FindingsSeen) -> str:
    if finding.count == 1 and finding.subjects:
        return finding.subjects[0]
    return f"{finding.count} × {finding.kind}"


def _which(finding: FindingsSeen) -> str:
    """The sentence's end: the orders that it is about, as far as it does not begin with them."""
    if finding.kind == "intake_guard" and finding.detail:
        return f": {finding.detail}"
    if finding.count == 1 or finding.kind in _OF_SERVICES or not finding.subjects:
        return "."
    return f": {', '.join(finding.subjects)}{', …' if finding.count > len(finding.subjects) else ''}"
