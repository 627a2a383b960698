"""What the operator's commands share: ids as people type them, consent, who they are, and the open shop."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click

from pferdewert_ops.cli.errors import ConfigProblem, NotFound, Unconfirmed
from pferdewert_ops.cli.output import local_time, note

if TYPE_CHECKING:
    from pferdewert_ops.adapters.mongo.audit import MongoAudit
    from pferdewert_ops.wiring import Shop

_OBJECT_ID = re.compile(r"[0-9a-f]{24}")
_SESSION_ID = re.compile(r"cs_[A-Za-z0-9_]{1,250}")
_MAIL_ID = re.compile(r"([0-9a-f]{24}):(result|delay|operator)")


class OrderOrJob(click.ParamType[str]):
    """An order's or a job's id, or a Stripe session's."""

    name = "id"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = value.strip()
        if _SESSION_ID.fullmatch(text):
            return text
        if _OBJECT_ID.fullmatch(text.lower()):
            return text.lower()
        return self.fail(
            f"{value!r} is no id. Orders and jobs have 24 characters of 0-9 and a-f, Stripe sessions begin with cs_.",
            param,
            ctx,
        )


class MailOrOrder(click.ParamType[str]):
    """A mail's id (`<order>:<kind>`), or whatever means its order."""

    name = "id"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = value.strip().lower()
        return text if _MAIL_ID.fullmatch(text) else OrderOrJob().convert(value, param, ctx)


class Duration(click.ParamType[timedelta]):
    """A duration like 30s, 10m or 24h."""

    name = "duration"

    def convert(self, value: str | timedelta, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        from pferdewert_ops.config import parse_duration

        if not isinstance(value, str):
            return value
        try:
            return parse_duration(value)
        except ValueError as error:
            return self.fail(f"{value!r} {error}.", param, ctx)


def parts_of_mail_id(text: str) -> tuple[str, str] | None:
    """Order and kind, where the text is a mail's id."""
    found = _MAIL_ID.fullmatch(text)
    return (found[1], found[2]) if found else None


def order_of(shop: "Shop", text: str) -> str:
    """The order that an id means. Raises NotFound."""
    order_id = shop.orders_to_look_at.identify(text)
    if order_id is None:
        what = "Stripe session" if text.startswith("cs_") else "order and no job"
        raise NotFound(f"No {what} here has the id {text}.")
    return order_id


@contextmanager
def open_shop(*, indexed: bool = True) -> Iterator["Shop"]:
    """The shop that the configuration names. `indexed`: this command reads through our own indexes."""
    from pferdewert_ops.config import load_settings
    from pferdewert_ops.wiring import Shop

    with Shop(load_settings(), tell=_tell) as shop:
        if indexed:
            _require_indexes(shop)
        yield shop


def _tell(event: str, **fields: object) -> None:
    at = fields.get("at")
    if event == "horizon_set" and isinstance(at, str):
        note(
            f"This is the first change in this database: orders made before {local_time(datetime.fromisoformat(at))} "
            "are from now on never touched unasked."
        )


def _require_indexes(shop: "Shop") -> None:
    from pferdewert_ops.adapters.mongo import schema

    if any(change.index is not None for change in schema.missing(shop.database)):
        raise ConfigProblem(
            f"The database {shop.settings.database} lacks indexes of ours: run pwops migrate first "
            "(pwops migrate --dry-run shows what it would do)."
        )


def confirm(question: str, *, yes: bool) -> None:
    """Go on only with consent. Raises Unconfirmed, or click's Abort where the answer is no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Unconfirmed("This has to be confirmed, and there is nobody to ask: add --yes. Nothing was changed.")
    click.confirm(question, abort=True, err=True)


yes_option = click.option("--yes", is_flag=True, help="Do it without asking.")


def actor() -> str:
    """Who sits at this machine: the user that called sudo, else the one that runs this, and the host."""
    import socket

    return f"{os.environ.get('SUDO_USER') or _own_name()}@{socket.gethostname()}"


def _own_name() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user without an entry
        return f"uid {os.getuid()}"


def audit_of(shop: "Shop") -> "MongoAudit":
    """The record of changes, in the name of whoever sits at this machine."""
    from pferdewert_ops.adapters.mongo.audit import MongoAudit

    return MongoAudit(shop.database, actor())


_STATUS_STYLES = {
    "completed": "green",
    "sent": "green",
    "done": "green",
    "processing": "cyan",
    "running": "cyan",
    "failed": "bold red",
    "refused": "yellow",
    "uncertain": "bold yellow",
    "suppressed": "yellow",
    "cancelled": "dim",
}


def status_style(status: object) -> str:
    """The colour of a state, the same on every screen."""
    return _STATUS_STYLES.get(str(status), "")
