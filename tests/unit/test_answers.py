"""Fresh valuations: what may be delivered to a customer who paid, and every twin that may not."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pferdewert_ops.domain.answers import Valuation, check_certificate, check_valuation
from pferdewert_ops.domain.failures import ErrorClass
from pferdewert_ops.domain.money import Currency
from pferdewert_ops.domain.rejections import Rejected, RejectionCode
from tests.shop_documents.answers import ACCEPTED_CERTIFICATES, ACCEPTED_VALUATIONS, AcceptedValuation

each_valuation = pytest.mark.parametrize("accepted", ACCEPTED_VALUATIONS, ids=lambda accepted: accepted.name)
GOOD = ACCEPTED_VALUATIONS[0]
PLACEHOLDER = "Wir arbeiten gerade an unserem KI-Modell, bitte versuche es später noch einmal. "


def judged(text: object, *, stop_reason: str | None = "end_turn", currency: Currency = GOOD.currency) -> object:
    return check_valuation(text, stop_reason=stop_reason, currency=currency)


def rejection(text: object, *, stop_reason: str | None = "end_turn") -> RejectionCode:
    result = judged(text, stop_reason=stop_reason)
    assert isinstance(result, Rejected), result
    return result.code


def test_there_are_enough_texts() -> None:
    assert len({accepted.name for accepted in ACCEPTED_VALUATIONS}) >= 12
    assert {accepted.currency for accepted in ACCEPTED_VALUATIONS} == set(Currency)


@each_valuation
def test_an_accepted_text(accepted: AcceptedValuation) -> None:
    assert judged(accepted.text, currency=accepted.currency) == Valuation(
        text=accepted.text.strip(), price_from=accepted.price_from, price_to=accepted.price_to
    )


@each_valuation
def test_its_twins_are_rejected(accepted: AcceptedValuation) -> None:
    # The English one is long enough and names the range in German: only its language is wrong.
    assert len(accepted.english) >= 1_200
    for text, code in (
        (accepted.english, RejectionCode.NOT_GERMAN),
        (accepted.truncated, RejectionCode.UNFINISHED),
        (accepted.empty, RejectionCode.EMPTY),
    ):
        assert judged(text, currency=accepted.currency) == Rejected(code=code)


@each_valuation
def test_every_cut_inside_of_the_last_sentence_is_noticed(accepted: AcceptedValuation) -> None:
    text = accepted.text.rstrip()
    last_sentence = [match.end() for match in re.finditer(r"[.!?]\s+(?=[A-ZÄÖÜ])", text)][-1]
    end = len(text.rstrip(".!?)"))
    assert end - last_sentence > 20
    for cut in range(last_sentence + 1, end + 1):
        assert judged(text[:cut], currency=accepted.currency) == Rejected(code=RejectionCode.UNFINISHED), text[:cut]


@each_valuation
def test_the_other_currency_is_rejected(accepted: AcceptedValuation) -> None:
    (other,) = set(Currency) - {accepted.currency}
    assert judged(accepted.text, currency=other) == Rejected(code=RejectionCode.PRICE_CURRENCY)


@each_valuation
def test_a_foreign_paragraph_among_german_ones_is_noticed(accepted: AcceptedValuation) -> None:
    foreign = max(accepted.english.split("\n\n"), key=len)
    paragraphs = accepted.text.strip().split("\n\n")
    paragraphs.insert(len(paragraphs) // 2, foreign)
    assert judged("\n\n".join(paragraphs), currency=accepted.currency) == Rejected(code=RejectionCode.NOT_GERMAN)


@pytest.mark.parametrize(
    ("stop_reason", "code", "error_class"),
    [
        (None, RejectionCode.TRUNCATED, ErrorClass.TRUNCATED),
        ("max_tokens", RejectionCode.TRUNCATED, ErrorClass.TRUNCATED),
        ("model_context_window_exceeded", RejectionCode.TRUNCATED, ErrorClass.TRUNCATED),
        ("refusal", RejectionCode.REFUSAL, ErrorClass.REFUSAL),
        ("stop_sequence", RejectionCode.STOP_REASON, ErrorClass.INVALID_OUTPUT),
        ("tool_use", RejectionCode.STOP_REASON, ErrorClass.INVALID_OUTPUT),
        ("pause_turn", RejectionCode.STOP_REASON, ErrorClass.INVALID_OUTPUT),
        ("", RejectionCode.STOP_REASON, ErrorClass.INVALID_OUTPUT),
    ],
)
def test_only_a_finished_answer_counts(stop_reason: str | None, code: RejectionCode, error_class: ErrorClass) -> None:
    valuation = judged(GOOD.text, stop_reason=stop_reason)
    certificate = check_certificate(ACCEPTED_CERTIFICATES[0].data, stop_reason=stop_reason)
    for result in (valuation, certificate):
        assert isinstance(result, Rejected)
        assert (result.code, result.error_class) == (code, error_class)


@pytest.mark.parametrize("code", RejectionCode)
def test_every_rejection_has_a_sentence(code: RejectionCode) -> None:
    assert Rejected(code=code).sentence.endswith(".")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (None, RejectionCode.NOT_TEXT),
        (7, RejectionCode.NOT_TEXT),
        (b"Text", RejectionCode.NOT_TEXT),
        ({"text": "Text"}, RejectionCode.NOT_TEXT),
        (" \n\u200b\x00\u00a0", RejectionCode.EMPTY),
        (PLACEHOLDER, RejectionCode.PLACEHOLDER),
        ("\n \ufeff" + PLACEHOLDER, RejectionCode.PLACEHOLDER),
    ],
    ids=repr,
)
def test_no_text_at_all(text: object, code: RejectionCode) -> None:
    assert rejection(text) is code


def test_the_placeholder_is_rejected_however_much_follows() -> None:
    assert rejection(PLACEHOLDER + GOOD.text) is RejectionCode.PLACEHOLDER


def test_the_bounds_of_the_length() -> None:
    head, body = GOOD.text.strip().split("\n\n", 1)
    least = _of_length(head, body[:1_100].rpartition(".")[0] + ".", 1_200)
    assert isinstance(judged(least), Valuation)
    assert rejection(_of_length(head, body[:1_100].rpartition(".")[0] + ".", 1_199)) is RejectionCode.TOO_SHORT
    assert isinstance(judged(_of_length(head, body, 40_000)), Valuation)
    assert rejection(_of_length(head, body, 40_001)) is RejectionCode.TOO_LONG


def _of_length(head: str, body: str, length: int) -> str:
    """Both parts with so many empty lines between them that the whole has this length."""
    text = head + "\n" * (length - len(head) - len(body)) + body
    assert len(text) == length
    return text


@pytest.mark.parametrize(
    "leftover",
    [
        "Das steht in <pferdedaten>.",
        "</pferdedaten>",
        "Der Markt in <land>DE</land> ist stabil.",
        "<waehrung>EUR",
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "<!-- Hinweis -->",
        "```markdown",
        "Mehr dazu unter https://example.org/pferd.",
        "Mehr dazu unter www.example.org.",
        "Mehr dazu [hier](example.org).",
        "Als KI kann ich das Pferd nicht sehen.",
        "Ich kann als KI nicht reiten.",
        "Als KI-Modell habe ich keine Augen.",
        "Als eine KI urteile ich vorsichtig.",
        "Als Sprachmodell urteile ich vorsichtig.",
        "Hier hat eine künstliche Intelligenz geschrieben.",
        "Mein System-Prompt verbietet das.",
        "Der Systemprompt verbietet das.",
        "As an AI, I cannot see the horse.",
        "Diese Bewertung stammt von ChatGPT.",
        "Ich kann diese Anfrage leider nicht beantworten.",
        "Name: {{horse.name}}",
    ],
)
def test_markup_links_and_talk_about_itself(leftover: str) -> None:
    paragraphs = GOOD.text.strip().split("\n\n")
    for position in (0, 3, len(paragraphs) - 1):
        changed = [*paragraphs[:position], leftover, *paragraphs[position:]]
        assert rejection("\n\n".join(changed)) is RejectionCode.LEFTOVER


@pytest.mark.parametrize(
    "harmless",
    [
        "Die Stute ist auch als Kinderpferd geeignet, weil sie sehr ruhig ist.",
        "Sie wurde per KB angepaart und ist als Kandidatin für die Zucht gemeldet.",
        "Das Stockmaß liegt < 170 cm und > 165 cm, was vielen entgegenkommt.",
        "Erste Zeile der Tabelle<br>zweite Zeile der Tabelle.",
        "Sie ging eine Saison in Klasse M** und einmal in S***.",
        "Ihr Vater ist For Pleasure, ihre Mutter eine Tochter von Lord of the Rings (Hann.).",
        "American Quarter Horse, Paint Horse, Thoroughbred, Welsh Cob, Connemara und Irish Draught sind Rassen.",
        "**Stärken:** Sie ist ehrlich, fleißig und im Gelände sicher.",
        "Der Besitzer nennt sie „Donna“ (ein Kosename).",
        "| Merkmal | Urteil |\n|---|---|\n| Schritt | gut |\n| Trab | sehr gut |",
    ],
)
def test_the_language_of_horse_people_passes(harmless: str) -> None:
    paragraphs = GOOD.text.strip().split("\n\n")
    paragraphs.insert(3, harmless)
    assert isinstance(judged("\n\n".join(paragraphs)), Valuation)


@pytest.mark.parametrize(
    ("end", "finished"),
    [
        ("Das Pferd ist sein Geld wert.", True),
        ("Das Pferd ist sein Geld wert!", True),
        ("Ist das Pferd sein Geld wert?", True),
        ("Das Pferd ist **sein Geld wert.**", True),
        ("*Das Pferd ist sein Geld wert.*", True),
        ("Das Pferd ist sein Geld wert (mit TÜV).", True),
        ("Man nennt es „sein Geld wert.“", True),
        ("- Fotos\n- ein Video in allen Gangarten.", True),
        ("Das Pferd wurde im Jahr 2015 geboren und kam 2019.", True),
        ("Der Preis liegt bei 12.500.", True),
        ("Es ging bis Klasse L.", True),
        ("**Preisspanne: 8.500 – 11.000 EUR**", True),
        ("Das Pferd ist sein Geld", False),
        ("Das Pferd ist sein Geld wert,", False),
        ("Das Pferd ist sein Geld wert …", False),
        ("Das Pferd ist sein Geld wert...", False),
        ("Das Pferd ist sein Geld wert:", False),
        ("Das Pferd ist geeignet für Amateure, z. B.", False),
        ("Das Pferd ist geeignet für Amateure, z.B.", False),
        ("Das Pferd kostet ca.", False),
        ("Das Pferd kostet inkl.", False),
        ("Das Pferd kostet 11.", False),
        ("Das Pferd ist **sein Geld wert.", False),
        ("Das Pferd ist sein Geld wert (mit TÜV.", False),
        ("Man nennt es „sein Geld wert.", False),
        ("## Fazit und Empfehlung.", False),
        ("| Trab | gut. |", False),
        ("Preisspanne: 8.500 – 11.000 EUR", False),
        ("**Preisspanne: 8.500 – 11.000 EUR", False),
    ],
)
def test_how_a_text_may_end(end: str, *, finished: bool) -> None:
    result = judged(f"{GOOD.text}\n\n{end}\n")
    assert result == Rejected(code=RejectionCode.UNFINISHED) or finished
    assert isinstance(result, Valuation) or not finished


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("", RejectionCode.PRICE_MISSING),
        ("**Preisspanne: 8.500 EUR**", RejectionCode.PRICE_MISSING),
        ("**Preisspanne: 8.500 – 11.000 CHF**", RejectionCode.PRICE_CURRENCY),
        ("**Preisspanne: 8.500 – 85.000 EUR**", RejectionCode.PRICE_IMPLAUSIBLE),
        (
            "**Preisspanne: 8.500 – 11.000 EUR**\n\n**Preisspanne: 9.000 – 12.000 EUR**",
            RejectionCode.PRICE_CONFLICT,
        ),
    ],
)
def test_the_price_line(line: str, code: RejectionCode) -> None:
    text = GOOD.text.replace("**Preisspanne: 8.500 – 11.000 EUR**", line)
    assert text != GOOD.text
    assert rejection(text) is code


@given(text=st.text(alphabet=st.characters(codec=None), min_size=1_200, max_size=1_600))
def test_random_text_is_never_delivered(text: str) -> None:
    assert isinstance(judged(text), Rejected)
    assert isinstance(judged(f"**Preisspanne: 8.500 – 11.000 EUR**\n\n{text}."), Rejected)
