"""What lives as long as the worker is kept from the garbage collector's eyes, and only that."""

import gc
import weakref

import pytest

from pferdewert_ops.worker.collector import collector_at_rest


class Knot:
    """An object that only the collector can free."""

    def __init__(self) -> None:
        self.itself = self


def knot() -> weakref.ref[Knot]:
    return weakref.ref(Knot())


def test_what_was_built_is_not_looked_at_and_what_comes_later_is() -> None:
    with collector_at_rest() as built:
        assert not gc.isenabled()
        kept = knot()
        built()
        later = knot()
        gc.collect()
        assert gc.isenabled()
        assert kept() is not None
        assert later() is None
    gc.collect()
    assert kept() is None


def test_a_start_that_fails_leaves_the_collector_at_work() -> None:
    with pytest.raises(ValueError, match="unusable"), collector_at_rest():
        raise ValueError("unusable")
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
