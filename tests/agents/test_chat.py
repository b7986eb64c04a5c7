from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from voicertc.agents.base import Agent, AgentPiece, AgentRequest
from voicertc.agents.chat import (
    CALL_BEGINS,
    INSTRUCTIONS,
    SILENCE,
    SPEAKING_STYLE,
    TOOL_STYLE,
    ChatAgent,
    ChatOptions,
    messages_of,
)
from voicertc.agents.spoken import SpokenText
from voicertc.core.items import Item, Kind, Role, Status
from voicertc.core.options import Tool, ToolChoice
from voicertc.core.replies import Cause, CutShort, ToolCall, Usage
from voicertc.errors import ProviderCrashed, ProviderError
from voicertc.providers.base import AnswerPiece, AnswerRequest, Message
from voicertc.providers.openai_chat import OpenAIChat, OpenAIChatOptions
from voicertc.providers.openai_client import OpenAIClient, OpenAIOptions
from voicertc.providers.secret import Secret
from voicertc.testing.fake_openai import Calls, FakeOpenAI, Scenario


class Session:
    """A conversation that nobody listens to."""

    id = "sess_1"

    def say(self, text: str) -> None: ...

    def say_later(self, delay: float, text: str) -> None: ...

    def end_call(self) -> None: ...


class Parrot:
    """A language model that says what it was told to, and notes what it was asked."""

    name = "parrot"

    def __init__(self, *pieces: AnswerPiece, error: ProviderError | None = None) -> None:
        self.pieces = pieces
        self.error = error
        self.asked: list[tuple[Sequence[Message], AnswerRequest]] = []
        self.log: list[str] = []

    async def start(self) -> None:
        self.log.append("started")

    async def close(self) -> None:
        self.log.append("closed")

    async def stream(
        self, messages: Sequence[Message], request: AnswerRequest
    ) -> AsyncGenerator[AnswerPiece, None]:
        self.asked.append((messages, request))
        try:
            for piece in self.pieces:
                yield piece
            if self.error is not None:
                raise self.error
        finally:
            self.log.append("ended")


SYSTEM = Message(Role.SYSTEM, f"{INSTRUCTIONS}\n\n{SPEAKING_STYLE}")
BEGIN = Message(Role.USER, CALL_BEGINS)
TOOLS = (Tool("get_time", "Returns the time."),)


def request(*history: Item, **more: Any) -> AgentRequest:
    return AgentRequest(history, Session(), **more)


def user(text: str | None, item_id: str = "u") -> Item:
    return Item(item_id, Role.USER, text)


def assistant(text: str | None, status: Status = Status.COMPLETED) -> Item:
    return Item("a", Role.ASSISTANT, text, status=status)


def asked(*history: Item, options: ChatOptions | None = None) -> list[tuple[str, str]]:
    """What the model is asked after its instructions."""
    messages = messages_of(request(*history), options or ChatOptions())
    assert messages[0] == SYSTEM
    return [(message.role.value, message.text) for message in messages[1:]]


def test_it_is_an_agent() -> None:
    agent = ChatAgent(Parrot())
    assert isinstance(agent, Agent)
    assert (agent.name, agent.grammar, agent.greeting) == ("parrot", None, None)


def test_the_conversation_is_given_as_it_was_heard() -> None:
    assert asked(
        user("Tell me about Oslo."),
        assistant("Oslo is the capital of", Status.INCOMPLETE),
        user("No, Bergen."),
        assistant("Bergen is a city on the west coast."),
        user(" Thanks. "),
    ) == [
        ("user", "Tell me about Oslo."),
        ("assistant", "Oslo is the capital of —"),
        ("user", "No, Bergen."),
        ("assistant", "Bergen is a city on the west coast."),
        ("user", "Thanks."),
    ]


def test_what_was_not_heard_is_left_out() -> None:
    assert asked(
        user("Hello."),
        assistant(None, Status.INCOMPLETE),
        assistant("  "),
        user(None),
        user("Still there?"),
    ) == [("user", "Hello. Still there?")]


