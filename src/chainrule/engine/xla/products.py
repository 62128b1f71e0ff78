"""Products and sums, handed to XLA in the form in which they are fastest on the CPU."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental.layout import Layout, with_layout_constraint

SMALL_PRODUCT = 1 << 18
"""A product of two matrices with no more multiplications than this pays for an operand that is turned beforehand."""
SMALL_RESULT = 1 << 10
"""A result of no more numbers than this is cheap to turn."""


FEW_COLUMNS = 16
"""XLA adds up rows of fewer numbers one by one."""
FEW = 1 << 12
"""Of so many numbers, XLA adds up a sum in several parts by itself."""


def contraction(spec: str, a: Any, b: Any) -> Any:
    """``einsum`` of two operands as one product, without a detour."""
    (of_a, of_b), result = spec.split("->")[0].split(","), spec.split("->")[1]
    batch = [c for c in of_a if c in of_b and c in result]
    # In the order in which the larger operand has them, so that it is the smaller that is turned round.
    larger = of_a if a.size >= b.size else of_b
    summed = [c for c in larger if c in of_a and c in of_b and c not in result]
    letters = batch + [c for c in of_a + of_b if c not in batch and c not in summed]
    order = tuple(letters.index(c) for c in result)
    sides = tuple(of_a.index(c) for c in summed), tuple(of_b.index(c) for c in summed)
    if a.ndim == b.ndim == 2 and len(summed) == 1 and not batch:
        out = _matrices(a, b, sides[0][0], sides[1][0])
    else:
        out = lax.dot_general(a, b, (sides, (tuple(map(of_a.index, batch)), tuple(map(of_b.index, batch)))))
    return out if order == tuple(range(len(order))) else lax.transpose(out, order)


def _matrices(a: Any, b: Any, of_a: int, of_b: int) -> Any:
    """Σ over an axis of each of two matrices: (rows, columns).

    The library multiplies rows by columns. XLA takes a transpose in front of a product into it and calls another,
    which takes up to twice as long for small matrices, and ten times for a long sum whose result is small, as the
    gradient of a layer's weights is. So the first operand is turned beforehand, where XLA cannot see it, or the result.
    """
    rows, columns, length = a.shape[1 - of_a], b.shape[1 - of_b], a.shape[of_a]
    if jax.default_backend() == "cpu" and a.dtype == b.dtype == jnp.float32 and min(rows, columns) > 0:
        pays = length >= 64 or 4 <= columns <= rows / 2
        if of_a == 0 and columns <= rows and rows * columns <= SMALL_RESULT and pays:
            return lax.transpose(apart(_product(b if of_b == 1 else _turned(b), a, 1, 0)), (1, 0))
        if rows * columns * length <= SMALL_PRODUCT:
            return _product(a if of_a == 1 else _turned(a), b, 1, of_b)
    return _product(a, b, of_a, of_b)


def total(x: Any, keepdims: bool = False, dtype: Any = None) -> Any:
    """The sum of all numbers. Of few, XLA adds one after the other; column by column it is up to ten times faster."""
    if jax.default_backend() == "cpu" and x.ndim > 1 and x.shape[-1] > 1 and 1 < x.size < FEW:
        columns = apart(jnp.sum(x, axis=tuple(range(x.ndim - 1)), dtype=dtype))
        return jnp.sum(columns, dtype=dtype).reshape((1,) * x.ndim if keepdims else ())
    return jnp.sum(x, keepdims=keepdims, dtype=dtype)


def side_by_side(x: Any, axis: int) -> Any:
    """A matrix of few columns, column by column, so that sums along its rows are made of many rows at once."""
    few = x.ndim == 2 and axis % 2 == 1 and 1 < x.shape[1] < FEW_COLUMNS <= x.shape[0] and x.size <= FEW
    if not few or jax.default_backend() != "cpu":
        return x
    return with_layout_constraint(x, Layout((1, 0)))  # type: ignore[no-untyped-call]


def _product(a: Any, b: Any, of_a: int, of_b: int) -> Any:
    return lax.dot_general(a, b, (((of_a,), (of_b,)), ((), ())))


def _turned(a: Any) -> Any:
    return apart(lax.transpose(a, (1, 0)))


def apart(a: Any) -> Any:
    """The same, computed before and not within what uses it; several arrays together."""
    return lax.optimization_barrier(a)  # type: ignore[no-untyped-call]
