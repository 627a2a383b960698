"""One order in the foreground: the worker's own lanes, keeper and gates, narrowed to this order's job and mails."""

import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from typing import Any, Self

from pymongo.database import Database

from pferdewert_ops.adapters.mongo import connection, documents
from pferdewert_ops.adapters.mongo.evaluation_jobs import EvaluationQueue
from pferdewert_ops.adapters.mongo.leased import LeasedQueue
from pferdewert_ops.adapters.mongo.mail_outbox import MailQueue
from pferdewert_ops.adapters.mongo.restarts import MongoRestarts
from pferdewert_ops.adapters.mongo.slots import Slots
from pferdewert_ops.adapters.mongo.workers import Workers
from pferdewert_ops.domain.letters import MailKind
from pferdewert_ops.operations.ports import ClaimedMail, JobOutcome, MailOutcome
from pferdewert_ops.wiring import Shop
from pferdewert_ops.worker.calls import ModelBudget
from pferdewert_ops.worker.gates import RATE_WINDOW, EvaluationGate, FleetLimits, LimitsGate
from pferdewert_ops.worker.held import HeldDocuments
from pferdewert_ops.worker.keeper import Keeper
from pferdewert_ops.worker.lane import Lane, Service
from pferdewert_ops.worker.process import WorkerProcess
from pferdewert_ops.worker.services import evaluation_service, mail_service
from pferdewert_ops.worker.steward import Chore, Steward

EVALUATION, MAIL = "evaluation", "mail"
Document = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """What a progress line shows. `phase` is `asking`, `writing` or `mailing`; `seconds_left` by recent jobs."""

    phase: str
    output_tokens: int
    seconds: float
    seconds_left: float | None


@dataclass(slots=True)
class Report:
    """How the job and each mail ended here; empty where another worker was faster, or a gate stayed shut."""

    job: JobOutcome | None = None
    mails: dict[MailKind, MailOutcome] = field(default_factory=dict)


