"""The command `pwops`: what it knows, and how it ends: with a sentence and an exit code, never with a surprise."""

import os
import signal
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from types import FrameType
from typing import NoReturn

import click

from pferdewert_ops import __version__
from pferdewert_ops.cli.errors import CliError, ExitCode, Terminated, complain
from pferdewert_ops.cli.lazy_group import Entry, Invocation, LazyGroup

COMMANDS = {
    name: Entry(section=section, target=target, help=text)
    for section, name, target, text in (
        ("Work", "run-worker", "worker_command:run_worker", "Evaluate, deliver and mail what is owed."),
        ("Work", "retry", "retry_command:retry", "Give orders or jobs a fresh start."),
        ("Look", "status", "status_command:status", "Say in one screen whether all is well."),
        ("Look", "jobs", "jobs_command:jobs", "List, show and cancel evaluation jobs."),
        ("Look", "queue", "queue_command:queue", "Show, pause and resume the queues."),
        ("Look", "mails", "mails_command:mails", "List and show mails, resolve uncertain ones."),
        ("Look", "doctor", "doctor_command:doctor", "Check the whole set-up; every finding has its fix."),
        ("Set up", "config", "config_command:config", "Show and check the configuration."),
        ("Set up", "migrate", "migrate_command:migrate", "Create our own collections and indexes."),
        ("Try out", "sandbox", "sandbox_command:sandbox", "Run MongoDB, model and mail on this machine."),
        ("Try out", "demo", "demo_command:demo", "Watch the worker get through a difficult day."),
    )
}


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """Operate the shop's evaluations: the worker, its queues, the mails.

    Every command explains itself with --help. Data goes to stdout (-o json for scripts), everything else to stderr.
    """


def main() -> NoReturn:
    """The program: run the command that the arguments name and exit."""
    signal.signal(signal.SIGTERM, _terminate)
    if sys.stdout is None:
        # Closed by the caller (`>&-`): something that takes nothing, so that the first word to it fails as on a full
        # disk, and a command that says nothing there is none the worse.
        sys.stdout = open(os.open(os.devnull, os.O_RDONLY), "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal that cannot show a character gets its number instead of ending the command.
            stream.reconfigure(errors="backslashreplace")
    status = run(sys.argv[1:])
    if status in {ExitCode.PIPE_CLOSED, ExitCode.OUTPUT_LOST}:
        # The interpreter flushes stdout once more on its way out; let that go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(status)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code. Every error becomes a line on stderr, never a traceback unasked."""
    invocation = Invocation()
    try:
        _invoke(arguments, invocation)
        if sys.stdout is not None:
            sys.stdout.flush()
    except click.exceptions.Exit as ending:
        return ending.exit_code
    except click.ClickException as error:
        _show(error)
        if invocation.debug and error.__cause__ is not None:
            _show_traceback(error)
        return int(error.exit_code)
    except click.Abort as abort:
        return _aborted(abort)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except Terminated:
        return ExitCode.TERMINATED
    except BrokenPipeError:
        # As a program that SIGPIPE ended: `pwops jobs list | head` is no error, but it is not the whole list either.
        return ExitCode.PIPE_CLOSED
    except Exception as error:  # noqa: BLE001 - the process ends here
        if isinstance(error, OSError) and _is_of_printing(error):
            complain(f"stdout cannot be written to ({error.strerror}): what there was to print is lost.")
            return ExitCode.OUTPUT_LOST
        _show_bug(error, debug=invocation.debug)
        return ExitCode.BUG
    return ExitCode.CLEAN


def _invoke(arguments: Sequence[str], invocation: Invocation) -> None:
    if os.environ.get("_PWOPS_COMPLETE"):
        cli.main(list(arguments), prog_name="pwops")
    with cli.make_context("pwops", list(arguments), obj=invocation) as context:
        cli.invoke(context)


def _is_of_printing(error: OSError) -> bool:
    """Whether it was raised where something is printed: by click, by rich, or by the last flush."""
    import traceback

    printers = (f"{os.sep}click{os.sep}", f"{os.sep}rich{os.sep}")
    last = traceback.extract_tb(error.__traceback__)[-1].filename
    return last == __file__ or any(printer in last for printer in printers)


def _show(error: click.ClickException) -> None:
    if isinstance(error, CliError | click.exceptions.NoArgsIsHelpError):
        error.show()
    elif isinstance(error, click.UsageError) and error.ctx is not None:
        complain(f"{error.format_message()} See: {error.ctx.command_path} --help")
    else:
        complain(error.format_message())


def _aborted(abort: click.Abort) -> int:
    """Click has one exception for three endings: interrupted at a question, no answer to be had, answered with no."""
    if isinstance(abort.__context__, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    if isinstance(abort.__context__, EOFError):
        complain("This has to be confirmed, and there is nobody to ask. Nothing was done.")
    else:
        complain("Not confirmed. Nothing was done.")
    return ExitCode.UNCONFIRMED


def _show_bug(error: Exception, *, debug: bool) -> None:
    import traceback

    # The text of an unexpected error may hold anything, a customer's words included: its type and place are enough.
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "pferdewert_ops" in frame.filename]
    place = frames[-1].filename.rpartition("pferdewert_ops/")[2] + f":{frames[-1].lineno}" if frames else "outside"
    advice = "" if debug else "; run again with --debug for the traceback"
    complain(f"internal error ({type(error).__name__}) at {place}{advice}")
    if debug:
        _show_traceback(error)


def _show_traceback(error: Exception) -> None:
    import traceback

    from pferdewert_ops.redaction import printable, without_personal_data

    lines = "".join(traceback.format_exception(error)).splitlines()
    click.echo("\n".join(printable(without_personal_data(line)) for line in lines), err=True)


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated
