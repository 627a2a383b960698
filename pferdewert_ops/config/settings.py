"""Every setting with its default. Each is `PWOPS_` and its name in capitals in the environment."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Literal, Self, get_args
from urllib.parse import unquote

from pydantic import Field, PrivateAttr, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from pferdewert_ops.config.durations import format_duration
from pferdewert_ops.config.kinds import (
    Address,
    Addresses,
    Amount,
    ApiKey,
    Choice,
    Count,
    DatabaseName,
    Duration,
    Given,
    ModelPrice,
    MongodbUri,
    NonNegativeDuration,
    Prices,
    Secret,
    Sender,
    Text,
    Url,
    at_least,
    database_in,
    on_loopback,
    password_in,
)
from pferdewert_ops.config.problems import ConfigError

MailProvider = Literal["resend", "smtp", "none"]

# The name that the live shop's database really has, which is also where a URI without a path leads.
SHOPS_DATABASE = "test"

DEFAULT_PRICES: Mapping[str, ModelPrice] = {
    # Input and output as the vendor lists them; writing to the cache costs 1.25 times the input, reading a tenth.
    "claude-opus-5-5": ModelPrice(
        input=Decimal(4), output=Decimal(20), cache_write=Decimal(5), cache_read=Decimal("0.4")
    ),
    # An estimate at half of the above: the operator sets the real one in PWOPS_MODEL_PRICES.
    "claude-sonnet-5-5": ModelPrice(
        input=Decimal(2), output=Decimal(10), cache_write=Decimal("2.5"), cache_read=Decimal("0.2")
    ),
}


_DERIVED = {"database": "default, as in mongodb_uri", "mail_provider": "default, by what else is set"}


def _database_of(given: Given) -> str:
    uri = given.get("mongodb_uri")
    return (database_in(uri.get_secret_value()) if isinstance(uri, SecretStr) else "") or SHOPS_DATABASE


def _provider_of(given: Given) -> MailProvider:
    if given.get("resend_api_key") is not None:
        return "resend"
    return "smtp" if given.get("smtp_host") is not None else "none"


class Settings(BaseSettings):
    """One process's configuration, unchangeable. Built directly it reads nothing from outside; see `load_settings`.

    Where a default says None, an empty value means the same.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=False)

    # --- the shop's database
    mongodb_uri: MongodbUri | None = None
    database: DatabaseName = Field(default_factory=_database_of)

    # --- the model
    anthropic_api_key: ApiKey | None = None
    anthropic_base_url: Url | None = None
    model_primary: Text = "claude-opus-5-5"
    model_fallback: Text | None = "claude-sonnet-5-5"
    # What is given here is added to the known prices, and wins over them.
    model_prices: Prices = DEFAULT_PRICES
    # An estimate a little above the rate of late 2026, so that the budget errs on the careful side.
    eur_per_usd: Amount = Decimal("0.90")
    # Thinking comes out of the same allowance; a limit against a runaway answer, not a length to aim at.
    max_output_tokens: Count = 16_000
    evaluation_deadline: Duration = timedelta(seconds=300)
    daily_budget_eur: Amount = Decimal(20)

    # --- what an unattended pass may take in
    lookback: NonNegativeDuration = timedelta(hours=24)
    intake_guard: Annotated[int, Field(ge=0)] = 10
    # 0: no order is evaluated before it is paid.
    unpaid_max_age: NonNegativeDuration = timedelta(hours=24)
    delay_mail_after: Duration = timedelta(minutes=10)
    statuses: Annotated[Literal["shop", "extended"], Choice] = "shop"

    # --- the worker. A lease of 30 s outlives an election of MongoDB (11 s measured).
    lease: Annotated[Duration, at_least(timedelta(seconds=1))] = timedelta(seconds=30)
    renew_every: Duration = timedelta(seconds=5)
    poll_every: Duration = timedelta(seconds=1)
    survey_every: Duration = timedelta(seconds=10)
    # How long running jobs may go on after SIGTERM before they are handed back.
    grace: NonNegativeDuration = timedelta(seconds=120)
    concurrency: Count = 4
    mail_concurrency: Count = 4
    # For the whole fleet: at most this many at once, and this many a minute.
    evaluation_limit: Count | None = None
    evaluation_rate: Count | None = None
    mail_limit: Count | None = None
    mail_rate: Count | None = None
    breaker_failures: Count = 10
    breaker_window: Duration = timedelta(minutes=15)
    breaker_rest: Duration = timedelta(seconds=60)

    # --- mail
    resend_api_key: ApiKey | None = None
    resend_base_url: Url | None = None
    smtp_host: Text | None = None
    # Submission with STARTTLS, RFC 6409.
    smtp_port: Annotated[int, Field(ge=1, le=65535)] = 587
    smtp_user: Text | None = None
    smtp_password: Secret | None = None
    smtp_security: Annotated[Literal["starttls", "tls", "none"], Choice] = "starttls"
    mail_provider: Annotated[MailProvider, Choice] = Field(default_factory=_provider_of)
    mail_from: Sender = "PferdeWert <info@pferdewert.de>"
    operator_from: Sender = "kauf@pferdewert.de"
    operators: Addresses = ()
    # The blind copy that invites to a review.
    mail_bcc: Address | None = None
    shop_url: Url = "https://pferdewert.de"

    # --- logs and identity
    log_format: Annotated[Literal["auto", "json", "text"], Choice] = "auto"
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Choice] = "info"
    # Stands for this machine's own identity where a process has to be taken for one of another host.
    host_identity: Text | None = None

    # --- for tests only: where a worker dies on purpose, and the marker of the sandbox database in which it may.
    failpoint: Text | None = None
    sandbox_marker: Text | None = None

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what the caller gives: a test or a sandbox must not pick up the operator's environment."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @model_validator(mode="before")
    @classmethod
    def _empty_means_nothing(cls, given: Given) -> Given:
        derived = {name for name, field in cls.model_fields.items() if field.default_factory is not None}
        optional = {name for name, field in cls.model_fields.items() if type(None) in get_args(field.annotation)}
        return {
            name: None if value == "" and name in optional else value
            for name, value in given.items()
            if not (value == "" and name in derived)
        }

    @field_validator("model_prices")
    @classmethod
    def _known_prices_stay(cls, given: Mapping[str, ModelPrice]) -> Mapping[str, ModelPrice]:
        return {**DEFAULT_PRICES, **given}

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        problems = [*_timing(self), *_mail(self), *_models(self)]
        if self.failpoint and not self.sandbox_marker:
            problems.append("PWOPS_FAILPOINT is for tests: it needs PWOPS_SANDBOX_MARKER of a sandbox database.")
        if problems:
            raise ConfigError(*problems)
        return self

    @property
    def required_mongodb_uri(self) -> str:
        """The URI, for those who cannot do without. Raises ConfigError."""
        if self.mongodb_uri is None:
            raise ConfigError(
                "No MongoDB is configured: set PWOPS_MONGODB_URI (or the shop's MONGODB_URI) to its connection "
                "string, like mongodb://host:27017/database?replicaSet=name."
            )
        return self.mongodb_uri.get_secret_value()

    @property
    def required_anthropic_api_key(self) -> str:
        """The key, for those who cannot do without. Raises ConfigError."""
        if self.anthropic_api_key is None:
            raise ConfigError(
                "No key for the model is configured: put it into the credential anthropic_api_key, "
                "or set PWOPS_ANTHROPIC_API_KEY (or the shop's ANTHROPIC_API_KEY)."
            )
        return self.anthropic_api_key.get_secret_value()

    def origin_of(self, name: str) -> str:
        """Where the value of this setting came from, in words."""
        if name in self.model_fields_set:
            return self._origins.get(name, "given")
        return _DERIVED.get(name, "default")

    def remember_origins(self, origins: Mapping[str, str]) -> None:
        """Called once by whoever read the values, with the words for `origin_of`."""
        self._origins.update(origins)

    def secret_values(self) -> tuple[str, ...]:
        """Every secret in the clear, for those who have to blank it; of the URI only its password, in both codings."""
        values = [self.anthropic_api_key, self.resend_api_key, self.smtp_password]
        password = password_in(self.mongodb_uri.get_secret_value()) if self.mongodb_uri else ""
        known = [value.get_secret_value() for value in values if value] + [password, unquote(password)]
        return tuple(value for value in known if value)


