"""The door between the openai library's exceptions and ours: says whose fault it was, and never a key.

Three libraries throw here: ``openai`` itself, ``httpx2`` under it (unwrapped while a body is streamed), and
``aiohttp``, which carries the bytes. Every one of their exceptions becomes a ``ProviderError``:

    deadline, HTTP 408                         ProviderTimeout       try again
    connection refused, reset, cut, 5xx        ProviderCrashed       try again
    429 (rate), 503, 529                       ProviderBusy          try again
    401, 403, 404                              Refused               the operator has to act
    no credit                                  NoCredit              the operator has to act
    no such host, certificate refused, bad URL ProviderUnavailable   the operator has to act
    other 4xx                                  ProviderError         asking again does not help
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import httpx2
import openai

from ..errors import ProviderBusy, ProviderCrashed, ProviderError, ProviderTimeout, ProviderUnavailable
from .network_faults import NetworkFault, network_fault
from .openai_address import at_openai
from .plan_b.blame import NoCredit, Refused

LIBRARY_ERRORS: tuple[type[Exception], ...] = (
    openai.OpenAIError,
    httpx2.HTTPError,
    httpx2.StreamError,
    httpx2.InvalidURL,
    httpx2.CookieConflict,
    aiohttp.ClientError,
    OSError,  # resolver, socket and TLS errors that nobody wrapped; TimeoutError is one of them
    ValueError,  # undecodable JSON and UTF-8, pydantic's ValidationError
    RuntimeError,  # a pool that was closed under a request
)
"""What may come out of a call into the library; everything else is a bug of ours."""

_NO_CREDIT = frozenset(
    {"insufficient_quota", "credit_balance_exhausted", "billing_hard_limit_reached", "account_deactivated"}
)
_SECRET_SHAPED = re.compile(r"\b(?:sk|ek|rk|sess)-[\w*-]{4,}|(?<=Bearer )\S+")
_MAX_QUOTE = 200
_MOMENT = 0.1
_FIX_KEY = "Set a valid API key (OPENAI_API_KEY)."
_FIX_NO_KEY = "Set OPENAI_API_KEY, or <stage>.api_key where the stage has a base_url of its own."
_FIX_MODEL = "Check the model's name."
_FIX_PATH = "Check the model's name and the base URL, which usually ends in /v1."


@dataclass(frozen=True, slots=True)
class Failure:
    """One translated exception.

    ``error`` is ours. ``retry_in``: seconds after which the same request may be sent again, 0 for at once;
    ``None`` where that is pointless, as after a deadline.
    """

    error: ProviderError
    retry_in: float | None = None


def translate(error: Exception, *, provider: str, key: str | None = None) -> Failure:
    """Say in our words what ``error`` means.

    ``key`` is blotted out wherever a service repeats it; empty: there is none, ``None``: nobody knows.
    """
    host, port = _host_and_port(error)
    if (fault := network_fault(reversed(tuple(_chain(error))))) is not None:
        return _unconnected(provider, fault, host)
    if host and isinstance(_innermost(error), ConnectionRefusedError):
        return _crashed(provider, f"{provider}'s server {host}:{port} refuses connections; is it running?")
    match error:
        case openai.APITimeoutError() | httpx2.TimeoutException() if _is_lost_connection(error):
            return _crashed(provider, f"the connection to {provider} was lost ({_cause_name(error)})")
        case openai.APITimeoutError() | httpx2.TimeoutException() | TimeoutError():
            return Failure(ProviderTimeout(f"{provider} did not answer in time", provider=provider))
        case openai.APIResponseValidationError():
            return Failure(ProviderCrashed(f"{provider} sent an answer without sense", provider=provider))
        case openai.APIStatusError():
            return _refused(error, provider, key)
        case httpx2.UnsupportedProtocol() | httpx2.InvalidURL() | httpx2.TooManyRedirects():
            return _bad_address(provider)
        case aiohttp.InvalidURL() | aiohttp.TooManyRedirects():
            return _bad_address(provider)
        case openai.APIConnectionError() | httpx2.HTTPError() | aiohttp.ClientError() | OSError():
            return _crashed(provider, f"the connection to {provider} failed ({_cause_name(error)})")
        case openai.APIError():
            return Failure(
                in_band_error(error.body or {"message": error.message}, provider=provider, key=key)
            )
        case openai.LengthFinishReasonError() | openai.ContentFilterFinishReasonError():
            return Failure(ProviderError(f"{provider} gave no whole answer", provider=provider))
        case openai.OpenAIError() if type(error) is openai.OpenAIError:
            return Failure(_unavailable("client cannot be set up", provider, fix=quote(str(error), key)))
        case _:
            broken = f"{provider} broke the protocol ({type(error).__name__})"
            return Failure(ProviderCrashed(broken, provider=provider))


def in_band_error(body: object, *, provider: str, key: str | None = None) -> ProviderError:
    """Translate an ``error`` object that came inside a 200 answer (OpenAI: ``error{message,type,code}``)."""
    fields: Mapping[str, Any] = body if isinstance(body, dict) else {"message": str(body)}
    code, message = _word(fields, "code") or _word(fields, "type"), quote(_word(fields, "message"), key)
    if code in _NO_CREDIT:
        return _no_credit(provider, code)
    if code in {"rate_limit_exceeded", "slow_down", "overloaded_error", "engine_overloaded"}:
        return ProviderBusy(f"{provider} is busy ({code})", provider=provider)
    why = message or code or "no reason given"
    return ProviderCrashed(f"{provider} failed while answering: {why}", provider=provider)


def refused_key(provider: str, key: str | None, said: str = "") -> Refused:
    """Say that a key was refused, or that one is missing. ``said``: what the service answered."""
    how = f" ({said})" if said else ""
    if key == "":
        return _refusal(f"wants an API key, and none is set{how}", provider, fix=_FIX_NO_KEY)
    return _refusal(f"refused the API key{how}", provider, fix=_FIX_KEY)


def is_forbidden(error: openai.APIStatusError) -> bool:
    """Whether the key is good, but not for this; OpenAI answers 401 or 403 to one with too few scopes."""
    return error.status_code == 403 or (error.status_code == 401 and "missing scopes" in str(error).lower())


def quote(text: str, key: str | None = None) -> str:
    """Return a service's own words on one line, short, and without anything that looks like a key."""
    if key:
        text = text.replace(key, "***")
    line = " ".join(_SECRET_SHAPED.sub("***", text).split())
    return line if len(line) <= _MAX_QUOTE else line[: _MAX_QUOTE - 1] + "…"


