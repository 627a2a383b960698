"""Read-only figures for the status screen: workers, queues, breakers, open findings; each read is bounded."""

from datetime import UTC, datetime, timedelta

from pymongo import ASCENDING
from pymongo.database import Database

from pferdewert_ops.adapters.mongo import breakers, documents
from pferdewert_ops.adapters.mongo.documents import Document
from pferdewert_ops.adapters.mongo.figures import Figures, Pause, QueueFigures
from pferdewert_ops.adapters.mongo.listing import MOST_MS
from pferdewert_ops.adapters.mongo.workers import Workers
from pferdewert_ops.domain.breaker import BreakerMode
from pferdewert_ops.operations.overview import OF_DELAY_MAIL, BreakerSeen, FindingsSeen, QueueSeen, WorkerSeen

# With more open findings than these the screen says how bad it is all the same.
MOST_FINDINGS = 5_000
SUBJECTS_SHOWN = 5


class MongoOverview:
    """One shop's figures by the server's clock. Writes nothing; all methods raise pymongo's errors."""

    def __init__(self, database: Database[Document]) -> None:
        self._database = database

    def server_time(self) -> datetime:
        """The server's clock, to which all leases and ages are."""
        told: datetime = self._database.client.admin.command("hello")["localTime"]
        return told if told.tzinfo else told.replace(tzinfo=UTC)

    def workers(self, alive_within: timedelta) -> tuple[WorkerSeen, ...]:
        """Every worker on record, those seen last first; alive if seen within this time and not ended in order."""
        seen = [_worker(record, now - record["seenAt"], alive_within) for record, now in self._overview()]
        return tuple(sorted(seen, key=lambda worker: worker.seen_ago))

    def _overview(self) -> list[tuple[Document, datetime]]:
        return Workers(self._database).overview()

    def queues(self, now: datetime) -> tuple[QueueSeen, ...]:
        """Both queues. Needs our indexes."""
        figures = Figures(self._database)
        pauses = figures.pauses()
        return tuple(_queue(one, pauses.get(one.queue), now) for one in (figures.evaluation(), figures.mail()))

    def breakers(self, now: datetime) -> tuple[BreakerSeen, ...]:
        """Every breaker that has ever moved."""
        return tuple(
            BreakerSeen(
                name=one.name,
                mode=one.mode,
                failures=one.failures,
                open_for=None if one.mode is BreakerMode.CLOSED or one.opened_at is None else now - one.opened_at,
                next_probe_in=None if one.next_probe_at is None else one.next_probe_at - now,
            )
            for one in breakers.overview(self._database[documents.BREAKERS])
        )

    def findings(self, now: datetime) -> tuple[FindingsSeen, ...]:
        """The open findings by kind, those about delay mails apart, the oldest first."""
        fields = {"_id": 0, "kind": 1, "subject": 1, "detail": 1, "firstSeenAt": 1, "lastSeenAt": 1}
        cursor = (
            self._database[documents.FINDINGS]
            .find({"state": "open"}, fields)
            .sort("firstSeenAt", ASCENDING)
            .limit(MOST_FINDINGS)
            .max_time_ms(MOST_MS)
        )
        with cursor:
            found = list(cursor)
        # The evaluation of a form that cannot be used has failed as well; the form says what to do.
        bad_forms = {finding["subject"] for finding in found if finding["kind"] == "bad_input"}
        kinds: dict[tuple[str, bool], list[Document]] = {}
        for finding in found:
            kind, subject = finding["kind"], finding["subject"]
            if kind != "evaluation_failed" or subject not in bad_forms:
                kinds.setdefault((kind, str(subject).endswith(OF_DELAY_MAIL)), []).append(finding)
        return tuple(_kind(kind, some, now) for (kind, _), some in kinds.items())


def _worker(record: Document, seen_ago: timedelta, alive_within: timedelta) -> WorkerSeen:
    state = str(record["state"])
    return WorkerSeen(
        name=str(record["_id"]),
        queues=tuple(record["queues"]),
        concurrency=record["concurrency"],
        busy=record.get("busy", 0),
        state=state,
        seen_ago=seen_ago,
        is_alive=state in {"running", "stopping"} and seen_ago <= alive_within,
    )


def _queue(figures: QueueFigures, pause: Pause | None, now: datetime) -> QueueSeen:
    return QueueSeen(
        name=figures.queue,
        ready=figures.ready,
        waiting=figures.waiting,
        running=figures.processing,
        stuck=figures.stuck,
        failed=figures.failed_lately,
        uncertain=figures.uncertain,
        left_alone=figures.left_alone,
        not_taken_over=figures.not_taken_over,
        oldest=None if figures.oldest_since is None else max(now - figures.oldest_since, timedelta(0)),
        paused_by=None if pause is None else pause.actor or "somebody",
    )


def _kind(kind: str, found: list[Document], now: datetime) -> FindingsSeen:
    return FindingsSeen(
        kind=kind,
        count=len(found),
        open_for=now - found[0]["firstSeenAt"],
        seen_ago=now - max(finding["lastSeenAt"] for finding in found),
        subjects=tuple(str(finding["subject"]) for finding in found[:SUBJECTS_SHOWN]),
        detail=str(found[0].get("detail", "")),
    )
