"""The horse of an order: the shop's form data, normalised, or the one reason why it cannot be evaluated."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from pferdewert_ops.domain.form_values import Unusable, age_in_years, height_in_centimetres, one_line
from pferdewert_ops.domain.products import Country


@dataclass(frozen=True, slots=True, kw_only=True)
class Horse:
    """One horse, ready to be evaluated. Field names are the shop's; every text is one trimmed line.

    `alter_jahre` is in years, 0 for a foal whose months are not known; `stockmass_cm` is 50 to 250.
    `land` is where the horse stands (its market), `user_country` where the customer lives (never for the prompt).
    """

    rasse: str
    alter_jahre: float
    geschlecht: str
    stockmass_cm: int
    haupteignung: str
    ausbildung: str
    land: Country = Country.DE
    user_country: Country = Country.DE
    pferde_name: str | None = None
    verwendungszweck: str | None = None
    abstammung: str | None = None
    aku: str | None = None
    erfolge: str | None = None
    standort: str | None = None
    charakter: str | None = None
    besonderheiten: str | None = None
    farbe: str | None = None
    zuechter: str | None = None

    @property
    def is_foal(self) -> bool:
        """Younger than one year."""
        return self.alter_jahre < 1


@dataclass(frozen=True, slots=True, kw_only=True)
class BadInput:
    """Why a horse cannot be evaluated: the shop's field name, a stable code, and a sentence for the operator.

    The sentence quotes nothing that the customer wrote except a plain number.
    """

    field: str
    code: Unusable
    sentence: str


# One-line answers of the form, and texts that a customer writes at length. All caps together are about 18,000
# characters: some 6,000 tokens, a few cents, however much is pasted into the form.
_SHORT, _LONG = 200, 3_000

# The height that a foal of a heavy breed reaches at twelve months; a taller animal aged 0 was not typed in as a foal.
_FOAL_TALLEST_CM = 160
_FOAL = re.compile(r"\b(?:\w*fohlen|absetzer(?:in)?)\b", re.IGNORECASE)
_HAS_FOALS = re.compile(
    r"[0-9]\s*(?:\w+\s+)?fohlen|mutterstute|zuchtstute|tragend|bei fu(?:ß|ss)|hatte|brachte|\bführt\b", re.IGNORECASE
)


def normalise(form: Mapping[str, object]) -> Horse | BadInput:
    """The horse that the form describes, or the first required field that cannot be used. Never raises.

    `form` is an order document or a job's `horseData`; fields that are not the form's are ignored. Optional fields of
    a wrong type count as not given: the evaluation can do without them.
    """
    if not isinstance(form, Mapping):
        return BadInput(  # type: ignore[unreachable]  # stored data keeps no promise of types
            field="horseData", code=Unusable.WRONG_TYPE, sentence="The form data is not a set of named fields."
        )
    rasse = _required_text(form, "rasse", longest=_SHORT)
    if isinstance(rasse, BadInput):
        return rasse
    geschlecht = _required_text(form, "geschlecht", longest=_SHORT)
    if isinstance(geschlecht, BadInput):
        return geschlecht
    eignung = _eignung(form)
    if isinstance(eignung, BadInput):
        return eignung
    ausbildung = _required_text(form, "ausbildung", longest=_LONG)
    if isinstance(ausbildung, BadInput):
        return ausbildung
    stockmass = _stockmass(form)
    if isinstance(stockmass, BadInput):
        return stockmass
    alter = _alter(form, stockmass)
    if isinstance(alter, BadInput):
        return alter
    haupteignung, verwendungszweck = eignung
    return Horse(
        rasse=rasse,
        alter_jahre=float(alter),
        geschlecht=geschlecht,
        stockmass_cm=stockmass,
        haupteignung=haupteignung,
        ausbildung=ausbildung,
        land=Country.of(form.get("land")),
        user_country=Country.of(form.get("user_country")),
        pferde_name=_text(form, "pferdeName", longest=_SHORT),
        verwendungszweck=verwendungszweck,
        abstammung=_text(form, "abstammung", longest=_LONG),
        aku=_text(form, "aku", longest=_LONG),
        erfolge=_text(form, "erfolge", longest=_LONG),
        standort=_standort(form),
        charakter=_text(form, "charakter", longest=_LONG),
        besonderheiten=_text(form, "besonderheiten", longest=_LONG),
        farbe=_text(form, "farbe", longest=_SHORT),
        zuechter=_text(form, "zuechter", longest=_SHORT),
    )


def _text(form: Mapping[str, object], field: str, *, longest: int) -> str | None:
    value = form.get(field)
    return one_line(value, longest) if isinstance(value, str) else None


def _standort(form: Mapping[str, object]) -> str | None:
    """Often a postcode, and in old documents a number: then with the leading zero that the number lost."""
    value = form.get("standort")
    if isinstance(value, int) and not isinstance(value, bool) and 1_000 <= value <= 99_999:
        # German postcodes have five digits; Austrian and Swiss ones four, without a leading zero.
        german = Country.of(form.get("land")) is Country.DE
        return f"{value:05d}" if german else str(value)
    return _text(form, "standort", longest=_SHORT)


def _required_text(form: Mapping[str, object], field: str, *, longest: int) -> str | BadInput:
    value = form.get(field)
    if value is not None and not isinstance(value, str):
        return _bad(field, Unusable.WRONG_TYPE)
    return _text(form, field, longest=longest) or _bad(field, Unusable.MISSING)


def _eignung(form: Mapping[str, object]) -> tuple[str, str | None] | BadInput:
    """What the horse is for, and the legacy field where it says something else besides."""
    haupteignung = _required_text(form, "haupteignung", longest=_LONG)
    verwendungszweck = _text(form, "verwendungszweck", longest=_LONG)
    if isinstance(haupteignung, BadInput):
        return (verwendungszweck, None) if verwendungszweck else haupteignung
    return haupteignung, (verwendungszweck if verwendungszweck != haupteignung else None)


def _stockmass(form: Mapping[str, object]) -> int | BadInput:
    value = form.get("stockmass")
    height = height_in_centimetres(value)
    return _bad("stockmass", height, value) if isinstance(height, Unusable) else height


def _alter(form: Mapping[str, object], stockmass_cm: int) -> Decimal | BadInput:
    """The age in years.

    Zero is either a foal or a number field that was left empty, and taking one for the other makes a wrong valuation
    that was paid for: a twelve-year-old priced as a foal. So a zero is believed only where the fields that say what
    the animal is call it a foal and its height allows it; otherwise a human has to ask. An age in months needs no
    such proof.
    """
    value = form.get("alter")
    years = age_in_years(value)
    if isinstance(years, Unusable):
        return _bad("alter", years, value)
    if years == 0 and not (stockmass_cm <= _FOAL_TALLEST_CM and _calls_itself_a_foal(form)):
        return _bad("alter", Unusable.UNCLEAR)
    return years


def _calls_itself_a_foal(form: Mapping[str, object]) -> bool:
    fields = ("rasse", "geschlecht", "haupteignung", "verwendungszweck", "ausbildung")
    said = " · ".join(_text(form, field, longest=_LONG) or "" for field in fields)
    return bool(_FOAL.search(said)) and not _HAS_FOALS.search(said)


_REASONS = {
    Unusable.MISSING: "is missing",
    Unusable.WRONG_TYPE: "is of a type that the form never stores",
    Unusable.NOT_A_NUMBER: "holds no number that can be read",
    Unusable.OUT_OF_RANGE: "is outside of what is possible",
    Unusable.UNCLEAR: "is 0, which is either a foal or a field left empty, and nothing says that it is a foal",
}
_ALLOWED = {
    "alter": "0 to 45 years",
    "stockmass": "50 to 250 cm, stored in metres, centimetres or millimetres",
}


def _bad(field: str, code: Unusable, value: object = None) -> BadInput:
    sentence = f"The field {field} {_REASONS[code]}"
    if code is Unusable.OUT_OF_RANGE:
        plain = isinstance(value, int | float) and abs(value) < 1_000_000
        sentence += (f" ({value})" if plain else "") + f": allowed is {_ALLOWED.get(field, 'a sensible value')}"
    return BadInput(field=field, code=code, sentence=sentence + ".")
