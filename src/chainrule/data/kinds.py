"""What an input column is to a network (number, truth value, date, category), and the column read as that.

Text columns of two words that mean yes and no are truth values; text columns of days in one format are dates.
"""

from __future__ import annotations

from typing import Literal

import polars as pl

from chainrule.data.columns import place
from chainrule.errors import DataError

Kind = Literal["number", "boolean", "date", "category"]

TRUE_WORDS = {"yes": "no", "y": "n", "true": "false", "t": "f", "on": "off"}
_DAYS = ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y")
DATE_FORMATS = (
    *(day + time for time in ("", " %H:%M", " %H:%M:%S") for day in _DAYS),
    "%Y-%m-%dT%H:%M:%S%.f%#z",
)
DATE_LIKE = r"^(\d{4}[-./]\d{1,2}[-./]\d{1,2}|\d{1,2}[-./]\d{1,2}[-./]\d{4})"
MISSING = "(missing)"
EXPECTED = {
    "number": "numbers, as in the rows it was trained on",
    "boolean": "truth values (0 and 1, true and false, yes and no), as in the rows it was trained on",
    "date": "dates, as in the rows it was trained on",
}


def kind_of(column: pl.Series) -> Kind | None:
    """The kind of a column, None for lists, structs and binary data, with which a network cannot do anything.

    >>> [kind_of(pl.Series(v)) for v in ([1.5], [True], ["yes", "No"], ["24.12.2020"], ["red"], [[1]])]
    ['number', 'boolean', 'boolean', 'date', 'category', None]
    """
    dtype = column.dtype
    if dtype.is_numeric() or dtype in (pl.Duration, pl.Time):
        return "number"
    if dtype == pl.Boolean:
        return "boolean"
    if dtype.is_temporal():
        return "date"
    if dtype not in (pl.String, pl.Categorical, pl.Enum):
        return None
    texts = column.cast(pl.String).drop_nulls()
    if _truth_words(texts):
        return "boolean"
    return "date" if date_format(texts) else "category"


def date_format(texts: pl.Series) -> str | None:
    """The first of ``DATE_FORMATS`` that fits all texts, or None; day before month where both fit.

    >>> date_format(pl.Series(["12/31/2020", "01/02/2021"]))
    '%m/%d/%Y'
    """
    texts = texts.drop_nulls()
    if texts.is_empty() or not texts.str.contains(DATE_LIKE).all():
        return None
    for candidate in DATE_FORMATS:
        if fits(texts, candidate):
            return candidate
    return None


def fits(texts: pl.Series, text_format: str) -> bool:
    """Whether all texts are dates of that format.

    >>> fits(pl.Series(["13/02/2020"]), "%m/%d/%Y")
    False
    """
    return _parse_dates(texts, text_format).null_count() == texts.null_count()


def as_numbers(column: pl.Series) -> pl.Series:
    """The column as Float64, null (or NaN as before) where missing; DataError at the first other text.

    >>> as_numbers(pl.Series("size", ["3", None, "4.5"])).to_list()
    [3.0, None, 4.5]
    """
    if column.dtype == pl.Time:
        return column.cast(pl.Int64).cast(pl.Float64) / 3.6e12
    if column.dtype == pl.Duration:
        return column.dt.total_microseconds(fractional=False).cast(pl.Float64) / 1e6
    if column.dtype.is_temporal() or (kind_of(column) is None and column.dtype != pl.Null):
        raise changed(column, "number", 0)
    if column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.Null):
        return column.cast(pl.Float64)
    plain = column.cast(pl.String) if column.dtype in (pl.Categorical, pl.Enum) else column
    return _strict(column, plain.cast(pl.Float64, strict=False).fill_nan(None), "number")


def as_booleans(column: pl.Series) -> pl.Series:
    """The column as 0.0 and 1.0, null where missing; DataError naming the first row that is no truth value.

    >>> as_booleans(pl.Series("garden", ["Yes", None, "no"])).to_list()
    [1.0, None, 0.0]
    """
    if column.dtype == pl.Boolean or column.dtype == pl.Null:
        return column.cast(pl.Float64)
    if column.dtype.is_numeric():
        numbers = column.cast(pl.Float64)
        return _strict(column, numbers.set((~numbers.is_in([0.0, 1.0])).fill_null(False), None), "boolean")
    words = column.cast(pl.String, strict=False).str.to_lowercase()
    values = dict.fromkeys(TRUE_WORDS, 1.0) | dict.fromkeys(TRUE_WORDS.values(), 0.0)
    return _strict(column, words.replace_strict(values, default=None, return_dtype=pl.Float64), "boolean")


