"""The doctor's rules: what each fact of the set-up is judged as."""

from datetime import UTC, datetime, timedelta

import pytest

from pferdewert_ops.operations import checkup
from pferdewert_ops.operations.checkup import Check, Level, Probe, ProbeOutcome
from pferdewert_ops.operations.checkup_services import check_key, check_mail, check_operators, check_probe

OK, WARN, FAIL = Level.OK, Level.WARN, Level.FAIL
SECOND = timedelta(seconds=1)
PAIR = ["bewertungen", "wertgutachten"]


@pytest.mark.parametrize(
    ("check", "level"),
    [
        (checkup.check_replica_set(is_replicated=True), OK),
        (checkup.check_replica_set(is_replicated=False), FAIL),
        (checkup.check_transport(is_encrypted=True, is_local=False), OK),
        (checkup.check_transport(is_encrypted=False, is_local=True), OK),
        (checkup.check_transport(is_encrypted=False, is_local=False), WARN),
        (checkup.check_shop("test", PAIR, [*PAIR, "counters"]), OK),
        (checkup.check_shop("test", PAIR, ["bewertungen"]), OK),
        (checkup.check_shop("test", PAIR, ["ops_settings"]), WARN),
        (checkup.check_indexes(0, 23, has_run=True), OK),
        (checkup.check_indexes(3, 23, has_run=False), WARN),
        (checkup.check_indexes(3, 23, has_run=True), FAIL),
        (checkup.check_clock(1.9 * SECOND), OK),
        (checkup.check_clock(-2 * SECOND), WARN),
        (checkup.check_clock(59 * SECOND), WARN),
        (checkup.check_clock(-60 * SECOND), FAIL),
        (checkup.check_horizon(None, ""), WARN),
        (checkup.check_horizon(datetime(2026, 11, 22, tzinfo=UTC), "today"), OK),
        (checkup.check_workers(1, 2 * SECOND, "2 s"), OK),
        (checkup.check_workers(0, 2 * SECOND, "2 s"), FAIL),
        (checkup.check_workers(0, None, ""), FAIL),
        (checkup.check_paused([]), OK),
        (checkup.check_paused(["mail"]), WARN),
        (checkup.check_uncertain(0), OK),
        (checkup.check_uncertain(1), FAIL),
        (checkup.check_breakers([]), OK),
        (checkup.check_breakers(["model:opus"]), WARN),
        (check_key(None, is_stand_in=False), FAIL),
        (check_key("sk-ant-api03-x", is_stand_in=False), OK),
        (check_key("sk-ant-api03-x", is_stand_in=True), WARN),
        (check_key("sk_live_x", is_stand_in=False), WARN),
        (check_mail("none", "info@pferdewert.de", is_stand_in=False), WARN),
        (check_mail("resend", "info@pferdewert.de", is_stand_in=True), WARN),
        (check_mail("smtp", "info@pferdewert.de", is_stand_in=False), OK),
        (check_operators(0), WARN),
        (check_operators(2), OK),
    ],
)
def test_each_fact_is_judged_and_what_is_not_well_says_what_to_do(check: Check, level: Level) -> None:
    assert check.level is level
    assert check.sentence.endswith(".")
    assert bool(check.fix) is (level is not OK)


# In millionths of a euro: the whole budget has to hold one call, and its eighty per cent one for the unpaid.
@pytest.mark.parametrize(
    ("budget", "level"),
    [(329_999, FAIL), (330_000, WARN), (412_498, WARN), (412_499, OK)],
)
def test_the_budget_holds_at_least_one_evaluation(budget: int, level: Level) -> None:
    assert checkup.check_budget(budget, 330_000).level is level


def test_models_that_cost_nothing_make_the_budget_useless() -> None:
    assert checkup.check_budget(20_000_000, 0).level is WARN


@pytest.mark.parametrize(
    ("outcome", "level"),
    [
        (ProbeOutcome.ANSWERS, OK),
        (ProbeOutcome.UNWELL, WARN),
        (ProbeOutcome.REFUSED, FAIL),
        (ProbeOutcome.UNREACHABLE, FAIL),
    ],
)
def test_what_a_service_answers(outcome: ProbeOutcome, level: Level) -> None:
    probe = Probe(outcome=outcome, code="http_403", seconds=0.25)
    check = check_probe("mail", "Resend", probe, "PWOPS_RESEND_API_KEY", "PWOPS_RESEND_BASE_URL")

    assert check.level is level
    assert ("250 ms" in check.sentence) is (level is OK)
    assert ("PWOPS_RESEND_API_KEY" in check.fix) is (outcome is ProbeOutcome.REFUSED)
    assert ("PWOPS_RESEND_BASE_URL" in check.fix) is (outcome is ProbeOutcome.UNREACHABLE)
