"""Keeping a training while it goes on: what a checkpoint holds, when one is made, and how it is taken up again.

What an epoch's order of rows and a step's random numbers are follows from the seed and from their number, so that
parameters, states and the number of the step say all of a training's future.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.data.lazy import is_lazy
from chainrule.engine.processes import TOGETHER, leads
from chainrule.errors import ConfigurationError, DataError, RunError
from chainrule.train.checkpoint_files import (
    FORMAT,
    TRAINING,
    Checkpoint,
    checksum_of,
    clear,
    held,
    newest,
    place_for,
    read_training,
    remove,
    steps_in,
    sweep,
    unfinished,
    write_checkpoint,
    write_training,
)
from chainrule.train.files import describe_steps, may_hold_a_run
from chainrule.train.first_bad import BadNumber
from chainrule.train.history import History, TrainingWarning
from chainrule.train.unlike import unlike

if TYPE_CHECKING:
    from chainrule.engine.xla.plan import Standing
    from chainrule.train.trainer import Trainer

Array = np.ndarray[Any, Any]
SHARE = 0.02
"""By the clock, checkpoints are made so seldom that they take no larger share of the time than this."""
LOOKED_AT = 16
"""So many rows of examples that are read when they are needed say whether they are the same."""


@dataclass(frozen=True)
class Checkpoints:
    """Where and how often a training is kept: ``cr.fit(…, checkpoints=cr.Checkpoints("RUN", every_epochs=5))``.

    The files lie in the subfolder ``checkpoints``, beside what ``run.save("RUN")`` writes. One is made before the first
    step and one at the end. Without a choice there is one every minute, or as seldom as it takes to cost no more than
    2 % of the time.

    Attributes:
        folder: of the run.
        every_epochs, every_steps, every_minutes: one at least as often as one of them says. Steps are counted over all
            epochs: a checkpoint may stand within one.
        keep: so many of the last ones stay, and that before the first step.
        resume: where there is an unfinished training of the same network, settings and data in the folder, go on with
            it. So a program that was killed is simply started again.
        notes: plain data to be kept beside.

    Differs from Keras' ``BackupAndRestore`` and Lightning's ``ModelCheckpoint``: a training that is taken up goes on
    with the same bits, also from within an epoch.

    >>> import chainrule as cr
    >>> x = np.linspace(-1, 1, 20)
    >>> kept = cr.Checkpoints("RUN", every_epochs=10)
    >>> run = cr.fit(cr.Sequential(cr.Dense(1)), x, 3 * x, epochs=20, checkpoints=kept)
    >>> further = cr.resume("RUN", x, 3 * x, epochs=30)
    >>> further.history.epochs
    30
    """

    folder: str | Path
    every_epochs: int | None = None
    every_steps: int | None = None
    every_minutes: float | None = None
    keep: int = 3
    resume: bool = False
    notes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("every_epochs", "every_steps", "keep"):
            value = getattr(self, name)
            whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
            if value is not None and (not whole or value < 1):
                raise ConfigurationError(f"{name} is a whole number of at least 1", given=repr(value))
        if self.every_minutes is not None and not self.every_minutes > 0:
            raise ConfigurationError("every_minutes is a number above 0", given=repr(self.every_minutes))

    @property
    def seconds(self) -> float | None:
        """How often by the clock, if so."""
        if self.every_minutes is not None:
            return 60.0 * self.every_minutes
        return 60.0 if self.every_epochs is None and self.every_steps is None else None


def as_checkpoints(wanted: Any) -> Checkpoints:
    """What a user gives: a folder, or :class:`Checkpoints`."""
    if isinstance(wanted, Checkpoints):
        return wanted
    if isinstance(wanted, (str, Path)):
        return Checkpoints(wanted)
    raise ConfigurationError(
        "checkpoints are a folder, or cr.Checkpoints(folder, every_epochs=…)", given=f"{type(wanted).__name__}"
    )


class Keeper:
    """Makes the checkpoints of a training; first of all takes it up where one is to be gone on with.

    Attributes:
        most: so many epochs at most lie between two of them.
    """

    def __init__(self, wanted: Checkpoints, trainer: Trainer, epochs: int) -> None:
        self.wanted, self.trainer, self.epochs = wanted, trainer, epochs
        self.most = wanted.every_epochs or epochs
        self.place = place_for(wanted.folder)
        if not may_hold_a_run(Path(wanted.folder)):
            raise RunError(
                "the folder for the checkpoints holds something that is not a run; it is left as it is",
                given=str(wanted.folder),
                hint="choose another folder",
            )
        self.training = ""
        self._cost, self._rate, self._failed = 0.0, 0.0, False
        self._last, self._before, self._open = -1, 0, contextlib.ExitStack()

    def __enter__(self) -> Keeper:
        with contextlib.ExitStack() as stack:
            if leads():
                stack.enter_context(held(self.place))
                sweep(self.place)
            self._begin()
            self._open = stack.pop_all()
        return self

    def _begin(self) -> None:
        """Take a training up, or make the first checkpoint: before an hour of training rather than after."""
        wanted, trainer = self.wanted, self.trainer
        described = describe(trainer, self.epochs, wanted)
        self._saved_at = self._clock = time.monotonic()
        if wanted.resume and (self.place / TRAINING).exists():
            stored, self.training = read_training(self.place)
            check_same(stored, described, Path(wanted.folder))
            kept = newest_told(self.place, self.training)
            take_up(trainer, kept)
            self._last = kept.step
        elif leads():
            self._check_free()
            clear(self.place)
            self.training = write_training(self.place, described)
            try:
                self._write(finished=False)
            except OSError as error:
                raise RunError("checkpoints cannot be written there", given=str(self.place), hint=str(error)) from None
        else:
            self.training = checksum_of(described)
        self._before = trainer.position
        trainer.settings["training"] = self.training
        trainer.origin = trainer.origin.in_folder(Path(wanted.folder))

    def _check_free(self) -> None:
        """An unfinished training is not lost because another one begins."""
        kept = unfinished(self.place)
        if kept is not None:
            raise RunError(
                "the folder holds the checkpoints of a training that has not come to its end",
                given=f"{self.place}, at step {kept.step:,}, epoch {kept.state['epochs_done'] + 1}",
                hint="go on with it: cr.resume(folder, X, Y), chainrule train --resume; or choose another folder",
            )

    def next(self, epochs: int) -> tuple[int, int | None]:
        """How far the next call goes, of so many epochs at most: epochs, or the step of the present one to stop at."""
        wanted, steps = self.wanted, self.trainer.epochs.steps
        done, here = self.trainer.history.epochs, self.trainer.position
        goal = (done + epochs) * steps
        if wanted.every_steps is not None:
            goal = min(goal, (here // wanted.every_steps + 1) * wanted.every_steps)
        if wanted.every_epochs is not None:
            goal = min(goal, (done // wanted.every_epochs + 1) * wanted.every_epochs * steps)
        if wanted.seconds is not None and TOGETHER.count == 1:  # several processes stop at the same steps, by no clock
            # Long epochs are parted, so that the clock is looked at; that changes no bit of the training.
            if self._rate:
                goal = min(goal, here + max(1, int(wanted.seconds / 4 / self._rate)))
            elif self.trainer.seconds > 1:
                goal = min(goal, here + max(1, steps // 16))
        whole = goal // steps - done
        return (whole, None) if whole else (1, goal - done * steps)

    def after(self) -> None:
        """After each call: make a checkpoint if one is due."""
        wanted, here, now = self.wanted, self.trainer.position, time.monotonic()
        if here > self._last and here:
            self._rate = (now - self._clock) / max(1, here - self._before)
        self._before, self._clock = here, now
        due = wanted.every_steps is not None and here // wanted.every_steps > self._last // wanted.every_steps
        between = self.trainer.epochs.inside is None
        due |= wanted.every_epochs is not None and between and self.trainer.history.epochs % wanted.every_epochs == 0
        if wanted.seconds is not None:
            due |= now - self._saved_at >= max(wanted.seconds, self._cost / SHARE)
        if due and here != self._last and not self.trainer.history.stopped:
            self.save()
            self._clock = time.monotonic()

    def save(self, finished: bool = False) -> None:
        """Make a checkpoint; where that fails, say so and go on: what was kept before stays."""
        try:
            self._write(finished)
            self._failed = False
        except OSError as error:
            if not self._failed:
                last = (
                    f"the last one, at step {self._last:,}, is kept" if self._last >= 0 else "there is none before it"
                )
                warnings.warn(
                    f"the checkpoint at step {self.trainer.position:,} could not be written: {error}. Training goes "
                    f"on; {last}",
                    TrainingWarning,
                    stacklevel=2,
                )
            self._failed = True
            self._saved_at = time.monotonic()

    def _write(self, finished: bool) -> None:
        if not leads():
            return
        started = time.monotonic()
        kept = checkpoint_of(self.trainer, self.training, self.epochs, finished)
        write_checkpoint(self.place, kept)
        self._last, self._saved_at = kept.step, time.monotonic()
        self._cost = self._saved_at - started
        remove(self.place, [s for s in steps_in(self.place) if s > 0][: -self.wanted.keep])

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """At the end, whatever ended it, what has been trained is kept."""
        history = self.trainer.history
        with self._open:
            if kind is None:
                self.save((history.epochs >= self.epochs or bool(history.stopped)) and not put_aside(history))
            else:
                with contextlib.suppress(Exception):  # what ended it is what is told
                    self.save()


def put_aside(history: History) -> bool:
    """Whether the training was ended from outside, and may be gone on with."""
    return history.stopped.startswith(("interrupted", "stopped by a callback"))


# --- what is kept ---------------------------------------------------------------------------------------


def describe(trainer: Trainer, epochs: int, wanted: Checkpoints) -> dict[str, Any]:
    """All that a training is made of but for its examples, as plain data; of these, fingerprints."""
    stopping, watch = trainer.early_stopping, trainer.watch
    described = {
        "format": FORMAT,
        "made by": "chainrule",
        **renumbered(describe_steps(trainer.steps)),
        "columns": trainer.history.columns,
        "labels": {"kind": trainer.labels.kind, "classes": trainer.labels.classes},
        "settings": {k: v for k, v in trainer.settings.items() if k != "training"},
        "setup": {
            **trainer.setup,
            "early_stopping": None if stopping is None else asdict(stopping),
            "watch": watch.keys,
            "every": watch.every,
        },
        "data": fingerprints(trainer),
        "epochs": epochs,
        "checkpoints": {k: getattr(wanted, k) for k in ("every_epochs", "every_steps", "every_minutes", "keep")},
        "notes": dict(wanted.notes),
    }
    return json.loads(json.dumps(described, default=plain))  # type: ignore[no-any-return]


def plain(value: Any) -> Any:
    """A NumPy number as Python's, anything else by its name, for JSON."""
    return value.item() if isinstance(value, np.generic) else str(value)


