"""Threads that end with the process: as many as are needed, at most a given number, kept for the next task."""

import queue
import threading
from collections.abc import Callable


class WorkerThreads:
    """Runs tasks on daemon threads. A task handles its own errors; one that raises ends up in `on_crash`."""

    def __init__(self, most: int, name: str, on_crash: Callable[[BaseException], None]) -> None:
        self._most = most
        self._name = name
        self._on_crash = on_crash
        self._tasks: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._open = 0

    def run(self, task: Callable[[], None]) -> None:
        with self._lock:
            self._open += 1
            grow = self._open > self._threads and self._threads < self._most
            if grow:
                self._threads += 1
        self._tasks.put(task)
        if grow:
            self._grow()

    def _grow(self) -> None:
        try:
            threading.Thread(target=self._serve, name=f"{self._name}-{self._threads}", daemon=True).start()
        except RuntimeError:  # the system has no thread left: those that run serve the task, or else who asked for it
            with self._lock:
                self._threads -= 1
                nobody = self._threads == 0
            if nobody:
                self._serve_one()

    def _serve(self) -> None:
        while True:
            self._serve_one()

    def _serve_one(self) -> None:
        task = self._tasks.get()
        try:
            task()
        except BaseException as error:  # noqa: BLE001 - a thread ends here; the crash is told, the next task runs
            self._on_crash(error)
        finally:
            with self._lock:
                self._open -= 1
