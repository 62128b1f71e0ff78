"""The folder ``checkpoints`` of a run: ``training.json``, and a file for every step at which the training was kept.

A file is in the safetensors format, with a checksum over all that it holds in its header. It is written beside and
renamed; reading it never executes code from it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.errors import RunError

Array = np.ndarray[Any, Any]
FORMAT = 1
"""The version of the format; a reader refuses newer ones."""
CHECKPOINTS, TRAINING = "checkpoints", "training.json"


@dataclass(frozen=True)
class Checkpoint:
    """A training at one step.

    Attributes:
        training: which training it is one of: the checksum of its ``training.json``.
        step: so many steps were done.
        state: what is no array: epoch, history's remarks, whether the training had come to its end.
        arrays: what is one, by name.
    """

    training: str
    step: int
    state: Mapping[str, Any]
    arrays: Mapping[str, Array]


def place_for(folder: str | Path) -> Path:
    """Where the checkpoints of a run lie; of one that was being replaced when a process was killed, beside it."""
    recover(Path(folder))
    return Path(folder) / CHECKPOINTS


def recover(folder: Path) -> None:
    """Bring back the checkpoints of a run that was moved aside when its folder was written anew."""
    aside = folder.parent / f".{folder.name}.earlier" / CHECKPOINTS
    if aside.is_dir() and folder.is_dir() and not (folder / CHECKPOINTS).exists():
        aside.rename(folder / CHECKPOINTS)


def belongs_to(folder: Path, settings: Mapping[str, Any]) -> bool:
    """Whether the checkpoints of a folder are those of the training with these settings."""
    try:
        return settings.get("training") == hashlib.sha256((folder / CHECKPOINTS / TRAINING).read_bytes()).hexdigest()
    except OSError:
        return False


def write_training(place: Path, described: Mapping[str, Any]) -> str:
    """Write ``training.json``; the checksum of it, which its checkpoints bear."""
    content = _as_text(described)
    try:
        place.mkdir(parents=True, exist_ok=True)
        _put(place / TRAINING, content)
    except OSError as error:
        raise RunError("checkpoints cannot be written there", given=str(place), hint=str(error)) from None
    return hashlib.sha256(content).hexdigest()


def _as_text(described: Mapping[str, Any]) -> bytes:
    return json.dumps(described, indent=1, ensure_ascii=False).encode()


def checksum_of(described: Mapping[str, Any]) -> str:
    """The checksum of what is written as ``training.json``."""
    return hashlib.sha256(_as_text(described)).hexdigest()


def read_training(place: Path) -> tuple[dict[str, Any], str]:
    """What a training is made of, and the checksum that its checkpoints bear.

    Errors: :class:`RunError` where there is none, or one of a newer format.
    """
    try:
        content = (place / TRAINING).read_bytes()
        described = json.loads(content)
        version = described["format"]
    except OSError:
        raise RunError(
            "there is no training to go back to",
            given=str(place.parent),
            expected=f"a folder with {CHECKPOINTS}/{TRAINING}",
            hint="cr.fit(…, checkpoints=FOLDER) keeps one while it trains; chainrule train does so by itself",
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{TRAINING}, which says what is trained, cannot be read",
            given=f"{error}",
            where=place,
            hint="its checkpoints may be whole: begin the same training in another folder, and copy the file from it",
        ) from None
    if version > FORMAT:
        raise RunError(
            "the training is of a newer format",
            given=f"format {version}",
            expected=f"at most {FORMAT}",
            hint="pip install --upgrade chainrule",
            where=place,
        )
    return described, hashlib.sha256(content).hexdigest()


def file_of(place: Path, step: int) -> Path:
    """The file of the checkpoint at a step."""
    return place / f"step-{step:010d}.safetensors"


def steps_in(place: Path) -> list[int]:
    """The steps at which there are checkpoints, whole or not, the first one first."""
    names = (p.stem.removeprefix("step-") for p in place.glob("step-*.safetensors"))
    return sorted(int(name) for name in names if name.isdigit())


def write_checkpoint(place: Path, kept: Checkpoint) -> int:
    """Write a checkpoint, all or nothing; the number of its bytes.

    Errors: ``OSError`` as the system gives it: no space left, no right to write.
    """
    from safetensors.numpy import save as to_bytes

    # safetensors wants an axis order of its own, and a single number may come as a scalar
    arrays = {name: np.asarray(a, order="C") for name, a in kept.arrays.items()}
    head = {"format": FORMAT, "training": kept.training, "step": kept.step, "state": kept.state}
    text = json.dumps(head, ensure_ascii=True)
    content = to_bytes(arrays, {"checkpoint": text, "sha256": _checksum(text, arrays)})
    _put(file_of(place, kept.step), content)
    return len(content)


def read_checkpoint(place: Path, step: int, training: str) -> Checkpoint:
    """Read a checkpoint of a training.

    Errors: :class:`RunError` for one that is cut short, altered, of a newer format, or of another training.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    file = file_of(place, step)
    try:
        content = file.read_bytes()
    except OSError as error:
        raise RunError(f"{file.name} cannot be read", given=str(error)) from None
    try:
        length = int.from_bytes(content[:8], "little")
        noted = json.loads(content[8 : 8 + length])["__metadata__"]
        arrays = from_bytes(content)
        whole = noted["sha256"] == _checksum(noted["checkpoint"], arrays)
    except (SafetensorError, ValueError, KeyError, TypeError, OverflowError):
        whole = False
    if not whole:
        raise RunError(f"{file.name} has been altered or cut short", given=f"{len(content):,} bytes, another checksum")
    head = json.loads(noted["checkpoint"])
    if head["format"] > FORMAT:
        raise RunError(f"{file.name} is of a newer format", hint="pip install --upgrade chainrule")
    if head["step"] != step:
        raise RunError(f"{file.name} is the checkpoint of another step", given=head["step"], expected=step)
    if head["training"] != training:
        raise RunError(
            f"{file.name} is a checkpoint of another training",
            given=f"training {head['training'][:12]}",
            expected=f"{training[:12]}, the one that {TRAINING} tells of",
            where=place,
        )
    return Checkpoint(head["training"], head["step"], head["state"], arrays)


