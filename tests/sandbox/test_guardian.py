"""No way for an owner to end leaves its server, its guardian or its temporary folder behind."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pferdewert_ops.sandbox.guardian import GuardedProcess, GuardError
from pferdewert_ops.sandbox.guardian_process import until

from .conftest import Owner, runs

SLEEP = shutil.which("sleep") or "/bin/sleep"

OWNER = f"""
import json, os, signal, subprocess, sys
from pathlib import Path
from pferdewert_ops.sandbox.guardian import GuardedProcess
place = Path(sys.argv[1])
folder = place / "data"
folder.mkdir()
(folder / "file").write_text("x")
guarded = GuardedProcess.start([{SLEEP!r}, "600"], folder=folder, log_path=place / "server.log")
others = []
BEFORE_TELLING
told = {{"pids": [guarded.pid, guarded.guardian_pid], "others": others, "folder": str(folder)}}
print(json.dumps(told), flush=True)
sys.stdin.readline()
AT_THE_END
"""


def owner_script(*, before_telling: str = "", at_the_end: str = "") -> str:
    return OWNER.replace("BEFORE_TELLING", before_telling).replace("AT_THE_END", at_the_end)


StartOwner = Callable[[str], Owner]


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[GuardedProcess]:
    folder = tmp_path / "data"
    folder.mkdir()
    with GuardedProcess.start([SLEEP, "600"], folder=folder, log_path=tmp_path / "log") as guarded:
        yield guarded


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGABRT], ids=str)
def test_a_killed_owner_leaves_nothing(start_owner: StartOwner, number: int) -> None:
    owner = start_owner(owner_script())
    assert all(map(runs, owner.pids))
    owner.process.send_signal(number)
    assert owner.left_nothing()


def test_ctrl_c_for_the_whole_process_group_leaves_nothing(start_owner: StartOwner) -> None:
    owner = start_owner(owner_script())
    os.killpg(owner.process.pid, signal.SIGINT)
    assert owner.left_nothing()


@pytest.mark.parametrize("ending", ["pass", "raise SystemExit(3)", "os._exit(0)", "1 / 0"])
def test_an_owner_that_ends_without_stopping_leaves_nothing(start_owner: StartOwner, ending: str) -> None:
    owner = start_owner(owner_script(at_the_end=ending))
    owner.process.communicate(b"\n")
    assert owner.left_nothing()


@pytest.mark.parametrize(
    "other_child",
    [
        pytest.param(
            f"others.append(subprocess.Popen([{SLEEP!r}, '600'], close_fds=False).pid)", id="open-descriptors"
        ),
        pytest.param("others.append(os.fork())\nif not others[0]: signal.pause()", id="fork"),
    ],
)
def test_another_child_of_the_owner_does_not_keep_the_server_alive(start_owner: StartOwner, other_child: str) -> None:
    owner = start_owner(owner_script(before_telling=other_child))
    try:
        owner.process.kill()
        assert owner.left_nothing()
        assert all(map(runs, owner.others))
    finally:
        for pid in owner.others:
            os.kill(pid, signal.SIGKILL)


def test_a_fork_can_neither_stop_the_server_nor_end_it_by_ending(start_owner: StartOwner) -> None:
    fork = """
child = os.fork()
if not child:
    guarded.stop()
    os._exit(1 if guarded.alive() else 0)
