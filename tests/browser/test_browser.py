"""The page in a real Chromium against a real server, with sound measured on both sides."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from .chromium import Chromium
from .server import Server
from .sound import (
    Stretch,
    clip,
    end_of_sound,
    is_silent,
    onset,
    spoken,
    stretches,
    write_microphone,
)

pytestmark = pytest.mark.browser

BARGE_IN_BOUND = 0.8
"""Seconds of media time from the first sound of the user to the last of the reply. The server's own share
is measured elsewhere; Chromium's jitter buffer and the shared cores of a CI machine are in this one."""

NO_SECOND_PLAY = """
    const play = HTMLMediaElement.prototype.play;
    let refusals = 1;
    HTMLMediaElement.prototype.play = function () {
      if (refusals-- > 0) return Promise.reject(new DOMException("A gesture is needed", "NotAllowedError"));
      return play.call(this);
    };
"""
"""Refuses to play once, as browsers do that want a gesture for it."""

ONLY_OPENAI = """
    const send = RTCDataChannel.prototype.send;
    RTCDataChannel.prototype.send = function (text) {
      if (JSON.parse(text).type !== "session.update") send.call(this, text);
    };
"""
"""Keeps the page from subscribing to what only voicertc has."""

IS_WATERFALL_SHOWN = "document.querySelector('.waterfall').checkVisibility()"

ENDS_OF_BARS = """
    [...document.querySelectorAll(".waterfall .bar")].map((bar) => {
      const { marginLeft, width } = getComputedStyle(bar, "::after");
      return [Number.parseFloat(marginLeft), Number.parseFloat(marginLeft) + Number.parseFloat(width)];
    })
"""
"""Where each bar of a waterfall begins and ends, in pixels."""


def said(page: dict[str, Any], kind: str) -> list[str]:
    """Return the words of the rows of one speaker."""
    return [entry["said"] for entry in page["entries"] if kind in entry["kind"].split()]


