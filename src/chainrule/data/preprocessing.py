"""The columns of a table -> a matrix of numbers for a network; learned from the training rows only.

| a column of | becomes |
|---|---|
| numbers | the number, missing ones the training median, standardised to mean 0 and standard deviation 1 |
| truth values | 0 or 1, missing ones the more frequent |
| dates | year, month, weekday, day of the year, hour: each treated as a number; constant ones left out |
| categories | one column of 0 and 1 for each frequent value, one for all others together |
| zip codes | the same: whole numbers in a column of that name are categories; and any column that is named as such |

A number, truth value or date that is missing somewhere in the training rows also gets a column ``... is
missing`` of 0 and 1; for a category, missing is a value like others. Left out, each with a note: columns that
are constant, missing throughout, or as good as unique (row numbers, identifiers, free text).
"""

from __future__ import annotations

import math
import os
import re
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from chainrule.data import kinds
from chainrule.data.columns import place
from chainrule.data.splitting import Rows
from chainrule.data.storage import read_json, read_parts, write_json, write_parts
from chainrule.data.tables import check_finite, column_of, quoted
from chainrule.errors import DataError, RunError, near

Matrix = NDArray[np.float32]

MOST_CATEGORIES = 50  # of one column; rarer ones count as other
MOST_CATEGORY_FEATURES = 20_000  # of all columns together
FREQUENT_SHARE = 0.005  # a value in fewer training rows than this share counts as other
UNIQUE_SHARE = 0.9  # texts with more different values than this share of the rows are identifiers or free text
FEWEST_ROWS_FOR_UNIQUE = 20
FREE_TEXT = "are identifiers or free text"
ROW_NUMBER_NAME = re.compile(r"(^|[_ .])(id|index|idx|rownames?|row|nr|no)$|^unnamed|^column \d+$", re.IGNORECASE)
CODE_NAME = re.compile(r"(zip|postal|post|pin)[_ .-]?code$|(^|[_ .-])(zip|plz)$", re.IGNORECASE)
DESCRIPTION = "preprocessing.json"
PARTS = "preprocessing.skops"


@dataclass(frozen=True)
class Column:
    """A column that is used: its kind, and for dates its format if it is text and the parts that vary."""

    name: str
    kind: kinds.Kind
    text_format: str | None = None
    date_parts: tuple[str, ...] = ()


@dataclass
class Blocks:
    """The used columns as arrays: numbers and truths float64 with NaN (m, k), categories texts (m, k)."""

    numbers: NDArray[np.float64]
    truths: NDArray[np.float64]
    categories: NDArray[np.object_]