def as_dates(column: pl.Series, text_format: str | None) -> pl.Series:
    """The column as Datetime, null where missing; texts are read in `text_format`; DataError at a bad row.

    >>> as_dates(pl.Series("sold", ["24.12.2020", None]), "%d.%m.%Y").to_list()
    [datetime.datetime(2020, 12, 24, 0, 0), None]
    """
    if column.dtype == pl.Null:
        return column.cast(pl.Datetime("us"))
    if column.dtype in (pl.Date, pl.Datetime):
        if isinstance(column.dtype, pl.Datetime) and column.dtype.time_zone:
            column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return column.cast(pl.Datetime("us"))
    if column.dtype not in (pl.String, pl.Categorical, pl.Enum):
        raise changed(column, "date", 0)
    texts = column.cast(pl.String)
    parsed = _parse_dates(texts, text_format or "%Y-%m-%d")
    return _strict(column, parsed, "date")


def as_categories(column: pl.Series) -> pl.Series:
    """The column as texts, ``(missing)`` where missing; whole numbers without ``.0``.

    >>> as_categories(pl.Series([1.0, 2.5, None])).to_list()
    ['1', '2.5', '(missing)']
    """
    if column.dtype.is_float():
        whole = column.cast(pl.Int64, strict=False)
        texts = column.cast(pl.String)
        column = texts.set((whole == column).fill_null(False), None).fill_null(whole.cast(pl.String))
    return column.cast(pl.String, strict=False).fill_null(MISSING)


def date_features(column: pl.Series) -> dict[str, pl.Series]:
    """Year, month (1 to 12), weekday (Monday is 1), day of the year (1 to 366), hour with fraction.

    >>> evening = pl.Series("d", ["2020-12-24T18:30:00"]).str.to_datetime()
    >>> {name: values.item() for name, values in date_features(evening).items()}
    {'d year': 2020.0, 'd month': 12.0, 'd weekday': 4.0, 'd day of year': 359.0, 'd hour': 18.5}
    """
    part = column.dt
    parts = {
        "year": part.year(),
        "month": part.month(),
        "weekday": part.weekday(),
        "day of year": part.ordinal_day(),
        "hour": part.hour() + part.minute() / 60 + part.second() / 3600,
    }
    return {f"{column.name} {name}": values.cast(pl.Float64) for name, values in parts.items()}


def changed(column: pl.Series, learned: str, row: int) -> DataError:
    """The error for a column whose kind is not the one that was learned; `row` counts from 0."""
    what = {"number": "numbers", "boolean": "truth values", "date": "dates"}[learned]
    return DataError(
        f"the column '{column.name}' was learned as {what}, but holds {_shown(column[row])} in {place(row)}",
        given=f"{_shown(column[row])} ({column.dtype})",
        expected=EXPECTED[learned],
        hint="correct that cell, or leave it empty if its value is unknown",
    )


def _shown(value: object) -> str:
    return repr(value) if isinstance(value, str) else str(value)


def _strict(column: pl.Series, converted: pl.Series, kind: Kind) -> pl.Series:
    bad = (converted.is_null() & column.is_not_null()).arg_true()
    if len(bad):
        raise changed(column, kind, int(bad[0]))
    return converted


def _truth_words(texts: pl.Series) -> bool:
    if texts.is_empty() or texts.head(50).str.len_chars().max() > 5:  # type: ignore[operator]  # a length
        return False
    words = set(texts.str.to_lowercase().unique().to_list())
    return any(words == {yes, no} for yes, no in TRUE_WORDS.items())


def _parse_dates(texts: pl.Series, text_format: str) -> pl.Series:
    parsed = texts.str.to_datetime(text_format, strict=False, time_unit="us")
    if isinstance(parsed.dtype, pl.Datetime) and parsed.dtype.time_zone:
        parsed = parsed.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return parsed
