"""Events with ids, one a line, without anything that a customer or a key said."""

import contextlib
import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import pytest
import structlog

from pferdewert_ops import redaction
from pferdewert_ops.config import Settings
from pferdewert_ops.domain.failures import ErrorClass, OperationFailed
from pferdewert_ops.logs import configure_logs, get_logger, log_uncaught


class Colour(StrEnum):
    FUCHS = "fuchs"


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Logging is one for the process: put everything back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    monkeypatch.setattr(redaction._Register, "values", ())
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def listening(**settings: object) -> io.StringIO:
    """Where the events go from now on."""
    stream = io.StringIO()
    with contextlib.redirect_stderr(stream):
        configure_logs(Settings.model_validate(settings))
    return stream


def caught(error: Exception, cause: Exception | None = None) -> Exception:
    """The error as it looks after it was raised here."""
    try:
        raise error from cause
    except type(error):
        return error


def events(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_line_of_json_with_its_ids_and_the_time_in_utc() -> None:
    stderr = listening()
    get_logger().bind(host="a").warning(
        "lease_lost",
        job="66f0",
        fence=3,
        age=timedelta(seconds=1.5),
        colour=Colour.FUCHS,
        due=datetime(2026, 1, 2, tzinfo=UTC),
    )
    (event,) = events(stderr)
    assert datetime.fromisoformat(event.pop("time")).tzinfo == UTC
    assert event == {
        "level": "warning",
        "event": "lease_lost",
        "host": "a",
        "job": "66f0",
        "fence": 3,
        "age": 1.5,
        "colour": "fuchs",
        "due": "2026-01-02T00:00:00+00:00",
    }


def test_context_of_a_thread_is_in_every_event() -> None:
    stderr = listening()
    with structlog.contextvars.bound_contextvars(worker="w1"):
        get_logger().info("claimed")
    assert events(stderr)[0]["worker"] == "w1"


@pytest.mark.parametrize(("level", "told"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_what_is_below_the_level_is_not_written(level: str, told: int) -> None:
    stderr = listening(log_level=level)
    for write in (get_logger().debug, get_logger().info, get_logger().warning, get_logger().error):
        write("event")
    assert len(events(stderr)) == told


SECRET_VALUES = [
    "sk-ant-api03-nobodys-key",
    "sk_live_nobodys",
    "rk_live_nobodys",
    "re_8Xk2abcd_nobody4711",
    "whsec_nobody",
    "mongodb://shop:Hufeisen-4711@db/test",
    "anna@example.org",
    "Sattelzeug!4711",
]


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize("value", SECRET_VALUES)
def test_no_secret_and_no_address_gets_out(value: str, form: str) -> None:
    stderr = listening(log_format=form, smtp_user="x", smtp_password="Sattelzeug!4711")
    error = caught(ValueError(value))
    get_logger().error("failed", given=value, inside={"deep": [value]}, thing=error, raw=value.encode(), exc_info=error)
    logging.getLogger("library").warning("%s", value)
    logging.getLogger("library").warning(f"told: {value}")  # noqa: G004 - as libraries do
    told = stderr.getvalue()
    assert "failed" in told
    hidden = "Hufeisen-4711" if value.startswith("mongodb") else value
    assert hidden not in told


def test_an_exception_is_type_code_places_and_causes_without_its_text() -> None:
    stderr = listening()
    error = OperationFailed(error_class=ErrorClass.OVERLOADED, code="overloaded_529")
    get_logger().error("failed", job="1", exc_info=caught(error, KeyError("die Stute Bella")))
    (event,) = events(stderr)
    assert event["error"] == "OperationFailed"
    assert event["code"] == "overloaded_529"
    assert event["causes"] == ["KeyError"]
    assert event["stack"][-1].startswith("test_logs.py:")
    assert "Bella" not in stderr.getvalue()


def test_inside_an_except_block_the_exception_is_found() -> None:
    stderr = listening()
    try:
        dict[str, str]()["die Stute Bella"]
    except KeyError:
        get_logger().exception("failed")
    assert events(stderr)[0]["error"] == "KeyError"
    assert "Bella" not in stderr.getvalue()


def test_a_code_that_is_a_sentence_is_no_code() -> None:
    stderr = listening()
    error = RuntimeError()
    error.code = "die Stute Bella"  # type: ignore[attr-defined]
    get_logger().error("failed", exc_info=error)
    assert "code" not in events(stderr)[0]


def test_text_for_people_keeps_one_line_and_cannot_steer_the_terminal() -> None:
    stderr = listening(log_format="text")
    get_logger().info("mail_sent", kind="result", name="x\x1b[2Jy\nz", two="a b")
    (line,) = stderr.getvalue().splitlines()
    assert "mail_sent kind=result" in line
    assert 'two="a b"' in line
    assert "\x1b" not in line


def test_libraries_speak_through_the_same_mouth_from_warnings_on() -> None:
    stderr = listening(log_level="debug")
    logging.getLogger("pymongo.topology").info("unheard")
    logging.getLogger("pymongo.topology").warning("lost %s", "die Stute Bella")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old option", stacklevel=1)
    lost, old = events(stderr)
    assert (lost["event"], lost["logger"], lost["text"]) == ("library", "pymongo.topology", "lost %s")
    assert "old option" in old["text"]


def test_a_thread_that_dies_is_an_event() -> None:
    stderr = listening()
    log_uncaught()

    def die() -> None:
        raise RuntimeError("die Stute Bella")

    thread = threading.Thread(target=die, name="renewal")
    thread.start()
    thread.join()
    (event,) = events(stderr)
    assert (event["event"], event["thread"], event["error"]) == ("thread_died", "renewal", "RuntimeError")
    assert "Bella" not in stderr.getvalue()


def test_a_process_that_dies_is_an_event() -> None:
    stderr = listening()
    log_uncaught()
    error = RuntimeError("die Stute Bella")
    sys.excepthook(RuntimeError, error, None)
    (event,) = events(stderr)
    assert (event["event"], event["error"]) == ("process_died", "RuntimeError")


def test_a_closed_stderr_ends_no_worker() -> None:
    stderr = listening()
    stderr.close()
    get_logger().error("nobody_listens")


def test_threads_do_not_mix_their_lines() -> None:
    stderr = listening()

    def speak(number: int) -> None:
        for count in range(50):
            get_logger().info("spoken", thread=number, count=count, filler="x" * 200)

    threads = [threading.Thread(target=speak, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({(event["thread"], event["count"]) for event in events(stderr)}) == 200
