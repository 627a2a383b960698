"""The doctor's rules: each judges one fact of the set-up and says in a sentence what it found and how to mend it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from pferdewert_ops.domain.money import MICRO
from pferdewert_ops.domain.spending import allowance

# Leases live by the server's clock; ours decides when an order is late and where the horizon lies. A second is what
# NTP keeps with ease; a minute makes mails of delay go out too early or too late.
SKEW_NOTICED = timedelta(seconds=2)
SKEW_HARMFUL = timedelta(minutes=1)


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One finding. `fix` is what to do, empty where nothing has to be done. Neither ever holds a secret."""

    name: str
    level: Level
    sentence: str
    fix: str = ""


class ProbeOutcome(StrEnum):
    """REFUSED: it answered no, and will until a setting changes. UNWELL: it answered, and not as it should."""

    ANSWERS = "answers"
    REFUSED = "refused"
    UNWELL = "unwell"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What came of one harmless question to a service. `code` is a stable word, never the service's own text."""

    outcome: ProbeOutcome
    code: str
    seconds: float = 0.0


def ok(name: str, sentence: str) -> Check:
    return Check(name=name, level=Level.OK, sentence=sentence)


def warn(name: str, sentence: str, fix: str) -> Check:
    return Check(name=name, level=Level.WARN, sentence=sentence, fix=fix)


def fail(name: str, sentence: str, fix: str) -> Check:
    return Check(name=name, level=Level.FAIL, sentence=sentence, fix=fix)


# --- the server ------------------------------------------------------------------------------------------------------


def check_replica_set(*, is_replicated: bool) -> Check:
    if is_replicated:
        return ok("replica set", "Writes reach a majority, and changes are told.")
    return fail(
        "replica set",
        "MongoDB runs without a replica set, which change streams and safe writes need.",
        "Start mongod with --replSet (one member is enough), run rs.initiate() once, and name the set in "
        "PWOPS_MONGODB_URI (?replicaSet=…).",
    )


def check_transport(*, is_encrypted: bool, is_local: bool) -> Check:
    """The way to MongoDB: whether customers' data can be read on it."""
    if is_encrypted:
        return ok("transport", "The connection to MongoDB is encrypted.")
    if is_local:
        return ok("transport", "The connection to MongoDB stays on this machine.")
    return warn(
        "transport",
        "Customers' data crosses the network to MongoDB unencrypted.",
        "Add tls=true to PWOPS_MONGODB_URI, unless the network in between is yours alone.",
    )


def check_shop(database: str, collections: Sequence[str], present: Sequence[str]) -> Check:
    """Whether this is the shop's database at all: a URI without a name leads to `test`."""
    missing = [name for name in collections if name not in present]
    if not missing:
        return ok("shop", f"The database {database} holds {' and '.join(collections)}.")
    if len(missing) < len(collections):
        return ok("shop", f"The database {database} has no {' and no '.join(missing)} yet.")
    return warn(
        "shop",
        f"The database {database} holds neither {' nor '.join(collections)}.",
        "Check the name in PWOPS_MONGODB_URI or PWOPS_DATABASE; in a new shop this ends with its first order.",
    )


def check_writes(*, is_confirmed: bool) -> Check:
    if is_confirmed:
        return ok("writes", "Allowed where a worker writes, and a majority confirms them. Nothing was changed.")
    return fail(
        "writes", "No majority of MongoDB's members confirms a write.", "Look at rs.status() for members that are down."
    )


def check_indexes(missing: int, wanted: int, *, has_run: bool) -> Check:
    if not missing:
        return ok("indexes", f"All {wanted} indexes are there.")
    sentence = f"{missing} of {wanted} indexes are missing."
    if has_run:
        return fail("indexes", sentence, "Run pwops migrate.")
    return warn("indexes", sentence, "The first pwops run-worker makes them; pwops migrate does so now.")


def check_clock(skew: timedelta) -> Check:
    """`skew` is our clock less the server's."""
    size = abs(skew)
    sentence = f"This machine's clock is {size.total_seconds():.1f} s {'ahead of' if skew > timedelta(0) else 'behind'}"
    if size < SKEW_NOTICED:
        return ok("clock", f"Within {size.total_seconds():.1f} s of MongoDB's.")
    judge = fail if size >= SKEW_HARMFUL else warn
    return judge("clock", f"{sentence} MongoDB's.", "Let NTP set the clocks of both machines.")


def check_horizon(at: datetime | None, shown: str) -> Check:
    """`shown` is the horizon as the reader's clock has it."""
    if at is not None:
        return ok("horizon", f"Orders from before {shown} are never touched.")
    return warn(
        "horizon",
        "No worker has ever run on this database.",
        "The first pwops run-worker stores the horizon: its start less PWOPS_LOOKBACK. Check that setting first.",
    )


# --- money -----------------------------------------------------------------------------------------------------------


def check_budget(budget_micro: int, worst_call_micro: int) -> Check:
    """Amounts in millionths of a euro: the day's budget, and the most that one evaluation can cost."""
    worst = f"{worst_call_micro / MICRO:.2f} EUR"
    budget = f"{budget_micro / MICRO:.2f} EUR a day"
    if worst_call_micro <= 0:
        return warn("budget", "The models cost nothing by PWOPS_MODEL_PRICES, so no budget holds.", "Set their prices.")
    if allowance(0, 0, budget_micro, worst_call_micro, paid=True) == 0:
        return fail(
            "budget",
            f"One evaluation may cost {worst}, and the budget is {budget}: nothing will ever be evaluated.",
            "Raise PWOPS_DAILY_BUDGET_EUR.",
        )
    if allowance(0, 0, budget_micro, worst_call_micro, paid=False) == 0:
        return warn(
            "budget",
            f"One evaluation may cost {worst}, and the budget is {budget}: no unpaid order will be evaluated.",
            "Raise PWOPS_DAILY_BUDGET_EUR.",
        )
    return ok("budget", f"{budget}; the dearest evaluation would cost {worst}.")


# --- what is going on ------------------------------------------------------------------------------------------------


def check_uncertain(count: int) -> Check:
    if not count:
        return ok("uncertain mails", "None.")
    return fail(
        "uncertain mails",
        f"Of {count} {'mail' if count == 1 else 'mails'} nobody knows whether they went out.",
        "Look in the provider's log, then run pwops mails resolve ID --sent or --resend; pwops mails list has them.",
    )


def check_paused(queues: Sequence[str]) -> Check:
    if not queues:
        return ok("queues", "None is paused.")
    return warn("queues", f"Paused: {', '.join(queues)}.", f"Run pwops queue resume {queues[0]} when it is time.")


def check_breakers(open_names: Sequence[str]) -> Check:
    if not open_names:
        return ok("breakers", "All are closed.")
    return warn(
        "breakers",
        f"Open: {', '.join(open_names)}. It closes by itself once a trial call succeeds.",
        "Run pwops doctor --deep to see what it answers now.",
    )


def check_workers(alive: int, last_seen: timedelta | None, shown_age: str) -> Check:
    """`last_seen`: how long ago the latest sign of life was, by the server's clock; None if there was never one."""
    if alive:
        return ok("worker", f"{alive} {'is' if alive == 1 else 'are'} running, last seen {shown_age} ago.")
    sentence = "None has ever run." if last_seen is None else f"None is running; the last was seen {shown_age} ago."
    return fail("worker", sentence, "Start one: pwops run-worker, or the service that runs it.")
