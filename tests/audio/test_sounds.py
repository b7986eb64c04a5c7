"""The sounds that come along, and those that an operator brings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from tests.audio.signals import amplitude_at, decibels, tone, white
from voicertc.audio.pcm import PLAYOUT_FRAME, PLAYOUT_RATE_HZ, Samples
from voicertc.audio.sounds import MAX_SECONDS, find_problem, load, load_all
from voicertc.audio.synthesis import AMBIENT, SYNTHESIZERS, THINKING, synthesize
from voicertc.core.options import AmbientSound, ThinkingSound
from voicertc.errors import SettingsError

NAMES = sorted(SYNTHESIZERS)


def rms_db(samples: Samples) -> float:
    return decibels(float(np.sqrt(np.mean(samples.astype(float) ** 2))) / 32_768)


def has_a_seam(samples: Samples) -> bool:
    """Whether a jump, a kink or a step in loudness is where a loop comes round.

    A sample there lies further from the straight line through the two before than any within 20 ms, or the
    levels of the 10 ms before and behind differ more than any other two in a row.
    """
    around = np.abs(np.diff(np.concatenate((samples[-480:], samples[:480])).astype(float), 2))
    elsewhere = np.delete(around, range(476, 482))
    levels = samples[: len(samples) // 240 * 240].reshape(-1, 240).astype(float).std(axis=1)
    return bool(
        around.max() > 1.5 * elsewhere.max() + 4
        or abs(levels[0] - levels[-1]) > 1.1 * np.abs(np.diff(levels)).max() + 1
    )


class TestSynthesized:
    @pytest.mark.parametrize("name", NAMES)
    def test_a_sound_is_a_loop_of_some_seconds_in_whole_frames(self, name: str) -> None:
        samples = load(name).samples
        assert samples.dtype == np.int16
        assert len(samples) % PLAYOUT_FRAME == 0
        assert 6 <= len(samples) / PLAYOUT_RATE_HZ <= 12
        assert not samples.flags.writeable

    @pytest.mark.parametrize("name", NAMES)
    def test_nobody_hears_where_it_comes_round(self, name: str) -> None:
        assert not has_a_seam(load(name).samples)

    @pytest.mark.parametrize("name", NAMES)
    def test_at_full_volume_it_is_no_louder_than_a_voice(self, name: str) -> None:
        samples = load(name).samples
        loudest = -28 if name in THINKING else -20
        assert loudest - 10 < rms_db(samples) < loudest + 0.1
        assert decibels(np.abs(samples.astype(float)).max() / 32_768) < -5
        assert abs(samples.mean()) < 0.5

    @pytest.mark.parametrize("name", NAMES)
    def test_it_is_the_same_in_every_process(self, name: str) -> None:
        assert np.array_equal(synthesize(name), load(name).samples)
        assert load(name) is load(name)

    def test_no_two_are_alike(self) -> None:
        loops = [load(name).samples.astype(float) for name in NAMES]
        alike = np.corrcoef(loops) - np.eye(len(loops))
        assert np.abs(alike).max() < 0.2

    def test_a_thinking_sound_begins_quietly_for_it_is_faded_in(self) -> None:
        for name in THINKING:
            samples = load(name).samples
            assert rms_db(samples[: PLAYOUT_RATE_HZ // 4]) < rms_db(samples) - 3

    def test_clients_know_them_by_the_same_names(self) -> None:
        assert set(ThinkingSound.__args__) == {"default", *THINKING}  # type: ignore[attr-defined]  # a Literal
        assert set(AmbientSound.__args__) == {"default", *AMBIENT}  # type: ignore[attr-defined]


def test_the_operators_choice_is_the_default_beside_all_others(tmp_path: Path) -> None:
    path = tmp_path / "hum.wav"
    soundfile.write(path, tone(440, PLAYOUT_RATE_HZ, PLAYOUT_RATE_HZ, 1_000), PLAYOUT_RATE_HZ)
    sounds = load_all("pulse", str(path))
    assert set(sounds.thinking) == {"default", *THINKING}
    assert set(sounds.ambient) == {"default", *AMBIENT}
    assert sounds.thinking["default"] is sounds.thinking["pulse"]
    assert amplitude_at(440, PLAYOUT_RATE_HZ, sounds.ambient["default"].samples[2_000:])[0] > 990


class TestAFile:
    def write(self, path: Path, samples: npt.NDArray[np.generic], rate_hz: int, **how: str) -> Path:
        soundfile.write(path, samples, rate_hz, **how)
        return path

    @pytest.mark.parametrize(
        ("name", "how"),
        [
            ("a.wav", {}),
            ("a.wav", {"subtype": "FLOAT"}),
            ("a.flac", {}),
            ("a.ogg", {"format": "OGG", "subtype": "VORBIS"}),
            ("a.ogg", {"format": "OGG", "subtype": "OPUS"}),
        ],
    )
    def test_of_any_kind_rate_and_channels_becomes_mono_at_24_khz(
        self, tmp_path: Path, name: str, how: dict[str, str]
    ) -> None:
        rate_hz, seconds = 48_000, 1.5
        left = tone(440, rate_hz, int(rate_hz * seconds), 4_000) / 32_768
        stereo = np.stack((left, np.zeros(len(left))), axis=1)
        samples = load(str(self.write(tmp_path / name, stereo, rate_hz, **how))).samples
        assert 0 <= seconds - len(samples) / PLAYOUT_RATE_HZ < 0.08
        amplitude, rest = amplitude_at(440, PLAYOUT_RATE_HZ, samples[2_400:])
        assert amplitude == pytest.approx(2_000, rel=0.02)  # the mean of both channels
        assert rest < 60

    @pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050, 44_100, 96_000])
    def test_keeps_its_pitch(self, tmp_path: Path, rate_hz: int) -> None:
        path = self.write(tmp_path / "a.wav", tone(300, rate_hz, 2 * rate_hz, 3_000), rate_hz)
        assert amplitude_at(300, PLAYOUT_RATE_HZ, load(str(path)).samples[2_400:])[0] > 2_900

    @pytest.mark.parametrize("n", [2_400, 2_401, 5_000, 24_000, 100_003])
    def test_comes_round_without_a_seam_wherever_it_was_cut(self, tmp_path: Path, n: int) -> None:
        cut = tone(123.4, PLAYOUT_RATE_HZ, n, 3_000)
        assert has_a_seam(cut)
        samples = load(str(self.write(tmp_path / "a.wav", cut, PLAYOUT_RATE_HZ))).samples
        assert not has_a_seam(samples)
        assert len(samples) % PLAYOUT_FRAME == 0

    def test_that_is_louder_than_a_voice_is_lowered_and_a_soft_one_is_left(self, tmp_path: Path) -> None:
        for level, expected in ((-6, -20), (-35, -35)):
            noise = white(2 * PLAYOUT_RATE_HZ, level)
            samples = load(str(self.write(tmp_path / "a.wav", noise, PLAYOUT_RATE_HZ))).samples
            assert rms_db(samples) == pytest.approx(expected, abs=0.1)

    def test_loses_its_mean_and_what_is_no_number(self, tmp_path: Path) -> None:
        wave = np.full(PLAYOUT_RATE_HZ, 0.25, np.float32)
        wave[1_000:1_003] = np.nan, np.inf, -np.inf
        path = self.write(tmp_path / "a.wav", wave, PLAYOUT_RATE_HZ, subtype="FLOAT")
        assert abs(load(str(path)).samples.mean()) < 1

    def test_is_read_anew_when_it_has_changed(self, tmp_path: Path) -> None:
        levels = []
        for amplitude in (1_000, 2_000):
            wave = tone(440, PLAYOUT_RATE_HZ, PLAYOUT_RATE_HZ, amplitude)
            levels.append(rms_db(load(str(self.write(tmp_path / "a.wav", wave, PLAYOUT_RATE_HZ))).samples))
        assert levels[1] - levels[0] == pytest.approx(6, abs=0.1)

    def test_is_found_from_home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        self.write(tmp_path / "a.wav", white(PLAYOUT_RATE_HZ, -30), PLAYOUT_RATE_HZ)
        assert find_problem("~/a.wav", THINKING) is None
        assert len(load("~/a.wav").samples)


class TestAFileThatIsNone:
    def refused(self, path: Path) -> str:
        """Why a file is refused, which is told by its header alone."""
        problem = find_problem(str(path), THINKING)
        assert problem is not None
        with pytest.raises(SettingsError) as caught:
            load(str(path))
        assert caught.value.mistakes == (problem,)
        return problem

    def test_a_name_of_nothing(self) -> None:
        assert find_problem("pulse", THINKING) is None
        assert find_problem("bells", THINKING) == (
            "'bells' is neither a file nor one of breath, pulse, soft_ticks"
        )
        assert find_problem("rain", THINKING) is not None  # it lies beneath a call, or nowhere
        with pytest.raises(SettingsError, match="there is no file bells"):
            load("bells")

    def test_a_directory(self, tmp_path: Path) -> None:
        assert "is neither a file" in str(find_problem(str(tmp_path), THINKING))

    @pytest.mark.parametrize("name", ["a.wav", "a.raw", "a"])
    def test_what_is_no_sound(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / name
        path.write_bytes(b"RIFF but not really" * 10)
        assert self.refused(path).startswith(f"{path} cannot be read as sound: ")

    def test_one_that_lasts_too_long_or_not_long_enough(self, tmp_path: Path) -> None:
        for seconds in (0.0, 0.09, MAX_SECONDS + 1):
            path = tmp_path / "a.wav"
            soundfile.write(path, np.zeros(int(seconds * 8_000), np.int16), 8_000)
            assert self.refused(path) == f"{path} lasts {seconds:.4g} s; 0.1 to 60 can be looped"

    def test_an_unusual_rate(self, tmp_path: Path) -> None:
        path = tmp_path / "a.wav"
        soundfile.write(path, np.zeros(44_101, np.int16), 44_101)
        assert "an unusual pair of rates" in self.refused(path)

    def test_one_that_ends_before_its_header_says(self, tmp_path: Path) -> None:
        path = tmp_path / "a.flac"
        soundfile.write(path, white(PLAYOUT_RATE_HZ, -20), PLAYOUT_RATE_HZ)
        path.write_bytes(path.read_bytes()[:1_000])
        with pytest.raises(SettingsError, match=r"a\.flac cannot be read as sound"):
            load(str(path))
