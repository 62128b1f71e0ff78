"""Training as one compiled program: epochs over shuffled batches, validation, and when to stop.

The step graph runs inside a loop over batches, inside a loop over epochs. Data stay on the device, buffers
are handed on without copying, and the host hears from the program once per call, which covers as many
epochs as it was given permutations for. The last, smaller batch of an epoch is a step of its own in the
same program. A call may also end within an epoch, and the next one go on from there. Where it ends is a number
that the same program is given, so that a training that was parted, or is gone through again, has the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from chainrule.engine.draws import Key
from chainrule.engine.program import FIRST, Kinds, Program, as_array, learn_sizes
from chainrule.engine.xla.compile import kinds_for, precision, trace
from chainrule.engine.xla.devices import Devices, partners
from chainrule.engine.xla.in_place import late_readers, waiting
from chainrule.engine.xla.namespace import SHARED, XLA
from chainrule.engine.xla.packing import Packing
from chainrule.engine.xla.plan import NOT_FINITE, RUNNING, STOPPED_EARLY, WHOLE, Inside, Plan, Span, Standing
from chainrule.engine.xla.samples import Samples
from chainrule.graph.building import building
from chainrule.graph.node import Node

LOOK_TOGETHER = 1 << 14
"""Arrays of at most so many numbers are asked together whether they are finite."""


@dataclass
class Epochs:
    """A training under way: parameters, states and examples on the device, and the program that advances them.

    Args:
        plan: what to run.
        start: the first value of every leaf of the carry.
        examples: arrays for the plan's example leaves.
        validation: the same for validation, or none.
        dtype: the working precision.
        devices: what it runs on.
    """

    plan: Plan
    start: Mapping[Node, Any]
    examples: Sequence[Any]
    validation: Sequence[Any] = ()
    dtype: Any = None
    devices: Devices = field(default_factory=Devices)
    status: int = field(default=RUNNING, init=False)
    best_epoch: int = field(default=-1, init=False)

    def __post_init__(self) -> None:
        self.kinds: Kinds = kinds_for(self.dtype)
        alone = self.devices.count == 1
        self._xp = XLA if alone else SHARED
        plan = self.plan
        self.leaves = tuple(plan.carry)
        self.packing = Packing(self.leaves, [t.carry for t in plan.turns], pack=alone)
        wanted = [self.packing.wanted(k, t.carry) for k, t in enumerate(plan.turns)]
        self._turns = [Program((*w, *t.outputs), plan.draws) for w, t in zip(wanted, plan.turns, strict=True)]
        large = self.packing.rest if alone else ()
        self._readers = [
            late_readers(program, [leaf for leaf in large if leaf in turn.carry])
            for program, turn in zip(self._turns, plan.turns, strict=True)
        ]
        self._samples = Samples(plan, self.packing, self.kinds.float)
        self._watched = [program for _, program in self._samples.parts]
        self.steps = -(-len(self.examples[0]) // plan.batch_size)
        self._validate = Program(plan.validation, plan.draws)
        self._read = {n for program in (*self._turns, *self._watched) for n in program.graph}
        if len(plan.turns) > 1:  # what one turn has changed the next one reads
            self._read |= {new for turn in plan.turns for leaf, new in turn.carry.items() if leaf in self._read}
        with self._precision():
            put = self._put
            self.carry = tuple(put(n, self.start[n]) for n in self.leaves)
            self.best = tuple(put(n, self.start[n]) for n in self.leaves) if plan.monitor is not None else ()
            self._take_in()
            send = self.devices.put
            self.fixed = (*(put(n, v) for n, v in plan.constants.items()), send(np.uint32(plan.seed % 2**32)))
            worst = -np.inf if plan.larger_is_better else np.inf
            self.control = (
                send(np.int32(RUNNING)),
                send(np.asarray(worst, self.kinds.float)),
                send(np.int32(-1)),
                send(np.int32(0)),
            )
        self.epoch = 0
        self.inside: Inside | None = None
        self._under_way: tuple[Any, ...] = ()
        # Nothing is donated: what the call began with is needed where it ends in numbers that are not finite.
        self._run = self._compiled(self._program, static_argnames=("careful", "whole"))

    def run(self, permutations: np.ndarray[Any, Any], epochs: int) -> np.ndarray[Any, Any]:
        """Train for some epochs, at most as many as there are permutations.

        Args:
            permutations: (k, rows), the order of the rows in each epoch.
            epochs: how many of them to run.

        Returns:
            (epochs run, columns), the averages of outputs and validation. Sets ``status``: when an epoch's
            numbers are not finite, the parameters stay those of the epoch before. ``samples`` has a row for every
            step that was watched so far, and ``sampled_at`` the number of the step, from 0.
        """
        self.start_run(permutations, epochs)
        return self.finish_run()

    def feed(self, examples: Sequence[Any], batch_size: int) -> None:
        """Go on with other examples, in batches of so many."""
        self.examples = examples
        self.plan = replace(self.plan, batch_size=batch_size)
        self.steps = -(-len(examples[0]) // batch_size)
        self.__dict__.pop("_empty", None)  # the room for an epoch is another
        with self._precision():
            self._take_in()

    def _take_in(self) -> None:
        """Bring the examples to the device."""
        self.data, self.held_out = (
            tuple(self._feed(n, a) for n, a in zip(self.plan.examples, arrays, strict=False))
            for arrays in (self.examples, self.validation)
        )

    def start_run(self, permutations: np.ndarray[Any, Any], epochs: int, stop: int = WHOLE) -> None:
        """Begin what :meth:`run` does; the host is free for other work until it asks for the result.

        With a ``stop`` before the last step, one epoch is gone through up to this step, which is not made.
        """
        with partners():
            found = self._call(permutations, epochs, stop)
        self._under_way = permutations, epochs, stop, found

    def finish_run(self) -> np.ndarray[Any, Any]:
        """The result of what was begun."""
        with partners():
            return self._finished()

    def _finished(self) -> np.ndarray[Any, Any]:
        permutations, epochs, stop, found = self._under_way
        if stop < self.steps:
            self.carry, self.inside = found[0], found[-1]
            return np.zeros((0, len(self.plan.outputs)))
        start = self.carry if self.inside is None else self.inside.start
        found = self._sound(found, permutations, epochs, stop)
        self.carry, self.best, self.control, history, samples, count, _, _ = found
        done = int(count)
        self.status, self.best_epoch = int(self.control[0]), int(self.control[2])
        if self.status == NOT_FINITE and done == 1:
            self.carry = start  # where the epoch was parted, the call began within it
        self.inside = None
        if self.plan.watched:
            self._samples.keep(np.asarray(samples)[:done], self.epoch, self.steps)
        self.epoch += done
        return np.asarray(history)[:done]

    def _sound(self, found: Any, permutations: np.ndarray[Any, Any], epochs: int, stop: int) -> Any:
        """What a call has found; where numbers are not finite it is made again, to end with the last that were."""
        *_, control, _, _, _, healthy, _ = found
        if bool(healthy) and int(control[0]) != NOT_FINITE:
            return found
        return self._call(permutations, epochs, stop, careful=True)

    def standing(self) -> Standing:
        """Where the training stands, on the host."""
        inside = self.inside and replace(self.inside, start=jax.tree.map(np.asarray, self.inside.start))
        carry, best, control = jax.tree.map(np.asarray, (self.carry, self.best, self.control))
        return Standing(carry, best, control, self.sampled_at, self.samples, inside)

    def stand_at(self, standing: Standing) -> None:
        """Go on from where a training stood: this one, or an equal one in another process."""
        with self._precision():
            # Copies: what is put on the CPU may go on using the array that it was given.
            put = partial(jax.tree.map, lambda a: self.devices.put(np.array(a)))
            self.carry, self.best, self.control = put((standing.carry, standing.best, standing.control))
            self.inside = standing.inside and replace(standing.inside, start=put(standing.inside.start))
        self._samples.go_on_from(standing.sampled_at, standing.samples)
        self.status, self.best_epoch, self.epoch = (int(standing.control[k]) for k in (0, 2, 3))

    def _room(self, rows: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Room for the outputs of the full batches among some rows, and for what is watched in all of them."""
        batch = min(self.plan.batch_size, rows)
        outputs = np.zeros((rows // batch, len(self.plan.outputs)), self.kinds.float)
        return outputs, self._samples.room(-(-rows // batch))

    def _call(self, permutations: np.ndarray[Any, Any], epochs: int, stop: int = WHOLE, careful: bool = False) -> Any:
        whole = self.inside is None and stop >= self.steps
        with self._precision(), building():  # traced in the first call; the program itself runs beside this thread
            *found, room = self._run(*self._arguments(permutations, epochs, stop), careful=careful, whole=whole)
        if stop >= self.steps:
            return *found, None
        outputs, seen = map(np.asarray, room)
        start = self.carry if self.inside is None else self.inside.start
        return *found, Inside(stop, start, outputs, seen, np.zeros(0), np.zeros((0, self._samples.width)))

    def _arguments(self, permutations: np.ndarray[Any, Any], epochs: int, stop: int = WHOLE) -> tuple[Any, ...]:
        inside, send = self.inside, self.devices.put
        begin, room = (inside.steps, (inside.outputs, inside.seen)) if inside is not None else (0, self._empty)
        return (
            self.carry,
            self.best,
            self.control,
            send(permutations),
            send(np.int32(epochs)),
            (send(np.int32(begin)), send(np.int32(stop))),
            tuple(send(a) for a in room),
            self.data,
            self.held_out,
            self.fixed,
        )

    def lowered(self, permutations: np.ndarray[Any, Any]) -> Any:
        """The program as it is handed to XLA: ``.as_text()`` is what it reads, ``.compile()`` what it makes of it."""
        with self._precision(), building():
            return self._run.lower(*self._arguments(permutations, 1), careful=False, whole=True)

    def bad_step(self, order: np.ndarray[Any, Any]) -> tuple[int | None, dict[Node, np.ndarray[Any, Any]]]:
        """Go step by step through the epoch that was not finite, from where it began.

        Args:
            order: that of the rows in this epoch.

        Returns:
            The number of the first step, from 0, after which a number is not finite, and what it was fed. None and
            what the validation is fed where all steps are finite.
        """
        rows, batch = len(order), min(self.plan.batch_size, len(order))
        constants, seed = self.constants(self.fixed)

        @jax.jit
        def step(carry: Any, examples: Any) -> Any:
            packed, row, _ = self._one_step(self.packing.pack(carry), examples, (constants, seed))
            return self.packing.unpack(packed), row

        carry = self.carry

        def fed(examples: Any) -> dict[Node, np.ndarray[Any, Any]]:
            pairs = (*zip(self.leaves, carry, strict=True), *zip(self.plan.examples, examples, strict=False))
            return {n: np.asarray(v) for n, v in (*pairs, *constants.items())}

        with self._precision():
            for k, first in enumerate(range(0, rows, batch)):
                examples = self.rows(order[first : first + batch])
                after, row = step(carry, examples)
                if not bool(jnp.isfinite(row).all() & all_finite(after)):
                    return k, fed(examples)
                carry = after
            return None, fed(self._held_out_that_is_bad(carry))

    def _held_out_that_is_bad(self, carry: Any) -> tuple[Any, ...]:
        """Of the examples to validate on such as a number that is not finite comes from."""
        return self.held_out

    def rows(self, rows: np.ndarray[Any, Any]) -> tuple[Any, ...]:
        """Some examples, on the device."""
        return tuple(jnp.take(a, rows, axis=0) for a in self.data)

    @property
    def sampled_at(self) -> np.ndarray[Any, Any]:
        """The numbers of the steps that were watched so far, from 0."""
        return self._samples.all()[0]

    @property
    def samples(self) -> np.ndarray[Any, Any]:
        """What was watched at each of them."""
        return self._samples.all()[1]

    def values(self, best: bool = False) -> dict[Node, np.ndarray[Any, Any]]:
        """The present value of every leaf of the carry, or the best one seen."""
        return {n: np.asarray(v) for n, v in zip(self.leaves, self.best if best else self.carry, strict=True)}

    def _put(self, node: Node, value: Any) -> Any:
        return self.devices.put(np.asarray(value, dtype=self.kinds.of(node.dtype)))

    def _feed(self, node: Node, value: Any) -> Any:
        return self.devices.put(as_array(node, value, self.kinds))

    @cached_property
    def _empty(self) -> tuple[Any, Any]:
        """Room for an epoch, on the device."""
        outputs, seen = self._room(len(self.examples[0]))
        return self.devices.put(outputs), self.devices.put(seen)

    def _compiled(self, program: Callable[..., Any], **options: Any) -> Any:
        return jax.jit(program, out_shardings=self.devices.everywhere, **options)

    def _precision(self) -> AbstractContextManager[Any]:
        return precision(self.kinds, *self._turns, self._validate, *self._watched)

    def constants(self, fixed: Any) -> tuple[dict[Node, Any], Any]:
        """Named constants by node, and the seed."""
        return dict(zip(self.plan.constants, fixed, strict=False)), fixed[-1]

    def key(self, fed: Mapping[Node, Any], seed: Any) -> Key:
        counter = self.plan.counter
        return FIRST if counter is None else (seed, fed[counter].astype(jnp.uint32))

    # --- the program ----------------------------------------------------------------------------------------

    def _program(
        self,
        carry: Any,
        best: Any,
        control: Any,
        permutations: Any,
        epochs: Any,
        span: Any,
        room: Any,
        data: Any,
        held_out: Any,
        fixed: Any,
        careful: bool,
        whole: bool,
    ) -> Any:
        """Epochs until one is not finite; ``careful`` looks at all numbers after each, and goes back to the one before.

        Of the first epoch the steps from ``span[0]`` on are made, of all epochs those before ``span[1]``; only one that
        is gone through to its end is validated and counts. ``room`` holds what the steps before have left. ``whole``
        says that this is from first to last: a loop whose turns are known beforehand is faster, and has the same body.

        To look at them and to keep those of the epoch before costs as much as a step or two, so that it is done only
        where the loss, or a number at the end, shows that it has to be.
        """
        constants = self.constants(fixed)
        columns = len(self.plan.outputs) + (len(self.plan.validation) if held_out else 0)
        history = jnp.zeros((permutations.shape[0], columns), self.kinds.float)
        samples = jnp.zeros((permutations.shape[0], *self._samples.room(self.steps).shape), self.kinds.float)

        def going_on(state: Any) -> Any:
            i, _, _, control, *_ = state
            return (i < epochs) & (control[0] == RUNNING)

        def one_epoch(state: Any) -> Any:
            i, carry, best, control, history, samples, outputs, seen = state
            order = lax.dynamic_index_in_dim(permutations, i, keepdims=False)
            steps = Span(jnp.where(i == 0, span[0], 0), span[1], whole)
            first = control[3] * self.steps
            new, row, seen, outputs = self._epoch(carry, order, data, constants, first, steps, outputs, seen)
            if self.plan.watched:
                samples = lax.dynamic_update_index_in_dim(samples, seen, i, 0)
            if held_out:
                # A loop of one turn or none: a choice would copy all that is carried.
                validate = lambda _, numbers: self._held_out(new, held_out, constants)  # noqa: E731
                nothing = jnp.zeros(len(self.plan.validation), self.kinds.float)
                row = jnp.concatenate([row, lax.fori_loop(0, ended.astype(jnp.int32), validate, nothing)])
            finite = jnp.isfinite(row).all()
            if careful:
                finite = finite & all_finite(new) | ~ended
                new = jax.tree.map(partial(jnp.where, finite), new, carry)
            carry = new
            best, control = self._judge(carry, best, control, row, finite, ended)
            history = lax.dynamic_update_index_in_dim(history, row, i, 0)
            return i + 1, carry, best, control, history, samples, outputs, seen

        ended = span[1] >= self.steps
        pack, unpack = self.packing.pack, self.packing.unpack
        carry, best = pack(carry), pack(best) if best else ()
        state = (jnp.int32(0), carry, best, control, history, samples, *room)
        done, carry, best, control, history, samples, *room = lax.while_loop(going_on, one_epoch, state)
        finite = all_finite(carry)
        return unpack(carry), unpack(best) if best else (), control, history, samples, done, finite, tuple(room)

    def _epoch(
        self, carry: Any, order: Any, data: Any, constants: Any, first: Any, span: Span, outputs: Any, seen: Any
    ) -> tuple[Any, Any, Any, Any]:
        def taken(rows: slice, shape: tuple[int, ...]) -> Any:
            return tuple(jnp.take(a, order[rows].reshape(shape), axis=0, mode="clip") for a in data)

        batches = self._in_batches(order.shape[0], taken)
        carry, total, seen, outputs = self._batches(carry, *batches, constants, first, span, outputs, seen)
        return carry, total if self.plan.totals else total / order.shape[0], seen, outputs

    def _in_batches(self, rows: int, taken: Callable[[slice, tuple[int, ...]], Any]) -> tuple[Any, Any]:
        """The full batches, stacked, and the rows that are left; each taken for itself, since a cut is a copy.

        Args:
            rows: how many there are.
            taken: gives some of them, in a shape of several axes.
        """
        batch = min(self.plan.batch_size, rows)
        full, rest = divmod(rows, batch)
        stacked, last = taken(slice(0, rows - rest), (full, batch)), taken(slice(rows - rest, rows), (rest,))
        return self.devices.divide(stacked, axis=1), self.devices.divide(last)

    def _batches(
        self, carry: Any, batches: Any, last: Any, constants: Any, first: Any, span: Span, outputs: Any, seen: Any
    ) -> tuple[Any, Any, Any, Any]:
        """Steps through batches of examples, those of the span, and through the rows that are left.

        Returns:
            The new carry, the sum of the outputs over the rows, what is seen, and the outputs of each full batch.
        """
        full, batch = batches[0].shape[:2]
        rest = last[0].shape[0]
        known = span.whole and full > 1  # a loop known to have one turn is none, and fused with what stands around it
        bounds = (0, full) if known else (span.begin, jnp.minimum(span.end, full))

        def step_at(i: Any, state: Any) -> Any:
            carry, outputs, seen = state
            batch = tuple(lax.dynamic_index_in_dim(a, i, keepdims=False, allow_negative_indices=False) for a in batches)
            carry, row, seen = self._one_step(carry, batch, constants, seen, i, first)
            return carry, lax.dynamic_update_index_in_dim(outputs, row, i, 0, allow_negative_indices=False), seen

        carry, outputs, seen = lax.fori_loop(bounds[0], bounds[1], step_at, (carry, outputs, seen))
        total = outputs.sum(axis=0) * (1 if self.plan.totals else batch)
        if rest:

            def last_step(i: Any, state: Any) -> Any:
                carry, _, seen = state
                return self._one_step(carry, last, constants, seen, i, first)

            once = jnp.maximum(span.begin, full), jnp.minimum(span.end, full + 1)
            carry, row, seen = lax.fori_loop(*once, last_step, (carry, jnp.zeros_like(total), seen))
            total = total + row * (1 if self.plan.totals else rest)
        return carry, total, seen, outputs

    def _one_step(
        self, carry: Any, batch: Any, constants: Any, seen: Any = None, i: Any = 0, first: Any = 0
    ) -> tuple[Any, Any, Any]:
        """A step: the new carry, the outputs, and what is seen in an epoch, of which it is number ``i``.

        Without ``seen`` nothing is looked at.
        """
        carry, found, run = self.turns(carry, batch, constants, self._read)
        row = [values[n] for turn, (values, _) in zip(self.plan.turns, found, strict=True) for n in turn.outputs]
        if self.plan.watched and seen is not None:
            number = jnp.asarray(first + i, jnp.int32)
            seen = self._samples.look(seen, number, first, found, run)
        return carry, self._row(row), seen

    def turns(
        self, carry: Any, batch: Any, constants: Any, wanted: Container[Node] | None = None
    ) -> tuple[Any, list[tuple[dict[Node, Any], Any]], Any]:
        """What happens to a batch: the new carry; its values and the carry after each turn; and how more is found.

        Of what is packed, and of its next values, only the ``wanted`` ones are taken out; all of them by default.
        """
        fixed, seed = constants
        fed = self.packing.values(carry, wanted) | fixed | dict(zip(self.plan.examples, batch, strict=True))
        sizes, key = learn_sizes(fed), self.key(fed, seed)

        def run(program: Program, values: Mapping[Node, Any]) -> dict[Node, Any]:
            return program.run(self._xp, values, self.kinds, sizes, key)

        found = []
        for k, (turn, step) in enumerate(zip(self.plan.turns, self._turns, strict=True)):
            values = run(step, fed)
            values |= waiting(self._readers[k], turn.carry, values)
            carry = self.packing.advance(k, turn.carry, carry, values, run, wanted)
            found.append((values, carry))
            fed = fed | {leaf: values[new] for leaf, new in turn.carry.items() if new in values}
        return self.devices.unite(carry), found, run

    def _row(self, values: Any) -> Any:
        return jnp.stack(values).astype(self.kinds.float)

    def _held_out(self, carry: Any, held_out: Any, constants: Any) -> Any:
        fixed, seed = constants
        leaves = self.packing.values(carry, set(self._validate.leaves)) | fixed
        key = self.key(leaves, seed)
        rows = held_out[0].shape[0]

        def block(arrays: Any) -> Any:
            fed = leaves | dict(zip(self.plan.examples, self.devices.divide(arrays), strict=True))
            return self._row(trace(self._validate, fed, self.kinds, key, self._xp))

        size = self.plan.validation_rows
        full, rest = divmod(rows, size)
        total = jnp.zeros(len(self.plan.validation), self.kinds.float)
        if full:
            blocks = tuple(a[: full * size].reshape(full, size, *a.shape[1:]) for a in held_out)
            share = 1.0 if self.plan.totals else size / rows
            total = total + lax.map(block, blocks).sum(axis=0) * share
        if rest:
            last = block(tuple(a[full * size :] for a in held_out))
            total = total + last * (1.0 if self.plan.totals else rest / rows)
        return total

    def _judge(self, carry: Any, best: Any, control: Any, row: Any, finite: Any, ended: Any = True) -> tuple[Any, Any]:
        """Whether this epoch was the best so far, and whether to go on; of a part of one nothing is said."""
        status, best_value, best_epoch, epoch = control
        if self.plan.monitor is not None:
            value = row[self.plan.monitor]
            delta = self.plan.min_delta
            better = value > best_value + delta if self.plan.larger_is_better else value < best_value - delta
            better = better & finite & ended
            best = jax.tree.map(partial(jnp.where, better), carry, best)
            best_value = jnp.where(better, value, best_value)
            best_epoch = jnp.where(better, epoch, best_epoch)
            status = jnp.where(ended & (epoch - best_epoch >= self.plan.patience), STOPPED_EARLY, status)
        status = jnp.where(finite | ~jnp.asarray(ended), status, NOT_FINITE).astype(jnp.int32)
        return best, (status, best_value, best_epoch, epoch + jnp.asarray(ended, jnp.int32))


def all_finite(carry: Any) -> Any:
    """Whether all numbers are; small arrays are looked at as one, since each look is a loop to be compiled."""
    floats = [a for a in carry if jnp.issubdtype(a.dtype, jnp.floating)]
    small = [a.ravel() for a in floats if a.size <= LOOK_TOGETHER]
    looks = [a for a in floats if a.size > LOOK_TOGETHER] + ([jnp.concatenate(small)] if small else [])
    return jnp.stack([jnp.isfinite(a).all() for a in looks]).all() if looks else True
