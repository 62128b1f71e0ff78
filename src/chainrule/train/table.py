"""From a table or a folder to a trained network: preprocessing, network, training, a linear model beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from chainrule import data
from chainrule.errors import ConfigurationError, DataError, RunError
from chainrule.nn import (
    LOSSES,
    Conv1D,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalMaxPool1D,
    Layer,
    Loss,
    MaxPool1D,
    MaxPool2D,
    Sequential,
)
from chainrule.nn import loss as loss_by_name
from chainrule.train.checkpoint_files import TRAINING, place_for, read_training
from chainrule.train.checkpoints import Checkpoints, as_checkpoints, check_data, fingerprint
from chainrule.train.files import load, place_of
from chainrule.train.fit import fit
from chainrule.train.rate_test import find_learning_rate
from chainrule.train.run import Run
from chainrule.train.trainer import EarlyStopping

Array = np.ndarray[Any, Any]
PREPROCESSING = "preprocessing"
"""The subfolder of a run that says how a table becomes numbers."""
OWN_LOSS = {
    "regression": "squared_error",
    "binary": "binary_cross_entropy",
    "categorical": "categorical_cross_entropy",
}
LABELS = {
    "regression": ("number", "count"),
    "binary": ("binary", "classes", "distribution", "number"),
    "categorical": ("classes", "distribution", "number"),
}
"""The kinds of labels that the losses of a task may take. Hinge is none: it gives no probabilities."""


@dataclass(frozen=True)
class TableRun:
    """A network trained on a table, or on a folder of images, recordings or texts.

    Attributes:
        run: the trained network.
        preprocessing: how a table or a folder becomes numbers, and outputs become predictions.
        rows: how many rows each part has: training, validation, test.
        scores: metrics on the held-out test rows: of the network, and of a plain linear model.
        notes: what was done with columns, rows and files.
    """

    run: Run
    preprocessing: Any
    rows: Mapping[str, int]
    scores: Mapping[str, Mapping[str, float]]
    notes: tuple[str, ...] = ()

    @property
    def task(self) -> str:
        """``"regression"``, ``"binary"`` or ``"categorical"``."""
        return str(self.preprocessing.task)

    def save(self, folder: str | Path) -> Path:
        """Write run and preprocessing to a folder, all or nothing."""
        return self.run.save(folder, also={PREPROCESSING: self.preprocessing.save})

    def predict(self, table: Any, remarks: list[str] | None = None) -> Any:
        """A table of predictions, and for classes of probabilities, one row for each row of ``table``.

        For a network of images, recordings or text files ``table`` is a folder, a file, or a list of files, and the
        first column names the file.
        """
        encoder = self.preprocessing.encoder
        found = self.preprocessing.decide(self.run.predict(encoder.transform(table, remarks)))
        keys = encoder.keys(table) if hasattr(encoder, "keys") else None
        return found if keys is None else keys.hstack(found)

    def trace(self, table: Any, row: int) -> Any:
        """Forward and backward of one row of a table, counted from 1; see :func:`chainrule.trace`.

        Errors: a row that the table has not; a target that is missing in it, or a class never seen.
        """
        if isinstance(table, (str, Path)):
            raise ConfigurationError(
                "a trace of one row needs a table",
                given=f"'{table}'",
                expected="a network that was trained on a table",
                hint="run.trace(X, Y) of the run inside traces any arrays",
            )
        table, target = data.as_table(table), self.preprocessing.target
        if not 1 <= row <= table.height:
            raise DataError("there is no such row", given=row, expected=f"a row from 1 to {table.height:,}")
        if target.name not in table.columns:
            raise DataError(
                f"the table has no column '{target.name}', the label that derivatives begin at",
                given=", ".join(table.columns[:8]) + (" …" if table.width > 8 else ""),
                hint="a table with the target, such as the one it was trained on",
            )
        one = table[row - 1 : row]
        label = labels_for(self.task, self.preprocessing.classes, self.run.step.loss, target.encode(one[target.name]))
        return self.run.trace(self.preprocessing.encoder.transform(one), label)


def fit_table(
    table: Any,
    target: str,
    *,
    text: str | None = None,
    missing: Literal["error", "empty", "drop"] = "error",
    categories: Sequence[str] = (),
    task: str | None = None,
    layers: Sequence[int] = (64, 32),
    activation: Any = "relu",
    loss: Any = None,
    optimizer: Any = "adam",
    learning_rate: Any = None,
    epochs: int = 300,
    batch_size: int | None = 32,
    patience: int = 20,
    validation_table: Any = None,
    test: float = 0.2,
    seed: int = 0,
    progress: bool | None = None,
    checkpoints: Any = None,
) -> TableRun:
    """Train a network to predict one column of a table from the others.

    Args:
        table: anything that has rows and named columns: Polars, pandas, Arrow, a mapping of lists.
        target: the column to predict.
        text: a column of texts to predict it from, alone; by default all other columns are used, none as text.
        missing: a row without a text is an ``"error"``, an ``"empty"`` text, or left out of the training: ``"drop"``.
        categories: columns whose numbers count nothing, such as codes of districts: each value is a category.
        task: ``"regression"``, ``"binary"`` or ``"categorical"``; found from the column by default.
        layers: units of the hidden layers.
        activation: of the hidden layers, by name; one, or one for each layer.
        loss: by name or as a function; squared error for numbers, cross-entropy for classes by default. Poisson's
            is for counts. Losses of numbers compare probabilities with one-hot rows where there are classes.
        optimizer, learning_rate, epochs, batch_size, seed: as in :func:`chainrule.fit`; the learning rate may be
            ``"auto"``: see :func:`chainrule.find_learning_rate`.
        patience: stop after so many epochs in which the validation loss was not better.
        validation_table: rows to validate on; by default a fifth of the table's.
        test: the share of rows that is held out to measure on.
        progress, checkpoints: as in :func:`chainrule.fit`.

    Errors: :class:`DataError` where the table cannot be used, naming column and row.
    """
    return _train(
        table_dataset(
            table,
            target,
            text=text,
            missing=missing,
            categories=categories,
            task=task,
            loss=loss,
            validation_table=validation_table,
            test=test,
            seed=seed,
        ),
        layers=layers,
        activation=activation,
        loss=loss,
        optimizer=optimizer,
        learning_rate=learning_rate,
        epochs=epochs,
        batch_size=batch_size,
        patience=patience,
        seed=seed,
        progress=progress,
        checkpoints=checkpoints,
    )


def table_dataset(
    table: Any,
    target: str,
    *,
    text: str | None = None,
    missing: Literal["error", "empty", "drop"] = "error",
    categories: Sequence[str] = (),
    task: str | None = None,
    loss: Any = None,
    validation_table: Any = None,
    test: float = 0.2,
    seed: int = 0,
) -> Any:
    """The arrays that :func:`fit_table` trains on; the same settings give the same arrays."""
    counts = loss is not None and loss_by_name(loss).labels == "count"
    if text is None and missing != "error":
        raise ConfigurationError(
            "missing is for texts; in other columns an empty cell is no error",
            given=f"missing={missing!r}",
            hint="text='COLUMN' (--text COLUMN)",
        )
    if text is None:
        return data.prepare(
            table,
            target,
            task=task,
            validation=0.2,
            test=test,
            seed=seed,
            validation_table=validation_table,
            centre=not counts,
            categories=categories,
        )
    if categories:
        raise ConfigurationError("a text is predicted from alone, without categories", given=f"text='{text}'")
    if validation_table is None:
        return data.prepare_text(
            table, text, target, task=task, missing=missing, test=test, seed=seed, centre=not counts
        )
    raise ConfigurationError("a table to validate on is for tables without a text", given=f"text='{text}'")


def fit_folder(
    folder: str | Path,
    *,
    size: tuple[int, int] | None = None,
    rate: int | None = None,
    seconds: float | None = None,
    skip_broken: bool = False,
    layers: Sequence[int] = (64, 32),
    activation: Any = "relu",
    loss: Any = None,
    optimizer: Any = "adam",
    learning_rate: Any = None,
    epochs: int = 300,
    batch_size: int | None = 32,
    patience: int = 20,
    test: float = 0.2,
    seed: int = 0,
    progress: bool | None = None,
    checkpoints: Any = None,
) -> TableRun:
    """Train a network to tell the classes of images, recordings or texts: a subfolder for each class.

    Args:
        folder: its subfolders are the classes; all files of one kind.
        size: (height, width) that every image is brought to; by default all have to be of one size.
        rate: samples per second that every recording is brought to; by default all have to have one rate.
        seconds: the length that every recording is brought to; by default that of the longest.
        skip_broken: leave out files that cannot be read.
        layers, activation, loss, optimizer, learning_rate, epochs, batch_size, patience, test, seed, progress,
            checkpoints: as in :func:`chainrule.fit_table`.

    Files are read once and kept in memory, or, where they are too many for that, in every epoch anew, ahead of the
    computation. They are dealt out at random, every class in equal shares: what belongs together, such as the
    recordings of one voice, may lie in several parts, and the scores are then those for voices that were heard.

    Errors: :class:`DataError` where the folder cannot be used, naming and counting files.
    """
    return _train(
        folder_dataset(folder, size=size, rate=rate, seconds=seconds, skip_broken=skip_broken, test=test, seed=seed),
        layers=layers,
        activation=activation,
        loss=loss,
        optimizer=optimizer,
        learning_rate=learning_rate,
        epochs=epochs,
        batch_size=batch_size,
        patience=patience,
        seed=seed,
        progress=progress,
        checkpoints=checkpoints,
    )


def folder_dataset(folder: str | Path, **settings: Any) -> Any:
    """The arrays that :func:`fit_folder` trains on; the same settings give the same arrays."""
    return data.prepare_folder(folder, **settings)


def labelled(dataset: Any, loss: Any) -> tuple[Any, Array, tuple[Any, Array], Loss]:
    """What a network for a prepared data set is trained on: X, Y, what it is validated on, and the loss."""
    chosen = loss_for(dataset.task, loss)
    labels = partial(labels_for, dataset.task, dataset.classes, chosen)
    held_out = dataset.X_validation, labels(dataset.y_validation)
    return dataset.X_train, labels(dataset.y_train), held_out, chosen


def _train(
    dataset: Any, *, layers: Sequence[int], activation: Any, loss: Any, patience: int, **options: Any
) -> TableRun:
    """The network for a prepared data set, trained; ``options`` are those of :func:`fit`."""
    X, Y, held_out, chosen = labelled(dataset, loss)
    network = network_for(dataset, layers, activation, chosen)
    notes = list(dataset.notes)
    if options["learning_rate"] == "auto":
        about = {k: options[k] for k in ("optimizer", "batch_size")}
        found = find_learning_rate(network, X, Y, loss=chosen, **about)
        options["learning_rate"] = found.learning_rate
        notes.append(str(found))
    if options["checkpoints"] is not None:
        options["checkpoints"] = with_held_out(as_checkpoints(options["checkpoints"]), dataset)
    run = fit(
        network,
        X,
        Y,
        loss=chosen,
        validation_data=held_out,
        early_stopping=EarlyStopping(patience),
        watch=True,
        every=10,
        **options,
    )
    rows = {
        "training": len(dataset.X_train),
        "validation": len(dataset.X_validation),
        "test": len(dataset.X_test),
    }
    some = data.rows_to_learn_from(dataset.X_train)
    if some is not None:
        notes.append(f"the linear model learns from {len(some):,} of {rows['training']:,} training rows: memory")
    return TableRun(run, dataset.preprocessing, rows, _scores(run, dataset), tuple(notes))


def with_held_out(wanted: Checkpoints, dataset: Any) -> Checkpoints:
    """Checkpoints that tell what the rows are that a network is measured on, and are gone on with beside no others."""
    told = {"held-out X": fingerprint(dataset.X_test), "held-out Y": fingerprint(dataset.y_test)}
    place = place_for(wanted.folder)
    if wanted.resume and (place / TRAINING).exists():
        before = read_training(place)[0]["notes"].get("held out", told)
        check_data(before, told, Path(wanted.folder))
    return replace(wanted, notes={**wanted.notes, "held out": told})


def loss_for(task: str, loss: Any) -> Loss:
    """The loss a user names, if its labels are those of the task, or the task's own for None."""
    chosen = loss_by_name(OWN_LOSS[task] if loss is None else loss)
    if chosen.labels in (*LABELS[task], "any"):
        return chosen
    raise ConfigurationError(
        f"{chosen.name} is no loss for this target",
        given=f"{chosen.name} for {'numbers' if task == 'regression' else f'classes ({task})'}",
        expected=", ".join(name for name, known in LOSSES.items() if known.labels in LABELS[task]),
        hint=f"without a loss it is {OWN_LOSS[task]}",
    )


