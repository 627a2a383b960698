"""Owners that are killed, and what has to be gone afterwards."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pferdewert_ops.sandbox.guardian_process import until

GONE_LIMIT = 20.0
"""Seconds until everything has to be gone; it takes 0.1 on an idle machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A Python process that owns servers, and what it told about them."""

    process: subprocess.Popen[bytes]
    pids: list[int]
    others: list[int]
    folder: Path

    def left_nothing(self) -> bool:
        return until(lambda: not any(map(runs, self.pids)) and not self.folder.exists(), GONE_LIMIT)


def runs(pid: int) -> bool:
    """Whether the process still executes; a zombie that nobody has collected yet does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


@pytest.fixture
def ended() -> Callable[[int], bool]:
    """Whether a process ends within the limit."""
    return lambda pid: until(lambda: not runs(pid), GONE_LIMIT)


@pytest.fixture
def start_owner(tmp_path: Path) -> Iterator[Callable[[str], Owner]]:
    """Run a script in a session of its own; it prints {"pids", "others", "folder"} as JSON and then waits."""
    started: list[subprocess.Popen[bytes]] = []

    def start(script: str) -> Owner:
        with (tmp_path / "owner.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-W", "error", "-c", script, str(tmp_path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        started.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, (tmp_path / "owner.log").read_text()
        told = json.loads(line)
        return Owner(process=process, pids=told["pids"], others=told.get("others", []), folder=Path(told["folder"]))

    yield start
    for process in started:
        process.kill()
        process.communicate()
