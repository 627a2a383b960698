"""One mongod of the sandbox: started on a free port, killed, frozen, thawed and started again."""

from __future__ import annotations

import secrets
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from pferdewert_ops.sandbox.guardian import GuardedProcess, GuardError
from pferdewert_ops.sandbox.mongod_binary import SandboxMongoError, why_it_ended
from pferdewert_ops.sandbox.walls import sandbox_environment

PORTS = range(20_000, 32_768)
"""Below what Linux gives to connecting clients (32,768 up): none can take the port of a member that is down."""

START_LIMIT = 60.0
"""Seconds for one mongod to answer: 0.3 on an idle machine, 1 after kill -9, more on a machine under load."""

EXIT_PORT_TAKEN = 48
"""mongod's EXIT_NET_ERROR."""

PORT_ATTEMPTS = 10

SHORTENED_WAITS: dict[str, dict[str, int]] = {
    "forceSyncSourceRetryWaitForInitialSync": {"retryMS": 25},
    "forceBgSyncSyncSourceRetryWaitMS": {"sleepMS": 50},
}
"""Fail points that MongoDB's own test sets use: a member looks for its sync source at once, not each second."""


class PortTakenError(SandboxMongoError):
    """Somebody else listens on the port."""


class MongoMember:
    """One mongod. `port` stays the same for life once the set is initiated."""

    def __init__(self, *, binary: Path, root: Path, number: int, set_name: str, quick_failover: bool) -> None:
        self.number = number
        self.port = 0
        self.frozen = False
        self._binary = binary
        self._root = root
        self._set_name = set_name
        self._quick_failover = quick_failover
        self._log = root / f"member-{number}.log"
        self._process: GuardedProcess | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self._guarded().pid

    @property
    def guardian_pid(self) -> int:
        return self._guarded().guardian_pid

    def alive(self) -> bool:
        return self._process is not None and self._process.alive()

    def answers_now(self) -> bool:
        """Neither killed nor frozen."""
        return self.alive() and not self.frozen

    def kill(self) -> None:
        """kill -9, as a power cut; returns when the process is gone. Its data stays for `restart`."""
        process = self._guarded()
        if process.alive():
            process.signal(signal.SIGKILL)
            if process.wait(START_LIMIT) is None:
                raise SandboxMongoError(f"mongod with pid {process.pid} survived SIGKILL for {START_LIMIT:.0f} s.")
        self.frozen = False

    def freeze(self) -> None:
        """Stop the process where it stands (SIGSTOP): it holds its connections and answers nothing."""
        self._guarded().signal(signal.SIGSTOP)
        self.frozen = True

    def thaw(self) -> None:
        self._guarded().signal(signal.SIGCONT)
        self.frozen = False

    def restart(self) -> None:
        """Start again on the same port and data, after a kill -9 if it still runs; returns when it answers."""
        self.kill()
        self.launch(self.port)
        self.await_answers()

    def launch_on_free_port(self) -> None:
        self.launch(_free_port())

    def launch(self, port: int) -> None:
        """Start mongod without waiting for it. Raises `SandboxMongoError` if the program cannot be run."""
        before, self.port = self._process, port
        data = self._root / f"member-{self.number}"
        data.mkdir(exist_ok=True)
        try:
            self._process = GuardedProcess.start(
                self._command(data),
                folder=self._root,
                log_path=self._log,
                environment=sandbox_environment({}, home=self._root),
            )
        except GuardError as error:
            raise SandboxMongoError(f"mongod cannot be started: {error}.") from error
        if before is not None:  # only now: the folder is never without a guardian
            before.stop(keep_folder=True)

    def await_answers(self) -> None:
        """Wait until this very process answers. Raises `PortTakenError`, or `SandboxMongoError` with the reason."""
        process = self._guarded()
        deadline = time.monotonic() + START_LIMIT
        while time.monotonic() < deadline:
            exit_code = process.wait(0.01)
            if exit_code == EXIT_PORT_TAKEN:
                raise PortTakenError(f"Port {self.port} was taken by somebody else.")
            if exit_code is not None:
                raise SandboxMongoError(why_it_ended(self._log, exit_code))
            if _listens(self.port) and self._answers():
                return
        raise SandboxMongoError(f"mongod did not answer within {START_LIMIT:.0f} s.")

    @contextmanager
    def client(self, *, patience: float = 5.0) -> Iterator[MongoClient[dict[str, Any]]]:
        """A client of this member alone, whatever its state, that gives up on a call after `patience` seconds."""
        limit = int(patience * 1_000)
        with MongoClient[dict[str, Any]](
            "127.0.0.1",
            self.port,
            directConnection=True,
            serverSelectionTimeoutMS=limit,
            connectTimeoutMS=limit,
            socketTimeoutMS=limit,
        ) as client:
            yield client

    def stop(self, *, keep_folder: bool) -> None:
        if self._process is not None:
            self._process.stop(keep_folder=keep_folder)

    def _guarded(self) -> GuardedProcess:
        if self._process is None:
            raise SandboxMongoError(f"Member {self.number} was never started.")
        return self._process

    def _answers(self) -> bool:
        try:
            with self.client(patience=1.0) as client:  # asked again; a stranger on the port may never answer
                if client.admin.command("serverStatus")["pid"] != self.pid:
                    raise PortTakenError(f"Port {self.port} was taken by another mongod.")
                if self._quick_failover:
                    _shorten_waits(client)
        except PyMongoError:  # not a mongod, or one that is just ending: the process's exit code tells which
            return False
        return True

    def _command(self, data: Path) -> list[str]:
        return [
            *(str(self._binary), "--dbpath", str(data), "--port", str(self.port), "--bind_ip", "127.0.0.1"),
            *("--replSet", self._set_name, "--nounixsocket", "--oplogSize", "64"),
            *("--wiredTigerCacheSizeGB", "0.25"),  # the least that mongod accepts
            # Journal files of 16 MB made when needed, not three of 100 MB ahead: 17 MB of disk a member, not 301.
            *("--wiredTigerEngineConfigString", "log=(prealloc=false,file_max=16MB)"),
            *("--setParameter", "enableTestCommands=1"),  # failCommand
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
            # A member notices after 1 s, not 5, that the one it copies from is frozen; majority writes wait for that.
            *(("--setParameter", "oplogNetworkTimeoutBufferSeconds=1") if self._quick_failover else ()),
        ]


def _shorten_waits(client: MongoClient[dict[str, Any]]) -> None:
    for name, data in SHORTENED_WAITS.items():
        with suppress(OperationFailure):  # a mongod of another version may not know it, and is merely slower
            client.admin.command("configureFailPoint", name, mode="alwaysOn", data=data)


def _free_port() -> int:
    for _ in range(1_000):
        port = secrets.choice(PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as mongod does
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    raise SandboxMongoError(f"No free port was found between {PORTS.start} and {PORTS.stop - 1}.")


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
