"""jax.numpy as the array namespace that ops are written against."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import lax

from chainrule.engine.xla.convolution import convolution, convolution_kernel, convolution_transpose


class XlaNamespace:
    """jax.numpy as the array namespace that ops are written against."""

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
        """A contraction; of two operands as one ``dot_general``, without a detour."""
        if len(xs) != 2:
            return jnp.einsum(spec, *xs)
        (a, b), result = spec.split("->")[0].split(","), spec.split("->")[1]
        batch = [c for c in a if c in b and c in result]
        # In the order in which the larger operand has them, so that it is the smaller that is turned round.
        larger = a if xs[0].size >= xs[1].size else b
        summed = [c for c in larger if c in a and c in b and c not in result]
        dims = (
            (tuple(a.index(c) for c in summed), tuple(b.index(c) for c in summed)),
            (tuple(a.index(c) for c in batch), tuple(b.index(c) for c in batch)),
        )
        out = lax.dot_general(xs[0], xs[1], dims)
        letters = batch + [c for c in a + b if c not in batch and c not in summed]
        order = tuple(letters.index(c) for c in result)
        return out if order == tuple(range(len(order))) else lax.transpose(out, order)

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
