"""Everything that the SDK and its transport can raise, as exactly one error class each.

The texts of the vendor's errors may quote the request. None of them is passed on: a code is made of known words only.
"""

import math
import re
from collections.abc import Mapping
from datetime import timedelta

import anthropic
import httpcore2
import httpx2

from pferdewert_ops.domain.failures import ErrorClass, OperationFailed, Usage

# An SDK that trusts what it is sent: a broken event surfaces as any of these.
_MALFORMED = (ValueError, LookupError, TypeError, AttributeError, RuntimeError)
VENDOR_ERRORS = (
    anthropic.AnthropicError,
    httpx2.HTTPError,
    httpx2.InvalidURL,
    httpcore2.TimeoutException,
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    OSError,
    *_MALFORMED,
)

_LONGEST_RETRY_AFTER = timedelta(hours=1)  # beyond this the number is more likely a mistake than a wish
_WORD = re.compile(r"[a-z][a-z0-9_]{1,63}")
_SPEND_CODES = frozenset(
    {
        "contract_spend_limit_reached",
        "enforced_spend_limit_reached",
        "linked_organization_spend_limit_reached",
        "linked_organization_billing_unavailable",
    }
)
# Codes of status 400 and 503 that only a person with access to the account can do something about.
_ACCOUNT_CODES = frozenset(
    {
        "cmek_key_disabled",
        "cmek_key_network_blocked",
        "organization_on_hold",
        "organization_type_not_supported",
        "workspace_policy_violation",
    }
)


def failure_of(error: Exception, *, usage: Usage | None = None, request_id: str | None = None) -> OperationFailed:
    """The failure that an exception of the SDK or its transport stands for."""
    if isinstance(error, anthropic.APIStatusError):
        error_class, code = _of_status(error)
        return OperationFailed(
            error_class=error_class,
            code=code,
            retry_after=retry_after(error.response.headers),
            request_id=error.request_id or request_id,
            usage=usage,
        )
    error_class, code = _of_transport(error)
    return OperationFailed(error_class=error_class, code=code, request_id=request_id, usage=usage)


def _of_status(error: anthropic.APIStatusError) -> tuple[ErrorClass, str]:
    """By error code first, then by type, then by status: an error event in a stream has the status 200."""
    status, kind = error.status_code, error.type
    code = f"{'stream' if status < 400 else f'http_{status}'}{_suffix(error.error_code or kind)}"
    match (status, kind, error.error_code):
        case (_, _, named) if named in _SPEND_CODES:
            return ErrorClass.SPEND_LIMIT, code
        case (_, _, "ramp_limit_exceeded"):
            return ErrorClass.QUEUE_FULL, code
        case (_, _, named) if named in _ACCOUNT_CODES:
            return ErrorClass.AUTH, code
        case (402, _, _) | (_, "billing_error", _):
            return ErrorClass.SPEND_LIMIT, code
        case (529, _, _) | (_, "overloaded_error", _):
            return ErrorClass.OVERLOADED, code
        case (429, _, _) | (_, "rate_limit_error", _):
            return ErrorClass.RATE_LIMITED, code
        case (401 | 403, _, _) | (_, "authentication_error" | "permission_error", _):
            return ErrorClass.AUTH, code
        case (404, "not_found_error", _) | (200, "not_found_error", _):
            # The only thing that our requests name is the model: a word of the configuration.
            return ErrorClass.AUTH, "model_not_found"
        case (413, _, _):
            # What we send besides the customer's data has one size.
            return ErrorClass.BAD_INPUT, code
        case (408, _, _):
            # The server gave up waiting for the request, which therefore was never worked on.
            return ErrorClass.NETWORK_ERROR, code
        case _:
            # 400 too: a request that the API finds invalid is ours to mend, whatever the order; retries and the
            # breaker hold the orders back meanwhile, where bad_input would fail every one of them for good.
            return ErrorClass.AI_ERROR, code


def _suffix(word: str | None) -> str:
    return f"_{word}" if isinstance(word, str) and _WORD.fullmatch(word) else ""


def _of_transport(error: BaseException) -> tuple[ErrorClass, str]:
    if isinstance(error, anthropic.APIConnectionError):
        # The SDK's wrapper for whatever its transport raised before the answer began.
        return _of_transport(error.__cause__) if error.__cause__ else (ErrorClass.NETWORK_ERROR, "connection_failed")
    match error:
        case httpx2.ConnectTimeout() | httpcore2.ConnectTimeout():
            # Nothing was asked yet, and nothing billed: cheap to try again.
            return ErrorClass.NETWORK_ERROR, "connect_timeout"
        case httpx2.PoolTimeout() | httpcore2.PoolTimeout():
            return ErrorClass.QUEUE_FULL, "no_free_connection"
        case httpx2.TimeoutException() | httpcore2.TimeoutException() | TimeoutError():
            return ErrorClass.AI_TIMEOUT, "socket_timeout"
        case httpx2.ConnectError() | httpx2.ProxyError() | httpx2.UnsupportedProtocol():
            return ErrorClass.NETWORK_ERROR, "connection_failed"
        case httpx2.TransportError() | httpcore2.NetworkError() | httpcore2.ProtocolError() | OSError():
            return ErrorClass.NETWORK_ERROR, "connection_lost"
        case anthropic.CredentialsError():
            return ErrorClass.AUTH, "credentials"
        case _:
            return ErrorClass.AI_ERROR, "malformed_response"


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """The wait that the server asks for, an hour at most; None where it names no number of (milli)seconds."""
    for name, unit in (("retry-after-ms", timedelta(milliseconds=1)), ("retry-after", timedelta(seconds=1))):
        try:
            value = float(headers.get(name, ""))
        except ValueError:
            continue
        if math.isfinite(value) and value >= 0:
            return min(value, _LONGEST_RETRY_AFTER / unit) * unit
    return None
