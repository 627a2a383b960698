"""What calls cost to the last millionth, and where a day's budget turns."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pferdewert_ops.domain.failures import Usage
from pferdewert_ops.domain.money import MICRO
from pferdewert_ops.domain.spending import (
    ModelPrices,
    ModelSpend,
    Spend,
    SpentToday,
    allowance,
    cost,
    verdict,
    worst_case,
)

OPUS = ModelPrices(input=Decimal(4), output=Decimal(20), cache_write=Decimal(5), cache_read=Decimal("0.4"))
RATE = Decimal("0.92")
BUDGET = 20 * MICRO
TOKENS = st.integers(min_value=0, max_value=1_000_000)
USAGES = st.builds(
    Usage, input_tokens=TOKENS, output_tokens=TOKENS, cache_write_tokens=TOKENS, cache_read_tokens=TOKENS
)


@pytest.mark.parametrize(
    ("usage", "rate", "expected"),
    [
        pytest.param(Usage(), "1", 0, id="nothing"),
        pytest.param(Usage(input_tokens=1_000_000), "1", 4 * MICRO, id="a million of input"),
        pytest.param(Usage(output_tokens=1_000_000), "1", 20 * MICRO, id="a million of output"),
        pytest.param(Usage(cache_write_tokens=1_000_000), "1", 5 * MICRO, id="a million written to the cache"),
        pytest.param(Usage(cache_read_tokens=1_000_000), "1", 400_000, id="a million read from the cache"),
        pytest.param(Usage(cache_read_tokens=1), "1", 1, id="two fifths of a millionth are rounded up"),
        pytest.param(Usage(cache_read_tokens=5), "1", 2, id="exactly two are two"),
        pytest.param(Usage(cache_read_tokens=5), "1.0000001", 3, id="a hair above two is three"),
        pytest.param(
            Usage(input_tokens=900, output_tokens=2500, cache_write_tokens=0, cache_read_tokens=3000),
            "0.92",
            50_416,
            id="a usual call",
        ),
    ],
)
def test_cost(usage: Usage, rate: str, expected: int) -> None:
    assert cost(usage, OPUS, Decimal(rate)) == expected


@pytest.mark.parametrize("rate", ["0", "-0.92"])
def test_a_rate_has_to_be_above_zero(rate: str) -> None:
    with pytest.raises(ValueError, match="rate"):
        cost(Usage(), OPUS, Decimal(rate))


@pytest.mark.parametrize("field", ["input", "output", "cache_write", "cache_read"])
def test_a_price_is_not_negative(field: str) -> None:
    prices = {name: Decimal(1) for name in ("input", "output", "cache_write", "cache_read")}
    with pytest.raises(ValueError, match="negative"):
        ModelPrices(**{**prices, field: Decimal("-0.01")})


@given(USAGES)
def test_no_call_costs_more_than_its_worst_case(usage: Usage) -> None:
    whole_input = usage.input_tokens + usage.cache_write_tokens + usage.cache_read_tokens
    assert cost(usage, OPUS, RATE) <= worst_case(whole_input, usage.output_tokens, OPUS, RATE)


def test_the_worst_case_writes_the_whole_input_to_the_cache() -> None:
    assert worst_case(1000, 100, OPUS, Decimal(1)) == 1000 * 5 + 100 * 20


@pytest.mark.parametrize(
    ("spent", "reserved", "expected"),
    [
        pytest.param(0, 0, Spend.OPEN, id="morning"),
        pytest.param(16 * MICRO - 1, 0, Spend.OPEN, id="a millionth under 80 %"),
        pytest.param(16 * MICRO, 0, Spend.PAID_ONLY, id="80 %"),
        pytest.param(15 * MICRO, MICRO, Spend.PAID_ONLY, id="80 % with what is running"),
        pytest.param(BUDGET - 1, 0, Spend.PAID_ONLY, id="a millionth under 100 %"),
        pytest.param(BUDGET, 0, Spend.CLOSED, id="100 %"),
        pytest.param(19 * MICRO, MICRO, Spend.CLOSED, id="100 % with what is running"),
        pytest.param(2 * BUDGET, 0, Spend.CLOSED, id="overspent"),
    ],
)
def test_verdict(spent: int, reserved: int, expected: Spend) -> None:
    assert verdict(spent, reserved, BUDGET) is expected


def test_a_budget_of_zero_allows_nothing() -> None:
    assert verdict(0, 0, 0) is Spend.CLOSED
    assert allowance(0, 0, 0, 1, paid=True) == 0


@pytest.mark.parametrize(
    ("spent", "reserved", "paid", "expected"),
    [
        pytest.param(0, 0, True, 20, id="paid, whole budget"),
        pytest.param(0, 0, False, 16, id="unpaid, 80 %"),
        pytest.param(1, 0, True, 19, id="a millionth less is a call less"),
        pytest.param(10 * MICRO, 5 * MICRO, False, 1, id="what is running counts"),
        pytest.param(16 * MICRO, 0, False, 0, id="unpaid wait"),
        pytest.param(16 * MICRO, 0, True, 4, id="paid go on"),
        pytest.param(30 * MICRO, 0, True, 0, id="overspent is none, not less than none"),
    ],
)
def test_allowance(spent: int, reserved: int, paid: bool, expected: int) -> None:
    assert allowance(spent, reserved, BUDGET, MICRO, paid=paid) == expected


@pytest.mark.parametrize("call_micro", [0, -1])
def test_a_call_has_to_cost_something(call_micro: int) -> None:
    with pytest.raises(ValueError, match="worst case"):
        allowance(0, 0, BUDGET, call_micro, paid=True)


AMOUNTS = st.integers(min_value=0, max_value=30 * MICRO)


@given(AMOUNTS, AMOUNTS, AMOUNTS, st.integers(min_value=1, max_value=MICRO))
def test_the_allowance_keeps_within_the_budget_and_follows_the_verdict(
    spent: int, reserved: int, budget: int, call_micro: int
) -> None:
    said = verdict(spent, reserved, budget)
    paid, unpaid = (allowance(spent, reserved, budget, call_micro, paid=is_paid) for is_paid in (True, False))
    assert unpaid <= paid
    assert paid == 0 or spent + reserved + paid * call_micro <= budget
    assert paid == 0 or said is not Spend.CLOSED
    assert unpaid == 0 or said is Spend.OPEN


def test_a_day_is_the_sum_of_its_models() -> None:
    spend = ModelSpend(calls=2, usage=Usage(input_tokens=5), micro=30)
    today = SpentToday(day=date(2026, 3, 2), models={"a": spend, "b": ModelSpend(calls=1, usage=Usage(), micro=12)})
    assert (today.micro, today.calls) == (42, 3)
    assert (SpentToday(day=date(2026, 3, 2), models={}).micro, SpentToday(day=date(2026, 3, 2), models={}).calls) == (
        0,
        0,
    )
