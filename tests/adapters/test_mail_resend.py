"""The Resend adapter against the local stand-in, over real sockets: what every answer and every silence means."""

import dataclasses
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from io import BufferedReader

import pytest

from pferdewert_ops.adapters.mail.resend import ResendTransport
from pferdewert_ops.domain.failures import ErrorClass
from pferdewert_ops.domain.letters import Accepted, Handover, Letter, Refused, Unknown, result_letter
from pferdewert_ops.domain.products import BEWERTUNG
from pferdewert_ops.operations.ports import MailTransport
from pferdewert_ops.sandbox.mail import MailSandbox
from pferdewert_ops.sandbox.mailbox import Fault, FaultRule, Via

SENDER = "PferdeWert <info@pferdewert.de>"
ORDER = "65a1b2c3d4e5f60718293a4b"
KEY = f"result:{ORDER}"
LETTER = result_letter(
    product=BEWERTUNG,
    order_id=ORDER,
    to="anna@example.org",
    name="Anna Weber",
    base_url="https://pferdewert.de",
    bcc=["review@example.org"],
)


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[MailSandbox, ResendTransport]]:
    with MailSandbox() as sandbox, transport(sandbox.resend.url, sandbox.resend.api_key) as resend:
        yield sandbox, resend


@pytest.fixture
def sandbox(running: tuple[MailSandbox, ResendTransport]) -> MailSandbox:
    running[0].reset()
    return running[0]


@pytest.fixture
def resend(running: tuple[MailSandbox, ResendTransport], sandbox: MailSandbox) -> ResendTransport:
    return running[1]


def transport(url: str, api_key: str = "re_test", *, answer_seconds: float = 10) -> ResendTransport:
    return ResendTransport(
        api_key=api_key, sender=SENDER, base_url=url, connect_seconds=5, answer_seconds=answer_seconds
    )


def test_an_accepted_letter_is_the_providers_with_all_that_belongs_to_it(
    sandbox: MailSandbox, resend: ResendTransport
) -> None:
    handover = resend.hand_over(LETTER, key=KEY)
    (kept,) = sandbox.mailbox.mails()
    assert handover == Accepted(provider_id=kept.provider_id)
    assert (kept.sender, kept.to, kept.bcc) == (SENDER, ("anna@example.org",), ("review@example.org",))
    assert (kept.subject, kept.html, kept.text) == (LETTER.subject, LETTER.html, LETTER.text)
    assert (kept.kind, kept.key, kept.via) == ("result", KEY, Via.RESEND)
    assert kept.tags == {"kind": "result", "order_id": ORDER}


def test_it_is_the_port_that_operations_ask_for(resend: ResendTransport) -> None:
    port: MailTransport = resend
    assert port.name == "resend"


def test_the_same_letter_under_the_same_key_is_one_mail(sandbox: MailSandbox, resend: ResendTransport) -> None:
    handovers = {resend.hand_over(LETTER, key=KEY) for _ in range(3)}
    assert len(handovers) == 1
    assert len(sandbox.mailbox.mails()) == 1


def test_another_letter_under_the_same_key_is_never_sent(sandbox: MailSandbox, resend: ResendTransport) -> None:
    resend.hand_over(LETTER, key=KEY)
    other = dataclasses.replace(LETTER, subject="Etwas anderes")
    assert resend.hand_over(other, key=KEY) == Unknown(code="invalid_idempotent_request", final=True)
    assert [mail.subject for mail in sandbox.mailbox.mails()] == [LETTER.subject]


