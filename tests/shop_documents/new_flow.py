"""Orders of the asynchronous flow: a payment status, and a job that checkout inserted beside the order."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from bson.int64 import Int64

from tests.shop_documents.model import WITHOUT, Document, Shop, ShopDocument
from tests.shop_documents.results import PLACEHOLDER, SWISS_VALUATION, VALUATION

MINUTE, MINUTES_20, HOUR, DAYS_3 = timedelta(minutes=1), timedelta(minutes=20), timedelta(hours=1), timedelta(days=3)


def new_flow(shop: Shop) -> list[ShopDocument]:
    return [*_unpaid(shop), *_paid(shop), *_paid_and_wrong(shop), *_odd_jobs(shop)]


def _unpaid(shop: Shop) -> list[ShopDocument]:
    pending: Document = {"paymentStatus": "pending", "status": "wartend"}
    result = {"bewertung": VALUATION, "ai_model": "claude-opus-5-5", "ai_model_version": "claude-opus-5-5"}
    return [
        _with_job(shop, shop.bewertung("unpaid_young", age=MINUTE, **pending)),
        _with_job(shop, shop.bewertung("unpaid_two_days_old", age=DAYS_3, **pending)),
        shop.bewertung("unpaid_without_a_job", age=MINUTE, **pending),
        _with_job(
            shop,
            shop.bewertung("unpaid_evaluated_in_advance", age=HOUR, **pending),
            status="completed",
            attempts=1,
            result=VALUATION,
            completedAt=shop.now - HOUR + 3 * MINUTE,
        ),
        _with_job(shop, shop.bewertung("payment_failed", age=HOUR, paymentStatus="failed", status="wartend")),
        _with_job(shop, shop.bewertung("payment_cancelled", age=HOUR, paymentStatus="cancelled", status="wartend")),
        shop.bewertung(
            "delivered_never_paid",
            age=DAYS_3,
            facts={"delivered": "valid"},
            paymentStatus="failed",
            **{**result, "status": "fertig"},
        ),
    ]


def _paid(shop: Shop) -> list[ShopDocument]:
    running = {"status": "processing", "attempts": 1, "startedAt": shop.now - MINUTE, "processedBy": "worker-7"}
    finished = {"status": "completed", "attempts": 1, "completedAt": shop.now - MINUTE, "result": VALUATION}
    delivered = {"bewertung": VALUATION, "status": "fertig", "completedAt": shop.now - MINUTE}
    valid = {"delivered": "valid"}
    swiss: dict[str, Any] = {"land": "CH", "user_country": "CH", "customer_email": "kundin@example.ch"}
    return [
        _with_job(shop, _paid_order(shop, "paid_waiting", age=MINUTES_20)),
        _with_job(shop, _paid_order(shop, "paid_waiting_premium_ch", age=MINUTE, **swiss), priority="premium"),
        _with_job(shop, _paid_order(shop, "paid_in_work", age=MINUTES_20, status="in_bearbeitung"), **running),
        _with_job(shop, _paid_order(shop, "paid_evaluated_not_delivered", age=MINUTES_20), **finished),
        _with_job(shop, _paid_order(shop, "paid_delivered", age=HOUR, facts=valid, **delivered), **finished),
        _with_job(
            shop,
            _paid_order(
                shop, "paid_delivered_ch", age=HOUR, facts=valid, **{**delivered, **swiss, "bewertung": SWISS_VALUATION}
            ),
            **{**finished, "result": SWISS_VALUATION},
        ),
        _with_job(
            shop,
            _paid_order(shop, "paid_waits_for_its_retry", age=MINUTES_20, status="retry"),
            attempts=2,
            scheduledAt=shop.now + 5 * MINUTE,
            error="overloaded",
        ),
        _paid_order(shop, "paid_without_a_job", age=MINUTES_20),
        _paid_order(shop, "paid_long_ago_without_a_job", age=DAYS_3),
        _with_job(shop, _paid_order(shop, "paid_with_a_free_code_at", age=MINUTES_20, land="AT", user_country="AT")),
    ]


def _paid_and_wrong(shop: Shop) -> list[ShopDocument]:
    failed = {"status": "failed", "attempts": 8, "error": "ai_timeout"}
    return [
        _with_job(shop, _paid_order(shop, "paid_job_failed", age=HOUR, status="fehler"), **failed),
        _with_job(shop, _paid_order(shop, "paid_job_timed_out", age=HOUR, status="timeout"), **failed),
        _with_job(
            shop,
            _paid_order(shop, "paid_job_stuck", age=DAYS_3, status="in_bearbeitung"),
            status="processing",
            attempts=1,
            startedAt=shop.now - DAYS_3,
            processedBy="worker-gone",
        ),
        _paid_order(
            shop,
            "paid_and_given_the_placeholder",
            age=HOUR,
            facts={"delivered": "placeholder"},
            bewertung=PLACEHOLDER,
            ai_model="fallback",
            status="fertig",
        ),
        _paid_order(shop, "paid_without_a_time", age=HOUR, paidAt=WITHOUT),
        _paid_order(shop, "paid_without_an_address", age=HOUR, customer_email=WITHOUT),
        _paid_order(shop, "paid_with_an_impossible_address", age=HOUR, customer_email="keine"),
        _with_job(
            shop,
            _paid_order(
                shop,
                "paid_unusable_stockmass",
                age=HOUR,
                facts={"horse_usable": False, "bad_field": "stockmass"},
                stockmass=0,
            ),
        ),
        shop.bewertung("payment_status_nobody_knows", age=HOUR, paymentStatus="PAID?", status="bezahlt"),
    ]


def _odd_jobs(shop: Shop) -> list[ShopDocument]:
    text_reference = _paid_order(shop, "job_refers_by_text", age=MINUTES_20)
    return [
        _with_job(shop, text_reference, bewertungId=str(text_reference.document["_id"])),
        _with_job(shop, _paid_order(shop, "job_without_horse_data", age=MINUTES_20), horseData=WITHOUT),
        _with_job(shop, _paid_order(shop, "job_with_broken_horse_data", age=MINUTES_20), horseData="[object Object]"),
        _with_job(
            shop,
            _paid_order(shop, "job_with_the_least_fields", age=MINUTES_20),
            **dict.fromkeys(("priority", "attempts", "maxAttempts", "scheduledAt", "horseData"), WITHOUT),
        ),
        _with_job(
            shop, _paid_order(shop, "job_with_long_integers", age=MINUTES_20), attempts=Int64(1), maxAttempts=Int64(3)
        ),
        _with_job(shop, _paid_order(shop, "job_with_a_priority_nobody_knows", age=MINUTES_20), priority="urgent"),
    ]


def _paid_order(shop: Shop, name: str, *, age: timedelta, **changes: Any) -> ShopDocument:
    paid = {
        "paymentStatus": "paid",
        "status": "bezahlt",
        "paidAt": shop.now - age + MINUTE,
        "customer_email": "kunde@example.org",
        "customer_name": "Kim Muster",
    }
    return shop.bewertung(name, age=age, **{**paid, **changes})


def _with_job(shop: Shop, order: ShopDocument, **changes: Any) -> ShopDocument:
    age = shop.now - order.document["erstellt"]
    job = shop.job(order.document, age=age, **changes)
    return replace(order, job=job, document={**order.document, "jobId": job["_id"]})
