"""Tables for people, documents for scripts; nothing that a customer wrote steers the terminal."""

import io
import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import click
import pytest
from click.testing import CliRunner, Result

from pferdewert_ops.cli.main import cli
from pferdewert_ops.cli.output import Column, Row, age, emit, emit_record, local_time, note, output_option

COLUMNS = [
    Column(key="id", title="order", whole=True),
    Column(key="horse", title="horse"),
    Column(key="tokens", title="tokens"),
    Column(key="state", title="state", style=lambda state: "red" if state == "failed" else ""),
]
ORDER = "66f0c0ffee0123456789abcd"
ROWS: list[Row] = [
    {"id": ORDER, "horse": "Bella", "tokens": 12, "state": "failed"},
    {"id": ORDER[::-1], "horse": None, "tokens": 4096, "state": "completed", "unlisted": True},
]
EVIL = "a\x1b[2Jb\x9b1mc\nd\u202ee[red]f\ud800"


def shown(rows: list[Row], *arguments: str) -> Result:
    @click.command()
    @output_option
    def command(output: str) -> None:
        emit(rows, COLUMNS, output, schema="test.rows", version=2, summary={"all": len(rows)}, empty="No orders.")

    return CliRunner().invoke(command, arguments, catch_exceptions=False)


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # The zone as a rule: a machine without a zone database has to pass too.
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch, rows: list[Row], *, width: int) -> str:
    terminal = Terminal()
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(sys, "stdout", terminal)
    emit(rows, COLUMNS, "table", schema="test.rows")
    return terminal.getvalue()


def test_without_a_terminal_it_is_aligned_text() -> None:
    assert shown(ROWS).stdout.splitlines() == [
        "order                     horse  tokens  state",
        "66f0c0ffee0123456789abcd  Bella      12  failed",
        "dcba9876543210eeff0c0f66  –        4096  completed",
    ]


def test_on_a_terminal_the_header_is_dim_and_a_state_has_its_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    told = on_terminal(monkeypatch, ROWS, width=100)
    assert "\x1b[2morder" in told
    assert "\x1b[31mfailed" in told


