"""One evaluation: what is no longer owed costs nothing, what is answered is judged, what fails says how."""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from pferdewert_ops.domain.failures import ErrorClass, OperationFailed, Usage
from pferdewert_ops.domain.jobs import Attempts, CancelReason, GiveUp, JobStatus, Release, Retry, Stage
from pferdewert_ops.domain.orders import Delivery, JobView, Limits, Payment
from pferdewert_ops.domain.products import BEWERTUNG, WERTGUTACHTEN
from pferdewert_ops.domain.spending import ModelPrices
from pferdewert_ops.operations.evaluate import BREAKER_WAIT, EvaluateOrder, Models
from pferdewert_ops.operations.ports import (
    Cancelled,
    Completed,
    EvaluationCancelled,
    HandedBack,
    JobOutcome,
    ModelAnswer,
    Order,
    Unsuccessful,
)
from tests.operations.stubs import (
    FORM,
    NOW,
    Asked,
    Book,
    OneOrder,
    OpenFor,
    Places,
    StoppedClock,
    Watching,
    claimed_job,
    order,
)
from tests.shop_documents.answers import ACCEPTED_CERTIFICATES, ACCEPTED_VALUATIONS
from tests.shop_documents.results import PLACEHOLDER, SWISS_VALUATION, VALUATION

PRICES = ModelPrices(input=Decimal(4), output=Decimal(20), cache_write=Decimal(5), cache_read=Decimal("0.4"))
MODELS = Models(primary="First", fallback="second", prices={"First": PRICES}, eur_per_usd=Decimal(1))
USAGE = Usage(input_tokens=1_000, output_tokens=100)  # 6,000 millionths
LIMITS = Limits()


def answer(text: str = VALUATION, stop_reason: str = "end_turn") -> ModelAnswer:
    return ModelAnswer(text=text, model="First-20260101", stop_reason=stop_reason, usage=USAGE, request_id="r")


class Scene:
    """One order, one model and everything that one evaluation touches."""

    def __init__(
        self, found: Order | None, *answers: ModelAnswer | Exception, open_for: tuple[str, ...] = ("First", "second")
    ) -> None:
        self.model = Asked(*answers)
        self.circuits = OpenFor(*open_for)
        self.book = Book()
        self.places = Places()
        self._found = found

    def run(self, models: Models = MODELS, **job: Any) -> JobOutcome:
        evaluate = EvaluateOrder(
            orders=OneOrder(self._found),
            evaluator=self.model,
            circuits=self.circuits,
            ledger=self.book,
            clock=StoppedClock(),
            failpoints=self.places,
            models=models,
            limits=LIMITS,
            jitter=lambda: 0.0,
        )
        return evaluate(claimed_job(**job), Watching())


# --- what is not owed costs nothing ------------------------------------------------------------------------------

JOB = JobView(id="j", status=JobStatus.PROCESSING, paid=True)
OLD = NOW - LIMITS.unpaid_max_age


@pytest.mark.parametrize(
    ("view", "reason"),
    [
        ({"job": JobView(id="other", status=JobStatus.PROCESSING, paid=True)}, CancelReason.DUPLICATE),
        ({"delivery": Delivery.OURS}, CancelReason.ALREADY_DELIVERED),
        ({"delivery": Delivery.OTHERS}, CancelReason.ALREADY_DELIVERED),
        ({"taken_in": False}, CancelReason.NO_LONGER_OWED),
        ({"payment": Payment.REFUNDED}, CancelReason.NO_LONGER_OWED),
        ({"payment": Payment.FAILED}, CancelReason.PAYMENT_FAILED),
        ({"payment": Payment.CANCELLED}, CancelReason.PAYMENT_FAILED),
        ({"payment": Payment.PENDING, "created_at": OLD}, CancelReason.UNPAID_TOO_OLD),
        ({"payment": Payment.UNKNOWN, "created_at": OLD}, CancelReason.UNPAID_TOO_OLD),
    ],
    ids=str,
)
def test_what_is_not_owed_is_cancelled_before_the_model_is_called(view: dict[str, Any], reason: CancelReason) -> None:
    scene = Scene(order(**{"job": JOB, **view}))
    assert scene.run() == Cancelled(reason=reason)
    assert (scene.model.requests, scene.circuits.asked, scene.book.booked) == ([], [], [])


