"""The local mail servers behave as the real ones do, and fail exactly as they are told to."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from pferdewert_ops.sandbox.mail import MailSandbox
from pferdewert_ops.sandbox.mailbox import Fault, FaultRule, Via
from tests.sandbox.mail_support import CLOCK, START, error_of, mail, mail_sandbox, post
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
