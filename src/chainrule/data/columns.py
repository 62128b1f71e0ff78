"""A column of texts -> a typed column: numbers, truth values, ISO dates, or the texts themselves.

Numbers may be written ``1234.5`` or ``1e-3``, with grouped thousands ``1,234.5``, or, in a file whose
separator is not the comma, as ``1.234,5``. A column of codes with leading zeros and one common length
(``02134``) is text. Truth values are ``true`` and ``false`` in any case; ``yes`` and ``no`` stay texts here,
so that a class keeps its name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from chainrule.errors import DataError

NULL_MARKERS = ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "None", "?", "-")
"""Cells, blanks around them cut, that stand for a missing value."""

FEW_ROWS = 10
NEARLY_ALL = 0.95

_PLAIN = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^[+-]?(?i:inf|infinity)$"
_COMMA_GROUPS = r"^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$"
_DECIMAL_COMMA = r"^[+-]?(\d{1,3}(\.\d{3})+|\d+)(,\d+)?$"
_CODE = r"^0\d+$"
_DATE_FORMATS = (
    (r"^\d{4}-\d{2}-\d{2}$", "%Y-%m-%d"),
    (r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}$", "%Y-%m-%d %H:%M"),
    (r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}$", "%Y-%m-%dT%H:%M"),
    (r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}(\.\d+)?$", "%Y-%m-%d %H:%M:%S%.f"),
    (r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?$", "%Y-%m-%dT%H:%M:%S%.f"),
)


@dataclass(frozen=True)
class NumberFormat:
    """How a file writes numbers: the pattern of a cell, and what turns it into one that a machine reads."""

    pattern: str
    plain: Callable[[pl.Series], pl.Series]


PLAIN = NumberFormat(_PLAIN, lambda s: s)
COMMA_GROUPS = NumberFormat(f"{_PLAIN}|{_COMMA_GROUPS}", lambda s: s.str.replace_all(",", "", literal=True))
DECIMAL_COMMA = NumberFormat(
    _DECIMAL_COMMA, lambda s: s.str.replace_all(".", "", literal=True).str.replace_all(",", ".", literal=True)
)


def place(row: int) -> str:
    """The place of row `row`, counted from 0, as a person with the file looks for it.

    >>> place(3)
    'row 4 (line 5 of a file with a header line)'
    """
    return f"row {row + 1} (line {row + 2} of a file with a header line)"


def clean(table: pl.DataFrame) -> pl.DataFrame:
    """The texts without blanks around them, null where they are a null marker.

    >>> clean(pl.DataFrame({"a": [" 1 ", "NA", "?"]}))["a"].to_list()
    ['1', None, None]
    """
    stripped = table.select(pl.all().str.strip_chars())
    return stripped.select(pl.when(~pl.all().is_in(NULL_MARKERS)).then(pl.all()))


def plain_numbers(table: pl.DataFrame) -> dict[str, pl.Series]:
    """The columns of numbers in plain writing, by name: what :func:`typed` gives, for all columns in one go.

    >>> plain_numbers(pl.DataFrame({"a": ["1", "2"], "b": ["x", "2"], "c": ["1.5", None]}))["c"].to_list()
    [1.5, None]
    """
    plain = table.select(pl.all().str.contains(_PLAIN).all() & pl.all().is_not_null().any()).row(0)
    codes = table.select(pl.all().str.contains(_CODE).any()).row(0)
    names = [name for name, p, c in zip(table.columns, plain, codes, strict=True) if p and not c]
    texts = table.select(pl.col(names).str.strip_prefix("+"))
    integers = texts.cast(pl.Int64, strict=False)
    floats = texts.cast(pl.Float64, strict=False)
    whole = [a == b for a, b in zip(integers.null_count().row(0), texts.null_count().row(0), strict=True)]
    return {name: (integers if is_whole else floats)[name] for name, is_whole in zip(names, whole, strict=True)}


def typed(column: pl.Series, decimal_comma: bool = False, line_of: Callable[[int], int] | None = None) -> pl.Series:
    """The cleaned texts as Int64, Float64, Boolean, Date or Datetime if they all are; else as they are.

    Args:
        column: texts, shape (m,), as :func:`clean` leaves them.
        decimal_comma: read ``1.234,5`` rather than ``1,234.5``.
        line_of: line in the file where a row counted from 0 begins, for messages; by default row + 2.

    Raises:
        DataError: at least ten cells, nearly all of them (95 %) numbers, but some text among them.

    >>> typed(pl.Series(["1", "2", None])).to_list()
    [1, 2, None]
    >>> typed(pl.Series(["1,5", "1.002,25"]), decimal_comma=True).to_list()
    [1.5, 1002.25]
    >>> typed(pl.Series(["02134", "10001"])).to_list()
    ['02134', '10001']
    """
    present = column.drop_nulls()
    if present.is_empty():
        return column
    for number_format in (DECIMAL_COMMA, PLAIN) if decimal_comma else (PLAIN, COMMA_GROUPS):
        if present.str.contains(number_format.pattern).all():
            return _codes_or_numbers(column, present, number_format)
    _refuse_stray_text(column, decimal_comma, line_of)
    for read in (_truth_values, _dates):
        result = read(column, present)
        if result is not None:
            return result
    return column


def wants_decimal_comma(column: pl.Series, separator: str = ";") -> bool:
    """Whether nearly all cells are numbers if the comma is the decimal sign, and else are not.

    ``1,234`` can be read both ways: it is 1.234 if the separator is a semicolon, as spreadsheets write it
    where the comma is the decimal sign, and 1234 otherwise.

    >>> wants_decimal_comma(pl.Series(["1,5", "2"])), wants_decimal_comma(pl.Series(["1.5", "2"]))
    (True, False)
    """
    present = column.drop_nulls()
    if present.is_empty() or not present.str.contains(",", literal=True).any():
        return False
    both_ways = _share(present, COMMA_GROUPS) == 1 and separator != ";"
    return _share(present, DECIMAL_COMMA) >= NEARLY_ALL and not both_ways


def _share(present: pl.Series, number_format: NumberFormat) -> float:
    return int(present.str.contains(number_format.pattern).sum()) / len(present)


def _codes_or_numbers(column: pl.Series, present: pl.Series, number_format: NumberFormat) -> pl.Series:
    if present.str.contains(_CODE).any() and present.str.len_chars().n_unique() == 1:
        return column
    plain = number_format.plain(column).str.strip_prefix("+")
    integers = plain.cast(pl.Int64, strict=False)
    if integers.null_count() == column.null_count():
        return integers
    return plain.cast(pl.Float64, strict=False)


def _refuse_stray_text(column: pl.Series, decimal_comma: bool, line_of: Callable[[int], int] | None) -> None:
    number_format = DECIMAL_COMMA if decimal_comma else COMMA_GROUPS
    stray = ~column.str.contains(number_format.pattern)
    cells, strays = len(column) - column.null_count(), int(stray.sum())
    if cells < FEW_ROWS or strays > max(1, (1 - NEARLY_ALL) * cells):
        return
    row = stray.arg_true()[0]
    line = line_of(row) if line_of else row + 2
    raise DataError(
        f"the column '{column.name}' holds numbers, but text in line {line} (row {row + 1}): '{column[row]}'",
        given=f"{cells - strays} numbers and {strays} other cell{'s' if strays > 1 else ''}",
        expected="numbers in every row, or a column that is text throughout",
        hint="correct that cell, or leave it empty if its value is unknown (so are read: NA, ?, - ...)",
        where=f"line {line}, column '{column.name}' (the header is line 1)",
    )


def _truth_values(column: pl.Series, present: pl.Series) -> pl.Series | None:
    if not present.str.contains("^(?i:true|false)$").all():
        return None
    return column.str.to_lowercase() == "true"


def _dates(column: pl.Series, present: pl.Series) -> pl.Series | None:
    for pattern, date_format in _DATE_FORMATS:
        if not present.str.contains(pattern).all():
            continue
        has_time = "%H" in date_format
        dates = column.str.to_datetime(date_format, strict=False, time_unit="us")
        if dates.null_count() == column.null_count():
            return dates if has_time else dates.cast(pl.Date)
    return None
