"""One evaluation after another over real sockets: answers, every fault, deadlines that hold, cancelling."""

import json
import logging
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from time import monotonic

import pytest

from pferdewert_ops.adapters.anthropic_evaluator import AnthropicEvaluator
from pferdewert_ops.domain.failures import ErrorClass, OperationFailed, Usage
from pferdewert_ops.operations.ports import EvaluationCancelled, EvaluationRequest, Evaluator
from pferdewert_ops.sandbox.anthropic_journal import Entry, Outcome
from pferdewert_ops.sandbox.anthropic_rules import Fault, Rule
from pferdewert_ops.sandbox.anthropic_server import AnthropicServer
from tests.adapters.anthropic_support import PROMPT, SYSTEM, RecordingWatch, evaluation

LONG = timedelta(seconds=30)
SHORT = timedelta(seconds=0.3)
LATE = 0.7  # seconds beyond a deadline that a busy test machine is allowed; a lost deadline costs 60


@pytest.fixture
def server() -> Iterator[AnthropicServer]:
    with AnthropicServer.start() as running:
        yield running


@pytest.fixture
def evaluator(server: AnthropicServer) -> Iterator[AnthropicEvaluator]:
    with AnthropicEvaluator(api_key=server.api_key, base_url=server.url, concurrency=4) as connected:
        yield connected


@pytest.fixture
def watch() -> RecordingWatch:
    return RecordingWatch()


def failure(evaluator: AnthropicEvaluator, request: EvaluationRequest, deadline: timedelta = LONG) -> OperationFailed:
    with pytest.raises(OperationFailed) as caught:
        evaluator.evaluate(request, deadline=deadline, watch=RecordingWatch())
    return caught.value


def hanging(entries: Sequence[Entry]) -> bool:
    return any(entry.outcome is Outcome.HANGING for entry in entries)


def test_answers_with_text_usage_and_request_id(
    evaluator: AnthropicEvaluator, server: AnthropicServer, watch: RecordingWatch
) -> None:
    port: Evaluator = evaluator
    answer = port.evaluate(evaluation(), deadline=LONG, watch=watch)
    assert "**Preisspanne: " in answer.text
    assert (answer.model, answer.stop_reason) == ("claude-opus-5-5", "end_turn")
    [entry] = server.journal.entries()
    assert (entry.system, entry.prompt, entry.stream) == (SYSTEM, PROMPT, True)
    assert (answer.request_id, entry.outcome) == (entry.request_id, Outcome.COMPLETE)
    assert watch.told


def test_the_system_prompt_is_cached(evaluator: AnthropicEvaluator) -> None:
    first = evaluator.evaluate(evaluation(), deadline=LONG, watch=RecordingWatch()).usage
    second = evaluator.evaluate(evaluation(), deadline=LONG, watch=RecordingWatch()).usage
    assert (first.cache_write_tokens, first.cache_read_tokens) == (1_400, 0)
    assert (second.cache_write_tokens, second.cache_read_tokens) == (0, 1_400)
    assert first.output_tokens == second.output_tokens > 800
    assert first.input_tokens == second.input_tokens > 0


def test_a_schema_gives_json_and_its_bounds_do_no_harm(evaluator: AnthropicEvaluator) -> None:
    price = {"type": "integer", "minimum": 1, "maximum": 100_000}
    schema = {"type": "object", "properties": {"preisVon": price, "preisBis": price}, "required": ["preisVon"]}
    request = EvaluationRequest(
        model="claude-sonnet-5-5", system=SYSTEM, prompt=PROMPT, max_tokens=4_000, answer_schema=schema
    )
    answer = json.loads(evaluator.evaluate(request, deadline=LONG, watch=RecordingWatch()).text)
    assert answer["preisVon"] < answer["preisBis"]


