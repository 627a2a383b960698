"""This process and this host: who we are, whether another worker on this host is dead, and the time."""

import errno
import os
import socket
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Where a worker runs. `machine` and `boot` are empty where the host does not say."""

    host: str
    machine: str
    boot: str
    pid_namespace: str
    pid: int
    started: str

    @property
    def holder(self) -> str:
        """The name under which leases are held: unique, and readable on a screen."""
        return f"{self.host}/{self.pid}/{self.started}"


def own_identity(host_override: str | None = None) -> Identity:
    """This process. `host_override` makes it pass for one on another host, whose processes cannot be looked at."""
    started = uuid.uuid4().hex[:8]
    if host_override is not None:
        return Identity(
            host=host_override,
            machine=host_override,
            boot=host_override,
            pid_namespace="",
            pid=os.getpid(),
            started=started,
        )
    return Identity(
        host=socket.gethostname(),
        machine=_text("/etc/machine-id"),
        boot=_text("/proc/sys/kernel/random/boot_id"),
        pid_namespace=_pid_namespace(),
        pid=os.getpid(),
        started=started,
    )


def is_dead(other: Identity, own: Identity) -> bool:
    """Whether that worker certainly lives no more; False wherever it cannot be known, and its lease has to run out.

    Two cases are certain: the machine was booted anew since; or it is this boot, this pid namespace, and no such
    process.
    """
    if not other.boot or not own.boot:
        return False
    if other.boot != own.boot:
        return bool(other.machine) and other.machine == own.machine
    if not other.pid_namespace or other.pid_namespace != own.pid_namespace:
        return False
    try:
        os.kill(other.pid, 0)
    except OSError as error:
        return error.errno == errno.ESRCH
    return False


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _pid_namespace() -> str:
    try:
        return Path("/proc/self/ns/pid").readlink().name
    except OSError:
        return ""
