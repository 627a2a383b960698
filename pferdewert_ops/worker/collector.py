"""The garbage collector kept away from what lives as long as the worker: its modules and its parts."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def collector_at_rest() -> Iterator[Callable[[], None]]:
    """Collect nothing until the yielded function is called, and never look at what was made before that.

    The model's SDK alone is 170,000 objects: looking at them over and over is a fifth of the time that its import
    takes, and once in a while all threads would stand still for 0.1 s.
    """

    def built() -> None:
        gc.freeze()
        gc.enable()

    gc.disable()
    try:
        yield built
    finally:
        gc.unfreeze()
        gc.enable()
