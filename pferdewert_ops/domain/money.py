"""Amounts: integers in minor units, always with their currency."""

from dataclasses import dataclass
from enum import StrEnum


class Currency(StrEnum):
    EUR = "EUR"
    CHF = "CHF"


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """An amount in minor units (cents, Rappen) of one currency."""

    minor: int
    currency: Currency

    def __str__(self) -> str:
        """German spelling: `14,90 €`, `CHF 19,90`."""
        sign = "-" if self.minor < 0 else ""
        whole, rest = divmod(abs(self.minor), 100)
        figure = f"{sign}{whole:,}".replace(",", ".") + f",{rest:02d}"
        return f"CHF {figure}" if self.currency is Currency.CHF else f"{figure} €"


MICRO = 1_000_000


def eur_text(micro: int) -> str:
    """Model cost is kept in millionths of a euro, so that sums of small calls stay exact: `0,0412 €`."""
    return f"{micro / MICRO:.4f} EUR"
