"""A file or a dataframe -> a Polars table with typed columns: CSV, Parquet, pandas, mappings."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from chainrule.data.columns import NULL_MARKERS, clean, place, plain_numbers, typed, wants_decimal_comma
from chainrule.data.decoding import decode, first_ragged_line, header_of, separator_of, unpack
from chainrule.errors import DataError, near

__all__ = ["NULL_MARKERS", "as_table", "read_table"]

TEXT_ENDINGS = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
PARQUET_ENDINGS = (".parquet", ".pq")


def read_table(path: str | os.PathLike[str], texts: Sequence[str] = ()) -> pl.DataFrame:
    r"""Read a table from a CSV file (``.csv``, ``.tsv``, ``.txt``, also with ``.gz``) or a Parquet file.

    Found out from the content of a text file: the separator (``,`` ``;`` tab ``|``), the encoding (UTF-8,
    UTF-16, else Windows-1252 or Latin-1), a decimal comma, and the type of every column (see
    ``chainrule.data.columns``). Cells in ``NULL_MARKERS`` are missing. The first line holds the column names.
    The columns named in `texts` are kept as they are written: only an empty cell is missing there.

    Returns:
        A table of m rows; its columns are Int64, Float64, Boolean, Date, Datetime or String.

    Raises:
        DataError: a file that is missing, empty, no table, or of an unknown ending; a header without rows; a
            column
            name that occurs twice; a line with too many fields; text among the numbers of a column.

    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "flats.csv"
    >>> _ = file.write_text("size;rent\n30;410,50\n45;?\n")
    >>> read_table(file).to_dict(as_series=False)
    {'size': [30, 45], 'rent': [410.5, None]}

    Unlike ``polars.read_csv`` and ``pandas.read_csv`` it refuses duplicate names and stray text rather than
    renaming the one and turning the whole column into text for the other.
    """
    file = Path(path)
    _check_file(file)
    table = _read_parquet(file) if file.name.lower().endswith(PARQUET_ENDINGS) else _read_text(file, texts)
    if table.height == 0:
        raise DataError(
            f"{file.name} has no rows",
            given=f"{table.width} column names and nothing below them",
            expected="at least one row below the header",
        )
    return table


def as_table(frame: Any) -> pl.DataFrame:
    """A Polars table of a dataframe that narwhals knows (pandas, PyArrow, ...) or of a mapping.

    Not-a-number counts as missing. Columns keep their types; objects of mixed types are read like the cells
    of a file.

    Args:
        frame: a dataframe of m rows, or a mapping whose values have shape (m,).

    Raises:
        DataError: something else, columns of different lengths, a name that occurs twice.

    >>> as_table({"size": [30, 45], "rent": [410.5, float("nan")]}).to_dict(as_series=False)
    {'size': [30, 45], 'rent': [410.5, None]}
    """
    if isinstance(frame, pl.LazyFrame):
        frame = frame.collect()
    if isinstance(frame, pl.DataFrame):
        return _nan_to_null(frame)
    if isinstance(frame, Mapping):
        return _of_columns({str(name): values for name, values in frame.items()})
    import narwhals as nw

    try:
        native = nw.from_native(frame, eager_only=True)
        names = [str(name) for name in native.columns]
    except nw.exceptions.DuplicateError as error:
        raise DataError(
            "the dataframe has several columns of one name",
            given=" ".join(str(error).split()),
            expected="a name of its own for every column",
        ) from error
    except (TypeError, ValueError, nw.exceptions.NarwhalsError) as error:
        raise DataError(
            "this is no table",
            given=f"{type(frame).__name__}: {str(error).splitlines()[0]}"[:200],
            expected="a Polars or pandas dataframe, or a mapping of column names to values",
        ) from error
    _check_names(names, "the dataframe")
    return _of_columns({name: native[:, i].to_list() for i, name in enumerate(names)})


def column_of(table: pl.DataFrame, name: str, what: str = "column") -> pl.Series:
    """The column of that name; DataError with the near names if there is none.

    >>> column_of(pl.DataFrame({"price": [1]}), "prize")
    Traceback (most recent call last):
    chainrule.errors.DataError: the table has no column 'prize'
      given:    column 'prize'
      expected: one of the table's columns: 'price'
      hint:     did you mean 'price'?
    """
    if name in table.columns:
        return table[name]
    raise DataError(
        f"the table has no column '{name}'",
        given=f"{what} '{name}'",
        expected=f"one of the table's columns: {quoted(table.columns)}",
        hint=near(name, table.columns),
    )


def quoted(names: list[str], most: int = 10) -> str:
    """The names in quotes, a long list cut.

    >>> quoted(["a", "b", "c"], most=2)
    "'a', 'b' and 1 more"
    """
    text = ", ".join(f"'{name}'" for name in names[:most])
    return text + (f" and {len(names) - most:,} more" if len(names) > most else "")


def _check_file(file: Path) -> None:
    if file.is_dir():
        raise DataError(f"{file} is a folder", given=f"'{file}'", expected="a CSV or Parquet file")
    if not file.exists():
        folder = file.parent
        if not folder.is_dir():
            raise DataError(f"there is no file {file}", given=f"'{file}'", hint=f"there is no folder '{folder}' either")
        known = [f.name for f in folder.iterdir() if f.name.lower().endswith(TEXT_ENDINGS + PARQUET_ENDINGS)]
        raise DataError(
            f"there is no file {file}",
            given=f"'{file}'",
            expected="a CSV or Parquet file",
            hint=near(file.name, known) or f"the folder '{folder}' holds {quoted(sorted(known)) or 'no table'}",
        )
    if not file.is_file():
        raise DataError(f"{file} is not a file", given=f"'{file}'", expected="a CSV or Parquet file")
    if not file.name.lower().endswith(TEXT_ENDINGS + PARQUET_ENDINGS):
        raise DataError(
            f"{file.name} has an ending that chainrule does not read",
            given=f"'{file.suffix}'" if file.suffix else "no ending",
            expected=", ".join(TEXT_ENDINGS + PARQUET_ENDINGS),
            hint="export the table as CSV, or rename the file if it is one",
        )


def _read_bytes(file: Path) -> bytes:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file.name} cannot be read", given=error.strerror, expected="a readable file") from error
    if not content:
        raise DataError(
            f"{file.name} is empty",
            given="0 bytes",
            expected="a header line with column names and rows below it",
        )
    return content


def _read_parquet(file: Path) -> pl.DataFrame:
    try:
        return _nan_to_null(pl.read_parquet(io.BytesIO(_read_bytes(file))))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(
            f"{file.name} is not a readable Parquet file",
            given=str(error).splitlines()[0],
            expected="a complete Parquet file",
            hint="it may be cut off or have the wrong ending: write it again",
        ) from error


def _read_text(file: Path, texts: Sequence[str]) -> pl.DataFrame:
    content = unpack(_read_bytes(file), file.name)
    text = decode(content, file.name)
    body = text.strip("\n")
    blank_lines = len(text) - len(text.lstrip("\n"))
    if not body.strip():
        raise DataError(f"{file.name} is empty", given="blank lines", expected="a header line and rows below it")
    separator = separator_of(body, preferred="\t" if ".tsv" in file.name.lower() else None)
    raw, header_lines = _parse(body, separator, file.name, blank_lines)

    def line_of(row: int) -> int:
        broken = raw.head(row).select(pl.all().str.count_matches("\n", literal=True).sum()).sum_horizontal().item()
        return blank_lines + header_lines + row + int(broken or 0) + 1

    written = [name for name in raw.columns if name in texts]
    others = raw.drop(written)
    try:
        table = _typed_table(others, separator, line_of) if others.width else others
    except DataError as error:
        raise error.within(file.name) from None
    return table.with_columns(raw[name].replace("", None) for name in written).select(raw.columns)


def _typed_table(raw: pl.DataFrame, separator: str, line_of: Callable[[int], int]) -> pl.DataFrame:
    cells = clean(raw)
    commas = cells.select(pl.all().str.contains(",", literal=True).any()).row(0) if separator != "," else ()
    decimal_comma = any(wants_decimal_comma(cells[:, i], separator) for i, comma in enumerate(commas) if comma)
    numbers = {} if decimal_comma else plain_numbers(cells)
    return pl.DataFrame(
        [
            numbers[column.name] if column.name in numbers else typed(column, decimal_comma, line_of)
            for column in cells.get_columns()
        ]
    )


def _parse(text: str, separator: str, name: str, blank_lines: int) -> tuple[pl.DataFrame, int]:
    try:
        names, header_lines = header_of(text, separator)
    except csv.Error as error:
        raise DataError(f"the header of {name} cannot be read", given=error, expected="column names") from error
    _check_names(names, name)
    names = [column or f"column {i}" for i, column in enumerate(names, 1)]
    try:
        raw = pl.read_csv(io.BytesIO(text.encode()), separator=separator, infer_schema=False)
    except pl.exceptions.PolarsError as error:
        raise _unparsable(text, separator, name, len(names), blank_lines, error) from error
    if raw.width != len(names):
        raise DataError(
            f"{name} cannot be read as a table",
            given=f"{len(names)} column names and rows of {raw.width} fields",
            expected="as many fields in each line as in the header",
        )
    raw.columns = names
    return raw, header_lines


def _unparsable(
    text: str, separator: str, name: str, width: int, blank_lines: int, error: pl.exceptions.PolarsError
) -> DataError:
    ragged = first_ragged_line(text, separator, width)
    shown = "tab" if separator == "\t" else f"'{separator}'"
    if ragged:
        line, fields = ragged[0] + blank_lines, ragged[1]
        return DataError(
            f"line {line} of {name} has more fields than the header",
            given=f"{fields} fields, separated by {shown}",
            expected=f"{width} fields",
            hint=f'put a text that contains {shown} in double quotes: "..."',
        )
    return DataError(
        f"{name} cannot be read as a table",
        given=str(error).splitlines()[0],
        expected=f"{width} fields in each line, separated by {shown}",
        hint='a quotation mark " that opens a text and is never closed is the usual cause',
    )


def _check_names(names: list[str], where: str) -> None:
    twice = [name for name, count in Counter(names).items() if name and count > 1]
    if twice:
        positions = [i for i, name in enumerate(names, 1) if name == twice[0]]
        raise DataError(
            f"{where} has several columns named '{twice[0]}'",
            given=f"columns {', '.join(map(str, positions))}; names that occur twice: {quoted(twice)}",
            expected="a name of its own for every column",
            hint="rename or delete the copies; if the file has no header line, add one",
        )


def _of_columns(columns: Mapping[str, Any]) -> pl.DataFrame:
    series = [_series(name, values) for name, values in columns.items()]
    lengths = {s.name: len(s) for s in series}
    if len(set(lengths.values())) > 1:
        raise DataError(
            "the columns have different lengths",
            given=", ".join(f"'{name}': {length}" for name, length in list(lengths.items())[:10]),
            expected="one value per row in each column",
        )
    return _nan_to_null(pl.DataFrame(series))


def _series(name: str, values: Any) -> pl.Series:
    if isinstance(values, pl.Series):
        series: pl.Series = values.alias(name)
        return series
    if isinstance(values, np.ndarray) and values.ndim != 1:
        raise DataError(
            f"the column '{name}' is not one value per row",
            given=f"shape {values.shape}",
            expected="shape (m,)",
        )
    items = values.tolist() if isinstance(values, np.ndarray) else list(values)
    items = [None if _is_missing(item) else item for item in items]
    try:
        return pl.Series(name, items)
    except (TypeError, pl.exceptions.PolarsError):
        texts = pl.Series(name, [None if item is None else str(item) for item in items], dtype=pl.String)
        return typed(clean(texts.to_frame())[name])


def _is_missing(item: Any) -> bool:
    """None, NaN, and pandas' NA and NaT, none of which equals itself as a plain True."""
    if item is None:
        return True
    try:
        return bool(item != item)
    except (TypeError, ValueError):
        return type(item).__name__ == "NAType"


def _nan_to_null(table: pl.DataFrame) -> pl.DataFrame:
    floats = [name for name, dtype in table.schema.items() if dtype.is_float()]
    return table.with_columns(pl.col(floats).fill_nan(None)) if floats else table


def check_finite(column: pl.Series) -> None:
    """DataError naming column and row if a number is infinite, or too large to be squared.

    >>> try:
    ...     check_finite(pl.Series("size", [1.0, float("inf")]))
    ... except DataError as error:
    ...     print(error.what)
    the column 'size' holds an infinity in row 2 (line 3 of a file with a header line)
    """
    if not column.dtype.is_float():
        return
    bad = np.flatnonzero(np.abs(column.to_numpy()) > 1e150)
    if len(bad):
        value = column[int(bad[0])]
        what = "an infinity" if np.isinf(value) else "a number too large to calculate with"
        raise DataError(
            f"the column '{column.name}' holds {what} in {place(int(bad[0]))}",
            given=f"{value}" + (f", and {len(bad) - 1:,} more of the kind" if len(bad) > 1 else ""),
            expected="finite numbers",
            hint="leave the cell empty if its value is unknown",
        )
