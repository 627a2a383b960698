"""What the first second of an operator is spent on: the help and the completion import next to nothing.

The list of modules is the gate, not a stop-watch: a stop-watch measures the machine.
"""

import json
import os
import subprocess
import sys

import pytest

PROBE = """
import atexit, json, sys
atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))
from pferdewert_ops.cli.main import main
main()
"""

OURS = {
    "pferdewert_ops",
    "pferdewert_ops.cli",
    "pferdewert_ops.cli.errors",
    "pferdewert_ops.cli.lazy_group",
    "pferdewert_ops.cli.main",
}
"""Every module of ours that the help may import. Whoever adds one says here why the help needs it."""

THIRD_PARTY = {"click"}

HEAVY = {
    "anthropic",
    "apscheduler",
    "bson",
    "httpx2",
    "pybreaker",
    "pydantic",
    "pydantic_settings",
    "pymongo",
    "rich",
    "stripe",
    "structlog",
    "tenacity",
}


def imported_by(*arguments: str, **variables: str) -> set[str]:
    ended = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return set(json.loads(ended.stderr.splitlines()[-1]))


def imported_by_nothing() -> set[str]:
    """What the interpreter itself brings, site-packages' own start-up files included."""
    program = "import atexit, json, sys; print(json.dumps(sorted(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return set(json.loads(ended.stdout))


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["--version"], []])
def test_the_help_imports_a_list_that_is_written_down(arguments: list[str]) -> None:
    modules = imported_by(*arguments) - imported_by_nothing()
    assert {module for module in modules if module.partition(".")[0] == "pferdewert_ops"} <= OURS
    foreign = {module.partition(".")[0] for module in modules} - set(sys.stdlib_module_names) - {"pferdewert_ops"}
    assert foreign <= THIRD_PARTY
    assert not HEAVY & {module.partition(".")[0] for module in modules}


def test_the_completion_of_commands_imports_no_more() -> None:
    modules = imported_by(_PWOPS_COMPLETE="bash_complete", COMP_WORDS="pwops ", COMP_CWORD="1")
    assert "click.shell_completion" in modules
    assert {module for module in modules if module.partition(".")[0] == "pferdewert_ops"} <= OURS
    assert not HEAVY & {module.partition(".")[0] for module in modules}


def test_a_mistyped_command_imports_none_of_the_others() -> None:
    modules = imported_by("stats")
    assert not HEAVY & {module.partition(".")[0] for module in modules}


def test_a_command_that_reads_the_settings_imports_neither_driver_nor_model() -> None:
    modules = {module.partition(".")[0] for module in imported_by("config", "show")}
    assert "pydantic_settings" in modules
    assert not modules & {"anthropic", "pymongo", "structlog", "rich", "stripe"}


def test_durations_can_be_read_without_the_settings() -> None:
    program = "import json, sys, pferdewert_ops.config; print(json.dumps(sorted(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert not HEAVY & {module.partition(".")[0] for module in json.loads(ended.stdout)}
