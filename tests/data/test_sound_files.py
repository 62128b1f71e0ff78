"""Recordings: read as they were written, brought to one rate and length, refused with names and counts."""

import builtins
import struct

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from chainrule.data import SoundFormat, load, sounds, spectra
from chainrule.data.sound_files import read_sound, resampled
from chainrule.errors import ConfigurationError, DataError


def tone(f=440, seconds=0.5, rate=8000):
    return 0.5 * np.sin(2 * np.pi * f * np.arange(round(seconds * rate)) / rate)


@pytest.fixture
def words(write_sound, tmp_path):
    """Two recordings of yes, of 0.5 and 0.4 seconds, and one of no, of 0.3, at 8 kHz."""
    write_sound("words/yes/a.wav", tone(440))
    write_sound("words/yes/b.wav", tone(450, 0.4))
    write_sound("words/no/c.wav", tone(880, 0.3))
    return tmp_path / "words"


def test_the_longest_gives_the_length_and_silence_is_put_behind_the_others(words):
    found = sounds(words, features="wave")
    assert found.classes == ("no", "yes")
    assert found.labels.tolist() == [0, 1, 1]
    assert found.items.shape == (3, 4000)
    np.testing.assert_allclose(found.items[1], tone(440), atol=2e-4)
    assert (found.items[0][2400:] == 0).all()
    assert found.notes == ()


def test_features_are_those_of_the_spectra(words):
    found = sounds(words, bands=30)
    wave = np.asarray(found.items.having(features="wave"))[1]
    assert found.items.shape == (3, 48, 30)
    np.testing.assert_allclose(found.items[1], spectra.log_mel(wave, 8000, 200, 80, 30), rtol=1e-5)
    cepstrum = found.items.having(features="mfcc", coefficients=7)
    assert cepstrum.shape == (3, 48, 7)
    np.testing.assert_allclose(cepstrum[1], spectra.mfcc(wave, 8000, 200, 80, 30, 7), rtol=1e-4, atol=1e-4)
    power = found.items.having(features="spectrogram")
    assert power.shape == (3, 48, 101)
    assert power[1].mean(axis=0).argmax() == 11  # 440 Hz of 40 Hz each


def test_longer_ones_are_cut_off_where_a_length_is_given_and_counted(words):
    found = sounds(words, seconds=0.35, features="wave")
    assert found.items.shape == (3, 2800)
    assert found.notes == ("cut 2 of 3 recordings off at 0.35 s",)


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (np.array([-32768, 0, 16384], np.int16), [-1, 0, 0.5]),
        (np.array([-(2**31), 0, 2**30], np.int32), [-1, 0, 0.5]),
        (np.array([0, 128, 192], np.uint8), [-1, 0, 0.5]),
        (np.array([-1, 0, 0.5], np.float32), [-1, 0, 0.5]),
        (np.array([[0.5, 0.0], [-0.5, 0.5]], np.float32), [0.25, 0]),
    ],
    ids=["16 bits", "32 bits", "8 bits", "floats", "stereo"],
)
def test_every_kind_of_wav(write_sound, samples, expected):
    rate, wave = read_sound(write_sound("a.wav", samples, 16000))
    assert rate == 16000
    assert wave.dtype == np.float32
    np.testing.assert_allclose(wave, expected)


def test_24_bits(tmp_path):
    values = [-(2**23), 0, 2**22]
    data = b"".join(struct.pack("<i", v)[:3] for v in values) + b"\0"
    head = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 24000, 3, 24) + b"data" + struct.pack("<I", 9)
    (tmp_path / "a.wav").write_bytes(b"RIFF" + struct.pack("<I", len(head) + len(data)) + head + data)
    found = sounds([tmp_path / "a.wav"], features="wave")
    np.testing.assert_allclose(found.items[0], [-1, 0, 0.5])


def test_flac(tmp_path):
    soundfile = pytest.importorskip("soundfile", reason="FLAC needs the package soundfile")
    soundfile.write(tmp_path / "a.flac", tone(), 8000)
    found = sounds(tmp_path, features="wave")
    np.testing.assert_allclose(found.items[0], tone(), atol=1e-4)
    (tmp_path / "a.flac").write_bytes(b"fLaC and no more")
    with pytest.raises(DataError, match=r"1 of 1 recordings .* cannot be read"):
        sounds(tmp_path)


