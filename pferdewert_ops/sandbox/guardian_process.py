"""The process that stands between an owner and its server; `guardian.py` starts it, by this file's path.

Its standard input is a pipe whose write end only the owner holds. However the owner ends, the kernel closes that end;
then the guardian ends the server, removes the temporary folder and exits. Its standard output is the report to the
owner: `pid N`, or `failed WHY`; later `exit CODE`.

It runs with `-I -S` and imports nothing but the standard library, so that it starts in some 30 ms, and it has one
thread: PR_SET_PDEATHSIG fires when the parent's *thread* ends, and `preexec_fn` is unsafe beside other threads.
"""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

KEEP_FOLDER = b"keep\n"
"""What an owner says before it lets go when the folder is to stay."""

FOLDER_LIMIT = 10.0
"""Seconds in which a folder has to be gone; the guardians of one folder remove it together, some a moment later."""

PR_SET_PDEATHSIG = 1
"""From linux/prctl.h."""


class FolderRemovalError(RuntimeError):
    """A temporary folder could not be removed."""


def until(condition: Callable[[], bool], limit: float) -> bool:
    """Poll `condition` for at most `limit` seconds; whether it became true."""
    deadline = time.monotonic() + limit
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def remove_folder(folder: Path) -> None:
    """Remove a folder that a dying server may still be writing into. Raises `FolderRemovalError`."""

    def gone() -> bool:
        shutil.rmtree(folder, ignore_errors=True)
        return not folder.exists()

    if not until(gone, FOLDER_LIMIT):
        raise FolderRemovalError(f"the temporary folder {folder} could not be removed")


def _start_server(argv: list[str]) -> subprocess.Popen[bytes]:
    libc = ctypes.CDLL(None, use_errno=True)
    guardian = os.getpid()

    def die_with_guardian() -> None:
        if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0 or os.getppid() != guardian:
            os._exit(1)  # the kernel refuses, or the guardian died before it was asked: no server without a guard

    return subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=2,  # the log: standard output is the report
        preexec_fn=die_with_guardian,  # noqa: PLW1509 - one thread, see above
    )


def _report(line: str) -> None:
    with suppress(BrokenPipeError):  # the owner is gone: the closed input says the same
        os.write(1, f"{line}\n".encode())


def _watch(server: subprocess.Popen[bytes], wake_up: int) -> bool:
    """Report the server's end; return when the owner lets go or a signal says stop: whether the folder stays."""
    said = b""
    reported = False
    while True:
        ready, _, _ = select.select([0, wake_up], [], [])
        if wake_up in ready:
            signals = os.read(wake_up, 4096)
            if not reported and (exit_code := server.poll()) is not None:
                reported = True
                _report(f"exit {exit_code}")
            if any(number != signal.SIGCHLD for number in signals):
                return False
        if 0 in ready:
            received = os.read(0, 4096)
            if not received:
                return said == KEEP_FOLDER
            said += received


def _end(server: subprocess.Popen[bytes], grace: float) -> None:
    if server.poll() is None and grace > 0:
        server.terminate()
        with suppress(subprocess.TimeoutExpired):
            server.wait(grace)
    if server.poll() is None:
        server.kill()
    server.wait()


def main(arguments: list[str]) -> int:
    """The guardian's life. `arguments`: grace in seconds, the folder to remove or "", the server's command."""
    grace, folder, *argv = arguments
    wake_up, wake_up_writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(wake_up_writer)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # only the byte in the wake-up pipe counts
    try:
        server = _start_server(argv)
    except (OSError, subprocess.SubprocessError) as error:
        _report(f"failed {error}")
        return 1
    _report(f"pid {server.pid}")
    folder_stays = _watch(server, wake_up)
    _end(server, float(grace))
    if folder and not folder_stays:
        remove_folder(Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
