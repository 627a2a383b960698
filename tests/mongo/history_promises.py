"""What holds in every history of the shop: after each operation, and once everything has come to rest."""

from collections import Counter, defaultdict

from pferdewert_ops.adapters.mongo import documents
from pferdewert_ops.domain.letters import MailKind
from tests.mongo.history_world import World

OVER = frozenset({"completed", "failed", "cancelled"})


class Promises:
    """Looks at a world again and again, and remembers what it saw."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._seen: set[str] = set()
        self._status: dict[str, str] = {}
        self._fences: dict[str, int] = defaultdict(int)

    def check(self, operation: str) -> None:
        """What holds after every single operation."""
        world = self._world
        jobs = {str(job["_id"]): job for job in world.database.evaluation_jobs.find()}
        assert self._seen <= set(jobs), "a job is gone"
        self._seen |= set(jobs)
        for job_id, job in jobs.items():
            fence = job.get("fence") or 0
            assert fence >= self._fences[job_id], "a fence went back"
            self._fences[job_id] = fence
            assert job["attempts"] <= job["maxAttempts"], "more attempts than the limit"
            before, now = self._status.get(job_id), job["status"]
            if before in OVER and now != before:
                # A person's retry; or a payment, of what was cancelled for want of one. Nothing leaves `completed`.
                assert now == "pending"
                assert before == "cancelled" or (before, operation) == ("failed", "retry")
            self._status[job_id] = now
        for order_id, times in world.orders.delivered.items():
            assert times <= 1 + world.overwritten[order_id], "delivered twice"
        by_purpose = Counter((letter.order_id, letter.kind) for letter in world.provider.accepted.values())
        assert max(by_purpose.values(), default=1) == 1, "two mails for one purpose"

    def check_quiet(self) -> None:
        """What holds once every pass has run and nothing is left to do."""
        world = self._world
        for number, order_id in enumerate(map(str, world.ids)):
            document = world.database[world.products[number].collection].find_one({"_id": world.ids[number]})
            assert document is not None
            accepted = {letter.kind for letter in world.provider.accepted.values() if letter.order_id == order_id}
            told = world.database.ops_findings.find({"subject": order_id, "state": "open"})
            found = {finding["kind"] for finding in told}
            if document["paymentStatus"] != "paid":
                continue
            if documents.has_valid_result(world.products[number], document):
                told_elsewhere = "delivered_elsewhere" in found or not world.jobs_of(number)
                assert MailKind.RESULT in accepted or told_elsewhere or found & {"mail_failed", "mail_uncertain"}
            else:
                assert found & {"evaluation_failed", "cancelled"}, "a paid order that nobody knows of"
        # An evaluation is paid for once, and again for each retry; a lost one is no second result.
        for order_id, results in world.finished.items():
            assert results <= 1 + world.retries[order_id], "evaluated twice"
