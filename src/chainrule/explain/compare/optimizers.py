"""Optimizers compared: steps down two valleys, epochs to learn real data, each with a learning rate searched for it.

A valley is trained like any network: its height is the loss, and the place is the parameter.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.explain.compare.progress import Told
from chainrule.explain.compare.result import Result, checked_seeds, counted
from chainrule.explain.compare.spread import Spread
from chainrule.explain.compare.tasks import Task, task
from chainrule.explain.numbers import aligned, number
from chainrule.graph.node import Node
from chainrule.nn import Dense, Model, Sequential
from chainrule.ops import clip, constant, parameter
from chainrule.ops import input as input_
from chainrule.ops import sum as sum_
from chainrule.optimize import OPTIMIZERS, optimizer
from chainrule.optimize.schedules import Schedule
from chainrule.train import Run, TrainingWarning
from chainrule.train.fit import fit

if TYPE_CHECKING:
    from chainrule.explain.figures import Drawing

Array = np.ndarray[Any, Any]
RATES = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""The learning rates that every optimizer is tried with: the same for all, half a power of ten apart."""
HIDDEN = 32


@dataclass(frozen=True)
class Valley:
    """A surface over two coordinates whose lowest point has the height 0.

    Attributes:
        name: to print.
        height: J(x, y), of nodes or arrays.
        start: where a walk begins.
        end: the lowest point.
        formula: as it is written.
    """

    name: str
    height: Callable[[Any, Any], Any]
    start: tuple[float, float]
    end: tuple[float, float]
    formula: str


VALLEYS = (
    Valley(
        "quadratic valley",
        lambda x, y: (x + y) ** 2 / 4 + 25 * (y - x) ** 2 / 2,
        (-4.0, -2.5),
        (0.0, 0.0),
        "¼ (x + y)² + 12.5 (y − x)²",
    ),
    Valley(
        "Rosenbrock's valley",
        lambda x, y: (1 - x) ** 2 + 100 * (y - x**2) ** 2,
        (-1.2, 1.0),
        (1.0, 1.0),
        "(1 − x)² + 100 (y − x²)²",
    ),
)


@dataclass(frozen=True, eq=False)
class Walk:
    """A walk down a valley.

    Attributes:
        learning_rate: the one of :data:`RATES` that arrived first, or came lowest where none arrived.
        steps: the first step after which J is below the target; None where it was not reached.
        lowest: the smallest J on the way.
        path: (steps, 2), the places; ``heights`` J at each.
    """

    learning_rate: float
    steps: int | None
    lowest: float
    path: Array
    heights: Array


@dataclass(frozen=True)
class Learning:
    """The training of a network on real data.

    Attributes:
        learning_rate: the one that arrived first with another seed than those below.
        epochs: for each seed the epoch in which the training loss fell below the target, or None.
        accuracy: on test rows, after all epochs.
        losses: J by epoch, the mean over the seeds.
    """

    learning_rate: float
    epochs: tuple[int | None, ...]
    accuracy: Spread
    losses: tuple[float, ...]

    @property
    def arrived(self) -> Spread | None:
        """The epochs, where every seed arrived."""
        return Spread.of(e for e in self.epochs if e) if all(self.epochs) else None


@dataclass(frozen=True)
class OptimizerComparison(Result):
    """Optimizers compared. Prints as a table; :meth:`figures` draws paths and losses.

    Attributes:
        valleys: for each valley a walk for each optimizer.
        learning: for each optimizer how it learned real data.
        targets: the J to reach, in a valley and on real data.
        settings: how it was done, a sentence each.
    """

    valleys: Mapping[str, Mapping[str, Walk]]
    learning: Mapping[str, Learning]
    targets: tuple[float, float]
    settings: tuple[str, ...]

    def __str__(self) -> str:
        head = ["optimizer"]
        for name in self.valleys:
            head += [f"{name}: steps", "α"]
        head += ["real data: epochs", "α", "test accuracy"]
        rows = [head]
        for name, learned in self.learning.items():
            row = [name]
            for walks in self.valleys.values():
                walk = walks[name]
                row += [f"{walk.steps:,}" if walk.steps is not None else f"— (J = {number(walk.lowest)})"]
                row += [number(walk.learning_rate)]
            row += [_epochs(learned), number(learned.learning_rate)]
            row += [f"{Spread.of(100 * v for v in learned.accuracy.values)} %"]
            rows.append(row)
        return "\n".join([*aligned(rows), "", *(f"  {line}" for line in self.settings), "", self.answer])

    @property
    def answer(self) -> str:
        """What the numbers say, in words."""
        lines = []
        for name, walks in self.valleys.items():
            lines.append(_order(name, {k: w.steps for k, w in walks.items() if w.steps is not None}, walks, "steps"))
        arrived = {k: s.mean for k, v in self.learning.items() if (s := v.arrived) is not None}
        lines.append(_order("real data", arrived, self.learning, "epochs"))
        return "\n".join(lines)

    def records(self) -> list[dict[str, Any]]:
        """A flat dictionary for each optimizer, ready for a data frame."""
        out = []
        for name, learned in self.learning.items():
            record: dict[str, Any] = {"optimizer": name}
            for valley, walks in self.valleys.items():
                record |= {f"{valley}: steps": walks[name].steps, f"{valley}: learning rate": walks[name].learning_rate}
                record |= {f"{valley}: lowest": walks[name].lowest}
            record |= {"epochs": list(learned.epochs), "learning rate": learned.learning_rate}
            out.append(record | {"accuracy": learned.accuracy.mean, "accuracy_deviation": learned.accuracy.deviation})
        return out

    def figures(self) -> dict[str, Drawing]:
        """Matplotlib figures by name: paths, learning."""
        from chainrule.explain.compare.optimizer_figures import learning, paths

        return {"paths": paths(self), "learning": learning(self)}


