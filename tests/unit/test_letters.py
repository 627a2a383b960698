"""The texts of the mails, and that nothing a customer typed can change more than the greeting."""

import re
from datetime import timedelta
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pferdewert_ops.domain.failures import ErrorClass
from pferdewert_ops.domain.letter_form import Link, as_html
from pferdewert_ops.domain.letters import (
    Accepted,
    Letter,
    MailKind,
    Refused,
    Unknown,
    delay_letter,
    operator_notice,
    result_letter,
    seen_after_unknown,
)
from pferdewert_ops.domain.money import Currency, Money
from pferdewert_ops.domain.products import BEWERTUNG, WERTGUTACHTEN, Country, Product

ORDER = "65a1b2c3d4e5f60718293a4b"
SHOP = "https://pferdewert.de"
VOID = {"meta", "br"}


class Page(HTMLParser):
    """What a reader sees of an HTML mail: its words, its links, its elements; elements must close in order."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.links: list[str] = []
        self.elements: set[str] = set()
        self._open: list[str] = []
        self.feed(source)
        self.close()
        assert not self._open, f"left open: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.links += [value or "" for name, value in attrs if name == "href"]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open and "title" not in self._open:
            self.words += data.split()


def result(product: Product = BEWERTUNG, name: object = "Anna Weber", *, delayed: bool = False) -> Letter:
    return result_letter(
        product=product, order_id=ORDER, to="anna@example.org", name=name, base_url=SHOP, delayed=delayed
    )


ALL_LETTERS = [
    result(),
    result(WERTGUTACHTEN),
    result(name=None),
    result(delayed=True),
    delay_letter(product=BEWERTUNG, order_id=ORDER, to="anna@example.org", name="Anna"),
    delay_letter(product=WERTGUTACHTEN, order_id=ORDER, to="anna@example.org", name=None),
    operator_notice(
        product=BEWERTUNG, order_id=ORDER, to=["a@example.org", "b@example.org"], amount=BEWERTUNG.price(Country.CH)
    ),
]
LETTER_NAMES = ["bewertung", "wertgutachten", "nameless", "delayed", "delay-1", "delay-2", "operator"]


@pytest.mark.parametrize(
    ("product", "subject", "url"),
    [
        (BEWERTUNG, "Deine Pferdebewertung ist fertig", f"{SHOP}/ergebnis?id={ORDER}"),
        (WERTGUTACHTEN, "Dein Wertgutachten ist fertig", f"{SHOP}/wertgutachten-ergebnis?id={ORDER}"),
    ],
)
def test_a_result_letter_greets_and_links_to_the_customers_page(product: Product, subject: str, url: str) -> None:
    letter = result(product)
    assert (letter.kind, letter.subject, letter.to) == (MailKind.RESULT, subject, ("anna@example.org",))
    assert "Hallo Anna," in letter.text
    assert "Hallo Anna," in letter.html
    assert letter.text.splitlines().count(url) == 1
    assert set(Page(letter.html).links) == {url}


def test_an_unknown_name_gives_a_neutral_greeting() -> None:
    assert result(name=None).text.startswith("Hallo,\n")


def test_only_a_delayed_result_apologises() -> None:
    assert "Entschuldige" in result(delayed=True).text
    assert "Entschuldige" not in result().text


@pytest.mark.parametrize("product", [BEWERTUNG, WERTGUTACHTEN])
def test_the_delay_letter_asks_not_to_buy_again(product: Product) -> None:
    letter = delay_letter(product=product, order_id=ORDER, to="anna@example.org", name="Anna")
    text = " ".join(letter.text.split())
    assert letter.kind is MailKind.DELAY
    for needed in (
        "wird gerade geschrieben",
        "bitten wir dich um Entschuldigung",
        "eine neue Zahlung ist nicht nötig",
        "Bitte kaufe nicht noch einmal",
        ORDER,
    ):
        assert needed in text
    assert not Page(letter.html).links, "the result cannot be read yet: a link would show an error"


@pytest.mark.parametrize(
    ("amount", "written"),
    [
        (BEWERTUNG.price(Country.DE), "14,90 €"),
        (BEWERTUNG.price(Country.CH), "CHF 19,90"),
        (WERTGUTACHTEN.price(Country.CH), "49,90 €"),
        (Money(minor=0, currency=Currency.EUR), "0,00 €"),
    ],
)
def test_the_operators_read_the_amount_in_its_currency(amount: Money, written: str) -> None:
    letter = operator_notice(product=BEWERTUNG, order_id=ORDER, to=["a@example.org", "b@example.org"], amount=amount)
    assert letter.to == ("a@example.org", "b@example.org")
    assert f"Betrag: {written}\n" in letter.text
    assert written in letter.html
    assert written in letter.subject
    assert f"Bestellnummer: {ORDER}\n" in letter.text


@pytest.mark.parametrize("letter", ALL_LETTERS, ids=LETTER_NAMES)
def test_both_bodies_say_the_same(letter: Letter) -> None:
    page = Page(letter.html)
    plain = [word for word in letter.text.split() if not word.startswith("http")]
    button_hint = {"Falls", "der", "Knopf", "nicht", "geht:"}
    shown = [word for word in page.words if not word.startswith("http")]
    missing = [word.rstrip(":") for word in plain if word not in shown and word.rstrip(":") not in shown]
    added = [word for word in shown if word not in plain and f"{word}:" not in plain and word not in button_hint]
    assert (missing, added) == ([], [])


@pytest.mark.parametrize("letter", ALL_LETTERS, ids=LETTER_NAMES)
def test_the_html_suits_a_phone_and_a_dark_screen(letter: Letter) -> None:
    page = Page(letter.html)
    assert not page.elements & {"table", "img", "script", "link"}
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in letter.html
    assert '<meta name="color-scheme" content="light dark">' in letter.html
    assert "prefers-color-scheme: dark" in letter.html
    assert "<meta charset" in letter.html
    assert max(len(line) for line in letter.text.splitlines() if "://" not in line) <= 72


@pytest.mark.parametrize("letter", ALL_LETTERS, ids=LETTER_NAMES)
def test_german_keeps_its_umlauts(letter: Letter) -> None:
    assert not re.search(r"fuer|wuerde|noetig|Gruess|ueber|laenger|moecht|schoen", letter.text)


def letters_for_anybody(name: object) -> list[Letter]:
    return [result(name=name), delay_letter(product=BEWERTUNG, order_id=ORDER, to="a@example.org", name=name)]


@given(name=st.text(max_size=200))
def test_no_name_changes_anything_but_the_greeting(name: str) -> None:
    for letter, neutral in zip(letters_for_anybody(name), letters_for_anybody(None), strict=True):
        page, plain = Page(letter.html), Page(neutral.html)
        assert (page.links, page.elements, letter.subject) == (plain.links, plain.elements, neutral.subject)
        assert letter.text.split("\n", 1)[1] == neutral.text.split("\n", 1)[1]


@pytest.mark.parametrize(
    "name",
    ["<b>Anna</b>", "Anna\r\nBcc: x@y.de", "http://boese.example", '"><script>alert(1)</script>', "{your}", "Anna&Co"],
)
def test_hostile_names_are_never_taken_over(name: str) -> None:
    for letter in letters_for_anybody(name):
        greeting = letter.text.split("\n", 1)[0]
        assert greeting in {"Hallo,", "Hallo Anna,"}
        assert "<script>" not in letter.html
        assert "boese" not in letter.html


def letter(**changes: object) -> Letter:
    values: dict[str, object] = {
        "kind": MailKind.RESULT,
        "order_id": ORDER,
        "to": ("anna@example.org",),
        "subject": "Fertig",
        "html": "<p>Fertig</p>",
        "text": "Fertig",
    }
    return Letter(**{**values, **changes})  # type: ignore[arg-type]  # wrong values are the point


@pytest.mark.parametrize(
    "changes",
    [
        {"to": ()},
        {"to": ("anna@example.org\r\nBcc: eva@example.org",)},
        {"to": ("Anna@EXAMPLE.org",)},
        {"bcc": ("eva@example.org\n",)},
        {"subject": "Fertig\r\nBcc: eva@example.org"},
        {"subject": "Fertig\u2028nein"},
        {"subject": "  "},
        {"order_id": "65a\r\nX: y"},
        {"order_id": ""},
    ],
)
def test_a_letter_that_could_change_headers_cannot_be_made(changes: dict[str, object]) -> None:
    assert letter().order_id == ORDER
    with pytest.raises(ValueError, match="a letter") as caught:
        letter(**changes)
    assert "eva@" not in str(caught.value)


@pytest.mark.parametrize(
    "base_url", ["javascript:alert(1)", "https://x.de/\n", 'https://x.de/"onclick=', "pferdewert.de"]
)
def test_the_base_address_must_be_a_web_address(base_url: str) -> None:
    with pytest.raises(ValueError, match="base address"):
        result_letter(product=BEWERTUNG, order_id=ORDER, to="a@example.org", name=None, base_url=base_url)


def test_a_refusal_after_an_unknown_hand_over_settles_nothing() -> None:
    accepted, unknown = Accepted(provider_id="m-1"), Unknown(code="read_timeout")
    for_now = Refused(
        error_class=ErrorClass.RATE_LIMITED, code="rate_limit", permanent=False, retry_after=timedelta(seconds=2)
    )
    for_good = Refused(error_class=ErrorClass.MAIL_REFUSED, code="validation_error", permanent=True)
    assert seen_after_unknown(accepted) == accepted
    assert seen_after_unknown(unknown) == unknown
    assert seen_after_unknown(for_now) == Unknown(code="rate_limit", retry_after=timedelta(seconds=2))
    assert seen_after_unknown(for_good) == Unknown(code="validation_error", final=True)


def test_whatever_stands_in_a_block_is_text() -> None:
    hostile = 'a <b onclick="x"> & </title><script>'
    page = Page(as_html(hostile, [hostile, Link(label=hostile, url="https://x.de/?a=1&lt;=2")]))
    assert not page.elements & {"b", "script"}
    assert page.links == ["https://x.de/?a=1&lt;=2"] * 2
    assert page.words[: len(hostile.split())] == hostile.split()
