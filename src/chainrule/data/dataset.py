"""A table and the name of its target -> what a training needs: matrices, targets, and how they were made."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from chainrule.data.encoders import Encoder, load_encoder
from chainrule.data.lazy import Lazy
from chainrule.data.metrics import probabilities
from chainrule.data.preprocessing import Matrix, TableEncoder
from chainrule.data.splitting import Rows, split
from chainrule.data.storage import read_json, write_json
from chainrule.data.tables import as_table, column_of
from chainrule.data.targets import LabelCodes, Target, TargetScaler, target_from_json
from chainrule.data.task import Task, resolve_task
from chainrule.errors import ConfigurationError, DataError, RunError

Targets = NDArray[np.float32] | NDArray[np.int64]
Inputs = NDArray[np.float32] | NDArray[np.int32] | Lazy

TARGET_FILE = "target.json"


@dataclass(frozen=True)
class Preprocessing:
    """What was learned from the training table and predicting needs: task, encoder, target."""

    task: Task
    encoder: TableEncoder | Encoder
    target: Target

    @property
    def classes(self) -> tuple[Any, ...]:
        """The class labels in the order of their codes; empty for regression."""
        return self.target.classes if isinstance(self.target, LabelCodes) else ()

    def decide(self, outputs: ArrayLike) -> pl.DataFrame:
        """A network's outputs as a table: the prediction in its own unit, or label and probabilities.

        Outputs: standardised values (m, 1); or probabilities (m, k), for two classes also P(class 1), (m, 1).
        """
        name = self.target.name
        if isinstance(self.target, TargetScaler):
            return pl.DataFrame({name: self.target.decode(outputs)})
        p = probabilities(outputs, len(self.classes))
        labels = self.target.decode(p.argmax(axis=1))
        columns = [pl.Series(f"P({name}={label})", p[:, i]) for i, label in enumerate(self.classes)]
        return pl.DataFrame([labels, *columns])

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the encoder's files and ``target.json`` into a folder."""
        self.encoder.save(folder)
        write_json(Path(folder) / TARGET_FILE, {"task": self.task, "target": self.target.to_json()})

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Preprocessing:
        """Read what :meth:`save` wrote; RunError naming a file that is missing, altered or newer."""
        file = Path(folder) / TARGET_FILE
        content = read_json(file)
        if content.get("task") not in get_args(Task) or not isinstance(content.get("target"), dict):
            raise RunError(f"{file} is incomplete", given=f"{content}", expected="a task and a target")
        return cls(content["task"], load_encoder(folder), target_from_json(content["target"]))


@dataclass(frozen=True)
class Dataset:
    """Inputs; targets (m, 1) float32 standardised, or codes (m,) int64; remarks; what the training inputs were made of.

    Inputs are matrices (m, d) float32 of a table, (m, height, width, channels) of images, (m, frames, features) of
    recordings, (m, tokens) or numbers of tokens (m, length) int32 of texts; where they are too many for memory they are
    read when they are needed. `training` says what each of `X_train` was made of: a row of the table, or a file.
    """

    preprocessing: Preprocessing
    X_train: Inputs
    y_train: Targets
    X_validation: Inputs
    y_validation: Targets
    X_test: Inputs
    y_test: Targets
    notes: tuple[str, ...]
    training: Rows | tuple[Path, ...] = ()

    @property
    def task(self) -> Task:
        """``"regression"``, ``"binary"`` or ``"categorical"``."""
        return self.preprocessing.task

    @property
    def encoder(self) -> TableEncoder | Encoder:
        """Source -> inputs."""
        return self.preprocessing.encoder

    @property
    def target(self) -> Target:
        """Target column <-> targets."""
        return self.preprocessing.target

    @property
    def classes(self) -> tuple[Any, ...]:
        """The class labels in the order of their codes; empty for regression."""
        return self.preprocessing.classes


