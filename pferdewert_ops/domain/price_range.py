"""The price range in a valuation's text, in the spellings that German, Austrian and Swiss writers use."""

import re
from dataclasses import dataclass
from enum import StrEnum

from pferdewert_ops.domain.money import Currency


class PriceFault(StrEnum):
    MISSING = "price_missing"
    CURRENCY = "price_currency"
    IMPLAUSIBLE = "price_implausible"
    CONFLICT = "price_conflict"


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceRange:
    """Whole units of the currency (not cents), `price_from` ≤ `price_to`."""

    price_from: int
    price_to: int


# No horse is sold for less than its passport costs; the dearest that were ever sold at auction in Europe are not
# valued through a form.
PRICE_LEAST, PRICE_MOST = 100, 5_000_000
# A range wider than this says nothing (the prompt asks for half as much again at most).
WIDEST_RATIO = 4

_CURRENCY = r"(?:EUR|Euro|€|CHF|SFr\.?|Fr\.?|Franken)"
# 8.500 · 12'000 · 12 000 · 8500, each with or without ",00" or the dash that stands for no cents. The bound on the
# groups keeps the search linear on a page full of digits.
_GROUPS = r"[0-9]{1,3}(?:[.'’ ][0-9]{3}){1,3}(?![0-9])|[0-9]{1,9}(?![0-9])"
_AMOUNT = rf"(?:{_GROUPS})(?:,[0-9]{{2}}(?![0-9])|[.,] ?[-–—](?=\s|$|\)))?"
_RANGE = re.compile(
    rf"(?<![0-9.,'’])(?:von |zwischen )?(?P<before>{_CURRENCY})? ?(?P<low>{_AMOUNT}) ?(?P<after_low>{_CURRENCY})?"
    rf" ?(?:-|–|—|−|bis zu|bis|und) ?"
    rf"(?P<before_high>{_CURRENCY})? ?(?P<high>{_AMOUNT}) ?(?P<after>{_CURRENCY}(?![A-Za-z]))?",
    re.IGNORECASE,
)
_LABEL = re.compile(r"(?:Preisspanne|Preisrahmen|Wertspanne|Preisbereich)\b[^:\n0-9]{0,80}[:\n]\s*", re.IGNORECASE)
_MARKERS = re.compile(r"[*_`>|#]+")
_SPACES = re.compile(r"[^\S\n]+")


def find_price_range(text: str, currency: Currency) -> PriceRange | PriceFault:
    """The one price range of this text.

    What a line labelled `Preisspanne:` says counts. Without such a line the text must hold just one range with a
    currency. Labelled ranges that contradict each other are a conflict: the customer would not know which one holds.
    """
    plain = _SPACES.sub(" ", _MARKERS.sub("", text))
    labels = list(_LABEL.finditer(plain))
    matches = [match for label in labels if (match := _RANGE.match(plain, label.end()))]
    if not matches:
        if labels:
            return PriceFault.MISSING
        matches = [match for match in _RANGE.finditer(plain) if _currencies(match)]
    found = {_read(match, currency) for match in matches}
    if len(found) > 1:
        return PriceFault.CONFLICT
    return found.pop() if found else PriceFault.MISSING


def range_fault(price_from: int, price_to: int) -> PriceFault | None:
    """Whether these two whole amounts can be a price range of a horse."""
    plausible = PRICE_LEAST <= price_from <= price_to <= PRICE_MOST and price_to <= WIDEST_RATIO * price_from
    return None if plausible else PriceFault.IMPLAUSIBLE


def _read(match: re.Match[str], currency: Currency) -> PriceRange | PriceFault:
    if _currencies(match) != {currency}:
        return PriceFault.CURRENCY
    price_from, price_to = _whole(match["low"]), _whole(match["high"])
    return range_fault(price_from, price_to) or PriceRange(price_from=price_from, price_to=price_to)


def _currencies(match: re.Match[str]) -> set[Currency]:
    words = (match["before"], match["after_low"], match["before_high"], match["after"])
    return {Currency.EUR if word.casefold() in {"eur", "euro", "€"} else Currency.CHF for word in words if word}


def _whole(amount: str) -> int:
    """The amount without cents, which no price of a horse has."""
    return int(re.sub(r"[^0-9]", "", re.sub(r",[0-9]{2}$", "", amount)))
