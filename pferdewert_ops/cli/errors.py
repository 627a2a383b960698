"""Every error that an operator can cause or meet, as one sentence and an exit code."""
# ruff: noqa: N818 - each is read at a raise as what happened

import sys
from enum import IntEnum
from typing import IO, TYPE_CHECKING, Any, assert_never

import click

if TYPE_CHECKING:
    from pferdewert_ops.adapters.mongo.diagnosis import Diagnosis
    from pferdewert_ops.domain.failures import OperationFailed


class ExitCode(IntEnum):
    """What a script can rely on. From 64 up the numbers are those of sysexits.h, 128 and more is a signal."""

    CLEAN = 0
    BUG = 1
    USAGE = 2
    FINDINGS = 3
    NOT_FOUND = 4
    UNCONFIRMED = 5
    GUARD_REFUSED = 6
    PARTIAL = 7
    DEPENDENCY_DOWN = 69
    OUTPUT_LOST = 74
    LOCK_HELD = 75
    CREDENTIALS = 77
    CONFIG = 78
    INTERRUPTED = 130
    PIPE_CLOSED = 141
    TERMINATED = 143


class CliError(click.ClickException):
    """Ends the command with one sentence on stderr (none where it is empty) and an exit code.

    A line break in the sentence separates several findings; each is printed as a line of its own.
    """

    def __init__(self, sentence: str, exit_code: ExitCode | None = None) -> None:
        super().__init__(sentence)
        if exit_code is not None:
            # Click reads it from the instance.
            self.exit_code = int(exit_code)  # type: ignore[misc]

    def show(self, file: IO[Any] | None = None) -> None:
        for line in self.message.splitlines():
            complain(line, file)


class Findings(CliError):
    """The check ran and found something."""

    exit_code = ExitCode.FINDINGS


class NotFound(CliError):
    """No such order, job, mail: the id is well formed and nothing has it."""

    exit_code = ExitCode.NOT_FOUND


class Unconfirmed(CliError):
    """A question was answered with no, or could not be asked."""

    exit_code = ExitCode.UNCONFIRMED


class GuardRefused(CliError):
    """A guard stopped what would have been unusual; nothing was changed."""

    exit_code = ExitCode.GUARD_REFUSED


class Partial(CliError):
    """Some of it was done, some was not; the sentence says how much."""

    exit_code = ExitCode.PARTIAL


class DependencyDown(CliError):
    """Something that this needs cannot be reached or does not answer."""

    exit_code = ExitCode.DEPENDENCY_DOWN


class LockHeld(CliError):
    """Another process is doing this already."""

    exit_code = ExitCode.LOCK_HELD


class CredentialsRefused(CliError):
    """A key, a user or a password was refused, or lacks a right."""

    exit_code = ExitCode.CREDENTIALS


class ConfigProblem(CliError):
    """The configuration, or the server that it points to, cannot be used like this."""

    exit_code = ExitCode.CONFIG


class Terminated(BaseException):
    """SIGTERM, raised where the command stands, so that what it opened is closed."""


def complain(sentence: str, file: IO[Any] | None = None) -> None:
    """One line on stderr, in the program's name, without secrets and without characters that steer a terminal."""
    from pferdewert_ops.redaction import printable, without_secrets

    click.echo(f"pwops: {printable(without_secrets(sentence))}", file=file, err=True)


def translate(error: Exception) -> CliError | None:
    """The sentence and the code for an error that may be met in operation; None for what is a bug.

    Looks only at packages that are imported already: an error cannot come from one that is not.
    """
    if "pferdewert_ops.config.problems" in sys.modules:
        from pferdewert_ops.config.problems import ConfigError

        if isinstance(error, ConfigError):
            return ConfigProblem(str(error))
    if "pymongo.errors" in sys.modules:
        from pferdewert_ops.adapters.mongo.diagnosis import diagnose

        diagnosis = diagnose(error)
        if diagnosis is not None:
            return _mongodb(diagnosis)
    if "pferdewert_ops.domain.failures" in sys.modules:
        from pferdewert_ops.domain.failures import OperationFailed

        if isinstance(error, OperationFailed):
            return _service(error)
    return _missing_package(error) if isinstance(error, ModuleNotFoundError) else None


def _mongodb(diagnosis: "Diagnosis") -> CliError:
    from pferdewert_ops.adapters.mongo.diagnosis import Trouble

    match diagnosis.trouble:
        case Trouble.DOWN:
            return DependencyDown(diagnosis.sentence)
        case Trouble.REFUSED:
            return CredentialsRefused(diagnosis.sentence)
        case Trouble.MISCONFIGURED:
            return ConfigProblem(diagnosis.sentence)
        case _:
            assert_never(diagnosis.trouble)


def _service(error: "OperationFailed") -> CliError | None:
    from pferdewert_ops.domain.failures import ErrorClass

    if error.error_class is ErrorClass.AUTH:
        return CredentialsRefused(f"A key was refused ({error}): check the credentials with pwops config show.")
    outside = {
        ErrorClass.AI_TIMEOUT,
        ErrorClass.AI_ERROR,
        ErrorClass.NETWORK_ERROR,
        ErrorClass.OVERLOADED,
        ErrorClass.RATE_LIMITED,
        ErrorClass.SPEND_LIMIT,
    }
    return DependencyDown(f"A service did not do its part ({error}).") if error.error_class in outside else None


# What the extra `sandbox` brings; everything else is always installed.
_SANDBOX_PACKAGES = {"aiosmtpd", "fiftyone", "starlette", "uvicorn"}


def _missing_package(error: ModuleNotFoundError) -> CliError | None:
    package = (error.name or "").partition(".")[0]
    if package not in _SANDBOX_PACKAGES:
        return None
    return ConfigProblem(f"The sandbox needs {package}: run pip install 'pferdewert-ops[sandbox]'.")
