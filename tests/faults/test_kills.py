"""kill -9 at every boundary between two effects; then a fresh worker, and nothing is lost, doubled or miscounted."""

from typing import Any

import pytest

from tests.faults.checks import (
    calls_of,
    check_delivered,
    check_mailed_once,
    check_nothing_is_held,
    losses,
    marked_order,
    move_waits_back,
)
from tests.faults.processes import Nursery
from tests.harness import ShopFloor

# Where it dies, and what that costs: attempts of the job, model calls, attempts of the result mail.
BOUNDARIES = {
    "job_made": (1, 1, 1),
    "claimed": (2, 1, 1),
    "answered": (2, 2, 1),
    "evaluated": (2, 2, 1),
    "finished": (1, 1, 1),
    "delivered": (1, 1, 1),
    "mail_owed": (1, 1, 1),
    "mail_claimed": (1, 1, 2),
    "mail_marked": (1, 1, 2),
    "mail_handed_over": (1, 1, 2),
    "mail_recorded": (1, 1, 1),
}
OF_CERTIFICATES = {"certificate_counted": (1, 1, 1), "certificate_numbered": (1, 1, 1)}

CASES = [
    *(("bewertungen", place) for place in BOUNDARIES),
    *(("wertgutachten", place) for place in (*BOUNDARIES, *OF_CERTIFICATES)),
]


def smtp(floor: ShopFloor) -> dict[str, Any]:
    server = floor.mail.smtp
    return {
        "resend_api_key": None,
        "resend_base_url": None,
        "smtp_host": server.host,
        "smtp_port": server.port,
        "smtp_security": "none",
    }


@pytest.mark.parametrize(("collection", "place"), CASES)
def test_a_worker_killed_between_two_effects(floor: ShopFloor, nursery: Nursery, collection: str, place: str) -> None:
    attempts, calls, mail_attempts = {**BOUNDARIES, **OF_CERTIFICATES}[place]
    order_id = marked_order(floor, collection)

    nursery.start(floor, failpoint=f"{place}:kill").wait_killed()
    floor.drain()

    check_delivered(floor, order_id)
    check_mailed_once(floor, order_id)
    check_nothing_is_held(floor)
    job, mail = floor.job(order_id), floor.mail_record(order_id)
    assert mail is not None
    assert (job["attempts"], losses(job)) == (attempts, attempts - 1)
    assert (mail["attempts"], losses(mail)) == (mail_attempts, mail_attempts - 1)
    assert len(calls_of(floor, order_id)) == calls


@pytest.mark.parametrize("place", OF_CERTIFICATES)
def test_a_certificate_keeps_the_number_that_was_counted_for_it_before_the_kill(
    floor: ShopFloor, nursery: Nursery, place: str
) -> None:
    order_id = floor.order(collection="wertgutachten")
    nursery.start(floor, failpoint=f"{place}:kill").wait_killed()
    [counter] = floor.database.counters.find()
    other = floor.order(collection="wertgutachten")

    floor.drain()

    year = counter["name"].removeprefix("zertifikat_")
    assert floor.document(order_id, "wertgutachten")["zertifikatNummer"] == f"CERT-{year}-{counter['seq']:06d}"
    assert floor.document(other, "wertgutachten")["zertifikatNummer"] == f"CERT-{year}-{counter['seq'] + 1:06d}"


@pytest.mark.parametrize(
    ("place", "status", "accepted"),
    [
        ("mail_claimed", "sent", 1),
        ("mail_marked", "uncertain", 0),
        ("mail_handed_over", "uncertain", 1),
        ("mail_recorded", "sent", 1),
    ],
)
def test_by_smtp_a_mail_in_doubt_is_shown_and_never_sent_again(
    floor: ShopFloor, nursery: Nursery, place: str, status: str, accepted: int
) -> None:
    order_id = floor.order()
    settings = smtp(floor)

    nursery.start(floor, failpoint=f"{place}:kill", **settings).wait_killed()
    floor.drain(**settings)
    floor.drain(**settings)

    mail = floor.mail_record(order_id)
    assert mail is not None
    assert mail["status"] == status
    assert len(floor.mail.mailbox.mails()) == accepted
    found = floor.database.ops_findings.find_one({"_id": f"mail_uncertain:{order_id}"})
    assert (found is not None and found["state"] == "open") == (status == "uncertain")


