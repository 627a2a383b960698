"""Connections that end with their call: at its deadline, or soon after somebody cancelled it.

A socket's own timeout is about one read. It never ends a server that sends a byte now and then, and it starts anew with
each read. So every wait of the connections below is cut into slices, and between two of them the call is asked
whether it is over. This holds for connecting, the handshake, sending, a silent server and a trickling one alike.
"""

import contextlib
import ssl
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from datetime import timedelta
from enum import StrEnum
from time import monotonic

import httpcore2
import httpx2

from pferdewert_ops.operations.ports import Watch

_SLICE_SECONDS = 0.5  # how late a cancelled call notices at most; a slice costs some 20 µs
_LEAST_SECONDS = 0.001  # a socket timeout of zero would mean "do not wait at all" and raise something else


class Stop(StrEnum):
    DEADLINE = "deadline"
    CANCELLED = "cancelled"


class Call:
    """One call of the model. `deadline` is the time from now on in which it may go on; `stopped` says why it ended."""

    def __init__(self, *, deadline: timedelta, watch: Watch) -> None:
        self._ends = monotonic() + deadline.total_seconds()
        self._watch = watch
        self.stopped: Stop | None = None

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Within this block the connections of this thread belong to this call."""
        token = _CALL.set(self)
        try:
            yield
        finally:
            _CALL.reset(token)

    def check(self) -> None:
        """Go on, or raise `CallOver`."""
        if self.stopped is None and self._watch.cancelled():
            self.stopped = Stop.CANCELLED
        if self.stopped is None and monotonic() >= self._ends:
            self.stopped = Stop.DEADLINE
        if self.stopped is not None:
            raise CallOver(self.stopped)

    def remaining(self, seconds: float | None) -> float:
        """The shorter of `seconds` and what is left until the deadline."""
        left = max(self._ends - monotonic(), _LEAST_SECONDS)
        return left if seconds is None else min(seconds, left)


_CALL: ContextVar[Call | None] = ContextVar("_CALL", default=None)


class CallOver(httpcore2.ReadTimeout):
    """The call has been stopped. A timeout to the layers in between, which close the connection for it."""


class _Stream(httpcore2.NetworkStream):
    def __init__(self, inner: httpcore2.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        call = _CALL.get()
        if call is None:
            return self._inner.read(max_bytes, timeout)
        silent_since = monotonic()
        while True:
            call.check()
            left = _SLICE_SECONDS if timeout is None else silent_since + timeout - monotonic()
            wait = max(min(_SLICE_SECONDS, call.remaining(left)), _LEAST_SECONDS)
            try:
                return self._inner.read(max_bytes, wait)
            except httpcore2.ReadTimeout:
                if timeout is not None and monotonic() >= silent_since + timeout:
                    raise

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        with _bounded(timeout) as seconds:
            self._inner.write(buffer, seconds)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        with _bounded(timeout) as seconds:
            return _Stream(self._inner.start_tls(ssl_context, server_hostname, seconds))

    def get_extra_info(self, info: str) -> object:
        return self._inner.get_extra_info(info)


class _Backend(httpcore2.SyncBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        with _bounded(timeout) as seconds:
            return _Stream(super().connect_tcp(host, port, seconds, local_address, socket_options))


@contextlib.contextmanager
def _bounded(timeout: float | None) -> Iterator[float | None]:
    """A timeout that does not reach beyond the deadline. Where it ran out because of that, the call is over."""
    call = _CALL.get()
    if call is None:
        yield timeout
        return
    call.check()
    try:
        yield call.remaining(timeout)
    except httpcore2.TimeoutException:
        call.check()
        raise


class DeadlineTransport(httpx2.HTTPTransport):
    """httpx2's own transport over connections as above: at most `connections` at once, each for one call only.

    A call takes minutes, so a new handshake for each is nothing, while a connection that waited in a pool may have been
    closed by the other side just now, which would cost an attempt. Proxies of the environment are not used.
    """

    def __init__(self, *, connections: int, tls: bool) -> None:
        # Not super().__init__: it takes no network backend, and the pool is all that it would make.
        self._pool = httpcore2.ConnectionPool(
            ssl_context=httpx2.create_ssl_context() if tls else None,
            max_connections=connections,
            max_keepalive_connections=0,
            network_backend=_Backend(),
        )
