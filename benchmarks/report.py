"""The figures as a table for people and as JSON for machines."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.figures import Figure, Target

TITLES = ("benchmark", "what", "measured", "bare", "ratio", "target", "verdict")


def table(figures: Sequence[Figure]) -> str:
    """A row each, in columns."""
    rows = [TITLES, *(_row(figure) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(TITLES))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def as_json(
    figures: Sequence[Figure], *, machine: Mapping[str, Any], scale: str, runs: Mapping[str, Any]
) -> dict[str, Any]:
    """`runs`: what is worth knowing of each benchmark's own run, as its length and the load it met."""
    return {
        "scale": scale,
        "machine": dict(machine),
        "runs": dict(runs),
        "figures": [
            {
                "benchmark": figure.benchmark,
                "what": figure.what,
                "measured": _rounded(figure.measured),
                "unit": figure.unit,
                "bare": _rounded(figure.bare),
                "bare_what": figure.bare_what or None,
                "ratio": _rounded(figure.ratio),
                "target": _target(figure.target, figure.unit) or None,
                "verdict": figure.verdict.value if figure.target is not None else None,
                "note": figure.note or None,
            }
            for figure in figures
        ],
    }


def facts(machine: Mapping[str, Any]) -> str:
    return " · ".join(f"{name.replace('_', ' ')} {value}" for name, value in machine.items())


def _row(figure: Figure) -> tuple[str, ...]:
    ratio = "" if figure.ratio is None else f"{_number(figure.ratio)}x"
    bare = "" if figure.bare is None else f"{_number(figure.bare)} {figure.unit}"
    measured = f"{_number(figure.measured)} {figure.unit}"
    target = _target(figure.target, figure.unit)
    return figure.benchmark, figure.what, measured, bare, ratio, target, figure.verdict.value


def _target(target: Target | None, unit: str) -> str:
    if target is None:
        return ""
    sign = "≥" if target.least else "≤"
    return f"{sign} {target.bound:g}{'x the bare one' if target.of_ratio else f' {unit}'}"


def _number(value: float) -> str:
    """Three figures that count, thousands apart."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