def may_repeat_key(error: Exception, key: str) -> bool:
    """Whether a traceback through ``error`` would print something that looks like a key."""
    return any(
        bool(_SECRET_SHAPED.search(str(each))) or (bool(key) and key in str(each)) for each in _chain(error)
    )


def fields_named_by(error: Exception) -> tuple[str, ...]:
    """Return the words of a 400 or 422 that may be the name of the field it objects to, likeliest first.

    OpenAI names it in ``param``, FastAPI in ``detail[].loc``, others only in a sentence ("Unknown parameter:
    'reasoning_effort'").
    """
    if not isinstance(error, openai.BadRequestError | openai.UnprocessableEntityError):
        return ()
    param = [error.param] if isinstance(error.param, str) else []
    quoted = re.findall(r"['\"`]([a-z_]+)(?:\.[a-z_.]+)?['\"`]", f"{error.message} {error.body}")
    return tuple(re.split(r"[.\[]", name)[0] for name in [*param, *quoted])


def _refused(error: openai.APIStatusError, provider: str, key: str | None) -> Failure:
    """An HTTP status of 400 or more."""
    status, code = error.status_code, error.code or ""
    said = f"HTTP {status}" + (f" {code}" if code else "")
    if is_forbidden(error):
        fix = "Check what the key's project may do, and from which country."
        return Failure(_refusal(f"does not permit this ({said})", provider, fix=fix))
    if status == 401:
        return Failure(refused_key(provider, key, said))
    if code in _NO_CREDIT:
        return Failure(_no_credit(provider, code))
    told = _word(error.body, "message") if isinstance(error.body, dict) else ""
    if status == 404:
        why = f"{said}: {quote(told, key)}" if told else said
        what = f"does not know what was asked for at {quote(error.request.url.path, key)} ({why})"
        fix = _FIX_MODEL if code == "model_not_found" else _FIX_PATH
        return Failure(_refusal(what, provider, fix=fix))
    message = f"{said}: {quote(told or error.message, key)}"
    if status == 408:
        return Failure(ProviderTimeout(f"{provider} gave up ({said})", provider=provider), _retry_in(error))
    if status in {429, 503, 529}:
        pause = _told_pause(error.response.headers)
        busy = ProviderBusy(f"{provider} is busy ({said})", provider=provider, retry_after=pause)
        return Failure(busy, _retry_in(error))
    if status >= 500:
        return Failure(ProviderCrashed(f"{provider} failed ({message})", provider=provider), _retry_in(error))
    refusal = f"{provider} refused the request ({message})"
    return Failure(ProviderError(refusal, provider=provider, retryable=status == 409))


