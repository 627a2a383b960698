"""`pwops sandbox`: everything that a shop needs, on this machine, to try things out with."""

import os
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pferdewert_ops.cli.errors import ConfigProblem, DependencyDown, Terminated
from pferdewert_ops.cli.output import Column, emit, note, output_option

if TYPE_CHECKING:
    from pferdewert_ops.sandbox.environment import Sandbox

# How often a sandbox that nobody asks anything looks whether its servers still live.
LOOK_SECONDS = 1.0
# How long a program that was told to end may take before it is killed.
END_SECONDS = 10.0


@click.group()
def sandbox() -> None:
    """Run MongoDB, model and mail on this machine, to try things out without a shop."""


@sandbox.command()
@click.option("--members", type=click.Choice(["1", "3"]), default="1", show_default=True, help="Members of MongoDB.")
@click.option(
    "--pace",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="The model writes N events a second (an answer has about 30) instead of all at once.",
)
@output_option
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def up(members: str, pace: float | None, output: str, command: tuple[str, ...]) -> None:
    """Start everything, print the variables that point pwops at it, and run until Ctrl-C.

    With a COMMAND behind `--`, run that inside the sandbox instead and end with it, for example:
    pwops sandbox up -- bash

    Nothing of it is real, it listens on loopback only, and all that it stored goes when it ends.
    """
    if command and shutil.which(command[0]) is None:
        raise click.UsageError(f"There is no program {command[0]}.")
    try:
        with _started(int(members), pace) as started:
            if command:
                _exit_as(_run_inside(started, command))
            _show(started, output)
            _wait(started)
    except (KeyboardInterrupt, Terminated):
        # This is how a sandbox is told to end; it had nothing to finish.
        note("The sandbox has ended.")


def _started(members: int, pace: float | None) -> "Sandbox":
    from pferdewert_ops.sandbox.environment import Sandbox
    from pferdewert_ops.sandbox.mongodb import MongodMissing, SandboxMongoError

    try:
        return Sandbox.start(members=members, events_per_second=pace)
    except MongodMissing as missing:
        raise ConfigProblem(str(missing)) from missing
    except SandboxMongoError as broken:
        raise DependencyDown(str(broken)) from broken


def _show(started: "Sandbox", output: str) -> None:
    variables, unset = started.variables(), _in_the_way(os.environ, started.variables())
    if output == "json":
        emit(
            ({"name": name, "value": value} for name, value in variables.items()),
            [Column(key="name", title="name"), Column(key="value", title="value")],
            output,
            schema="sandbox.up",
            summary={"unset": unset, "mailbox": f"{started.mail.resend.url}/_sandbox/mailbox"},
        )
    else:
        for name in unset:
            click.echo(f"unset {name}")
        for name, value in variables.items():
            click.echo(f"export {name}={shlex.quote(value)}")
    note("The sandbox runs: MongoDB, a stand-in for the model, mail by Resend's interface and by SMTP.")
    note("Put the lines above into another shell, or have one opened inside: pwops sandbox up -- bash")
    note(f"Mails that went out: {started.mail.resend.url}/_sandbox/mailbox")
    note(f"What the model was asked: {started.model.url}/_sandbox/journal")
    note("Ctrl-C ends it and removes all that it stored.")


def _in_the_way(environment: Mapping[str, str], variables: Mapping[str, str]) -> list[str]:
    """The names under which a shell that reads our lines would still hand its own settings to pwops."""
    from pferdewert_ops.config.loading import PREFIX, SHOPS_VARIABLES

    return sorted(
        name
        for name in environment
        if (name.upper().startswith(PREFIX) or name in SHOPS_VARIABLES or name == "CREDENTIALS_DIRECTORY")
        and name not in variables
    )


def _wait(started: "Sandbox") -> None:
    """Until a signal ends this; raises DependencyDown where a server ended by itself."""
    never = threading.Event()
    while not never.wait(LOOK_SECONDS):
        failed = started.failed_part()
        if failed is not None:
            raise DependencyDown(f"{failed} has ended, and the sandbox with it.")


def _run_inside(started: "Sandbox", command: Sequence[str]) -> int:
    """The exit code of a program that sees the sandbox and nothing of the user's own settings."""
    from pferdewert_ops.sandbox.walls import sandbox_environment

    own_programs = str(Path(sys.executable).parent)
    path = os.pathsep.join([own_programs, os.environ.get("PATH", os.defpath)])
    process = subprocess.Popen(command, env=sandbox_environment({**started.variables(), "PATH": path}))
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            # The terminal has told the program too; what Ctrl-C means is its own affair.
            continue
        except Terminated:
            process.terminate()
            _await_end(process)
            raise


def _await_end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _exit_as(exit_code: int) -> None:
    """End as the program did; one that a signal ended counts from 128, as in a shell."""
    raise click.exceptions.Exit(exit_code if exit_code >= 0 else 128 - exit_code)
