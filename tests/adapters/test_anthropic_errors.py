"""Each exception of the SDK and its transport is exactly one error class; none of their texts comes through."""

import json
import ssl
import traceback
from collections.abc import Mapping
from datetime import timedelta

import anthropic
import httpcore2
import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pferdewert_ops.adapters.anthropic_evaluator import AnthropicEvaluator
from pferdewert_ops.adapters.anthropic_evaluator.errors import VENDOR_ERRORS, failure_of, retry_after
from pferdewert_ops.domain.failures import ErrorClass, OperationFailed, Usage
from pferdewert_ops.sandbox.http import HttpServer
from tests.adapters.anthropic_support import PROMPT, RecordingWatch, evaluation

REQUEST = httpx2.Request("POST", "http://127.0.0.1/v1/messages")
E = ErrorClass


def raised_by(status: int, body: object, headers: Mapping[str, str] | None = None) -> anthropic.APIStatusError:
    """The exception that the SDK itself makes of such a response."""
    text = body if isinstance(body, str) else json.dumps(body)

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(status, text=text, headers=dict(headers or {}))

    http_client = httpx2.Client(transport=httpx2.MockTransport(answer))
    with (
        anthropic.Anthropic(api_key="k", base_url="http://127.0.0.1", max_retries=0, http_client=http_client) as client,
        pytest.raises(anthropic.APIStatusError) as caught,
    ):
        client.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "x"}], stream=True)
    return caught.value


def error(kind: str, error_code: str | None = None) -> dict[str, object]:
    details = {} if error_code is None else {"details": {"error_code": error_code}}
    return {"type": "error", "error": {"type": kind, "message": "streng geheim", **details}}


STATUSES = [
    (400, error("invalid_request_error"), E.AI_ERROR, "http_400_invalid_request_error"),
    (400, error("invalid_request_error", "organization_on_hold"), E.AUTH, "http_400_organization_on_hold"),
    (401, error("authentication_error"), E.AUTH, "http_401_authentication_error"),
    (402, error("billing_error"), E.SPEND_LIMIT, "http_402_billing_error"),
    (402, "no JSON", E.SPEND_LIMIT, "http_402"),
    (
        402,
        error("billing_error", "linked_organization_spend_limit_reached"),
        E.SPEND_LIMIT,
        "http_402_linked_organization_spend_limit_reached",
    ),
    (403, error("permission_error"), E.AUTH, "http_403_permission_error"),
    (404, error("not_found_error"), E.AUTH, "model_not_found"),
    (404, "<html>", E.AI_ERROR, "http_404"),
    (408, error("timeout_error"), E.NETWORK_ERROR, "http_408_timeout_error"),
    (409, error("conflict_error"), E.AI_ERROR, "http_409_conflict_error"),
    (413, error("invalid_request_error"), E.BAD_INPUT, "http_413_invalid_request_error"),
    (422, error("invalid_request_error"), E.AI_ERROR, "http_422_invalid_request_error"),
    (429, error("rate_limit_error"), E.RATE_LIMITED, "http_429_rate_limit_error"),
    (429, error("rate_limit_error", "something_new"), E.RATE_LIMITED, "http_429_something_new"),
    (429, error("rate_limit_error", "ramp_limit_exceeded"), E.QUEUE_FULL, "http_429_ramp_limit_exceeded"),
    (
        429,
        error("rate_limit_error", "contract_spend_limit_reached"),
        E.SPEND_LIMIT,
        "http_429_contract_spend_limit_reached",
    ),
    (
        429,
        error("rate_limit_error", "enforced_spend_limit_reached"),
        E.SPEND_LIMIT,
        "http_429_enforced_spend_limit_reached",
    ),
    (500, error("api_error"), E.AI_ERROR, "http_500_api_error"),
    (500, error("overloaded_error"), E.OVERLOADED, "http_500_overloaded_error"),
    (502, "<html>", E.AI_ERROR, "http_502"),
    (503, error("api_error"), E.AI_ERROR, "http_503_api_error"),
    (504, error("timeout_error"), E.AI_ERROR, "http_504_timeout_error"),
    (529, error("overloaded_error"), E.OVERLOADED, "http_529_overloaded_error"),
    (529, "", E.OVERLOADED, "http_529"),
    (307, "", E.AI_ERROR, "stream"),
    (500, error("Kundin: Erika Muster"), E.AI_ERROR, "http_500"),
]


