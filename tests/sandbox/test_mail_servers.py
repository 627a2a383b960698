"""The local mail servers behave as the real ones do, and fail exactly as they are told to."""

import smtplib
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any

import httpx2
import pytest

from pferdewert_ops.sandbox.mail import MailSandbox
from pferdewert_ops.sandbox.mailbox import Fault, FaultRule, FaultRules, Phase, Via

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class SettableClock:
    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> datetime:
        return self.at


CLOCK = SettableClock()


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[MailSandbox, httpx2.Client]]:
    with (
        MailSandbox(clock=CLOCK) as sandbox,
        httpx2.Client(
            base_url=sandbox.resend.url,
            headers={"Authorization": f"Bearer {sandbox.resend.api_key}"},
            timeout=10,
            trust_env=False,
            limits=httpx2.Limits(max_keepalive_connections=0),  # the server is taken away in between
        ) as api,
    ):
        yield sandbox, api


@pytest.fixture
def sandbox(running: tuple[MailSandbox, httpx2.Client]) -> MailSandbox:
    running[0].reset()
    CLOCK.at = START
    return running[0]


@pytest.fixture
def api(running: tuple[MailSandbox, httpx2.Client], sandbox: MailSandbox) -> httpx2.Client:
    return running[1]


def mail(**changes: object) -> dict[str, object]:
    body: dict[str, object] = {
        "from": "PferdeWert <info@pferdewert.de>",
        "to": ["anna@example.org"],
        "bcc": ["copy@example.org"],
        "subject": "Fertig",
        "html": "<p>Fertig</p>",
        "text": "Fertig",
        "headers": {"X-PferdeWert-Kind": "result"},
        "tags": [{"name": "kind", "value": "result"}],
    }
    return {name: value for name, value in {**body, **changes}.items() if value is not None}


def post(api: httpx2.Client, key: str | None = None, **changes: object) -> httpx2.Response:
    return api.post("/emails", json=mail(**changes), headers={} if key is None else {"Idempotency-Key": key})


def error_of(response: httpx2.Response) -> tuple[int, str]:
    body = response.json()
    assert body["statusCode"] == response.status_code
    assert body["message"]
    return response.status_code, body["name"]


# --- Resend: sending ---------------------------------------------------------------------------------------------


def test_an_accepted_mail_can_be_read_in_every_way(sandbox: MailSandbox, api: httpx2.Client) -> None:
    answer = post(api, "result:1")
    assert answer.status_code == 200
    provider_id = answer.json()["id"]
    (kept,) = sandbox.mailbox.mails()
    assert (kept.provider_id, kept.via, kept.at, kept.key, kept.kind) == (
        provider_id,
        Via.RESEND,
        START,
        "result:1",
        "result",
    )
    assert (kept.to, kept.bcc, kept.subject) == (("anna@example.org",), ("copy@example.org",), "Fertig")
    assert (kept.html, kept.text, kept.tags) == ("<p>Fertig</p>", "Fertig", {"kind": "result"})
    shown = api.get(f"/emails/{provider_id}").json()
    assert (shown["object"], shown["id"], shown["last_event"]) == ("email", provider_id, "delivered")
    assert shown["html"] == "<p>Fertig</p>"
    (seen,) = api.get("/_sandbox/mailbox").json()
    assert (seen["provider_id"], seen["via"], seen["key"]) == (provider_id, "resend", "result:1")


def test_the_same_key_and_body_send_one_mail(sandbox: MailSandbox, api: httpx2.Client) -> None:
    first, second = post(api, "k"), post(api, "k")
    assert (second.status_code, second.json()) == (200, first.json())
    assert len(sandbox.mailbox.mails()) == 1
    post(api, "other")
    post(api)
    post(api)
    assert len(sandbox.mailbox.mails()) == 4


def test_the_same_key_with_another_body_is_refused(sandbox: MailSandbox, api: httpx2.Client) -> None:
    post(api, "k")
    assert error_of(post(api, "k", subject="Anders")) == (409, "invalid_idempotent_request")
    assert len(sandbox.mailbox.mails()) == 1


