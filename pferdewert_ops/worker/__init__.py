"""The worker process: lanes for queues, a keeper of leases, a steward of chores, hints from the database."""
