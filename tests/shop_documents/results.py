"""What the shop and its repair scripts stored as results: good ones, placeholders, and what is neither."""

from typing import Any

from tests.shop_documents.answers import ACCEPTED_CERTIFICATES, ACCEPTED_VALUATIONS

VALUATION = ACCEPTED_VALUATIONS[0].text
SWISS_VALUATION = next(accepted.text for accepted in ACCEPTED_VALUATIONS if accepted.name == "freiberger_fahren")
PLACEHOLDER = (
    "Wir arbeiten gerade an unserem KI-Modell und können deine Bewertung im Moment nicht erstellen. "
    "Bitte versuche es später noch einmal oder schreibe uns an info@pferdewert.de."
)
# Shorter and plainer than what is accepted of a model today, yet delivered, read and paid for.
OLD_VALUATION = "Preis: ca. 7.000 Euro. Schöne Stute, guter Charakter, bitte mit TÜV anbieten"

CERTIFICATE: dict[str, Any] = ACCEPTED_CERTIFICATES[0].data
DETAILS: dict[str, Any] = CERTIFICATE["bewertungsDetails"]


def certificate(**changes: Any) -> dict[str, Any]:
    return {**CERTIFICATE, **changes}


def details(**changes: Any) -> dict[str, Any]:
    return {**DETAILS, **changes}
