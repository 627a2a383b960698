"""SMTP servers that answer, or fall silent, as nobody would expect."""

import dataclasses
import socket
import threading

import pytest

from pferdewert_ops.domain.letters import Handover, Unknown
from tests.adapters.smtp_support import ACCOUNT, KEY, LATER, LETTER, NETWORK, agreeable, refused, scripted, transport


@pytest.mark.parametrize(
    ("at", "reply", "expected"),
    [
        ("ehlo", "550 no", refused(ACCOUNT, "smtp_session_550")),
        ("ehlo", "421 later", refused(LATER, "smtp_session_421")),
        ("mail", "hello there", refused(LATER, "smtp_sender_unreadable")),
        ("data", "250 what", refused(LATER, "smtp_data_250")),
        ("end", "hello there", Unknown(code="smtp_answer_unreadable", final=True)),
        ("end", "354 more", Unknown(code="smtp_answer_unreadable", final=True)),
        ("end", "250 " + "x" * 10_000, Unknown(code="smtp_answer_unreadable", final=True)),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
def test_answers_that_nobody_would_expect(at: str, reply: str, expected: Handover) -> None:
    def script(line: str) -> str | None:
        strikes = line.startswith(at) or (at == "ehlo" and line.startswith("helo"))
        return reply if strikes else agreeable(line)

    with scripted(script) as (port, _):
        assert transport(port).hand_over(LETTER, key=KEY) == expected


@pytest.mark.parametrize(
    ("greeting", "expected"),
    [("554 not you", refused(ACCOUNT, "smtp_session_554")), ("421 too busy", refused(LATER, "smtp_session_421"))],
)
def test_a_greeting_that_turns_away(greeting: str, expected: Handover) -> None:
    with scripted(agreeable, greeting) as (port, heard):
        assert transport(port).hand_over(LETTER, key=KEY) == expected
    assert heard == []


def test_a_connection_lost_within_the_message_is_a_certain_refusal() -> None:
    """The message is larger than all buffers, so that the loss is met before the end could be written."""
    letter = dataclasses.replace(LETTER, text="x" * 70 + "\n" + ("y" * 70 + "\n") * 100_000)

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, connection.makefile("rwb", buffering=0) as stream:
            stream.write(b"220 here\r\n")
            while line := stream.readline().lower():
                if line.startswith(b"data"):
                    stream.write(b"354 go on\r\n")
                    stream.readline()
                    return
                stream.write(b"250 OK\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        thread = threading.Thread(target=serve)
        thread.start()
        handover = transport(listener.getsockname()[1]).hand_over(letter, key=KEY)
        thread.join(10)
    assert handover == refused(NETWORK, "smtp_connection_lost")


def test_the_end_of_the_message_is_sent_once_the_rest_is() -> None:
    with scripted(agreeable) as (port, heard):
        transport(port).hand_over(LETTER, key=KEY)
    assert heard == [
        "ehlo pferdewert.de",
        "mail from:<info@pferdewert.de>",
        "rcpt to:<anna@example.org>",
        "rcpt to:<review@example.org>",
        "data",
        ".",
        "quit",
    ]


def test_a_server_that_never_greets_is_left() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        handover = transport(silent.getsockname()[1], seconds=0.1).hand_over(LETTER, key=KEY)
    assert handover == refused(NETWORK, "smtp_connection_lost")
