"""For the tests of this folder, which count attempts."""

from datetime import timedelta

import pytest

from tests import harness


@pytest.fixture(autouse=True)
def leases_outlive_a_busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """An attempt that a worker lost because it was not scheduled in time would be one too many."""
    monkeypatch.setitem(harness.FAST, "lease", timedelta(seconds=30))
