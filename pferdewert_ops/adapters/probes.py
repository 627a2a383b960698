"""One harmless question to each outside service, for a checkup: it costs nothing, sends nothing and changes nothing.

Plain HTTP and SMTP: the model's SDK alone would take a second to import.
"""

import re
import smtplib
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from email.utils import parseaddr

from pferdewert_ops.operations.checkup import Probe, ProbeOutcome

ANTHROPIC_URL = "https://api.anthropic.com"
ANTHROPIC_VERSION = "2026-10-21"  # as the SDK sends it
RESEND_URL = "https://api.resend.com"
# A person waits; a service that needs longer than this to answer so little is not well.
PATIENCE_SECONDS = 10.0

_WORD = re.compile(r"[a-z][a-z0-9_]{1,63}")
# Resend's answer to a key that may send and nothing else, which is all that this program needs.
_MAY_ONLY_SEND = "restricted_api_key"


def probe_model(api_key: str, base_url: str | None, model: str) -> Probe:
    """Have the tokens of one word counted, which is free."""
    import httpx2

    def ask() -> Probe:
        answer = httpx2.post(
            f"{base_url or ANTHROPIC_URL}/v1/messages/count_tokens",
            headers={"Authorization": f"Bearer {api_key}", "anthropic-version": ANTHROPIC_VERSION},
            json={"model": model, "messages": [{"role": "user", "content": "Pferd"}]},
            timeout=PATIENCE_SECONDS,
            trust_env=False,
        )
        return _judged(answer.status_code, _error_of(answer.json, "type"), refused={401, 403, 404})

    return _timed(ask, (httpx2.HTTPError,))


def probe_resend(api_key: str, base_url: str | None) -> Probe:
    """Ask for the latest sent mail. A key that may only send is refused this, and has thereby shown itself."""
    import httpx2

    def ask() -> Probe:
        answer = httpx2.get(
            f"{base_url or RESEND_URL}/emails",
            params={"limit": 1},
            headers={"Authorization": f"Bearer {api_key}", "User-Agent": "pferdewert-ops"},
            timeout=PATIENCE_SECONDS,
            trust_env=False,
        )
        name = _error_of(answer.json, "name")
        if name == _MAY_ONLY_SEND:
            return Probe(outcome=ProbeOutcome.ANSWERS, code=name)
        return _judged(answer.status_code, name, refused={400, 401, 403, 404})

    return _timed(ask, (httpx2.HTTPError,))


def probe_smtp(host: str, port: int, *, security: str, login: tuple[str, str] | None, sender: str) -> Probe:
    """Connect, encrypt, log in, name the sender and take it back: nothing is sent.

    `security` is none, starttls or tls; certificates are checked.
    """
    address = parseaddr(sender)[1]

    def ask() -> Probe:
        context = ssl.create_default_context()
        name = address.rpartition("@")[2] or "localhost"
        connection: smtplib.SMTP
        if security == "tls":
            connection = smtplib.SMTP_SSL(host, port, name, timeout=PATIENCE_SECONDS, context=context)
        else:
            connection = smtplib.SMTP(host, port, name, timeout=PATIENCE_SECONDS)
        try:
            if security == "starttls":
                connection.starttls(context=context)
            if login is not None:
                connection.login(*login)
            connection.ehlo_or_helo_if_needed()
            code = connection.mail(address)[0]
            connection.rset()
        finally:
            with suppress(smtplib.SMTPException, OSError):
                connection.quit()
        if code == 250:
            return Probe(outcome=ProbeOutcome.ANSWERS, code="")
        return Probe(outcome=ProbeOutcome.REFUSED, code=f"smtp_sender_{code}")

    return _timed(ask, (smtplib.SMTPException, OSError))


def _timed(ask: Callable[[], Probe], failures: tuple[type[Exception], ...]) -> Probe:
    began = time.monotonic()
    try:
        probe = ask()
    except failures as error:
        probe = _failed(error)
    return Probe(outcome=probe.outcome, code=probe.code, seconds=time.monotonic() - began)


def _failed(error: Exception) -> Probe:
    """By the error's type alone: its text may hold addresses."""
    match error:
        case smtplib.SMTPResponseException():
            return Probe(outcome=ProbeOutcome.REFUSED, code=f"smtp_{error.smtp_code}")
        case smtplib.SMTPNotSupportedError():
            return Probe(outcome=ProbeOutcome.REFUSED, code="smtp_extension_missing")
        case smtplib.SMTPServerDisconnected():
            return Probe(outcome=ProbeOutcome.UNREACHABLE, code="smtp_connection_lost")
        case smtplib.SMTPException():  # smtplib's own word for no common way to log in
            return Probe(outcome=ProbeOutcome.REFUSED, code="smtp_login_impossible")
        case ssl.SSLError():
            return Probe(outcome=ProbeOutcome.UNREACHABLE, code="tls_failed")
        case _:
            word = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(error).__name__).lower()
            return Probe(outcome=ProbeOutcome.UNREACHABLE, code=word)


def _judged(status: int, word: str, *, refused: set[int]) -> Probe:
    code = f"http_{status}{f'_{word}' if word else ''}"
    if 200 <= status < 300:
        return Probe(outcome=ProbeOutcome.ANSWERS, code="")
    if status in refused:
        return Probe(outcome=ProbeOutcome.REFUSED, code=code)
    return Probe(outcome=ProbeOutcome.UNWELL, code=code)


def _error_of(read: Callable[[], object], field: str) -> str:
    """The service's own word for its error, where the answer is JSON and has one."""
    try:
        answer = read()
    except ValueError:
        return ""
    inner = answer.get("error", answer) if isinstance(answer, Mapping) else {}
    word = inner.get(field) if isinstance(inner, Mapping) else None
    return word if isinstance(word, str) and _WORD.fullmatch(word) else ""
