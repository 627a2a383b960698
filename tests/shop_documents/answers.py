"""Answers of a model: German ones that may be delivered, each with its English, truncated and empty twins that may not.

The texts stand beside this file, `NAME.de.md` and `NAME.en.md` (certificates: `.json`). The English twin is a
translation that keeps the German price line, so that nothing but its language is wrong with it.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pferdewert_ops.domain.money import Currency

TEXTS = Path(__file__).parent / "texts"


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedValuation:
    """One text that is delivered, the range in it, and its twins. `truncated` was cut inside its last sentence."""

    name: str
    currency: Currency
    price_from: int
    price_to: int
    text: str
    english: str
    truncated: str
    empty: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedCertificate:
    """One object that is delivered, and its twins. `truncated` is the object with a last sentence that was cut."""

    name: str
    data: dict[str, Any]
    english: dict[str, Any]
    truncated: dict[str, Any]
    empty: dict[str, Any]


def _valuation(name: str, currency: Currency, price_from: int, price_to: int) -> AcceptedValuation:
    text = (TEXTS / f"{name}.de.md").read_text(encoding="utf-8")
    return AcceptedValuation(
        name=name,
        currency=currency,
        price_from=price_from,
        price_to=price_to,
        text=text,
        english=(TEXTS / f"{name}.en.md").read_text(encoding="utf-8"),
        truncated=_cut(text),
    )


def _certificate(name: str) -> AcceptedCertificate:
    data = json.loads((TEXTS / f"{name}.de.json").read_text(encoding="utf-8"))
    details = data["bewertungsDetails"]
    return AcceptedCertificate(
        name=name,
        data=data,
        english=json.loads((TEXTS / f"{name}.en.json").read_text(encoding="utf-8")),
        truncated={**data, "bewertungsDetails": {**details, "fazit": _cut(details["fazit"])}},
        empty={**data, "bewertungsDetails": dict.fromkeys(details, "")},
    )


def _cut(text: str) -> str:
    """The text up to the third word before its end."""
    return text.rstrip().rsplit(" ", 3)[0]


ACCEPTED_VALUATIONS: list[AcceptedValuation] = [
    _valuation("hannoveraner_dressur", Currency.EUR, 8_500, 11_000),
    _valuation("quarter_horse_reining", Currency.EUR, 12_000, 16_500),
    _valuation("freiberger_fahren", Currency.CHF, 12_000, 15_000),
    _valuation("haflinger_freizeit", Currency.EUR, 4_500, 6_000),
    _valuation("schweizer_warmblut", Currency.CHF, 12_000, 15_000),
    _valuation("islandpferd_gangpferd", Currency.EUR, 9_000, 12_000),
    _valuation("shetlandpony_kinder", Currency.EUR, 800, 1_400),
    _valuation("holsteiner_springen", Currency.EUR, 45_000, 60_000),
    _valuation("oldenburger_fohlen", Currency.EUR, 6_000, 8_500),
    _valuation("vollblut_ex_galopper", Currency.EUR, 3_500, 5_500),
    _valuation("connemara_allround", Currency.EUR, 7_500, 9_800),
    _valuation("friese_barock", Currency.EUR, 14_000, 18_000),
    _valuation("einsiedler_sport", Currency.CHF, 9_500, 12_000),
]
ACCEPTED_CERTIFICATES: list[AcceptedCertificate] = [
    _certificate("zertifikat_trakehner"),
    _certificate("zertifikat_freiberger"),
]
