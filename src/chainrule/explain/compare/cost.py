"""What an activation costs: a compiled program with it, timed in turns with the same program with ReLU."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from chainrule.graph.dim import definite
from chainrule.graph.graph import Graph
from chainrule.graph.node import Node
from chainrule.nn import Dense, initial_value
from chainrule.nn.activations import activation
from chainrule.ops import input as input_
from chainrule.ops import sum as sum_
from chainrule.verbs import compile, gradient

Array = np.ndarray[Any, Any]
ROWS, INPUTS, UNITS = 512, 128, 256
"""The layer that is timed."""
ALONE = 4096
"""Alone, so many rows of UNITS numbers each are activated."""
REFERENCE = "relu"


@dataclass(frozen=True)
class Ratio:
    """How many times as long as with ReLU: over the rounds the median, and the quartiles beside it."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f}×"


@dataclass(frozen=True)
class Cost:
    """Time relative to ReLU in the same round; in every round all take turns.

    Attributes:
        forward: of the activation alone, ``gradient`` with its slope.
        layer: of a dense layer with it, ``layer_gradient`` with ∂J/∂W and ∂J/∂b.
        microseconds: of the last of these, the median.
    """

    forward: Ratio
    gradient: Ratio
    layer: Ratio
    layer_gradient: Ratio
    microseconds: float


def measure_costs(chosen: Mapping[str, Any], rounds: int = 15) -> dict[str, Cost]:
    """The cost of every activation, by the name that it has in ``chosen``."""
    reference = REFERENCE if chosen.get(REFERENCE) == REFERENCE else ""
    functions = {**({} if reference else {"": REFERENCE}), **chosen}
    programs: dict[tuple[str, int], Callable[[], Any]] = {}
    for name, function in functions.items():
        for k, (outputs, feeds) in enumerate([*_alone(function), *_in_a_layer(function)]):
            programs[name, k] = partial(compile(outputs), feeds)
    taken = _in_turns(programs, rounds)
    out = {}
    for name in chosen:
        alone, slope, layer, whole = (_ratio(taken[name, k] / taken[reference, k]) for k in range(4))
        out[name] = Cost(alone, slope, layer, whole, 1e6 * float(np.median(taken[name, 3])))
    return out


def _ratio(rounds: Array) -> Ratio:
    low, median, high = np.quantile(rounds, (0.25, 0.5, 0.75))
    return Ratio(float(median), float(low), float(high))


def _in_turns(programs: Mapping[Any, Callable[[], Any]], rounds: int) -> dict[Any, Array]:
    """The time of each in every round; one after the other, so that a busy moment meets all alike."""
    taken: dict[Any, list[float]] = {key: [] for key in programs}
    for round_ in range(rounds + 2):
        for key, program in programs.items():
            started = time.perf_counter()
            program()
            if round_ >= 2:  # the first calls compile and warm up
                taken[key].append(time.perf_counter() - started)
    return {key: np.array(seconds) for key, seconds in taken.items()}


Program = tuple[Sequence[Node], Mapping[Node, Any]]


def _alone(function: Any) -> tuple[Program, Program]:
    """g(u + v) of a column and a row: nearly all of the time is the activation's, hardly any is memory's."""
    u, v, weight = input_("u", (ALONE, 1)), input_("v", (1, UNITS)), input_("weight", (1, UNITS))
    J = sum_(activation(function)(u + v) * weight)
    feeds = _numbers(J, (u, v, weight))
    return ([J], feeds), ([J, gradient(J, v)], feeds)


def _in_a_layer(function: Any) -> tuple[Program, Program]:
    x, weight = input_("x", (ROWS, INPUTS)), input_("weight", (1, UNITS))
    layer = Dense(UNITS, function)
    J = sum_(layer(x) * weight)
    feeds = _numbers(J, (x, weight))
    return ([J], feeds), ([J, *gradient(J, layer.parameters)], feeds)


def _numbers(J: Node, inputs: Sequence[Node]) -> dict[Node, Any]:
    rng = np.random.default_rng(0)
    fed = {n: rng.standard_normal(definite(n.shape)).astype(np.float32) for n in inputs}
    for k, p in enumerate(Graph(J).parameters):
        fed[p] = initial_value(definite(p.shape), p.attrs["initializer"], 0, k).astype(np.float32)
    return fed
