"""The mails that the shop owes its customers and operators: what they say, and what a hand-over can come to."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from pferdewert_ops.domain.failures import ErrorClass
from pferdewert_ops.domain.letter_form import Block, Link, as_html, as_text
from pferdewert_ops.domain.money import Money
from pferdewert_ops.domain.products import Product, ProductKey
from pferdewert_ops.domain.recipients import first_name, usable_address

__all__ = [
    "KIND_HEADER",
    "REFERENCE_HEADER",
    "Accepted",
    "Handover",
    "Letter",
    "MailKind",
    "Refused",
    "Unknown",
    "delay_letter",
    "operator_notice",
    "result_letter",
    "seen_after_unknown",
    "usable_address",
]


class MailKind(StrEnum):
    """What a mail is for. There is at most one accepted mail per (order, kind)."""

    RESULT = "result"
    DELAY = "delay"
    OPERATOR = "operator"


KIND_HEADER = "X-PferdeWert-Kind"
# A value of its own keeps mail programs from folding two mails about one order into one conversation.
REFERENCE_HEADER = "X-Entity-Ref-ID"

# Order ids are ObjectIds in hexadecimal; the wider set is what mail providers take as a tag.
_ORDER_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One mail, ready to be handed over. `to` and `bcc` hold addresses as `usable_address` returns them.

    Raises ValueError for an address, subject or order id that could change the mail's headers; the message never
    repeats the offending value.
    """

    kind: MailKind
    order_id: str
    to: tuple[str, ...]
    subject: str
    html: str
    text: str
    bcc: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.to:
            raise ValueError("a letter needs a recipient")
        if any(usable_address(address) != address for address in (*self.to, *self.bcc)):
            raise ValueError("a letter's address is not usable")
        if not self.subject.strip() or not self.subject.isprintable():
            raise ValueError("a letter's subject must be one printable line")
        if not _ORDER_ID.fullmatch(self.order_id):
            raise ValueError("a letter's order id is malformed")


# --- what a hand-over comes to -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The provider has the mail. `provider_id` finds it there (SMTP: the Message-ID)."""

    provider_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The provider certainly has not taken the mail in this hand-over.

    `permanent`: this letter will never be taken as it is. `code` is a stable word, free of addresses and secrets.
    """

    error_class: ErrorClass
    code: str
    permanent: bool
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """The provider may have taken the mail. `final`: asking again with the same key cannot tell any more."""

    code: str
    final: bool = False
    retry_after: timedelta | None = None


Handover = Accepted | Refused | Unknown


def seen_after_unknown(handover: Handover) -> Handover:
    """What a repetition tells about a mail whose earlier hand-over was Unknown.

    Acceptance settles it. A refusal speaks of the repetition alone: the earlier hand-over may still have been taken.
    """
    if isinstance(handover, Refused):
        return Unknown(code=handover.code, final=handover.permanent, retry_after=handover.retry_after)
    return handover


# --- the letters -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wording:
    """How German inflects around one product."""

    your: str
    it: str
    short: str


_WORDINGS = {
    ProductKey.BEWERTUNG: _Wording(your="deine Pferdebewertung", it="sie", short="deine Bewertung"),
    ProductKey.WERTGUTACHTEN: _Wording(your="dein Wertgutachten", it="es", short="dein Gutachten"),
}

_DELAY_SORRY = (
    "vielen Dank für deine Bestellung. {your} wird gerade geschrieben, das dauert diesmal leider länger als üblich. "
    "Dafür bitten wir dich um Entschuldigung."
)
# Nothing of a payment that has arrived: an order paid wholly by a voucher had none.
_DELAY_NOTHING_TO_DO = (
    "Du musst nichts weiter tun: Deine Bestellung ist bei uns angekommen, und eine neue Zahlung ist nicht nötig. "
    "Bitte kaufe nicht noch einmal, sonst würdest du doppelt bezahlen."
)
_QUESTIONS = "Du hast Fragen? Antworte einfach auf diese Mail, wir helfen dir gern."


def result_letter(
    *,
    product: Product,
    order_id: str,
    to: str,
    name: object,
    base_url: str,
    bcc: Sequence[str] = (),
    delayed: bool = False,
) -> Letter:
    """The customer's result is ready. `delayed`: the customer had to wait unusually long, which is apologised for."""
    wording = _WORDINGS[product.key]
    link = Link(label=f"{product.title} ansehen", url=_checked_url(product.page_url(base_url, order_id)))
    sorry = ["Entschuldige bitte, dass du länger als üblich warten musstest."] if delayed else []
    blocks: list[Block] = [
        f"{wording.your} ist fertig. Du kannst {wording.it} ab sofort ansehen:",
        link,
        *sorry,
        f"Bewahre diese Mail gut auf: Über den Link findest du {wording.short} jederzeit wieder.",
        _QUESTIONS,
    ]
    return _customer_letter(
        MailKind.RESULT, order_id, to, name, f"{_capital(wording.your)} ist fertig", blocks, tuple(bcc)
    )


def delay_letter(*, product: Product, order_id: str, to: str, name: object) -> Letter:
    """A paid order takes long: it is being written, nothing has to be done, and nothing should be bought again."""
    wording = _WORDINGS[product.key]
    blocks: list[Block] = [
        _DELAY_SORRY.format(your=_capital(wording.your)),
        _DELAY_NOTHING_TO_DO,
        f"Sobald {wording.it} fertig ist, schicken wir dir den Link per Mail.",
        f"{_QUESTIONS} Deine Bestellnummer ist {order_id}.",
    ]
    subject = f"{_capital(wording.your)} braucht noch etwas Zeit"
    return _customer_letter(MailKind.DELAY, order_id, to, name, subject, blocks, ())


def operator_notice(*, product: Product, order_id: str, to: Sequence[str], amount: Money) -> Letter:
    """Tell the operators of a delivered order. Nothing of the customer or of the horse is in it."""
    blocks: list[Block] = [
        f"Eine Bestellung ist ausgeliefert: {product.title}.",
        f"Betrag: {amount}",
        f"Bestellnummer: {order_id}",
    ]
    subject = f"{product.title} ausgeliefert: {amount}"
    return Letter(
        kind=MailKind.OPERATOR,
        order_id=order_id,
        to=tuple(to),
        subject=subject,
        html=as_html(subject, blocks),
        text=as_text(blocks),
    )


def _customer_letter(
    kind: MailKind, order_id: str, to: str, name: object, subject: str, blocks: list[Block], bcc: tuple[str, ...]
) -> Letter:
    known = first_name(name)
    whole: list[Block] = [
        f"Hallo {known}," if known else "Hallo,",
        *blocks,
        "Herzliche Grüße\ndein PferdeWert-Team",
    ]
    return Letter(
        kind=kind,
        order_id=order_id,
        to=(to,),
        subject=subject,
        html=as_html(subject, whole),
        text=as_text(whole),
        bcc=bcc,
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _checked_url(url: str) -> str:
    if not re.fullmatch(r"https?://[^\s<>\"']+", url):
        raise ValueError("the base address of the customer pages must be a plain http(s) address")
    return url