@pytest.mark.parametrize(
    "view",
    [
        {},
        {"job": None},
        {"payment": Payment.PENDING, "created_at": OLD + timedelta(seconds=1)},
        {"payment": Payment.UNKNOWN},
        {"created_at": OLD},
    ],
    ids=str,
)
def test_what_is_owed_is_evaluated(view: dict[str, Any]) -> None:
    scene = Scene(order(**{"job": JOB, **view}), answer())
    assert isinstance(scene.run(), Completed)


@pytest.mark.parametrize(
    ("form", "code"),
    [({**FORM, "stockmass": 0}, "stockmass:"), ({**FORM, "alter": ""}, "alter:"), ({**FORM, "rasse": None}, "rasse:")],
    ids=["height", "age", "breed"],
)
def test_a_form_that_cannot_be_used_fails_at_once(form: dict[str, object], code: str) -> None:
    scene = Scene(order(form=form))
    outcome = scene.run()
    assert isinstance(outcome, Unsuccessful)
    assert outcome.failure.error_class is ErrorClass.BAD_INPUT
    assert outcome.failure.code.startswith(code)
    assert outcome.after == GiveUp(failures={ErrorClass.BAD_INPUT: 1})
    assert scene.model.requests == []


def test_an_order_that_is_gone_fails_at_once() -> None:
    outcome = Scene(None).run()
    assert isinstance(outcome, Unsuccessful)
    assert (outcome.failure.code, type(outcome.after)) == ("order_missing", GiveUp)


# --- which model -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("open_for", "payment", "stage", "called"),
    [
        (("First", "second"), Payment.PAID, Stage.PRIMARY, "First"),
        (("second",), Payment.PAID, Stage.PRIMARY, "second"),
        (("second",), Payment.PENDING, Stage.PRIMARY, None),
        ((), Payment.PAID, Stage.PRIMARY, None),
        (("First", "second"), Payment.PENDING, Stage.FALLBACK, "second"),
        (("First",), Payment.PAID, Stage.FALLBACK, None),
    ],
)
def test_the_second_model_is_for_payers_and_for_who_used_up_the_first(
    open_for: tuple[str, ...], payment: Payment, stage: Stage, called: str | None
) -> None:
    scene = Scene(order(payment=payment), answer(), open_for=open_for)
    outcome = scene.run(attempts=Attempts(spent=1, stage=stage))
    assert [request.model for request in scene.model.requests] == ([] if called is None else [called])
    assert isinstance(outcome, Completed) if called else outcome == HandedBack(wait=BREAKER_WAIT)


def test_without_a_second_model_the_first_one_goes_on() -> None:
    alone = Models(primary="First", fallback=None, prices={}, eur_per_usd=Decimal(1))
    scene = Scene(order(), answer())
    assert isinstance(scene.run(alone, attempts=Attempts(spent=3, stage=Stage.FALLBACK)), Completed)
    assert [request.model for request in scene.model.requests] == ["First"]


# --- the answer --------------------------------------------------------------------------------------------------


def test_a_good_answer_is_a_result_with_its_cost() -> None:
    scene = Scene(order(), answer())
    outcome = scene.run()
    assert isinstance(outcome, Completed)
    assert outcome.result.value == VALUATION.strip()
    assert (outcome.result.model, outcome.result.model_version) == ("first-20260101", "First-20260101")
    assert (outcome.usage, outcome.cost_micro, outcome.seconds) == (USAGE, 6_000, 0.0)
    assert scene.book.booked == [("First", 6_000, "j:3")]
    assert scene.places.passed == ["claimed", "answered", "evaluated"]


def test_a_certificate_is_an_object() -> None:
    accepted = ACCEPTED_CERTIFICATES[0]
    certificate = order(WERTGUTACHTEN, form={**FORM, "pferdeName": "Feuer"})
    scene = Scene(certificate, answer(json.dumps(accepted.data)))
    outcome = scene.run()
    assert isinstance(outcome, Completed)
    assert outcome.result.value == accepted.data
    assert scene.model.requests[0].answer_schema is not None
    plain = Scene(order(), answer())
    plain.run()
    assert plain.model.requests[0].answer_schema is None


