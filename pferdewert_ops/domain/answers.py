"""What a model answered, and what the shop's documents already hold: may it be shown to the customer who paid?

`check_…` judges a fresh answer and is strict. `delivered_…` judges what is stored, whoever wrote it, and asks only
whether the customer's page has something to show that is not the shop's placeholder.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from pferdewert_ops.domain.money import Currency
from pferdewert_ops.domain.price_range import PriceFault, find_price_range, range_fault
from pferdewert_ops.domain.prose import BLANKS, ends_properly, is_placeholder, phrase_fault, prose_fault
from pferdewert_ops.domain.rejections import Rejected, RejectionCode

# A valuation of 400 German words has some 2,800 characters; half of that is a stub. 40,000 is beyond any page.
TEXT_LEAST, TEXT_MOST = 1_200, 40_000
# All five texts of a certificate together, one of them, and its one-line use of the horse.
DETAILS_LEAST, DETAIL_MOST, EIGNUNG_MOST = 250, 6_000, 300

DETAIL_FIELDS = ("rasseText", "abstammungText", "ausbildungText", "gesundheitText", "fazit")
CERTIFICATE_FIELDS = ("preisVon", "preisBis", "haupteignung", "bewertungsDetails")


@dataclass(frozen=True, slots=True, kw_only=True)
class Valuation:
    """A text that may be delivered, and its price range in whole units of the currency that was asked for."""

    text: str
    price_from: int
    price_to: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A certificate that may be delivered; prices in whole euros."""

    preis_von: int
    preis_bis: int
    haupteignung: str
    rasse_text: str
    abstammung_text: str
    ausbildung_text: str
    gesundheit_text: str
    fazit: str

    def zertifikat_data(self) -> dict[str, object]:
        """The object that the shop's page reads."""
        texts = (self.rasse_text, self.abstammung_text, self.ausbildung_text, self.gesundheit_text, self.fazit)
        return {
            "preisVon": self.preis_von,
            "preisBis": self.preis_bis,
            "haupteignung": self.haupteignung,
            "bewertungsDetails": dict(zip(DETAIL_FIELDS, texts, strict=True)),
        }


class DeliveredText(StrEnum):
    """What a stored `bewertung` is. Only VALID counts as delivered."""

    ABSENT = "absent"
    BLANK = "blank"
    NOT_TEXT = "not_text"
    PLACEHOLDER = "placeholder"
    VALID = "valid"


class DeliveredCertificate(StrEnum):
    """What a stored `zertifikat_data` is. Only VALID counts as delivered."""

    ABSENT = "absent"
    INCOMPLETE = "incomplete"
    VALID = "valid"


def check_valuation(text: object, *, stop_reason: str | None, currency: Currency) -> Valuation | Rejected:
    """Whether a model's Markdown may be delivered. `stop_reason` None: the stream ended without saying why."""
    if fault := _stop_fault(stop_reason):
        return Rejected(code=fault)
    if not isinstance(text, str):
        return Rejected(code=RejectionCode.NOT_TEXT)
    shown = text.strip(BLANKS)
    if fault := prose_fault(shown, least=TEXT_LEAST, most=TEXT_MOST):
        return Rejected(code=fault)
    prices = find_price_range(shown, currency)
    if isinstance(prices, PriceFault):
        return Rejected(code=RejectionCode(prices.value))
    return Valuation(text=shown, price_from=prices.price_from, price_to=prices.price_to)


def check_certificate(data: object, *, stop_reason: str | None) -> Certificate | Rejected:
    """Whether a model's structured answer may be delivered: the object itself, or the JSON text that holds it."""
    if fault := _stop_fault(stop_reason):
        return Rejected(code=fault)
    if not isinstance(data, str):
        return _certificate(data)
    try:
        return _certificate(json.loads(data))
    except (ValueError, RecursionError):
        return Rejected(code=RejectionCode.SHAPE if data.strip(BLANKS) else RejectionCode.EMPTY)


def delivered_text(value: object) -> DeliveredText:
    """What the `bewertung` of a stored document is; its beginning is enough to tell."""
    if value is None:
        return DeliveredText.ABSENT
    if not isinstance(value, str):
        return DeliveredText.NOT_TEXT
    if not value.strip(BLANKS):
        return DeliveredText.BLANK
    return DeliveredText.PLACEHOLDER if is_placeholder(value) else DeliveredText.VALID


def delivered_certificate(value: object) -> DeliveredCertificate:
    """What the `zertifikat_data` of a stored document is: complete where both prices and all six texts are there."""
    if value is None:
        return DeliveredCertificate.ABSENT
    details = value.get("bewertungsDetails") if isinstance(value, Mapping) else None
    if not isinstance(value, Mapping) or not isinstance(details, Mapping):
        return DeliveredCertificate.INCOMPLETE
    texts = [value.get("haupteignung"), *(details.get(field) for field in DETAIL_FIELDS)]
    prices = (value.get("preisVon"), value.get("preisBis"))
    complete = all(isinstance(text, str) and text.strip(BLANKS) for text in texts) and all(map(_is_price, prices))
    return DeliveredCertificate.VALID if complete else DeliveredCertificate.INCOMPLETE


def _is_price(value: object) -> bool:
    """A stored amount. The shop's driver may have written a whole number as a double."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def _stop_fault(stop_reason: str | None) -> RejectionCode | None:
    match stop_reason:
        case "end_turn":
            return None
        case None | "max_tokens" | "model_context_window_exceeded":
            return RejectionCode.TRUNCATED
        case "refusal":
            return RejectionCode.REFUSAL
        case _:
            return RejectionCode.STOP_REASON


def _certificate(data: object) -> Certificate | Rejected:
    shape = Rejected(code=RejectionCode.SHAPE)
    if not isinstance(data, Mapping) or set(data) != set(CERTIFICATE_FIELDS):
        return shape
    details = data["bewertungsDetails"]
    if not isinstance(details, Mapping) or set(details) != set(DETAIL_FIELDS):
        return shape
    preis_von, preis_bis, haupteignung = data["preisVon"], data["preisBis"], data["haupteignung"]
    texts = [details[field] for field in DETAIL_FIELDS]
    # `type(…) is int`: True is an int to isinstance, and a price to nobody.
    if type(preis_von) is not int or type(preis_bis) is not int:
        return shape
    if not all(isinstance(text, str) for text in [haupteignung, *texts]):
        return shape
    haupteignung, *texts = (text.strip(BLANKS) for text in [haupteignung, *texts])
    if price_fault := range_fault(preis_von, preis_bis):
        return Rejected(code=RejectionCode(price_fault.value))
    if fault := _certificate_text_fault(haupteignung, texts):
        return Rejected(code=fault)
    rasse, abstammung, ausbildung, gesundheit, fazit = texts
    return Certificate(
        preis_von=preis_von,
        preis_bis=preis_bis,
        haupteignung=haupteignung,
        rasse_text=rasse,
        abstammung_text=abstammung,
        ausbildung_text=ausbildung,
        gesundheit_text=gesundheit,
        fazit=fazit,
    )


def _certificate_text_fault(haupteignung: str, texts: list[str]) -> RejectionCode | None:
    if fault := phrase_fault(haupteignung, most=EIGNUNG_MOST):
        return fault
    for text in texts:
        if fault := phrase_fault(text, most=DETAIL_MOST):
            return fault
        if not ends_properly(text):
            return RejectionCode.UNFINISHED
    # Single texts may be a line of names; together they must be German prose.
    return prose_fault("\n\n".join(texts), least=DETAILS_LEAST, most=TEXT_MOST)
