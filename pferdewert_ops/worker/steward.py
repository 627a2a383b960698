"""The steward: one thread per process for what keeps the queues moving whether or not anybody hinted at it."""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass

from pymongo.errors import PyMongoError

from pferdewert_ops.worker.lane import crash_site


@dataclass(frozen=True, slots=True, kw_only=True)
class Chore:
    """Something done every so often. `run` returns whether the lanes should look for work now."""

    name: str
    every: float
    run: Callable[[], bool]


class Steward:
    """Runs chores in turn, each at its own jittered pace, and at once where somebody asks for it."""

    def __init__(
        self,
        chores: list[Chore],
        *,
        monotonic: Callable[[], float],
        wake_lanes: Callable[[], None],
        tell: Callable[..., None],
    ) -> None:
        self._chores = chores
        self._monotonic = monotonic
        self._wake_lanes = wake_lanes
        self._tell = tell
        self._stop = threading.Event()
        self._asked: set[str] = set()
        self._changed = threading.Condition()
        self._due = {chore.name: monotonic() + chore.every * random.uniform(0.75, 1.25) for chore in chores}
        self._thread = threading.Thread(target=self._run, name="steward", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        with self._changed:
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    def stopping(self) -> bool:
        return self._stop.is_set()

    def ask(self, *names: str) -> None:
        """Do these soon."""
        with self._changed:
            self._asked.update(names)
            self._changed.notify()

    def run_all(self) -> None:
        """Do every chore once, now, on the caller's thread. Raises pymongo's errors."""
        for chore in self._chores:
            self._run_one(chore)

    def _run(self) -> None:
        while not self._stop.is_set():
            now = self._monotonic()
            with self._changed:
                asked, self._asked = self._asked, set()
            for chore in self._chores:
                if chore.name in asked or now >= self._due[chore.name]:
                    self._do(chore)
            with self._changed:
                if not self._asked and not self._stop.is_set():
                    self._changed.wait(max(0.0, min(self._due.values()) - self._monotonic()))

    def _do(self, chore: Chore) -> None:
        if self._stop.is_set():
            return
        try:
            self._run_one(chore)
        except PyMongoError as error:
            self._tell("chore_failed", chore=chore.name, error=type(error).__name__)
        self._due[chore.name] = self._monotonic() + chore.every * random.uniform(0.75, 1.25)

    def _run_one(self, chore: Chore) -> None:
        try:
            if chore.run():
                self._wake_lanes()
        except PyMongoError:
            raise
        except Exception as error:  # noqa: BLE001 - a chore ends here: the others, and the lanes, go on without it
            self._tell("chore_crashed", chore=chore.name, error=crash_site(error))
