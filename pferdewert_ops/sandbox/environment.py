"""The whole sandbox as one thing: MongoDB, the model, mail, and the variables that point a `pwops` at them."""

from contextlib import ExitStack
from pathlib import Path
from typing import Self

from pferdewert_ops.sandbox.anthropic_server import AnthropicServer
from pferdewert_ops.sandbox.mail import MailSandbox
from pferdewert_ops.sandbox.mongodb import MongoSandbox

DATABASE = "sandbox_shop"
NO_SETTINGS = Path(__file__).with_name("no_settings.toml")


class Sandbox:
    """Everything that a shop needs, on loopback, for `with`. It ends with its owner, however that ends."""

    def __init__(self, *, mongo: MongoSandbox, model: AnthropicServer, mail: MailSandbox, parts: ExitStack) -> None:
        self.mongo = mongo
        self.model = model
        self.mail = mail
        self.database = DATABASE
        self._parts = parts

    @classmethod
    def start(
        cls,
        *,
        members: int = 1,
        events_per_second: float | None = None,
        folder: Path | None = None,
        mongod: Path | None = None,
    ) -> Self:
        """Start all of it and return when it answers.

        `members` of MongoDB: 1 or 3. `events_per_second`: how fast the model writes, at once if None; a valuation has
        about thirty events. Raises `MongodMissing`, or `SandboxMongoError` if MongoDB does not come up.
        """
        with ExitStack() as parts:
            mongo = parts.enter_context(MongoSandbox.start(members=members, folder=folder, mongod=mongod))
            model = parts.enter_context(AnthropicServer.start(events_per_second=events_per_second))
            mail = parts.enter_context(MailSandbox())
            return cls(mongo=mongo, model=model, mail=mail, parts=parts.pop_all())

    def variables(self) -> dict[str, str]:
        """The variables that point a `pwops` here, and away from any configuration file.

        Mail goes through Resend's stand-in; PWOPS_MAIL_PROVIDER=smtp is all that the other server needs.
        """
        return {
            "PWOPS_CONFIG": str(NO_SETTINGS),
            "PWOPS_MONGODB_URI": self.mongo.uri,
            "PWOPS_DATABASE": self.database,
            "PWOPS_ANTHROPIC_API_KEY": self.model.api_key,
            "PWOPS_ANTHROPIC_BASE_URL": self.model.url,
            "PWOPS_MAIL_PROVIDER": "resend",
            "PWOPS_RESEND_API_KEY": self.mail.resend.api_key,
            "PWOPS_RESEND_BASE_URL": self.mail.resend.url,
            "PWOPS_SMTP_HOST": self.mail.smtp.host,
            "PWOPS_SMTP_PORT": str(self.mail.smtp.port),
            "PWOPS_SMTP_SECURITY": "none",
            "PWOPS_SANDBOX_MARKER": self.mongo.marker,
        }

    def failed_part(self) -> str | None:
        """A server that ended although nobody told it to, in words; None while all is well."""
        dead = [member.address for member in self.mongo.members if not member.alive()]
        return f"MongoDB at {dead[0]}" if dead else None

    def stop(self) -> None:
        """End everything and remove what it stored. Doing it again does nothing."""
        self._parts.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
