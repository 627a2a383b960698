"""What there is at the end, from every side: the database, the provider's mailbox, the model's journal."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import bson
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection
from pymongo.database import Database

from pferdewert_ops.adapters.mongo import documents
from pferdewert_ops.domain.letters import MailKind
from pferdewert_ops.domain.products import PRODUCTS, WERTGUTACHTEN
from pferdewert_ops.sandbox.anthropic_journal import Entry, Outcome
from pferdewert_ops.sandbox.demo.fates import Call, Document, Found
from pferdewert_ops.sandbox.demo.horses import BRAND
from pferdewert_ops.sandbox.demo.orders import CERTIFICATES_BEFORE, DemoOrder
from pferdewert_ops.sandbox.demo.stage import OPERATORS
from pferdewert_ops.sandbox.environment import Sandbox
from pferdewert_ops.sandbox.mailbox import AcceptedMail
from pferdewert_ops.sandbox.valuation_text import certificate, valuation

_AWARE: CodecOptions[Document] = CodecOptions(tz_aware=True)
_ORDER_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{24}(?![0-9a-f])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Every order as found, by its id (None: its document is gone), and sentences about what belongs to none."""

    found: Mapping[str, Found | None]
    strays: Sequence[str]
    mails: int
    duplicate_mails: int
    calls: int
    booked_micro: int


def gather(sandbox: Sandbox, database: Database[Document], orders: Sequence[DemoOrder]) -> Evidence:
    """Read it all. Only when the workers have ended: it is no snapshot."""
    by_id = {str(order.id): order for order in orders}
    stored = {str(document["_id"]): (raw, document) for raw, document in _stored(database)}
    jobs = _grouped(database, documents.JOBS, "bewertungId")
    mails = _grouped(database, documents.MAILS, "orderId")
    with database[documents.FINDINGS].find({"state": "open"}) as open_findings:
        findings = [(str(finding["subject"]), str(finding["kind"])) for finding in open_findings]
    entries = sandbox.model.journal.entries()
    calls = _calls(entries, orders)
    inbox = sandbox.mail.mailbox.mails()
    accepted = _accepted(inbox)
    found: dict[str, Found | None] = dict.fromkeys(by_id)
    for text in by_id.keys() & stored.keys():
        raw, document = stored[text]
        found[text] = Found(
            document=document,
            raw=raw,
            jobs=jobs.get(text, []),
            mails={mail["kind"]: mail for mail in mails.get(text, [])},
            accepted=accepted.get(text, []),
            findings=frozenset(kind for subject, kind in findings if subject == text),
            calls=calls.get(text, []),
        )
    strays = [f"a document {text} that nobody wrote" for text in stored.keys() - by_id.keys()]
    strays += [f"a job for {text}, which is no order" for text in jobs.keys() - by_id.keys()]
    strays += [f"a mail owed to {text}, which is no order" for text in mails.keys() - by_id.keys()]
    strays += [f"a finding {kind} about {subject}" for subject, kind in findings if subject not in by_id]
    strays += [f"a mail about {text}, which is no order" for text in accepted.keys() - by_id.keys()]
    strays += _wrongly_addressed(inbox, by_id)
    strays += _wrongly_numbered(database, orders, stored)
    if surplus := len(entries) - sum(map(len, calls.values())):
        strays.append(f"{surplus} model calls about no order")
    with database[documents.SPEND].find({}, {"micro": 1}) as booked:
        booked_micro = sum(entry["micro"] for entry in booked)
    return Evidence(
        found=found,
        strays=strays,
        mails=len(inbox),
        duplicate_mails=sum(len(kinds) - len(set(kinds)) for kinds in accepted.values()),
        calls=len(entries),
        booked_micro=booked_micro,
    )


def _stored(database: Database[Document]) -> Iterator[tuple[bytes, Document]]:
    """Every order's document, as bytes and read."""
    as_bytes: CodecOptions[Any] = CodecOptions(document_class=RawBSONDocument)
    for product in PRODUCTS.values():
        collection = cast("Collection[RawBSONDocument]", database.get_collection(product.collection, as_bytes))
        with collection.find({}) as cursor:
            for one in cursor:
                yield bytes(one.raw), bson.decode(one.raw, _AWARE)


def _grouped(database: Database[Document], collection: str, reference: str) -> dict[str, list[Document]]:
    """The records of each order, oldest first."""
    grouped: dict[str, list[Document]] = defaultdict(list)
    with database[collection].find({}).sort("_id", 1) as cursor:
        for record in cursor:
            grouped[str(record[reference])].append(record)
    return grouped


# --- the model -------------------------------------------------------------------------------------------------------


def _calls(entries: Sequence[Entry], orders: Sequence[DemoOrder]) -> dict[str, list[Call]]:
    """The model calls about each order; what it was asked tells which one."""
    by_brand = {order.brand: order for order in orders}
    calls: dict[str, list[Call]] = defaultdict(list)
    for entry in entries:
        brand = BRAND.search(entry.prompt)
        order = by_brand.get(brand[0]) if brand else None
        if order is not None:
            calls[str(order.id)].append(_call(entry, order))
    return calls


def _call(entry: Entry, order: DemoOrder) -> Call:
    is_certificate = order.product is WERTGUTACHTEN
    return Call(
        model=entry.model,
        right=entry.fault is None and entry.outcome is Outcome.COMPLETE,
        answer=json.loads(certificate(entry.prompt)) if is_certificate else valuation(entry.prompt).strip(),
    )


# --- mail ------------------------------------------------------------------------------------------------------------


def _accepted(inbox: Sequence[AcceptedMail]) -> dict[str, list[str]]:
    """The kinds of the mails that the provider has taken for each order, as their texts name it."""
    accepted: dict[str, list[str]] = defaultdict(list)
    for mail in inbox:
        named = set(_ORDER_ID.findall(mail.text + mail.html)) or {"nothing"}
        for text in named:
            accepted[text].append(mail.kind or "unknown")
    return accepted


def _wrongly_addressed(inbox: Sequence[AcceptedMail], by_id: Mapping[str, DemoOrder]) -> Iterator[str]:
    for mail in inbox:
        for text in set(_ORDER_ID.findall(mail.text)) & by_id.keys():
            customer = by_id[text].at_the_end().get("customer_email")
            if mail.to != ((OPERATORS if mail.kind == MailKind.OPERATOR else customer),) or mail.bcc:
                yield f"the {mail.kind} mail of {text} went to somebody else"


# --- certificates ----------------------------------------------------------------------------------------------------


def _wrongly_numbered(
    database: Database[Document], orders: Sequence[DemoOrder], stored: Mapping[str, tuple[bytes, Document]]
) -> Iterator[str]:
    """Every certificate has a number of its own, which came from the shop's counter.

    A number may be skipped: two workers that deliver the same certificate at one moment may both have drawn one.
    """
    numbers = Counter(
        document["zertifikatNummer"] for _, document in stored.values() if document.get("zertifikatNummer")
    )
    for number, times in numbers.items():
        if times > 1:
            yield f"{number} stands on {times} certificates"
    before = sum("zertifikatNummer" in order.document for order in orders)
    with database["counters"].find({}) as counters:
        moved = sum(counter["seq"] for counter in counters) - CERTIFICATES_BEFORE
    if moved < len(numbers) - before:
        yield f"the counter of certificates has moved by {moved} only, new are {len(numbers) - before}"
