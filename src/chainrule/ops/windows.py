"""Windows that slide over the axes between the examples and the channels: how many there are, and how they are written.

Shared by convolution and pooling, of sequences (m, length, channels), images (m, height, width, channels) and volumes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from chainrule.errors import ConfigurationError, ShapeError
from chainrule.graph.dim import Shape
from chainrule.graph.node import Node, user_line
from chainrule.graph.op import misfit

Sizes = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]

AXES = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}
"""What the axes are called over which windows slide."""


def layout(axes: int) -> str:
    """The axes of what windows slide over: (m, height, width, channels)."""
    return f"(m, {', '.join(AXES[axes])}, channels)"


def by(sizes: Sequence[Any]) -> str:
    """Sizes as people write them: 3×3."""
    return "×".join(map(str, sizes))


def axes_of(x: Node, what: str) -> int:
    """How many axes of x lie between the examples and the channels: one, two or three."""
    if x.ndim - 2 not in AXES:
        raise misfit(what, [x], expected=f"{layout(1)} or {layout(2)}", hint=_hint(x, 1))
    return x.ndim - 2


def extents(x: Node, axes: int, what: str) -> Sizes:
    """The sizes of the axes over which windows slide; they have to be whole numbers."""
    if x.ndim != axes + 2:
        raise misfit(what, [x], expected=f"{axes + 2} axes: {layout(axes)}", hint=_hint(x, axes))
    if not all(isinstance(size, int) for size in x.shape[1:]):
        raise misfit(
            what,
            [x],
            expected=f"whole numbers for {', '.join(AXES[axes])} and channels",
            hint="the number of examples alone may be known later",
        )
    return tuple(size for size in x.shape[1:-1] if isinstance(size, int))


def _hint(x: Node, axes: int) -> str | None:
    return "one channel is an axis as well: x[..., None]" if x.ndim == axes + 1 else None


def per_axis(value: Any, axes: int, what: str, least: int = 1) -> Sizes:
    """A whole number for each axis, from one for all of them or a sequence."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,) * axes
    if len(values) != axes or not all(_whole(v, least) for v in values):
        each = f", or {axes} of them, one for each axis" if axes > 1 else ""
        raise ConfigurationError(f"{what}: a whole number of at least {least}{each}", given=repr(value))
    return tuple(int(v) for v in values)


def _whole(value: Any, least: int) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool) and value >= least


def paddings(padding: Any, sizes: Sizes, window: Sizes, strides: Sizes, dilation: Sizes) -> Pairs:
    """How many zeros lie before and after each axis.

    Args:
        padding: ``"valid"`` for none, ``"same"`` for ⌈size / stride⌉ places, ``"causal"`` for zeros before one axis
            only; or numbers: one for all, or for each axis a number or a pair (before, after).
        sizes: of the axes.
        window: sizes of the window, with its ``strides`` and ``dilation``.
    """
    axes = len(sizes)
    if padding == "valid":
        return ((0, 0),) * axes
    reaches = [d * (k - 1) + 1 for k, d in zip(window, dilation, strict=True)]
    if padding == "same":
        needed = [max((-(-n // s) - 1) * s + r - n, 0) for n, s, r in zip(sizes, strides, reaches, strict=True)]
        return tuple((zeros // 2, zeros - zeros // 2) for zeros in needed)
    if padding == "causal" and axes == 1:
        return ((reaches[0] - 1, 0),)
    values = tuple(padding) if isinstance(padding, (tuple, list)) else (padding,) * axes
    pairs = tuple(tuple(v) if isinstance(v, (tuple, list)) else (v, v) for v in values)
    if len(pairs) != axes or not all(len(pair) == 2 and all(_whole(v, 0) for v in pair) for pair in pairs):
        raise ConfigurationError(
            "not a padding",
            given=repr(padding),
            expected="'valid', 'same'"
            + (", 'causal'" if axes == 1 else "")
            + f", a whole number, or for each axis a number or a pair (before, after): {((1, 2),) * axes}",
            hint="'causal' looks back in time: it is for one axis" if padding == "causal" else None,
        )
    return tuple((int(low), int(high)) for low, high in pairs)


def places(
    what: str, x: Node, sizes: Sizes, window: Sizes, strides: Sizes, padding: Pairs, dilation: Sizes | None = None
) -> Sizes:
    """How many places a window has on each axis; an error with all sizes where it has none."""
    reaches = [d * (k - 1) + 1 for k, d in zip(window, dilation or (1,) * len(window), strict=True)]
    padded = [n + low + high for n, (low, high) in zip(sizes, padding, strict=True)]
    if any(reach > size for reach, size in zip(reaches, padded, strict=True)):
        line = user_line()
        spread = f", {by(reaches)} with its dilation {by(dilation)}" if dilation and max(dilation) > 1 else ""
        zeros = f", {by(padded)} with its padding" if padded != list(sizes) else ""
        raise ShapeError(
            f"{what}: the window is larger than what it slides over",
            given=f"a window of {by(window)}{spread} over {x.name or x.op.name} of {by(sizes)}{zeros}",
            expected=f"at most {by(padded)}",
            where=f"{line[0]}, line {line[1]}" if line else None,
            hint="padding='same' adds zeros around; or make the window, or the pooling before it, smaller",
        )
    return tuple((n - reach) // s + 1 for n, reach, s in zip(padded, reaches, strides, strict=True))


def meetings(
    sizes: Sequence[int], outs: Sequence[int], window: Sizes, strides: Sizes, padding: Pairs, dilation: Sizes
) -> Iterator[tuple[Sizes, Sizes, Sizes]]:
    """Place of the window, place in the window, and the place of x that they meet at; for the references of ops."""
    for out in np.ndindex(*outs):
        for at in np.ndindex(*window):
            met = tuple(
                o * s + k * d - low for o, s, k, d, (low, _) in zip(out, strides, at, dilation, padding, strict=True)
            )
            if all(0 <= i < n for i, n in zip(met, sizes, strict=True)):
                yield out, at, met


def spatial(shape: Shape) -> Sizes:
    """The sizes between the examples and the channels."""
    return tuple(size for size in shape[1:-1] if isinstance(size, int))
