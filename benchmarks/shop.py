"""What the shop's checkout writes: an order that is being paid, and its job."""

from datetime import UTC, datetime
from typing import Any

from bson import ObjectId

Document = dict[str, Any]

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


def new_order() -> Document:
    """The order of a customer who has not paid yet."""
    return {
        "_id": ObjectId(),
        **HORSE,
        "status": "offen",
        "stripeSessionId": f"cs_test_{ObjectId()}",
        "erstellt": datetime.now(UTC),
        "paymentStatus": "pending",
        "customer_email": "kundin@example.org",
    }


def new_job(order_id: ObjectId) -> Document:
    """Its job: no rank, no fence."""
    return {
        "_id": ObjectId(),
        "bewertungId": order_id,
        "horseData": dict(HORSE),
        "status": "pending",
        "priority": "normal",
        "attempts": 0,
        "maxAttempts": 5,
        "scheduledAt": datetime.now(UTC),
    }
