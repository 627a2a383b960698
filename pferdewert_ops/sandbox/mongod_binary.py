"""Where the sandbox's mongod comes from, and in plain words why one would not start."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import stat
from pathlib import Path

THREE_WAYS = (
    "No mongod was found. There are three ways to get one: pip install 'pferdewert-ops[sandbox]', which brings one "
    "along; a mongod on PATH, such as from MongoDB's packages; or a server of your own, named in PWOPS_MONGODB_URI."
)

PACKAGES = {
    "libcurl.so.4": "libcurl4",
    "libcrypto.so.3": "libssl3",
    "libssl.so.3": "libssl3",
    "liblzma.so.5": "liblzma5",
}
"""The Debian and Ubuntu packages of what the embedded mongod links to; a slim image has all of them but the first."""

LOG_TAIL = 16_384
"""Bytes of a log that are searched for the reason; mongod's last words take about 5,000."""


class SandboxMongoError(RuntimeError):
    """The sandbox's MongoDB cannot be used; the text says what to do."""


class MongodMissing(SandboxMongoError):  # noqa: N818 - says what it is
    """There is no mongod on this machine."""


def find_mongod(path: Path | None = None, *, copies: Path | None = None) -> Path:
    """The mongod to run: `path`, else the wheel's, else the one on PATH.

    A wheel's binary whose run bit is missing and cannot be set is copied to the folder `copies`. Raises
    `MongodMissing`, also for a `path` where nothing can be run.
    """
    if path is not None:
        if not _runnable(path):
            raise MongodMissing(f"There is no program to run at {path}.")
        return path.absolute()
    wheel = _wheel_mongod()
    if wheel is not None:
        return _made_runnable(wheel, copies)
    found = shutil.which("mongod")
    if found is None:
        raise MongodMissing(THREE_WAYS)
    return Path(found).absolute()


def why_it_ended(log: Path, exit_code: int) -> str:
    """One sentence for a mongod that ended instead of serving, from what it wrote to its log."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - LOG_TAIL))
        text = file.read().decode(errors="replace")
    missing = re.search(r"error while loading shared libraries: ([\w.+-]+)", text)
    if missing is None:
        return f"mongod ended with code {exit_code}; its last words: {text.strip()[-400:] or 'none'}"
    library = missing[1]
    remedy = f"install the package {PACKAGES[library]}" if library in PACKAGES else "install the package that has it"
    return f"mongod needs the system library {library}: {remedy}."


def _wheel_mongod() -> Path | None:
    # The parent package alone is looked up: a full fiftyone, if there is one, takes seconds to import.
    spec = importlib.util.find_spec("fiftyone")
    folders = (spec.submodule_search_locations or []) if spec else []
    candidates = (Path(folder) / "db" / "bin" / "mongod" for folder in folders)
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _runnable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _made_runnable(binary: Path, copies: Path | None) -> Path:
    if _runnable(binary):
        return binary
    run_bits = stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH
    try:
        binary.chmod(binary.stat().st_mode | run_bits)
    except OSError as error:  # somebody else's file, or a file system that is read-only
        if copies is None:
            raise MongodMissing(f"{binary} cannot be made executable: {error.strerror}.") from error
        copy = copies / "mongod"
        shutil.copyfile(binary, copy)
        copy.chmod(0o700)
        return copy
    return binary
