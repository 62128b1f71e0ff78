"""One step of a training as a program of its own, which keeps whatever of it one wants to look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from chainrule.engine.program import Program
from chainrule.engine.xla.compile import precision
from chainrule.engine.xla.epochs import Epochs
from chainrule.engine.xla.plan import Turn
from chainrule.engine.xla.streaming import StreamedEpochs
from chainrule.graph.node import Node

Array = np.ndarray[Any, Any]


class Look:
    """A step of a training, to be made again and again with other numbers.

    It is made as the training makes it, as one turn of a loop over the batches of an epoch: XLA orders the additions of
    a sum by what stands around it, and only so they are ordered as in the training.

    Args:
        epochs: the training.
        turns: its turns; what they watch is what is kept.
    """

    def __init__(self, epochs: Epochs, turns: Sequence[Turn]) -> None:
        self.epochs, self.turns = epochs, turns
        self.programs = [Program(t.watched, epochs.plan.draws) for t in turns]
        self._of_epoch = jax.jit(self._in_epoch, static_argnames="last")
        self._of_block = jax.jit(self._in_block, static_argnames="last")

    def __call__(self, order: Array, step: int) -> tuple[list[dict[Node, Array]], dict[Node, Array]]:
        """What is kept of each turn of a step, from where the training stands, and all leaves afterwards.

        Args:
            order: that of the rows in the epoch.
            step: its number in the epoch, from 0.
        """
        epochs = self.epochs
        with precision(epochs.kinds, *self.programs):
            if isinstance(epochs, StreamedEpochs):
                arrays, at = epochs.block(order, step)
                last = at >= len(arrays[0]) // min(epochs.plan.batch_size, len(arrays[0]))
                place = epochs.devices.put(np.int32(at))
                found, after = self._of_block(epochs.carry, arrays, epochs.fixed, place, last=last)
            else:
                batch = min(epochs.plan.batch_size, len(order))
                last = step >= len(order) // batch
                order, at = epochs.devices.put(order), epochs.devices.put(np.int32(step))
                found, after = self._of_epoch(epochs.carry, order, epochs.data, epochs.fixed, at, last=last)
        kept = [
            dict(zip(turn.watched, map(np.asarray, arrays), strict=True))
            for turn, arrays in zip(self.turns, found, strict=True)
        ]
        return kept, dict(zip(epochs.leaves, map(np.asarray, after), strict=True))

    def _in_epoch(self, carry: Any, order: Any, data: Any, fixed: Any, step: Any, last: bool) -> Any:
        shuffled = tuple(jnp.take(a, order, axis=0, mode="clip") for a in data)
        return self._in_block(carry, shuffled, fixed, step, last)

    def _in_block(self, carry: Any, arrays: Any, fixed: Any, step: Any, last: bool) -> Any:
        rows = len(arrays[0])
        batch = min(self.epochs.plan.batch_size, rows)
        full = rows // batch
        batches = tuple(a[: full * batch].reshape(full, batch, *a.shape[1:]) for a in arrays)
        batches = self.epochs.devices.divide(batches, axis=1)
        rest = self.epochs.devices.divide(tuple(a[full * batch :] for a in arrays))

        def made(i: Any, state: Any) -> Any:
            rows = rest if last else tuple(lax.dynamic_index_in_dim(a, i, keepdims=False) for a in batches)
            return self._made(state[0], rows, fixed)

        carry = self.epochs.packing.pack(carry)
        some = rest if last else tuple(a[0] for a in batches)
        shapes = jax.eval_shape(lambda carry: self._made(carry, some, fixed)[1], carry)
        nothing = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), shapes)
        after, found = lax.fori_loop(step, step + 1, made, (carry, nothing))
        return found, self.epochs.packing.unpack(after)

    def _made(self, carry: Any, examples: Any, fixed: Any) -> Any:
        epochs = self.epochs
        carry, found, run = epochs.turns(carry, examples, epochs.constants(fixed))
        seen = [run(program, values) for program, (values, _) in zip(self.programs, found, strict=True)]
        return carry, [[values[n] for n in turn.watched] for turn, values in zip(self.turns, seen, strict=True)]
