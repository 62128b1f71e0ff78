"""A folder of images, recordings or texts by class, or a column of texts -> what a training needs.

Examples are read into memory here, or, where they are too many for that, when training needs them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from chainrule.data import image_files, sound_files, text_files
from chainrule.data.dataset import Dataset, Preprocessing, labelled_rows
from chainrule.data.encoders import Encoder, ImageEncoder, Represented, SoundEncoder, TextEncoder
from chainrule.data.examples import Examples
from chainrule.data.folders import Where, is_of
from chainrule.data.splitting import Rows, split
from chainrule.data.tables import as_table, column_of, quoted, read_table
from chainrule.data.targets import LabelCodes, Target, TargetScaler
from chainrule.data.task import Task, resolve_task
from chainrule.errors import ConfigurationError, DataError

READERS = {"images": image_files, "sounds": sound_files, "text": text_files}


def prepare_folder(
    folder: Where,
    *,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    rate: int | None = None,
    seconds: float | None = None,
    features: sound_files.Features = "log_mel",
    tokens: str = "words",
    represented: Represented = "bag",
    validation: float = 0.2,
    test: float = 0.2,
    seed: int = 0,
    skip_broken: bool = False,
) -> Dataset:
    """Read a folder with a subfolder for each class, split it, learn from the training examples.

    Args:
        folder: of images, recordings or text files, a subfolder for each class.
        size, channels: of images, as in :func:`chainrule.data.images`.
        rate, seconds, features: of recordings, as in :func:`chainrule.data.sounds`.
        tokens, represented: of texts, as in :class:`~chainrule.data.encoders.TextEncoder`.
        validation, test: shares of the examples, each with the classes in equal shares.
        seed: the same seed gives the same split.
        skip_broken: leave out files that cannot be read.

    Errors: a folder without such files, or with files of several kinds; fewer than two classes;
    what reading them finds.
    """
    kind = kind_of_folder(folder)
    if kind == "images":
        found = image_files.images(folder, size, channels=channels, skip_broken=skip_broken)
    elif kind == "sounds":
        found = sound_files.sounds(folder, rate=rate, seconds=seconds, features=features, skip_broken=skip_broken)
    else:
        found = text_files.texts(folder, skip_broken=skip_broken)
    labels = _classes(found, Path(folder))
    parts = split(len(found), validation, test, seed, stratify=labels)
    training = found.select(parts.train)
    encoder: Encoder
    if kind == "images":
        encoder = ImageEncoder.fit(training.items, found.notes)
    elif kind == "sounds":
        encoder = SoundEncoder.fit(training.items, found.notes)
    else:
        encoder = TextEncoder.fit("text", list(training.items), tokens, represented)
    codec = LabelCodes("class", found.classes, "String")
    task: Task = "binary" if len(found.classes) == 2 else "categorical"
    inputs = [encoder.of(found.select(rows).items) for rows in (parts.train, parts.validation, parts.test)]
    targets = [labels[rows] for rows in (parts.train, parts.validation, parts.test)]
    notes = (*found.notes, *parts.notes)
    return _dataset(Preprocessing(task, encoder, codec), inputs, targets, notes, training.files)


def prepare_text(
    table: Any,
    text: str,
    target: str,
    *,
    task: str | None = None,
    tokens: str = "words",
    represented: Represented = "bag",
    most: int | None = 5_000,
    length: int | None = None,
    missing: Literal["error", "empty", "drop"] = "error",
    validation: float = 0.2,
    test: float = 0.2,
    seed: int = 0,
    centre: bool = True,
) -> Dataset:
    """Split a table, learn the tokens of one of its columns from the training rows, encode all parts.

    Args:
        table: rows and columns, anything that :func:`as_table` takes.
        text, target: names of the column to read and of the column to predict; others are not used.
        task: as in :func:`prepare`.
        tokens: ``"words"``, ``"characters"`` or ``"subwords"``.
        represented: ``"bag"`` or ``"sequence"``.
        most: so many different tokens, the most frequent.
        length: of a sequence; by default that of the longest training text.
        missing: a row without a text is an ``"error"``, its text ``"empty"``, or the row is left out of the training:
            ``"drop"``; to predict, every row needs its text then.
        validation, test, seed, centre: as in :func:`prepare`.

    Errors: as of :func:`prepare`; a column without texts, or with missing ones.

    >>> notes = {"note": ["good day", "bad day"] * 10, "kind": ["nice", "not"] * 10}
    >>> data = prepare_text(notes, text="note", target="kind")
    >>> data.encoder.features, data.X_train.shape, data.classes
    (('bad', 'day', 'good'), (12, 3), ('nice', 'not'))
    """
    whole = as_table(table)
    column = column_of(whole, target, "target")
    inputs = column_of(whole, text, "text")
    if text == target:
        raise ConfigurationError("text and target are one column", given=f"'{text}'", expected="two columns")
    found = resolve_task(column, task)
    rows, notes = labelled_rows(column)
    if missing not in ("error", "empty", "drop"):
        raise ConfigurationError(
            "rows without a text are an error, empty texts, or dropped",
            given=repr(missing),
            expected="'error', 'empty' or 'drop'",
        )
    kept = rows if missing != "drop" else rows[inputs.is_not_null().to_numpy()[rows]]
    if len(kept) < len(rows):
        notes.append(f"left out {len(rows) - len(kept):,} of {len(rows):,} rows: their text '{text}' is missing")
    rows = kept
    texts = np.array(text_files.texts_of(inputs, "error" if missing == "error" else "empty"), dtype=object)
    labels = None if found == "regression" else LabelCodes.fit(column)
    stratify = None if labels is None else labels.encode(column, rows)
    parts = split(len(rows), validation, test, seed, stratify=stratify)
    places = [rows[part] for part in (parts.train, parts.validation, parts.test)]
    codec: Target = labels or TargetScaler.fit(column, places[0], centre)
    later: Literal["error", "empty"] = "empty" if missing == "empty" else "error"
    encoder = TextEncoder.fit(
        text, list(texts[places[0]]), tokens, represented, most=most, length=length, missing=later
    )
    unused = [name for name in whole.columns if name not in (text, target)]
    if unused:
        notes.append(f"not used beside the text: {quoted(unused, 5)}")
    remarks: list[str] = []
    encoded = [encoder.transform(texts[part], remarks) for part in places]
    targets = [codec.encode(column, part) for part in places]
    return _dataset(Preprocessing(found, encoder, codec), encoded, targets, (*notes, *parts.notes, *remarks), places[0])


def kind_of_folder(folder: Where) -> str:
    """``"images"``, ``"sounds"`` or ``"text"``: what a folder and its subfolders hold."""
    place = Path(folder)
    if not place.is_dir():
        raise DataError(f"there is no folder {place}", given=f"'{place}'", expected="a folder with files by class")
    kinds = [kind for kind, reader in READERS.items() if is_of(place, reader.ENDINGS)]
    if len(kinds) == 1 or kinds == ["images", "text"] or kinds == ["sounds", "text"]:
        return kinds[0]  # a README beside images or recordings does not make them texts
    raise DataError(
        f"{place} holds " + (" and ".join(kinds) if kinds else "no images, recordings or texts"),
        given=quoted(sorted(f.name for f in place.iterdir()), 5) or "an empty folder",
        expected="a subfolder for each class, with images, recordings or texts in it",
    )


def read_source(encoder: Any, path: Where) -> Any:
    """What an encoder transforms, of a file or folder: a table, or the path of images, recordings or texts."""
    kind = getattr(encoder, "kind", "table")
    files = kind in ("images", "sounds") or (kind != "table" and Path(path).is_dir())
    return path if files else read_table(path, texts=_column(encoder))


def _column(encoder: Any) -> tuple[str, ...]:
    return (encoder.column,) if isinstance(encoder, TextEncoder) else ()


def _classes(found: Examples, folder: Path) -> Rows:
    if found.labels is None or len(found.classes) < 2:
        raise DataError(
            f"{folder} has {'one class' if found.classes else 'no classes'}: there is nothing to learn",
            given=f"the folder {quoted(list(found.classes))}" if found.classes else "files without a folder of a class",
            expected="a subfolder for each of at least two classes",
        )
    counts = np.bincount(found.labels)
    if counts.min() < 2:
        few = [name for name, count in zip(found.classes, counts, strict=True) if count < 2]
        raise DataError(
            f"{len(few)} of {len(counts)} classes have a single example",
            given=quoted(few, 5),
            expected="at least two examples of every class",
        )
    return found.labels


def _dataset(
    preprocessing: Preprocessing,
    inputs: list[Any],
    targets: list[Any],
    notes: tuple[str, ...],
    training: Rows | tuple[Path, ...],
) -> Dataset:
    (x, x_valid, x_test), (y, y_valid, y_test) = inputs, targets
    return Dataset(preprocessing, x, y, x_valid, y_valid, x_test, y_test, notes, training)
