"""Why a model's answer is not delivered, and what that means for the attempt."""

from dataclasses import dataclass
from enum import StrEnum

from pferdewert_ops.domain.failures import ErrorClass


class RejectionCode(StrEnum):
    """Closed set: documents, metrics and screens use these words."""

    REFUSAL = "refusal"
    TRUNCATED = "truncated"
    STOP_REASON = "stop_reason"
    NOT_TEXT = "not_text"
    EMPTY = "empty"
    PLACEHOLDER = "placeholder"
    TOO_SHORT = "too_short"
    TOO_LONG = "too_long"
    LEFTOVER = "leftover"
    GARBAGE = "garbage"
    REPETITIVE = "repetitive"
    NOT_GERMAN = "not_german"
    UNFINISHED = "unfinished"
    PRICE_MISSING = "price_missing"
    PRICE_CURRENCY = "price_currency"
    PRICE_IMPLAUSIBLE = "price_implausible"
    PRICE_CONFLICT = "price_conflict"
    SHAPE = "shape"


_SENTENCES = {
    RejectionCode.REFUSAL: "The model refused to answer.",
    RejectionCode.TRUNCATED: "The answer was cut off before its end.",
    RejectionCode.STOP_REASON: "The model stopped for a reason that no finished answer has.",
    RejectionCode.NOT_TEXT: "The answer is not a text.",
    RejectionCode.EMPTY: "The answer is empty.",
    RejectionCode.PLACEHOLDER: "The answer is the shop's placeholder, not a valuation.",
    RejectionCode.TOO_SHORT: "The answer is too short to be a valuation.",
    RejectionCode.TOO_LONG: "The answer is longer than any valuation.",
    RejectionCode.LEFTOVER: "The answer holds markup, links or talk about itself that no customer should read.",
    RejectionCode.GARBAGE: "The answer holds characters that are no text.",
    RejectionCode.REPETITIVE: "The answer repeats itself.",
    RejectionCode.NOT_GERMAN: "The answer, or a passage of it, is not German.",
    RejectionCode.UNFINISHED: "The answer does not end with a complete sentence.",
    RejectionCode.PRICE_MISSING: "The answer names no price range.",
    RejectionCode.PRICE_CURRENCY: "The price range is not in the currency that was asked for.",
    RejectionCode.PRICE_IMPLAUSIBLE: "The price range is not plausible for a horse.",
    RejectionCode.PRICE_CONFLICT: "The answer names price ranges that contradict each other.",
    RejectionCode.SHAPE: "The answer does not have exactly the fields and types of a certificate.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """Why an answer is not delivered. The sentence quotes nothing of the answer."""

    code: RejectionCode

    @property
    def sentence(self) -> str:
        return _SENTENCES[self.code]

    @property
    def error_class(self) -> ErrorClass:
        """What this means for the attempt."""
        match self.code:
            case RejectionCode.REFUSAL:
                return ErrorClass.REFUSAL
            case RejectionCode.TRUNCATED:
                return ErrorClass.TRUNCATED
            case _:
                return ErrorClass.INVALID_OUTPUT