@pytest.mark.parametrize(("status", "body", "error_class", "code"), STATUSES)
def test_statuses(status: int, body: object, error_class: ErrorClass, code: str) -> None:
    failed = failure_of(raised_by(status, body, {"request-id": "req_1"}))
    assert (failed.error_class, failed.code, failed.request_id) == (error_class, code, "req_1")


def wrapped(cause: Exception) -> anthropic.APIConnectionError:
    failure: anthropic.APIConnectionError
    timed_out = isinstance(cause, httpx2.TimeoutException)
    failure = anthropic.APITimeoutError(REQUEST) if timed_out else anthropic.APIConnectionError(request=REQUEST)
    failure.__cause__ = cause
    return failure


TRANSPORT = [
    (httpx2.ConnectTimeout(""), E.NETWORK_ERROR, "connect_timeout"),
    (httpx2.PoolTimeout(""), E.QUEUE_FULL, "no_free_connection"),
    (httpx2.ReadTimeout(""), E.AI_TIMEOUT, "socket_timeout"),
    (httpx2.WriteTimeout(""), E.AI_TIMEOUT, "socket_timeout"),
    (httpx2.ConnectError(""), E.NETWORK_ERROR, "connection_failed"),
    (httpx2.ProxyError(""), E.NETWORK_ERROR, "connection_failed"),
    (httpx2.UnsupportedProtocol(""), E.NETWORK_ERROR, "connection_failed"),
    (httpx2.ReadError(""), E.NETWORK_ERROR, "connection_lost"),
    (httpx2.WriteError(""), E.NETWORK_ERROR, "connection_lost"),
    (httpx2.CloseError(""), E.NETWORK_ERROR, "connection_lost"),
    (httpx2.RemoteProtocolError(""), E.NETWORK_ERROR, "connection_lost"),
    (httpx2.LocalProtocolError(""), E.NETWORK_ERROR, "connection_lost"),
    (httpcore2.ReadError(), E.NETWORK_ERROR, "connection_lost"),
    (httpcore2.ReadTimeout(), E.AI_TIMEOUT, "socket_timeout"),
    (ConnectionResetError(), E.NETWORK_ERROR, "connection_lost"),
    (ssl.SSLError(), E.NETWORK_ERROR, "connection_lost"),
    (TimeoutError(), E.AI_TIMEOUT, "socket_timeout"),
    (httpx2.DecodingError(""), E.AI_ERROR, "malformed_response"),
    (httpx2.StreamClosed(), E.AI_ERROR, "malformed_response"),
    (json.JSONDecodeError("x", "x", 0), E.AI_ERROR, "malformed_response"),
    (UnicodeDecodeError("utf-8", b"\xff", 0, 1, ""), E.AI_ERROR, "malformed_response"),
    (AttributeError("usage"), E.AI_ERROR, "malformed_response"),
    (IndexError(), E.AI_ERROR, "malformed_response"),
    (anthropic.CredentialsError(), E.AUTH, "credentials"),
    (anthropic.AnthropicError(), E.AI_ERROR, "malformed_response"),
]


@pytest.mark.parametrize(("cause", "error_class", "code"), TRANSPORT, ids=map(str, range(len(TRANSPORT))))
@pytest.mark.parametrize("before_the_answer", [False, True])
def test_transport(cause: Exception, error_class: ErrorClass, code: str, *, before_the_answer: bool) -> None:
    """The SDK wraps what happens before the answer begins, and lets through what happens in the stream."""
    usage = Usage(output_tokens=3)
    failed = failure_of(wrapped(cause) if before_the_answer else cause, usage=usage, request_id="req_2")
    assert (failed.error_class, failed.code) == (error_class, code)
    assert (failed.usage, failed.request_id) == (usage, "req_2")
    assert isinstance(cause, VENDOR_ERRORS)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, None),
        ({"retry-after": "7"}, timedelta(seconds=7)),
        ({"retry-after": "0.5"}, timedelta(seconds=0.5)),
        ({"retry-after": "0"}, timedelta(0)),
        ({"retry-after-ms": "1500"}, timedelta(seconds=1.5)),
        ({"retry-after-ms": "1500", "retry-after": "2"}, timedelta(seconds=1.5)),
        ({"retry-after-ms": "soon", "retry-after": "2"}, timedelta(seconds=2)),
        ({"retry-after": "999999999999999999999"}, timedelta(hours=1)),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], wait: timedelta | None) -> None:
    assert retry_after(headers) == wait


