"""What the two lanes serve: how each claims, handles, settles and follows up."""

from pferdewert_ops.adapters.mongo.evaluation_jobs import EvaluationQueue
from pferdewert_ops.adapters.mongo.mail_outbox import MailQueue
from pferdewert_ops.domain.failures import MAIL_POLICIES, POLICIES, ErrorClass
from pferdewert_ops.domain.jobs import Failure, GiveUp, after_failure
from pferdewert_ops.domain.letters import MailKind
from pferdewert_ops.operations.ports import (
    Cancelled,
    ClaimedJob,
    ClaimedMail,
    Completed,
    HandedBack,
    JobOutcome,
    MailOutcome,
    MailTransport,
    Sent,
    Suppressed,
    Uncertain,
    Unsuccessful,
    Watch,
)
from pferdewert_ops.wiring import Shop
from pferdewert_ops.worker.gates import EvaluationGate, LimitsGate
from pferdewert_ops.worker.lane import Service

# Subjects of findings that are about a service and not about an order; they end when it works again.
MODEL, MAIL = "model", "mail"


def evaluation_service(shop: Shop, queue: EvaluationQueue, gate: EvaluationGate) -> Service[ClaimedJob, JobOutcome]:
    """Evaluate; once the result is stored, deliver and mail, or tell a human."""
    evaluate = shop.evaluate_order()
    extended = shop.settings.statuses == "extended"

    def crashed(job: ClaimedJob, error: BaseException) -> JobOutcome:
        return evaluate.failed(job, Failure(error_class=ErrorClass.INTERNAL, code=type(error).__name__))

    def after(job: ClaimedJob, outcome: JobOutcome) -> None:
        shop.failpoints.reach("finished")
        tell_job(shop, job, outcome)
        if extended:
            _show_status(shop, job, outcome)
        if isinstance(outcome, Completed | Cancelled | Unsuccessful):
            shop.advance.order(job.order_id)

    def handle(job: ClaimedJob, watch: Watch) -> JobOutcome:
        if extended:
            shop.orders.show_status(job.order_id, "in_bearbeitung")
        return evaluate(job, watch)

    return Service(
        name="evaluation",
        queue=queue.leased,
        gate=gate,
        claim=lambda most: queue.claim(most, paid_only=gate.paid_only),
        handle=handle,
        settle=queue.settle,
        crashed=crashed,
        after=after,
    )


def mail_service(
    shop: Shop, queue: MailQueue, gate: LimitsGate, transport: MailTransport
) -> Service[ClaimedMail, MailOutcome]:
    """Send; what needs a person becomes a finding."""
    send = shop.send_mail(transport)

    def crashed(mail: ClaimedMail, error: BaseException) -> MailOutcome:
        failure = Failure(error_class=ErrorClass.INTERNAL, code=type(error).__name__)
        after = after_failure(mail.attempts, failure, jitter=0.5, fallback=False, policies=MAIL_POLICIES)
        return Unsuccessful(failure=failure, after=after)

    def after(mail: ClaimedMail, outcome: MailOutcome) -> None:
        shop.failpoints.reach("mail_recorded")
        tell_mail(shop, mail, outcome)

    return Service(
        name="mail",
        queue=queue.leased,
        gate=gate,
        claim=queue.claim,
        handle=send,
        settle=queue.settle,
        crashed=crashed,
        after=after,
    )


def tell_job(shop: Shop, job: ClaimedJob, outcome: JobOutcome) -> None:
    """One event for one outcome; a failure that a human has to know of at once becomes a finding."""
    fields = {"job": job.id, "order": job.order_id, "fence": job.fence, "attempt": job.attempts.spent}
    match outcome:
        case Completed():
            shop.findings.close_subject(MODEL)
            shop.tell("evaluated", **fields, seconds=round(outcome.seconds, 1), micro_eur=outcome.cost_micro)
        case Cancelled():
            shop.tell("job_cancelled", **fields, reason=outcome.reason.value)
        case HandedBack():
            shop.tell("handed_back", **fields)
        case Unsuccessful():
            failure = outcome.failure
            verb = "job_failed" if isinstance(outcome.after, GiveUp) else "attempt_failed"
            shop.tell(verb, **fields, error_class=failure.error_class.value, code=failure.code)
            if failure.error_class is ErrorClass.BAD_INPUT:
                shop.findings.open(failure.error_class.value, job.order_id, failure.code)
            elif POLICIES[failure.error_class].tells_human and not isinstance(outcome.after, GiveUp):
                shop.findings.open(failure.error_class.value, MODEL, failure.code)


def tell_mail(shop: Shop, mail: ClaimedMail, outcome: MailOutcome) -> None:
    """One event for one outcome.

    The order's own findings are about its result mail, and surveys close them; those about another mail name it.
    """
    subject = mail.order_id if mail.kind is MailKind.RESULT else mail.id
    fields = {"mail": mail.id, "fence": mail.fence, "attempt": mail.attempts.spent}
    match outcome:
        case Sent():
            shop.tell("mail_sent", **fields, transport=outcome.transport)
            shop.findings.close_subject(MAIL)
            # With the result in hand nobody has to be told any more that it takes longer.
            settled = {subject, f"{mail.order_id}:delay"} if mail.kind is MailKind.RESULT else {subject}
            for kind in ("mail_uncertain", "mail_failed"):
                for each in settled:
                    shop.findings.close(kind, each)
        case Uncertain():
            shop.tell("mail_uncertain", **fields, code=outcome.code)
            shop.findings.open("mail_uncertain", subject, outcome.code)
        case Suppressed():
            shop.tell("mail_suppressed", **fields, reason=outcome.reason)
        case HandedBack():
            shop.tell("mail_handed_back", **fields)
        case Unsuccessful():
            failure = outcome.failure
            gave_up = isinstance(outcome.after, GiveUp)
            verb = "mail_failed" if gave_up else "mail_attempt_failed"
            shop.tell(verb, **fields, error_class=failure.error_class.value, code=failure.code)
            if gave_up:
                shop.findings.open("mail_failed", subject, failure.code)
            elif MAIL_POLICIES[failure.error_class].tells_human:
                shop.findings.open(failure.error_class.value, MAIL, failure.code)


def _show_status(shop: Shop, job: ClaimedJob, outcome: JobOutcome) -> None:
    """The shop's newer words for where an undelivered order stands, where its pages know them."""
    if not isinstance(outcome, Unsuccessful):
        return
    if not isinstance(outcome.after, GiveUp):
        word = "retry"
    else:
        word = "timeout" if outcome.failure.error_class is ErrorClass.AI_TIMEOUT else "fehler"
    shop.orders.show_status(job.order_id, word)
