"""What the screenplays share: quiet worlds, a story, what clients ask, and short views of what came of it."""

from __future__ import annotations

from voicertc.core import commands, events, facts
from voicertc.core.facts import Fact
from voicertc.core.items import Item, Kind, Role
from voicertc.core.options import ConversationOptions, Phrases
from voicertc.core.replies import Cause, ReplyRequest
from voicertc.testing.world import World

QUIET = ConversationOptions(phrases=Phrases(greeting=None, waiting=None))
CLIENT_PACED = ConversationOptions(phrases=Phrases(greeting=None), is_client_paced=True)
STORY = "Once upon a time there was a server. It answered the phone all day long. Then it slept."
"""Its three sentences sound for 2.4, 2.4 and 1.07 s."""
ORIGIN = events.Origin("peer", "event_7")


def tell_story(text: str) -> str:
    return STORY if "story" in text else "Okay."


def ask(**fields: object) -> events.ResponseRequested:
    """A client's ``response.create``."""
    return events.ResponseRequested(ReplyRequest(Cause.CLIENT, **fields), ORIGIN)  # type: ignore[arg-type]


def output(call_id: str, text: str) -> events.ItemSubmitted:
    """What a client's function gave back."""
    item = Item("", Role.USER, text, Kind.FUNCTION_CALL_OUTPUT, call_id=call_id)
    return events.ItemSubmitted(item, origin=ORIGIN)


def kinds(world: World, since: float = 0.0) -> list[type[Fact]]:
    """The kinds of the facts published at ``since`` or later, but for the state's."""
    return [
        type(command.fact)
        for when, command in world.log
        if when >= since
        and isinstance(command, commands.Publish)
        and not isinstance(command.fact, facts.StateChanged)
    ]


def codes(world: World) -> list[str]:
    """Why clients were refused what they asked for."""
    return [refused.code for refused in world.facts_of(facts.Refused)]


def requests(world: World) -> list[ReplyRequest]:
    """What the engine was asked for."""
    return [command.request for _, command in world.log if isinstance(command, commands.StartReply)]


def shown(world: World) -> list[tuple[str, str]]:
    """The history: messages as ``(role, text)``, calls as ``(name, arguments)``, outputs as ``("", …)``."""
    return [_shown(item) for item in world.conversation.items]


def _shown(item: Item) -> tuple[str, str]:
    match item.kind:
        case Kind.FUNCTION_CALL:
            return item.name or "", item.arguments or ""
        case Kind.FUNCTION_CALL_OUTPUT:
            return "", item.text or ""
    return item.role.value, item.text or ""