def _timing(settings: Settings) -> list[str]:
    if settings.renew_every * 3 <= settings.lease:
        return []
    renewal, lease = format_duration(settings.renew_every), format_duration(settings.lease)
    return [f"PWOPS_RENEW_EVERY ({renewal}) must be at most a third of PWOPS_LEASE ({lease}): two renewals may fail."]


def _mail(settings: Settings) -> list[str]:
    problems = []
    if settings.mail_provider == "resend" and settings.resend_api_key is None:
        problems.append("PWOPS_MAIL_PROVIDER is resend: set PWOPS_RESEND_API_KEY too.")
    if settings.mail_provider == "smtp" and settings.smtp_host is None:
        problems.append("PWOPS_MAIL_PROVIDER is smtp: set PWOPS_SMTP_HOST too.")
    if (settings.smtp_user is None) != (settings.smtp_password is None):
        problems.append("PWOPS_SMTP_USER and PWOPS_SMTP_PASSWORD are set both or neither.")
    if settings.smtp_security == "none" and settings.smtp_host and not on_loopback(settings.smtp_host):
        problems.append("PWOPS_SMTP_SECURITY may be none only where PWOPS_SMTP_HOST is a loopback address.")
    return problems


def _models(settings: Settings) -> list[str]:
    return [
        f"PWOPS_MODEL_PRICES has no price for {model}, so the daily budget could not count it: add one."
        for model in (settings.model_primary, settings.model_fallback)
        if model is not None and model not in settings.model_prices
    ]
