"""What a benchmark hands back: figures, each with its bare counterpart, its target and an honest verdict."""

import math
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    MET = "met"
    FELL_SHORT = "fell short"
    NO_TARGET = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A bound of the figure, or (`of_ratio`) of its ratio to the bare loop's. `least`: more is better."""

    bound: float
    least: bool = False
    of_ratio: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured number. `bare` is what the same work cost, in the same run, without this project."""

    benchmark: str
    what: str
    measured: float
    unit: str
    bare: float | None = None
    bare_what: str = ""
    target: Target | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """The figure in bare ones; None where there is nothing to compare with."""
        return self.measured / self.bare if self.bare else None

    @property
    def verdict(self) -> Verdict:
        if self.target is None:
            return Verdict.NO_TARGET
        value = self.ratio if self.target.of_ratio else self.measured
        if value is None:
            return Verdict.FELL_SHORT  # nothing was measured that could meet it
        met = value >= self.target.bound if self.target.least else value <= self.target.bound
        return Verdict.MET if met else Verdict.FELL_SHORT


def median(values: list[float]) -> float:
    return quantile(values, 0.5)


def quantile(values: list[float], share: float) -> float:
    """The smallest value that at least this share of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share - 1e-9) - 1)]
