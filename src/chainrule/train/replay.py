"""Going back to a step of a training: it is gone through again from the nearest checkpoint, or from its beginning.

It is the same compiled program that goes through it, told where to stop, so that the numbers have the same bits.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import ConfigurationError, DataError, RunError, near
from chainrule.graph.node import Node
from chainrule.notation import Sheet
from chainrule.train.checkpoint_files import belongs_to, place_for, read_checkpoint, read_training, steps_in
from chainrule.train.checkpoints import check_data, fingerprints, standing_of
from chainrule.train.history import History, TrainingWarning
from chainrule.train.readings import READINGS
from chainrule.train.resume import class_weight_of, first_run, watched_in
from chainrule.train.run import Named, Run
from chainrule.train.trainer import EarlyStopping, Trainer
from chainrule.train.watch import Watch, Watched, collected, idle, quantities
from chainrule.train.watch import watch as read_watch

if TYPE_CHECKING:
    from chainrule.engine.xla.plan import Standing

Array = np.ndarray[Any, Any]


def at(run: Run, step: int | None = None, X: Any = None, Y: Any = None, sample_weight: Any = None) -> ReplayedStep:
    """A step of a run's training with every number in it, bit for bit.

    Args:
        run: the run.
        step: its number, from 0, as in ``run.watched.steps``; by default that of the first number that was not finite.
        X, Y, sample_weight: what it was trained on, where the run was read from a folder.

    Errors: a step that the training did not make; a run that does not know what it was trained on, or other data.

    >>> import numpy as np, chainrule as cr
    >>> x = np.linspace(-1, 1, 20)
    >>> run = cr.fit(cr.Sequential(cr.Dense(1)), x, 3 * x + 1, epochs=10, batch_size=5)
    >>> moment = run.at(step=13)
    >>> moment.epoch, moment.batch, moment.rows.shape, moment.gradients["W1"].shape
    (4, 2, (5,), (1, 1))
    """
    if X is None and "_replay" in run.__dict__:
        replay: Replay = run.__dict__["_replay"]
    else:
        replay = run.__dict__["_replay"] = Replay(run, partial(_trainer_of, run, X, Y, sample_weight))
    return replay.at(replay.first_bad if step is None else step)


class Replay:
    """A training that is gone through again, to any of its steps.

    Attributes:
        trainer: with as many devices as made the step at which it stands.
        steps: so many make an epoch, and ``made`` so many were made.
    """

    def __init__(self, run: Run, trainer_with: Callable[[int | None], Trainer]) -> None:
        self.run, self._trainer_with = run, cache(trainer_with)
        self._stretches = [(int(first), count) for first, count in run.settings.get("shared", [(0, None)])]
        self.trainer = trainer = self._trainer_with(self._stretches[0][1])
        self.steps: int = trainer.epochs.steps
        self.made = run.history.epochs * self.steps
        self._beginning: Standing = trainer.epochs.standing()
        self._looks: dict[Any, Any] = {}
        self._told = False
        self._place = None
        folder = None if run.origin is None else run.origin.folder
        if folder is not None and belongs_to(folder, run.settings):
            self._place = place_for(folder)

    @cached_property
    def _lost(self) -> RunError | None:
        """Why the numbers that the training began with are not known, where only its folder could tell them."""
        if self._place is not None and self.run.origin is not None and self.run.origin.X is None:
            try:
                read_checkpoint(self._place, 0, self.run.settings["training"])
            except RunError as error:
                return error
        return None

    @property
    def first_bad(self) -> int:
        """The step that made the first number that was not finite; where only the validation did, the last one."""
        bad = self.run.first_bad
        if bad is None:
            raise ConfigurationError(
                "every number of this training was finite",
                given="no step",
                expected=f"a step from 0 to {self.made - 1:,}",
                hint="run.at(step=…)",
            )
        steps = self.steps
        return (bad.epoch - 1) * steps + (steps if bad.batch is None else bad.batch) - 1

    def at(self, step: int) -> ReplayedStep:
        """Go to a step and look at it."""
        whole = isinstance(step, (int, np.integer)) and not isinstance(step, bool)
        if not whole or not 0 <= step < self.made:
            raise ConfigurationError(
                "the training made no such step",
                given=repr(step),
                expected=f"a whole number from 0 to {self.made - 1:,}",
                hint=f"{self.run.history.epochs:,} epochs of {self.steps:,} steps; the first is step 0",
            )
        self._go_to(int(step))
        return ReplayedStep(self, int(step))

    def _go_to(self, step: int) -> None:
        """Stand before a step, with the devices that made it."""
        self._stand_at(step, sum(first <= step for first, _ in self._stretches) - 1)

    def _stand_at(self, step: int, stretch: int) -> None:
        """Stand before a step, reached with the devices of a stretch, from the nearest place before that is known."""
        first, devices = self._stretches[stretch]
        trainer, steps = self._trainer_with(devices), self.steps
        here = trainer.position if trainer.history.diverged is None and not trainer.history.stopped else -1
        known, standing = self._nearest(step)
        if known < first and not first <= here <= step:
            self._stand_at(first, stretch - 1)
            known, standing = first, self.trainer.epochs.standing()
        if not known <= here <= step:
            trainer.epochs.stand_at(standing)
            columns = trainer.history.columns
            trainer.history = History(columns, np.full((known // steps, len(columns)), np.nan))
        self.trainer = trainer
        epoch, inside = divmod(step, steps)
        while trainer.history.epochs < epoch:
            trainer.advance(min(trainer.chunk, epoch - trainer.history.epochs))
            if trainer.history.stopped:
                raise RunError("the training cannot be gone through again", given=trainer.history.stopped)
        self._compare(trainer.history)
        if inside and trainer.position < step:
            trainer.advance(1, stop=inside)

    def _compare(self, found: History) -> None:
        """Say once where an epoch that was gone through again has another loss than it had."""
        again, before = found.table[:, 0], self.run.history.table[: found.epochs, 0]
        others = np.flatnonzero(~np.isnan(again) & (again != before))
        if len(others) and not self._told:
            self._told = True
            epoch = others[0]
            warnings.warn(
                f"gone through again, epoch {epoch + 1:,} has the {found.columns[0]} {again[epoch]!s} where it had "
                f"{before[epoch]!s}. Have X or Y been changed since, or is this another machine? The numbers of a step "
                "are those of the training as it goes now",
                TrainingWarning,
                stacklevel=7,  # whoever asked run.at
            )

    def _nearest(self, step: int) -> tuple[int, Standing]:
        """The last place before a step that the training can be gone on with from, and how it stood there."""
        for known in reversed(steps_in(self._place) if self._place is not None else ()):
            if 0 < known <= step and self._place is not None:
                with suppress(RunError):  # one that is cut short is passed over
                    kept = read_checkpoint(self._place, known, self.run.settings["training"])
                    if kept.state["diverged"] is None:
                        return known, standing_of(self.trainer, kept)
        if self._lost is not None:
            whole = [n for n in steps_in(self._place) if n] if self._place is not None else []
            raise RunError(
                "the checkpoint before the first step is lost, and this step cannot be gone through again without it",
                given=f"step {step:,}; {self._lost.what}",
                expected=f"a step from {whole[0]:,} on" if whole else None,
                where=self._place,
            )
        return 0, self._beginning

    def rows(self, step: int) -> Array:
        """The rows of a step among those that are trained on."""
        epoch, inside = divmod(step, self.steps)
        size = self.trainer.epochs.plan.batch_size
        return np.asarray(self.trainer.order(epoch)[inside * size : (inside + 1) * size])

    def look(self, step: int, wanted: Sequence[Sequence[Node]]) -> tuple[list[dict[Node, Array]], dict[Node, Array]]:
        """The numbers of some nodes in each turn of a step, and all leaves after it."""
        from chainrule.engine.xla import Look

        self._go_to(step)
        key = self.trainer, *(tuple(nodes) for nodes in wanted)
        if key not in self._looks:
            asked = [dict.fromkeys(nodes) for nodes in wanted]
            turns = self.trainer.turns([tuple(nodes) for nodes in asked])
            self._looks[key] = Look(self.trainer.epochs, turns), turns
        look, turns = self._looks[key]
        epoch, inside = divmod(step, self.steps)
        found, after = look(self.trainer.order(epoch), inside)
        named = [
            {n: kept[run] for n, run in zip(dict.fromkeys(nodes), turn.watched, strict=True)}
            for nodes, turn, kept in zip(wanted, turns, found, strict=True)
        ]
        return named, after


class ReplayedStep:
    """A step of a training, gone through again: ``moment["dZ1"]`` is any of its quantities.

    Attributes:
        step: its number, from 0.
        parameters: the parameters before this step.
        states: what the network keeps beside its parameters, before this step: running means and variances.
    """

    def __init__(self, replay: Replay, step: int) -> None:
        self._replay, self.step = replay, step
        draws = replay.run.step.draws
        # A program of their own, for what else is kept decides how XLA orders the additions of a sum.
        self._found, self._after = replay.look(step, [[*s.gradients.values(), *draws] for s in replay.run.steps])
        parameters, self.states = replay.trainer.network()
        self.parameters: Mapping[str, Array] = Named(parameters)

    @property
    def epoch(self) -> int:
        """The epoch that it belongs to, from 1."""
        return self.step // self._replay.steps + 1

    @property
    def batch(self) -> int:
        """Its number in the epoch, from 1."""
        return self.step % self._replay.steps + 1

    @cached_property
    def rows(self) -> Array:
        """The rows of X that it read, from 0."""
        rows, of = self._replay.rows(self.step), self._replay.trainer.rows_of
        return rows if of is None else of[rows]

    @cached_property
    def examples(self) -> dict[str, Array]:
        """What was fed for each example: inputs, labels as numbers, weights."""
        epochs = self._replay.trainer.epochs
        arrays = epochs.rows(self._replay.rows(self.step))
        return {str(n.name): np.asarray(a) for n, a in zip(epochs.plan.examples, arrays, strict=True)}

    @property
    def run(self) -> Run:
        """The run as it stood before this step: its parameters, states and history."""
        return self._run(None)

    @property
    def gradients(self) -> Mapping[str, Array]:
        """The derivative of the cost by each parameter that is learned, by the parameter's name."""
        found: dict[str, Array] = {}
        for k, step in enumerate(self._replay.run.steps):
            found |= {step.names[p].text: self._found[k][g] for p, g in step.gradients.items()}
        return Named(found)

    @property
    def draws(self) -> dict[str, Array]:
        """The random numbers of this step, by name, or r1, r2 … in the order in which they were made."""
        step = self._replay.run.step
        names = [step.names[n].text if n in step.names else f"r{k}" for k, n in enumerate(step.draws, 1)]
        return {name: self._found[0][n] for name, n in zip(names, step.draws, strict=True)}

    @property
    def updated(self) -> Mapping[str, Array]:
        """The parameters after this step."""
        return Named({name: self._after[n] for name, n in self._replay.run.step.parameter_names.items()})

    @property
    def cost(self) -> float:
        """J of this batch."""
        return float(self["J"])

    @cached_property
    def quantities(self) -> dict[str, Array]:
        """Everything of the step that has a name."""
        steps, known = self._replay.run.steps, self._known
        wanted = [
            [q.node for q in of_step.values() if q.node not in s.gradients.values()]
            for s, of_step in zip(steps, known, strict=True)
        ]
        found = self._replay.look(self.step, wanted)[0]
        out: dict[str, Array] = {}
        for of_step, numbers, gradients in zip(known, found, self._found, strict=True):
            numbers |= {n: v for n, v in gradients.items() if n.op.name != "draw"}
            out = {name: numbers[q.node] for name, q in of_step.items()} | out
        return out

    @cached_property
    def _known(self) -> list[dict[str, Any]]:
        return [quantities(step) for step in self._replay.run.steps]

    def __getitem__(self, name: str) -> Array:
        if name not in self.quantities:
            raise ConfigurationError(
                "the step has no such quantity",
                given=repr(name),
                expected=", ".join(self.quantities),
                hint=near(str(name), self.quantities),
            )
        return self.quantities[name]

    def watch(self, wanted: Any = True) -> Watched:
        """Statistics of this step alone, as ``cr.fit(…, watch=wanted)`` samples them."""
        return self._watched(read_watch(self._replay.run.step, wanted))

    def _watched(self, spec: Watch) -> Watched:
        step, trainer = self._replay.run.step, self._replay.trainer
        nodes = [spec.nodes if s is step else () for s in self._replay.run.steps]
        found = self._replay.look(self.step, nodes)[0][0]
        samples = np.concatenate([np.asarray(found[n], np.float64).reshape(-1) for n in spec.nodes])[None]
        facts = trainer.facts | {"idle": idle(step, trainer.looked_at, self.run.values)}
        return collected(spec, samples, np.array([self.step]), trainer.epochs.steps, facts)

    def formulas(self, *, columns: bool = False) -> Sheet:
        """The formulas of the step; as ``run.formulas()``."""
        return self._replay.run.formulas(columns=columns)

    def why(self) -> Any:
        """What the rules find in the training up to this step; as ``run.why()`` does.

        What was watched while it trained is looked at up to here; where nothing was, this step alone.
        """
        watched = self._replay.run.watched
        if watched is not None and (watched.steps <= self.step).any():
            before = watched.steps <= self.step
            columns = [watched.columns[k][before] for k in watched.keys]
            watched = Watched(
                watched.keys, columns, watched.steps[before], watched.every, watched.steps_per_epoch, watched.facts
            )
        else:
            watched = self.watch()
        return self._run(watched).why()

    def trace(self, row: int | None = None, *, as_written: bool = True, objective: str | None = None) -> Any:
        """Forward and backward of this step, node by node, with the random numbers that it drew.

        Args:
            row: of the batch, from 0: its numbers alone, as they were among the others; all rows by default.
            as_written, objective: as in ``run.trace``.
        """
        return READINGS["trace_step"](self, row, as_written=as_written, objective=objective)

    def __str__(self) -> str:
        """Where it is, its cost, and the size of each quantity: of the numbers that are finite."""
        steps = self._replay.steps
        head = f"step {self.step:,}: batch {self.batch:,} of {steps:,} in epoch {self.epoch:,}, {len(self.rows):,} rows"
        lines = [head, "", f"{'':<10}{'shape':<16}{'mean':>12}{'rms':>12}{'min':>12}{'max':>12}"]
        for name, value in self.quantities.items():
            v = np.asarray(value, np.float64)
            f = v[np.isfinite(v)]
            numbers = (f.mean(), np.sqrt((f * f).mean()), f.min(), f.max()) if f.size else ()
            bad = f"   {v.size - f.size:,} of {v.size:,} not finite" if f.size < v.size else ""
            shape = "(" + ", ".join(map(str, v.shape)) + ")" if v.shape else ""
            lines.append(
                f"{name:<10}{shape:<16}" + ("".join(f"{n:>12.4g}" for n in numbers) or " " * 48 * bool(bad)) + bad
            )
        return "\n".join(lines)

    __repr__ = __str__

    def _run(self, watched: Watched | None) -> Run:
        run = self._replay.run
        history = History(run.history.columns, run.history.table[: self.epoch - 1])
        return Run(run.steps, self.parameters, history, run.labels, run.settings, watched, None, self.states)


