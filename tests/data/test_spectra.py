"""Spectra against closed forms and SciPy's own transforms."""

import numpy as np
import pytest
from scipy.signal import ShortTimeFFT
from scipy.signal.windows import hann

from chainrule.data import spectra
from chainrule.errors import ConfigurationError, ShapeError

RNG = np.random.default_rng(0)
NOISE = RNG.normal(size=2000)


@pytest.mark.parametrize(("length", "hop"), [(200, 80), (256, 256), (128, 1)])
def test_the_spectrogram_is_that_of_scipy(length, hop):
    transform = ShortTimeFFT(hann(length, sym=False), hop, fs=8000)
    ours = spectra.spectrogram(NOISE, length, hop)
    # SciPy's slice p is centred on sample p hop: ours begins there, so its first is the one half a frame later.
    scipys = np.abs(transform.stft_detrend(NOISE, None, k_offset=length // 2, p0=0, p1=len(ours))) ** 2
    np.testing.assert_allclose(ours, scipys.T, rtol=1e-9, atol=1e-9)


def test_a_tone_lies_at_its_frequency_with_the_power_of_theory():
    rate, length, k, a = 8000, 200, 25, 0.3  # 1000 Hz
    tone = a * np.cos(2 * np.pi * k * rate / length / rate * np.arange(1000))
    power = spectra.spectrogram(tone, length, 80)
    assert (power.argmax(axis=1) == k).all()
    # Hann's window sums to length / 2, half of which is the share of e^(+i…); beside it a quarter of the power.
    np.testing.assert_allclose(power[:, k], (a * length / 4) ** 2, rtol=1e-9)
    np.testing.assert_allclose(power[:, k + 1], (a * length / 8) ** 2, rtol=1e-9)


def test_frames_are_as_many_as_fit():
    for n in (200, 279, 280, 2000):
        assert spectra.spectrogram(NOISE[:n], 200, 80).shape == (1 + (n - 200) // 80, 101)
    with pytest.raises(ShapeError, match="shorter than a frame"):
        spectra.spectrogram(NOISE[:199], 200, 80)


# The other published form, 1127.01048 ln(1 + f / 700), has 1000 Hz at 1000 mel: 2595 is rounded by 1.5e-5.
@pytest.mark.parametrize(("f", "m"), [(0, 0), (440, 549.64), (700, 781.17), (1000, 999.99), (8000, 2840.02)])
def test_pitches(f, m):
    assert spectra.hertz_to_mel(f) == pytest.approx(m, abs=0.01)
    assert spectra.hertz_to_mel(f) == pytest.approx(1127.01048 * np.log(1 + f / 700), rel=2e-5)
    assert spectra.mel_to_hertz(spectra.hertz_to_mel(f)) == pytest.approx(f)


@pytest.mark.parametrize(("bands", "length", "rate"), [(40, 200, 8000), (23, 512, 16000), (80, 1024, 22050)])
def test_filters_are_triangles_over_the_frequency(bands, length, rate):
    corners = 700 * ((1 + rate / 2 / 700) ** (np.arange(bands + 2) / (bands + 1)) - 1)  # even in the logarithm
    frequencies = np.fft.rfftfreq(length, 1 / rate)
    expected = [np.interp(frequencies, corners[b : b + 3], [0, 1, 0]) for b in range(bands)]
    np.testing.assert_allclose(spectra.mel_filters(bands, length, rate), expected, atol=1e-6)


def test_filters_add_to_one_between_the_first_and_the_last_peak():
    weights = spectra.mel_filters(10, 400, 8000)
    peaks = spectra.mel_to_hertz(np.linspace(0, spectra.hertz_to_mel(4000), 12))[[1, 10]]
    inside = (np.fft.rfftfreq(400, 1 / 8000) >= peaks[0]) & (np.fft.rfftfreq(400, 1 / 8000) <= peaks[1])
    np.testing.assert_allclose(weights.sum(axis=0)[inside], 1)


def test_filters_may_be_kept_to_a_range():
    weights = spectra.mel_filters(8, 400, 8000, 300.0, 3000.0)
    frequencies = np.fft.rfftfreq(400, 1 / 8000)
    assert frequencies[weights.sum(axis=0) > 0].min() > 300
    assert frequencies[weights.sum(axis=0) > 0].max() < 3000


def test_a_band_without_a_frequency_is_refused():
    with pytest.raises(ConfigurationError, match="80 mel bands are more than frames of 200 numbers can tell apart"):
        spectra.mel_filters(80, 200, 8000)


def test_log_mel_of_silence_is_the_floor_and_of_ten_times_the_loudness_log_100_more():
    assert (spectra.log_mel(np.zeros(400), 8000, 200, 80) == np.log(spectra.FLOOR)).all()
    quiet, loud = (spectra.log_mel(a * NOISE, 8000, 200, 80) for a in (1, 10))
    np.testing.assert_allclose(loud - quiet, np.log(100), rtol=1e-9)


def test_the_cepstrum_is_the_cosine_transform_of_its_formula():
    bands, coefficients = 26, 13
    x = spectra.log_mel(NOISE, 8000, 200, 80, bands)
    k, b = np.arange(coefficients)[:, None], np.arange(bands)
    basis = np.cos(np.pi * k * (b + 0.5) / bands) * np.where(k == 0, np.sqrt(1 / bands), np.sqrt(2 / bands))
    found = spectra.mfcc(NOISE, 8000, 200, 80, bands, coefficients)
    np.testing.assert_allclose(found, x @ basis.T, rtol=1e-9, atol=1e-9)
    with pytest.raises(ConfigurationError, match="as many cepstral coefficients as bands"):
        spectra.mfcc(NOISE, 8000, 200, 80, 12, 13)
