"""The embedded MongoDB: a real replica set of one or three members, on loopback, in a folder that goes with it."""

from __future__ import annotations

import secrets
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

from pymongo import MongoClient, WriteConcern
from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError

from pferdewert_ops.sandbox.guardian_process import remove_folder
from pferdewert_ops.sandbox.mongo_member import PORT_ATTEMPTS, MongoMember, PortTakenError
from pferdewert_ops.sandbox.mongod_binary import MongodMissing, SandboxMongoError, find_mongod

__all__ = ["MongoMember", "MongoSandbox", "MongodMissing", "SandboxMongoError", "find_mongod"]

MARKER_DATABASE = "pwops_sandbox"
MARKER_COLLECTION = "marker"
MARKER_ID = "sandbox"

FAST_ELECTIONS = {"electionTimeoutMillis": 1_000, "heartbeatIntervalMillis": 200}
"""A killed primary is replaced in 1.1 to 1.6 s; with MongoDB's defaults of 10 s and 2 s it takes 10 to 12 s."""

STATE_LIMIT = 60.0
"""Seconds for the set to reach a state: an election takes up to 12 s by default, more on a machine under load."""

POLL_INTERVAL = 0.02

Hello = dict[str, Any]


class MongoSandbox:
    """A replica set that ends with its owner, however that ends, and leaves neither a process nor a file behind."""

    def __init__(self, *, root: Path, binary: Path, members: int, quick_failover: bool) -> None:
        self.marker = secrets.token_hex(16)
        """A nonce that this sandbox wrote at its start: it tells the sandbox from a live database on loopback."""
        self._root = root
        # A name of its own, so that no member of another sandbox could ever be taken for one of this set.
        self._set_name = f"pwops-{secrets.token_hex(4)}"
        self._stopped = False
        self.members = tuple(
            MongoMember(binary=binary, root=root, number=i, set_name=self._set_name, quick_failover=quick_failover)
            for i in range(members)
        )

    @classmethod
    def start(
        cls,
        *,
        members: int = 1,
        folder: Path | None = None,
        fast_elections: bool = True,
        mongod: Path | None = None,
    ) -> Self:
        """Start a set of 1 or 3 members and return when it takes majority writes.

        The data lies in a fresh folder, made inside `folder` (default: the system's place for temporary files), that
        is removed with the sandbox. Raises `MongodMissing`, or `SandboxMongoError` if the set does not come up.
        """
        if members not in {1, 3}:
            raise ValueError(f"a replica set of {members} members is not offered: 1 or 3")
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        root = Path(tempfile.mkdtemp(prefix="pwops-mongodb-", dir=folder)).resolve()
        try:
            sandbox = cls(
                root=root,
                binary=find_mongod(mongod, copies=root),
                members=members,
                quick_failover=fast_elections and members > 1,
            )
        except BaseException:
            remove_folder(root)
            raise
        try:
            sandbox._boot(FAST_ELECTIONS if fast_elections else {})
        except BaseException:
            sandbox.stop()
            raise
        return sandbox

    @property
    def uri(self) -> str:
        hosts = ",".join(member.address for member in self.members)
        return f"mongodb://{hosts}/?replicaSet={self._set_name}"

    def fresh_database(self) -> str:
        """A database name that nobody has used yet."""
        return f"pwops_{secrets.token_hex(6)}"

    def primary(self) -> MongoMember:
        """The primary, awaited if there is none at the moment; members that are killed or frozen do not count."""
        return self._await_primary(lambda _: True)

    def step_down(self) -> MongoMember:
        """Make the primary step down; returns the next one (of a single member: itself, a second later)."""
        before = self.primary()
        alone = len(self.members) == 1
        seconds, catch_up = (1, 0) if alone else (10, 5)
        with before.client(patience=STATE_LIMIT) as client, suppress(AutoReconnect):  # some servers hang up then
            client.admin.command("replSetStepDown", seconds, secondaryCatchUpPeriodSecs=catch_up, force=alone)
        after = self._await_primary(lambda member: alone or member is not before)
        if not alone:
            with before.client() as client:  # electable again at once: the next fault may need it
                client.admin.command("replSetFreeze", 0)
        return after

    def settle(self) -> None:
        """Wait until every member that is neither killed nor frozen has all that was written so far."""
        self._await_state(_all_serve)
        self._write("settled", {}, members=sum(member.answers_now() for member in self.members))

    def stop(self) -> None:
        """End every member and remove the folder. Doing it again does nothing."""
        if self._stopped:
            return
        self._stopped = True
        *others, last = self.members
        for member in others:
            member.stop(keep_folder=True)
        last.stop(keep_folder=False)  # its guardian removes the folder even if this process is killed here
        remove_folder(self._root)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _boot(self, settings: dict[str, int]) -> None:
        for member in self.members:
            member.launch_on_free_port()
        for member in self.members:
            _await_on_some_port(member)
        with self.members[0].client() as client:
            client.admin.command("replSetInitiate", self._configuration(settings))
        self._elect_first()
        self._await_state(_all_serve)
        self._write(MARKER_COLLECTION, {"_id": MARKER_ID, "nonce": self.marker}, members=len(self.members))

    def _configuration(self, settings: dict[str, int]) -> dict[str, Any]:
        hosts = [{"_id": member.number, "host": member.address} for member in self.members]
        return {"_id": self._set_name, "members": hosts, "settings": settings}

    def _elect_first(self) -> None:
        """Have a primary at once: left alone, members of a new set wait out a whole election timeout."""

        def elected(hellos: dict[MongoMember, Hello]) -> bool:
            if not any(hello["isWritablePrimary"] for hello in hellos.values()):
                with self.members[0].client() as client, suppress(OperationFailure):  # others know of no set yet
                    client.admin.command("replSetStepUp")
            return any(hello["isWritablePrimary"] for hello in hellos.values())

        self._await_state(elected)

    def _write(self, collection: str, document: dict[str, Any], *, members: int) -> None:
        limit = int(STATE_LIMIT * 1_000)
        with MongoClient[dict[str, Any]](self.uri, serverSelectionTimeoutMS=limit) as client:
            concern = WriteConcern(members, wtimeout=limit)
            client[MARKER_DATABASE].get_collection(collection, write_concern=concern).insert_one(document)

    def _await_primary(self, wanted: Callable[[MongoMember], bool]) -> MongoMember:
        found: list[MongoMember] = []

        def elected(hellos: dict[MongoMember, Hello]) -> bool:
            primaries = [member for member, hello in hellos.items() if hello["isWritablePrimary"]]
            # One that was just thawed still takes itself for the primary: the later election counts.
            newest = max(primaries, key=lambda member: hellos[member]["electionId"], default=None)
            if newest is not None and wanted(newest):
                found.append(newest)
            return bool(found)

        self._await_state(elected)
        return found[0]

    def _await_state(self, reached: Callable[[dict[MongoMember, Hello]], bool]) -> None:
        deadline = time.monotonic() + STATE_LIMIT
        with ExitStack() as stack:
            asked = [member for member in self.members if member.answers_now()]
            clients = {member: stack.enter_context(member.client()) for member in asked}
            while time.monotonic() < deadline:
                hellos: dict[MongoMember, Hello] = {}
                for member, client in clients.items():
                    with suppress(PyMongoError):  # it ended or froze meanwhile: it has no say
                        hellos[member] = client.admin.command("hello")
                if hellos and reached(hellos):
                    return
                time.sleep(POLL_INTERVAL)
        raise SandboxMongoError(f"The replica set did not reach the awaited state within {STATE_LIMIT:.0f} s.")


def _all_serve(hellos: dict[MongoMember, Hello]) -> bool:
    return all(hello["isWritablePrimary"] or hello["secondary"] for hello in hellos.values())


def _await_on_some_port(member: MongoMember) -> None:
    for _ in range(PORT_ATTEMPTS):
        try:
            return member.await_answers()
        except PortTakenError:
            member.launch_on_free_port()
    return member.await_answers()