@pytest.mark.parametrize("accepted", ACCEPTED_VALUATIONS, ids=lambda accepted: accepted.name)
def test_the_currency_is_that_of_the_horses_country(accepted: Any) -> None:
    swiss = accepted.currency == "CHF"
    right, wrong = ("CH", "DE") if swiss else ("DE", "CH")
    assert isinstance(Scene(order(form={**FORM, "land": right}), answer(accepted.text)).run(), Completed)
    assert isinstance(Scene(order(form={**FORM, "land": wrong}), answer(accepted.text)).run(), Unsuccessful)


@pytest.mark.parametrize(
    ("given", "error_class"),
    [
        (answer(stop_reason="refusal"), ErrorClass.REFUSAL),
        (answer(stop_reason="max_tokens"), ErrorClass.TRUNCATED),
        (answer(stop_reason="pause_turn"), ErrorClass.INVALID_OUTPUT),
        (answer(""), ErrorClass.INVALID_OUTPUT),
        (answer(PLACEHOLDER), ErrorClass.INVALID_OUTPUT),
        (answer(ACCEPTED_VALUATIONS[0].english), ErrorClass.INVALID_OUTPUT),
        (answer(SWISS_VALUATION), ErrorClass.INVALID_OUTPUT),
    ],
    ids=["refusal", "cut", "paused", "empty", "placeholder", "english", "swiss"],
)
def test_a_bad_answer_costs_and_counts(given: ModelAnswer, error_class: ErrorClass) -> None:
    scene = Scene(order(), given)
    outcome = scene.run()
    assert isinstance(outcome, Unsuccessful)
    assert (outcome.failure.error_class, outcome.cost_micro) == (error_class, 6_000)
    assert isinstance(outcome.after, Retry)
    assert scene.book.booked == [("First", 6_000, "j:3")]


@pytest.mark.parametrize("form", [None, {**FORM, "pferdeName": "Feuer"}], ids=["valuation", "certificate"])
@pytest.mark.parametrize("text", ["null", "[]", "{}", "{", '"Text"', "NaN", "[" * 5_000])
def test_an_answer_of_another_shape_is_no_crash(form: dict[str, object] | None, text: str) -> None:
    outcome = Scene(order(WERTGUTACHTEN if form else BEWERTUNG, form=form), answer(text)).run()
    assert isinstance(outcome, Unsuccessful)
    assert outcome.failure.error_class is ErrorClass.INVALID_OUTPUT


# --- failures ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error_class", [one for one in ErrorClass if not one.value.startswith("mail")])
def test_a_failed_call_becomes_what_its_class_says(error_class: ErrorClass) -> None:
    hour = timedelta(hours=1)
    failed = OperationFailed(error_class=error_class, code="c", retry_after=hour, usage=USAGE)
    scene = Scene(order(), failed)
    outcome = scene.run()
    assert isinstance(outcome, Unsuccessful)
    assert (outcome.failure.error_class, outcome.failure.code, outcome.cost_micro) == (error_class, "c", 6_000)
    if isinstance(outcome.after, Retry | Release):
        assert outcome.after.wait == hour
    assert scene.book.booked == [("First", 6_000, "j:3")]


def test_what_was_not_billed_is_not_booked() -> None:
    scene = Scene(order(), OperationFailed(error_class=ErrorClass.OVERLOADED, code="c"))
    outcome = scene.run()
    assert isinstance(outcome, Unsuccessful)
    assert (outcome.cost_micro, scene.book.booked) == (0, [])


def test_a_call_that_was_told_to_stop_is_handed_back_and_paid_for() -> None:
    scene = Scene(order(), EvaluationCancelled(USAGE))
    assert scene.run() == HandedBack()
    assert scene.book.booked == [("First", 6_000, "j:3")]


def test_a_model_without_a_price_is_booked_at_nothing() -> None:
    scene = Scene(order(), answer(), open_for=("second",))
    outcome = scene.run()
    assert isinstance(outcome, Completed)
    assert (outcome.cost_micro, scene.book.booked) == (0, [("second", 0, "j:3")])


def test_a_bug_is_not_swallowed_here() -> None:
    with pytest.raises(ZeroDivisionError):
        Scene(order(), ZeroDivisionError()).run()
