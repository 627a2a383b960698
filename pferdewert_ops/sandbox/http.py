"""An ASGI application on a free loopback port, in a thread of its own, that goes when it is told to."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Self, cast

import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.h11_impl import H11Protocol

LOOPBACK = "127.0.0.1"
START_SECONDS = 10.0  # a start takes 20 ms; more than this is a broken machine
UNFINISHED_REQUESTS_SECONDS = 2  # handlers that ignore `on_stop` are cancelled after this
STOP_SECONDS = 10.0
_LOOK_SECONDS = 0.005
TURNS_TO_A_TRANSPORT = 5  # of the event loop, from accepting a connection to its transport: asyncio needs three
HANG_UP = "pferdewert_ops.hang_up"


class HttpServer:
    """One running server. It listens on 127.0.0.1 only, installs no signal handler and writes no access log.

    A handler that waits must end when `on_stop` is called (in the server's event loop, before the connections close).
    """

    def __init__(self, server: "_Server", listener: socket.socket, on_stop: Callable[[], None] | None) -> None:
        self._server = server
        self._on_stop = on_stop
        self._stopping = threading.Lock()
        self.port: int = listener.getsockname()[1]
        self.url = f"http://{LOOPBACK}:{self.port}"
        self._thread = threading.Thread(target=server.run, args=([listener],), name=f"http-{self.port}", daemon=True)

    @classmethod
    def start(cls, app: ASGIApp, *, port: int = 0, on_stop: Callable[[], None] | None = None) -> Self:
        """Serve `app` until `stop`. Port 0 takes a free one. Raises OSError where the port is taken."""
        listener = socket.create_server((LOOPBACK, port))
        # Without it an answer on a kept connection waits some 40 ms for the one before to be acknowledged.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        config = uvicorn.Config(
            cast("ASGI3Application", app),
            http=_HangUpProtocol,
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
        )
        running = cls(_Server(config), listener, on_stop)
        running._thread.start()
        if not running._server.ready.wait(START_SECONDS):
            raise RuntimeError(f"the server on port {running.port} did not start within {START_SECONDS:.0f} s")
        return running

    def stop(self) -> None:
        """End every request and connection and wait for the thread. Harmless when called again."""
        with self._stopping:
            if not self._thread.is_alive():
                return
            if self._on_stop is not None:
                self.call(self._on_stop)
            self._server.end()
            self._thread.join(STOP_SECONDS)
            if self._thread.is_alive():
                raise RuntimeError(f"the server on port {self.port} did not stop within {STOP_SECONDS:.0f} s")

    def call(self, action: Callable[[], None]) -> None:
        """Run `action` in the server's event loop, where asyncio events may be set; return at once."""
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody is left who could wait
            self._server.loop.call_soon_threadsafe(action)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


async def hang_up(request: Request) -> Response:
    """Close the connection of this request, whatever was sent of its answer; what was written before still goes out.

    A handler that was to answer returns what this returns: `return await hang_up(request)`.
    """
    cast("Callable[[], None]", request.scope[HANG_UP])()
    while (await request.receive())["type"] != "http.disconnect":
        pass
    return _NoAnswer()


class _NoAnswer(Response):
    async def __call__(self, *_: object) -> None:
        """The connection is gone: nobody to send to."""


class _Server(uvicorn.Server):
    """uvicorn's own loop looks ten times a second whether to end; this one is woken."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self.loop: asyncio.AbstractEventLoop
        self._ended: asyncio.Event

    async def main_loop(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self.ready.set()
        await self._ended.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn does it, less its fixed sleeps of a tenth of a second: a test suite stops hundreds of servers."""
        for listening in self.servers:
            listening.close()
        for listener in sockets or []:
            listener.close()
        open_connections = self.server_state.connections
        told: set[object] = set()
        for _ in range(round(UNFINISHED_REQUESTS_SECONDS / _LOOK_SECONDS)):
            # Again each time: one that was accepted just before has its transport only some turns of the loop later.
            for connection in open_connections - told:
                connection.shutdown()
            told |= open_connections
            for _turn in range(TURNS_TO_A_TRANSPORT):
                await asyncio.sleep(0)
            if not open_connections and not self.server_state.tasks:
                return
            await asyncio.sleep(_LOOK_SECONDS)
        for connection in list(open_connections):
            connection.transport.abort()
        for task in list(self.server_state.tasks):
            task.cancel()
        await asyncio.sleep(_LOOK_SECONDS)

    def end(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended by itself
            self.loop.call_soon_threadsafe(self._ended.set)


class _HangUpProtocol(H11Protocol):
    """Gives each request the means to close its own connection, which ASGI has no word for."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        application = self.app

        async def with_hang_up(scope: Scope, receive: Receive, send: Send) -> None:
            scope[HANG_UP] = transport.close
            await cast("ASGIApp", application)(scope, receive, send)

        self.app = cast("ASGI3Application", with_hang_up)
