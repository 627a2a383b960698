"""The worker process: starts its threads, serves until told to stop or done, and leaves nothing held behind."""

import queue
import signal
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

from pymongo.errors import PyMongoError

from pferdewert_ops.worker.held import HeldDocuments
from pferdewert_ops.worker.hints import Hints
from pferdewert_ops.worker.keeper import Keeper
from pferdewert_ops.worker.lane import Lane
from pferdewert_ops.worker.steward import Steward

# After the grace time handlers are asked to end; a model stream notices within one event.
HAND_BACK_SECONDS = 5.0
LAST_WRITES_SECONDS = 10.0
IDLE_LOOK = 0.05  # how often a draining worker looks whether all lanes are idle


class WorkerProcess:
    """One worker. `run` returns when everything that was claimed is settled or handed back."""

    def __init__(
        self,
        *,
        lanes: Sequence[Lane[Any, Any]],
        held: HeldDocuments,
        keeper: Keeper,
        steward: Steward,
        hints: Hints | None,
        grace: float,
        tell: Callable[..., None],
        on_stopping: Callable[[], None],
    ) -> None:
        self._lanes = lanes
        self._held = held
        self._keeper = keeper
        self._steward = steward
        self._hints = hints
        self._grace = grace
        self._tell = tell
        self._on_stopping = on_stopping
        # What `stop` said and nobody has heard yet. A signal handler says it, and may run while this very thread holds
        # the lock of an Event: only a SimpleQueue may be put to from anywhere.
        self._orders: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._told_to_stop = False
        self._hurry = False

    def stop(self) -> None:
        """Claim no more and finish; said a second time: hand back at once."""
        self._orders.put(None)

    def on_signals(self) -> None:
        """SIGTERM and SIGINT stop this worker. Call from the main thread."""

        def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the interpreter's signature
            self.stop()

        signal.signal(signal.SIGTERM, handle)
        signal.signal(signal.SIGINT, handle)

    def ignore_signals(self) -> None:
        """SIGTERM and SIGINT change nothing any more. Call from the main thread once everything is settled.

        The interpreter takes handlers written in Python away before it ends: a signal in that moment would kill it.
        """
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def run(self, *, drain: bool) -> None:
        """Serve. `drain`: until there is nothing to claim and nothing in hand."""
        self._keeper.start()
        if self._hints is not None:
            self._hints.start()
        try:
            self._steward.run_all()
            self._steward.start()
            for lane in self._lanes:
                lane.start()
            self._serve(drain=drain)
        finally:
            self._shut_down()

    def _serve(self, *, drain: bool) -> None:
        ends_by_itself = drain or any(lane.limited for lane in self._lanes)
        while not self._hears_stop(IDLE_LOOK if ends_by_itself else 1.0):
            # A lane that may claim no more ends the worker like a drained one: what it finished still has to be mailed.
            draining = drain or any(lane.used_up for lane in self._lanes)
            if draining and self._all_idle():
                # What finished last may owe a mail, and a retry may have come due: one more round of everything.
                try:
                    self._steward.run_all()
                except PyMongoError as error:
                    self._tell("chore_failed", chore="all", error=type(error).__name__)
                    continue
                if self._all_idle_after_waking():
                    return

    def _hears_stop(self, seconds: float) -> bool:
        """Whether somebody has said `stop`, waiting for it so long."""
        try:
            self._orders.get(block=seconds > 0, timeout=seconds)
        except queue.Empty:
            return self._told_to_stop
        self._hurry = self._told_to_stop
        self._told_to_stop = True
        return True

    def _all_idle(self) -> bool:
        return all(lane.is_idle() for lane in self._lanes)

    def _all_idle_after_waking(self) -> bool:
        for lane in self._lanes:
            lane.wake()
        while not self._hears_stop(IDLE_LOOK):
            if any(lane.busy for lane in self._lanes):
                return False
            if self._all_idle():
                return True
        return True

    def _shut_down(self) -> None:
        self._tell("stopping", held=len(self._held))
        try:
            self._on_stopping()
        except PyMongoError as error:  # only a word on a screen: what runs still has to be brought home
            self._tell("state_not_told", error=type(error).__name__)
        self._steward.stop()
        if self._hints is not None:
            self._hints.stop()
        for lane in self._lanes:
            lane.close()
        if not self._wait_empty(self._grace):
            self._tell("handing_back", held=len(self._held))
            for one in self._held.all():
                one.stop()
            self._begin_anew()
            if not self._wait_empty(HAND_BACK_SECONDS):
                for lane in self._lanes:
                    lane.abandon()
        for lane in self._lanes:
            lane.finish(LAST_WRITES_SECONDS)
        self._keeper.stop()
        self._tell("stopped")

    def _wait_empty(self, seconds: float) -> bool:
        """Wait for what is running, unless a second signal says not to."""
        waited = 0.0
        while waited < seconds and not self._hurry and self._busy():
            self._hears_stop(IDLE_LOOK)
            waited += IDLE_LOOK
        return not self._busy()

    def _begin_anew(self) -> None:
        """What was said so far is obeyed: it does not cut short the wait that begins now."""
        self._hears_stop(0)
        self._hurry = False

    def _busy(self) -> bool:
        return any(lane.busy for lane in self._lanes)