BEFORE_THE_MESSAGE = [
    (Fault.RATE_LIMITED, ErrorClass.RATE_LIMITED, "http_429_rate_limit_error", timedelta(seconds=7)),
    (Fault.RATE_LIMITED_WITHOUT_HINT, ErrorClass.RATE_LIMITED, "http_429_rate_limit_error", None),
    (Fault.RAMP_LIMIT, ErrorClass.QUEUE_FULL, "http_429_ramp_limit_exceeded", timedelta(seconds=7)),
    (Fault.SPEND_LIMIT, ErrorClass.SPEND_LIMIT, "http_429_enforced_spend_limit_reached", None),
    (Fault.PAYMENT_REQUIRED, ErrorClass.SPEND_LIMIT, "http_402_billing_error", None),
    (Fault.UNAUTHORIZED, ErrorClass.AUTH, "http_401_authentication_error", None),
    (Fault.OVERLOADED, ErrorClass.OVERLOADED, "http_529_overloaded_error", None),
    (Fault.SERVER_ERROR, ErrorClass.AI_ERROR, "http_500_api_error", None),
    (Fault.BAD_GATEWAY, ErrorClass.AI_ERROR, "http_502", None),
    (Fault.GATEWAY_TIMEOUT, ErrorClass.AI_ERROR, "http_504", None),
]


@pytest.mark.parametrize(("fault", "error_class", "code", "retry_after"), BEFORE_THE_MESSAGE)
def test_an_error_status_costs_nothing(
    evaluator: AnthropicEvaluator,
    server: AnthropicServer,
    fault: Fault,
    error_class: ErrorClass,
    code: str,
    retry_after: timedelta | None,
) -> None:
    server.rules.add(Rule(fault=fault, seconds=7))
    failed = failure(evaluator, evaluation())
    assert (failed.error_class, failed.code, failed.retry_after, failed.usage) == (error_class, code, retry_after, None)
    assert failed.request_id == (None if code in {"http_502", "http_504"} else "req_sandbox_000001")
    assert len(server.journal.entries()) == 1


IN_THE_MESSAGE = [
    (Fault.CUT, ErrorClass.NETWORK_ERROR, "connection_lost"),
    (Fault.EARLY_EOF, ErrorClass.NETWORK_ERROR, "stream_ended_early"),
    (Fault.ERROR_EVENT, ErrorClass.OVERLOADED, "stream_overloaded_error"),
    (Fault.STALL, ErrorClass.AI_TIMEOUT, "deadline"),
    (Fault.TRICKLE, ErrorClass.AI_TIMEOUT, "deadline"),
    (Fault.REFUSAL, ErrorClass.REFUSAL, "refusal_general_harms"),
    (Fault.MAX_TOKENS, ErrorClass.TRUNCATED, "max_tokens"),
    (Fault.EMPTY, ErrorClass.INVALID_OUTPUT, "empty"),
]


@pytest.mark.parametrize(("fault", "error_class", "code"), IN_THE_MESSAGE)
def test_a_failure_within_the_message_tells_what_it_cost(
    evaluator: AnthropicEvaluator, server: AnthropicServer, fault: Fault, error_class: ErrorClass, code: str
) -> None:
    server.rules.add(Rule(fault=fault, seconds=0.02))
    failed = failure(evaluator, evaluation(), deadline=timedelta(seconds=1) if code == "deadline" else LONG)
    assert (failed.error_class, failed.code) == (error_class, code)
    assert failed.request_id == "req_sandbox_000001"
    assert failed.usage is not None
    assert failed.usage.cache_write_tokens == 1_400
    assert failed.usage.input_tokens > 0
    # Three of the eight events before the fault carried 100 characters each, at three to a token.
    if fault in {Fault.CUT, Fault.EARLY_EOF, Fault.ERROR_EVENT, Fault.STALL, Fault.TRICKLE}:
        assert failed.usage.output_tokens == 100


