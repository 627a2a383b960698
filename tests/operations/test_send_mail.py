"""One mail: owed by the facts of this moment, written down before it is handed over, never sent twice on a guess."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from pferdewert_ops.domain.failures import MAIL_POLICIES, ErrorClass
from pferdewert_ops.domain.jobs import Attempts, GiveUp, Retry
from pferdewert_ops.domain.letters import Accepted, Handover, Letter, MailKind, Refused, Unknown
from pferdewert_ops.domain.orders import Delivery, MailStatus, Payment
from pferdewert_ops.domain.products import WERTGUTACHTEN, Country
from pferdewert_ops.operations.ports import HandedBack, MailOutcome, Order, Sent, Suppressed, Uncertain, Unsuccessful
from pferdewert_ops.operations.send_mail import Mailing, SendMail
from tests.operations.stubs import (
    NOW,
    ORDER_ID,
    Desk,
    OneOrder,
    Places,
    Post,
    StoppedClock,
    Watching,
    claimed_mail,
    delivered,
    order,
)

MAILING = Mailing(shop_url="https://shop.example", operators=("buero@example.org",), bcc="review@example.org")
BUSY = Refused(error_class=ErrorClass.RATE_LIMITED, code="busy", permanent=False, retry_after=timedelta(hours=2))
BAD = Refused(error_class=ErrorClass.MAIL_REFUSED, code="bad_address", permanent=True)
CUT = Unknown(code="cut_off")
EARLIER = Letter(
    kind=MailKind.RESULT, order_id=ORDER_ID, to=("alt@example.org",), subject="S", html="h", text="earlier"
)


class Scene:
    def __init__(
        self,
        found: Order | None,
        answer: Handover | None = None,
        *,
        repeatable: bool = True,
        lost: bool = False,
        stop: bool = False,
    ) -> None:
        self.places = Places()
        self.desk = Desk(self.places, lost=lost)
        self.post = Post(self.places, answer, repeatable=repeatable)
        self._found = found
        self._stop = stop

    def run(self, kind: MailKind = MailKind.RESULT, mailing: Mailing = MAILING, **mail: Any) -> MailOutcome:
        send = SendMail(
            orders=OneOrder(self._found),
            handovers=self.desk,
            transport=self.post,
            clock=StoppedClock(),
            failpoints=self.places,
            mailing=mailing,
            jitter=lambda: 0.0,
        )
        return send(claimed_mail(kind, **mail), Watching(stop=self._stop))

    @property
    def letter(self) -> Letter:
        [(letter, _)] = self.post.sent
        return letter


# --- what is said ------------------------------------------------------------------------------------------------


def test_the_result_goes_to_the_customer_with_the_link() -> None:
    scene = Scene(delivered())
    assert scene.run() == Sent(provider_id="p1", transport="post")
    assert (scene.letter.to, scene.letter.bcc, scene.letter.kind) == (("kundin@example.org",), (), MailKind.RESULT)
    assert f"https://shop.example/ergebnis?id={ORDER_ID}" in scene.letter.text
    assert "Anna" in scene.letter.text
    assert scene.post.sent[0][1] == "key"


def test_a_result_of_others_that_is_owed_is_sent_too() -> None:
    assert isinstance(Scene(order(delivery=Delivery.OTHERS)).run(), Sent)


def test_the_blind_copy_is_for_whom_it_was_owed_with() -> None:
    copied = Scene(delivered())
    copied.run(with_bcc=True)
    assert copied.letter.bcc == ("review@example.org",)
    without = Scene(delivered())
    without.run(mailing=replace(MAILING, bcc=None), with_bcc=True)
    assert without.letter.bcc == ()


def test_after_a_delay_mail_the_result_apologises() -> None:
    plain, late = Scene(delivered()), Scene(delivered(delay_mail=MailStatus.SENT))
    plain.run()
    late.run()
    assert plain.letter.text != late.letter.text


def test_operators_read_the_price_in_its_currency() -> None:
    scene = Scene(replace(order(), customer_country=Country.CH))
    scene.run(MailKind.OPERATOR)
    assert scene.letter.to == ("buero@example.org",)
    assert "19,90" in scene.letter.text
    assert "CHF" in scene.letter.text
    certificate = Scene(order(WERTGUTACHTEN))
    certificate.run(MailKind.OPERATOR)
    assert "49,90" in certificate.letter.text


@pytest.mark.parametrize(
    ("kind", "found", "mailing", "reason"),
    [
        (MailKind.RESULT, None, MAILING, "order_missing"),
        (MailKind.RESULT, delivered(taken_in=False), MAILING, "before_horizon"),
        (MailKind.DELAY, order(taken_in=False), MAILING, "before_horizon"),
        (MailKind.RESULT, delivered(payment=Payment.REFUNDED), MAILING, "not_paid"),
        (MailKind.RESULT, delivered(payment=Payment.PENDING), MAILING, "not_paid"),
        (MailKind.OPERATOR, order(payment=Payment.FAILED), MAILING, "not_paid"),
        (MailKind.RESULT, replace(delivered(), address=None), MAILING, "no_address"),
        (MailKind.DELAY, replace(order(), address=None), MAILING, "no_address"),
        (MailKind.DELAY, delivered(), MAILING, "delivered_meanwhile"),
        (MailKind.DELAY, order(delivery=Delivery.OTHERS), MAILING, "delivered_meanwhile"),
        (MailKind.OPERATOR, order(), replace(MAILING, operators=()), "no_operators"),
    ],
)
def test_what_is_no_longer_owed_is_not_sent(kind: MailKind, found: Order | None, mailing: Mailing, reason: str) -> None:
    scene = Scene(found)
    assert scene.run(kind, mailing) == Suppressed(reason=reason)
    assert (scene.post.sent, scene.desk.marked) == ([], [])


def test_a_result_that_cannot_be_read_is_not_announced() -> None:
    scene = Scene(order())
    outcome = scene.run()
    assert isinstance(outcome, Unsuccessful)
    assert outcome.failure.code == "result_not_readable"
    assert isinstance(outcome.after, Retry)
    assert scene.post.sent == []


# --- in which order ----------------------------------------------------------------------------------------------


def test_the_intent_is_written_before_the_provider_hears_of_it() -> None:
    scene = Scene(delivered())
    scene.run()
    assert scene.places.passed == ["mail_claimed", "WRITTEN DOWN", "mail_marked", "HANDED OVER", "mail_handed_over"]
    assert scene.desk.marked == [scene.letter]


def test_who_lost_the_claim_hands_nothing_over() -> None:
    scene = Scene(delivered(), lost=True)
    assert scene.run() == HandedBack()
    assert scene.post.sent == []


def test_who_is_told_to_stop_hands_nothing_over() -> None:
    scene = Scene(delivered(), stop=True)
    assert scene.run() == HandedBack()
    assert (scene.post.sent, scene.desk.marked) == ([], [])


# --- how it ends -------------------------------------------------------------------------------------------------


def test_refused_for_now_is_tried_again_when_the_provider_says() -> None:
    outcome = Scene(delivered(), BUSY).run()
    assert isinstance(outcome, Unsuccessful)
    assert (outcome.failure.error_class, outcome.failure.code) == (ErrorClass.RATE_LIMITED, "busy")
    assert isinstance(outcome.after, Retry)
    assert outcome.after.wait == timedelta(hours=2)


def test_refused_for_good_is_given_up() -> None:
    outcome = Scene(delivered(), BAD).run()
    assert isinstance(outcome, Unsuccessful)
    assert (outcome.failure.error_class, type(outcome.after)) == (ErrorClass.MAIL_REFUSED, GiveUp)


@pytest.mark.parametrize(
    ("answer", "repeatable", "certain"),
    [(CUT, True, False), (CUT, False, True), (replace(CUT, final=True), True, True)],
)
def test_no_answer_is_asked_again_only_where_that_makes_no_second_mail(
    answer: Handover, repeatable: bool, certain: bool
) -> None:
    outcome = Scene(delivered(), answer, repeatable=repeatable).run()
    if certain:
        assert outcome == Uncertain(code="cut_off")
    else:
        assert isinstance(outcome, Unsuccessful)
        assert (outcome.failure.error_class, type(outcome.after)) == (ErrorClass.MAIL_UNKNOWN, Retry)


def test_who_asked_too_often_leaves_it_to_a_person() -> None:
    most = MAIL_POLICIES[ErrorClass.MAIL_UNKNOWN].attempts
    attempts = Attempts(spent=most, limit=most + 5, failures={ErrorClass.MAIL_UNKNOWN: most - 1})
    assert Scene(delivered(), CUT).run(attempts=attempts) == Uncertain(code="cut_off")
    assert Scene(delivered(), CUT).run(attempts=Attempts(spent=40, limit=40)) == Uncertain(code="cut_off")


# --- handed over before ------------------------------------------------------------------------------------------

BEFORE: dict[str, Any] = {"handed_over_at": NOW - timedelta(minutes=3), "letter": EARLIER, "transport": "post"}


def test_a_repetition_is_the_same_to_the_byte_whatever_the_order_says_now() -> None:
    for found in (delivered(), order(payment=Payment.REFUNDED), None):
        scene = Scene(found)
        assert scene.run(**BEFORE) == Sent(provider_id="p1", transport="post")
        assert scene.post.sent == [(EARLIER, "key")]


@pytest.mark.parametrize(
    ("changes", "repeatable"),
    [({}, False), ({"transport": "other"}, True), ({"transport": None}, True), ({"letter": None}, True)],
    ids=["too_late", "other_provider", "no_provider", "no_letter"],
)
def test_what_cannot_be_repeated_is_a_persons_matter(changes: dict[str, Any], repeatable: bool) -> None:
    scene = Scene(delivered(), repeatable=repeatable)
    assert scene.run(**{**BEFORE, **changes}) == Uncertain(code="handed_over_and_never_answered")
    assert scene.post.sent == []


@pytest.mark.parametrize(
    ("answer", "certain"), [(BUSY, False), (BAD, True), (CUT, False), (replace(CUT, final=True), True)]
)
def test_a_repetition_that_is_refused_proves_nothing_of_the_first(answer: Handover, certain: bool) -> None:
    outcome = Scene(delivered(), answer).run(**BEFORE)
    if certain:
        assert isinstance(outcome, Uncertain)
    else:
        assert isinstance(outcome, Unsuccessful)
        assert outcome.failure.error_class is ErrorClass.MAIL_UNKNOWN


def test_a_repetition_that_is_accepted_settles_it() -> None:
    assert Scene(delivered(), Accepted(provider_id="p2")).run(**BEFORE) == Sent(provider_id="p2", transport="post")
