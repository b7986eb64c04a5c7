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
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from . import __version__, logs
from .agents.base import Agent, AgentFunction, as_agent
from .agents.loading import load_agent
from .audio.sounds import SoundSet, load_all
from .calls.call import Call, Door
from .calls.opening import Opening
from .calls.sideband import Sideband
from .calls.socket_call import SocketCall
from .core.options import SessionOptions
from .errors import ClientError
from .providers.base import VoiceRequest
from .rtc.ice import TrickledCandidate
from .rtc.media_plane import MediaPlane
from .services import Service, ServiceSet
from .services.phrases import voice_phrases
from .session.setup import Services, SessionSetup
from .settings import Settings

_log = logging.getLogger(__name__)

_REMEMBERED = 30.0
"""Seconds for which an ended call is still known, so that a late hang-up is no error."""
_RETRY_AFTER = 5
"""Seconds after which a client that was refused may try again."""
_MAX_SIDEBANDS = 8
"""Sidebands of one call: each is told all that happens in it."""
_CLOSE_TIMEOUT = 2.0
"""Seconds that all calls together are given to end at shutdown."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answered call: ``sdp`` goes back to the client, ``call_id`` (``rtc_…``) names the call."""

    call_id: str
    sdp: str


@dataclass(frozen=True, slots=True)
class _Line:
    """A call that is up, the task that lives for it, and whose call it is."""

    call: Call | SocketCall
    task: asyncio.Task[None]
    owner: str
    sidebands: set[Sideband] = field(default_factory=set)


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
        self._plane: MediaPlane | None = None
        self._setup = SessionSetup()
        self._is_closed = False
        self._starting = asyncio.Lock()
        self._voicing: asyncio.Task[None] | None = None
        self._calls: dict[str, _Line] = {}
        self._ended: dict[str, tuple[str, asyncio.TimerHandle]] = {}

    @property
    def services(self) -> tuple[Service, ...]:
        """What hears, thinks and speaks, for the operator; known after ``start``."""
        return self._service_set.lines

    @property
    def media(self) -> str:
        """How sound is carried, for the operator; known after ``start``."""
        return self._plane.description if self._plane else ""

    @property
    def calls(self) -> tuple[str, ...]:
        """The ids of the calls that are up."""
        return tuple(self._calls)

    @property
    def session_options(self) -> SessionOptions:
        """What a session begins with, before its client chooses; known after ``start``."""
        return self._setup.session

    def owner_of(self, call_id: str) -> str | None:
        """Return whose call it is, known until 30 s after its end; ``None``: there is no such call."""
        if line := self._calls.get(call_id):
            return line.owner
        ended = self._ended.get(call_id)
        return ended[0] if ended else None

    async def start(self) -> None:
        """Load what all calls share; a second start does nothing.

        Raises ``SettingsError`` for a UDP port that is taken and a sound file that cannot be read.
        """
        async with self._starting:
            if self._services is None:
                if self._plane is None:
                    self._plane = MediaPlane(self._rtc_options)
                self._plane.open()
                audio = self._settings.audio
                sounds = await asyncio.to_thread(load_all, audio.thinking_sound, audio.ambient_sound)
                self._services = self._given_services or await self._service_set.start()
                self._setup = self._session_setup(self._services.agent, sounds)
                if self._given_services is None:
                    work = self._voice_phrases(self._services)
                    self._voicing = asyncio.create_task(work, name="endpoint/phrases")
                    self._service_set.look()

    async def close(self) -> None:
        """End all calls with a goodbye and free everything; may be called twice. There is no way back."""
        self._is_closed = True
        if self._voicing:
            self._voicing.cancel()
            await asyncio.gather(self._voicing, return_exceptions=True)
        tasks = [line.task for line in self._calls.values()]
        for line in tuple(self._calls.values()):
            line.call.end("shutdown")
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_CLOSE_TIMEOUT)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for _, timer in self._ended.values():
            timer.cancel()
        self._ended.clear()
        if self._plane:
            self._plane.close()
        await self._service_set.close()
        self._services = None

    async def answer(self, offer_sdp: str, *, is_loopback_client: bool = False) -> str:
        """Answer an offer and begin the call; see ``answer_call``."""
        return (await self.answer_call(offer_sdp, is_loopback_client=is_loopback_client)).sdp

    async def answer_call(
        self,
        offer_sdp: str,
        *,
        is_loopback_client: bool = False,
        session: SessionOptions | None = None,
        owner: str = "",
        door: Door = Door.REALTIME,
    ) -> Answer:
        """Answer an offer and begin the call.

        ``is_loopback_client``: the offer came from this machine, which may have no other way to itself.
        ``session``: what it begins with instead of ``session_options``. ``owner``: see ``owner_of``.
        ``door``: the protocol that the client speaks.
        Raises ``ClientError``: 400 ``invalid_sdp``, 422 ``no_audio``, 503 ``too_many_calls`` and
        ``shutting_down``.
        """
        opening = await self._free_line(session)
        call_id = opening.call_id
        with logs.bind(call=call_id, session=opening.session_id):
            assert self._plane is not None, "who has a line has started"
            conversation = opening.session(hearing_delay=self._plane.hearing_delay)
            bit_rate = self._settings.audio.bit_rate
            call = Call(call_id, conversation, self._plane, self._rtc_options, bit_rate=bit_rate, door=door)
            self._begin(call, owner)
            try:
                sdp = await call.answer(offer_sdp, is_loopback_client=is_loopback_client)
            except BaseException:
                call.end("failed")
                raise
        return Answer(call_id, sdp)

    async def answer_again(
        self, call_id: str, offer_sdp: str, *, restart: bool = False, is_loopback_client: bool = False
    ) -> Answer:
        """Answer a further offer of a call's client: of its connection, or with ``restart`` of another one.

        Another one takes the place of the first, and the conversation goes on. Raises ``ClientError`` as
        ``answer_call`` does, 404 ``call_not_found`` if no such call is up, and 503 ``restart_required`` for
        an offer of another connection that does not say so.
        """
        line = self._calls.get(call_id)
        if line is None or not isinstance(line.call, Call):
            raise ClientError("There is no such call.", code="call_not_found", status=404)
        call = line.call
        with logs.bind(call=call_id, session=call.session.id):
            sdp = await call.answer_again(offer_sdp, restart=restart, is_loopback_client=is_loopback_client)
        return Answer(call_id, sdp)

    async def add_candidates(
        self, call_id: str, candidates: Iterable[TrickledCandidate], *, ufrag: str | None = None
    ) -> bool:
        """Take addresses that a call's client found after its offer; return whether the call is up.

        Raises ``ClientError`` 422 ``ice_restart_unsupported`` if ``ufrag`` is not the offer's own.
        """
        line = self._calls.get(call_id)
        if line is None or not isinstance(line.call, Call):
            return False
        await line.call.add_candidates(candidates, ufrag=ufrag)
        return True

    async def open_socket(self, *, session: SessionOptions | None = None, owner: str = "") -> SocketCall:
        """Begin a call that carries everything as events, before its WebSocket is there to be served.

        Whoever asks runs ``serve`` with the socket, and in any case ``end``. Raises ``ClientError`` as
        ``answer_call`` does.
        """
        opening = await self._free_line(session)
        with logs.bind(call=opening.call_id, session=opening.session_id):
            call = SocketCall(opening.call_id, lambda sink: opening.session(sink=sink))
            self._begin(call, owner)
        return call

    def attach(self, call_id: str) -> Sideband:
        """Return a second connection to a call, before its WebSocket is there to be served.

        Whoever asks runs ``serve`` with the socket, and in any case ``close``. Raises ``ClientError``: 404
        ``call_not_found``, 503 ``too_many_sidebands``.
        """
        line = self._calls.get(call_id)
        if line is None or line.call.session.ended.is_set():
            raise ClientError("There is no such call.", code="call_not_found", status=404, param="call_id")
        if len(line.sidebands) >= _MAX_SIDEBANDS:
            message = f"A call has {_MAX_SIDEBANDS} sidebands at most."
            raise ClientError(message, code="too_many_sidebands", status=503, retry_after=_RETRY_AFTER)
        link = line.call.link if isinstance(line.call, Call) else None
        sideband = Sideband(call_id, line.call.session, link, line.sidebands.discard)
        line.sidebands.add(sideband)
        return sideband

    async def hangup(self, call_id: str) -> bool:
        """End a call; return whether it is known, which it is for 30 s after its end."""
        if call_id not in self._calls:
            return call_id in self._ended
        line = self._calls[call_id]
        line.call.end("hangup")
        await asyncio.wait([line.task], timeout=_CLOSE_TIMEOUT)
        return True

    async def _free_line(self, options: SessionOptions | None) -> Opening:
        """Return what a new call is made of. Raises ``ClientError`` if there cannot be one."""
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
        return Opening(self._services, replace(self._setup, session=options or self._setup.session))

    def _begin(self, call: Call | SocketCall, owner: str) -> None:
        """Let a call count and be closed, whatever happens to it: its task is there before the first wait."""
        task = asyncio.create_task(call.run(), name=call.id)
        self._calls[call.id] = _Line(call, task, owner)
        task.add_done_callback(lambda done: self._forget(call.id, done))

    def _session_setup(self, agent: Agent, sounds: SoundSet) -> SessionSetup:
        options = self._settings.conversation_options()
        if self._settings.agent.greeting == "default" and agent.greeting is not None:
            options = replace(options, phrases=replace(options.phrases, greeting=agent.greeting))
        return SessionSetup(
            conversation=options,
            session=self._settings.session_options(),
            journal_dir=self._settings.journal.dir,
            version=__version__,
            sounds=sounds,
        )

    async def _voice_phrases(self, services: Services) -> None:
        """Have ready what may have to be said when the voice is down; calls need not wait for it."""
        session = self._setup.session
        how = VoiceRequest(session.voice, session.speed, session.language)
        await voice_phrases(self._setup.conversation.phrases.all(), services, how)

    def _forget(self, call_id: str, task: asyncio.Task[None]) -> None:
        line = self._calls.pop(call_id)
        if not task.cancelled() and (error := task.exception()) is not None:
            logs.event(_log, logging.ERROR, "call_crashed", exc_info=error, call=call_id)
        timer = asyncio.get_running_loop().call_later(_REMEMBERED, self._ended.pop, call_id, None)
        self._ended[call_id] = (line.owner, timer)
