"""Ask Claude for one evaluation, as a stream, within a deadline that holds."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable, Generator, Mapping
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING, Self

from pferdewert_ops.adapters.anthropic_evaluator.reading import Reading
from pferdewert_ops.domain.failures import ErrorClass
from pferdewert_ops.operations.ports import EvaluationCancelled, EvaluationRequest, ModelAnswer, Watch

if TYPE_CHECKING:
    from anthropic import Stream
    from anthropic.types import JSONOutputFormatParam, OutputConfigParam, RawMessageStreamEvent

    from pferdewert_ops.adapters.anthropic_evaluator.deadline import Call

API_URL = "https://api.anthropic.com"

_CONNECT_SECONDS = 5.0
_SILENCE_SECONDS = 60.0  # the API sends a ping every few seconds, also while the model thinks
_SEND_SECONDS = 30.0
_POOL_SECONDS = 5.0  # every worker thread has a connection of its own: a wait means that one is not closed yet
_PROGRESS_SECONDS = 0.5
_KEY = re.compile(r"[!-~]+")


class AnthropicEvaluator:
    """The Messages API. Safe to use from `concurrency` threads at once. Close it at the end.

    Key, address, profile and proxy are never taken from the environment. Making the first one imports the SDK, which
    takes about a second. Raises ValueError for a key or an address that cannot be one; the message does not repeat it.
    """

    def __init__(self, *, api_key: str, base_url: str = API_URL, concurrency: int = 1) -> None:
        import anthropic
        import httpx2

        from pferdewert_ops.adapters.anthropic_evaluator.deadline import DeadlineTransport

        if not _KEY.fullmatch(api_key):
            raise ValueError("the Anthropic key is empty or holds characters that no key has")
        if not re.fullmatch(r"https?://[!-~]+", base_url):
            raise ValueError("Anthropic's address must begin with https:// or http://")
        _keep_prompts_out_of_logs()
        timeout = httpx2.Timeout(
            connect=_CONNECT_SECONDS, read=_SILENCE_SECONDS, write=_SEND_SECONDS, pool=_POOL_SECONDS
        )
        transport = DeadlineTransport(connections=concurrency, tls=base_url.startswith("https:"))
        self._client = anthropic.Anthropic(
            api_key=api_key,
            base_url=base_url,
            max_retries=0,  # attempts are counted, delayed and shown by the queue
            timeout=timeout,
            http_client=httpx2.Client(transport=transport, timeout=timeout, trust_env=False),
            open_telemetry=False,
        )

    def evaluate(self, request: EvaluationRequest, *, deadline: timedelta, watch: Watch) -> ModelAnswer:
        """Make one call and wait for its whole answer, `deadline` at most.

        `watch.cancelled` is asked at every event and twice a second at least, `watch.progress` told twice a second at
        most; neither may raise. Raises OperationFailed, with what was billed all the same, or EvaluationCancelled.
        """
        from pferdewert_ops.adapters.anthropic_evaluator.deadline import Call

        reading = Reading()
        call = Call(deadline=deadline, watch=watch)
        told = monotonic() - _PROGRESS_SECONDS
        with contextlib.closing(_arrivals(self._question(request), call, reading)) as arrivals:
            for output_tokens in arrivals:
                if monotonic() - told >= _PROGRESS_SECONDS:
                    told = monotonic()
                    watch.progress(output_tokens)
        return reading.answer()

    def _question(self, request: EvaluationRequest) -> Callable[[], Stream[RawMessageStreamEvent]]:
        """The request, ready to be sent. The plain stream costs the SDK a third less per event than its helper."""
        import anthropic

        schema = request.answer_schema
        output_config: OutputConfigParam | anthropic.Omit
        output_config = anthropic.omit if schema is None else {"format": _json_format(schema)}

        def ask() -> Stream[RawMessageStreamEvent]:
            return self._client.messages.create(
                stream=True,
                model=request.model,
                max_tokens=request.max_tokens,
                # The system prompt is the same for every order of a product: written to the cache once, then read at a
                # tenth of the price.
                system=[{"type": "text", "text": request.system, "cache_control": {"type": "ephemeral"}}],
                messages=[{"role": "user", "content": request.prompt}],
                output_config=output_config,
            )

        return ask

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _arrivals(
    ask: Callable[[], Stream[RawMessageStreamEvent]], call: Call, reading: Reading
) -> Generator[int, None, None]:
    """Ask, and read up to the end of the message; at each event the output tokens so far.

    What follows the end of the message is not waited for: the answer is whole, and paid for.
    """
    from pferdewert_ops.adapters.anthropic_evaluator.deadline import Stop
    from pferdewert_ops.adapters.anthropic_evaluator.errors import VENDOR_ERRORS, failure_of

    try:
        with call.active(), ask() as stream:
            reading.request_id = stream.response.headers.get("request-id")
            for event in stream:
                reading.take(event)
                if reading.is_whole:
                    return
                call.check()
                yield reading.output_tokens
    except VENDOR_ERRORS as error:
        # `from None`: the vendor's text may quote the request, and a traceback would print it. The error is still there
        # as `__context__` for a debugger.
        match call.stopped:
            case Stop.CANCELLED:
                raise EvaluationCancelled(reading.usage()) from None
            case Stop.DEADLINE:
                raise reading.failed(ErrorClass.AI_TIMEOUT, "deadline") from None
            case None:
                raise failure_of(error, usage=reading.usage(), request_id=reading.request_id) from None


def _json_format(schema: Mapping[str, object]) -> JSONOutputFormatParam:
    """The schema as the API takes it: bounds that it knows nothing of become words of the description."""
    import anthropic

    return {"type": "json_schema", "schema": anthropic.transform_schema(dict(schema))}


def _keep_prompts_out_of_logs() -> None:
    """At level DEBUG, which ANTHROPIC_LOG or a root logger may ask for, the SDK logs whole requests: warnings only."""
    logger = logging.getLogger("anthropic")
    logger.setLevel(max(logger.level, logging.WARNING))
