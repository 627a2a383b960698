"""The screen of one job: its state, its reasons, its way, and what comes next."""

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from pferdewert_ops.cli.operators import status_style
from pferdewert_ops.cli.output import age, local_time
from pferdewert_ops.cli.steps import command_of, held_by, masked, sentence_of
from pferdewert_ops.redaction import printable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from pferdewert_ops.adapters.mongo.listing import Event, JobDetail, MailLine
    from pferdewert_ops.operations.ports import Order
    from pferdewert_ops.wiring import Shop

Record = dict[str, Any]


def record_of(shop: "Shop", order: "Order | None", job: "JobDetail | None") -> Record:
    """Everything that the screen and the JSON document show. Nothing of what the customer wrote."""
    from pferdewert_ops.adapters.mongo.listing import Listing

    order_id = order.view.order_id if order is not None else job.line.order_id if job is not None else ""
    mails = Listing(shop.database).mails_of(order_id)
    return {
        "order": order_id,
        **_of_order(order),
        **_of_job(job),
        "next": _next(shop, order, job),
        "mails": [
            {
                "mail": mail.mail_id,
                "kind": mail.kind,
                "status": mail.status,
                "error": mail.error,
                "sent_at": mail.sent_at,
            }
            for mail in mails
        ],
        "timeline": [
            {"at": at, "event": words} for at, words in sorted(_timeline(order, job, mails), key=lambda line: line[0])
        ],
    }


_ORDER_KEYS = ("product", "payment", "paid_at", "delivery", "address", "created_at")
_JOB_KEYS = (
    *("job", "status", "attempts", "max_attempts", "failures", "error", "cancel_reason", "stage", "holder"),
    *("lease_until", "due_at", "taken_over", "model", "usage", "cost_eur", "seconds", "progress"),
)


def _of_order(order: "Order | None") -> Record:
    if order is None:
        return dict.fromkeys(_ORDER_KEYS)
    view = order.view
    return {
        "product": view.product.value,
        "payment": view.payment.value,
        "paid_at": view.paid_at,
        "delivery": view.delivery.value,
        "address": masked(order.address),
        "created_at": view.created_at,
    }


def _of_job(job: "JobDetail | None") -> Record:
    from pferdewert_ops.domain.money import MICRO

    if job is None:
        return dict.fromkeys(_JOB_KEYS)
    line = job.line
    return {
        "job": line.job_id,
        "status": line.status,
        "attempts": line.attempts,
        "max_attempts": line.limit,
        "failures": dict(job.failures),
        "error": line.error,
        "cancel_reason": job.cancel_reason,
        "stage": job.stage,
        "holder": line.holder,
        "lease_until": job.lease_until,
        "due_at": line.due_at,
        "taken_over": line.taken_over,
        "model": job.model,
        "usage": dict(job.usage),
        "cost_eur": Decimal(job.cost_micro) / MICRO,
        "seconds": job.seconds,
        "progress": dict(job.progress),
    }


def _next(shop: "Shop", order: "Order | None", job: "JobDetail | None") -> Record:
    from pferdewert_ops.domain.orders import Payment, next_step

    if order is None:
        return {"step": None, "why": None, "until": None, "sentence": "the order of this job is gone", "command": None}
    view = order.view
    step = next_step(view, shop.clock.now(), shop.limits)
    sentence, command = sentence_of(step), command_of(step, view.order_id)
    if step.why.value in {"queued", "paid"}:
        sentence, command = held_by(shop, paid=view.payment is Payment.PAID) or (sentence, command)
    if step.why.value == "evaluation_failed" and job is not None and (job.line.error or "").startswith("bad_input"):
        field = (job.line.error or "").removeprefix("bad_input").strip(": ").partition(":")[0] or "the field"
        sentence = f"its form cannot be evaluated: correct {field} in the order, then retry"
    return {
        "step": step.kind.value,
        "why": step.why.value,
        "until": step.until,
        "sentence": sentence,
        "command": command,
    }


# --- the way ---------------------------------------------------------------------------------------------------------


def _timeline(order: "Order | None", job: "JobDetail | None", mails: "list[MailLine]") -> "list[tuple[datetime, str]]":
    lines: list[tuple[Any, str]] = []
    if order is not None:
        lines += [(order.view.created_at, "ordered"), (order.view.paid_at, "paid")]
    if job is not None:
        holder = f" by {job.line.holder}" if job.line.holder else ""
        lines += [(job.line.made_at, "job made"), *((event.at, _words(event)) for event in job.history)]
        lines += [(job.started_at, f"attempt {job.line.attempts} started{holder}"), (job.completed_at, "evaluated")]
    for mail in mails:
        handed = f"{mail.kind} mail handed over to {mail.transport or 'the provider'}"
        lines += [(mail.made_at, f"{mail.kind} mail owed"), (mail.handed_over_at, handed)]
        lines += [(mail.sent_at, f"{mail.kind} mail sent")]
        lines += [(event.at, f"{mail.kind} mail: {_words(event)}") for event in mail.history]
    return [(at, words) for at, words in lines if at is not None]


