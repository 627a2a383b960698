"""The SMTP adapter against the local server, over real sockets: what is certain in which phase."""

import contextlib
import dataclasses
import logging
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pferdewert_ops.adapters.mail.smtp import SmtpAccount, SmtpSecurity, SmtpTransport
from pferdewert_ops.domain.failures import ErrorClass
from pferdewert_ops.domain.letters import Accepted, Handover, Refused, Unknown, operator_notice, result_letter
from pferdewert_ops.domain.products import BEWERTUNG, Country
from pferdewert_ops.operations.ports import MailTransport
from pferdewert_ops.sandbox.mail import MailSandbox
from pferdewert_ops.sandbox.mailbox import Fault, FaultRule, FaultRules, Mailbox, Phase, Via
from pferdewert_ops.sandbox.smtp_server import SmtpServer

SENDER = "PferdeWert <info@pferdewert.de>"
ORDER = "65a1b2c3d4e5f60718293a4b"
KEY = f"result:{ORDER}"
LOGIN = ("mailer", "geheim-123")
# Key and certificate of 127.0.0.1, for tests alone; it ends in 2126.
CERTIFICATE = Path(__file__).with_name("loopback_tls.pem")
LETTER = result_letter(
    product=BEWERTUNG,
    order_id=ORDER,
    to="anna@example.org",
    name="Jörg Weber",
    base_url="https://pferdewert.de",
    bcc=["review@example.org"],
)
NETWORK, LATER, ACCOUNT = ErrorClass.NETWORK_ERROR, ErrorClass.RATE_LIMITED, ErrorClass.AUTH


@pytest.fixture(scope="module")
def running() -> Iterator[MailSandbox]:
    with MailSandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: MailSandbox) -> MailSandbox:
    running.reset()
    return running


def transport(port: int, *, seconds: float = 10, end_seconds: float = 10, **account: Any) -> SmtpTransport:
    settings = {"host": "127.0.0.1", "port": port, "security": SmtpSecurity.NONE, **account}
    return SmtpTransport(
        account=SmtpAccount(**settings),
        sender=SENDER,
        command_seconds=seconds,
        end_seconds=end_seconds,
    )


@pytest.fixture
def smtp(sandbox: MailSandbox) -> SmtpTransport:
    return transport(sandbox.smtp.port)


def test_an_accepted_letter_arrives_whole(sandbox: MailSandbox, smtp: SmtpTransport) -> None:
    handover = smtp.hand_over(LETTER, key=KEY)
    (kept,) = sandbox.mailbox.mails()
    assert handover == Accepted(provider_id=str(kept.message_id))
    assert (kept.sender, kept.to, kept.bcc) == (SENDER, ("anna@example.org",), ("review@example.org",))
    assert (kept.subject, kept.html, kept.text) == (LETTER.subject, LETTER.html, LETTER.text)
    assert (kept.kind, kept.key, kept.via) == ("result", KEY, Via.SMTP)


def test_it_is_the_port_that_operations_ask_for(smtp: SmtpTransport) -> None:
    port: MailTransport = smtp
    assert port.name == "smtp"
    now = datetime(2026, 3, 1, tzinfo=UTC)
    assert port.repeatable(now, now) is False


def test_the_message_id_follows_from_the_key_alone(sandbox: MailSandbox, smtp: SmtpTransport) -> None:
    other = dataclasses.replace(LETTER, subject="Etwas anderes")
    ids = [smtp.hand_over(letter, key=key) for letter, key in ((LETTER, "a"), (other, "a"), (LETTER, "b"))]
    assert ids[0] == ids[1] != ids[2]
    assert re.fullmatch(r"<[0-9a-f]{40}@pferdewert\.de>", ids[0].provider_id if isinstance(ids[0], Accepted) else "")


def test_lines_that_begin_with_a_dot_and_umlauts_survive(sandbox: MailSandbox, smtp: SmtpTransport) -> None:
    text = ".\n..\n.x\nGrüße, 14,90 €\n" + "lang " * 400 + "\n"
    letter = dataclasses.replace(LETTER, subject="Für Ärztinnen: 14,90 €", text=text, html="<p>.</p>\n.\n")
    assert isinstance(smtp.hand_over(letter, key=KEY), Accepted)
    (kept,) = sandbox.mailbox.mails()
    assert (kept.subject, kept.text, kept.html) == (letter.subject, letter.text, letter.html)


