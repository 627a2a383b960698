"""What has arrived of one answer so far, and what it amounts to in the end."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pferdewert_ops.domain.failures import ErrorClass, OperationFailed, Usage
from pferdewert_ops.operations.ports import ModelAnswer

if TYPE_CHECKING:
    from anthropic.types import MessageDeltaUsage, RawMessageStreamEvent
    from anthropic.types import Usage as VendorUsage

# Claude's tokenizer is not public; German prose has about three characters to a token.
_CHARACTERS_PER_TOKEN = 3
_CATEGORY = re.compile(r"[a-z_]{1,40}")


class Reading:
    """Collects a stream of events. Output tokens are an estimate until the server counts them at the end."""

    def __init__(self) -> None:
        self.request_id: str | None = None
        self._model = ""
        self._texts: list[str] = []
        self._characters = 0  # of text and thinking
        self._input: dict[str, int] = {}
        self._output = 0
        self._reported = False
        self._stop_reason: str | None = None
        self._stop_category: str | None = None
        self.is_whole = False

    def take(self, event: RawMessageStreamEvent) -> None:
        """Note one event. The SDK does not validate: raises AttributeError and the like for a malformed one."""
        match event.type:
            case "message_start":
                self._model = str(event.message.model)
                self._count(event.message.usage)
            case "content_block_start":
                self._take_part(event.content_block)
            case "content_block_delta":
                self._take_part(event.delta)
            case "message_delta":
                self._stop_reason = event.delta.stop_reason
                if event.delta.stop_details is not None:
                    self._stop_category = event.delta.stop_details.category
                self._count(event.usage)
            case "message_stop":
                self.is_whole = True

    def _take_part(self, part: object) -> None:
        text = getattr(part, "text", None)
        if isinstance(text, str):
            self._texts.append(text)
        thought = getattr(part, "thinking", None)
        self._characters += sum(len(words) for words in (text, thought) if isinstance(words, str))

    def _count(self, usage: VendorUsage | MessageDeltaUsage) -> None:
        """Figures are running totals; one that is missing leaves the earlier one."""
        self._reported = True
        for name in ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"):
            value = getattr(usage, name)
            if isinstance(value, int):
                self._input[name] = value
        if isinstance(usage.output_tokens, int):
            self._output = usage.output_tokens

    @property
    def output_tokens(self) -> int:
        return max(self._output, self._characters // _CHARACTERS_PER_TOKEN)

    def usage(self) -> Usage | None:
        """What has to be paid for, as far as it is known; None where the server reported nothing at all."""
        if not self._reported:
            return None
        return Usage(
            input_tokens=self._input.get("input_tokens", 0),
            output_tokens=self._output if self.is_whole else self.output_tokens,
            cache_write_tokens=self._input.get("cache_creation_input_tokens", 0),
            cache_read_tokens=self._input.get("cache_read_input_tokens", 0),
        )

    def answer(self) -> ModelAnswer:
        """The whole answer. Raises OperationFailed for one that is broken off, refused, cut short or empty."""
        usage = self.usage()
        if not self.is_whole or usage is None or self._stop_reason is None:
            raise self.failed(ErrorClass.NETWORK_ERROR, "stream_ended_early")
        match self._stop_reason:
            case "end_turn":
                pass
            case "refusal":
                category = self._stop_category
                known = isinstance(category, str) and _CATEGORY.fullmatch(category)
                raise self.failed(ErrorClass.REFUSAL, f"refusal_{category}" if known else "refusal")
            case "max_tokens" | "model_context_window_exceeded":
                raise self.failed(ErrorClass.TRUNCATED, self._stop_reason)
            case _:
                raise self.failed(ErrorClass.INVALID_OUTPUT, "unexpected_stop_reason")
        text = "".join(self._texts)
        if not text.strip():
            raise self.failed(ErrorClass.INVALID_OUTPUT, "empty")
        return ModelAnswer(
            text=text, model=self._model, stop_reason=self._stop_reason, usage=usage, request_id=self.request_id
        )

    def failed(self, error_class: ErrorClass, code: str) -> OperationFailed:
        return OperationFailed(error_class=error_class, code=code, request_id=self.request_id, usage=self.usage())
