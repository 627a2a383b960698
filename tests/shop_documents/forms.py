"""Forms as they were really stored: every shape of the numbers, legacy fields, and what cannot be used."""

from datetime import timedelta
from typing import Any

from tests.shop_documents.model import WITHOUT, Document, Shop, ShopDocument

AGE = timedelta(days=400)

STOCKMASS_SHAPES: dict[str, tuple[Any, int]] = {
    "metres": (1.68, 168),
    "metres_as_text": ("1,68 m", 168),
    "metres_with_point": ("1.68", 168),
    "metres_and_centimetres": ("1m68", 168),
    "centimetres_as_text": ("168 cm", 168),
    "centimetres_as_double": (168.0, 168),
    "millimetres": (1680, 168),
    "slip_of_two_digits": (16800, 168),
    "pony": (98, 98),
    "half_centimetre": ("147,5", 148),
}
STOCKMASS_UNUSABLE: dict[str, Any] = {
    "zero": 0,
    "too_small": 16.8,
    "too_tall": 300,
    "negative": -168,
    "words": "mittel",
    "hands": "16,2 hh",
    "null": None,
    "object": {"$numberDouble": "1.68"},
}


def forms(shop: Shop) -> list[ShopDocument]:
    return [*_stockmass(shop), *_usable(shop), *_unusable(shop)]


def _stockmass(shop: Shop) -> list[ShopDocument]:
    readable = [
        shop.bewertung(f"stockmass_{name}", age=AGE, facts={"stockmass_cm": centimetres}, stockmass=stored)
        for name, (stored, centimetres) in STOCKMASS_SHAPES.items()
    ]
    unusable = [
        _bad(shop, f"stockmass_unusable_{name}", "stockmass", stockmass=stored)
        for name, stored in STOCKMASS_UNUSABLE.items()
    ]
    return readable + unusable


def _usable(shop: Shop) -> list[ShopDocument]:
    optional = ("abstammung", "aku", "erfolge", "standort", "charakter", "besonderheiten", "land", "attribution_source")
    nothing_optional: Document = dict.fromkeys(optional, WITHOUT)
    foal: Document = {
        "alter": 0,
        "geschlecht": "Hengst",
        "stockmass": 118,
        "ausbildung": "roh",
        "haupteignung": "Dressurfohlen",
    }
    return [
        shop.bewertung("numbers_as_text", age=AGE, alter="7", stockmass="168"),
        shop.bewertung("alter_with_unit", age=AGE, alter="7 Jahre"),
        shop.bewertung("alter_with_comma", age=AGE, alter="2,5"),
        shop.bewertung("foal_in_months", age=AGE, **{**foal, "alter": "5 Monate"}),
        shop.bewertung("foal_with_age_zero", age=AGE, **foal),
        shop.bewertung("smallest_form", age=AGE, **nothing_optional),
        shop.bewertung("legacy_verwendungszweck_only", age=AGE, haupteignung=WITHOUT, verwendungszweck="Freizeit"),
        shop.bewertung("legacy_verwendungszweck_beside", age=AGE, verwendungszweck="Turnier bis L"),
        shop.bewertung("legacy_farbe_zuechter", age=AGE, farbe="Dunkelfuchs", zuechter="Gestüt am Deich"),
        shop.bewertung("land_missing", age=AGE, land=WITHOUT),
        shop.bewertung("land_unknown", age=AGE, land="FR", user_country="FR"),
        shop.bewertung("land_null", age=AGE, land=None, user_country=None),
        shop.bewertung("standort_as_number", age=AGE, standort=1067),
        shop.bewertung("optional_fields_of_wrong_types", age=AGE, charakter=["brav", "lieb"], aku=True, erfolge=3),
        shop.bewertung("optional_fields_empty", age=AGE, charakter="", aku="  ", erfolge=None),
    ]


def _unusable(shop: Shop) -> list[ShopDocument]:
    return [
        _bad(shop, "rasse_missing", "rasse", rasse=WITHOUT),
        _bad(shop, "rasse_blank", "rasse", rasse=" \u00a0 "),
        _bad(shop, "ausbildung_empty", "ausbildung", ausbildung=""),
        _bad(shop, "geschlecht_is_a_number", "geschlecht", geschlecht=2),
        _bad(shop, "haupteignung_and_verwendungszweck_empty", "haupteignung", haupteignung="", verwendungszweck=" "),
        _bad(shop, "alter_left_empty", "alter", alter=0),
        _bad(shop, "alter_is_a_year", "alter", alter=2015),
        _bad(shop, "alter_in_words", "alter", alter="sieben"),
        _bad(shop, "alter_not_a_number", "alter", alter=float("nan")),
    ]


def _bad(shop: Shop, name: str, field: str, **changes: Any) -> ShopDocument:
    return shop.bewertung(name, age=AGE, facts={"horse_usable": False, "bad_field": field}, **changes)
