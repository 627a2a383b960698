"""What this process holds right now: one entry for each claimed document, from claim to settlement."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from pferdewert_ops.adapters.mongo.leased import Leased, LeasedQueue


@dataclass(slots=True, kw_only=True)
class Held:
    """One claimed document and its watch: the handler reports progress to it and asks it whether to stop."""

    leased: Leased
    queue: LeasedQueue
    began: float
    monotonic: Callable[[], float]
    estimate: Callable[[], float | None]
    _stop: threading.Event = field(default_factory=threading.Event)
    lost: bool = False
    tokens: int = 0
    _told: int = -1

    def progress(self, output_tokens: int) -> None:
        self.tokens = output_tokens

    def cancelled(self) -> bool:
        return self._stop.is_set()

    def stop(self, *, lost: bool = False) -> None:
        """Ask the handler to end. `lost`: somebody else owns the document by now, so nothing will be written."""
        self.lost = self.lost or lost
        self._stop.set()

    def wait_stop(self, seconds: float) -> bool:
        return self._stop.wait(seconds)

    def news(self) -> dict[str, object] | None:
        """Progress that has not been stored yet; None if there is none."""
        if self.tokens == self._told:
            return None
        self._told = self.tokens
        usual = self.estimate()
        elapsed = self.monotonic() - self.began
        return {
            "phase": "writing" if self.tokens else "asking",
            "outputTokens": self.tokens,
            "secondsLeft": None if usual is None else max(0, round(usual - elapsed)),
        }


class HeldDocuments:
    """All that this process holds; safe for threads."""

    def __init__(self) -> None:
        self._held: dict[tuple[int, object, int], Held] = {}
        self._changed = threading.Condition()

    def add(self, held: Held) -> None:
        with self._changed:
            self._held[id(held.queue), held.leased.id, held.leased.fence] = held

    def remove(self, held: Held) -> None:
        with self._changed:
            self._held.pop((id(held.queue), held.leased.id, held.leased.fence), None)
            self._changed.notify_all()

    def all(self) -> list[Held]:
        with self._changed:
            return list(self._held.values())

    def holds(self, queue: LeasedQueue, leased: Leased) -> bool:
        """Whether a handler of this process is at it, or its outcome waits to be written."""
        with self._changed:
            return (id(queue), leased.id, leased.fence) in self._held

    def __len__(self) -> int:
        return len(self._held)

    def wait_empty(self, seconds: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: not self._held, seconds)
