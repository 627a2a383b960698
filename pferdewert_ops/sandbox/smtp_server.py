"""A local SMTP server that keeps what it accepts in the shared mailbox and fails on order, phase by phase."""

import asyncio
import email
import email.policy
import hmac
import re
import socket
import ssl
import uuid
from collections.abc import Awaitable
from email.message import EmailMessage
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthenticatorType, AuthResult, Envelope, LoginPassword, Session

from pferdewert_ops.domain.letters import KIND_HEADER, REFERENCE_HEADER
from pferdewert_ops.sandbox.mailbox import AcceptedMail, Fault, FaultRule, FaultRules, Mailbox, Phase, Via

LOOPBACK = "127.0.0.1"
GREETING_NAME = "smtp.sandbox.invalid"
LARGEST_MAIL = 32 * 1024 * 1024  # as large providers have it, and enough to fill every socket buffer in a test
_REPLIES = {
    Fault.REFUSE: (550, "5.7.1 refused"),
    Fault.REFUSE_FOR_NOW: (451, "4.3.0 try again later"),
    Fault.RATE_LIMIT: (450, "4.7.1 too many messages"),
}


STOP_SECONDS = 10.0  # as with the other servers; it takes a millisecond
TURNS_TO_A_TRANSPORT = 5  # of the event loop, from accepting a connection to its transport: asyncio needs three


class SmtpServer:
    """One server on 127.0.0.1. `starttls` or `implicit_tls` take a server-side context; `login` is (user, password)."""

    host = LOOPBACK

    def __init__(
        self,
        mailbox: Mailbox,
        rules: FaultRules,
        *,
        port: int = 0,
        starttls: ssl.SSLContext | None = None,
        implicit_tls: ssl.SSLContext | None = None,
        login: tuple[str, str] | None = None,
    ) -> None:
        self.port = port
        self._rules = rules
        self._conversation = _Conversation(mailbox, rules, login_needed=login is not None)
        self._options: dict[str, Any] = {
            "ssl_context": implicit_tls,
            "tls_context": starttls,
            "require_starttls": starttls is not None,
            "auth_require_tls": starttls is not None,  # aiosmtpd knows no other encryption
            "authenticator": None if login is None else _authenticator(*login),
        }
        self._controller: _Controller | None = None

    def start(self) -> Self:
        """Listen. Raises OSError where a wanted port is taken."""
        listener = socket.create_server((LOOPBACK, self.port))
        # asyncio does this by itself only for sockets of its own making; without it a reply may wait for 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port = listener.getsockname()[1]
        self._controller = _Controller(self._conversation, listener, self._options)
        self._controller.start()
        return self

    def stop(self) -> None:
        """Close every connection and wait for the thread. Harmless when called again."""
        controller, self._controller = self._controller, None
        if controller is not None:
            self._rules.slow.release()
            asyncio.run_coroutine_threadsafe(controller.accept_no_more(), controller.loop).result(STOP_SECONDS)
            controller.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def _authenticator(user: str, password: str) -> AuthenticatorType:
    def check(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, login: Any) -> AuthResult:
        fits = (
            isinstance(login, LoginPassword)
            and hmac.compare_digest(login.login, user.encode())
            and hmac.compare_digest(login.password, password.encode())
        )
        return AuthResult(success=fits, handled=False)

    return check


class _Controller(Controller):
    def __init__(self, conversation: "_Conversation", listener: socket.socket, options: dict[str, Any]) -> None:
        self._listener = listener
        super().__init__(
            conversation,
            hostname=LOOPBACK,
            port=listener.getsockname()[1],
            server_hostname=GREETING_NAME,
            data_size_limit=LARGEST_MAIL,
            **options,
        )

    async def accept_no_more(self) -> None:
        """Listen no longer, and let what was just accepted get its transport: without one nobody would close it."""
        if self.server is not None:
            self.server.close()
        for _ in range(TURNS_TO_A_TRANSPORT):
            await asyncio.sleep(0)

    def factory(self) -> SMTP:
        return _FaultySmtp(self.handler, **self.SMTP_kwargs)

    def _create_server(self) -> Awaitable[asyncio.AbstractServer]:
        return self.loop.create_server(self._factory_invoker, sock=self._listener, ssl=self.ssl_context)


