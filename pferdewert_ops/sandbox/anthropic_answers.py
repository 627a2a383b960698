"""What the local Anthropic stand-in answers to one call, as the fault on order has it."""

from collections.abc import Callable, Mapping
from http import HTTPStatus

from starlette.responses import HTMLResponse, JSONResponse, Response

from pferdewert_ops.sandbox.anthropic_messages import Answer, error_body, tokens
from pferdewert_ops.sandbox.anthropic_requests import ModelCall
from pferdewert_ops.sandbox.anthropic_rules import Fault, Rule
from pferdewert_ops.sandbox.valuation_text import GARBAGE, PLACEHOLDER, certificate, english_valuation, valuation

# status, type, error code, whether retry-after says how long
_ERRORS: Mapping[Fault, tuple[int, str, str | None, bool]] = {
    Fault.RATE_LIMITED: (429, "rate_limit_error", None, True),
    Fault.RATE_LIMITED_WITHOUT_HINT: (429, "rate_limit_error", None, False),
    Fault.RAMP_LIMIT: (429, "rate_limit_error", "ramp_limit_exceeded", True),
    Fault.SPEND_LIMIT: (429, "rate_limit_error", "enforced_spend_limit_reached", False),
    Fault.PAYMENT_REQUIRED: (402, "billing_error", None, False),
    Fault.UNAUTHORIZED: (401, "authentication_error", None, False),
    Fault.OVERLOADED: (529, "overloaded_error", None, False),
    Fault.SERVER_ERROR: (500, "api_error", None, False),
}
_PROXY_PAGES = {Fault.BAD_GATEWAY: HTTPStatus.BAD_GATEWAY, Fault.GATEWAY_TIMEOUT: HTTPStatus.GATEWAY_TIMEOUT}
_TEXTS = {Fault.EMPTY: "", Fault.GARBAGE: GARBAGE, Fault.PLACEHOLDER: PLACEHOLDER}


def answer_to(call: ModelCall, fault: Fault | None) -> Answer:
    """What the model says: the right thing unless a fault concerns the text, cut off where `max_tokens` is small."""
    write: Callable[[str], str] = certificate if call.schema is not None else valuation
    text = write(call.prompt)
    if fault is Fault.REFUSAL:
        details = {"type": "refusal", "category": "general_harms", "explanation": None}
        return Answer(text="", stop_reason="refusal", stop_details=details)
    if fault is Fault.ENGLISH:
        text = english_valuation(call.prompt) if call.schema is None else certificate(call.prompt, english=True)
    if fault is not None:
        text = _TEXTS.get(fault, text)
    thinks = call.model.startswith("claude-opus")  # its thinking cannot be switched off
    room = tokens(text) // 2 if fault is Fault.MAX_TOKENS else call.max_tokens
    if tokens(text) > room:
        return Answer(text=text[: room * len(text) // tokens(text)], stop_reason="max_tokens", thinks=thinks)
    return Answer(text=text, thinks=thinks)


def error_status(rule: Rule, request_id: str) -> Response | None:
    """The answer with an error status that a fault of the first group stands for."""
    if rule.fault in _PROXY_PAGES:
        status = _PROXY_PAGES[rule.fault]
        return HTMLResponse(f"<html><title>{status.value} {status.phrase}</title></html>", status_code=status)
    if rule.fault not in _ERRORS:
        return None
    status_code, error_type, error_code, hinted = _ERRORS[rule.fault]
    headers = {"retry-after": f"{rule.seconds:g}"} if hinted else {}
    body = error_body(error_type, f"{rule.fault} on order", request_id, error_code)
    return error_response(status_code, body, request_id, headers)


def error_response(
    status: int, body: Mapping[str, object], request_id: str, headers: Mapping[str, str] | None = None
) -> Response:
    return JSONResponse(body, status_code=status, headers={"request-id": request_id, **(headers or {})})