def labels_for(task: str, classes: Sequence[Any], loss: Loss, encoded: Array) -> Array:
    """Encoded targets as the loss takes them: numbers and class numbers as they are, or one-hot rows."""
    as_they_are = not len(classes) or loss.labels == "classes" or (task == "binary" and loss.labels != "distribution")
    return encoded if as_they_are else np.eye(len(classes), dtype=np.float32)[encoded]


def network_for(dataset: Any, layers: Sequence[int], activation: Any, loss: Loss) -> Sequential:
    """A network for a task: what reads images or recordings, hidden layers, then an output that fits it."""
    activations = (
        [activation] * len(layers) if isinstance(activation, str) or callable(activation) else list(activation)
    )
    if len(activations) != len(layers):
        raise ConfigurationError(
            "activations and hidden layers differ in number",
            given=f"{len(activations)} and {len(layers)}",
            expected="an activation for every hidden layer, or one for all",
        )
    hidden = [*readers(dataset.X_train.shape), *(Dense(units, g) for units, g in zip(layers, activations, strict=True))]
    if dataset.task == "regression":
        return Sequential(*hidden, Dense(1, "softplus" if loss.labels == "count" else "linear"))
    if dataset.task == "binary" and loss.labels not in ("classes", "distribution"):
        return Sequential(*hidden, Dense(1, "sigmoid"))
    return Sequential(*hidden, Dense(len(dataset.classes), "softmax"))


