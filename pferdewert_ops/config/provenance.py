"""Every setting as it may be shown: its value with secrets masked, and where it came from."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import get_args

from pydantic import SecretStr

from pferdewert_ops.config.durations import format_duration
from pferdewert_ops.config.kinds import ModelPrice
from pferdewert_ops.config.settings import Settings
from pferdewert_ops.redaction import without_secrets

NOT_SET = "not set"
MASKED = "set (concealed)"

SECRETS = frozenset(
    name
    for name, field in Settings.model_fields.items()
    if any(kind is SecretStr or SecretStr in get_args(kind) for kind in (field.annotation, *get_args(field.annotation)))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """One setting. `shown_value` never holds a secret; `origin` is words such as `environment PWOPS_LEASE`."""

    name: str
    shown_value: str
    origin: str


def origins(settings: Settings) -> list[Origin]:
    """Every setting in the order of its declaration."""
    return [
        Origin(name=name, shown_value=_shown(name, getattr(settings, name)), origin=settings.origin_of(name))
        for name in Settings.model_fields
    ]


def _shown(name: str, value: object) -> str:
    match value:
        case None | () | "":
            return NOT_SET
        case SecretStr():
            return masked_uri(value.get_secret_value()) if name == "mongodb_uri" else MASKED
        case timedelta():
            return format_duration(value)
        case tuple():
            return ", ".join(map(str, value))
        case Mapping():
            return "; ".join(f"{model} {_price(price)}" for model, price in value.items())
        case _:
            return without_secrets(str(value))


def masked_uri(uri: str) -> str:
    """A MongoDB URI without its userinfo and without the values of the options that carry secrets."""
    return without_secrets(re.sub(r"\s", "", uri))


def _price(price: ModelPrice) -> str:
    return f"{price.input:f}/{price.output:f}/{price.cache_write:f}/{price.cache_read:f}"
