"""What is watched of a training: at which steps, what of each, and the numbers that were found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from chainrule.engine.program import Program
from chainrule.engine.xla.packing import Packing, parted
from chainrule.engine.xla.plan import Plan
from chainrule.engine.xla.products import apart
from chainrule.graph.dim import definite
from chainrule.graph.node import Node

Array = np.ndarray[Any, Any]
Run = Callable[[Program, Mapping[Node, Any]], Mapping[Node, Any]]
IN_A_PART = 5
"""So many watched numbers are computed in one part. Of more than eight pieces of work that are ready XLA hands some to
another thread; to wake it takes longer than the few microseconds of them all."""
FEW = 50
"""Of more, the work is enough for two threads."""


class Samples:
    """What is watched of a training, and what was found so far.

    Args:
        plan: what is trained; ``watched`` of its turns at every ``every``-th step.
        packing: how the carry lies.
        dtype: the type of the numbers.
    """

    def __init__(self, plan: Plan, packing: Packing, dtype: Any) -> None:
        self.every, self.dtype = plan.every, dtype
        self._packing = packing
        # At every step it is a part of the step, among whose other work it does not count.
        size = IN_A_PART if plan.every > 1 and len(plan.watched) <= FEW else max(1, len(plan.watched))
        self.parts = tuple(
            (k, Program(turn.watched[i : i + size], plan.draws))
            for k, turn in enumerate(plan.turns)
            for i in range(0, len(turn.watched), size)
        )
        self.width = _width(plan.watched)
        self.found: tuple[Array, Array] = np.zeros(0, np.int64), np.zeros((0, self.width))
        self._later: list[tuple[Array, Array]] = []

    def places(self, steps: int) -> int:
        """Room for what is watched among so many steps.

        Never a single place: what is written over as a whole does not depend on what it was, and XLA would take the
        looking out of its loop and do it at every step.
        """
        return max(2, -(-steps // self.every)) if self.parts else 0

    def room(self, steps: int) -> Array:
        """Places without numbers."""
        return np.zeros((self.places(steps), self.width), self.dtype)

    def at(self, first: Any, steps: int) -> Any:
        """The steps, among so many of which the first is number ``first``, whose numbers the places hold."""
        return (-first) % self.every + self.every * np.arange(self.places(steps))

    def filled(self, first: int, steps: int) -> Array:
        """Which places hold numbers at the end of so many steps."""
        there: Array = self.at(first, steps) < steps
        return there

    def keep(self, samples: Array, before: int, steps: int) -> None:
        """Note those of some epochs of so many steps, (epochs, places, watched), that follow on so many epochs."""
        first = (np.arange(before, before + len(samples)) * steps)[:, None]
        at = self.at(first, steps)
        there = at < steps
        self._later.append(((first + at)[there], samples[there]))

    def all(self) -> tuple[Array, Array]:
        """The numbers of the steps, from 0, and what was watched at each; joined only when somebody asks."""
        if self._later:
            steps, samples = zip(self.found, *self._later, strict=True)
            self.found, self._later = (np.concatenate(steps), np.concatenate(samples)), []
        return self.found

    def go_on_from(self, steps: Array, samples: Array) -> None:
        """Forget what was found for what another training has found."""
        self.found, self._later = (steps, samples), []

    def look(
        self,
        seen: Any,
        number: Any,
        first: Any,
        found: Sequence[tuple[Mapping[Node, Any], Any]],
        run: Run,
    ) -> Any:
        """What is seen in an epoch after a step, where JAX traces it.

        Args:
            seen: the places of the epoch.
            number: of the step, from 0.
            first: number of the first step of the epoch.
            found: for every turn the values of the step, and the carry after it.
            run: computes a program from such values.
        """
        every = np.int32(self.every)
        # Loops of one turn or none: a choice would copy all that is carried.
        due = (lax.rem(number, every) == 0).astype(jnp.int32)

        def look(_: Any, seen: Any) -> Any:
            seen, here = apart((seen, number))
            place = lax.div(here, every) - lax.div(jnp.asarray(first, jnp.int32) + every - 1, every)
            column = 0
            for k, program in self.parts:
                part = partial(self._part, program, k, found[k], run, place, column)
                seen = lax.fori_loop(0, due, part, seen) if len(self.parts) > 1 else part(0, seen)
                column += _width(program.outputs)
            return seen

        return look(0, seen) if self.every == 1 else lax.fori_loop(0, due, look, seen)

    def _part(
        self,
        program: Program,
        turn: int,
        found: tuple[Mapping[Node, Any], Any],
        run: Run,
        place: Any,
        column: int,
        _: Any,
        seen: Any,
    ) -> Any:
        """Some of the numbers, written where they belong."""
        values, after = found
        needed = program.fringe(values)
        flat = self._packing.lying(turn, needed)
        plain = [n for n in needed if not any(n in row for row in flat.values())]
        # Behind the barrier with what changes: else XLA takes all this out of the loop, and does it always.
        what = [values[n] for n in plain], [after[place] for place in flat]
        seen, (arrays, rows) = apart((seen, what))
        fed = dict(zip(plain, arrays, strict=True))
        for nodes, row in zip(flat.values(), rows, strict=True):
            fed |= parted(nodes, row)
        computed = run(program, fed)
        numbers = jnp.concatenate([computed[n].reshape(-1).astype(self.dtype) for n in program.outputs])
        return lax.dynamic_update_slice(seen, numbers[None], (place, np.int32(column)))


def _width(nodes: Sequence[Node]) -> int:
    return sum(int(np.prod(definite(n.shape))) for n in nodes)
