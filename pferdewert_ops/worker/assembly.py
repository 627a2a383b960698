"""One worker put together from an open shop: lanes, keeper, chores, hints."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from pymongo.database import Database
from pymongo.errors import PyMongoError

from pferdewert_ops.adapters.mongo import connection, documents
from pferdewert_ops.adapters.mongo.evaluation_jobs import EvaluationQueue
from pferdewert_ops.adapters.mongo.leased import LeasedQueue
from pferdewert_ops.adapters.mongo.mail_outbox import MailQueue
from pferdewert_ops.adapters.mongo.slots import Slots
from pferdewert_ops.adapters.mongo.workers import Workers
from pferdewert_ops.domain.products import PRODUCTS
from pferdewert_ops.operations.ports import MailTransport
from pferdewert_ops.wiring import Shop
from pferdewert_ops.worker.calls import ModelBudget
from pferdewert_ops.worker.chores import Chores
from pferdewert_ops.worker.gates import RATE_WINDOW, EvaluationGate, FleetLimits, LimitsGate
from pferdewert_ops.worker.held import HeldDocuments
from pferdewert_ops.worker.hints import Hints
from pferdewert_ops.worker.keeper import Keeper
from pferdewert_ops.worker.lane import Lane
from pferdewert_ops.worker.process import WorkerProcess
from pferdewert_ops.worker.services import evaluation_service, mail_service
from pferdewert_ops.worker.steward import Chore, Steward

EVALUATION, MAIL = "evaluation", "mail"
Document = dict[str, Any]

# Nothing hints at a lease that ends or at a neighbour that died. With the pace's jitter of a quarter, a job of a lost
# worker waits for at most an eighth of a lease longer than its lease: under 35 s with the default of 30 s.
RESCUE_EVERY_LEASES = 0.1
# A shop that never pauses inserts this many jobs before more than their start is done for them: a second's work.
UNKNOWN_AT_ONCE = 50


class Worker:
    """A worker that is ready to run. Close it after `process.run`."""

    def __init__(self, shop: Shop, *, queues: Sequence[str], max_jobs: int | None) -> None:
        settings = shop.settings
        self._shop = shop
        self._keeper_client = connection.open_keeper_client(settings.required_mongodb_uri)
        self._held = HeldDocuments()
        self._workers = Workers(shop.database)
        self._holder = shop.identity.holder
        self._limits: list[FleetLimits] = []
        self._unknown: list[str] = []
        self._evaluation = EvaluationQueue(self._queue(documents.JOBS))
        self._mail = MailQueue(self._queue(documents.MAILS))
        self._median: float | None = None
        transport = shop.transport() if MAIL in queues else None
        self.lanes: list[Lane[Any, Any]] = []
        if EVALUATION in queues:
            self.lanes.append(self._evaluation_lane(max_jobs))
        if transport is not None:
            self.lanes.append(self._mail_lane(transport, max_jobs if EVALUATION not in queues else None))
        self.chores = Chores(
            shop,
            evaluation=self._evaluation,
            mail=self._mail,
            workers=self._workers,
            held=self._held,
            on_median=self._set_median,
        )
        self.steward = self._steward()
        self.process = self._process()
        self._workers.register(
            self._holder, asdict(shop.identity), queues=list(queues), concurrency=settings.concurrency
        )

    def close(self) -> None:
        try:
            self._workers.buried(self._holder)
        except PyMongoError as error:  # the next worker on this host finds that this process is gone
            self._shop.tell("state_not_told", error=type(error).__name__)
        finally:
            self._keeper_client.close()

    # --- parts -----------------------------------------------------------------------------------------------

    def _queue(self, collection: str) -> LeasedQueue:
        shop = self._shop
        return LeasedQueue(
            shop.database[collection], holder=self._holder, lease=shop.settings.lease, monotonic=shop.clock.monotonic
        )

    def _fleet_limits(self, queue: str, at_once: int | None, per_minute: int | None) -> FleetLimits:
        slots = self._shop.database[documents.SLOTS]
        lease: timedelta = self._shop.settings.lease
        limits = FleetLimits(
            None if at_once is None else Slots(slots, queue, at_once, lease),
            None if per_minute is None else Slots(slots, f"{queue} per minute", per_minute, RATE_WINDOW),
            self._holder,
        )
        self._limits.append(limits)
        return limits

    def _gate(self, queue: str, at_once: int | None, per_minute: int | None) -> LimitsGate:
        limits = self._fleet_limits(queue, at_once, per_minute)
        return LimitsGate(queue, limits, self._shop.fleet.paused, self._shop.clock.monotonic)

    def _evaluation_lane(self, max_jobs: int | None) -> Lane[Any, Any]:
        shop, settings = self._shop, self._shop.settings
        gate = EvaluationGate(
            self._gate(EVALUATION, settings.evaluation_limit, settings.evaluation_rate),
            ModelBudget(shop, self._evaluation),
            shop.clock.monotonic,
            shop.tell,
        )
        service = evaluation_service(shop, self._evaluation, gate)
        return self._lane(service, settings.concurrency, max_jobs)

    def _mail_lane(self, transport: MailTransport, max_jobs: int | None) -> Lane[Any, Any]:
        settings = self._shop.settings
        service = mail_service(
            self._shop, self._mail, self._gate(MAIL, settings.mail_limit, settings.mail_rate), transport
        )
        return self._lane(service, settings.mail_concurrency, max_jobs)

    def _lane(self, service: Any, concurrency: int, most: int | None) -> Lane[Any, Any]:
        return Lane(
            service,
            self._held,
            concurrency=concurrency,
            poll=self._shop.settings.poll_every.total_seconds(),
            monotonic=self._shop.clock.monotonic,
            estimate=lambda: self._median,
            tell=self._shop.tell,
            most=most,
        )

    def _set_median(self, seconds: float | None) -> None:
        self._median = seconds

    def _steward(self) -> Steward:
        settings = self._shop.settings
        poll = settings.poll_every.total_seconds()
        survey = settings.survey_every.total_seconds()
        rescue = settings.lease.total_seconds() * RESCUE_EVERY_LEASES
        return Steward(
            [
                Chore(name="rescue", every=rescue, run=self.chores.rescue),
                Chore(name="adopt", every=5 * poll, run=self.chores.adopt),
                # The deep one first: what it refuses to take in, the other must know of.
                Chore(name="deep_survey", every=60.0, run=lambda: self.chores.deep_survey(self.steward.stopping)),
                Chore(name="survey", every=survey, run=lambda: self.chores.survey(self.steward.stopping)),
                Chore(name="promote", every=poll, run=self.chores.promote),
            ],
            monotonic=self._shop.clock.monotonic,
            wake_lanes=self._wake_lanes,
            tell=self._shop.tell,
        )

    def _wake_lanes(self) -> None:
        for lane in self.lanes:
            lane.wake()

    def _process(self) -> WorkerProcess:
        shop, settings = self._shop, self._shop.settings
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
        hints = Hints(
            shop.database,
            queues=[documents.JOBS, documents.MAILS],
            orders=[product.collection for product in PRODUCTS.values()],
            on_change=self._on_change,
            on_quiet=self._know,
            tell=shop.tell,
        )
        return WorkerProcess(
            lanes=self.lanes,
            held=self._held,
            keeper=keeper,
            steward=self.steward,
            hints=hints,
            grace=settings.grace.total_seconds(),
            tell=shop.tell,
            on_stopping=lambda: self._workers.state(self._holder, "stopping"),
        )

    def _beat(self, database: Database[Document], busy: int) -> None:
        self._workers.seen(self._holder, busy=busy, database=database)
        for limits in self._limits:
            limits.renew(database)

    def _on_change(self, collection: str, identity: Any) -> None:
        """Somebody inserted or requeued something, or an order was paid."""
        if collection == documents.JOBS:
            order_id = self._shop.jobs.adopt_one(identity, self._shop.horizon)
            if order_id is None:
                self.steward.ask("promote")
            else:
                self._wake_lanes()
                self.chores.adopted(order_id)
                self._unknown.append(order_id)
                if len(self._unknown) >= UNKNOWN_AT_ONCE:
                    self._know()
        elif collection == documents.MAILS:
            self.steward.ask("promote")
        elif collection == documents.SETTINGS:
            self._wake_lanes()
        else:
            self.chores.paid(str(identity))
            self.steward.ask("promote")

    def _know(self) -> None:
        """What follows for orders whose jobs were adopted on a hint. What is lost of it the next survey does."""
        while self._unknown:
            self.chores.know(self._unknown.pop())
