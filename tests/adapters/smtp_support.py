"""What the SMTP tests share: one letter, an adapter for a local port, a server that says what a test wants."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

from pferdewert_ops.adapters.mail.smtp import SmtpAccount, SmtpSecurity, SmtpTransport
from pferdewert_ops.domain.failures import ErrorClass
from pferdewert_ops.domain.letters import Refused, result_letter
from pferdewert_ops.domain.products import BEWERTUNG

SENDER = "PferdeWert <info@pferdewert.de>"
ORDER = "65a1b2c3d4e5f60718293a4b"
KEY = f"result:{ORDER}"
NETWORK, LATER, ACCOUNT = ErrorClass.NETWORK_ERROR, ErrorClass.RATE_LIMITED, ErrorClass.AUTH
LETTER = result_letter(
    product=BEWERTUNG,
    order_id=ORDER,
    to="anna@example.org",
    name="Jörg Weber",
    base_url="https://pferdewert.de",
    bcc=["review@example.org"],
)
NETWORK, LATER, ACCOUNT = ErrorClass.NETWORK_ERROR, ErrorClass.RATE_LIMITED, ErrorClass.AUTH


def transport(port: int, *, seconds: float = 10, end_seconds: float = 10, **account: Any) -> SmtpTransport:
    settings = {"host": "127.0.0.1", "port": port, "security": SmtpSecurity.NONE, **account}
    return SmtpTransport(
        account=SmtpAccount(**settings),
        sender=SENDER,
        command_seconds=seconds,
        end_seconds=end_seconds,
    )


def refused(error_class: ErrorClass, code: str, *, permanent: bool = False) -> Refused:
    return Refused(error_class=error_class, code=code, permanent=permanent)


Script = Callable[[str], str | None]


def agreeable(line: str) -> str | None:
    return "354 go on" if line == "data" else "250 OK"


def refuse_copies(line: str) -> str | None:
    return "550 no" if line.startswith("rcpt") and "anna@" not in line else agreeable(line)


@contextlib.contextmanager
def scripted(script: Script, greeting: str = "220 here") -> Iterator[tuple[int, list[str]]]:
    """A server that answers each line as `script` says (None: hang up; `end`: the end of a message)."""
    heard: list[str] = []

    def serve() -> None:
        connection, _ = listener.accept()
        # The client goes without waiting for a last word, as it may.
        with contextlib.suppress(ConnectionError), connection, connection.makefile("rwb", buffering=0) as stream:
            stream.write(f"{greeting}\r\n".encode())
            in_message = False
            while raw := stream.readline():
                line = raw.decode().rstrip("\r\n").lower()
                if in_message and line != ".":
                    continue
                heard.append(line)
                if line == "quit":
                    return
                reply = script("end" if in_message else line)
                if reply is None:
                    return
                in_message = reply.startswith("354")
                stream.write(f"{reply}\r\n".encode())

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1], heard
        finally:
            thread.join(10)
            assert not thread.is_alive()
