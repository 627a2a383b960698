"""The harmless questions, put to the stand-ins: what each answer is taken for, and that nothing is left behind."""

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from pferdewert_ops.adapters.probes import probe_model, probe_resend, probe_smtp
from pferdewert_ops.operations.checkup import ProbeOutcome
from pferdewert_ops.sandbox.anthropic_server import AnthropicServer
from pferdewert_ops.sandbox.mail import MailSandbox
from pferdewert_ops.sandbox.mailbox import Fault, FaultRule, FaultRules, Mailbox, Phase, Via
from pferdewert_ops.sandbox.smtp_server import SmtpServer

SENDER = "PferdeWert <info@pferdewert.de>"


@pytest.fixture
def mail(mail_servers: MailSandbox) -> Iterator[MailSandbox]:
    mail_servers.reset()
    yield mail_servers
    mail_servers.reset()


@pytest.fixture
def nobody() -> Iterator[int]:
    """A port that is bound, and at which nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def test_the_model_answers(model_server: AnthropicServer) -> None:
    probe = probe_model(model_server.api_key, model_server.url, "claude-opus-5-5")

    assert probe.outcome is ProbeOutcome.ANSWERS
    assert probe.seconds > 0


def test_counting_tokens_is_no_model_call(model_server: AnthropicServer) -> None:
    before = len(model_server.journal.entries())
    probe_model(model_server.api_key, model_server.url, "claude-opus-5-5")

    assert len(model_server.journal.entries()) == before


def test_a_wrong_key_and_an_unknown_model_are_told_apart(model_server: AnthropicServer) -> None:
    wrong = probe_model("sk-ant-wrong", model_server.url, "claude-opus-5-5")
    unknown = probe_model(model_server.api_key, model_server.url, "claude-nine")

    assert (wrong.outcome, wrong.code) == (ProbeOutcome.REFUSED, "http_401_authentication_error")
    assert (unknown.outcome, unknown.code) == (ProbeOutcome.REFUSED, "http_404_not_found_error")


def test_nobody_there(nobody: int) -> None:
    url = f"http://127.0.0.1:{nobody}"

    model = probe_model("sk-ant-x", url, "claude-opus-5-5")
    resend = probe_resend("re_x", url)
    smtp = probe_smtp("127.0.0.1", nobody, security="none", login=None, sender=SENDER)

    assert {model.outcome, resend.outcome, smtp.outcome} == {ProbeOutcome.UNREACHABLE}
    assert model.code == "connect_error"
    assert smtp.code == "connection_refused_error"


def test_resend_answers_and_nothing_was_sent(mail: MailSandbox) -> None:
    assert probe_resend(mail.resend.api_key, mail.resend.url).outcome is ProbeOutcome.ANSWERS
    assert mail.mailbox.mails() == ()


def test_a_key_of_resend_that_may_only_send_is_as_good(mail: MailSandbox) -> None:
    mail.add_rule(FaultRule(fault=Fault.LIST_REFUSED, via=Via.RESEND, status=401))

    assert probe_resend(mail.resend.api_key, mail.resend.url).outcome is ProbeOutcome.ANSWERS


def test_a_wrong_key_of_resend(mail: MailSandbox) -> None:
    probe = probe_resend("re_wrong", mail.resend.url)

    assert (probe.outcome, probe.code) == (ProbeOutcome.REFUSED, "http_403_invalid_api_key")


def test_smtp_answers_and_nothing_was_sent(mail: MailSandbox) -> None:
    probe = probe_smtp(mail.smtp.host, mail.smtp.port, security="none", login=None, sender=SENDER)

    assert probe.outcome is ProbeOutcome.ANSWERS
    assert mail.mailbox.mails() == ()


def test_a_sender_that_smtp_refuses(mail: MailSandbox) -> None:
    mail.add_rule(FaultRule(fault=Fault.REFUSE, via=Via.SMTP, phase=Phase.SENDER))

    probe = probe_smtp(mail.smtp.host, mail.smtp.port, security="none", login=None, sender=SENDER)

    assert (probe.outcome, probe.code) == (ProbeOutcome.REFUSED, "smtp_sender_550")


def test_a_server_without_starttls_is_not_talked_to_in_the_clear(mail: MailSandbox) -> None:
    probe = probe_smtp(mail.smtp.host, mail.smtp.port, security="starttls", login=None, sender=SENDER)

    assert (probe.outcome, probe.code) == (ProbeOutcome.REFUSED, "smtp_extension_missing")


def test_a_certificate_that_nobody_vouches_for() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(__file__).with_name("loopback_tls.pem"))
    with SmtpServer(Mailbox(), FaultRules(), implicit_tls=context) as server:
        probe = probe_smtp(server.host, server.port, security="tls", login=None, sender=SENDER)

    assert (probe.outcome, probe.code) == (ProbeOutcome.UNREACHABLE, "tls_failed")


def test_a_wrong_password() -> None:
    with SmtpServer(Mailbox(), FaultRules(), login=("shop", "right")) as server:
        probe = probe_smtp(server.host, server.port, security="none", login=("shop", "wrong"), sender=SENDER)

    assert (probe.outcome, probe.code) == (ProbeOutcome.REFUSED, "smtp_535")
