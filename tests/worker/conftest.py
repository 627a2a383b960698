"""For the tests of this folder, which count attempts."""

from datetime import timedelta

import pytest

from pferdewert_ops.worker import hints
from tests import harness


@pytest.fixture(autouse=True)
def leases_outlive_a_busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """An attempt that a worker lost because it was not scheduled in time would be one too many."""
    monkeypatch.setitem(harness.FAST, "lease", timedelta(seconds=30))


@pytest.fixture(autouse=True)
def workers_end_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that stops waits for its change stream's last look, which is half a second long elsewhere."""
    monkeypatch.setattr(hints, "AWAIT_MS", 100)
