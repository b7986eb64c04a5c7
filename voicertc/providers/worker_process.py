"""One worker as the server sees it: a child process, and the one request that is on it.

What the two say to each other is drawn in ``worker_main``; who starts and ends workers is ``workers``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import ProviderCrashed, ProviderError, ProviderTimeout, ProviderUnavailable
from ..logs import event
from .worker_messages import CANCEL, LENGTHS, Message, PipeBroken, decode, encode, lengths

_log = logging.getLogger(__name__)

_INBOX_BYTES = 1 << 23
"""What may wait for its consumer, three minutes of speech; the rest of an answer waits in the child."""
_STDERR_LINES = 20
"""What a worker may write into our log in its life; after that only its last line is kept."""
_GRACE = 0.5
"""Seconds a worker has to leave by itself when its pipe closes; an idle one needs a few milliseconds."""


class Lease:
    """One request on one worker, from ``WorkerPool.lease`` until its block ends.

    One task receives; another may send meanwhile. It is *answered* when the last message has arrived,
    consumed or not: from then on the worker is somebody else's, and sending does nothing.
    """

    def __init__(self, worker: Worker, request: int, deadline: float) -> None:
        self.request = request
        self.is_begun = False
        self.is_answered = False
        self._worker = worker
        self._deadline = deadline
        self._inbox: deque[Message] = deque()
        self._inbox_bytes = 0
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._failure: Exception | None = None
        self._is_due = False
        self._waiting: asyncio.Timeout | None = None

    @property
    def memory(self) -> dict[str, None]:
        """What the provider knows to be in this worker's memory, oldest first; empty in a new child."""
        return self._worker.memory

    async def send(self, kind: str, body: bytes = b"", **fields: object) -> None:
        """Send a part of the request.

        Raises ``ProviderTimeout`` when the worker does not take it, ``ProviderCrashed`` when it has died.
        """
        if self.is_answered:
            return
        self._raise_failure()
        self.is_begun = True
        try:
            async with asyncio.timeout(self._deadline):
                await self._worker.write(Message(kind, self.request, fields, body))
        except TimeoutError as error:
            raise self._hung() from error

    def expect(self) -> None:
        """From now on every next message is due within the deadline; a worker that misses it is killed."""
        self._is_due = True
        if self._waiting is not None:
            self._waiting.reschedule(asyncio.get_running_loop().time() + self._deadline)

    async def receive(self) -> Message:
        """Wait for the next message of the answer.

        Raises ``ProviderTimeout``, ``ProviderCrashed``, ``ProviderError`` if the worker refused the request,
        or what ``interrupt`` was given.
        """
        if self._inbox:
            await asyncio.sleep(0)  # a long answer that is all here must not keep the loop from its packets
        else:
            await self._arrival()
        message = self._inbox.popleft()
        self._inbox_bytes -= len(message.body)
        self._room.set()
        if message.kind == "refused":
            raise ProviderError(str(message.fields["message"]), provider=self._worker.provider)
        return message

    def interrupt(self, error: Exception) -> None:
        """Let the receiver raise ``error`` when it has received what is there; the first one counts."""
        self._failure = self._failure or error
        self._changed.set()

    async def deliver(self, message: Message) -> None:
        """Called by the worker's reader: take a message; the reader waits while the inbox is full."""
        self._inbox.append(message)
        self._inbox_bytes += len(message.body)
        self._changed.set()
        while self._inbox_bytes > _INBOX_BYTES and not self.is_answered:
            self._room.clear()
            await self._room.wait()

    def end(self) -> None:
        """Called when the block ends: nobody will read the rest."""
        self.is_answered = True
        self._inbox.clear()
        self._inbox_bytes = 0
        self._room.set()

    async def _arrival(self) -> None:
        try:
            async with asyncio.timeout(self._deadline if self._is_due else None) as self._waiting:
                while not self._inbox:
                    self._raise_failure()
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError as error:
            raise self._hung() from error
        finally:
            self._waiting = None

    def _hung(self) -> ProviderTimeout:
        self._worker.kill("it hangs")
        message = f"no answer from {self._worker.name} in {self._deadline:g} s"
        return ProviderTimeout(message, provider=self._worker.provider)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


