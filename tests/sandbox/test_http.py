"""The server thread: free port, clean end, connections that are cut on purpose."""

import asyncio
import gc
import http.client
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from pferdewert_ops.sandbox.http import HttpServer, hang_up


class WaitingApp(Starlette):
    """`/` answers, `/wait` answers once released, `/cut` closes its connection."""

    def __init__(self) -> None:
        self.released = asyncio.Event()
        self.waiting = threading.Event()
        super().__init__(
            routes=[Route("/", self.answer), Route("/wait", self.wait), Route("/cut", self.cut)],
        )

    async def answer(self, _: Request) -> Response:
        return PlainTextResponse("da")

    async def wait(self, _: Request) -> Response:
        self.waiting.set()
        await self.released.wait()
        return PlainTextResponse("spät")

    async def cut(self, request: Request) -> Response:
        return await hang_up(request)


def get(server: HttpServer, path: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def test_answers_on_loopback_and_frees_its_port() -> None:
    with HttpServer.start(WaitingApp()) as server:
        assert server.url == f"http://127.0.0.1:{server.port}"
        assert get(server, "/") == "da"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), timeout=5)


def test_stop_wakes_a_waiting_handler_and_leaves_nothing_behind() -> None:
    app = WaitingApp()
    before = threading.active_count()
    server = HttpServer.start(app, on_stop=app.released.set)
    answers: list[str] = []
    client = threading.Thread(target=lambda: answers.append(get(server, "/wait")))
    client.start()
    assert app.waiting.wait(5)
    server.stop()
    server.stop()
    client.join(5)
    assert answers == ["spät"]
    assert threading.active_count() == before
    gc.collect()  # an unclosed socket or loop would warn here, and a warning is an error


def test_stop_does_not_wait_forever_for_a_handler_that_does_not_listen(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("pferdewert_ops.sandbox.http.UNFINISHED_REQUESTS_SECONDS", 0.1)
    app = WaitingApp()
    server = HttpServer.start(app)
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(get, server, "/wait")
        assert app.waiting.wait(5)
        server.stop()
        failed = asking.exception(timeout=5)
    assert isinstance(failed, http.client.RemoteDisconnected)
    assert "Exception in ASGI application" in caplog.text
    gc.collect()


def test_a_handler_can_close_its_connection_without_an_answer() -> None:
    with HttpServer.start(WaitingApp()) as server:
        with pytest.raises(http.client.RemoteDisconnected):
            get(server, "/cut")
        assert get(server, "/") == "da"


def test_a_port_that_is_taken_is_an_error() -> None:
    with HttpServer.start(WaitingApp()) as server, pytest.raises(OSError, match="in use"):
        HttpServer.start(WaitingApp(), port=server.port)
