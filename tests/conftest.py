"""For every test: nothing of the user's environment, one sandbox a process, and no silent skips in CI."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from pferdewert_ops.sandbox.anthropic_server import AnthropicServer
from pferdewert_ops.sandbox.mail import MailSandbox
from pferdewert_ops.sandbox.mongodb import MongoSandbox
from pferdewert_ops.sandbox.walls import clear_user_environment
from tests.harness import ShopFloor, shop_floor

ALLOWED_SKIPS = Path(__file__).with_name("allowed_skips.txt")


def pytest_configure() -> None:
    clear_user_environment()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With CI=true a skip is a failure, unless its reason is on the short list."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true" and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not any(allowed in reason for allowed in _allowed_reasons()):
            report.outcome = "failed"
            report.longrepr = f"skipped in CI for a reason that is not in {ALLOWED_SKIPS.name}: {reason}"
    return report


def _allowed_reasons() -> list[str]:
    lines = ALLOWED_SKIPS.read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


@pytest.fixture(scope="session")
def mongo_server() -> Iterator[MongoSandbox]:
    with MongoSandbox.start() as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def model_server() -> Iterator[AnthropicServer]:
    with AnthropicServer.start() as server:
        yield server


@pytest.fixture(scope="session")
def mail_servers() -> Iterator[MailSandbox]:
    with MailSandbox() as servers:
        yield servers


@pytest.fixture
def floor(mongo_server: MongoSandbox, model_server: AnthropicServer, mail_servers: MailSandbox) -> Iterator[ShopFloor]:
    """A fresh database between stand-ins that start clean."""
    with shop_floor(mongo_server, model_server, mail_servers) as made:
        yield made
