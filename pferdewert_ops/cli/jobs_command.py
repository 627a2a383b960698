"""`pwops jobs`: the evaluation jobs: which there are, how one came to where it is, and how to end one."""

from typing import TYPE_CHECKING, Any

import click

from pferdewert_ops.cli.errors import GuardRefused, NotFound
from pferdewert_ops.cli.operators import (
    Duration,
    OrderOrJob,
    audit_of,
    confirm,
    open_shop,
    order_of,
    status_style,
    yes_option,
)
from pferdewert_ops.cli.output import Column, age, emit, emit_record, note, output_option

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from pferdewert_ops.adapters.mongo.listing import JobDetail, JobLine
    from pferdewert_ops.operations.ports import Order
    from pferdewert_ops.wiring import Shop

STATUSES = ("pending", "processing", "completed", "failed", "cancelled")


@click.group()
def jobs() -> None:
    """List, show and cancel evaluation jobs."""


@jobs.command("list")
@click.option("--status", "statuses", type=click.Choice(STATUSES), multiple=True, help="Only these; repeatable.")
@click.option("--older-than", type=Duration(), metavar="AGE", help="Only orders older than this, like 10m or 24h.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most so many.")
@output_option
def list_jobs(statuses: "Sequence[str]", older_than: "timedelta | None", limit: int, output: str) -> None:
    """The jobs of the newest orders first."""
    from pferdewert_ops.adapters.mongo.listing import Listing

    with open_shop() as shop:
        found = Listing(shop.database).jobs(statuses, older_than=older_than, most=limit)
        rows = [_row(job, shop.clock.now()) for job in found]
    emit(rows, _COLUMNS, output, schema="jobs.list", empty="No such job.")
    if len(rows) == limit and output == "table":
        note(f"The newest {limit}; --limit shows more.")


_COLUMNS = [
    Column(key="job", title="job", whole=True),
    Column(key="status", title="status", whole=True, style=status_style),
    Column(key="product", title="product"),
    Column(key="paid", title="paid"),
    Column(key="tries", title="tries"),
    Column(key="age", title="age"),
    Column(key="next_try", title="next try"),
    Column(key="note", title="note"),
]


def _row(job: "JobLine", now: Any) -> dict[str, object]:
    waits = job.due_at - now if job.due_at is not None and job.due_at > now else None
    left_alone = job.status == "pending" and not job.taken_over
    return {
        "job": job.job_id,
        "order": job.order_id,
        "status": job.status,
        "product": job.product,
        "paid": job.paid,
        "attempts": job.attempts,
        "max_attempts": job.limit,
        "tries": f"{job.attempts} of {job.limit}",
        "age": now - job.made_at,
        "made_at": job.made_at,
        "next_try": None if waits is None else f"in {age(waits)}",
        "due_at": job.due_at,
        "error": job.error,
        "holder": job.holder,
        "taken_over": job.taken_over,
        "note": job.holder or job.error or ("not taken over" if left_alone else None),
    }


@jobs.command()
@click.argument("job_id", metavar="ID", type=OrderOrJob())
@output_option
def show(job_id: str, output: str) -> None:
    """One job, its way, and what to type next.

    ID is the id of a job or an order, or of a Stripe session.
    """
    from pferdewert_ops.cli.job_screen import print_job, record_of

    with open_shop() as shop:
        order, job = find(shop, job_id)
        record = record_of(shop, order, job)
    if output == "json":
        emit_record(record, [], output, schema="jobs.show")
    else:
        print_job(record)


def find(shop: "Shop", text: str) -> "tuple[Order | None, JobDetail | None]":
    """The order and the job that an id means. Raises NotFound where there is neither."""
    from pferdewert_ops.adapters.mongo.listing import Listing

    listing = Listing(shop.database)
    try:
        order_id = order_of(shop, text)
    except NotFound:
        lonely = listing.job(text)  # a job that names no order
        if lonely is None:
            raise
        return None, lonely
    found = shop.orders_to_look_at.look([order_id])
    order = found[0] if found else None
    if text != order_id and not text.startswith("cs_"):
        return order, listing.job(text)
    view = None if order is None else order.view
    return order, listing.job(view.job.id) if view is not None and view.job is not None else None


@jobs.command()
@click.argument("job_id", metavar="ID", type=OrderOrJob())
@click.option("--reason", metavar="TEXT", help="Why, for the record of changes. No customer data.")
@yes_option
@output_option
def cancel(job_id: str, reason: str | None, output: str, *, yes: bool) -> None:
    """End a job that has not finished. A running one is stopped and its result thrown away.

    The order is not evaluated any more until pwops retry.
    """
    from pferdewert_ops.domain.jobs import CancelReason

    with open_shop(indexed=False) as shop:
        order, job = find(shop, job_id)
        if job is None:
            raise NotFound(f"The order {job_id} has no job.")
        if job.line.status not in {"pending", "processing"}:
            raise GuardRefused(f"The job {job.line.job_id} is {job.line.status}: there is nothing to cancel.")
        paid = order is not None and order.view.payment.value == "paid"
        owed = " Its order is PAID: it then waits for a person, and is owed an evaluation or a refund." if paid else ""
        confirm(f"Cancel the {job.line.status} job {job.line.job_id}?{owed}", yes=yes)
        audit_of(shop).record(
            "job_cancel",
            job.line.job_id,
            before={"status": job.line.status, "order": job.line.order_id, "paid": paid},
            after={"status": "cancelled", "reason": reason},
        )
        if not shop.jobs.cancel(job.line.job_id, CancelReason.OPERATOR):
            raise GuardRefused(f"The job {job.line.job_id} ended in the same moment: look at pwops jobs show {job_id}.")
    row = {"job": job.line.job_id, "order": job.line.order_id, "status": "cancelled", "was": job.line.status}
    emit_record(row, [Column(key=key, title=key) for key in row], output, schema="jobs.cancel")
    if paid:
        note(f"Its order is paid and waits for a person now. To evaluate it after all: pwops retry {job.line.order_id}")
