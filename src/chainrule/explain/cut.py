"""A cut through the inputs: one or two columns of the examples vary over a grid, the others stand still.

A figure has two axes. What a network with more inputs does is shown on such a cut.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from chainrule.errors import ConfigurationError, GraphError, near
from chainrule.explain.layers import as_it_predicts
from chainrule.explain.numbers import number
from chainrule.graph.dim import definite, show
from chainrule.graph.node import Node
from chainrule.train import Run
from chainrule.train.run import inputs_of
from chainrule.verbs import evaluate, gradient

Array = np.ndarray[Any, Any]
SHOWN = 8
"""At most so many columns are listed in an error."""


@dataclass(frozen=True)
class Cut:
    """Where a figure looks: a grid over the columns that vary, and the numbers at which the others stand.

    Attributes:
        names: what the columns of the examples are called.
        varied: the numbers of the columns that vary, one or two, from 0.
        axes: the values of each, in rising order.
        at: a number for each column, for those that do not vary.
    """

    names: tuple[str, ...]
    varied: tuple[int, ...]
    axes: tuple[Array, ...]
    at: Array

    @property
    def labels(self) -> tuple[str, ...]:
        """What the columns that vary are called."""
        return tuple(self.names[k] for k in self.varied)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a picture of the cut: the first of two columns runs along its rows, from left to right."""
        return tuple(len(a) for a in reversed(self.axes))

    @cached_property
    def rows(self) -> Array:
        """The examples of the grid, (points, columns)."""
        rows = np.tile(self.at, (math.prod(self.shape), 1))
        for column, values in zip(self.varied, np.meshgrid(*self.axes), strict=True):
            rows[:, column] = values.ravel()
        return rows

    @property
    def over(self) -> str:
        """From where to where the columns vary, and where the others stand, in words."""
        ranges = [f"{a} from {number(v[0])} to {number(v[-1])}" for a, v in zip(self.labels, self.axes, strict=True)]
        return f"over {' and '.join(ranges)}" + (f", at {self.elsewhere}" if self.elsewhere else "")

    @property
    def elsewhere(self) -> str:
        """At which numbers the other columns stand, in words; "" where all vary."""
        rest = [f"{self.names[k]} = {number(self.at[k])}" for k in range(len(self.at)) if k not in self.varied]
        more = f" and {len(rest) - 3} more" if len(rest) > 4 else ""
        return ", ".join(rest if not more else rest[:3]) + more


def cut(
    run: Run,
    X: Any = None,
    *,
    vary: Any = None,
    at: Any = None,
    span: Any = None,
    names: Sequence[str] | None = None,
    points: tuple[int, int],
    dimensions: Sequence[int] = (1, 2),
    margin: float = 0.0,
) -> Cut:
    """The cut that a user asks for.

    Args:
        run: the network.
        X: examples: they say from where to where each column goes, and its mean.
        vary: the columns that vary, by number (from 0) or name; all of them where they are one or two.
        at: where the others stand: a row of numbers, or a mapping from columns to numbers; the mean of X by default.
        span: from where to where, ``(low, high)`` or a pair for each column that varies.
        names: what the columns are called; x, or x[0], x[1] … by default.
        points: how many values each column takes, where one varies and where two do.
        dimensions: how many columns may vary.
        margin: the share of the range of X that is added to both sides.

    Errors: more inputs than a figure has axes and no choice among them; unknown columns; a range that is not known.
    """
    node = _table_input(run)
    (width,) = definite(node.shape[1:])
    known = _names(width, names)
    examples = None if X is None else inputs_of(run.model, X)[0].astype(float)
    if vary is None:
        if width not in dimensions:
            raise _too_many(run, node, known, examples, dimensions)
        vary = range(width)
    varied = tuple(_column(v, known) for v in (vary if _several(vary) else [vary]))
    if len(varied) not in dimensions or len(set(varied)) != len(varied):
        raise ConfigurationError(
            "a figure shows " + " or ".join(f"{d} column{'s' * (d > 1)}" for d in dimensions),
            given=", ".join(known[k] for k in varied) or "none",
            expected="vary=(0, 1), different columns by number or name" if 2 in dimensions else "vary=0",
        )
    place = _place(at, known, examples, varied)
    spans = _spans(span, known, examples, varied, margin)
    count = points[len(varied) - 1]
    return Cut(known, varied, tuple(np.linspace(low, high, count) for low, high in spans), place)


def _table_input(run: Run) -> Node:
    nodes = run.model.inputs
    if len(nodes) != 1 or nodes[0].ndim != 2 or not isinstance(nodes[0].shape[1], int):
        raise GraphError(
            "figures over the inputs need a network with one input, whose examples are rows of numbers",
            given="; ".join(f"{n.name} {show(n.shape)}" for n in nodes),
            expected="an input such as X (m, 2)",
        )
    node: Node = nodes[0]
    return node


