"""Training on examples that do not lie on the device: an epoch is a loop of the host's over blocks of some batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from chainrule.engine.xla.epochs import Epochs, all_finite
from chainrule.engine.xla.plan import RUNNING, WHOLE, Inside, Span

BLOCK_NUMBERS = 1 << 24
"""So many numbers of examples go to the device at once: 64 MB in float32."""

Stream = Callable[[Sequence[Any], np.ndarray[Any, Any], int], Iterable[Sequence[Any]]]


@dataclass
class StreamedEpochs(Epochs):
    """Epochs over examples, those of the validation too, that come block by block from wherever they lie.

    Args:
        stream: called with what has the examples, an order of rows and a number of them, it goes through arrays of so
            many; see :func:`chainrule.data.batches`.
    """

    stream: Stream = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._run_block = self._compiled(self._block, donate_argnums=0)
        self._run_validation = self._compiled(self._validated)
        self._end_epoch = self._compiled(self._close, donate_argnums=0)

    def _take_in(self) -> None:
        self.data = self.held_out = ()

    def rows(self, rows: np.ndarray[Any, Any]) -> tuple[Any, ...]:
        """Some examples, brought to the device."""
        return tuple(self._feed(n, a[rows]) for n, a in zip(self.plan.examples, self.examples, strict=True))

    @property
    def _steps_in_block(self) -> int:
        """So many steps go through a block of streamed examples."""
        numbers = sum(int(np.prod(a.shape[1:])) for a in self.examples) * self.plan.batch_size
        return max(1, BLOCK_NUMBERS // max(1, numbers))

    def block(self, order: np.ndarray[Any, Any], step: int) -> tuple[tuple[Any, ...], int]:
        """The block of streamed examples that holds a step of an epoch, and the number of the step in it."""
        number, at = divmod(step, self._steps_in_block)
        size = self._steps_in_block * self.plan.batch_size
        return self.rows(order[number * size : (number + 1) * size]), at

    def _call(self, permutations: np.ndarray[Any, Any], epochs: int, stop: int = WHOLE, careful: bool = False) -> Any:
        rows, batch, in_block = len(self.examples[0]), self.plan.batch_size, self._steps_in_block
        carry, best, control, inside = self.carry, self.best, self.control, self.inside
        if inside is not None:
            carry = jax.tree.map(jnp.copy, carry)  # it is handed on, but may be asked for again
        history: list[Any] = []
        samples: list[Any] = []
        for order in permutations[:epochs]:
            first = (self.epoch + len(history)) * self.steps
            if inside is None:
                start, begin = carry, 0
                carry = jax.tree.map(jnp.copy, carry)
                total, seen = np.zeros((), self.kinds.float), []
            else:
                start, begin, total, seen = inside.start, inside.steps, inside.total, [inside.seen_before]
            done = begin // in_block
            with self._precision():
                rest = order[done * in_block * batch :]
                for k, block in enumerate(self.stream(self.examples, rest, in_block * batch), done):
                    fed = tuple(self._feed(n, a) for n, a in zip(self.plan.examples, block, strict=True))
                    at, size = k * in_block, len(fed[0])
                    again = inside is not None and at < begin
                    room = (inside.outputs, inside.seen) if inside is not None and again else self._room(size)
                    numbers = first + at, max(begin - at, 0), min(stop - at, WHOLE)
                    place, *span = (self.devices.put(np.int32(n)) for n in numbers)
                    room = tuple(self.devices.put(a) for a in room)
                    carry, part, looked_at, outputs = self._run_block(carry, fed, self.fixed, place, tuple(span), room)
                    ends = at + -(-size // batch)
                    if stop < ends:
                        parts = map(np.array, (outputs, looked_at, total, _joined(seen, self._samples.width)))
                        return carry, best, control, None, None, 0, True, Inside(stop, start, *parts)
                    total = part + total
                    seen.append(np.asarray(looked_at)[self._samples.filled(first + at, ends - at)])
                    if stop == ends < self.steps:
                        parts = map(np.array, (outputs, looked_at, total, _joined(seen, self._samples.width)))
                        return carry, best, control, None, None, 0, True, Inside(stop, start, *parts)
                inside = None
                total = total if self.plan.totals else total / rows
                validated: Any = 0
                for fed, share in self._validation_blocks():
                    validated = share * self._run_validation(carry, fed, self.fixed) + validated
                row = (total, validated) if self.validation else (total,)
                carry, best, control, row = self._end_epoch(carry, start, best, control, row)
            history.append(row)
            found = _joined(seen, self._samples.width)
            samples.append(np.concatenate([found, self._samples.room(self.steps)[len(found) :]]))
            if int(control[0]) != RUNNING:
                break
        return carry, best, control, np.array(history), np.array(samples), len(history), True, None

    def _sound(self, found: Any, permutations: np.ndarray[Any, Any], epochs: int, stop: int) -> Any:
        return found  # every epoch's end was looked at

    def _held_out_that_is_bad(self, carry: Any) -> tuple[Any, ...]:
        block: tuple[Any, ...] = ()
        for block, _ in self._validation_blocks():
            if not bool(jnp.isfinite(self._run_validation(carry, block, self.fixed)).all()):
                break
        return block

    def _validation_blocks(self) -> Iterator[tuple[tuple[Any, ...], float]]:
        """The examples to validate on, on the device block by block, and the share of them all that each is."""
        rows = len(self.validation[0]) if self.validation else 0
        for block in self.stream(self.validation, np.arange(rows), self.plan.validation_rows) if rows else ():
            fed = tuple(self._feed(n, a) for n, a in zip(self.plan.examples, block, strict=True))
            yield fed, 1.0 if self.plan.totals else len(fed[0]) / rows

    def _block(self, carry: Any, arrays: Any, fixed: Any, first: Any, span: Any, room: Any) -> Any:
        """Steps through a block."""
        packed = self.packing.pack(carry)

        def cut(rows: slice, shape: tuple[int, ...]) -> Any:
            return tuple(a[rows].reshape(*shape, *a.shape[1:]) for a in arrays)

        batches = self._in_batches(len(arrays[0]), cut)
        packed, *found = self._batches(packed, *batches, self.constants(fixed), first, Span(*span), *room)
        return self.packing.unpack(packed), *found

    def _validated(self, carry: Any, arrays: Any, fixed: Any) -> Any:
        """The numbers of the validation on a block."""
        return self._held_out(self.packing.pack(carry), arrays, self.constants(fixed))

    def _close(self, carry: Any, start: Any, best: Any, control: Any, numbers: Any) -> Any:
        """The end of an epoch: whether it was finite, the best, the last."""
        row = jnp.concatenate(numbers)
        finite = jnp.isfinite(row).all() & all_finite(carry)
        carry = jax.tree.map(partial(jnp.where, finite), carry, start)
        best, control = self._judge(carry, best, control, row, finite)
        return carry, best, control, row


def _joined(parts: Sequence[Any], width: int) -> np.ndarray[Any, Any]:
    return np.concatenate([np.zeros((0, width)), *parts])
