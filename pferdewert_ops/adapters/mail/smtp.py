"""Hand letters over by SMTP (RFC 5321), with the phases told apart.

Up to the end of the message the server has promised nothing. Once the end has been sent, only its answer tells:
without one the mail may have been taken, and SMTP has no means to ask.
"""

import contextlib
import hashlib
import logging
import re
import smtplib
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import parseaddr
from enum import StrEnum
from ipaddress import ip_address

from pferdewert_ops.domain.failures import ErrorClass
from pferdewert_ops.domain.letters import (
    KIND_HEADER,
    REFERENCE_HEADER,
    Accepted,
    Handover,
    Letter,
    MailKind,
    Refused,
    Unknown,
    usable_address,
)

COMMAND_SECONDS = 20.0
# RFC 5321 4.5.3.2.6 asks for ten minutes. Two hold no worker up for long; beyond them the mail is uncertain for good.
END_OF_MESSAGE_SECONDS = 120.0
# Answers that speak of the account or of missing encryption, wherever they come (RFC 4954 6, RFC 3207 4).
_ACCOUNT_CODES = frozenset({530, 534, 535, 538})
# Phases in which a permanent refusal is about who sends, not about this letter.
_ACCOUNT_PHASES = frozenset({"session", "sender"})
_TOO_LARGE = 552

_log = logging.getLogger(__name__)


class SmtpSecurity(StrEnum):
    """NONE is for a relay on the same machine. STARTTLS and TLS check the certificate and never fall back."""

    NONE = "none"
    STARTTLS = "starttls"
    TLS = "tls"


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpAccount:
    """Where to hand letters over, and as whom. `login` is (user, password).

    `tls_context` replaces the system's certificate authorities.
    Raises ValueError for a login that cannot be used; the message does not repeat it.
    """

    host: str
    port: int
    security: SmtpSecurity = SmtpSecurity.STARTTLS
    login: tuple[str, str] | None = field(default=None, repr=False)
    tls_context: ssl.SSLContext | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.login is None:
            return
        if self.security is SmtpSecurity.NONE and not _on_this_machine(self.host):
            raise ValueError("an SMTP login needs TLS or STARTTLS, save on this machine")
        if not all(part.isascii() and part.isprintable() for part in self.login):
            raise ValueError("an SMTP login needs a user and password in ASCII")


