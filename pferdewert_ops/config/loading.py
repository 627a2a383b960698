"""Where the values come from, strongest first, and every refusal as a sentence that an operator can act on."""

import os
import tomllib
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import EnvSettingsSource, SecretsSettingsSource, SettingsError, TomlConfigSettingsSource

from pferdewert_ops.config.kinds import Given
from pferdewert_ops.config.problems import ConfigError, nearest
from pferdewert_ops.config.provenance import SECRETS
from pferdewert_ops.config.settings import Settings
from pferdewert_ops.redaction import conceal, printable, without_secrets

PREFIX = "PWOPS_"
# Names the configuration file; not a setting, because a file cannot say where it lies.
FILE_VARIABLE = "PWOPS_CONFIG"
# The names that the shop itself reads, so that its environment can be used as it is.
SHOPS_VARIABLES = {
    "MONGODB_URI": "mongodb_uri",
    "ANTHROPIC_API_KEY": "anthropic_api_key",
    "RESEND_API_KEY": "resend_api_key",
}
USUAL_FILES = (Path("pwops.toml"), Path("/etc/pwops/pwops.toml"))
# Enough to recognise a value by, short enough for one line.
_LONGEST_SHOWN = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layer:
    """What one source gives. `origin` has a place for the setting's name."""

    values: Given
    origin: str


def load_settings() -> Settings:
    """Read the environment, the credentials and the configuration file. Raises ConfigError with every problem found."""
    problems = list(_unknown_variables())
    layers = []
    for read in (_environment, _shops_environment, _credentials, _file):
        try:
            layers.append(read())
        except ConfigError as error:
            problems += error.problems
    given: Given = {}
    origins: dict[str, str] = {}
    for layer in reversed(layers):
        given |= layer.values
        origins |= {name: layer.origin.format(name=name, variable=PREFIX + name.upper()) for name in layer.values}
    # Before anything can be refused: the same text may stand in another variable by mistake. The URI is known by shape.
    conceal(str(given[name]) for name in SECRETS - {"mongodb_uri"} if given.get(name))
    try:
        settings = Settings(**given)
    except ValidationError as error:
        conceal([str(given.get("mongodb_uri", ""))])
        problems += [sentence for detail in error.errors() for sentence in _sentence(detail, given, origins)]
        raise ConfigError(*problems) from None
    except ConfigError as error:
        raise ConfigError(*problems, *error.problems) from None
    if problems:
        raise ConfigError(*problems)
    settings.remember_origins(origins)
    conceal(settings.secret_values())
    return settings


def _environment() -> _Layer:
    return _Layer(values=EnvSettingsSource(Settings, env_prefix=PREFIX)(), origin="environment {variable}")


def _shops_environment() -> _Layer:
    # Empty means not set here: these are the shop's, and nobody empties them to speak to this program.
    values: Given = {}
    for variable, name in SHOPS_VARIABLES.items():
        if os.environ.get(variable, "").strip():
            values[name] = os.environ[variable]
    return _Layer(values=values, origin="environment, the shop's own name")


def _credentials() -> _Layer:
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    if not folder:
        return _Layer(values={}, origin="")
    if not Path(folder).is_dir():
        raise ConfigError(f"CREDENTIALS_DIRECTORY names {printable(folder)}, which is not a folder.")
    try:
        with warnings.catch_warnings():
            # A credential that is passed over in silence is found out by a failing payment.
            warnings.simplefilter("error", UserWarning)
            values = SecretsSettingsSource(Settings, secrets_dir=folder, env_prefix="")()
    except SettingsError as error:
        raise ConfigError(f"A credential in {printable(folder)} cannot be used: {_reason(error.__cause__)}.") from None
    return _Layer(values=values, origin="credential {name}")


def _file() -> _Layer:
    path = _file_path()
    if path is None:
        return _Layer(values={}, origin="")
    shown = printable(str(path))
    try:
        values = TomlConfigSettingsSource(Settings, toml_file=path).toml_data
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{shown} is not valid TOML: {printable(without_secrets(str(error)))}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{shown} cannot be read: {_reason(error)}.") from None
    unknown = [name for name in values if name not in Settings.model_fields]
    if unknown:
        raise ConfigError(
            *(f"{printable(name)} in {shown} is no setting{nearest(name, Settings.model_fields)}" for name in unknown)
        )
    return _Layer(values=values, origin="file " + shown.replace("{", "{{").replace("}", "}}"))


def _file_path() -> Path | None:
    named = os.environ.get(FILE_VARIABLE, "")
    if named:
        path = Path(named).expanduser()
        if not path.is_file():
            raise ConfigError(f"{FILE_VARIABLE} names {printable(named)}, which is not a file.")
        return path
    return next((path for path in USUAL_FILES if path.is_file()), None)


def _reason(error: BaseException | None) -> str:
    match error:
        case OSError():
            return error.strerror or type(error).__name__
        case UnicodeDecodeError():
            return "it is not UTF-8 text"
        case UserWarning():
            return printable(str(error)).rstrip(".")
        case _:
            return type(error).__name__


def _unknown_variables() -> Iterator[str]:
    known = {FILE_VARIABLE} | {PREFIX + name.upper() for name in Settings.model_fields}
    for variable in sorted(os.environ):
        if variable.upper().startswith(PREFIX) and variable.upper() not in known:
            yield f"{printable(variable)} is no setting{nearest(variable.upper(), known)}"


def _sentence(detail: ErrorDetails, given: Mapping[str, object], origins: Mapping[str, str]) -> Iterator[str]:
    """One sentence, or none for a value that could not be derived because another one is wrong already."""
    if detail["type"] == "default_factory_not_called":
        return
    name, *inner = (str(part) for part in detail["loc"])
    variable = PREFIX + name.upper()
    origin = origins.get(name, "")
    # Named twice only where the value did not come from the variable of that name.
    place = variable if origin in {"", f"environment {variable}"} else f"{variable} ({origin})"
    within = f" [{'.'.join(inner)}]" if inner else ""
    value = detail["input"] if inner else given.get(name)
    told = name not in SECRETS and detail["type"] not in _ABOUT_THE_NAME and isinstance(value, str | int | float)
    yield f"{place}{printable(within)}: {_shown(value) if told else ''}{_complaint(detail)}."


def _shown(value: object) -> str:
    text = printable(without_secrets(str(value)))
    return "'" + (text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…") + "' "


_ABOUT_THE_NAME = {"missing": "is missing", "extra_forbidden": "is unknown"}
_COMPLAINTS = _ABOUT_THE_NAME | {
    "string_too_short": "must not be empty",
    "string_pattern_mismatch": "holds a line break or another control character",
    "string_type": "must be text",
    "int_parsing": "is not a whole number",
    "int_from_float": "is not a whole number",
    "int_type": "is not a whole number",
    "decimal_parsing": "is not a number",
    "decimal_type": "is not a number",
    "finite_number": "is not a number",
}


def _complaint(detail: ErrorDetails) -> str:
    context = detail.get("ctx", {})
    match detail["type"]:
        case "value_error":
            return str(context["error"])
        case "literal_error":
            return f"is not {context['expected']}"
        case "greater_than":
            return f"must be greater than {context['gt']}"
        case "greater_than_equal":
            return f"must be at least {context['ge']}"
        case "less_than_equal":
            return f"must be at most {context['le']}"
        case kind:
            # The vendor's own text may quote the value; its kind is a word.
            return _COMPLAINTS.get(kind, f"cannot be used ({kind.replace('_', ' ')})")
