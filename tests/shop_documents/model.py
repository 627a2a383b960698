"""How the collection is built: one named order of the shop with everything that lies around it, and the facts of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId

from pferdewert_ops.domain.products import ProductKey

# When the collection plays unless a test says otherwise.
NOW = datetime(2026, 1, 20, 12, 0, tzinfo=UTC)

Document = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopDocument:
    """One order as the shop stores it.

    `horse_usable`: the form can be evaluated; `bad_field` names what cannot be used if not. `delivered`: what the
    stored result is, in the words of `DeliveredText` or `DeliveredCertificate`. `stockmass_cm`: the height that must be
    read, where the document is about it.
    """

    name: str
    product: ProductKey
    document: Document
    job: Document | None = None
    webhooks: list[Document] = field(default_factory=list)
    horse_usable: bool = True
    bad_field: str | None = None
    delivered: str = "absent"
    stockmass_cm: int | None = None


class Without:
    """Marks a field that the document does not have."""


WITHOUT = Without()


def order_id(created: datetime, number: int) -> ObjectId:
    """An id as the shop's driver makes it at that time; `number` tells orders of one second apart."""
    return ObjectId(f"{int(created.timestamp()):08x}{number:016x}")


def session_id(number: int, *, test_mode: bool = False) -> str:
    return f"cs_{'test' if test_mode else 'live'}_{number:06d}a1B2c3D4e5F6g7H8"


def filled(form: Mapping[str, Any], changes: Mapping[str, Any]) -> Document:
    """The form with these changes; a change to WITHOUT removes the field."""
    return {key: value for key, value in {**form, **changes}.items() if value is not WITHOUT}


FORM: Mapping[str, Any] = {
    "rasse": "Hannoveraner",
    "alter": 7,
    "geschlecht": "Stute",
    "abstammung": "Don Frederic × Weltmeyer",
    "stockmass": 168,
    "ausbildung": "L-Dressur sicher, Springen bis A",
    "aku": "2025 ohne Befund",
    "erfolge": "mehrfach platziert bis L",
    "standort": "29221",
    "land": "DE",
    "user_country": "DE",
    "haupteignung": "Dressur",
    "charakter": "ruhig und fleißig",
    "besonderheiten": "verladefromm",
    "attribution_source": "unknown",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """Writes documents as the shop does, relative to `now`; every order gets the next number."""

    now: datetime
    numbers: list[int] = field(default_factory=lambda: [0])

    def bewertung(
        self, name: str, *, age: timedelta, facts: Mapping[str, Any] | None = None, **changes: Any
    ) -> ShopDocument:
        return self._order(name, ProductKey.BEWERTUNG, age, facts or {}, changes)

    def wertgutachten(
        self, name: str, *, age: timedelta, facts: Mapping[str, Any] | None = None, **changes: Any
    ) -> ShopDocument:
        changes = {"pferdeName": "Donna Clara", **changes}
        return self._order(name, ProductKey.WERTGUTACHTEN, age, facts or {}, changes)

    def job(self, order: Document, *, age: timedelta, **changes: Any) -> Document:
        """The job as the new checkout inserts it beside its order."""
        created = self.now - age
        horse = {key: order[key] for key in FORM if key in order and key not in {"user_country", "attribution_source"}}
        job = {
            "_id": order_id(created, 0x0B00_0000 + self._next()),
            "bewertungId": order["_id"],
            "horseData": horse,
            "status": "pending",
            "priority": "normal",
            "attempts": 0,
            "maxAttempts": 8,
            "scheduledAt": created,
        }
        return filled(job, changes)

    def webhook(self, order: Document, *, age: timedelta, status: str = "processing", **changes: Any) -> Document:
        row = {"sessionId": order.get("stripeSessionId"), "processedAt": self.now - age, "status": status}
        return {"_id": order_id(self.now - age, 0x0E00_0000 + self._next()), **row, **changes}

    def _order(
        self, name: str, product: ProductKey, age: timedelta, facts: Mapping[str, Any], changes: Mapping[str, Any]
    ) -> ShopDocument:
        number, created = self._next(), self.now - age
        document = {
            "_id": order_id(created, number),
            **FORM,
            "status": "offen",
            "stripeSessionId": session_id(number),
            "erstellt": created,
        }
        return ShopDocument(name=name, product=product, document=filled(document, changes), **facts)

    def _next(self) -> int:
        self.numbers[0] += 1
        return self.numbers[0]