class _FaultySmtp(SMTP):
    """aiosmtpd has no hook for the DATA command itself, only for the message that follows."""

    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802 - aiosmtpd's name
        reply = await self.event_handler.at(self, Phase.DATA)
        if reply is None:
            await super().smtp_DATA(arg)
        else:
            await self.push(reply)


class _Conversation:
    """The hooks that aiosmtpd calls. Each answers as the protocol wants, or as the rule in force does."""

    def __init__(self, mailbox: Mailbox, rules: FaultRules, *, login_needed: bool) -> None:
        self._mailbox = mailbox
        self._rules = rules
        self._login_needed = login_needed

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, _: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        reply = await self.at(server, Phase.HELLO)
        if reply is not None:
            return [reply]
        session.host_name = hostname
        return responses

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self._login_needed and not session.authenticated:
            return "530 5.7.0 Authentication required"
        reply = await self.at(server, Phase.SENDER)
        if reply is not None:
            return reply
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, _: Session, envelope: Envelope, address: str, __: list[str]
    ) -> str:
        reply = await self.at(server, Phase.RECIPIENT)
        if reply is not None:
            return reply
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, _: Session, envelope: Envelope) -> str:  # noqa: N802
        mail = self._read(envelope)
        rule = self._rules.take(Via.SMTP, kind=mail.kind)
        if rule is not None and rule.fault in {Fault.SLOW, Fault.DIE_AFTER}:
            if rule.fault is Fault.SLOW:
                await asyncio.to_thread(self._rules.slow.hold, rule.seconds)
            self._mailbox.accept(mail)
            if rule.fault is Fault.DIE_AFTER:
                await _hang_up(server)
        elif rule is not None:
            return await self._reply(server, rule)
        else:
            self._mailbox.accept(mail)
        return f"250 2.0.0 OK: queued as {mail.provider_id}"

    async def at(self, server: SMTP, phase: Phase) -> str | None:
        """What a rule answers at a phase before the message, or None."""
        rule = self._rules.take(Via.SMTP, phase=phase)
        return None if rule is None else await self._reply(server, rule)

    async def _reply(self, server: SMTP, rule: FaultRule) -> str:
        if rule.fault is Fault.DIE_BEFORE:
            await _hang_up(server)
        code, text = _REPLIES[rule.fault]
        return f"{rule.status or code} {text}"

    def _read(self, envelope: Envelope) -> AcceptedMail:
        message = email.message_from_bytes(envelope.original_content or b"", policy=email.policy.SMTP)
        shown = {address.addr_spec for header in message.get_all("To", []) for address in header.addresses}
        return AcceptedMail(
            at=self._mailbox.clock(),
            via=Via.SMTP,
            provider_id=uuid.uuid4().hex,
            sender=str(message["From"]),
            to=tuple(address for address in envelope.rcpt_tos if address in shown),
            bcc=tuple(address for address in envelope.rcpt_tos if address not in shown),
            subject=str(message["Subject"]),
            kind=_header(message, KIND_HEADER),
            key=_header(message, REFERENCE_HEADER),
            message_id=_header(message, "Message-ID"),
            html=_body(message, "html"),
            text=_body(message, "plain"),
        )


async def _hang_up(server: SMTP) -> None:
    """Close the connection without a word; aiosmtpd then cancels the conversation that waits here."""
    if server.transport is not None:
        server.transport.close()
    await asyncio.Event().wait()


def _header(message: EmailMessage, name: str) -> str | None:
    return None if message[name] is None else str(message[name])


def _body(message: EmailMessage, subtype: str) -> str:
    part = message.get_body((subtype,))
    return "" if part is None else re.sub(r"\r\n", "\n", part.get_content())
