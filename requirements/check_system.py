"""Say in one sentence which system package is missing, before anything is installed."""

import ctypes
import importlib.util
import sys


def problem() -> str | None:
    if sys.version_info < (3, 11):  # noqa: UP036 - this file runs before anything has checked the version
        return f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}: make PYTHON=python3.11 …"
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        return "The system package python3-venv is missing: apt-get install python3-venv"
    try:
        ctypes.CDLL("libcurl.so.4")
    except OSError:
        return "The system package libcurl4, which the embedded mongod needs, is missing: apt-get install libcurl4"
    return None


if __name__ == "__main__":
    if sentence := problem():
        sys.exit(sentence)
