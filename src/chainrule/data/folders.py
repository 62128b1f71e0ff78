"""A folder with a subfolder for each class, or a list of files -> files and their labels."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chainrule.data.tables import quoted
from chainrule.errors import DataError

Where = str | os.PathLike[str]


def files_of(
    source: Where | Iterable[Where], endings: Sequence[str], what: str
) -> tuple[tuple[Path, ...], NDArray[np.int64] | None, tuple[str, ...]]:
    """Files, the code of each one's class, and the names of the classes: those of the subfolders, sorted.

    Without subfolders that hold such files, and for a list of files, there are no labels. Hidden files and files
    of other endings are passed over.

    Errors: no such folder or file; no file with one of the endings.
    """
    if not isinstance(source, (str, os.PathLike)):
        files = tuple(Path(f) for f in source)
        _check(files, endings, what)
        return files, None, ()
    folder = Path(source)
    if folder.is_file():
        _check((folder,), endings, what)
        return (folder,), None, ()
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}", given=f"'{folder}'", expected=f"a folder of {what}")
    by_class = {
        sub.name: found
        for sub in sorted(folder.iterdir())
        if sub.is_dir() and not sub.name.startswith(".") and (found := _files_in(sub, endings))
    }
    loose = _files_in(folder, endings, deep=False)
    if by_class and not loose:
        labels = np.repeat(np.arange(len(by_class)), [len(found) for found in by_class.values()])
        return tuple(f for found in by_class.values() for f in found), labels, tuple(by_class)
    if loose and not by_class:
        return tuple(loose), None, ()
    if loose:
        raise DataError(
            f"{folder} holds {what} both in subfolders and beside them",
            given=f"{len(loose):,} files beside the folders {quoted(list(by_class))}",
            expected="every file in the folder of its class, or all in one folder without classes",
        )
    raise DataError(
        f"{folder} holds no {what}",
        given=_contents(folder),
        expected=f"a subfolder for each class, with files {', '.join(endings)} in it",
    )


def is_of(folder: Path, endings: Sequence[str]) -> bool:
    """Whether a folder or one of its subfolders holds a file of one of the endings."""
    return any(True for f in folder.rglob("*") if f.suffix.lower() in endings and not f.name.startswith("."))


def by_number(text: str) -> tuple[object, ...]:
    """The key of an order in which ``a_2`` comes before ``a_10``."""
    digits = "".join(c if c.isdigit() else " " for c in text).split()
    words = "".join(" " if c.isdigit() else c for c in text).split()
    return (words, [int(d) for d in digits], text)


def _files_in(folder: Path, endings: Sequence[str], deep: bool = True) -> list[Path]:
    found = folder.rglob("*") if deep else folder.iterdir()
    files = [f for f in found if f.suffix.lower() in endings and not f.name.startswith(".") and f.is_file()]
    return sorted(files, key=lambda f: by_number(str(f.relative_to(folder))))


def _check(files: Sequence[Path], endings: Sequence[str], what: str) -> None:
    if not files:
        raise DataError(f"there are no {what}", given="an empty list", expected="at least one file")
    for file in files:
        if not file.is_file():
            raise DataError(f"there is no file {file}", given=f"'{file}'", expected=f"a file of {what}")
        if file.suffix.lower() not in endings:
            raise DataError(
                f"{file.name} has an ending that is not read as {what}",
                given=f"'{file.suffix}'",
                expected=", ".join(endings),
            )


def _contents(folder: Path) -> str:
    names = sorted(f.name for f in folder.iterdir())
    return quoted(names, 5) if names else "an empty folder"


def named(files: Sequence[Path], total: int, what: str, most: int = 5) -> str:
    """``2 of 100 images (a.png, b.png)``."""
    shown = ", ".join(f"{f.parent.name}/{f.name}" for f in files[:most])
    return f"{len(files):,} of {total:,} {what} ({shown}{', …' if len(files) > most else ''})"
