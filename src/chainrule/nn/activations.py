"""Activations by name. The functions themselves are ops, each declared once in ``chainrule.ops``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from chainrule import ops
from chainrule.errors import ConfigurationError, near
from chainrule.graph.node import Node
from chainrule.nn.layer import Layer

Activation = Callable[[Node], Node]


class ParametricReLU(Layer):
    """y = x for x > 0, α x below; α is learned, one for each unit.  Source: He et al. 2015.

    Args:
        initial: where every α starts.
    """

    def __init__(self, initial: float = 0.25, name: str | None = None) -> None:
        super().__init__(name)
        self.initial = initial

    def build(self, x: Node) -> None:
        """Make α for the size of the last axis."""
        self.parameter("α", (self.width_of(x),), self.initial)

    def apply(self, x: Node) -> Node:
        """The activation of x."""
        return ops.parametric_relu(x, self["α"])


ACTIVATIONS: Mapping[str, Activation] = {
    name: getattr(ops, name)
    for name in [
        "linear",
        "sigmoid",
        "tanh",
        "relu",
        "leaky_relu",
        "thresholded_relu",
        "elu",
        "selu",
        "gelu",
        "gelu_tanh",
        "silu",
        "swish",
        "mish",
        "softplus",
        "softsign",
        "hard_sigmoid",
        "hard_tanh",
        "sin",
        "softmax",
        "log_softmax",
    ]
} | {"parametric_relu": ParametricReLU}
"""The activations by name; ``parametric_relu`` makes a layer, since it has parameters of its own."""


def activation(value: Any) -> Activation:
    """An activation from its name, a layer or its class, or any function from node to node; None is linear."""
    if value is None:
        return ops.linear
    if isinstance(value, str):
        if value not in ACTIVATIONS:
            raise ConfigurationError(
                "no such activation",
                given=repr(value),
                expected=", ".join(ACTIVATIONS),
                hint=near(value, ACTIVATIONS),
            )
        value = ACTIVATIONS[value]
    if isinstance(value, type) and issubclass(value, Layer):
        return value()
    if callable(value):
        return value  # type: ignore[no-any-return]
    raise ConfigurationError("not an activation", given=repr(value), expected="a name or a function of a node")


def activation_name(value: Any) -> str:
    """How an activation is written in a summary."""
    if value is None:
        return "linear"
    return value if isinstance(value, str) else str(getattr(value, "__name__", type(value).__name__))
