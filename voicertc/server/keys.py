"""Who a caller is, by the key that comes along: API keys of the operator, and short-lived ones made here.

    sk of the operator ── mint ──► ek_<id>_<expiry>_<signature>  ── admit ──► Principal(owner, session)

A short-lived key (OpenAI Realtime: a client secret) is for browsers, which cannot keep an API key. It carries
its id and expiry, signed with a secret of this process, so that forged and stale ones are refused without
being looked up. The session configuration that it is bound to is kept here: headers are too short for it.

While no API keys are configured, whoever reaches the server may use it. A key that is no short-lived one is
then ignored, on this machine only: from elsewhere it may be a real key of another service, sent by mistake.

Nothing here reads a clock, logs, or puts a key into an error.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from ..errors import ClientError
from ..providers.secret import Secret

MAX_BOUND_BYTES = 32 * 1024 * 1024
"""What all bound configurations together may take: hundreds of large ones, or fifty thousand empty ones."""
_ENTRY_BYTES = 600
"""What an entry of the table takes beside its JSON text."""

_PREFIX = "ek_"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. ``owner`` names the key without giving it away; it is empty where none is demanded.

    ``session`` is the configuration that a short-lived key is bound to (OpenAI Realtime: the session object);
    ``None``: it is not such a key.
    """

    owner: str
    session: Mapping[str, object] | None = None

    @property
    def is_short_lived(self) -> bool:
        """Whether this is somebody whom an API key's holder sent."""
        return self.session is not None

    def may_reach(self, owner: str) -> bool:
        """Whether a call of ``owner`` is this one's business: all are an API key's."""
        return not self.is_short_lived or owner == self.owner


@dataclass(frozen=True, slots=True)
class _Bound:
    """What a short-lived key stands for: a configuration as JSON, until ``expires_at`` (unix seconds)."""

    session: str
    expires_at: int

    @property
    def n_bytes(self) -> int:
        return _ENTRY_BYTES + len(self.session)


class Keyring:
    """The keys that open this server. ``clock`` gives unix seconds."""

    def __init__(self, api_keys: Iterable[Secret], clock: Callable[[], float]) -> None:
        self._api_keys = tuple(_digest(key.reveal()) for key in api_keys)
        self._clock = clock
        self._signing_key = secrets.token_bytes(32)
        self._bound: dict[str, _Bound] = {}
        self._n_bytes = 0

    @property
    def demands_key(self) -> bool:
        """Whether nobody comes in without a key."""
        return bool(self._api_keys)

    def mint(self, session: Mapping[str, object], seconds: int) -> tuple[str, int]:
        """Return a key bound to ``session`` that lives ``seconds``, and when it expires (unix seconds).

        Raises ``ClientError`` 503 ``too_many_keys`` when no more configurations can be kept.
        """
        self._forget_expired()
        bound = _Bound(json.dumps(session), int(self._clock()) + seconds)
        if self._n_bytes + bound.n_bytes > MAX_BOUND_BYTES:
            message = "Too many short-lived keys are in use; ask again when some have expired."
            raise ClientError(message, code="too_many_keys", status=503, retry_after=60)
        key_id = secrets.token_hex(8)
        self._bound[key_id] = bound
        self._n_bytes += bound.n_bytes
        signed = f"{_PREFIX}{key_id}_{bound.expires_at:x}"
        return f"{signed}_{self._signature(signed)}", bound.expires_at

    def admit(self, bearer: str | None, *, is_loopback: bool) -> Principal:
        """Return who comes with this bearer token. Raises ``ClientError`` 401.

        ``is_loopback``: the request came from this machine.
        """
        if bearer is None:
            if not self.demands_key:
                return Principal("")
            raise _refused("missing_api_key", "Send an API key of this server: Authorization: Bearer <key>.")
        digest = _digest(bearer)
        if any(hmac.compare_digest(digest, known) for known in self._api_keys):
            return Principal(f"key-{digest.hex()[:8]}")
        if bearer.startswith(_PREFIX):
            return self._admit_short_lived(bearer)
        if self.demands_key:
            raise _refused("invalid_api_key", "This is not an API key of this server.")
        if not is_loopback:
            raise _refused(
                "invalid_api_key",
                "This server has no API keys, and takes any other from its own machine only, for yours may "
                "belong to another service. Send none, or have server.api_keys set.",
            )
        return Principal("")

    def _admit_short_lived(self, bearer: str) -> Principal:
        signed, _, signature = bearer.rpartition("_")
        if not hmac.compare_digest(_bytes(self._signature(signed)), _bytes(signature)):
            message = "This short-lived key was not made by this server, or before it was restarted."
            raise _refused("invalid_api_key", message)
        # It is ours, letter by letter: nothing below can be malformed.
        key_id, _, expires_at = signed.removeprefix(_PREFIX).partition("_")
        bound = self._bound.get(key_id)
        if bound is None or int(expires_at, 16) <= self._clock():
            raise _refused("expired_api_key", "This short-lived key has expired; ask for a new one.")
        return Principal(f"ek-{key_id}", json.loads(bound.session))

    def _forget_expired(self) -> None:
        now = self._clock()
        for key_id in [key_id for key_id, bound in self._bound.items() if bound.expires_at <= now]:
            self._n_bytes -= self._bound.pop(key_id).n_bytes

    def _signature(self, signed: str) -> str:
        return hmac.digest(self._signing_key, _bytes(signed), "sha256").hex()


def _refused(code: str, message: str) -> ClientError:
    return ClientError(message, code=code, status=401)


def _digest(key: str) -> bytes:
    return sha256(_bytes(key)).digest()


def _bytes(text: str) -> bytes:
    # aiohttp makes lone surrogates of what is no UTF-8 in a header.
    return text.encode("utf-8", "surrogatepass")
