"""Answers of the Messages API: messages, events and errors as they go over the wire."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

_CHARACTERS_PER_TOKEN = 3  # German prose, roughly; the real tokenizer is not public


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the model says."""

    text: str
    stop_reason: str = "end_turn"
    stop_details: Mapping[str, object] | None = None
    thinks: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCount:
    """Tokens of one message; the whole input is the sum of the first three."""

    input: int
    cache_write: int
    cache_read: int
    output: int
    thinking: int = 0

    def usage(self, output: int | None = None) -> dict[str, object]:
        return {
            "input_tokens": self.input,
            "cache_creation_input_tokens": self.cache_write,
            "cache_read_input_tokens": self.cache_read,
            "cache_creation": {"ephemeral_5m_input_tokens": self.cache_write, "ephemeral_1h_input_tokens": 0},
            "output_tokens": self.output if output is None else output,
            "output_tokens_details": {"thinking_tokens": self.thinking},
            "service_tier": "standard",
        }


def tokens(text: str) -> int:
    return math.ceil(len(text) / _CHARACTERS_PER_TOKEN)


def error_body(error_type: str, message: str, request_id: str, error_code: str | None = None) -> dict[str, object]:
    error: dict[str, object] = {"type": error_type, "message": message}
    if error_code:
        error["details"] = {"error_code": error_code}
    return {"type": "error", "error": error, "request_id": request_id}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A whole answer, ready to be sent as JSON or as a stream of events."""

    id: str
    model: str
    answer: Answer
    count: TokenCount
    characters_per_event: int = 100

    def to_json(self) -> dict[str, object]:
        content: list[dict[str, object]] = []
        if self.answer.thinks:
            content.append({"type": "thinking", "thinking": "", "signature": _SIGNATURE})
        if self.answer.text:
            content.append({"type": "text", "text": self.answer.text})
        return self._head(content, self.count.usage()) | {
            "stop_reason": self.answer.stop_reason,
            "stop_details": self.answer.stop_details,
        }

    def events(self) -> Sequence[bytes]:
        """The events of the stream, message_stop last."""
        return [frame(str(event["type"]), event) for event in self._events()]

    def _events(self) -> Iterator[dict[str, object]]:
        yield {"type": "message_start", "message": self._head([], self.count.usage(output=1))}
        index = 0
        if self.answer.thinks:
            start = {"type": "thinking", "thinking": "", "signature": ""}
            yield from _block(index, start, [{"type": "signature_delta", "signature": _SIGNATURE}])
            index += 1
        if self.answer.text:
            step = self.characters_per_event
            pieces = [self.answer.text[start : start + step] for start in range(0, len(self.answer.text), step)]
            deltas: list[dict[str, object]] = [{"type": "text_delta", "text": piece} for piece in pieces]
            yield from _block(index, {"type": "text", "text": ""}, deltas)
        delta = {
            "stop_reason": self.answer.stop_reason,
            "stop_sequence": None,
            "stop_details": self.answer.stop_details,
        }
        yield {"type": "message_delta", "delta": delta, "usage": self.count.usage()}
        yield {"type": "message_stop"}

    def _head(self, content: list[dict[str, object]], usage: Mapping[str, object]) -> dict[str, object]:
        return {
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": content,
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage,
        }


_SIGNATURE = "c2lnbmF0dXJlIG9mIHRoZSBzdGFuZC1pbg=="


def _block(
    index: int, start: Mapping[str, object], deltas: Sequence[Mapping[str, object]]
) -> Iterator[dict[str, object]]:
    yield {"type": "content_block_start", "index": index, "content_block": start}
    for delta in deltas:
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}


def frame(event: str, data: Mapping[str, object]) -> bytes:
    """One server-sent event; the SDK insists on the `event:` line."""
    return f"event: {event}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


PING = frame("ping", {"type": "ping"})