def test_an_agent_that_spoke_first_was_called_by_somebody() -> None:
    greeting = assistant("Hello, I am here.")
    assert asked(greeting) == [("user", CALL_BEGINS), ("assistant", "Hello, I am here.")]
    assert asked(greeting, user("Hi.")) == [
        ("user", CALL_BEGINS),
        ("assistant", "Hello, I am here."),
        ("user", "Hi."),
    ]
    assert asked() == [("user", CALL_BEGINS)]


def test_neighbours_of_one_role_are_one_message() -> None:
    assert asked(user("Well,"), user("what time is it?"), assistant("It is"), assistant("noon.")) == [
        ("user", "Well, what time is it?"),
        ("assistant", "It is noon."),
    ]


def test_system_items_are_instructions() -> None:
    first, later = Item("s", Role.SYSTEM, "Her name is Ada."), Item("t", Role.SYSTEM, "It is late.")
    messages = messages_of(request(first, user("Hi."), later), ChatOptions())
    assert messages == [
        Message(Role.SYSTEM, f"{SYSTEM.text}\n\nHer name is Ada."),
        Message(Role.USER, "Hi."),
        Message(Role.SYSTEM, "It is late."),
    ]


@pytest.mark.parametrize(
    ("instructions", "language", "options", "expected"),
    [
        ("", None, ChatOptions(), SYSTEM.text),
        (" You sell boats. ", None, ChatOptions(), f"You sell boats.\n\n{SPEAKING_STYLE}"),
        ("You sell boats.", None, ChatOptions(style=""), "You sell boats."),
        (
            "",
            None,
            ChatOptions(instructions="You sell cars.", style="Be brief."),
            "You sell cars.\n\nBe brief.",
        ),
        ("", "en", ChatOptions(style=""), f"{INSTRUCTIONS}\n\nThe user speaks English."),
        ("", "en-GB", ChatOptions(style=""), f"{INSTRUCTIONS}\n\nThe user speaks English."),
        ("", "xx", ChatOptions(style=""), f"{INSTRUCTIONS}\n\nThe user speaks xx."),
    ],
)
def test_the_instructions_in_force_come_first(
    instructions: str, language: str | None, options: ChatOptions, expected: str
) -> None:
    asked_of_it = request(user("Hi."), instructions=instructions, language=language)
    assert messages_of(asked_of_it, options) == [Message(Role.SYSTEM, expected), Message(Role.USER, "Hi.")]


def test_what_changes_comes_last_so_that_a_prompt_cache_holds_the_beginning() -> None:
    beginning = f"{INSTRUCTIONS}\n\n{SPEAKING_STYLE}\n\n{TOOL_STYLE}"
    for language, notes in (("en", ()), ("de", ()), (None, (Item("s", Role.SYSTEM, "Her name is Ada."),))):
        asked_of_it = request(*notes, user("Hi."), language=language, tools=TOOLS)
        assert messages_of(asked_of_it, ChatOptions())[0].text.startswith(beginning + "\n\n")
    for n in range(1, 20, 2):
        before, after = (messages_of(request(*talk(length)), ChatOptions()) for length in (n, n + 2))
        assert after[: len(before)] == before


def test_the_prompt_is_written_as_it_wants_the_answers_to_be() -> None:
    for prompt in (INSTRUCTIONS, SPEAKING_STYLE, TOOL_STYLE):
        spoken = SpokenText()
        words = spoken.feed(prompt) + spoken.flush()
        assert words.split() == prompt.split()
        assert not any(char.isdigit() for char in prompt)


def talk(n: int) -> list[Item]:
    return [user(f"u{i}") if i % 2 == 0 else assistant(f"a{i}") for i in range(n)]


def test_a_long_conversation_keeps_its_newest_part() -> None:
    options = ChatOptions(max_items=40)
    for n in range(1, 200):
        kept = asked(*talk(n), options=options)
        assert kept[-1][1] == talk(n)[-1].text
        assert min(n, 25) <= len(kept) <= 40


