"""A local stand-in for the Anthropic API that the real SDK talks to: Messages as JSON and as a stream, token counts.

Faults come on order (`rules`), every call is written down (`journal`); both are also served under `/_sandbox/`.
"""

from collections.abc import Collection
from dataclasses import asdict
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Self

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pferdewert_ops.sandbox.anthropic_answers import answer_to, error_response, error_status
from pferdewert_ops.sandbox.anthropic_journal import Entry, Journal, Outcome
from pferdewert_ops.sandbox.anthropic_messages import Message, TokenCount, error_body, tokens
from pferdewert_ops.sandbox.anthropic_requests import InvalidCall, ModelCall, admit
from pferdewert_ops.sandbox.anthropic_rules import Fault, Rule, RuleBook, read_rules
from pferdewert_ops.sandbox.anthropic_stream import EventStream, Waiting
from pferdewert_ops.sandbox.http import HttpServer, hang_up

API_KEY = "sk-ant-sandbox"
MODELS = frozenset(
    {
        "claude-opus-5-5",
        "claude-opus-5",
        "claude-opus-4-8",
        "claude-sonnet-5-5",
        "claude-haiku-5-5",
        "claude-fable-5-2",
        "claude-mythos-5-2",
    }
)
_THINKING_TOKENS = 60


