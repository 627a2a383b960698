"""What the local Anthropic stand-in was asked and how each answer ended."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum

from pferdewert_ops.sandbox.anthropic_rules import Fault

_KEPT = 20_000  # entries; at about 5 kB each this is the most that a long benchmark may hold in memory


class Outcome(StrEnum):
    OPEN = "open"  # being answered
    HANGING = "hanging"  # silent on order
    COMPLETE = "complete"  # the whole message was sent
    REFUSED = "refused"  # an error status was sent
    BROKEN = "broken"  # ended on order before the message was whole
    ABANDONED = "abandoned"  # the client went away
    STOPPED = "stopped"  # the server ended first


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One call of the Messages API. `events` counts what was sent of a stream."""

    number: int
    request_id: str
    received: datetime
    model: str
    system: str
    prompt: str
    stream: bool
    fault: Fault | None = None
    status: int = 0
    events: int = 0
    outcome: Outcome = Outcome.OPEN

    def to_json(self) -> dict[str, object]:
        return {**asdict(self), "received": self.received.isoformat()}


class Journal:
    """The entries in the order of arrival; the oldest go when there are very many. Safe to use from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._entries: dict[int, Entry] = {}
        self._count = 0

    def next_number(self) -> int:
        with self._changed:
            self._count += 1
            return self._count

    def open(self, entry: Entry) -> None:
        with self._changed:
            self._entries[entry.number] = entry
            if len(self._entries) > _KEPT:
                del self._entries[next(iter(self._entries))]
            self._changed.notify_all()

    def note(self, number: int, outcome: Outcome, *, status: int = 200, events: int = 0) -> None:
        with self._changed:
            if number in self._entries:
                self._entries[number] = replace(self._entries[number], outcome=outcome, status=status, events=events)
            self._changed.notify_all()

    def entries(self) -> tuple[Entry, ...]:
        with self._changed:
            return tuple(self._entries.values())

    def wait_until(self, predicate: Callable[[Sequence[Entry]], bool], seconds: float = 5.0) -> tuple[Entry, ...]:
        """Block until the entries satisfy `predicate`. Raises TimeoutError with the outcomes as they are then."""
        with self._changed:
            if not self._changed.wait_for(lambda: predicate(tuple(self._entries.values())), seconds):
                outcomes = [entry.outcome.value for entry in self._entries.values()]
                raise TimeoutError(f"the journal did not get there within {seconds} s: {outcomes}")
            return tuple(self._entries.values())
