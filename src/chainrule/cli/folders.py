"""The folder that a run is saved in: a free one is found, one that holds something is refused or made room in."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

from chainrule.engine.processes import leads
from chainrule.errors import ConfigurationError
from chainrule.train.checkpoint_files import held, place_for, unfinished
from chainrule.train.files import MODEL, may_hold_a_run


def free_folder(name: str) -> Path:
    """``runs/NAME``, or the next free number behind it."""
    base = Path("runs") / name
    number = 1
    folder = base
    while folder.exists():
        number += 1
        folder = base.with_name(f"{name}-{number}")
    return folder


def check_folder(folder: Path, overwrite: bool = False, resumed: bool = False) -> None:
    """Refuse a folder that cannot be made or holds something else, before an hour of training rather than after.

    A run in it, or a training that may be gone on with, is something else unless it is to be overwritten or resumed.
    """
    nearest = next((place for place in (folder, *folder.parents) if place.exists()), Path())
    needed = (folder, folder.parent) if folder.is_dir() else (nearest,)  # a run is written beside and renamed
    for place in needed:
        if place.is_dir() and os.access(place, os.W_OK):
            continue
        raise ConfigurationError(
            "the run cannot be saved there",
            given=str(folder),
            expected="a folder that can be written to, as the one above it"
            if folder.is_dir()
            else "a folder that is there or can be made",
            hint=f"'{place}' {'cannot be written to' if place.is_dir() else 'is a file'}; "
            + ("copy the run to where it can" if resumed else "choose with --out"),
        )
    if not may_hold_a_run(folder):
        raise ConfigurationError(
            "the folder for the run holds something else",
            given=str(folder),
            expected="a folder that is new, empty or a run",
            hint="choose another with --out",
        )
    if overwrite or resumed:
        return
    stopped = unfinished(place_for(folder)) is not None
    if stopped or (folder / MODEL).exists():
        go_on = f"go on with it: chainrule train --resume {shlex.quote(str(folder))}; or " if stopped else ""
        raise ConfigurationError(
            f"the folder holds a {'training that has not come to its end' if stopped else 'run'}",
            given=str(folder),
            expected="a folder that is new or empty",
            hint=f"{go_on}choose another folder, or --overwrite to replace it",
        )


@contextlib.contextmanager
def made_room(folder: Path) -> Iterator[None]:
    """Earlier checkpoints make way for those of a training that begins; where none begins they come back."""
    place = place_for(folder)
    aside = folder.parent / f".{folder.name}.overwritten"
    if not place.exists() or not leads():
        yield
        return
    with held(place):  # none is at work there
        shutil.rmtree(aside, ignore_errors=True)
        place.rename(aside)
    try:
        yield
    finally:
        if not place.exists():
            aside.rename(place)
        shutil.rmtree(aside, ignore_errors=True)
