"""Nothing live gets in, and nothing gets out to another machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pferdewert_ops.sandbox.walls import (
    NotLoopback,
    clear_user_environment,
    require_loopback,
    sandbox_environment,
)

LIVE = {
    "PWOPS_MONGODB_URI": "mongodb+srv://live:canary@cluster.example.net/",
    "pwops_mongodb_uri": "mongodb+srv://live:canary@cluster.example.net/",
    "PWOPS_CONFIG": "/etc/canary.toml",
    "MONGODB_URI": "mongodb://live:canary@db.example.net/",
    "MONGO_URL": "mongodb://live:canary@db.example.net/",
    "STRIPE_SECRET_KEY": "sk_live_canary",
    "ANTHROPIC_API_KEY": "sk-ant-live-canary",
    "ANTHROPIC_BASE_URL": "https://api.canary.example",
    "ANTHROPIC_PROFILE": "canary",
    "RESEND_API_KEY": "re_canary",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "https://canary.example",
    "SLACK_WEBHOOK_URL": "https://hooks.example/canary",
    "SMTP_PASSWORD": "canary",
    "CREDENTIALS_DIRECTORY": "/run/canary",
    "XDG_CONFIG_HOME": "/home/canary/.config",
    "HTTPS_PROXY": "http://canary.example:3128",
    "https_proxy": "http://canary.example:3128",
    "ALL_PROXY": "socks5://canary.example:1080",
    "NO_PROXY": "canary.example",
    "HOME": "/home/canary",
}

UNKNOWN = {"SENTRY_DSN": "https://canary.example", "AWS_SECRET_ACCESS_KEY": "canary", "DATABASE_URL": "canary"}


@pytest.fixture
def live_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**LIVE, **UNKNOWN, "LC_ALL": "C.UTF-8", "PATH": os.defpath}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("live_environment")
def test_nothing_live_reaches_a_sandbox_process() -> None:
    environment = sandbox_environment({"PWOPS_MONGODB_URI": "mongodb://127.0.0.1:20001/"})
    assert "canary" not in json.dumps(environment)
    assert environment["PWOPS_MONGODB_URI"] == "mongodb://127.0.0.1:20001/"
    assert environment["LC_ALL"] == "C.UTF-8"
    assert environment["PATH"] == os.defpath
    assert list(Path(environment["HOME"]).iterdir()) == []


@pytest.mark.usefixtures("live_environment")
def test_home_may_be_given_and_extra_has_the_last_word(tmp_path: Path) -> None:
    assert sandbox_environment({}, home=tmp_path)["HOME"] == str(tmp_path)
    assert sandbox_environment({"HOME": "/x"}, home=tmp_path)["HOME"] == "/x"


@pytest.mark.usefixtures("live_environment")
def test_clearing_takes_everything_live_out_of_this_process() -> None:
    clear_user_environment()
    left = {name: value for name, value in os.environ.items() if name not in UNKNOWN}
    assert "canary" not in json.dumps(left)
    assert os.environ["PATH"] == os.defpath
    assert list(Path(os.environ["HOME"]).iterdir()) == []


def test_the_empty_home_goes_with_its_process_and_not_with_a_fork_of_it() -> None:
    script = """
import os, sys
from pferdewert_ops.sandbox.walls import sandbox_environment
mine = sandbox_environment({})["HOME"]
child = os.fork()
if not child: sys.exit(0)
os.waitpid(child, 0)
print(mine, os.path.isdir(mine))
"""
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    home, _, still_there = told.strip().partition(" ")
    assert still_there == "True"
    assert not Path(home).exists()


@pytest.mark.parametrize(
    "address",
    [
        "mongodb://127.0.0.1:20001/?replicaSet=x",
        "mongodb://127.0.0.1",
        "mongodb://127.0.0.1:20001,127.0.0.2:20002,localhost:20003/shop?replicaSet=x&w=majority",
        "mongodb://[::1]:20001/",
        "mongodb://user:p%40ss@LOCALHOST/",
        "http://127.0.0.1:8080/v1/messages?x=1",
        "https://localhost/",
        "HTTP://[::1]:80",
        "http://user:secret@127.0.0.1:80/",
        "smtp://127.0.0.1:2525",
        "127.0.0.1:2525",
        "localhost",
        "[::1]:2525",
    ],
)
def test_this_machine_is_let_through(address: str) -> None:
    require_loopback(address)


@pytest.mark.parametrize(
    "address",
    [
        "mongodb+srv://cluster.example.net/",
        "mongodb+srv://localhost/",
        "mongodb://db.example.net/",
        "mongodb://127.0.0.1:20001,db.example.net:20002/",
        "mongodb://127.0.0.1@db.example.net/",
        "mongodb://127.0.0.1#@db.example.net/",
        "mongodb://%2Ftmp%2Fmongodb-27017.sock/",
        "mongodb://10.0.0.1/",
        "mongodb://",
        "mongodb:///shop",
        "MONGODB://127.0.0.1/x y",
        "http://api.anthropic.com/",
        "http://127.0.0.1.nip.io/",
        "http://localhost.example.net/",
        "http://127.0.0.1@example.net/",
        "http://example.net\\@127.0.0.1/",
        "http://example.net\t@127.0.0.1/",
        "http://0.0.0.0/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://127.1/",
        "http://128.0.0.1/",
        "http://[::]/",
        "http://[::2]/",
        "http://[::ffff:127.0.0.1]/",
        "http://127.0.0.1:port/",
        "http://",
        "http:///path",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "unix:///tmp/socket",
        "smtp.resend.com:587",
        "x]example.net[::1]",
        "127.0.0.1:25?x",
        "http://[127.0.0.1",
        "http://127.0.0.1%00.example.net/",
        "192.168.0.1:25",
        "::1",
        "",
        " 127.0.0.1",
        "127.0.0.1\n",
    ],
)
def test_everything_else_is_refused(address: str) -> None:
    with pytest.raises(NotLoopback, match="only talks to this machine"):
        require_loopback(address)


@pytest.mark.parametrize(
    "address",
    [
        "mongodb+srv://operator:canary@cluster.example.net/",
        "mongodb://operator:canary@db.example.net/",
        "mongodb://operator:can/ary@db.example.net/canary",
        "mongodb://operator:27?canary@127.0.0.1/",
        "mongodb://operator:x@canary@db.example.net/",
        "http://operator:canary@example.net/",
        "http://operator:x@canary/word@example.net/",
        "http://operator/canary@127.0.0.1/",
        "http://operator:canary#@127.0.0.1/",
        "ftp://operator:canary@127.0.0.1/",
        "operator:canary@example.net:25",
    ],
)
def test_the_refusal_names_no_user_and_no_password(address: str) -> None:
    with pytest.raises(NotLoopback) as raised:
        require_loopback(address)
    assert "canary" not in str(raised.value)
    assert "operator" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_the_refusal_names_the_host() -> None:
    with pytest.raises(NotLoopback, match=r"http address names the host api\.anthropic\.com\."):
        require_loopback("http://api.anthropic.com/v1")