def renumbered(described: dict[str, Any]) -> dict[str, Any]:
    """Draws numbered in the order in which they were made, from 0: the same network made later is the same."""
    draws = [n["settings"] for n in described["graph"]["nodes"] if n["op"] == "draw"]
    for number, settings in enumerate(sorted(draws, key=lambda s: int(s["stream"]))):
        settings["stream"] = number
    return described


def fingerprints(trainer: Trainer) -> dict[str, str]:
    """For each array that the training reads its shape and a checksum."""
    epochs = trainer.epochs
    names = [str(n.name) for n in epochs.plan.examples]
    parts = [("", epochs.examples), ("validation ", epochs.validation)]
    return {f"{part}{name}": fingerprint(a) for part, arrays in parts for name, a in zip(names, arrays, strict=False)}


def fingerprint(array: Any) -> str:
    """Shape and checksum of an array; of one that is read when it is needed, from some of its rows alone.

    Equal numbers of float32 and float64 have the same: they are the same training.
    """
    if is_lazy(array):
        rows = np.unique(np.linspace(0, len(array) - 1, LOOKED_AT).astype(int))
        array, shape = np.asarray(array[rows]), array.shape
    else:
        array, shape = np.ascontiguousarray(array), np.shape(array)
    if array.dtype.kind == "f":
        array = array.astype(np.float64)
    found = hashlib.sha256(f"{array.dtype} {array.shape}".encode())
    found.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return f"{' × '.join(map(str, shape))}: {found.hexdigest()[:32]}"


