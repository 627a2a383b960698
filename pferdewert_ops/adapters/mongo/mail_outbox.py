"""`mail_outbox`: every mail is written down here before a provider hears of it; records never expire."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pymongo import ASCENDING, IndexModel, ReturnDocument
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError
from pymongo.write_concern import WriteConcern

from pferdewert_ops.adapters.mongo import documents
from pferdewert_ops.adapters.mongo.documents import Document
from pferdewert_ops.adapters.mongo.evaluation_jobs import failed_update, released
from pferdewert_ops.adapters.mongo.leased import LEASED_INDEXES, Leased, LeasedQueue, Settlement, Update
from pferdewert_ops.domain.failures import ErrorClass
from pferdewert_ops.domain.jobs import GiveUp
from pferdewert_ops.domain.letters import Letter, MailKind
from pferdewert_ops.domain.orders import MailStatus
from pferdewert_ops.operations.ports import (
    ClaimedMail,
    HandedBack,
    MailOutcome,
    Sent,
    Suppressed,
    Uncertain,
    Unsuccessful,
)

INDEXES = [
    *LEASED_INDEXES,
    IndexModel([("status", ASCENDING), ("createdAt", ASCENDING)], name="pwops_listing"),
    IndexModel([("createdAt", ASCENDING)], name="pwops_newest"),
    IndexModel([("sentAt", ASCENDING)], name="pwops_sent", partialFilterExpression={"status": "sent"}),
    IndexModel([("failedAt", ASCENDING)], name="pwops_failed", partialFilterExpression={"status": "failed"}),
]

# A mail that is refused for a passing reason is worth a day of tries: waits grow to half an hour each.
MAX_ATTEMPTS = 40


# Failures after which it is open whether the mail was accepted: the written intent stays.
_SAYS_NOTHING = frozenset({ErrorClass.MAIL_UNKNOWN, ErrorClass.WORKER_LOST, ErrorClass.INTERNAL})


# A newer worker may owe mails of a kind that this one knows nothing of.
_OF_KNOWN_KINDS = {"kind": {"$in": [kind.value for kind in MailKind]}}


class MailQueue:
    """The outbox as the worker sees it."""

    name = "mail"

    def __init__(self, queue: LeasedQueue) -> None:
        self.leased = queue

    def claim(self, most: int) -> list[ClaimedMail]:
        return [_claimed(leased) for leased in self.leased.claim(most, _OF_KNOWN_KINDS)]

    def claim_of(self, order_id: str, most: int) -> list[ClaimedMail]:
        """The claimable mails of one order."""
        ids = [f"{order_id}:{kind}" for kind in MailKind]
        # In an $and, beside the ids that the claim itself names.
        return [_claimed(leased) for leased in self.leased.claim(most, {"$and": [{"_id": {"$in": ids}}]})]

    def settle(self, outcomes: Sequence[tuple[ClaimedMail, MailOutcome]], *, expired: bool = False) -> set[str]:
        """Write each outcome under its fence; returns the ids of mails that somebody else owns by now."""
        writes = [Settlement(leased=mail.handle, update=_update(mail, outcome)) for mail, outcome in outcomes]
        return {str(identity) for identity in self.leased.settle(writes, expired=expired)}

    def expired(self, most: int) -> list[ClaimedMail]:
        return [_claimed(leased) for leased in self.leased.expired(most) if leased.document["kind"] in tuple(MailKind)]


class MongoMails:
    """The outbox as records, and the written intent before a hand-over."""

    def __init__(self, database: Database[Document]) -> None:
        self._mails = database[documents.MAILS].with_options(write_concern=WriteConcern("majority"))

    def owe(self, order_id: str, kind: MailKind, *, with_bcc: bool = False) -> bool:
        """Write down that the order is owed this mail; False if that is on record already."""
        try:
            self._mails.insert_one(
                {
                    "_id": f"{order_id}:{kind}",
                    "orderId": documents.shop_id(order_id),
                    "kind": kind.value,
                    "key": f"pwops:{order_id}:{kind}",
                    "withBcc": with_bcc,
                    "status": MailStatus.PENDING.value,
                    "paid": True,
                    "attempts": 0,
                    "maxAttempts": MAX_ATTEMPTS,
                    "failures": {},
                    "fence": 0,
                    "createdAt": datetime.now(UTC),
                }
            )
        except DuplicateKeyError:
            return False
        return True

    def mark_handed_over(self, mail: ClaimedMail, letter: Letter, transport: str) -> datetime | None:
        """Store what is about to be handed over, and since when; None if the claim was lost.

        The first letter and time stay: a repeated hand-over has to be the same to the byte.
        """
        stored = {
            "kind": letter.kind.value,
            "order_id": letter.order_id,
            "to": list(letter.to),
            "subject": letter.subject,
            "html": letter.html,
            "text": letter.text,
            "bcc": list(letter.bcc),
        }
        marked = self._mails.find_one_and_update(
            {"_id": mail.id, "fence": mail.fence, "status": MailStatus.PROCESSING.value},
            [
                {
                    "$set": {
                        "letter": {"$ifNull": ["$letter", {"$literal": stored}]},
                        "transport": {"$ifNull": ["$transport", transport]},
                        "handedOverAt": {"$ifNull": ["$handedOverAt", "$$NOW"]},
                    }
                }
            ],
            projection={"handedOverAt": 1},
            return_document=ReturnDocument.AFTER,
        )
        return None if marked is None else marked["handedOverAt"]

    def resolve(self, mail_id: str, *, sent: bool, actor: str) -> bool:
        """A person has looked: an uncertain or failed mail was sent after all, or is to be sent anew."""
        event = {"at": "$$NOW", "event": "resolved_sent" if sent else "resolved_resend", "actor": {"$literal": actor}}
        history = {"$concatArrays": [{"$cond": [{"$isArray": "$history"}, "$history", []]}, [event]]}
        changes: Document = {"history": history}
        gone = ["error", "leaseUntil", "claimToken"]
        if sent:
            changes |= {"status": MailStatus.SENT.value, "sentAt": {"$ifNull": ["$handedOverAt", "$$NOW"]}}
        else:
            # A new key: the old one could make the provider answer with the mail that never arrived.
            changes |= {
                "status": MailStatus.PENDING.value,
                "attempts": 0,
                "failures": {"$literal": {}},
                "scheduledAt": "$$NOW",
                "resends": {"$add": [{"$ifNull": ["$resends", 0]}, 1]},
                "key": {"$concat": ["pwops:", "$_id", ":", {"$toString": {"$add": [{"$ifNull": ["$resends", 0]}, 1]}}]},
            }
            gone += ["rank", "letter", "transport", "handedOverAt"]
        open_states = [MailStatus.UNCERTAIN.value, MailStatus.FAILED.value, MailStatus.SUPPRESSED.value]
        written = self._mails.update_one(
            {"_id": mail_id, "status": {"$in": open_states}}, [{"$set": changes}, {"$unset": gone}]
        )
        return written.modified_count == 1


def _claimed(leased: Leased) -> ClaimedMail:
    document = leased.document
    return ClaimedMail(
        handle=leased,
        id=str(leased.id),
        order_id=str(document["orderId"]),
        kind=MailKind(document["kind"]),
        attempts=documents.attempts_of(document),
        fence=leased.fence,
        key=str(document["key"]),
        with_bcc=document.get("withBcc") is True,
        transport=document.get("transport"),
        letter=_letter(document.get("letter")),
        handed_over_at=document.get("handedOverAt"),
    )


def _letter(stored: Mapping[str, Any] | None) -> Letter | None:
    if stored is None:
        return None
    return Letter(
        kind=MailKind(stored["kind"]),
        order_id=stored["order_id"],
        to=tuple(stored["to"]),
        subject=stored["subject"],
        html=stored["html"],
        text=stored["text"],
        bcc=tuple(stored["bcc"]),
    )


def _update(mail: ClaimedMail, outcome: MailOutcome) -> Update:
    match outcome:
        case Sent():
            return {
                "$set": {
                    "status": MailStatus.SENT.value,
                    "providerId": outcome.provider_id,
                    "transport": outcome.transport,
                },
                "$currentDate": {"sentAt": True},
                "$unset": dict.fromkeys(("leaseUntil", "claimToken", "rank", "error"), ""),
            }
        case Uncertain():
            return _closed(MailStatus.UNCERTAIN, outcome.code)
        case Suppressed():
            return _closed(MailStatus.SUPPRESSED, outcome.reason)
        case HandedBack():
            return released(outcome.wait)
        case Unsuccessful():
            update = failed_update(outcome, fence=mail.fence)
            if outcome.failure.error_class in _SAYS_NOTHING:
                return [*update, _IN_DOUBT] if isinstance(outcome.after, GiveUp) else update
            # The provider certainly has not got it: the next hand-over is a first one again.
            return [*update, {"$unset": ["letter", "transport", "handedOverAt"]}]


# Given up after a hand-over that nobody answered: who reads `failed` would send it again.
_IN_DOUBT = {
    "$set": {
        "status": {
            "$cond": [
                {"$eq": [{"$type": "$handedOverAt"}, "date"]},
                MailStatus.UNCERTAIN.value,
                MailStatus.FAILED.value,
            ]
        }
    }
}


def _closed(status: MailStatus, code: str) -> Update:
    return {
        "$set": {"status": status.value, "error": {"code": code}},
        "$currentDate": {"closedAt": True},
        "$unset": dict.fromkeys(("leaseUntil", "claimToken", "rank"), ""),
    }
