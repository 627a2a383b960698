"""The outbox on a real server: each mail owed once, its hand-over written down before, its end never guessed."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database

from pferdewert_ops.adapters.mongo.mail_outbox import INDEXES, MAX_ATTEMPTS, MailQueue, MongoMails
from pferdewert_ops.domain.failures import ErrorClass
from pferdewert_ops.domain.jobs import Failure, GiveUp, Release, Retry, Stage
from pferdewert_ops.domain.letters import Letter, MailKind
from pferdewert_ops.operations.ports import (
    ClaimedMail,
    HandedBack,
    MailOutcome,
    Sent,
    Suppressed,
    Uncertain,
    Unsuccessful,
)
from tests.mongo.queue_support import Document, expire, queue_of, server_now

ORDER = str(ObjectId())
MAIL_ID = f"{ORDER}:result"
SENT = Sent(provider_id="$provider.id", transport="resend")
LATER = Retry(wait=timedelta(seconds=30), failures={ErrorClass.NETWORK_ERROR: 1}, stage=Stage.PRIMARY)
NEVER = GiveUp(failures={ErrorClass.NETWORK_ERROR: 40})
HANDED_OVER = {"letter", "transport", "handedOverAt"}
DOUBTFUL = [ErrorClass.MAIL_UNKNOWN, ErrorClass.WORKER_LOST, ErrorClass.INTERNAL]
CERTAIN = [ErrorClass.NETWORK_ERROR, ErrorClass.RATE_LIMITED, ErrorClass.MAIL_REFUSED, ErrorClass.AUTH]


@pytest.fixture
def mails(shop: Database[Document]) -> MongoMails:
    return MongoMails(shop)


@pytest.fixture
def queue(shop: Database[Document]) -> MailQueue:
    return MailQueue(queue_of(shop["mail_outbox"]))


def letter(text: str = "Guten Tag") -> Letter:
    return Letter(
        kind=MailKind.RESULT,
        order_id=ORDER,
        to=("k@example.org",),
        subject="Ihr Pferd",
        html=f"<p>{text}</p>",
        text=text,
    )


def claim(mails: MongoMails, queue: MailQueue, kind: MailKind = MailKind.RESULT) -> ClaimedMail:
    assert mails.owe(ORDER, kind)
    queue.leased.promote()
    [claimed] = queue.claim(5)
    return claimed


def record(shop: Database[Document], mail_id: str = MAIL_ID) -> Document:
    found = shop["mail_outbox"].find_one({"_id": mail_id})
    assert found is not None
    return found


def failed(error_class: ErrorClass, after: Retry | GiveUp | Release) -> Unsuccessful:
    return Unsuccessful(failure=Failure(error_class=error_class, code="$code"), after=after)


# --- owed --------------------------------------------------------------------------------------------------------


def test_a_mail_is_owed_once(shop: Database[Document], mails: MongoMails) -> None:
    assert mails.owe(ORDER, MailKind.RESULT, with_bcc=True)
    assert not mails.owe(ORDER, MailKind.RESULT)
    assert mails.owe(ORDER, MailKind.DELAY)
    assert record(shop)["withBcc"] is True
    assert record(shop)["orderId"] == ObjectId(ORDER)
    assert {one["_id"] for one in shop["mail_outbox"].find()} == {MAIL_ID, f"{ORDER}:delay"}


def test_of_many_at_once_one_owes_it(mails: MongoMails) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: mails.owe(ORDER, MailKind.RESULT), range(16))) == 1


def test_mail_records_never_expire() -> None:
    assert not any("expireAfterSeconds" in index.document for index in INDEXES)


def test_a_first_claim_knows_of_no_hand_over(mails: MongoMails, queue: MailQueue) -> None:
    claimed = claim(mails, queue)
    assert (claimed.id, claimed.order_id, claimed.kind) == (MAIL_ID, ORDER, MailKind.RESULT)
    assert (claimed.key, claimed.fence, claimed.with_bcc) == (f"pwops:{MAIL_ID}", 1, False)
    assert (claimed.letter, claimed.transport, claimed.handed_over_at) == (None, None, None)
    assert (claimed.attempts.spent, claimed.attempts.limit) == (1, MAX_ATTEMPTS)


def test_the_mails_of_one_order_can_be_claimed_apart(mails: MongoMails, queue: MailQueue) -> None:
    other = str(ObjectId())
    mails.owe(other, MailKind.RESULT)
    mails.owe(ORDER, MailKind.OPERATOR)
    queue.leased.promote()
    assert [one.order_id for one in queue.claim_of(ORDER, 5)] == [ORDER]
    assert [one.order_id for one in queue.claim(5)] == [other]


# --- handed over -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["Guten Tag", "$letter", "$$ROOT: 5.000 $.", "{'$literal': 'x'}", "ä\r\n𝄞"])
def test_the_letter_is_kept_to_the_byte(
    shop: Database[Document], mails: MongoMails, queue: MailQueue, text: str
) -> None:
    claimed = claim(mails, queue)
    before = server_now(shop["mail_outbox"])
    at = mails.mark_handed_over(claimed, letter(text), "resend")
    assert at is not None
    assert before <= at <= server_now(shop["mail_outbox"])
    queue.settle([(claimed, HandedBack())])
    [again] = queue.claim(5)
    assert (again.letter, again.transport, again.handed_over_at) == (letter(text), "resend", at)


def test_a_repetition_keeps_the_first_letter_and_its_time(
    shop: Database[Document], mails: MongoMails, queue: MailQueue
) -> None:
    claimed = claim(mails, queue)
    at = mails.mark_handed_over(claimed, letter("first"), "resend")
    assert mails.mark_handed_over(claimed, letter("second"), "smtp") == at
    assert record(shop)["letter"]["text"] == "first"
    assert record(shop)["transport"] == "resend"


def test_who_lost_the_claim_may_not_hand_over(shop: Database[Document], mails: MongoMails, queue: MailQueue) -> None:
    old = claim(mails, queue)
    expire(shop["mail_outbox"], [MAIL_ID])
    other = MailQueue(queue_of(shop["mail_outbox"], "host-b"))
    at_once = Retry(wait=timedelta(0), failures={}, stage=Stage.PRIMARY)
    assert (
        other.settle([(one, failed(ErrorClass.WORKER_LOST, at_once)) for one in other.expired(5)], expired=True)
        == set()
    )
    assert mails.mark_handed_over(old, letter(), "resend") is None
    other.leased.promote()
    [new] = other.claim(5)
    before = record(shop)
    assert mails.mark_handed_over(old, letter(), "resend") is None
    assert queue.settle([(old, SENT)]) == {MAIL_ID}
    assert record(shop) == before
    assert mails.mark_handed_over(new, letter(), "resend") is not None


# --- how it ends -------------------------------------------------------------------------------------------------


def test_a_sent_mail_names_the_providers_id(shop: Database[Document], mails: MongoMails, queue: MailQueue) -> None:
    claimed = claim(mails, queue)
    mails.mark_handed_over(claimed, letter(), "resend")
    assert queue.settle([(claimed, SENT)]) == set()
    sent = record(shop)
    assert (sent["status"], sent["providerId"], sent["transport"]) == ("sent", "$provider.id", "resend")
    assert sent["handedOverAt"] <= sent["sentAt"] <= server_now(shop["mail_outbox"])
    assert not {"leaseUntil", "claimToken", "rank", "error"} & set(sent)
    assert queue.claim(5) == []


@pytest.mark.parametrize(
    ("outcome", "status", "code"),
    [(Uncertain(code="$cut.off"), "uncertain", "$cut.off"), (Suppressed(reason="not_paid"), "suppressed", "not_paid")],
)
def test_what_a_person_has_to_see(
    shop: Database[Document], mails: MongoMails, queue: MailQueue, outcome: MailOutcome, status: str, code: str
) -> None:
    claimed = claim(mails, queue)
    assert queue.settle([(claimed, outcome)]) == set()
    assert (record(shop)["status"], record(shop)["error"]["code"]) == (status, code)
    assert queue.leased.promote() == 0
    assert queue.claim(5) == []


@pytest.mark.parametrize("error_class", DOUBTFUL)
def test_a_doubtful_end_keeps_the_written_intent(
    shop: Database[Document], mails: MongoMails, queue: MailQueue, error_class: ErrorClass
) -> None:
    claimed = claim(mails, queue)
    mails.mark_handed_over(claimed, letter(), "resend")
    queue.settle([(claimed, failed(error_class, LATER))])
    assert set(record(shop)) >= HANDED_OVER
    assert (record(shop)["status"], record(shop)["attempts"]) == ("pending", 1)


@pytest.mark.parametrize("error_class", CERTAIN)
def test_a_certain_refusal_makes_the_next_hand_over_a_first_one(
    shop: Database[Document], mails: MongoMails, queue: MailQueue, error_class: ErrorClass
) -> None:
    claimed = claim(mails, queue)
    mails.mark_handed_over(claimed, letter(), "resend")
    queue.settle([(claimed, failed(error_class, LATER))])
    assert not HANDED_OVER & set(record(shop))
    assert record(shop)["error"]["code"] == "$code"


@pytest.mark.parametrize("error_class", [*DOUBTFUL, *CERTAIN])
@pytest.mark.parametrize("handed_over", [False, True])
def test_given_up_it_is_uncertain_if_it_may_be_out_and_failed_if_not(
    shop: Database[Document], mails: MongoMails, queue: MailQueue, error_class: ErrorClass, handed_over: bool
) -> None:
    claimed = claim(mails, queue)
    if handed_over:
        mails.mark_handed_over(claimed, letter(), "resend")
    queue.settle([(claimed, failed(error_class, NEVER))])
    doubtful = handed_over and error_class in DOUBTFUL
    assert record(shop)["status"] == ("uncertain" if doubtful else "failed")
    assert queue.leased.promote() == 0


def test_handing_back_and_releasing_spend_no_try(shop: Database[Document], mails: MongoMails, queue: MailQueue) -> None:
    claimed = claim(mails, queue)
    queue.settle([(claimed, HandedBack())])
    [again] = queue.claim(5)
    queue.settle([(again, failed(ErrorClass.AUTH, Release(wait=timedelta(minutes=5))))])
    assert (record(shop)["attempts"], record(shop)["status"]) == (0, "pending")
    assert record(shop)["scheduledAt"] > datetime.now(UTC) + timedelta(minutes=4)


# --- a person has looked -----------------------------------------------------------------------------------------


def left_in(status: str, shop: Database[Document], mails: MongoMails, queue: MailQueue) -> None:
    claimed = claim(mails, queue)
    mails.mark_handed_over(claimed, letter(), "resend")
    changes: Document = {"status": status, "attempts": 7, "failures": {"network_error": 6}}
    shop["mail_outbox"].update_one({"_id": MAIL_ID}, {"$set": changes})


@pytest.mark.parametrize("status", ["uncertain", "failed", "suppressed"])
def test_a_person_may_say_that_it_was_sent(
    shop: Database[Document], mails: MongoMails, queue: MailQueue, status: str
) -> None:
    left_in(status, shop, mails, queue)
    assert mails.resolve(MAIL_ID, sent=True, actor="$anna")
    after = record(shop)
    assert (after["status"], after["sentAt"]) == ("sent", after["handedOverAt"])
    assert (after["history"][-1]["event"], after["history"][-1]["actor"]) == ("resolved_sent", "$anna")
    assert not mails.resolve(MAIL_ID, sent=False, actor="anna")


@pytest.mark.parametrize("status", ["uncertain", "failed", "suppressed"])
def test_a_person_may_have_it_sent_anew_under_a_new_key(
    shop: Database[Document], mails: MongoMails, queue: MailQueue, status: str
) -> None:
    left_in(status, shop, mails, queue)
    keys = [record(shop)["key"]]
    for _ in range(2):
        assert mails.resolve(MAIL_ID, sent=False, actor="anna")
        queue.leased.promote()
        [again] = queue.claim(5)
        keys.append(again.key)
        assert (again.attempts.spent, again.attempts.failures, again.letter, again.handed_over_at) == (
            1,
            {},
            None,
            None,
        )
        mails.mark_handed_over(again, letter(), "resend")
        queue.settle([(again, Uncertain(code="cut_off"))])
    assert keys == [f"pwops:{MAIL_ID}", f"pwops:{MAIL_ID}:1", f"pwops:{MAIL_ID}:2"]
    fences: list[Any] = [event.get("fence") for event in record(shop)["history"]]
    assert (record(shop)["resends"], fences) == (2, [None, None])


@pytest.mark.parametrize("status", ["pending", "processing", "sent"])
@pytest.mark.parametrize("sent", [True, False])
def test_what_is_not_open_is_not_resolved(
    shop: Database[Document], mails: MongoMails, queue: MailQueue, status: str, sent: bool
) -> None:
    left_in(status, shop, mails, queue)
    before = record(shop)
    assert not mails.resolve(MAIL_ID, sent=sent, actor="anna")
    assert not mails.resolve("nobody:result", sent=sent, actor="anna")
    assert record(shop) == before
