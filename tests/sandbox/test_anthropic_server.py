"""The stand-in as the real SDK sees it: messages, usage, refusals; its rules, its journal, its end."""

import json
import threading
from collections.abc import Iterator

import anthropic
import httpx2
import pytest
from anthropic.types import Message

from pferdewert_ops.sandbox.anthropic_journal import Outcome
from pferdewert_ops.sandbox.anthropic_requests import ModelCall
from pferdewert_ops.sandbox.anthropic_rules import Fault, Rule, RuleBook, When
from pferdewert_ops.sandbox.anthropic_server import AnthropicServer

PROMPT = """Bewerte dieses Pferd. <land>CH</land> <waehrung>CHF</waehrung>
<pferdedaten>
rasse: Hannoveraner
alter: 8 Jahre
geschlecht: Stute
stockmass: 168 cm
haupteignung: Dressur
ausbildung: L-Dressur
</pferdedaten>"""
SYSTEM = "Du bewertest Pferde. " * 200
SCHEMA = {
    "type": "object",
    "properties": {"preisVon": {"type": "integer"}, "preisBis": {"type": "integer"}},
    "required": ["preisVon", "preisBis"],
    "additionalProperties": False,
}


@pytest.fixture
def server() -> Iterator[AnthropicServer]:
    with AnthropicServer.start() as running:
        yield running


@pytest.fixture
def client(server: AnthropicServer) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(api_key=server.api_key, base_url=server.url, max_retries=0, timeout=10) as connected:
        yield connected


def stream(client: anthropic.Anthropic, *, model: str = "claude-opus-5-5", prompt: str = PROMPT) -> Message:
    with client.messages.stream(
        model=model,
        max_tokens=8_000,
        system=[{"type": "text", "text": SYSTEM, "cache_control": {"type": "ephemeral"}}],
        messages=[{"role": "user", "content": prompt}],
    ) as events:
        return events.get_final_message()


def create(client: anthropic.Anthropic, **more: object) -> Message:
    arguments = {"model": "claude-sonnet-5-5", "max_tokens": 8_000, "messages": [{"role": "user", "content": PROMPT}]}
    message = client.messages.create(**{**arguments, **more})  # type: ignore[call-overload]
    assert isinstance(message, Message)
    return message