@dataclass
class TableEncoder:
    """Table -> float32 matrix, learned from the training rows; see the module for what becomes of a column.

    After :meth:`fit`: ``columns`` (used), ``features`` (names of the matrix's columns), ``notes`` (what was
    left out or grouped, and why).

    >>> table = pl.DataFrame({"size": [10, 20, None, 30], "town": ["A", "B", "A", "B"], "country": ["X"] * 4})
    >>> encoder = TableEncoder().fit(table)
    >>> encoder.features
    ['size', 'size is missing', 'town=A', 'town=B']
    >>> encoder.transform(table)[:2].round(2).tolist()
    [[-1.409999966621399, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
    >>> encoder.notes
    ["left out 'country': it has the same value, 'X', in all training rows"]
    """

    columns: tuple[Column, ...] = ()
    features: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    parts: dict[str, Any] = field(default_factory=dict, repr=False)

    def fit(self, table: pl.DataFrame, rows: Rows | None = None, categories: Sequence[str] = ()) -> TableEncoder:
        """Learn from the training rows of a table without the target; returns self.

        Args:
            table: m rows; all of them tell the kind of a column (numbers, dates ...).
            rows: those to learn everything else from, shape (k,); None means all.
            categories: columns whose values are names, whatever they look like: numbers that count nothing.

        Raises:
            DataError: no such column; infinities (column and row are named); no column that can be used.
        """
        self.notes = []
        training = table if rows is None else table[rows]
        for name in categories:
            column_of(table, name, "category")
        self.columns = self._choose(table, training, set(categories))
        if not self.columns:
            raise DataError(
                "no column is left to learn from",
                given="\n            ".join(self.notes) or "a table without columns beside the target",
                expected="at least one column of numbers, categories, truth values or dates that varies",
                hint="texts are learned from by themselves: text='COLUMN' (--text COLUMN)"
                if any(note.endswith(FREE_TEXT) for note in self.notes)
                else None,
            )
        blocks = self._blocks(training)
        self.parts = self._fit_parts(blocks)
        self.features = self._feature_names()
        return self

    def transform(self, table: pl.DataFrame, remarks: list[str] | None = None) -> Matrix:
        """The matrix of a table's rows, float32 of shape (m, number of features).

        Columns that were not used in training are ignored. A category that was not seen in training counts as
        other, or as none of the known ones; `remarks` then receives a line naming column, values and number
        of rows.

        Raises:
            DataError: missing columns (all are named), a value that is not of the column's kind (its row is
                named),
                infinities.
        """
        self._check_columns(table)
        if table.height == 0:
            return np.empty((0, len(self.features)), dtype=np.float32)
        blocks = self._blocks(table)
        if remarks is not None:
            remarks.extend(self._unknown(blocks.categories))
        pieces: list[NDArray[Any]] = []
        with warnings.catch_warnings():  # of unknown categories, which _unknown tells better
            warnings.simplefilter("ignore", UserWarning)
            for name, block in self._inputs(blocks):
                pieces.append(np.asarray(self.parts[name].transform(block), dtype=np.float64))
        x = np.concatenate(pieces, axis=1)
        too_large = np.argwhere(np.abs(x) > np.finfo(np.float32).max)
        if len(too_large):
            row, feature = too_large[0]
            raise DataError(
                f"'{self.features[feature]}' is too far from what was seen in training, in {place(int(row))}",
                given=f"{x[row, feature]:.3g} standard deviations from the mean",
                expected="a number that fits into float32 after standardising",
            )
        return x.astype(np.float32)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write ``preprocessing.json`` (readable) and ``preprocessing.skops`` (scikit-learn parts)."""
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        checksum = write_parts(target / PARTS, self.parts)
        content = {"columns": [asdict(column) for column in self.columns], "features": self.features}
        write_json(
            target / DESCRIPTION,
            {**content, "notes": self.notes, "parts": {"file": PARTS, "sha256": checksum}},
        )

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> TableEncoder:
        """Read what :meth:`save` wrote, executing no code; RunError naming a missing or altered file."""
        source = Path(folder)
        content = read_json(source / DESCRIPTION)
        try:
            columns = tuple(
                Column(c["name"], c["kind"], c["text_format"], tuple(c["date_parts"])) for c in content["columns"]
            )
            features, notes, checksum = content["features"], content["notes"], content["parts"]["sha256"]
        except (KeyError, TypeError) as error:
            raise RunError(f"{source / DESCRIPTION} is incomplete", given=f"no {error}") from error
        return cls(columns, features, notes, read_parts(source / PARTS, checksum))

    # fitting, step by step

    def _choose(self, table: pl.DataFrame, training: pl.DataFrame, categories: set[str]) -> tuple[Column, ...]:
        chosen = []
        for column in table.get_columns():
            check_finite(column)
            named = column.name in categories and kinds.kind_of(column) is not None
            reason = _useless(training[column.name].cast(pl.String) if named else training[column.name])
            if reason:
                self.notes.append(f"left out '{column.name}': {reason}")
                continue
            kind = kinds.kind_of(column)
            if kind is None:
                self.notes.append(f"left out '{column.name}': its type {column.dtype} is none that a network reads")
            elif named:
                chosen.append(Column(column.name, "category"))
            elif kind == "date":
                chosen.append(self._date_column(column, training[column.name]))
            elif _is_code(training[column.name]):
                self.notes.append(f"'{column.name}': its numbers are read as categories, for they are named like codes")
                chosen.append(Column(column.name, "category"))
            else:
                chosen.append(Column(column.name, kind))
        return tuple(chosen)

    def _date_column(self, column: pl.Series, training: pl.Series) -> Column:
        text_format = kinds.date_format(column) if column.dtype == pl.String else None
        if text_format and "%d/%m" in text_format and kinds.fits(column, text_format.replace("%d/%m", "%m/%d")):
            self.notes.append(f"'{column.name}': dates such as {column.drop_nulls()[0]} are read as day/month/year")
        parts = kinds.date_features(kinds.as_dates(training, text_format))
        varying = tuple(name for name, values in parts.items() if values.drop_nulls().n_unique() > 1)
        return Column(column.name, "date", text_format, varying)

    def _blocks(self, table: pl.DataFrame) -> Blocks:
        numbers: list[pl.Series] = []
        truths: list[pl.Series] = []
        categories: list[pl.Series] = []
        for used in self.columns:
            column = table[used.name]
            if used.kind == "number":
                values = kinds.as_numbers(column).alias(used.name)
                check_finite(values)
                numbers.append(values)
            elif used.kind == "date":
                dates = kinds.date_features(kinds.as_dates(column, used.text_format).alias(used.name))
                numbers.extend(dates[part] for part in used.date_parts)
            elif used.kind == "boolean":
                truths.append(kinds.as_booleans(column))
            else:
                categories.append(kinds.as_categories(column))
        return Blocks(
            _stack(numbers, table.height),
            _stack(truths, table.height),
            _stack_texts(categories, table.height),
        )

    def _fit_parts(self, blocks: Blocks) -> dict[str, Any]:
        from sklearn.impute import MissingIndicator, SimpleImputer
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder, StandardScaler

        rows, width = blocks.categories.shape
        frequent = _fewest_rows(rows)
        most = min(MOST_CATEGORIES, max(2, MOST_CATEGORY_FEATURES // max(width, 1)))
        parts = {
            "numbers": make_pipeline(SimpleImputer(strategy="median"), StandardScaler()),
            "truths": SimpleImputer(strategy="most_frequent"),
            "missing": MissingIndicator(features="missing-only", error_on_new=False),
            "categories": OneHotEncoder(
                min_frequency=frequent,
                max_categories=most,
                handle_unknown="infrequent_if_exist",
                sparse_output=False,
                dtype=np.float32,
            ),
        }
        fitted = {name: parts[name].fit(block) for name, block in self._inputs(blocks, parts)}
        grouped = [
            name
            for name, rare in zip(self._names("category"), _infrequent(fitted.get("categories")), strict=True)
            if len(rare) > 1
        ]
        if grouped:
            self.notes.append(f"rare values count as (other) in these columns: {quoted(grouped, 5)}")
        return fitted

    def _inputs(self, blocks: Blocks, parts: dict[str, Any] | None = None) -> list[tuple[str, NDArray[Any]]]:
        """Part name and its input, in the order of the features; parts without a column are left out."""
        inputs: list[tuple[str, NDArray[Any]]] = [("numbers", blocks.numbers), ("truths", blocks.truths)]
        gaps = np.concatenate([blocks.numbers, blocks.truths], axis=1)
        if parts is None or np.isnan(gaps).any():
            inputs.append(("missing", gaps))
        inputs.append(("categories", blocks.categories))
        known = self.parts if parts is None else parts
        return [(name, block) for name, block in inputs if block.shape[1] and name in known]

    def _feature_names(self) -> list[str]:
        numbers = [
            name for used in self.columns if used.kind in ("number", "date") for name in used.date_parts or (used.name,)
        ]
        truths = self._names("boolean")
        names = numbers + truths
        if "missing" in self.parts:
            names += [f"{(numbers + truths)[i]} is missing" for i in self.parts["missing"].features_]
        encoder: Any = self.parts.get("categories")
        for i, name in enumerate(self._names("category")):
            others = set(_infrequent(encoder)[i])
            names += [f"{name}={value}" for value in encoder.categories_[i] if value not in others]
            names += [f"{name}=(other)"] if others else []
        return names

    def _names(self, kind: kinds.Kind) -> list[str]:
        return [column.name for column in self.columns if column.kind == kind]

    # using what was fitted

    def _check_columns(self, table: pl.DataFrame) -> None:
        if not self.columns:
            raise DataError("the encoder has not learned anything yet", expected="a call of fit before transform")
        known = set(table.columns)
        absent = [column.name for column in self.columns if column.name not in known]
        if not absent:
            return
        unused = [name for name in table.columns if name not in {column.name for column in self.columns}]
        guesses = [f"'{name}': {guess}" for name in absent[:5] if (guess := near(name, unused, count=1))]
        raise DataError(
            f"{len(absent)} column{'s are' if len(absent) > 1 else ' is'} missing: {quoted(absent, most=20)}",
            given=f"a table with the columns {quoted(table.columns)}",
            expected="all columns that the network was trained on; others are ignored",
            hint="; ".join(guesses) or "add the columns; leave the cells empty where a value is unknown",
        )

    def _unknown(self, categories: NDArray[np.object_]) -> list[str]:
        remarks = []
        for i, name in enumerate(self._names("category")):
            values, counts = np.unique(categories[:, i].astype(str), return_counts=True)
            unseen = ~np.isin(values, self.parts["categories"].categories_[i].astype(str))
            if unseen.any():
                rows = int(counts[unseen].sum())
                remarks.append(
                    f"'{name}': {quoted(values[unseen].tolist(), most=5)} never seen in training "
                    f"({rows:,} row{'s' if rows > 1 else ''})"
                )
        return remarks


def _useless(column: pl.Series) -> str | None:
    """Why nothing can be learned from a column, None if something can."""
    present = column.drop_nulls()
    if present.is_empty():
        return "it is missing in all training rows"
    if present.dtype.is_nested() or present.dtype in (pl.Binary, pl.Object):
        return None
    distinct = present.n_unique()
    if distinct == 1 and len(present) == len(column):
        return f"it has the same value, {present[0]!r}, in all training rows"
    if present.dtype.is_integer() and distinct == len(column) and ROW_NUMBER_NAME.search(column.name):
        return "it is different in every row and named like a row number"
    if kinds.kind_of(present) != "category":
        return None
    if len(present) >= FEWEST_ROWS_FOR_UNIQUE and distinct > UNIQUE_SHARE * len(present):
        return f"{distinct:,} different texts in {len(present):,} rows {FREE_TEXT}"
    most = int(kinds.as_categories(column).value_counts()["count"].to_numpy().max())
    if most < _fewest_rows(len(column)):
        return f"none of its {distinct:,} texts is in {_fewest_rows(len(column))} training rows"
    return None


def _is_code(column: pl.Series) -> bool:
    """Whole numbers that count nothing: a zip code is a place. One that hardly ever repeats stays a number."""
    if not column.dtype.is_integer() or not CODE_NAME.search(column.name):
        return False
    return int(column.drop_nulls().value_counts()["count"].to_numpy().max()) >= _fewest_rows(len(column))


def _fewest_rows(rows: int) -> int:
    """Training rows that a category must be in, not to count as other."""
    return max(2, math.ceil(FREQUENT_SHARE * rows))


def _infrequent(encoder: Any) -> list[list[str]]:
    """The rare values of each category column; none without an encoder."""
    found = [] if encoder is None else encoder.infrequent_categories_
    return [[] if values is None else list(values) for values in found]


def _stack(columns: list[pl.Series], rows: int) -> NDArray[np.float64]:
    block = np.empty((rows, len(columns)), dtype=np.float64)
    for i, column in enumerate(columns):
        block[:, i] = column.to_numpy()
    return block


def _stack_texts(columns: list[pl.Series], rows: int) -> NDArray[np.object_]:
    block = np.empty((rows, len(columns)), dtype=object)
    for i, column in enumerate(columns):
        block[:, i] = column.to_list()
    return block
