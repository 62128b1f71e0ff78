"""Recordings from folders or files -> arrays: the wave itself, or what is heard of it over time.

WAV files are read by SciPy, FLAC, OGG and the other kinds by the package soundfile where it is installed.
"""

from __future__ import annotations

import threading
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import gcd
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from chainrule.data import spectra
from chainrule.data.examples import Examples
from chainrule.data.folders import Where, files_of, named
from chainrule.data.lazy import Lazy
from chainrule.errors import ConfigurationError, DataError

Wave = NDArray[np.float32]
Features = Literal["wave", "spectrogram", "log_mel", "mfcc"]

FEATURES = ("wave", "spectrogram", "log_mel", "mfcc")
WAV = (".wav",)
ENDINGS = (*WAV, ".flac", ".ogg", ".aiff", ".aif", ".mp3")
LONGEST = 10_000_000
"""Samples of one example."""
_QUIETLY = threading.Lock()  # the list of warning filters is one for all threads


@dataclass(frozen=True)
class SoundFormat:
    """What every recording becomes.

    Attributes:
        rate: samples per second.
        samples: length of the recording; shorter ones get silence behind them.
        features: ``"wave"``; ``"spectrogram"`` (the logarithm of its power); ``"log_mel"``; ``"mfcc"``.
        frame, hop: seconds of a frame, and from one frame to the next.
        bands: mel bands.
        coefficients: of ``"mfcc"``.
    """

    rate: int
    samples: int
    features: Features = "log_mel"
    frame: float = 0.025
    hop: float = 0.01
    bands: int = 40
    coefficients: int = 13

    def __post_init__(self) -> None:
        if self.features not in FEATURES:
            raise ConfigurationError("unknown features of a recording", given=self.features, expected=FEATURES)
        if self.rate < 1 or not 1 <= self.samples <= LONGEST or self.hop_samples < 1:
            raise ConfigurationError(
                "this is no format of recordings",
                given=f"{self.rate} Hz, {self.samples} samples, a frame every {self.hop} s",
                expected=f"a rate above 0, up to {LONGEST:,} samples, and a hop of at least one sample",
            )
        if self.features != "wave" and self.samples < self.frame_samples:
            raise ConfigurationError(
                "the recordings are shorter than a frame",
                given=f"{self.samples} samples, frames of {self.frame_samples}",
                hint="make them longer, or take frames of fewer seconds",
            )

    @property
    def frame_samples(self) -> int:
        """Samples of a frame."""
        return round(self.frame * self.rate)

    @property
    def hop_samples(self) -> int:
        """Samples from one frame to the next."""
        return round(self.hop * self.rate)

    @property
    def shape(self) -> tuple[int, ...]:
        """(samples,) of a wave, else (frames, features)."""
        if self.features == "wave":
            return (self.samples,)
        count = 1 + (self.samples - self.frame_samples) // self.hop_samples
        width = {"spectrogram": self.frame_samples // 2 + 1, "log_mel": self.bands, "mfcc": self.coefficients}
        return count, width[self.features]

    def of(self, wave: Wave) -> NDArray[np.float32]:
        """What a recording of this rate becomes; silence is put behind it, or its end is cut off."""
        x = np.zeros(self.samples, np.float32)
        x[: min(len(wave), self.samples)] = wave[: self.samples]
        if self.features == "wave":
            return x
        length, hop = self.frame_samples, self.hop_samples
        if self.features == "spectrogram":
            found = np.log(np.maximum(spectra.spectrogram(x, length, hop), spectra.FLOOR))
        elif self.features == "log_mel":
            found = spectra.log_mel(x, self.rate, length, hop, self.bands)
        else:
            found = spectra.mfcc(x, self.rate, length, hop, self.bands, self.coefficients)
        return found.astype(np.float32)


@dataclass(frozen=True, eq=False)
class Sounds(Lazy):
    """Recordings as an array, (m, samples) or (m, frames, features), float32, each read when needed."""

    files: tuple[Path, ...]
    format: SoundFormat

    @property
    def shape(self) -> tuple[int, ...]:
        """(m, samples) of waves, else (m, frames, features)."""
        return len(self.files), *self.format.shape

    def read(self, row: int) -> NDArray[np.float32]:
        """One recording in this format; one of another rate is brought to it."""
        rate, wave = read_sound(self.files[row])
        return self.format.of(resampled(wave, rate, self.format.rate))

    def select(self, rows: NDArray[np.int64]) -> Sounds:
        """Some of them, unread."""
        return Sounds(tuple(self.files[i] for i in rows), self.format)

    def having(self, **changes: Any) -> Sounds:
        """The same recordings in another format: ``recordings.having(features="mfcc")``."""
        return Sounds(self.files, replace(self.format, **changes))


def sounds(
    source: Where | Iterable[Where],
    *,
    rate: int | None = None,
    seconds: float | None = None,
    features: Features = "log_mel",
    frame: float = 0.025,
    hop: float = 0.01,
    bands: int = 40,
    coefficients: int = 13,
    skip_broken: bool = False,
) -> Examples:
    """Recordings as examples: from a folder with a subfolder for each class, or from files.

    Args:
        source: a folder, or files: WAV, and with the package soundfile FLAC, OGG, AIFF, MP3.
        rate: samples per second that every recording is brought to; by default all have to have one rate.
        seconds: the length that every recording is brought to: silence is put behind shorter ones, the end of longer
            ones is cut off (and their number noted); by default that of the longest.
        features: ``"wave"``, ``"spectrogram"``, ``"log_mel"`` or ``"mfcc"``; see :mod:`chainrule.data.spectra`.
        frame, hop: seconds of a frame, and from one to the next.
        bands: mel bands.
        coefficients: of ``"mfcc"``.
        skip_broken: leave out files that are empty or cannot be read.

    Returns:
        :class:`~chainrule.data.examples.Examples`; its items are (m, frames, features), for waves (m, samples),
        float32, read when they are needed. Several channels are averaged.

    Errors: no recordings; rates that differ where no `rate` is given; files that are broken or hold no sound, all
    named and counted.
    """
    files, codes, classes = files_of(source, ENDINGS, "recordings")
    if other := next((f for f in files if f.suffix.lower() not in WAV), None):
        _soundfile(other)  # that it is missing is not to be told as a broken file
    heads, bad, reason = _heads(files)
    if bad and (not skip_broken or len(bad) == len(files)):
        raise DataError(
            f"{named(bad, len(files), 'recordings')} cannot be read",
            given=reason,
            expected="files with sound in them",
            hint="replace them, or leave them out: skip_broken=True (--skip-broken)",
        )
    notes = [f"left out {named(bad, len(files), 'recordings')}: {reason}"] if bad else []
    kept = np.array([f in heads for f in files])
    common = _rate([r for r, _ in heads.values()], rate)
    others = sum(r != common for r, _ in heads.values())
    if others:
        notes.append(f"brought {others:,} of {len(heads):,} recordings of another rate to {common:,} Hz")
    lengths = np.array([-(-n * common // r) for r, n in heads.values()])
    samples = int(lengths.max()) if seconds is None else _samples(seconds, common)
    longer = int((lengths > samples).sum())
    if longer:
        notes.append(f"cut {longer:,} of {len(lengths):,} recordings off at {seconds:g} s")
    form = SoundFormat(common, samples, features, frame, hop, bands, coefficients)
    if features in ("log_mel", "mfcc"):
        spectra.mel_filters(bands, form.frame_samples, common)  # refused now rather than when the first is read
    labels, files = None if codes is None else codes[kept], tuple(heads)
    return Examples(Sounds(files, form), labels, classes, notes=tuple(notes), files=files)


def read_sound(file: Path) -> tuple[int, Wave]:
    """Rate and samples of a recording, float32 from −1 to 1, shape (n,), channels averaged.

    Errors: a file that is no recording, or one without a sample.
    """
    rate, samples = _opened(file)
    wave = samples.astype(np.float32)
    if samples.dtype == np.uint8:
        wave = (wave - 128) / np.float32(128)
    elif samples.dtype.kind == "i":
        wave = wave / np.float32(-float(np.iinfo(samples.dtype).min))
    return rate, np.asarray(wave.mean(axis=1) if wave.ndim == 2 else wave, dtype=np.float32)


def resampled(wave: Wave, rate: int, wanted: int) -> Wave:
    """A recording at another rate, shape (⌈n wanted / rate⌉,), frequencies above half of it removed.

    SciPy's ``resample_poly``: a low-pass filter between stuffing with zeros and dropping samples.

    >>> resampled(np.zeros(8, np.float32), 16000, 8000).shape
    (4,)
    """
    if rate == wanted:
        return wave
    from scipy.signal import resample_poly

    common = gcd(rate, wanted)
    return np.asarray(resample_poly(wave, wanted // common, rate // common), dtype=np.float32)


def _opened(file: Path, head: bool = False) -> tuple[int, NDArray[Any]]:
    """Rate and samples, (n,) or (n, channels), of the file's own type; for `head` only their number matters."""
    try:
        if file.suffix.lower() not in WAV:
            soundfile = _soundfile(file)
            info = soundfile.info(file)
            samples = np.broadcast_to(np.float32(0), info.frames) if head else soundfile.read(file, dtype="float32")[0]
            rate = info.samplerate
        else:
            rate, samples = _read_wav(file, head)
    except (OSError, ValueError, RuntimeError, EOFError, Warning) as error:  # RuntimeError: soundfile's own
        raise DataError(
            f"{file} cannot be read as a recording", given=str(error).splitlines()[0], expected="a whole sound file"
        ) from None
    if len(samples) == 0:
        raise DataError(f"{file} cannot be read as a recording", given="it holds no sound: 0 samples")
    return rate, samples


def _read_wav(file: Path, head: bool) -> tuple[int, NDArray[Any]]:
    from scipy.io import wavfile

    with _QUIETLY, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Chunk .*not understood", wavfile.WavFileWarning)
        warnings.filterwarnings("error", "Reached EOF", wavfile.WavFileWarning)
        try:
            found: tuple[int, NDArray[Any]] = wavfile.read(file, mmap=head)
        except ValueError:
            if not head:
                raise
            found = wavfile.read(file)  # of 24 bits, or empty: what cannot be mapped
        return found


def _soundfile(file: Path) -> Any:
    try:
        import soundfile
    except (ImportError, OSError):  # OSError: its library of C is missing
        raise DataError(
            f"{file.name}: for {file.suffix} files the package soundfile is needed",
            given="no module soundfile",
            expected="WAV files, or the package",
            hint="pip install 'chainrule[sound]'",
        ) from None
    return soundfile


def _heads(files: tuple[Path, ...]) -> tuple[dict[Path, tuple[int, int]], list[Path], str]:
    """Rate and number of samples of every file that can be read; those that cannot, and why the first cannot."""
    heads: dict[Path, tuple[int, int]] = {}
    bad, reason = [], ""
    for file in files:
        try:
            rate, samples = _opened(file, head=True)
            heads[file] = rate, len(samples)
        except DataError as error:
            reason = reason or str(error.given)
            bad.append(file)
    return heads, bad, reason


def _rate(rates: list[int], wanted: int | None) -> int:
    counts = Counter(rates).most_common()
    if wanted is not None:
        if wanted < 1:
            raise ConfigurationError("this is no rate", given=wanted, expected="samples per second, such as 16000")
        return wanted
    if len(counts) > 1:
        raise DataError(
            f"the recordings have {len(counts)} different rates",
            given=", ".join(f"{r:,} Hz ({count:,})" for r, count in counts[:5]),
            expected="one rate",
            hint=f"bring them to one: rate={counts[0][0]} (--rate {counts[0][0]})",
        )
    return counts[0][0]


def _samples(seconds: float, rate: int) -> int:
    samples = round(seconds * rate)
    if samples < 1:
        raise ConfigurationError("a recording has a length", given=f"{seconds} s", expected="seconds above 0")
    return samples