def kill_three_workers(floor: ShopFloor, nursery: Nursery, failpoint: str) -> None:
    """The first loss is made good at once, the second rests; its wait is moved back, not waited out."""
    nursery.start(floor, failpoint=failpoint).wait_killed()
    nursery.start(floor, failpoint=failpoint).wait_killed()
    floor.drain()
    move_waits_back(floor)
    nursery.start(floor, failpoint=failpoint).wait_killed()


def test_a_mail_that_cost_three_workers_after_its_hand_over_is_in_doubt_and_not_failed(
    floor: ShopFloor, nursery: Nursery
) -> None:
    order_id = floor.order()
    kill_three_workers(floor, nursery, "mail_handed_over:kill")

    floor.drain()

    mail = floor.mail_record(order_id)
    assert mail is not None
    assert (mail["status"], losses(mail)) == ("uncertain", 3)
    assert floor.mails_to_customer(order_id) == ["result"]
    assert floor.database.ops_findings.count_documents({"_id": f"mail_uncertain:{order_id}", "state": "open"}) == 1


def test_killed_between_the_operators_notice_and_the_customers_mail(floor: ShopFloor, nursery: Nursery) -> None:
    order_id = marked_order(floor)
    operators: dict[str, Any] = {"operators": ("kauf@example.org",)}

    nursery.start(floor, failpoint="notice_owed:kill", **operators).wait_killed()
    floor.drain(**operators)

    check_delivered(floor, order_id)
    check_mailed_once(floor, order_id, "operator", "result")


def test_killed_between_taking_over_the_shops_job_and_knowing_its_order(floor: ShopFloor, nursery: Nursery) -> None:
    order_id = marked_order(floor)
    floor.shop_job(order_id)

    nursery.start(floor, failpoint="adopted:kill").wait_killed()
    floor.drain()

    check_delivered(floor, order_id)
    check_mailed_once(floor, order_id)
    assert floor.job(order_id)["attempts"] == 1


def test_killed_between_a_payment_and_its_new_place_in_the_queue(floor: ShopFloor, nursery: Nursery) -> None:
    order_id = marked_order(floor, paymentStatus="pending", paidAt=...)
    floor.shop_job(order_id)
    floor.drain(queues=("mail",))
    floor.database.bewertungen.update_one({"_id": floor.document(order_id)["_id"]}, {"$set": {"paymentStatus": "paid"}})

    nursery.start(floor, failpoint="paid_marked:kill").wait_killed()
    assert (floor.job(order_id)["paid"], floor.job(order_id)["status"]) == (True, "pending")
    floor.drain()

    check_delivered(floor, order_id)
    check_mailed_once(floor, order_id)


def test_killed_while_taking_back_what_a_killed_worker_held(floor: ShopFloor, nursery: Nursery) -> None:
    order_id = marked_order(floor)

    nursery.start(floor, failpoint="claimed:kill").wait_killed()
    nursery.start(floor, failpoint="taken_back:kill").wait_killed()
    floor.drain()

    check_delivered(floor, order_id)
    check_mailed_once(floor, order_id)
    job = floor.job(order_id)
    assert (job["attempts"], losses(job)) == (2, 1)


def test_a_job_that_kills_every_worker_ends_failed_and_a_human_is_told(floor: ShopFloor, nursery: Nursery) -> None:
    order_id = marked_order(floor)
    kill_three_workers(floor, nursery, "claimed:kill")

    floor.drain()

    job = floor.job(order_id)
    assert (job["status"], job["attempts"], losses(job)) == ("failed", 3, 3)
    assert calls_of(floor, order_id) == []
    assert floor.mail_record(order_id) is None
    assert floor.database.ops_findings.count_documents({"_id": f"evaluation_failed:{order_id}", "state": "open"}) == 1


def test_a_failpoint_refuses_to_arm_where_the_sandbox_left_no_marker(floor: ShopFloor, nursery: Nursery) -> None:
    order_id = floor.order()

    refused = nursery.start(floor, failpoint="claimed:kill", sandbox_marker="not-what-the-sandbox-wrote")

    assert refused.wait() == 1
    assert refused.events("serving") == []
    assert floor.database.evaluation_jobs.count_documents({}) == 0
    assert "bewertung" not in floor.document(order_id)
