"""Every command here starts in an empty folder, with an empty environment and nothing remembered.

Those that need a shop share one server, one model and one mailbox, with a database of its own for each test.
"""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from pferdewert_ops import redaction
from pferdewert_ops.cli.main import run
from pferdewert_ops.config import format_duration
from pferdewert_ops.sandbox.guardian import GuardedProcess
from pferdewert_ops.sandbox.mongod_binary import find_mongod
from tests.cli.programs import Ended, Running, Surroundings, run_pwops
from tests.harness import FAST, ShopFloor

LIVE = ("PWOPS_", "MONGODB_", "ANTHROPIC_", "RESEND_", "STRIPE_", "CREDENTIALS_DIRECTORY", "NO_COLOR", "FORCE_COLOR")


@pytest.fixture(autouse=True)
def empty_world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in list(os.environ):
        if variable.startswith(LIVE):
            monkeypatch.delenv(variable)
    monkeypatch.setattr("pferdewert_ops.config.loading.USUAL_FILES", (Path("pwops.toml"),))
    monkeypatch.setattr(redaction._Register, "values", ())
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def surroundings(floor: ShopFloor, tmp_path: Path) -> Surroundings:
    """The variables that point a command at this test's database and the stand-ins, with a suite's short times."""
    times = {f"PWOPS_{name.upper()}": format_duration(v) for name, v in FAST.items() if isinstance(v, timedelta)}
    return Surroundings(
        folder=tmp_path,
        variables={
            **times,
            "PWOPS_MONGODB_URI": floor.uri,
            "PWOPS_DATABASE": floor.database.name,
            "PWOPS_ANTHROPIC_API_KEY": floor.model.api_key,
            "PWOPS_ANTHROPIC_BASE_URL": floor.model.url,
            "PWOPS_RESEND_API_KEY": floor.mail.resend.api_key,
            "PWOPS_RESEND_BASE_URL": floor.mail.resend.url,
            "PWOPS_SANDBOX_MARKER": floor.marker,
        },
    )


@pytest.fixture
def invoke(
    surroundings: Surroundings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ended]:
    """Run a command in this process, as the program would: `invoke("status", "-o", "json", PWOPS_OPERATORS=None)`."""

    def call(*arguments: str, **changes: str | None) -> Ended:
        wanted = surroundings.with_(changes)
        for name in set(os.environ) - set(wanted):
            monkeypatch.delenv(name)
        for name, value in wanted.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(surroundings.folder)
        capsys.readouterr()
        exit_code = run(arguments)
        said = capsys.readouterr()
        return Ended(exit_code=int(exit_code), stdout=said.out, stderr=said.err)

    return call


@pytest.fixture
def pwops(surroundings: Surroundings) -> Callable[..., Ended]:
    """Run a command as a process of its own, to its end: `pwops("run-worker", "--drain")`."""

    def call(*arguments: str, **changes: str | None) -> Ended:
        return run_pwops(surroundings, *arguments, **changes)

    return call


@pytest.fixture
def start_pwops(surroundings: Surroundings) -> Iterator[Callable[..., Running]]:
    """Start a command as a process of its own; what still runs at the test's end is killed."""
    with ExitStack() as started:

        def call(*arguments: str, **changes: str | None) -> Running:
            return started.enter_context(Running(surroundings, *arguments, **changes))

        yield call


@pytest.fixture
def lone_mongod(tmp_path: Path) -> Iterator[str]:
    """A mongod without a replica set; its port."""
    data = tmp_path / "lone"
    data.mkdir()
    log = tmp_path / "lone.log"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    argv = [str(find_mongod()), "--dbpath", str(data), "--port", str(port), "--bind_ip", "127.0.0.1", "--nounixsocket"]
    with GuardedProcess.start(argv, folder=data, log_path=log):
        yield str(port)
