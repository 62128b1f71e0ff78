"""A Jacobian in numbers: rows and columns with names; of a diagonal or permuted one only its entries are kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from chainrule.errors import ShapeError
from chainrule.explain.numbers import aligned, brief, number
from chainrule.graph.dim import show

Array = np.ndarray[Any, Any]
MOST_NUMBERS = 20_000_000
"""A matrix of more numbers is not built."""
MOST_SHOWN = 400
"""A matrix of more numbers is not printed entry by entry."""

Block = tuple[str, tuple[int, ...]]
"""What some rows or columns belong to: its name and its shape."""


@dataclass(frozen=True, eq=False)
class Matrix:
    """A Jacobian in numbers; made by :meth:`Jacobian.at <chainrule.explain.Jacobian.at>`.

    Attributes:
        entries: the whole matrix; or, where ``places`` is given, the one number that each row has.
        above, below: name and shape of each output, and of each node that it is differentiated by.
        places: of a diagonal or permuted matrix, the column in which each row has its number.
    """

    entries: Array
    above: tuple[Block, ...]
    below: tuple[Block, ...]
    places: Array | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Elements of the outputs, by elements of what it is differentiated by."""
        return tuple(sum(math.prod(shape) for _, shape in side) for side in (self.above, self.below))  # type: ignore[return-value]

    @cached_property
    def array(self) -> Array:
        """All numbers, the zeros among them."""
        if self.places is None:
            return self.entries
        check_size(*self.shape)
        out = np.zeros(self.shape)
        out[np.arange(len(self.places)), self.places] = self.entries
        return out

    @cached_property
    def rows(self) -> list[str]:
        """What the rows belong to: ``y[0, 1]``."""
        return _elements(self.above)

    @cached_property
    def columns(self) -> list[str]:
        """What the columns belong to."""
        return _elements(self.below)

    @property
    def structure(self) -> str:
        """How it is filled: zero, identity, diagonal, permuted, block diagonal (by the first axis), or dense."""
        if not self.entries.any():
            return "zero"
        if self.places is not None:
            if (self.places != np.arange(len(self.places))).any():
                return "permuted"
            return "identity" if (self.entries == 1).all() else "diagonal"
        filled = self.entries != 0
        square = filled.shape[0] == filled.shape[1]
        if square and not filled[~np.eye(len(filled), dtype=bool)].any():
            return "identity" if (np.diag(self.entries) == 1).all() else "diagonal"
        if square and (filled.sum(axis=0) <= 1).all() and (filled.sum(axis=1) <= 1).all():
            return "permuted"
        return f"block diagonal, {self._blocks} blocks" if self._blocks > 1 else "dense"

    @property
    def _blocks(self) -> int:
        """Along the first axis, where outputs of one example depend on that example alone."""
        if len(self.above) != 1 or len(self.below) != 1:
            return 1
        ((_, above),), ((_, below),) = self.above, self.below
        if not above or not below or above[0] != below[0]:
            return 1
        count = above[0]
        blocks = self.entries.reshape(count, self.shape[0] // count, count, -1)
        mixed = np.abs(blocks).sum(axis=(1, 3))
        return count if not mixed[~np.eye(count, dtype=bool)].any() else 1

    def determinant(self) -> float:
        """The determinant of a square one."""
        if self.shape[0] != self.shape[1]:
            raise ShapeError("only a square Jacobian has a determinant", given=show(self.shape))
        if self.places is not None:
            return float(np.prod(self.entries)) * _sign(self.places)
        return float(np.linalg.det(self.entries))

    def tensor(self) -> Array:
        """In the shape of the output followed by that of wrt, where there is one of each."""
        if len(self.above) != 1 or len(self.below) != 1:
            raise ShapeError(
                "only one output by one node has a tensor", given=f"{len(self.above)} by {len(self.below)}"
            )
        return self.array.reshape(*self.above[0][1], *self.below[0][1])

    def __matmul__(self, other: Matrix | Array) -> Any:
        """The product with a matrix (two of one number in each row make such a one again), or with an array."""
        if not isinstance(other, Matrix):
            array = np.asarray(other)
            if self.places is None:
                return self.entries @ array
            return self.entries.reshape(-1, *[1] * (array.ndim - 1)) * array[self.places]
        if self.shape[1] != other.shape[0]:
            raise ShapeError(
                "the matrices do not fit", given=f"{show(self.shape)} and {show(other.shape)}", expected="(a, b) (b, c)"
            )
        places: Array | None = None
        if self.places is None and other.places is None:
            entries = self.entries @ other.entries
        elif self.places is None:
            entries = np.zeros((self.shape[0], other.shape[1]))
            entries[:, other.places] = self.entries * other.entries
        elif other.places is None:
            entries = self.entries[:, None] * other.entries[self.places]
        else:
            entries, places = self.entries * other.entries[self.places], other.places[self.places]
        return Matrix(entries, self.above, other.below, places)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        return np.asarray(self.array, dtype)

    def __str__(self) -> str:
        if math.prod(self.shape) > MOST_SHOWN:
            size = f"{self.shape[0]:,} × {self.shape[1]:,}"
            return f"{self.structure}, {size}: {brief(self.entries)}"
        rows = [["", *self.columns]]
        rows += [[name, *map(number, row)] for name, row in zip(self.rows, self.array, strict=True)]
        return "\n".join(aligned(rows))

    __repr__ = __str__


def check_size(rows: int, columns: int) -> None:
    """Refuse to build a matrix that is too large, and offer the products with it."""
    if rows * columns > MOST_NUMBERS:
        raise ShapeError(
            "this Jacobian is too large to be built",
            given=f"{rows:,} × {columns:,} = {rows * columns:,} numbers ({rows * columns * 8 / 1e9:,.1f} GB)",
            expected=f"at most {MOST_NUMBERS:,}",
            hint="jacobian.times(v) is J v, jacobian.transposed_times(u) is uᵀ J: products without the matrix",
        )


def _elements(blocks: Sequence[Block]) -> list[str]:
    return [
        name + (f"[{', '.join(map(str, index))}]" if index else "")
        for name, shape in blocks
        for index in np.ndindex(*shape)
    ]


def _sign(places: Array) -> int:
    """Of a permutation: −1 for every cycle of an even length."""
    left, sign = set(range(len(places))), 1
    while left:
        k = start = left.pop()
        while (k := int(places[k])) != start:
            left.discard(k)
            sign = -sign
    return sign
