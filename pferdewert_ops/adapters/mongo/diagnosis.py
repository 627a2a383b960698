"""What the driver of MongoDB raises, as a sentence that says what to do. Its own text is never handed on whole."""

import re
from dataclasses import dataclass
from enum import StrEnum

from pymongo import errors


class Trouble(StrEnum):
    """Who has to act: whoever runs the server, whoever gives rights, whoever writes the configuration."""

    DOWN = "down"
    REFUSED = "refused"
    MISCONFIGURED = "misconfigured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    trouble: Trouble
    sentence: str


_ADDRESS = re.compile(r"ServerDescription \('([^']*)', (\d+|None)\)")
_WRONG_SET = re.compile(
    r"configured to connect to a replica set named '([^']*)' but this node belongs to a set named"
    # The server answered, belonged to another set or to none, and was struck off the list of members.
    r"|No replica set members available for replica set name \"([^\"]*)\".*servers: \[\]",
    re.DOTALL,
)
# The driver's text: `host:port: [Errno 111] Connection refused (configured timeouts: …), Timeout: 30s, Topology …`.
_REASON = re.compile(
    r"(?:[^\s:]+:\d+: |\[[0-9a-f:]+\]:\d+: )?(?:\[Errno -?\d+\] )?(.*?)(?: \(configured timeouts|, Timeout: |$)"
)
# With mongodb+srv the driver asks the DNS first, and wraps whatever the resolver raises as a wrong configuration.
_NAMES_UNRESOLVED = re.compile(
    r"nameservers failed|resolution lifetime expired|timed out|DNS query names? (?:does not )?exist|NXDOMAIN"
    r"|no nameservers|name resolution",
    re.IGNORECASE,
)
# Codes of MongoDB's error table: MaxTimeMSExpired; AuthenticationFailed and Atlas' own; Unauthorized.
_TOO_SLOW = 50
_REFUSED = {18, 8000}
_NOT_ALLOWED = 13
# NoReplicationEnabled, NotAReplicaSet, and what a change stream is answered by a lone server.
_NO_REPLICA_SET = {76, 123, 40573}
_ILLEGAL_OPERATION = 20
_REPLICA_SET_NEEDED = (
    "MongoDB runs without a replica set, which change streams and safe writes need: start mongod with --replSet "
    "(one member is enough), run rs.initiate() once, and name the set in PWOPS_MONGODB_URI (?replicaSet=…)."
)


def diagnose(error: Exception) -> Diagnosis | None:
    """What an operator is told about this error; None for another's, and for what only a bug can cause."""
    match error:
        case errors.ServerSelectionTimeoutError():
            return _unreachable(str(error))
        case errors.ConnectionFailure():
            return _down(f"The connection to MongoDB was lost: {_reason(str(error))}.")
        case errors.InvalidURI():
            # The driver's text may quote a part of the password.
            return _misconfigured("PWOPS_MONGODB_URI cannot be read as a MongoDB connection string.")
        case errors.ConfigurationError() if _NAMES_UNRESOLVED.search(str(error)):
            return _down(
                f"The DNS names of PWOPS_MONGODB_URI cannot be resolved: {_reason(str(error))}. "
                "Check the network and its DNS, and the host in PWOPS_MONGODB_URI."
            )
        case errors.ConfigurationError():
            return _misconfigured(f"PWOPS_MONGODB_URI cannot be used: {_reason(str(error))}.")
        case errors.OperationFailure():
            return _refusal(error)
        case _:
            return None


def _down(sentence: str) -> Diagnosis:
    return Diagnosis(trouble=Trouble.DOWN, sentence=sentence)


def _misconfigured(sentence: str) -> Diagnosis:
    return Diagnosis(trouble=Trouble.MISCONFIGURED, sentence=sentence)


def _unreachable(text: str) -> Diagnosis:
    hosts = ", ".join(f"{host}:{port}" for host, port in _ADDRESS.findall(text))
    place = f"MongoDB at {hosts}" if hosts else "MongoDB"
    wrong_set = _WRONG_SET.search(text)
    if wrong_set:
        return _misconfigured(
            f"{place} does not belong to the replica set '{wrong_set[1] or wrong_set[2]}' of PWOPS_MONGODB_URI: "
            "correct replicaSet=…, or start mongod with --replSet and run rs.initiate() once."
        )
    return _down(
        f"{place} cannot be reached: {_reason(text)}. Check that it runs, and host and port in PWOPS_MONGODB_URI."
    )


def _reason(text: str) -> str:
    found = _REASON.match(text.partition("\n")[0])
    return (found[1] if found else "").rstrip(". ") or "no reason was given"


def _refusal(error: errors.OperationFailure) -> Diagnosis | None:
    code = error.code
    if code in _REFUSED:
        return Diagnosis(
            trouble=Trouble.REFUSED, sentence="MongoDB refused the user or the password in PWOPS_MONGODB_URI."
        )
    if code == _NOT_ALLOWED:
        return Diagnosis(
            trouble=Trouble.REFUSED,
            sentence="The user in PWOPS_MONGODB_URI lacks a right in this database: it has to read and write the "
            "shop's collections and to create collections and indexes (the role readWrite).",
        )
    if code in _NO_REPLICA_SET or (code == _ILLEGAL_OPERATION and "replica set" in str(error)):
        return _misconfigured(_REPLICA_SET_NEEDED)
    if code == _TOO_SLOW or error.timeout:
        return _down("MongoDB did not answer in time.")
    return None
