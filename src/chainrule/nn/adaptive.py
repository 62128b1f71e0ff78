"""Activations that differ from unit to unit, and activations that are learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule.errors import ConfigurationError
from chainrule.graph.node import Node
from chainrule.nn.activations import activation as activation_by_name
from chainrule.nn.activations import activation_name
from chainrule.nn.layer import Layer
from chainrule.ops import concatenate, einsum, sigmoid, softmax, stack


def _functions(names: Any, least: int) -> tuple[Any, ...]:
    if isinstance(names, str) or not isinstance(names, Sequence) or len(names) < least:
        raise ConfigurationError(
            f"a list of at least {least} activations", given=repr(names), expected="such as ['relu', 'tanh', 'sin']"
        )
    return tuple(activation_by_name(n) for n in names)


class MixedActivation(Layer):
    """A = [g₁(x₁); g₂(x₂); …]: the units of one layer are parted into groups with an activation each.

    Args:
        activations: g₁, g₂ …, by name or any functions of a node.
        sizes: the number of units of each; by default as equal as can be, the first ones larger.
        name: the layer's name.

    >>> import chainrule as cr
    >>> print(cr.Dense(6, cr.MixedActivation(["relu", "tanh", "sin"]))(cr.input("x", ("m", 2))))
    [ReLU(Z1[:, 0:2]); tanh(Z1[:, 2:4]); sin(Z1[:, 4:6])]
    """

    def __init__(self, activations: Sequence[Any], sizes: Sequence[int] | None = None, name: str | None = None) -> None:
        super().__init__(name)
        self.activations = activations
        self.sizes = tuple(sizes) if sizes is not None else None
        self._functions = _functions(activations, 1)

    @property
    def parts(self) -> tuple[Any, ...]:
        """The activations, which may be layers themselves."""
        return self._functions

    def apply(self, x: Node) -> Node:
        """The groups, one after the other."""
        width, groups = self.width_of(x), len(self._functions)
        sizes = self.sizes or tuple(width // groups + (k < width % groups) for k in range(groups))
        if len(sizes) != groups or sum(sizes) != width or min(sizes) < 1:
            raise ConfigurationError(
                "the units cannot be parted among the activations",
                given=f"{width} units, groups of {', '.join(map(str, sizes))}",
                expected=f"{groups} groups of at least one unit, {width} in all",
            )
        ends = [sum(sizes[: k + 1]) for k in range(groups)]
        parts = [g(x[..., end - size : end]) for g, size, end in zip(self._functions, sizes, ends, strict=True)]
        return concatenate(parts, axis=x.ndim - 1)

    def __repr__(self) -> str:
        return f"MixedActivation([{', '.join(repr(activation_name(a)) for a in self.activations)}])"


class Swish(Layer):
    """A = x σ(β x), β learned, one for each unit: linear at β = 0, ReLU for β → ∞.

    Args:
        initial: where every β starts.
        name: the layer's name.

    Source: Ramachandran, Zoph and Le, Searching for activation functions, 2017.
    """

    def __init__(self, initial: float = 1.0, name: str | None = None) -> None:
        super().__init__(name)
        self.initial = float(initial)

    def build(self, x: Node) -> None:
        """Make β."""
        self.parameter("β", (self.width_of(x),), self.initial)

    def apply(self, x: Node) -> Node:
        """x σ(β x)."""
        return x * sigmoid(self["β"] * x)


class AdaptiveActivation(Layer):
    """A = Σ_k p_k g_k(x): a mixture of activations whose weights are learned, for each unit or for all.

    Args:
        basis: g₁, g₂ …, by name or any functions of a node.
        mixture: ``"softmax"``: p = softmax(a), positive and summing to one, or ``"free"``: p = a.
        shared: one mixture for all units of the layer.
        name: the layer's name.

    It starts as the plain mean of its basis. ``layer.openness`` is p, (n, K) or (K,).

    Source: Manessi and Rozza, Learning combinations of activation functions, 2018.
    """

    def __init__(
        self,
        basis: Sequence[Any] = ("linear", "relu", "tanh", "sin"),
        mixture: str = "softmax",
        shared: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        if mixture not in ("softmax", "free"):
            raise ConfigurationError("no such mixture", given=repr(mixture), expected="'softmax' or 'free'")
        self.basis, self.mixture, self.shared = basis, mixture, bool(shared)
        self.openness: Node | None = None
        self._functions = _functions(basis, 2)

    @property
    def parts(self) -> tuple[Any, ...]:
        """The basis."""
        return self._functions

    def build(self, x: Node) -> None:
        """Make a."""
        count = len(self._functions)
        shape = (count,) if self.shared else (self.width_of(x), count)
        self.parameter("a", shape, 0.0 if self.mixture == "softmax" else 1 / count)

    def apply(self, x: Node) -> Node:
        """Σ_k p_k g_k(x)."""
        p = softmax(self["a"]).named("p", self.scope) if self.mixture == "softmax" else self["a"]
        self.openness = p
        values = stack([g(x) for g in self._functions], axis=x.ndim)
        lead = "abcdefgh"[: x.ndim]
        return einsum(f"{lead}k,{'' if self.shared else lead[-1]}k->{lead}", values, p)

    def __repr__(self) -> str:
        return f"AdaptiveActivation([{', '.join(repr(activation_name(a)) for a in self.basis)}])"
