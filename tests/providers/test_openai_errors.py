from __future__ import annotations

import inspect
from types import ModuleType

import aiohttp
import httpx2
import openai
import pytest

from voicertc.errors import ProviderBusy, ProviderCrashed, ProviderError, ProviderTimeout, ProviderUnavailable
from voicertc.providers.openai_errors import (
    LIBRARY_ERRORS,
    fields_named_by,
    in_band_error,
    may_repeat_key,
    quote,
    translate,
)
from voicertc.providers.plan_b.blame import NoCredit, Refused

REQUEST = httpx2.Request("POST", "https://api.openai.com/v1/chat/completions")
KEY = "sk-proj-abcDEF123_456"

RETRYABLE = (ProviderBusy, ProviderCrashed, ProviderTimeout)

OPENAI: dict[type[Exception], type[ProviderError]] = {
    openai.OpenAIError: ProviderUnavailable,
    openai.APIError: ProviderCrashed,
    openai.APIStatusError: ProviderError,
    openai.APIConnectionError: ProviderCrashed,
    openai.APITimeoutError: ProviderTimeout,
    openai.APIResponseValidationError: ProviderCrashed,
    openai.BadRequestError: ProviderError,
    openai.AuthenticationError: Refused,
    openai.OAuthError: Refused,
    openai.PermissionDeniedError: Refused,
    openai.NotFoundError: Refused,
    openai.ConflictError: ProviderError,
    openai.UnprocessableEntityError: ProviderError,
    openai.RateLimitError: ProviderBusy,
    openai.InternalServerError: ProviderCrashed,
    openai.LengthFinishReasonError: ProviderError,
    openai.ContentFilterFinishReasonError: ProviderError,
    openai.InvalidWebhookSignatureError: ProviderCrashed,
    openai.WebSocketConnectionClosedError: ProviderCrashed,
    openai.WebSocketQueueFullError: ProviderCrashed,
}
HTTPX: dict[type[Exception], type[ProviderError]] = {
    httpx2.TimeoutException: ProviderTimeout,
    httpx2.ConnectTimeout: ProviderTimeout,
    httpx2.ReadTimeout: ProviderTimeout,
    httpx2.WriteTimeout: ProviderTimeout,
    httpx2.PoolTimeout: ProviderTimeout,
    httpx2.UnsupportedProtocol: ProviderUnavailable,
    httpx2.InvalidURL: ProviderUnavailable,
    httpx2.TooManyRedirects: ProviderUnavailable,
}
AIOHTTP: dict[type[Exception], type[ProviderError]] = {
    aiohttp.InvalidURL: ProviderUnavailable,
    aiohttp.InvalidUrlClientError: ProviderUnavailable,
    aiohttp.InvalidUrlRedirectClientError: ProviderUnavailable,
    aiohttp.TooManyRedirects: ProviderUnavailable,
    aiohttp.ClientConnectorCertificateError: ProviderUnavailable,
    aiohttp.ServerTimeoutError: ProviderTimeout,
    aiohttp.ConnectionTimeoutError: ProviderTimeout,
    aiohttp.SocketTimeoutError: ProviderTimeout,
}
"""Whatever else these two libraries raise is a connection that failed or a protocol that broke: a crash."""


def exceptions_in(module: ModuleType) -> list[type[Exception]]:
    # The openai package loads its resources when their names are touched: only errors are.
    names = [name for name in module.__all__ if module is not openai or name.endswith("Error")]
    values = [getattr(module, name) for name in names]
    found = {value for value in values if inspect.isclass(value) and issubclass(value, Exception)}
    return sorted((each for each in found if not issubclass(each, Warning)), key=lambda each: each.__name__)


CLIENT_ERRORS = [each for each in exceptions_in(aiohttp) if issubclass(each, aiohttp.ClientError)]
"""The others are of WebSockets and of the server."""