def compare_optimizers(
    optimizers: Iterable[str] | None = None,
    *,
    classification: tuple[Any, Any] | None = None,
    seeds: int = 3,
    quick: bool = False,
    progress: bool | None = None,
) -> OptimizerComparison:
    """Compare optimizers: steps down a quadratic valley and Rosenbrock's, epochs to learn real data.

    Args:
        optimizers: names; by default all.
        classification: ``(X, Y)`` to learn; by default handwritten digits.
        seeds: so many times the data are learned, each time with other test rows, weights and order.
        quick: three learning rates, fewer steps, one seed: to see how it looks.
        progress: a line that says what is running; by default in a terminal only.

    Each optimizer is tried with the same learning rates, 0.0003 to 1 by half powers of ten, and shown with the one
    that arrives first; for the data the rate is chosen with a seed of its own.

    Returns:
        An :class:`OptimizerComparison`.

    Errors: names that there are not, with near ones.
    """
    names = [optimizers] if isinstance(optimizers, str) else list(OPTIMIZERS if optimizers is None else optimizers)
    for name in names:
        optimizer(name)  # says so where there is none
    seeds = checked_seeds(seeds)
    digits = task(classification, "digits", regression=False)
    rates, steps, epochs, seeds = (RATES[3::2], 300, 10, 1) if quick else (RATES, 3000, 40, seeds)
    targets = 1e-3, 0.1
    told = Told(len(names) * (len(VALLEYS) + 1), progress)
    valleys: dict[str, dict[str, Walk]] = {v.name: {} for v in VALLEYS}
    learning = {}
    for name in names:
        for valley in VALLEYS:
            told(f"{name}: {valley.name}, {len(rates)} learning rates")
            valleys[valley.name][name] = _best_walk(name, valley, rates, steps, targets[0])
        told(f"{name}: {digits.name}, {len(rates)} learning rates and {seeds} seeds")
        learning[name] = _learn(name, digits, rates, range(seeds), epochs, targets[1])
    told.end()
    settings = (
        f"steps: until J < {targets[0]:g}, at most {steps:,}; epochs: until the training loss < {targets[1]:g} in "
        f"{digits.name}, at most {epochs}, {counted(seeds)}.",
        f"α: the best of {', '.join(f'{r:g}' for r in rates)}, the same for every optimizer; "
        "for the data chosen with another seed.",
        *(f"{v.name}: J = {v.formula}, from {_point(v.start)}; lowest at {_point(v.end)}." for v in VALLEYS),
        f"network: {HIDDEN} ReLU units, softmax; batches of 32.",
    )
    return OptimizerComparison(valleys, learning, targets, settings)


def _point(place: Sequence[float]) -> str:
    return f"({', '.join(number(v) for v in place)})"


def _epochs(learned: Learning) -> str:
    arrived = learned.arrived
    if arrived is not None:
        return str(arrived)
    there = sum(e is not None for e in learned.epochs)
    return f"— ({there} of {len(learned.epochs)} seeds)"