def _words(event: "Event") -> str:
    details = event.details
    match event.kind:
        case "failed":
            return f"failed: {details.get('class')}: {details.get('code')}"
        case "retry":
            return f"fresh start by {details.get('actor')}"
        case "cancelled":
            return f"cancelled: {details.get('reason')}"
        case "closed":
            return f"{details.get('status')}: {details.get('cancelReason')}"
        case "resolved_sent" | "resolved_resend":
            return (
                f"{'taken as sent' if event.kind == 'resolved_sent' else 'to be sent anew'} by {details.get('actor')}"
            )
        case _:
            return event.kind


# --- the screen ------------------------------------------------------------------------------------------------------


def print_job(record: Record) -> None:
    """The record for people."""
    status = record["status"] or "no job"
    head = [record["job"] or record["order"], click.style(status.upper(), **_styled(status))]
    head += [part for part in (record["product"], record["payment"], record["address"]) if part]
    click.echo("   ".join(head))
    for title, text in _facts(record):
        click.echo(f"{click.style(title.ljust(9), dim=True)} {printable(text)}")
    click.echo()
    before = None
    for line in record["timeline"]:
        since = "" if before is None else f"+{age(line['at'] - before)}"
        click.echo(f"{local_time(line['at'])}  {since:>8}  {printable(line['event'])}")
        before = line["at"]


def _styled(status: str) -> "dict[str, Any]":
    words = status_style(status).split()
    return {
        "bold": "bold" in words,
        "dim": "dim" in words,
        "fg": next((w for w in words if w not in _NO_COLOURS), None),
    }


_NO_COLOURS = {"bold", "dim"}


def _facts(record: Record) -> "list[tuple[str, str]]":
    facts = [("next", record["next"]["sentence"])]
    if record["next"]["command"]:
        facts.append(("type", record["next"]["command"]))
    if record["order"] != record["job"] and record["job"]:
        facts.append(("order", record["order"]))
    if record["job"]:
        facts += _facts_of_job(record)
    facts += [
        ("mail", f"{mail['kind']} {mail['status']}" + (f" ({mail['error']})" if mail["error"] else ""))
        for mail in record["mails"]
    ]
    return facts


def _facts_of_job(record: Record) -> "list[tuple[str, str]]":
    failures: Mapping[str, int] = record["failures"]
    classes = ", ".join(f"{name} ×{count}" for name, count in failures.items())
    facts = [("attempts", f"{record['attempts']} of {record['max_attempts']}" + (f": {classes}" if classes else ""))]
    if record["error"]:
        facts.append(("error", record["error"]))
    if record["cancel_reason"] and record["status"] == "cancelled":
        facts.append(("cancelled", record["cancel_reason"].replace("_", " ")))
    if record["due_at"] and record["status"] == "pending":
        facts.append(("next try", local_time(record["due_at"])))
    if record["status"] == "pending" and not record["taken_over"]:
        facts.append(("queue", "made by the shop, not taken over by a worker"))
    if record["holder"]:
        lease = f", lease until {local_time(record['lease_until'])}" if record["lease_until"] else ""
        facts.append(("worker", record["holder"] + lease))
    if record["progress"]:
        facts.append(("progress", _progress(record["progress"])))
    if record["model"] or record["cost_eur"]:
        facts.append(("model", _model(record)))
    return facts


def _progress(progress: "Mapping[str, Any]") -> str:
    left = progress.get("secondsLeft")
    about = f", about {left} s left" if isinstance(left, int | float) else ""
    return f"{progress.get('phase')}, {progress.get('outputTokens')} tokens{about}"


def _model(record: Record) -> str:
    usage = record["usage"]
    parts = [record["model"]] if record["model"] else []
    if usage:
        read, written = usage.get("cache_read_tokens", 0), usage.get("cache_write_tokens", 0)
        total = usage.get("input_tokens", 0) + read + written
        parts.append(f"in {total:,} (cached {read:,}) out {usage.get('output_tokens', 0):,}")
    parts.append(f"{record['cost_eur']:.4f} EUR")
    if record["seconds"] is not None:
        parts.append(f"{record['seconds']:.1f} s")
    return "  ".join(parts)
