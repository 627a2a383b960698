"""Durations as people write them: `30s`, `10m`, `24h`, `90d`, `1h30m`, or plain seconds."""

import re
from datetime import timedelta
from decimal import Decimal

_MICROSECONDS = {"d": 86_400_000_000, "h": 3_600_000_000, "m": 60_000_000, "s": 1_000_000, "ms": 1_000}
_WORD = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|[dhms])")
_WORDS = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|[dhms]))+")
_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]+)?")
# More is a slip of the keyboard; it also keeps now ± duration inside what a datetime can hold.
LONGEST = timedelta(days=3650)


def parse_duration(text: str) -> timedelta:
    """The duration that `text` names, never negative.

    Raises ValueError with a sentence fit for a screen. Units may be combined from large to small, each once.
    """
    written = text.strip().lower()
    if _SECONDS.fullmatch(written):
        parts = [(written, "s")]
    elif _WORDS.fullmatch(written):
        parts = _WORD.findall(written)
    else:
        raise ValueError("is not a duration: write 30s, 10m, 24h, 90d, 1h30m or plain seconds")
    units = [unit for _, unit in parts]
    if units != [unit for unit in _MICROSECONDS if unit in units]:
        raise ValueError("is not a duration: give each unit once, from large to small, as in 1h30m")
    total = sum(Decimal(number) * _MICROSECONDS[unit] for number, unit in parts)
    if total > LONGEST // timedelta(microseconds=1):
        raise ValueError(f"is longer than {format_duration(LONGEST)}")
    return timedelta(microseconds=int(total))


def format_duration(duration: timedelta) -> str:
    """The shortest spelling that `parse_duration` reads back to the same value: `1h30m`, `24h`, `90d`, `0.5s`."""
    rest = duration // timedelta(microseconds=1)
    if rest == 0:
        return "0s"
    if rest < 0:
        return "-" + format_duration(-duration)
    written = ""
    for unit in "dhm":
        count, remaining = divmod(rest, _MICROSECONDS[unit])
        # Below two days people say hours: a limit of 24h is not "1d" on the page that told them to set it.
        if count and not (unit == "d" and rest < 2 * _MICROSECONDS["d"]):
            written, rest = f"{written}{count}{unit}", remaining
    if rest:
        written += f"{(Decimal(rest) / _MICROSECONDS['s']).normalize():f}s"
    return written