def prepare(
    table: Any,
    target: str,
    task: str | None = None,
    validation: float = 0.2,
    test: float = 0.2,
    seed: int = 0,
    validation_table: Any = None,
    centre: bool = True,
    categories: Sequence[str] = (),
) -> Dataset:
    """Split a table, learn the preprocessing from its training rows, and apply it to all parts.

    Args:
        table: rows and columns, anything that :func:`as_table` takes.
        target: name of the column to predict.
        task: ``"regression"``, ``"binary"`` or ``"categorical"``; None finds out (:func:`infer_task`).
        validation: share of the rows to validate on; of no effect with a `validation_table`.
        test: share of the rows to test on.
        seed: the same seed gives the same split.
        validation_table: rows to validate on, with the same columns.
        centre: numbers to predict get the mean 0; False keeps their sign, as counts need it.
        categories: columns of numbers that count nothing, such as codes of districts.

    Raises:
        DataError: see :func:`infer_task`, :func:`split` and :class:`TableEncoder`.

    >>> data = prepare({"size": [30, 45, 60, 75, 90], "rent": [410.5, 500, 710, 810.5, 990]}, "rent", test=0)
    >>> data.task, data.X_train.shape, data.y_train.shape, data.X_validation.shape
    ('regression', (4, 1), (4, 1), (1, 1))
    """
    whole = as_table(table)
    column = column_of(whole, target, "target")
    found = resolve_task(column, task)
    rows, notes = labelled_rows(column)
    labels = None if found == "regression" else LabelCodes.fit(column)
    parts = split(
        len(rows),
        0 if validation_table is not None else validation,
        test,
        seed,
        stratify=None if labels is None else labels.encode(column, rows),
    )
    train, valid, tested = rows[parts.train], rows[parts.validation], rows[parts.test]
    codec = labels or TargetScaler.fit(column, train, centre)
    inputs = whole.drop(target)
    if target in categories:
        raise ConfigurationError(
            "the column to predict is no category to predict from",
            given=f"'{target}'",
            hint="numbers to predict as classes: task='categorical' (--task categorical)",
        )
    encoder = TableEncoder().fit(inputs, train, categories)
    remarks: list[str] = []
    x = encoder.transform(inputs, remarks)
    notes += [*parts.notes, *encoder.notes]
    if remarks:
        notes.append(f"values in held-out rows only, in columns: {len(remarks)}; such as {remarks[0]}")
    x_valid, y_valid = x[valid], codec.encode(column, valid)
    if validation_table is not None:
        try:
            x_valid, y_valid, remarks = _own_validation(as_table(validation_table), encoder, codec)
        except DataError as error:
            raise error.within("the validation table") from None
        notes += remarks
    return Dataset(
        Preprocessing(found, encoder, codec),
        X_train=x[train],
        y_train=codec.encode(column, train),
        X_validation=x_valid,
        y_validation=y_valid,
        X_test=x[tested],
        y_test=codec.encode(column, tested),
        notes=tuple(notes),
        training=train,
    )


def _own_validation(table: pl.DataFrame, encoder: TableEncoder, codec: Target) -> tuple[Matrix, Targets, list[str]]:
    column = column_of(table, codec.name, "target")
    rows, remarks = labelled_rows(column)
    x = encoder.transform(table, remarks)[rows]
    if len(rows) == 0:
        raise DataError(
            "no row with a target",
            given=f"{table.height:,} rows without '{codec.name}'",
            expected="at least one row to validate on",
        )
    return x, codec.encode(column, rows), [f"validation table: {remark}" for remark in remarks]


def labelled_rows(column: pl.Series) -> tuple[Rows, list[str]]:
    """The rows that have a target, and a note on how many have none."""
    rows = column.is_not_null().arg_true().to_numpy().astype(np.int64)
    missing = column.null_count()
    if not missing:
        return rows, []
    return rows, [f"left out {missing:,} of {len(column):,} rows: their target '{column.name}' is missing"]