class Worker:
    """One child process, from its start to its end; one task of the pool runs it.

    ``freed`` is called whenever the worker can take a request.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        name: str,
        provider: str,
        freed: Callable[[Worker], None],
    ) -> None:
        self.name = name
        self.provider = provider
        self.memory: dict[str, None] = {}
        self.lease: Lease | None = None
        self.is_alive = True
        self.is_loaded = False
        self._process = process
        self._freed = freed
        self._is_resetting = False
        self._reset_timer: asyncio.TimerHandle | None = None
        self._why = ""
        self._last_words = ""
        self._listener = asyncio.create_task(self._listen(), name=f"{name}/stderr")

    async def load(self, options: Mapping[str, object]) -> Mapping[str, Any]:
        """Wait until the engine is loaded and return its facts.

        Raises ``ProviderUnavailable`` with the engine's own reason, or ``ProviderCrashed``.
        """
        await self.write(Message("load", 0, options))
        message = await self._read()
        if message is None:
            await self.end()
            raise ProviderCrashed(self.obituary, provider=self.provider)
        if message.kind == "unavailable":
            reason, fix = str(message.fields["message"]), str(message.fields["fix"])
            raise ProviderUnavailable(reason, provider=self.provider, fix=fix)
        self.is_loaded = True
        return message.fields

    async def run(self) -> None:
        """Pass on what the child says, until it ends."""
        while (message := await self._read()) is not None:
            await self._take(message)
        self.is_alive = False

    def begin(self, request: int, deadline: float) -> Lease:
        """Lease this free worker for ``request``."""
        assert self.lease is None
        self.lease = Lease(self, request, deadline)
        return self.lease

    def give_back(self, lease: Lease, reset_deadline: float) -> None:
        """End ``lease``: free at once, or when the child has confirmed that it stopped."""
        lease.end()
        if self.lease is not lease or not self.is_alive:
            return
        if not lease.is_begun:
            self._become_free()
            return
        self._is_resetting = True
        self._post(Message(CANCEL, lease.request))
        self._reset_timer = asyncio.get_running_loop().call_later(
            reset_deadline, self.kill, "it does not give up a cancelled request"
        )

    async def write(self, message: Message) -> None:
        """Send ``message``; waits while the child is behind."""
        self._post(message)
        with contextlib.suppress(OSError):  # the reader sees that the child has ended, and says it better
            await self._stdin.drain()

    def kill(self, why: str) -> None:
        """End the child at once, and the request on it."""
        self.is_alive = False
        self._why = self._why or why
        self._stop_timer()
        if self._process.returncode is None:
            self._process.kill()
        if self.lease is not None:
            self.lease.interrupt(ProviderCrashed(self.obituary, provider=self.provider))

    async def end(self) -> None:
        """Wait until the child is gone, its pipes are closed and its task has ended; may be called twice."""
        self._stdin.close()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GRACE):
                    await self._drain()
        finally:
            stayed = self._process.returncode is None
            self.kill("it did not leave when its pipe was closed" if stayed else "")
        await self._drain()

    @property
    def obituary(self) -> str:
        """How it ended, in a few words."""
        status = self._process.returncode
        ended = (
            f"worker {self.name} ended"
            if status is None
            else f"worker {self.name} ended with status {status}"
        )
        return ": ".join(part for part in (ended, self._why, self._last_words) if part)

    async def _take(self, message: Message) -> None:
        lease = self.lease
        if lease is None or message.request != lease.request:
            return  # cannot be of ours: the engine broke its word
        if self._is_resetting:
            if message.kind == "cancelled":
                self._become_free()
            return
        if message.fields.get("last"):
            lease.is_answered = True
            self._become_free()
        await lease.deliver(message)

    def _become_free(self) -> None:
        self.lease = None
        self._is_resetting = False
        self._stop_timer()
        self._freed(self)

    def _stop_timer(self) -> None:
        if self._reset_timer is not None:
            self._reset_timer.cancel()
            self._reset_timer = None

    @property
    def _stdin(self) -> asyncio.StreamWriter:
        assert self._process.stdin is not None
        return self._process.stdin

    def _post(self, message: Message) -> None:
        if not self._stdin.is_closing():
            self._stdin.write(encode(message))

    async def _read(self) -> Message | None:
        stdout = self._process.stdout
        assert stdout is not None
        try:
            header, body = lengths(await stdout.readexactly(LENGTHS.size))
            return decode(await stdout.readexactly(header), await stdout.readexactly(body))
        except asyncio.IncompleteReadError:
            return None
        except PipeBroken as error:
            self.kill(f"it broke the protocol: {error}")
            return None

    async def _drain(self) -> None:
        """Read to the end of both pipes: only then are they closed, and only then does ``wait`` return."""
        stdout = self._process.stdout
        assert stdout is not None
        while await stdout.read(1 << 16):
            pass
        await asyncio.shield(self._listener)
        await self._process.wait()

    async def _listen(self) -> None:
        """Log what the child writes to stderr, bounded in line length and number of lines."""
        stderr = self._process.stderr
        assert stderr is not None
        logged = 0
        while chunk := await stderr.read(4096):
            for line in chunk.decode(errors="replace").splitlines():
                self._last_words = line.strip()[:200] or self._last_words
                logged += 1
                if logged <= _STDERR_LINES:
                    # DEBUG, because a speech library may write down what it heard.
                    event(_log, logging.DEBUG, "worker_stderr", worker=self.name, line=self._last_words)
