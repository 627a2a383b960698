"""Price ranges in every spelling that a German, Austrian or Swiss text uses, and the ones that must not pass."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pferdewert_ops.domain.money import Currency
from pferdewert_ops.domain.price_range import PriceFault, PriceRange, find_price_range, range_fault

EUR, CHF = Currency.EUR, Currency.CHF


@pytest.mark.parametrize(
    ("text", "currency", "price_from", "price_to"),
    [
        ("**Preisspanne: 8.500 – 11.000 EUR**", EUR, 8_500, 11_000),
        ("**Preisspanne:** 8.500 – 11.000 EUR", EUR, 8_500, 11_000),
        ("Preisspanne: **8.500 – 11.000 EUR**", EUR, 8_500, 11_000),
        ("- __Preisspanne__: `8.500 – 11.000 EUR`", EUR, 8_500, 11_000),
        ("Preisspanne: 8500 bis 11000 €", EUR, 8_500, 11_000),
        ("Preisspanne: 8.500 € bis 11.000 €", EUR, 8_500, 11_000),
        ("Preisspanne: 8.500€-11.000€", EUR, 8_500, 11_000),
        ("Preisspanne: EUR 8.500—11.000", EUR, 8_500, 11_000),
        ("Preisspanne: zwischen 8.500 und 11.000 Euro", EUR, 8_500, 11_000),
        ("Preisspanne: von 8.500 EUR bis zu 11.000 EUR", EUR, 8_500, 11_000),
        ("Preisspanne: 8.500,00 – 11.000,00 EUR", EUR, 8_500, 11_000),
        ("Preisspanne: 8.500,- bis 11.000,- Euro", EUR, 8_500, 11_000),
        ("Preisspanne: 8\u202f500 – 11\u00a0000 €", EUR, 8_500, 11_000),
        ("Realistische Preisspanne (Deutschland): 8.500 – 11.000 EUR", EUR, 8_500, 11_000),
        ("## Preisspanne\n\n**8.500 – 11.000 EUR**", EUR, 8_500, 11_000),
        ("| Preisspanne | 8.500 – 11.000 EUR |", EUR, 8_500, 11_000),
        ("Preisrahmen: 8.500 – 11.000 EUR", EUR, 8_500, 11_000),
        ("Wertspanne: 8.500 – 11.000 EUR (etwa CHF 8'000–10'400)", EUR, 8_500, 11_000),
        ("Preisspanne: CHF 12'000–15'000", CHF, 12_000, 15_000),
        ("Preisspanne: CHF 12’000 – CHF 15’000", CHF, 12_000, 15_000),
        ("Preisspanne: 12 000 - 15 000 Fr.", CHF, 12_000, 15_000),
        ("Preisspanne: Fr. 12'000.– bis Fr. 15'000.–", CHF, 12_000, 15_000),
        ("Preisspanne: SFr. 12'000.- bis 15'000.-", CHF, 12_000, 15_000),
        ("Preisspanne: 12.000 bis 15.000 Franken", CHF, 12_000, 15_000),
        ("Preisspanne: 100 – 400 EUR", EUR, 100, 400),
        ("Preisspanne: 1.250.000 – 5.000.000 EUR", EUR, 1_250_000, 5_000_000),
        ("Preisspanne: 5.000 – 5.000 EUR", EUR, 5_000, 5_000),
        ("Er dürfte 8.500 – 11.000 EUR bringen; 2010–2015 ging er im Sport.", EUR, 8_500, 11_000),
        ("Die Preisspanne liegt bei 8.500 bis 11.000 EUR.", EUR, 8_500, 11_000),
        (
            "**Preisspanne: 8.500 – 11.000 EUR**\nDer Beritt kostet 500 bis 800 EUR.\nPreisspanne: 8500 – 11000 €",
            EUR,
            8_500,
            11_000,
        ),
    ],
)
def test_spellings(text: str, currency: Currency, price_from: int, price_to: int) -> None:
    assert find_price_range(text, currency) == PriceRange(price_from=price_from, price_to=price_to)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", PriceFault.MISSING),
        ("Der Preis ist Verhandlungssache.", PriceFault.MISSING),
        ("Preisspanne: 8.500 EUR", PriceFault.MISSING),
        ("Preisspanne: 8.500 –", PriceFault.MISSING),
        ("Preisspanne: auf Anfrage\nDer Beritt kostet 500 bis 800 EUR.", PriceFault.MISSING),
        ("Preisspanne: 8,5 – 11 Tsd. EUR", PriceFault.MISSING),
        ("Preisspanne: 8.50 – 11.00 EUR", PriceFault.MISSING),
        ("2010 – 2015 ging er im Sport.", PriceFault.MISSING),
        ("Preisspanne: 8.500 – 11.000", PriceFault.CURRENCY),
        ("Preisspanne: 8.500 – 11.000 CHF", PriceFault.CURRENCY),
        ("Preisspanne: 8.500 – 11.000 USD", PriceFault.CURRENCY),
        ("Preisspanne: 8.500 – 11.000 Europa", PriceFault.CURRENCY),
        ("Preisspanne: EUR 8.500 – CHF 11.000", PriceFault.CURRENCY),
        ("Preisspanne: 8.500 – 11.", PriceFault.CURRENCY),
        ("Preisspanne: 8.500 – 11.0000 EUR", PriceFault.CURRENCY),
        ("Preisspanne: 11.000 – 8.500 EUR", PriceFault.IMPLAUSIBLE),
        ("Preisspanne: 10–12.000 EUR", PriceFault.IMPLAUSIBLE),
        ("Preisspanne: 99 – 300 EUR", PriceFault.IMPLAUSIBLE),
        ("Preisspanne: 2.000 – 8.001 EUR", PriceFault.IMPLAUSIBLE),
        ("Preisspanne: 4.000.000 – 5.000.001 EUR", PriceFault.IMPLAUSIBLE),
        ("Preisspanne: 0 – 0 EUR", PriceFault.IMPLAUSIBLE),
        ("Preisspanne: 8.500 – 11.000 EUR\nPreisspanne: 9.000 – 11.000 EUR", PriceFault.CONFLICT),
        ("Preisspanne: 8.500 – 11.000 EUR\nPreisspanne: 8.500 – 11.000 CHF", PriceFault.CONFLICT),
        ("Er bringt 8.500 – 11.000 EUR, gut geritten 12.000 – 14.000 EUR.", PriceFault.CONFLICT),
    ],
)
def test_faults(text: str, fault: PriceFault) -> None:
    assert find_price_range(text, EUR) is fault


@given(
    price_from=st.integers(min_value=100, max_value=5_000_000),
    wider=st.floats(min_value=1, max_value=4),
    mark=st.sampled_from([".", "'", "’", " ", "\u202f", ""]),
    currency=st.sampled_from(Currency),
)
def test_every_plausible_range_is_read_back(price_from: int, wider: float, mark: str, currency: Currency) -> None:
    price_to = min(int(price_from * wider), 5_000_000)
    low, high = (f"{price:,}".replace(",", mark) for price in (price_from, price_to))
    expected = PriceRange(price_from=price_from, price_to=price_to)
    for text in (f"{low} – {high} {currency}", f"{currency} {low}–{high}", f"{low} bis {high} {currency}."):
        assert find_price_range(f"Text.\n\n**Preisspanne: {text}**\n\nMehr Text.", currency) == expected


@given(text=st.text(alphabet="Preisspanne:0123456789.,'’ -–—EURCHF€*\n"))
def test_nothing_implausible_is_ever_found(text: str) -> None:
    found = find_price_range(f"Preisspanne: {text}", EUR)
    if isinstance(found, PriceRange):
        assert range_fault(found.price_from, found.price_to) is None
