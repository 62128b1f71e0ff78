"""Convolution through XLA, as it is fast on a CPU: channels last, and kernel gradients as matrix products.

XLA's own convolution is used where it is at its best, for x ∗ w and g ∗ wᵀ with channels last. The sum over examples
xᵀ ∗ g is not such a case: as a convolution it took from 1.5 to 2 times as long on two cores, and inside the loop of an
epoch XLA may fall back to code that takes a hundred times as long. So it is written as matrix products: one of all the
windows as columns where there are few channels, else one for every place in the kernel.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

Sizes = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]
NARROW = 64
"""So many numbers in a window, channels included, are few: then the windows are written out as columns."""


def convolution(
    x: jax.Array, w: jax.Array, *, strides: Sizes, padding: Pairs, dilation: Sizes, groups: int
) -> jax.Array:
    """x ∗ w: x (m, sizes, c), w (window, c / groups, n) → (m, places, n)."""
    return lax.conv_general_dilated(
        x,
        w,
        strides,
        padding,
        rhs_dilation=dilation,
        dimension_numbers=_layout(len(strides)),
        feature_group_count=groups,
    )


def convolution_transpose(
    g: jax.Array, w: jax.Array, *, spatial: Sizes, strides: Sizes, padding: Pairs, dilation: Sizes, groups: int
) -> jax.Array:
    """g ∗ wᵀ: g (m, places, n), w (window, c / groups, n) → (m, sizes, c).

    A convolution with the kernel turned round, over the numbers of g set apart by the stride.
    """
    axes, window = len(strides), w.shape[:-2]
    turned = jnp.flip(w, range(axes)).reshape(*window, w.shape[-2], groups, w.shape[-1] // groups)
    turned = jnp.moveaxis(turned, -1, axes).swapaxes(-1, -2).reshape(*window, w.shape[-1] // groups, -1)
    zeros = []
    for n, out, k, s, d, (low, _) in zip(spatial, g.shape[1:-1], window, strides, dilation, padding, strict=True):
        zeros.append((d * (k - 1) - low, n - (out - 1) * s - 1 + low))
    return lax.conv_general_dilated(
        g,
        turned,
        (1,) * axes,
        zeros,
        lhs_dilation=strides,
        rhs_dilation=dilation,
        dimension_numbers=_layout(axes),
        feature_group_count=groups,
    )


def convolution_kernel(
    x: jax.Array, g: jax.Array, *, window: Sizes, strides: Sizes, padding: Pairs, dilation: Sizes, groups: int
) -> jax.Array:
    """xᵀ ∗ g: x (m, sizes, c), g (m, places, n) → (window, c / groups, n)."""
    outs, share, filters = g.shape[1:-1], x.shape[-1] // groups, g.shape[-1]
    padded = jnp.pad(x, ((0, 0), *padding, (0, 0)))

    def part(at: Sizes) -> jax.Array:
        """What all the windows have at one place, (rows, groups, channels of a group)."""
        starts = [k * d for k, d in zip(at, dilation, strict=True)]
        stops = [k + (n - 1) * s + 1 for k, n, s in zip(starts, outs, strides, strict=True)]
        ends = (x.shape[0], *stops, x.shape[-1])
        return lax.slice(padded, (0, *starts, 0), ends, (1, *strides, 1)).reshape(-1, groups, share)

    rows = g.reshape(-1, groups, filters // groups)
    places = [part(at) for at in np.ndindex(*window)]
    if math.prod(window) * share <= NARROW:
        columns = jnp.concatenate(places, axis=-1)
        products = _product(columns, rows).reshape(groups, *window, share, -1)
    else:
        products = jnp.stack([_product(rows, p).swapaxes(-1, -2) for p in places], axis=1)
        products = products.reshape(groups, *window, share, -1)
    return jnp.moveaxis(products, 0, -2).reshape(*window, share, filters)


def _product(a: jax.Array, b: jax.Array) -> jax.Array:
    """aᵀ b of each group: (rows, groups, p) and (rows, groups, q) → (groups, p, q)."""
    if a.shape[1] == 1:
        return lax.dot_general(a[:, 0], b[:, 0], (((0,), (0,)), ((), ())))[None]
    return lax.dot_general(a, b, (((0,), (0,)), ((1,), (1,))))


def _layout(axes: int) -> tuple[str, str, str]:
    """Channels last: NHWC for images and their results, HWIO for the kernel."""
    letters = "DHW"[-axes:]
    return f"N{letters}C", f"{letters}IO", f"N{letters}C"
