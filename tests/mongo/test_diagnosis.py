"""What the driver says in trouble becomes one sentence that names the place and never the password."""

import socket

import pymongo
import pytest
from pymongo import errors

from pferdewert_ops.adapters.mongo.diagnosis import Trouble, diagnose


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.mark.parametrize("options", ["", "?replicaSet=rs0"])
def test_a_server_that_does_not_answer_is_named_by_its_address_alone(closed_port: int, options: str) -> None:
    uri = f"mongodb://shop:Hufeisen-4711@127.0.0.1:{closed_port}/{options}"
    with (
        pymongo.MongoClient[dict[str, object]](uri, serverSelectionTimeoutMS=100) as client,
        pytest.raises(errors.ServerSelectionTimeoutError) as caught,
    ):
        client.admin.command("ping")
    diagnosis = diagnose(caught.value)
    assert diagnosis is not None
    assert diagnosis.trouble is Trouble.DOWN
    assert diagnosis.sentence == (
        f"MongoDB at 127.0.0.1:{closed_port} cannot be reached: Connection refused. "
        "Check that it runs, and host and port in PWOPS_MONGODB_URI."
    )


@pytest.mark.parametrize(
    ("error", "trouble", "words"),
    [
        (errors.OperationFailure("Authentication failed.", 18), Trouble.REFUSED, "the user or the password"),
        (errors.OperationFailure("bad auth", 8000), Trouble.REFUSED, "the user or the password"),
        (errors.OperationFailure("not authorized on x", 13), Trouble.REFUSED, "readWrite"),
        (errors.OperationFailure("only supported on replica sets", 40573), Trouble.MISCONFIGURED, "rs.initiate()"),
        (errors.OperationFailure("not running with --replSet", 76), Trouble.MISCONFIGURED, "rs.initiate()"),
        (
            errors.OperationFailure("only allowed on a replica set member or mongos", 20),
            Trouble.MISCONFIGURED,
            "rs.initiate()",
        ),
        (
            errors.ServerSelectionTimeoutError(
                "client is configured to connect to a replica set named 'rs1' but this node belongs to a set named "
                "'None', Timeout: 1s, Topology Description: <… [<ServerDescription ('db', 27017) server_type: …>]>"
            ),
            Trouble.MISCONFIGURED,
            "MongoDB at db:27017 does not belong to the replica set 'rs1'",
        ),
        (
            errors.ServerSelectionTimeoutError(
                'No replica set members available for replica set name "rs1", Timeout: 1s, '
                "Topology Description: <TopologyDescription id: 6, topology_type: ReplicaSetNoPrimary, servers: []>"
            ),
            Trouble.MISCONFIGURED,
            "MongoDB does not belong to the replica set 'rs1'",
        ),
        (
            errors.ServerSelectionTimeoutError(
                "No primary available for writes, Timeout: 1s, Topology Description: <… servers: "
                "[<ServerDescription ('a', 1) …>, <ServerDescription ('b', 2) …>]>"
            ),
            Trouble.DOWN,
            "MongoDB at a:1, b:2 cannot be reached: No primary available for writes.",
        ),
        (
            errors.NetworkTimeout("db:27017: timed out (configured timeouts: socketTimeoutMS: 2000.0ms)"),
            Trouble.DOWN,
            "The connection to MongoDB was lost: timed out.",
        ),
        (errors.ExecutionTimeout("operation exceeded time limit", 50), Trouble.DOWN, "did not answer in time"),
        (
            errors.ConfigurationError("The DNS query name does not exist: _mongodb._tcp.db.invalid."),
            Trouble.DOWN,
            "does not exist: _mongodb._tcp.db.invalid.",
        ),
        (
            errors.ConfigurationError(
                "All nameservers failed to answer the query _mongodb._tcp.db.example. IN SRV: "
                "Server Do53:127.0.0.1@53 answered SERVFAIL"
            ),
            Trouble.DOWN,
            "cannot be resolved: All nameservers failed",
        ),
        (
            errors.ConfigurationError(
                "The resolution lifetime expired after 21.004 seconds: Server Do53:192.0.2.1@53 answered The DNS "
                "operation timed out."
            ),
            Trouble.DOWN,
            "cannot be resolved: The resolution lifetime expired",
        ),
        (
            errors.ConfigurationError("The value of connectTimeoutMS must be a positive number"),
            Trouble.MISCONFIGURED,
            "cannot be used",
        ),
    ],
)
def test_each_trouble_says_who_has_to_act(error: Exception, trouble: Trouble, words: str) -> None:
    diagnosis = diagnose(error)
    assert diagnosis is not None
    assert diagnosis.trouble is trouble
    assert words in diagnosis.sentence


def test_the_drivers_quotation_of_a_password_is_not_handed_on() -> None:
    with pytest.raises(errors.InvalidURI, match="meister") as caught:
        pymongo.MongoClient("mongodb://shop:Huf/meister@db/test", connect=False)
    diagnosis = diagnose(caught.value)
    assert diagnosis is not None
    assert "meister" not in diagnosis.sentence


@pytest.mark.parametrize(
    "error", [errors.DuplicateKeyError("E11000", 11000), errors.OperationFailure("boom", 2), KeyError("x")]
)
def test_a_bug_stays_a_bug(error: Exception) -> None:
    assert diagnose(error) is None
