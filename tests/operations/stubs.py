"""Stand-ins that answer as they are told and remember what they were asked; no behaviour of their own."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pferdewert_ops.domain.failures import Usage
from pferdewert_ops.domain.jobs import Attempts
from pferdewert_ops.domain.letters import Accepted, Handover, Letter, MailKind
from pferdewert_ops.domain.orders import Delivery, OrderView, Payment
from pferdewert_ops.domain.products import BEWERTUNG, Product
from pferdewert_ops.operations.ports import ClaimedJob, ClaimedMail, EvaluationRequest, ModelAnswer, Order, Watch

NOW = datetime(2026, 1, 20, 12, 0, tzinfo=UTC)
ORDER_ID = "65a0000000000000000000aa"
FORM: dict[str, object] = {
    "rasse": "Hannoveraner",
    "alter": 8,
    "geschlecht": "Wallach",
    "stockmass": 168,
    "haupteignung": "Dressur",
    "ausbildung": "L-Dressur",
    "land": "DE",
}


def order(product: Product = BEWERTUNG, *, form: dict[str, object] | None = None, **view: Any) -> Order:
    """A paid order of five minutes ago; keywords change how it stands."""
    made = NOW - timedelta(minutes=5)
    plain = OrderView(
        order_id=ORDER_ID,
        product=product.key,
        created_at=made,
        taken_in=True,
        payment=Payment.PAID,
        paid_at=made,
        has_address=True,
    )
    return Order(
        view=replace(plain, **view),
        product=product,
        known=True,
        form=FORM if form is None else form,
        address="kundin@example.org",
        customer_name="Anna Beispiel",
    )


def delivered(**view: Any) -> Order:
    return order(delivery=Delivery.OURS, **view)


def claimed_job(**changes: Any) -> ClaimedJob:
    plain = ClaimedJob(handle=None, id="j", order_id=ORDER_ID, attempts=Attempts(spent=1), paid=True, fence=3)
    return replace(plain, **changes)


def claimed_mail(kind: MailKind = MailKind.RESULT, **changes: Any) -> ClaimedMail:
    plain = ClaimedMail(
        handle=None,
        id=f"{ORDER_ID}:{kind}",
        order_id=ORDER_ID,
        kind=kind,
        attempts=Attempts(spent=1, limit=40),
        fence=3,
        key="key",
        with_bcc=False,
        transport=None,
        letter=None,
        handed_over_at=None,
    )
    return replace(plain, **changes)


class StoppedClock:
    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return 7.0


class OneOrder:
    """The orders, of which there is this one or none."""

    def __init__(self, found: Order | None) -> None:
        self.found = found

    def find(self, order_id: str) -> Order | None:
        return self.found if order_id == ORDER_ID else None

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} is none of this operation's business")


@dataclass
class Places:
    """The failpoints that were passed; `effects` are written among them by whoever has one."""

    passed: list[str] = field(default_factory=list)

    def reach(self, name: str) -> None:
        self.passed.append(name)


class Asked:
    """A model that answers in turn, or raises what it is given."""

    def __init__(self, *answers: ModelAnswer | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[EvaluationRequest] = []

    def evaluate(self, request: EvaluationRequest, *, deadline: timedelta, watch: Watch) -> ModelAnswer:
        del deadline, watch
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class OpenFor:
    """Breakers that let through calls of these models only."""

    def __init__(self, *models: str) -> None:
        self.models = models
        self.asked: list[str] = []

    def admitting(self, dependency: str) -> bool:
        return dependency.removeprefix("model:") in self.models

    def call(self, dependency: str) -> AbstractContextManager[object] | None:
        self.asked.append(dependency)
        return nullcontext() if self.admitting(dependency) else None


class Book:
    def __init__(self) -> None:
        self.booked: list[tuple[str, int, str]] = []

    def book(self, *, model: str, usage: Usage, micro: int, key: str) -> None:
        del usage
        self.booked.append((model, micro, key))


class Watching:
    """A watch that says stop, or does not."""

    def __init__(self, *, stop: bool = False) -> None:
        self.stop = stop

    def progress(self, output_tokens: int) -> None:
        pass

    def cancelled(self) -> bool:
        return self.stop


class Desk:
    """Written intents: marks every letter, unless the claim was lost."""

    def __init__(self, places: Places, *, lost: bool = False) -> None:
        self.marked: list[Letter] = []
        self._places = places
        self._lost = lost

    def mark_handed_over(self, mail: ClaimedMail, letter: Letter, transport: str) -> datetime | None:
        assert transport == "post"
        if self._lost:
            return None
        self._places.passed.append("WRITTEN DOWN")
        self.marked.append(letter)
        return mail.handed_over_at or NOW


class Post:
    """A provider that answers as told."""

    name = "post"

    def __init__(self, places: Places, answer: Handover | None = None, *, repeatable: bool = True) -> None:
        self.sent: list[tuple[Letter, str]] = []
        self._places = places
        self._answer = answer or Accepted(provider_id="p1")
        self._repeatable = repeatable

    def hand_over(self, letter: Letter, *, key: str) -> Handover:
        self._places.passed.append("HANDED OVER")
        self.sent.append((letter, key))
        return self._answer

    def repeatable(self, first_handed_over: datetime, now: datetime) -> bool:
        assert (first_handed_over, now) == (NOW, NOW) or first_handed_over < now
        return self._repeatable
