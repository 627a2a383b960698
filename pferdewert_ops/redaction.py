"""What must never be printed: secrets, customers' addresses, and characters that steer a terminal.

Standard library only, because error texts and `--help` pass through here too.
"""

import re
from collections.abc import Iterable

CONCEALED = "[concealed]"
ADDRESS = "[address]"

# Below this a value is a word like any other: replacing every "abc" would make a riddle of each sentence.
SHORTEST_SECRET = 6

# Greedy up to the last @: a password that was not escaped may contain /, ? and @ itself. Rather lose the host.
_MONGODB_USERINFO = re.compile(r"(mongodb(?:\+srv)?://)\S*@", re.IGNORECASE)
_USERINFO = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/@]+@", re.IGNORECASE)
# Options of a MongoDB URI that are secrets: authMechanismProperties carries session tokens.
_MONGODB_OPTION = re.compile(r"([?&](?:tlsCertificateKeyFilePassword|authMechanismProperties)=)[^&\s]+", re.IGNORECASE)
_TOKENS = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"sk-ant-[\w-]+"
    r"|(?:sk|rk)_(?:live|test)_\w+"
    r"|whsec_[\w+/=-]+"
    # Resend's keys; but a Stripe refund has an id like re_3 and 23 more characters, and operators look for it.
    r"|re_(?![13][A-Za-z0-9]{23}(?![\w-]))(?=[\w-]*\d)[\w-]{8,}"
    r")"
)
_BEARER = re.compile(r"(\bBearer\s+)[^\s\"']+", re.IGNORECASE)
_ADDRESSES = re.compile(r"[^\s@<>()\"',;:=\[\]]+@[^\s@<>()\"',;:=\[\]]+")
# C0, DEL and C1 controls, line and paragraph separators, bidirectional overrides, lone surrogates.
_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class _Register:
    """The secret values that this process knows; a tuple that is replaced whole, so reading needs no lock."""

    values: tuple[str, ...] = ()


def conceal(secrets: Iterable[str]) -> None:
    """From now on `without_secrets` blanks these values, in addition to what it knows by its shape."""
    known = {value for value in secrets if len(value) >= SHORTEST_SECRET}
    _Register.values = tuple(sorted(known.union(_Register.values), key=len, reverse=True))


def without_secrets(text: str) -> str:
    """The text with every known secret, every credential that shows its shape and every URI's userinfo blanked."""
    for value in _Register.values:
        text = text.replace(value, CONCEALED)
    text = _MONGODB_USERINFO.sub(rf"\1{CONCEALED}@", text)
    text = _MONGODB_OPTION.sub(rf"\1{CONCEALED}", text)
    text = _USERINFO.sub(rf"\1{CONCEALED}@", text)
    text = _BEARER.sub(rf"\1{CONCEALED}", text)
    return _TOKENS.sub(CONCEALED, text)


def without_personal_data(text: str) -> str:
    """As `without_secrets`, and without anything that looks like an e-mail address."""
    return _ADDRESSES.sub(ADDRESS, without_secrets(text))


def printable(text: str) -> str:
    r"""The text with white space that breaks lines as a blank, and every other steering character as `\x1b`."""
    return _STEERING.sub(_visible, text)


def _visible(match: re.Match[str]) -> str:
    character = match[0]
    if character in "\t\n\r\v\f\u2028\u2029":
        return " "
    return f"\\x{ord(character):02x}" if ord(character) < 0x100 else f"\\u{ord(character):04x}"
