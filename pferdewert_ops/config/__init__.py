"""The configuration: settings, where each one came from, durations.

The settings themselves are loaded on first use, because pydantic takes longer to import than `pwops --help` may last.
"""

from typing import TYPE_CHECKING

from pferdewert_ops.config.durations import format_duration, parse_duration
from pferdewert_ops.config.problems import ConfigError

if TYPE_CHECKING:
    from pferdewert_ops.config.kinds import ModelPrice
    from pferdewert_ops.config.loading import load_settings
    from pferdewert_ops.config.provenance import Origin, origins
    from pferdewert_ops.config.settings import Settings

__all__ = [
    "ConfigError",
    "ModelPrice",
    "Origin",
    "Settings",
    "format_duration",
    "load_settings",
    "origins",
    "parse_duration",
]

_LATER = {
    "ModelPrice": "kinds",
    "Origin": "provenance",
    "Settings": "settings",
    "load_settings": "loading",
    "origins": "provenance",
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
