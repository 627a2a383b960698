"""The comparison at the end of the demonstration: right is right, and every planted wrong is found."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pferdewert_ops.domain.failures import ErrorClass
from pferdewert_ops.sandbox.demo.comparison import differences
from pferdewert_ops.sandbox.demo.fates import Call, Found
from pferdewert_ops.sandbox.demo.orders import DemoOrder, stored_bytes
from tests.unit.demo_support import FIRST, ORDERS, SECOND, answer, as_it_should_be, history, order_where, written

PLAIN = "names it as text"  # a certificate, delivered and mailed
TEXT = "premium"  # a Bewertung, delivered and mailed


def problems(order: DemoOrder, found: Found | None) -> list[str]:
    return differences(written(order), order.kind.expectation, found)


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.kind.words)
def test_an_order_that_is_where_it_should_be_has_no_differences(order: DemoOrder) -> None:
    assert problems(order, as_it_should_be(order)) == []


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.kind.words)
def test_an_order_whose_document_is_gone_is_wrong(order: DemoOrder) -> None:
    assert problems(order, None) == ["the document is gone"]


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.kind.words)
def test_a_field_too_many_is_found_in_every_kind(order: DemoOrder) -> None:
    assert _with_document(order, refundedBy="somebody")


@pytest.mark.parametrize(
    "order", [order for order in ORDERS if not order.kind.expectation.delivered], ids=lambda order: order.kind.words
)
def test_untouched_means_to_the_byte(order: DemoOrder) -> None:
    found = as_it_should_be(order)
    moved = dict(sorted(found.document.items()))
    assert problems(order, replace(found, raw=stored_bytes(moved)))


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.kind.words)
@pytest.mark.parametrize("kind", ["result", "operator", "delay"])
def test_a_mail_too_many_is_found_in_every_kind(order: DemoOrder, kind: str) -> None:
    found = as_it_should_be(order)
    assert problems(order, replace(found, accepted=[*found.accepted, kind]))


def test_a_mail_that_only_the_record_has_sent_is_wrong() -> None:
    order = order_where(TEXT)
    assert problems(order, replace(as_it_should_be(order), accepted=["operator"]))


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.kind.words)
def test_a_finding_too_many_or_too_few_is_found_in_every_kind(order: DemoOrder) -> None:
    found = as_it_should_be(order)
    assert problems(order, replace(found, findings=found.findings | {"no_address", "evaluation_failed"}))
    if found.findings:
        assert problems(order, replace(found, findings=frozenset()))


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.kind.words)
def test_a_model_call_too_many_is_found_in_every_kind(order: DemoOrder) -> None:
    found = as_it_should_be(order)
    call = Call(model=FIRST, right=True, answer=answer(order))
    assert problems(order, replace(found, calls=[*found.calls, call]))


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.kind.words)
def test_a_job_too_many_is_found_in_every_kind(order: DemoOrder) -> None:
    found = as_it_should_be(order)
    assert problems(order, replace(found, jobs=[*found.jobs, {"_id": 1, "status": "cancelled"}]))


@pytest.mark.parametrize("order", [order for order in ORDERS if order.kind.jobs], ids=lambda order: order.kind.words)
@pytest.mark.parametrize(
    "change",
    [
        {"status": "processing"},
        {"attempts": 7},
        {"cancelReason": "operator"},
        {"history": history(ErrorClass.AI_TIMEOUT)},
    ],
    ids=str,
)
def test_a_job_in_another_state_is_found_in_every_kind(order: DemoOrder, change: dict[str, Any]) -> None:
    assert _with_job(order, **change)


def test_the_job_of_an_untouched_order_must_be_as_it_was() -> None:
    assert "its job was changed" in _with_job(order_where("40 days ago"), fence=0)


@pytest.mark.parametrize(
    "change",
    [
        {"status": "bezahlt"},
        {"completedAt": None},
        {"ai_model": "error"},
        {"jobId": "another"},
        {"zertifikatNummer": None},
        {"zertifikatNummer": "CERT-42"},
        {"zertifikat_data": {"preisVon": 1}},
        {"rasse": "Esel"},
        {"paymentStatus": "pending"},
        {"paidAt": None},
    ],
    ids=str,
)
def test_a_delivery_that_is_not_exactly_the_jobs_is_wrong(change: dict[str, Any]) -> None:
    assert _with_document(order_where(PLAIN), **change)


def test_a_certificate_keeps_the_number_that_it_had() -> None:
    assert _with_document(order_where("certificate is incomplete"), zertifikatNummer="CERT-2026-000999")


def _swap_results(found: Found, value: Any) -> Found:
    job = {**found.jobs[0], "result": {**found.jobs[0]["result"], "value": value}}
    document = {**found.document, "bewertung": value}
    return replace(found, jobs=[job], document=document)


def test_another_horses_valuation_is_wrong_although_everything_fits_together() -> None:
    order, other = order_where(TEXT), order_where("two jobs")
    found = _swap_results(as_it_should_be(order), answer(other))
    assert "the result is not what the model wrote about this horse" in problems(order, found)


def test_a_text_that_no_validator_should_have_let_through_is_wrong() -> None:
    order = order_where(TEXT)
    english = "This horse is worth between 5,000 and 6,000 EUR. " * 40
    found = _swap_results(as_it_should_be(order), english)
    calls = [Call(model=FIRST, right=True, answer=english)]
    assert any("should not have been accepted" in problem for problem in problems(order, replace(found, calls=calls)))


def test_the_wrong_currency_is_wrong_whatever_the_model_was_asked_for() -> None:
    order = order_where(TEXT)
    assert order.country == "CH"
    text = answer(order).replace("CHF", "EUR")
    found = replace(_swap_results(as_it_should_be(order), text), calls=[Call(model=FIRST, right=True, answer=text)])
    assert any("currency" in problem for problem in problems(order, found))


@pytest.mark.parametrize(("words", "model"), [(TEXT, SECOND), ("refuses twice", FIRST)])
def test_the_wrong_model_is_wrong(words: str, model: str) -> None:
    order = order_where(words)
    found = as_it_should_be(order)
    job = {**found.jobs[0], "result": {**found.jobs[0]["result"], "model": model}}
    assert any("wrote the result" in problem for problem in problems(order, replace(found, jobs=[job])))


# --- what the killed worker held -------------------------------------------------------------------------------------


def _lost(order: DemoOrder, *failures: ErrorClass, calls: int | None = None) -> list[str]:
    """The order as found after these failed attempts, with so many model calls (as many as attempts if None)."""
    found = as_it_should_be(order)
    job = {**found.jobs[0], "history": history(*failures), "attempts": len(failures) + 1}
    right = found.calls[-1]
    wrong = replace(right, right=False)
    made = [wrong] * (len(failures) if calls is None else calls - 1)
    return problems(order, replace(found, jobs=[job], calls=[*made, right]))


def test_an_order_in_the_hands_of_the_killed_worker_may_have_lost_one_attempt() -> None:
    assert _lost(order_where(TEXT), ErrorClass.WORKER_LOST) == []
    assert _lost(order_where(TEXT), ErrorClass.WORKER_LOST, calls=1) == []


def test_but_not_two_and_not_one_by_anything_else() -> None:
    assert _lost(order_where(TEXT), ErrorClass.WORKER_LOST, ErrorClass.WORKER_LOST)
    assert _lost(order_where(TEXT), ErrorClass.AI_TIMEOUT)
    assert _lost(order_where(TEXT), ErrorClass.WORKER_LOST, ErrorClass.AI_TIMEOUT)


def test_the_killed_worker_may_have_taken_the_fault_with_it() -> None:
    order = order_where("529")
    assert _lost(order, ErrorClass.WORKER_LOST) == []
    assert _lost(order, ErrorClass.WORKER_LOST, ErrorClass.OVERLOADED) == []
    assert _lost(order, ErrorClass.OVERLOADED, ErrorClass.OVERLOADED)


def test_the_order_whose_worker_is_killed_must_have_lost_its_attempt() -> None:
    order = order_where("its worker is killed")
    assert _lost(order, ErrorClass.WORKER_LOST) == []
    assert _lost(order)
    assert _lost(order, ErrorClass.NETWORK_ERROR)


def _with_document(order: DemoOrder, **changes: Any) -> list[str]:
    found = as_it_should_be(order)
    document = {key: value for key, value in {**found.document, **changes}.items() if value is not None}
    return problems(order, replace(found, document=document, raw=stored_bytes(document)))


def _with_job(order: DemoOrder, **changes: Any) -> list[str]:
    found = as_it_should_be(order)
    return problems(order, replace(found, jobs=[{**found.jobs[0], **changes}, *found.jobs[1:]]))


def test_every_change_here_is_one() -> None:
    """A planted fault that changes nothing would prove nothing."""
    unchanged: Callable[[DemoOrder], list[str]] = lambda order: _with_document(order) + _with_job(order)  # noqa: E731
    assert unchanged(order_where(PLAIN)) == []
