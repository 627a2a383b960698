"""Wertgutachten of both flows: complete, incomplete in every way, and stored under the wrong status."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from bson.int64 import Int64

from tests.shop_documents.model import WITHOUT, Document, Shop, ShopDocument, session_id
from tests.shop_documents.results import CERTIFICATE, DETAILS, certificate, details

DAYS_2, HOUR, MINUTES_20 = timedelta(days=2), timedelta(hours=1), timedelta(minutes=20)


def certificates(shop: Shop) -> list[ShopDocument]:
    return [*_orders(shop), *_stored(shop)]


def _orders(shop: Shop) -> list[ShopDocument]:
    paid: Document = {
        "paymentStatus": "paid",
        "paidAt": shop.now - HOUR,
        "status": "bezahlt",
        "customer_email": "kunde@example.org",
    }
    waiting = shop.wertgutachten("certificate_paid_waiting", age=HOUR, **paid)
    advance = shop.wertgutachten(
        "certificate_unpaid_with_job", age=MINUTES_20, paymentStatus="pending", status="wartend"
    )
    lost = shop.wertgutachten("certificate_webhook_died", age=DAYS_2)
    unusable = {"horse_usable": False, "bad_field": "alter"}
    return [
        replace(waiting, job=shop.job(waiting.document, age=HOUR, priority="premium")),
        replace(advance, job=shop.job(advance.document, age=MINUTES_20)),
        replace(lost, webhooks=[shop.webhook(lost.document, age=DAYS_2)]),
        shop.wertgutachten("certificate_paid_without_a_job", age=HOUR, **paid),
        shop.wertgutachten("certificate_paid_swiss_horse", age=HOUR, **paid, land="CH", user_country="CH"),
        shop.wertgutachten("certificate_austrian_horse", age=DAYS_2, land="AT", user_country="DE"),
        shop.wertgutachten("certificate_of_a_horse_without_a_name", age=DAYS_2, pferdeName=WITHOUT),
        shop.wertgutachten("certificate_unusable_alter", age=HOUR, facts=unusable, **paid, alter=""),
        shop.wertgutachten(
            "certificate_test_mode", age=HOUR, stripeSessionId=session_id(900_010, test_mode=True), land="DE"
        ),
    ]


def _stored(shop: Shop) -> list[ShopDocument]:
    no_fazit = {key: text for key, text in DETAILS.items() if key != "fazit"}
    no_price = {key: value for key, value in CERTIFICATE.items() if key != "preisBis"}
    stored: dict[str, tuple[Any, str]] = {
        "complete": (CERTIFICATE, "valid"),
        "complete_with_doubles": (certificate(preisVon=16_000.0, preisBis=21_000.0), "valid"),
        "complete_with_long_integers": (certificate(preisVon=Int64(16_000)), "valid"),
        "complete_with_more_fields": (certificate(waehrung="EUR", version=2), "valid"),
        "null": (None, "absent"),
        "empty_object": ({}, "incomplete"),
        "text": ("Ihr Zertifikat wird erstellt", "incomplete"),
        "list": ([CERTIFICATE], "incomplete"),
        "without_details": (certificate(bewertungsDetails=None), "incomplete"),
        "without_fazit": (certificate(bewertungsDetails=no_fazit), "incomplete"),
        "with_a_blank_text": (certificate(bewertungsDetails=details(rasseText=" \n")), "incomplete"),
        "without_the_upper_price": (no_price, "incomplete"),
        "with_prices_as_text": (certificate(preisVon="16000", preisBis="21000"), "incomplete"),
        "with_a_price_of_zero": (certificate(preisVon=0), "incomplete"),
        "with_a_price_that_is_no_number": (certificate(preisBis=float("nan")), "incomplete"),
    }
    results = [
        _fertig(shop, f"certificate_{name}", number, value, delivered)
        for number, (name, (value, delivered)) in enumerate(stored.items(), start=1)
    ]
    unshown = shop.wertgutachten(
        "certificate_complete_but_offen", age=DAYS_2, facts={"delivered": "valid"}, zertifikat_data=CERTIFICATE
    )
    numbered = shop.wertgutachten(
        "certificate_number_without_data", age=DAYS_2, zertifikatNummer="CERT-2026-000099", status="fertig"
    )
    return [*results, unshown, numbered]


def _fertig(shop: Shop, name: str, number: int, value: Any, delivered: str) -> ShopDocument:
    return shop.wertgutachten(
        name,
        age=DAYS_2,
        facts={"delivered": delivered},
        zertifikat_data=value,
        zertifikatNummer=f"CERT-2026-{number:06d}",
        status="fertig",
        aktualisiert=shop.now - DAYS_2,
        ai_model="claude-opus-5-5",
        ai_model_version="claude-opus-5-5",
    )