def test_the_beginning_moves_in_steps_so_that_a_prompt_cache_lasts() -> None:
    options = ChatOptions(max_items=40)
    beginnings = {asked(*talk(n), options=options)[0][1] for n in range(41, 105)}
    assert beginnings == {"u16", "u32", "u48", "u64"}


def test_long_texts_shorten_the_history() -> None:
    history = [user("x" * 1000, str(n)) if n % 2 == 0 else assistant("y" * 1000) for n in range(60)]
    kept = asked(*history, options=ChatOptions(max_chars=20_000))
    assert sum(len(text) for _, text in kept) <= 20_000
    assert len(kept) >= 5


def test_one_text_too_long_for_anything_is_still_asked() -> None:
    assert asked(user("x" * 100), options=ChatOptions(max_chars=10)) == [("user", "x" * 100)]
    assert asked(*talk(30), user("y" * 100), options=ChatOptions(max_chars=10)) == [("user", "y" * 100)]


def test_system_items_are_never_forgotten() -> None:
    history = [Item("s", Role.SYSTEM, "Her name is Ada."), *talk(300)]
    messages = messages_of(request(*history), ChatOptions(max_items=20))
    assert messages[0].text.endswith("Her name is Ada.")


def test_silence_is_told_as_if_the_user_said_so() -> None:
    for history, expected in (
        ((), [Message(Role.USER, SILENCE)]),
        (
            (assistant("Hello."),),
            [BEGIN, Message(Role.ASSISTANT, "Hello."), Message(Role.USER, SILENCE)],
        ),
        ((user("Well"),), [Message(Role.USER, f"Well {SILENCE}")]),
    ):
        assert messages_of(request(*history, cause=Cause.IDLE), ChatOptions()) == [SYSTEM, *expected]


def test_with_functions_the_style_says_how_to_speak_of_them() -> None:
    for options, prompt in (
        (ChatOptions(), f"{INSTRUCTIONS}\n\n{SPEAKING_STYLE}\n\n{TOOL_STYLE}"),
        (ChatOptions(style=""), INSTRUCTIONS),
    ):
        assert messages_of(request(user("Hi."), tools=TOOLS), options)[0].text == prompt


async def said(agent: ChatAgent, *history: Item, **more: Any) -> list[AgentPiece]:
    return [piece async for piece in agent.reply(request(*history, **more))]


async def test_markup_is_not_said() -> None:
    agent = ChatAgent(Parrot("**He", "llo**", " there.", "\n\n", "- tea\n", "- milk"))
    assert await said(agent, user("Hi.")) == ["He", "llo", " there.", " ", "tea", ". milk"]


@pytest.mark.parametrize("pieces", [(), ("",), ("**", "*\n"), (Usage(7, 0),)])
async def test_an_answer_without_words_is_an_error(pieces: tuple[AnswerPiece, ...]) -> None:
    with pytest.raises(ProviderCrashed, match="without words") as caught:
        await said(ChatAgent(Parrot(*pieces)), user("Hi."))
    assert caught.value.provider == "parrot"


async def test_calls_and_counts_are_passed_on_behind_what_is_said() -> None:
    call, cut, usage = ToolCall("get_time"), CutShort("max_output_tokens"), Usage(7, 3)
    model = Parrot("Let me **look", "**", call, call, cut, usage)
    assert await said(ChatAgent(model), user("Hi.")) == ["Let me look", call, call, cut, usage]
    may_become_an_address = "I see h"
    assert await said(ChatAgent(Parrot(may_become_an_address, call)), user("Hi.")) == ["I see", " h", call]


@pytest.mark.parametrize("piece", [ToolCall("get_time"), CutShort("max_output_tokens")])
async def test_an_answer_without_words_may_be_a_call_or_cut_short(piece: AnswerPiece) -> None:
    assert await said(ChatAgent(Parrot(piece, Usage())), user("Hi.")) == [piece, Usage()]


