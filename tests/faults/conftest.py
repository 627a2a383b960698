"""Worker processes for the tests of this folder."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from pferdewert_ops.worker import hints
from tests import harness
from tests.faults.processes import Nursery


@pytest.fixture(autouse=True)
def leases_outlive_a_busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts are counted here: one that a worker lost because it was not scheduled in time would be one too many."""
    monkeypatch.setitem(harness.FAST, "lease", timedelta(seconds=30))


@pytest.fixture(autouse=True)
def workers_end_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that stops waits for its change stream's last look, which is half a second long elsewhere."""
    monkeypatch.setattr(hints, "AWAIT_MS", 100)


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    with Nursery(tmp_path_factory.mktemp("workers")) as started:
        yield started
