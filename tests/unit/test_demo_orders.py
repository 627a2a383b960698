"""The orders of the demonstration: every kind, in the shop's shapes, the same for the same seed."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from pferdewert_ops.domain.answers import delivered_certificate, delivered_text
from pferdewert_ops.domain.failures import POLICIES, ErrorClass
from pferdewert_ops.domain.horse import BadInput, Horse, normalise
from pferdewert_ops.domain.orders import IntakeGuard, Limits
from pferdewert_ops.domain.products import BEWERTUNG, WERTGUTACHTEN, Country
from pferdewert_ops.domain.prompts import evaluation_prompt
from pferdewert_ops.sandbox.demo.horses import BRAND
from pferdewert_ops.sandbox.demo.kinds import KINDS, JobShape, Kind, Stored
from pferdewert_ops.sandbox.demo.orders import MOST_ORDERS, demo_orders
from pferdewert_ops.sandbox.valuation_text import read_prompt

NOW = datetime(2026, 11, 22, 14, 0, 0, 123_456, tzinfo=UTC)
ALL = demo_orders(MOST_ORDERS, 7, NOW)


def test_the_first_24_are_of_24_kinds() -> None:
    assert len(KINDS) == 24
    assert {order.kind.words for order in demo_orders(24, 7, NOW)} == {kind.words for kind in KINDS}


@pytest.mark.parametrize("count", [1, 2, 23, 24, 25, 47, 500])
def test_there_are_as_many_as_were_asked_for(count: int) -> None:
    orders = demo_orders(count, 3, NOW)

    assert len(orders) == count
    assert {order.kind.words for order in orders} == {kind.words for kind in KINDS[:count]}
    assert any(order.kind.dies for order in orders)


def test_the_same_seed_gives_the_same_orders_and_another_one_others() -> None:
    assert demo_orders(40, 7, NOW) == demo_orders(40, 7, NOW)
    assert [o.document for o in demo_orders(24, 7, NOW)] != [o.document for o in demo_orders(24, 8, NOW)]
    assert [o.kind.words for o in demo_orders(24, 7, NOW)] != [o.kind.words for o in demo_orders(24, 8, NOW)]


def test_every_id_session_and_brand_is_one_orders_own() -> None:
    ids = [order.id for order in ALL] + [job["_id"] for order in ALL for job in order.jobs]
    for unique in (ids, [order.document["stripeSessionId"] for order in ALL], [order.brand for order in ALL]):
        assert len(unique) == len(set(unique))


def test_what_strikes_only_once_is_there_once() -> None:
    times = Counter(order.kind.words for order in ALL)
    assert all((times[kind.words] == 1) == kind.once for kind in KINDS)


def test_what_feeds_the_breaker_can_never_open_it() -> None:
    feeding = {"rate_limited", "overloaded", "network_error"}
    assert feeding == {word for word in feeding if POLICIES[ErrorClass(word)].feeds_breaker}
    failures = [f for order in ALL for job in order.kind.expectation.jobs for f in job.failures]
    assert sum(POLICIES[failure].feeds_breaker for failure in failures) < 10


def test_no_order_is_a_stranger_that_the_intake_guard_would_hold_back() -> None:
    for kind in KINDS:
        if kind.expectation.delivered:
            assert kind.paid_ago < IntakeGuard().old


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.words)
def test_a_delay_mail_is_expected_exactly_where_one_is_owed(kind: Kind) -> None:
    undelivered = kind.stored is not Stored.VALID and kind.expectation.delivered
    late = undelivered and kind.paid_ago >= Limits().delay_mail_after
    assert ("delay" in kind.expectation.mails) == late


def test_every_dimension_of_the_shop_is_played() -> None:
    assert {kind.product for kind in KINDS} == {BEWERTUNG, WERTGUTACHTEN}
    assert {kind.country for kind in KINDS} == set(Country)
    assert {shape for kind in KINDS for shape in kind.jobs} == set(JobShape)
    assert {kind.stored for kind in KINDS} == set(Stored)
    assert {len(kind.jobs) for kind in KINDS} == {0, 1, 2}
    assert {str(kind.payment) for kind in KINDS} == {"paid", "pending", "failed", "cancelled", "None"}


def test_every_form_can_be_evaluated_but_the_one_that_must_not() -> None:
    for order in ALL:
        horse = normalise(order.document)
        assert isinstance(horse, BadInput) == ("Stockmaß" in order.kind.words)


def test_the_brand_reaches_the_model_and_names_its_order_alone() -> None:
    for order in ALL:
        horse = normalise(order.document)
        if isinstance(horse, Horse):
            asked = evaluation_prompt(horse, order.product).user
            assert BRAND.findall(asked) == [order.brand]
            assert read_prompt(asked).country == order.country


def test_documents_are_in_the_shops_shapes() -> None:
    for order in ALL:
        document, kind = order.document, order.kind
        assert next(iter(document)) == "_id"
        assert {"rasse", "alter", "geschlecht", "stockmass", "haupteignung", "ausbildung"} <= document.keys()
        assert {"status", "stripeSessionId", "erstellt", "user_country"} <= document.keys()
        assert document["erstellt"].microsecond % 1000 == 0
        assert abs(document["_id"].generation_time - document["erstellt"]) < timedelta(seconds=1)
        assert ("pferdeName" in document) == (order.product is WERTGUTACHTEN)
        assert ("paymentStatus" in document) == (kind.payment is not None)
        assert isinstance(document["alter"], str) == kind.old_form
        for job in order.jobs:
            assert str(job["bewertungId"]) == str(order.id)
            assert not {"rank", "fence", "paid"} & job.keys()


def test_stored_results_are_what_the_kind_says() -> None:
    words = {
        Stored.NOTHING: "absent",
        Stored.BLANK: "blank",
        Stored.PLACEHOLDER: "placeholder",
        Stored.VALID: "valid",
        Stored.INCOMPLETE: "incomplete",
    }
    for order in ALL:
        value = order.document.get(order.product.result_field)
        judged = delivered_certificate(value) if order.product is WERTGUTACHTEN else delivered_text(value)
        assert judged == words[order.kind.stored]


def test_who_pays_in_the_middle_is_unpaid_before_and_paid_at_the_end() -> None:
    for order in ALL:
        if order.kind.pays:
            assert order.document["paymentStatus"] == "pending"
            assert "customer_email" not in order.document
            assert order.at_the_end()["paymentStatus"] == "paid"
        else:
            assert order.at_the_end() == order.document
