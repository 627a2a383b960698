"""A line to a server that can lose one reply: what was asked is done, and the asker never hears of it."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

CHUNK = 65_536


class LossyLine:
    """Forwards to `port` on loopback. The reply to the next request that holds `lose` is cut off with its line."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lose: bytes | None = None
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.lost = 0

    def lose_reply_to(self, marker: bytes) -> None:
        self._lose = marker

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        with self._lock:
            sockets = list(self._sockets)
        for one in sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _start(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                asker, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            with self._lock:
                self._sockets += [asker, server]
            losing = threading.Event()
            self._start(self._forward, asker, server, losing, False)
            self._start(self._forward, server, asker, losing, True)

    def _forward(self, source: socket.socket, sink: socket.socket, losing: threading.Event, is_reply: bool) -> None:
        """One direction, until either side ends; both are closed by the one that reads replies."""
        with suppress(OSError):
            while data := source.recv(CHUNK):
                if is_reply and losing.is_set():
                    self.lost += 1
                    break
                if not is_reply and self._lose is not None and self._lose in data:
                    self._lose = None
                    losing.set()
                sink.sendall(data)
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        if is_reply:
            source.close()
            sink.close()