def test_what_the_server_quotes_of_the_request_is_not_passed_on() -> None:
    async def quote(request: Request) -> Response:
        said = (await request.body()).decode() + request.headers["authorization"]
        return JSONResponse(error("invalid_request_error") | {"quote": said}, status_code=400)

    with (
        HttpServer.start(Starlette(routes=[Route("/v1/messages", quote, methods=["POST"])])) as server,
        AnthropicEvaluator(api_key="sk-ant-canary", base_url=server.url) as evaluator,
        pytest.raises(OperationFailed) as caught,
    ):
        evaluator.evaluate(evaluation(), deadline=timedelta(seconds=10), watch=RecordingWatch())
    assert caught.value.code == "http_400_invalid_request_error"
    assert isinstance(caught.value.__context__, anthropic.BadRequestError)
    printed = "".join(traceback.format_exception(caught.value))
    for secret in ("sk-ant-canary", "Hannoveraner", "Geheimnis", PROMPT):
        assert secret not in printed


def served(body: bytes, content_type: str = "text/event-stream") -> OperationFailed:
    async def answer(_: Request) -> Response:
        return Response(body, media_type=content_type, headers={"request-id": "req_3"})

    with (
        HttpServer.start(Starlette(routes=[Route("/v1/messages", answer, methods=["POST"])])) as server,
        AnthropicEvaluator(api_key="sk-ant-x", base_url=server.url) as evaluator,
        pytest.raises(OperationFailed) as caught,
    ):
        evaluator.evaluate(evaluation(), deadline=timedelta(seconds=10), watch=RecordingWatch())
    return caught.value


START = (
    b'event: message_start\ndata: {"type":"message_start","message":{"model":"m","usage":{"input_tokens":5,'
    b'"output_tokens":1}}}\n\n'
)
STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


def stopped_by(reason: str, usage: str = '{"output_tokens":2}') -> bytes:
    delta = f'{{"type":"message_delta","delta":{{"stop_reason":"{reason}"}},"usage":{usage}}}'
    return START + f"event: message_delta\ndata: {delta}\n\n".encode() + STOP


@pytest.mark.parametrize(
    ("body", "error_class", "code"),
    [
        (b"", E.NETWORK_ERROR, "stream_ended_early"),
        (b"<html>gateway</html>", E.NETWORK_ERROR, "stream_ended_early"),
        (START, E.NETWORK_ERROR, "stream_ended_early"),
        (START + STOP, E.NETWORK_ERROR, "stream_ended_early"),
        (STOP, E.NETWORK_ERROR, "stream_ended_early"),
        (b"event: message_start\ndata: {oops\n\n", E.AI_ERROR, "malformed_response"),
        (b'event: message_start\ndata: {"type":"message_start"}\n\n', E.AI_ERROR, "malformed_response"),
        (b'event: message_start\ndata: "\xff"\n\n', E.AI_ERROR, "malformed_response"),
        (stopped_by("end_turn"), E.INVALID_OUTPUT, "empty"),
        (stopped_by("refusal"), E.REFUSAL, "refusal"),
        (stopped_by("model_context_window_exceeded"), E.TRUNCATED, "model_context_window_exceeded"),
        (stopped_by("tool_use"), E.INVALID_OUTPUT, "unexpected_stop_reason"),
        (stopped_by("pause_turn"), E.INVALID_OUTPUT, "unexpected_stop_reason"),
        (b"event: error\ndata: " + json.dumps(error("rate_limit_error")).encode() + b"\n\n", E.RATE_LIMITED, "stream"),
        (b"event: error\ndata: " + json.dumps(error("api_error")).encode() + b"\n\n", E.AI_ERROR, "stream_api_error"),
        (b"event: error\ndata: not json\n\n", E.AI_ERROR, "stream"),
    ],
)
def test_streams_that_no_sound_server_sends(body: bytes, error_class: ErrorClass, code: str) -> None:
    failed = served(body)
    assert failed.error_class is error_class
    assert failed.code.startswith(code)
    assert failed.request_id == "req_3"
    assert (failed.usage is not None) == body.startswith(START)
