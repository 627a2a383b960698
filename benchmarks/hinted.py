"""A child process that claims what a change stream tells of: the least that a bare worker can do to start early."""

import json
import sys
from typing import Any

from pymongo import MongoClient

from pferdewert_ops.sandbox.walls import clear_user_environment, require_loopback


def main() -> None:
    clear_user_environment()
    given = json.loads(sys.argv[1])
    require_loopback(given["uri"])
    with MongoClient[dict[str, Any]](given["uri"]) as client:
        jobs = client[given["database"]][given["collection"]]
        with jobs.watch([{"$match": {"operationType": "insert"}}]) as stream:
            print("listening", flush=True)
            for change in stream:
                jobs.find_one_and_update(
                    {"_id": change["documentKey"]["_id"], "status": "pending"},
                    [{"$set": {"status": "processing", "startedAt": "$$NOW"}}],
                )


if __name__ == "__main__":
    main()