class AnthropicServer:
    """One running stand-in. `events_per_second` slows the streams down, so that a demonstration can be watched."""

    def __init__(self, *, api_key: str, models: Collection[str], events_per_second: float | None, seed: int) -> None:
        self.api_key = api_key
        self.rules = RuleBook(seed=seed)
        self.journal = Journal()
        self._models = models
        self._pace = 1 / events_per_second if events_per_second else 0.0
        self._cached: set[tuple[str, str]] = set()  # touched in the event loop only
        self._waitings: set[Waiting] = set()  # likewise
        self._stopping = False  # likewise
        self._http: HttpServer

    @classmethod
    def start(
        cls,
        *,
        port: int = 0,
        api_key: str = API_KEY,
        models: Collection[str] = MODELS,
        events_per_second: float | None = None,
        seed: int = 0,
    ) -> Self:
        """Serve until `stop`. `seed` decides about rules with a probability. Raises OSError where the port is taken."""
        server = cls(api_key=api_key, models=models, events_per_second=events_per_second, seed=seed)
        routes = [
            Route("/v1/messages", server._messages, methods=["POST"]),
            Route("/v1/messages/count_tokens", server._count_tokens, methods=["POST"]),
            Route("/_sandbox/journal", server._show_journal),
            Route("/_sandbox/rules", server._change_rules, methods=["GET", "POST", "DELETE"]),
            Route("/_sandbox/release", server._release, methods=["POST"]),
        ]
        server._http = HttpServer.start(Starlette(routes=routes), port=port, on_stop=server._end_waits)
        return server

    @property
    def url(self) -> str:
        """What the SDK wants as `base_url`."""
        return self._http.url

    def release(self) -> None:
        """Let the streams that hang on order go on."""
        self._http.call(self._wake_waits)

    def stop(self) -> None:
        self._http.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _wake_waits(self) -> None:
        for waiting in self._waitings:
            waiting.wake()

    def _end_waits(self) -> None:
        self._stopping = True
        for waiting in self._waitings:
            waiting.end(Outcome.STOPPED)

    # --- the Messages API ------------------------------------------------------------------------------------------

    async def _messages(self, request: Request) -> Response:
        number = self.journal.next_number()
        request_id = f"req_sandbox_{number:06d}"
        call = await self._admit(request, request_id)
        if isinstance(call, Response):
            return call
        rule = self.rules.take(call)
        self.journal.open(_entry(number, request_id, call, rule))
        if rule is not None and (refusal := error_status(rule, request_id)) is not None:
            self.journal.note(number, Outcome.REFUSED, status=refusal.status_code)
            return refusal
        return await self._answer(request, number, request_id, call, rule)

    async def _answer(
        self, request: Request, number: int, request_id: str, call: ModelCall, rule: Rule | None
    ) -> Response:
        waiting = Waiting()
        self._waitings.add(waiting)
        if self._stopping:
            waiting.end(Outcome.STOPPED)

        def note(outcome: Outcome, events: int) -> None:
            self.journal.note(number, outcome, events=events)
            if outcome is not Outcome.HANGING:
                self._waitings.discard(waiting)

        if rule is not None and _silent_at_first(call, rule):
            self.journal.note(number, Outcome.HANGING)
            async with waiting.watching(request.receive):
                await waiting.pause(rule.seconds if rule.fault is Fault.SLOW_START else None)
        message = self._compose(number, call, rule.fault if rule else None)
        if call.stream and waiting.outcome is None:
            return EventStream(
                message.events(),
                request=request,
                request_id=request_id,
                rule=rule,
                pace=self._pace,
                waiting=waiting,
                note=note,
            )
        cut = rule is not None and rule.fault in {Fault.CUT, Fault.EARLY_EOF}
        if waiting.outcome is not None or cut:
            note(waiting.outcome or Outcome.BROKEN, 0)
            return await hang_up(request)
        note(Outcome.COMPLETE, 0)
        return JSONResponse(message.to_json(), headers={"request-id": request_id})

    async def _count_tokens(self, request: Request) -> Response:
        number = self.journal.next_number()
        request_id = f"req_sandbox_{number:06d}"
        call = await self._admit(request, request_id, counting=True)
        if isinstance(call, Response):
            return call
        count = tokens(call.system) + tokens(call.prompt)
        return JSONResponse({"input_tokens": count}, headers={"request-id": request_id})

    async def _admit(self, request: Request, request_id: str, *, counting: bool = False) -> ModelCall | Response:
        """The call, if its key, version, form and model are right; else the answer that says what is wrong."""
        body = await request.body()
        try:
            return admit(request.headers, body, api_key=self.api_key, models=self._models, counting=counting)
        except InvalidCall as refused:
            problem = error_body(refused.error_type, refused.message, request_id)
            return error_response(refused.status, problem, request_id)

    def _compose(self, number: int, call: ModelCall, fault: Fault | None) -> Message:
        answer = answer_to(call, fault)
        thinking = _THINKING_TOKENS if answer.thinks else 0
        count = self._count(call, output=tokens(answer.text) + thinking, thinking=thinking)
        return Message(id=f"msg_sandbox_{number:06d}", model=call.model, answer=answer, count=count)

    def _count(self, call: ModelCall, *, output: int, thinking: int) -> TokenCount:
        """Usage of one call: the first with some cached system prompt writes the cache, the later ones read it."""
        cached = tokens(call.cached_system)
        plain = tokens(call.system) - cached + tokens(call.prompt)
        known = (call.model, call.cached_system) in self._cached
        self._cached.add((call.model, call.cached_system))
        return TokenCount(
            input=plain,
            cache_write=0 if known else cached,
            cache_read=cached if known else 0,
            output=output,
            thinking=thinking,
        )

    # --- reading back and setting up from another process ----------------------------------------------------------

    async def _show_journal(self, _: Request) -> Response:
        return JSONResponse([entry.to_json() for entry in self.journal.entries()])

    async def _change_rules(self, request: Request) -> Response:
        """POST adds a list of rules, DELETE drops all, and every answer lists what is in force."""
        if request.method == "DELETE":
            self.rules.clear()
        elif request.method == "POST":
            try:
                self.rules.add(*read_rules(await request.body()))
            except ValueError as error:
                return JSONResponse({"error": f"not a list of rules: {error}"}, status_code=HTTPStatus.BAD_REQUEST)
        return JSONResponse([asdict(rule) for rule in self.rules.all()])

    async def _release(self, _: Request) -> Response:
        self._wake_waits()
        return JSONResponse({})


def _silent_at_first(call: ModelCall, rule: Rule) -> bool:
    """Whether nothing is sent for a while; an answer that is no stream has no middle to hang in."""
    return rule.fault is Fault.SLOW_START or (not call.stream and rule.fault in {Fault.STALL, Fault.TRICKLE})


def _entry(number: int, request_id: str, call: ModelCall, rule: Rule | None) -> Entry:
    return Entry(
        number=number,
        request_id=request_id,
        received=datetime.now(UTC),
        model=call.model,
        system=call.system,
        prompt=call.prompt,
        stream=call.stream,
        fault=rule.fault if rule else None,
    )
