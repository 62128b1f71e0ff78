"""Normalisation: layers whose output has mean 0 and deviation 1 over a batch, an example, or a group of channels.

They differ only in the axes that the mean μ and the variance V are taken over:
x̂ = (x − μ)/√(V + ε),  A = γ ∘ x̂ + β, with γ and β learned.
"""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.errors import ConfigurationError, ShapeError
from chainrule.graph.dim import show
from chainrule.graph.node import Node
from chainrule.nn.layer import Layer, positive
from chainrule.ops import by_phase, carry, mean, reshape, sqrt


class Normalization(Layer):
    """What the normalising layers share: ε, and γ and β for each channel, the last axis. Abstract."""

    def __init__(self, epsilon: float, center: bool, scale: bool, name: str | None) -> None:
        super().__init__(name)
        if not epsilon > 0:
            raise ConfigurationError("ε keeps the root away from 0: it is a positive number", given=epsilon)
        self.epsilon, self.center, self.scale = float(epsilon), center, scale

    def build(self, x: Node) -> None:
        """Make γ and β for the size of the last axis."""
        width = (self.width_of(x),)
        if self.scale:
            self.parameter("γ", width, "ones")
        if self.center:
            self.parameter("β", width, "zeros")

    def centred(self, x: Node, mu: Node, variance: Node) -> Node:
        """x̂ = (x − μ)/√(V + ε)."""
        return (x - mu) / sqrt(variance + self.epsilon)

    def moments(self, x: Node, axes: Sequence[int], keepdims: bool = True) -> tuple[Node, Node]:
        """μ and V over axes."""
        mu = mean(x, axes, keepdims=keepdims).named("μ", self.scope)
        return mu, mean((x - mu) ** 2, axes, keepdims=keepdims).named("V", self.scope)

    def scaled(self, normal: Node) -> Node:
        """γ ∘ x̂ + β."""
        out = normal.named("x̂", self.scope) if self.scale or self.center else normal
        out = self["γ"] * out if self.scale else out
        out = out + self["β"] if self.center else out
        return out.named("A", self.scope)


class BatchNormalization(Normalization):
    """x̂ = (x − μ)/√(V + ε) over the batch, A = γ ∘ x̂ + β.

    μ and V are those of the batch in training; each step hands running averages on,
    μ_run ← ρ μ_run + (1 − ρ) μ and V_run likewise, which take their place in prediction.

    Args:
        momentum: ρ, how much of the average is kept at each step.
        epsilon: ε.
        center, scale: whether there is a β, a γ.
        name: the layer's name.

    Shapes: x (m, …, c); μ, V, γ, β (c,): the mean is over every axis but the last.

    V is the mean square, divided by m, also in the running average (as in Keras; PyTorch divides by m − 1 there).

    Source: Ioffe and Szegedy 2015.
    """

    def __init__(
        self,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        name: str | None = None,
    ) -> None:
        super().__init__(epsilon, center, scale, name)
        if not 0 <= momentum < 1:
            raise ConfigurationError("momentum is a share", given=momentum, expected="0 ≤ momentum < 1, such as 0.99")
        self.momentum = float(momentum)
        self._running: tuple[Node, Node] | None = None

    def build(self, x: Node) -> None:
        """Make γ and β, and the running averages."""
        super().build(x)
        width = (self.width_of(x),)
        self._running = self.state("μ_run", width), self.state("V_run", width, 1.0)

    def apply(self, x: Node) -> Node:
        """γ ∘ x̂ + β."""
        assert self._running is not None
        now = self.moments(x, range(x.ndim - 1), keepdims=False)
        rho = self.momentum
        handed_on = [carry(n, old, rho * old + (1 - rho) * n) for n, old in zip(now, self._running, strict=True)]
        mu, variance = (by_phase(n, old) for n, old in zip(handed_on, self._running, strict=True))
        return self.scaled(self.centred(x, mu, variance))

    def __repr__(self) -> str:
        return f"BatchNormalization({self.momentum:g})"


class LayerNormalization(Normalization):
    """x̂ = (x − μ)/√(V + ε) over the last axis of each example, A = γ ∘ x̂ + β.

    Args:
        epsilon: ε.
        center, scale: whether there is a β, a γ.
        name: the layer's name.

    Shapes: x (m, …, c); μ and V (m, …, 1); γ, β (c,).

    Source: Ba, Kiros and Hinton 2016.
    """

    def __init__(self, epsilon: float = 1e-3, center: bool = True, scale: bool = True, name: str | None = None) -> None:
        super().__init__(epsilon, center, scale, name)

    def apply(self, x: Node) -> Node:
        """γ ∘ x̂ + β."""
        return self.scaled(self.centred(x, *self.moments(x, [-1])))


class RMSNormalization(Normalization):
    """A = γ ∘ x/√(mean(x²) + ε) over the last axis of each example: nothing is subtracted.

    Args:
        epsilon: ε.
        scale: whether there is a γ.
        name: the layer's name.

    Source: Zhang and Sennrich 2019.
    """

    def __init__(self, epsilon: float = 1e-6, scale: bool = True, name: str | None = None) -> None:
        super().__init__(epsilon, False, scale, name)

    def apply(self, x: Node) -> Node:
        """γ ∘ x/√(mean(x²) + ε)."""
        square = mean(x**2, -1, keepdims=True).named("V", self.scope)
        return self.scaled(x / sqrt(square + self.epsilon))


class GroupNormalization(Normalization):
    """x̂ = (x − μ)/√(V + ε) over the places and the channels of a group, A = γ ∘ x̂ + β.

    Args:
        groups: into how many groups the channels are parted; 1 for one, −1 for a group for each channel.
        epsilon: ε.
        center, scale: whether there is a β, a γ.
        name: the layer's name.

    Shapes: x (m, …, c), with c a multiple of groups; γ, β (c,).

    Source: Wu and He 2018.
    """

    def __init__(
        self,
        groups: int = 32,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        name: str | None = None,
    ) -> None:
        super().__init__(epsilon, center, scale, name)
        self.groups = -1 if groups == -1 else positive(groups, "groups")

    def apply(self, x: Node) -> Node:
        """γ ∘ x̂ + β."""
        channels = self.width_of(x)
        groups = channels if self.groups == -1 else self.groups
        if channels % groups:
            raise ShapeError(
                "the channels cannot be parted into so many groups",
                given=f"{channels} channels of {show(x.shape)}, {groups} groups",
                expected="a number of groups that divides the channels",
            )
        parted = reshape(x, (*x.shape[:-1], groups, channels // groups))
        axes = [*range(1, x.ndim - 1), -1]
        return self.scaled(reshape(self.centred(parted, *self.moments(parted, axes)), x.shape))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.groups})"


class InstanceNormalization(GroupNormalization):
    """x̂ = (x − μ)/√(V + ε) over the places of each channel of each example, A = γ ∘ x̂ + β.

    Source: Ulyanov, Vedaldi and Lempitsky 2016.
    """

    def __init__(self, epsilon: float = 1e-3, center: bool = True, scale: bool = True, name: str | None = None) -> None:
        super().__init__(-1, epsilon, center, scale, name)