class Foreground:
    """Runs one order as a worker would. Use `with`; building it checks the configuration and loads the model's SDK."""

    def __init__(self, shop: Shop, order_id: str) -> None:
        settings = shop.settings
        self._shop = shop
        self._order_id = order_id
        self._job_id: str | None = None
        self._restarts = MongoRestarts(shop.database, shop.jobs, shop.mails)
        self._to_rank = set(MailKind)
        self._ranking = threading.Lock()
        self._held = HeldDocuments()
        self._limits: list[FleetLimits] = []
        self._evaluation = EvaluationQueue(self._queue(documents.JOBS))
        self._mail = MailQueue(self._queue(documents.MAILS))
        self._budget = ModelBudget(shop, self._evaluation)
        self._median = shop.jobs.median_seconds()
        self._workers = Workers(shop.database)
        self.report = Report()
        self._began = shop.clock.monotonic()
        self._failure: BaseException | None = None
        self._ended = threading.Event()
        with ExitStack() as opened:
            self._keeper_client = opened.enter_context(connection.open_keeper_client(settings.required_mongodb_uri))
            self._process = self._assembled()
            self._opened = opened.pop_all()
        self._thread = threading.Thread(target=self._run, name="foreground", daemon=True)

    def __enter__(self) -> Self:
        self._workers.register(
            self._shop.identity.holder, asdict(self._shop.identity), queues=[EVALUATION, MAIL], concurrency=1
        )
        self._opened.callback(self._workers.buried, self._shop.identity.holder)
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    # --- use -------------------------------------------------------------------------------------------------

    def places(self, *, paid: bool) -> int:
        """How many model calls breaker and budget allow now for an order like this."""
        places = self._budget.places()
        return places.payers if paid else places.everybody

    def start(self, job_id: str | None) -> None:
        """Begin with this job, or with the order's mails where there is none to evaluate."""
        self._job_id = job_id
        if job_id is not None:
            self._restarts.rank_job(job_id)
        self._began = self._shop.clock.monotonic()
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Whether it has ended, after at most so long. Raises what ended it, if that was an error."""
        # Not by joining: a Ctrl-C in the middle of Thread.join makes Python 3.11 take the thread for ended.
        if not self._ended.wait(seconds):
            return False
        if self._failure is not None:
            raise self._failure
        return True

    def stop(self) -> None:
        """Hand back what is held, at once and without spending an attempt."""
        self._process.stop()
        self._process.stop()

    def glance(self) -> Glance:
        """How far it is."""
        seconds = self._shop.clock.monotonic() - self._began
        evaluating = [held for held in self._held.all() if held.queue is self._evaluation.leased]
        if not evaluating:
            phase = "mailing" if self.report.job is not None or self._job_id is None else "asking"
            return Glance(phase=phase, output_tokens=0, seconds=seconds, seconds_left=None)
        tokens = evaluating[0].tokens
        left = None if self._median is None else max(0.0, self._median - seconds)
        return Glance(phase="writing" if tokens else "asking", output_tokens=tokens, seconds=seconds, seconds_left=left)

    def _run(self) -> None:
        try:
            self._process.run(drain=True)
        except BaseException as error:  # noqa: BLE001 - the thread ends here; who waits for it raises it again
            self._failure = error
        finally:
            self._ended.set()

    # --- parts -----------------------------------------------------------------------------------------------

    def _queue(self, collection: str) -> LeasedQueue:
        shop = self._shop
        return LeasedQueue(
            shop.database[collection],
            holder=shop.identity.holder,
            lease=shop.settings.lease,
            monotonic=shop.clock.monotonic,
        )

    def _gate(self, queue: str, at_once: int | None, per_minute: int | None) -> LimitsGate:
        slots = self._shop.database[documents.SLOTS]
        lease: timedelta = self._shop.settings.lease
        limits = FleetLimits(
            None if at_once is None else Slots(slots, queue, at_once, lease),
            None if per_minute is None else Slots(slots, f"{queue} per minute", per_minute, RATE_WINDOW),
            self._shop.identity.holder,
        )
        self._limits.append(limits)
        return LimitsGate(queue, limits, self._shop.fleet.paused, self._shop.clock.monotonic)

    def _assembled(self) -> WorkerProcess:
        shop, settings = self._shop, self._shop.settings
        lanes = [self._evaluation_lane()]
        transport = shop.transport()
        if transport is not None:
            gate = self._gate(MAIL, settings.mail_limit, settings.mail_rate)
            service = mail_service(shop, self._mail, gate, transport)
            lanes.append(
                self._lane(replace(service, claim=lambda most: self._mail.claim_of(self._order_id, most)), None)
            )
        keeper = Keeper(
            self._held,
            connection.database_of(self._keeper_client, settings.database),
            collections={id(self._evaluation.leased): documents.JOBS, id(self._mail.leased): documents.MAILS},
            lease=settings.lease,
            renew_every=settings.renew_every,
            monotonic=shop.clock.monotonic,
            beat=self._beat,
            tell=shop.tell,
        )

        def wake_lanes() -> None:
            for lane in lanes:
                lane.wake()

        poll = settings.poll_every.total_seconds()
        steward = Steward(
            [Chore(name="rank_mails", every=poll, run=self._rank_mails)],
            monotonic=shop.clock.monotonic,
            wake_lanes=wake_lanes,
            tell=shop.tell,
        )
        return WorkerProcess(
            lanes=lanes,
            held=self._held,
            keeper=keeper,
            steward=steward,
            hints=None,
            grace=0.0,
            tell=shop.tell,
            on_stopping=lambda: None,
        )

    def _evaluation_lane(self) -> Lane[Any, Any]:
        shop, settings = self._shop, self._shop.settings
        gate = EvaluationGate(
            self._gate(EVALUATION, settings.evaluation_limit, settings.evaluation_rate),
            self._budget,
            shop.clock.monotonic,
            shop.tell,
        )
        service = evaluation_service(shop, self._evaluation, gate)

        def claim(_most: int) -> list[Any]:
            if self._job_id is None:
                return []
            return list(self._evaluation.claim_one(self._job_id, paid_only=gate.paid_only))

        # One attempt: a failed one waits in the database for its time, here as everywhere.
        return self._lane(replace(service, claim=claim), 1)

    def _lane(self, service: Service[Any, Any], most: int | None) -> Lane[Any, Any]:
        return Lane(
            replace(service, after=self._noting(service.after)),
            self._held,
            concurrency=1,
            poll=self._shop.settings.poll_every.total_seconds(),
            monotonic=self._shop.clock.monotonic,
            estimate=lambda: self._median,
            tell=self._shop.tell,
            most=most,
        )

    def _noting(self, after: Callable[[Any, Any], None] | None) -> Callable[[Any, Any], None]:
        def note(item: Any, outcome: Any) -> None:
            if isinstance(item, ClaimedMail):
                self.report.mails[item.kind] = outcome
            else:
                self.report.job = outcome
            if after is not None:
                after(item, outcome)

        return note

    def _rank_mails(self) -> bool:
        """Each mail once: one that fails waits for its time."""
        with self._ranking:
            ranked = {kind for kind in self._to_rank if self._restarts.rank_mail(self._order_id, kind)}
            self._to_rank -= ranked
        return bool(ranked)

    def _beat(self, database: Database[Document], busy: int) -> None:
        self._workers.seen(self._shop.identity.holder, busy=busy, database=database)
        for limits in self._limits:
            limits.renew(database)
