from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import httpx2
import openai
import pytest

from voicertc import tls
from voicertc.errors import ProviderCrashed, ProviderError, ProviderTimeout, ProviderUnavailable
from voicertc.providers.network_faults import NetworkFault, network_fault
from voicertc.providers.openai_access import OpenAIOptions
from voicertc.providers.openai_client import OpenAIClient
from voicertc.providers.openai_errors import translate

from .openai_stages import LIMIT

REQUEST = httpx2.Request("POST", "https://api.openai.com/v1/audio/speech")
BODY = b'{"id": "m", "object": "model", "created": 1, "owned_by": "me"}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
    len(BODY),
    BODY,
)

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]


def wrapped(cause: BaseException) -> openai.APIConnectionError:
    """``cause`` as it comes out of the SDK: three libraries deep."""
    key = aiohttp.client_reqrep.ConnectionKey("host", 443, True, True, None, None, None)
    inner: BaseException = cause
    if isinstance(cause, OSError):
        inner = aiohttp.ClientConnectorError(key, cause)
        inner.__cause__ = cause
    middle = httpx2.ConnectError("failed", request=REQUEST)
    middle.__cause__ = inner
    outer = openai.APIConnectionError(request=REQUEST)
    outer.__cause__ = middle
    return outer


def refused_certificate(why: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = why
    return error


def tls_error(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}]")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("cause", "kind", "said"),
    [
        (socket.gaierror(socket.EAI_NONAME, "?"), ProviderUnavailable, "there is no host of this name"),
        (socket.gaierror(socket.EAI_AGAIN, "?"), ProviderCrashed, "the host's name could not be looked up"),
        (socket.gaierror(socket.EAI_FAIL, "?"), ProviderCrashed, "the host's name could not be looked up"),
        (
            refused_certificate("certificate has expired"),
            ProviderUnavailable,
            "its TLS certificate is refused (certificate has expired)",
        ),
        (tls_error("WRONG_VERSION_NUMBER"), ProviderUnavailable, "it does not speak TLS there"),
        (
            tls_error("UNEXPECTED_EOF_WHILE_READING"),
            ProviderCrashed,
            "TLS failed (UNEXPECTED_EOF_WHILE_READING)",
        ),
    ],
    ids=repr,
)
def test_it_is_said_who_has_to_act(cause: OSError, kind: type[ProviderError], said: str) -> None:
    failure = translate(wrapped(cause), provider="openai")
    assert type(failure.error) is kind
    assert failure.error.message == f"the connection to openai failed: {said}"
    assert failure.retry_in == (0.0 if kind is ProviderCrashed else None)


def test_another_failure_of_the_network_is_none_of_these() -> None:
    assert network_fault([ConnectionResetError(), OSError(), wrapped(ConnectionRefusedError())]) is None


def test_the_innermost_cause_is_the_one_that_is_told() -> None:
    assert network_fault([refused_certificate("too old"), ssl.SSLError(1, "outer")]) == NetworkFault(
        "its TLS certificate is refused (too old)",
        "Check the base URL; for a certificate of your own set SSL_CERT_FILE to its authority.",
    )


async def probe(base_url: str) -> None:
    client = OpenAIClient(OpenAIOptions(base_url=base_url))
    client.acquire("openai-chat")
    try:
        async with asyncio.timeout(LIMIT):
            await client.probe("m", "openai-chat")
    finally:
        await client.release()


async def test_a_host_that_does_not_exist_is_the_operators_business() -> None:
    with pytest.raises((ProviderUnavailable, ProviderCrashed)) as caught:
        await probe("https://there-is-no-such-host.invalid/v1")
    # A machine without any resolver cannot know that there is no such host.
    knows = isinstance(caught.value, ProviderUnavailable)
    said = "there is no host of this name" if knows else "the host's name could not be looked up"
    assert caught.value.message == f"the connection to openai-chat failed: {said}"


@asynccontextmanager
async def server(answer: Answer, *, context: ssl.SSLContext | None = None) -> AsyncGenerator[int, None]:
    """A server that answers every connection as told; gives its port."""
    listening = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)  # type: ignore[arg-type]
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        await listening.wait_closed()


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    async with server(hang_up, context=tls.self_signed(directory=tmp_path)) as port:
        with pytest.raises(ProviderUnavailable) as caught:
            await probe(f"https://127.0.0.1:{port}/v1")
    assert caught.value.message.startswith(
        "the connection to openai-chat failed: its TLS certificate is refused (self"
    )
    assert "SSL_CERT_FILE" in caught.value.fix


async def test_a_server_without_tls_is_told_from_one_that_is_down() -> None:
    async def speak_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        writer.close()

    async with server(speak_http) as port:
        with pytest.raises(ProviderUnavailable, match="it does not speak TLS there") as caught:
            await probe(f"https://127.0.0.1:{port}/v1")
    assert caught.value.fix == "Check the base URL: http or https, and the port."


async def test_a_connection_whose_other_end_has_vanished_is_given_up_and_not_used_again() -> None:
    connections = list[asyncio.StreamWriter]()

    async def vanish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer once, then be silent, as behind a cable that was cut: no end of the stream is sent."""
        connections.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)
        await reader.read()
        writer.close()

    async with server(vanish) as port:
        client = OpenAIClient(OpenAIOptions(base_url=f"http://127.0.0.1:{port}/v1"))
        client.acquire("openai-chat")
        async with asyncio.timeout(LIMIT):
            await client.probe("m", "openai-chat")
            with pytest.raises(ProviderTimeout, match="gave no answer within"):
                await client.probe("m", "openai-chat", timeout=0.2)
            await client.probe("m", "openai-chat")
        assert len(connections) == 2
        await client.release()
