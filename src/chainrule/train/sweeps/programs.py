"""The trainings of a sweep, and the programs that run them: one for all that differ in numbers alone."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from threading import Lock
from typing import Any, Protocol

import numpy as np

from chainrule.data.lazy import chosen, is_lazy
from chainrule.graph.graph import Graph
from chainrule.graph.node import Node
from chainrule.graph.serialize import to_data
from chainrule.ops import input as input_
from chainrule.ops import parameter
from chainrule.optimize import Optimizer, update
from chainrule.train.history import History
from chainrule.train.orders import order_of, parted
from chainrule.train.run import Run, inputs_of
from chainrule.train.sweeps.choices import Recipe
from chainrule.train.trainer import Trainer, model_of

Array = np.ndarray[Any, Any]
MOST_KEPT = 1 << 24
"""So many row numbers, of orders that several trainings share, are kept at most."""


@dataclass(eq=False)
class Training:
    """A candidate's training from one seed, on one fold.

    Attributes:
        candidate: its candidate's name, and ``recipe`` how it is trained.
        seed: of initial parameters and order.
        fold: the number of the fold, from 0, or None.
        history: what its epochs reported.
        numbers: parameters and states by name, once it has ended.
        seconds: that it took, beside the others.
        parameter_count: how many numbers it learns.
        ended: whether it is over, to its end or not.
        given_up: the epoch after which it was given up as hopeless, or None.
        wrong: why it failed, or nothing.
        network: a checksum of its formula, and ``settings`` of what it is trained with, where its record is kept.
        state, runner: of one that is under way, and what runs it.
    """

    candidate: str
    recipe: Recipe
    seed: int
    fold: int | None
    history: History | None = None
    numbers: Mapping[str, Array] | None = None
    seconds: float = 0.0
    parameter_count: int = 0
    ended: bool = False
    given_up: int | None = None
    wrong: Exception | str | None = None
    network: str = ""
    settings: str = ""
    state: Any = field(default=None, repr=False)
    runner: Any = field(default=None, repr=False)

    @property
    def epochs(self) -> int:
        """How many it has behind it."""
        return 0 if self.history is None else self.history.epochs

    def score(self, column: str) -> float:
        """The number of the epoch whose parameters it has; NaN where it failed or diverged."""
        if self.wrong is not None or self.history is None or self.history.diverged or not self.epochs:
            return float("nan")
        return self.history.row(self.history.best_epoch or -1)[column]


@dataclass(frozen=True, eq=False)
class Examples:
    """What all trainings of a sweep learn from, and what is held out.

    Attributes:
        X, Y: examples and labels.
        validation_data: to validate on, the same for all.
        validation_split: or the share of the examples.
        folds: or the rows to train on and those held out, for each fold.
    """

    X: Any
    Y: Any
    validation_data: Any = None
    validation_split: float = 0.0
    folds: Sequence[tuple[Array, Array]] | None = None

    def given_to(self, training: Training) -> dict[str, Any]:
        """The arguments of a :class:`Trainer` for a training."""
        if self.folds is None or training.fold is None:
            held_out = {"validation_data": self.validation_data, "validation_split": self.validation_split}
            return {"X": self.X, "Y": self.Y, **held_out}
        rows, held = self.folds[training.fold]
        X, Y = partial(_rows_of, self.X), partial(_rows_of, self.Y)
        return {"X": X(rows), "Y": Y(rows), "validation_data": X(held) if self.Y is None else (X(held), Y(held))}

    def rows(self, training: Training, count: int) -> tuple[Array, Array]:
        """The numbers of the rows to train on and of those held out; examples to validate on stand behind all."""
        if self.folds is not None and training.fold is not None:
            return self.folds[training.fold]
        if self.validation_data is not None:
            held_out = self.validation_data[0] if self.Y is not None else self.validation_data
            return np.arange(count), np.arange(count, count + _count(held_out))
        if not self.validation_split:
            return np.arange(count), np.arange(0)
        return parted(count, self.validation_split, training.seed)

    def together(self, trainer: Trainer) -> list[Array]:
        """All of them as the arrays that a training is fed."""
        parts = [(self.X, self.Y)]
        if self.validation_data is not None:
            parts += [self.validation_data if self.Y is not None else (self.validation_data, None)]
        model, labels = trainer.step.model, trainer.labels
        fed = [[*inputs_of(model, X), *([] if Y is None else [labels.encode(Y, model.output)])] for X, Y in parts]
        return [np.concatenate(arrays) if len(arrays) > 1 else arrays[0] for arrays in zip(*fed, strict=True)]

    @property
    def share(self) -> float:
        """The number of examples that are held out at random over that of those trained on; 0 where all share them."""
        if self.folds is not None:
            return float(np.mean([len(held) / len(rows) for rows, held in self.folds]))
        return self.validation_split / (1 - self.validation_split)

    @cached_property
    def count(self) -> int:
        """How many examples there are to learn from."""
        return _count(self.X)

    @cached_property
    def in_memory(self) -> bool:
        """Whether none is read only when it is needed."""
        given = [self.X, *([] if self.validation_data is None else [self.validation_data])]
        return not any(map(is_lazy, (leaf for part in given for leaf in _leaves(part))))


def _leaves(X: Any) -> list[Any]:
    if isinstance(X, Mapping):
        return list(X.values())
    return list(X) if isinstance(X, tuple) else [X]


def _count(X: Any) -> int:
    first = next(iter(X.values())) if isinstance(X, Mapping) else X
    return len(first[0]) if isinstance(first, tuple) else len(first)


def _rows_of(X: Any, rows: Array) -> Any:
    """Some rows of what is given as examples or labels."""
    if X is None:
        return None
    if isinstance(X, Mapping):
        return {name: _rows_of(part, rows) for name, part in X.items()}
    if isinstance(X, tuple):
        return tuple(_rows_of(part, rows) for part in X)
    return chosen(X if is_lazy(X) else np.asarray(X), rows)


@lru_cache(maxsize=4096)
def shape_of(rule: Optimizer) -> tuple[Any, dict[str, float]]:
    """An update rule as what makes its formulas, and the numbers that stand in them under a symbol.

    Two rules of one shape are one program with other numbers. A number that is 0 or 1 may simplify a formula, and
    makes a shape of its own.
    """
    w, g = parameter("w", ()), input_("g", ())
    moved = update(rule, {w: g})
    nodes = list(Graph([*moved.parameters.values(), *moved.states.values()]))
    place = {n: i for i, n in enumerate(nodes)}
    symbols = [n for n in nodes if n.op.name == "constant" and n.name]
    numbers = {str(n.name): float(n.attrs["value"]) for n in symbols}

    def described(n: Node) -> tuple[Any, ...]:
        number = numbers.get(str(n.name)) if n in symbols else None
        fed = number is not None and number == float(n.attrs["value"]) and number not in (0.0, 1.0)
        return n.op.name, n.name, fed or repr(sorted(n.attrs.items())), tuple(place[i] for i in n.inputs)

    return tuple(described(n) for n in nodes), numbers


class Rest(Protocol):
    """The trainings that wait."""

    @property
    def over(self) -> bool:
        """Whether all is to end where it is."""

    def take(self) -> Training | None:
        """One that waits, or None."""


class Alone:
    """Trainings one by one, each as :func:`chainrule.fit` would make it."""

    width = 1

    def __init__(self, examples: Examples, epochs: int) -> None:
        self.examples, self.epochs = examples, epochs

    def run(self, some: Sequence[Training], upto: int, rest: Rest) -> None:
        """Bring trainings to an epoch."""
        for training in some:
            begin = time.perf_counter()
            if training.state is None:
                training.state = trainer_for(self.examples, training)
            trainer: Trainer = training.state
            training.history = history = trainer.history
            while history.epochs < upto and not history.stopped and not rest.over:
                trainer.run_epochs(min(trainer.chunk, upto - history.epochs))
            training.seconds += time.perf_counter() - begin

    def going_on(self, training: Training) -> bool:
        """Whether it could go on."""
        return training.state is not None and not training.state.history.stopped

    def end(self, training: Training) -> None:
        """Keep what was learned, and let go of the rest."""
        run = training.state.run({"epochs": self.epochs})
        training.numbers = {**run.parameters, **run.states}
        training.parameter_count = run.model.parameter_count
        training.state = None


class Together:
    """Trainings that differ in numbers alone, in one compiled program: rows, seeds, constants of the optimizer.

    Args:
        examples: what they learn from.
        epochs: how many at most.
        pattern: one of them.
        count: how many there are.
    """

    def __init__(self, examples: Examples, epochs: int, pattern: Training, count: int) -> None:
        from chainrule.engine.xla.lanes import Lanes, width_for

        self.examples, self.epochs = examples, epochs
        self.trainer = trainer = trainer_for(examples, pattern)
        plan = trainer.epochs.plan
        rule = pattern.recipe.settings["optimizer"]
        self._symbols = {n: str(n.name) for n in plan.constants if str(n.name) in shape_of(rule)[1]}
        self.fits = len(set(self._symbols.values())) == len(self._symbols) == len(shape_of(rule)[1])
        self._orders: dict[tuple[int, int], Array] = {}
        if not self.fits:
            return
        rows, held_out = examples.rows(pattern, examples.count)
        self.width = min(width_for(plan), count)
        # A call is as long as that of one training: who ends within it makes the others wait no longer.
        self.chunk = min(max(1, trainer.chunk // self.width), epochs)
        first = trainer.first_values(pattern.recipe.settings.get("start"), pattern.seed)
        data = examples.together(trainer)
        dtype = pattern.recipe.settings.get("dtype", "float32")
        self.lanes = Lanes(plan, first, data, len(rows), len(held_out), self.chunk, dtype, self.width)
        # Here, where no other thread holds Python's lock, so that nothing is left to do before it runs.
        self._begin(pattern)
        self._order(pattern, rows, self.chunk)

    def run(self, some: Sequence[Training], upto: int, rest: Rest) -> None:
        """Bring trainings to an epoch; where one is there, another of the rest takes its place among them."""
        now = list(some)
        while now and not rest.over:
            begin = time.perf_counter()
            for training in now:
                self._begin(training)
            counts = [min(self.chunk, upto - t.epochs) for t in now]
            parts = [self.examples.rows(t, self.examples.count) for t in now]
            orders = [self._order(t, rows, count) for t, (rows, _), count in zip(now, parts, counts, strict=True)]
            found = self.lanes.run([t.state for t in now], orders, [held for _, held in parts], counts)
            seconds = (time.perf_counter() - begin) / len(now)
            for training, rows in zip(now, found, strict=True):
                training.seconds += seconds
                self._note(training, rows)
            there = [t for t in now if t.epochs >= upto or not self.going_on(t)]
            now = [t for t in now if t not in there]
            now += [t for t in (rest.take() for _ in there) if t is not None]

    def _begin(self, training: Training) -> None:
        if training.state is None:
            settings = training.recipe.settings
            numbers = shape_of(settings["optimizer"])[1]
            constants = {n: numbers[symbol] for n, symbol in self._symbols.items()}
            first = self.trainer.first_values(settings.get("start"), training.seed)
            training.state = self.lanes.begin(first, constants, training.seed)
            training.history = History(self.trainer.history.columns)

    def _order(self, training: Training, rows: Array, count: int) -> Array:
        out = np.zeros((self.chunk, len(rows)), np.int32)
        for k in range(count):
            out[k] = rows[self._permutation(training, training.epochs + k, len(rows))]
        return out

    def _permutation(self, training: Training, epoch: int, rows: int) -> Array:
        """The order of an epoch: that of the same seed is the same in all of them."""
        if not self.trainer.shuffle:
            return np.arange(rows)
        key = training.seed, epoch
        if key in self._orders:
            return self._orders[key]
        order = order_of(rows, training.seed, epoch)
        if (len(self._orders) + 1) * rows < MOST_KEPT:
            self._orders[key] = order
        return order

    def _note(self, training: Training, rows: Array) -> None:
        history, lane, early = training.history, training.state, self.trainer.early_stopping
        assert history is not None
        history.extend(rows)
        if early is not None and lane.best_epoch >= 0:
            history.best_epoch = lane.best_epoch + 1
        if lane.diverged:
            history.diverged = history.epochs
            history.stopped = f"stopped in epoch {history.epochs}: a number was no longer finite"
        elif not lane.running:
            history.stopped = f"stopped after epoch {history.epochs}: no improvement since epoch {history.best_epoch}"

    def going_on(self, training: Training) -> bool:
        """Whether it could go on."""
        return training.state is not None and training.state.running

    def end(self, training: Training) -> None:
        """Keep what was learned, and let go of the rest."""
        assert training.history is not None
        values = self.lanes.values(training.state, best=training.history.best_epoch is not None)
        step = self.trainer.step
        training.numbers = {name: values[n] for name, n in {**step.parameter_names, **step.state_names}.items()}
        training.parameter_count = step.model.parameter_count
        training.state = None


class Program:
    """The trainings of one shape, those that wait, and what runs them, made when it is first needed."""

    _making = Lock()  # one after the other: two threads at it would take turns at Python's lock, and both be late

    def __init__(self, examples: Examples, epochs: int, alone: bool) -> None:
        self.examples, self.epochs, self.alone = examples, epochs, alone
        self.waiting: list[Training] = []
        self.taken = 0
        self._made: Alone | Together | None = None

    def made(self, pattern: Training) -> Alone | Together:
        """What runs them."""
        with Program._making:
            if self._made is None:
                alone = Alone(self.examples, self.epochs)
                together = None if self.alone else Together(self.examples, self.epochs, pattern, 1 + len(self.waiting))
                self._made = alone if together is None or not together.fits else together
            return self._made


def key_of(examples: Examples, training: Training) -> Any:
    """What trainings of one program share, or None for one that is trained by itself."""
    settings = training.recipe.settings
    rule = settings.get("optimizer")
    by_itself = ("sample_weight", "class_weight", "watch", "devices")
    if not isinstance(rule, Optimizer) or not examples.in_memory:
        return None
    if isinstance(rule.learning_rate, Mapping) or isinstance(rule.weight_decay, Mapping):
        return None
    if any(settings.get(name) is not None for name in by_itself):
        return None
    rows, held_out = examples.rows(training, examples.count)
    return training.recipe.apart, shape_of(rule)[0], len(rows), len(held_out)


def network_of(examples: Examples, recipe: Recipe) -> str:
    """A checksum of the formula of a network: its ops, settings, shapes and names."""
    model = model_of(recipe.make(), examples.X)
    return hashlib.sha256(json.dumps(to_data(model.outputs), sort_keys=True).encode()).hexdigest()[:32]


def trainer_for(examples: Examples, training: Training) -> Trainer:
    """The training as :func:`chainrule.fit` would begin it."""
    # The cores are shared by trainings, not by the rows of a batch.
    given = {"devices": 1, **training.recipe.settings, **examples.given_to(training)}
    if training.fold is not None and examples.folds is not None and given.get("sample_weight") is not None:
        given["sample_weight"] = _rows_of(given["sample_weight"], examples.folds[training.fold][0])
    return Trainer(training.recipe.make(), seed=training.seed, **given)


def run_of(examples: Examples, training: Training, epochs: int) -> Run:
    """The network of a training that has ended."""
    assert training.numbers is not None
    assert training.history is not None
    trainer = trainer_for(examples, training)
    parameters = {name: training.numbers[name] for name in trainer.step.parameter_names}
    states = {name: training.numbers[name] for s in trainer.steps for name in s.state_names}
    settings = {**trainer.settings, "epochs": epochs}
    return Run(trainer.steps, parameters, training.history, trainer.labels, settings, states=states)
