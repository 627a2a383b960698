"""The shop's order documents with everything that belongs to one order: job, mails, our record."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from bson import ObjectId
from pymongo import ASCENDING, IndexModel, UpdateOne
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.write_concern import WriteConcern

from pferdewert_ops.adapters.mongo import documents
from pferdewert_ops.adapters.mongo.certificates import CertificateNumbers
from pferdewert_ops.adapters.mongo.documents import Document
from pferdewert_ops.domain.jobs import JobStatus
from pferdewert_ops.domain.letters import MailKind, usable_address
from pferdewert_ops.domain.orders import Payment
from pferdewert_ops.domain.products import PRODUCTS, WERTGUTACHTEN, Country, Product
from pferdewert_ops.operations.ports import DeliveryOutcome, Order

WATCHED_INDEX = "pwops_watched"
INDEXES = [IndexModel([("watched", ASCENDING)], name=WATCHED_INDEX, partialFilterExpression={"watched": True})]

PAGE = 500  # orders judged at once: half a megabyte of reduced documents


class MongoOrders:
    """Orders of both products. Everything written here is compare-and-set on what was read and judged."""

    def __init__(
        self, database: Database[Document], *, horizon: datetime, reach: Callable[[str], None] = lambda _: None
    ) -> None:
        majority = WriteConcern("majority")
        self._database = database
        self._collections: dict[Product, Collection[Document]] = {
            product: database[product.collection].with_options(write_concern=majority) for product in PRODUCTS.values()
        }
        self._jobs = database[documents.JOBS]
        self._mails = database[documents.MAILS]
        self._records = database[documents.ORDERS].with_options(write_concern=majority)
        self._certificates = CertificateNumbers(database, reach)
        self._horizon = horizon

    # --- reading ---------------------------------------------------------------------------------------------

    def find(self, order_id: str) -> Order | None:
        """One order, whole; None if neither collection holds it."""
        for product, collection in self._collections.items():
            document = collection.find_one({"_id": {"$in": documents.both_ids([order_id])}})
            if document is not None:
                return self._joined(product, [document], whole=True)[0]
        return None

    def look(self, order_ids: Sequence[str]) -> list[Order]:
        """Several orders, reduced to what judging them needs."""
        ids = documents.both_ids(order_ids)
        return [
            order
            for product in self._collections
            for order in self._joined(product, list(self._reduced(product, {"_id": {"$in": ids}}, None)))
        ]

    def since(self, moment: datetime) -> Iterator[list[Order]]:
        """Every order whose id was made at `moment` or later, oldest first, in pages; bounded memory."""
        floor = documents.oldest_id_since(moment)
        for product in self._collections:
            after: dict[str, Any] = {"$gte": floor}
            while page := list(self._reduced(product, {"_id": after}, PAGE)):
                yield self._joined(product, page)
                after = {"$gt": page[-1]["_id"]}

    def _reduced(self, product: Product, match: Mapping[str, Any], most: int | None) -> Iterator[Document]:
        stages: list[Mapping[str, Any]] = [{"$match": match}, {"$sort": {"_id": 1}}]
        if most is not None:
            stages.append({"$limit": most})
        with self._collections[product].aggregate(
            [*stages, {"$project": documents.order_projection(product)}]
        ) as found:
            yield from found

    def _joined(self, product: Product, found: Sequence[Document], *, whole: bool = False) -> list[Order]:
        ids = [str(document["_id"]) for document in found]
        jobs: dict[str, list[Document]] = {}
        with self._jobs.find(
            {"bewertungId": {"$in": documents.both_ids(ids)}}, {"result.value": 0, "horseData": 0}
        ) as cursor:
            for job in cursor:
                jobs.setdefault(str(job["bewertungId"]), []).append(job)
        wanted = [f"{text}:{kind}" for text in ids for kind in MailKind]
        with self._mails.find({"_id": {"$in": wanted}}, {"status": 1}) as cursor:
            mails = {mail["_id"]: mail for mail in cursor}
        with self._records.find({"_id": {"$in": ids}}) as cursor:
            records = {record["_id"]: record for record in cursor}
        return [
            self._order(product, document, jobs.get(text, []), mails, records.get(text), whole=whole)
            for text, document in zip(ids, found, strict=True)
        ]

    def _order(
        self,
        product: Product,
        document: Document,
        jobs: Sequence[Document],
        mails: Mapping[str, Document],
        record: Document | None,
        *,
        whole: bool,
    ) -> Order:
        text = str(document["_id"])
        job = documents.surviving_job(jobs)
        view = documents.order_view(
            product,
            document,
            job=job,
            mails={kind: mails[f"{text}:{kind}"] for kind in MailKind if f"{text}:{kind}" in mails},
            record=record,
            horizon=self._horizon,
        )
        name = document.get("customer_name")
        return Order(
            view=view,
            product=product,
            known=record is not None,
            watched=record is not None and record.get("watched") is True,
            form={key: value for key, value in document.items() if key != product.result_field} if whole else {},
            address=usable_address(document.get("customer_email")),
            customer_name=name if isinstance(name, str) else None,
            customer_country=Country.of(document.get("user_country")),
            surplus_jobs=tuple(
                str(other["_id"])
                for other in jobs
                if other is not job and documents.job_status(other) is JobStatus.PENDING
            ),
        )

    # --- delivering ------------------------------------------------------------------------------------------

    def deliver(self, order_id: str) -> DeliveryOutcome:
        """Copy the completed job's result into the order, only if it is paid and holds no valid result.

        The write names the very result and payment that were read, so a slow writer that comes between wins or
        loses as a whole. Repeating it is harmless.
        """
        for product, collection in self._collections.items():
            document = collection.find_one({"_id": {"$in": documents.both_ids([order_id])}})
            if document is not None:
                return self._deliver(product, collection, document)
        return DeliveryOutcome.GONE

    def _deliver(self, product: Product, collection: Collection[Document], document: Document) -> DeliveryOutcome:
        with self._jobs.find({"bewertungId": {"$in": documents.both_ids([str(document["_id"])])}}) as cursor:
            job = documents.surviving_job(list(cursor))
        if documents.has_valid_result(product, document):
            ours = documents.delivery_of(product, document, job)
            return DeliveryOutcome.ALREADY_OURS if ours == "ours" else DeliveryOutcome.KEPT_OTHERS
        if job is None or documents.job_standing(job) is not JobStatus.COMPLETED:
            return DeliveryOutcome.NO_RESULT
        if documents.payment_of(document) is not Payment.PAID:
            return DeliveryOutcome.NOT_PAID
        as_judged = {
            "_id": document["_id"],
            # As a value: an object in the document may hold names that begin with `$`.
            product.result_field: {"$eq": document.get(product.result_field)},
            "paymentStatus": document.get("paymentStatus"),
            "refundedAt": None,
        }
        result = job["result"]
        fields: Document = {
            product.result_field: result["value"],
            "status": "fertig",
            "completedAt": job["completedAt"],
            "ai_model": result["model"],
            "ai_model_version": result["model_version"],
            "jobId": job["_id"],
        }
        if product is WERTGUTACHTEN:
            fields["zertifikatNummer"] = document.get("zertifikatNummer") or self._certificates.number_for(
                str(document["_id"]), job["completedAt"]
            )
        written = collection.update_one(as_judged, {"$set": fields, "$currentDate": {"aktualisiert": True}})
        return DeliveryOutcome.DELIVERED if written.modified_count else DeliveryOutcome.KEPT_OTHERS

    # --- our own record --------------------------------------------------------------------------------------

    def show_status(self, order_id: str, status: str) -> None:
        """Tell the shop's page where an undelivered order stands; a delivered one keeps its `fertig`."""
        for collection in self._collections.values():
            collection.update_one(
                {"_id": {"$in": documents.both_ids([order_id])}, "status": {"$nin": ["fertig", status]}},
                {"$set": {"status": status}, "$currentDate": {"aktualisiert": True}},
            )

    def remember(self, order_ids: Sequence[str]) -> None:
        """Note that a pass has known these orders."""
        if order_ids:
            known_at = {"$setOnInsert": {"knownAt": datetime.now(UTC)}}
            self._records.bulk_write(
                [UpdateOne({"_id": text}, known_at, upsert=True) for text in order_ids], ordered=False
            )

    def take_in(self, order_id: str) -> None:
        """A person takes this order in, whatever its age. Surveys look at it until it is settled."""
        now = datetime.now(UTC)
        taken_in = {"$set": {"takenInAt": now, "watched": True}, "$setOnInsert": {"knownAt": now}}
        self._records.update_one({"_id": order_id}, taken_in, upsert=True)

    def watched(self) -> Iterator[list[Order]]:
        """The orders that a person took in and that are not settled: they may be older than any survey looks back."""
        with self._records.find({"watched": True}, {"_id": 1}).hint(WATCHED_INDEX).batch_size(PAGE) as found:
            while ids := [record["_id"] for record in islice(found, PAGE)]:
                yield self.look(ids)

    def unwatch(self, order_ids: Sequence[str]) -> None:
        """These are settled."""
        if order_ids:
            self._records.update_many({"_id": {"$in": list(order_ids)}}, {"$unset": {"watched": ""}})

    def confirm_payment(self, order_id: str, judged: Payment) -> bool:
        """Store that the order is paid, on the word of a person who has looked; False if it says otherwise by now.

        `paidAt` stays absent: nobody knows when it was.
        """
        stored = None if judged is Payment.UNKNOWN else judged.value
        match = {"_id": {"$in": documents.both_ids([order_id])}, "paymentStatus": stored, "refundedAt": None}
        paid = {"$set": {"paymentStatus": Payment.PAID.value}}
        return any(collection.update_one(match, paid).modified_count for collection in self._collections.values())

    def identify(self, text: str) -> str | None:
        """The order that an order id, a job id or a Stripe session id means; None if there is none."""
        if text.startswith(("cs_", "ppage_")):
            for collection in self._collections.values():
                found = collection.find_one({"stripeSessionId": {"$eq": text}}, {"_id": 1})
                if found is not None:
                    return str(found["_id"])
            return None
        for collection in self._collections.values():
            if collection.find_one({"_id": {"$in": documents.both_ids([text])}}, {"_id": 1}) is not None:
                return text
        job = self._jobs.find_one({"_id": {"$in": documents.both_ids([text])}}, {"bewertungId": 1})
        return str(job["bewertungId"]) if job is not None and job.get("bewertungId") is not None else None


def is_id(text: str) -> bool:
    """Whether `text` has the form of an order, job or session id."""
    return ObjectId.is_valid(text) or text.startswith("cs_")
