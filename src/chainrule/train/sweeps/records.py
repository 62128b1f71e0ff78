"""The folder of a sweep: what it is, and every training that has ended, so that it can be killed and goes on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.data.lazy import is_lazy
from chainrule.errors import RunError
from chainrule.train.checkpoints import fingerprint as checksum
from chainrule.train.history import History
from chainrule.train.sweeps.programs import Examples, Training

Array = np.ndarray[Any, Any]
SWEEP, TRAININGS, NUMBERS = "sweep.json", "trainings.jsonl", "numbers"
FORMAT = 2


class Records:
    """The trainings of a sweep that have ended, in a folder.

    ``sweep.json`` says what the sweep is, ``trainings.jsonl`` has a line for every training, and ``numbers`` its
    parameters. A line is written when its parameters are, and a line that was cut short is left out: a process that is
    killed loses what was under way, and nothing else.

    Args:
        folder: where; made where it is missing.
        described: what has to be the same for records to count: choices, settings, examples.
    """

    def __init__(self, folder: str | Path, described: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        self.described = {"format": FORMAT, "made by": "chainrule", **described}
        try:
            (self.folder / NUMBERS).mkdir(parents=True, exist_ok=True)
            self._check()
            self._lines = self._read()
        except OSError as error:
            raise RunError("the sweep cannot be written there", given=str(folder), hint=str(error)) from None

    def _check(self) -> None:
        file = self.folder / SWEEP
        now = json.loads(json.dumps(self.described, default=str))
        if not file.exists():
            _write(file, json.dumps(self.described, indent=1, ensure_ascii=False, default=str).encode())
            return
        try:
            before = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise RunError(f"{SWEEP} cannot be read", given=str(error), where=self.folder) from None
        changed = [k for k in now if before.get(k) != now[k]]
        if changed == ["examples"]:
            raise RunError(
                "the folder holds a sweep of other examples or folds",
                where=self.folder,
                hint="choose another folder, or go on with the examples, labels and folds as they were",
            )
        if changed:
            raise RunError(
                "the folder holds another sweep",
                given=f"{changed[0]}: {_short(now[changed[0]])}",
                expected=f"{changed[0]}: {_short(before.get(changed[0]))}, as in the folder",
                where=self.folder,
                hint="choose another folder, or go on with the sweep as it was",
            )

    def _read(self) -> dict[str, Any]:
        file, lines = self.folder / TRAININGS, {}
        if file.exists():
            content = file.read_bytes()
            for line in content.split(b"\n")[:-1]:  # what has no end of line was cut short
                try:
                    noted = json.loads(line)
                except ValueError:
                    continue
                lines[noted["key"]] = noted
            if content and not content.endswith(b"\n"):
                with file.open("ab") as out:
                    out.write(b"\n")
        return lines

    def restore(self, training: Training) -> bool:
        """Fill a training with its record, if there is one, of the same settings.

        Errors: a record of another network.
        """
        noted = self._lines.get(_key(training))
        if noted is None:
            return False
        if noted["network"] != training.network:
            raise RunError(
                "the folder holds another sweep",
                given=f"another network for {training.candidate} than the one that was trained",
                expected="the same function for the network",
                where=self.folder,
                hint="choose another folder, or go on with the sweep as it was",
            )
        if noted.get("settings") != training.settings:
            return False  # the name stood for another value, and it is trained with this one
        from safetensors import SafetensorError
        from safetensors.numpy import load as from_bytes

        try:
            content = (self.folder / NUMBERS / f"{noted['sha256']}.safetensors").read_bytes()
            if hashlib.sha256(content).hexdigest() != noted["sha256"]:
                return False  # it was altered, and is trained again
            numbers = from_bytes(content)
        except (OSError, SafetensorError):
            return False
        h = noted["history"]
        table = np.array(h["table"], float).reshape(-1, len(h["columns"]))
        training.history = History(h["columns"], table, h["stopped"], h["best_epoch"], h["diverged"])
        training.numbers, training.seconds, training.ended = numbers, noted["seconds"], True
        training.given_up, training.parameter_count = noted["given up"], noted["parameters"]
        return True

    def note(self, training: Training) -> None:
        """Write down a training that has ended; one that failed is tried again when the sweep goes on."""
        from safetensors.numpy import save as to_bytes

        h = training.history
        if h is None or training.numbers is None:
            return
        content = to_bytes({k: np.asarray(v, order="C") for k, v in training.numbers.items()})
        digest = hashlib.sha256(content).hexdigest()
        line = {
            "key": _key(training),
            "network": training.network,
            "settings": training.settings,
            "given up": training.given_up,
            "parameters": training.parameter_count,
            "seconds": round(training.seconds, 3),
            "sha256": digest,
            "history": {
                "columns": h.columns,
                "table": h.table.tolist(),
                "stopped": h.stopped,
                "best_epoch": h.best_epoch,
                "diverged": h.diverged,
            },
        }
        try:
            _write(self.folder / NUMBERS / f"{digest}.safetensors", content)
            with (self.folder / TRAININGS).open("ab") as out:
                out.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
                out.flush()
                os.fsync(out.fileno())
        except OSError as error:
            raise RunError("a training cannot be noted", given=str(self.folder), hint=str(error)) from None


def _key(training: Training) -> str:
    fold = "" if training.fold is None else f", fold {training.fold + 1}"
    return f"{training.candidate} | seed {training.seed}{fold}"


def _write(file: Path, content: bytes) -> None:
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    beside.write_bytes(content)
    beside.replace(file)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 160 else text[:157] + "…"


def fingerprint(examples: Examples) -> str:
    """A checksum of examples, labels, what is held out, and folds."""
    digest = hashlib.sha256()

    def add(value: Any) -> None:
        if isinstance(value, Mapping):
            for name, part in value.items():
                digest.update(str(name).encode())
                add(part)
        elif isinstance(value, tuple):
            for part in value:
                add(part)
        else:
            array = value if is_lazy(value) else np.asarray(value)
            digest.update(checksum(array.astype(str) if array.dtype == object else array).encode())

    for part in (examples.X, examples.Y, examples.validation_data, examples.validation_split):
        add("none" if part is None else part)
    add("none" if examples.folds is None else tuple(examples.folds))
    return digest.hexdigest()
