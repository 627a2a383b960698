"""A small shop with three workers whose every step is one operation."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from pferdewert_ops.adapters.failpoints import Unarmed
from pferdewert_ops.adapters.mongo import documents
from pferdewert_ops.adapters.mongo.evaluation_jobs import EvaluationQueue, MongoJobs
from pferdewert_ops.adapters.mongo.findings import MongoFindings
from pferdewert_ops.adapters.mongo.mail_outbox import MailQueue, MongoMails
from pferdewert_ops.adapters.system import SystemClock
from pferdewert_ops.domain.failures import MAIL_POLICIES, POLICIES, ErrorClass
from pferdewert_ops.domain.jobs import Attempts, CancelReason, Failure, after_failure
from pferdewert_ops.domain.orders import Limits
from pferdewert_ops.domain.products import PRODUCTS, Product, ProductKey
from pferdewert_ops.operations.advance import Advance
from pferdewert_ops.operations.evaluate import why_not
from pferdewert_ops.operations.ports import Cancelled, ClaimedJob, HandedBack, JobOutcome, MailOutcome, Unsuccessful
from pferdewert_ops.operations.send_mail import Mailing, SendMail
from tests.mongo.history_parts import Hands, NeverStops, Provider, WatchedOrders
from tests.mongo.queue_support import PAST, Document, completed, queue_of
from tests.shop_documents.results import CERTIFICATE, PLACEHOLDER, SWISS_VALUATION, VALUATION

WORKERS = 3
PLAN = [ProductKey.BEWERTUNG, ProductKey.WERTGUTACHTEN]
LIMITS = Limits(unpaid_max_age=timedelta(hours=24), delay_mail_after=timedelta(minutes=10))
OURS = {ProductKey.BEWERTUNG: VALUATION, ProductKey.WERTGUTACHTEN: CERTIFICATE}
LOST = Failure(error_class=ErrorClass.WORKER_LOST, code="lease_expired")


class World:
    """One history, played one operation after the other."""

    def __init__(self, database: Database[Document]) -> None:
        self.database = database
        self.orders = WatchedOrders(database, horizon=datetime(2020, 1, 1, tzinfo=UTC))
        self.orders.delivered = Counter()
        self.jobs = MongoJobs(database)
        self.mails = MongoMails(database)
        self.findings = MongoFindings(database)
        self.provider = Provider()
        self.workers = [self._hands(f"host-{number}") for number in range(WORKERS)]
        self.advance = Advance(
            orders=self.orders,
            jobs=self.jobs,
            mails=self.mails,
            findings=self.findings,
            clock=SystemClock(),
            failpoints=Unarmed(),
            limits=LIMITS,
            tell_operators=False,
            on_step=lambda _order, _step: None,
        )
        self.send = SendMail(
            orders=self.orders,
            handovers=self.mails,
            transport=self.provider,
            clock=SystemClock(),
            failpoints=Unarmed(),
            mailing=Mailing(shop_url="https://example.org"),
            jitter=lambda: 0.0,
        )
        self.products = [PRODUCTS[key] for key in PLAN]
        self.ids = [self._order(product) for product in self.products]
        self.claims: dict[str, list[int]] = defaultdict(list)
        self.calls: set[tuple[str, int]] = set()
        self.finished: Counter[str] = Counter()  # results that were stored, by order
        self.overwritten: Counter[str] = Counter()
        self.retries: Counter[str] = Counter()

    def _hands(self, holder: str) -> Hands:
        jobs, mails = (queue_of(self.database[name], holder) for name in (documents.JOBS, documents.MAILS))
        return Hands(jobs=EvaluationQueue(jobs), mails=MailQueue(mails))

    def _order(self, product: Product) -> ObjectId:
        order_id = ObjectId()
        self.database[product.collection].insert_one(
            {
                "_id": order_id,
                "status": "offen",
                "erstellt": datetime.now(UTC) - timedelta(hours=1),
                "paymentStatus": "pending",
                "customer_email": "k@example.org",
            }
        )
        return order_id

    # --- the shop and its customers --------------------------------------------------------------------------

    def _write(self, order: int, fields: Document) -> None:
        self.database[self.products[order].collection].update_one({"_id": self.ids[order]}, {"$set": fields})

    def pay(self, order: int) -> None:
        self._write(order, {"paymentStatus": "paid", "paidAt": datetime.now(UTC)})

    def long_ago(self, order: int) -> None:
        """The payer has waited for the better part of an hour."""
        self._write(order, {"paidAt": datetime.now(UTC) - timedelta(minutes=50)})

    def unpay(self, order: int, status: str) -> None:
        self._write(order, {"paymentStatus": status})

    def insert_job(self, order: int, *, as_text: bool) -> None:
        """Checkout inserts a job; once in a while a second one."""
        reference: Any = str(self.ids[order]) if as_text else self.ids[order]
        job = {"bewertungId": reference, "status": "pending", "attempts": 0, "maxAttempts": 3, "priority": "premium"}
        if len(self.jobs_of(order)) < 2:
            self.database.evaluation_jobs.insert_one(job)

    def overwrite(self, order: int, kind: str) -> None:
        """The slow handler of the old flow ends late and writes what it has, never looking at what is there."""
        product = self.products[order]
        certificate = product.key is ProductKey.WERTGUTACHTEN
        late: dict[str, Any] = {
            "placeholder": {"preisVon": 0} if certificate else PLACEHOLDER,
            "blank": None if certificate else " ",
            "result": {**CERTIFICATE, "preisVon": 1_000} if certificate else SWISS_VALUATION,
        }
        self.overwritten[str(self.ids[order])] += 1
        self._write(order, {product.result_field: late[kind], "status": "fertig", "ai_model": kind})

    # --- time and people -------------------------------------------------------------------------------------

    def expire(self, order: int) -> None:
        """The leases of this order's job and mails run out."""
        ids = [self.ids[order], str(self.ids[order])]
        for name, field_name in ((documents.JOBS, "bewertungId"), (documents.MAILS, "orderId")):
            held = {field_name: {"$in": ids}, "leaseUntil": {"$exists": True}}
            self.database[name].update_many(held, {"$set": {"leaseUntil": PAST}})

    def come_due(self) -> None:
        for name in (documents.JOBS, documents.MAILS):
            waiting = {"status": "pending", "scheduledAt": {"$gt": PAST}, "rank": None}
            self.database[name].update_many(waiting, {"$set": {"scheduledAt": PAST}})

    def cancel(self, order: int) -> None:
        for job in self.jobs_of(order):
            self.jobs.cancel(str(job["_id"]), CancelReason.OPERATOR)

    def retry(self, order: int) -> None:
        job = documents.surviving_job(self.jobs_of(order))
        if job is not None and self.jobs.revive(str(job["_id"]), actor="anna", expected=["failed", "cancelled"]):
            self.retries[str(self.ids[order])] += 1

    def jobs_of(self, order: int) -> list[Document]:
        ids = [self.ids[order], str(self.ids[order])]
        return list(self.database.evaluation_jobs.find({"bewertungId": {"$in": ids}}))

    # --- passes ----------------------------------------------------------------------------------------------

    def adopt(self) -> None:
        self.jobs.adopt(datetime(2020, 1, 2, tzinfo=UTC))

    def promote(self) -> None:
        for queue in (self.workers[0].jobs.leased, self.workers[0].mails.leased):
            queue.promote()

    def look_at(self, order: int) -> None:
        self.advance.order(str(self.ids[order]))

    def rescue(self, worker: int) -> None:
        hands = self.workers[worker]
        lost = [(item, _after_loss(item.attempts, mail=False)) for item in hands.jobs.expired(10)]
        others = hands.jobs.settle(lost, expired=True)
        mails = [(item, _after_loss(item.attempts, mail=True)) for item in hands.mails.expired(10)]
        hands.mails.settle(mails, expired=True)
        for item, _ in lost:
            if item.id not in others:
                self.advance.order(item.order_id)

    # --- a worker's way --------------------------------------------------------------------------------------

    def _busy(self, worker: int, has: Callable[[Hands], Sequence[object]]) -> Hands:
        """That worker, or the next one that has something of the kind: few histories get far where most steps idle."""
        turn = [self.workers[(worker + step) % WORKERS] for step in range(WORKERS)]
        return next((hands for hands in turn if has(hands)), turn[0])

    def claim(self, worker: int, *, paid_only: bool = False) -> None:
        self.promote()
        for item in self.workers[worker].jobs.claim(2, paid_only=paid_only):
            assert all(item.fence > fence for fence in self.claims[item.id]), "a fence that was given before"
            self.claims[item.id].append(item.fence)
            assert item.attempts.spent <= item.attempts.limit
            self.workers[worker].held.append(item)

    def renew(self, worker: int) -> None:
        hands = self._busy(worker, lambda one: [*one.held, *one.ready])
        held = [*hands.held, *(item for item, _ in hands.ready)]
        queue = hands.jobs.leased
        gone = queue.renew([(item.handle, None) for item in held], self.database.evaluation_jobs)
        for item in held:
            now = self.database.evaluation_jobs.find_one({"_id": item.handle.id})
            assert now is not None
            assert ((item.handle.id, item.fence) in gone) == (now["fence"] != item.fence)

    def evaluate(self, worker: int, answer: str) -> None:
        """The handler: what is no longer owed is cancelled, else the model is called."""
        hands = self._busy(worker, lambda one: one.held)
        if not hands.held:
            return
        item = hands.held.pop(0)
        order = self.orders.find(item.order_id)
        assert order is not None
        reason = why_not(order, item, SystemClock(), LIMITS)
        if reason is not None:
            hands.ready.append((item, Cancelled(reason=reason)))
            return
        if answer == "handed_back":
            hands.ready.append((item, HandedBack()))
            return
        assert (item.id, item.fence) not in self.calls
        self.calls.add((item.id, item.fence))
        hands.ready.append((item, _answered(item, answer, OURS[order.product.key])))

    def settle(self, worker: int) -> None:
        """The committer, and what the lane does once it is stored."""
        hands = self._busy(worker, lambda one: one.ready)
        if not hands.ready:
            return
        item, outcome = hands.ready.pop(0)
        before = self.database.evaluation_jobs.find_one({"_id": item.handle.id})
        lost = hands.jobs.settle([(item, outcome)])
        after = self.database.evaluation_jobs.find_one({"_id": item.handle.id})
        assert before is not None
        assert after is not None
        mine = before["fence"] == item.fence and before["status"] == "processing"
        assert (item.id in lost) == (not mine)
        assert mine or after == before, "a write under an old fence"
        if mine:
            self.finished[item.order_id] += after["status"] == "completed"
            self.advance.order(item.order_id)

    def die(self, worker: int) -> None:
        """The process is killed: what it held stays `processing` until its lease runs out."""
        hands = self._busy(worker, lambda one: [*one.held, *one.ready, *one.letters])
        hands.held.clear()
        hands.ready.clear()
        hands.letters.clear()

    def freeze(self, worker: int, other: int, *, claims: bool) -> None:
        """A worker sleeps beyond its leases, and goes on later as if nothing had been."""
        hands = self._busy(worker, lambda one: [*one.held, *one.ready, *one.letters])
        items = [*hands.held, *(item for item, _ in hands.ready)]
        mine = {"_id": {"$in": [item.handle.id for item in items]}, "leaseUntil": {"$exists": True}}
        self.database.evaluation_jobs.update_many(mine, {"$set": {"leaseUntil": PAST}})
        letters = {"_id": {"$in": [mail.id for mail in hands.letters]}, "leaseUntil": {"$exists": True}}
        self.database.mail_outbox.update_many(letters, {"$set": {"leaseUntil": PAST}})
        self.rescue(other)
        if claims:
            self.come_due()
            self.claim(other)
            self.claim_mail(other)

    def claim_mail(self, worker: int) -> None:
        self.promote()
        self.workers[worker].letters += self.workers[worker].mails.claim(2)

    def send_mail(self, worker: int, answer: str, *, dies: bool) -> None:
        """Hand one mail over; the worker may die before it has written down what came of it."""
        hands = self._busy(worker, lambda one: one.letters)
        if not hands.letters:
            return
        mail = hands.letters.pop(0)
        self.provider.next = answer
        outcome: MailOutcome = self.send(mail, NeverStops())
        if not dies:
            hands.mails.settle([(mail, outcome)])

    def quiet_down(self) -> None:
        """Everybody works properly now, until nothing moves any more."""
        for number in range(WORKERS):
            self.die(number)
        for _ in range(12):
            for number in range(len(self.ids)):
                self.expire(number)
            self.rescue(0)
            self.come_due()
            self.adopt()
            for number in range(len(self.ids)):
                self.look_at(number)
            self.promote()
            self.claim(1)
            self.claim_mail(1)
            busy = bool(self.workers[1].held or self.workers[1].letters)
            while self.workers[1].held:
                self.evaluate(1, "completed")
                self.settle(1)
            while self.workers[1].letters:
                self.send_mail(1, "accepted", dies=False)
            if not busy:
                return
        raise AssertionError("it never came to rest")


def _answered(item: ClaimedJob, answer: str, value: Any) -> JobOutcome:
    if answer == "completed":
        return completed(value)
    failure = Failure(error_class=ErrorClass(answer), code="x")
    after = after_failure(item.attempts, failure, jitter=0.0, fallback=True)
    return Unsuccessful(failure=failure, after=after)


def _after_loss(attempts: Attempts, *, mail: bool) -> Unsuccessful:
    policies = MAIL_POLICIES if mail else POLICIES
    after = after_failure(attempts, LOST, jitter=0.0, fallback=not mail, policies=policies)
    return Unsuccessful(failure=LOST, after=after)