def test_all_operators_are_written_to(sandbox: MailSandbox, smtp: SmtpTransport) -> None:
    to = ["a@example.org", "b@example.org"]
    letter = operator_notice(product=BEWERTUNG, order_id=ORDER, to=to, amount=BEWERTUNG.price(Country.CH))
    smtp.hand_over(letter, key="operator:1")
    (kept,) = sandbox.mailbox.mails()
    assert (kept.to, kept.bcc, kept.kind) == (("a@example.org", "b@example.org"), (), "operator")


def refused(error_class: ErrorClass, code: str, *, permanent: bool = False) -> Refused:
    return Refused(error_class=error_class, code=code, permanent=permanent)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        # the server's own words
        (
            FaultRule(fault=Fault.REFUSE, phase=Phase.RECIPIENT),
            refused(ErrorClass.MAIL_REFUSED, "smtp_recipient_550", permanent=True),
        ),
        (
            FaultRule(fault=Fault.REFUSE, phase=Phase.DATA, status=554),
            refused(ErrorClass.MAIL_REFUSED, "smtp_data_554", permanent=True),
        ),
        (FaultRule(fault=Fault.REFUSE), refused(ErrorClass.MAIL_REFUSED, "smtp_message_550", permanent=True)),
        (FaultRule(fault=Fault.REFUSE, phase=Phase.SENDER), refused(ACCOUNT, "smtp_sender_550")),
        (
            FaultRule(fault=Fault.REFUSE, phase=Phase.SENDER, status=552),
            refused(ErrorClass.MAIL_REFUSED, "smtp_sender_552", permanent=True),
        ),
        (FaultRule(fault=Fault.REFUSE, phase=Phase.RECIPIENT, status=530), refused(ACCOUNT, "smtp_recipient_530")),
        (FaultRule(fault=Fault.REFUSE_FOR_NOW, phase=Phase.SENDER), refused(LATER, "smtp_sender_451")),
        (FaultRule(fault=Fault.REFUSE_FOR_NOW, phase=Phase.RECIPIENT), refused(LATER, "smtp_recipient_451")),
        (FaultRule(fault=Fault.REFUSE_FOR_NOW, phase=Phase.DATA), refused(LATER, "smtp_data_451")),
        (FaultRule(fault=Fault.REFUSE_FOR_NOW), refused(LATER, "smtp_message_451")),
        (FaultRule(fault=Fault.RATE_LIMIT, status=421), refused(LATER, "smtp_message_421")),
        # silence before the end of the message: certainly not taken
        (FaultRule(fault=Fault.DIE_BEFORE, phase=Phase.HELLO), refused(NETWORK, "smtp_connection_lost")),
        (FaultRule(fault=Fault.DIE_BEFORE, phase=Phase.SENDER), refused(NETWORK, "smtp_connection_lost")),
        (FaultRule(fault=Fault.DIE_BEFORE, phase=Phase.RECIPIENT), refused(NETWORK, "smtp_connection_lost")),
        (FaultRule(fault=Fault.DIE_BEFORE, phase=Phase.DATA), refused(NETWORK, "smtp_connection_lost")),
        # silence after it: nobody can tell, although here nothing was taken
        (FaultRule(fault=Fault.DIE_BEFORE), Unknown(code="smtp_lost_after_message", final=True)),
    ],
    ids=lambda value: f"{value.fault}-{value.phase}-{value.status}" if isinstance(value, FaultRule) else "",
)
def test_what_a_failed_hand_over_means(
    sandbox: MailSandbox, smtp: SmtpTransport, rule: FaultRule, expected: Handover
) -> None:
    sandbox.rules.add(dataclasses.replace(rule, count=1))
    assert smtp.hand_over(LETTER, key=KEY) == expected
    assert sandbox.mailbox.mails() == ()
    assert isinstance(smtp.hand_over(LETTER, key=KEY), Accepted)
    assert len(sandbox.mailbox.mails()) == 1


def test_a_mail_taken_without_an_answer_is_unknown(sandbox: MailSandbox, smtp: SmtpTransport) -> None:
    sandbox.rules.add(FaultRule(fault=Fault.DIE_AFTER, count=1))
    assert smtp.hand_over(LETTER, key=KEY) == Unknown(code="smtp_lost_after_message", final=True)
    assert len(sandbox.mailbox.mails()) == 1


def test_an_answer_that_comes_too_late_is_unknown(sandbox: MailSandbox) -> None:
    sandbox.rules.add(FaultRule(fault=Fault.SLOW, count=1, seconds=60))
    hasty = transport(sandbox.smtp.port, end_seconds=0.2)
    assert hasty.hand_over(LETTER, key=KEY) == Unknown(code="smtp_no_answer", final=True)
    sandbox.rules.slow.release()


