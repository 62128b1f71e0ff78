"""Activations compared by measurement: shape, cost, gradient through depth, units, robustness and scores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import ConfigurationError, near
from chainrule.explain.compare.cost import Cost, Ratio, measure_costs
from chainrule.explain.compare.depth import DEPTHS, signal_left, suitable
from chainrule.explain.compare.progress import Told
from chainrule.explain.compare.result import Result, checked_seeds, counted
from chainrule.explain.compare.shapes import ActivationShape, measure_shape
from chainrule.explain.compare.spread import Spread, clear_difference
from chainrule.explain.compare.tasks import task
from chainrule.explain.compare.trials import (
    INPUT_FACTOR,
    LABEL_SHIFT,
    LEARNING_RATE,
    NOISE,
    OUTLIERS,
    UNITS,
    Trials,
    try_out,
)
from chainrule.explain.numbers import aligned, number
from chainrule.nn.activations import ACTIVATIONS, activation, activation_name

if TYPE_CHECKING:
    from chainrule.explain.figures import Drawing

MARGIN = 1.1
"""A smaller ratio of two times is no difference that matters."""
QUICK = ("sigmoid", "tanh", "relu", "softplus")
"""What a quick comparison compares."""


@dataclass(frozen=True)
class ActivationReport:
    """All that was measured of one activation.

    Attributes:
        name: of the activation.
        initializer: how the weights started in all that was measured with layers.
        shape: range, slope, saturation.
        cost: time relative to ReLU.
        signal: what was left of the backward signal after so many layers, relative to the last.
        trials: what training with it gave.
    """

    name: str
    initializer: str
    shape: ActivationShape
    cost: Cost
    signal: Mapping[int, Spread]
    trials: Trials


@dataclass(frozen=True)
class Criterion:
    """One of the numbers that two activations are held against each other by.

    Attributes:
        name: what is measured.
        of: the number of a report: one for each seed, or a ratio of times, or None where it cannot be said.
        better: 1 where more is better, −1 where less is, 0 where neither is: then it is shown, not judged.
        show: how it is written.
    """

    name: str
    of: Callable[[ActivationReport], Spread | Ratio | None]
    better: int
    show: Callable[[Any], str] = str

    def winner(self, a: ActivationReport, b: ActivationReport) -> ActivationReport | None:
        """The better of two, or None where the difference may be chance."""
        x, y = self.of(a), self.of(b)
        if isinstance(x, Spread) and isinstance(y, Spread):
            sign = clear_difference(x, y)
        elif isinstance(x, Ratio) and isinstance(y, Ratio):
            sign = _longer(x, y)
        else:
            return None
        return None if sign * self.better == 0 else a if sign == self.better else b


def _longer(x: Ratio, y: Ratio) -> int:
    """1 where x takes longer, −1 where y does; 0 unless by a tenth, and the middle halves of the rounds are apart."""
    if x.median > MARGIN * y.median and x.low > y.high:
        return 1
    return -1 if y.median > MARGIN * x.median and y.low > x.high else 0


def _percent(value: Spread) -> str:
    return f"{Spread.of(100 * v for v in value.values)} %"


def _off(report: ActivationReport) -> Spread:
    """By how many powers of ten the signal through all layers is off, at each seed."""
    return Spread.of(abs(np.log10(max(v, 1e-300))) for v in report.signal[max(report.signal)].values)


CRITERIA = (
    Criterion("time of a layer forward", lambda r: r.cost.layer, -1),
    Criterion("time of a layer with its gradient", lambda r: r.cost.layer_gradient, -1),
    Criterion("time of the activation alone", lambda r: r.cost.forward, -1),
    Criterion("gradient lost or grown through all layers, powers of ten", _off, -1),
    Criterion("units dead at the end of training", lambda r: r.trials.dead, -1, _percent),
    Criterion("slopes flat at the end of training", lambda r: r.trials.flat, 0, _percent),
    Criterion("R² on test rows", lambda r: r.trials.r2, 1),
    Criterion("accuracy on test rows", lambda r: r.trials.accuracy, 1, _percent),
    Criterion("error with outliers in training, relative to without", lambda r: r.trials.outliers, -1),
    Criterion("predictions moved by noise on the inputs", lambda r: r.trials.moved, -1, _percent),
    Criterion("accuracy lost by noise on the inputs", lambda r: r.trials.accuracy_lost, -1, _percent),
)
"""What is compared, in the order of the report. Flat slopes are not judged: of ReLU they are its sparsity too."""
SCORES = ("R² on test rows", "accuracy on test rows")


@dataclass(frozen=True)
class Row:
    """One criterion: both numbers as they are written, and the better activation.

    Attributes:
        criterion: its name.
        first, second: the numbers.
        winner: the name of the better one, or None where the difference may be chance.
        judged: whether one of them can be better at all.
    """

    criterion: str
    first: str
    second: str
    winner: str | None
    judged: bool = True


@dataclass(frozen=True)
class Comparison:
    """One activation against another. Prints as a table and the answer that follows from it.

    Attributes:
        first, second: their names.
        rows: one for each criterion.
    """

    first: str
    second: str
    rows: tuple[Row, ...]

    def better(self, name: str) -> tuple[str, ...]:
        """The criteria in which this one is clearly better."""
        return tuple(row.criterion for row in self.rows if row.winner == name)

    @property
    def answer(self) -> str:
        """What the numbers say, in words."""
        decided = [
            f"{r.winner} scores clearly better ({r.criterion})" for r in self.rows if r.criterion in SCORES and r.winner
        ]
        head = "; ".join(decided) or f"neither {self.first} nor {self.second} scores clearly better"
        lines = [f"{head[0].upper()}{head[1:]}."]
        for name in (self.first, self.second):
            others = [c for c in self.better(name) if c not in SCORES]
            if others:
                lines.append(f"{name} is better in: {'; '.join(others)}.")
        even = [r.criterion for r in self.rows if r.judged and not r.winner and r.criterion not in SCORES]
        if even:
            lines.append(f"No clear difference in: {'; '.join(even)}.")
        return "\n".join(lines)

    def __str__(self) -> str:
        head = ["", self.first, self.second, "better"]
        rows = [[r.criterion, r.first, r.second, r.winner or ("not clear" if r.judged else "")] for r in self.rows]
        return "\n".join([*aligned([head, *rows]), "", self.answer])


def against(first: ActivationReport, second: ActivationReport) -> Comparison:
    """Hold two reports against each other.

    Numbers over seeds differ clearly where a paired t-test at 95 % says so: of twenty differences that are none, one
    still looks clear. Times differ clearly by a tenth, where the middle halves of the rounds do not overlap.
    """
    rows = []
    for criterion in CRITERIA:
        a, b = criterion.of(first), criterion.of(second)
        winner = criterion.winner(first, second)
        shown = ["—" if v is None else criterion.show(v) for v in (a, b)]
        rows.append(Row(criterion.name, shown[0], shown[1], winner.name if winner else None, criterion.better != 0))
    return Comparison(first.name, second.name, tuple(rows))


@dataclass(frozen=True)
class ActivationComparison(Result):
    """Several activations, measured in one run. Prints as tables; :meth:`figures` draws them.

    Attributes:
        reports: what was measured of each, by name.
        settings: how, a sentence each.
    """

    reports: Mapping[str, ActivationReport]
    settings: tuple[str, ...]

    def __getitem__(self, name: str) -> ActivationReport:
        if name not in self.reports:
            raise ConfigurationError(
                "this activation was not compared",
                given=repr(name),
                expected=", ".join(self.reports),
                hint=near(name, self.reports),
            )
        return self.reports[name]

    def __iter__(self) -> Iterator[ActivationReport]:
        return iter(self.reports.values())

    def against(self, first: str = "softplus", second: str = "relu") -> Comparison:
        """One activation against another, with the answer in words."""
        return against(self[first], self[second])

    def records(self) -> list[dict[str, Any]]:
        """A flat dictionary for each activation, ready for a data frame; of numbers over seeds mean and deviation."""
        return [_record(report) for report in self]

    def shapes(self) -> str:
        """Range, slope and saturation as a table."""
        head = ["activation", "range", "slope", "flat (slope < 0.01)", "slope jumps by", "as declared"]
        rows = [
            [
                r.name,
                str(r.shape.range),
                str(r.shape.slope),
                _flat(r.shape),
                number(round(r.shape.kink, 3)) if r.shape.kink else "—",
                "; ".join(r.shape.disagreements) or "yes",
            ]
            for r in self
        ]
        return "\n".join(aligned([head, *rows]))

    def costs(self) -> str:
        """Time relative to ReLU, and what is left of the gradient, as a table."""
        depths = list(next(iter(self)).signal)
        head = [
            "activation",
            "alone",
            "+ slope",
            "layer",
            "+ gradient",
            "start",
            *(f"{d} layer{'s' * (d > 1)}" for d in depths),
        ]
        rows = [
            [
                r.name,
                *(f"{v.median:.2f}" for v in (r.cost.forward, r.cost.gradient, r.cost.layer, r.cost.layer_gradient)),
                r.initializer,
                *(_size(s) for s in r.signal.values()),
            ]
            for r in self
        ]
        return "\n".join(aligned([head, *rows]))

    def scores(self) -> str:
        """What training gave, as a table."""
        head = ["activation", "R²", "accuracy", "dead", "flat", "outliers", "moved by noise", "accuracy lost"]
        rows = []
        for r in self:
            t = r.trials
            rows.append(
                [
                    r.name,
                    str(t.r2),
                    _percent(t.accuracy),
                    *("—" if share is None else f"{100 * share.mean:.1f} %" for share in (t.dead, t.flat)),
                    str(t.outliers),
                    _percent(t.moved),
                    _percent(t.accuracy_lost),
                ]
            )
        return "\n".join(aligned([head, *rows]))

    def __str__(self) -> str:
        parts = [
            "Shape, measured through the op's own graph",
            self.shapes(),
            "\nTime relative to ReLU, and the backward signal left after so many layers (1 is all of it)",
            self.costs(),
            "\nTrained on real data",
            self.scores(),
            "",
            *(f"  {line}" for line in self.settings),
        ]
        if {"softplus", "relu"} <= set(self.reports):
            parts += ["\nSoftplus against ReLU", str(self.against("softplus", "relu"))]
        return "\n".join(parts)

    def figures(self) -> dict[str, Drawing]:
        """Matplotlib figures by name: shapes, depth, units, scores."""
        from chainrule.explain.compare.activation_figures import figures

        return figures(self)


def compare_activations(
    activations: Iterable[Any] | None = None,
    *,
    regression: tuple[Any, Any] | None = None,
    classification: tuple[Any, Any] | None = None,
    seeds: int = 3,
    epochs: int = 60,
    quick: bool = False,
    progress: bool | None = None,
) -> ActivationComparison:
    """Compare activations by measurement: shape, cost, gradient through depth, units, robustness, scores.

    Args:
        activations: names, or functions of a node; by default all that have a name.
        regression: ``(X, Y)`` to train a regression on; by default the diabetes data (442 patients).
        classification: ``(X, Y)`` to train a classification on; by default handwritten digits (1,797 pictures).
        seeds: so many times everything is trained, each time with other test rows, weights and order.
        epochs: at most so many, while a fifth of the training rows says when to stop.
        quick: four activations, two seeds, few epochs: to see how it looks.
        progress: a line that says what is running; by default in a terminal only.

    Returns:
        An :class:`ActivationComparison`: prints as tables; ``.records()`` is plain data,
        ``.figures()`` draws it, and ``.against("softplus", "relu")`` answers in words.

    Errors: names that there are not, with near ones; examples and labels that do not fit.

    >>> found = compare_activations(["softplus"], quick=True)
    >>> print(found["softplus"].shape.range, found["softplus"].shape.slope)
    (0, ∞) (0, 1)
    """
    chosen = _chosen(activations, QUICK if quick else None)
    seeds = checked_seeds(seeds)
    seeds, epochs = (min(seeds, 2), min(epochs, 12)) if quick else (seeds, epochs)
    numbers = task(regression, "diabetes", regression=True)
    classes = task(classification, "digits", regression=False)
    told = Told(1 + 2 * len(chosen), progress)
    told("timing, in turns")
    costs = measure_costs(chosen, 7 if quick else 21)
    reports = {}
    for name, function in chosen.items():
        start = suitable(name)
        told(f"{name}: shape, and gradient through {max(DEPTHS)} layers")
        shape, signal = measure_shape(function), signal_left(function, start, seeds=range(min(seeds, 3)))
        told(f"{name}: training, {seeds} times three networks")
        trials = try_out(function, start, numbers, classes, range(seeds), epochs)
        reports[name] = ActivationReport(name, start, shape, costs[name], signal, trials)
    told.end()
    return ActivationComparison(reports, _settings(numbers.name, classes.name, seeds, epochs))


def _settings(regression: str, classification: str, seeds: int, epochs: int) -> tuple[str, ...]:
    hidden = "-".join(map(str, UNITS))
    return (
        f"R²: {regression}; accuracy: {classification}; a quarter of the rows to test on, {counted(seeds)}.",
        f"Hidden layers {hidden}, Adam, α = {LEARNING_RATE}, batches of 32, at most {epochs} epochs, early stopping; "
        "the same for all, the start as in the table above.",
        "dead: hidden units that give 0 for a whole batch, at the end of training; flat: slopes below 0.01.",
        f"outliers: error (RMSE) on clean test rows of {regression} after training with {100 * OUTLIERS:g} % of the "
        f"examples spoilt (inputs × {INPUT_FACTOR:g}, label ± {LABEL_SHIFT:g} deviations), relative to without.",
        f"noise: of deviation {NOISE} on standardised inputs; how far predictions of {regression} move, relative to "
        f"their spread, and what accuracy on {classification} loses.",
        "time: medians of rounds in which all take turns; alone, and in a dense layer 128 → 256 with 512 rows.",
    )


def _chosen(wanted: Iterable[Any] | None, usual: Sequence[str] | None) -> dict[str, Any]:
    """The activations by name, checked; of two names for one function the first."""
    if isinstance(wanted, str):
        wanted = [wanted]
    if wanted is None:
        first: dict[Any, str] = {}
        for name, function in ACTIVATIONS.items():
            first.setdefault(function, name)
        wanted = usual or first.values()
    chosen = {}
    for one in wanted:
        activation(one)  # says so where there is no such activation
        chosen[activation_name(one)] = one
    if not chosen:
        raise ConfigurationError("there is nothing to compare", expected=", ".join(ACTIVATIONS))
    return chosen


def _flat(shape: ActivationShape) -> str:
    below = f"below {number(shape.flat_below)}" if shape.flat_below is not None else ""
    above = f"above {number(shape.flat_above)}" if shape.flat_above is not None else ""
    return " and ".join(p for p in (below, above) if p) or "nowhere"


def _size(signal: Spread) -> str:
    """The geometric mean over the seeds."""
    mean = signal.geometric
    return "0" if mean == 0 else f"{mean:.2f}" if 0.01 <= mean < 1000 else f"{mean:.0e}".replace("-", "−")


def _record(r: ActivationReport) -> dict[str, Any]:
    t = r.trials
    out: dict[str, Any] = {
        "activation": r.name,
        "range": [r.shape.range.low, r.shape.range.high],
        "slope": [r.shape.slope.low, r.shape.slope.high],
        "flat_below": r.shape.flat_below,
        "flat_above": r.shape.flat_above,
        "kink": r.shape.kink,
        "monotone": r.shape.monotone,
        "as_declared": not r.shape.disagreements,
        "cost_forward": r.cost.forward.median,
        "cost_gradient": r.cost.gradient.median,
        "cost_layer": r.cost.layer.median,
        "cost_layer_gradient": r.cost.layer_gradient.median,
        "initializer": r.initializer,
        **{f"signal_{d}": list(s.values) for d, s in r.signal.items()},
        "dead": t.dead.mean if t.dead else None,
        "flat": t.flat.mean if t.flat else None,
    }
    for name in ("r2", "accuracy", "outliers", "moved", "accuracy_lost"):
        spread: Spread = getattr(t, name)
        out |= {name: spread.mean, f"{name}_deviation": spread.deviation}
    return out