PARTS = {
    "graph": "the network, or the formula of its loss",
    "inputs": "the network's inputs",
    "outputs": "the network's outputs",
    "objectives": "the loss, the optimizer or what is learned",
    "metrics": "the metrics",
    "columns": "what is reported after every epoch",
    "weighted": "whether examples have weights",
    "labels": "the labels' kind or classes",
}
"""What the entries of a described training are called in an error."""
DIVIDING = ("seed", "validation_split", "class_weight")
"""The settings by which the same examples are divided, or weigh, otherwise: that is no change of the data."""


def check_same(stored: Mapping[str, Any], now: Mapping[str, Any], folder: Path) -> None:
    """Refuse to go on with a training by another network, by other settings, or on other data.

    Errors: :class:`RunError` naming what differs; :class:`DataError` where the examples do.
    """
    hint = "go on with what it was begun with, or begin anew in another folder"
    for key, what in PARTS.items():
        if stored[key] != now[key]:
            given, expected = unlike(key, now, stored)
            raise RunError(
                f"the checkpoints are those of another training: {what} differs",
                given=given,
                expected=expected,
                where=folder,
                hint=hint,
            )
    others = [
        (key, now[group].get(key), value)
        for group in ("settings", "setup")
        for key, value in stored[group].items()
        if now[group].get(key) != value and key != "devices"  # that changes no more than the last bits
    ]
    others.sort(key=lambda other: other[0] not in DIVIDING)
    if not others or others[0][0] not in DIVIDING:
        check_data(stored["data"], now["data"], folder)
    if others:
        key, given, expected = others[0]
        raise RunError(
            f"the checkpoints are those of another training: {key.replace('_', ' ')} differs",
            given=given,
            expected=expected,
            where=folder,
            hint=hint,
        )


