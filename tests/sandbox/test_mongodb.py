"""The embedded MongoDB: real processes, real elections, nothing left behind."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient, WriteConcern
from pymongo.errors import OperationFailure

from pferdewert_ops.sandbox import mongo_member
from pferdewert_ops.sandbox.mongodb import MongoMember, MongoSandbox, SandboxMongoError

from .conftest import Owner, runs

StartOwner = Callable[[str], Owner]
Client = MongoClient[dict[str, Any]]

OWNER = """
import json, sys
from pathlib import Path
from pferdewert_ops.sandbox.mongodb import MongoSandbox
sandbox = MongoSandbox.start(members=MEMBERS, folder=Path(sys.argv[1]) / "mongodb")
pids = [pid for member in sandbox.members for pid in (member.pid, member.guardian_pid)]
(folder,) = (Path(sys.argv[1]) / "mongodb").iterdir()
print(json.dumps({"pids": pids, "folder": str(folder)}), flush=True)
sys.stdin.readline()
"""


@pytest.fixture(scope="module")
def one() -> Iterator[MongoSandbox]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANTHROPIC_API_KEY", "sk-ant-live-canary")
        sandbox = MongoSandbox.start()
    with sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def three() -> Iterator[MongoSandbox]:
    with MongoSandbox.start(members=3) as sandbox:
        yield sandbox


@pytest.fixture
def client(one: MongoSandbox) -> Iterator[Client]:
    with Client(one.uri, serverSelectionTimeoutMS=20_000) as client:
        yield client


def insert(sandbox: MongoSandbox, document: dict[str, Any]) -> None:
    """A majority write, through an election if need be."""
    with Client(sandbox.uri, serverSelectionTimeoutMS=30_000, socketTimeoutMS=5_000) as client:
        kept = client["kept"].get_collection("kept", write_concern=WriteConcern("majority", wtimeout=30_000))
        kept.insert_one(document)


def present(sandbox: MongoSandbox, document: dict[str, Any]) -> bool:
    with Client(sandbox.uri, serverSelectionTimeoutMS=30_000, socketTimeoutMS=5_000) as client:
        return client["kept"]["kept"].find_one(document) is not None


def test_kill_9_of_the_owner_leaves_nothing(start_owner: StartOwner) -> None:
    owner = start_owner(OWNER.replace("MEMBERS", "3"))
    assert all(map(runs, owner.pids))
    owner.process.kill()
    assert owner.left_nothing()


def test_ctrl_c_leaves_nothing(start_owner: StartOwner) -> None:
    owner = start_owner(OWNER.replace("MEMBERS", "1"))
    os.killpg(owner.process.pid, signal.SIGINT)
    assert owner.left_nothing()


def test_kill_9_of_the_guardian_ends_the_member_and_stop_removes_the_folder(
    tmp_path: Path, ended: Callable[[int], bool]
) -> None:
    with MongoSandbox.start(folder=tmp_path) as sandbox:
        (member,) = sandbox.members
        os.kill(member.guardian_pid, signal.SIGKILL)
        assert ended(member.pid)
        assert not member.alive()
    assert list(tmp_path.iterdir()) == []


def test_two_sandboxes_side_by_side_know_nothing_of_each_other(one: MongoSandbox, tmp_path: Path) -> None:
    with MongoSandbox.start(folder=tmp_path) as other:
        insert(other, {"_id": "of the other"})
        assert not present(one, {"_id": "of the other"})
        assert other.marker != one.marker
        assert other.uri != one.uri
        pids = [other.members[0].pid, other.members[0].guardian_pid]
        other.stop()
    assert not any(map(runs, pids))
    assert list(tmp_path.iterdir()) == []
    assert one.primary().alive()


def test_the_marker_is_written(one: MongoSandbox, client: Client) -> None:
    assert client["pwops_sandbox"]["marker"].find_one({}) == {"_id": "sandbox", "nonce": one.marker}
    assert len(one.marker) == 32


def test_fresh_databases_are_new_and_empty(one: MongoSandbox, client: Client) -> None:
    names = {one.fresh_database() for _ in range(50)}
    assert len(names) == 50
    assert not names & set(client.list_database_names())


def test_commands_can_be_made_to_fail(client: Client) -> None:
    client.admin.command(
        "configureFailPoint",
        "failCommand",
        mode={"times": 1},
        data={"errorCode": 2, "failCommands": ["find"], "namespace": "kept.nothing"},
    )
    with pytest.raises(OperationFailure):
        client["kept"]["nothing"].find_one({})
    assert client["kept"]["nothing"].find_one({}) is None


def test_transactions_and_change_streams_work_on_one_member(client: Client) -> None:
    collection = client["kept"]["watched"]
    collection.insert_one({"_id": 0})
    with collection.watch(max_await_time_ms=5_000) as stream:
        with client.start_session() as session, session.start_transaction():
            collection.insert_one({"_id": 1}, session=session)
        assert stream.next()["documentKey"] == {"_id": 1}


def test_a_majority_write_survives_kill_9_of_the_only_member(one: MongoSandbox) -> None:
    (member,) = one.members
    before = member.pid
    insert(one, {"_id": "before the power cut"})
    member.kill()
    assert not runs(before)
    member.restart()
    assert member.pid != before
    assert present(one, {"_id": "before the power cut"})


def test_a_single_member_takes_over_from_itself(one: MongoSandbox) -> None:
    assert one.step_down() is one.members[0]
    insert(one, {"_id": "after the step-down"})


def test_mongod_gets_nothing_of_the_users_environment(one: MongoSandbox) -> None:
    environment = Path(f"/proc/{one.members[0].pid}/environ").read_bytes()
    assert b"PATH=" in environment
    assert b"canary" not in environment


@pytest.mark.parametrize("occupant", ["listener", "mongod"])
def test_a_port_that_is_taken_meanwhile_is_given_up(
    one: MongoSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, occupant: str
) -> None:
    really_free = mongo_member._free_port
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = one.members[0].port if occupant == "mongod" else listener.getsockname()[1]
        ports = iter([taken])
        monkeypatch.setattr(mongo_member, "_free_port", lambda: next(ports, None) or really_free())
        with MongoSandbox.start(folder=tmp_path) as sandbox:
            assert sandbox.members[0].port != taken
            insert(sandbox, {"_id": 1})


def test_three_members_elect_and_agree(three: MongoSandbox) -> None:
    hellos = []
    for member in three.members:
        with member.client() as client:
            hellos.append(client.admin.command("hello"))
    assert sorted((hello["isWritablePrimary"], hello["secondary"]) for hello in hellos) == [
        (False, True),
        (False, True),
        (True, False),
    ]
    assert len({hello["setName"] for hello in hellos}) == 1
    assert {hello["me"] for hello in hellos} == {member.address for member in three.members}


def test_step_down_gives_another_primary(three: MongoSandbox) -> None:
    before = three.primary()
    insert(three, {"_id": "before the step-down"})
    after = three.step_down()
    assert after is not before
    assert three.primary() is after
    assert present(three, {"_id": "before the step-down"})


def kill_and_restart(member: MongoMember) -> Callable[[], None]:
    member.kill()
    return member.restart


def freeze_and_thaw(member: MongoMember) -> Callable[[], None]:
    member.freeze()
    return member.thaw


@pytest.mark.parametrize("harm", [kill_and_restart, freeze_and_thaw])
def test_a_lost_primary_is_replaced_and_comes_back(
    three: MongoSandbox, harm: Callable[[MongoMember], Callable[[], None]]
) -> None:
    lost = three.primary()
    insert(three, {"_id": f"before {harm.__name__}"})
    heal = harm(lost)
    after = three.primary()
    assert after is not lost
    insert(three, {"_id": f"without a member: {harm.__name__}"})
    heal()
    three.settle()
    assert lost.alive()
    with lost.client() as client:
        found = client["kept"]["kept"].find_one({"_id": f"without a member: {harm.__name__}"})
    assert found is not None
    assert present(three, {"_id": f"before {harm.__name__}"})
    assert present(three, {"_id": f"without a member: {harm.__name__}"})


def test_stop_may_be_repeated_and_leaves_nothing_of_a_half_dead_set(tmp_path: Path) -> None:
    sandbox = MongoSandbox.start(members=3, folder=tmp_path)
    pids = [pid for member in sandbox.members for pid in (member.pid, member.guardian_pid)]
    sandbox.members[0].kill()
    sandbox.members[2].freeze()
    sandbox.stop()
    sandbox.stop()
    assert not any(map(runs, pids))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("members", [0, 2, 4])
def test_other_sizes_are_refused(members: int) -> None:
    with pytest.raises(ValueError, match="1 or 3"):
        MongoSandbox.start(members=members)


def test_a_mongod_that_ends_at_once_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    broken = tmp_path / "mongod"
    broken.write_text("#!/bin/sh\necho no such option >&2\nexit 2\n")
    broken.chmod(0o700)
    place = tmp_path / "place"
    with pytest.raises(SandboxMongoError, match=r"code 2.*no such option"):
        MongoSandbox.start(mongod=broken, folder=place)
    assert list(place.iterdir()) == []
