"""`pwops mails`: what was written to whom and when, and the word of a person where only a person can know."""

from typing import TYPE_CHECKING, Any

import click

from pferdewert_ops.cli.errors import GuardRefused, NotFound
from pferdewert_ops.cli.operators import (
    MailOrOrder,
    actor,
    audit_of,
    confirm,
    open_shop,
    order_of,
    parts_of_mail_id,
    status_style,
    yes_option,
)
from pferdewert_ops.cli.output import Column, age, emit, emit_record, note, output_option
from pferdewert_ops.cli.steps import masked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pferdewert_ops.adapters.mongo.listing import MailLine
    from pferdewert_ops.wiring import Shop

STATUSES = ("pending", "processing", "sent", "uncertain", "failed", "suppressed")
KINDS = ("result", "delay", "operator")
RESOLVABLE = frozenset({"uncertain", "failed", "suppressed"})

kind_option = click.option("--kind", type=click.Choice(KINDS), help="Which of the order's mails.")


@click.group()
def mails() -> None:
    """List and show mails, and settle those that only a person can."""


@mails.command("list")
@click.option("--status", "statuses", type=click.Choice(STATUSES), multiple=True, help="Only these; repeatable.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most so many.")
@output_option
def list_mails(statuses: "Sequence[str]", limit: int, output: str) -> None:
    """The newest mails first."""
    from pferdewert_ops.adapters.mongo.listing import Listing

    with open_shop() as shop:
        now = shop.clock.now()
        rows = [_row(mail, now) for mail in Listing(shop.database).mails(statuses, most=limit)]
    emit(rows, _COLUMNS, output, schema="mails.list", empty="No such mail.")
    if len(rows) == limit and output == "table":
        note(f"The newest {limit}; --limit shows more.")


_COLUMNS = [
    Column(key="mail", title="mail", whole=True),
    Column(key="status", title="status", whole=True, style=status_style),
    Column(key="attempts", title="tries"),
    Column(key="age", title="age"),
    Column(key="next_try", title="next try"),
    Column(key="sent_at", title="sent"),
    Column(key="error", title="note"),
]


def _row(mail: "MailLine", now: Any) -> dict[str, object]:
    waits = mail.due_at - now if mail.due_at is not None and mail.due_at > now else None
    return {
        "mail": mail.mail_id,
        "order": mail.order_id,
        "kind": mail.kind,
        "status": mail.status,
        "attempts": mail.attempts,
        "age": None if mail.made_at is None else now - mail.made_at,
        "made_at": mail.made_at,
        "next_try": None if waits is None else f"in {age(waits)}",
        "due_at": mail.due_at,
        "handed_over_at": mail.handed_over_at,
        "sent_at": mail.sent_at,
        "error": mail.error,
        "to": masked(mail.address),
        "transport": mail.transport,
        "provider_id": mail.provider_id,
        "key": mail.key,
        "resends": mail.resends,
    }


_FIELDS = [
    Column(key="mail", title="mail"),
    Column(key="status", title="status"),
    Column(key="error", title="note"),
    Column(key="to", title="to"),
    Column(key="attempts", title="tries"),
    Column(key="resends", title="sent anew"),
    Column(key="made_at", title="owed since"),
    Column(key="due_at", title="next try"),
    Column(key="handed_over_at", title="handed over"),
    Column(key="transport", title="provider"),
    Column(key="key", title="key"),
    Column(key="provider_id", title="provider's id"),
    Column(key="sent_at", title="sent"),
    Column(key="next", title="next"),
]


@mails.command()
@click.argument("mail_id", metavar="ID", type=MailOrOrder())
@kind_option
@output_option
def show(mail_id: str, kind: str | None, output: str) -> None:
    """The mails of an order, or one of them.

    ID is a mail's id (order:kind), or the id of an order, a job or a Stripe session.
    """
    with open_shop(indexed=False) as shop:
        now = shop.clock.now()
        rows = [{**_row(mail, now), "next": _next(mail)} for mail in _found(shop, mail_id, kind)]
    if output == "json":
        emit(rows, [], output, schema="mails.show")
        return
    for number, row in enumerate(rows):
        if number:
            click.echo()
        emit_record(row, _FIELDS, output, schema="mails.show")


