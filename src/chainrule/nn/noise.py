"""Layers that are random while they train, and transparent when they predict: dropout and Gaussian noise."""

from __future__ import annotations

from typing import Any

from chainrule.errors import ConfigurationError
from chainrule.graph.node import Node
from chainrule.nn.layer import Layer
from chainrule.ops import by_phase, draw


class Dropout(Layer):
    """A = B ∘ x / (1 − rate) in training, x when it predicts; B is 1 with probability 1 − rate, else 0.

    The mask B is a quantity of the step like any other: it can be looked at and fed. The factor keeps the mean, so
    that nothing has to be scaled afterwards.

    Args:
        rate: the share of numbers that is set to 0.
        noise_shape: the shape of the mask; where it has a size of 1, the numbers along that axis share their fate.
        name: the layer's name.

    Source: Srivastava et al. 2014.

    >>> import chainrule as cr
    >>> x = cr.input("x", ("m", 4))
    >>> print(cr.in_training(cr.Dropout(0.2)(x)))
    1.25 · B1 ∘ x
    """

    def __init__(self, rate: float, noise_shape: Any = None, name: str | None = None) -> None:
        super().__init__(name)
        if not 0 <= rate < 1:
            raise ConfigurationError("a dropout rate is a share", given=rate, expected="0 ≤ rate < 1, such as 0.5")
        self.rate = float(rate)
        self.noise_shape = noise_shape

    def apply(self, x: Node) -> Node:
        """B ∘ x / (1 − rate), or x."""
        if self.rate == 0:
            return x
        shape = x.shape if self.noise_shape is None else tuple(self.noise_shape)
        mask = draw("bernoulli", shape, probability=1 - self.rate)
        return by_phase(1 / (1 - self.rate) * mask * x, x).named("A", self.scope)

    def __repr__(self) -> str:
        return f"Dropout({self.rate:g})"


class GaussianNoise(Layer):
    """A = x + σ ε in training, x when it predicts; ε is normal with mean 0 and deviation 1.

    Args:
        stddev: σ.
        name: the layer's name.

    Source: Bishop, Training with noise is equivalent to Tikhonov regularization, 1995.
    """

    def __init__(self, stddev: float, name: str | None = None) -> None:
        super().__init__(name)
        if not stddev >= 0:
            raise ConfigurationError("a standard deviation is not negative", given=stddev)
        self.stddev = float(stddev)

    def apply(self, x: Node) -> Node:
        """x + σ ε, or x."""
        return by_phase(x + self.stddev * draw("normal", x.shape), x).named("A", self.scope)

    def __repr__(self) -> str:
        return f"GaussianNoise({self.stddev:g})"
