"""Single values of the shop's form as they were really stored: texts, ages and heights, whatever their type.

Nothing here raises on any input: forms were filled in by customers and rewritten by repair scripts for years.
"""

import math
import re
import unicodedata
from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum


class Unusable(StrEnum):
    """Why a value says nothing. Closed set: documents and screens use these words."""

    MISSING = "missing"
    WRONG_TYPE = "wrong_type"
    NOT_A_NUMBER = "not_a_number"
    OUT_OF_RANGE = "out_of_range"
    UNCLEAR = "unclear"


# A living horse beyond 45 years is a typing error (the oldest that are well attested died in their fifties).
ALTER_MOST = Decimal(45)
STOCKMASS_LEAST, STOCKMASS_MOST = Decimal(50), Decimal(250)
# Stored as metres, centimetres, millimetres, or centimetres typed with two digits too many. The ranges that land in
# 50–250 cm do not overlap, so that the figure alone tells its unit, and a wrong unit in the text does no harm.
_TO_CENTIMETRES = (Decimal(100), Decimal(1), Decimal("0.1"), Decimal("0.01"))
# No age or height has more characters than this, and the patterns below never see a long text.
_LONGEST_NUMBER_TEXT = 40
# Letters that show nothing: Hangul fillers and the blank Braille pattern.
_INVISIBLE = dict.fromkeys((0x115F, 0x1160, 0x2800, 0x3164, 0xFFA0))

_ABOUT = r"(?:ca\.?|circa|etwa|rund|ungefähr|~)?\s*"
_FIGURE = r"(?P<figure>[0-9]{1,6}(?:[.,'’][0-9]{1,3})?)"
_YEARS = re.compile(_ABOUT + _FIGURE + r"[\s-]*(?:jahre?n?|jährige?[rs]?|jaehrige?[rs]?|j\.?)?(?:\s*alt)?")
_MONTHS = re.compile(_ABOUT + _FIGURE + r"\s*(?:monate?n?|mon\.?)(?:\s*alt)?")
_WEEKS = re.compile(_ABOUT + _FIGURE + r"\s*wochen?(?:\s*alt)?")
_YEARS_AND_MONTHS = re.compile(r"([0-9]{1,2})\s*jahre?\s*(?:und\s*|,\s*)?([0-9]{1,2})\s*monate?(?:\s*alt)?")
_HEIGHT = re.compile(
    _ABOUT
    + r"(?:stm\.?|stockma(?:ß|ss))?:?\s*"
    + _FIGURE
    + r"\s*(?:mm|cm|m|meter|zentimeter|millimeter)?\.?\s*(?:stm\.?|stockma(?:ß|ss))?"
)
_METRES_AND_CENTIMETRES = re.compile(r"([0-2])\s*m\s*([0-9]{2})(?:\s*cm)?")


def one_line(value: str, longest: int) -> str | None:
    """The text as one trimmed line without control or invisible characters; None where nothing visible is left.

    `longest` is in characters; what is cut off ends in an ellipsis.
    """
    # Bounded work on a text of megabytes: a few times the cap is enough to fill it.
    shown = "".join(_visible(character) for character in value.strip()[: longest * 8])
    words = unicodedata.normalize("NFC", shown).translate(_INVISIBLE).split()
    text = " ".join(words)
    if not text:
        return None
    if len(text) <= longest:
        return text
    cut = text[: longest - 2]
    return (cut.rsplit(" ", 1)[0] if " " in cut[longest // 2 :] else cut.rstrip()) + " …"


def age_in_years(value: object) -> Decimal | Unusable:
    """The age that a stored value names, 0 to 45 years. Zero is returned as zero: what it means is not known here."""
    years = _figure_in(value, _years_in_text)
    if isinstance(years, Unusable):
        return years
    # Four days are no age that anybody states: what rounds to zero is a zero (and loses its sign here).
    return abs(years.quantize(Decimal("0.01"))) if 0 <= years <= ALTER_MOST else Unusable.OUT_OF_RANGE


def height_in_centimetres(value: object) -> int | Unusable:
    """The height at the withers, 50 to 250 cm, of metres, centimetres, millimetres or slips. Half centimetres go up.

    Zero is missing: the shop stores it for a number field that was left empty.
    """
    figure = _figure_in(value, _figure_of_height)
    if isinstance(figure, Unusable):
        return figure
    if figure == 0:
        return Unusable.MISSING
    for factor in _TO_CENTIMETRES:
        if STOCKMASS_LEAST <= figure * factor <= STOCKMASS_MOST:
            return int(figure * factor + Decimal("0.5"))
    return Unusable.OUT_OF_RANGE


def _visible(character: str) -> str:
    category = unicodedata.category(character)
    if category in {"Cc", "Zs", "Zl", "Zp"}:
        return " "
    # Cf: zero width, bidirectional and tag characters hide text; Cs: lone surrogates cannot be sent as UTF-8.
    return "" if category in {"Cf", "Cs"} else character


def _figure_in(value: object, read: Callable[[str], Decimal | None]) -> Decimal | Unusable:
    if value is None:
        return Unusable.MISSING
    if isinstance(value, str):
        if not value.strip():
            return Unusable.MISSING
        if len(value) > _LONGEST_NUMBER_TEXT:
            return Unusable.NOT_A_NUMBER
        figure = read(" ".join(value.split()).casefold())
        return Unusable.NOT_A_NUMBER if figure is None else figure
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return Unusable.WRONG_TYPE
    return _finite(value)


def _finite(value: int | float | Decimal) -> Decimal | Unusable:  # noqa: PYI041 - an int must not be made a float
    finite = value.is_finite() if isinstance(value, Decimal) else isinstance(value, int) or math.isfinite(value)
    if not finite:
        return Unusable.NOT_A_NUMBER
    # Nothing near this size is an age or a height, and turning a huge int into digits would raise.
    if not -1_000_000 <= value <= 1_000_000:
        return Unusable.OUT_OF_RANGE
    return Decimal(str(value))


def _years_in_text(text: str) -> Decimal | None:
    # casefold() makes "ss" of "ß" and leaves umlauts alone.
    if both := _YEARS_AND_MONTHS.fullmatch(text):
        return Decimal(both[1]) + Decimal(both[2]) / 12
    for pattern, parts in ((_YEARS, 1), (_MONTHS, 12), (_WEEKS, 52)):
        if match := pattern.fullmatch(text):
            return _decimal(match["figure"]) / parts
    return None


def _figure_of_height(text: str) -> Decimal | None:
    if both := _METRES_AND_CENTIMETRES.fullmatch(text):
        return Decimal(both[1]) * 100 + Decimal(both[2])
    match = _HEIGHT.fullmatch(text)
    if not match:
        return None
    figure = _decimal(match["figure"])
    whole, _, decimals = re.sub(r"[,'’]", ".", match["figure"]).partition(".")
    # "16.800" is sixteen thousand eight hundred; "1.680" lands at 168 cm either way.
    grouped = len(decimals) == 3 and figure * 100 > STOCKMASS_MOST and figure < STOCKMASS_LEAST
    return Decimal(whole + decimals) if grouped else figure


def _decimal(figure: str) -> Decimal:
    return Decimal(re.sub(r"[,'’]", ".", figure))
