"""Who a mail goes to: addresses that can be mailed to, and the name to greet by."""

import re

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LOCAL_PART = re.compile(rf"{_ATOM}(\.{_ATOM})*")
_DOMAIN_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_LONGEST_ADDRESS, _LONGEST_LOCAL_PART = 254, 64  # RFC 5321 4.5.3.1, with the two angle brackets taken off


def usable_address(value: object) -> str | None:
    """The address as it can be mailed to (domain in lower case and ASCII), or None where `value` is no such thing."""
    if not isinstance(value, str):
        return None
    local, at, domain = value.strip(" ").rpartition("@")
    ascii_domain = _ascii_domain(domain)
    if not at or ascii_domain is None or not _LOCAL_PART.fullmatch(local) or len(local) > _LONGEST_LOCAL_PART:
        return None
    address = f"{local}@{ascii_domain}"
    return address if len(address) <= _LONGEST_ADDRESS else None


def _ascii_domain(domain: str) -> str | None:
    name = domain.lower()
    if not name.isascii():
        try:
            encoded = name.encode("idna")
            # Where the old mapping loses a letter (ß becomes ss) the result is somebody else's domain.
            if encoded.decode("idna") != name:
                return None
        except UnicodeError:
            return None
        name = encoded.decode("ascii")
    labels = name.split(".")
    proper = len(labels) >= 2 and not labels[-1].isdigit() and all(map(_DOMAIN_LABEL.fullmatch, labels))
    return name if proper else None


_TITLES = frozenset({"herr", "frau", "dr", "prof", "med", "vet", "dipl", "ing", "mag", "mr", "mrs", "ms", "familie"})
_COMPANY = re.compile(
    r"\b(gmbh|ug|ag|kg|ohg|gbr|eg|e\.\s?v|e\.\s?k|verein|stall|reitstall|hof|gestüt|pensionsstall)\b", re.IGNORECASE
)
_LONGEST_FIRST_NAME = 40


def first_name(full_name: object) -> str | None:
    """The first name to greet by, from a name as payers type it; None where that would be a guess or not a name."""
    if not isinstance(full_name, str) or _COMPANY.search(full_name):
        return None
    last, comma, rest = full_name.partition(",")
    words = (rest if comma else last).split()
    names = [word for word in words if word.rstrip(".").lower() not in _TITLES and len(word.rstrip(".")) > 1]
    title_and_surname = len(names) == 1 and len(words) > 1 and not comma  # "Frau Weber", "A. Weber"
    if not names or title_and_surname:
        return None
    name = names[0]
    if len(name) > _LONGEST_FIRST_NAME or not re.sub(r"(?<=\w)[-'’](?=\w)", "", name).isalpha():
        return None
    shouted_or_whispered = name.isupper() or name.islower()
    return "-".join(part.capitalize() for part in name.split("-")) if shouted_or_whispered else name