RATE_LIMITED = Refused(
    error_class=ErrorClass.RATE_LIMITED,
    code="rate_limit_exceeded",
    permanent=False,
    retry_after=timedelta(seconds=7),
)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (
            FaultRule(fault=Fault.REFUSE, count=1),
            Refused(error_class=ErrorClass.MAIL_REFUSED, code="validation_error", permanent=True),
        ),
        (
            FaultRule(fault=Fault.REFUSE, count=1, status=400),
            Refused(error_class=ErrorClass.MAIL_REFUSED, code="validation_error", permanent=True),
        ),
        (
            FaultRule(fault=Fault.REFUSE, count=1, status=403),
            Refused(error_class=ErrorClass.AUTH, code="validation_error", permanent=False),
        ),
        (
            FaultRule(fault=Fault.REFUSE, count=1, status=404),
            Refused(error_class=ErrorClass.AUTH, code="validation_error", permanent=False),
        ),
        (FaultRule(fault=Fault.RATE_LIMIT, count=1, retry_after=7), RATE_LIMITED),
        (
            FaultRule(fault=Fault.RATE_LIMIT, count=1, retry_after=0.5),
            dataclasses.replace(RATE_LIMITED, retry_after=None),
        ),
        (FaultRule(fault=Fault.REFUSE_FOR_NOW, count=1), Unknown(code="internal_server_error")),
        (FaultRule(fault=Fault.REFUSE_FOR_NOW, count=1, status=503), Unknown(code="internal_server_error")),
        (FaultRule(fault=Fault.DIE_BEFORE, count=1), Unknown(code="remote_protocol_error")),
    ],
    ids=lambda value: f"{value.fault}-{value.status}-{value.retry_after}" if isinstance(value, FaultRule) else "",
)
def test_what_a_failed_hand_over_means_and_that_a_repetition_mends_it(
    sandbox: MailSandbox, resend: ResendTransport, rule: FaultRule, expected: Handover
) -> None:
    sandbox.rules.add(rule)
    assert resend.hand_over(LETTER, key=KEY) == expected
    assert sandbox.mailbox.mails() == ()
    repeated = resend.hand_over(LETTER, key=KEY)
    (kept,) = sandbox.mailbox.mails()
    assert repeated == Accepted(provider_id=kept.provider_id)


def test_a_mail_taken_without_an_answer_is_found_again_by_its_key(
    sandbox: MailSandbox, resend: ResendTransport
) -> None:
    sandbox.rules.add(FaultRule(fault=Fault.DIE_AFTER, count=1))
    assert resend.hand_over(LETTER, key=KEY) == Unknown(code="remote_protocol_error")
    (kept,) = sandbox.mailbox.mails()
    assert resend.hand_over(LETTER, key=KEY) == Accepted(provider_id=kept.provider_id)
    assert sandbox.mailbox.mails() == (kept,)


def test_an_answer_that_comes_too_late_is_unknown_and_then_known(sandbox: MailSandbox) -> None:
    sandbox.rules.add(FaultRule(fault=Fault.SLOW, count=1, seconds=60))
    with transport(sandbox.resend.url, sandbox.resend.api_key, answer_seconds=0.2) as hasty:
        assert hasty.hand_over(LETTER, key=KEY) == Unknown(code="read_timeout")
        assert hasty.hand_over(LETTER, key=KEY) == Unknown(code="concurrent_idempotent_requests")
        sandbox.rules.slow.release()
        (kept,) = sandbox.mailbox.wait_for(1, timeout=10)
        assert hasty.hand_over(LETTER, key=KEY) == Accepted(provider_id=kept.provider_id)
    assert sandbox.mailbox.mails() == (kept,)


def test_two_workers_with_one_key_send_one_mail(sandbox: MailSandbox, resend: ResendTransport) -> None:
    sandbox.rules.add(FaultRule(fault=Fault.SLOW, count=1, seconds=60))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(resend.hand_over, LETTER, key=KEY)
        assert sandbox.rules.slow.wait_until_held()
        assert resend.hand_over(LETTER, key=KEY) == Unknown(code="concurrent_idempotent_requests")
        sandbox.rules.slow.release()
        assert isinstance(first.result(10), Accepted)
    assert len(sandbox.mailbox.mails()) == 1


def test_nobody_listening_is_a_certain_refusal(sandbox: MailSandbox, resend: ResendTransport) -> None:
    with sandbox.refusing_connections(Via.RESEND):
        assert resend.hand_over(LETTER, key=KEY) == Refused(
            error_class=ErrorClass.NETWORK_ERROR, code="connect_error", permanent=False
        )
    assert isinstance(resend.hand_over(LETTER, key=KEY), Accepted)


@pytest.mark.parametrize("key", ["re_wrong", "x"])
def test_a_wrong_api_key_is_the_accounts_fault_not_the_letters(sandbox: MailSandbox, key: str) -> None:
    with transport(sandbox.resend.url, key) as locked_out:
        assert locked_out.hand_over(LETTER, key=KEY) == Refused(
            error_class=ErrorClass.AUTH, code="invalid_api_key", permanent=False
        )
    assert sandbox.mailbox.mails() == ()


def iter_head(request: BufferedReader) -> Iterator[bytes]:
    while (line := request.readline()) not in {b"\r\n", b""}:
        yield line.strip()


