"""What an order is owed next, in words, and the command to type where that is a person's turn."""

from typing import TYPE_CHECKING

from pferdewert_ops.cli.output import local_time

if TYPE_CHECKING:
    from pferdewert_ops.domain.orders import Step
    from pferdewert_ops.wiring import Shop

# One sentence for each reason of the central rule; the words are those of its closed set.
_SENTENCES = {
    "before_horizon": "older than the horizon: nothing happens unasked",
    "payment_unknown": "the order does not say whether it was paid; Stripe has to be asked",
    "awaits_payment": "not paid yet",
    "never_paid": "never paid, and too old to be paid now: nothing is owed",
    "refunded": "refunded: nothing is owed",
    "payment_failed": "its payment failed: nothing is owed",
    "delivered_never_paid": "delivered and mailed, and its payment failed",
    "paid": "paid: a worker takes it next",
    "queued": "waits for a worker",
    "running": "is being evaluated",
    "result_ready": "evaluated: delivered by the next pass",
    "delivered": "delivered: its mail is owed by the next pass",
    "delivered_elsewhere": "shows a result of somebody else's; only the mail provider knows whether it was mailed",
    "late": "late: the customer is told by the next pass",
    "mail_queued": "delivered; its mail waits to be sent",
    "mail_uncertain": "delivered; whether its mail went out only the mail provider's list tells",
    "mail_failed": "delivered; its mail could not be sent",
    "no_address": "delivered; no mail address is on record",
    "evaluation_failed": "its evaluation failed and is not tried again by itself",
    "cancelled": "its job was cancelled",
    "settled": "delivered and mailed: done",
}


def sentence_of(step: "Step") -> str:
    """Where the order stands, with the time at which a wait ends by itself."""
    known = _SENTENCES.get(step.why.value, step.why.value)
    return known if step.until is None else f"{known}; given up at {local_time(step.until)}"


def command_of(step: "Step", order_id: str) -> str | None:
    """What an operator may type next; None where the toolkit goes on by itself or nothing can be done."""
    match step.why.value:
        case "evaluation_failed" | "cancelled" | "mail_failed":
            return f"pwops retry {order_id}"
        case "before_horizon":
            return f"pwops retry {order_id} --dry-run"
        case "payment_unknown":
            return f"pwops retry {order_id} --paid"
        case "mail_uncertain":
            return f"pwops mails resolve {order_id}:result --sent|--resend"
        case "queued" | "paid":
            return f"pwops retry {order_id} --now"
        case _:
            return None


def held_by(shop: "Shop", *, paid: bool) -> tuple[str, str] | None:
    """What keeps a waiting order from being evaluated though its turn has come, and the command; None if nothing does.

    The one reason that has to end first. To move the order forward in its queue would help against none of them.
    """
    from pferdewert_ops.adapters.mongo.documents import FINDINGS
    from pferdewert_ops.operations.overview import ALL_WAIT

    if "evaluation" in shop.fleet.paused():
        return "waits: the evaluation queue is paused", "pwops queue resume evaluation"
    budget = shop.database[FINDINGS].find_one({"_id": "model_budget:today", "state": "open"})
    if budget is not None and (not paid or budget["detail"] == ALL_WAIT):
        return "waits for the day's model budget, until midnight UTC at most", "pwops status"
    # The second model is for payers.
    models = [shop.models.primary, *([shop.models.fallback] if paid and shop.models.fallback else [])]
    if all(shop.circuits.places(f"model:{model}") <= 0 for model in models):
        return "waits: the model fails and is not asked; its breaker tries again by itself", "pwops doctor --deep"
    return None


def masked(address: str | None) -> str | None:
    """Enough of an address to recognise it by: `m•••@•••.de`."""
    if address is None:
        return None
    local, _, domain = address.rpartition("@")
    return f"{local[:1]}•••@•••.{domain.rpartition('.')[2]}"