def test_nobody_listening_is_a_certain_refusal(sandbox: MailSandbox, smtp: SmtpTransport) -> None:
    with sandbox.refusing_connections(Via.SMTP):
        assert smtp.hand_over(LETTER, key=KEY) == refused(NETWORK, "smtp_connect_failed")
    assert isinstance(smtp.hand_over(LETTER, key=KEY), Accepted)


def test_a_refused_blind_copy_does_not_hold_the_customers_mail_back(
    sandbox: MailSandbox, smtp: SmtpTransport, caplog: pytest.LogCaptureFixture
) -> None:
    letter = dataclasses.replace(LETTER, bcc=("review@example.org", "second@example.org"))
    with scripted(refuse_copies) as (port, heard), caplog.at_level(logging.WARNING):
        assert isinstance(transport(port).hand_over(letter, key=KEY), Accepted)
    assert sum(line.startswith("rcpt") for line in heard) == 3
    assert [record.getMessage() for record in caplog.records] == [
        f"event=blind_copy_refused order={ORDER} code=smtp_550"
    ] * 2


# --- a server that says what nobody would expect -----------------------------------------------------------------

Script = Callable[[str], str | None]


def agreeable(line: str) -> str | None:
    return "354 go on" if line == "data" else "250 OK"


def refuse_copies(line: str) -> str | None:
    return "550 no" if line.startswith("rcpt") and "anna@" not in line else agreeable(line)


@contextlib.contextmanager
def scripted(script: Script, greeting: str = "220 here") -> Iterator[tuple[int, list[str]]]:
    """A server that answers each line as `script` says (None: hang up; `end`: the end of a message)."""
    heard: list[str] = []

    def serve() -> None:
        connection, _ = listener.accept()
        # The client goes without waiting for a last word, as it may.
        with contextlib.suppress(ConnectionError), connection, connection.makefile("rwb", buffering=0) as stream:
            stream.write(f"{greeting}\r\n".encode())
            in_message = False
            while raw := stream.readline():
                line = raw.decode().rstrip("\r\n").lower()
                if in_message and line != ".":
                    continue
                heard.append(line)
                if line == "quit":
                    return
                reply = script("end" if in_message else line)
                if reply is None:
                    return
                in_message = reply.startswith("354")
                stream.write(f"{reply}\r\n".encode())

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1], heard
        finally:
            thread.join(10)
            assert not thread.is_alive()


