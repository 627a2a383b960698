"""SMTP with encryption and a login: nothing goes out in the clear, nothing falls back."""

import ssl
from pathlib import Path
from typing import Any

import pytest

from pferdewert_ops.adapters.mail.smtp import SmtpAccount, SmtpSecurity
from pferdewert_ops.domain.letters import Accepted
from pferdewert_ops.sandbox.mailbox import FaultRules, Mailbox
from pferdewert_ops.sandbox.smtp_server import SmtpServer
from tests.adapters.smtp_support import ACCOUNT, KEY, LETTER, NETWORK, agreeable, refused, scripted, transport

LOGIN = ("mailer", "geheim-123")
# Key and certificate of 127.0.0.1, for tests alone; it ends in 2126.
CERTIFICATE = Path(__file__).with_name("loopback_tls.pem")


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


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_relay_on_this_machine_may_be_logged_in_to_without_encryption(host: str) -> None:
    mailbox = Mailbox()
    with SmtpServer(mailbox, FaultRules(), login=LOGIN) as server:
        relay = transport(server.port, host=host, login=LOGIN)
        assert isinstance(relay.hand_over(LETTER, key=KEY), Accepted)
    assert len(mailbox.mails()) == 1


def test_a_server_without_starttls_is_told_nothing() -> None:
    with scripted(agreeable) as (port, heard):
        careful = transport(port, security=SmtpSecurity.STARTTLS, login=LOGIN)
        assert careful.hand_over(LETTER, key=KEY) == refused(ACCOUNT, "smtp_extension_missing")
    assert heard == ["ehlo pferdewert.de"]


@pytest.mark.parametrize(
    "account",
    [
        {"host": "mail.example.org", "security": SmtpSecurity.NONE, "login": LOGIN},
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