def _names(width: int, given: Sequence[str] | None) -> tuple[str, ...]:
    if given is None:
        return ("x",) if width == 1 else tuple(f"x[{k}]" for k in range(width))
    names = (given,) if isinstance(given, str) else tuple(map(str, given))
    if len(names) != width:
        raise ConfigurationError(
            "a name for each column of the examples", given=f"{len(names)} names", expected=f"{width} names"
        )
    return names


def _several(value: Any) -> bool:
    return isinstance(value, (tuple, list, range, np.ndarray))


def _column(wanted: Any, names: Sequence[str]) -> int:
    if isinstance(wanted, str):
        if wanted in names:
            return names.index(wanted)
    elif isinstance(wanted, (int, np.integer)) and not isinstance(wanted, bool) and 0 <= wanted < len(names):
        return int(wanted)
    raise ConfigurationError(
        "the examples have no such column",
        given=repr(wanted),
        expected=f"0 to {len(names) - 1}, or a name: {_listed(names)}",
        hint=near(wanted, names) if isinstance(wanted, str) else None,
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" … {names[-1]}" if len(names) > SHOWN else "")


def _too_many(
    run: Run, node: Node, names: Sequence[str], examples: Array | None, dimensions: Sequence[int]
) -> ConfigurationError:
    width = len(names)
    if examples is None:
        strongest = "with X given, this hint names the two columns that move the prediction most"
    else:
        first, second = _strongest(run, node, examples)
        strongest = (
            f"over these examples {names[first]} and {names[second]} move the prediction most: vary=({first}, {second})"
        )
    return ConfigurationError(
        f"the network has {width} inputs, a figure has {' or '.join(map(str, dimensions))} axes over them",
        given=_listed(names),
        expected=f"vary=(i, j): {math.comb(width, 2):,} two-dimensional cuts, any two of the columns 0 to {width - 1}"
        + (", or vary=i for a curve" if 1 in dimensions else "")
        + "; the others stand at the mean of X, or at=…",
        hint=strongest,
    )


def _strongest(run: Run, node: Node, examples: Array) -> tuple[int, int]:
    """The two columns with the largest |∂ŷ/∂x| times the spread of x, by the derived gradient."""
    total = (as_it_predicts(run)[1] ** 2).sum()  # squared, since a softmax sums to one whatever x is
    slopes = evaluate(gradient(total, node), {node: examples[:1000]} | run.values, dtype=np.float64)
    moved = np.abs(slopes).mean(axis=0) * examples.std(axis=0)
    first, second = np.argsort(-moved, kind="stable")[:2]
    return int(first), int(second)


def _place(at: Any, names: Sequence[str], examples: Array | None, varied: Sequence[int]) -> Array:
    width = len(names)
    place = np.full(width, np.nan) if examples is None else examples.mean(axis=0)
    if isinstance(at, Mapping):
        for column, value in at.items():
            place[_column(column, names)] = float(value)
    elif at is not None:
        row = np.asarray(at, float).ravel()
        if row.shape != (width,):
            raise ConfigurationError(
                "at is a number for each column of the examples", given=f"{row.size} numbers", expected=f"{width}"
            )
        place = row.copy()
    place[list(varied)] = np.where(np.isnan(place), 0.0, place)[list(varied)]
    open_ = [names[k] for k in range(width) if np.isnan(place[k])]
    if open_:
        raise ConfigurationError(
            "where do the other columns stand?",
            given=f"no number for {_listed(open_)}",
            expected="examples X, whose mean is taken, or at={column: number, …}",
        )
    return place


def _spans(
    span: Any, names: Sequence[str], examples: Array | None, varied: Sequence[int], margin: float
) -> list[tuple[float, float]]:
    if span is None:
        if examples is None:
            raise ConfigurationError(
                "over which inputs?",
                given=f"no range for {', '.join(names[k] for k in varied)}",
                expected="examples X, whose range is taken, or span=(low, high)",
            )
        low, high = examples.min(axis=0), examples.max(axis=0)
        wider = np.where(high > low, margin * (high - low), 0.5)
        pairs = [(low[k] - wider[k], high[k] + wider[k]) for k in varied]
    else:
        array = np.asarray(span, float)
        if array.shape not in ((2,), (len(varied), 2)):
            raise ConfigurationError(
                "span is a pair (low, high), or one for each column that varies", given=f"{span!r}"
            )
        pairs = [tuple(pair) for pair in np.broadcast_to(array, (len(varied), 2)).tolist()]
    for low_, high_ in pairs:
        if not (np.isfinite([low_, high_]).all() and low_ < high_):
            raise ConfigurationError("a range goes from a smaller to a larger number", given=f"{low_:g} to {high_:g}")
    return [(float(a), float(b)) for a, b in pairs]