def sent(heard: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """Return the server's events of one type."""
    return [event for _, event in heard["received"] if event["type"] == kind]


def times(heard: dict[str, Any], kind: str) -> list[float]:
    """Return when the server's events of one type came."""
    return [at for at, event in heard["received"] if event["type"] == kind]


def between(sounds: list[Stretch], start: float, end: float) -> list[Stretch]:
    return [sound for sound in sounds if sound.start < end and sound.end > start]


def wait_for(condition: Callable[[], bool], within: float = 5.0) -> bool:
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def test_a_spoken_question_is_answered_and_a_story_can_be_interrupted(server: Server, tmp_path: Path) -> None:
    question, wish, other = (
        spoken(text, tmp_path) for text in ("what time is it", "tell me a long story", "what is two plus two")
    )
    wav = write_microphone(tmp_path / "mic.wav", [4.0, question, 6.0, wish, 6.0, other, 6.0])
    with Chromium(server.url, wav=wav) as chromium:
        chromium.click("#start")
        chromium.until_event("conversation.item.truncated", within=40)
        chromium.until_event("conversation.item.retrieved", within=5)
        chromium.until_event("output_audio_buffer.stopped", count=3)
        page, heard, faults = chromium.page(), chromium.heard(), chromium.faults()

    states = [state for _, state in heard["states"]]
    assert states[:2] == ["idle", "connecting"]
    assert {"listening", "thinking", "speaking"} <= set(states)

    assert said(page, "user") == ["what time is it", "tell me a long story", "what is two plus two"]
    greeting, time_of_day, story, sum_ = said(page, "assistant")
    assert greeting == "Hello."
    assert re.fullmatch(r"It is .+\.", time_of_day)
    assert sum_.endswith("four.")
    first = sent(heard, "conversation.item.input_audio_transcription.completed")[0]["item_id"]
    assert first in [event["item_id"] for event in sent(heard, "voicertc.transcript.interim")]

    you, agent = stretches(heard["levels"]["you"]), stretches(heard["levels"]["agent"])
    assert len(you) == 3, you
    assert between(agent, 0, you[0].start), "the greeting was not heard"
    assert between(agent, you[0].end, you[1].start), "the time was not heard"
    telling = between(agent, you[1].end, you[2].start)
    assert telling, "the story was not heard"

    begin = onset(heard["levels"]["you"], you[2].start)
    loudness = max(sound.loudness for sound in telling)
    # It may just have paused for breath.
    assert telling[-1].end > begin - 0.6, "the story was over before it could be interrupted"
    silence = end_of_sound(heard["levels"]["agent"], begin, loudness=loudness)
    assert silence - begin < BARGE_IN_BOUND
    cut = next(entry for entry in page["entries"] if "cut" in entry["kind"])
    written = "".join(event["delta"] for event in sent(heard, "response.output_audio_transcript.delta"))
    assert cut["said"] == story
    assert story
    assert story + cut["unheard"].removesuffix(" …") in written
    assert cut["note"] == "Interrupted"
    assert faults == []


def test_a_human_voice_is_answered_and_the_page_shows_where_the_time_went(
    server: Server, speech_dir: Path, tmp_path: Path
) -> None:
    human = clip(speech_dir / "pocketsphinx_goforward.wav")
    wav = write_microphone(tmp_path / "mic.wav", [3.0, human, 2.0])
    with Chromium(server.url, wav=wav) as chromium:
        chromium.click("#start")
        chromium.until_event("conversation.item.input_audio_transcription.completed", within=20)
        chromium.until_event("output_audio_buffer.stopped", count=2, within=20)
        assert not chromium.evaluate(IS_WATERFALL_SHOWN)
        chromium.click(".latency summary")
        chromium.until(IS_WATERFALL_SHOWN)
        page, heard, faults = chromium.page(), chromium.heard(), chromium.faults()
        ends = chromium.evaluate(ENDS_OF_BARS)
        chromium.press("Enter")
        chromium.until(f"!{IS_WATERFALL_SHOWN}")
    # One word in four may be wrong: that is what this recognizer does with free speech.
    (words,) = [text.split() for text in said(page, "user")]
    assert len({"go", "forward", "ten", "meters"} & set(words)) >= 3, words
    (you,) = stretches(heard["levels"]["you"])
    assert any(sound.start > you.end for sound in stretches(heard["levels"]["agent"])), "no answer was heard"

    (metrics,) = sent(heard, "voicertc.metrics")
    (latency,) = [entry["latency"] for entry in page["entries"] if entry["latency"]]
    total = latency["ms"].pop("Total")
    assert total == sum(latency["ms"].values()) == pytest.approx(metrics["total_ms"], abs=1)
    summary = re.fullmatch(r"Answered in (\d+\.\d\d) s", latency["summary"])
    assert summary
    assert float(summary[1]) == pytest.approx(total / 1000, abs=0.0051)
    assert latency["ms"]["Silence"] == pytest.approx(metrics["stages"]["silence_ms"], abs=1)
    assert len(ends) == len(latency["ms"])
    for (_, end), (start, _) in pairwise(ends):
        assert start == pytest.approx(end, abs=3)  # pixels: what is too short to be seen is drawn as three
    assert faults == []


def test_a_server_with_only_openai_events_is_followed_too(server: Server, tmp_path: Path) -> None:
    wav = write_microphone(tmp_path / "mic.wav", [3.0, spoken("what time is it", tmp_path), 2.0])
    with Chromium(server.url, wav=wav, setup=ONLY_OPENAI) as chromium:
        chromium.click("#start")
        chromium.until_event("output_audio_buffer.stopped", count=2, within=20)
        chromium.until_state("listening")
        page, heard = chromium.page(), chromium.heard()
    states = [state for _, state in heard["states"]]
    assert not [event for _, event in heard["received"] if event["type"].startswith("voicertc.")]
    assert states[-5:] == ["listening", "processing", "thinking", "speaking", "listening"]
    assert said(page, "user") == ["what time is it"]
    assert len(said(page, "assistant")) == 2


def test_typed_words_are_answered_aloud_without_a_microphone(server: Server) -> None:
    with Chromium(server.url, microphone="none") as chromium:
        chromium.click("#without")
        chromium.until_event("output_audio_buffer.stopped")
        chromium.type("what time is it")
        chromium.until_event("output_audio_buffer.stopped", count=2)
        page, heard, faults = chromium.page(), chromium.heard(), chromium.faults()
    assert [entry["said"] for entry in page["entries"]][:2] == ["Hello.", "what time is it"]
    assert re.fullmatch(r"It is .+\.", said(page, "assistant")[1])
    assert "Mute" not in page["buttons"]
    asked = next(at for at, event in heard["sent"] if event["type"] == "response.create")
    # It may follow the greeting so closely that both are one stretch.
    answers = [sound for sound in stretches(heard["levels"]["agent"]) if sound.end > asked + 0.5]
    assert answers, "no answer was heard"
    assert faults == []


def test_typed_words_interrupt_a_reply(server: Server) -> None:
    with Chromium(server.url, microphone="none") as chromium:
        chromium.click("#without")
        chromium.until_event("output_audio_buffer.stopped")
        chromium.type("tell me a long story")
        chromium.until_event("output_audio_buffer.started", count=2)
        chromium.until("document.querySelector('.transcript > :last-child .said').textContent.length > 30")
        chromium.type("what time is it")
        chromium.until_event("output_audio_buffer.started", count=3)
        chromium.until("document.querySelector('.assistant.cut')")
        page, problems = chromium.page(), chromium.events("error")
    kinds = [entry["kind"].split()[0] for entry in page["entries"]]
    assert kinds == ["assistant", "user", "assistant", "user", "assistant"]
    assert page["entries"][2]["note"] == "Interrupted"
    assert page["notice"] == "", problems


def test_escape_silences_the_agent(server: Server) -> None:
    with Chromium(server.url, microphone="none") as chromium:
        chromium.click("#without")
        chromium.until_event("output_audio_buffer.stopped")
        chromium.type("tell me a long story")
        chromium.until_event("output_audio_buffer.started", count=2)
        chromium.press("Escape")
        chromium.until_event("output_audio_buffer.cleared")
        chromium.until_state("listening")


def test_mute_really_sends_silence(server: Server, tmp_path: Path) -> None:
    question = spoken("what time is it", tmp_path)
    wav = write_microphone(tmp_path / "mic.wav", [1.0, *[question, 0.4] * 8])
    with Chromium(server.url, wav=wav) as chromium:
        chromium.click("#start")
        chromium.until_state("listening", "speaking", "thinking")
        chromium.click("#mute")
        muted_at = chromium.evaluate("performance.now() / 1000")
        chromium.until(f"performance.now() / 1000 > {muted_at + 4}")
        unmuted_at = chromium.evaluate("performance.now() / 1000")
        assert "Mute" in chromium.page()["buttons"]
        assert chromium.evaluate("document.getElementById('mute').ariaPressed") == "true"
        chromium.click("#mute")
        chromium.until_event("input_audio_buffer.speech_started")
        heard = chromium.heard()
    # A sound that was under way when the button was pressed may still be ending.
    begin = muted_at + 0.5
    energies = [energy for at, energy in heard["sentEnergy"] if begin < at < unmuted_at]
    assert len(energies) > 10
    assert energies[-1] == energies[0], "something was given to the encoder"
    assert is_silent(heard["levels"]["you"], begin, unmuted_at, floor=-90)
    starts = times(heard, "input_audio_buffer.speech_started")
    assert not [at for at in starts if begin < at < unmuted_at], "the server heard something"


def test_end_leaves_nothing_behind(server: Server) -> None:
    with Chromium(server.url) as chromium:
        chromium.click("#start")
        chromium.until_event("output_audio_buffer.stopped")
        chromium.click("#end")
        chromium.until_state("disconnected")
        assert chromium.evaluate("ears.peers.map((peer) => peer.connectionState)") == ["closed"]
        assert chromium.evaluate("ears.microphones.map((track) => track.readyState)") == ["ended"]
        assert chromium.evaluate("document.getElementById('voice').srcObject") is None
        assert wait_for(lambda: any(re.match("POST .*/hangup 200", line) for line in chromium.requests()))
        page, faults = chromium.page(), chromium.faults()
        assert (page["title"], page["hint"]) == ("Call ended", "Talk again whenever you like.")
        assert page["buttons"] == ["Start again", "Type instead"]
        assert faults == []
        chromium.click("#start")
        chromium.until_event("session.created", count=2)
        assert [entry["kind"] for entry in chromium.page()["entries"]][:2] == ["assistant", "divider"]


def test_leaving_the_page_hangs_up(server: Server) -> None:
    def hangups() -> int:
        return server.log.read_text().count("reason=hangup")

    before = hangups()
    with Chromium(server.url) as chromium:
        chromium.click("#start")
        chromium.until_event("session.created")
        chromium.leave()
        assert wait_for(lambda: hangups() > before), server.log.read_text()


def test_a_refused_microphone_says_what_to_do_and_leaves_typing(server: Server) -> None:
    with Chromium(server.url, microphone="deny") as chromium:
        chromium.click("#start")
        chromium.until_state("disconnected")
        page = chromium.page()
        assert page["title"] == "The microphone is blocked"
        assert page["steps"] == ["Click the icon to the left of the address.", "Switch Microphone on."]
        assert page["buttons"] == ["Try again", "Type instead"]
        assert page["title"] in page["announced"]
        chromium.click("#without")
        chromium.until_event("output_audio_buffer.started")
        assert chromium.page()["steps"] == []
        assert chromium.faults() == []


def test_a_machine_without_a_microphone_is_told_so(server: Server) -> None:
    with Chromium(server.url, microphone="none") as chromium:
        chromium.click("#start")
        chromium.until_state("disconnected")
        assert chromium.page()["title"] == "No microphone found"


def test_an_insecure_address_is_explained(server: Server) -> None:
    url = f"http://voice.example:{server.port}/"
    flags = ["--host-resolver-rules=MAP voice.example 127.0.0.1"]
    with Chromium(url, flags=flags) as chromium:
        chromium.click("#start")
        chromium.until_state("disconnected")
        page = chromium.page()
        assert page["title"] == "This address cannot use the microphone"
        assert page["steps"][0].startswith(f"Open https://voice.example:{server.port}/")


def test_refused_playback_asks_for_a_tap(server: Server) -> None:
    with Chromium(server.url, setup=NO_SECOND_PLAY) as chromium:
        chromium.click("#start")
        chromium.until("document.getElementById('hear').checkVisibility()")
        assert "Tap to hear" in chromium.page()["buttons"]
        assert chromium.evaluate("document.getElementById('voice').paused")
        chromium.click("#hear")
        chromium.until("!document.getElementById('voice').paused")
        chromium.until("!document.getElementById('hear').checkVisibility()")


def test_a_microphone_that_is_unplugged_is_replaced(server: Server) -> None:
    with Chromium(server.url) as chromium:
        chromium.click("#start")
        chromium.until_event("session.created")
        chromium.evaluate("ears.microphones[0].dispatchEvent(new Event('ended')) && null")
        sent = "ears.peers[0].getSenders()[0].track"
        chromium.until(f"{sent} !== ears.microphones[0] && {sent}.readyState === 'live'")


def test_a_full_server_says_when_to_come_back(tmp_path: Path) -> None:
    with (
        Server(tmp_path / "log", "limits.max_calls=1") as full,
        Chromium(full.url, microphone="none") as chromium,
    ):
        chromium.click("#without")
        chromium.until_event("session.created")
        chromium.open_tab()
        chromium.click("#without")
        chromium.until_state("disconnected")
        page = chromium.page()
        assert page["title"] == "All lines are busy"
        assert re.fullmatch(r"Try again in \d+ seconds?\.", page["hint"])


def test_a_server_that_wants_a_key_is_given_one_for_as_long_as_the_tab_lives(tmp_path: Path) -> None:
    key = "a-key-of-the-operator"
    log = tmp_path / "log"
    with (
        Server(log, f"server.api_keys={key}", "agent.greeting=Hello.", "logging.level=debug") as locked,
        Chromium(locked.url, microphone="none") as chromium,
    ):
        chromium.click("#without")
        chromium.until_state("disconnected")
        page = chromium.page()
        assert (page["title"], page["buttons"]) == ("This server wants a key", ["Continue"])
        assert page["title"] in page["announced"]
        assert chromium.evaluate("document.activeElement.id") == "key"
        chromium.type("not-a-key-of-the-operator", into="#key")
        chromium.until("document.getElementById('title').textContent === 'The key was not accepted'")
        chromium.type(f"  {key}\u200b ", into="#key")
        chromium.until_event("session.created")
        assert not chromium.evaluate("document.getElementById('key').checkVisibility()")
        chromium.click("#end")
        chromium.until_state("disconnected")
        assert wait_for(lambda: any(re.match("POST .*/hangup 200", line) for line in chromium.requests()))
        chromium.evaluate("location.reload()")
        chromium.until("document.body?.dataset.state === 'idle'")
        chromium.click("#without")
        chromium.until_event("session.created")
        chromium.open_tab()
        chromium.click("#without")
        chromium.until("document.getElementById('title').textContent === 'This server wants a key'")
    assert key not in log.read_text()


def test_a_stopped_server_says_goodbye_and_is_missed(tmp_path: Path) -> None:
    with (
        Server(tmp_path / "log") as stopping,
        Chromium(stopping.url, microphone="none") as chromium,
    ):
        chromium.click("#without")
        chromium.until_event("session.created")
        stopping.stop()
        chromium.until_state("disconnected", within=5)
        assert chromium.page()["hint"] == "The server is being restarted. Try again in a moment."
        chromium.click("#without")
        chromium.until("document.getElementById('title').textContent.includes('cannot be reached')")


def test_a_lost_connection_can_be_made_again(tmp_path: Path) -> None:
    with (
        Server(tmp_path / "first") as first,
        Chromium(first.url, microphone="none") as chromium,
    ):
        chromium.click("#without")
        chromium.until_event("session.created")
        first.kill()
        chromium.until_state("reconnecting", within=20)
        assert chromium.page()["title"] == "Reconnecting"
        chromium.until_state("disconnected", within=40)
        page = chromium.page()
        assert page["title"] == "Connection lost"
        assert page["buttons"] == ["Reconnect", "Type instead"]
        with Server(tmp_path / "second", port=first.port):
            chromium.click("#without")
            chromium.until_event("session.created", count=2)


def test_a_call_can_be_made_with_the_keyboard_alone(server: Server) -> None:
    with Chromium(server.url) as chromium:
        chromium.press("Tab")
        chromium.press("Enter")
        chromium.until_event("session.created")
        assert chromium.evaluate("document.activeElement.id") == "mute"
        chromium.press("Space")
        assert chromium.evaluate("document.getElementById('announcer').textContent") == "Muted"
        assert chromium.evaluate("document.getElementById('announcer').role") == "status"
        for _ in range(2):
            chromium.press("Tab")
        assert chromium.evaluate("document.activeElement.id") == "end"
        chromium.press("Enter")
        chromium.until_state("disconnected")
        assert chromium.evaluate("document.activeElement.id") == "start"


@pytest.mark.parametrize(("width", "height"), [(320, 568), (390, 844), (844, 390), (1600, 1000)])
def test_everything_fits_on_every_screen(server: Server, width: int, height: int) -> None:
    view = {"size": {"width": width, "height": height}}
    with Chromium(server.url, view=view) as chromium:
        for step in ("#start", "#end"):
            chromium.click(step)
            chromium.until_event("session.created")
            chromium.until("document.querySelectorAll('.transcript li').length")
            root = "document.scrollingElement"
            assert chromium.evaluate(f"{root}.scrollWidth <= {width} && {root}.scrollHeight <= {height}")


def test_reduced_motion_moves_nothing(server: Server) -> None:
    with Chromium(server.url, view={"motion": "reduce"}) as chromium:
        assert chromium.evaluate("document.getAnimations().length") == 0
        chromium.click("#start")
        chromium.until("document.querySelectorAll('.transcript li').length")
        assert chromium.evaluate("document.getAnimations().length") == 0
