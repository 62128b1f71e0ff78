"""The shape of an activation, measured: its range, that of its slope, where it is flat, where it has a kink.

Value and slope are computed through the op's own graph, over 40,000 points from −20 to 20 and on to ±10⁶, and held
against what the op declares.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.explain.numbers import number
from chainrule.graph.dim import definite
from chainrule.graph.graph import Graph
from chainrule.graph.node import Node
from chainrule.graph.op import Facts
from chainrule.nn import initial_value
from chainrule.nn.activations import activation
from chainrule.ops import input as input_
from chainrule.ops import sum as sum_
from chainrule.train.watch import FLAT
from chainrule.verbs import evaluate, gradient

Array = np.ndarray[Any, Any]
NEAR, FAR = 20.0, 1e6
"""The grid is fine up to here, and goes by powers up to there."""
WITHIN = 10.0
"""A bound that is not attained in ± this is approached far out, if at all."""


@dataclass(frozen=True)
class Interval:
    """From low to high; a bound that is only approached is written with a round bracket.

    >>> print(Interval(0.0, 0.25, False, True))
    (0, 0.25]
    """

    low: float
    high: float
    low_attained: bool = False
    high_attained: bool = False

    def __str__(self) -> str:
        brackets = "[" if self.low_attained else "(", "]" if self.high_attained else ")"
        low, high = (number(0 if abs(v) < 1e-9 else v).replace("inf", "∞") for v in (self.low, self.high))
        return f"{brackets[0]}{low}, {high}{brackets[1]}"


@dataclass(frozen=True, eq=False)
class ActivationShape:
    """What was measured of one activation.

    Attributes:
        range: smallest and largest value.
        slope: smallest and largest derivative.
        flat_below: up to here, from −∞, every slope is smaller than 0.01; None where it does not become flat.
        flat_above: from here on.
        kink: the largest jump of the slope, 0 for none.
        monotone: it never falls.
        disagreements: what the op declares otherwise.
        curve: x, value and slope between −6 and 6, to be drawn.
    """

    range: Interval
    slope: Interval
    flat_below: float | None
    flat_above: float | None
    kink: float
    monotone: bool
    disagreements: tuple[str, ...]
    curve: tuple[Array, Array, Array]

    @property
    def saturates(self) -> str:
        """``"both"``, ``"left"``, ``"right"`` or ``"nowhere"``."""
        sides = self.flat_below is not None, self.flat_above is not None
        return {(True, True): "both", (True, False): "left", (False, True): "right"}.get(sides, "nowhere")


def grid() -> Array:
    """The points that are looked at, from left to right."""
    outer = np.geomspace(NEAR, FAR, 500)[1:]
    return np.concatenate([-outer[::-1], np.linspace(-NEAR, NEAR, 40_001), outer])


def measure_shape(chosen: Any) -> ActivationShape:
    """Measure an activation, given by name or as a function of a node.

    What runs over an axis (softmax) is seen as a function of one of two units, with the other at 0: softmax is then
    the sigmoid. What is learned (the α of a parametric ReLU) is where it starts.

    >>> shape = measure_shape("sigmoid")
    >>> print(shape.range, shape.slope, shape.saturates)
    (0, 1) (0, 0.25] both
    """
    x = grid()
    node = input_("x", ("m", 2))
    out = activation(chosen)(node)
    slopes = gradient(sum_(out[:, 0]), node)
    points = np.stack([x, np.zeros_like(x)], axis=1)
    feeds: dict[Node, Array] = {node: points}
    for k, p in enumerate(Graph(out).parameters):
        feeds[p] = initial_value(definite(p.shape), p.attrs["initializer"], 0, k)
    value, slope = (np.asarray(a)[:, 0] for a in evaluate([out, slopes], feeds, dtype=np.float64))
    return _seen(x, value, slope, out.op.facts if out.inputs else None)


def _seen(x: Array, value: Array, slope: Array, facts: Any) -> ActivationShape:
    flat = np.abs(slope) < FLAT
    left = int(np.argmin(flat)) if not flat.all() else len(x)
    right = int(np.argmin(flat[::-1])) if not flat.all() else len(x)
    fine = np.abs(x) <= NEAR
    jumps = np.abs(np.diff(slope[fine]))
    scale = max(1.0, float(np.abs(value[fine]).max()))
    near = np.abs(x) <= 6
    shape = ActivationShape(
        range=_interval(x, value),
        slope=_interval(x, slope),
        flat_below=round(float(x[left - 1]), 3) if left else None,
        flat_above=round(float(x[len(x) - right]), 3) if right else None,
        kink=float(jumps.max()) if jumps.max() > 0.01 else 0.0,  # a smooth slope moves by some 0.001 between points
        monotone=bool((np.diff(value) >= -1e-12 * scale).all()),
        disagreements=(),
        curve=(x[near], value[near], slope[near]),
    )
    found = disagreements(shape, facts) if isinstance(facts, Facts) else ()
    return ActivationShape(**{**vars(shape), "disagreements": found})


def _interval(x: Array, values: Array) -> Interval:
    """Where the extreme still grows by more than 1 over the last factor of ten, it has no bound."""
    inner, middle = np.abs(x) <= WITHIN, np.abs(x) <= FAR / 10

    def bound(extreme: Any, sign: int) -> tuple[float, bool]:
        whole = float(extreme(values))
        if sign * (whole - float(extreme(values[middle]))) > 1:
            return sign * math.inf, False
        return whole, abs(float(extreme(values[inner])) - whole) <= 1e-12

    (low, low_attained), (high, high_attained) = bound(np.min, -1), bound(np.max, 1)
    return Interval(low, high, low_attained, high_attained)


def disagreements(shape: ActivationShape, facts: Facts) -> tuple[str, ...]:
    """Declared otherwise: ``monotone`` and ``smooth`` can be refuted by looking, but not proved."""
    out = []
    for side, measured, declared in zip(
        ("smallest", "largest"), (shape.range.low, shape.range.high), facts.range, strict=True
    ):
        if measured != declared and not abs(measured - declared) < 1e-4:
            out.append(f"the {side} value is {number(measured)}, declared {number(declared)}")
    if shape.saturates != facts.saturates:
        out.append(f"flat on the side '{shape.saturates}', declared '{facts.saturates}'")
    if facts.monotone and not shape.monotone:
        out.append("it falls somewhere, and is declared monotone")
    if facts.smooth and shape.kink:
        out.append(f"the slope jumps by {number(shape.kink)}, and it is declared smooth")
    return tuple(out)
