"""Evaluate one claimed job: check that it is still owed, ask the model, judge the answer."""

import random
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Protocol

from pferdewert_ops.domain.answers import check_certificate, check_valuation
from pferdewert_ops.domain.failures import ErrorClass, OperationFailed, Usage
from pferdewert_ops.domain.horse import BadInput, Horse, normalise
from pferdewert_ops.domain.jobs import CancelReason, Failure, Stage, after_failure
from pferdewert_ops.domain.orders import Delivery, Limits, Payment, can_still_be_paid
from pferdewert_ops.domain.products import WERTGUTACHTEN, Product
from pferdewert_ops.domain.prompts import Prompt, evaluation_prompt
from pferdewert_ops.domain.rejections import Rejected
from pferdewert_ops.domain.spending import ModelPrices, cost
from pferdewert_ops.operations.ports import (
    Cancelled,
    ClaimedJob,
    Clock,
    Completed,
    EvaluationCancelled,
    EvaluationRequest,
    Evaluator,
    Failpoints,
    HandedBack,
    JobOutcome,
    ModelAnswer,
    Order,
    Orders,
    Result,
    Unsuccessful,
    Watch,
)


class Circuits(Protocol):
    """The fleet's breakers. `call` is None while the dependency rests; otherwise the call is made inside it."""

    def admitting(self, dependency: str) -> bool: ...
    def call(self, dependency: str) -> AbstractContextManager[object] | None: ...


