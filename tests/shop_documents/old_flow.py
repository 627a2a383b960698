"""Bewertungen of the old flow: no payment status and no job; delivered, lost, or taken for delivered."""

from datetime import timedelta

from tests.shop_documents.model import WITHOUT, Shop, ShopDocument, session_id
from tests.shop_documents.results import OLD_VALUATION, PLACEHOLDER, SWISS_VALUATION, VALUATION

MINUTES_5, HOURS_3, DAYS_2, YEAR = timedelta(minutes=5), timedelta(hours=3), timedelta(days=2), timedelta(days=365)


def old_flow(shop: Shop) -> list[ShopDocument]:
    return [*_open(shop), *_delivered(shop), *_not_really_delivered(shop), *_odd_fields(shop)]


def _open(shop: Shop) -> list[ShopDocument]:
    young = shop.bewertung("offen_just_now", age=MINUTES_5)
    lost = shop.bewertung("offen_webhook_died", age=HOURS_3, land="AT", user_country="AT", standort="5020 Salzburg")
    failed = shop.bewertung("offen_webhook_failed", age=DAYS_2)
    raced = shop.bewertung("offen_two_webhook_rows", age=HOURS_3, land="CH", user_country="CH", standort="8001")
    first = shop.bewertung("bought_twice_first", age=HOURS_3)
    failure = {"failedAt": shop.now - DAYS_2, "error": "Function timed out"}
    return [
        _with_webhooks(young, shop.webhook(young.document, age=timedelta(minutes=1))),
        _with_webhooks(lost, shop.webhook(lost.document, age=HOURS_3)),
        _with_webhooks(failed, shop.webhook(failed.document, age=DAYS_2, status="failed", **failure)),
        _with_webhooks(raced, *(shop.webhook(raced.document, age=HOURS_3) for _ in range(2))),
        first,
        shop.bewertung("bought_twice_second", age=HOURS_3 - timedelta(minutes=20)),
        shop.bewertung("offen_customer_in_switzerland_horse_in_germany", age=DAYS_2, user_country="CH"),
        shop.bewertung("offen_no_session", age=DAYS_2, stripeSessionId=WITHOUT),
    ]


def _delivered(shop: Shop) -> list[ShopDocument]:
    valid = {"delivered": "valid"}
    good = {"bewertung": VALUATION, "status": "fertig", "ai_model": "claude-opus-5-5"}
    done = shop.bewertung("fertig_de", age=DAYS_2, facts=valid, aktualisiert=shop.now - DAYS_2, **good)
    completed = {"completedAt": shop.now - DAYS_2 + timedelta(minutes=3)}
    swiss = {**good, "bewertung": SWISS_VALUATION, "land": "CH", "user_country": "CH"}
    usage = {"input_tokens": 2_314, "output_tokens": 1_987}
    return [
        _with_webhooks(done, shop.webhook(done.document, age=DAYS_2, status="completed", **completed)),
        shop.bewertung("fertig_ch", age=DAYS_2, facts=valid, aktualisiert=shop.now - DAYS_2, **swiss),
        shop.bewertung("repaired_result_without_status", age=DAYS_2, facts=valid, bewertung=VALUATION),
        shop.bewertung("repaired_result_no_status_field", age=DAYS_2, facts=valid, bewertung=VALUATION, status=WITHOUT),
        shop.bewertung(
            "repaired_model_version_tier_usage",
            age=DAYS_2,
            facts=valid,
            **good,
            model_version="2025-11-01",
            tier="premium",
            usage=usage,
        ),
        shop.bewertung("repaired_null_ai_model_version", age=DAYS_2, facts=valid, **good, ai_model_version=None),
        shop.bewertung("fertig_old_short_text", age=YEAR, facts=valid, bewertung=OLD_VALUATION, status="fertig"),
        shop.bewertung(
            "fertig_old_html_text", age=YEAR, facts=valid, bewertung=f"<p>{OLD_VALUATION}</p>", status="fertig"
        ),
        shop.bewertung(
            "fertig_text_that_mentions_the_placeholder",
            age=YEAR,
            facts=valid,
            bewertung=f"Entschuldigung für die Verzögerung! {PLACEHOLDER}\n\n{VALUATION}",
            status="fertig",
        ),
    ]


def _not_really_delivered(shop: Shop) -> list[ShopDocument]:
    results = {
        "placeholder_fallback": (PLACEHOLDER, "fallback", "placeholder"),
        "placeholder_error": (PLACEHOLDER, "error", "placeholder"),
        "placeholder_behind_blank_lines": (f"\n\n  {PLACEHOLDER}", "fallback", "placeholder"),
        "placeholder_of_another_ending": ("Wir arbeiten gerade an unserem KI-Modell.", "error", "placeholder"),
        "placeholder_under_a_real_model_name": (PLACEHOLDER, "claude-opus-5-5", "placeholder"),
        "result_empty": ("", "claude-opus-5-5", "blank"),
        "result_blank": (" \n\t\n", "claude-opus-5-5", "blank"),
        "result_of_invisible_characters": ("\u200b\u00a0\ufeff", "claude-opus-5-5", "blank"),
        "result_null": (None, "claude-opus-5-5", "absent"),
        "result_object": ({"text": VALUATION, "tokens": 1_987}, "claude-opus-5-5", "not_text"),
        "result_list_of_blocks": ([{"type": "text", "text": VALUATION}], "claude-opus-5-5", "not_text"),
        "result_number": (0, "claude-opus-5-5", "not_text"),
        "result_boolean": (False, "error", "not_text"),
    }
    return [
        shop.bewertung(
            name,
            age=DAYS_2,
            facts={"delivered": delivered},
            bewertung=value,
            status="fertig",
            ai_model=model,
            aktualisiert=shop.now - DAYS_2,
        )
        for name, (value, model, delivered) in results.items()
    ]


def _odd_fields(shop: Shop) -> list[ShopDocument]:
    text_id = shop.bewertung("id_is_text", age=DAYS_2)
    return [
        shop.bewertung("erstellt_missing", age=DAYS_2, erstellt=WITHOUT),
        shop.bewertung("erstellt_is_text", age=YEAR, erstellt="2025-01-20T12:00:00.000Z"),
        shop.bewertung("erstellt_is_milliseconds", age=YEAR, erstellt=1_737_374_400_000),
        shop.bewertung("erstellt_in_the_future", age=MINUTES_5, erstellt=shop.now + DAYS_2),
        ShopDocument(
            name="id_is_text", product=text_id.product, document={**text_id.document, "_id": "65b0c0ffee65b0c0ffee0001"}
        ),
        ShopDocument(
            name="id_is_no_object_id", product=text_id.product, document={**text_id.document, "_id": "reparatur-17"}
        ),
        shop.bewertung("test_mode_session", age=HOURS_3, stripeSessionId=session_id(900_001, test_mode=True)),
        shop.bewertung(
            "test_mode_session_delivered",
            age=DAYS_2,
            facts={"delivered": "valid"},
            stripeSessionId=session_id(900_002, test_mode=True),
            bewertung=VALUATION,
            status="fertig",
        ),
        shop.bewertung("status_nobody_knows", age=DAYS_2, status="in Arbeit?"),
    ]


def _with_webhooks(order: ShopDocument, *rows: dict[str, object]) -> ShopDocument:
    order.webhooks.extend(rows)
    return order