def _next(mail: "MailLine") -> str | None:
    if mail.status not in RESOLVABLE:
        return None
    return f"pwops mails resolve {mail.mail_id} --resend" + (" or --sent" if mail.handed_over_at else "")


def _found(shop: "Shop", text: str, kind: str | None) -> "list[MailLine]":
    """The mails that are meant. Raises NotFound where there is none."""
    from pferdewert_ops.adapters.mongo.listing import Listing

    parts = parts_of_mail_id(text)
    order_id, wanted = parts if parts is not None else (order_of(shop, text), kind)
    found = [mail for mail in Listing(shop.database).mails_of(order_id) if wanted in {None, mail.kind}]
    if not found:
        raise NotFound(f"No {wanted + ' ' if wanted else ''}mail is on record for the order {order_id}.")
    return found


@mails.command()
@click.argument("mail_id", metavar="ID", type=MailOrOrder())
@kind_option
@click.option("--sent", is_flag=True, help="It did go out: the provider's list shows it.")
@click.option("--resend", is_flag=True, help="It did not: send it anew.")
@yes_option
@output_option
def resolve(mail_id: str, kind: str | None, output: str, *, sent: bool, resend: bool, yes: bool) -> None:
    """Settle an uncertain, failed or suppressed mail.

    Look it up in the provider's list of sent mails first: nothing here can tell.
    """
    if sent and resend:
        raise click.UsageError("Only one of --sent and --resend can be true: look it up first.")
    if not sent and not resend:
        raise click.UsageError("Say what became of it: --sent or --resend.")
    with open_shop(indexed=False) as shop:
        mail = _to_resolve(_found(shop, mail_id, kind))
        if resend:
            confirm(_warning(mail), yes=yes)
        _resolve(shop, mail, sent=sent)
    status = "sent" if sent else "pending"
    row = {"mail": mail.mail_id, "order": mail.order_id, "was": mail.status, "status": status}
    emit_record(row, [Column(key=key, title=key) for key in row], output, schema="mails.resolve")


def _to_resolve(found: "list[MailLine]") -> "MailLine":
    """The one that is meant. Raises GuardRefused or UsageError."""
    unsettled = [mail for mail in found if mail.status in RESOLVABLE]
    if not unsettled:
        stand = ", ".join(f"{mail.mail_id} is {mail.status}" for mail in found)
        raise GuardRefused(f"Only uncertain, failed and suppressed mails can be resolved: {stand}.")
    if len(unsettled) > 1:
        kinds = " or ".join(f"--kind {mail.kind}" for mail in unsettled)
        raise click.UsageError(f"More than one mail of this order is unsettled: add {kinds}.")
    return unsettled[0]


def _warning(mail: "MailLine") -> str:
    reader = "The operators" if mail.kind == "operator" else "The customer"
    if mail.handed_over_at is not None:
        return f"{reader} may get this mail TWICE: it may have gone out already. Send {mail.mail_id} anew?"
    return f"{reader} will get this mail, which never left. Send {mail.mail_id}?"


def _resolve(shop: "Shop", mail: "MailLine", *, sent: bool) -> None:
    from pferdewert_ops.adapters.mongo.listing import Listing

    takes_in = not sent and any(not order.view.taken_in for order in shop.orders.look([mail.order_id]))
    audit_of(shop).record(
        "mail_resolve",
        mail.mail_id,
        before={"status": mail.status, "handedOver": mail.handed_over_at is not None, "error": mail.error},
        after={"status": "sent" if sent else "pending", "takesIn": takes_in},
    )
    if takes_in:
        # Older than the horizon, it would only be suppressed again.
        shop.orders.take_in(mail.order_id)
    if not shop.mails.resolve(mail.mail_id, sent=sent, actor=actor()):
        raise GuardRefused(f"The mail {mail.mail_id} was resolved by somebody else in the same moment.")
    still_open = any(other.status in RESOLVABLE for other in Listing(shop.database).mails_of(mail.order_id))
    for finding in ("mail_uncertain", "mail_failed"):
        shop.findings.close(finding, mail.mail_id)
        if not still_open:
            shop.findings.close(finding, mail.order_id)
