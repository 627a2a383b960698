"""A pass over all orders: who needs hands gets them, who is known stays known, and many strangers are not let in."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from pferdewert_ops.domain.jobs import JobStatus
from pferdewert_ops.domain.orders import IntakeGuard, JobView, Limits, MailStatus, Payment, Step
from pferdewert_ops.operations.ports import Order
from pferdewert_ops.operations.survey import GUARD_FINDING, Scope, Survey, SurveyReport
from tests.operations.stubs import NOW, StoppedClock, delivered, order

PENDING = JobView(id="j", status=JobStatus.PENDING, paid=True)
FAILED = replace(PENDING, status=JobStatus.FAILED)
MOST = 3


class Shop:
    """Pages of orders as they are shown, and everything that a pass does about them."""

    def __init__(self, *pages: Sequence[Order], watched: Sequence[Order] = ()) -> None:
        self.pages = [list(page) for page in pages]
        self.on_watch = list(watched)
        self.advanced: list[str] = []
        self.remembered: list[str] = []
        self.unwatched: list[str] = []
        self.open_now: dict[str, set[str]] = {}
        self.looked = 0

    def run(self, *, scope: Scope = Scope.DEEP, stop_after: int | None = None) -> SurveyReport:
        survey = Survey(
            orders=self,  # type: ignore[arg-type]  # it answers what a survey asks, and nothing else
            advance=self,  # type: ignore[arg-type]
            findings=self,
            clock=StoppedClock(),
            limits=Limits(),
            guard=IntakeGuard(most=MOST),
            open_findings=lambda kind: set(self.open_now.get(kind, set())),
        )
        return survey.run(NOW, scope=scope, stop=lambda: stop_after is not None and self.looked > stop_after)

    def since(self, moment: datetime) -> Iterator[list[Order]]:
        assert moment == NOW
        for page in self.pages:
            self.looked += 1
            yield page

    def watched(self) -> Iterator[list[Order]]:
        yield self.on_watch

    def unwatch(self, order_ids: Sequence[str]) -> None:
        self.unwatched += order_ids

    def remember(self, order_ids: Sequence[str]) -> None:
        self.remembered += order_ids

    def order(self, order_id: str) -> Step | None:
        self.advanced.append(order_id)
        return None

    def open(self, kind: str, subject: str, detail: str) -> bool:
        assert detail
        self.open_now.setdefault(kind, set()).add(subject)
        return True

    def close(self, kind: str, subject: str) -> None:
        self.open_now.get(kind, set()).discard(subject)


def named(shown: Order, name: str, *, known: bool = True) -> Order:
    return replace(shown, view=replace(shown.view, order_id=name), known=known)


def strangers(count: int, prefix: str = "s") -> list[Order]:
    """Paid two hours ago, and never seen before."""
    at = NOW - timedelta(hours=2)
    return [named(order(paid_at=at, created_at=at), f"{prefix}{n}", known=False) for n in range(count)]


RESTS = [
    named(order(job=PENDING), "queued"),
    named(delivered(job=replace(PENDING, status=JobStatus.COMPLETED), result_mail=MailStatus.SENT), "settled"),
    named(order(taken_in=False), "old"),
    named(replace(order(job=PENDING, taken_in=False), surplus_jobs=("x",)), "old_with_two_jobs"),
    named(order(payment=Payment.UNKNOWN), "unknown"),
]
NEEDS = [
    named(order(), "no_job"),
    named(order(job=FAILED), "failed"),
    named(replace(order(job=PENDING), surplus_jobs=("x",)), "two_jobs"),
    named(order(job=replace(PENDING, paid=False)), "paid_just_now"),
]


def test_who_needs_hands_gets_them_and_nobody_else() -> None:
    shop = Shop([*RESTS[:2], *NEEDS[:2]], [*NEEDS[2:], *RESTS[2:]])
    report = shop.run()
    needs = [one.view.order_id for one in NEEDS]
    assert shop.advanced == shop.remembered == needs
    assert (report.seen, report.moved, report.held_back) == (9, 4, 0)
    assert sum(report.steps.values()) == 9


def test_an_order_that_waits_for_its_payment_is_known_from_now_on() -> None:
    waiting = order(payment=Payment.PENDING)
    shop = Shop([named(waiting, "new", known=False), named(waiting, "known"), named(RESTS[4], "unknown", known=False)])
    shop.run()
    assert (shop.remembered, shop.advanced) == (["new"], [])


def test_a_few_strangers_are_taken_in_after_all_were_counted() -> None:
    shop = Shop([*strangers(2), NEEDS[0]], strangers(1, "t"))
    report = shop.run()
    assert shop.advanced == ["no_job", "s0", "s1", "t0"]
    assert set(shop.remembered) == set(shop.advanced)
    assert (report.moved, report.held_back, shop.open_now.get(GUARD_FINDING, set())) == (4, 0, set())


def test_one_stranger_too_many_and_none_is_taken_in() -> None:
    shop = Shop([*strangers(2), NEEDS[0]], strangers(2, "t"))
    report = shop.run()
    assert shop.advanced == shop.remembered == ["no_job"]
    assert (report.moved, report.held_back) == (1, MOST + 1)
    assert shop.open_now[GUARD_FINDING] == {"deep"}


@pytest.mark.parametrize("stop_after", [0, 1])
def test_a_pass_that_is_stopped_takes_no_strangers_in(stop_after: int) -> None:
    """It has seen two of five: that these are few it cannot know."""
    shop = Shop(strangers(2), strangers(3, "t"))
    shop.open_now[GUARD_FINDING] = {"deep"}
    report = shop.run(stop_after=stop_after)
    assert (shop.advanced, report.held_back) == ([], 0)
    assert shop.open_now[GUARD_FINDING] == {"deep"}


def test_what_the_deep_pass_refused_a_recent_one_does_not_take_in_piece_by_piece() -> None:
    shop = Shop(strangers(MOST + 1))
    shop.run(scope=Scope.DEEP)
    shop.pages = [strangers(1)]
    assert shop.run(scope=Scope.RECENT).held_back == 1
    assert (shop.advanced, shop.open_now[GUARD_FINDING]) == ([], {"deep"})
    assert shop.run(scope=Scope.DEEP).held_back == 0  # fewer now: a person has looked after the others
    assert (shop.advanced, shop.open_now[GUARD_FINDING]) == (["s0"], set())


def test_the_deep_passs_finding_says_it_all() -> None:
    shop = Shop(strangers(MOST + 1))
    shop.run(scope=Scope.RECENT)
    assert shop.open_now[GUARD_FINDING] == {"recent"}
    shop.run(scope=Scope.DEEP)
    assert shop.open_now[GUARD_FINDING] == {"deep"}


def test_findings_end_when_the_facts_agree_again() -> None:
    shop = Shop([RESTS[1], named(order(job=FAILED), "failed")])
    shop.open_now["evaluation_failed"] = {"settled", "failed", "not_looked_at"}
    shop.open_now["mail_failed"] = {"failed"}
    shop.open_now["order_stuck"] = {"settled"}
    shop.run()
    assert shop.open_now["evaluation_failed"] == {"failed", "not_looked_at"}
    assert shop.open_now["mail_failed"] == shop.open_now["order_stuck"] == set()


def test_a_delay_mail_that_falls_due_does_not_end_the_finding_of_a_failed_evaluation() -> None:
    late = named(order(job=FAILED, paid_at=NOW - timedelta(minutes=30)), "late")
    shop = Shop([late])
    shop.open_now["evaluation_failed"] = {"late"}
    shop.run()
    assert shop.open_now["evaluation_failed"] == {"late"}


def test_what_a_person_took_in_is_watched_until_it_rests_for_good() -> None:
    shop = Shop(watched=[RESTS[0], RESTS[1], NEEDS[0]])
    shop.run()
    assert (shop.unwatched, shop.advanced) == ([], ["no_job"])
    shop = Shop(watched=[replace(one, watched=True) for one in (RESTS[0], RESTS[1], NEEDS[0])])
    shop.run()
    assert (shop.unwatched, shop.advanced) == (["settled"], ["no_job"])
