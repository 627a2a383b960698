"""How `pwops` begins and ends: the right command, one sentence on stderr, the promised exit code."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from pymongo import errors as mongodb

from pferdewert_ops.cli import errors
from pferdewert_ops.cli.errors import CliError, ExitCode
from pferdewert_ops.cli.main import COMMANDS, cli, run
from pferdewert_ops.config import ConfigError
from pferdewert_ops.domain.failures import ErrorClass, OperationFailed

Failing = Callable[[BaseException], None]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Failing:
    """Makes `pwops status` end with the given error."""

    def install(error: BaseException) -> None:
        def fail() -> None:
            raise error

        monkeypatch.setitem(cli.commands, "status", click.Command("status", callback=fail))

    return install


def test_the_help_lists_every_command_under_its_section_written_or_not() -> None:
    result = CliRunner().invoke(cli, ["--help"])
    assert result.exit_code == 0
    for name, entry in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(entry.help)}$", result.stdout, re.MULTILINE)
        assert f"\n{entry.section}:\n" in result.stdout


def test_every_command_whose_module_is_there_can_be_loaded() -> None:
    context = click.Context(cli, info_name="pwops")
    loaded = 0
    for name, entry in COMMANDS.items():
        path = Path(errors.__file__).with_name(entry.target.partition(":")[0] + ".py")
        if path.exists():
            command = cli.get_command(context, name)
            assert isinstance(command, click.Command)
            loaded += 1
    assert loaded


def test_alone_it_shows_the_help_and_exits_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == ExitCode.USAGE
    told = capsys.readouterr()
    assert told.out == ""
    assert "run-worker" in told.err


def test_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert re.fullmatch(r"pwops \d+\.\d+\.\d+\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["stats"], "No such command 'stats'. Did you mean 'status'? See: pwops --help"),
        (["run-wroker"], "No such command 'run-wroker'. Did you mean 'run-worker'? See: pwops --help"),
        (["xyzzy"], "No such command 'xyzzy'. See: pwops --help"),
        (["--verison"], "No such option '--verison'. Did you mean '--version'? See: pwops --help"),
        (["config", "shwo"], "No such command 'shwo'. Did you mean 'show'? See: pwops config --help"),
        (["config", "show", "-o", "xml"], "Invalid value for '-o' / '--output': 'xml' is not one of"),
        (["config", "show", "\x1b[2J"], "Got unexpected extra argument"),
    ],
)
def test_a_slip_is_answered_with_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    assert run(arguments) == ExitCode.USAGE
    told = capsys.readouterr()
    assert told.out == ""
    (line,) = told.err.splitlines()
    assert line.startswith(f"pwops: {sentence}")
    assert "\x1b" not in line


def test_a_command_that_is_not_there_yet_is_no_internal_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = COMMANDS["status"]
    monkeypatch.setitem(COMMANDS, "later", type(entry)(section="Look", target="later_command:later", help="Later."))
    assert run(["later"]) == ExitCode.USAGE
    assert capsys.readouterr().err == "pwops: The command 'later' is not part of this installation.\n"


ENDINGS: list[tuple[BaseException, ExitCode, str]] = [
    (errors.Findings("2 failed, 1 warning."), ExitCode.FINDINGS, "2 failed, 1 warning."),
    (errors.NotFound("No order 66f0."), ExitCode.NOT_FOUND, "No order 66f0."),
    (errors.Unconfirmed("Not confirmed."), ExitCode.UNCONFIRMED, "Not confirmed."),
    (errors.GuardRefused("12 orders at once."), ExitCode.GUARD_REFUSED, "12 orders at once."),
    (errors.Partial("3 of 4 done."), ExitCode.PARTIAL, "3 of 4 done."),
    (errors.DependencyDown("Down."), ExitCode.DEPENDENCY_DOWN, "Down."),
    (errors.LockHeld("Another runs."), ExitCode.LOCK_HELD, "Another runs."),
    (errors.CredentialsRefused("Refused."), ExitCode.CREDENTIALS, "Refused."),
    (errors.ConfigProblem("Wrong."), ExitCode.CONFIG, "Wrong."),
    (CliError("Of its own.", ExitCode.PARTIAL), ExitCode.PARTIAL, "Of its own."),
    (ConfigError("PWOPS_LEASE: wrong."), ExitCode.CONFIG, "PWOPS_LEASE: wrong."),
    (mongodb.OperationFailure("wrong password", 18), ExitCode.CREDENTIALS, "MongoDB refused the user or the password"),
    (mongodb.ServerSelectionTimeoutError("db:1: [Errno 111] Connection refused"), ExitCode.DEPENDENCY_DOWN, "MongoDB"),
    (mongodb.OperationFailure("no", 40573), ExitCode.CONFIG, "MongoDB runs without a replica set"),
    (OperationFailed(error_class=ErrorClass.AUTH, code="401"), ExitCode.CREDENTIALS, "A key was refused (auth: 401)"),
    (OperationFailed(error_class=ErrorClass.OVERLOADED, code="529"), ExitCode.DEPENDENCY_DOWN, "A service did not"),
    (ModuleNotFoundError("No module", name="uvicorn.config"), ExitCode.CONFIG, "The sandbox needs uvicorn"),
    (KeyboardInterrupt(), ExitCode.INTERRUPTED, ""),
    (errors.Terminated(), ExitCode.TERMINATED, ""),
    (BrokenPipeError(32, "Broken pipe"), ExitCode.PIPE_CLOSED, ""),
    (click.exceptions.Exit(3), ExitCode.FINDINGS, ""),
    (errors.Findings(""), ExitCode.FINDINGS, ""),
]


@pytest.mark.parametrize(("error", "code", "sentence"), ENDINGS, ids=[repr(error)[:50] for error, _, _ in ENDINGS])
def test_every_expected_ending_has_its_code_and_its_sentence(
    failing: Failing, capsys: pytest.CaptureFixture[str], error: BaseException, code: ExitCode, sentence: str
) -> None:
    failing(error)
    assert run(["status"]) == code
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == (1 if sentence else 0)
    assert not sentence or lines[0].startswith(f"pwops: {sentence}")


def test_each_problem_of_several_is_a_line(failing: Failing, capsys: pytest.CaptureFixture[str]) -> None:
    failing(ConfigError("One.", "Two."))
    assert run(["status"]) == ExitCode.CONFIG
    assert capsys.readouterr().err == "pwops: One.\npwops: Two.\n"


def test_the_codes_hold_under_a_runner_too(failing: Failing) -> None:
    failing(ConfigError("Wrong."))
    result = CliRunner().invoke(cli, ["status"])
    assert (result.exit_code, result.stderr) == (78, "pwops: Wrong.\n")


def test_a_bug_is_one_line_without_its_text(failing: Failing, capsys: pytest.CaptureFixture[str]) -> None:
    failing(KeyError("die Stute Bella, sk-ant-nobodys"))
    assert run(["status"]) == ExitCode.BUG
    (line,) = capsys.readouterr().err.splitlines()
    assert re.fullmatch(
        r"pwops: internal error \(KeyError\) at \S+:\d+; run again with --debug for the traceback", line
    )


@pytest.mark.parametrize("arguments", [["--debug", "config", "show"], ["config", "--debug", "show"]])
def test_debug_shows_the_traceback_without_secrets_wherever_it_stands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    text = "sk-ant-nobodys anna@example.org \x1b[2J mongodb://a:Hufeisen@b"

    def fail(*_: object, **__: object) -> None:
        raise KeyError(text)

    monkeypatch.setattr("pferdewert_ops.cli.config_command.emit", fail)
    assert run(arguments) == ExitCode.BUG
    told = capsys.readouterr().err
    assert "Traceback (most recent call last):" in told
    assert 'config_command.py", line' in told
    assert "KeyError: " in told
    assert not [word for word in ("nobodys", "anna", "\x1b", "Hufeisen") if word in told]


def test_debug_shows_what_lies_behind_a_known_error_too(capsys: pytest.CaptureFixture[str]) -> None:
    Path("pwops.toml").write_text("lease = 'x'\n")
    assert run(["config", "show", "--debug"]) == ExitCode.CONFIG
    told = capsys.readouterr().err
    assert told.startswith("pwops: PWOPS_LEASE (file pwops.toml): 'x' is not a duration")
    assert "Traceback (most recent call last):" in told


@pytest.mark.parametrize(
    ("context", "code"),
    [(KeyboardInterrupt(), ExitCode.INTERRUPTED), (EOFError(), ExitCode.UNCONFIRMED), (None, ExitCode.UNCONFIRMED)],
)
def test_a_question_can_end_in_three_ways(failing: Failing, context: BaseException | None, code: ExitCode) -> None:
    abort = click.Abort()
    # As click raises it: `from None`, with what happened as its context.
    abort.__context__ = context
    failing(abort)
    assert run(["status"]) == code


PWOPS = [sys.executable, "-c", "from pferdewert_ops.cli.main import main; main()"]


def test_a_reader_that_leaves_is_no_error_and_no_success() -> None:
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run([*PWOPS, "config", "show"], stdout=write, stderr=subprocess.PIPE, check=False, timeout=60)
    os.close(write)
    assert (ended.returncode, ended.stderr) == (ExitCode.PIPE_CLOSED, b"")


@pytest.mark.parametrize("target", [">&-", "> /dev/full"])
@pytest.mark.parametrize("arguments", ["config show", "config show -o json", "--help"])
def test_a_stdout_that_takes_nothing_is_one_sentence(arguments: str, target: str) -> None:
    command = ["sh", "-c", f'"$0" "$@" {arguments} {target}', *PWOPS]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == ExitCode.OUTPUT_LOST
    (line,) = ended.stderr.splitlines()
    assert line.startswith("pwops: stdout cannot be written to (")


def test_who_prints_nothing_needs_no_stdout() -> None:
    command = ["sh", "-c", '"$0" "$@" config check >&-', *PWOPS]
    assert subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == ExitCode.CONFIG


def test_a_terminal_of_few_letters_still_gets_an_answer() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1", "PWOPS_SHOP_URL": "https://koń.pl"}
    ended = subprocess.run(
        [*PWOPS, "config", "show"], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 0
    assert "https://ko\\u0144.pl" in ended.stdout


def test_sigterm_ends_a_command_with_143_after_it_has_closed_what_it_opened() -> None:
    program = (
        "import click, sys, threading\n"
        "from pferdewert_ops.cli import main\n"
        "def wait():\n"
        "    try:\n"
        "        print('waiting', flush=True)\n"
        "        threading.Event().wait(60)\n"
        "    finally:\n"
        "        print('closed', flush=True)\n"
        "main.cli.commands['status'] = click.Command('status', callback=wait)\n"
        "sys.argv = ['pwops', 'status']\n"
        "main.main()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == "closed\n"
        assert process.wait(timeout=30) == ExitCode.TERMINATED


def test_completion_knows_the_commands() -> None:
    environment = {**os.environ, "_PWOPS_COMPLETE": "bash_complete", "COMP_WORDS": "pwops ma", "COMP_CWORD": "1"}
    ended = subprocess.run(PWOPS, env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout == "plain,mails\n"