def test_no_color_leaves_no_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[31m" not in on_terminal(monkeypatch, ROWS, width=100)


def test_the_option_no_color_does_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(sys, "stdout", terminal)
    red = [Column(key="state", title="state", style=lambda _: "red")]
    command = click.Command("status", callback=lambda: emit(ROWS, red, "table", schema="x"))
    monkeypatch.setitem(cli.commands, "status", command)
    cli.main(["--no-color", "status"], standalone_mode=False)
    assert "failed" in terminal.getvalue()
    assert "\x1b[31m" not in terminal.getvalue()


@pytest.mark.parametrize("width", [10, 30, 60, 200])
def test_an_id_is_never_cut_and_never_broken(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    row: Row = {"id": ORDER, "horse": "Bella aus der Zucht am Hang " * 4, "tokens": 1_000_000, "state": "completed"}
    told = on_terminal(monkeypatch, [row], width=width)
    assert ORDER in told
    assert "1000000" in told
    assert "…" not in told
    assert told.count("Zucht") == 4 or width < 60


def test_nothing_to_show_is_said_on_stderr_and_leaves_stdout_empty() -> None:
    result = shown([])
    assert (result.stdout, result.stderr) == ("", "No orders.\n")
    assert json.loads(shown([], "-o", "json").stdout)["rows"] == []


def test_json_is_one_document_with_everything_in_the_row() -> None:
    document = json.loads(shown(ROWS, "-o", "json").stdout)
    assert document["schema"] == {"name": "test.rows", "version": 2}
    assert document["summary"] == {"all": 2}
    assert document["rows"] == ROWS
    assert document["generated_at"].endswith("Z")


def test_json_has_times_in_utc_durations_in_seconds_and_exact_decimals(berlin: None) -> None:
    moment = datetime(2026, 7, 1, 12, tzinfo=UTC).astimezone()
    row: Row = {
        "at": moment,
        "lasted": timedelta(minutes=1.5),
        "eur": Decimal("0.10"),
        "all": ("a", None),
        "in": {"x": 1},
    }
    assert json.loads(shown([row], "-o", "json").stdout)["rows"] == [
        {"at": "2026-07-01T12:00:00.000Z", "lasted": 90.0, "eur": "0.10", "all": ["a", None], "in": {"x": 1}}
    ]


@pytest.mark.parametrize("arguments", [[], ["-o", "json"]])
def test_what_a_customer_wrote_does_not_steer(arguments: list[str]) -> None:
    row: Row = {"id": ORDER, "horse": EVIL, "tokens": 1, "state": "x"}
    told = shown([row], *arguments).stdout
    assert not {"\x1b", "\x9b", "\u202e", "\ud800"} & set(told)
    assert "[red]" in told
    if arguments:
        assert json.loads(told)["rows"][0]["horse"] == EVIL


def test_what_a_customer_wrote_is_no_markup_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    told = on_terminal(monkeypatch, [{"id": "1", "horse": EVIL, "tokens": 1, "state": "x"}], width=100)
    assert "[red]" in told
    assert "\x1b[2J" not in told
    assert "\x9b" not in told


def test_a_value_of_no_known_kind_is_a_bug_not_a_guess() -> None:
    for arguments in ([], ["-o", "json"]):
        with pytest.raises(TypeError, match="object has no place"):
            shown([{"id": object()}], *arguments)


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (None, "–"),
        ("", "–"),
        (True, "yes"),
        (False, "no"),
        (0.5, "0.50"),
        (Decimal("1.20"), "1.20"),
        (["a", "b"], "a, b"),
        ([], "–"),
        (datetime(2026, 1, 1, 12, tzinfo=UTC), "2026-01-01 13:00:00 CET"),
        (datetime(2026, 7, 1, 12, tzinfo=UTC), "2026-07-01 14:00:00 CEST"),
        (timedelta(minutes=4, seconds=30), "4 min"),
    ],
)
def test_each_kind_of_value_has_its_spelling(value: object, cell: str) -> None:
    _, line = shown([{"id": "x", "horse": value, "tokens": 1, "state": "y"}]).stdout.splitlines()
    assert line.removeprefix("x").removesuffix("y").strip().removesuffix("1").strip() == cell


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(0), "0 s"),
        (timedelta(seconds=59.9), "59 s"),
        (timedelta(seconds=60), "1 min"),
        (timedelta(minutes=59, seconds=59), "59 min"),
        (timedelta(hours=1), "1 h"),
        (timedelta(hours=47, minutes=59), "47 h"),
        (timedelta(hours=48), "2 d"),
        (timedelta(seconds=-90), "in 1 min"),
    ],
)
def test_ages_are_in_their_largest_unit(duration: timedelta, text: str) -> None:
    assert age(duration) == text


@pytest.mark.usefixtures("berlin")
def test_the_hour_that_comes_twice_shows_which_one_it_is() -> None:
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert local_time(first) == "2026-10-25 02:30:00 CEST"
    assert local_time(first + timedelta(hours=1)) == "2026-10-25 02:30:00 CET"


def test_a_record_is_a_line_a_field_and_a_document_of_one_row() -> None:
    @click.command()
    @output_option
    def command(output: str) -> None:
        emit_record({"id": ORDER, "horse": EVIL}, COLUMNS[:2], output, schema="test.one")

    lines = CliRunner().invoke(command, []).stdout.splitlines()
    assert lines[0] == f"order  {ORDER}"
    assert len(lines) == 2
    assert json.loads(CliRunner().invoke(command, ["-o", "json"]).stdout)["rows"] == [{"id": ORDER, "horse": EVIL}]


def test_a_note_goes_to_stderr_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    note("try mongodb://a:Hufeisen@db\x1b[2J")
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "try mongodb://[concealed]@db\\x1b[2J\n")
