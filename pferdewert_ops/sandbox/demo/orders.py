"""The orders that the demonstration writes, in the shop's shapes: the same ones for the same seed, but for the time."""

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import bson
from bson import ObjectId

from pferdewert_ops.domain.horse import Horse, normalise
from pferdewert_ops.domain.orders import Payment
from pferdewert_ops.domain.products import WERTGUTACHTEN, Country, Product
from pferdewert_ops.domain.prompts import evaluation_prompt
from pferdewert_ops.sandbox.demo import horses
from pferdewert_ops.sandbox.demo.kinds import KINDS, JobShape, Kind, Stored
from pferdewert_ops.sandbox.valuation_text import PLACEHOLDER, certificate, valuation

Document = dict[str, Any]

MOST_ORDERS = 500
# How many certificates the shop itself had numbered this year, any of which may be among the incomplete ones.
CERTIFICATES_BEFORE = MOST_ORDERS
# Customers pay this long after checkout has written their order.
CHECKOUT = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOrder:
    """One order as the shop wrote it. `brand` stands in its prompt and in no other; `payment` is what paying adds."""

    kind: Kind
    country: Country
    document: Document
    jobs: tuple[Document, ...]
    payment: Document
    brand: str

    @property
    def id(self) -> ObjectId:
        identity: ObjectId = self.document["_id"]
        return identity

    @property
    def product(self) -> Product:
        return self.kind.product

    def at_the_end(self) -> Document:
        """The document as the shop will have left it: with the payment, where that comes during the demonstration."""
        return {**self.document, **self.payment} if self.kind.pays else self.document


def demo_orders(count: int, seed: int, now: datetime) -> list[DemoOrder]:
    """`count` orders (1 to 500), each kind once before any comes again; the order of the list is the seed's."""
    chance = random.Random(seed)
    to_the_millisecond = now.replace(microsecond=now.microsecond // 1000 * 1000)
    return [
        _order(number, kind, country, to_the_millisecond, chance)
        for number, (kind, country) in enumerate(_cast(count, chance))
    ]


def _cast(count: int, chance: random.Random) -> Iterator[tuple[Kind, Country]]:
    first = list(KINDS[:count])
    chance.shuffle(first)
    yield from ((kind, kind.country) for kind in first)
    again = [kind for kind in KINDS if not kind.once]
    left = count - len(first)
    while left > 0:
        round_ = again[:left]
        chance.shuffle(round_)
        yield from ((kind, chance.choice(list(Country))) for kind in round_)
        left -= len(round_)


def _order(number: int, kind: Kind, country: Country, now: datetime, chance: random.Random) -> DemoOrder:
    created = now - kind.age
    form = (horses.old_form if kind.old_form else horses.form)(number, country, chance)
    if kind.product is WERTGUTACHTEN:
        form["pferdeName"] = horses.horse_name(chance)
    document: Document = {
        "_id": _id(created, chance),
        **form,
        "status": "offen",
        "stripeSessionId": f"cs_live_{chance.randbytes(12).hex()}",
        "erstellt": created,
    }
    paid_at = now - kind.paid_ago
    payment = {
        "paymentStatus": Payment.PAID.value,
        "paidAt": paid_at,
        "status": "bezahlt",
        "customer_email": f"kunde-{number:03d}@example.org",
        "customer_name": horses.customer_name(chance),
    }
    if kind.payment is Payment.PAID:
        document |= payment
    elif kind.payment is not None:
        document |= {"paymentStatus": kind.payment.value, "status": "wartend"}
    document |= _stored(kind, form, number, now - kind.paid_ago / 2)
    document = _changed(document, kind.changes, now)
    jobs = tuple(_jobs(kind, document, form, chance))
    if jobs:
        document["jobId"] = jobs[0]["_id"]
    return DemoOrder(
        kind=kind, country=country, document=document, jobs=jobs, payment=payment, brand=horses.brand(number)
    )


def _id(moment: datetime, chance: random.Random) -> ObjectId:
    return ObjectId(f"{int(moment.timestamp()):08x}{chance.randbytes(8).hex()}")


def _changed(document: Document, changes: Mapping[str, Any], now: datetime) -> Document:
    """None takes a field away; a duration is a time so long ago."""
    at = {key: now - value if isinstance(value, timedelta) else value for key, value in changes.items()}
    return {key: value for key, value in {**document, **at}.items() if value is not None}


def _jobs(kind: Kind, document: Document, form: Document, chance: random.Random) -> Iterator[Document]:
    """The jobs that checkout inserted beside the order, a second apart."""
    for place, shape in enumerate(kind.jobs):
        at = document["erstellt"] + timedelta(seconds=place)
        yield {
            "_id": _id(at, chance),
            "bewertungId": str(document["_id"]) if shape is JobShape.TEXT_REFERENCE else document["_id"],
            "horseData": form,
            "status": "pending",
            "priority": "premium" if shape is JobShape.PREMIUM else "normal",
            "attempts": 0,
            "maxAttempts": 5,
            "scheduledAt": at,
        }


def _stored(kind: Kind, form: Document, number: int, at: datetime) -> Document:
    """The result that the shop stored, with the fields that it stores beside it."""
    done: Document = {"status": "fertig", "aktualisiert": at}
    match kind.stored:
        case Stored.NOTHING:
            return {}
        case Stored.PLACEHOLDER:
            return {**done, "bewertung": PLACEHOLDER, "ai_model": "fallback"}
        case Stored.BLANK:
            return {**done, "bewertung": " \n", "ai_model": "error"}
        case Stored.VALID:
            return {**done, "bewertung": valuation(_prompt(kind, form)), "ai_model": "claude-opus-4-1"}
        case Stored.INCOMPLETE:
            data = json.loads(certificate(_prompt(kind, form)))
            del data["bewertungsDetails"]["fazit"]
            numbered = f"CERT-{at.year}-{number + 1:06d}"
            return {**done, "zertifikat_data": data, "zertifikatNummer": numbered, "ai_model": "claude-opus-4-1"}


def _prompt(kind: Kind, form: Document) -> str:
    horse = normalise(form)
    assert isinstance(horse, Horse), "the demonstration's own forms are usable"  # noqa: S101
    return evaluation_prompt(horse, kind.product).user


def stored_bytes(document: Mapping[str, Any]) -> bytes:
    """The document as the server stores it: field for field in this order."""
    return bson.encode(document)
