"""One network per example, averaged: what goes wrong, why, and when it does not.

All the small networks are trained side by side, as one: every example picks its own parameters out of a stack. Then
the parameters are averaged over the stack, and the predictions, to tell the two apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import DataError
from chainrule.explain.compare.progress import Told
from chainrule.explain.compare.result import Result, checked_seeds, counted
from chainrule.explain.compare.spread import Spread, clear_difference
from chainrule.explain.compare.tasks import Split, Task, task
from chainrule.explain.numbers import aligned, number
from chainrule.graph.node import Node
from chainrule.nn import Model, initial_value, initializer
from chainrule.nn.losses import squared_error
from chainrule.ops import einsum, gather, mean, parameter, tanh
from chainrule.ops import input as input_
from chainrule.train.fit import fit
from chainrule.verbs import evaluate, gradient

if TYPE_CHECKING:
    from chainrule.explain.figures import Drawing

Array = np.ndarray[Any, Any]
UNITS = 8
ROWS = 160
"""At most so many training examples."""
GROUPS = (1, 2, 5, 10, 20, 40, 80, 160)
"""Examples that each network of a stack is trained on."""
LEARNING_RATE = 0.01

ALL = "one network on all examples"
ONE_AT_A_TIME = "one network, one example per step"
OWN = "one per example, own starts: parameters averaged"
COMMON = "one per example, one start: parameters averaged"
VOTES = "one per example, own starts: predictions averaged"
LINEAR_ALL = "linear: one model on all examples"
LINEAR = "linear: one per example: parameters averaged"
LINEAR_VOTES = "linear: one per example: predictions averaged"
CONSTANT = "the mean of the labels, whatever the example"


@dataclass(frozen=True)
class Stack:
    """Networks of one shape side by side, each trained on examples of its own.

    Attributes:
        copies: how many.
        inputs: k, of each.
        units: tanh units of the hidden layer; 0 for a linear model.
    """

    copies: int
    inputs: int
    units: int

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the parameters of one network."""
        if not self.units:
            return {"W1": (self.inputs, 1), "b1": (1,)}
        return {"W1": (self.inputs, self.units), "b1": (self.units,), "W2": (self.units, 1), "b2": (1,)}

    def model(self, start: Mapping[str, Array]) -> Model:
        """The network as a graph: X (m, k) and i (m,), the number of the network that each example belongs to."""
        X, i = input_("X", ("m", self.inputs)), input_("i", ("m",), dtype="int")
        p = {
            name: parameter(name, (self.copies, *shape), initializer=lambda rng, shape, name=name: start[name])
            for name, shape in self.shapes.items()
        }
        own = {name: gather(node, i) for name, node in p.items()}
        out = einsum("mk,mkn->mn", X, own["W1"]) + own["b1"]
        if self.units:
            out = einsum("mk,mkn->mn", tanh(out.named("Z")).named("A"), own["W2"]) + own["b2"]
        return Model((X, i), out)

    def starts(self, seed: int, common: bool) -> dict[str, Array]:
        """First numbers of every network: one of its own each, or the same for all; a linear model starts at 0."""
        glorot = initializer("glorot_uniform") if self.units else initializer("zeros")
        each = range(1) if common else range(self.copies)
        stacks = {}
        for k, (name, shape) in enumerate(self.shapes.items()):
            chosen = glorot if len(shape) > 1 else "zeros"
            drawn = [initial_value(shape, chosen, seed, 1000 * copy + k) for copy in each]
            stacks[name] = np.broadcast_to(np.stack(drawn), (self.copies, *shape)).copy()
        return stacks


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained stack."""

    stack: Stack
    model: Model
    values: Mapping[str, Array]

    def average(self) -> Trained:
        """One network: the mean of every parameter over the stack."""
        return self.of({name: v.mean(axis=0, keepdims=True) for name, v in self.values.items()})

    def of(self, values: Mapping[str, Array]) -> Trained:
        """Networks of the same shape with other parameters."""
        stack = Stack(len(next(iter(values.values()))), self.stack.inputs, self.stack.units)
        return Trained(stack, stack.model(values), values)

    def predictions(self, X: Array) -> Array:
        """What each network says of each example: (copies, m)."""
        copies, m = self.stack.copies, len(X)
        x, i = self.model.inputs
        feeds: dict[Node, Array] = {x: np.tile(X, (copies, 1)), i: np.repeat(np.arange(copies), m)}
        feeds |= {p: self.values[str(p.name)] for p in self.model.parameters}
        return np.asarray(evaluate(self.model.output, feeds, dtype=np.float64)).reshape(copies, m)


def train_stack(
    X: Array, Y: Array, group: int, units: int, seed: int, epochs: int, common: bool = False, batch: int | None = None
) -> Trained:
    """Train a network for every ``group`` examples.

    The cost is a mean over all examples, but each network sees its own alone. Adam asks only for the direction
    of a gradient, so each of them moves as it would alone.
    """
    copies = max(1, len(X) // group)
    stack = Stack(copies, X.shape[1], units)
    model = stack.model(stack.starts(seed, common))
    belongs = np.minimum(np.arange(len(X)) // group, copies - 1)
    run = fit(
        model,
        [X, belongs],
        Y,
        loss="squared_error",
        learning_rate=LEARNING_RATE,
        epochs=epochs,
        batch_size=batch,
        seed=seed,
        dtype="float64",
        progress=False,
    )
    return Trained(stack, model, {str(node.name): v for node, v in run.values.items()})


@dataclass(frozen=True)
class Way:
    """A way to come to one prediction.

    Attributes:
        name: in words.
        train, test: the error (RMSE) on training and test rows, in deviations of the label.
    """

    name: str
    train: Spread
    test: Spread


@dataclass(frozen=True)
class Symmetry:
    """What averaging does to networks that are all good, and differ in the order and the signs of their units.

    Attributes:
        ways: in how many ways the same function can be written: n! 2ⁿ for n tanh units.
        alike: the largest difference between the predictions of a network and of its reordered copy.
        single: test error of a network trained on all examples.
        with_copy: of it averaged with its own reordered copy.
        two: of two networks trained on all examples from two starts, averaged.
        matched: and of the same two, the units of one put into the order and signs of the other's before.
    """

    ways: int
    alike: float
    single: Spread
    with_copy: Spread
    two: Spread
    matched: Spread


@dataclass(frozen=True, eq=False)
class Curve:
    """The experiment with one input, to be seen: exp(x) on [−2, 2].

    Attributes:
        x, y: the curve.
        examples: (m, 2), x and y of those trained on.
        each: (m, points), what the network of each example says.
        ways: what comes of it, by name.
    """

    x: Array
    y: Array
    examples: Array
    each: Array
    ways: Mapping[str, Array]


@dataclass(frozen=True)
class PerExampleComparison(Result):
    """One network per example, averaged. Prints as tables; :meth:`figures` draws it.

    Attributes:
        ways: by name, on real data.
        own, others: the error of each network on its own example, and on all test rows.
        groups: for each way to average, the test error by the number of examples that each network is trained on.
        symmetry: why networks cannot be averaged even where each is good.
        gradients: the largest relative difference between the mean of the examples' gradients and the gradient of
            the mean.
        linear_difference: the largest difference between averaged parameters and averaged predictions, linear model.
        curve: the same with one input.
        settings: how it was done, a sentence each.
    """

    ways: Mapping[str, Way]
    own: Spread
    others: Spread
    groups: Mapping[str, Mapping[int, Spread]]
    symmetry: Symmetry
    gradients: float
    linear_difference: float
    curve: Curve
    settings: tuple[str, ...]

    def __str__(self) -> str:
        rows = [["error (RMSE)", "training rows", "test rows"]]
        rows += [[w.name, str(w.train), str(w.test)] for w in self.ways.values()]
        sizes = list(next(iter(self.groups.values())))
        table = [["test error, examples per network", *map(str, sizes)]]
        table += [[name, *(f"{s.mean:.2f}" for s in by.values())] for name, by in self.groups.items()]
        s = self.symmetry
        same = [
            ["two good networks averaged", "test error"],
            ["one network trained on all examples", str(s.single)],
            ["averaged with its own copy, units reordered and signs turned", str(s.with_copy)],
            ["two of them from two starts, averaged", str(s.two)],
            ["the same two, units matched before", str(s.matched)],
        ]
        lines = [*aligned(rows), "", *aligned(table), "", *aligned(same), ""]
        return "\n".join([*lines, *(f"  {line}" for line in self.settings), "", self.answer])

    @property
    def answer(self) -> str:
        """What the numbers say, in words."""
        test = {name: way.test.mean for name, way in self.ways.items()}
        sign = clear_difference(self.ways[OWN].test, self.ways[CONSTANT].test)
        worse = {1: "worse than", 0: "not clearly different from", -1: "better than"}[sign]
        s = self.symmetry
        return "\n".join(
            [
                f"Averaged parameters of one network per example: test error {test[OWN]:.2f}, {test[ALL]:.2f} for one "
                f"network on all; {worse} always predicting the mean ({test[CONSTANT]:.2f}).",
                f"Each network has learned its own example (error {number(self.own.mean)}) and misses the others "
                f"({self.others.mean:.2f}): it never saw how labels change with the inputs. Averaging their "
                f"predictions gives {test[VOTES]:.2f}.",
                f"And parameters do not add up: {s.ways:,} orders and signs of {UNITS} units compute the same "
                f"(difference {s.alike:.0e}), yet the mean of a network and such a copy has an error of "
                f"{s.with_copy.mean:.2f}, each of them {s.single.mean:.2f}. Two networks on all examples from two "
                f"starts, averaged: {s.two.mean:.2f}; with their units matched before, {s.matched.mean:.2f}. From one "
                f"common start, one per example: {test[COMMON]:.2f}.",
                f"Averaging gradients at every step is another thing: it is the gradient of the cost (relative "
                f"difference {self.gradients:.0e}), so the same training as on all examples at once. One example per "
                f"step, but in one network: {test[ONE_AT_A_TIME]:.2f}.",
                f"A linear model is linear in its parameters, so averaged parameters are averaged predictions "
                f"(difference {self.linear_difference:.0e}). {self._enough()}",
            ]
        )

    def _enough(self) -> str:
        whole = self.ways[LINEAR_ALL].test.mean
        close = [g for g, s in self.groups[LINEAR].items() if s.mean <= 1.05 * whole]
        one = self.ways[LINEAR].test.mean
        text = f"Its error is {one:.2f} with one example per model, {whole:.2f} with one model on all"
        if min(close) == 1:
            return f"{text}: averaging does no harm."
        return f"{text}; with {min(close)} examples per model it comes within 5 % of that."

    def records(self) -> list[dict[str, Any]]:
        """A flat dictionary for each way, ready for a data frame."""
        return [
            {"way": w.name, "train": w.train.mean, "test": w.test.mean, "test_deviation": w.test.deviation}
            for w in self.ways.values()
        ]

    def figures(self) -> dict[str, Drawing]:
        """Matplotlib figures by name: curve, groups."""
        from chainrule.explain.compare.per_example_figures import curve, groups

        return {"curve": curve(self), "groups": groups(self)}


def compare_per_example(
    *,
    regression: tuple[Any, Any] | None = None,
    seeds: int = 3,
    quick: bool = False,
    progress: bool | None = None,
) -> PerExampleComparison:
    """Train one small network per example and average them; compare with one network on all examples.

    Args:
        regression: ``(X, Y)`` to learn; by default prices of houses (``ames``).
        seeds: so many times everything is trained, each time with other rows and starts.
        quick: fewer examples and epochs, one seed: to see how it looks.
        progress: a line that says what is running; by default in a terminal only.

    Returns:
        A :class:`PerExampleComparison`.

    Errors: fewer than 20 training examples; examples and labels that do not fit.
    """
    seeds = checked_seeds(seeds)
    data = task(regression, "ames", regression=True)
    rows, epochs, seeds = (40, 100, 1) if quick else (ROWS, 400, seeds)
    splits = [_few(data, seed, rows) for seed in range(seeds)]
    rows = len(splits[0].X)
    if rows < 20:
        raise DataError("too few examples for this experiment", given=f"{rows} to train on", expected="at least 20")
    sizes = [*(g for g in (GROUPS[:3:2] if quick else GROUPS) if g < rows), rows]
    told = Told(len(sizes) * 3 + 3, progress)
    ways, groups, own, others, difference = _on_data(splits, sizes, epochs, told)
    told("two good networks averaged")
    symmetry = _symmetry(splits, epochs)
    told("gradients averaged")
    gradients = max(_gradients(split, seed) for seed, split in enumerate(splits))
    told("the same with one input")
    curve = _curve(epochs * 2)
    told.end()
    settings = (
        f"{data.name}: {rows} training rows, the others to test on, errors in deviations of the label; "
        f"{counted(seeds)}.",
        f"networks: {UNITS} tanh units, Adam, α = {LEARNING_RATE}, {epochs} epochs of all examples at once.",
    )
    return PerExampleComparison(ways, own, others, groups, symmetry, gradients, difference, curve, settings)


def _few(data: Task, seed: int, rows: int) -> Split:
    """At most so many rows to train on."""
    split = data.split(seed)
    return Split(split.X[:rows], split.Y[:rows], split.X_test, split.Y_test)


Predict = Callable[[Array], Array]


def _rmse(predicted: Array, Y: Array) -> float:
    return float(np.sqrt(np.mean((predicted - Y[:, 0]) ** 2)))


def _on_data(
    splits: Sequence[Split], sizes: Sequence[int], epochs: int, told: Told
) -> tuple[dict[str, Way], dict[str, dict[int, Spread]], Spread, Spread, float]:
    """Every way to average, for every size of group."""
    errors: dict[tuple[str, int], list[tuple[float, float]]] = {}
    own, others, difference = [], [], 0.0

    def note(name: str, size: int, split: Split, predict: Predict) -> None:
        pair = _rmse(predict(split.X), split.Y), _rmse(predict(split.X_test), split.Y_test)
        errors.setdefault((name, size), []).append(pair)

    def averaged(trained: Trained) -> Predict:
        return lambda X: trained.average().predictions(X)[0]

    def voted(trained: Trained) -> Predict:
        return lambda X: trained.predictions(X).mean(axis=0)

    def constant(label: float) -> Predict:
        return lambda X: np.full(len(X), label)

    for size in sizes:
        for kind, units, common in (("networks", UNITS, False), ("one start", UNITS, True), ("linear", 0, True)):
            told(f"{kind}, {size} example{'s' * (size > 1)} each")
            for seed, split in enumerate(splits):
                trained = train_stack(split.X, split.Y, size, units, seed, epochs, common)
                name = {"networks": OWN, "one start": COMMON, "linear": LINEAR}[kind]
                note(name, size, split, averaged(trained))
                if kind != "one start":
                    note(VOTES if kind == "networks" else LINEAR_VOTES, size, split, voted(trained))
                if kind == "linear":
                    gap = averaged(trained)(split.X_test) - voted(trained)(split.X_test)
                    difference = max(difference, float(np.abs(gap).max()))
                if kind == "networks" and size == 1:
                    own.append(_rmse(np.diag(trained.predictions(split.X)), split.Y))
                    misses = trained.predictions(split.X_test) - split.Y_test[:, 0]
                    others.append(float(np.sqrt(np.mean(misses**2))))
    whole = sizes[-1]
    for seed, split in enumerate(splits):
        one = train_stack(split.X, split.Y, whole, UNITS, seed, max(1, epochs // 10), batch=1)
        note(ONE_AT_A_TIME, whole, split, averaged(one))
        note(CONSTANT, whole, split, constant(float(split.Y.mean())))
    at = {ALL: (OWN, whole), ONE_AT_A_TIME: (ONE_AT_A_TIME, whole), OWN: (OWN, 1), COMMON: (COMMON, 1)}
    at |= {VOTES: (VOTES, 1), LINEAR_ALL: (LINEAR, whole), LINEAR: (LINEAR, 1), LINEAR_VOTES: (LINEAR_VOTES, 1)}
    at |= {CONSTANT: (CONSTANT, whole)}
    ways = {name: Way(name, *(Spread.of(pair[k] for pair in errors[key]) for k in (0, 1))) for name, key in at.items()}
    groups = {
        name: {g: Spread.of(test for _, test in errors[name, g]) for g in sizes}
        for name in (OWN, COMMON, VOTES, LINEAR)
    }
    return ways, groups, Spread.of(own), Spread.of(others), difference


# --- why ------------------------------------------------------------------------------------------------


def _symmetry(splits: Sequence[Split], epochs: int) -> Symmetry:
    found: dict[str, list[float]] = {"single": [], "with_copy": [], "two": [], "matched": []}
    alike = 0.0
    for seed, split in enumerate(splits):
        rows = len(split.X)
        a = train_stack(split.X, split.Y, rows, UNITS, seed, epochs)
        b = train_stack(split.X, split.Y, rows, UNITS, seed + 1_000_003, epochs)
        rng = np.random.default_rng(seed)
        copy = reordered(a, rng.permutation(UNITS), rng.choice([-1.0, 1.0], UNITS))
        alike = max(alike, float(np.abs(a.predictions(split.X_test) - copy.predictions(split.X_test)).max()))
        pairs = {"single": [a], "with_copy": [a, copy], "two": [a, b], "matched": [a, matched(b, a, split.X)]}
        for name, networks in pairs.items():
            found[name].append(_rmse(_together(networks).predictions(split.X_test)[0], split.Y_test))
    return Symmetry(math.factorial(UNITS) * 2**UNITS, alike, **{k: Spread.of(v) for k, v in found.items()})


def _together(networks: Sequence[Trained]) -> Trained:
    """The mean of their parameters."""
    first = networks[0]
    return first.of({name: np.mean([n.values[name] for n in networks], axis=0) for name in first.values})


def reordered(network: Trained, order: Array, signs: Array) -> Trained:
    """The same function with its hidden units in another order, and some with both their signs turned."""
    v = network.values
    return network.of(
        {
            "W1": v["W1"][:, :, order] * signs,
            "b1": v["b1"][:, order] * signs,
            "W2": v["W2"][:, order] * signs[:, None],
            "b2": v["b2"],
        }
    )


def matched(network: Trained, to: Trained, X: Array) -> Trained:
    """A network with its units in the order and signs in which they are most like those of another one.

    Likeness is the correlation of what two units give over the examples; the best assignment of all of them is found
    as in Ainsworth et al. 2023 (Git Re-Basin).
    """
    from scipy.optimize import linear_sum_assignment

    def given(one: Trained) -> Array:
        return np.asarray(np.tanh(X @ one.values["W1"][0] + one.values["b1"][0]))

    a, b = given(to), given(network)
    n = a.shape[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        alike = np.nan_to_num(np.corrcoef(a.T, b.T)[:n, n:])
    _, order = linear_sum_assignment(-np.abs(alike))
    signs = np.where(alike[np.arange(n), order] < 0, -1.0, 1.0)
    return reordered(network, order, signs)


def _gradients(split: Split, seed: int) -> float:
    """The gradients of all examples, one by one, averaged; against the gradient of the cost of all."""
    stack = Stack(1, split.X.shape[1], UNITS)
    start = stack.starts(seed, common=True)
    model = stack.model(start)
    y = input_("Y", ("m", 1))
    slopes = gradient(mean(squared_error(model.output, y)), model.parameters)
    x, i = model.inputs
    known: dict[Node, Array] = {p: start[str(p.name)] for p in model.parameters}

    def at(rows: Any) -> list[Array]:
        X = split.X[rows]
        feeds = {x: X, i: np.zeros(len(X), int), y: split.Y[rows]}
        return [np.asarray(g) for g in evaluate(slopes, {**known, **feeds}, dtype=np.float64)]

    whole = at(slice(None))
    single = [at([row]) for row in range(len(split.X))]
    means = [np.mean([g[k] for g in single], axis=0) for k in range(len(whole))]
    scale = max(float(np.abs(g).max()) for g in whole)
    return max(float(np.abs(a - b).max()) for a, b in zip(whole, means, strict=True)) / scale


# --- to be seen -----------------------------------------------------------------------------------------


def _curve(epochs: int, examples: int = 16) -> Curve:
    x = np.linspace(-2, 2, examples)[:, None]
    at = np.linspace(-2, 2, 200)[:, None]
    own = train_stack(x, np.exp(x), 1, UNITS, 0, epochs)
    common = train_stack(x, np.exp(x), 1, UNITS, 0, epochs, common=True)
    whole = train_stack(x, np.exp(x), examples, UNITS, 0, epochs)
    each = own.predictions(at)
    ways = {
        ALL: whole.predictions(at)[0],
        OWN: own.average().predictions(at)[0],
        COMMON: common.average().predictions(at)[0],
        VOTES: each.mean(axis=0),
    }
    return Curve(at[:, 0], np.exp(at[:, 0]), np.hstack([x, np.exp(x)]), each, ways)
