from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from voicertc.audio.opus import OpusDecoder
from voicertc.testing.utterance import Utterance, labelled_bounds, levels_db, read_wav, speech_bounds

from ..rtc.calls import pitch, tone

SAID = np.concatenate((np.zeros(3200, np.int16), tone(0.5, 16_000), np.zeros(4800, np.int16)))
"""Half a second of sound between 0.2 s and 0.7 s of a second."""


def test_an_utterance_is_a_packet_every_20_ms_and_knows_where_its_speech_lies() -> None:
    said = Utterance.from_samples(SAID)
    assert (len(said.packets), said.duration) == (50, 1.0)
    assert (said.speech_start, said.speech_end) == (0.2, 0.7)
    assert (said.first_speech_packet, said.last_speech_packet) == (10, 34)
    decoder = OpusDecoder()
    heard = np.concatenate([decoder.decode(packet) for packet in said.packets])
    assert pitch(heard[4800:9600], 16_000) == pytest.approx(440, abs=5)


def test_the_rest_of_a_packet_is_filled_with_silence() -> None:
    assert len(Utterance.from_samples(SAID[:3201]).packets) == 11


def test_nothing_said_is_no_utterance() -> None:
    with pytest.raises(ValueError, match="samples"):
        Utterance.from_samples(np.empty(0, np.int16))


def test_bounds_are_given_by_whoever_knows_better() -> None:
    said = Utterance.from_samples(SAID, speech=(0.21, 0.69))
    assert (said.first_speech_packet, said.last_speech_packet) == (10, 34)
    late = Utterance.from_samples(SAID, speech=(5.0, 6.0))
    assert (late.first_speech_packet, late.last_speech_packet) == (49, 49)


def test_a_recording_of_any_rate_and_width_is_read(tmp_path: Path) -> None:
    stereo = np.stack((tone(1.0, 44_100), tone(1.0, 44_100)), axis=1)
    soundfile.write(tmp_path / "stereo.wav", stereo, 44_100)
    samples = read_wav(tmp_path / "stereo.wav")
    assert len(samples) == 16_000
    assert pitch(samples, 16_000) == pytest.approx(440, abs=2)
    assert Utterance.from_wav(tmp_path / "stereo.wav").name == "stereo.wav"


def test_labels_beside_a_recording_are_believed(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", SAID, 16_000)
    soundfile.write(tmp_path / "b.wav", SAID, 16_000)
    labels = [{"file": "c.wav"}, {"file": "a.wav", "start": 0.25, "end": 0.5}]
    (tmp_path / "manifest.json").write_text(json.dumps(labels))
    assert (
        Utterance.from_wav(tmp_path / "a.wav").speech_end,
        Utterance.from_wav(tmp_path / "b.wav").speech_end,
    ) == (
        0.5,
        0.7,
    )
    assert labelled_bounds(tmp_path / "c.wav") is None


def test_what_is_no_recording_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_bytes(b"no sound")
    with pytest.raises(OSError, match=r"x\.wav"):
        Utterance.from_wav(tmp_path / "x.wav")


def test_energy_finds_human_speech_about_where_people_labelled_it(speech_dir: Path) -> None:
    clips = [path for path in sorted(speech_dir.glob("*.wav")) if labelled_bounds(path)]
    errors = np.array([np.subtract(speech_bounds(read_wav(path)), labelled_bounds(path)) for path in clips])
    assert len(clips) > 30
    assert np.all(np.mean(np.abs(errors) < 0.2, axis=0) > 0.8)
    assert np.all(np.abs(np.median(errors, axis=0)) < 0.03)


def test_clicks_and_evenness_are_borne() -> None:
    clicks = SAID.copy()
    clicks[480:500] = clicks[15_000:15_100] = 20_000
    assert speech_bounds(clicks) == (0.2, 0.7)
    assert speech_bounds(np.zeros(1600, np.int16)) == (0.0, 0.1)
    assert speech_bounds(tone(0.02, 16_000)) == (0.0, 0.02)


def test_levels_are_below_full_scale() -> None:
    full = np.full((1, 320), -32_768, np.int16)
    assert levels_db(full)[0] == 0.0
    assert levels_db(np.zeros((1, 320), np.int16))[0] == -120.0
