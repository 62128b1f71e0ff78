"""Texts from a folder of files or the column of a table."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from chainrule.data.columns import place
from chainrule.data.decoding import decode
from chainrule.data.examples import Examples
from chainrule.data.folders import Where, files_of, named
from chainrule.errors import ConfigurationError, DataError

ENDINGS = (".txt", ".text", ".md")


def texts(source: Where | Iterable[Where], *, skip_broken: bool = False) -> Examples:
    """Texts as examples: from a folder with a subfolder for each class, or from files; a file is a text.

    Args:
        source: a folder, or files: ``.txt``, ``.text``, ``.md``, in UTF-8, UTF-16 or Windows-1252.
        skip_broken: leave out files that are empty or hold no text.

    Returns:
        :class:`~chainrule.data.examples.Examples`; its items are the texts, an array of objects (m,).

    Errors: no such files; files that are empty or hold no text, all named and counted.
    """
    files, codes, classes = files_of(source, ENDINGS, "texts")
    found: dict[Path, str] = {}
    bad, reason = [], ""
    for file in files:
        try:
            text = decode(file.read_bytes(), file.name)
            if not text.strip():
                raise DataError(f"{file.name} is empty", given="a file without text")
            found[file] = text
        except (OSError, DataError) as error:
            reason = reason or str(getattr(error, "given", None) or error)
            bad.append(file)
    if bad and (not skip_broken or not found):
        raise DataError(
            f"{named(bad, len(files), 'texts')} cannot be read",
            given=reason,
            expected="files with text in them",
            hint="replace them, or leave them out: skip_broken=True (--skip-broken)",
        )
    kept = np.array([f in found for f in files])
    return Examples(
        np.array(list(found.values()), dtype=object),
        None if codes is None else codes[kept],
        classes,
        notes=(f"left out {named(bad, len(files), 'texts')}: {reason}",) if bad else (),
        files=tuple(found),
    )


def texts_of(column: pl.Series, missing: Literal["error", "empty"] = "error") -> list[str]:
    """The texts of a column; a cell without one is an error, or an empty text.

    Errors: a column of something else; missing cells, the first named and all counted.

    >>> texts_of(pl.Series("note", ["a", None]), missing="empty")
    ['a', '']
    """
    if missing not in ("error", "empty"):
        raise ConfigurationError("missing texts are an error or empty", given=missing, expected="'error' or 'empty'")
    if column.dtype.is_nested() or column.dtype in (pl.Binary, pl.Object):
        raise DataError(f"the column '{column.name}' holds no texts", given=str(column.dtype), expected="texts")
    gaps = column.is_null().arg_true()
    if len(gaps) and missing == "error":
        raise DataError(
            f"the column '{column.name}' holds no text in {place(int(gaps[0]))}",
            given=f"{len(gaps):,} missing {'cell' if len(gaps) == 1 else 'cells'} in {len(column):,} rows",
            expected="a text in every row",
            hint="leave those rows out: missing='drop' (--missing drop); or let them be empty texts: missing='empty'",
        )
    return column.cast(pl.String).fill_null("").to_list()
