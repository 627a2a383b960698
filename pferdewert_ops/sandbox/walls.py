"""What keeps the sandbox away from anything live: no environment of the user's, no address but this machine's."""

from __future__ import annotations

import atexit
import functools
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path

LIVE_PREFIXES = (
    "PWOPS_",
    "MONGODB_",
    "MONGO_",
    "STRIPE_",
    "ANTHROPIC_",
    "RESEND_",
    "OTEL_",
    "SLACK_",
    "SMTP_",
    "XDG_CONFIG_",
)
LIVE_NAMES = frozenset({"CREDENTIALS_DIRECTORY"})
LIVE_SUFFIXES = ("_PROXY",)

HARMLESS_PREFIXES = ("PYTHON", "LC_", "COVERAGE_")
HARMLESS_NAMES = frozenset(
    {"PATH", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "CI"}
    | {"TERM", "COLORTERM", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"}
)
"""All that a sandbox process is given of the user's environment: a list of what is known to be dangerous has gaps."""

SCHEMES = frozenset({"http", "https", "smtp", "smtps"})

AUTHORITY = re.compile(r"([^@\[\]/?#]*@)?((?P<name>[A-Za-z0-9._-]+)|\[(?P<ipv6>[0-9A-Fa-f:.]+)\])(:[0-9]{1,5})?")
"""user@host:port in its plainest form: what is read differently by different readers does not match."""


class NotLoopback(ValueError):  # noqa: N818 - says what it is
    """An address that is not, or not beyond doubt, on this machine. The text names no user and no password."""


def sandbox_environment(extra: Mapping[str, str], *, home: Path | None = None) -> dict[str, str]:
    """The whole environment for a process of the sandbox: what is harmless of the user's, and `extra`.

    HOME is `home`, or a folder that is empty and goes with this process, so that no profile of the user's is read.
    """
    kept = {name: value for name, value in os.environ.items() if _harmless(name)}
    return {**kept, "HOME": str(home or _empty_home()), **extra}


def clear_user_environment() -> None:
    """Take everything live out of this process's own environment; HOME becomes an empty folder.

    For tests and benchmarks to call before they do anything else.
    """
    for name in [name for name in os.environ if _live(name)]:
        del os.environ[name]
    os.environ["HOME"] = str(_empty_home())


def require_loopback(address: str) -> None:
    """Raise `NotLoopback` unless every host that `address` names is 127.0.0.0/8, ::1 or localhost.

    `address` is a mongodb URI with any number of hosts, a URL (http, https, smtp, smtps), or `host:port`.
    `mongodb+srv` is always refused: only a name server knows its hosts. Whose server answers on this machine is another
    question: a tunnel to a live one would pass here, and only the sandbox's marker tells them apart.
    """
    kind = _kind(address)
    for host in _hosts(address, kind):
        if not _is_loopback(host):
            shown = f" the host {host}" if _free_of_secrets(address) and host.isprintable() else " another host"
            raise NotLoopback(f"The sandbox only talks to this machine, but the {kind} address names{shown}.")


def _live(name: str) -> bool:
    upper = name.upper()  # settings are read without regard to case
    return upper in LIVE_NAMES or upper.startswith(LIVE_PREFIXES) or upper.endswith(LIVE_SUFFIXES)


def _harmless(name: str) -> bool:
    return (name in HARMLESS_NAMES or name.startswith(HARMLESS_PREFIXES)) and not _live(name)


def _empty_home() -> Path:
    return _home_of(os.getpid())  # a fork makes its own, or it would outlive the one that it inherited


@functools.cache
def _home_of(process: int) -> Path:
    home = Path(tempfile.mkdtemp(prefix="pwops-home-"))

    def remove() -> None:
        if os.getpid() == process:  # a fork that ends must not take its parent's
            shutil.rmtree(home, ignore_errors=True)

    atexit.register(remove)
    return home


def _kind(address: str) -> str:
    scheme, separator, _ = address.partition("://")
    if not separator:
        return "host"
    if scheme == "mongodb+srv":
        raise NotLoopback(
            "The sandbox only talks to this machine, but a mongodb+srv address is found by a name server."
        )
    if scheme == "mongodb":
        return "mongodb"
    if scheme.lower() in SCHEMES:
        return scheme.lower()
    raise NotLoopback("The sandbox only talks to this machine, and the address has a scheme that it does not know.")


def _hosts(address: str, kind: str) -> list[str]:
    if re.search(r"[\s\\\x00-\x1f\x7f]", address):  # readers disagree on where the host begins
        raise _unreadable(kind)
    try:
        hosts = _mongodb_hosts(address) if kind == "mongodb" else [_url_host(address, kind)]
    except ValueError:
        hosts = []
    if not hosts or not all(hosts):
        raise _unreadable(kind)
    return hosts


def _mongodb_hosts(uri: str) -> list[str]:
    """As the driver itself would read it: what is checked is what is connected to."""
    from pymongo.errors import PyMongoError
    from pymongo.uri_parser import parse_uri

    try:
        return [host for host, _ in parse_uri(uri, validate=False)["nodelist"]]
    except PyMongoError:
        return []


def _url_host(address: str, kind: str) -> str:
    authority = address if kind == "host" else re.split(r"[/?#]", address.partition("://")[2], maxsplit=1)[0]
    found = AUTHORITY.fullmatch(authority)
    return (found["name"] or found["ipv6"]) if found else ""


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        ip = ip_address(host)
    except ValueError:  # a name: who knows where it leads
        return False
    return ip.is_loopback if ip.version == 4 else str(ip) == "::1"


def _free_of_secrets(address: str) -> bool:
    """Whether what was read as the host is surely not part of a password that nobody escaped."""
    authority, *rest = re.split(r"[/?#]", address.partition("://")[2] or address, maxsplit=1)
    return authority.count("@") <= 1 and "@" not in "".join(rest)


def _unreadable(kind: str) -> NotLoopback:
    return NotLoopback(f"The sandbox only talks to this machine, and the {kind} address cannot be read.")
