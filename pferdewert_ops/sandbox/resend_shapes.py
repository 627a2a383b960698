"""The bodies of Resend's API as its documentation has them: requests checked, mails shown, errors named."""

import re
import uuid
from collections.abc import Sequence
from datetime import datetime

from starlette.requests import Request
from starlette.responses import JSONResponse

from pferdewert_ops.domain.letters import KIND_HEADER
from pferdewert_ops.sandbox.mailbox import AcceptedMail, Via

MOST_RECIPIENTS = 50
PAGE, LARGEST_PAGE = 20, 100
_ADDRESS = re.compile(r"(?:[^<>@\r\n]+ )?<?([^\s<>@,]+@[^\s<>@,]+\.[^\s<>@,]+)>?")
_TAG = re.compile(r"[A-Za-z0-9_-]{1,256}")


class ApiError(Exception):
    """An answer of Resend's error schema."""

    def __init__(self, status: int, name: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(name)
        self.answer = JSONResponse(
            {"statusCode": status, "name": name, "message": message}, status_code=status, headers=headers
        )


def read_mail(body: object, key: str | None, at: datetime) -> AcceptedMail:
    """The mail that a request's body asks for. Raises ApiError where Resend would."""
    if not isinstance(body, dict):
        raise ApiError(422, "validation_error", "The body must be an object.")
    for field in ("from", "to", "subject"):
        if not body.get(field):
            raise ApiError(422, "missing_required_field", f"Missing `{field}` field.")
    if not body.get("html") and not body.get("text"):
        raise ApiError(422, "validation_error", "Missing `html` or `text` field.")
    to = _addresses(body, "to")
    if len(to) > MOST_RECIPIENTS:
        raise ApiError(422, "validation_error", f"The `to` field takes at most {MOST_RECIPIENTS} addresses.")
    _addresses(body, "from")
    provider_id = str(uuid.uuid4())
    return AcceptedMail(
        at=at,
        via=Via.RESEND,
        provider_id=provider_id,
        sender=str(body["from"]),
        to=to,
        bcc=_addresses(body, "bcc"),
        subject=str(body["subject"]),
        kind=kind_of(body),
        key=key,
        message_id=f"<{provider_id}@resend.sandbox.invalid>",
        html=str(body.get("html") or ""),
        text=str(body.get("text") or ""),
        tags=_tags(body),
    )


def kind_of(body: object) -> str | None:
    headers = body.get("headers") if isinstance(body, dict) else None
    kind = headers.get(KIND_HEADER) if isinstance(headers, dict) else None
    return kind if isinstance(kind, str) else None


def _addresses(body: dict[str, object], field: str) -> tuple[str, ...]:
    value = body.get(field) or []
    entries = [value] if isinstance(value, str) else value
    if not isinstance(entries, list) or not all(isinstance(e, str) and _ADDRESS.fullmatch(e) for e in entries):
        raise ApiError(422, "validation_error", f"Invalid `{field}` field.")
    return tuple(entries)


def _tags(body: dict[str, object]) -> dict[str, str]:
    tags = body.get("tags") or []
    if not isinstance(tags, list):
        raise ApiError(422, "validation_error", "Invalid `tags` field.")
    read: dict[str, str] = {}
    for tag in tags:
        pair = (tag.get("name"), tag.get("value")) if isinstance(tag, dict) else (None, None)
        if not all(isinstance(part, str) and _TAG.fullmatch(part) for part in pair):
            raise ApiError(422, "validation_error", "Tags take only ASCII letters, numbers, underscores or dashes.")
        read[str(pair[0])] = str(pair[1])
    return read


def page_of(mails: Sequence[AcceptedMail], request: Request) -> tuple[Sequence[AcceptedMail], bool]:
    """One page of `mails` (newest first), and whether there is more in the direction of travel."""
    query = request.query_params
    limit = int(query["limit"]) if query.get("limit", "").isdigit() else PAGE if "limit" not in query else 0
    if not 1 <= limit <= LARGEST_PAGE:
        raise ApiError(422, "validation_error", f"The `limit` must be between 1 and {LARGEST_PAGE}.")
    after, before = query.get("after"), query.get("before")
    if after is not None and before is not None:
        raise ApiError(422, "validation_error", "Use either `after` or `before`.")
    ids = [mail.provider_id for mail in mails]
    cursor = after if after is not None else before
    if cursor is None:
        return mails[:limit], len(mails) > limit
    if cursor not in ids:
        raise ApiError(422, "validation_error", "The cursor names no email.")
    place = ids.index(cursor)
    if after is not None:
        rest = mails[place + 1 :]
        return rest[:limit], len(rest) > limit
    return mails[max(0, place - limit) : place], place > limit


def summary(mail: AcceptedMail) -> dict[str, object]:
    return {
        "id": mail.provider_id,
        "to": list(mail.to),
        "from": mail.sender,
        "created_at": mail.at.isoformat(timespec="microseconds"),
        "subject": mail.subject,
        "bcc": list(mail.bcc) or None,
        "cc": None,
        "reply_to": None,
        "last_event": mail.last_event,
        "scheduled_at": None,
    }
