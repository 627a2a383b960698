"""The committer: outcomes of a lane are written in batches of whatever gathered during the last write."""

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from pymongo.errors import ConnectionFailure, NotPrimaryError, WTimeoutError

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

MOST = 500  # outcomes in one write: more gain nothing
AGAIN = 0.5  # seconds until a write that failed is tried again: about an election's length, twice over


class Committer(Generic[Item, Outcome]):
    """One thread that settles outcomes. A database that is away only delays them: paid for, they are never dropped."""

    def __init__(
        self,
        settle: Callable[[Sequence[tuple[Item, Outcome]]], set[str]],
        on_settled: Callable[[Sequence[tuple[Item, Outcome, bool]]], None],
        on_refused: Callable[[Item, Exception], Outcome | None],
        identity: Callable[[Item], str],
        tell: Callable[..., None],
    ) -> None:
        self._settle = settle
        self._on_settled = on_settled
        self._on_refused = on_refused
        self._pause = threading.Event()
        self._identity = identity
        self._tell = tell
        self._waiting: list[tuple[Item, Outcome]] = []
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, seconds: float) -> bool:
        """Write what is left, for at most `seconds`; whether that is done."""
        self._stop.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def add(self, item: Item, outcome: Outcome) -> None:
        with self._changed:
            self._waiting.append((item, outcome))
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._stop.is_set())
                batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            if not batch:
                return
            lost = self._write(batch)
            self._on_settled([(item, outcome, self._identity(item) in lost) for item, outcome in batch])

    def _write(self, batch: Sequence[tuple[Item, Outcome]]) -> set[str]:
        while True:
            try:
                return self._settle(batch)
            except (ConnectionFailure, WTimeoutError, NotPrimaryError) as error:
                self._tell("settle_failed", error=type(error).__name__, outcomes=len(batch))
                self._pause.wait(AGAIN)
            except Exception as error:  # noqa: BLE001 - one outcome ends here; without this thread the lane would
                # The server refuses it, or nothing can encode it (a lone surrogate is a UnicodeEncodeError of the
                # driver's): one outcome must not hold up the others.
                if len(batch) > 1:
                    return set().union(*(self._write([one]) for one in batch))
                return self._write_instead(*batch[0], error)

    def _write_instead(self, item: Item, outcome: Outcome, error: Exception) -> set[str]:
        """An outcome that cannot be stored (say, too large) becomes a failure of ours; its lease is the last resort."""
        self._tell("outcome_refused", item=self._identity(item), error=type(error).__name__)
        instead = self._on_refused(item, error)
        if instead is None or outcome == instead:
            return {self._identity(item)}
        try:
            return self._settle([(item, instead)]) or {self._identity(item)}
        except Exception as again:  # noqa: BLE001 - as above
            self._tell("outcome_refused", item=self._identity(item), error=type(again).__name__)
            return {self._identity(item)}
