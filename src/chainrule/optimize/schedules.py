"""Learning-rate schedules: functions of the step t (0, 1, 2 …), written in ops, so they print too."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any

from chainrule.errors import ConfigurationError
from chainrule.graph.node import Node
from chainrule.ops import cast, constant, cos, floor, less, minimum, where


@dataclass(frozen=True)
class Schedule:
    """α as a function of the step. Abstract."""

    def __post_init__(self) -> None:
        self(constant(0.0))  # a setting that is out of range is an error where the schedule is made

    def __call__(self, t: Node) -> Node:
        """The learning rate at step t, a scalar node; t counts from 0."""
        raise NotImplementedError

    def at(self, t: int) -> float:
        """The learning rate at a step, as a number."""
        from chainrule.engine import interpret

        node = self(cast(constant(t), "float"))
        return float(interpret([node], {})[node])


def alpha(value: float, name: str = "α") -> Node:
    """A learning rate, written α in formulas."""
    if not (isinstance(value, Real) and math.isfinite(value) and value > 0):
        raise ConfigurationError("a learning rate is a positive number", given=repr(value), expected="such as 0.01")
    return constant(float(value), name=name)


def _steps(value: int, what: str) -> float:
    if value < 1:
        raise ConfigurationError(f"{what} is at least one step", given=value)
    return float(value)


def _factor(value: float) -> Node:
    if not 0 < value < math.inf:
        raise ConfigurationError("rate is a positive number", given=value, expected="below 1 for a decay")
    return constant(float(value))


@dataclass(frozen=True)
class Constant(Schedule):
    """α_t = α."""

    learning_rate: float

    def __call__(self, t: Node) -> Node:
        return alpha(self.learning_rate)


@dataclass(frozen=True)
class StepDecay(Schedule):
    """α_t = α · rate^⌊t/steps⌋: cut by a factor every so many steps."""

    learning_rate: float
    steps: int
    rate: float = 0.5

    def __call__(self, t: Node) -> Node:
        return alpha(self.learning_rate) * _factor(self.rate) ** floor(t / _steps(self.steps, "steps"))


@dataclass(frozen=True)
class ExponentialDecay(Schedule):
    """α_t = α · rate^(t/steps)."""

    learning_rate: float
    steps: int
    rate: float = 0.96

    def __call__(self, t: Node) -> Node:
        return alpha(self.learning_rate) * _factor(self.rate) ** (t / _steps(self.steps, "steps"))


@dataclass(frozen=True)
class CosineDecay(Schedule):
    """α_t = α (f + (1 − f) ½ (1 + cos(π min(t/steps, 1)))): from α down to f α.

    Source: Loshchilov and Hutter 2017.
    """

    learning_rate: float
    steps: int
    final: float = 0.0

    def __call__(self, t: Node) -> Node:
        part = minimum(t / _steps(self.steps, "steps"), 1.0)
        wave = 0.5 * (1 + cos(math.pi * part))
        return alpha(self.learning_rate) * (self.final + (1 - self.final) * wave)


@dataclass(frozen=True)
class WarmUp(Schedule):
    """A straight line from 0 to the first rate of ``then`` over ``steps`` steps, then that schedule."""

    then: Any
    steps: int

    def __call__(self, t: Node) -> Node:
        n = _steps(self.steps, "steps")
        after = schedule(self.then)
        first = after(constant(0.0))
        return where(less(t, n), first * (t / n), after(t - n))


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Up along a cosine from α/start to the peak α during ``warm`` of the steps, then down to α/(start · final).

    Source: Smith and Topin 2018; the cosine form and the defaults are PyTorch's and Optax's.
    """

    learning_rate: float
    steps: int
    warm: float = 0.3
    start: float = 25.0
    final: float = 1e4

    def __call__(self, t: Node) -> Node:
        if not 0 < self.warm < 1:
            raise ConfigurationError("the share of steps that warm up lies between 0 and 1", given=self.warm)
        peak = alpha(self.learning_rate)
        low, lowest = peak / self.start, peak / (self.start * self.final)
        turn = float(int(self.warm * _steps(self.steps, "steps")))
        up = _cosine(low, peak, t / max(turn, 1.0))
        down = _cosine(peak, lowest, minimum((t - turn) / (self.steps - turn), 1.0))
        return where(less(t, turn), up, down)


def _cosine(start: Node, end: Node, part: Node) -> Node:
    return end + (start - end) * (0.5 * (1 + cos(math.pi * part)))


def schedule(value: Any) -> Schedule:
    """A schedule from a number, or as it is."""
    return value if isinstance(value, Schedule) else Constant(value)
