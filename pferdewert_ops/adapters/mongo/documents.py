"""The only file that knows field names: the shop's to the letter, ours beside them, and how both become our values."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar

from bson import ObjectId

from pferdewert_ops.domain.answers import (
    DeliveredCertificate,
    DeliveredText,
    delivered_certificate,
    delivered_text,
)
from pferdewert_ops.domain.failures import ErrorClass
from pferdewert_ops.domain.jobs import DEFAULT_MAX_ATTEMPTS, Attempts, CancelReason, JobStatus, Stage
from pferdewert_ops.domain.letters import MailKind, usable_address
from pferdewert_ops.domain.orders import Delivery, JobView, MailStatus, OrderView, Payment
from pferdewert_ops.domain.products import Product, ProductKey
from pferdewert_ops.domain.prose import BLANKS

Document = dict[str, Any]

JOBS = "evaluation_jobs"
MAILS = "mail_outbox"
ORDERS = "ops_orders"
SETTINGS = "ops_settings"
WORKERS = "ops_workers"
FINDINGS = "ops_findings"
AUDIT = "ops_audit"
SPEND = "ops_spend"
SLOTS = "ops_slots"
BREAKERS = "ops_breakers"

# What a look at an order needs of its document. The result itself can be long: its head tells a placeholder, a blank
# and a text apart, so a pass over many orders reads no more than that.
RESULT_HEAD = 200
# Checkout makes the id first and writes `erstellt` last: the id is older by at most the time that it takes.
CHECKOUT = timedelta(minutes=5)
ORDER_FIELDS = (
    "status",
    "erstellt",
    "paymentStatus",
    "paidAt",
    "refundedAt",
    "completedAt",
    "jobId",
    "customer_email",
    "customer_name",
    "stripeSessionId",
    "user_country",
    "land",
    "ai_model",
)


def shop_id(text: str) -> Any:
    """The `_id` that an order or job id means: an ObjectId where it can be one."""
    return ObjectId(text) if ObjectId.is_valid(text) and len(text) == 24 else text


def both_ids(ids: Sequence[str]) -> list[Any]:
    """References between the shop's documents are ObjectIds or their text, depending on who wrote them."""
    return [value for text in ids for value in {shop_id(text), text}]


def id_from_time(moment: datetime) -> ObjectId:
    return ObjectId.from_datetime(moment)


def oldest_id_since(moment: datetime) -> ObjectId:
    """Where the ids of all orders begin that were made at `moment` or later."""
    return id_from_time(moment - CHECKOUT)


def order_projection(product: Product) -> Document:
    """The stages that reduce an order to what `order_view` needs."""
    result: Any = f"${product.result_field}"
    if product.key is not ProductKey.WERTGUTACHTEN:
        trimmed = {"$substrCP": [{"$trim": {"input": result, "chars": BLANKS}}, 0, RESULT_HEAD]}
        result = {"$cond": [{"$eq": [{"$type": result}, "string"]}, trimmed, {"$type": result}]}
        kind: Any = {"$type": f"${product.result_field}"}
    else:
        kind = "object"
    return {**dict.fromkeys(ORDER_FIELDS, 1), "result_kind": kind, product.result_field: result}


def created_at(document: Mapping[str, Any]) -> datetime:
    """When checkout wrote the order: `erstellt`, else the time in its id, else the beginning of time."""
    stored = document.get("erstellt")
    if isinstance(stored, datetime):
        return stored if stored.tzinfo else stored.replace(tzinfo=UTC)
    identity = document.get("_id")
    return identity.generation_time if isinstance(identity, ObjectId) else datetime(1970, 1, 1, tzinfo=UTC)


def payment_of(document: Mapping[str, Any]) -> Payment:
    """The document's payment status; a word that nobody knows is UNKNOWN, never a guess."""
    if document.get("refundedAt") is not None:
        return Payment.REFUNDED
    return _word(Payment, document.get("paymentStatus")) or Payment.UNKNOWN


def has_valid_result(product: Product, document: Mapping[str, Any]) -> bool:
    """Whether the customer's page has something to show that is no placeholder (of a full or a reduced document)."""
    value = document.get(product.result_field)
    if product.key is ProductKey.WERTGUTACHTEN:
        return delivered_certificate(value) is DeliveredCertificate.VALID
    if document.get("result_kind", "string") != "string":
        return False
    return delivered_text(value) is DeliveredText.VALID


def delivery_of(product: Product, document: Mapping[str, Any], job: Mapping[str, Any] | None) -> Delivery:
    """Whose valid result the order shows. Ours carries our job's id and its very time of completion."""
    if not has_valid_result(product, document):
        return Delivery.NONE
    if job is None or job.get("completedAt") is None:
        return Delivery.OTHERS
    ours = str(document.get("jobId")) == str(job["_id"]) and document.get("completedAt") == job["completedAt"]
    return Delivery.OURS if ours else Delivery.OTHERS


def order_view(
    product: Product,
    document: Mapping[str, Any],
    *,
    job: Mapping[str, Any] | None,
    mails: Mapping[MailKind, Mapping[str, Any]],
    record: Mapping[str, Any] | None,
    horizon: datetime,
) -> OrderView:
    """One order from every side. `record` is what our passes know of it (`ops_orders`)."""
    created = created_at(document)
    adopted = record is not None and record.get("takenInAt") is not None
    return OrderView(
        order_id=str(document["_id"]),
        product=product.key,
        created_at=created,
        taken_in=adopted or created >= horizon,
        payment=payment_of(document),
        paid_at=_moment(document.get("paidAt")),
        delivery=delivery_of(product, document, job),
        job=None if job is None else job_view(job),
        result_mail=_mail_status(mails.get(MailKind.RESULT)),
        delay_mail=_mail_status(mails.get(MailKind.DELAY)),
        has_address=usable_address(document.get("customer_email")) is not None,
    )


