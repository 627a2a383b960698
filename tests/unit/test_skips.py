"""In CI a test that is skipped without a listed reason fails the run."""

import subprocess
import sys
from pathlib import Path

import pytest

from pferdewert_ops.sandbox.walls import sandbox_environment

ROOT = Path(__file__).parents[2]
SKIPPING = """
import pytest

def test_that_runs():
    assert True

def test_that_does_not():
    pytest.skip("not today")
"""


@pytest.mark.parametrize(("ci", "expected"), [("true", 1), ("", 0)])
def test_an_unlisted_skip_fails_in_ci_only(tmp_path: Path, ci: str, expected: int) -> None:
    (tmp_path / "test_skipping.py").write_text(SKIPPING)

    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "-c", "/dev/null", str(tmp_path)],
        cwd=ROOT,
        env=sandbox_environment({"CI": ci}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == expected, ended.stdout
    assert ("skipped in CI" in ended.stdout) == (ci == "true")
