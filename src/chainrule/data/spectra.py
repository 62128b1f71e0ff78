"""Sound -> spectrogram, mel bands, cepstrum: what a network hears of a recording.

A recording is cut into overlapping frames of 25 ms, one every 10 ms; of each frame the power of every
frequency is taken, summed in bands as wide as the ear's, and its logarithm taken.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chainrule.errors import ConfigurationError, ShapeError

Array = NDArray[np.float64]

FLOOR = 1e-6
"""The least power that a logarithm is taken of, so that silence has one: below the noise of 16 bits."""


def hertz_to_mel(f: ArrayLike) -> Array:
    """The pitch of a frequency: m(f) = 2595 log₁₀(1 + f / 700), so that 1000 Hz are nearly 1000 mel.

    O'Shaughnessy (1987), Speech Communication; the scale of HTK and of torchaudio. librosa's default is Slaney's.

    >>> hertz_to_mel([0, 1000]).round(2).tolist()
    [0.0, 999.99]
    """
    return np.asarray(2595 * np.log10(1 + np.asarray(f, dtype=np.float64) / 700))


def mel_to_hertz(m: ArrayLike) -> Array:
    """The frequency of a pitch: f(m) = 700 (10^(m / 2595) − 1)."""
    return np.asarray(700 * (10 ** (np.asarray(m, dtype=np.float64) / 2595) - 1))


@cache
def mel_filters(bands: int, length: int, rate: int, low: float = 0.0, high: float | None = None) -> Array:
    """Weights of frequencies in mel bands, shape (bands, length // 2 + 1), for frames of `length` numbers.

    Bands are triangles over the frequency in hertz: band b rises from 0 at f(b) to 1 at f(b + 1) and falls to 0 at
    f(b + 2), where f(0) … f(bands + 1) lie evenly in mel between `low` and `high` (half the rate by default).

    Errors: more bands than the frames can tell apart, so that one would be empty.

    >>> mel_filters(2, 8, 8000).round(2).tolist()
    [[0.0, 0.68, 0.0, 0.0, 0.0], [0.0, 0.32, 0.91, 0.45, 0.0]]
    """
    top = rate / 2 if high is None else high
    corners = mel_to_hertz(np.linspace(hertz_to_mel(low), hertz_to_mel(top), bands + 2))
    frequencies = np.arange(length // 2 + 1) * rate / length
    rising = (frequencies - corners[:-2, None]) / np.diff(corners)[:-1, None]
    falling = (corners[2:, None] - frequencies) / np.diff(corners)[1:, None]
    weights = np.maximum(0, np.minimum(rising, falling))
    if (weights.sum(axis=1) == 0).any():
        raise ConfigurationError(
            f"{bands} mel bands are more than frames of {length} numbers can tell apart",
            given=f"{bands} bands, {rate:,} Hz, {rate / length:.1f} Hz from one frequency to the next",
            expected="at least one frequency in every band",
            hint=f"fewer bands, such as {max(1, bands // 2)}, or longer frames",
        )
    weights.flags.writeable = False  # it is kept, and given again
    return weights


def frames(samples: ArrayLike, length: int, hop: int) -> Array:
    """Overlapping pieces of a recording, shape (1 + (n − length) // hop, length); what is left over is dropped.

    Errors: a recording shorter than a frame.

    >>> frames([0, 1, 2, 3, 4, 5], length=3, hop=2).tolist()
    [[0.0, 1.0, 2.0], [2.0, 3.0, 4.0]]
    """
    x = np.asarray(samples, dtype=np.float64)
    if x.ndim != 1 or len(x) < length:
        raise ShapeError(
            "the recording is shorter than a frame",
            given=f"shape {x.shape}",
            expected=f"(n,) with n ≥ {length}",
            hint="pad it, or take shorter frames",
        )
    return np.lib.stride_tricks.sliding_window_view(x, length)[::hop]


def spectrogram(samples: ArrayLike, length: int, hop: int) -> Array:
    """The power of every frequency in every frame, |Σₙ w(n) x(n) e^(−2πi k n / length)|².

    w(n) = sin²(π n / length) is Hann's window. Frequency k is k · rate / length hertz.

    Returns:
        (frames, length // 2 + 1).

    >>> tone = np.sin(2 * np.pi * 4 / 16 * np.arange(16))
    >>> int(spectrogram(tone, 16, 8)[0].argmax())
    4
    """
    window = np.sin(np.pi * np.arange(length) / length) ** 2
    return np.asarray(np.abs(np.fft.rfft(frames(samples, length, hop) * window)) ** 2)


def log_mel(samples: ArrayLike, rate: int, length: int, hop: int, bands: int = 40) -> Array:
    """The logarithm of the power in mel bands, log max(M P, 10⁻⁶), shape (frames, bands).

    P is :func:`spectrogram` and M :func:`mel_filters`. librosa's takes decibels (10 log₁₀), frames centred on their
    time, and bands of equal area.
    """
    power = spectrogram(samples, length, hop) @ mel_filters(bands, length, rate).T
    return np.asarray(np.log(np.maximum(power, FLOOR)))


def mfcc(samples: ArrayLike, rate: int, length: int, hop: int, bands: int = 40, coefficients: int = 13) -> Array:
    """Mel-frequency cepstral coefficients: the first of the cosine transform of :func:`log_mel`.

    c(k) = s(k) Σ_b log_mel(b) cos(π k (b + ½) / bands), with s(0) = √(1 / bands) and s(k) = √(2 / bands).

    Davis and Mermelstein (1980). Returns (frames, coefficients).
    """
    from scipy.fft import dct

    if not 1 <= coefficients <= bands:
        raise ConfigurationError(
            "there are as many cepstral coefficients as bands", given=coefficients, expected=f"from 1 to {bands}"
        )
    return np.asarray(dct(log_mel(samples, rate, length, hop, bands), type=2, norm="ortho", axis=1)[:, :coefficients])
