"""Faults on order: which of them the local Anthropic stand-in shows, to which calls, and how often."""

import random
import threading
from dataclasses import dataclass, replace
from enum import StrEnum

from pydantic import ConfigDict, TypeAdapter, with_config

from pferdewert_ops.sandbox.anthropic_requests import ModelCall

_STRICT = ConfigDict(extra="forbid")  # a misspelt field of a rule is an error, not a rule that means something else


class Fault(StrEnum):
    """What can go wrong. The first group answers with an error status instead of a message."""

    RATE_LIMITED = "rate_limited"  # 429 with retry-after (`seconds`)
    RATE_LIMITED_WITHOUT_HINT = "rate_limited_without_hint"  # 429 that does not say how long
    RAMP_LIMIT = "ramp_limit"  # 429, usage grows too fast, with retry-after (`seconds`)
    SPEND_LIMIT = "spend_limit"  # 429 that no waiting helps
    PAYMENT_REQUIRED = "payment_required"  # 402
    UNAUTHORIZED = "unauthorized"  # 401 in spite of the right key
    OVERLOADED = "overloaded"  # 529
    SERVER_ERROR = "server_error"  # 500
    BAD_GATEWAY = "bad_gateway"  # 502, the HTML page of a proxy
    GATEWAY_TIMEOUT = "gateway_timeout"  # 504, the same

    SLOW_START = "slow_start"  # `seconds` of silence before the first byte
    STALL = "stall"  # silence after `after` events until released
    TRICKLE = "trickle"  # after `after` events only a ping each `seconds`, without an end
    CUT = "cut"  # the connection closes after `after` events; 0: before the answer
    EARLY_EOF = "early_eof"  # the stream ends in order after `after` events, without message_stop
    ERROR_EVENT = "error_event"  # an overloaded_error event after `after` events, status 200

    REFUSAL = "refusal"  # stop_reason refusal
    MAX_TOKENS = "max_tokens"  # the text is cut short, stop_reason max_tokens
    EMPTY = "empty"  # a message without text
    GARBAGE = "garbage"  # text that is no valuation
    ENGLISH = "english"  # the right text in the wrong language
    PLACEHOLDER = "placeholder"  # what the shop stores when all models fail


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """The calls that a rule is meant for; what is None matches all."""

    model: str | None = None
    prompt_contains: str | None = None

    def matches(self, call: ModelCall) -> bool:
        return self.model in {None, call.model} and (
            self.prompt_contains is None or self.prompt_contains in call.prompt
        )


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One fault on order. `times` None: always. `probability` is drawn anew for each matching call.

    `after` counts the events sent before the fault; `seconds` is a delay, a pace or a retry-after, as the fault says.
    """

    fault: Fault
    times: int | None = 1
    probability: float = 1.0
    when: When = When()
    after: int = 8  # by then some text was sent, thinking or not
    seconds: float = 1.0


def read_rules(body: bytes) -> list[Rule]:
    """The rules in a JSON list, `when` being an object too. Raises ValueError that names what is wrong."""
    return TypeAdapter(list[Rule]).validate_json(body)


class RuleBook:
    """The rules in force, first match first. Safe to use from any thread."""

    def __init__(self, *, seed: int = 0) -> None:
        self._lock = threading.Lock()
        self._rules: list[Rule] = []
        self._random = random.Random(seed)

    def add(self, *rules: Rule) -> None:
        with self._lock:
            self._rules.extend(rules)

    def clear(self) -> None:
        with self._lock:
            self._rules.clear()

    def all(self) -> tuple[Rule, ...]:
        """What is left: a rule that has had its times is gone."""
        with self._lock:
            return tuple(self._rules)

    def take(self, call: ModelCall) -> Rule | None:
        """The rule that strikes this call, counted as used."""
        with self._lock:
            for position, rule in enumerate(self._rules):
                if not rule.when.matches(call) or self._random.random() >= rule.probability:
                    continue
                if rule.times is not None:
                    left = rule.times - 1
                    self._rules[position : position + 1] = [replace(rule, times=left)] if left > 0 else []
                return rule
        return None