def check_data(
    stored: Mapping[str, str], now: Mapping[str, str], folder: Path | None = None, only: Sequence[str] = ()
) -> None:
    """Refuse other examples than those that the training was begun with."""
    for name in only or {**stored, **now}:
        before, found = stored.get(name), now.get(name)
        if before == found:
            continue
        if before is None or found is None:
            raise DataError(
                f"the training was begun {'without' if before is None else 'with'} {name}",
                given=f"{name}: {found or 'nothing'}",
                expected=f"{name}: {before or 'nothing'}",
                where=folder,
                hint="validation_data and sample_weight are given again",
            )
        shapes = [text.partition(":")[0] for text in (before, found)]
        raise DataError(
            f"the data are not those that the training was begun with: {name} has changed",
            given=shapes[1] if shapes[0] != shapes[1] else f"{shapes[1]}, with other numbers",
            expected=shapes[0],
            where=folder,
            hint="go on with the data as they were; or train further on new ones: cr.fit(run, X, Y)",
        )


def checkpoint_of(trainer: Trainer, training: str, epochs: int, finished: bool) -> Checkpoint:
    """The training as it stands."""
    history = trainer.history
    state = {
        "epochs_done": history.epochs,
        "epochs": epochs,
        "shared": trainer.shared,
        "finished": finished,
        "stopped": history.stopped if finished else "",
        "best_epoch": history.best_epoch,
        "diverged": history.diverged,
        "first_bad": trainer.first_bad and asdict(trainer.first_bad),
    }
    standing = trainer.epochs.standing()
    arrays = _to_arrays(standing, leaf_names(trainer)) | {"history": history.table}
    state["inside"] = None if standing.inside is None else standing.inside.steps
    return Checkpoint(training, trainer.position, state, arrays)