async def test_the_model_is_told_what_it_may_call_and_how_much_it_may_say() -> None:
    model = Parrot("Hello.")
    wanted = AnswerRequest(TOOLS, ToolChoice("function", "get_time"), 20)
    await said(
        ChatAgent(model), user("Hi."), tools=TOOLS, tool_choice=wanted.tool_choice, max_output_tokens=20
    )
    assert [each[1] for each in model.asked] == [wanted]


async def test_a_models_error_is_passed_on_after_what_was_said() -> None:
    broken = ProviderCrashed("gone", provider="parrot")
    agent = ChatAgent(Parrot("Hello", " the", error=broken))
    heard: list[AgentPiece] = []

    async def listen() -> None:
        async for piece in agent.reply(request(user("Hi."))):
            heard.append(piece)

    with pytest.raises(ProviderCrashed, match="gone"):
        await listen()
    assert heard == ["Hello", " the"]


async def test_closing_the_reply_ends_the_model() -> None:
    model = Parrot("one", " two", " three")
    async with aclosing(ChatAgent(model).reply(request(user("Hi.")))) as reply:
        assert await anext(reply) == "one"
        assert model.log == []
    assert model.log == ["ended"]


async def test_it_starts_and_closes_its_model() -> None:
    model = Parrot()
    agent = ChatAgent(model)
    await agent.start()
    await agent.close()
    assert model.log == ["started", "closed"]


async def test_it_talks_to_openai() -> None:
    async with FakeOpenAI(Scenario(replies=["**Bergen** is nice.\n\nDo you ski?"])) as fake:
        client = OpenAIClient(OpenAIOptions(base_url=fake.base_url, api_key=Secret(fake.api_key)))
        agent = ChatAgent(OpenAIChat(OpenAIChatOptions(), client), ChatOptions(style=""))
        await agent.start()
        history = (user("Oslo?"), assistant("Oslo is", Status.INCOMPLETE), user("No, Bergen."))
        pieces = await said(agent, *history)
        assert "".join(piece for piece in pieces if isinstance(piece, str)) == "Bergen is nice. Do you ski?"
        assert pieces[-1] == Usage(18, 6, provider="openai-chat")
        await agent.close()
        assert fake.requests_to("chat")[0].fields["messages"] == [
            {"role": "system", "content": INSTRUCTIONS},
            {"role": "user", "content": "Oslo?"},
            {"role": "assistant", "content": "Oslo is —"},
            {"role": "user", "content": "No, Bergen."},
        ]


async def test_openai_calls_a_function_of_the_clients_and_goes_on_from_its_answer() -> None:
    look, both = "Let me look.", (ToolCall("get_time"), ToolCall("get_time", '{"in": "Oslo"}'))
    async with FakeOpenAI(Scenario(replies=[Calls(both, look), "It is noon."])) as fake:
        client = OpenAIClient(OpenAIOptions(base_url=fake.base_url, api_key=Secret(fake.api_key)))
        agent = ChatAgent(OpenAIChat(OpenAIChatOptions(), client))
        await agent.start()
        history = [user("What time is it?")]
        pieces = await said(agent, *history, tools=TOOLS)
        assert [piece for piece in pieces if isinstance(piece, ToolCall)] == list(both)
        history.append(assistant(look))
        for call_id, call in zip("12", both, strict=True):
            kind = Kind.FUNCTION_CALL
            item = Item(call_id, Role.ASSISTANT, None, kind, call_id=call_id, name=call.name)
            history.append(replace(item, arguments=call.arguments))
        for call_id, time in zip("12", ("noon", "one"), strict=True):
            history.append(Item(f"o{call_id}", text=time, kind=Kind.FUNCTION_CALL_OUTPUT, call_id=call_id))
        assert "".join(map(str, (await said(agent, *history, tools=TOOLS))[:3])) == "It is noon."
        await agent.close()
    sent = fake.requests_to("chat")[1].fields["messages"][1:]
    assert [(message["role"], message["content"]) for message in sent] == [
        ("user", "What time is it?"),
        ("assistant", look),
        ("tool", "noon"),
        ("tool", "one"),
    ]
