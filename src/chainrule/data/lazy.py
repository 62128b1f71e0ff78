"""Arrays of examples that are read when they are needed, and batches of them read ahead in the background.

What trains in batches asks of its examples only this, which NumPy arrays and memory maps do as well:

| | |
|---|---|
| ``x.shape``, ``x.dtype``, ``len(x)`` | of the whole, (m, ...), without reading it |
| ``x[rows]`` | an array of those examples, for a list of row numbers in any order |

So ``batches([X, y], order, 32)`` serves all of them alike.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np

from chainrule.errors import ConfigurationError, ShapeError

Array = np.ndarray[Any, Any]


class Rows(Protocol):
    """Examples in rows: arrays, memory maps, and :class:`Lazy`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(m, ...)."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any, /) -> Any: ...


class Lazy(ABC):
    """m examples of one shape, float32, each read when it is asked for.

    ``x[3]`` reads one example, ``x[[0, 5]]``, ``x[10:20]`` and ``x[mask]`` some, ``np.asarray(x)`` all.
    """

    dtype = np.dtype(np.float32)

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """(m, ...), without reading."""

    @abstractmethod
    def read(self, row: int) -> Array:
        """One example, shape ``shape[1:]``. Called from several threads at once."""

    @property
    def ndim(self) -> int:
        """How many axes ``shape`` has."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> Array:
        if isinstance(rows, (int, np.integer)):
            return self.read(range(len(self))[int(rows)])
        chosen = np.arange(len(self))[rows]
        found = np.empty((len(chosen), *self.shape[1:]), self.dtype)
        for i, row in enumerate(chosen):
            found[i] = self.read(int(row))
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError("what lies in files can only be read into a new array")
        return self[:].astype(dtype or self.dtype, copy=False)

    def batches(self, order: Any = None, batch_size: int = 32, ahead: int = 2) -> Iterator[Array]:
        """The examples batch by batch, read ahead; see :func:`batches`."""
        order = np.arange(len(self)) if order is None else order
        return (batch for (batch,) in batches([self], order, batch_size, ahead))


class Chosen(Lazy):
    """Some rows of examples, in an order of their own; nothing is read until it is asked for."""

    def __init__(self, whole: Rows, rows: Any) -> None:
        self.whole, self.rows = whole, np.asarray(rows, dtype=np.int64)

    @property
    def shape(self) -> tuple[int, ...]:
        """(rows, ...)."""
        return (len(self.rows), *self.whole.shape[1:])

    def read(self, row: int) -> Array:
        """One example."""
        return np.asarray(self.whole[int(self.rows[row])], dtype=self.dtype)


class Encoded(Lazy):
    """What a function makes of each of some items, made when it is asked for.

    Args:
        items: m of whatever the function takes.
        encode: from an item to an array of the shape of an example.
        shape: (m, ...), of all of them.
    """

    def __init__(self, items: Any, encode: Callable[[Any], Array], shape: tuple[int, ...]) -> None:
        self.items, self.encode, self._shape = items, encode, shape

    @property
    def shape(self) -> tuple[int, ...]:
        """(m, ...)."""
        return self._shape

    def read(self, row: int) -> Array:
        """One example."""
        return self.encode(self.items[row])


def is_lazy(value: Any) -> bool:
    """Whether examples are read when they are needed: a :class:`Lazy`, or a memory map of NumPy's."""
    return isinstance(value, (Lazy, np.memmap))


def chosen(examples: Any, rows: Any) -> Any:
    """Some rows of an array, or of what stands for one without being read."""
    return Chosen(examples, rows) if is_lazy(examples) else examples[rows]


def batches(arrays: Sequence[Rows], order: Any, batch_size: int = 32, ahead: int = 2) -> Iterator[tuple[Array, ...]]:
    """Batches of several arrays of examples, such as inputs and labels, while the next ones are being read.

    Args:
        arrays: what has an example in each row, m of them.
        order: row numbers, shape (k,), such as an epoch's permutation.
        batch_size: rows in a batch; the last one may be smaller.
        ahead: so many batches are being read, each in a thread of its own, while one is worked on. At most
            ``ahead + 1`` batches are in memory.

    Returns:
        For each batch a tuple with an array for each of `arrays`, in the order of `order`.

    An error in reading is raised where its batch would have come. Who stops early ends the reading.

    Errors: arrays with different numbers of examples; a batch size or `ahead` below 1.

    >>> X, y = np.arange(10).reshape(5, 2), np.array([0, 1, 0, 1, 1])
    >>> for x_batch, y_batch in batches([X, y], order=[4, 0, 3], batch_size=2):
    ...     print(x_batch.tolist(), y_batch.tolist())
    [[8, 9], [0, 1]] [1, 0]
    [[6, 7]] [1]
    """
    if len({len(a) for a in arrays}) > 1:
        raise ShapeError(
            "the arrays have different numbers of examples", given=", ".join(str(tuple(a.shape)) for a in arrays)
        )
    for name, value in (("batch_size", batch_size), ("ahead", ahead)):
        if value < 1:
            raise ConfigurationError(f"{name} is at least 1", given=value, expected="a whole number from 1")
    return _ahead(arrays, np.asarray(order, dtype=np.int64), batch_size, ahead)


def _ahead(arrays: Sequence[Rows], rows: Array, size: int, ahead: int) -> Iterator[tuple[Array, ...]]:
    def read(first: int) -> tuple[Array, ...]:
        return tuple(np.asarray(a[rows[first : first + size]]) for a in arrays)

    readers = ThreadPoolExecutor(ahead, thread_name_prefix="chainrule-reads")
    waiting: deque[Future[tuple[Array, ...]]] = deque()
    try:
        for first in range(0, len(rows), size):
            waiting.append(readers.submit(read, first))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        readers.shutdown(wait=True, cancel_futures=True)
