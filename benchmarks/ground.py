"""Where benchmarks run: a fresh local MongoDB, children that end with us, and the facts of the machine."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.database import Database

from pferdewert_ops.adapters.mongo import connection
from pferdewert_ops.sandbox.mongodb import MongoSandbox
from pferdewert_ops.sandbox.walls import require_loopback, sandbox_environment

Document = dict[str, Any]

ROOT = Path(__file__).resolve().parent.parent
CHILD_LIMIT = 180.0  # seconds: several times what the longest child takes on a busy machine
CONNECTIONS = 200


@dataclass(frozen=True, slots=True)
class Ground:
    """One server that no other benchmark has used: what one leaves in the cache would burden the next."""

    mongo: MongoSandbox
    client: MongoClient[Document]

    @property
    def uri(self) -> str:
        return self.mongo.uri

    def fresh(self) -> Database[Document]:
        """An empty database with the write concern of production."""
        return connection.database_of(self.client, self.mongo.fresh_database())

    def server_cpu(self) -> float:
        """Seconds of processor time that the server has used so far."""
        fields = Path(f"/proc/{self.mongo.members[0].pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # utime and stime: man 5 proc


@contextmanager
def fresh_ground() -> Iterator[Ground]:
    with MongoSandbox.start() as mongo:
        require_loopback(mongo.uri)
        with connection.open_client(mongo.uri, name="pwops-benchmarks", most=CONNECTIONS) as client:
            yield Ground(mongo, client)


def child_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """For children that are benchmarks themselves: nothing of the user's, and where this package lies."""
    return sandbox_environment({"PYTHONPATH": str(ROOT), **(extra or {})})


def child_command(module: str, given: Mapping[str, Any]) -> list[str]:
    return [sys.executable, "-m", f"benchmarks.{module}", json.dumps(given)]


def in_child(module: str, given: Mapping[str, Any]) -> Any:
    """Run `benchmarks.<module>` with `given` in a process of its own; returns what it printed, read as JSON."""
    done = subprocess.run(
        child_command(module, given),
        env=child_environment(),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        timeout=CHILD_LIMIT,
        check=True,
    )
    return json.loads(done.stdout)


def machine_facts(mongod_version: str) -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "mongod": mongod_version,
    }


def load() -> float:
    """How many processes wanted to run during the last minute, on average."""
    return round(os.getloadavg()[0], 2)
