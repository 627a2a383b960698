"""`pwops config`: the whole truth about the settings, except the secrets."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pferdewert_ops.cli.main import cli
from pferdewert_ops.config import Settings

LIVE_LOOKING = {
    "PWOPS_MONGODB_URI": "mongodb://shop:Hufeisen-4711@db.invalid/test?replicaSet=rs0",
    "PWOPS_ANTHROPIC_API_KEY": "sk-ant-api03-nobodys-key",
    "PWOPS_RESEND_API_KEY": "re_8Xk2abcd_nobody4711",
    "PWOPS_SMTP_USER": "shop",
    "PWOPS_SMTP_PASSWORD": "Sattelzeug!4711",
}
NEVER_SHOWN = ["Hufeisen", "sk-ant-api03", "re_8Xk2", "Sattelzeug"]


def pwops(*arguments: str, **variables: str) -> Result:
    return CliRunner().invoke(cli, arguments, env=variables)


def test_show_lists_every_setting_with_its_value_and_origin() -> None:
    Path("pwops.toml").write_text("lease = '1m'\n")
    result = pwops("config", "show", PWOPS_CONCURRENCY="7")
    assert result.exit_code == 0
    header, *lines = result.stdout.splitlines()
    assert header.split() == ["setting", "value", "origin"]
    assert [line.split()[0] for line in lines] == list(Settings.model_fields)
    shown = {line.split()[0]: line.split()[1:] for line in lines}
    assert shown["concurrency"] == ["7", "environment", "PWOPS_CONCURRENCY"]
    assert shown["lease"] == ["1m", "file", "pwops.toml"]
    assert shown["renew_every"] == ["5s", "default"]


def test_show_as_json_is_one_document() -> None:
    document = json.loads(pwops("config", "show", "-o", "json", **LIVE_LOOKING).stdout)
    assert document["schema"] == {"name": "config.show", "version": 1}
    assert set(document) == {"schema", "generated_at", "rows"}
    rows = {row["name"]: row for row in document["rows"]}
    assert rows["mongodb_uri"] == {
        "name": "mongodb_uri",
        "value": "mongodb://[concealed]@db.invalid/test?replicaSet=rs0",
        "origin": "environment PWOPS_MONGODB_URI",
    }
    assert rows["anthropic_api_key"]["value"] == "set (concealed)"
    assert rows["mail_provider"] == {
        "name": "mail_provider",
        "value": "resend",
        "origin": "default, by what else is set",
    }


@pytest.mark.parametrize("arguments", [["config", "show"], ["config", "show", "-o", "json"], ["config", "check"]])
@pytest.mark.parametrize(
    "wrong", [{}, {"PWOPS_LEASE": "sk-ant-api03-nobodys-key"}, {"PWOPS_SHOP_URL": "Sattelzeug!4711"}]
)
def test_no_output_ever_holds_a_secret(arguments: list[str], wrong: dict[str, str]) -> None:
    result = pwops(*arguments, **LIVE_LOOKING, **wrong)
    assert result.exit_code == (78 if wrong else 0)
    assert result.output
    assert not [secret for secret in NEVER_SHOWN if secret in result.output]


def test_check_says_all_that_is_missing() -> None:
    result = pwops("config", "check")
    assert (result.exit_code, result.stdout) == (78, "")
    uri, key = result.stderr.splitlines()
    assert uri.startswith("pwops: No MongoDB is configured: set PWOPS_MONGODB_URI")
    assert key.startswith("pwops: No key for the model is configured")


def test_check_as_json_is_a_row_a_problem() -> None:
    missing = pwops("config", "check", "-o", "json")
    assert missing.exit_code == 78
    assert len(json.loads(missing.stdout)["rows"]) == 2
    wrong = pwops("config", "check", "-o", "json", PWOPS_LEASE="x", **LIVE_LOOKING)
    assert (wrong.exit_code, len(json.loads(wrong.stdout)["rows"])) == (78, 1)
    assert json.loads(pwops("config", "check", "-o", "json", **LIVE_LOOKING).stdout)["rows"] == []


def test_check_says_all_that_is_wrong() -> None:
    result = pwops("config", "check", PWOPS_LEASE="x", PWOPS_CONKURRENCY="1", **LIVE_LOOKING)
    assert result.exit_code == 78
    assert result.stderr.splitlines() == [
        "pwops: PWOPS_CONKURRENCY is no setting; did you mean PWOPS_CONCURRENCY?",
        "pwops: PWOPS_LEASE: 'x' is not a duration: write 30s, 10m, 24h, 90d, 1h30m or plain seconds.",
    ]


def test_check_is_content_with_what_a_worker_needs() -> None:
    result = pwops("config", "check", **LIVE_LOOKING)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "The configuration is complete.\n")
    without_mail = {name: value for name, value in LIVE_LOOKING.items() if "RESEND" not in name}
    assert pwops("config", "check", **without_mail).stderr.startswith("No mail will be sent: ")
