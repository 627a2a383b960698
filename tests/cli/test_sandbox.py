"""`pwops sandbox up`: everything starts, points a shell at itself, and is gone afterwards."""

import json
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pymongo import MongoClient

from pferdewert_ops.cli.main import run
from pferdewert_ops.sandbox import mongodb
from pferdewert_ops.sandbox.guardian_process import until
from pferdewert_ops.sandbox.mongod_binary import THREE_WAYS, MongodMissing
from tests.cli.programs import Ended, Running, Surroundings, run_pwops

# What an operator's shell may hold while he tries something out.
LIVE = {
    "PWOPS_MONGODB_URI": "mongodb://shop.example.com/test",
    "PWOPS_MAIL_BCC": "reviews@example.com",
    "MONGODB_URI": "mongodb://shop.example.com/test",
    "ANTHROPIC_API_KEY": "sk-ant-live-000000",
    "RESEND_API_KEY": "re_live_0000000",
}
LAST_LINE = "PWOPS_SANDBOX_MARKER"


@pytest.fixture
def nowhere(tmp_path: Path) -> Surroundings:
    return Surroundings(folder=tmp_path, variables={})


@pytest.fixture
def start(nowhere: Surroundings) -> Iterator[Callable[..., Running]]:
    with ExitStack() as started:
        yield lambda *arguments, **changes: started.enter_context(Running(nowhere, *arguments, **changes))


def exported(text: str) -> dict[str, str]:
    """The variables as a shell would read them."""
    words = (shlex.split(line) for line in text.splitlines() if line.startswith("export "))
    return dict(word.partition("=")[::2] for _, word in words)


def pid_of_mongod(variables: dict[str, str]) -> int:
    with MongoClient[dict[str, object]](variables["PWOPS_MONGODB_URI"]) as client:
        return int(client.admin.command("serverStatus")["pid"])


def gone(pid: int) -> bool:
    return until(lambda: not Path(f"/proc/{pid}").exists(), 20.0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_runs_until_told_to_end_and_leaves_nothing(
    start: Callable[..., Running], nowhere: Surroundings, number: signal.Signals
) -> None:
    running = start("sandbox", "up")
    running.wait_for(lambda line: LAST_LINE in line, "stdout")
    variables = exported(running.text("stdout"))
    mongod = pid_of_mongod(variables)
    assert run_pwops(nowhere, "config", "check", **variables).exit_code == 0

    running.signal(number)
    ended = running.end()

    assert ended.exit_code == 0
    assert "Traceback" not in ended.stderr
    assert gone(mongod)


def test_kill_9_leaves_no_server(start: Callable[..., Running]) -> None:
    running = start("sandbox", "up")
    running.wait_for(lambda line: LAST_LINE in line, "stdout")
    mongod = pid_of_mongod(exported(running.text("stdout")))

    running.signal(signal.SIGKILL)

    assert running.end().exit_code == -signal.SIGKILL
    assert gone(mongod)


def test_a_server_that_dies_is_said_and_ends_it(start: Callable[..., Running]) -> None:
    running = start("sandbox", "up")
    running.wait_for(lambda line: LAST_LINE in line, "stdout")

    os.kill(pid_of_mongod(exported(running.text("stdout"))), signal.SIGKILL)
    ended = running.end()

    assert ended.exit_code == 69
    assert "pwops: MongoDB at 127.0.0.1:" in ended.stderr


def test_the_lines_take_a_shells_live_settings_away(start: Callable[..., Running]) -> None:
    running = start("sandbox", "up", **LIVE)
    running.wait_for(lambda line: LAST_LINE in line, "stdout")
    said = running.text("stdout")
    running.signal(signal.SIGINT)
    running.end()

    assert "example.com" not in said
    taken = {line.removeprefix("unset ") for line in said.splitlines() if line.startswith("unset ")}
    assert taken == set(LIVE) - {"PWOPS_MONGODB_URI"}
    assert exported(said)["PWOPS_MONGODB_URI"].startswith("mongodb://127.0.0.1:")


def test_json_for_scripts(start: Callable[..., Running]) -> None:
    running = start("sandbox", "up", "-o", "json", PWOPS_STATUSES="extended")
    running.wait_for(lambda line: line == "}\n", "stdout")
    running.signal(signal.SIGINT)

    found = running.end().json()

    assert found["schema"] == {"name": "sandbox.up", "version": 1}
    assert found["summary"]["unset"] == ["PWOPS_STATUSES"]
    assert {"PWOPS_MONGODB_URI", "PWOPS_RESEND_BASE_URL"} <= {row["name"] for row in found["rows"]}


def test_a_command_inside_sees_the_sandbox_alone_and_gives_its_exit_code(nowhere: Surroundings) -> None:
    script = "import json, os, sys; print(json.dumps(dict(os.environ))); sys.exit(9)"

    ended = run_pwops(nowhere, "sandbox", "up", "--", sys.executable, "-c", script, **LIVE)

    assert ended.exit_code == 9
    seen = json.loads(ended.stdout)
    assert "example.com" not in ended.stdout
    assert seen["PWOPS_MONGODB_URI"].startswith("mongodb://127.0.0.1:")
    assert not {"MONGODB_URI", "ANTHROPIC_API_KEY", "RESEND_API_KEY", "PWOPS_MAIL_BCC"} & set(seen)


def test_sigterm_ends_the_command_inside_first(start: Callable[..., Running]) -> None:
    script = "import signal, sys; print('here', flush=True); signal.pause()"
    running = start("sandbox", "up", "--", sys.executable, "-c", script)
    running.wait_for(lambda line: line == "here\n", "stdout")

    running.signal(signal.SIGTERM)

    assert running.end().exit_code == 0


def test_a_command_that_does_not_exist_is_said_before_anything_starts(nowhere: Surroundings) -> None:
    ended = run_pwops(nowhere, "sandbox", "up", "--", "no-such-program")

    assert ended.exit_code == 2
    assert ended.stderr.splitlines() == ["pwops: There is no program no-such-program. See: pwops sandbox up --help"]


def test_without_a_mongod_the_three_ways_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(*_: object, **__: object) -> Path:
        raise MongodMissing(THREE_WAYS)

    monkeypatch.setattr(mongodb, "find_mongod", missing)

    assert run(["sandbox", "up"]) == 78
    assert "There are three ways to get one" in capsys.readouterr().err


def test_three_members_on_request(nowhere: Surroundings) -> None:
    script = "import os; print(os.environ['PWOPS_MONGODB_URI'])"

    ended: Ended = run_pwops(nowhere, "sandbox", "up", "--members", "3", "--", sys.executable, "-c", script)

    assert ended.stdout.count("127.0.0.1:") == 3