def made(kind: type[Exception]) -> Exception:
    """An exception as its library would make it, as far as that matters here."""
    if issubclass(kind, openai.OAuthError):
        return kind(response=httpx2.Response(401, request=REQUEST), body=None)
    if issubclass(kind, openai.APIStatusError):
        status = getattr(kind, "status_code", 500 if kind is openai.InternalServerError else 418)
        return kind("refused", response=httpx2.Response(status, request=REQUEST), body=None)
    if issubclass(kind, openai.APIResponseValidationError):
        return kind(httpx2.Response(200, request=REQUEST), None)
    if issubclass(kind, openai.APIConnectionError):
        return kind(request=REQUEST)
    if kind is openai.APIError:
        return kind("failed", REQUEST, body=None)
    return kind.__new__(kind)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        *((kind, OPENAI.get(kind)) for kind in exceptions_in(openai)),
        *((kind, HTTPX.get(kind, ProviderCrashed)) for kind in exceptions_in(httpx2)),
        *((kind, AIOHTTP.get(kind, ProviderCrashed)) for kind in CLIENT_ERRORS),
        (ConnectionResetError, ProviderCrashed),
        (TimeoutError, ProviderTimeout),
        (UnicodeDecodeError, ProviderCrashed),
        (RuntimeError, ProviderCrashed),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_every_exception_of_the_libraries_is_mapped(
    kind: type[Exception], expected: type[ProviderError] | None
) -> None:
    assert expected is not None, f"{kind.__name__} is new in this version: decide whose fault it is"
    assert issubclass(kind, LIBRARY_ERRORS)
    error = translate(made(kind), provider="openai").error
    retryable = issubclass(expected, RETRYABLE) or kind is openai.ConflictError
    assert (type(error), error.provider, error.retryable) == (expected, "openai", retryable)
    assert error.message.startswith(("openai ", "the connection to openai "))


def refused(
    status: int, code: str | None = None, message: str = "no", **headers: str
) -> openai.APIStatusError:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    response = httpx2.Response(status, request=REQUEST, headers=sent)
    body = {"message": message, "code": code, "param": None, "type": "x"}
    kinds = {
        400: openai.BadRequestError,
        401: openai.AuthenticationError,
        404: openai.NotFoundError,
        422: openai.UnprocessableEntityError,
        429: openai.RateLimitError,
    }
    kind = kinds.get(status, openai.InternalServerError if status >= 500 else openai.APIStatusError)
    return kind(message, response=response, body=body)


@pytest.mark.parametrize(
    ("error", "expected", "retry_in"),
    [
        (refused(500), ProviderCrashed, 0.1),
        (refused(503), ProviderBusy, 0.1),
        (refused(529), ProviderBusy, 0.1),
        (refused(408), ProviderTimeout, 0.1),
        (refused(429, "rate_limit_exceeded"), ProviderBusy, 0.1),
        (refused(429, "rate_limit_exceeded", retry_after="7"), ProviderBusy, 7.0),
        (refused(429, "rate_limit_exceeded", retry_after_ms="40"), ProviderBusy, 0.04),
        (
            refused(429, "rate_limit_exceeded", retry_after="Fri, 31 Dec 1999 23:59:59 GMT"),
            ProviderBusy,
            None,
        ),
        (refused(500, x_should_retry="false"), ProviderCrashed, None),
        (refused(429, "insufficient_quota"), NoCredit, None),
        (refused(429, "credit_balance_exhausted"), NoCredit, None),
        (refused(401, "invalid_api_key"), Refused, None),
        (refused(404, "model_not_found"), Refused, None),
        (refused(400, "invalid_value"), ProviderError, None),
    ],
)
def test_only_what_may_pass_soon_is_sent_again(
    error: Exception, expected: type[ProviderError], retry_in: float | None
) -> None:
    failure = translate(error, provider="openai")
    assert (type(failure.error), failure.retry_in) == (expected, retry_in)


def test_a_lost_connection_is_no_timeout_although_the_transport_calls_it_one() -> None:
    lost = httpx2.ConnectTimeout("Server disconnected")
    lost.__cause__ = aiohttp.ServerDisconnectedError()
    timeout = openai.APITimeoutError(REQUEST)
    timeout.__cause__ = lost
    failure = translate(timeout, provider="openai")
    assert (type(failure.error), failure.retry_in) == (ProviderCrashed, 0.0)


