"""Where settings become adapters and operations: one open shop, from which every command and the worker take."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from pymongo.database import Database
from pymongo.errors import PyMongoError

from pferdewert_ops.adapters.failpoints import Armed, Unarmed, failpoints
from pferdewert_ops.adapters.mongo import connection, documents, schema
from pferdewert_ops.adapters.mongo.breakers import SharedBreaker
from pferdewert_ops.adapters.mongo.circuits import circuit
from pferdewert_ops.adapters.mongo.evaluation_jobs import MongoJobs
from pferdewert_ops.adapters.mongo.findings import MongoFindings
from pferdewert_ops.adapters.mongo.mail_outbox import MongoMails
from pferdewert_ops.adapters.mongo.orders import MongoOrders
from pferdewert_ops.adapters.mongo.settings import FleetSettings
from pferdewert_ops.adapters.mongo.spending import Spending
from pferdewert_ops.adapters.system import Identity, SystemClock, own_identity
from pferdewert_ops.config import Settings
from pferdewert_ops.domain.breaker import BreakerLimits, BreakerMode, probe_is_due
from pferdewert_ops.domain.failures import Usage
from pferdewert_ops.domain.orders import IntakeGuard, Limits, Step
from pferdewert_ops.domain.spending import ModelPrices
from pferdewert_ops.operations.advance import Advance
from pferdewert_ops.operations.evaluate import EvaluateOrder, Models
from pferdewert_ops.operations.one_by_one import OneByOne
from pferdewert_ops.operations.ports import Evaluator, MailTransport, Order
from pferdewert_ops.operations.send_mail import Mailing, SendMail
from pferdewert_ops.operations.survey import Survey

if TYPE_CHECKING:
    from pymongo import MongoClient

Document = dict[str, Any]
Tell = Callable[..., None]

# How many calls may be made while a dependency is closed: the lane's own concurrency is the limit then.
UNLIMITED = 1_000_000_000
# An election takes up to 12 s; a booking is tried for somewhat longer than that.
BOOKING_SECONDS = 15


def silent(event: str, **fields: object) -> None:
    """For commands that show their own result and log nothing."""


class Shop:
    """One open connection to the shop's database, and everything that is built on it. Close it, or use `with`."""

    def __init__(self, settings: Settings, *, tell: Tell = silent) -> None:
        self.settings = settings
        self.tell = tell
        self.clock = SystemClock()
        self.identity: Identity = own_identity(settings.host_identity)
        self.client: MongoClient[Document] = connection.open_client(
            settings.required_mongodb_uri, name="pwops", most=max(100, settings.concurrency + 20)
        )
        self.database: Database[Document] = connection.database_of(self.client, settings.database)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.client.close()

    # --- what the fleet shares -------------------------------------------------------------------------------

    @cached_property
    def fleet(self) -> FleetSettings:
        return FleetSettings(self.database)

    @cached_property
    def horizon(self) -> datetime:
        """The stored horizon. The first writing pass on a database stores it, and says so."""
        at, is_new = self.fleet.first_horizon(self.settings.lookback)
        if is_new:
            self.tell("horizon_set", at=at.isoformat())
        return at

    @cached_property
    def horizon_if_set(self) -> datetime:
        """For passes that only look: without a stored horizon nothing would be taken in yet."""
        return self.fleet.horizon() or self.clock.now() - self.settings.lookback

    # --- records ---------------------------------------------------------------------------------------------

    @cached_property
    def orders(self) -> MongoOrders:
        return MongoOrders(self.database, horizon=self.horizon, reach=self.failpoints.reach)

    @cached_property
    def orders_to_look_at(self) -> MongoOrders:
        return MongoOrders(self.database, horizon=self.horizon_if_set)

    @cached_property
    def jobs(self) -> MongoJobs:
        return MongoJobs(self.database)

    @cached_property
    def mails(self) -> MongoMails:
        return MongoMails(self.database)

    @cached_property
    def findings(self) -> MongoFindings:
        return MongoFindings(self.database)

    @cached_property
    def spending(self) -> Spending:
        return Spending(self.database[documents.SPEND])

    @cached_property
    def failpoints(self) -> Unarmed | Armed:
        return failpoints(self.settings.failpoint, self.settings.sandbox_marker, self.client)

    def migrate(self) -> list[schema.Change]:
        return schema.apply(self.database)

    # --- rules with hands ------------------------------------------------------------------------------------

    @cached_property
    def limits(self) -> Limits:
        return Limits(unpaid_max_age=self.settings.unpaid_max_age, delay_mail_after=self.settings.delay_mail_after)

    @cached_property
    def advance(self) -> Advance:
        return Advance(
            orders=self.orders,
            jobs=self.jobs,
            mails=self.mails,
            findings=self.findings,
            clock=self.clock,
            failpoints=self.failpoints,
            limits=self.limits,
            tell_operators=bool(self.settings.operators),
            on_step=self._tell_step,
        )

    def _tell_step(self, order: Order, step: Step) -> None:
        self.tell("step", order=order.view.order_id, step=step.kind.value, why=step.why.value)

    @cached_property
    def one_by_one(self) -> OneByOne:
        """For passes over many orders."""
        return OneByOne(advance=self.advance, findings=self.findings, concerns_all=connection.is_away, tell=self.tell)

    @cached_property
    def guard(self) -> IntakeGuard:
        return IntakeGuard(most=self.settings.intake_guard)

    @cached_property
    def survey(self) -> Survey:
        return Survey(
            orders=self.orders,
            advance=self.one_by_one,
            findings=self.findings,
            clock=self.clock,
            limits=self.limits,
            guard=self.guard,
            open_findings=self.findings.open_subjects,
        )

    # --- the model -------------------------------------------------------------------------------------------

    @cached_property
    def models(self) -> Models:
        settings = self.settings
        return Models(
            primary=settings.model_primary,
            fallback=settings.model_fallback,
            prices={name: ModelPrices(**dict(price)) for name, price in settings.model_prices.items()},
            eur_per_usd=settings.eur_per_usd,
            max_tokens=settings.max_output_tokens,
            deadline=settings.evaluation_deadline,
        )

    @cached_property
    def circuits(self) -> "FleetCircuits":
        return FleetCircuits(self.database, self.breaker_limits, self.identity.holder, self.tell)

    @cached_property
    def breaker_limits(self) -> BreakerLimits:
        settings = self.settings
        return BreakerLimits(
            failures=settings.breaker_failures,
            window=settings.breaker_window,
            rest=settings.breaker_rest,
            probe_lease=settings.evaluation_deadline + timedelta(seconds=30),
        )

    def evaluator(self) -> Evaluator:
        """The real one. Importing its SDK takes about a second, so only what calls the model asks for this."""
        from pferdewert_ops.adapters.anthropic_evaluator import API_URL, AnthropicEvaluator

        settings = self.settings
        return AnthropicEvaluator(
            api_key=settings.required_anthropic_api_key,
            base_url=settings.anthropic_base_url or API_URL,
            concurrency=settings.concurrency,
        )

    def evaluate_order(self) -> EvaluateOrder:
        return EvaluateOrder(
            orders=self.orders,
            evaluator=self.evaluator(),
            circuits=self.circuits,
            ledger=Ledger(self.spending, self.tell),
            clock=self.clock,
            failpoints=self.failpoints,
            models=self.models,
            limits=self.limits,
        )

    # --- mail ------------------------------------------------------------------------------------------------

    def transport(self) -> MailTransport | None:
        """How mails go out; None where no provider is configured, and mails wait."""
        settings = self.settings
        if settings.mail_provider == "resend" and settings.resend_api_key is not None:
            from pferdewert_ops.adapters.mail.resend import API_URL, ResendTransport

            return ResendTransport(
                api_key=settings.resend_api_key.get_secret_value(),
                sender=settings.mail_from,
                operator_sender=settings.operator_from,
                base_url=settings.resend_base_url or API_URL,
            )
        if settings.mail_provider == "smtp" and settings.smtp_host is not None:
            from pferdewert_ops.adapters.mail.smtp import SmtpAccount, SmtpSecurity, SmtpTransport

            login = None
            if settings.smtp_user is not None and settings.smtp_password is not None:
                login = (settings.smtp_user, settings.smtp_password.get_secret_value())
            account = SmtpAccount(
                host=settings.smtp_host,
                port=settings.smtp_port,
                security=SmtpSecurity(settings.smtp_security),
                login=login,
            )
            return SmtpTransport(account=account, sender=settings.mail_from, operator_sender=settings.operator_from)
        return None

    def send_mail(self, transport: MailTransport) -> SendMail:
        settings = self.settings
        return SendMail(
            orders=self.orders,
            handovers=self.mails,
            transport=transport,
            clock=self.clock,
            failpoints=self.failpoints,
            mailing=Mailing(shop_url=settings.shop_url, operators=settings.operators, bcc=settings.mail_bcc),
        )


