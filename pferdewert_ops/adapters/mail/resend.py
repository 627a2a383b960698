"""Hand letters over to Resend (resend.com/docs/api-reference/emails/send-email).

Resend keeps an idempotency key for 24 hours: the same key with the same body gets the first answer again and no
second mail is sent (resend.com/docs/dashboard/emails/idempotency-keys).
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Self

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
)

if TYPE_CHECKING:
    import httpx2

API_URL = "https://api.resend.com"
KEY_IS_SAFE_FOR = timedelta(hours=23)  # of the 24 that Resend keeps it; the rest is for clocks that differ
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 20.0  # an answer takes well under a second; beyond this the outcome is asked for by repeating
_KEY = re.compile(r"[\x21-\x7e]{1,256}")  # Resend's limit, and nothing that a header cannot carry
_ERROR_NAME = re.compile(r"[a-z][a-z_]{1,63}")


class ResendTransport:
    """Resend's HTTP API. Safe to use from several threads. Close it at the end.

    `operator_sender` is who writes to the shop's own people.
    `sender` is part of the body: where it changes, a repetition under an old key is answered as another mail's.
    Raises ValueError for a key or a base address that cannot be one; the message does not repeat it.
    """

    name = "resend"

    def __init__(
        self,
        *,
        api_key: str,
        sender: str,
        operator_sender: str | None = None,
        base_url: str = API_URL,
        connect_seconds: float = CONNECT_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        import httpx2

        if not _KEY.fullmatch(api_key):
            raise ValueError("the Resend key is empty or holds characters that no key has")
        if not re.fullmatch(r"https?://[!-~]+", base_url):
            raise ValueError("Resend's address must begin with https:// or http://")
        self._sender = sender
        self._operator_sender = operator_sender or sender
        self._client = httpx2.Client(
            base_url=base_url,
            headers={"Authorization": f"Bearer {api_key}", "User-Agent": "pferdewert-ops"},
            timeout=httpx2.Timeout(
                connect=connect_seconds, read=answer_seconds, write=answer_seconds, pool=connect_seconds
            ),
            # A connection of its own for each mail: one that the other side has let go in the meantime would make
            # a mail's outcome unknown that was never sent.
            limits=httpx2.Limits(max_connections=20, max_keepalive_connections=0),
            follow_redirects=False,
            trust_env=False,
        )

    def hand_over(self, letter: Letter, *, key: str) -> Handover:
        """Hand one letter over under `key`. Raises ValueError for a key that Resend does not take."""
        import httpx2

        if not _KEY.fullmatch(key):
            raise ValueError("an idempotency key has 1 to 256 printable ASCII characters")
        sender = self._operator_sender if letter.kind is MailKind.OPERATOR else self._sender
        body = _body(letter, sender, key)
        try:
            response = self._client.post("/emails", json=body, headers={"Idempotency-Key": key})
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            return Refused(error_class=ErrorClass.NETWORK_ERROR, code=_code_of(error), permanent=False)
        except (
            httpx2.TimeoutException,
            httpx2.NetworkError,
            httpx2.RemoteProtocolError,
            httpx2.DecodingError,
        ) as error:
            return Unknown(code=_code_of(error))
        return _read(response)

    def repeatable(self, first_handed_over: datetime, now: datetime) -> bool:
        """Whether Resend still knows the key, so that a repetition cannot become a second mail."""
        return now - first_handed_over < KEY_IS_SAFE_FOR

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _body(letter: Letter, sender: str, key: str) -> dict[str, object]:
    """The request, the same to the byte for the same letter: a repetition must not look like another mail."""
    body: dict[str, object] = {
        "from": sender,
        "to": list(letter.to),
        "subject": letter.subject,
        "html": letter.html,
        "text": letter.text,
        "headers": {REFERENCE_HEADER: key, KIND_HEADER: str(letter.kind)},
        "tags": [{"name": "kind", "value": str(letter.kind)}, {"name": "order_id", "value": letter.order_id}],
    }
    if letter.bcc:
        body["bcc"] = list(letter.bcc)
    return body


def _code_of(error: Exception) -> str:
    """`ReadTimeout` becomes `read_timeout`. The error's text stays out: it may hold addresses."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(error).__name__).lower()


def _read(response: "httpx2.Response") -> Handover:
    status = response.status_code
    answer = _json(response)
    if 200 <= status < 300:
        provider_id = answer.get("id")
        if isinstance(provider_id, str) and provider_id.strip():
            return Accepted(provider_id=provider_id)
        return Unknown(code="answer_without_id")
    name = answer.get("name")
    code = name if isinstance(name, str) and _ERROR_NAME.fullmatch(name) else f"http_{status}"
    return _refused(status, code, _retry_after(response))


def _refused(status: int, code: str, retry_after: timedelta | None) -> Handover:
    """What an answer outside 2xx means, by resend.com/docs/api-reference/errors."""
    match status:
        case 400 | 413 | 422 | 451:
            return Refused(error_class=ErrorClass.MAIL_REFUSED, code=code, permanent=True)
        case 401 | 403:
            # The key or the sender's domain is wrong, not the letter: it goes out once that is put right.
            return Refused(error_class=ErrorClass.AUTH, code=code, permanent=False)
        case 404 | 405:
            # The endpoint's address is wrong: a setting, as a wrong key is, and no fault of the letter.
            return Refused(error_class=ErrorClass.AUTH, code=code, permanent=False)
        case 409 if code == "invalid_idempotent_request":
            # Under this key another body was taken before: there may be a mail, and repeating this one never tells.
            return Unknown(code=code, final=True)
        case 429:
            return Refused(error_class=ErrorClass.RATE_LIMITED, code=code, permanent=False, retry_after=retry_after)
        case _:
            # 409 while the first request is under way, every 5xx, and what nobody expects.
            return Unknown(code=code, retry_after=retry_after)


def _json(response: "httpx2.Response") -> Mapping[str, object]:
    try:
        answer = response.json()
    except ValueError:  # a proxy's page, or nothing at all: the status alone has to do
        return {}
    return answer if isinstance(answer, dict) else {}


def _retry_after(response: "httpx2.Response") -> timedelta | None:
    """Resend gives whole seconds. Anything else is left alone: the policy's own wait applies."""
    seconds = response.headers.get("retry-after", "")
    return timedelta(seconds=int(seconds)) if re.fullmatch(r"[0-9]{1,6}", seconds) else None
