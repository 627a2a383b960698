"""The benchmarks run and report in good form. What they measure is not judged here: that measures the machine."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import NAMES, main, report
from benchmarks.figures import Figure, Target, Verdict, quantile
from benchmarks.report import TITLES, as_json, table
from benchmarks.scale import TINY
from pferdewert_ops.sandbox import walls

# Those that start workers of their own take half a minute together; the whole run of `make bench` is their test.
IN_THIS_PROCESS = ("drain", "claim", "renew")


@pytest.fixture
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The benchmarks clear the environment of their own process; here that is the test run's."""
    monkeypatch.setattr(walls, "clear_user_environment", lambda: None)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.usefixtures("own_environment")
@pytest.mark.parametrize("name", IN_THIS_PROCESS)
def test_each_benchmark_runs_at_its_smallest(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "results" / "tiny.json"
    figures = report([name], TINY, path)
    shown = capsys.readouterr().out
    stored = json.loads(path.read_text(encoding="utf-8"))

    assert figures
    assert {figure.benchmark for figure in figures} == {name}
    assert all(figure.measured > 0 for figure in figures)
    assert all(figure.what in shown for figure in figures)
    assert [entry["what"] for entry in stored["figures"]] == [figure.what for figure in figures]
    assert set(stored["machine"]) >= {"cores", "load", "python", "mongod"}
    assert set(stored["runs"]) == {name}


def figure(**changes: Any) -> Figure:
    values: dict[str, Any] = {
        "benchmark": "drain",
        "what": "jobs",
        "measured": 4_500.0,
        "unit": "jobs/s",
        "bare": 500.0,
    }
    return Figure(**{**values, **changes})


@pytest.mark.parametrize(
    ("target", "verdict"),
    [
        (Target(bound=8, least=True, of_ratio=True), Verdict.MET),
        (Target(bound=9, least=True, of_ratio=True), Verdict.MET),
        (Target(bound=9.1, least=True, of_ratio=True), Verdict.FELL_SHORT),
        (Target(bound=4_499), Verdict.FELL_SHORT),
        (Target(bound=4_500), Verdict.MET),
        (Target(bound=5_000, least=True), Verdict.FELL_SHORT),
        (None, Verdict.NO_TARGET),
    ],
)
def test_a_verdict_is_honest(target: Target | None, verdict: Verdict) -> None:
    assert figure(target=target).verdict is verdict


def test_a_ratio_that_was_not_measured_meets_no_target() -> None:
    assert figure(bare=None, target=Target(bound=1, of_ratio=True)).verdict is Verdict.FELL_SHORT


def test_the_table_has_a_column_for_each_title_and_a_row_for_each_figure() -> None:
    shown = table([figure(target=Target(bound=10, least=True, of_ratio=True)), figure(what="other", bare=None)])
    head, _, first, second = shown.splitlines()
    assert [head.index(title) for title in TITLES] == sorted(head.index(title) for title in TITLES)
    assert first[head.index("measured") :].split("  ")[0] == "4,500 jobs/s"
    assert first[head.index("bare") :].split("  ")[0] == "500 jobs/s"
    assert first[head.index("ratio") :].split("  ")[0] == "9.00x"
    assert first[head.index("target") :].split("  ")[0] == "≥ 10x the bare one"
    assert first[head.index("verdict") :] == "fell short"
    assert second[head.index("what") :].split("  ")[0] == "other"


def test_the_stored_form_says_what_each_number_is() -> None:
    stored = as_json(
        [figure(target=Target(bound=8, least=True, of_ratio=True))], machine={"cores": 2}, scale="full", runs={}
    )
    assert json.loads(json.dumps(stored))["figures"] == [
        {
            "benchmark": "drain",
            "what": "jobs",
            "measured": 4500.0,
            "unit": "jobs/s",
            "bare": 500.0,
            "bare_what": None,
            "ratio": 9.0,
            "target": "≥ 8x the bare one",
            "verdict": "met",
            "note": None,
        }
    ]


@pytest.mark.parametrize(("share", "expected"), [(0.5, 10.0), (0.95, 19.0), (1.0, 20.0), (0.0, 1.0)])
def test_a_quantile_is_a_measured_value(share: float, expected: float) -> None:
    assert quantile([float(value) for value in range(20, 0, -1)], share) == expected


def test_an_unknown_name_is_refused_with_those_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["drian"])
    assert refused.value.code == 2
    assert "drian" in (said := capsys.readouterr().err)
    assert all(name in said for name in NAMES)