@contextmanager
def canned(answer: bytes) -> Iterator[str]:
    """A server that reads one request with its body and answers with these bytes."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            request = connection.makefile("rb")
            head = {name.lower(): value for name, _, value in (line.partition(b": ") for line in iter_head(request))}
            request.read(int(head[b"content-length"]))
            connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            thread.join(10)


def http(status: str, body: str, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (http("200 OK", "{}"), Unknown(code="answer_without_id")),
        (http("200 OK", '{"id": ""}'), Unknown(code="answer_without_id")),
        (http("200 OK", "[1]"), Unknown(code="answer_without_id")),
        (http("200 OK", "<html>"), Unknown(code="answer_without_id")),
        (http("200 OK", '{"id": "m-1"}'), Accepted(provider_id="m-1")),
        (http("301 Moved", "", "Location: http://127.0.0.1:9/emails"), Unknown(code="http_301")),
        (http("502 Bad Gateway", "<html>anna@example.org</html>"), Unknown(code="http_502")),
        (
            http("503 Busy", '{"name": "Anna Weber <anna@example.org>"}', "Retry-After: 4"),
            Unknown(code="http_503", retry_after=timedelta(seconds=4)),
        ),
        (http("200 OK", '{"id": "m-1"}', "Content-Encoding: gzip"), Unknown(code="decoding_error")),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", Unknown(code="remote_protocol_error")),
        (b"SSH-2.0-nobody\r\n", Unknown(code="remote_protocol_error")),
        (b"", Unknown(code="remote_protocol_error")),
        (
            http("429 Slow down", "", "Retry-After: Wed, 21 Oct 2026 07:28:00 GMT"),
            Refused(error_class=ErrorClass.RATE_LIMITED, code="http_429", permanent=False),
        ),
    ],
    ids=lambda value: value[:60].decode() if isinstance(value, bytes) else "",
)
def test_answers_that_nobody_would_expect(answer: bytes, expected: Handover) -> None:
    with canned(answer) as url, transport(url) as resend:
        assert resend.hand_over(LETTER, key=KEY) == expected


def test_no_word_of_a_failure_tells_of_the_customer_or_the_key(sandbox: MailSandbox) -> None:
    secret = "re_very_secret"
    handovers: list[Handover] = []
    with transport(sandbox.resend.url, secret) as resend:
        handovers.append(resend.hand_over(LETTER, key=KEY))
        assert secret not in repr(resend)
    echo = http("422 No", '{"name": "validation_error", "message": "anna@example.org is wrong"}')
    with canned(echo) as url, transport(url, secret) as resend:
        handovers.append(resend.hand_over(LETTER, key=KEY))
    with canned(b"") as url, transport(url, secret) as resend:
        handovers.append(resend.hand_over(LETTER, key=KEY))
    assert all("anna" not in repr(handover) and secret not in repr(handover) for handover in handovers)


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (timedelta(0), True),
        (timedelta(hours=23) - timedelta(microseconds=1), True),
        (timedelta(hours=23), False),
        (timedelta(days=3), False),
    ],
)
def test_a_key_is_trusted_for_23_hours(resend: ResendTransport, age: timedelta, expected: bool) -> None:
    now = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    assert resend.repeatable(now - age, now) is expected


@pytest.mark.parametrize("key", ["", "k" * 257, "result 1", "result:1\r\nX: y", "ergebnis:ä"])
def test_a_key_that_no_header_can_carry_is_a_bug(resend: ResendTransport, key: str) -> None:
    with pytest.raises(ValueError, match="idempotency key"):
        resend.hand_over(LETTER, key=key)


@pytest.mark.parametrize(
    ("api_key", "url"), [("", "http://x"), ("re_geheim\n", "http://x"), ("re_geheim", "ftp://x"), ("re_geheim", "")]
)
def test_settings_that_cannot_be_are_refused_without_telling_the_key(api_key: str, url: str) -> None:
    with pytest.raises(ValueError, match="Resend") as caught:
        transport(url, api_key)
    assert "geheim" not in str(caught.value)


def test_proxies_of_the_environment_are_ignored(sandbox: MailSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with transport(sandbox.resend.url, sandbox.resend.api_key) as resend:
        assert isinstance(resend.hand_over(LETTER, key=KEY), Accepted)


def test_a_letter_to_the_operators_reaches_all_of_them(sandbox: MailSandbox, resend: ResendTransport) -> None:
    letter: Letter = dataclasses.replace(LETTER, to=("a@example.org", "b@example.org"), bcc=())
    assert isinstance(resend.hand_over(letter, key="operator:1"), Accepted)
    (kept,) = sandbox.mailbox.mails()
    assert (kept.to, kept.bcc) == (("a@example.org", "b@example.org"), ())
