"""What happens when: the workers begin, one is killed, customers pay, and in the end everything has come to rest."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pferdewert_ops.adapters.mongo import documents
from pferdewert_ops.sandbox.demo.acts import Kill, Payments, Waits
from pferdewert_ops.sandbox.demo.evidence import gather
from pferdewert_ops.sandbox.demo.outcome import Outcome, judge
from pferdewert_ops.sandbox.demo.progress import Progress, progress_of, read_facts
from pferdewert_ops.sandbox.demo.stage import Stage
from pferdewert_ops.sandbox.demo.workers import WorkerBroken

# How often everything is looked at: as often as an eye notices.
LOOK_SECONDS = 0.15
# Far above what 24 orders (15 s) and 500 orders (90 s) take: whatever has not come to rest by then never will.
PATIENCE_SECONDS, PATIENCE_PER_ORDER = 60.0, 0.6
# Two more surveys, half a second apart, must find nothing to do; a machine with other work may take longer for them.
QUIET_SECONDS = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What there is to see at one moment. `news` are the sentences since the scene before."""

    seconds: float
    orders: Sequence[Progress]
    news: Sequence[str]


class Story:
    """One demonstration on a stage that is set. `watch` is shown every scene."""

    def __init__(self, stage: Stage, watch: Callable[[Scene], None]) -> None:
        self._stage = stage
        self._watch = watch
        self._news: list[str] = []
        self._pause = threading.Event()
        self._kill = Kill(stage, self._news.append)
        self._payments = Payments(stage, self._news.append)
        self._waits = Waits(stage, self._news.append)

    def play(self) -> Outcome:
        """Play it to its end. Raises WorkerBroken if a process ends that nobody told to."""
        for worker in (self._stage.start_worker(), self._stage.start_worker()):
            self._news.append(f"worker {worker.number} is started (pid {worker.pid})")
        ends = time.monotonic() + PATIENCE_SECONDS + PATIENCE_PER_ORDER * len(self._stage.orders)
        while not self._look() and time.monotonic() < ends:
            self._pause.wait(LOOK_SECONDS)
        self._rest()
        self._stage.stop_workers()
        self._look()
        took = timedelta(seconds=time.monotonic() - self._stage.began)
        evidence = gather(self._stage.sandbox, self._stage.database, self._stage.orders)
        return judge(self._stage.orders, evidence, killed=self._kill.killed, waits=self._waits.skipped, took=took)

    def _look(self) -> bool:
        """One look at everything, and what follows from it; whether all has come to rest."""
        self._stage.check()
        if (part := self._stage.sandbox.failed_part()) is not None:
            raise WorkerBroken(f"{part} has ended.")
        now = datetime.now(UTC)
        facts = read_facts(self._stage.database, self._stage.orders)
        self._kill.look(facts, now)
        self._payments.look(facts, may_begin=self._kill.is_over)
        self._waits.look(facts, now, of_mails=self._payments.have_struck(facts))
        orders = [progress_of(one, now) for one in facts]
        news, self._news[:] = list(self._news), []
        self._watch(Scene(seconds=time.monotonic() - self._stage.began, orders=orders, news=news))
        return self._kill.is_over and all(one.settled for one in orders)

    def _rest(self) -> None:
        """Let the workers survey everything twice more: an order that rests must be left alone by them."""
        ends = time.monotonic() + QUIET_SECONDS
        seen = {self._next_survey()}
        while len(seen) < 3 and time.monotonic() < ends:
            self._look()
            self._pause.wait(LOOK_SECONDS)
            seen.add(self._next_survey())

    def _next_survey(self) -> datetime | None:
        tick = self._stage.database[documents.SETTINGS].find_one({"_id": "tick:survey"})
        return None if tick is None else tick["nextAt"]