def take_up(trainer: Trainer, kept: Checkpoint) -> None:
    """Let a trainer stand where a checkpoint was made."""
    state = kept.state
    trainer.epochs.stand_at(standing_of(trainer, kept))
    columns = trainer.history.columns
    table = kept.arrays["history"]
    trainer.history = History(columns, table, state["stopped"], state["best_epoch"], state["diverged"])
    trainer.first_bad = BadNumber.from_data(state["first_bad"]) if state["first_bad"] else None
    before = [(int(first), int(count)) for first, count in state.get("shared", trainer.shared)]
    now = trainer.shared[-1][1]
    trainer.shared = before if before[-1][1] == now else [*before, (kept.step, now)]


def newest_told(place: Path, training: str) -> Checkpoint:
    """The last checkpoint that is whole; a warning says which ones are not."""
    kept, wrong = newest(place, training)
    for error in wrong:
        warnings.warn(f"{error.what}; the one at step {kept.step:,} is used instead", TrainingWarning, stacklevel=3)
    return kept


def leaf_names(trainer: Trainer) -> list[str]:
    """A name of its own for everything that a step hands on: W1, m_W1, t."""
    names: dict[str, None] = {}
    for k, leaf in enumerate(trainer.epochs.leaves):
        known = next((s.names[leaf].text for s in trainer.steps if leaf in s.names), str(leaf.name))
        names[f"{known} ({k})" if known in names else known] = None
    return list(names)


def _to_arrays(standing: Standing, names: Sequence[str]) -> dict[str, Array]:
    out: dict[str, Any] = {f"now {name}": a for name, a in zip(names, standing.carry, strict=True)}
    out |= {f"best {name}": a for name, a in zip(names, standing.best, strict=False)}
    out |= {f"control {k}": a for k, a in enumerate(standing.control)}
    out |= {"sampled_at": standing.sampled_at, "samples": standing.samples}
    if standing.inside is not None:
        inside = standing.inside
        out |= {f"start {name}": a for name, a in zip(names, inside.start, strict=True)}
        out |= {k: getattr(inside, k) for k in ("outputs", "seen", "total", "seen_before")}
    return out


def standing_of(trainer: Trainer, kept: Checkpoint) -> Standing:
    """Where a trainer stood, from a checkpoint.

    Errors: :class:`RunError` where the arrays are not those of this network.
    """
    from chainrule.engine.xla.plan import Inside, Standing

    names, found = leaf_names(trainer), kept.arrays
    shapes = {f"now {name}": a.shape for name, a in zip(names, trainer.epochs.carry, strict=True)}
    for name, shape in shapes.items():
        if name not in found or found[name].shape != shape:
            raise RunError(
                "the checkpoint is one of another network",
                given=f"{name} {found[name].shape}" if name in found else f"no {name}",
                expected=f"{name} {shape}",
            )
    inside = None
    if kept.state["inside"] is not None:
        start = tuple(found[f"start {name}"] for name in names)
        inside = Inside(kept.state["inside"], start, *(found[k] for k in ("outputs", "seen", "total", "seen_before")))
    return Standing(
        tuple(found[f"now {name}"] for name in names),
        tuple(found[f"best {name}"] for name in names if f"best {name}" in found),
        tuple(found[f"control {k}"] for k in range(4)),
        found["sampled_at"],
        found["samples"],
        inside,
    )
