"""Every kind of order that the demonstration plays: what the shop wrote, what goes wrong, where it must end."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any

from pferdewert_ops.domain.failures import ErrorClass
from pferdewert_ops.domain.jobs import CancelReason, JobStatus
from pferdewert_ops.domain.letters import MailKind
from pferdewert_ops.domain.orders import MailStatus, Payment, Why
from pferdewert_ops.domain.products import BEWERTUNG, WERTGUTACHTEN, Country, Product
from pferdewert_ops.sandbox.anthropic_rules import Fault as ModelFault
from pferdewert_ops.sandbox.demo.fates import (
    SENT,
    Expectation,
    ExpectedJob,
    ExpectedMail,
    Fate,
    cancelled,
    left_alone,
    settled,
)
from pferdewert_ops.sandbox.mailbox import Fault as MailFault


class JobShape(StrEnum):
    """A job as the shop's checkout inserts it."""

    PLAIN = "plain"
    TEXT_REFERENCE = "text_reference"  # `bewertungId` is the text of the id
    PREMIUM = "premium"


class Stored(StrEnum):
    """What stands in the document as a result before the demonstration begins."""

    NOTHING = "nothing"
    PLACEHOLDER = "placeholder"
    BLANK = "blank"
    INCOMPLETE = "incomplete"
    VALID = "valid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind. `age` and `paid_ago` count back from the start; `payment` None is the old flow, which never says.

    `pays`: the customer pays while the demonstration runs. `once`: at most one such order, because its fault would
    feed the breaker or needs the stage for itself. `dies`: the worker that holds it is killed.
    """

    words: str
    expectation: Expectation
    product: Product = BEWERTUNG
    country: Country = Country.DE
    age: timedelta = timedelta(minutes=5)
    payment: Payment | None = Payment.PAID
    paid_ago: timedelta = timedelta(minutes=4)
    jobs: tuple[JobShape, ...] = (JobShape.PLAIN,)
    stored: Stored = Stored.NOTHING
    old_form: bool = False
    changes: Mapping[str, Any] = field(default_factory=dict)
    model_faults: tuple[ModelFault, ...] = ()
    mail_fault: MailFault | None = None
    pays: bool = False
    once: bool = False
    dies: bool = False


NO_ADDRESS: Mapping[str, Any] = {"customer_email": None, "customer_name": None}
# Long enough ago that the customer is owed a word about it, and not so long that the order counts as a stranger.
LATE = timedelta(minutes=25)

_MAIL_FAILED = Expectation(
    fate=Fate.UNMAILED,
    jobs=(ExpectedJob(failures=(ErrorClass.INVALID_OUTPUT,)),),
    delivered=True,
    mails={
        **SENT,
        MailKind.RESULT: ExpectedMail(status=MailStatus.FAILED, failures=(ErrorClass.MAIL_REFUSED,)),
    },
    findings=frozenset({Why.MAIL_FAILED}),
)
_UNMAILABLE = Expectation(
    fate=Fate.UNMAILED,
    jobs=(ExpectedJob(),),
    delivered=True,
    findings=frozenset({Why.NO_ADDRESS}),
)
_TWO_JOBS = Expectation(
    fate=Fate.SETTLED,
    jobs=(ExpectedJob(), ExpectedJob(status=JobStatus.CANCELLED, cancelled_for=CancelReason.DUPLICATE)),
    delivered=True,
    mails=SENT,
)
_BAD_INPUT = Expectation(
    fate=Fate.HUMAN,
    jobs=(ExpectedJob(status=JobStatus.FAILED, failures=(ErrorClass.BAD_INPUT,)),),
    # That it failed, and the one field that is to blame.
    findings=frozenset({Why.EVALUATION_FAILED, ErrorClass.BAD_INPUT}),
)

# The most telling ones first: a short demonstration takes them from the top.
KINDS: tuple[Kind, ...] = (
    Kind(
        words="paid; its worker is killed",
        model_faults=(ModelFault.STALL,),
        dies=True,
        once=True,
        expectation=settled(ErrorClass.WORKER_LOST),
    ),
    Kind(
        words="paid; the job names it as text",
        product=WERTGUTACHTEN,
        country=Country.AT,
        jobs=(JobShape.TEXT_REFERENCE,),
        expectation=settled(),
    ),
    Kind(words="paid; the shop made no job", country=Country.CH, jobs=(), expectation=settled()),
    Kind(
        words="paid; got the placeholder as result",
        jobs=(),
        stored=Stored.PLACEHOLDER,
        expectation=settled(),
    ),
    Kind(words="unpaid; pays in the middle", payment=Payment.PENDING, pays=True, expectation=settled()),
    Kind(
        words="unpaid; never pays",
        country=Country.CH,
        payment=Payment.PENDING,
        expectation=Expectation(fate=Fate.EVALUATED, jobs=(ExpectedJob(),)),
    ),
    Kind(
        words="old flow: nothing says whether it is paid",
        age=timedelta(hours=3),
        payment=None,
        jobs=(),
        old_form=True,
        expectation=left_alone(Fate.RECONCILE),
    ),
    Kind(
        words="paid 40 days ago, before the horizon",
        age=timedelta(days=40, minutes=2),
        paid_ago=timedelta(days=40),
        stored=Stored.PLACEHOLDER,
        old_form=True,
        expectation=left_alone(Fate.UNTOUCHED, ExpectedJob(status=JobStatus.PENDING)),
    ),
    Kind(words="paid; Stockmaß 0", changes={"stockmass": 0}, expectation=_BAD_INPUT),
    Kind(
        words="paid; the model refuses twice",
        country=Country.AT,
        model_faults=(ModelFault.REFUSAL, ModelFault.REFUSAL),
        expectation=settled(ErrorClass.REFUSAL, ErrorClass.REFUSAL, by_fallback=True),
    ),
    Kind(
        words="pays later; truncated; mail line drops",
        product=WERTGUTACHTEN,
        payment=Payment.PENDING,
        pays=True,
        once=True,
        model_faults=(ModelFault.MAX_TOKENS,),
        mail_fault=MailFault.DIE_AFTER,
        expectation=settled(ErrorClass.TRUNCATED, result=ExpectedMail(failures=(ErrorClass.MAIL_UNKNOWN,))),
    ),
    Kind(
        words="pays later; in English; mail refused for good",
        country=Country.AT,
        payment=Payment.PENDING,
        pays=True,
        once=True,
        model_faults=(ModelFault.ENGLISH,),
        mail_fault=MailFault.REFUSE,
        expectation=_MAIL_FAILED,
    ),
    Kind(
        words="pays later; cut mid-stream; mail refused once",
        country=Country.CH,
        payment=Payment.PENDING,
        pays=True,
        once=True,
        model_faults=(ModelFault.CUT,),
        mail_fault=MailFault.RATE_LIMIT,
        expectation=settled(ErrorClass.NETWORK_ERROR, result=ExpectedMail(failures=(ErrorClass.RATE_LIMITED,))),
    ),
    Kind(
        words="paid; numbers as text; the model says 429",
        old_form=True,
        model_faults=(ModelFault.RATE_LIMITED,),
        once=True,
        expectation=settled(ErrorClass.RATE_LIMITED),
    ),
    Kind(
        words="paid; the model says 529",
        country=Country.AT,
        model_faults=(ModelFault.OVERLOADED,),
        once=True,
        expectation=settled(ErrorClass.OVERLOADED),
    ),
    Kind(
        words="paid 25 min ago; the model writes garbage",
        product=WERTGUTACHTEN,
        age=LATE + timedelta(minutes=2),
        paid_ago=LATE,
        model_faults=(ModelFault.GARBAGE,),
        expectation=settled(ErrorClass.INVALID_OUTPUT, delay=ExpectedMail()),
    ),
    Kind(
        words="paid; the certificate is incomplete",
        product=WERTGUTACHTEN,
        country=Country.CH,
        jobs=(),
        stored=Stored.INCOMPLETE,
        expectation=settled(),
    ),
    Kind(
        words="paid; blank result, no e-mail address",
        country=Country.AT,
        jobs=(),
        stored=Stored.BLANK,
        changes=NO_ADDRESS,
        expectation=Expectation(
            fate=Fate.UNMAILED, jobs=(ExpectedJob(),), delivered=True, findings=frozenset({Why.NO_ADDRESS})
        ),
    ),
    Kind(
        words="paid; the shop has delivered it",
        age=timedelta(minutes=52),
        paid_ago=timedelta(minutes=50),
        stored=Stored.VALID,
        expectation=cancelled(CancelReason.ALREADY_DELIVERED, Why.DELIVERED_ELSEWHERE),
    ),
    Kind(
        words="the payment failed",
        payment=Payment.FAILED,
        expectation=cancelled(CancelReason.PAYMENT_FAILED),
    ),
    Kind(
        words="cancelled at checkout",
        product=WERTGUTACHTEN,
        country=Country.AT,
        payment=Payment.CANCELLED,
        expectation=cancelled(CancelReason.PAYMENT_FAILED),
    ),
    Kind(
        words="paid and refunded",
        age=timedelta(hours=3),
        paid_ago=timedelta(hours=2),
        changes={"refundedAt": timedelta(hours=1)},
        expectation=cancelled(CancelReason.NO_LONGER_OWED),
    ),
    Kind(words="paid; two jobs", jobs=(JobShape.PLAIN, JobShape.PLAIN), expectation=_TWO_JOBS),
    Kind(words="paid; premium", country=Country.CH, jobs=(JobShape.PREMIUM,), expectation=settled()),
)