def test_a_key_is_forgotten_after_a_day(sandbox: MailSandbox, api: httpx2.Client) -> None:
    first = post(api, "k").json()
    CLOCK.at = START + timedelta(hours=24) - timedelta(seconds=1)
    assert post(api, "k").json() == first
    CLOCK.at = START + timedelta(hours=24)
    assert post(api, "k", subject="Anders").status_code == 200
    assert len(sandbox.mailbox.mails()) == 2


def test_a_key_that_is_being_worked_on_is_refused(sandbox: MailSandbox, api: httpx2.Client) -> None:
    sandbox.rules.add(FaultRule(fault=Fault.SLOW, count=1, seconds=60))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, api, "k")
        assert sandbox.rules.slow.wait_until_held()
        assert error_of(post(api, "k")) == (409, "concurrent_idempotent_requests")
        assert sandbox.mailbox.mails() == ()
        sandbox.rules.slow.release()
        assert first.result(10).status_code == 200
    assert post(api, "k").json() == first.result().json()
    assert len(sandbox.mailbox.mails()) == 1


def test_a_refused_request_does_not_use_up_its_key(sandbox: MailSandbox, api: httpx2.Client) -> None:
    assert error_of(post(api, "k", subject=None)) == (422, "missing_required_field")
    assert post(api, "k").status_code == 200


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"from": None}, (422, "missing_required_field")),
        ({"to": None}, (422, "missing_required_field")),
        ({"html": None, "text": None}, (422, "validation_error")),
        ({"to": ["no address"]}, (422, "validation_error")),
        ({"to": [f"a{number}@example.org" for number in range(51)]}, (422, "validation_error")),
        ({"bcc": "a@example.org, b@example.org"}, (422, "validation_error")),
        ({"from": "PferdeWert"}, (422, "validation_error")),
        ({"tags": [{"name": "kind", "value": "result:1"}]}, (422, "validation_error")),
    ],
)
def test_an_invalid_mail_is_refused(
    sandbox: MailSandbox, api: httpx2.Client, changes: dict[str, Any], expected: tuple[int, str]
) -> None:
    assert error_of(post(api, **changes)) == expected
    assert sandbox.mailbox.mails() == ()


def test_what_is_no_json_and_a_key_too_long_are_refused(api: httpx2.Client) -> None:
    assert error_of(api.post("/emails", content=b"{")) == (400, "validation_error")
    assert error_of(post(api, "k" * 257)) == (400, "invalid_idempotency_key")
    assert post(api, "k" * 256).status_code == 200


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        ("", (401, "missing_api_key")),
        ("Basic abc", (401, "missing_api_key")),
        ("Bearer re_x", (403, "invalid_api_key")),
    ],
)
@pytest.mark.parametrize(("method", "path"), [("POST", "/emails"), ("GET", "/emails"), ("GET", "/emails/x")])
def test_every_request_needs_the_key(
    api: httpx2.Client, authorization: str, expected: tuple[int, str], method: str, path: str
) -> None:
    request = api.build_request(method, path, json=mail() if method == "POST" else None)
    del request.headers["Authorization"]
    if authorization:
        request.headers["Authorization"] = authorization
    answer = api.send(request)
    assert error_of(answer) == expected


# --- Resend: the list --------------------------------------------------------------------------------------------


def subjects(api: httpx2.Client, **query: Any) -> tuple[list[str], bool]:
    answer = api.get("/emails", params=query).json()
    assert answer["object"] == "list"
    return [entry["subject"] for entry in answer["data"]], answer["has_more"]


def test_the_list_is_newest_first_in_pages(api: httpx2.Client) -> None:
    ids = [post(api, subject=f"{number}").json()["id"] for number in range(7)]
    assert subjects(api) == (["6", "5", "4", "3", "2", "1", "0"], False)
    assert subjects(api, limit=3) == (["6", "5", "4"], True)
    assert subjects(api, limit=3, after=ids[4]) == (["3", "2", "1"], True)
    assert subjects(api, limit=3, after=ids[1]) == (["0"], False)
    assert subjects(api, limit=4, after=ids[4]) == (["3", "2", "1", "0"], False)
    assert subjects(api, limit=3, before=ids[1]) == (["4", "3", "2"], True)
    assert subjects(api, limit=5, before=ids[1]) == (["6", "5", "4", "3", "2"], False)
    assert subjects(api, limit=2, before=ids[6]) == ([], False)


