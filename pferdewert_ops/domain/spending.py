"""What model calls cost, and what a day's budget still allows. Amounts are whole millionths of a euro."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from math import ceil

from pferdewert_ops.domain.failures import Usage

# From this share of the day's budget on, only orders that are paid go on: what is left is kept for them.
PAID_ONLY_PERCENT = 80


class Spend(StrEnum):
    """What the day's budget allows now."""

    OPEN = "open"
    PAID_ONLY = "paid_only"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPrices:
    """One model's list prices in USD per million tokens, which is the same number in millionths per token.

    Raises ValueError for a negative price.
    """

    input: Decimal
    output: Decimal
    cache_write: Decimal
    cache_read: Decimal

    def __post_init__(self) -> None:
        if min(self.input, self.output, self.cache_write, self.cache_read) < 0:
            raise ValueError("a price must not be negative")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpend:
    """What one model was used for: calls that were billed, their tokens, their cost."""

    calls: int
    usage: Usage
    micro: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SpentToday:
    """What was booked on one UTC day, by model."""

    day: date
    models: Mapping[str, ModelSpend]

    @property
    def micro(self) -> int:
        """Millionths of a euro, over all models."""
        return sum(spend.micro for spend in self.models.values())

    @property
    def calls(self) -> int:
        return sum(spend.calls for spend in self.models.values())


def cost(usage: Usage, prices: ModelPrices, eur_per_usd: Decimal) -> int:
    """What `usage` costs in millionths of a euro, rounded up, so that a sum is never below the bill.

    Raises ValueError where the rate is not above zero.
    """
    if eur_per_usd <= 0:
        raise ValueError("the rate has to be above zero")
    micro_usd = (
        usage.input_tokens * Fraction(prices.input)
        + usage.output_tokens * Fraction(prices.output)
        + usage.cache_write_tokens * Fraction(prices.cache_write)
        + usage.cache_read_tokens * Fraction(prices.cache_read)
    )
    return ceil(micro_usd * Fraction(eur_per_usd))


def worst_case(input_tokens: int, max_output_tokens: int, prices: ModelPrices, eur_per_usd: Decimal) -> int:
    """The most that one call can cost: the whole answer, and every input token at the dearest input price."""
    dearest = max(prices.input, prices.cache_write, prices.cache_read)
    usage = Usage(input_tokens=input_tokens, output_tokens=max_output_tokens)
    return cost(usage, replace(prices, input=dearest), eur_per_usd)


def verdict(spent_micro: int, reserved_micro: int, budget_micro: int) -> Spend:
    """Who may go on. `reserved_micro` is what the calls that are running may still cost.

    A budget of zero allows nothing.
    """
    used = spent_micro + reserved_micro
    if used >= budget_micro:
        return Spend.CLOSED
    return Spend.PAID_ONLY if used >= _paid_only_from(budget_micro) else Spend.OPEN


def allowance(spent_micro: int, reserved_micro: int, budget_micro: int, call_micro: int, *, paid: bool) -> int:
    """How many more calls of at most `call_micro` each fit: under the whole budget where `paid`, else under its share.

    Raises ValueError where a call is said to cost nothing: any number of those would fit.
    """
    if call_micro <= 0:
        raise ValueError("the worst case of a call has to be above zero")
    limit = budget_micro if paid else _paid_only_from(budget_micro)
    return max(0, limit - spent_micro - reserved_micro) // call_micro


def _paid_only_from(budget_micro: int) -> int:
    return -(-budget_micro * PAID_ONLY_PERCENT // 100)