def text_of(message: Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def test_streams_a_german_valuation_after_a_thinking_block(client: anthropic.Anthropic) -> None:
    message = stream(client)
    assert [block.type for block in message.content] == ["thinking", "text"]
    assert message.stop_reason == "end_turn"
    assert len(text_of(message)) >= 2_500
    assert "ein Pferd der Rasse Hannoveraner" in text_of(message)
    assert text_of(stream(client)) == text_of(message)


def test_json_and_stream_say_the_same(client: anthropic.Anthropic) -> None:
    assert text_of(create(client)) == text_of(stream(client, model="claude-sonnet-5-5"))


def test_the_first_call_writes_the_cache_and_the_next_reads_it(client: anthropic.Anthropic) -> None:
    first, second = stream(client).usage, stream(client).usage
    other_model = stream(client, model="claude-sonnet-5-5").usage
    assert (first.cache_creation_input_tokens, first.cache_read_input_tokens) == (1_400, 0)
    assert (second.cache_creation_input_tokens, second.cache_read_input_tokens) == (0, 1_400)
    assert other_model.cache_creation_input_tokens == 1_400
    assert first.input_tokens == second.input_tokens > 0
    assert first.output_tokens > 800


def test_a_schema_gives_an_object_in_the_shape_of_a_certificate(client: anthropic.Anthropic) -> None:
    message = create(client, output_config={"format": {"type": "json_schema", "schema": SCHEMA}})
    answer = json.loads(text_of(message))
    assert 0 < answer["preisVon"] < answer["preisBis"]
    assert answer["haupteignung"] == "Dressur"
    assert set(answer["bewertungsDetails"]) == {
        "rasseText",
        "abstammungText",
        "ausbildungText",
        "gesundheitText",
        "fazit",
    }


def test_counts_tokens(client: anthropic.Anthropic) -> None:
    short = client.messages.count_tokens(model="claude-opus-5-5", messages=[{"role": "user", "content": "kurz"}])
    long = client.messages.count_tokens(
        model="claude-opus-5-5", system=SYSTEM, messages=[{"role": "user", "content": PROMPT}]
    )
    assert 0 < short.input_tokens < long.input_tokens


@pytest.mark.parametrize(
    ("arguments", "status", "error_type"),
    [
        ({"model": "claude-opus-1"}, 404, "not_found_error"),
        ({"extra_body": {"temperature": 0.2}}, 400, "invalid_request_error"),
        ({"extra_body": {"top_p": 0.2}}, 400, "invalid_request_error"),
        ({"extra_body": {"surprise": 1}}, 400, "invalid_request_error"),
        ({"max_tokens": 0}, 400, "invalid_request_error"),
        ({"messages": []}, 400, "invalid_request_error"),
        ({"messages": [{"role": "user", "content": ""}]}, 400, "invalid_request_error"),
        (
            {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
            400,
            "invalid_request_error",
        ),
        (
            {"output_config": {"format": {"type": "json_schema", "schema": {"type": "integer", "minimum": 1}}}},
            400,
            "invalid_request_error",
        ),
    ],
)
def test_refuses_what_the_api_refuses(
    client: anthropic.Anthropic, arguments: dict[str, object], status: int, error_type: str
) -> None:
    with pytest.raises(anthropic.APIStatusError) as caught:
        create(client, **arguments)
    assert (caught.value.status_code, caught.value.type) == (status, error_type)
    assert caught.value.request_id == "req_sandbox_000001"


def test_a_wrong_key_is_refused_before_anything_is_read(server: AnthropicServer) -> None:
    with (
        anthropic.Anthropic(api_key="falsch", base_url=server.url, max_retries=0) as stranger,
        pytest.raises(anthropic.AuthenticationError),
    ):
        create(stranger, model="claude-opus-1")
    assert server.journal.entries() == ()


def test_an_answer_longer_than_allowed_is_cut_off(client: anthropic.Anthropic) -> None:
    message = create(client, max_tokens=50)
    assert message.stop_reason == "max_tokens"
    assert 100 < len(text_of(message)) < 200


def test_rules_strike_their_calls_only_and_as_often_as_they_say(
    server: AnthropicServer, client: anthropic.Anthropic
) -> None:
    server.rules.add(
        Rule(fault=Fault.OVERLOADED, times=2, when=When(model="claude-opus-5-5", prompt_contains="Hannoveraner"))
    )
    assert stream(client, model="claude-sonnet-5-5").stop_reason == "end_turn"
    assert stream(client, prompt="Haflinger").stop_reason == "end_turn"
    for _ in range(2):
        with pytest.raises(anthropic.OverloadedError):
            stream(client)
    assert stream(client).stop_reason == "end_turn"
    assert server.rules.all() == ()


def test_a_rule_without_end_and_with_a_chance_is_the_same_for_the_same_seed() -> None:
    call = ModelCall(model="m", system="", cached_system="", prompt="p", max_tokens=1, stream=True, schema=None)

    def struck(seed: int) -> list[bool]:
        book = RuleBook(seed=seed)
        book.add(Rule(fault=Fault.CUT, times=None, probability=0.3))
        return [book.take(call) is not None for _ in range(200)]

    assert struck(7) == struck(7) != struck(8)
    assert 40 <= sum(struck(7)) <= 80


def test_the_journal_tells_what_was_asked_and_how_it_ended(
    server: AnthropicServer, client: anthropic.Anthropic
) -> None:
    server.rules.add(Rule(fault=Fault.SERVER_ERROR), Rule(fault=Fault.EARLY_EOF))
    with pytest.raises(anthropic.InternalServerError):
        stream(client)
    assert stream(client).stop_reason is None
    stream(client)
    entries = server.journal.entries()
    assert [entry.outcome for entry in entries] == [Outcome.REFUSED, Outcome.BROKEN, Outcome.COMPLETE]
    assert [entry.fault for entry in entries] == [Fault.SERVER_ERROR, Fault.EARLY_EOF, None]
    assert [entry.status for entry in entries] == [500, 200, 200]
    assert entries[1].events == 8
    assert {(entry.model, entry.prompt, entry.stream) for entry in entries} == {("claude-opus-5-5", PROMPT, True)}
    assert len({entry.request_id for entry in entries}) == 3


def test_a_client_that_leaves_is_seen(server: AnthropicServer, client: anthropic.Anthropic) -> None:
    server.rules.add(Rule(fault=Fault.STALL))
    with client.messages.stream(
        model="claude-opus-5-5", max_tokens=8_000, messages=[{"role": "user", "content": PROMPT}]
    ) as events:
        next(events)
        server.journal.wait_until(lambda entries: entries[0].outcome is Outcome.HANGING)
    server.journal.wait_until(lambda entries: entries[0].outcome is Outcome.ABANDONED)


@pytest.mark.parametrize("fault", [Fault.STALL, Fault.TRICKLE, Fault.SLOW_START])
def test_stop_ends_a_stream_that_hangs(fault: Fault) -> None:
    failures: list[BaseException] = []

    def ask(client: anthropic.Anthropic) -> None:
        try:
            stream(client)
        except (httpx2.HTTPError, anthropic.APIError) as error:
            failures.append(error)

    before = threading.active_count()
    with AnthropicServer.start() as server:
        server.rules.add(Rule(fault=fault, seconds=60))
        with anthropic.Anthropic(api_key=server.api_key, base_url=server.url, max_retries=0, timeout=30) as client:
            asking = threading.Thread(target=ask, args=(client,))
            asking.start()
            server.journal.wait_until(lambda entries: bool(entries) and entries[0].outcome is Outcome.HANGING)
            server.stop()
            asking.join(10)
    assert len(failures) == 1
    assert server.journal.entries()[0].outcome is Outcome.STOPPED
    assert threading.active_count() == before


def test_a_released_stream_goes_on_to_its_end(server: AnthropicServer, client: anthropic.Anthropic) -> None:
    server.rules.add(Rule(fault=Fault.STALL))
    answers: list[Message] = []
    asking = threading.Thread(target=lambda: answers.append(stream(client)))
    asking.start()
    server.journal.wait_until(lambda entries: bool(entries) and entries[0].outcome is Outcome.HANGING)
    server.release()
    asking.join(10)
    assert answers[0].stop_reason == "end_turn"
    assert server.journal.entries()[0].outcome is Outcome.COMPLETE


def test_a_pace_stretches_the_stream() -> None:
    with (
        AnthropicServer.start(events_per_second=200) as server,
        anthropic.Anthropic(api_key=server.api_key, base_url=server.url, max_retries=0) as client,
    ):
        stream(client)
        [entry] = server.journal.entries()
        started = entry.received
        stream(client)
        second = server.journal.entries()[1].received
        assert (second - started).total_seconds() >= (entry.events - 1) / 200


def http(method: str, url: str, body: object = None) -> tuple[int, object]:
    response = httpx2.request(method, url, json=body, trust_env=False, timeout=10)
    return response.status_code, response.json()


def test_another_process_can_set_rules_and_read_the_journal(
    server: AnthropicServer, client: anthropic.Anthropic
) -> None:
    rule = {"fault": "rate_limited", "times": None, "when": {"prompt_contains": "Stute"}, "seconds": 7}
    status, listed = http("POST", f"{server.url}/_sandbox/rules", [rule])
    assert status == 200
    assert listed == http("GET", f"{server.url}/_sandbox/rules")[1]
    with pytest.raises(anthropic.RateLimitError) as caught:
        stream(client)
    assert caught.value.response.headers["retry-after"] == "7"
    assert http("DELETE", f"{server.url}/_sandbox/rules") == (200, [])
    stream(client)
    _, entries = http("GET", f"{server.url}/_sandbox/journal")
    assert isinstance(entries, list)
    assert [entry["outcome"] for entry in entries] == ["refused", "complete"]
    assert http("POST", f"{server.url}/_sandbox/rules", [{"fault": "cut", "tmies": 2}])[0] == 400
    assert http("POST", f"{server.url}/_sandbox/release") == (200, {})
