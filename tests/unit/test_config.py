"""Settings: where they come from, which one wins, what is refused, and what is never shown."""

import json
import os
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pferdewert_ops import redaction
from pferdewert_ops.config import ConfigError, Origin, Settings, load_settings, origins
from pferdewert_ops.config.provenance import SECRETS

# In the shapes of real ones, and nobody's.
LIVE_LOOKING = {
    "mongodb_uri": "mongodb://shop:Hufeisen-4711@db.invalid:27017/test?replicaSet=rs0",
    "anthropic_api_key": "sk-ant-api03-nobodys-key-0815",
    "resend_api_key": "re_8Xk2abcd_nobodyskey4711",
    "smtp_password": "Sattelzeug!4711",
}
NEVER_SHOWN = [
    "Hufeisen-4711",
    "sk-ant-api03-nobodys-key-0815",
    "re_8Xk2abcd_nobodyskey4711",
    "Sattelzeug!4711",
]


@pytest.fixture(autouse=True)
def empty_world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable of the person who runs the tests, no file of theirs, nothing remembered between tests."""
    for variable in list(os.environ):
        if variable.startswith(("PWOPS_", "MONGODB_", "ANTHROPIC_", "RESEND_", "CREDENTIALS_DIRECTORY")):
            monkeypatch.delenv(variable)
    monkeypatch.setattr("pferdewert_ops.config.loading.USUAL_FILES", (Path("pwops.toml"), tmp_path / "etc.toml"))
    monkeypatch.setattr(redaction._Register, "values", ())
    monkeypatch.chdir(tmp_path)


def shown(settings: Settings) -> dict[str, Origin]:
    return {origin.name: origin for origin in origins(settings)}


def problems_of(action: Callable[[], object]) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        action()
    return caught.value.problems


def test_every_setting_has_its_documented_default() -> None:
    settings = load_settings()
    assert settings.mongodb_uri is None
    assert settings.database == "test"
    assert (settings.model_primary, settings.model_fallback) == ("claude-opus-5-5", "claude-sonnet-5-5")
    assert settings.evaluation_deadline == timedelta(seconds=300)
    assert settings.daily_budget_eur == 20
    assert (settings.lookback, settings.unpaid_max_age) == (timedelta(hours=24), timedelta(hours=24))
    assert (settings.lease, settings.renew_every) == (timedelta(seconds=30), timedelta(seconds=5))
    assert (settings.breaker_failures, settings.breaker_window) == (10, timedelta(minutes=15))
    assert settings.breaker_rest == timedelta(seconds=60)
    assert settings.delay_mail_after == timedelta(minutes=10)
    assert (settings.statuses, settings.mail_provider, settings.intake_guard) == ("shop", "none", 10)
    assert settings.operators == ()
    assert {origin.origin for origin in origins(settings)} == {
        "default",
        "default, as in mongodb_uri",
        "default, by what else is set",
    }


def test_the_stronger_source_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "anthropic_api_key").write_text("from-credential\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    Path("pwops.toml").write_text('anthropic_api_key = "from-file"\nconcurrency = 7\n')

    def origin() -> tuple[str, str]:
        settings = load_settings()
        assert settings.concurrency == 7
        return settings.required_anthropic_api_key, settings.origin_of("anthropic_api_key")

    assert origin() == ("from-credential", "credential anthropic_api_key")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "from-shop")
    assert origin() == ("from-shop", "environment, the shop's own name")
    monkeypatch.setenv("PWOPS_ANTHROPIC_API_KEY", "from-ours")
    assert origin() == ("from-ours", "environment PWOPS_ANTHROPIC_API_KEY")
    (credentials / "anthropic_api_key").unlink()
    monkeypatch.delenv("PWOPS_ANTHROPIC_API_KEY")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "")
    assert origin() == ("from-file", "file pwops.toml")


def test_the_named_file_is_read_instead_of_the_usual_ones(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "etc.toml").write_text("concurrency = 3")
    assert load_settings().concurrency == 3
    Path("pwops.toml").write_text("concurrency = 5")
    assert load_settings().concurrency == 5
    (tmp_path / "own {file}.toml").write_text("mail_concurrency = 9")
    monkeypatch.setenv("PWOPS_CONFIG", str(tmp_path / "own {file}.toml"))
    settings = load_settings()
    assert (settings.concurrency, settings.mail_concurrency) == (4, 9)
    assert settings.origin_of("mail_concurrency").endswith("own {file}.toml")


def test_a_file_may_hold_tables_lists_and_numbers() -> None:
    Path("pwops.toml").write_text(
        'operators = ["a@example.org", "b@example.org"]\nlease = 60\nrenew_every = 0.5\n'
        'daily_budget_eur = 12.5\n[model_prices."claude-x"]\n'
        "input = 1\noutput = 2.5\ncache_write = 0\ncache_read = 0.1\n"
    )
    settings = load_settings()
    assert settings.operators == ("a@example.org", "b@example.org")
    assert (settings.lease, settings.renew_every) == (timedelta(minutes=1), timedelta(seconds=0.5))
    assert settings.daily_budget_eur == Decimal("12.5")
    assert settings.model_prices["claude-x"].output == Decimal("2.5")
    assert settings.model_prices["claude-opus-5-5"].output == 20


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("LEASE", "1m30s", timedelta(seconds=90)),
        ("UNPAID_MAX_AGE", "0", timedelta(0)),
        ("MODEL_FALLBACK", "", None),
        ("EVALUATION_LIMIT", "20", 20),
        ("EVALUATION_LIMIT", "", None),
        ("OPERATORS", "a@example.org, b@example.org", ("a@example.org", "b@example.org")),
        ("OPERATORS", "", ()),
        ("STATUSES", "Extended", "extended"),
        ("LOG_LEVEL", "WARNING", "warning"),
        ("SHOP_URL", "https://pferdewert.de/", "https://pferdewert.de"),
        ("ANTHROPIC_BASE_URL", "http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("RESEND_BASE_URL", "http://[::1]:8080", "http://[::1]:8080"),
        ("DATABASE", "", "test"),
        ("MAIL_BCC", "", None),
        ("EUR_PER_USD", "0.85", Decimal("0.85")),
    ],
)
def test_text_becomes_a_value(monkeypatch: pytest.MonkeyPatch, variable: str, text: str, value: object) -> None:
    monkeypatch.setenv(f"PWOPS_{variable}", text)
    assert getattr(load_settings(), variable.lower()) == value


def test_prices_come_as_json_too(monkeypatch: pytest.MonkeyPatch) -> None:
    price = {"input": 1, "output": 0.3, "cache_write": 2, "cache_read": 0}
    monkeypatch.setenv("PWOPS_MODEL_PRICES", json.dumps({"claude-x": price}))
    assert load_settings().model_prices["claude-x"].output == Decimal("0.3")


@pytest.mark.parametrize(
    ("uri", "database"),
    [
        ("mongodb://db:27017/laden?replicaSet=rs0", "laden"),
        ("mongodb://db:27017", "test"),
        ("mongodb://db:27017/", "test"),
        ("mongodb://db:27017/?replicaSet=rs0", "test"),
        ("mongodb+srv://u:p%40w@cluster.invalid/pferde%2Dwert", "pferde-wert"),
        ("mongodb://a:1,b:2,[::1]:3/x", "x"),
        ("mongodb://%2Ftmp%2Fmongodb-27017.sock/x", "x"),
    ],
)
def test_the_database_is_the_one_in_the_uri_or_the_shops(uri: str, database: str) -> None:
    assert Settings(mongodb_uri=uri).database == database
    assert Settings(mongodb_uri=uri, database="anders").database == "anders"


@pytest.mark.parametrize(
    ("given", "provider"),
    [
        ({}, "none"),
        ({"resend_api_key": "re_1"}, "resend"),
        ({"smtp_host": "mail.invalid"}, "smtp"),
        ({"resend_api_key": "re_1", "smtp_host": "mail.invalid"}, "resend"),
        ({"resend_api_key": "re_1", "smtp_host": "mail.invalid", "mail_provider": "smtp"}, "smtp"),
        ({"resend_api_key": "re_1", "mail_provider": "none"}, "none"),
    ],
)
def test_the_mail_provider_follows_from_what_is_there(given: dict[str, Any], provider: str) -> None:
    assert Settings(**given).mail_provider == provider


def test_built_directly_it_reads_nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("pwops.toml").write_text("concurrency = 5")
    for variable in ("PWOPS_CONCURRENCY", "CONCURRENCY", "concurrency"):
        monkeypatch.setenv(variable, "6")
    monkeypatch.setenv("MONGODB_URI", LIVE_LOOKING["mongodb_uri"])
    settings = Settings(mail_concurrency=2)
    assert (settings.concurrency, settings.mongodb_uri) == (4, None)
    assert settings.origin_of("mail_concurrency") == "given"


def test_nothing_can_be_changed_afterwards() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings().concurrency = 5  # type: ignore[misc]


@pytest.mark.parametrize(
    ("variable", "text", "sentence"),
    [
        ("LEASE", "abc", "PWOPS_LEASE: 'abc' is not a duration: write 30s, 10m, 24h, 90d, 1h30m or plain seconds."),
        ("LEASE", "0.9s", "PWOPS_LEASE: '0.9s' must be at least 1s."),
        ("POLL_EVERY", "0", "PWOPS_POLL_EVERY: '0' must be at least 0.001s."),
        ("CONCURRENCY", "0", "PWOPS_CONCURRENCY: '0' must be at least 1."),
        ("CONCURRENCY", "4.5", "PWOPS_CONCURRENCY: '4.5' is not a whole number."),
        ("SMTP_PORT", "70000", "PWOPS_SMTP_PORT: '70000' must be at most 65535."),
        ("DAILY_BUDGET_EUR", "-1", "PWOPS_DAILY_BUDGET_EUR: '-1' must be greater than 0."),
        ("EUR_PER_USD", "nan", "PWOPS_EUR_PER_USD: 'nan' is not a number."),
        ("STATUSES", "neu", "PWOPS_STATUSES: 'neu' is not 'shop' or 'extended'."),
        ("MODEL_PRIMARY", "", "PWOPS_MODEL_PRIMARY: '' must not be empty."),
        ("OPERATORS", "a@b.de,c", "PWOPS_OPERATORS [1]: 'c' is not a mail address like info@example.org."),
        ("MAIL_BCC", "a@b.de\nTo: x@y.de", "PWOPS_MAIL_BCC: 'a@b.de To: x@y.de' is not a mail address like"),
        ("MAIL_FROM", "x:a@b.de", "PWOPS_MAIL_FROM: 'x:a@b.de' is not a mail address like"),
        ("MAIL_FROM", "PferdeWert", "PWOPS_MAIL_FROM: 'PferdeWert' is not a mail address like"),
        ("MODEL_PRICES", "{", "PWOPS_MODEL_PRICES: '{' is not JSON (character 2)."),
        ("MODEL_PRICES", '{"x":{"input":1}}', "PWOPS_MODEL_PRICES [x.output]: is missing."),
        ("MODEL_PRIMARY", "claude-x", "PWOPS_MODEL_PRICES has no price for claude-x, so the daily budget could not"),
        ("ANTHROPIC_BASE_URL", "http://api.invalid", "PWOPS_ANTHROPIC_BASE_URL: 'http://api.invalid' must begin with"),
        ("SHOP_URL", "ftp://localhost", "PWOPS_SHOP_URL: 'ftp://localhost' must begin with https://"),
        ("SHOP_URL", "https://", "PWOPS_SHOP_URL: 'https://' is not a URL like https://host/path."),
        ("RENEW_EVERY", "11s", "PWOPS_RENEW_EVERY (11s) must be at most a third of PWOPS_LEASE (30s)"),
        ("MAIL_PROVIDER", "resend", "PWOPS_MAIL_PROVIDER is resend: set PWOPS_RESEND_API_KEY too."),
        ("MAIL_PROVIDER", "smtp", "PWOPS_MAIL_PROVIDER is smtp: set PWOPS_SMTP_HOST too."),
        ("SMTP_USER", "shop", "PWOPS_SMTP_USER and PWOPS_SMTP_PASSWORD are set both or neither."),
        ("FAILPOINT", "after_claim", "PWOPS_FAILPOINT is for tests: it needs PWOPS_SANDBOX_MARKER"),
        ("MONGODB_URI", "db.invalid/test", "PWOPS_MONGODB_URI: must begin with mongodb:// or mongodb+srv://."),
        ("MONGODB_URI", "mongodb://u:p@ss@db/test", "PWOPS_MONGODB_URI: cannot be read as a connection string"),
        ("MONGODB_URI", "mongodb://db:99999/test", "PWOPS_MONGODB_URI: names a host or a port that cannot be read."),
        ("MONGODB_URI", "mongodb://db/a.b", "PWOPS_MONGODB_URI: is no name for a MongoDB database."),
        ("ANTHROPIC_API_KEY", "a b", "PWOPS_ANTHROPIC_API_KEY: holds a blank, a line break"),
        ("LEESE", "30s", "PWOPS_LEESE is no setting; did you mean PWOPS_LEASE?"),
        ("XYZZY", "1", "PWOPS_XYZZY is no setting."),
    ],
)
def test_what_is_wrong_is_one_sentence_that_names_it(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, sentence: str
) -> None:
    monkeypatch.setenv(f"PWOPS_{variable}", text)
    assert [problem[: len(sentence)] for problem in problems_of(load_settings)][:1] == [sentence]


def test_smtp_without_encryption_stays_on_the_machine() -> None:
    assert Settings(smtp_host="127.0.0.1", smtp_security="none").mail_provider == "smtp"
    (problem,) = problems_of(lambda: Settings(smtp_host="mail.invalid", smtp_security="none"))
    assert problem.startswith("PWOPS_SMTP_SECURITY may be none only")


def test_all_problems_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("pwops.toml").write_text('conkurrency = 4\n"\\u001b[2J" = 1\n')
    monkeypatch.setenv("PWOPS_LEASE", "x")
    monkeypatch.setenv("PWOPS_STATUSES", "x")
    monkeypatch.setenv("PWOPS_HERSE", "x")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "gibt/es/nicht")
    problems = problems_of(load_settings)
    assert len(problems) == 6
    assert "conkurrency in pwops.toml is no setting; did you mean concurrency?" in problems
    assert "\\x1b[2J in pwops.toml is no setting." in problems
    assert "CREDENTIALS_DIRECTORY names gibt/es/nicht, which is not a folder." in problems


def test_a_wrong_value_in_a_file_is_blamed_on_the_file() -> None:
    Path("pwops.toml").write_text("lease = true\nconcurrency = 'x'\n")
    lease, concurrency = sorted(problems_of(load_settings), reverse=True)
    assert lease == "PWOPS_LEASE (file pwops.toml): 'True' is not a duration."
    assert concurrency == "PWOPS_CONCURRENCY (file pwops.toml): 'x' is not a whole number."


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"a = [", "pwops.toml is not valid TOML: "),
        (b"a = '\xff'", "pwops.toml cannot be read: it is not UTF-8 text."),
    ],
)
def test_a_file_that_cannot_be_read_is_one_sentence(content: bytes, sentence: str) -> None:
    Path("pwops.toml").write_bytes(content)
    (problem,) = problems_of(load_settings)
    assert problem.startswith(sentence)


def test_a_named_file_has_to_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PWOPS_CONFIG", "weg.toml")
    assert problems_of(load_settings) == ("PWOPS_CONFIG names weg.toml, which is not a file.",)


def test_a_credential_outside_its_folder_is_not_passed_over_in_silence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").write_text("key")
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "anthropic_api_key").symlink_to(tmp_path / "elsewhere")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    (problem,) = problems_of(load_settings)
    assert "anthropic_api_key" in problem
    assert "resolves outside" in problem


def test_a_credential_that_is_no_text_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "resend_api_key").write_bytes(b"\xff\xfe")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (problem,) = problems_of(load_settings)
    assert problem == f"A credential in {tmp_path} cannot be used: it is not UTF-8 text."


def test_what_is_missing_says_what_to_do() -> None:
    settings = Settings()
    (no_uri,) = problems_of(lambda: settings.required_mongodb_uri)
    (no_key,) = problems_of(lambda: settings.required_anthropic_api_key)
    assert "PWOPS_MONGODB_URI" in no_uri
    assert "PWOPS_ANTHROPIC_API_KEY" in no_key


def test_every_secret_is_known_to_be_one() -> None:
    assert set(LIVE_LOOKING) == SECRETS


def test_no_secret_is_ever_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in LIVE_LOOKING.items():
        monkeypatch.setenv(f"PWOPS_{name.upper()}", value)
    monkeypatch.setenv("PWOPS_SMTP_USER", "shop")
    settings = load_settings()
    told = repr(settings) + str(settings) + repr(origins(settings)) + settings.model_dump_json()
    assert not [secret for secret in NEVER_SHOWN if secret in told]
    assert shown(settings)["mongodb_uri"].shown_value == "mongodb://[concealed]@db.invalid:27017/test?replicaSet=rs0"
    assert shown(settings)["anthropic_api_key"].shown_value == "set (concealed)"
    assert settings.required_mongodb_uri == LIVE_LOOKING["mongodb_uri"]
    assert set(NEVER_SHOWN) <= set(settings.secret_values())


@pytest.mark.parametrize("wrong", ["concurrency", "shop_url", "mail_from", "statuses", "lease", "model_prices"])
@pytest.mark.parametrize("name", sorted(LIVE_LOOKING))
def test_no_secret_is_in_an_error_not_even_in_the_wrong_place(
    monkeypatch: pytest.MonkeyPatch, name: str, wrong: str
) -> None:
    monkeypatch.setenv(f"PWOPS_{name.upper()}", LIVE_LOOKING[name])
    monkeypatch.setenv(f"PWOPS_{wrong.upper()}", LIVE_LOOKING[name])
    told = "\n".join(problems_of(load_settings))
    assert f"PWOPS_{wrong.upper()}" in told
    assert not [secret for secret in NEVER_SHOWN if secret in told]


def test_an_unreadable_uri_is_not_shown_in_another_place_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PWOPS_MONGODB_URI", "shop:Hufeisen-4711@db")
    monkeypatch.setenv("PWOPS_CONCURRENCY", "shop:Hufeisen-4711@db")
    assert "Hufeisen" not in "\n".join(problems_of(load_settings))


@pytest.mark.parametrize(
    "uri",
    [
        "mongodb://shop:Hufeisen-4711@x@db/test",
        "mongodb://shop:Hufeisen-4711/x@db/test",
        "mongodb://shop:Hufeisen-4711?x@db/test",
        "http://shop:Hufeisen-4711@db/test",
        "shop:Hufeisen-4711@db",
        "mongodb://shop:Hufeisen-4711@db:notaport/test",
        "mongodb://shop:Hufeisen-4711@db/te st",
    ],
)
def test_a_uri_that_cannot_be_read_is_not_quoted(monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    monkeypatch.setenv("MONGODB_URI", uri)
    (told,) = problems_of(load_settings)
    assert told.startswith("PWOPS_MONGODB_URI (environment, the shop's own name): ")
    assert "Hufeisen" not in told
