"""Send one claimed mail: check that it is still owed, write down the hand-over, hand over, judge the answer."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pferdewert_ops.domain.failures import MAIL_POLICIES, ErrorClass
from pferdewert_ops.domain.jobs import Failure, GiveUp, after_failure
from pferdewert_ops.domain.letters import (
    Accepted,
    Letter,
    MailKind,
    Refused,
    Unknown,
    delay_letter,
    operator_notice,
    result_letter,
    seen_after_unknown,
)
from pferdewert_ops.domain.orders import Delivery, MailStatus, Payment
from pferdewert_ops.operations.ports import (
    ClaimedMail,
    Clock,
    Failpoints,
    HandedBack,
    MailHandovers,
    MailOutcome,
    MailTransport,
    Order,
    Orders,
    Sent,
    Suppressed,
    Uncertain,
    Unsuccessful,
    Watch,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailing:
    """Who gets what: the shop's address for links, the operators' addresses, and a blind copy of first results."""

    shop_url: str
    operators: Sequence[str] = ()
    bcc: str | None = None


class SendMail:
    """The handler of the mail queue: a claimed mail in, its outcome out."""

    def __init__(
        self,
        *,
        orders: Orders,
        handovers: MailHandovers,
        transport: MailTransport,
        clock: Clock,
        failpoints: Failpoints,
        mailing: Mailing,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._orders = orders
        self._handovers = handovers
        self._transport = transport
        self._clock = clock
        self._failpoints = failpoints
        self._mailing = mailing
        self._jitter = jitter

    def __call__(self, mail: ClaimedMail, watch: Watch) -> MailOutcome:
        self._failpoints.reach("mail_claimed")
        if mail.handed_over_at is None:
            order = self._orders.find(mail.order_id)
            letter = self._letter(mail, order)
            if not isinstance(letter, Letter):
                return letter
        elif mail.letter is None or not self._may_repeat(mail):
            return Uncertain(code="handed_over_and_never_answered")
        else:
            letter = mail.letter
        if watch.cancelled():
            return HandedBack()
        return self._hand_over(mail, letter)

    def _may_repeat(self, mail: ClaimedMail) -> bool:
        assert mail.handed_over_at is not None, "asked only of a mail that was handed over"  # noqa: S101
        same = mail.transport == self._transport.name
        return same and self._transport.repeatable(mail.handed_over_at, self._clock.now())

    def _hand_over(self, mail: ClaimedMail, letter: Letter) -> MailOutcome:
        marked = self._handovers.mark_handed_over(mail, letter, self._transport.name)
        if marked is None:
            return HandedBack()  # the claim was lost: settling it will find so and change nothing
        self._failpoints.reach("mail_marked")
        answer = self._transport.hand_over(letter, key=mail.key)
        self._failpoints.reach("mail_handed_over")
        if mail.handed_over_at is not None:
            answer = seen_after_unknown(answer)
        match answer:
            case Accepted():
                return Sent(provider_id=answer.provider_id, transport=self._transport.name)
            case Unknown():
                if answer.final or not self._transport.repeatable(marked, self._clock.now()):
                    return Uncertain(code=answer.code)
                unknown = Failure(error_class=ErrorClass.MAIL_UNKNOWN, code=answer.code, retry_after=answer.retry_after)
                return self._failed(mail, unknown)
            case Refused():
                return self._refused(mail, answer)

    def _refused(self, mail: ClaimedMail, answer: Refused) -> MailOutcome:
        error_class = ErrorClass.MAIL_REFUSED if answer.permanent else answer.error_class
        failure = Failure(error_class=error_class, code=answer.code, retry_after=answer.retry_after)
        return self._failed(mail, failure)

    def _failed(self, mail: ClaimedMail, failure: Failure) -> MailOutcome:
        after = after_failure(mail.attempts, failure, jitter=self._jitter(), fallback=False, policies=MAIL_POLICIES)
        if isinstance(after, GiveUp) and failure.error_class is ErrorClass.MAIL_UNKNOWN:
            return Uncertain(code=failure.code)
        return Unsuccessful(failure=failure, after=after)

    # --- what to say -----------------------------------------------------------------------------------------

    def _letter(self, mail: ClaimedMail, order: Order | None) -> Letter | MailOutcome:
        """The letter that is owed by the facts of this moment, or why there is none."""
        if order is None:
            return Suppressed(reason="order_missing")
        if not order.view.taken_in:
            return Suppressed(reason="before_horizon")
        if order.view.payment is not Payment.PAID:
            return Suppressed(reason="not_paid")
        match mail.kind:
            case MailKind.DELAY:
                return self._delay(order)
            case MailKind.RESULT:
                return self._result(mail, order)
            case MailKind.OPERATOR:
                return self._notice(order)

    def _delay(self, order: Order) -> Letter | MailOutcome:
        if order.view.delivery is not Delivery.NONE:
            return Suppressed(reason="delivered_meanwhile")
        if order.address is None:
            return Suppressed(reason="no_address")
        return delay_letter(
            product=order.product, order_id=order.view.order_id, to=order.address, name=order.customer_name
        )

    def _result(self, mail: ClaimedMail, order: Order) -> Letter | MailOutcome:
        if order.view.delivery is Delivery.NONE:
            # Overwritten since: the next pass delivers again, and only then may the customer be told.
            failure = Failure(error_class=ErrorClass.INTERNAL, code="result_not_readable")
            return self._failed(mail, failure)
        if order.address is None:
            return Suppressed(reason="no_address")
        return result_letter(
            product=order.product,
            order_id=order.view.order_id,
            to=order.address,
            name=order.customer_name,
            base_url=self._mailing.shop_url,
            bcc=(self._mailing.bcc,) if mail.with_bcc and self._mailing.bcc else (),
            delayed=order.view.delay_mail is MailStatus.SENT,
        )

    def _notice(self, order: Order) -> Letter | MailOutcome:
        if not self._mailing.operators:
            return Suppressed(reason="no_operators")
        amount = order.product.price(order.customer_country)
        return operator_notice(
            product=order.product, order_id=order.view.order_id, to=list(self._mailing.operators), amount=amount
        )
