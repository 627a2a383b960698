"""What a history of the shop is played with: a mail provider, orders whose deliveries are counted, workers' hands."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from pferdewert_ops.adapters.mongo.evaluation_jobs import EvaluationQueue
from pferdewert_ops.adapters.mongo.mail_outbox import MailQueue
from pferdewert_ops.adapters.mongo.orders import MongoOrders
from pferdewert_ops.domain.failures import ErrorClass
from pferdewert_ops.domain.letters import Accepted, Handover, Letter, Refused, Unknown
from pferdewert_ops.domain.orders import Payment
from pferdewert_ops.operations.ports import ClaimedJob, ClaimedMail, DeliveryOutcome, JobOutcome


class Provider:
    """Takes mails by key, as Resend does: the same key again is the same mail. Answers as it is told to."""

    name = "provider"

    def __init__(self) -> None:
        self.accepted: dict[str, Letter] = {}
        self.next = "accepted"

    def hand_over(self, letter: Letter, *, key: str) -> Handover:
        if self.next == "refused":
            return Refused(error_class=ErrorClass.RATE_LIMITED, code="busy", permanent=False)
        if self.next == "lost_before":
            return Unknown(code="cut_off")
        kept = self.accepted.setdefault(key, letter)
        assert kept == letter, "one key stands for one letter"
        return Unknown(code="cut_off") if self.next == "lost_after" else Accepted(provider_id=key)

    def repeatable(self, first_handed_over: datetime, now: datetime) -> bool:  # noqa: ARG002 - the port's signature
        return True


class WatchedOrders(MongoOrders):
    """Counts deliveries, and looks at each whether it was due."""

    delivered: Counter[str]

    def deliver(self, order_id: str) -> DeliveryOutcome:
        outcome = super().deliver(order_id)
        if outcome is DeliveryOutcome.DELIVERED:
            order = self.find(order_id)
            assert order is not None
            assert order.view.payment is Payment.PAID, "delivered and not paid"
            self.delivered[order_id] += 1
        return outcome


class NeverStops:
    def progress(self, output_tokens: int) -> None:
        pass

    def cancelled(self) -> bool:
        return False


@dataclass(slots=True)
class Hands:
    """One worker: what it holds, and the outcomes that it has not written yet."""

    jobs: EvaluationQueue
    mails: MailQueue
    held: list[ClaimedJob] = field(default_factory=list)
    ready: list[tuple[ClaimedJob, JobOutcome]] = field(default_factory=list)
    letters: list[ClaimedMail] = field(default_factory=list)
