"""Both local mail servers with one mailbox, one set of faults, and an HTTP door to both for other processes."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Self

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pferdewert_ops.sandbox.mail_server import ResendServer
from pferdewert_ops.sandbox.mailbox import Fault, FaultRule, FaultRules, Mailbox, Via
from pferdewert_ops.sandbox.smtp_server import LOOPBACK, SmtpServer

API_KEY = "re_sandbox_0000000000"


class MailSandbox:
    """The mail side of the sandbox, for `with`. `resend.url`, `resend.api_key`, `smtp.host`, `smtp.port` lead to it.

    Over HTTP, beside the API: GET `/_sandbox/mailbox`, POST `/_sandbox/rules` (a rule, or a list of them),
    DELETE `/_sandbox/rules` (clears the rules and lets slow answers go).
    """

    def __init__(self, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC), seed: int = 0) -> None:
        self.mailbox = Mailbox(clock)
        self.rules = FaultRules(seed)
        doors = [
            Route("/_sandbox/mailbox", self._show_mailbox, methods=["GET"]),
            Route("/_sandbox/rules", self._add_rules, methods=["POST"]),
            Route("/_sandbox/rules", self._clear_rules, methods=["DELETE"]),
        ]
        self.resend = ResendServer(self.mailbox, self.rules, api_key=API_KEY, routes=doors)
        self.smtp = SmtpServer(self.mailbox, self.rules)
        self._ending = threading.Event()
        self._absence = threading.Lock()
        self._away: list[threading.Thread] = []

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as started:
            started.enter_context(self.resend)
            started.enter_context(self.smtp)
            started.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for absence in self._away:
            absence.join()
        self.smtp.stop()
        self.resend.stop()

    def reset(self) -> None:
        """No mails, no rules, no idempotency keys: as after the start, without its cost."""
        self.rules.clear()
        self.mailbox.clear()
        self.resend.forget_keys()

    @contextlib.contextmanager
    def refusing_connections(self, via: Via | None = None) -> Iterator[None]:
        """Within it nobody listens at that server, or at either. One at a time: another call waits for the first."""
        with self._absence, contextlib.ExitStack() as away:
            if via in (None, Via.SMTP):
                away.enter_context(_nobody_listening(self.smtp))
            if via in (None, Via.RESEND):
                away.enter_context(_nobody_listening(self.resend))
            yield

    def add_rule(self, rule: FaultRule) -> None:
        """Put a rule in force; one that refuses connections does so for its `seconds`, from now on."""
        if rule.fault is not Fault.REFUSE_CONNECTION:
            self.rules.add(rule)
            return
        absence = threading.Thread(target=self._stay_away, args=(rule,), name="mail-refuses-connections")
        self._away.append(absence)
        absence.start()

    def _stay_away(self, rule: FaultRule) -> None:
        with self.refusing_connections(rule.via):
            self._ending.wait(rule.seconds)

    async def _show_mailbox(self, _: Request) -> Response:
        return JSONResponse([mail.as_json() for mail in self.mailbox.mails()])

    async def _add_rules(self, request: Request) -> Response:
        try:
            body = await request.json()
            rules = [FaultRule.from_json(entry) for entry in (body if isinstance(body, list) else [body])]
        except ValueError as error:
            return JSONResponse({"error": str(error)}, status_code=422)
        for rule in rules:
            self.add_rule(rule)
        return JSONResponse({"rules": len(rules)}, status_code=201)

    async def _clear_rules(self, _: Request) -> Response:
        self.rules.clear()
        return Response(status_code=204)


@contextlib.contextmanager
def _nobody_listening(server: ResendServer | SmtpServer) -> Iterator[None]:
    """The port stays bound without listening, so that nobody else on this machine is given it meanwhile."""
    server.stop()
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((LOOPBACK, server.port))
        try:
            yield
        finally:
            server.start()
