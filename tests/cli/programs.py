"""`pwops` as a process of its own: run to its end, or started, watched line by line, signalled and awaited."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pferdewert_ops.sandbox.walls import sandbox_environment

PROGRAM = (sys.executable, "-W", "error", "-c", "from pferdewert_ops.cli.main import main; main()")
# Far above what anything here takes on a busy machine: a bound, not a time to wait.
LIMIT = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended, and all that it said."""

    exit_code: int
    stdout: str
    stderr: str

    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.stdout)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Where a command runs: a folder without a configuration file, and only the variables that are given."""

    folder: Path
    variables: Mapping[str, str]

    def with_(self, changes: Mapping[str, str | None]) -> dict[str, str]:
        """The whole environment; None takes a variable away."""
        wanted = {**self.variables, **changes}
        return sandbox_environment(
            {name: value for name, value in wanted.items() if value is not None}, home=self.folder
        )


def run_pwops(surroundings: Surroundings, *arguments: str, **changes: str | None) -> Ended:
    """Run one command to its end. `changes` are variables of its environment."""
    done = subprocess.run(
        [*PROGRAM, *arguments],
        env=surroundings.with_(changes),
        cwd=surroundings.folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    return Ended(exit_code=done.returncode, stdout=done.stdout, stderr=done.stderr)


class Running:
    """A started command. Its lines are gathered as they come; `with` ends it if nobody else has."""

    def __init__(self, surroundings: Surroundings, *arguments: str, **changes: str | None) -> None:
        self.process = subprocess.Popen(
            [*PROGRAM, *arguments],
            env=surroundings.with_(changes),
            cwd=surroundings.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._changed = threading.Condition()
        self._lines: dict[str, list[str]] = {"stdout": [], "stderr": []}
        self._silent: set[str] = set()
        self._readers = [
            threading.Thread(target=self._read, args=(name,), name=f"reads-{name}") for name in self._lines
        ]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.end()

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    def end(self, seconds: float = LIMIT) -> Ended:
        """Wait for its own end."""
        code = self.process.wait(seconds)
        for reader in self._readers:
            reader.join(LIMIT)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        return Ended(exit_code=code, stdout=self.text("stdout"), stderr=self.text("stderr"))

    def text(self, name: str = "stderr") -> str:
        with self._changed:
            return "".join(self._lines[name])

    def wait_for(self, wanted: Callable[[str], bool], name: str = "stderr", seconds: float = LIMIT) -> str:
        """The first line that is `wanted`, as soon as it is there."""

        def found() -> str | None:
            return next((line for line in self._lines[name] if wanted(line)), None)

        with self._changed:
            self._changed.wait_for(lambda: found() is not None or name in self._silent, seconds)
            line = found()
        assert line is not None, f"not said within {seconds:.0f} s:\n{self.text('stdout')}{self.text('stderr')}"
        return line

    def wait_for_event(self, event: str) -> dict[str, Any]:
        """The first logged event of that name."""
        line = self.wait_for(lambda line: line.startswith("{") and json.loads(line).get("event") == event)
        told: dict[str, Any] = json.loads(line)
        return told

    def _read(self, name: str) -> None:
        stream = getattr(self.process, name)
        for line in stream:
            with self._changed:
                self._lines[name].append(line)
                self._changed.notify_all()
        with self._changed:
            self._silent.add(name)
            self._changed.notify_all()
