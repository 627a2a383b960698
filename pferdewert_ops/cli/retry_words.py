"""A retry in words: what is done and why, or why not."""

from typing import TYPE_CHECKING

from pferdewert_ops.cli.steps import sentence_of

if TYPE_CHECKING:
    from pferdewert_ops.operations.retry import Outcome
    from pferdewert_ops.operations.retry_plan import Judged

_REFUSALS = {
    "settled": "it is delivered and mailed",
    "delivered_elsewhere": (
        "it shows a valid result that is not of this program's making; whether its customer was mailed only the mail "
        "provider's list tells"
    ),
    "queued": "it is waiting for a worker already (--now runs it here)",
    "mail_queued": "it is delivered and its mail is waiting to be sent (--now sends it)",
    "running": "it is being evaluated",
    "refunded": "it was refunded",
    "payment_failed": "its payment failed",
    "delivered_never_paid": "its payment failed, after it was delivered",
    "never_paid": "it was never paid and is too old to be paid now; if Stripe says that it is paid, add --paid",
    "awaits_payment": "it is not paid yet; if Stripe says that it is, add --paid",
    "payment_unknown": (
        "the order does not say whether it was paid: look it up in Stripe, and if it is paid, add --paid, which stores "
        "that in your name"
    ),
    "no_address": "it is delivered, and no usable mail address is on record",
}

# By treatment, then by why it is needed.
_INTENTS = {
    "make_job": "gets a job: it is paid and had none",
    "finish": "is delivered and mailed: its result is there",
    "send_mail": "its mail is queued anew: it had failed and certainly never left",
}
_RESTARTS = {
    "evaluation_failed": "starts anew: its evaluation had come to nothing",
    "cancelled": "starts anew: its job had been cancelled",
    "running": "starts anew: its worker is gone",
    "before_horizon": "starts anew: nobody would have taken it over, for its age",
    "awaits_payment": "starts anew: its job was completed without a usable result",
}


def refusal_of(judged: "Judged") -> str:
    """Why this order is left alone."""
    why = judged.plan.why.value
    if why == "mail_uncertain":
        mail = f"{judged.order.view.order_id}:result"
        return f"its mail may have gone out: look it up, then pwops mails resolve {mail} --sent or --resend"
    return _REFUSALS.get(why, "it is changing at this very moment; try again")


def intent_of(judged: "Judged", outcome: "Outcome | None") -> str:
    """What is done for this order and why, with what else the operator should know."""
    treatment = judged.plan.treatment
    if treatment is None:
        return f"somebody else was faster: it {_REFUSALS.get(judged.plan.why.value, '').removeprefix('it ')}"
    why = judged.plan.why.value
    known = _INTENTS.get(treatment.value)
    words = _RESTARTS.get(why, "starts anew") if known is None else known
    if judged.pays:
        words += "; stored as paid on your word"
    if not judged.order.view.taken_in:
        words += "; taken in although older than the horizon"
    if judged.order.address is None:
        words += "; no usable mail address is on record, so it will be delivered and not mailed"
    if outcome is not None and treatment.value == "finish" and outcome.rests is not None:
        words = f"was finished: {sentence_of(outcome.rests)}"
    return words