def test_a_page_holds_a_hundred_at_most_and_twenty_unasked(api: httpx2.Client) -> None:
    for number in range(101):
        post(api, subject=f"{number}")
    whole = api.get("/emails", params={"limit": 100}).json()
    assert len(whole["data"]) == 100
    assert whole["has_more"] is True
    rest = api.get("/emails", params={"limit": 100, "after": whole["data"][-1]["id"]}).json()
    assert ([entry["subject"] for entry in rest["data"]], rest["has_more"]) == (["0"], False)
    assert len(api.get("/emails").json()["data"]) == 20


@pytest.mark.parametrize(
    "query", [{"limit": "0"}, {"limit": "101"}, {"limit": "x"}, {"after": "nobody"}, {"after": "a", "before": "b"}]
)
def test_a_wrong_page_is_refused(api: httpx2.Client, query: dict[str, str]) -> None:
    assert error_of(api.get("/emails", params=query)) == (422, "validation_error")


def test_a_listed_mail_tells_what_became_of_it(sandbox: MailSandbox, api: httpx2.Client) -> None:
    provider_id = post(api).json()["id"]
    sandbox.mailbox.note_event(provider_id, "bounced")
    (entry,) = api.get("/emails").json()["data"]
    assert entry == {
        "id": provider_id,
        "to": ["anna@example.org"],
        "from": "PferdeWert <info@pferdewert.de>",
        "created_at": "2026-03-01T12:00:00.000000+00:00",
        "subject": "Fertig",
        "bcc": ["copy@example.org"],
        "cc": None,
        "reply_to": None,
        "last_event": "bounced",
        "scheduled_at": None,
    }
    assert api.get(f"/emails/{provider_id}").json()["last_event"] == "bounced"
    assert error_of(api.get("/emails/nobody")) == (404, "not_found")
    with pytest.raises(KeyError):
        sandbox.mailbox.note_event("nobody", "bounced")


def test_mails_that_went_by_smtp_are_not_in_resends_list(sandbox: MailSandbox, api: httpx2.Client) -> None:
    send_by_smtp(sandbox)
    assert subjects(api) == ([], False)


def test_the_list_refuses_and_falls_short_on_order(sandbox: MailSandbox, api: httpx2.Client) -> None:
    for number in range(3):
        post(api, subject=f"{number}")
    sandbox.rules.add(FaultRule(fault=Fault.LIST_REFUSED, count=1))
    sandbox.rules.add(FaultRule(fault=Fault.LIST_SHORT, count=1, newest=2))
    assert error_of(api.get("/emails")) == (403, "restricted_api_key")
    assert subjects(api) == (["2", "1"], False)
    assert subjects(api) == (["2", "1", "0"], False)


# --- faults over HTTP --------------------------------------------------------------------------------------------


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


# --- SMTP --------------------------------------------------------------------------------------------------------


def message(kind: str = "result") -> EmailMessage:
    letter = EmailMessage()
    letter["From"] = "PferdeWert <info@pferdewert.de>"
    letter["To"] = "anna@example.org"
    letter["Subject"] = "Für dich: fertig"
    letter["Message-ID"] = "<1@pferdewert.de>"
    letter["X-Entity-Ref-ID"] = "result:1"
    letter["X-PferdeWert-Kind"] = kind
    letter.set_content("Schöne Grüße\n.Punkt\n")
    letter.add_alternative("<p>Schöne Grüße</p>\n", subtype="html")
    return letter


def send_by_smtp(sandbox: MailSandbox, kind: str = "result") -> None:
    with smtplib.SMTP(sandbox.smtp.host, sandbox.smtp.port, local_hostname="test.invalid", timeout=10) as client:
        client.send_message(message(kind), to_addrs=["anna@example.org", "copy@example.org"])


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
