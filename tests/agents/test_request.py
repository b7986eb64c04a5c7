import pytest

from voicertc.agents.base import AgentRequest
from voicertc.core.items import Item, Kind, Role

from .test_chat import Session


def user(text: str | None) -> Item:
    return Item("u", Role.USER, text)


def agent(text: str | None) -> Item:
    return Item("a", Role.ASSISTANT, text)


CALL = Item("c", Role.ASSISTANT, None, Kind.FUNCTION_CALL, call_id="1", name="f", arguments="{}")
OUTPUTS = (
    Item("o", Role.USER, "sunny", Kind.FUNCTION_CALL_OUTPUT, call_id="1"),
    Item("p", Role.ASSISTANT, "noon", Kind.FUNCTION_CALL_OUTPUT, call_id="2"),
)


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ((), ""),
        ((user("Hello."), agent("Hi."), user("What is"), user(None), user("the time?")), "What is the time?"),
        ((user("Hello."), agent("Hi.")), ""),
        ((user("Hello."), agent(""), agent(None), user("Hello?")), "Hello. Hello?"),
        ((user("Hello."), Item("s", Role.SYSTEM, "It is late.")), "Hello."),
        ((user("The weather?"), CALL, *OUTPUTS), ""),
        ((user("The weather?"), agent("Let me look."), CALL, *OUTPUTS), ""),
        ((user("The weather?"), CALL, user("Hurry!"), *OUTPUTS, user("Please!")), "Hurry! Please!"),
        ((user("The weather?"), *OUTPUTS), "The weather?"),
    ],
)
def test_the_users_text_is_what_they_said_since_the_last_reply(
    history: tuple[Item, ...], expected: str
) -> None:
    assert AgentRequest(history, Session()).user_text == expected
