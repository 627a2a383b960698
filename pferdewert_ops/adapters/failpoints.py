"""Failpoints: named places at which a test lets this process die, freeze or fail. Armed nowhere but in a sandbox.

Two things have to agree: the setting `failpoint`, and a database that carries the very marker which the sandbox wrote
when it started. Production may be on loopback too, so an address proves nothing.
"""

import os
import signal
import threading
from typing import Any

from pymongo import MongoClient

SANDBOX_DATABASE = "pwops_sandbox"


class Unarmed:
    def reach(self, name: str) -> None:
        """Nothing happens."""


class Armed:
    """`name:action[:count]`: at the count-th time that this place is reached, `kill`, `freeze` or `raise`."""

    def __init__(self, spec: str) -> None:
        name, action, *count = spec.split(":")
        self._name = name
        self._action = action
        self._left = int(count[0]) if count else 1
        self._lock = threading.Lock()

    def reach(self, name: str) -> None:
        """Die, freeze or raise here, if this is the place and the time."""
        if name != self._name:
            return
        with self._lock:
            self._left -= 1
            if self._left != 0:
                return
        if self._action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self._action == "freeze":
            # To this very thread. Sent to the process, another thread may take it, and this one runs on till then.
            signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
        else:
            raise RuntimeError(f"failpoint {name}")


class NotASandbox(Exception):  # noqa: N818 - it says what the database is not
    """A failpoint was asked for, and the database is not the sandbox that was named."""


def failpoints(spec: str | None, marker: str | None, client: MongoClient[dict[str, Any]]) -> Unarmed | Armed:
    """The failpoints of this process. Raises NotASandbox where one is asked for outside of the sandbox."""
    if spec is None:
        return Unarmed()
    found = client[SANDBOX_DATABASE]["marker"].find_one({"_id": "sandbox"})
    if not marker or found is None or found.get("nonce") != marker:
        raise NotASandbox("a failpoint is set, but this database does not carry the sandbox's marker; nothing was done")
    return Armed(spec)
