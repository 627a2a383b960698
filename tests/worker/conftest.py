"""One server, one model, one mailbox for all tests of this folder; a database of its own for each test."""

from collections.abc import Iterator

import pytest

from pferdewert_ops.sandbox.anthropic_server import AnthropicServer
from pferdewert_ops.sandbox.mail import MailSandbox
from pferdewert_ops.sandbox.mongodb import MongoSandbox
from tests.harness import ShopFloor, shop_floor


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
    with shop_floor(mongo_server, model_server, mail_servers) as made:
        yield made