def newest(place: Path, training: str, before: int | None = None) -> tuple[Checkpoint, list[RunError]]:
    """The last checkpoint that is whole, at most at the step ``before``; and what is wrong with later ones.

    Errors: :class:`RunError` where none is whole.
    """
    wrong: list[RunError] = []
    for step in reversed([s for s in steps_in(place) if before is None or s <= before]):
        try:
            return read_checkpoint(place, step, training), wrong
        except RunError as error:
            wrong.append(error)
    if wrong:
        raise wrong[0]
    raise RunError("there is no checkpoint", given=str(place), expected="a file such as step-0000000000.safetensors")


def unfinished(place: Path) -> Checkpoint | None:
    """The last checkpoint of a training that was stopped on its way, where there is one in the folder.

    Errors: :class:`RunError` where that cannot be told, for it is of a newer format, or damaged.
    """
    if not (place / TRAINING).exists():
        return None
    _, training = read_training(place)
    try:
        kept, _ = newest(place, training)
    except RunError:
        return None
    return kept if kept.step and not kept.state["finished"] else None


def remove(place: Path, steps: Sequence[int]) -> None:
    """Take away the checkpoints at some steps."""
    for step in steps:
        with contextlib.suppress(OSError):
            file_of(place, step).unlink()


def clear(place: Path) -> None:
    """Take away all that a training has left, but for the folder itself, which may be held."""
    for entry in place.iterdir():
        with contextlib.suppress(OSError):
            entry.unlink()


def sweep(place: Path) -> None:
    """Take away what a process that was killed while it wrote has left unfinished, in a folder that is held."""
    for entry in (*place.glob(".step-*"), *place.glob(f".{TRAINING}.*")):
        with contextlib.suppress(OSError):
            entry.unlink()


@contextlib.contextmanager
def held(place: Path) -> Iterator[None]:
    """The folder is that of one training at a time; the system lets go of it when a process ends, however it ends.

    Where the file system or the system knows no such locks, nothing is checked.

    Errors: :class:`RunError` where another training is at work there, or the folder cannot be made.
    """
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError("checkpoints cannot be written there", given=str(place), hint=str(error)) from None
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(ImportError, OSError):
            import fcntl

            folder = os.open(place, os.O_RDONLY)
            stack.callback(os.close, folder)
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunError(
                    "another training is at work in the folder",
                    given=str(place.parent),
                    hint="wait for its end, or choose another folder",
                ) from None
        yield


def _checksum(text: str, arrays: Mapping[str, Array]) -> str:
    found = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        found.update(f"\n{name} {array.dtype} {array.shape}\n".encode())
        found.update(array.reshape(-1).view(np.uint8).data)
    return found.hexdigest()


def _sync(folder: Path) -> None:
    """Have a new name in a folder outlast a power cut, where the system can."""
    with contextlib.suppress(OSError):
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def _put(file: Path, content: bytes) -> None:
    """Write a file beside and rename it; what cannot be written whole leaves nothing behind."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with beside.open("wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        beside.replace(file)
        _sync(file.parent)
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
