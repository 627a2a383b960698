"""What is wrong with a configuration, in sentences."""

from collections.abc import Iterable
from difflib import get_close_matches


class ConfigError(Exception):
    """The configuration cannot be used. `problems`: one sentence each, that names the setting and never a secret."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: `; did you mean PWOPS_LEASE?`, or a full stop."""
    near = get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else "."
