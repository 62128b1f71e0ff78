"""The target column <-> what a network is trained on: standardised numbers, or the codes of classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from chainrule.data.columns import place
from chainrule.data.kinds import as_categories, as_numbers
from chainrule.data.splitting import Rows
from chainrule.data.tables import check_finite, quoted
from chainrule.errors import DataError, RunError, near

DTYPES = {"Int64": pl.Int64, "Float64": pl.Float64, "Boolean": pl.Boolean, "String": pl.String}


@dataclass(frozen=True)
class TargetScaler:
    """Numbers standardised with the mean and standard deviation of the training rows: (y - mean) / scale.

    >>> scaler = TargetScaler.fit(pl.Series("price", [100.0, 200.0, 300.0]))
    >>> scaler.encode(pl.Series("price", [200.0])).tolist()
    [[0.0]]
    >>> scaler.decode([[0.0], [1.0]]).round(2).tolist()
    [200.0, 281.65]
    """

    name: str
    mean: float
    scale: float

    @classmethod
    def fit(cls, column: pl.Series, rows: Rows | None = None, centre: bool = True) -> TargetScaler:
        """Learn mean and standard deviation (divided by m, as StandardScaler) of the `rows` (None: all).

        Without `centre` the mean counts as 0: what is not negative stays so, as counts have to.
        """
        y = _finite_numbers(column, rows)
        return cls(column.name, float(y.mean()) if centre else 0.0, float(y.std()) or 1.0)

    def encode(self, column: pl.Series, rows: Rows | None = None) -> NDArray[np.float32]:
        """Standardised values of the column's `rows` (None: all), float32 of shape (m, 1)."""
        return ((_finite_numbers(column, rows) - self.mean) / self.scale).astype(np.float32)[:, None]

    def decode(self, outputs: ArrayLike) -> NDArray[np.float64]:
        """Values in the column's own unit, float64 of shape (m,), of outputs of shape (m, 1) or (m,)."""
        return np.asarray(outputs, dtype=np.float64).reshape(-1) * self.scale + self.mean

    def to_json(self) -> dict[str, Any]:
        """What :func:`target_from_json` reads."""
        return {"kind": "number", "name": self.name, "mean": self.mean, "scale": self.scale}


@dataclass(frozen=True)
class LabelCodes:
    """Classes as integers: the code of a class is its place among the sorted classes.

    >>> codes = LabelCodes.fit(pl.Series("species", ["cat", "dog", "cat"]))
    >>> codes.encode(pl.Series("species", ["dog", "cat"])).tolist()
    [1, 0]
    >>> codes.decode([0, 1, 1]).to_list()
    ['cat', 'dog', 'dog']
    >>> codes.encode(pl.Series("species", ["cow"]))
    Traceback (most recent call last):
    chainrule.errors.DataError: the class 'cow' of 'species' was never seen in training
      given:    'cow' in row 1 (line 2 of a file with a header line)
      expected: one of 'cat', 'dog'
    """

    name: str
    classes: tuple[Any, ...]
    dtype: str

    @classmethod
    def fit(cls, column: pl.Series) -> LabelCodes:
        """Learn the classes, in ascending order; of their own type: texts, numbers or truth values."""
        present = _as_labels(column.drop_nulls(), None)
        return cls(column.name, tuple(present.unique().sort().to_list()), str(present.dtype))

    def encode(self, column: pl.Series, rows: Rows | None = None) -> NDArray[np.int64]:
        """Codes of the column's `rows` (None: all), int64 of shape (m,); DataError for an unknown class."""
        picked = column if rows is None else column[rows]
        labels = _as_labels(picked, self.dtype)
        codes = labels.replace_strict(
            pl.Series(self.classes, dtype=DTYPES[self.dtype]),
            pl.Series(range(len(self.classes)), dtype=pl.Int64),
            default=None,
            return_dtype=pl.Int64,
        )
        unknown = codes.is_null().arg_true()
        if len(unknown):
            row = int(unknown[0])
            raise self._unseen(picked[row], row if rows is None else int(rows[row]))
        return codes.to_numpy().astype(np.int64)

    def decode(self, codes: ArrayLike) -> pl.Series:
        """Labels of their own type, of codes of shape (m,)."""
        labels = pl.Series(self.name, self.classes, dtype=DTYPES[self.dtype])
        return labels[np.asarray(codes, dtype=np.int64).reshape(-1)]

    def to_json(self) -> dict[str, Any]:
        """What :func:`target_from_json` reads."""
        return {"kind": "class", "name": self.name, "classes": list(self.classes), "dtype": self.dtype}

    def _unseen(self, value: Any, row: int) -> DataError:
        known = [str(label) for label in self.classes]
        what = f"the class {value!r} of '{self.name}' was never seen in training"
        return DataError(
            what if value is not None else f"the target '{self.name}' is missing in {place(row)}",
            given=f"{value!r} in {place(row)}" if value is not None else "a missing value",
            expected=f"one of {quoted(known)}",
            hint=near(str(value), known) if value is not None else "leave out rows without a target",
        )


Target = TargetScaler | LabelCodes


def target_from_json(content: dict[str, Any]) -> Target:
    """The scaler or the codes that ``to_json`` described; RunError for anything else.

    >>> target_from_json(TargetScaler("price", 10.0, 2.0).to_json())
    TargetScaler(name='price', mean=10.0, scale=2.0)
    """
    try:
        if content["kind"] == "number":
            return TargetScaler(str(content["name"]), float(content["mean"]), float(content["scale"]))
        if content["kind"] == "class" and content["dtype"] in DTYPES:
            return LabelCodes(str(content["name"]), tuple(content["classes"]), content["dtype"])
    except (KeyError, TypeError, ValueError) as error:
        raise RunError("the description of a target is incomplete", given=f"{content}", expected=str(error)) from error
    raise RunError("the description of a target is not known", given=f"{content}", expected="a number or a class")


def _finite_numbers(column: pl.Series, rows: Rows | None = None) -> NDArray[np.float64]:
    numbers = as_numbers(column).fill_nan(None).alias(column.name)
    check_finite(numbers)
    if rows is not None:
        numbers = numbers[rows]
    missing = numbers.is_null().arg_true()
    if len(missing):
        row = int(missing[0] if rows is None else rows[missing[0]])
        raise DataError(
            f"the target '{column.name}' is missing in {place(row)}",
            given=f"{len(missing):,} missing values",
            expected="a number in every row",
            hint="leave out rows without a target",
        )
    return np.asarray(numbers.to_numpy(), dtype=np.float64)


def _as_labels(column: pl.Series, dtype: str | None) -> pl.Series:
    """Labels in one of the types of DTYPES: the given one, or for None the nearest to what the column has."""
    if dtype is None:
        if column.dtype == pl.Boolean:
            dtype = "Boolean"
        elif column.dtype.is_numeric():
            numbers = column.cast(pl.Float64)
            dtype = "Int64" if (numbers == numbers.round()).all() else "Float64"
        else:
            dtype = "String"
    if dtype == "String":
        texts: pl.Series = as_categories(column).set(column.is_null(), None)
        return texts
    if dtype == "Boolean" and column.dtype == pl.String:
        return (column.str.to_lowercase() == "true").set(~column.str.contains("^(?i:true|false)$"), None)
    if dtype == "Int64" and column.dtype.is_float():  # 1.5 is no class, rather than the class 1
        column = column.set((column != column.round()).fill_null(False), None)
    return column.cast(DTYPES[dtype], strict=False)