assert os.waitpid(child, 0)[1] == 0
assert guarded.alive()
"""
    owner = start_owner(owner_script(before_telling=fork))
    assert all(map(runs, owner.pids))
    assert owner.folder.exists()


def test_the_server_dies_with_a_killed_guardian(
    sleeper: GuardedProcess, tmp_path: Path, ended: Callable[[int], bool]
) -> None:
    os.kill(sleeper.guardian_pid, signal.SIGKILL)
    assert sleeper.wait(20) == -signal.SIGKILL
    assert ended(sleeper.pid)
    sleeper.stop()
    assert not (tmp_path / "data").exists()


def test_a_guardian_that_is_told_to_end_takes_the_server_along(
    sleeper: GuardedProcess, ended: Callable[[int], bool]
) -> None:
    os.kill(sleeper.guardian_pid, signal.SIGTERM)
    assert ended(sleeper.pid)
    assert sleeper.wait(20) is not None


def test_stop_ends_everything_and_may_be_repeated(sleeper: GuardedProcess, tmp_path: Path) -> None:
    assert sleeper.alive()
    sleeper.stop()
    sleeper.stop()
    assert not sleeper.alive()
    assert not runs(sleeper.pid)
    assert not runs(sleeper.guardian_pid)
    assert not (tmp_path / "data").exists()


def test_stop_ends_a_frozen_server(sleeper: GuardedProcess) -> None:
    sleeper.signal(signal.SIGSTOP)
    sleeper.stop()
    assert not runs(sleeper.pid)


def test_stop_ends_a_server_whose_guardian_is_frozen(
    sleeper: GuardedProcess, ended: Callable[[int], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pferdewert_ops.sandbox.guardian_process.FOLDER_LIMIT", 0.1)
    os.kill(sleeper.guardian_pid, signal.SIGSTOP)
    sleeper.stop()
    assert ended(sleeper.pid)


def test_stop_keeps_the_folder_when_asked(sleeper: GuardedProcess, tmp_path: Path) -> None:
    sleeper.stop(keep_folder=True)
    assert not runs(sleeper.guardian_pid)
    assert (tmp_path / "data").is_dir()


def test_threads_that_stop_at_once_stop_once(sleeper: GuardedProcess) -> None:
    threads = [threading.Thread(target=sleeper.stop) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not runs(sleeper.pid)


def test_the_server_that_ends_by_itself_is_reported_with_its_code(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(7)"
    with GuardedProcess.start([sys.executable, "-c", script], folder=None, log_path=log) as guarded:
        assert guarded.wait(20) == 7
        assert not guarded.alive()
        with pytest.raises(ProcessLookupError):
            guarded.signal(signal.SIGTERM)
    assert sorted(log.read_text().split()) == ["err", "out"]


def test_wait_gives_none_while_the_server_runs(sleeper: GuardedProcess) -> None:
    assert sleeper.wait(0.01) is None


POLITE = """
import pathlib, signal, sys
def say(*_):
    pathlib.Path(sys.argv[1] + ".polite").touch()
    if sys.argv[2] == "ends": sys.exit(0)
signal.signal(signal.SIGTERM, say)
pathlib.Path(sys.argv[1] + ".ready").touch()
while True: signal.pause()
"""


@pytest.mark.parametrize(
    ("grace", "behaviour", "heard"), [(20.0, "ends", True), (0.2, "stays", True), (0.0, "ends", False)]
)
def test_grace_is_the_time_between_asking_and_killing(
    tmp_path: Path, grace: float, behaviour: str, *, heard: bool
) -> None:
    base = tmp_path / "server"
    argv = [sys.executable, "-c", POLITE, str(base), behaviour]
    with GuardedProcess.start(argv, folder=None, log_path=tmp_path / "log", grace=grace) as guarded:
        assert until(base.with_suffix(".ready").exists, 20)
    assert not runs(guarded.pid)
    assert base.with_suffix(".polite").exists() is heard


def test_a_program_that_cannot_be_run_is_an_error_that_says_why(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    with pytest.raises(GuardError, match="No such file"):
        GuardedProcess.start([str(tmp_path / "nothing")], folder=folder, log_path=tmp_path / "log")
    assert folder.exists()


def test_the_server_gets_the_given_environment_alone(tmp_path: Path) -> None:
    log = tmp_path / "log"
    env = shutil.which("env") or "/usr/bin/env"
    with GuardedProcess.start([env], folder=None, log_path=log, environment={"ONLY": "this"}) as guarded:
        assert guarded.wait(20) == 0
    assert "ONLY=this" in log.read_text()
    assert "PATH=" not in log.read_text()
