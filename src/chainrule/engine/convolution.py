"""Convolution in NumPy: a matrix product for every place in the kernel, of what all its windows have there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Sizes = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


def convolution(x: Array, w: Array, *, strides: Sizes, padding: Pairs, dilation: Sizes, groups: int) -> Array:
    """x ∗ w: x (m, sizes, c), w (window, c / groups, n) → (m, places, n)."""
    outs = [
        (n + low + high - d * (k - 1) - 1) // s + 1
        for n, (low, high), k, d, s in zip(x.shape[1:-1], padding, w.shape, dilation, strides, strict=False)
    ]
    padded = np.pad(x, ((0, 0), *padding, (0, 0)))
    y = np.zeros((len(x), *outs, w.shape[-1]), x.dtype)
    for of_x, of_w, of_y in zip(*(_groups(a, groups) for a in (padded, w, y)), strict=True):
        for at, part in _parts(of_x, outs, w.shape[:-2], strides, dilation):
            of_y += part @ of_w[at]
    return y


def convolution_transpose(
    g: Array, w: Array, *, spatial: Sizes, strides: Sizes, padding: Pairs, dilation: Sizes, groups: int
) -> Array:
    """g ∗ wᵀ: g (m, places, n), w (window, c / groups, n) → (m, sizes, c)."""
    padded = [n + low + high for n, (low, high) in zip(spatial, padding, strict=True)]
    x = np.zeros((len(g), *padded, w.shape[-2] * groups), g.dtype)
    for of_x, of_w, of_g in zip(*(_groups(a, groups) for a in (x, w, g)), strict=True):
        for at, part in _parts(of_x, g.shape[1:-1], w.shape[:-2], strides, dilation):
            part += of_g @ of_w[at].T
    return x[(slice(None), *(slice(low, low + n) for n, (low, _) in zip(spatial, padding, strict=True)))]


def convolution_kernel(
    x: Array, g: Array, *, window: Sizes, strides: Sizes, padding: Pairs, dilation: Sizes, groups: int
) -> Array:
    """xᵀ ∗ g: x (m, sizes, c), g (m, places, n) → (window, c / groups, n)."""
    padded = np.pad(x, ((0, 0), *padding, (0, 0)))
    w = np.zeros((*window, x.shape[-1] // groups, g.shape[-1]), x.dtype)
    for of_x, of_w, of_g in zip(*(_groups(a, groups) for a in (padded, w, g)), strict=True):
        rows = of_g.reshape(-1, of_g.shape[-1])
        for at, part in _parts(of_x, g.shape[1:-1], window, strides, dilation):
            of_w[at] += part.reshape(-1, part.shape[-1]).T @ rows
    return w


def _groups(array: Array, groups: int) -> list[Array]:
    """The channels of each group, as views; of a kernel's input channels each group has its own already."""
    return np.split(array, groups, axis=-1)


def _parts(
    x: Array, outs: Sequence[int], window: Sizes, strides: Sizes, dilation: Sizes
) -> Iterator[tuple[Sizes, Array]]:
    """For every place in the window a view of what all the windows have there."""
    for at in np.ndindex(*window):
        cuts = (
            slice(k * d, k * d + (n - 1) * s + 1, s) for k, d, n, s in zip(at, dilation, outs, strides, strict=True)
        )
        yield at, x[(slice(None), *cuts)]
