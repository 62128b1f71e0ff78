"""What there is to predict, found from the target column: a number, one of two classes, one of N classes."""

from __future__ import annotations

from typing import Literal, get_args

import polars as pl

from chainrule.data.columns import place
from chainrule.data.kinds import date_format
from chainrule.data.tables import check_finite
from chainrule.errors import ConfigurationError, DataError, near

Task = Literal["regression", "binary", "categorical"]

MOST_INTEGER_CLASSES = 20
IDENTIFIER_SHARE = 0.5
FEWEST_ROWS_FOR_SHARE = 20


def infer_task(column: pl.Series) -> Task:
    """The task that a target column asks for: ``"regression"``, ``"binary"`` or ``"categorical"``.

    | the values present | task |
    |---|---|
    | numbers, some with a fraction | regression |
    | whole numbers, at most 20 different ones and each at least twice | classes |
    | other whole numbers | regression |
    | texts, truth values | classes |

    Two classes are ``"binary"``, more are ``"categorical"``. Missing values (of m rows) do not count.

    Raises:
        DataError: nothing but missing values; a single value; dates; infinities (the row is named); texts
            more
            than half of which are different, as identifiers are (below 20 rows: all).

    >>> infer_task(pl.Series("price", [1.5, 2.0, 3.25]))
    'regression'
    >>> infer_task(pl.Series("species", ["a", "b", "c", "a", "b"]))
    'categorical'
    >>> infer_task(pl.Series("sold", [0, 1, 1, 0]))
    'binary'
    """
    present = check_target(column)
    classes = present.n_unique()
    if present.dtype.is_numeric() and not _counts_as_classes(present):
        return "regression"
    return "binary" if classes == 2 else "categorical"


def resolve_task(column: pl.Series, task: str | None) -> Task:
    """The task the user names, if the column allows it, or the inferred one for None.

    >>> resolve_task(pl.Series("rooms", [1, 2, 3, 1, 2, 3]), "regression")
    'regression'
    """
    if task is None:
        return infer_task(column)
    if task not in get_args(Task):
        raise ConfigurationError(
            f"there is no task '{task}'",
            given=f"task='{task}'",
            expected="one of " + ", ".join(f"'{t}'" for t in get_args(Task)),
            hint=near(task, get_args(Task)),
        )
    present = check_target(column)
    if task == "regression" and not present.dtype.is_numeric() and present.dtype != pl.Boolean:
        raise DataError(
            f"the target '{column.name}' holds no numbers",
            given=f"task='regression' and values such as {present[0]!r}",
            expected="numbers",
            hint="leave the task out to predict classes",
        )
    classes = present.n_unique()
    if task == "binary" and classes != 2:
        raise DataError(
            f"the target '{column.name}' does not have two classes",
            given=f"task='binary' and {classes} different values",
            expected="two different values",
            hint="use task='categorical' (--task categorical)",
        )
    return task  # type: ignore[return-value]  # checked against get_args above


def check_target(column: pl.Series) -> pl.Series:
    """The values that are present in a target column, if one can learn to predict them; else DataError.

    >>> check_target(pl.Series("y", [1, 1, None]))
    Traceback (most recent call last):
    chainrule.errors.DataError: the target 'y' has a single value, 1: there is nothing to learn
      given:    1 in all 2 rows that have a value
      expected: at least two different values
    """
    check_finite(column)
    present = column.drop_nulls()
    name = column.name
    if present.is_empty():
        raise DataError(
            f"the target '{name}' is missing in all rows",
            given=f"{len(column)} missing values",
            expected="a column with values",
        )
    if present.dtype.is_nested() or present.dtype in (pl.Binary, pl.Object):
        raise DataError(
            f"the target '{name}' is neither number nor class",
            given=str(present.dtype),
            expected="one number, text or truth value per row",
        )
    if present.dtype.is_temporal() or (present.dtype == pl.String and date_format(present)):
        raise DataError(
            f"the target '{name}' holds dates or times",
            given=f"{present[0]}, ...",
            expected="numbers or classes",
            hint="predict a number of days from a fixed day, or a class such as the month",
        )
    distinct = present.n_unique()
    if distinct == 1:
        raise DataError(
            f"the target '{name}' has a single value, {present[0]!r}: there is nothing to learn",
            given=f"{present[0]!r} in all {len(present):,} rows that have a value",
            expected="at least two different values",
        )
    share = IDENTIFIER_SHARE if len(present) >= FEWEST_ROWS_FOR_SHARE else 0.99
    if not present.dtype.is_numeric() and distinct > 2 and distinct > share * len(present):
        raise DataError(
            f"the target '{name}' looks like an identifier or free text",
            given=f"{distinct:,} different texts in {len(present):,} rows, such as {present[0]!r}",
            expected="classes that occur in many rows each, or numbers",
            hint="choose another target" + _stray_number_hint(column),
        )
    return present


def _stray_number_hint(column: pl.Series) -> str:
    """For a column of texts that are mostly numbers: where the first text stands."""
    numbers = column.cast(pl.String).cast(pl.Float64, strict=False)
    if numbers.null_count() > len(column) / 2:
        return ""
    row = (numbers.is_null() & column.is_not_null()).arg_true()
    return f"; or, if it should be numbers, correct {column[row[0]]!r} in {place(row[0])}" if len(row) else ""


def _counts_as_classes(present: pl.Series) -> bool:
    if present.dtype.is_float() or present.dtype.is_decimal():
        numbers = present.cast(pl.Float64)
        if (numbers != numbers.round()).any():
            return False
    if present.n_unique() > MOST_INTEGER_CLASSES:
        return False
    counts = present.value_counts()["count"]
    return bool(counts.min() >= 2)  # type: ignore[operator]  # the minimum of a count
