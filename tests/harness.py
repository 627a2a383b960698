"""A shop in the sandbox for tests: orders in the shop's shapes, and workers in this process or as real ones."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId
from pydantic import SecretStr
from pymongo import MongoClient
from pymongo.database import Database

from pferdewert_ops.config import Settings
from pferdewert_ops.sandbox.anthropic_server import AnthropicServer
from pferdewert_ops.sandbox.mail import MailSandbox
from pferdewert_ops.sandbox.mongodb import MongoSandbox
from pferdewert_ops.wiring import Shop
from pferdewert_ops.worker.assembly import Worker

Document = dict[str, Any]

# Short times for suites: everything that would be seconds in production is tenths here.
FAST: dict[str, Any] = {
    "lease": timedelta(seconds=2),
    "renew_every": timedelta(seconds=0.4),
    "poll_every": timedelta(seconds=0.1),
    "survey_every": timedelta(seconds=0.2),
    "grace": timedelta(seconds=5),
}

# Far above what any test here has to do on a busy machine: a bound, not a time to wait.
DRAIN_LIMIT = 120.0

HORSE: Document = {
    "rasse": "Hannoveraner",
    "alter": 8,
    "geschlecht": "Wallach",
    "stockmass": 168,
    "haupteignung": "Dressur",
    "ausbildung": "L-Dressur",
    "land": "DE",
    "user_country": "DE",
}

CERTIFICATE_HORSE: Document = {**HORSE, "pferdeName": "Feuerzauber"}


@dataclass
class ShopFloor:
    """The shop's database with the stand-ins around it."""

    database: Database[Document]
    uri: str
    model: AnthropicServer
    mail: MailSandbox
    marker: str
    told: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def settings(self, **changes: Any) -> Settings:
        values: dict[str, Any] = {
            **FAST,
            "mongodb_uri": SecretStr(self.uri),
            "database": self.database.name,
            "anthropic_api_key": SecretStr(self.model.api_key),
            "anthropic_base_url": self.model.url,
            "resend_api_key": SecretStr(self.mail.resend.api_key),
            "resend_base_url": self.mail.resend.url,
            "sandbox_marker": self.marker,
            **changes,
        }
        return Settings(**values)

    def tell(self, event: str, **fields: Any) -> None:
        self.told.append((event, fields))

    def events(self, name: str) -> list[dict[str, Any]]:
        return [fields for event, fields in self.told if event == name]

    # --- what the shop writes --------------------------------------------------------------------------------

    def order(self, *, collection: str = "bewertungen", age: timedelta = timedelta(), **changes: Any) -> str:
        """An order of the new flow, paid a moment ago unless said otherwise; returns its id."""
        now = datetime.now(UTC) - age
        document: Document = {
            "_id": ObjectId.from_datetime(now) if age > timedelta(minutes=1) else ObjectId(),
            **(HORSE if collection == "bewertungen" else CERTIFICATE_HORSE),
            "status": "offen",
            "stripeSessionId": f"cs_live_{ObjectId()}",
            "erstellt": now,
            "paymentStatus": "paid",
            "paidAt": now,
            "customer_email": "kundin@example.org",
            "customer_name": "Anna Beispiel",
            **changes,
        }
        document = {key: value for key, value in document.items() if value is not ...}
        if age > timedelta(minutes=1):
            # Distinct ids of one second: the random part comes from a fresh one.
            document.setdefault("_id", ObjectId())
            if "_id" not in changes:
                document["_id"] = ObjectId(str(document["_id"])[:8] + str(ObjectId())[8:])
        self.database[collection].insert_one(document)
        return str(document["_id"])

    def shop_job(self, order_id: str, **changes: Any) -> str:
        """A job as the shop's checkout inserts it: no rank, no fence."""
        job: Document = {
            "_id": ObjectId(),
            "bewertungId": ObjectId(order_id),
            "horseData": dict(HORSE),
            "status": "pending",
            "priority": "normal",
            "attempts": 0,
            "maxAttempts": 5,
            "scheduledAt": datetime.now(UTC),
            **changes,
        }
        self.database.evaluation_jobs.insert_one(job)
        return str(job["_id"])

    # --- what tests look at ----------------------------------------------------------------------------------

    def document(self, order_id: str, collection: str = "bewertungen") -> Document:
        found = self.database[collection].find_one({"_id": ObjectId(order_id)})
        assert found is not None
        return found

    def job(self, order_id: str) -> Document:
        found = list(self.database.evaluation_jobs.find({"bewertungId": ObjectId(order_id)}))
        assert len(found) == 1
        return found[0]

    def mail_record(self, order_id: str, kind: str = "result") -> Document | None:
        return self.database.mail_outbox.find_one({"_id": f"{order_id}:{kind}"})

    def mails_to_customer(self, order_id: str) -> list[str]:
        """The kinds of the mails that the provider accepted for this order."""
        return [mail.kind or "" for mail in self.mail.mailbox.mails() if order_id in mail.text + mail.html]

    # --- workers ---------------------------------------------------------------------------------------------

    def drain(self, *, queues: tuple[str, ...] = ("evaluation", "mail"), **changes: Any) -> None:
        """Run a worker in this process until there is nothing left to do."""
        with Shop(self.settings(**changes), tell=self.tell) as shop:
            shop.migrate()
            worker = Worker(shop, queues=queues, max_jobs=None)

            def give_up() -> None:
                worker.process.stop()
                worker.process.stop()

            endless = threading.Timer(DRAIN_LIMIT, give_up)
            endless.daemon = True
            endless.start()
            try:
                worker.process.run(drain=True)
            finally:
                ended_by_itself = not endless.finished.is_set()
                endless.cancel()
                worker.close()
            assert ended_by_itself, f"a drain did not end within {DRAIN_LIMIT:.0f} s"

    @contextmanager
    def working(self, *, queues: tuple[str, ...] = ("evaluation", "mail"), **changes: Any) -> Iterator[Worker]:
        """A worker in this process that serves while the body runs."""
        with Shop(self.settings(**changes), tell=self.tell) as shop:
            shop.migrate()
            worker = Worker(shop, queues=queues, max_jobs=None)
            thread = threading.Thread(target=worker.process.run, kwargs={"drain": False})
            thread.start()
            try:
                yield worker
            finally:
                worker.process.stop()
                thread.join(30)
                worker.close()
                assert not thread.is_alive()


@contextmanager
def shop_floor(mongo: MongoSandbox, model: AnthropicServer, mail: MailSandbox) -> Iterator[ShopFloor]:
    """A fresh database between stand-ins that start clean."""
    with MongoClient[Document](mongo.uri, tz_aware=True) as client:
        name = mongo.fresh_database()
        model.rules.clear()
        mail.reset()
        yield ShopFloor(database=client[name], uri=mongo.uri, model=model, mail=mail, marker=mongo.marker)
        client.drop_database(name)
