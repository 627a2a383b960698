"""A local stand-in for Resend's HTTP API: idempotent sending, the list of sent mails, and faults on order.

Shapes, limits and error names: resend.com/docs/api-reference (emails, pagination, errors) and
resend.com/docs/dashboard/emails/idempotency-keys.
"""

import asyncio
import hashlib
import hmac
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from pferdewert_ops.sandbox.http import HttpServer, hang_up
from pferdewert_ops.sandbox.mailbox import Fault, FaultRule, FaultRules, Mailbox, Via
from pferdewert_ops.sandbox.resend_shapes import ApiError, kind_of, page_of, read_mail, summary

KEYS_KEPT = timedelta(hours=24)
LONGEST_KEY = 256


@dataclass(slots=True)
class _Sending:
    """What is known under one idempotency key. `answer` is None while the first request is under way."""

    fingerprint: str
    at: datetime
    answer: dict[str, str] | None = None


class ResendServer:
    """One endpoint on 127.0.0.1. `routes` are served beside the API, without its key."""

    def __init__(
        self,
        mailbox: Mailbox,
        rules: FaultRules,
        *,
        api_key: str,
        port: int = 0,
        routes: Sequence[BaseRoute] = (),
    ) -> None:
        self.port = port
        self.api_key = api_key
        self._mailbox = mailbox
        self._rules = rules
        self._sendings: dict[str, _Sending] = {}
        self._lock = threading.Lock()
        self._http: HttpServer | None = None
        self._app = Starlette(
            routes=[
                Route("/emails", self._send, methods=["POST"]),
                Route("/emails", self._list, methods=["GET"]),
                Route("/emails/{mail_id}", self._show, methods=["GET"]),
                *routes,
            ],
            exception_handlers={ApiError: lambda _, error: error.answer},
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Self:
        """Listen. Raises OSError where a wanted port is taken."""
        self._http = HttpServer.start(self._app, port=self.port, on_stop=self._rules.slow.release)
        self.port = self._http.port
        return self

    def stop(self) -> None:
        """End every request and wait for the thread. Harmless when called again."""
        http, self._http = self._http, None
        if http is not None:
            http.stop()

    def forget_keys(self) -> None:
        """As if all keys were older than a day."""
        with self._lock:
            self._sendings.clear()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    # --- sending -------------------------------------------------------------------------------------------------

    async def _send(self, request: Request) -> Response:
        self._check_key(request)
        try:
            body = await request.json()
        except ValueError:
            raise ApiError(400, "validation_error", "The body is not JSON.") from None
        rule = self._rules.take(Via.RESEND, kind=kind_of(body))
        if rule is not None and rule.fault is Fault.DIE_BEFORE:
            return await hang_up(request)
        if rule is not None:
            _refuse(rule)
        key = request.headers.get("idempotency-key")
        mail = read_mail(body, key, self._mailbox.clock())
        answer = self._begin(key, body)
        if answer is None:
            if rule is not None and rule.fault is Fault.SLOW:
                await asyncio.to_thread(self._rules.slow.hold, rule.seconds)
            answer = {"id": mail.provider_id}
            self._mailbox.accept(mail)
            self._finish(key, answer)
        if rule is not None and rule.fault is Fault.DIE_AFTER:
            return await hang_up(request)
        return JSONResponse(answer)

    def _begin(self, key: str | None, body: object) -> dict[str, str] | None:
        """The answer that this key had, or None where the mail is to be taken now."""
        if key is None:
            return None
        if not 1 <= len(key) <= LONGEST_KEY:
            raise ApiError(400, "invalid_idempotency_key", f"The key must be between 1-{LONGEST_KEY} chars.")
        now = self._mailbox.clock()
        fingerprint = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        with self._lock:
            known = self._sendings.get(key)
            if known is None or now - known.at >= KEYS_KEPT:
                self._sendings[key] = _Sending(fingerprint=fingerprint, at=now)
                return None
            if known.fingerprint != fingerprint:
                raise ApiError(
                    409, "invalid_idempotent_request", "Same idempotency key used with a different request payload."
                )
            if known.answer is None:
                raise ApiError(
                    409,
                    "concurrent_idempotent_requests",
                    "Same idempotency key used while original request is still in progress.",
                )
            return known.answer

    def _finish(self, key: str | None, answer: dict[str, str]) -> None:
        with self._lock:
            if key is not None and key in self._sendings:
                self._sendings[key].answer = answer

    # --- what was sent -------------------------------------------------------------------------------------------

    async def _list(self, request: Request) -> Response:
        self._check_key(request)
        rule = self._rules.take(Via.RESEND, listing=True)
        if rule is not None and rule.fault is Fault.LIST_REFUSED:
            status = rule.status or 403
            raise ApiError(status, "restricted_api_key", "This API key is restricted to only send emails.")
        mails = self._mailbox.mails(Via.RESEND)[::-1]
        if rule is not None and rule.fault is Fault.LIST_SHORT:
            mails = mails[: rule.newest]
        chosen, has_more = page_of(mails, request)
        return JSONResponse({"object": "list", "has_more": has_more, "data": [summary(mail) for mail in chosen]})

    async def _show(self, request: Request) -> Response:
        self._check_key(request)
        for mail in self._mailbox.mails(Via.RESEND):
            if mail.provider_id == request.path_params["mail_id"]:
                return JSONResponse({"object": "email", **summary(mail), "html": mail.html, "text": mail.text})
        raise ApiError(404, "not_found", "Email not found")

    def _check_key(self, request: Request) -> None:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise ApiError(401, "missing_api_key", "Missing API key in the authorization header.")
        if not hmac.compare_digest(key.encode(), self.api_key.encode()):
            raise ApiError(403, "invalid_api_key", "API key is invalid.")


def _refuse(rule: FaultRule) -> None:
    match rule.fault:
        case Fault.REFUSE:
            raise ApiError(rule.status or 422, "validation_error", "Refused on order.")
        case Fault.REFUSE_FOR_NOW:
            raise ApiError(rule.status or 500, "internal_server_error", "An unexpected error occurred.")
        case Fault.RATE_LIMIT:
            headers = {"retry-after": f"{rule.retry_after:g}", "ratelimit-remaining": "0"}
            raise ApiError(rule.status or 429, "rate_limit_exceeded", "Too many requests.", headers)
        case _:
            return