@pytest.mark.parametrize(
    ("after", "usage"), [(0, None), (1, Usage(input_tokens=55, output_tokens=1, cache_write_tokens=1_400))]
)
def test_usage_is_known_from_the_first_event_on(
    evaluator: AnthropicEvaluator, server: AnthropicServer, after: int, usage: Usage | None
) -> None:
    server.rules.add(Rule(fault=Fault.CUT, after=after))
    failed = failure(evaluator, evaluation())
    assert (failed.error_class, failed.code, failed.usage) == (ErrorClass.NETWORK_ERROR, "connection_lost", usage)


def test_an_answer_too_long_for_its_limit_is_truncated(evaluator: AnthropicEvaluator) -> None:
    failed = failure(evaluator, evaluation(max_tokens=40))
    assert (failed.error_class, failed.code) == (ErrorClass.TRUNCATED, "max_tokens")


def test_a_model_that_does_not_exist_is_a_matter_for_a_human(evaluator: AnthropicEvaluator) -> None:
    failed = failure(evaluator, evaluation(model="claude-opus-0"))
    assert (failed.error_class, failed.code) == (ErrorClass.AUTH, "model_not_found")


def test_a_wrong_key(server: AnthropicServer) -> None:
    with AnthropicEvaluator(api_key="sk-ant-falsch", base_url=server.url) as stranger:
        failed = failure(stranger, evaluation())
    assert failed.error_class is ErrorClass.AUTH
    assert server.journal.entries() == ()


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with AnthropicEvaluator(api_key="sk-ant-x", base_url=f"http://127.0.0.1:{port}") as lonely:
        failed = failure(lonely, evaluation())
    assert (failed.error_class, failed.code) == (ErrorClass.NETWORK_ERROR, "connection_failed")


@pytest.mark.parametrize("fault", [Fault.SLOW_START, Fault.STALL, Fault.TRICKLE])
@pytest.mark.parametrize("model", ["claude-opus-5-5", "claude-sonnet-5-5"])
def test_the_deadline_holds(evaluator: AnthropicEvaluator, server: AnthropicServer, fault: Fault, model: str) -> None:
    server.rules.add(Rule(fault=fault, seconds=60 if fault is Fault.SLOW_START else 0.02))
    began = monotonic()
    failed = failure(evaluator, evaluation(model=model), deadline=SHORT)
    assert SHORT.total_seconds() <= monotonic() - began <= SHORT.total_seconds() + LATE
    assert (failed.error_class, failed.code) == (ErrorClass.AI_TIMEOUT, "deadline")
    server.journal.wait_until(lambda entries: entries[0].outcome is Outcome.ABANDONED)


@pytest.mark.parametrize("fault", [Fault.STALL, Fault.TRICKLE])
def test_cancelling_ends_a_call_in_the_middle_and_tells_its_cost(
    evaluator: AnthropicEvaluator, server: AnthropicServer, watch: RecordingWatch, fault: Fault
) -> None:
    server.rules.add(Rule(fault=fault, seconds=0.02))
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(evaluator.evaluate, evaluation(), deadline=LONG, watch=watch)
        assert watch.started.wait(10)
        server.journal.wait_until(hanging)
        began = monotonic()
        watch.cancel.set()
        cancelled = asking.exception(timeout=10)
    assert monotonic() - began <= 0.5 + LATE
    assert isinstance(cancelled, EvaluationCancelled)
    assert cancelled.usage is not None
    assert cancelled.usage.cache_write_tokens == 1_400
    server.journal.wait_until(lambda entries: entries[0].outcome is Outcome.ABANDONED)


def test_cancelling_before_the_first_byte(
    evaluator: AnthropicEvaluator, server: AnthropicServer, watch: RecordingWatch
) -> None:
    server.rules.add(Rule(fault=Fault.SLOW_START, seconds=60))
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(evaluator.evaluate, evaluation(), deadline=LONG, watch=watch)
        server.journal.wait_until(hanging)
        watch.cancel.set()
        cancelled = asking.exception(timeout=10)
    assert isinstance(cancelled, EvaluationCancelled)
    assert cancelled.usage is None


