"""Requests of the Messages API, read as strictly as the real one reads them."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from http import HTTPStatus

_FIELDS = frozenset(
    {
        "cache_control",
        "max_tokens",
        "messages",
        "metadata",
        "model",
        "output_config",
        "service_tier",
        "stop_sequences",
        "stream",
        "system",
        "thinking",
        "tool_choice",
        "tools",
    }
)
_COUNTED_FIELDS = _FIELDS - {"max_tokens", "stream", "metadata", "stop_sequences", "service_tier"}
_REFUSED_FIELDS = frozenset({"temperature", "top_p", "top_k"})  # gone since API version 2026-10-21
_UNSUPPORTED_IN_SCHEMA = frozenset(
    {
        "exclusiveMaximum",
        "exclusiveMinimum",
        "maxItems",
        "maxLength",
        "maximum",
        "minLength",
        "minimum",
        "multipleOf",
        "pattern",
    }
)
_MOST_OUTPUT_TOKENS = 128_000  # of the largest model


class InvalidCall(Exception):  # noqa: N818 - named for what the client did
    """A request that the API would refuse."""

    def __init__(self, status: int, error_type: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCall:
    """One valid request. `prompt` is the text of all messages; `cached_system` the part to be cached."""

    model: str
    system: str
    cached_system: str
    prompt: str
    max_tokens: int
    stream: bool
    schema: Mapping[str, object] | None


def admit(
    headers: Mapping[str, str], body: bytes, *, api_key: str, models: Collection[str], counting: bool
) -> ModelCall:
    """The call, if its key, version, form and model are right. Raises InvalidCall as the API would refuse it."""
    if headers.get("authorization") != f"Bearer {api_key}":
        raise InvalidCall(HTTPStatus.UNAUTHORIZED, "authentication_error", "invalid bearer token")
    if "anthropic-version" not in headers:
        raise _invalid("anthropic-version: header is required")
    call = parse_call(body, counting=counting)
    if call.model not in models:
        raise InvalidCall(HTTPStatus.NOT_FOUND, "not_found_error", f"model: {call.model}")
    return call


def parse_call(body: bytes, *, counting: bool = False) -> ModelCall:
    """The call that a request body describes. Raises InvalidCall as the API would refuse it."""
    try:
        request = json.loads(body)
    except ValueError:
        raise _invalid("The request body is not valid JSON") from None
    if not isinstance(request, dict):
        raise _invalid("The request body is not an object")
    for name in request.keys() & _REFUSED_FIELDS:
        raise _invalid(f"{name}: this parameter is not supported by this API version")
    for name in sorted(request.keys() - (_COUNTED_FIELDS if counting else _FIELDS)):
        raise _invalid(f"{name}: Extra inputs are not permitted")
    model = request.get("model")
    if not isinstance(model, str) or not model:
        raise _invalid("model: Field required")
    system, cached_system = _system(request.get("system"), request.get("cache_control"))
    return ModelCall(
        model=model,
        system=system,
        cached_system=cached_system,
        prompt=_messages(request.get("messages")),
        max_tokens=1 if counting else _max_tokens(request.get("max_tokens")),
        stream=request.get("stream") is True,
        schema=_schema(request.get("output_config")),
    )


def _invalid(message: str) -> InvalidCall:
    return InvalidCall(HTTPStatus.BAD_REQUEST, "invalid_request_error", message)


def _max_tokens(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _MOST_OUTPUT_TOKENS:
        raise _invalid(f"max_tokens: must be a whole number from 1 to {_MOST_OUTPUT_TOKENS}")
    return value


def _messages(value: object) -> str:
    if not isinstance(value, list) or not value:
        raise _invalid("messages: at least one message is required")
    texts = []
    for message in value:
        if not isinstance(message, dict) or message.get("role") not in {"user", "assistant"}:
            raise _invalid("messages: a role must be user or assistant")
        texts.append("\n".join(text for text, _ in _blocks(message.get("content"), "messages")))
    if not any(texts):
        raise _invalid("messages: text content blocks must be non-empty")
    return "\n".join(texts)


def _system(value: object, cache_control: object) -> tuple[str, str]:
    if value is None:
        return "", ""
    blocks = _blocks(value, "system")
    marked = [position for position, (_, cached) in enumerate(blocks) if cached or cache_control is not None]
    whole = "\n".join(text for text, _ in blocks)
    return whole, "\n".join(text for text, _ in blocks[: marked[-1] + 1]) if marked else ""


def _blocks(value: object, where: str) -> list[tuple[str, bool]]:
    """Text and whether a cache breakpoint follows, of a plain string or of a list of text blocks."""
    if isinstance(value, str):
        return [(value, False)]
    if not isinstance(value, list):
        raise _invalid(f"{where}: must be a string or a list of content blocks")
    found = []
    for block in value:
        if not isinstance(block, dict) or block.get("type") != "text" or not isinstance(block.get("text"), str):
            raise _invalid(f"{where}: only text blocks are understood here")
        found.append((block["text"], block.get("cache_control") is not None))
    return found


def _schema(output_config: object) -> Mapping[str, object] | None:
    wanted = output_config.get("format") if isinstance(output_config, dict) else None
    if wanted is None:
        return None
    if (
        not isinstance(wanted, dict)
        or wanted.get("type") != "json_schema"
        or not isinstance(wanted.get("schema"), dict)
    ):
        raise _invalid("output_config.format: must be of type json_schema and hold a schema")
    _check_schema(wanted["schema"], "output_config.format.schema")
    schema: Mapping[str, object] = wanted["schema"]
    return schema


def _check_schema(schema: Mapping[str, object], path: str) -> None:
    if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
        raise _invalid(f"{path}: for type object, additionalProperties must be false")
    for name in sorted(schema.keys() & _UNSUPPORTED_IN_SCHEMA):
        raise _invalid(f"{path}: {name} is not supported")
    properties = schema.get("properties")
    for name, part in properties.items() if isinstance(properties, dict) else ():
        if isinstance(part, dict):
            _check_schema(part, f"{path}.properties.{name}")
