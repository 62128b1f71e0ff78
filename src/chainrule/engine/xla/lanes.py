"""Many trainings of one plan in one compiled program: each has constants, a seed, rows and an order of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from chainrule.engine.xla.epochs import Epochs
from chainrule.engine.xla.plan import NOT_FINITE, RUNNING, Plan
from chainrule.graph.building import building
from chainrule.graph.dim import definite
from chainrule.graph.graph import Graph
from chainrule.graph.node import Node

Array = np.ndarray[Any, Any]
VALIDATED_AT_ONCE = 256
"""So many rows are fastest on one core, whose other trainings leave no second one to help."""


class Lanes:
    """A compiled program that trains ``width`` networks of one plan at a time.

    With a width of 1 it is the program of :class:`Epochs`, used again and again with other constants, rows and seeds.
    Beyond that parameters, states and constants have a leading axis, over which the program is vectorised: fewer and
    larger pieces of work, which pays where a network is so small that a step is mostly the calling of its parts.

    Args:
        plan: what to run.
        start: the first value of every leaf of the carry.
        data: arrays for the plan's example leaves, shared by all trainings, which take rows of them.
        rows: how many rows a training has.
        held_out: how many are held out.
        epochs: how many there are in a call.
        dtype: the working precision.
        width: so many train side by side.
    """

    def __init__(
        self,
        plan: Plan,
        start: Mapping[Node, Any],
        data: Sequence[Any],
        rows: int,
        held_out: int,
        epochs: int,
        dtype: Any = None,
        width: int = 1,
    ) -> None:
        self.width, self.held_out = width, held_out
        if jax.default_backend() == "cpu":
            plan = replace(plan, validation_rows=min(plan.validation_rows, VALIDATED_AT_ONCE))
        self._epochs = Epochs(plan, start, data, (), dtype)
        self._epochs.steps = -(-rows // plan.batch_size)  # an epoch goes through some of the data
        self._run = jax.jit(self._one if width == 1 else jax.vmap(self._one, in_axes=(*(0,) * 7, None)))
        one = self._given(self.begin(start, {}, 0), np.zeros((epochs, rows), np.int32), np.zeros(held_out, np.int32), 0)
        with self._epochs._precision(), building():
            self._run.lower(*self._together([one]), self._epochs.data)  # the first call finds it

    def begin(self, start: Mapping[Node, Any], constants: Mapping[Node, Any], seed: int) -> Lane:
        """A training that has not begun: its first values, constants and seed."""
        epochs = self._epochs

        def of(node: Node, value: Any) -> Array:
            return np.asarray(value, epochs.kinds.of(node.dtype))

        carry = tuple(of(n, start[n]) for n in epochs.leaves)
        values = {**epochs.plan.constants, **constants}
        fixed = (*(of(n, v) for n, v in values.items()), np.uint32(seed % 2**32))
        best = carry if epochs.plan.monitor is not None else ()
        return Lane((carry, best, tuple(np.asarray(c) for c in epochs.control)), fixed)

    def run(
        self, lanes: Sequence[Lane], orders: Sequence[Array], held_out: Sequence[Array], epochs: Sequence[int]
    ) -> list[Array]:
        """Train some, each for so many epochs or until it is no longer running.

        Args:
            lanes: at most ``width`` trainings; they are advanced.
            orders: (k, rows) for each: rows of the data, in the order of each epoch.
            held_out: for each the rows that are held out.
            epochs: for each how many epochs, at most k.

        Returns:
            For each the averages of outputs and validation, (epochs run, columns).
        """
        some = map(self._given, lanes, orders, held_out, epochs)
        given = self._together(list(some))
        with self._epochs._precision():
            found = jax.tree.map(np.asarray, self._run(*given, self._epochs.data))
        out = []
        for k, lane in enumerate(lanes):
            *state, history, done = found if self.width == 1 else jax.tree.map(lambda a, k=k: a[k], found)
            lane.state = tuple(state)
            out.append(history[: int(done)])
        return out

    def _given(self, lane: Lane, order: Array, held_out: Array, epochs: int) -> tuple[Any, ...]:
        """What a training is given."""
        return *lane.state, order, np.int32(epochs), held_out, lane.fixed

    def _together(self, some: list[tuple[Any, ...]]) -> tuple[Any, ...]:
        """What several are given; a place that is not taken is a copy that runs for no epoch."""
        idle = [(*some[0][:4], np.int32(0), *some[0][5:])] * (self.width - len(some))
        return some[0] if self.width == 1 else jax.tree.map(lambda *a: np.stack(a), *some, *idle)

    def values(self, lane: Lane, best: bool = False) -> dict[Node, Array]:
        """The present value of every leaf of the carry, or the best one seen."""
        return dict(zip(self._epochs.leaves, lane.state[1 if best else 0], strict=True))

    def _one(
        self, carry: Any, best: Any, control: Any, orders: Any, epochs: Any, rows: Any, fixed: Any, data: Any
    ) -> tuple[Any, ...]:
        held_out = tuple(jnp.take(a, rows, axis=0) for a in data) if self.held_out else ()
        program = self._epochs
        span = np.int32(0), np.int32(program.steps)
        room = program._room(orders.shape[1])
        carry, best, control, history, _, done, *_ = program._program(
            carry, best, control, orders, epochs, span, room, data, held_out, fixed, careful=True, whole=True
        )
        return carry, best, control, history, done


class Lane:
    """A training under way among others.

    Attributes:
        state: what is carried, the best of it, and how far it is.
        fixed: constants and seed.
    """

    def __init__(self, state: tuple[Any, ...], fixed: tuple[Any, ...]) -> None:
        self.state, self.fixed = state, fixed

    @property
    def status(self) -> int:
        """Running, stopped early, or no longer finite."""
        return int(self.state[2][0])

    @property
    def running(self) -> bool:
        """Whether it can go on."""
        return self.status == RUNNING

    @property
    def diverged(self) -> bool:
        """Whether a number was no longer finite."""
        return self.status == NOT_FINITE

    @property
    def best_epoch(self) -> int:
        """The epoch, from 0, whose parameters are the best; −1 where nobody asked."""
        return int(self.state[2][2])


def width_for(plan: Plan) -> int:
    """How many trainings side by side are fastest on this machine.

    On the CPU only where a step is little more than the calling of its parts; convolutions and loops gain nothing.
    Elsewhere the device is to be filled.
    """
    numbers = sum(int(np.prod(definite(leaf.shape))) for leaf in plan.carry)
    if jax.default_backend() != "cpu":
        return int(np.clip(1 << (2**26 // max(numbers, 1)).bit_length() >> 1, 1, 64))
    ops = {n.op.name for n in Graph([*plan.carry.values(), *plan.outputs])}
    if ops & {"convolution", "convolution_transpose", "convolution_kernel", "loop"}:
        return 1
    return int(np.clip(1 << (2**12 // max(numbers, 1)).bit_length() >> 1, 1, 8))