def test_what_the_operator_has_to_do_is_said() -> None:
    error = translate(refused(401, "invalid_api_key"), provider="openai").error
    assert isinstance(error, ProviderUnavailable)
    assert (error.message, error.fix) == (
        "openai refused the API key (HTTP 401 invalid_api_key)",
        "Set a valid API key (OPENAI_API_KEY).",
    )


def fix_of(error: Exception, *, key: str | None = None) -> tuple[str, str]:
    told = translate(error, provider="openai", key=key).error
    assert isinstance(told, ProviderUnavailable)
    return told.message, told.fix


def test_a_key_that_is_missing_is_told_from_one_that_is_wrong() -> None:
    assert fix_of(refused(401), key="") == (
        "openai wants an API key, and none is set (HTTP 401)",
        "Set OPENAI_API_KEY, or <stage>.api_key where the stage has a base_url of its own.",
    )
    assert fix_of(refused(401), key=KEY)[0] == "openai refused the API key (HTTP 401)"


def test_a_key_with_too_few_scopes_is_none_that_is_wrong() -> None:
    error = refused(401, message="You have insufficient permissions. Missing scopes: api.model.read.")
    assert fix_of(error, key=KEY)[0] == "openai does not permit this (HTTP 401)"


def test_what_is_not_there_is_named_by_its_path() -> None:
    nothing = openai.NotFoundError(
        "Error code: 404", response=httpx2.Response(404, request=REQUEST), body=None
    )
    assert fix_of(nothing) == (
        "openai does not know what was asked for at /v1/chat/completions (HTTP 404)",
        "Check the model's name and the base URL, which usually ends in /v1.",
    )
    assert fix_of(refused(404, "model_not_found", "no such model")) == (
        "openai does not know what was asked for at /v1/chat/completions "
        "(HTTP 404 model_not_found: no such model)",
        "Check the model's name.",
    )


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 429, 500, 503])
def test_no_message_repeats_a_key(status: int) -> None:
    said = f"Incorrect API key provided: {KEY}, not Bearer {KEY} or sk-otherKEY99"
    error = translate(refused(status, message=said), provider="openai", key=KEY).error
    assert KEY not in error.message
    assert "sk-" not in error.message
    assert may_repeat_key(refused(status, message=said), KEY)
    assert not may_repeat_key(refused(status), KEY)


def test_a_key_of_any_shape_is_blotted_out() -> None:
    assert quote("your key 'hunter2' is wrong", "hunter2") == "your key '***' is wrong"
    assert may_repeat_key(RuntimeError("hunter2"), "hunter2")


def test_a_service_is_quoted_on_one_short_line() -> None:
    assert quote("<html>\n  <b>502</b>\r\n") == "<html> <b>502</b>"
    assert len(quote("x" * 5000)) == 200


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"code": "insufficient_quota", "message": "m"}, NoCredit),
        ({"code": "rate_limit_exceeded", "message": "m"}, ProviderBusy),
        ({"type": "overloaded_error", "message": "m"}, ProviderBusy),
        ({"code": None, "message": "it broke"}, ProviderCrashed),
        ("just words", ProviderCrashed),
        ({}, ProviderCrashed),
    ],
)
def test_an_error_inside_an_answer_is_mapped(body: object, expected: type[ProviderError]) -> None:
    assert type(in_band_error(body, provider="openai")) is expected


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"message": "no", "param": "reasoning_effort"}, "reasoning_effort"),
        ({"message": "no", "param": "stream_options.include_usage"}, "stream_options"),
        ({"message": "no", "param": "messages[0].name"}, "messages"),
        ({"message": "Unknown parameter: 'temperature'."}, "temperature"),
        ({"detail": [{"loc": ["body", "verbosity"], "msg": "Extra inputs are not permitted"}]}, "verbosity"),
    ],
)
def test_the_refused_field_is_found(body: dict[str, object], field: str) -> None:
    response = httpx2.Response(400, request=REQUEST)
    assert field in fields_named_by(openai.BadRequestError("no", response=response, body=body))


def test_only_a_bad_request_refuses_a_field() -> None:
    assert fields_named_by(refused(500, message="Unknown parameter: 'temperature'.")) == ()
    assert fields_named_by(refused(404, message="Unknown model 'temperature'.")) == ()
