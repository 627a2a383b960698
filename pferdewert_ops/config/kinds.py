"""The kinds of value that a setting can have, and what is refused with which words."""

import ipaddress
import json
import re
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from email.utils import parseaddr
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr
from pydantic_settings import NoDecode

from pferdewert_ops.config.durations import format_duration, parse_duration

# Scheme, userinfo without a reserved character, hosts, database, options: as the connection string is specified.
_MONGODB_URI = re.compile(
    r"mongodb(?:\+srv)?://(?:[^@/?:]*(?::([^@/?:]*))?@)?([^@/?]+)(?:/([^?]*))?(?:\?.*)?", re.DOTALL
)
_WITH_PORT = re.compile(r"(?:[^:\[\]]+|\[[0-9a-fA-F:.]+\])(?::([0-9]{1,5}))?")
_DATABASE_NAME = re.compile(r"[^\s/\\.\"$*<>:|?\x00]{1,63}")
_ADDRESS = re.compile(r"[^\s@<>,;:/?]+@[^\s@<>,;:/?]+")


class ModelPrice(BaseModel):
    """US dollars per million tokens. `input` is what was neither written to nor read from the cache."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: Decimal = Field(ge=0)
    output: Decimal = Field(ge=0)
    cache_write: Decimal = Field(ge=0)
    cache_read: Decimal = Field(ge=0)


def on_loopback(host: str) -> bool:
    """Whether a connection to this host stays on this machine."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def password_in(mongodb_uri: str) -> str:
    """The password in a MongoDB URI, still percent-encoded; empty where there is none."""
    found = _MONGODB_URI.fullmatch(mongodb_uri)
    return (found[1] or "") if found else ""


def database_in(mongodb_uri: str) -> str:
    """The database that a MongoDB URI names; empty where it names none."""
    found = _MONGODB_URI.fullmatch(mongodb_uri)
    return unquote(found[3] or "") if found else ""


def _mongodb_uri(secret: SecretStr) -> SecretStr:
    uri = secret.get_secret_value()
    if not uri.startswith(("mongodb://", "mongodb+srv://")):
        raise ValueError("must begin with mongodb:// or mongodb+srv://")
    found = _MONGODB_URI.fullmatch(uri)
    if found is None:
        raise ValueError(
            "cannot be read as a connection string like mongodb://host:27017/database?replicaSet=name; "
            "in the user and the password, : / ? # [ ] @ % have to be percent-encoded"
        )
    for host in found[2].split(","):
        with_port = _WITH_PORT.fullmatch(host)
        if with_port is None or (with_port[1] and not 0 < int(with_port[1]) < 65536):
            raise ValueError("names a host or a port that cannot be read")
    if found[3]:
        _database(unquote(found[3]))
    return secret


def _database(name: str) -> str:
    if not _DATABASE_NAME.fullmatch(name):
        raise ValueError("is no name for a MongoDB database")
    return name


def _secret(value: object) -> object:
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    return text.strip() if isinstance(text, str) else value


def _api_key(secret: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[!-~]+", secret.get_secret_value()):
        raise ValueError("holds a blank, a line break or a character that no key has")
    return secret


def _duration(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("is not a duration")  # noqa: TRY004 - only a ValueError becomes a sentence
    return parse_duration(f"{value:f}" if isinstance(value, float) else str(value))


def at_least(shortest: timedelta) -> AfterValidator:
    """A bound in words: the validator's own shows a Python expression."""

    def check(duration: timedelta) -> timedelta:
        if duration < shortest:
            raise ValueError(f"must be at least {format_duration(shortest)}")
        return duration

    return AfterValidator(check)


def _lowered(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def _url(url: str) -> str:
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not carry a user or a password")
    host = parts.hostname or ""
    if not host or parts.query or parts.fragment:
        raise ValueError("is not a URL like https://host/path")
    if parts.scheme != "https" and not (parts.scheme == "http" and on_loopback(host)):
        raise ValueError("must begin with https:// (http:// is for this machine's own loopback addresses)")
    return url.rstrip("/")


def _sender(text: str) -> str:
    _, address = parseaddr(text)
    whole = text == address or text.endswith(f"<{address}>")
    if not whole or not _ADDRESS.fullmatch(address) or not text.isprintable():
        raise ValueError("is not a mail address like info@example.org or Name <info@example.org>")
    return text


def _address(text: str) -> str:
    if not _ADDRESS.fullmatch(text) or not text.isprintable():
        raise ValueError("is not a mail address like info@example.org")
    return text


def _list(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _json(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON (character {error.pos + 1})") from None


Prices = Annotated[Mapping[str, ModelPrice], NoDecode, BeforeValidator(_json)]
Text = Annotated[str, Field(min_length=1, pattern=r"^[^\x00-\x1f\x7f]+$")]
Secret = Annotated[SecretStr, BeforeValidator(_secret)]
ApiKey = Annotated[Secret, AfterValidator(_api_key)]
MongodbUri = Annotated[Secret, AfterValidator(_mongodb_uri)]
DatabaseName = Annotated[str, AfterValidator(_database)]
NonNegativeDuration = Annotated[timedelta, BeforeValidator(_duration), at_least(timedelta(0))]
# A thousandth of a second: nothing that waits here can tell less from nothing.
Duration = Annotated[timedelta, BeforeValidator(_duration), at_least(timedelta(milliseconds=1))]
Choice = BeforeValidator(_lowered)
Count = Annotated[int, Field(ge=1)]
Amount = Annotated[Decimal, Field(gt=0, allow_inf_nan=False)]
Url = Annotated[str, AfterValidator(_url)]
Sender = Annotated[str, AfterValidator(_sender)]
Address = Annotated[str, AfterValidator(_address)]
Addresses = Annotated[tuple[Address, ...], NoDecode, BeforeValidator(_list)]

Given = dict[str, Any]
