"""The SMTP adapter against the local server, over real sockets: what is certain in which phase."""

import dataclasses
import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from pferdewert_ops.adapters.mail.smtp import SmtpAccount, SmtpTransport
from pferdewert_ops.domain.failures import ErrorClass
from pferdewert_ops.domain.letters import Accepted, Handover, Unknown, operator_notice
from pferdewert_ops.domain.products import BEWERTUNG, Country
from pferdewert_ops.operations.ports import MailTransport
from pferdewert_ops.sandbox.mail import MailSandbox
from pferdewert_ops.sandbox.mailbox import Fault, FaultRule, Phase, Via
from tests.adapters.smtp_support import (
    ACCOUNT,
    KEY,
    LATER,
    LETTER,
    NETWORK,
    ORDER,
    SENDER,
    refuse_copies,
    refused,
    scripted,
    transport,
)


@pytest.fixture(scope="module")
def running() -> Iterator[MailSandbox]:
    with MailSandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: MailSandbox) -> MailSandbox:
    running.reset()
    return running


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