def _on_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class SmtpTransport:
    """An SMTP server, with one connection for each letter. Safe to use from several threads.

    Raises ValueError for a sender that is no usable address; the message does not repeat it.
    """

    name = "smtp"

    def __init__(
        self,
        *,
        account: SmtpAccount,
        sender: str,
        operator_sender: str | None = None,
        command_seconds: float = COMMAND_SECONDS,
        end_seconds: float = END_OF_MESSAGE_SECONDS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._account = account
        self._sender = _sender(sender)
        self._operator_sender = _sender(operator_sender or sender)
        self._context = account.tls_context or ssl.create_default_context()
        self._command_seconds = command_seconds
        self._end_seconds = end_seconds
        self._now = now

    def hand_over(self, letter: Letter, *, key: str) -> Handover:
        """Hand one letter over. The Message-ID follows from `key`: the same mail, whoever asks for it."""
        message = self._message(letter, key)
        try:
            connection = self._connect()
            try:
                return self._converse(connection, letter, message)
            finally:
                _leave(connection)
        except smtplib.SMTPNotSupportedError:
            return _account_wrong("smtp_extension_missing")
        except smtplib.SMTPResponseException as error:
            return _refused("session", error.smtp_code)
        except smtplib.SMTPServerDisconnected:
            return _network("smtp_connection_lost")
        except smtplib.SMTPException:  # smtplib's own word for no common way to log in
            return _account_wrong("smtp_login_impossible")
        except ssl.SSLError:
            return _network("smtp_tls_failed")
        except TimeoutError:
            return _network("smtp_timeout")
        except OSError:
            return _network("smtp_connect_failed")

    def repeatable(self, first_handed_over: datetime, now: datetime) -> bool:  # noqa: ARG002 - the port's shape
        """Never: an SMTP server takes the same message as often as it comes."""
        return False

    def _connect(self) -> smtplib.SMTP:
        account, wait = self._account, self._command_seconds
        # For EHLO. smtplib's default would look up, and tell, this machine's name.
        name = self._sender.domain
        connection: smtplib.SMTP
        if account.security is SmtpSecurity.TLS:
            connection = smtplib.SMTP_SSL(account.host, account.port, name, timeout=wait, context=self._context)
        else:
            connection = smtplib.SMTP(account.host, account.port, name, timeout=wait)
        try:
            connection.ehlo_or_helo_if_needed()
            if account.security is SmtpSecurity.STARTTLS:
                connection.starttls(context=self._context)
                connection.ehlo_or_helo_if_needed()
            if account.login is not None:
                connection.login(*account.login)
        except BaseException:
            connection.close()
            raise
        return connection

    def _converse(self, connection: smtplib.SMTP, letter: Letter, message: EmailMessage) -> Handover:
        """From MAIL to the answer after the message. Exceptions that leave it come from before the message's end."""
        content = _with_stuffed_dots(message.as_bytes())
        size = [f"size={len(content)}"] if connection.has_extn("size") else []
        code = connection.mail(self._sender_of(letter).addr_spec, size)[0]
        if code != 250:
            return _refused("sender", code)
        for address in letter.to:
            code = connection.rcpt(address)[0]
            if code not in {250, 251}:
                return _refused("recipient", code)
        for address in letter.bcc:
            code = connection.rcpt(address)[0]
            if code not in {250, 251}:
                # A copy for somebody else is no reason to withhold the customer's mail.
                _log.warning("event=blind_copy_refused order=%s code=smtp_%d", letter.order_id, code)
        code = connection.docmd("DATA")[0]
        if code != 354:
            return _refused("data", code)
        connection.send(content)
        return self._end(connection, str(message["Message-ID"]))

    def _end(self, connection: smtplib.SMTP, message_id: str) -> Handover:
        """Send the end of the message, in a write of its own: whether it failed before or after is what counts."""
        if connection.sock is not None:
            connection.sock.settimeout(self._end_seconds)
        try:
            connection.send(".\r\n")
            code = connection.getreply()[0]
        except smtplib.SMTPServerDisconnected as error:
            late = isinstance(error.__context__, TimeoutError)
            return Unknown(code="smtp_no_answer" if late else "smtp_lost_after_message", final=True)
        except smtplib.SMTPResponseException:
            return Unknown(code="smtp_answer_unreadable", final=True)
        if 200 <= code < 300:
            return Accepted(provider_id=message_id)
        if 400 <= code < 600:
            return _refused("message", code)
        return Unknown(code="smtp_answer_unreadable", final=True)

    def _sender_of(self, letter: Letter) -> Address:
        return self._operator_sender if letter.kind is MailKind.OPERATOR else self._sender

    def _message(self, letter: Letter, key: str) -> EmailMessage:
        digest = hashlib.sha256(key.encode()).hexdigest()[:40]
        message = EmailMessage(policy=SMTP_POLICY)
        message["From"] = self._sender_of(letter)
        message["To"] = [Address(addr_spec=address) for address in letter.to]
        message["Subject"] = letter.subject
        message["Date"] = self._now()
        message["Message-ID"] = f"<{digest}@{self._sender.domain}>"
        message[REFERENCE_HEADER] = key
        message[KIND_HEADER] = str(letter.kind)
        # Quoted-printable leaves no line that is too long and no byte that a server could object to.
        message.set_content(letter.text, cte="quoted-printable")
        message.add_alternative(letter.html, subtype="html", cte="quoted-printable")
        message.set_boundary(f"=_{digest}")
        return message


def _sender(written: str) -> Address:
    display_name, address = parseaddr(written)
    usable = usable_address(address)
    if usable is None or not written.isprintable():
        raise ValueError("the sender is not a usable mail address")
    return Address(display_name=display_name, addr_spec=usable)


def _with_stuffed_dots(content: bytes) -> bytes:
    """RFC 5321 4.5.2, and a line end where the last line has none."""
    stuffed = re.sub(rb"(?m)^\.", b"..", content)
    return stuffed if stuffed.endswith(b"\r\n") else stuffed + b"\r\n"


def _leave(connection: smtplib.SMTP) -> None:
    """Say QUIT and go. The outcome is known by now, so nothing that happens here matters."""
    with contextlib.suppress(smtplib.SMTPException, OSError):
        connection.putcmd("quit")
    connection.close()


def _refused(phase: str, code: int) -> Refused:
    word = f"smtp_{phase}_{code}" if 200 <= code < 600 else f"smtp_{phase}_unreadable"
    if code in _ACCOUNT_CODES or (500 <= code < 600 and phase in _ACCOUNT_PHASES and code != _TOO_LARGE):
        return _account_wrong(word)
    if 500 <= code < 600:
        return Refused(error_class=ErrorClass.MAIL_REFUSED, code=word, permanent=True)
    # 4yz, and what is no answer to a command at all: come back later, which is how grey-listing wants it.
    return Refused(error_class=ErrorClass.RATE_LIMITED, code=word, permanent=False)


def _account_wrong(code: str) -> Refused:
    """The account, its password or the encryption is wrong, not the letter: it goes out once that is put right."""
    return Refused(error_class=ErrorClass.AUTH, code=code, permanent=False)


def _network(code: str) -> Refused:
    return Refused(error_class=ErrorClass.NETWORK_ERROR, code=code, permanent=False)
