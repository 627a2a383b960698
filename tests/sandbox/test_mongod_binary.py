"""Where mongod comes from, in which order, and what is said when there is none or it does not start."""

from __future__ import annotations

import importlib.util
import os
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from pferdewert_ops.sandbox.mongod_binary import MongodMissing, find_mongod
from pferdewert_ops.sandbox.mongodb import MongoSandbox, SandboxMongoError


def program(path: Path, *, text: str = "#!/bin/sh\n", mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the wheel's mongod would be; nothing is there yet, and there is none on PATH either."""
    spec = ModuleSpec("fiftyone", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path / "wheel")]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec if name == "fiftyone" else None)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    return tmp_path / "wheel" / "db" / "bin" / "mongod"


def test_the_given_path_comes_first(wheel: Path, tmp_path: Path) -> None:
    program(wheel)
    mine = program(tmp_path / "mine")
    assert find_mongod(mine) == mine


@pytest.mark.parametrize("mode", [None, 0o644])
def test_a_given_path_that_cannot_be_run_is_no_reason_to_take_another(
    wheel: Path, tmp_path: Path, mode: int | None
) -> None:
    program(wheel)
    mine = tmp_path / "mine"
    if mode is not None:
        program(mine, mode=mode)
    with pytest.raises(MongodMissing, match=str(mine)):
        find_mongod(mine)


def test_the_wheel_comes_before_the_path(wheel: Path, tmp_path: Path) -> None:
    on_path = program(tmp_path / "path" / "mongod")
    assert find_mongod() == on_path
    program(wheel)
    assert find_mongod() == wheel


def test_a_missing_run_bit_is_set(wheel: Path) -> None:
    program(wheel, mode=0o644)
    assert os.access(find_mongod(), os.X_OK)


def test_a_run_bit_that_may_not_be_set_is_set_on_a_copy(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(wheel, mode=0o644, text="#!/bin/sh\n# the real one\n")
    really_chmod = Path.chmod

    def refuse(path: Path, mode: int) -> None:
        if path == wheel:
            raise PermissionError(1, "Operation not permitted")
        really_chmod(path, mode)

    monkeypatch.setattr(Path, "chmod", refuse)
    with pytest.raises(MongodMissing, match="Operation not permitted"):
        find_mongod()
    copy = find_mongod(copies=tmp_path)
    assert copy == tmp_path / "mongod"
    assert copy.read_text() == wheel.read_text()
    assert os.access(copy, os.X_OK)


def test_the_error_names_the_three_ways(wheel: Path) -> None:
    with pytest.raises(MongodMissing) as raised:
        find_mongod()
    for way in ("pip install 'pferdewert-ops[sandbox]'", "PATH", "PWOPS_MONGODB_URI"):
        assert way in str(raised.value)


@pytest.mark.parametrize(
    ("library", "advice"),
    [("libcurl.so.4", "install the package libcurl4."), ("libodd.so.1", "install the package that has it.")],
)
def test_a_missing_system_library_is_one_sentence(tmp_path: Path, library: str, advice: str) -> None:
    loader = f"mongod: error while loading shared libraries: {library}: cannot open shared object file"
    fake = program(tmp_path / "mongod", text=f"#!/bin/sh\necho '{loader}' >&2\nexit 127\n")
    with pytest.raises(SandboxMongoError) as raised:
        MongoSandbox.start(mongod=fake, folder=tmp_path / "place")
    assert str(raised.value) == f"mongod needs the system library {library}: {advice}"


def test_a_file_that_is_no_program_is_one_sentence(tmp_path: Path) -> None:
    fake = program(tmp_path / "mongod", text="\x7fELF of another machine")
    with pytest.raises(SandboxMongoError, match="cannot be started"):
        MongoSandbox.start(mongod=fake, folder=tmp_path / "place")
    assert list((tmp_path / "place").iterdir()) == []
