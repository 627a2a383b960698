"""`python -m benchmarks [names…] [--quick] [--json PATH]`: measure, show a table, store the figures as JSON."""

import argparse
import importlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, Verdict
from benchmarks.scale import FULL, QUICK, Scale

NAMES = ("start_up", "drain", "claim", "enqueue_to_start", "concurrency", "recovery", "renew")
LATEST = Path(__file__).resolve().parent / "results" / "latest.json"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Repeatable measurements; see README.md.")
    parser.add_argument("names", nargs="*", metavar="name", help=f"which ones: {', '.join(NAMES)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="a minute's worth: other sizes, not the targets' own")
    parser.add_argument("--json", type=Path, metavar="PATH", help="store the figures there")
    given = parser.parse_args(arguments)
    unknown = sorted(set(given.names) - set(NAMES))
    if unknown:
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    report(given.names or NAMES, QUICK if given.quick else FULL, given.json)
    return 0


def report(names: Sequence[str], scale: Scale, path: Path | None) -> list[Figure]:
    """Run these, print the table, store the figures where `path` says."""
    from pferdewert_ops.sandbox.walls import clear_user_environment

    clear_user_environment()
    from benchmarks.report import as_json, facts, table

    figures, machine, runs = measure(names, scale)
    print(facts({"scale": scale.name, **machine}))
    print()
    print(table(figures))
    short = [figure for figure in figures if figure.verdict is Verdict.FELL_SHORT]
    met = [figure for figure in figures if figure.verdict is Verdict.MET]
    print()
    print(f"{len(met)} targets met, {len(short)} fell short.")
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        stored = as_json(figures, machine=machine, scale=scale.name, runs=runs)
        path.write_text(json.dumps(stored, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return figures


def measure(names: Sequence[str], scale: Scale) -> tuple[list[Figure], dict[str, Any], dict[str, Any]]:
    """The figures, the machine, and how each run went. Each benchmark has a server of its own."""
    from benchmarks.ground import fresh_ground, load, machine_facts

    figures: list[Figure] = []
    runs: dict[str, Any] = {}
    version = ""
    for name in names:
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        began, before = time.monotonic(), load()
        with fresh_ground() as ground:
            version = ground.client.server_info()["version"]
            figures += importlib.import_module(f"benchmarks.{name}").run(ground, scale)
        runs[name] = {"seconds": round(time.monotonic() - began, 1), "load_before": before, "load_after": load()}
    return figures, {**machine_facts(version), "load": load()}, runs


if __name__ == "__main__":
    sys.exit(main())
