"""One answer on its way to one client, with the faults that strike in the middle of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from pferdewert_ops.sandbox.anthropic_journal import Outcome
from pferdewert_ops.sandbox.anthropic_messages import PING, error_body, frame
from pferdewert_ops.sandbox.anthropic_rules import Fault, Rule
from pferdewert_ops.sandbox.http import hang_up

_MID_STREAM = frozenset({Fault.STALL, Fault.TRICKLE, Fault.CUT, Fault.EARLY_EOF, Fault.ERROR_EVENT})


class Waiting:
    """The waits of one request, all of which end at once when the client leaves or the server stops."""

    def __init__(self) -> None:
        self.outcome: Outcome | None = None  # set when it is over before the answer is whole
        self._woken = asyncio.Event()

    async def pause(self, seconds: float | None) -> None:
        """Wait so long, or until woken where `seconds` is None."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), seconds)
        if self.outcome is None:
            self._woken.clear()

    def wake(self) -> None:
        self._woken.set()

    def end(self, outcome: Outcome) -> None:
        self.outcome = self.outcome or outcome
        self._woken.set()

    @contextlib.asynccontextmanager
    async def watching(self, receive: Receive) -> AsyncIterator[None]:
        """Notice within this block when the client goes away."""

        async def listen() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            self.end(Outcome.ABANDONED)

        listener = asyncio.create_task(listen())
        try:
            yield
        finally:
            listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listener


class EventStream(Response):
    """A stream of server-sent events at a pace, with at most one fault in it."""

    def __init__(
        self,
        events: Sequence[bytes],
        *,
        request: Request,
        request_id: str,
        rule: Rule | None,
        pace: float,
        waiting: Waiting,
        note: Callable[[Outcome, int], None],
    ) -> None:
        super().__init__()
        self._events = events
        self._request = request
        self._request_id = request_id
        self._pace = pace
        self._waiting = waiting
        self._note = note
        self._sent = 0
        self._started = False
        self._rule = rule if rule is not None and rule.fault in _MID_STREAM else None
        # A stream that is shorter than `after` still breaks: before its last event.
        self._fault_at = min(self._rule.after, len(events) - 1) if self._rule else None

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        async with self._waiting.watching(receive):
            outcome, whole = await self._play(send)
        self._note(outcome, self._sent)
        if whole:
            await self._begin(send)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await hang_up(self._request)

    async def _play(self, send: Send) -> tuple[Outcome, bool]:
        """Send the events. Returns how it ended, and whether the response is to be closed in order."""
        for position, event in enumerate(self._events):
            if position == self._fault_at and self._rule is not None:
                struck = await self._strike(self._rule, send)
                if struck is not None:
                    return struck
            if self._pace and position:
                await self._waiting.pause(self._pace)
            await asyncio.sleep(0)  # the other streams are served between two events, and a client that left is noticed
            if self._waiting.outcome is not None:
                return self._waiting.outcome, False
            await self._send(send, event)
        return Outcome.COMPLETE, True

    async def _strike(self, rule: Rule, send: Send) -> tuple[Outcome, bool] | None:
        match rule.fault:
            case Fault.STALL:
                self._note(Outcome.HANGING, self._sent)
                await self._waiting.pause(None)
                return None
            case Fault.TRICKLE:
                self._note(Outcome.HANGING, self._sent)
                while self._waiting.outcome is None:
                    await self._send(send, PING)
                    await self._waiting.pause(rule.seconds)
                return None
            case Fault.CUT:
                return Outcome.BROKEN, False
            case Fault.EARLY_EOF:
                return Outcome.BROKEN, True
            case Fault.ERROR_EVENT:
                body = error_body("overloaded_error", "Overloaded", self._request_id)
                await self._send(send, frame("error", body))
                return Outcome.BROKEN, True
            case _:
                raise AssertionError(f"{rule.fault} does not strike in mid-stream")

    async def _begin(self, send: Send) -> None:
        if not self._started:
            self._started = True
            headers = [
                (b"content-type", b"text/event-stream; charset=utf-8"),
                (b"request-id", self._request_id.encode()),
            ]
            await send({"type": "http.response.start", "status": 200, "headers": headers})

    async def _send(self, send: Send, event: bytes) -> None:
        await self._begin(send)
        await send({"type": "http.response.body", "body": event, "more_body": True})
        self._sent += 1
