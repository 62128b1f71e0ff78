"""jax.numpy as the array namespace that ops are written against."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import lax

from chainrule.engine.xla.convolution import convolution, convolution_kernel, convolution_transpose
from chainrule.engine.xla.products import contraction, side_by_side, total


class XlaNamespace:
    """jax.numpy as the array namespace that ops are written against.

    Args:
        alone: whether it is for one device; several that share the rows of a batch would exchange what is laid out.
    """

    def __init__(self, alone: bool = True) -> None:
        self.alone = alone

    convolution = staticmethod(convolution)
    convolution_transpose = staticmethod(convolution_transpose)
    convolution_kernel = staticmethod(convolution_kernel)

    def __getattr__(self, name: str) -> Any:
        return getattr(jnp, name)

    @staticmethod
    def astype(x: Any, dtype: Any) -> Any:
        """The array in another type."""
        return x if x.dtype == dtype else lax.convert_element_type(x, dtype)

    @staticmethod
    def erf(x: Any) -> Any:
        """The error function."""
        return lax.erf(x)

    @staticmethod
    def einsum(spec: str, *xs: Any) -> Any:
        """A contraction."""
        return contraction(spec, *xs) if len(xs) == 2 else jnp.einsum(spec, *xs)

    def side_by_side(self, x: Any, axis: int) -> Any:
        """The same, laid out so that sums along an axis are fast."""
        return side_by_side(x, axis) if self.alone else x

    @staticmethod
    def sum(x: Any, axis: Any, keepdims: bool = False, dtype: Any = None) -> Any:
        """A sum."""
        whole = axis is None or (isinstance(axis, tuple) and len(axis) == x.ndim)
        return total(x, keepdims, dtype) if whole else jnp.sum(x, axis=axis, keepdims=keepdims, dtype=dtype)

    @staticmethod
    def interior_pad(x: Any, widths: Any) -> Any:
        """Zeros before, after and between."""
        return lax.pad(x, jnp.zeros((), x.dtype), widths)

    @staticmethod
    def add_at(out: Any, where: Any, values: Any) -> Any:
        """``out[where] += values``, repeated places added up."""
        return out.at[where].add(values)

    @staticmethod
    def scan(step: Any, state: Any, sequences: Any, length: int, backwards: bool) -> Any:
        """``state, outputs = step(state, slices)`` over time, as one loop whatever its length."""
        return lax.scan(step, state, sequences, length, reverse=backwards)


XLA = XlaNamespace()
SHARED = XlaNamespace(alone=False)
