"""NumPy as the array namespace that ops are written against, with the few functions that it lacks."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.engine.convolution import convolution, convolution_kernel, convolution_transpose


class NumPyNamespace:
    """NumPy, and ``erf``, ``astype``, ``interior_pad``, ``add_at``, ``scan``, convolutions and a fast ``einsum``."""

    convolution = staticmethod(convolution)
    convolution_transpose = staticmethod(convolution_transpose)
    convolution_kernel = staticmethod(convolution_kernel)

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    @staticmethod
    def astype(x: Any, dtype: Any) -> Any:
        """The array in another type."""
        return np.asarray(x).astype(dtype)

    @staticmethod
    def erf(x: Any) -> Any:
        """The error function."""
        from scipy.special import erf

        return erf(x)

    @staticmethod
    def side_by_side(x: Any, axis: int) -> Any:
        """The same; XLA is told to lay it out for sums along an axis."""
        return x

    @staticmethod
    def einsum(spec: str, *xs: Any) -> Any:
        """A contraction, through BLAS where it is a product of two."""
        return np.einsum(spec, *xs, optimize=len(xs) > 1)

    @staticmethod
    def interior_pad(x: Any, widths: Any) -> Any:
        """Zeros before, after and between."""
        shape = [low + n + max(n - 1, 0) * gap + high for n, (low, high, gap) in zip(x.shape, widths, strict=True)]
        out = np.zeros(shape, x.dtype)
        inner = tuple(
            slice(low, low + max((n - 1) * (gap + 1) + 1, 0), gap + 1)
            for n, (low, _, gap) in zip(x.shape, widths, strict=True)
        )
        out[inner] = x
        return out

    @staticmethod
    def add_at(out: Any, where: Any, values: Any) -> Any:
        """``out[where] += values``, repeated places added up."""
        np.add.at(out, where, values)
        return out

    @staticmethod
    def scan(step: Any, state: Any, sequences: Any, length: int, backwards: bool) -> Any:
        """``state, outputs = step(state, slices)`` over time: the last state, and the outputs of all times stacked."""
        found: list[Any] = [()] * length
        for t in reversed(range(length)) if backwards else range(length):
            state, found[t] = step(state, tuple(s[t] for s in sequences))
        return state, tuple(np.stack(of_all) for of_all in zip(*found, strict=True))


NUMPY = NumPyNamespace()