READINGS["at"] = at


def _trainer_of(run: Run, X: Any, Y: Any, sample_weight: Any, devices: int | None) -> Trainer:
    """A trainer with the run's own steps, on the data that it was trained on, at its beginning.

    It has so many devices; None are as many as the run had all along.
    """
    origin = run.origin
    devices = run.settings["devices"] if devices is None else devices
    if origin is None or (X is None and origin.X is None):
        raise DataError(
            "the run does not hold what it was trained on",
            given="a run that was read from a folder, or handed on" if X is None else "no folder",
            expected="the examples and labels that it was trained on",
            hint="run.at(step=…, X=X, Y=Y), or chainrule replay RUN for a run of the command line",
        )
    if X is None or origin.folder is None:
        X, Y = (origin.X, origin.Y) if X is None else (X, Y)
        trainer = Trainer(run, X, Y, as_before=True, **{**origin.settings, "devices": devices})
        if origin.folder is not None:
            _check(trainer, origin.folder, run)
        elif X is not origin.X or Y is not origin.Y:
            before = Trainer(run, origin.X, origin.Y, as_before=True, **origin.settings)
            check_data(fingerprints(before), fingerprints(trainer))
        return trainer
    place = place_for(origin.folder)
    described, training = read_training(place)
    if run.settings.get("training") != training:
        raise RunError(
            "the checkpoints in the folder are those of another training",
            given=str(place),
            hint="run.at needs the checkpoints of its own training, that before the first step at least",
        )
    setup, settings, begun = described["setup"], described["settings"], first_run(place, described, training, ())
    stopping = setup["early_stopping"]
    own = setup["validation_split"] > 0 or not settings["validation_rows"]
    names = {**run.step.parameter_names, **{k: n for s in run.steps for k, n in s.state_names.items()}}
    numbers = {**begun.parameters, **begun.states}
    trainer = Trainer(
        run,
        X,
        Y,
        as_before=True,
        start={n: numbers[name] for name, n in names.items()},
        batch_size=settings["batch_size"],
        validation_split=setup["validation_split"],
        early_stopping=EarlyStopping(**stopping) if stopping and own else None,
        sample_weight=sample_weight,
        class_weight=class_weight_of(setup),
        shuffle=settings["shuffle"],
        watch=watched_in(run, setup),
        every=setup["every"],
        seed=settings["seed"],
        dtype=settings["dtype"],
        devices=devices,
    )
    _check(trainer, origin.folder, run)
    return trainer


def _check(trainer: Trainer, folder: Any, run: Run) -> None:
    described, training = read_training(place_for(folder))
    if run.settings.get("training") == training:
        only = [str(n.name) for n in trainer.epochs.plan.examples]
        check_data(described["data"], fingerprints(trainer), folder, only)