def job_view(job: Mapping[str, Any]) -> JobView:
    return JobView(
        id=str(job["_id"]),
        status=job_standing(job),
        paid=job.get("paid") is True,
        cancel_reason=_word(CancelReason, job.get("cancelReason")),
    )


def job_status(job: Mapping[str, Any]) -> JobStatus:
    """The job's state; a word that nobody knows counts as failed, which a human is told of."""
    return _word(JobStatus, job.get("status")) or JobStatus.FAILED


def job_standing(job: Mapping[str, Any]) -> JobStatus:
    """The job's state as what can be done with it: completed without a result that we can read, it came to nothing.

    Needs `completedAt` and `result.model` of the document. A worker of the shop's own stores a result of its own shape.
    """
    status = job_status(job)
    if status is not JobStatus.COMPLETED:
        return status
    result = job.get("result")
    readable = isinstance(result, Mapping) and isinstance(result.get("model"), str)
    return status if readable and isinstance(job.get("completedAt"), datetime) else JobStatus.FAILED


def _mail_status(mail: Mapping[str, Any] | None) -> MailStatus | None:
    if mail is None:
        return None
    return _word(MailStatus, mail.get("status")) or MailStatus.UNCERTAIN


Word = TypeVar("Word", bound=StrEnum)


def _word(kind: type[Word], value: object) -> Word | None:
    """The member that a stored word means; None for a word that nobody knows."""
    return next((member for member in kind if member.value == value), None)


def _moment(value: object) -> datetime | None:
    return value if isinstance(value, datetime) else None


# --- jobs --------------------------------------------------------------------------------------------------------


def surviving_job(jobs: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Of several jobs for one order the one that counts: finished before running before waiting, the older first.

    Of two that run, the one that began first: its model call is under way. Where all are cancelled, what an operator
    said counts before what became of its doubles.
    """
    order = {
        JobStatus.COMPLETED: 0,
        JobStatus.PROCESSING: 1,
        JobStatus.PENDING: 2,
        JobStatus.FAILED: 3,
        JobStatus.CANCELLED: 4,
    }
    return min(
        jobs,
        key=lambda job: (
            order[job_standing(job)],
            job.get("cancelReason") != CancelReason.OPERATOR,
            _began_at(job),
            job_created_at(job),
            str(job["_id"]),
        ),
        default=None,
    )


def _began_at(job: Mapping[str, Any]) -> datetime:
    started = job.get("startedAt") if job_status(job) is JobStatus.PROCESSING else None
    return started if isinstance(started, datetime) else job_created_at(job)


def job_created_at(job: Mapping[str, Any]) -> datetime:
    """When the job was inserted: by its own record, else by its id."""
    stored = job.get("createdAt")
    if isinstance(stored, datetime):
        return stored
    identity = job.get("_id")
    return identity.generation_time if isinstance(identity, ObjectId) else datetime(1970, 1, 1, tzinfo=UTC)


def new_job(order: Mapping[str, Any], product: Product, now: datetime) -> Document:
    """A job of our own, with the order's `_id` as its own, so that one order can never get two of them."""
    return {
        "_id": order["_id"],
        "bewertungId": order["_id"],
        "product": product.key.value,
        "status": JobStatus.PENDING.value,
        "priority": "normal",
        "paid": payment_of(order) is Payment.PAID,
        "attempts": 0,
        "maxAttempts": DEFAULT_MAX_ATTEMPTS,
        "failures": {},
        "stage": Stage.PRIMARY.value,
        "fence": 0,
        "createdAt": now,
    }


def adoption(job: Mapping[str, Any], order: Mapping[str, Any], product: Product) -> Document:
    """What a job that the shop inserted lacks, and its figures made usable.

    Whatever the shop's own worker tried before, one attempt is left to ours, and it does not pass the limit.
    """
    limit = _count(job.get("maxAttempts"), least=1, otherwise=DEFAULT_MAX_ATTEMPTS)
    return {
        "status": JobStatus.PENDING.value,
        "product": product.key.value,
        "paid": payment_of(order) is Payment.PAID,
        "attempts": min(_count(job.get("attempts"), least=0, otherwise=0), limit - 1),
        "maxAttempts": limit,
        "failures": {},
        "stage": Stage.PRIMARY.value,
        "fence": 0,
    }


def attempts_of(job: Mapping[str, Any]) -> Attempts:
    failures = job.get("failures")
    counted = failures if isinstance(failures, Mapping) else {}
    return Attempts(
        spent=_count(job.get("attempts"), least=0, otherwise=0),
        limit=_count(job.get("maxAttempts"), least=1, otherwise=DEFAULT_MAX_ATTEMPTS),
        failures={known: _count(counted[known], least=0, otherwise=0) for known in ErrorClass if known in counted},
        stage=Stage.FALLBACK if job.get("stage") == Stage.FALLBACK else Stage.PRIMARY,
    )


def _count(value: object, *, least: int, otherwise: int) -> int:
    """A figure that somebody else may have written, as a double or as no number at all."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return otherwise
    return int(value) if value >= least and value == int(value) else otherwise


def literal(fields: Mapping[str, Any]) -> Document:
    """Values for a pipeline's `$set`, taken as they are: there, a `$` in a text would name a field."""
    return {name: {"$literal": value} for name, value in fields.items()}


def milliseconds(span: timedelta) -> int:
    return round(span.total_seconds() * 1000)
