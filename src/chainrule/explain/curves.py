"""Activations as curves: the value and the derived derivative."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.graph.dim import definite
from chainrule.graph.graph import Graph
from chainrule.graph.node import Node
from chainrule.graph.op import NOWHERE
from chainrule.nn import Layer, initial_value
from chainrule.nn.activations import ACTIVATIONS, activation, activation_name
from chainrule.ops import constant
from chainrule.ops import input as input_
from chainrule.verbs import evaluate, gradient

if TYPE_CHECKING:
    from chainrule.explain.figures import Drawing

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class ActivationCurve:
    """An activation g and its derivative g′ over z.

    Attributes:
        name: the activation's name.
        formula: g(z), and ``slope_formula`` g′(z), as derived.
        z: where it was looked at.
        value: g(z), and ``slope`` g′(z).
        kinks: where it is not differentiable and what is taken there, in words.
    """

    name: str
    formula: str
    slope_formula: str
    z: Array
    value: Array
    slope: Array
    kinks: str

    @property
    def data(self) -> dict[str, Array]:
        """The curves as arrays by name."""
        return {"z": self.z, "g(z)": self.value, "g'(z)": self.slope}

    def figure(self) -> Drawing:
        """Value and derivative as a Matplotlib figure."""
        from chainrule.explain.curve_figures import draw_curves

        return draw_curves([self])

    def _repr_png_(self) -> bytes:
        return self.figure()._repr_png_()

    def __str__(self) -> str:
        lines = [f"{self.name}", f"  g(z)  = {self.formula}", f"  g′(z) = {self.slope_formula}"]
        return "\n".join(lines + ([f"  not differentiable {self.kinks}"] if self.kinks else []))

    __repr__ = __str__


def activation_curve(g: Any, span: tuple[float, float] = (-5.0, 5.0), points: int = 2001) -> ActivationCurve:
    """An activation and its derivative, derived by the graph, over a range.

    Args:
        g: a name, or a function from node to node. Of one that works on a row, such as softmax, the first number of
            (z, 0) is shown.
        span: from where to where.
        points: how many values z takes.

    >>> curve = activation_curve("tanh")
    >>> print(curve.slope_formula, curve.slope.max())
    1 − tanh(z)² 1.0
    """
    z = input_("z", ("m", 1))
    y = activation(g)(z)
    row = y.op.structure == "dense along the axis"
    if row:
        y = activation(g)(z * constant([1.0, 0.0]))[:, :1]
    numbers = np.linspace(*span, points)
    feeds: dict[Node, Any] = {
        p: initial_value(definite(p.shape), p.attrs["initializer"], 0, k) for k, p in enumerate(Graph(y).parameters)
    }
    values, slopes = evaluate([y, gradient(y.sum(), z)], {z: numbers[:, None], **feeds}, dtype=np.float64)
    at = "" if row else str(y.op.not_differentiable)
    return ActivationCurve(
        activation_name(g),
        *_formulas(g, row),
        numbers,
        values[:, 0],
        slopes[:, 0],
        "" if at in (NOWHERE, "ABSENT") or not y.inputs else at,
    )


def _formulas(g: Any, row: bool) -> tuple[str, str]:
    """g(z) and g′(z) of a single number z, as they are written; of one among several numbers where it takes a row."""
    if row:
        z, e = input_("z", (2,)), input_("e", (2,))
        y = activation(g)(z)
        return f"{y}, the first of z = (z, 0)", f"{gradient((e * y).sum(), z)}, e = (1, 0)"
    z = input_("z", () if not isinstance(activation(g), Layer) else (1,))
    y = activation(g)(z)
    return str(y), str(gradient(y.sum(), z))


def all_curves() -> list[ActivationCurve]:
    """Every activation that has a name, each once."""
    own: dict[Any, str] = {}
    for name, function in ACTIVATIONS.items():
        own.setdefault(function, name)
    return [activation_curve(name) for name in own.values()]
