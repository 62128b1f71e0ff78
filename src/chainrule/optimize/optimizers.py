"""Optimizers: each says how a parameter moves, given its gradient, as formulas of the graph.

In the formulas w is a parameter, g its gradient, α the learning rate, t the step counted from 1; all
operations are element by element. What an optimizer remembers of a parameter (its state) is a node as well.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from chainrule.errors import ConfigurationError, near
from chainrule.graph.node import Node
from chainrule.ops import constant, maximum, sqrt
from chainrule.optimize.schedules import Schedule, alpha

States = dict[str, Node]


@dataclass(frozen=True)
class Optimizer:
    """How parameters move. Abstract; all optimizers take these settings, all but the first by keyword:

    Attributes:
        learning_rate: α: a number, a :class:`Schedule`, or a mapping from parameter names (``"W1"``; the
            rest under ``"default"``) to numbers.
        weight_decay: λ: adds λ w to the gradient (AdamW: shrinks w by α λ w beside it); or, as for the learning rate,
            a mapping from parameter names to numbers: ``{"default": 0.01, "b1": 0}`` leaves b1 alone.
        clip_value: limits every number of a gradient to ±clip_value.
        clip_norm: scales all gradients together so that their norm is at most clip_norm.
    """

    learning_rate: float | Schedule | Mapping[str, float] = 0.01
    weight_decay: float | Mapping[str, float] = field(default=0.0, kw_only=True)
    clip_value: float | None = field(default=None, kw_only=True)
    clip_norm: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        for rate in self.learning_rate.values() if isinstance(self.learning_rate, Mapping) else (self.learning_rate,):
            if not isinstance(rate, Schedule):
                alpha(rate)
        for name in ("clip_value", "clip_norm"):
            limit = getattr(self, name)
            if limit is not None and not limit > 0:
                raise ConfigurationError(f"{name} is a positive number or None", given=limit)
        for f in fields(self):
            value = getattr(self, f.name)
            if f.name in DECAYS and not 0 <= value < 1:
                raise ConfigurationError(f"{f.name} lies in [0, 1)", given=value)
            for number in value.values() if isinstance(value, Mapping) else (value,):
                if f.name in NOT_NEGATIVE and not 0 <= number < math.inf:
                    raise ConfigurationError(f"{f.name} is a number of at least 0", given=value)

    def states(self) -> Mapping[str, float]:
        """What is remembered of each parameter, and the number it starts with."""
        return {}

    def step(self, w: Node, g: Node, s: States, rate: Node, t: Node) -> tuple[Node, States]:
        """The new parameter and the new state."""
        raise NotImplementedError


DECAYS = ("momentum", "rho", "beta_1", "beta_2")
NOT_NEGATIVE = ("weight_decay", "epsilon", "initial")


def _symbol(value: float, name: str) -> Node:
    return constant(float(value), name=name)


@dataclass(frozen=True)
class GradientDescent(Optimizer):
    """w ← w − α g."""

    def step(self, w: Node, g: Node, s: States, rate: Node, t: Node) -> tuple[Node, States]:
        return w - rate * g, {}


@dataclass(frozen=True)
class Momentum(Optimizer):
    """v ← β v + g,  w ← w − α v.  Source: Polyak 1964."""

    momentum: float = 0.9

    def states(self) -> Mapping[str, float]:
        return {"v": 0.0}

    def step(self, w: Node, g: Node, s: States, rate: Node, t: Node) -> tuple[Node, States]:
        v = _symbol(self.momentum, "β") * s["v"] + g
        return w - rate * v, {"v": v}


@dataclass(frozen=True)
class Nesterov(Optimizer):
    """v ← β v + g,  w ← w − α (g + β v).  Source: Nesterov 1983, as in Sutskever et al. 2013."""

    momentum: float = 0.9

    def states(self) -> Mapping[str, float]:
        return {"v": 0.0}

    def step(self, w: Node, g: Node, s: States, rate: Node, t: Node) -> tuple[Node, States]:
        beta = _symbol(self.momentum, "β")
        v = beta * s["v"] + g
        return w - rate * (g + beta * v), {"v": v}


@dataclass(frozen=True)
class AdaGrad(Optimizer):
    """G ← G + g²,  w ← w − α / √(G + ε) · g.  Source: Duchi et al. 2011.

    Args:
        epsilon: ε, inside the root.
        initial: where G starts; Optax starts at 0.1.
    """

    epsilon: float = 1e-7
    initial: float = 0.0

    def states(self) -> Mapping[str, float]:
        return {"G": self.initial}

    def step(self, w: Node, g: Node, s: States, rate: Node, t: Node) -> tuple[Node, States]:
        total = s["G"] + g**2
        return w - rate * (g / sqrt(total + _symbol(self.epsilon, "ε"))), {"G": total}


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """E ← ρ E + (1 − ρ) g²,  w ← w − α / √(E + ε) · g.  Source: Tieleman and Hinton 2012.

    Args:
        rho: ρ, how much of the average is kept at each step.
        epsilon: ε, inside the root.
        centered: divide by the standard deviation instead: M ← ρ M + (1 − ρ) g, and
            √(max(E − M², 0) + ε).
    """

    rho: float = 0.9
    epsilon: float = 1e-8
    centered: bool = False

    def states(self) -> Mapping[str, float]:
        return {"E": 0.0, "M": 0.0} if self.centered else {"E": 0.0}

    def step(self, w: Node, g: Node, s: States, rate: Node, t: Node) -> tuple[Node, States]:
        rho, epsilon = _symbol(self.rho, "ρ"), _symbol(self.epsilon, "ε")
        mean_square = rho * s["E"] + (1 - rho) * g**2
        if not self.centered:
            return w - rate * (g / sqrt(mean_square + epsilon)), {"E": mean_square}
        mean = rho * s["M"] + (1 - rho) * g
        variance = maximum(mean_square - mean**2, 0.0)  # rounding may leave it below 0
        return w - rate * (g / sqrt(variance + epsilon)), {"E": mean_square, "M": mean}


@dataclass(frozen=True)
class Adam(Optimizer):
    """m ← β₁ m + (1 − β₁) g,  v ← β₂ v + (1 − β₂) g²,  w ← w − α m̂ / (√v̂ + ε).

    m̂ = m/(1 − β₁ᵗ) and v̂ = v/(1 − β₂ᵗ) correct for the start at 0.  Source: Kingma and Ba 2015.
    """

    learning_rate: float | Schedule | Mapping[str, float] = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8

    def states(self) -> Mapping[str, float]:
        return {"m": 0.0, "v": 0.0}

    def step(self, w: Node, g: Node, s: States, rate: Node, t: Node) -> tuple[Node, States]:
        direction, new = self._direction(w, g, s, t)
        return w - rate * direction, new

    def _direction(self, w: Node, g: Node, s: States, t: Node) -> tuple[Node, States]:
        b1, b2 = _symbol(self.beta_1, "β₁"), _symbol(self.beta_2, "β₂")
        m = b1 * s["m"] + (1 - b1) * g
        v = b2 * s["v"] + (1 - b2) * g**2
        unbiased_m = (m / (1 - b1**t)).named(f"m̂_{w.name}", w.scope)
        unbiased_v = (v / (1 - b2**t)).named(f"v̂_{w.name}", w.scope)
        return unbiased_m / (sqrt(unbiased_v) + _symbol(self.epsilon, "ε")), {"m": m, "v": v}


@dataclass(frozen=True)
class AdamW(Adam):
    """As Adam, and w shrinks beside it: w ← w − α (m̂ / (√v̂ + ε) + λ w).  Source: Loshchilov and Hutter 2019."""

    weight_decay: float | Mapping[str, float] = field(default=0.01, kw_only=True)

    def step(self, w: Node, g: Node, s: States, rate: Node, t: Node) -> tuple[Node, States]:
        direction, new = self._direction(w, g, s, t)
        if not self.weight_decay:
            return w - rate * direction, new
        assert not isinstance(self.weight_decay, Mapping)  # update hands over each parameter's own
        return w - rate * (direction + _symbol(self.weight_decay, "λ") * w), new


OPTIMIZERS: Mapping[str, type[Optimizer]] = {
    "gradient_descent": GradientDescent,
    "momentum": Momentum,
    "nesterov": Nesterov,
    "adagrad": AdaGrad,
    "rmsprop": RMSprop,
    "adam": Adam,
    "adamw": AdamW,
}
"""The optimizers by name."""


def optimizer(value: Any, learning_rate: Any = None) -> Optimizer:
    """An optimizer from its name or as it is; ``learning_rate`` goes with a name."""
    if isinstance(value, Optimizer):
        if learning_rate is not None:
            raise ConfigurationError(
                "the learning rate is given twice",
                given=f"{learning_rate} beside {value!r}",
                hint=f"{type(value).__name__}({learning_rate})",
            )
        return value
    if isinstance(value, type) and issubclass(value, Optimizer):
        return value() if learning_rate is None else value(learning_rate)
    name = str(value).lower().replace("-", "_")
    if name not in OPTIMIZERS:
        raise ConfigurationError(
            "no such optimizer",
            given=repr(value),
            expected=", ".join(OPTIMIZERS),
            hint=near(name, OPTIMIZERS),
        )
    return OPTIMIZERS[name]() if learning_rate is None else OPTIMIZERS[name](learning_rate)
