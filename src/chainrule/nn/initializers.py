"""How parameters start: zeros, constants, random numbers scaled to the layer's width.

An initializer is called with a random generator and a shape and returns numbers; nothing is compiled for it.
In ``(fan_in, fan_out)`` matrices fan_in is the number of inputs of a unit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from chainrule.errors import ConfigurationError, near

Array = np.ndarray[Any, Any]


class Initializer:
    """Numbers of a shape, drawn from a generator. Abstract."""

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Numbers of this shape, float64."""
        raise NotImplementedError


@dataclass(frozen=True)
class Constant(Initializer):
    """Every number is ``value``."""

    value: float = 0.0

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        return np.full(shape, float(self.value))


@dataclass(frozen=True)
class Normal(Initializer):
    """Normal with mean 0 and standard deviation ``scale``."""

    scale: float = 0.05

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        return self.scale * rng.standard_normal(shape)


@dataclass(frozen=True)
class Uniform(Initializer):
    """Uniform between ``low`` and ``high``."""

    low: float = -0.05
    high: float = 0.05

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        return rng.uniform(self.low, self.high, shape)


@dataclass(frozen=True)
class Scaled(Initializer):
    """Variance ``gain / fan``, so that activations keep their size from layer to layer.

    Args:
        gain: 1 for Glorot and LeCun, 2 for He.
        fan: ``"in"``, or ``"average"`` of in and out.
        distribution: ``"uniform"`` in ±√(3 gain/fan), or ``"normal"``.

    Sources: LeCun et al. 1998; Glorot and Bengio 2010; He et al. 2015.
    """

    gain: float
    fan: str
    distribution: str

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        fan_in, fan_out = fans(shape)
        fan = fan_in if self.fan == "in" else (fan_in + fan_out) / 2
        deviation = math.sqrt(self.gain / max(fan, 1))
        if self.distribution == "normal":
            return deviation * rng.standard_normal(shape)
        return rng.uniform(-math.sqrt(3) * deviation, math.sqrt(3) * deviation, shape)


@dataclass(frozen=True)
class Orthogonal(Initializer):
    """Orthonormal columns (or rows, where there are fewer), times ``gain``.  Source: Saxe et al. 2014."""

    gain: float = 1.0

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        if len(shape) < 2:
            raise ConfigurationError("an orthogonal start needs a matrix", given=shape, expected="at least two axes")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
        q = q * np.sign(np.diag(r))
        return self.gain * (q if rows >= columns else q.T).reshape(shape)


@dataclass(frozen=True)
class Stacked(Initializer):
    """Each of the matrices along the last two axes starts by itself, as if it were alone."""

    start: Callable[..., Array]

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        count = math.prod(shape[:-2])
        return np.stack([self.start(rng, shape[-2:]) for _ in range(count)]).reshape(shape)


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """How many numbers go into a unit, and out of an input, of parameters of this shape."""
    if not shape:
        return 1, 1
    if len(shape) == 1:
        return shape[0], shape[0]
    field = math.prod(shape[:-2])
    return field * shape[-2], field * shape[-1]


INITIALIZERS: Mapping[str, Initializer] = {
    "zeros": Constant(0.0),
    "ones": Constant(1.0),
    "constant": Constant(0.0),
    "normal": Normal(),
    "uniform": Uniform(),
    "glorot_uniform": Scaled(1.0, "average", "uniform"),
    "glorot_normal": Scaled(1.0, "average", "normal"),
    "he_uniform": Scaled(2.0, "in", "uniform"),
    "he_normal": Scaled(2.0, "in", "normal"),
    "lecun_uniform": Scaled(1.0, "in", "uniform"),
    "lecun_normal": Scaled(1.0, "in", "normal"),
    "orthogonal": Orthogonal(),
}
"""The initializers by name."""


def initializer(value: Any, default: str = "glorot_uniform") -> Initializer | Callable[..., Array]:
    """An initializer from its name, from a number, or from a function ``(rng, shape) → array``."""
    if value is None:
        return INITIALIZERS[default]
    if isinstance(value, str):
        if value not in INITIALIZERS:
            raise ConfigurationError(
                "no such initializer",
                given=repr(value),
                expected=", ".join(INITIALIZERS),
                hint=near(value, INITIALIZERS),
            )
        return INITIALIZERS[value]
    if isinstance(value, Real):
        return Constant(float(value))
    if callable(value):
        return value  # type: ignore[no-any-return]
    raise ConfigurationError("not an initializer", given=repr(value), expected="a name, a number or a function")


def initial_value(shape: tuple[int, ...], chosen: Any, seed: int, index: int) -> Array:
    """The first numbers of parameter number ``index`` of a run: each has a random stream of its own."""
    fill = initializer(chosen, "glorot_uniform" if len(shape) > 1 else "zeros")
    rng = np.random.Generator(np.random.Philox(key=np.array([seed % 2**64, index], dtype=np.uint64)))
    value = np.asarray(fill(rng, shape), dtype=np.float64)
    if value.shape != shape:
        raise ConfigurationError("an initializer returned another shape", given=value.shape, expected=shape)
    return value
