"""Losses compared: squared error against cross-entropy after a sigmoid, and what outliers do to a regression.

Curvature and gradient are derived and then evaluated; what they predict is then looked for in trainings on real data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import ConfigurationError
from chainrule.explain.compare.progress import Told
from chainrule.explain.compare.result import Result, checked_seeds, counted
from chainrule.explain.compare.spread import Spread, clear_difference
from chainrule.explain.compare.tasks import Task, task, with_outliers
from chainrule.explain.convexity import Convexity, convexity
from chainrule.explain.numbers import aligned, number
from chainrule.nn import LOSSES, Dense, Sequential
from chainrule.ops import constant, sigmoid
from chainrule.ops import input as input_
from chainrule.ops import sum as sum_
from chainrule.optimize import GradientDescent
from chainrule.train.fit import fit
from chainrule.verbs import evaluate, gradient

if TYPE_CHECKING:
    from chainrule.explain.figures import Drawing

Array = np.ndarray[Any, Any]
CLASSIFYING = ("squared_error", "binary_cross_entropy")
REGRESSING = ("squared_error", "absolute_error", "huber", "log_cosh")
WRONG = (-2.0, -5.0, -10.0, -20.0)
"""Logits of examples whose label is 1."""
RATES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
GOOD = 0.95
"""The accuracy to reach."""
USUAL, WRONG_START = "usual start", "wrong start"
BIAS = -8.0
"""Of the last unit at the wrong start: it says 0 of every example, and is sure of it."""
SHARES, SHIFT = (0.0, 0.05, 0.1, 0.2), 8.0
"""Of training examples with a wrong label, which is so many standard deviations too high."""
FAR = 10.0
"""An error for which the gradient of a loss is told."""


@dataclass(frozen=True, eq=False)
class AfterSigmoid:
    """The loss L of one example with the label 1, as a function of the logit z.

    Attributes:
        loss: its name.
        convexity: in z, between −8 and 8, with the reason.
        gradient: ∂L/∂z, the derived formula for any label y, and ``curvature`` ∂²L/∂z² for y = 1.
        negative: between which z the curvature is negative, or None.
        wrong: ∂L/∂z where z is so and so much on the wrong side.
        curve: z, L, ∂L/∂z and ∂²L/∂z², to be drawn.
    """

    loss: str
    convexity: Convexity
    gradient: str
    curvature: str
    negative: tuple[float, float] | None
    wrong: Mapping[float, float]
    curve: tuple[Array, Array, Array, Array]


@dataclass(frozen=True)
class Trained:
    """A classification learned with a loss from a start.

    Attributes:
        loss, start: which.
        learning_rate: the best of :data:`RATES` for this loss from the usual start, with another seed.
        epochs: for each seed the first epoch with an accuracy of 95 % on test rows, or None.
        accuracy: on test rows at the end, and ``log_loss`` there.
        curve: accuracy on test rows by epoch, the mean over the seeds.
    """

    loss: str
    start: str
    learning_rate: float
    epochs: tuple[int | None, ...]
    accuracy: Spread
    log_loss: Spread
    curve: tuple[float, ...]


@dataclass(frozen=True)
class WithOutliers:
    """A regression learned with a loss from examples of which some are wrong.

    Attributes:
        loss: its name.
        gradient: ∂L/∂ŷ, the derived formula, and ``pull`` its value where the prediction is 10 too high.
        errors: for each share of wrong examples the mean absolute error on clean test rows, in deviations.
    """

    loss: str
    gradient: str
    pull: float
    errors: Mapping[float, Spread]


@dataclass(frozen=True)
class LossComparison(Result):
    """Losses compared. Prints as tables; :meth:`figures` draws curves, learning and outliers.

    Attributes:
        after_sigmoid: squared error and cross-entropy of one example.
        trained: both on real data, from both starts.
        with_outliers: the losses of regressions.
        settings: how it was done, a sentence each.
    """

    after_sigmoid: tuple[AfterSigmoid, ...]
    trained: tuple[Trained, ...]
    with_outliers: tuple[WithOutliers, ...]
    settings: tuple[str, ...]

    def __str__(self) -> str:
        parts = ["One example with the label 1, ŷ = σ(z)"]
        for a in self.after_sigmoid:
            parts += [f"{a.loss}", f"  ∂L/∂z    {a.gradient}", f"  ∂²L/∂z²  {a.curvature}   (y = 1)"]
            parts += [f"  {a.convexity}"]
        head = ["\n∂L/∂z at", *(f"z = {number(z)}" for z in WRONG)]
        rows = [head, *([a.loss, *(number(a.wrong[z]) for z in WRONG)] for a in self.after_sigmoid)]
        parts += [*aligned(rows), "\nLearning a real classification"]
        rows = [["loss", "start", "α", f"epochs to {GOOD:.0%}", "accuracy", "log loss"]]
        for t in self.trained:
            accuracy = f"{Spread.of(100 * v for v in t.accuracy.values)} %"
            rows.append([t.loss, t.start, number(t.learning_rate), _epochs(t), accuracy, str(t.log_loss)])
        parts += [*aligned(rows), "\nA regression with wrong labels among the examples: error on clean test rows"]
        rows = [["loss", "∂L/∂ŷ, e = ŷ − y", f"at e = {FAR:g}", *(f"{share:.0%} wrong" for share in SHARES)]]
        rows += [[w.loss, w.gradient, number(w.pull), *map(str, w.errors.values())] for w in self.with_outliers]
        return "\n".join([*parts, *aligned(rows), "", *(f"  {line}" for line in self.settings), "", self.answer])

    @property
    def answer(self) -> str:
        """What the numbers say, in words."""
        return "\n".join(
            [*map(_shape, self.after_sigmoid), _pulls(self.after_sigmoid), *self._learned(), self._worst()]
        )

    def _learned(self) -> list[str]:
        lines = []
        for start in dict.fromkeys(t.start for t in self.trained):
            a, b = (next(t for t in self.trained if t.start == start and t.loss == loss) for loss in CLASSIFYING)
            sign = clear_difference(a.accuracy, b.accuracy)
            verdict = "no clear difference" if sign == 0 else f"{(a if sign > 0 else b).loss} is clearly better"
            if len(a.epochs) == 1:
                verdict = "one seed says nothing of the spread"
            lines.append(
                f"From the {start}: accuracy {a.accuracy.mean:.1%} with {a.loss}, {b.accuracy.mean:.1%} with {b.loss} "
                f"({verdict}); epochs to {GOOD:.0%}: {_epochs(a)} and {_epochs(b)}."
            )
        return lines

    def _worst(self) -> str:
        most = max(SHARES)
        grown = {w.loss: w.errors[most].mean / w.errors[0.0].mean for w in self.with_outliers}
        ranked = sorted(grown, key=lambda loss: grown[loss])
        return (
            f"With {most:.0%} of the labels wrong the error on clean rows grows "
            + ", ".join(f"{grown[loss]:.2f}-fold with {loss}" for loss in ranked)
            + "."
        )

    def records(self) -> list[dict[str, Any]]:
        """A flat dictionary for each training, ready for a data frame."""
        out: list[dict[str, Any]] = []
        for t in self.trained:
            record = {"loss": t.loss, "start": t.start, "learning_rate": t.learning_rate, "epochs": list(t.epochs)}
            out.append(record | {"accuracy": t.accuracy.mean, "log_loss": t.log_loss.mean})
        for w in self.with_outliers:
            out += [
                {"loss": w.loss, "wrong_labels": share, "error": e.mean, "error_deviation": e.deviation}
                for share, e in w.errors.items()
            ]
        return out

    def figures(self) -> dict[str, Drawing]:
        """Matplotlib figures by name: sigmoid, learning, outliers."""
        from chainrule.explain.compare import loss_figures as draw

        return {"sigmoid": draw.sigmoid(self), "learning": draw.learning(self), "outliers": draw.outliers(self)}


def compare_losses(
    *,
    classification: tuple[Any, Any] | None = None,
    regression: tuple[Any, Any] | None = None,
    seeds: int = 3,
    quick: bool = False,
    progress: bool | None = None,
) -> LossComparison:
    """Compare losses: squared error against cross-entropy after a sigmoid, and regressions with outliers.

    Args:
        classification: ``(X, Y)`` with two classes to learn; by default ``breast-cancer``: 569 tumours.
        regression: ``(X, Y)`` to learn; by default the diabetes data.
        seeds: so many times everything is trained, each time with other test rows, weights and order.
        quick: two learning rates, few epochs, one seed: to see how it looks.
        progress: a line that says what is running; by default in a terminal only.

    Returns:
        A :class:`LossComparison`.

    Errors: examples and labels that do not fit; more than two classes.
    """
    seeds = checked_seeds(seeds)
    classes = task(classification, "breast-cancer", regression=False)
    if classes.classes != 2:
        raise ConfigurationError(
            "a sigmoid decides between two classes", given=f"{classes.classes} classes", expected="2"
        )
    numbers = task(regression, "diabetes", regression=True)
    rates, epochs, seeds = (RATES[2:5:2], 10, 1) if quick else (RATES, 60, seeds)
    told = Told(len(CLASSIFYING) * 2 + len(REGRESSING), progress)
    trained: list[Trained] = []
    for loss in CLASSIFYING:
        told(f"{loss} on {classes.name}, {len(rates)} learning rates")
        rate = _best_rate(loss, classes, rates, seeds, epochs)
        told(f"{loss} on {classes.name}, from two starts")
        trained += [_learn(loss, start, rate, classes, range(seeds), epochs) for start in (USUAL, WRONG_START)]
    spoilt = []
    for loss in REGRESSING:
        told(f"{loss} on {numbers.name}, with wrong labels")
        spoilt.append(_with_outliers(loss, numbers, range(seeds), epochs))
    told.end()
    settings = (
        f"classification: {classes.name}, 16 tanh units and a sigmoid, gradient descent in batches of 32, {epochs} "
        f"epochs, {counted(seeds)}.",
        f"α: the best of {', '.join(f'{r:g}' for r in rates)} for each loss, chosen with another seed from the usual "
        "start.",
        f"wrong start: the last bias is {number(BIAS)}, so that every example is called 0 for sure.",
        f"regression: {numbers.name}, 16 tanh units, Adam, {epochs} epochs; wrong labels are {SHIFT:g} deviations too "
        "high, the error is the mean absolute one, in deviations.",
    )
    return LossComparison(tuple(map(after_sigmoid, CLASSIFYING)), tuple(trained), tuple(spoilt), settings)


def after_sigmoid(loss: str) -> AfterSigmoid:
    """Gradient and curvature of a loss after a sigmoid, derived and evaluated."""
    z, y = input_("z", ()), input_("y", ())
    function = LOSSES[loss]
    L = function(sigmoid(z), y)
    of_one = function(sigmoid(z), constant(1.0))
    slope = gradient(of_one, z)
    curvature = gradient(slope, z)
    many = input_("z", ("m",))
    losses = function(sigmoid(many), constant(1.0) + 0 * many)
    slopes = gradient(sum_(losses), many)
    bends = gradient(sum_(slopes), many)
    at = np.linspace(-8, 8, 160_001)
    value, first, second = evaluate([losses, slopes, bends], {many: at}, dtype=np.float64)
    below = at[second < -1e-12]
    return AfterSigmoid(
        loss,
        convexity(of_one, z, (-8.0, 8.0)),
        str(gradient(L, z)),
        str(curvature),
        (float(below[0]), float(below[-1] + (at[1] - at[0]) / 2)) if len(below) else None,
        {w: float(evaluate(slope, {z: w}, dtype=np.float64)) for w in WRONG},
        (at, value, first, second),
    )


def _shape(a: AfterSigmoid) -> str:
    if a.negative is None:
        return f"{a.loss} is {a.convexity.verdict} in z: its curvature is nowhere negative."
    upper = 1 / (1 + np.exp(-a.negative[1]))
    edge = number(round(a.negative[1], 3))
    return (
        f"{a.loss} is {a.convexity.verdict} in z: its curvature is negative up to z = {edge}, "
        f"where ŷ = {upper:.3f}" + (": there the prediction is wrong." if upper < 0.5 else ".")
    )


def _pulls(both: Sequence[AfterSigmoid]) -> str:
    z = WRONG[2]
    a, b = sorted(both, key=lambda one: abs(one.wrong[z]))
    return (
        f"Wrong and sure of it (z = {number(z)}, label 1): the gradient is {number(a.wrong[z])} with {a.loss} and "
        f"{number(b.wrong[z])} with {b.loss}, {abs(b.wrong[z] / a.wrong[z]):,.0f} times as much."
    )


def _epochs(t: Trained) -> str:
    there = [e for e in t.epochs if e is not None]
    if len(there) == len(t.epochs):
        return str(Spread.of(there))
    return "never" if not there else f"{len(there)} of {len(t.epochs)} seeds"


# --- training -------------------------------------------------------------------------------------------


def _classifier(loss: str, start: str, rate: float, data: Task, seed: int, epochs: int) -> tuple[Array, float]:
    """Accuracy on test rows by epoch, and the log loss there at the end."""
    rows = data.split(seed)
    last = Dense(1, "sigmoid", bias_initializer=BIAS if start == WRONG_START else "zeros")
    run = fit(
        Sequential(Dense(16, "tanh"), last),
        rows.X,
        rows.Y,
        loss=loss,
        optimizer=GradientDescent(rate),
        epochs=epochs,
        metrics=["accuracy"],
        validation_data=(rows.X_test, rows.Y_test),
        seed=seed,
        progress=False,
    )
    p = run.predict(rows.X_test)[:, 0].astype(np.float64)
    likelihood = np.where(rows.Y_test == 1, p, 1 - p)
    return run.history["validation_accuracy"], float(-np.log(np.maximum(likelihood, 1e-12)).mean())


def _best_rate(loss: str, data: Task, rates: Sequence[float], seed: int, epochs: int) -> float:
    """The learning rate with the best accuracy, the mean over all epochs: it rewards both speed and height."""
    return max(rates, key=lambda r: float(_classifier(loss, USUAL, r, data, seed, epochs)[0].mean()))


def _learn(loss: str, start: str, rate: float, data: Task, seeds: Sequence[int], epochs: int) -> Trained:
    found = [_classifier(loss, start, rate, data, seed, epochs) for seed in seeds]
    curves = [curve for curve, _ in found]
    reached = [np.flatnonzero(curve >= GOOD) for curve in curves]
    return Trained(
        loss,
        start,
        rate,
        tuple(int(r[0]) + 1 if len(r) else None for r in reached),
        Spread.of(curve[-1] for curve in curves),
        Spread.of(value for _, value in found),
        tuple(np.mean(curves, axis=0).tolist()),
    )


def _with_outliers(loss: str, data: Task, seeds: Sequence[int], epochs: int) -> WithOutliers:
    errors: dict[float, Spread] = {}
    for share in SHARES:
        found = []
        for seed in seeds:
            rows = with_outliers(data.split(seed), share, 1.0, SHIFT, seed, upwards=True)
            network = Sequential(Dense(16, "tanh"), Dense(1))
            run = fit(network, rows.X, rows.Y, loss=loss, learning_rate=0.003, epochs=epochs, seed=seed, progress=False)
            found.append(float(np.abs(run.predict(rows.X_test) - rows.Y_test).mean()))
        errors[share] = Spread.of(found)
    e = input_("e", ())
    pull = gradient(LOSSES[loss](e, constant(0.0)), e)
    return WithOutliers(loss, str(pull), float(evaluate(pull, {e: FAR}, dtype=np.float64)), errors)