class Ledger:
    """The spending book as the evaluation sees it: a booking survives a failover, and never costs an answer."""

    def __init__(self, spending: Spending, tell: Tell) -> None:
        self._spending = spending
        self._tell = tell

    def book(self, *, model: str, usage: Usage, micro: int, key: str) -> None:
        """Book one attempt, for as long as an election takes. After that the job's own record of its cost has to do."""
        from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

        again = Retrying(
            retry=retry_if_exception_type(PyMongoError),
            stop=stop_after_delay(BOOKING_SECONDS),
            wait=wait_random_exponential(multiplier=0.2, max=2),
            reraise=True,
        )
        try:
            again(self._spending.book, model, usage, micro, key)
        except PyMongoError as error:
            self._tell("booking_lost", key=key, micro_eur=micro, error=type(error).__name__)


class FleetCircuits:
    """Every dependency's shared breaker, opened on first use."""

    def __init__(self, database: Database[Document], limits: BreakerLimits, holder: str, tell: Tell) -> None:
        self._collection = database[documents.BREAKERS]
        self._limits = limits
        self._holder = holder
        self._tell = tell
        self._breakers: dict[str, SharedBreaker] = {}

    def _breaker(self, dependency: str) -> SharedBreaker:
        if dependency not in self._breakers:
            self._breakers[dependency] = SharedBreaker(
                self._collection, dependency, self._limits, self._holder, monotonic=time.monotonic
            )
        return self._breakers[dependency]

    def admitting(self, dependency: str) -> bool:
        return self._breaker(dependency).admitting()

    def places(self, dependency: str) -> int:
        """How many calls may be made next: any number, the one probe, or none."""
        breaker, now = self._breaker(dependency).read()
        if breaker.mode is BreakerMode.CLOSED:
            return UNLIMITED
        return 1 if probe_is_due(breaker, now, self._limits) else 0

    def call(self, dependency: str) -> AbstractContextManager[object] | None:
        shared = self._breaker(dependency)
        admission = shared.admit()
        if admission is None:
            return None
        return circuit(shared, admission, listeners=_listeners(self._tell)).calling()


def _listeners(tell: Tell) -> list[Any]:
    import pybreaker

    class Told(pybreaker.CircuitBreakerListener):
        def state_change(self, cb: Any, old_state: Any, new_state: Any) -> None:
            old = None if old_state is None else old_state.name
            tell("breaker_changed", breaker=cb.name, before=old, after=new_state.name)

    return [Told()]
