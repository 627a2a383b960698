"""In CI a test that is skipped without a listed reason fails the run."""

import subprocess
import sys
from pathlib import Path

from pferdewert_ops.sandbox.walls import sandbox_environment

ROOT = Path(__file__).parents[2]
SKIPPING = """
import pytest

def test_that_runs():
    assert True

def test_that_does_not():
    pytest.skip("not today")
"""


def test_an_unlisted_skip_fails_in_ci(tmp_path: Path) -> None:
    (tmp_path / "test_skipping.py").write_text(SKIPPING)

    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "-c", "/dev/null", str(tmp_path)],
        cwd=ROOT,
        env=sandbox_environment({"CI": "true"}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 1, ended.stdout
    assert "skipped in CI" in ended.stdout
    assert "1 failed, 1 passed" in ended.stdout
