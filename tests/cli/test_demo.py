"""`pwops demo`: every order ends where it should, a single wrong one is told, and nothing outlives it."""

import signal
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pferdewert_ops.cli.main import run
from pferdewert_ops.sandbox.demo import story
from pferdewert_ops.sandbox.demo.stage import Stage
from pferdewert_ops.sandbox.guardian_process import until
from tests.cli.programs import Running, Surroundings
from tests.unit.demo_support import EVIDENCE, FOUND, ORDERS, judged

# Far above what it takes on a busy machine: a bound, not a time to wait.
LIMIT = 180.0
# Kept by the sandbox's walls, so that every process of one demonstration can be found by it.
MARK = "PYTHON_DEMONSTRATION"


@pytest.fixture
def nowhere(tmp_path: Path) -> Surroundings:
    folder = tmp_path / "folder"
    folder.mkdir()
    return Surroundings(folder=folder, variables={MARK: uuid.uuid4().hex})


@pytest.fixture
def live_server() -> Iterator[socket.socket]:
    """An address that nothing may connect to."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


def processes(surroundings: Surroundings) -> list[int]:
    """Every process that was started by a command in these surroundings."""
    wanted = f"{MARK}={surroundings.variables[MARK]}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                environment = (folder / "environ").read_bytes()
            except OSError:  # it has ended meanwhile, or is not ours
                continue
            if wanted in environment.split(b"\0"):
                found.append(int(folder.name))
    return found


def test_every_order_ends_where_it_should_whatever_the_operators_shell_holds(
    nowhere: Surroundings, live_server: socket.socket
) -> None:
    address = f"127.0.0.1:{live_server.getsockname()[1]}"
    (nowhere.folder / "pwops.toml").write_text(
        f'mongodb_uri = "mongodb://{address}/test"\nmail_bcc = "a@example.com"\n'
    )
    live = {
        "PWOPS_MONGODB_URI": "mongodb+srv://operator:secret@shop.example.net/test",
        "PWOPS_MODEL_PRIMARY": "claude-live",
        "PWOPS_UNPAID_MAX_AGE": "0",
        "MONGODB_URI": f"mongodb://{address}/test",
        "ANTHROPIC_API_KEY": "sk-ant-live-000000",
        "ANTHROPIC_BASE_URL": f"http://{address}",
        "RESEND_API_KEY": "re_live_0000000",
        "HTTP_PROXY": f"http://{address}",
        "HTTPS_PROXY": f"http://{address}",
    }

    with Running(nowhere, "demo", "-o", "json", **live) as running:
        ended = running.end(LIMIT)

    assert ended.exit_code == 0, ended.stdout + ended.stderr
    told = ended.json()
    assert told["schema"] == {"name": "demo", "version": 1}
    assert len({row["kind"] for row in told["rows"]}) == 24
    assert [row for row in told["rows"] if not row["right"] or row["problems"]] == []
    summary = told["summary"]
    assert summary["right"]
    assert (summary["delivered"], summary["mailed"], summary["duplicate_mails"]) == (16, 14, 0)
    assert summary["leases_taken_back"] >= 1
    assert summary["waits_cut_short"] == 4
    with pytest.raises(BlockingIOError):
        live_server.accept()
    assert processes(nowhere) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_everything(nowhere: Surroundings, number: signal.Signals, code: int) -> None:
    with Running(nowhere, "demo", "--orders", "2") as running:
        running.wait_for(lambda line: "worker 2 is started" in line)
        assert len(processes(nowhere)) > 4  # the command, MongoDB and two workers, with a guardian each
        running.signal(number)
        ended = running.end(LIMIT)

    assert ended.exit_code == code
    assert "Traceback" not in ended.stderr
    assert processes(nowhere) == []


def test_kill_9_leaves_no_process_and_no_folder(nowhere: Surroundings, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with Running(nowhere, "demo", "--orders", "2", TMPDIR=str(temporary)) as running:
        running.wait_for(lambda line: "worker 2 is started" in line)
        assert list(temporary.iterdir())
        running.signal(signal.SIGKILL)
        running.end(LIMIT)

    assert until(lambda: not processes(nowhere), LIMIT)
    assert until(lambda: not list(temporary.iterdir()), LIMIT)


def test_what_is_kept_can_be_looked_at_until_it_is_told_to_end(nowhere: Surroundings) -> None:
    with Running(nowhere, "demo", "--orders", "1", "--keep") as running:
        running.wait_for(lambda line: "Ctrl-C ends it" in line, seconds=LIMIT)
        # The two streams are read by two threads: what was written first may be read last.
        uri = running.wait_for(lambda line: "PWOPS_MONGODB_URI" in line, "stdout", LIMIT)
        port = int(uri.partition("127.0.0.1:")[2].partition("/")[0])
        socket.create_connection(("127.0.0.1", port)).close()
        running.signal(signal.SIGINT)
        ended = running.end(LIMIT)

    assert ended.exit_code == 130
    assert "1 order in " in ended.stdout
    assert processes(nowhere) == []


# --- what it says of a planted end -----------------------------------------------------------------------------------


class EmptyStage:
    """A stage on which nothing happens."""

    orders = ORDERS


@contextmanager
def _empty(*_: object) -> Iterator[Any]:
    yield EmptyStage()


def _ends_with(monkeypatch: pytest.MonkeyPatch, evidence: Any) -> None:
    monkeypatch.setattr(Stage, "set_up", _empty)
    monkeypatch.setattr(story.Story, "__init__", lambda *_: None)
    monkeypatch.setattr(story.Story, "play", lambda _: judged(evidence))


def test_a_right_end_is_exit_code_0(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    _ends_with(monkeypatch, EVIDENCE)

    assert run(["demo"]) == 0
    said = capsys.readouterr()
    assert "24 orders in 14.0 s, every one exactly where it should be." in said.out
    assert "✗" not in said.out
    assert said.err == ""


def test_one_order_elsewhere_is_exit_code_1_and_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = ORDERS[3]
    _ends_with(monkeypatch, replace(EVIDENCE, found={**FOUND, str(wrong.id): None}))

    assert run(["demo"]) == 1
    said = capsys.readouterr()
    assert f"✗ {str(wrong.id)[-6:]}  the document is gone" in said.out
    assert "every one exactly" not in said.out
    assert said.err == "pwops: 1 of 24 orders is not where it should be; see above.\n"


def test_a_mail_about_nothing_is_exit_code_1_although_every_order_is_right(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _ends_with(monkeypatch, replace(EVIDENCE, strays=["a mail about nothing"]))

    assert run(["demo", "-o", "json"]) == 1
    assert '"there is a mail about nothing"' in capsys.readouterr().out


@pytest.mark.parametrize("count", ["0", "501", "many"])
def test_a_number_of_orders_that_it_does_not_play_is_said_at_once(count: str) -> None:
    assert run(["demo", "--orders", count]) == 2


def test_the_figures_of_the_kill_are_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    _ends_with(monkeypatch, EVIDENCE)
    run(["demo"])

    told = "A worker was killed with 1 lease in its hands: taken back after 1.5 s, in work again after 1.6 s."
    assert told in capsys.readouterr().out
