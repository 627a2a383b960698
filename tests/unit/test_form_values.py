"""Single values of the form: every shape of a height and an age, and texts as one visible line."""

import math
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pferdewert_ops.domain.form_values import Unusable, age_in_years, height_in_centimetres, one_line


@pytest.mark.parametrize(
    ("stored", "centimetres"),
    [
        (168, 168),
        (168.0, 168),
        (1.68, 168),
        (1680, 168),
        (16800, 168),
        (Decimal("1.68"), 168),
        ("168", 168),
        (" 168 cm ", 168),
        ("168cm", 168),
        ("1,68 m", 168),
        ("1.68m", 168),
        ("1,68 Meter", 168),
        ("1m68", 168),
        ("1 m 68 cm", 168),
        ("1.680 mm", 168),
        ("1680 mm", 168),
        ("16.800", 168),
        ("16800", 168),
        ("ca. 1,68 m", 168),
        ("Stm. 168 cm", 168),
        ("168 cm Stockmaß", 168),
        ("1,68\u00a0m", 168),
        ("1,65 cm", 165),
        (0.5, 50),
        (50, 50),
        (2.5, 250),
        (250, 250),
        (500, 50),
        (2500, 250),
        (5000, 50),
        (25000, 250),
        (147.4, 147),
        (147.5, 148),
        ("147,5", 148),
    ],
    ids=repr,
)
def test_every_shape_of_stockmass(stored: object, centimetres: int) -> None:
    assert height_in_centimetres(stored) == centimetres


@pytest.mark.parametrize(
    ("stored", "code"),
    [
        (None, Unusable.MISSING),
        (0, Unusable.MISSING),
        (0.0, Unusable.MISSING),
        ("0", Unusable.MISSING),
        ("", Unusable.MISSING),
        ("  \t", Unusable.MISSING),
        (0.49, Unusable.OUT_OF_RANGE),
        (2.51, Unusable.OUT_OF_RANGE),
        (49, Unusable.OUT_OF_RANGE),
        (251, Unusable.OUT_OF_RANGE),
        (499, Unusable.OUT_OF_RANGE),
        (2501, Unusable.OUT_OF_RANGE),
        (4999, Unusable.OUT_OF_RANGE),
        (25001, Unusable.OUT_OF_RANGE),
        (-168, Unusable.OUT_OF_RANGE),
        pytest.param(10**6000, Unusable.OUT_OF_RANGE, id="huge"),
        (math.nan, Unusable.NOT_A_NUMBER),
        (math.inf, Unusable.NOT_A_NUMBER),
        (Decimal("sNaN"), Unusable.NOT_A_NUMBER),
        ("groß", Unusable.NOT_A_NUMBER),
        ("16,2 hands", Unusable.NOT_A_NUMBER),
        ("66 inch", Unusable.NOT_A_NUMBER),
        ("1,65-1,70", Unusable.NOT_A_NUMBER),
        pytest.param("1" * 100_000, Unusable.NOT_A_NUMBER, id="long text"),
        ("١٦٨", Unusable.NOT_A_NUMBER),
        (True, Unusable.WRONG_TYPE),
        (b"168", Unusable.WRONG_TYPE),
        ([168], Unusable.WRONG_TYPE),
        ({"$numberInt": "168"}, Unusable.WRONG_TYPE),
        (datetime(2025, 1, 1, tzinfo=UTC), Unusable.WRONG_TYPE),
    ],
    ids=repr,
)
def test_an_unusable_stockmass_is_named(stored: object, code: Unusable) -> None:
    assert height_in_centimetres(stored) is code


@pytest.mark.parametrize(
    ("stored", "years"),
    [
        (7, 7.0),
        (7.5, 7.5),
        ("7", 7.0),
        ("7,5", 7.5),
        ("7 Jahre", 7.0),
        ("7-jährig", 7.0),
        ("7jährig", 7.0),
        ("7 J.", 7.0),
        ("ca. 7 Jahre alt", 7.0),
        ("1 Jahr und 6 Monate", 1.5),
        ("18 Monate", 1.5),
        ("6 Monate", 0.5),
        ("0,5", 0.5),
        (0.5, 0.5),
        ("13 Wochen", 0.25),
        (45, 45.0),
        (0, 0.0),
        (-0.0, 0.0),
        (1e-300, 0.0),
    ],
    ids=repr,
)
def test_every_shape_of_alter(stored: object, years: float) -> None:
    assert age_in_years(stored) == years


@pytest.mark.parametrize(
    ("stored", "code"),
    [
        (None, Unusable.MISSING),
        ("", Unusable.MISSING),
        (-1, Unusable.OUT_OF_RANGE),
        (46, Unusable.OUT_OF_RANGE),
        (2015, Unusable.OUT_OF_RANGE),
        ("2015", Unusable.OUT_OF_RANGE),
        (math.nan, Unusable.NOT_A_NUMBER),
        ("sieben", Unusable.NOT_A_NUMBER),
        ("7-8", Unusable.NOT_A_NUMBER),
        (False, Unusable.WRONG_TYPE),
        ([7], Unusable.WRONG_TYPE),
    ],
    ids=repr,
)
def test_an_unusable_alter_is_named(stored: object, code: Unusable) -> None:
    assert age_in_years(stored) is code


@example(text="0 000", longest=4)
@given(text=st.text(alphabet=st.characters(codec=None)), longest=st.integers(min_value=3, max_value=50))
def test_one_line_keeps_its_cap_and_is_settled(text: str, longest: int) -> None:
    line = one_line(text, longest)
    if line is not None:
        assert 0 < len(line) <= longest
        assert one_line(line, longest) == line