class Ledger(Protocol):
    """Where every model call is booked, once per key."""

    def book(self, *, model: str, usage: Usage, micro: int, key: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """Which models answer, within what bounds, at what price (USD per million tokens; `eur_per_usd` converts)."""

    primary: str
    fallback: str | None
    prices: Mapping[str, ModelPrices]
    eur_per_usd: Decimal
    max_tokens: int = 16_000
    deadline: timedelta = timedelta(seconds=300)


# How long a job rests that was claimed although no model takes calls right now.
BREAKER_WAIT = timedelta(seconds=15)


class EvaluateOrder:
    """The handler of the evaluation queue: a claimed job in, its outcome out. Writes nothing but the ledger."""

    def __init__(  # noqa: PLR0913 - every outside world that one evaluation touches, named once
        self,
        *,
        orders: Orders,
        evaluator: Evaluator,
        circuits: Circuits,
        ledger: Ledger,
        clock: Clock,
        failpoints: Failpoints,
        models: Models,
        limits: Limits,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._orders = orders
        self._evaluator = evaluator
        self._circuits = circuits
        self._ledger = ledger
        self._clock = clock
        self._failpoints = failpoints
        self._models = models
        self._limits = limits
        self._jitter = jitter

    def __call__(self, job: ClaimedJob, watch: Watch) -> JobOutcome:
        self._failpoints.reach("claimed")
        order = self._orders.find(job.order_id)
        if order is None:
            return self.failed(job, Failure(error_class=ErrorClass.BAD_INPUT, code="order_missing"))
        reason = why_not(order, job, self._clock, self._limits)
        if reason is not None:
            return Cancelled(reason=reason)
        horse = normalise(order.form)
        if isinstance(horse, BadInput):
            code = f"{horse.field}:{horse.code}"
            return self.failed(job, Failure(error_class=ErrorClass.BAD_INPUT, code=code))
        return self._ask(job, order, horse, watch)

    def failed(self, job: ClaimedJob, failure: Failure, *, cost_micro: int = 0) -> Unsuccessful:
        """What becomes of a job whose attempt ended with this failure."""
        after = after_failure(job.attempts, failure, jitter=self._jitter(), fallback=self._models.fallback is not None)
        return Unsuccessful(failure=failure, after=after, cost_micro=cost_micro)

    def _ask(self, job: ClaimedJob, order: Order, horse: Horse, watch: Watch) -> JobOutcome:
        prompt = evaluation_prompt(horse, order.product, max_tokens=self._models.max_tokens)
        paid = order.view.payment is Payment.PAID
        for model in self._candidates(job.attempts.stage, paid=paid):
            call = self._circuits.call(f"model:{model}")
            if call is not None:
                return self._call(job, order, horse, prompt, model, call, watch)
        return HandedBack(wait=BREAKER_WAIT)

    def _candidates(self, stage: Stage, *, paid: bool) -> list[str]:
        """The models to try, in order: the second one for a payer, or once the first one's attempts ran out."""
        fallback = [self._models.fallback] if self._models.fallback is not None else []
        if stage is Stage.FALLBACK and fallback:
            return fallback
        return [self._models.primary, *(fallback if paid else [])]

    def _call(
        self,
        job: ClaimedJob,
        order: Order,
        horse: Horse,
        prompt: Prompt,
        model: str,
        call: AbstractContextManager[object],
        watch: Watch,
    ) -> JobOutcome:
        request = EvaluationRequest(
            model=model,
            system=prompt.system,
            prompt=prompt.user,
            max_tokens=prompt.max_tokens,
            answer_schema=prompt.answer_schema,
        )
        began = self._clock.monotonic()
        try:
            with call:
                answer = self._evaluator.evaluate(request, deadline=self._models.deadline, watch=watch)
        except EvaluationCancelled as stopped:
            self._book(job, model, stopped.usage)
            return HandedBack()
        except OperationFailed as failed:
            micro = self._book(job, model, failed.usage)
            failure = Failure(error_class=failed.error_class, code=failed.code, retry_after=failed.retry_after)
            return self.failed(job, failure, cost_micro=micro)
        self._failpoints.reach("answered")
        micro = self._book(job, model, answer.usage)
        self._failpoints.reach("evaluated")
        checked = judge(answer, order.product, horse)
        if isinstance(checked, Rejected):
            failure = Failure(error_class=checked.error_class, code=str(checked.code))
            return self.failed(job, failure, cost_micro=micro)
        return Completed(result=checked, usage=answer.usage, cost_micro=micro, seconds=self._clock.monotonic() - began)

    def _book(self, job: ClaimedJob, model: str, usage: Usage | None) -> int:
        if usage is None:
            return 0
        prices = self._models.prices.get(model)
        micro = 0 if prices is None else cost(usage, prices, self._models.eur_per_usd)
        self._ledger.book(model=model, usage=usage, micro=micro, key=f"{job.id}:{job.fence}")
        return micro


def why_not(order: Order, job: ClaimedJob, clock: Clock, limits: Limits) -> CancelReason | None:
    """Why this job must not be evaluated any more, by the facts of this moment; None if it is owed."""
    view = order.view
    if view.job is not None and view.job.id != job.id:
        return CancelReason.DUPLICATE
    if view.delivery is not Delivery.NONE:
        return CancelReason.ALREADY_DELIVERED
    if not view.taken_in or view.payment is Payment.REFUNDED:
        return CancelReason.NO_LONGER_OWED
    if view.payment in {Payment.FAILED, Payment.CANCELLED}:
        return CancelReason.PAYMENT_FAILED
    if view.payment is not Payment.PAID and not can_still_be_paid(view, clock.now(), limits):
        return CancelReason.UNPAID_TOO_OLD
    return None


def judge(answer: ModelAnswer, product: Product, horse: Horse) -> Result | Rejected:
    """The answer as what will be delivered, if it is fit for that."""
    if product is not WERTGUTACHTEN:
        currency = product.valuation_currency(horse.land)
        text = check_valuation(answer.text, stop_reason=answer.stop_reason, currency=currency)
        if isinstance(text, Rejected):
            return text
        return Result(value=text.text, model=answer.model.lower(), model_version=answer.model)
    certificate = check_certificate(answer.text, stop_reason=answer.stop_reason)
    if isinstance(certificate, Rejected):
        return certificate
    return Result(value=certificate.zertifikat_data(), model=answer.model.lower(), model_version=answer.model)