def test_progress_is_told_twice_a_second_at_most(watch: RecordingWatch) -> None:
    with (
        AnthropicServer.start(events_per_second=40) as server,
        AnthropicEvaluator(api_key=server.api_key, base_url=server.url) as evaluator,
    ):
        began = monotonic()
        answer = evaluator.evaluate(evaluation(), deadline=LONG, watch=watch)
        took = monotonic() - began
    assert 2 <= len(watch.told) <= 1 + took / 0.5
    assert watch.told == sorted(watch.told)
    assert watch.told[-1] <= answer.usage.output_tokens


def test_a_watch_that_breaks_is_not_taken_for_a_fault_of_the_model(
    evaluator: AnthropicEvaluator, server: AnthropicServer
) -> None:
    class Broken(RecordingWatch):
        def progress(self, output_tokens: int) -> None:
            raise ValueError(f"a bug of ours at {output_tokens}")

    with pytest.raises(ValueError, match="a bug of ours"):
        evaluator.evaluate(evaluation(), deadline=LONG, watch=Broken())
    server.journal.wait_until(lambda entries: entries[0].outcome is not Outcome.OPEN)


def test_twenty_streams_at_once() -> None:
    with (
        AnthropicServer.start() as server,
        AnthropicEvaluator(api_key=server.api_key, base_url=server.url, concurrency=20) as evaluator,
        ThreadPoolExecutor(20) as pool,
    ):
        server.rules.add(Rule(fault=Fault.STALL, times=20))
        asked = [
            pool.submit(
                evaluator.evaluate,
                evaluation(prompt=f"<pferdedaten>\nrasse: Rasse {number}\n</pferdedaten>"),
                deadline=LONG,
                watch=RecordingWatch(),
            )
            for number in range(20)
        ]
        server.journal.wait_until(
            lambda entries: [entry.outcome for entry in entries] == [Outcome.HANGING] * 20, seconds=20
        )
        server.release()
        answers = [asking.result(timeout=20) for asking in asked]
    for number, answer in enumerate(answers):
        assert f"der Rasse Rasse {number} " in answer.text
    assert len({answer.request_id for answer in answers}) == 20
    assert sum(answer.usage.cache_write_tokens for answer in answers) == 1_400
    assert {entry.outcome for entry in server.journal.entries()} == {Outcome.COMPLETE}


def test_the_environment_has_no_say(server: AnthropicServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "ANTHROPIC_BASE_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-live")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "live")
    with AnthropicEvaluator(api_key=server.api_key, base_url=server.url) as evaluator:
        assert evaluator.evaluate(evaluation(), deadline=LONG, watch=RecordingWatch()).stop_reason == "end_turn"


@pytest.mark.parametrize(("api_key", "base_url"), [("", "http://x"), ("sk ant", "http://x"), ("sk\n", "http://x")])
def test_a_key_that_cannot_be_one(api_key: str, base_url: str) -> None:
    with pytest.raises(ValueError, match="the Anthropic key is empty or holds characters that no key has"):
        AnthropicEvaluator(api_key=api_key, base_url=base_url)


def test_an_address_that_cannot_be_one() -> None:
    with pytest.raises(ValueError, match="must begin with https"):
        AnthropicEvaluator(api_key="sk-ant-x", base_url="ftp://x")


def test_no_prompt_and_no_key_reach_the_log(
    evaluator: AnthropicEvaluator, server: AnthropicServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        evaluator.evaluate(evaluation(), deadline=LONG, watch=RecordingWatch())
    for record in caplog.records:
        assert "Geheimnis der Kundin" not in record.getMessage()
        assert server.api_key not in record.getMessage()


def test_the_sdk_is_not_imported_before_it_is_needed() -> None:
    code = (
        "import sys, pferdewert_ops.adapters.anthropic_evaluator\n"
        "print(sorted({'anthropic', 'httpx2', 'httpcore2', 'pydantic', 'ssl'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
