"""Formulas compiled through XLA, to be called with numbers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from chainrule.engine.draws import Key
from chainrule.engine.program import FIRST, Feeds, Kinds, Program, as_array, float_dtype, learn_sizes
from chainrule.engine.xla.namespace import XLA
from chainrule.graph.dim import show
from chainrule.graph.node import Node


def precision(kinds: Kinds, *programs: Program) -> contextlib.AbstractContextManager[Any]:
    """The setting under which XLA knows the types of these programs."""
    wide = kinds.float == np.float64 or any(p.has_float64 for p in programs)
    return jax.enable_x64(True) if wide else contextlib.nullcontext()


def kinds_for(dtype: Any) -> Kinds:
    """The machine types of a run in this precision."""
    working = float_dtype(dtype)
    return Kinds(working, np.int64 if working == np.float64 else np.int32)


def trace(program: Program, fed: Mapping[Node, Any], kinds: Kinds, key: Key = FIRST, xp: Any = XLA) -> list[Any]:
    """The outputs' values inside a function that JAX is tracing."""
    values = program.run(xp, fed, kinds, learn_sizes(fed), key)
    return [values[n] for n in program.outputs]


class Compiled:
    """Outputs compiled through XLA: call it with the same mapping as :func:`chainrule.evaluate`.

    A new program is compiled for every new combination of array shapes, and found again in the persistent
    cache by later processes.
    """

    def __init__(self, outputs: Sequence[Node], dtype: Any = None, single: bool = False) -> None:
        self.program = Program(outputs)
        self.kinds = kinds_for(dtype)
        self.single = single
        self._place = {n: i for i, n in enumerate(self.program.graph)}
        self._compiled: dict[tuple[Node, ...], Callable[..., list[Any]]] = {}

    def __repr__(self) -> str:
        outputs = ", ".join(f"{n.name or n.op.name} {show(n.shape)}" for n in self.program.outputs)
        return f"<Compiled: {outputs}, in {np.dtype(self.kinds.float).name}>"

    def __call__(self, feeds: Feeds, *, seed: int = 0, step: int = 0) -> Any:
        """Values of the outputs for these numbers: a list, or one value when one node was compiled.

        ``seed`` and ``step`` choose the numbers of draws.
        """
        matched = self.program.match(feeds)
        arrays = {n: as_array(n, v, self.kinds) for n, v in matched.items()}
        learn_sizes(arrays)
        # Numbers fed in another order are the same program.
        nodes = tuple(sorted(arrays, key=lambda n: self._place.get(n, len(self._place))))
        with precision(self.kinds, self.program):
            if nodes not in self._compiled:
                self._compiled[nodes] = jax.jit(
                    lambda key, *xs: trace(self.program, dict(zip(nodes, xs, strict=True)), self.kinds, key)
                )
            key = (np.uint32(seed % 2**32), np.uint32(step))
            values = [np.asarray(v) for v in self._compiled[nodes](key, *(arrays[n] for n in nodes))]
        return values[0] if self.single else values

    def over(self, moving: Feeds, feeds: Feeds, at_once: int) -> Any:
        """Values of the outputs at many points, in one program.

        Args:
            moving: for the leaves that differ from point to point their numbers, stacked along a first axis.
            feeds: numbers for the other leaves, the same at every point.
            at_once: so many points are computed side by side.

        Returns:
            As a call, with the points along a first axis.
        """
        stacked = {n: as_array(n, v, self.kinds) for n, v in self.program.match({**moving, **feeds}).items()}
        fixed = {n: stacked.pop(n) for n in list(stacked) if n not in moving and n.name not in moving}
        with precision(self.kinds, self.program):

            def everywhere(points: list[Any], rest: list[Any]) -> list[Any]:
                def one(here: list[Any]) -> list[Any]:
                    fed = dict(zip(stacked, here, strict=True)) | dict(zip(fixed, rest, strict=True))
                    return trace(self.program, fed, self.kinds)

                found: list[Any] = jax.lax.map(one, points, batch_size=at_once)
                return found

            values = [np.asarray(v) for v in jax.jit(everywhere)(list(stacked.values()), list(fixed.values()))]
        return values[0] if self.single else values


def compile_nodes(outputs: Iterable[Node], dtype: Any = None, single: bool = False) -> Compiled:
    """Compile outputs through XLA in a working precision (float32 by default)."""
    return Compiled(tuple(outputs), dtype, single)
