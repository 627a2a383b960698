"""What must hold of an order whatever went wrong on its way, for the tests of this folder and of tests/worker."""

from collections import Counter
from typing import Any

from bson import ObjectId

from pferdewert_ops.sandbox.anthropic_journal import Entry
from tests.harness import Document, ShopFloor

COLLECTIONS = ("bewertungen", "wertgutachten")
OWN = ("evaluation_jobs", "mail_outbox", "ops_certificates", "counters")


def marked_order(floor: ShopFloor, collection: str = "bewertungen", **changes: Any) -> str:
    """An order whose model calls can be told from all others: its pedigree names it."""
    identity = ObjectId()
    return floor.order(collection=collection, **{"_id": identity, "abstammung": f"von Zeuge {identity}", **changes})


def calls_of(floor: ShopFloor, order_id: str) -> list[Entry]:
    """The model calls that were made for a marked order."""
    return [entry for entry in floor.model.journal.entries() if f"von Zeuge {order_id}" in entry.prompt]


def collection_of(floor: ShopFloor, order_id: str) -> str:
    return next(name for name in COLLECTIONS if floor.database[name].find_one({"_id": ObjectId(order_id)}) is not None)


def losses(record: Document) -> int:
    """How often a worker was lost with this job or mail in hand."""
    return sum(event.get("class") == "worker_lost" for event in record.get("history", []))


def check_delivered(floor: ShopFloor, order_id: str) -> None:
    """One result, that of its one job; one number on a certificate; every call within the attempts."""
    collection = collection_of(floor, order_id)
    order, job = floor.document(order_id, collection), floor.job(order_id)
    assert job["status"] == "completed"
    assert order["status"] == "fertig"
    assert (order["jobId"], order["completedAt"]) == (job["_id"], job["completedAt"])
    if collection == "bewertungen":
        assert order["bewertung"] == job["result"]["value"]
        assert "Preisspanne" in order["bewertung"]
    else:
        assert order["zertifikat_data"] == job["result"]["value"]
        number = floor.database.ops_certificates.find_one({"_id": order_id})
        assert number is not None
        assert order["zertifikatNummer"] == number["number"]
    assert len(calls_of(floor, order_id)) <= job["attempts"] <= job["maxAttempts"]
    booked = floor.database.ops_spend.count_documents({"_id": {"$regex": f"^{job['_id']}:"}})
    assert booked <= job["attempts"]
    fences = [event["fence"] for event in job.get("history", []) if "fence" in event]
    assert fences == sorted(set(fences))
    assert all(fence < job["fence"] for fence in fences)
    assert not {"leaseUntil", "claimToken", "progress"} & set(job)


def check_mailed_once(floor: ShopFloor, order_id: str, *kinds: str) -> None:
    """Each of these mails was accepted once, no other was, and the outbox knows the provider's id."""
    accepted = [mail for mail in floor.mail.mailbox.mails() if order_id in mail.text + mail.html]
    assert Counter(mail.kind for mail in accepted) == dict.fromkeys(kinds or ("result",), 1)
    for mail in accepted:
        record = floor.mail_record(order_id, str(mail.kind))
        assert record is not None
        assert (record["status"], record["providerId"]) == ("sent", mail.provider_id)


def check_nothing_is_held(floor: ShopFloor) -> None:
    for name in ("evaluation_jobs", "mail_outbox"):
        assert floor.database[name].count_documents({"status": "processing"}) == 0


def snapshot(floor: ShopFloor) -> dict[str, list[Document]]:
    """Every document of the shop's and of ours that an order's way leaves behind."""
    return {name: list(floor.database[name].find().sort("_id")) for name in (*COLLECTIONS, *OWN)}


def move_waits_back(floor: ShopFloor) -> list[float]:
    """Let what waits for its next attempt be due now; returns how many seconds each had left."""
    waits: list[float] = []
    for name in ("evaluation_jobs", "mail_outbox"):
        waiting = {"status": "pending", "$expr": {"$gt": ["$scheduledAt", "$$NOW"]}}
        left = {"left": {"$divide": [{"$subtract": ["$scheduledAt", "$$NOW"]}, 1000]}}
        with floor.database[name].aggregate([{"$match": waiting}, {"$project": left}]) as found:
            waits += [document["left"] for document in found]
        floor.database[name].update_many(waiting, [{"$set": {"scheduledAt": "$$NOW"}}])
    return waits
