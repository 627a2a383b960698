"""A child process that inserts jobs, one after the other, and says when it began to insert each."""

import json
import sys
import time
from typing import Any

from bson import ObjectId
from pymongo import MongoClient

from benchmarks.shop import new_job
from pferdewert_ops.sandbox.walls import clear_user_environment, require_loopback

WAIT_LIMIT = 30.0


def main() -> None:
    clear_user_environment()
    given = json.loads(sys.argv[1])
    require_loopback(given["uri"])
    began: dict[str, float] = {}
    with MongoClient[dict[str, Any]](given["uri"]) as client:
        jobs = client[given["database"]][given["collection"]]
        for order_id in given["orders"]:
            job = new_job(ObjectId(order_id))
            began[str(job["_id"])] = time.time()
            jobs.insert_one(job)
            _wait_until_idle(jobs, job["_id"], given["then"])
            time.sleep(given["pause"])
    print(json.dumps(began))


def _wait_until_idle(jobs: Any, identity: ObjectId, status: str) -> None:
    """The next one meets an idle worker."""
    deadline = time.monotonic() + WAIT_LIMIT
    while jobs.count_documents({"_id": identity, "status": status}) == 0:
        if time.monotonic() > deadline:
            raise TimeoutError(f"a job was not {status} within {WAIT_LIMIT:.0f} s")
        time.sleep(0.02)


if __name__ == "__main__":
    main()