def readers(shape: Sequence[int]) -> list[Layer]:
    """The layers that make one row of numbers of an example.

    Of images (m, h, w, c): convolutions with ever more filters, each followed by a pooling that halves height and
    width, while there are 8 pixels or more. Of recordings (m, frames, bands): two convolutions over time, then the
    largest value of each filter, wherever in the recording it is. A table's rows are such rows already.
    """
    if len(shape) == 4:
        halvings = min(3, max(1, (min(shape[1:3]) // 4).bit_length() - 1))
        layers = [
            layer
            for k in range(halvings)
            for layer in (Conv2D(16 << k, 3, padding="same", activation="relu"), MaxPool2D(2))
        ]
        return [*layers, Flatten(), Dropout(0.3)]
    if len(shape) == 3:
        over_time = [Conv1D(64, 5, padding="same", activation="relu") for _ in range(2)]
        return [over_time[0], MaxPool1D(2), over_time[1], GlobalMaxPool1D(), Dropout(0.3)]
    return []


def _scores(run: Run, dataset: Any) -> dict[str, dict[str, float]]:
    if not len(dataset.X_test):
        return {}
    train, test = dataset.X_train, dataset.X_test
    linear = data.baseline(dataset.task, train, dataset.y_train, test, classes=len(dataset.classes) or None)[0]
    outputs = run.predict(dataset.X_test)
    if dataset.task == "regression":
        truth = dataset.target.decode(dataset.y_test)
        outputs, linear = dataset.target.decode(outputs), dataset.target.decode(linear)
    else:
        truth = dataset.y_test
    return {
        "network": data.report(dataset.task, truth, outputs, dataset.classes),
        "linear model": data.report(dataset.task, truth, linear, dataset.classes),
    }


def load_table(folder: str | Path) -> TableRun:
    """Read a run that was trained on a table, with its preprocessing."""
    run = load(folder)
    place = place_of(folder) / PREPROCESSING
    if not place.is_dir():
        raise RunError(
            "the run does not say how a table becomes numbers",
            given=f"{folder} without the folder {PREPROCESSING}",
            expected="a run that was trained on a table, by chainrule train",
            hint="a run of arrays predicts in Python: chainrule.load(folder).predict(X)",
        )
    preprocessing = data.Preprocessing.load(place)
    return TableRun(run, preprocessing, {}, {})
