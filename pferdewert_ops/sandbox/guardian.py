"""Servers that never outlive the process that started them: the owner's side.

Between owner and server stands a guardian (`guardian_process.py`), a small process in a session of its own. It holds
the read end of a pipe whose write end only the owner has. However the owner ends, Ctrl-C and kill -9 included, the
kernel closes that end, and the guardian ends the server and removes the temporary folder. Should the guardian itself
be killed, the kernel kills the server (PR_SET_PDEATHSIG), and the owner removes the folder when it stops.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Self, cast

from pferdewert_ops.sandbox import guardian_process

START_LIMIT = 20.0
"""Seconds for the guardian to report the server's pid: 0.05 on an idle machine, much more on one that swaps."""

_living: weakref.WeakSet[GuardedProcess] = weakref.WeakSet()


class GuardError(RuntimeError):
    """A server could not be started."""


class GuardedProcess:
    """One server process, bound to the life of the process that started it. Safe to use from several threads.

    The server must not leave children of its own behind: only the server itself dies with its guardian. In a forked
    child the handle is dead (`alive` is false, `stop` does nothing), so that no fork keeps the server alive.
    """

    def __init__(self, guardian: subprocess.Popen[bytes], *, folder: Path | None, grace: float) -> None:
        self._guardian = guardian
        self._lifeline = cast("IO[bytes]", guardian.stdin)  # a pipe: see start
        self._reports = cast("IO[bytes]", guardian.stdout)
        self._folder = folder
        self._grace = grace
        self._lock = threading.Lock()
        self._unread = b""
        self._exit_code: int | None = None
        self._stopped = False
        self.pid = 0
        _living.add(self)

    @classmethod
    def start(
        cls,
        argv: Sequence[str],
        *,
        folder: Path | None,
        log_path: Path,
        grace: float = 0.0,
        environment: Mapping[str, str] | None = None,
    ) -> Self:
        """Start `argv` (an absolute program path) under a guardian; its output is appended to `log_path`.

        `folder` is temporary: it is removed, with all that is in it, when the owner stops the server or ends. `grace`
        is the time in seconds between SIGTERM and SIGKILL; 0 kills at once, which is right for data that is thrown
        away. Raises `GuardError` if the program cannot be run; the folder is then left as it is.
        """
        script = Path(guardian_process.__file__).resolve()
        removed = str(folder.resolve()) if folder else ""
        with log_path.open("ab") as log:
            guardian = subprocess.Popen(
                [sys.executable, "-I", "-S", str(script), str(grace), removed, *argv],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
                cwd="/",
                env=environment,
                start_new_session=True,  # Ctrl-C in the owner's terminal must not reach guardian and server first
            )
        guarded = cls(guardian, folder=folder, grace=grace)
        try:
            guarded._await_pid(argv[0])
        except BaseException:
            guarded.stop(keep_folder=True)
            raise
        return guarded

    @property
    def guardian_pid(self) -> int:
        return self._guardian.pid

    def alive(self) -> bool:
        return self.wait(0) is None

    def wait(self, timeout: float) -> int | None:
        """The server's exit code (negative: the signal that ended it), or None if it still runs after `timeout` s.

        A server whose guardian was killed counts as killed (-9): the kernel sees to that.
        """
        deadline = time.monotonic() + timeout
        with self._lock:
            if self._exit_code is None:
                line = self._next_report(deadline - time.monotonic())
                if line is None:
                    return None
                self._exit_code = int(line.removeprefix("exit ")) if line else -signal.SIGKILL
            return self._exit_code

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server. Raises `ProcessLookupError` if it has ended."""
        if not self.alive():
            raise ProcessLookupError(f"the server with pid {self.pid} has ended")
        os.kill(self.pid, number)

    def stop(self, *, keep_folder: bool = False) -> None:
        """End the server and remove the folder, unless it is to be kept. Doing it again does nothing.

        Raises `FolderRemovalError` if the folder cannot be removed.
        """
        with self._lock:
            if self._stopped:
                return
            self._stopped = True
            _living.discard(self)
            self._let_go(keep_folder=keep_folder)
            self._reports.close()
            if self._exit_code is None:
                self._exit_code = -signal.SIGKILL
        if self._folder is not None and not keep_folder:
            guardian_process.remove_folder(self._folder)  # usually gone already; not if the guardian was killed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def forget(self) -> None:
        """In a forked child: close the copies of the pipes, or the server would live as long as the child."""
        self._lock = threading.Lock()  # another thread of the parent may have held it
        self._stopped = True
        self._exit_code = -signal.SIGKILL
        self._lifeline.close()
        self._reports.close()
        self._guardian.returncode = 0  # somebody else's child: its finaliser has nothing to warn of

    def _await_pid(self, program: str) -> None:
        line = self._next_report(START_LIMIT)
        if line is None:
            raise GuardError(f"{program} was not started within {START_LIMIT:.0f} s")
        if not line.startswith("pid "):
            raise GuardError(f"{program} cannot be run: {line.removeprefix('failed ') or 'its guardian ended'}")
        self.pid = int(line.removeprefix("pid "))

    def _next_report(self, timeout: float) -> str | None:
        """The guardian's next line; "" once it is gone; None if it says nothing in time."""
        poll = select.poll()  # select() refuses descriptors above 1023
        poll.register(self._reports, select.POLLIN)
        while b"\n" not in self._unread:
            if not poll.poll(max(timeout, 0) * 1000):
                return None
            received = os.read(self._reports.fileno(), 4096)
            if not received:
                return ""
            self._unread += received
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode()

    def _let_go(self, *, keep_folder: bool) -> None:
        with suppress(BrokenPipeError):  # the guardian was killed, and the server with it
            if keep_folder:
                self._lifeline.write(guardian_process.KEEP_FOLDER)
        self._lifeline.close()
        try:
            self._guardian.wait(self._grace + 2 * guardian_process.FOLDER_LIMIT)
        except subprocess.TimeoutExpired:  # stopped or stuck; its death is the server's
            self._guardian.kill()
            self._guardian.wait()


def _forget_all() -> None:
    for guarded in list(_living):
        guarded.forget()
    _living.clear()


os.register_at_fork(after_in_child=_forget_all)
