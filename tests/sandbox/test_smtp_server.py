"""The local SMTP server keeps what it accepts, and fails in the phase that was ordered."""

import smtplib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from pferdewert_ops.sandbox.mail import MailSandbox
from pferdewert_ops.sandbox.mailbox import Fault, FaultRule, Phase, Via
from tests.sandbox.smtp_client import send_by_smtp

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def running() -> Iterator[MailSandbox]:
    with MailSandbox(clock=lambda: START) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: MailSandbox) -> MailSandbox:
    running.reset()
    return running


def test_smtp_keeps_what_was_sent(sandbox: MailSandbox) -> None:
    send_by_smtp(sandbox)
    (kept,) = sandbox.mailbox.mails(Via.SMTP)
    assert (kept.to, kept.bcc) == (("anna@example.org",), ("copy@example.org",))
    assert (kept.subject, kept.kind, kept.key) == ("Für dich: fertig", "result", "result:1")
    assert (kept.message_id, kept.at) == ("<1@pferdewert.de>", START)
    assert (kept.text, kept.html) == ("Schöne Grüße\n.Punkt\n", "<p>Schöne Grüße</p>\n")


@pytest.mark.parametrize(("fault", "code"), [(Fault.REFUSE, 550), (Fault.REFUSE_FOR_NOW, 451), (Fault.RATE_LIMIT, 450)])
@pytest.mark.parametrize("phase", [Phase.SENDER, Phase.RECIPIENT, Phase.DATA, Phase.MESSAGE])
def test_smtp_refuses_at_the_phase_that_was_ordered(
    sandbox: MailSandbox, phase: Phase, fault: Fault, code: int
) -> None:
    sandbox.rules.add(FaultRule(fault=fault, phase=phase, count=1))
    client = smtplib.SMTP(sandbox.smtp.host, sandbox.smtp.port, local_hostname="test.invalid", timeout=10)
    with client:
        client.ehlo()
        replies = {Phase.SENDER: client.mail("info@pferdewert.de")[0]}
        if replies[Phase.SENDER] == 250:
            replies[Phase.RECIPIENT] = client.rcpt("anna@example.org")[0]
        if replies.get(Phase.RECIPIENT) == 250:
            replies[Phase.DATA] = client.docmd("DATA")[0]
        if replies.get(Phase.DATA) == 354:
            client.send("Subject: x\r\n\r\ny\r\n.\r\n")
            replies[Phase.MESSAGE] = client.getreply()[0]
    assert list(replies.items())[-1] == (phase, code)
    assert sandbox.mailbox.mails() == ()


@pytest.mark.parametrize(
    ("fault", "phase", "kept"),
    [(Fault.DIE_BEFORE, phase, 0) for phase in Phase] + [(Fault.DIE_AFTER, Phase.MESSAGE, 1)],
)
def test_smtp_dies_where_it_was_ordered(sandbox: MailSandbox, fault: Fault, phase: Phase, kept: int) -> None:
    sandbox.rules.add(FaultRule(fault=fault, phase=phase, count=1))
    with pytest.raises(smtplib.SMTPServerDisconnected):
        send_by_smtp(sandbox)
    assert len(sandbox.mailbox.mails()) == kept
    send_by_smtp(sandbox)
    assert len(sandbox.mailbox.mails()) == kept + 1


def test_a_slow_smtp_server_keeps_the_mail_when_it_gets_to_it(sandbox: MailSandbox) -> None:
    sandbox.rules.add(FaultRule(fault=Fault.SLOW, count=1, seconds=60))
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send_by_smtp, sandbox)
        assert sandbox.rules.slow.wait_until_held()
        assert sandbox.mailbox.mails() == ()
        sandbox.rules.slow.release()
        sending.result(10)
    assert len(sandbox.mailbox.wait_for(1, timeout=5)) == 1
