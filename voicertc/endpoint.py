"""The peer endpoint: an SDP offer in, an answer out, and a conversation in between.

    endpoint = voicertc.Endpoint(agent=my_agent)
    await endpoint.start()
    answer_sdp = await endpoint.answer(offer_sdp)      # from any framework
    await endpoint.close()

One endpoint serves any number of calls in one event loop, up to ``limits.max_calls``.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from dataclasses import dataclass, replace

from . import __version__, logs
from .agents.base import Agent, AgentFunction, as_agent
from .agents.loading import load_agent
from .call import Call
from .errors import ClientError
from .rtc.microphone import BUFFER_DELAY
from .services import Service, ServiceSet
from .session.session import Services, Session, SessionSetup
from .settings import Settings

_log = logging.getLogger(__name__)

_REMEMBERED = 30.0
"""Seconds for which an ended call is still known, so that a late hang-up is no error."""
_RETRY_AFTER = 5
"""Seconds after which a client that was refused may try again."""
_CLOSE_TIMEOUT = 2.0
"""Seconds that all calls together are given to end at shutdown."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answered call: ``sdp`` goes back to the client, ``call_id`` (``rtc_…``) names the call."""

    call_id: str
    sdp: str


class Endpoint:
    """Owned by the application; all methods are called on its event loop.

    ``settings`` default to what the environment says (``Settings.load()``, which raises ``SettingsError``).

    ``agent`` answers instead of the one that the settings name: an ``Agent``, or an async generator
    function that is given an ``AgentRequest`` and yields text. ``services`` replaces everything that hears,
    thinks and speaks, for those who bring providers of their own; whoever made them starts and closes them.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        agent: Agent | AgentFunction | None = None,
        services: Services | None = None,
    ) -> None:
        self._settings = settings or Settings.load()
        if agent is None and self._settings.agent.import_ is not None:
            agent = load_agent(self._settings.agent.import_)
        self._service_set = ServiceSet(self._settings, as_agent(agent) if agent is not None else None)
        self._given_services = services
        self._services: Services | None = None
        self._rtc_options = self._settings.rtc_options()
        self._setup = SessionSetup()
        self._is_closed = False
        self._starting = asyncio.Lock()
        self._calls: dict[str, tuple[Call, asyncio.Task[None]]] = {}
        self._ended: dict[str, asyncio.TimerHandle] = {}

    @property
    def services(self) -> tuple[Service, ...]:
        """What hears, thinks and speaks, for the operator; known after ``start``."""
        return self._service_set.lines

    @property
    def calls(self) -> tuple[str, ...]:
        """The ids of the calls that are up."""
        return tuple(self._calls)

    async def start(self) -> None:
        """Load what all calls share; a second start does nothing."""
        async with self._starting:
            if self._services is None:
                self._services = self._given_services or await self._service_set.start()
                self._setup = self._session_setup(self._services.agent)

    async def close(self) -> None:
        """End all calls with a goodbye and free everything; may be called twice. There is no way back."""
        self._is_closed = True
        tasks = [task for _, task in self._calls.values()]
        for call, _ in tuple(self._calls.values()):
            call.end("shutdown")
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_CLOSE_TIMEOUT)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for timer in self._ended.values():
            timer.cancel()
        self._ended.clear()
        await self._service_set.close()
        self._services = None

    async def answer(self, offer_sdp: str, *, is_loopback_client: bool = False) -> str:
        """Answer an offer and begin the call; see ``answer_call``."""
        return (await self.answer_call(offer_sdp, is_loopback_client=is_loopback_client)).sdp

    async def answer_call(self, offer_sdp: str, *, is_loopback_client: bool = False) -> Answer:
        """Answer an offer and begin the call.

        ``is_loopback_client``: the offer came from this machine, which may have no other way to itself.
        Raises ``ClientError``: 400 ``invalid_sdp``, 422 ``no_audio``, 503 ``too_many_calls`` and
        ``shutting_down``.
        """
        if self._is_closed:
            raise ClientError("The server is shutting down.", code="shutting_down", status=503)
        await self.start()
        assert self._services is not None
        if len(self._calls) >= self._settings.limits.max_calls:
            raise ClientError(
                "All lines are busy; please try again in a few seconds.",
                code="too_many_calls",
                status=503,
                retry_after=_RETRY_AFTER,
            )
        part = secrets.token_hex(6)
        call_id, session_id = f"rtc_{part}", f"sess_{part}"
        with logs.bind(call=call_id, session=session_id):
            session = Session(
                self._services,
                self._setup,
                session_id=session_id,
                id_prefix=f"{part}_",
                hearing_delay=BUFFER_DELAY,
            )
            call = Call(call_id, session, self._rtc_options, bit_rate=self._settings.audio.bit_rate)
            # The task is there before the first wait, so that the call counts and is closed whatever happens.
            task = asyncio.create_task(call.run(), name=call_id)
            self._calls[call_id] = (call, task)
            task.add_done_callback(lambda done: self._forget(call_id, done))
            try:
                sdp = await call.answer(offer_sdp, is_loopback_client=is_loopback_client)
            except BaseException:
                call.end("failed")
                raise
        return Answer(call_id, sdp)

    async def hangup(self, call_id: str) -> bool:
        """End a call; return whether it is known, which it is for 30 s after its end."""
        if call_id not in self._calls:
            return call_id in self._ended
        call, task = self._calls[call_id]
        call.end("hangup")
        await asyncio.wait([task], timeout=_CLOSE_TIMEOUT)
        return True

    def _session_setup(self, agent: Agent) -> SessionSetup:
        options = self._settings.conversation_options()
        if self._settings.agent.greeting == "default" and agent.greeting is not None:
            options = replace(options, phrases=replace(options.phrases, greeting=agent.greeting))
        return SessionSetup(
            conversation=options,
            session=self._settings.session_options(),
            journal_dir=self._settings.journal.dir,
            version=__version__,
        )

    def _forget(self, call_id: str, task: asyncio.Task[None]) -> None:
        self._calls.pop(call_id, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            logs.event(_log, logging.ERROR, "call_crashed", exc_info=error, call=call_id)
        loop = asyncio.get_running_loop()
        self._ended[call_id] = loop.call_later(_REMEMBERED, self._ended.pop, call_id, None)
