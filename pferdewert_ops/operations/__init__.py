"""Use cases: one verb a file; they take ports and return reports."""