def _order(place: str, arrived: Mapping[str, float], all_: Iterable[str], unit: str) -> str:
    """Who arrives first and last, and who not at all."""
    text = "none arrives"
    if arrived:
        ranked = sorted(arrived, key=lambda name: arrived[name])
        text = f"{ranked[0]} arrives first ({arrived[ranked[0]]:,.4g} {unit})"
        if len(ranked) > 1:
            times = arrived[ranked[-1]] / max(arrived[ranked[0]], 1)
            text += f", {ranked[-1]} last ({arrived[ranked[-1]]:,.4g}, {times:.1f} times as many)"
        if missing := [name for name in all_ if name not in arrived]:
            text += f"; not at all: {', '.join(missing)}"
    return f"{place}: {text}."


# --- valleys --------------------------------------------------------------------------------------------

EDGE = 1e3
"""Beyond this a walk is lost: the ground is level there, so that it does not run off to infinity."""


@dataclass(frozen=True)
class Several(Schedule):
    """A learning rate for each row of the parameter."""

    rates: tuple[float, ...]

    def __call__(self, t: Node) -> Node:
        return constant(np.array(self.rates)[:, None], name="α")


def _heights(y_hat: Node, y: Node) -> Node:
    """The loss is the height itself, of all walks together: each row of w has a gradient of its own."""
    return sum_(y_hat, axis=-1)


def walks(name: str, valley: Valley, rates: Sequence[float], steps: int, target: float) -> list[Walk]:
    """Walk down a valley with several learning rates, side by side: one row of w for each.

    The network has one example, which is 1, and its outputs are the heights at the rows of w.
    """
    w = parameter("w", (len(rates), 2), initializer=lambda rng, shape: np.tile(valley.start, (shape[0], 1)))
    one = input_("X", ("m", 1))
    place = clip(w, -EDGE, EDGE)
    each = {w[k : k + 1, j : j + 1]: ["mean"] for k in range(len(rates)) for j in (0, 1)}
    run = fit(
        Model(one, one * valley.height(place[:, 0], place[:, 1])),
        np.ones((1, 1)),
        np.zeros((1, len(rates))),
        loss=_heights,
        optimizer=optimizer(name, Several(tuple(rates))),
        epochs=steps,
        shuffle=False,
        watch=each,
        dtype="float64",
        progress=False,
    )
    assert run.watched is not None
    places = np.stack([run.watched[key] for key in run.watched.keys], axis=1).reshape(-1, len(rates), 2)
    return [_walked(rate, valley, places[:, k], target) for k, rate in enumerate(rates)]


def _walked(rate: float, valley: Valley, path: Array, target: float) -> Walk:
    heights = np.asarray(valley.height(*path.T))
    below = np.flatnonzero(heights < target)
    steps = int(below[0]) if len(below) else None
    end = len(path) if steps is None else steps + 1
    return Walk(rate, steps, float(heights[:end].min()), path[:end], heights[:end])


def _best_walk(name: str, valley: Valley, rates: Sequence[float], steps: int, target: float) -> Walk:
    found = walks(name, valley, rates, steps, target)
    return min(found, key=lambda w: (steps if w.steps is None else w.steps, w.lowest))


# --- real data ------------------------------------------------------------------------------------------


def _learn(name: str, data: Task, rates: Sequence[float], seeds: Sequence[int], epochs: int, target: float) -> Learning:
    apart = max(seeds) + 1
    tried = {rate: _trained(name, data, rate, apart, epochs)[0].history["loss"] for rate in rates}
    rate = min(rates, key=lambda r: (_first(tried[r], target) or epochs + 1, _last(tried[r])))
    runs = [_trained(name, data, rate, seed, epochs) for seed in seeds]
    losses = [run.history["loss"] for run, _ in runs]
    shortest = min(map(len, losses))
    return Learning(
        rate,
        tuple(_first(loss, target) for loss in losses),
        Spread.of(accuracy for _, accuracy in runs),
        tuple(np.mean([loss[:shortest] for loss in losses], axis=0).tolist()),
    )


def _trained(name: str, data: Task, rate: float, seed: int, epochs: int) -> tuple[Run, float]:
    rows = data.split(seed)
    network = Sequential(Dense(HIDDEN, "relu", kernel_initializer="he_normal"), Dense(data.classes, "softmax"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingWarning)
        run = fit(network, rows.X, rows.Y, optimizer=optimizer(name, rate), epochs=epochs, seed=seed, progress=False)
    return run, float(np.mean(run.decide(rows.X_test) == rows.Y_test))


def _first(loss: Array, target: float) -> int | None:
    """The first epoch, counted from 1, in which the loss is below the target."""
    below = np.flatnonzero(loss < target)
    return int(below[0]) + 1 if len(below) else None


def _last(loss: Array) -> float:
    return float(loss[-1]) if np.isfinite(loss[-1]) else np.inf
