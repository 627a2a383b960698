"""What daemons write on stderr: one event a line, with ids, never with payloads, secrets or personal data.

    get_logger().warning("lease_lost", job=job_id, fence=fence)

JSON for a journal, text for a terminal. structlog is imported on first use: only daemons pay for it.
"""

import json
import logging
import re
import sys
import threading
import traceback
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime, timedelta
from enum import Enum
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO, cast

from pferdewert_ops.redaction import conceal, printable, without_personal_data

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from pferdewert_ops.config import Settings

Event = MutableMapping[str, Any]

# A stable word of ours, as in OperationFailed.code, or a server's number; anything else may be text of somebody.
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
# The innermost frames are the ones that tell; a recursion has thousands.
_FRAMES_SHOWN = 20
_CAUSES_SHOWN = 5


def configure_logs(settings: "Settings") -> None:
    """Set up structlog, and lead what libraries log (warnings and worse) and Python's warnings the same way."""
    import structlog

    conceal(settings.secret_values())
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    as_text = settings.log_format == "text" or (settings.log_format == "auto" and sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _time,
            _failure,
            _redacted,
            _as_text if as_text else _as_json,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_Lines(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.captureWarnings(capture=True)
    root = logging.getLogger()
    root.handlers[:] = [_FromLibraries()]
    root.setLevel(max(level, logging.WARNING))


def get_logger() -> "FilteringBoundLogger":
    """The logger; the event's name is the first argument, ids are keywords."""
    import structlog

    return cast("FilteringBoundLogger", structlog.get_logger())


def log_uncaught() -> None:
    """For a daemon's start: what ends a thread or the process becomes an event too, instead of a raw traceback."""

    def in_thread(arguments: threading.ExceptHookArgs) -> None:
        if arguments.exc_type is SystemExit:
            return
        name = arguments.thread.name if arguments.thread else None
        get_logger().critical("thread_died", thread=name, exc_info=arguments.exc_value or True)

    def in_main(kind: type[BaseException], error: BaseException, place: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, place)
            return
        get_logger().critical("process_died", exc_info=error)

    threading.excepthook = in_thread
    sys.excepthook = in_main


def describe_failure(error: BaseException) -> dict[str, object]:
    """An exception as its type, its code where it has one, the places it passed, and the types of its causes.

    Never its text nor any value: those may be a customer's words.
    """
    described: dict[str, object] = {"error": type(error).__name__}
    code = getattr(error, "code", None)
    if isinstance(code, int) or (isinstance(code, str) and _CODE.fullmatch(code)):
        described["code"] = str(code)
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES_SHOWN:]
    described["stack"] = [f"{_short(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames]
    causes: list[str] = []
    cause = error.__cause__ or error.__context__
    while cause is not None and len(causes) < _CAUSES_SHOWN:
        causes.append(type(cause).__name__)
        cause = cause.__cause__ or cause.__context__
    if causes:
        described["causes"] = causes
    return described


def _short(path: str) -> str:
    """From the package's own folder on: where it is installed says nothing."""
    if "/site-packages/" in path:
        return path.rpartition("/site-packages/")[2]
    _, ours, rest = path.rpartition("/pferdewert_ops/")
    return f"pferdewert_ops/{rest}" if ours else path.rpartition("/")[2]


class _Lines:
    """structlog's outermost end, and its own factory: whole lines, one at a time."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._turn = threading.Lock()

    def __call__(self, *_arguments: object) -> Self:
        return self

    def _write(self, line: str) -> None:
        with self._turn:
            try:
                self._stream.write(line + "\n")
                self._stream.flush()
            except (OSError, ValueError):
                # Nobody is left to tell, and a lease must not be lost because a pipe was closed or a disk is full.
                return

    debug = info = warning = error = critical = _write


class _FromLibraries(logging.Handler):
    """What libraries log becomes an event: the template of their sentence only, since its arguments are values."""

    def emit(self, record: logging.LogRecord) -> None:
        # The first line: of Python's own warnings the second quotes source code.
        text = str(record.msg).partition("\n")[0]
        get_logger().log(record.levelno, "library", logger=record.name, text=text, exc_info=record.exc_info)


def _time(_logger: object, _method: str, event: Event) -> Event:
    event["time"] = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return event


def _failure(_logger: object, _method: str, event: Event) -> Event:
    given = event.pop("exc_info", None)
    error = sys.exc_info()[1] if given is True else given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        event.update(describe_failure(error))
    return event


def _redacted(_logger: object, _method: str, event: Event) -> Event:
    return {key: _plain(value) for key, value in event.items() if not key.startswith("_")}


def _plain(value: object) -> object:
    """The value in JSON's types, redacted. What is of no known type is named by its type, not by its content."""
    match value:
        case None | bool() | int() | float():
            return value
        case Enum():
            return _plain(value.value)
        case str():
            return without_personal_data(value)
        case datetime():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Mapping():
            return {str(key): _plain(inner) for key, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(inner) for inner in value]
        case _:
            return f"<{type(value).__name__}>"


def _as_json(_logger: object, _method: str, event: Event) -> str:
    first = {key: event.pop(key) for key in ("time", "level", "event") if key in event}
    return json.dumps({**first, **event})


def _as_text(_logger: object, _method: str, event: Event) -> str:
    clock = str(event.pop("time", ""))[11:23]
    level, name, stack = event.pop("level", ""), event.pop("event", ""), event.pop("stack", [])
    pairs = " ".join(f"{key}={_word(value)}" for key, value in event.items())
    line = printable(f"{clock} {level:<8} {name} {pairs}".rstrip())
    return "\n".join([line, *(printable(f"    at {frame}") for frame in stack)])


def _word(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return json.dumps(text, ensure_ascii=False) if " " in text and isinstance(value, str) else text
