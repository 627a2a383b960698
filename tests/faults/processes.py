"""Worker processes as a test sees them: started, watched by their events, signalled, awaited."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import SecretStr

from pferdewert_ops.config.durations import format_duration
from pferdewert_ops.sandbox.guardian_process import until
from pferdewert_ops.sandbox.walls import sandbox_environment
from tests.harness import ShopFloor

ROOT = Path(__file__).parents[2]
PROGRAM = (sys.executable, "-m", "tests.faults.child_worker")
# Far above what anything here takes on a busy machine: a bound, not a time to wait.
LIMIT = 30.0

Event = dict[str, Any]


@dataclass(slots=True)
class ChildWorker:
    """One worker process."""

    pid: int
    log: Path
    _status: Callable[[int], int | None] = field(repr=False)

    def events(self, name: str) -> list[Event]:
        if not self.log.exists():
            return []
        lines = self.log.read_text(encoding="utf-8").splitlines(keepends=True)
        told = [json.loads(line) for line in lines if line.endswith("\n")]
        return [event for event in told if event["event"] == name]

    def wait_for(self, name: str, count: int = 1) -> list[Event]:
        assert until(lambda: len(self.events(name)) >= count, LIMIT), (name, self.log.read_text(encoding="utf-8"))
        return self.events(name)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def terminate(self) -> None:
        os.kill(self.pid, signal.SIGTERM)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def wait_stopped(self) -> None:
        """Until it stands still (SIGSTOP), by whoever's hand."""
        stat = Path(f"/proc/{self.pid}/stat")
        assert until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", LIMIT), "it never stood still"

    def wait(self) -> int:
        """Its exit code; the negative signal where one killed it."""
        assert until(lambda: self._status(self.pid) is not None, LIMIT), f"worker {self.pid} did not end"
        status = self._status(self.pid)
        assert status is not None
        return status

    def wait_killed(self) -> None:
        """Until the failpoint that was set for it has struck."""
        assert self.wait() == -signal.SIGKILL


class Nursery:
    """One process that forks workers. Its end is theirs too. For `with`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ended: dict[int, int] = {}
        self._born: queue.Queue[dict[str, Any]] = queue.Queue()
        self._count = 0
        self._errors = (folder / "nursery.log").open("wb")
        self._process = subprocess.Popen(
            PROGRAM,
            cwd=ROOT,
            env=sandbox_environment({}, home=folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        self._reader = threading.Thread(target=self._read, name="nursery")
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            if "ended" in said:
                self._ended[said["pid"]] = said["ended"]
            else:
                self._born.put(said)

    def start(
        self,
        floor: ShopFloor,
        *,
        queues: Sequence[str] = ("evaluation", "mail"),
        **changes: Any,
    ) -> ChildWorker:
        """A worker on this floor, with these settings changed. Returns once it was born, not once it serves."""
        self._count += 1
        log = self._folder / f"worker-{self._count}.log"
        order = order_of(floor, log, queues=queues, **changes)
        if self._count == 1:
            assert self._born.get(timeout=LIMIT) == {"ready": True}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        born = self._born.get(timeout=LIMIT)["born"]
        return ChildWorker(born, log, self._ended.get)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()  # its children die with it, frozen ones too
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            if pipe is not None:
                pipe.close()


def order_of(floor: ShopFloor, log: Path, *, queues: Sequence[str], **changes: Any) -> dict[str, Any]:
    """What `child_worker` is told: the floor's settings as JSON, and what to serve."""
    settings = floor.settings(**changes)
    return {
        "settings": {name: _plain(getattr(settings, name)) for name in sorted(settings.model_fields_set)},
        "log": str(log),
        "queues": list(queues),
    }


def _plain(value: Any) -> Any:
    match value:
        case SecretStr():
            return value.get_secret_value()
        case timedelta():
            return format_duration(value)
        case tuple():
            return list(value)
        case None | str() | int() | float() | bool():
            return value
        case _:
            return str(value)
