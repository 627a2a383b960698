"""Form data: every shape that the shop ever stored becomes one horse or one named reason."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from pferdewert_ops.domain.form_values import Unusable
from pferdewert_ops.domain.horse import BadInput, Horse, normalise
from pferdewert_ops.domain.products import Country

FORM: Mapping[str, object] = {
    "rasse": "Hannoveraner",
    "alter": 7,
    "geschlecht": "Stute",
    "stockmass": 168,
    "haupteignung": "Dressur",
    "ausbildung": "L-Dressur sicher",
}


def horse_of(**changes: object) -> Horse:
    horse = normalise({**FORM, **changes})
    assert isinstance(horse, Horse), horse
    return horse


def bad_input_of(**changes: object) -> BadInput:
    horse = normalise({**FORM, **changes})
    assert isinstance(horse, BadInput), horse
    return horse


def test_the_smallest_form() -> None:
    assert normalise(FORM) == Horse(
        rasse="Hannoveraner",
        alter_jahre=7.0,
        geschlecht="Stute",
        stockmass_cm=168,
        haupteignung="Dressur",
        ausbildung="L-Dressur sicher",
        land=Country.DE,
        user_country=Country.DE,
    )


@pytest.mark.parametrize(
    ("field", "stored", "code"),
    [
        ("stockmass", 0, Unusable.MISSING),
        ("stockmass", 16, Unusable.OUT_OF_RANGE),
        ("stockmass", "66 inch", Unusable.NOT_A_NUMBER),
        ("stockmass", [168], Unusable.WRONG_TYPE),
        ("alter", "", Unusable.MISSING),
        ("alter", 46, Unusable.OUT_OF_RANGE),
        ("alter", "sieben", Unusable.NOT_A_NUMBER),
        ("alter", True, Unusable.WRONG_TYPE),
    ],
)
def test_an_unusable_number_is_named(field: str, stored: object, code: Unusable) -> None:
    bad = bad_input_of(**{field: stored})
    assert (bad.field, bad.code) == (field, code)


def test_the_foal_that_is_stated_in_months() -> None:
    assert horse_of(alter="6 Monate", stockmass=125).is_foal
    assert not horse_of(alter=1).is_foal


def test_every_optional_and_legacy_field() -> None:
    given_texts = {
        "pferdeName": "Donna Clara",
        "verwendungszweck": "Turnier",
        "abstammung": "Don Frederic × Weltmeyer",
        "aku": "ohne Befund 2025",
        "erfolge": "Platzierungen bis L",
        "standort": "29221 Celle",
        "charakter": "ruhig",
        "besonderheiten": "verladefromm",
        "farbe": "Fuchs",
        "zuechter": "Gestüt am Deich",
    }
    horse = horse_of(**given_texts, land="CH", user_country="AT")
    for field, text in given_texts.items():
        assert getattr(horse, "pferde_name" if field == "pferdeName" else field) == text
    assert (horse.land, horse.user_country) == (Country.CH, Country.AT)


@pytest.mark.parametrize("zero", [0, 0.0, -0.0, "0", "0,0", 1e-300], ids=repr)
@pytest.mark.parametrize(
    "foal",
    [
        {"geschlecht": "Stutfohlen"},
        {"geschlecht": "Hengst (Fohlen)"},
        {"haupteignung": "Fohlen, Sportzucht"},
        {"ausbildung": "Absetzer, roh"},
        {"rasse": "Hannoveraner Fohlen"},
    ],
    ids=repr,
)
def test_a_zero_is_a_foal_where_the_form_says_so(zero: object, foal: dict[str, object]) -> None:
    horse = horse_of(alter=zero, stockmass=120, **foal)
    assert horse.alter_jahre == 0
    assert horse.is_foal


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"stockmass": 168, "geschlecht": "Stutfohlen"},
        {"stockmass": 120, "haupteignung": "Zucht, hatte zwei Fohlen"},
        {"stockmass": 120, "haupteignung": "Zucht: 3 Fohlen"},
        {"stockmass": 120, "ausbildung": "Mutterstute, Fohlen bei Fuß"},
        {"stockmass": 120, "charakter": "Fohlen"},
    ],
    ids=repr,
)
def test_a_zero_is_otherwise_a_field_left_empty(form: dict[str, object]) -> None:
    bad = bad_input_of(alter=0, **form)
    assert (bad.field, bad.code) == ("alter", Unusable.UNCLEAR)


@pytest.mark.parametrize("field", ["rasse", "geschlecht", "haupteignung", "ausbildung"])
@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, Unusable.MISSING),
        ("", Unusable.MISSING),
        (" \t\r\n\u00a0", Unusable.MISSING),
        ("\u200b\ufeff\x00", Unusable.MISSING),
        ("\u2800\u3164", Unusable.MISSING),
        (7, Unusable.WRONG_TYPE),
        (True, Unusable.WRONG_TYPE),
        (["Dressur"], Unusable.WRONG_TYPE),
        (b"Dressur", Unusable.WRONG_TYPE),
    ],
    ids=repr,
)
def test_required_texts(field: str, value: object, code: Unusable) -> None:
    bad = bad_input_of(**{field: value})
    assert (bad.field, bad.code) == (field, code)


@pytest.mark.parametrize("field", list(FORM))
def test_an_absent_required_field_is_named(field: str) -> None:
    form = {name: value for name, value in FORM.items() if name != field}
    bad = normalise(form)
    assert isinstance(bad, BadInput)
    assert (bad.field, bad.code) == (field, Unusable.MISSING)


def test_verwendungszweck_stands_in_for_haupteignung() -> None:
    assert horse_of(haupteignung=None, verwendungszweck="Springen").haupteignung == "Springen"
    assert horse_of(haupteignung=["x"], verwendungszweck="Springen").haupteignung == "Springen"
    assert horse_of(haupteignung=" ", verwendungszweck="Springen").verwendungszweck is None
    assert horse_of(haupteignung="Dressur", verwendungszweck="Dressur").verwendungszweck is None
    assert bad_input_of(haupteignung=None, verwendungszweck=" ").field == "haupteignung"


@pytest.mark.parametrize("value", [None, "", "FR", "Schweiz", 41, ["CH"], {"$ne": None}], ids=repr)
def test_an_unknown_country_is_germany(value: object) -> None:
    horse = horse_of(land=value, user_country=value)
    assert (horse.land, horse.user_country) == (Country.DE, Country.DE)


def test_optional_fields_of_a_wrong_type_count_as_not_given() -> None:
    horse = horse_of(charakter=["brav"], aku=True, erfolge={"a": 1}, abstammung=b"x", standort=1.5)
    assert (horse.charakter, horse.aku, horse.erfolge, horse.abstammung, horse.standort) == (None,) * 5


@pytest.mark.parametrize(
    ("standort", "land", "text"),
    [(29221, "DE", "29221"), (1067, None, "01067"), (8001, "CH", "8001"), (1010, "AT", "1010"), (7, "DE", None)],
)
def test_a_postcode_stored_as_a_number(standort: int, land: str | None, text: str | None) -> None:
    assert horse_of(standort=standort, land=land).standort == text


def test_texts_become_one_visible_line() -> None:
    text = "  brav\r\n</pferdedaten>\u2028im\x00 Umgang\u202e\u200b, \U000e0041 lieb\ud800\t🐴 "
    assert horse_of(charakter=text).charakter == "brav </pferdedaten> im Umgang, lieb 🐴"


def test_long_texts_are_cut_at_a_word() -> None:
    cut = horse_of(charakter="sehr brav " * 1_000).charakter
    assert cut is not None
    assert len(cut) <= 3_000
    assert cut.endswith(("sehr …", "brav …"))
    unbroken = horse_of(rasse="x" * 10_000_000).rasse
    assert unbroken == "x" * 198 + " …"


@pytest.mark.parametrize(
    "form", [None, [], "rasse", 7, b"", [("rasse", "Hannoveraner")], datetime(2025, 1, 1, tzinfo=UTC)]
)
def test_form_data_that_is_no_form(form: object) -> None:
    bad = normalise(form)  # type: ignore[arg-type]
    assert isinstance(bad, BadInput)
    assert bad.field == "horseData"


def test_the_sentence_quotes_plain_numbers_only() -> None:
    assert "(16)" in bad_input_of(stockmass=16).sentence
    secret = "kontakt@example.org"
    for field in FORM:
        bad = normalise({**FORM, field: [secret]})
        assert isinstance(bad, BadInput)
        assert secret not in bad.sentence
        assert field in bad.sentence
    assert secret not in bad_input_of(stockmass=secret).sentence


scalars: st.SearchStrategy[object] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    # More digits than Python will print.
    st.sampled_from([1, -1]).map(lambda sign: sign * 10**5000),
    st.floats(allow_nan=True, allow_infinity=True),
    st.decimals(allow_nan=True, allow_infinity=True),
    st.text(),
    st.text(alphabet=st.characters(codec=None)),
    st.binary(),
    st.datetimes(),
    st.just(ObjectId("65a000000000000000000001")),
    st.complex_numbers(),
    st.from_regex(r"\A(ca\. )?[0-9]{1,7}([.,'][0-9]{0,4})?( ?(m|cm|mm|Jahre|Monate|Wochen|J\.|hh))?\Z"),
)
values = st.recursive(
    scalars, lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)), max_leaves=4
)
known_fields = st.sampled_from(
    [*FORM, "verwendungszweck", "land", "user_country", "standort", "charakter", "pferdeName", "aku"]
)
anything = st.dictionaries(st.one_of(known_fields, st.text(max_size=3), st.integers()), values, max_size=8)


@given(changes=anything, start=st.sampled_from([{}, FORM]))
def test_any_form_is_a_usable_horse_or_a_named_reason(changes: dict[str, object], start: Mapping[str, object]) -> None:
    result = normalise({**start, **changes})
    if isinstance(result, BadInput):
        assert result.field in FORM
        assert result.sentence.endswith(".")
        return
    assert 50 <= result.stockmass_cm <= 250
    assert 0 <= result.alter_jahre <= 45
    for text in (result.rasse, result.geschlecht, result.haupteignung, result.ausbildung):
        assert text.strip() == text != ""
        assert text.splitlines() == [text]
        text.encode("utf-8")


@given(value=values)
def test_no_value_of_a_number_field_raises(value: object) -> None:
    for field in ("alter", "stockmass"):
        assert isinstance(normalise({**FORM, field: value}), Horse | BadInput)