def _retry_in(error: openai.APIStatusError) -> float | None:
    """Seconds until the same request may be sent again: what the service asks for, or else a moment."""
    headers = error.response.headers
    if headers.get("x-should-retry") == "false":
        return None
    pause = _told_pause(headers)
    # An HTTP date is at least a second away, so too far for a conversation.
    return _MOMENT if pause is None and "retry-after" not in headers else pause


def _told_pause(headers: Mapping[str, str]) -> float | None:
    """Seconds the service asks to wait (``retry-after-ms``, ``retry-after``), ``None`` if it names none."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) * unit)
        except (KeyError, ValueError):
            continue
    return None


def _crashed(provider: str, message: str) -> Failure:
    return Failure(ProviderCrashed(message, provider=provider), retry_in=0.0)


def _unconnected(provider: str, fault: NetworkFault, host: str) -> Failure:
    message = f"the connection to {provider} failed: {fault.message}"
    if not fault.fix:
        return _crashed(provider, message)
    # Nobody has written OpenAI's own address, so nobody has written it wrongly.
    is_openai = at_openai(f"https://{host}")
    fix = f"Check this machine's network and DNS: {host} exists." if is_openai else fault.fix
    return Failure(ProviderUnavailable(message, provider=provider, fix=fix))


def _unavailable(message: str, provider: str, *, fix: str) -> ProviderUnavailable:
    return ProviderUnavailable(f"{provider} {message}", provider=provider, fix=fix)


def _refusal(message: str, provider: str, *, fix: str) -> Refused:
    return Refused(f"{provider} {message}", provider=provider, fix=fix)


def _no_credit(provider: str, code: str) -> NoCredit:
    message = f"{provider} has no credit left on this account ({code})"
    return NoCredit(message, provider=provider, fix="Add credit or raise the limit.")


def _bad_address(provider: str) -> Failure:
    return Failure(_unavailable("has no such address", provider, fix="Check the base URL."))


def _is_lost_connection(error: BaseException) -> bool:
    """Whether a "timeout" is none: the SDK's aiohttp transport calls a lost connection ConnectTimeout."""
    return any(
        isinstance(each, aiohttp.ClientConnectionError) and not isinstance(each, TimeoutError)
        for each in _chain(error)
    )


def _cause_name(error: BaseException) -> str:
    """The type of the innermost exception: it tells refused from reset from unresolved."""
    return type(_innermost(error)).__name__


def _innermost(error: BaseException) -> BaseException:
    return list(_chain(error))[-1]


def _host_and_port(error: BaseException) -> tuple[str, int | None]:
    """Return where no connection could be made, if that is what ``error`` says; else no host."""
    for each in _chain(error):
        if isinstance(each, aiohttp.ClientConnectorError) and (host := getattr(each, "host", "")):
            return host, each.port
    return "", None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """``error`` and what it was raised from, outermost first."""
    each: BaseException | None = error
    while each is not None:
        yield each
        each = each.__cause__


def _word(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""
