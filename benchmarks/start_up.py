"""How long a person waits for the help, and what of that is Python's own."""

import resource
import subprocess
import sys
import time

from benchmarks.figures import Figure, Target, median
from benchmarks.ground import ROOT, Ground, child_environment
from benchmarks.scale import Scale
from benchmarks.worker_child import PROGRAM

NOTHING = (sys.executable, "-c", "pass")
HELP = (*PROGRAM, "--help")


def run(ground: Ground, scale: Scale) -> list[Figure]:
    del ground
    wall: dict[tuple[str, ...], list[float]] = {HELP: [], NOTHING: []}
    processor: dict[tuple[str, ...], list[float]] = {HELP: [], NOTHING: []}
    for _ in range(scale.helps):
        for command in (HELP, NOTHING):
            took, used = _run(command)
            wall[command].append(took)
            processor[command].append(used)
    note = f"median of {scale.helps}, in turn with python; best {min(wall[HELP]):.0f} ms"
    return [
        Figure(
            benchmark="start_up",
            what="pwops --help",
            measured=median(wall[HELP]),
            unit="ms",
            bare=median(wall[NOTHING]),
            bare_what="python -c pass",
            target=Target(bound=100),
            note=note,
        ),
        Figure(
            benchmark="start_up",
            what="pwops --help, processor time",
            measured=median(processor[HELP]),
            unit="ms",
            bare=median(processor[NOTHING]),
            bare_what="python -c pass",
        ),
    ]


def _run(command: tuple[str, ...]) -> tuple[float, float]:
    """Milliseconds that passed, and that a processor was busy."""
    began, before = time.perf_counter(), _children()
    subprocess.run(command, env=child_environment(), cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return (time.perf_counter() - began) * 1000, (_children() - before) * 1000


def _children() -> float:
    """Seconds of processor time of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
