"""A table -> a file: CSV or Parquet, complete or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import polars as pl

from chainrule.errors import ConfigurationError, RunError

WRITERS: dict[str, Callable[[pl.DataFrame, Path], None]] = {
    ".csv": lambda table, file: table.write_csv(file),
    ".txt": lambda table, file: table.write_csv(file),
    ".tsv": lambda table, file: table.write_csv(file, separator="\t"),
    ".parquet": lambda table, file: table.write_parquet(file),
    ".pq": lambda table, file: table.write_parquet(file),
}


def check_writable(path: str | os.PathLike[str]) -> None:
    """ConfigurationError where :func:`write_table` could not write: before the work, not after.

    >>> check_writable("predictions.xlsx")
    Traceback (most recent call last):
    chainrule.errors.ConfigurationError: predictions.xlsx has an ending that chainrule does not write
      given:    '.xlsx'
      expected: .csv, .txt, .tsv, .parquet, .pq
    """
    file = Path(path)
    if file.exists() and not file.is_file():
        raise ConfigurationError(
            f"{file} is not a file", given=f"'{file}'", expected="a name for a CSV or Parquet file"
        )
    if file.suffix.lower() not in WRITERS:
        raise ConfigurationError(
            f"{file.name} has an ending that chainrule does not write",
            given=f"'{file.suffix}'" if file.suffix else "no ending",
            expected=", ".join(WRITERS),
        )
    if not file.parent.is_dir():
        raise ConfigurationError(
            f"{file} cannot be written",
            given=f"'{file}'",
            expected="a file in a folder that exists",
            hint=f"'{file.parent}' is no folder" if file.parent.exists() else f"make the folder '{file.parent}' first",
        )


def write_table(table: pl.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write a table; the ending tells the format. What is there before is replaced when all is written.

    Raises:
        ConfigurationError: a name that no table can have, see :func:`check_writable`.
        RunError: a file that the system does not let us write, or not to its end.
    """
    check_writable(path)
    file = Path(path)
    unfinished = file.with_name(f".{file.name}.{os.getpid()}.unfinished")
    try:
        WRITERS[file.suffix.lower()](table, unfinished)
        unfinished.replace(file)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise RunError(
            f"{file} could not be written", given=str(error).splitlines()[0], expected="a folder with room for it"
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)
