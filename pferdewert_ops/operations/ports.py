"""What the operations need of the world: narrow protocols, and the values that cross them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from pferdewert_ops.domain.failures import Usage
from pferdewert_ops.domain.jobs import AfterFailure, Attempts, CancelReason, Failure
from pferdewert_ops.domain.letters import Handover, Letter, MailKind
from pferdewert_ops.domain.orders import OrderView
from pferdewert_ops.domain.products import Country, Product


class Clock(Protocol):
    """The time, injected. `now` is aware UTC; `monotonic` is seconds, for durations only."""

    def now(self) -> datetime: ...
    def monotonic(self) -> float: ...


class Failpoints(Protocol):
    """Named places between two effects, at which a test may end the process. Unarmed, reaching one does nothing."""

    def reach(self, name: str) -> None: ...


# --- the model ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRequest:
    """One model call. `answer_schema`: a JSON schema where the answer has to be an object, else free Markdown."""

    model: str
    system: str
    prompt: str
    max_tokens: int
    answer_schema: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAnswer:
    """The whole answer. `text` is Markdown, or JSON where a schema was given."""

    text: str
    model: str
    stop_reason: str
    usage: Usage
    request_id: str | None


class Watch(Protocol):
    """How a running call tells of its progress and learns that it should stop."""

    def progress(self, output_tokens: int) -> None: ...
    def cancelled(self) -> bool: ...


class EvaluationCancelled(Exception):  # noqa: N818 - an order from inside, not a failure
    """The watch said stop; `usage` is what was billed so far."""

    def __init__(self, usage: Usage | None = None) -> None:
        super().__init__("the evaluation was cancelled")
        self.usage = usage


class Evaluator(Protocol):
    def evaluate(self, request: EvaluationRequest, *, deadline: timedelta, watch: Watch) -> ModelAnswer:
        """Make one call. Raises OperationFailed, or EvaluationCancelled where `watch` said so."""
        ...


# --- orders ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What is delivered: a Bewertung's Markdown, or a certificate's `zertifikat_data`, and who wrote it."""

    value: str | Mapping[str, Any]
    model: str
    model_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order as loaded. `form` is empty where only a look was taken; `surplus_jobs` are duplicates of its job.

    `watched`: a person took it in, and it has not been settled since.
    """

    view: OrderView
    product: Product
    known: bool
    form: Mapping[str, object] = field(default_factory=dict)
    address: str | None = None
    customer_name: str | None = None
    customer_country: Country = Country.DE
    watched: bool = False
    surplus_jobs: tuple[str, ...] = ()


class DeliveryOutcome(StrEnum):
    DELIVERED = "delivered"
    ALREADY_OURS = "already_ours"
    KEPT_OTHERS = "kept_others"
    NOT_PAID = "not_paid"
    NO_RESULT = "no_result"
    GONE = "gone"


class Orders(Protocol):
    """The shop's order documents, seen with their jobs, mails and our record of them."""

    def find(self, order_id: str) -> Order | None: ...
    def look(self, order_ids: Sequence[str]) -> list[Order]: ...
    def since(self, moment: datetime) -> Iterator[list[Order]]: ...
    def watched(self) -> Iterator[list[Order]]: ...
    def unwatch(self, order_ids: Sequence[str]) -> None: ...
    def deliver(self, order_id: str) -> DeliveryOutcome: ...
    def show_status(self, order_id: str, status: str) -> None: ...
    def remember(self, order_ids: Sequence[str]) -> None: ...
    def take_in(self, order_id: str) -> None: ...


class Jobs(Protocol):
    """Jobs as records: what passes and operators do to them. Each method changes nothing if the state moved on."""

    def make(self, order_id: str) -> bool: ...
    def mark_paid(self, job_id: str) -> bool: ...
    def revive(self, job_id: str, *, actor: str, expected: Sequence[str]) -> bool: ...
    def cancel(self, job_id: str, reason: CancelReason) -> bool: ...
    def adopt(self, since: datetime) -> tuple[list[str], list[str]]: ...


class Mails(Protocol):
    """The outbox as records."""

    def owe(self, order_id: str, kind: MailKind, *, with_bcc: bool = False) -> bool: ...


class Findings(Protocol):
    """What only a person can settle. Opening twice keeps one; `close` ends it when the facts agree again."""

    def open(self, kind: str, subject: str, detail: str) -> bool: ...
    def close(self, kind: str, subject: str) -> None: ...


# --- queues ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedJob:
    """A job that this process holds. `handle` is the adapter's own; nobody else looks into it."""

    handle: Any
    id: str
    order_id: str
    attempts: Attempts
    paid: bool
    fence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    result: Result
    usage: Usage
    cost_micro: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsuccessful:
    """An attempt that failed, and what becomes of the job or mail now."""

    failure: Failure
    after: AfterFailure
    cost_micro: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    reason: CancelReason


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedBack:
    """Neither failed nor done: the worker stops, or the time is not right. No attempt is spent."""

    wait: timedelta = timedelta(0)


JobOutcome = Completed | Unsuccessful | Cancelled | HandedBack


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedMail:
    """A mail that this process holds. `letter` and `handed_over_at` are set once it was handed over before."""

    handle: Any
    id: str
    order_id: str
    kind: MailKind
    attempts: Attempts
    fence: int
    key: str
    with_bcc: bool
    transport: str | None
    letter: Letter | None
    handed_over_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    provider_id: str
    transport: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncertain:
    """The mail may have gone out or not, and only a person with the provider's log can tell."""

    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppressed:
    """No longer owed; it was never handed over."""

    reason: str


MailOutcome = Sent | Uncertain | Suppressed | Unsuccessful | HandedBack


class MailTransport(Protocol):
    """`repeatable`: whether the same hand-over, with the same key and body, may be made again without a second mail."""

    name: str

    def hand_over(self, letter: Letter, *, key: str) -> Handover: ...
    def repeatable(self, first_handed_over: datetime, now: datetime) -> bool: ...


class MailHandovers(Protocol):
    """The written intent: stored under the claim's fence before the provider hears of the mail."""

    def mark_handed_over(self, mail: ClaimedMail, letter: Letter, transport: str) -> datetime | None: ...
