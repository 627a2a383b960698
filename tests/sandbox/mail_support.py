"""What the mail servers' tests share: a clock to set, a client, a mail to post."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import httpx2

from pferdewert_ops.sandbox.mail import MailSandbox

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class SettableClock:
    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> datetime:
        return self.at


CLOCK = SettableClock()


@contextmanager
def mail_sandbox() -> Iterator[tuple[MailSandbox, httpx2.Client]]:
    """A running sandbox that goes by CLOCK, and a client for its HTTP side."""
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
