from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pferdewert_ops.config import format_duration, parse_duration
from pferdewert_ops.config.durations import LONGEST


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("30s", timedelta(seconds=30)),
        ("10m", timedelta(minutes=10)),
        ("24h", timedelta(hours=24)),
        ("90d", timedelta(days=90)),
        ("1h30m", timedelta(minutes=90)),
        ("1d2h3m4s5ms", timedelta(days=1, hours=2, minutes=3, seconds=4, milliseconds=5)),
        ("0.5s", timedelta(milliseconds=500)),
        ("250ms", timedelta(milliseconds=250)),
        ("45", timedelta(seconds=45)),
        ("1.5", timedelta(seconds=1.5)),
        ("0", timedelta(0)),
        (" 2H ", timedelta(hours=2)),
        ("3650d", LONGEST),
    ],
)
def test_reads_what_people_write(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize(
    "text",
    ["", " ", "-1s", "1 h", "1,5h", "h", "10x", "30m1h", "1m1m", "1h30", "1e3", "inf", "٣s", "3651d", "9" * 400],
)
def test_refuses_the_rest_in_words(text: str) -> None:
    with pytest.raises(ValueError, match=r"^is (not a duration|longer than)"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(0), "0s"),
        (timedelta(hours=24), "24h"),
        (timedelta(hours=36), "36h"),
        (timedelta(days=2), "2d"),
        (timedelta(days=90, minutes=1), "90d1m"),
        (timedelta(minutes=90), "1h30m"),
        (timedelta(seconds=300), "5m"),
        (timedelta(milliseconds=1500), "1.5s"),
        (timedelta(seconds=-90), "-1m30s"),
    ],
)
def test_writes_the_shortest_spelling(duration: timedelta, text: str) -> None:
    assert format_duration(duration) == text


@given(st.timedeltas(min_value=timedelta(0), max_value=LONGEST))
def test_what_is_written_is_read_back(duration: timedelta) -> None:
    assert parse_duration(format_duration(duration)) == duration
