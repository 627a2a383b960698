"""The workers of the demonstration: real `pwops run-worker` processes that end with it, however it ends."""

import json
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

from pferdewert_ops.sandbox.guardian import GuardedProcess
from pferdewert_ops.sandbox.walls import require_loopback, sandbox_environment

PROGRAM = (sys.executable, "-c", "from pferdewert_ops.cli.main import main; main()", "run-worker")
# A worker that was told to stop finishes what it holds: seconds here. Beyond this something is wrong with it.
END_SECONDS = 20.0
_LONGEST_LINE = 300


class WorkerBroken(RuntimeError):  # noqa: N818 - says what happened
    """A worker ended or did not end although it was told otherwise. The text quotes the last line of its log."""


class WorkerProcess:
    """One worker process. `number` names it on screens."""

    def __init__(self, process: GuardedProcess, *, number: int, log: Path) -> None:
        self._process = process
        self._log = log
        self.number = number
        self.has_ended = False

    @classmethod
    def start(cls, variables: Mapping[str, str], *, number: int, folder: Path) -> Self:
        """Start one with these variables and nothing of the user's environment. Its log lies in `folder`."""
        for name in ("PWOPS_MONGODB_URI", "PWOPS_ANTHROPIC_BASE_URL", "PWOPS_RESEND_BASE_URL"):
            require_loopback(variables[name])
        log = folder / f"worker-{number}.log"
        process = GuardedProcess.start(
            PROGRAM, folder=folder, log_path=log, environment=sandbox_environment(variables, home=folder)
        )
        return cls(process, number=number, log=log)

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL, and wait until the kernel has forgotten the process: until then it would pass for a living one."""
        self.has_ended = True
        with suppress(ProcessLookupError):
            self._process.signal(signal.SIGKILL)
        if self._process.wait(END_SECONDS) is None:
            raise WorkerBroken(f"Worker {self.number} survived SIGKILL.")
        self._process.stop(keep_folder=True)

    def check(self) -> None:
        """Raise WorkerBroken if it has ended although nobody told it to."""
        if not self.has_ended and (code := self._process.wait(0)) is not None:
            raise WorkerBroken(f"Worker {self.number} ended by itself with exit code {code}: {self._last_line()}")

    def tell_to_stop(self) -> None:
        """SIGTERM."""
        if not self.has_ended:
            self.check()
            self._process.signal(signal.SIGTERM)

    def await_end(self) -> None:
        """Wait for the orderly end of a worker that was told to stop. Raises WorkerBroken if that does not come."""
        if self.has_ended:
            return
        self.has_ended = True
        code = self._process.wait(END_SECONDS)
        self._process.stop(keep_folder=True)
        if code != 0:
            ended = "did not end" if code is None else f"ended with exit code {code}"
            raise WorkerBroken(f"Worker {self.number} was told to stop and {ended}: {self._last_line()}")

    def abandon(self) -> None:
        """End it at once, whatever it is doing. Doing it again does nothing."""
        self._process.stop(keep_folder=True)

    def _last_line(self) -> str:
        lines = [line for line in self._log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
        if not lines:
            return "it said nothing"
        try:
            event = json.loads(lines[-1])
        except ValueError:
            return lines[-1][:_LONGEST_LINE]
        return " ".join(f"{key}={value}" for key, value in event.items())[:_LONGEST_LINE]
