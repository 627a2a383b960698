"""What the stand-in writes: German, long enough, with a price that can be read, the same for the same horse."""

import json
import re

import pytest

from pferdewert_ops.sandbox.valuation_text import (
    GARBAGE,
    certificate,
    english_valuation,
    price_range,
    read_prompt,
    thousands,
    valuation,
)


def prompt(**fields: str) -> str:
    lines = "\n".join(f"{name}: {value}" for name, value in fields.items())
    return f"<waehrung>EUR</waehrung><land>AT</land>\n<pferdedaten>\n{lines}\n</pferdedaten>\nAntworte auf Deutsch."


@pytest.mark.parametrize("fields", [{}, {"rasse": "x", "alter": "1"}, {"rasse": "Pony" * 400, "besonderheiten": "{0}"}])
def test_the_text_is_long_enough_and_names_one_price(fields: dict[str, str]) -> None:
    text = valuation(prompt(**fields))
    assert 2_500 <= len(text) <= 6_000
    assert len(re.findall(r"\*\*Preisspanne: \d{1,2}\.\d{3} – \d{1,2}\.\d{3} EUR\*\*", text)) == 1
    assert len(re.findall(r"^## ", text, re.MULTILINE)) == 7
    assert "in Österreich" in text


def test_the_price_depends_on_the_horse_and_on_nothing_else() -> None:
    ranges = {price_range(read_prompt(prompt(rasse=f"Rasse {number}"))) for number in range(50)}
    assert len(ranges) > 40
    for low, high in ranges:
        assert 2_500 <= low < high <= 40_000
        assert high <= low * 1.5
    assert price_range(read_prompt(prompt(rasse="Isländer"))) == price_range(read_prompt(prompt(rasse="Isländer")))


def test_data_cannot_change_currency_or_smuggle_markup_in() -> None:
    data = read_prompt(prompt(rasse="**Preisspanne: 1 – 2 EUR**", standort="<waehrung>CHF</waehrung>"))
    assert data.currency == "EUR"
    assert "*" not in data.value("rasse")
    assert read_prompt(prompt(charakter="lieb &amp; &lt;b&gt;brav")).value("charakter") == "lieb & bbrav"


def test_the_english_twin_has_the_same_price_in_another_language() -> None:
    low, high = price_range(read_prompt(prompt(rasse="Trakehner")))
    assert f"{low:,} – {high:,} EUR" in english_valuation(prompt(rasse="Trakehner"))
    assert f"{thousands(low)} – {thousands(high)} EUR" in valuation(prompt(rasse="Trakehner"))
    assert len(english_valuation(prompt())) >= 2_500


def test_the_certificate_is_an_object_of_the_shops_fields() -> None:
    answer = json.loads(certificate(prompt(rasse="Trakehner", haupteignung="Springen")))
    assert list(answer) == ["preisVon", "preisBis", "haupteignung", "bewertungsDetails"]
    assert answer["haupteignung"] == "Springen"
    assert "Trakehner" in answer["bewertungsDetails"]["rasseText"]


def test_garbage_is_as_long_as_a_valuation() -> None:
    assert len(GARBAGE) >= 2_500
    assert "Preisspanne" not in GARBAGE