@pytest.mark.parametrize(
    ("at", "reply", "expected"),
    [
        ("ehlo", "550 no", refused(ACCOUNT, "smtp_session_550")),
        ("ehlo", "421 later", refused(LATER, "smtp_session_421")),
        ("mail", "hello there", refused(LATER, "smtp_sender_unreadable")),
        ("data", "250 what", refused(LATER, "smtp_data_250")),
        ("end", "hello there", Unknown(code="smtp_answer_unreadable", final=True)),
        ("end", "354 more", Unknown(code="smtp_answer_unreadable", final=True)),
        ("end", "250 " + "x" * 10_000, Unknown(code="smtp_answer_unreadable", final=True)),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
def test_answers_that_nobody_would_expect(at: str, reply: str, expected: Handover) -> None:
    def script(line: str) -> str | None:
        strikes = line.startswith(at) or (at == "ehlo" and line.startswith("helo"))
        return reply if strikes else agreeable(line)

    with scripted(script) as (port, _):
        assert transport(port).hand_over(LETTER, key=KEY) == expected


@pytest.mark.parametrize(
    ("greeting", "expected"),
    [("554 not you", refused(ACCOUNT, "smtp_session_554")), ("421 too busy", refused(LATER, "smtp_session_421"))],
)
def test_a_greeting_that_turns_away(greeting: str, expected: Handover) -> None:
    with scripted(agreeable, greeting) as (port, heard):
        assert transport(port).hand_over(LETTER, key=KEY) == expected
    assert heard == []


def test_a_connection_lost_within_the_message_is_a_certain_refusal() -> None:
    """The message is larger than all buffers, so that the loss is met before the end could be written."""
    letter = dataclasses.replace(LETTER, text="x" * 70 + "\n" + ("y" * 70 + "\n") * 100_000)

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, connection.makefile("rwb", buffering=0) as stream:
            stream.write(b"220 here\r\n")
            while line := stream.readline().lower():
                if line.startswith(b"data"):
                    stream.write(b"354 go on\r\n")
                    stream.readline()
                    return
                stream.write(b"250 OK\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        thread = threading.Thread(target=serve)
        thread.start()
        handover = transport(listener.getsockname()[1]).hand_over(letter, key=KEY)
        thread.join(10)
    assert handover == refused(NETWORK, "smtp_connection_lost")


def test_the_end_of_the_message_is_sent_once_the_rest_is() -> None:
    with scripted(agreeable) as (port, heard):
        transport(port).hand_over(LETTER, key=KEY)
    assert heard == [
        "ehlo pferdewert.de",
        "mail from:<info@pferdewert.de>",
        "rcpt to:<anna@example.org>",
        "rcpt to:<review@example.org>",
        "data",
        ".",
        "quit",
    ]


def test_a_server_that_never_greets_is_left() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        handover = transport(silent.getsockname()[1], seconds=0.1).hand_over(LETTER, key=KEY)
    assert handover == refused(NETWORK, "smtp_connection_lost")


# --- encryption and login ----------------------------------------------------------------------------------------


def server_context() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE)
    return context


def trusting() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(CERTIFICATE))


def test_starttls_and_login_come_before_the_mail() -> None:
    mailbox = Mailbox()
    with SmtpServer(mailbox, FaultRules(), starttls=server_context(), login=LOGIN) as server:
        settings: dict[str, Any] = {"security": SmtpSecurity.STARTTLS, "tls_context": trusting()}
        right = transport(server.port, login=LOGIN, **settings)
        assert isinstance(right.hand_over(LETTER, key=KEY), Accepted)
        wrong = transport(server.port, login=("mailer", "falsch"), **settings)
        assert wrong.hand_over(LETTER, key=KEY) == refused(ACCOUNT, "smtp_session_535")
        nobody = transport(server.port, **settings)
        assert nobody.hand_over(LETTER, key=KEY) == refused(ACCOUNT, "smtp_sender_530")
        plain = transport(server.port)
        assert plain.hand_over(LETTER, key=KEY) == refused(ACCOUNT, "smtp_sender_530")
        doubting = transport(server.port, login=LOGIN, security=SmtpSecurity.STARTTLS)
        assert doubting.hand_over(LETTER, key=KEY) == refused(NETWORK, "smtp_tls_failed")
    assert len(mailbox.mails()) == 1


def test_tls_from_the_first_byte() -> None:
    mailbox = Mailbox()
    with SmtpServer(mailbox, FaultRules(), implicit_tls=server_context(), login=LOGIN) as server:
        right = transport(server.port, security=SmtpSecurity.TLS, tls_context=trusting(), login=LOGIN)
        assert isinstance(right.hand_over(LETTER, key=KEY), Accepted)
        doubting = transport(server.port, security=SmtpSecurity.TLS, login=LOGIN)
        assert doubting.hand_over(LETTER, key=KEY) == refused(NETWORK, "smtp_tls_failed")
    assert len(mailbox.mails()) == 1


def test_a_server_without_starttls_is_told_nothing() -> None:
    with scripted(agreeable) as (port, heard):
        careful = transport(port, security=SmtpSecurity.STARTTLS, login=LOGIN)
        assert careful.hand_over(LETTER, key=KEY) == refused(ACCOUNT, "smtp_extension_missing")
    assert heard == ["ehlo pferdewert.de"]


@pytest.mark.parametrize(
    "account",
    [
        {"security": SmtpSecurity.NONE, "login": LOGIN},
        {"security": SmtpSecurity.TLS, "login": ("mailer", "geheimnis-ü")},
    ],
)
def test_a_login_that_cannot_be_kept_secret_is_refused(account: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="SMTP login") as caught:
        transport(25, **account)
    assert "geheim" not in str(caught.value)


def test_the_account_does_not_show_its_password() -> None:
    account = SmtpAccount(host="mail.example.org", port=587, login=LOGIN)
    assert "geheim" not in repr(account)


@pytest.mark.parametrize("sender", ["PferdeWert", "", "PferdeWert <info@pferdewert.de>\r\nBcc: x@example.org"])
def test_a_sender_without_an_address_is_refused(sender: str) -> None:
    with pytest.raises(ValueError, match="sender"):
        SmtpTransport(account=SmtpAccount(host="127.0.0.1", port=25), sender=sender)


def test_the_same_letter_at_the_same_moment_is_the_same_to_the_byte() -> None:
    at = datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)
    account = SmtpAccount(host="127.0.0.1", port=25)
    first, second = (
        SmtpTransport(account=account, sender=SENDER, now=lambda: at)._message(LETTER, KEY).as_bytes() for _ in range(2)
    )
    assert first == second
    assert b"\r\nDate: Sun, 01 Mar 2026 12:00:05 +0000\r\n" in first
    assert max(len(line) for line in first.split(b"\r\n")) < 100
    assert first.isascii()