def test_flac_without_soundfile_names_the_package(tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name == "soundfile":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    (tmp_path / "a.flac").write_bytes(b"fLaC")
    with pytest.raises(DataError, match=r"for \.flac files the package soundfile is needed") as caught:
        sounds(tmp_path, skip_broken=True)
    assert caught.value.hint == "pip install 'chainrule[sound]'"


# --- rates ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rate", "wanted"), [(16000, 8000), (44100, 16000), (8000, 11025)])
def test_a_tone_stays_the_tone_at_another_rate(rate, wanted):
    found = resampled(tone(440, 1, rate).astype(np.float32), rate, wanted)
    middle = slice(wanted // 10, -wanted // 10)  # the filter needs both sides
    np.testing.assert_allclose(found[middle], tone(440, 1, wanted)[middle], atol=5e-3)


def test_what_the_new_rate_cannot_hold_is_removed():
    found = resampled(tone(6000, 1, 16000).astype(np.float32), 16000, 8000)
    assert np.abs(found[800:-800]).max() < 0.01


def test_different_rates_are_refused_or_brought_to_the_one_that_is_given(words, write_sound):
    write_sound("words/no/d.wav", tone(880, 0.3, 16000), 16000)
    with pytest.raises(DataError, match="the recordings have 2 different rates") as caught:
        sounds(words)
    assert caught.value.given == "8,000 Hz (3), 16,000 Hz (1)"
    assert caught.value.hint == "bring them to one: rate=8000 (--rate 8000)"
    found = sounds(words, rate=8000, features="wave")
    assert found.items.shape == (4, 4000)
    np.testing.assert_allclose(found.items[1][200:2200], found.items[0][200:2200], atol=5e-3)
    assert found.notes == ("brought 1 of 4 recordings of another rate to 8,000 Hz",)


# --- bad files --------------------------------------------------------------------------------------------


def test_empty_and_broken_files_are_named_and_counted_and_skipped_only_if_asked(words, write_sound):
    write_sound("words/no/silent.wav", np.zeros(0, np.int16))
    (words / "yes" / "text.wav").write_text("no recording")
    (words / "yes" / "nothing.wav").write_bytes(b"")
    with pytest.raises(
        DataError, match=r"3 of 6 recordings \(no/silent.wav, yes/nothing.wav, yes/text.wav\)"
    ) as caught:
        sounds(words)
    assert caught.value.given == "it holds no sound: 0 samples"
    found = sounds(words, skip_broken=True)
    assert found.labels.tolist() == [0, 1, 1]
    assert found.notes[0].startswith("left out 3 of 6 recordings (no/silent.wav")


def test_a_file_that_is_cut_off(words):
    file = words / "no" / "c.wav"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"1 of 3 recordings \(no/c.wav\)"):
        sounds(words)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"features": "pitch"}, "unknown features"),
        ({"rate": 0}, "this is no rate"),
        ({"seconds": 0}, "a recording has a length"),
        ({"seconds": 0.01}, "shorter than a frame"),
        ({"bands": 100}, "100 mel bands are more"),
        ({"hop": 0}, "no format of recordings"),
    ],
)
def test_settings_that_are_refused(words, options, message):
    with pytest.raises(ConfigurationError, match=message):
        sounds(words, **options)


def test_a_format_knows_its_shape():
    assert SoundFormat(16000, 16000).shape == (98, 40)  # 25 ms every 10 ms: 1 + (16000 − 400) // 160
    assert SoundFormat(16000, 16000, "wave").shape == (16000,)


# --- real recordings --------------------------------------------------------------------------------------


def pooled(items):
    """Five frames averaged, a row for each recording."""
    x = np.asarray(items)
    frames = x.shape[1] // 5 * 5
    return x[:, :frames].reshape(len(x), frames // 5, 5, -1).mean(axis=2).reshape(len(x), -1)


def test_a_linear_model_tells_spoken_digits_by_these_features(own_data):
    digits = load("spoken-digits", seconds=0.6)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300))
    order = np.random.default_rng(0).permutation(len(digits))
    train, test = np.array_split(order, [len(order) * 3 // 4])
    for features in ("log_mel", "mfcc"):
        x, y = pooled(digits.items.having(features=features)), digits.labels
        assert model.fit(x[train], y[train]).score(x[test], y[test]) > 0.9  # 0.94 and 0.96
        away = digits.groups == "nicolas"  # a voice never heard: 0.56 and 0.36, by chance 0.1
        assert model.fit(x[~away], y[~away]).score(x[away], y[away]) > 0.3
