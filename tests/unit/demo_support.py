"""Orders of the demonstration as they look when all went well, to plant faults in."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pferdewert_ops.domain.failures import ErrorClass
from pferdewert_ops.domain.horse import Horse, normalise
from pferdewert_ops.domain.jobs import JobStatus
from pferdewert_ops.domain.products import WERTGUTACHTEN
from pferdewert_ops.domain.prompts import evaluation_prompt
from pferdewert_ops.sandbox.demo.acts import Killed
from pferdewert_ops.sandbox.demo.evidence import Evidence
from pferdewert_ops.sandbox.demo.fates import Call, Fate, Found, Written
from pferdewert_ops.sandbox.demo.orders import DemoOrder, demo_orders, stored_bytes
from pferdewert_ops.sandbox.demo.outcome import Outcome, judge
from pferdewert_ops.sandbox.demo.waits import LongWait
from pferdewert_ops.sandbox.valuation_text import certificate, valuation

NOW = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)
FIRST, SECOND = "claude-opus-5-5", "claude-sonnet-5-5"
ORDERS = demo_orders(24, 7, NOW)


def order_where(words: str) -> DemoOrder:
    """The one whose kind says so."""
    (found,) = [order for order in ORDERS if words in order.kind.words]
    return found


def written(order: DemoOrder) -> Written:
    document = order.at_the_end()
    return Written(
        product=order.product,
        currency=order.product.valuation_currency(order.country),
        document=document,
        raw=stored_bytes(document),
        jobs=order.jobs,
        models=(FIRST, SECOND),
    )


def as_it_should_be(order: DemoOrder) -> Found:
    """What would be found if everything about this order went right."""
    expected = order.kind.expectation
    jobs = _jobs(order)
    document = dict(order.at_the_end())
    if expected.delivered:
        document |= _delivery(order, next(job for job in jobs if job["status"] == JobStatus.COMPLETED))
    failures = [failure for job in expected.jobs for failure in job.failures if failure is not ErrorClass.BAD_INPUT]
    evaluated = any(job.status is JobStatus.COMPLETED for job in expected.jobs)
    calls = [Call(model=FIRST, right=False, answer=answer(order)) for _ in failures]
    return Found(
        document=document,
        raw=stored_bytes(document),
        jobs=jobs,
        mails={
            kind.value: {"kind": kind.value, "status": mail.status.value, "history": history(*mail.failures)}
            for kind, mail in expected.mails.items()
        },
        accepted=[kind.value for kind, mail in expected.mails.items() if mail.accepted],
        findings=frozenset(str(finding) for finding in expected.findings),
        calls=[*calls, Call(model=_model(order), right=True, answer=answer(order))] if evaluated else calls,
    )


def answer(order: DemoOrder) -> Any:
    """What the stand-in model writes about this horse."""
    horse = normalise(order.document)
    if not isinstance(horse, Horse):
        return ""
    prompt = evaluation_prompt(horse, order.product).user
    return json.loads(certificate(prompt)) if order.product is WERTGUTACHTEN else valuation(prompt).strip()


def history(*failures: ErrorClass) -> list[dict[str, object]]:
    return [{"event": "failed", "class": failure.value, "at": NOW} for failure in failures]


def _model(order: DemoOrder) -> str:
    return SECOND if order.kind.expectation.by_fallback else FIRST


def _jobs(order: DemoOrder) -> list[dict[str, Any]]:
    expected = order.kind.expectation
    if expected.fate is Fate.UNTOUCHED:
        return [dict(job) for job in order.jobs]
    shops = order.jobs or ({"_id": order.id, "bewertungId": order.id},)
    made = []
    for job, wanted in zip(shops, expected.jobs, strict=False):
        completed = wanted.status is JobStatus.COMPLETED
        done: dict[str, Any] = {
            "status": wanted.status.value,
            "attempts": len(wanted.failures) + completed,
            "history": history(*wanted.failures),
        }
        if wanted.cancelled_for is not None:
            done["cancelReason"] = wanted.cancelled_for.value
        if completed:
            result = {"value": answer(order), "model": _model(order), "model_version": _model(order)}
            done |= {"result": result, "completedAt": NOW + timedelta(seconds=9), "costMicroEur": 20_000}
        made.append({**job, **done})
    return made


def _delivery(order: DemoOrder, job: dict[str, Any]) -> dict[str, Any]:
    result = job["result"]
    delivered = {
        order.product.result_field: result["value"],
        "status": "fertig",
        "completedAt": job["completedAt"],
        "ai_model": result["model"],
        "ai_model_version": result["model_version"],
        "jobId": job["_id"],
        "aktualisiert": NOW + timedelta(seconds=10),
    }
    if order.product is WERTGUTACHTEN:
        delivered["zertifikatNummer"] = order.document.get("zertifikatNummer", "CERT-2026-000501")
    return delivered


# --- the whole -------------------------------------------------------------------------------------------------------

FOUND: Mapping[str, Found | None] = {str(order.id): as_it_should_be(order) for order in ORDERS}
BOOKED = sum(job.get("costMicroEur", 0) for found in FOUND.values() if found for job in found.jobs)
EVIDENCE = Evidence(found=FOUND, strays=[], mails=30, duplicate_mails=0, calls=25, booked_micro=BOOKED)
KILLED = Killed(
    holder="host/1/a", at=NOW, leases=1, taken_back=timedelta(seconds=1.5), in_work_again=timedelta(seconds=1.6)
)


def judged(evidence: Evidence = EVIDENCE, killed: Killed | None = KILLED, waits: Sequence[LongWait] = ()) -> Outcome:
    return judge(ORDERS, evidence, killed=killed, waits=waits, took=timedelta(seconds=14))
