"""A real worker process. Called with a settings file it is one; called without, it forks one for each line of stdin.

A fork is there in 30 ms where a fresh interpreter takes more than a second to import what a worker needs, and it can
be killed, frozen and told from another host just as well.
"""

import contextlib
import ctypes
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

from pferdewert_ops.config import Settings
from pferdewert_ops.sandbox.walls import clear_user_environment, require_loopback
from pferdewert_ops.wiring import Shop
from pferdewert_ops.worker.assembly import Worker

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def work(order: dict[str, Any]) -> None:
    """Run one worker to its end; its events go to the log, one JSON object a line."""
    with Path(order["log"]).open("a", buffering=1, encoding="utf-8") as log:

        def tell(event: str, **fields: Any) -> None:
            log.write(json.dumps({"event": event, **fields}, default=str) + "\n")

        settings = Settings(**order["settings"])
        require_loopback(settings.required_mongodb_uri)
        with Shop(settings, tell=tell) as shop:
            shop.migrate()
            worker = Worker(shop, queues=order["queues"], max_jobs=None)
            worker.process.on_signals()
            tell("serving", holder=shop.identity.holder)
            try:
                worker.process.run(drain=False)
            finally:
                worker.close()


def _child(line: str) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    try:
        work(json.loads(line))
    except BaseException:  # noqa: BLE001 - the process ends here, and must not go on as a second nursery
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _say(**fields: object) -> None:
    os.write(1, json.dumps(fields).encode() + b"\n")


def _reap(number: int, frame: FrameType | None) -> None:
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            _say(pid=pid, ended=os.waitstatus_to_exitcode(status))


def nursery() -> None:
    """One worker for each line; says the pid of each, and later how it ended. Its end is the end of them all."""
    # What a worker imports when it first needs it, so that no fork has to.
    import pferdewert_ops.adapters.anthropic_evaluator
    import pferdewert_ops.adapters.anthropic_evaluator.errors
    import pferdewert_ops.adapters.mail.resend
    import pferdewert_ops.adapters.mail.smtp  # noqa: F401

    signal.signal(signal.SIGCHLD, _reap)
    _say(ready=True)
    for line in sys.stdin:
        # A child that dies at once must not be reaped before its birth was told.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        pid = os.fork()
        if pid == 0:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            _child(line)
        _say(born=pid)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})


if __name__ == "__main__":
    clear_user_environment()
    if len(sys.argv) > 1:
        work(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    else:
        nursery()
