"""The faults of the local mail servers strike as ordered, and only so."""

import smtplib
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from pferdewert_ops.sandbox.mail import MailSandbox
from pferdewert_ops.sandbox.mailbox import Fault, FaultRule, FaultRules, Via
from tests.sandbox.mail_support import CLOCK, START, error_of, mail_sandbox, post
from tests.sandbox.smtp_client import send_by_smtp


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[MailSandbox, httpx2.Client]]:
    with mail_sandbox() as both:
        yield both


@pytest.fixture
def sandbox(running: tuple[MailSandbox, httpx2.Client]) -> MailSandbox:
    running[0].reset()
    CLOCK.at = START
    return running[0]


@pytest.fixture
def api(running: tuple[MailSandbox, httpx2.Client], sandbox: MailSandbox) -> httpx2.Client:
    return running[1]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (FaultRule(fault=Fault.REFUSE, count=2), (422, "validation_error")),
        (FaultRule(fault=Fault.REFUSE, count=2, status=403), (403, "validation_error")),
        (FaultRule(fault=Fault.REFUSE_FOR_NOW, count=2), (500, "internal_server_error")),
        (FaultRule(fault=Fault.REFUSE_FOR_NOW, count=2, status=503), (503, "internal_server_error")),
        (FaultRule(fault=Fault.RATE_LIMIT, count=2, retry_after=3), (429, "rate_limit_exceeded")),
    ],
)
def test_refusals_strike_as_often_as_ordered(
    sandbox: MailSandbox, api: httpx2.Client, rule: FaultRule, expected: tuple[int, str]
) -> None:
    sandbox.rules.add(rule)
    answers = [post(api, "k") for _ in range(3)]
    assert [error_of(answer) for answer in answers[:2]] == [expected] * 2
    assert answers[2].status_code == 200
    assert answers[0].headers.get("retry-after") == ("3" if rule.fault is Fault.RATE_LIMIT else None)
    assert len(sandbox.mailbox.mails()) == 1


@pytest.mark.parametrize(("fault", "kept"), [(Fault.DIE_BEFORE, 0), (Fault.DIE_AFTER, 1)])
def test_dying_closes_the_connection_without_an_answer(
    sandbox: MailSandbox, api: httpx2.Client, fault: Fault, kept: int
) -> None:
    sandbox.rules.add(FaultRule(fault=fault, count=1))
    with pytest.raises(httpx2.RemoteProtocolError):
        post(api, "k")
    assert len(sandbox.mailbox.mails()) == kept
    again = post(api, "k")
    (only,) = sandbox.mailbox.mails()
    assert again.json() == {"id": only.provider_id}


def test_a_rule_can_wait_for_one_kind(sandbox: MailSandbox, api: httpx2.Client) -> None:
    sandbox.rules.add(FaultRule(fault=Fault.REFUSE, kind="delay", via=Via.RESEND))
    assert post(api).status_code == 200
    assert post(api, headers={"X-PferdeWert-Kind": "delay"}).status_code == 422
    send_by_smtp(sandbox, kind="delay")
    sandbox.rules.clear()
    assert post(api, headers={"X-PferdeWert-Kind": "delay"}).status_code == 200


def test_chance_is_drawn_from_the_seed() -> None:
    def strikes(seed: int) -> list[bool]:
        rules = FaultRules(seed)
        rules.add(FaultRule(fault=Fault.REFUSE, probability=0.3))
        return [rules.take(Via.RESEND) is not None for _ in range(200)]

    assert strikes(7) == strikes(7)
    assert strikes(7) != strikes(8)
    assert 30 <= sum(strikes(7)) <= 90


def test_rules_come_and_go_over_http(sandbox: MailSandbox, api: httpx2.Client) -> None:
    rules = [{"fault": "refuse", "count": 1}, {"fault": "die_before", "via": "smtp", "phase": "hello"}]
    assert api.post("/_sandbox/rules", json=rules).status_code == 201
    assert [post(api).status_code for _ in range(2)] == [422, 200]
    with pytest.raises(smtplib.SMTPServerDisconnected):
        send_by_smtp(sandbox)
    assert api.delete("/_sandbox/rules").status_code == 204
    send_by_smtp(sandbox)
    for wrong in (
        {"fault": "explode"},
        {"fault": "refuse", "often": 3},
        {"fault": "refuse", "count": -1},
        {"fault": "refuse", "probability": "often"},
        {"fault": "die_after", "phase": "hello"},
        {},
        "refuse",
    ):
        answer = api.post("/_sandbox/rules", json=wrong)
        assert answer.status_code == 422
        assert answer.json()["error"]


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def test_nobody_listens_while_connections_are_refused(sandbox: MailSandbox, api: httpx2.Client) -> None:
    ports = (sandbox.resend.port, sandbox.smtp.port)
    with sandbox.refusing_connections(Via.SMTP):
        assert [listens(port) for port in ports] == [True, False]
    with sandbox.refusing_connections(Via.RESEND):
        assert [listens(port) for port in ports] == [False, True]
    with sandbox.refusing_connections():
        assert [listens(port) for port in ports] == [False, False]
    assert (sandbox.resend.port, sandbox.smtp.port) == ports
    assert post(api).status_code == 200
    send_by_smtp(sandbox)


def test_connections_are_refused_for_a_time_by_rule(sandbox: MailSandbox, api: httpx2.Client) -> None:
    rule = {"fault": "refuse_connection", "via": "smtp", "seconds": 0.3}
    assert api.post("/_sandbox/rules", json=rule).status_code == 201
    seen = [True]
    while not (seen[-1] and False in seen):
        assert len(seen) < 100_000, "the server never went away, or never came back"
        seen.append(listens(sandbox.smtp.port))
    send_by_smtp(sandbox)


def test_the_sandbox_ends_with_slow_answers_under_way_and_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    with ThreadPoolExecutor(1) as pool, MailSandbox() as sandbox:
        sandbox.rules.add(FaultRule(fault=Fault.SLOW, seconds=60))
        sandbox.add_rule(FaultRule(fault=Fault.REFUSE_CONNECTION, via=Via.RESEND, seconds=60))
        sending = pool.submit(send_by_smtp, sandbox)
        assert sandbox.rules.slow.wait_until_held()
    assert sending.done() or sending.exception(10) is not None
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
        assert not thread.is_alive()
    assert not listens(sandbox.smtp.port)
    assert not listens(sandbox.resend.port)
