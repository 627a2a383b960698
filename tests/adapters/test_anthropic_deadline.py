"""The deadline and the slices of waiting against servers that speak badly, with and without TLS."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from time import monotonic

import pytest

from pferdewert_ops.adapters.anthropic_evaluator import AnthropicEvaluator, deadline
from pferdewert_ops.domain.failures import OperationFailed
from pferdewert_ops.sandbox.anthropic_messages import Answer, Message, TokenCount
from tests.adapters.anthropic_support import RecordingWatch, evaluation

CERTIFICATE = Path(__file__).with_name("loopback_tls.pem")
SHORT = timedelta(seconds=0.3)
LATE = 0.7  # seconds beyond a deadline that a busy test machine is allowed; a lost deadline costs 60
HEADERS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
MESSAGE = Message(
    id="msg_1",
    model="claude-opus-5-5",
    answer=Answer(text="Ein Pferd. " * 40),
    count=TokenCount(input=5, cache_write=0, cache_read=0, output=147),
)

Speak = Callable[[socket.socket, threading.Event], None]


@contextlib.contextmanager
def speaking(speak: Speak, *, tls: bool) -> Iterator[str]:
    """The address of a server that reads one request and then says what `speak` says, until the event is set."""
    done = threading.Event()

    def serve() -> None:
        plain, _ = listener.accept()
        with plain, contextlib.suppress(ConnectionError, ssl.SSLError), encrypted(plain) as connection:
            received = b""
            while b"\r\n\r\n" not in received:
                received += connection.recv(65_536)
            speak(connection, done)

    def encrypted(plain: socket.socket) -> socket.socket:
        return context.wrap_socket(plain, server_side=True) if tls else plain

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = threading.Thread(target=serve)
        serving.start()
        try:
            yield f"http{'s' if tls else ''}://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            done.set()
            serving.join(10)


def silence(_: socket.socket, done: threading.Event) -> None:
    done.wait(30)


def silence_in_the_stream(connection: socket.socket, done: threading.Event) -> None:
    connection.sendall(HEADERS + MESSAGE.events()[0])
    done.wait(30)


def bytes_of_a_header(connection: socket.socket, done: threading.Event) -> None:
    """One byte every 20 ms: no single read ever times out."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nx-slow: ")
    while not done.wait(0.02):
        connection.sendall(b"x")


def bytes_of_an_event(connection: socket.socket, done: threading.Event) -> None:
    connection.sendall(HEADERS + b"event: ping\ndata: ")
    while not done.wait(0.02):
        connection.sendall(b"x")


def comments(connection: socket.socket, done: threading.Event) -> None:
    connection.sendall(HEADERS)
    while not done.wait(0.02):
        connection.sendall(b": still there\n\n")


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("speak", [silence, silence_in_the_stream, bytes_of_a_header, bytes_of_an_event, comments])
def test_the_deadline_holds(speak: Speak, monkeypatch: pytest.MonkeyPatch, *, tls: bool) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    with speaking(speak, tls=tls) as url, AnthropicEvaluator(api_key="sk-ant-x", base_url=url) as evaluator:
        began = monotonic()
        with pytest.raises(OperationFailed, match=r"^ai_timeout: deadline$"):
            evaluator.evaluate(evaluation(), deadline=SHORT, watch=RecordingWatch())
        assert SHORT.total_seconds() <= monotonic() - began <= SHORT.total_seconds() + LATE


def test_the_deadline_holds_while_a_server_does_not_shake_hands() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:  # accepts by itself, and never answers
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        with AnthropicEvaluator(api_key="sk-ant-x", base_url=url) as evaluator:
            began = monotonic()
            with pytest.raises(OperationFailed, match=r"^ai_timeout: deadline$"):
                evaluator.evaluate(evaluation(), deadline=SHORT, watch=RecordingWatch())
            assert monotonic() - began <= SHORT.total_seconds() + LATE


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_pause_longer_than_a_slice_loses_nothing(monkeypatch: pytest.MonkeyPatch, *, tls: bool) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    monkeypatch.setattr(deadline, "_SLICE_SECONDS", 0.005)

    def halting(connection: socket.socket, done: threading.Event) -> None:
        connection.sendall(HEADERS)
        for event in MESSAGE.events():
            half = len(event) // 2
            for part in (event[:half], event[half:]):
                connection.sendall(part)
                done.wait(0.02)

    with speaking(halting, tls=tls) as url, AnthropicEvaluator(api_key="sk-ant-x", base_url=url) as evaluator:
        answer = evaluator.evaluate(evaluation(), deadline=timedelta(seconds=30), watch=RecordingWatch())
    assert answer.text == MESSAGE.answer.text
    assert answer.usage.output_tokens == 147


def test_the_answer_counts_once_it_is_whole_although_the_connection_stays_open() -> None:
    def never_ending(connection: socket.socket, done: threading.Event) -> None:
        connection.sendall(HEADERS + b"".join(MESSAGE.events()))
        done.wait(30)

    with speaking(never_ending, tls=False) as url, AnthropicEvaluator(api_key="sk-ant-x", base_url=url) as evaluator:
        answer = evaluator.evaluate(evaluation(), deadline=timedelta(seconds=20), watch=RecordingWatch())
    assert answer.text == MESSAGE.answer.text


def test_a_socket_that_stays_silent_too_long_ends_before_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pferdewert_ops.adapters.anthropic_evaluator.evaluator._SILENCE_SECONDS", 0.1)
    with (
        speaking(silence_in_the_stream, tls=False) as url,
        AnthropicEvaluator(api_key="sk-ant-x", base_url=url) as evaluator,
    ):
        began = monotonic()
        with pytest.raises(OperationFailed, match=r"^ai_timeout: socket_timeout$"):
            evaluator.evaluate(evaluation(), deadline=timedelta(seconds=30), watch=RecordingWatch())
        assert monotonic() - began <= 0.1 + LATE


def test_an_untrusted_certificate_is_a_failed_connection() -> None:
    with (
        speaking(silence, tls=True) as url,
        AnthropicEvaluator(api_key="sk-ant-x", base_url=url) as evaluator,
        pytest.raises(OperationFailed, match=r"^network_error: connection_failed$"),
    ):
        evaluator.evaluate(evaluation(), deadline=timedelta(seconds=30), watch=RecordingWatch())
