"""Whether an order is exactly where it should be: every difference, in words."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pferdewert_ops.domain.answers import check_certificate, check_valuation
from pferdewert_ops.domain.failures import ErrorClass
from pferdewert_ops.domain.jobs import JobStatus
from pferdewert_ops.domain.products import WERTGUTACHTEN
from pferdewert_ops.domain.rejections import Rejected
from pferdewert_ops.sandbox.demo.fates import Document, Expectation, Fate, Found, Written, failures_of, was_lost

_NUMBER = re.compile(r"CERT-20[0-9]{2}-[0-9]{6}")
# A form that cannot be used is no reason to ask the model.
_WITHOUT_A_CALL = frozenset({ErrorClass.BAD_INPUT.value})


def differences(written: Written, expected: Expectation, found: Found | None) -> list[str]:
    """Everything in which this order is not where it should be; empty where all is right."""
    if found is None:
        return ["the document is gone"]
    problems = [*_of_jobs(written, expected, found.jobs), *_of_mails(expected, found)]
    completed = next((job for job in found.jobs if job["status"] == JobStatus.COMPLETED), None)
    if not expected.delivered:
        if found.raw != written.raw:
            problems.append(f"the document was changed: {_listed(_changed(written.document, found.document))}")
    elif completed is None:
        problems.append("there is no result that could have been delivered")
    else:
        problems += _of_delivery(written, found.document, completed)
    problems += _of_calls(found)
    if completed is not None:
        problems += _of_result(written, expected, found, completed)
    if found.findings != expected.findings:
        problems.append(f"a human was told {_listed(found.findings)} instead of {_listed(expected.findings)}")
    return problems


# --- jobs and mails --------------------------------------------------------------------------------------------------


def _of_jobs(written: Written, expected: Expectation, jobs: Sequence[Document]) -> Iterator[str]:
    if len(jobs) != len(expected.jobs):
        yield f"{len(jobs)} jobs instead of {len(expected.jobs)}"
        return
    if expected.fate is Fate.UNTOUCHED and list(jobs) != list(written.jobs):
        yield "its job was changed"
    for wanted, job in zip(expected.jobs, jobs, strict=True):
        if job["status"] != wanted.status:
            yield f"the job is {job['status']} instead of {wanted.status}"
        if job.get("cancelReason") != wanted.cancelled_for:
            yield f"the job was cancelled for {job.get('cancelReason')} instead of {wanted.cancelled_for}"
        failures = failures_of(job)
        if not _as_expected(failures, wanted.failures):
            yield f"its attempts failed by {_listed(failures)} instead of {_listed(wanted.failures)}"
        attempts = len(failures) + (1 if job["status"] == JobStatus.COMPLETED else 0)
        if job.get("attempts") != attempts:
            yield f"{job.get('attempts')} attempts are on record, {attempts} were made"


def _of_mails(expected: Expectation, found: Found) -> Iterator[str]:
    statuses = {kind: mail["status"] for kind, mail in found.mails.items()}
    wanted = {kind.value: mail.status.value for kind, mail in expected.mails.items()}
    if statuses != wanted:
        yield f"the mails are {_pairs(statuses)} instead of {_pairs(wanted)}"
    for kind, mail in expected.mails.items():
        failures = failures_of(found.mails.get(kind.value, {}))
        if not _as_expected(failures, mail.failures):
            yield f"the {kind} mail failed by {_listed(failures)} instead of {_listed(mail.failures)}"
    accepted = Counter(found.accepted)
    once = Counter(kind.value for kind, mail in expected.mails.items() if mail.accepted)
    if accepted != once:
        yield f"the provider has {_pairs(accepted)} instead of {_pairs(once)}"


def _as_expected(failures: Sequence[str], expected: Sequence[str]) -> bool:
    """Whether the attempts failed as they should.

    Whoever was in the hands of the worker that was killed has lost one attempt more than was meant for it, and the
    fault of that attempt with it if the worker died before writing it down.
    """
    lost = ErrorClass.WORKER_LOST.value
    if list(failures) == list(expected):
        return True
    if list(failures).count(lost) != 1 or lost in expected:
        return False
    meant = iter(expected)
    return all(failure in meant for failure in failures if failure != lost)


# --- the document ----------------------------------------------------------------------------------------------------


def _of_delivery(written: Written, document: Document, job: Document) -> Iterator[str]:
    result = job["result"]
    ours = {
        written.product.result_field: result["value"],
        "status": "fertig",
        "completedAt": job["completedAt"],
        "ai_model": result["model"],
        "ai_model_version": result["model_version"],
        "jobId": job["_id"],
    }
    for key, value in ours.items():
        if key not in document or document[key] != value:
            yield f"{key} is not what was delivered"
    may_change = {*ours, "aktualisiert"}
    if written.product is WERTGUTACHTEN:
        if not _NUMBER.fullmatch(str(document.get("zertifikatNummer"))):
            yield "the certificate has no number"
        if "zertifikatNummer" not in written.document:
            may_change.add("zertifikatNummer")
    if "aktualisiert" not in document:
        yield "aktualisiert is missing"
    if surplus := _changed(written.document, document) - may_change:
        yield f"the document was changed in {_listed(surplus)} too"


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> set[str]:
    nothing = object()
    return {key for key in {**before, **after} if before.get(key, nothing) != after.get(key, nothing)}


# --- the model -------------------------------------------------------------------------------------------------------


def _of_calls(found: Found) -> Iterator[str]:
    asked_for = [failure for job in found.jobs for failure in failures_of(job) if failure not in _WITHOUT_A_CALL]
    most = len(asked_for) + sum(job["status"] == JobStatus.COMPLETED for job in found.jobs)
    # The attempt that died with its worker may not have come to its call.
    least = most - sum(was_lost(job) for job in found.jobs)
    if not least <= len(found.calls) <= most:
        yield f"the model was asked {len(found.calls)} times instead of {most}"


def _of_result(written: Written, expected: Expectation, found: Found, job: Document) -> Iterator[str]:
    result = job["result"]
    right = [call for call in found.calls if call.right]
    if not right or result["value"] != right[-1].answer:
        yield "the result is not what the model wrote about this horse"
    if written.product is WERTGUTACHTEN:
        checked: object = check_certificate(result["value"], stop_reason="end_turn")
    else:
        checked = check_valuation(result["value"], stop_reason="end_turn", currency=written.currency)
    if isinstance(checked, Rejected):
        yield f"the result should not have been accepted: {checked.sentence}"
    # A fault that died with the worker may have left the first model an attempt more.
    allowed = set(written.models) if was_lost(job) else {written.models[1 if expected.by_fallback else 0]}
    if result["model"] not in allowed:
        yield f"{result['model']} wrote the result instead of {_listed(allowed)}"


def _listed(words: Iterable[str]) -> str:
    return ", ".join(sorted(words) if isinstance(words, set | frozenset) else words) or "nothing"


def _pairs(words: Mapping[str, object]) -> str:
    return ", ".join(f"{key} {value}" for key, value in sorted(words.items())) or "none"
