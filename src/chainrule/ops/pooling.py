"""Pooling: the largest number or the mean of every window, and what leads back from them to the input.

Two pairs of ops that are each other's derivatives. ``window_sum`` adds up every window, and ``window_copy`` puts each
number into its whole window. The maximum routes: ``max_unpool`` puts each number to where the largest of its window is,
and ``max_pick`` reads from there. All are written with slices instead of XLA's window reductions, which on a CPU take
several times as long; windows that lie side by side, the usual case, are a reshape.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.errors import ConfigurationError
from chainrule.graph.dim import Shape
from chainrule.graph.node import Node
from chainrule.graph.op import (
    ABSENT,
    CALL,
    NOWHERE,
    Calculus,
    Case,
    General,
    Linear,
    Op,
    Piece,
    Writer,
    declare,
    lift,
    misfit,
    vocabulary,
)
from chainrule.ops.contractions import einsum
from chainrule.ops.elementwise import first_dtype, same_float
from chainrule.ops.leaves import constant
from chainrule.ops.leaves import size as size_
from chainrule.ops.shaping import broadcast_to
from chainrule.ops.windows import Pairs, Sizes, axes_of, by, extents, meetings, paddings, per_axis, places, spatial

Attrs = Mapping[str, Any]


# --- arrays, of NumPy or jax.numpy ----------------------------------------------------------------


def _outs(sizes: Sequence[int], window: Sizes, strides: Sizes, padding: Pairs) -> Sizes:
    return tuple(
        (n + low + high - k) // s + 1 for n, k, s, (low, high) in zip(sizes, window, strides, padding, strict=True)
    )


def _side_by_side(window: Sizes, strides: Sizes, padding: Pairs) -> bool:
    return window == strides and not any(map(any, padding))


def _parts(xp: Any, x: Any, window: Sizes, strides: Sizes, padding: Pairs, fill: float = 0.0) -> list[Any]:
    """For every place in the window, in order, what all the windows have there: (m, places, c) each."""
    outs = _outs(x.shape[1:-1], window, strides, padding)
    every = slice(None)
    if _side_by_side(window, strides, padding):  # two axes for each: which window, and where in it
        kept = x[(every, *(slice(n * k) for n, k in zip(outs, window, strict=True)))]
        split = [size for pair in zip(outs, window, strict=True) for size in pair]
        tiles = xp.reshape(kept, (x.shape[0], *split, x.shape[-1]))
        return [tiles[(every, *(i for k in at for i in (every, k)))] for at in np.ndindex(*window)]
    padded = xp.pad(x, ((0, 0), *padding, (0, 0)), constant_values=fill) if any(map(any, padding)) else x
    return [
        padded[(every, *(slice(k, k + (n - 1) * s + 1, s) for k, n, s in zip(at, outs, strides, strict=True)))]
        for at in np.ndindex(*window)
    ]


def _joined(xp: Any, parts: Sequence[Any], sizes: Sizes, window: Sizes, strides: Sizes, padding: Pairs) -> Any:
    """The parts put back to where they come from, zeros elsewhere; where windows overlap they are added."""
    outs = parts[0].shape[1:-1]
    if _side_by_side(window, strides, padding):
        for axis in reversed(range(len(window))):
            k = window[axis]
            parts = [xp.stack(parts[i : i + k], axis=axis + 2) for i in range(0, len(parts), k)]
        covered = [n * k for n, k in zip(outs, window, strict=True)]
        x = xp.reshape(parts[0], (parts[0].shape[0], *covered, parts[0].shape[-1]))
        rest = [(0, n - c) for n, c in zip(sizes, covered, strict=True)]
        return xp.pad(x, ((0, 0), *rest, (0, 0))) if any(map(any, rest)) else x
    padded = [n + low + high for n, (low, high) in zip(sizes, padding, strict=True)]
    total: Any = None
    for at, part in zip(np.ndindex(*window), parts, strict=True):
        ends = zip(at, padded, outs, strides, strict=True)
        widths = ((0, 0, 0), *((k, size - k - (n - 1) * s - 1, s - 1) for k, size, n, s in ends), (0, 0, 0))
        placed = xp.interior_pad(part, widths)
        total = placed if total is None else total + placed
    return total[(slice(None), *(slice(low, low + n) for n, (low, _) in zip(sizes, padding, strict=True)))]


def _max_pool(xp: Any, x: Any, window: Sizes, strides: Sizes, padding: Pairs) -> Any:
    return functools.reduce(xp.maximum, _parts(xp, x, window, strides, padding, -np.inf))


def _first_largest(xp: Any, x: Any, window: Sizes, strides: Sizes, padding: Pairs) -> Iterator[Any]:
    """For every place in the window, in order, whether its window has its largest number there for the first time."""
    y = _max_pool(xp, x, window, strides, padding)
    found: Any = None
    for part in _parts(xp, x, window, strides, padding, -np.inf):
        equal = part == y
        yield equal if found is None else equal & ~found
        found = equal if found is None else found | equal


def _max_unpool(xp: Any, g: Any, x: Any, window: Sizes, strides: Sizes, padding: Pairs) -> Any:
    zero = xp.zeros((), g.dtype)
    parts = [xp.where(here, g, zero) for here in _first_largest(xp, x, window, strides, padding)]
    return _joined(xp, parts, x.shape[1:-1], window, strides, padding)


def _max_pick(xp: Any, t: Any, x: Any, window: Sizes, strides: Sizes, padding: Pairs) -> Any:
    zero = xp.zeros((), t.dtype)
    places = zip(_first_largest(xp, x, window, strides, padding), _parts(xp, t, window, strides, padding), strict=True)
    return functools.reduce(lambda a, b: a + b, (xp.where(here, part, zero) for here, part in places))


def _window_sum(xp: Any, x: Any, window: Sizes, strides: Sizes, padding: Pairs) -> Any:
    return functools.reduce(lambda a, b: a + b, _parts(xp, x, window, strides, padding))


def _window_copy(xp: Any, g: Any, spatial: Sizes, window: Sizes, strides: Sizes, padding: Pairs) -> Any:
    return _joined(xp, [g] * math.prod(window), spatial, window, strides, padding)


# --- shapes and notation --------------------------------------------------------------------------


def _pooled(what: str) -> Callable[[tuple[Node, ...], Attrs], Shape]:
    def rule(inputs: tuple[Node, ...], attrs: Attrs) -> Shape:
        x = inputs[-1]
        outs = _places(what, x, extents(x, len(attrs["window"]), what), attrs)
        if what == "max_pick" and inputs[0].shape != x.shape:
            raise misfit(what, inputs, expected="equal shapes")
        return (x.shape[0], *outs, x.shape[-1])

    return rule


def _unpooled(inputs: tuple[Node, ...], attrs: Attrs) -> Shape:
    g, x = inputs
    if _pooled("max_unpool")((x,), attrs) != g.shape:
        raise misfit("max_unpool", inputs, expected="a number for every window")
    return x.shape


def _copied(inputs: tuple[Node, ...], attrs: Attrs) -> Shape:
    g = inputs[0]
    outs = extents(g, len(attrs["window"]), "window_copy")
    if _places("window_copy", g, attrs["spatial"], attrs) != outs:
        raise misfit("window_copy", inputs, expected=f"a number for every window of {by(attrs['spatial'])}")
    return (g.shape[0], *attrs["spatial"], g.shape[-1])


def _places(what: str, x: Node, sizes: Sizes, attrs: Attrs) -> Sizes:
    return places(what, x, sizes, attrs["window"], attrs["strides"], attrs["padding"])


def _write(word: str) -> Writer:
    """``maxpool[2×2](x)``, and the stride where it is another: ``maxpool[3×3, stride 2](x)``."""

    def write(node: Node, args: Sequence[Piece], latex: bool) -> Piece:
        window, strides = node.attrs["window"], node.attrs["strides"]
        sizes, inner = by(window), ", ".join(a.text for a in args)
        step = "" if strides == window else by(strides if len(set(strides)) > 1 else strides[:1])
        if latex:
            below = sizes + (f",\\, \\mathrm{{stride}}\\,{step}" if step else "")
            return Piece(f"\\operatorname{{{word}}}_{{{below}}}\\left({inner}\\right)".replace("×", r" \times "), CALL)
        return Piece(f"{word}[{sizes}{f', stride {step}' if step else ''}]({inner})", CALL)

    return write


# --- references: window by window -----------------------------------------------------------------


def _windows(x: Any, window: Any, strides: Any, padding: Any) -> dict[Any, list[Any]]:
    """The places of x that each window covers."""
    outs = _outs(x.shape[1:-1], window, strides, padding)
    covered: dict[Any, list[Any]] = {out: [] for out in np.ndindex(*outs)}
    for out, _, met in meetings(x.shape[1:-1], outs, window, strides, padding, (1,) * len(window)):
        covered[out].append(met)
    return covered


def _reduced(reduce: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """For every window ``reduce(its numbers in the first array, its numbers in the last)``."""

    def reference(*arrays: Any, window: Any, strides: Any, padding: Any) -> Any:
        x = arrays[-1]
        y = np.zeros((len(x), *_outs(x.shape[1:-1], window, strides, padding), x.shape[-1]))
        for out, met in _windows(x, window, strides, padding).items():
            first, last = (np.stack([a[(slice(None), *at)] for at in met], axis=-1) for a in (arrays[0], x))
            y[(slice(None), *out)] = reduce(first, last)
        return y

    return reference


def _reference_unpool(g: Any, x: Any, window: Any, strides: Any, padding: Any) -> Any:
    out = np.zeros(x.shape)
    for at, met in _windows(x, window, strides, padding).items():
        largest = np.argmax(np.stack([x[(slice(None), *i)] for i in met], axis=-1), axis=-1)
        for k, i in enumerate(met):
            out[(slice(None), *i)] += (largest == k) * g[(slice(None), *at)]
    return out


def _reference_copy(g: Any, spatial: Any, window: Any, strides: Any, padding: Any) -> Any:
    out = np.zeros((len(g), *spatial, g.shape[-1]))
    for at, met in _windows(out, window, strides, padding).items():
        for i in met:
            out[(slice(None), *i)] += g[(slice(None), *at)]
    return out


# --- the ops --------------------------------------------------------------------------------------


def _pooling(
    name: str,
    doc: str,
    shape: Callable[[tuple[Node, ...], Attrs], Shape],
    forward: Callable[..., Any],
    calculus: Calculus,
    word: str,
    reference: Callable[..., Any],
    cases: tuple[Case, ...],
    *,
    arity: int,
    gate: str,
    structure: str,
    not_differentiable: str = NOWHERE,
) -> Op:
    return declare(
        Op(
            name=name,
            arity=arity,
            doc=doc,
            shape=shape,
            dtype=first_dtype,
            forward=forward,
            calculus=calculus,
            write=_write(word),
            gate=gate,
            structure=structure,
            facts=ABSENT,
            not_differentiable=not_differentiable,
            reference=reference,
            cases=cases,
            extremes=ABSENT,
            prepare=same_float,
        ),
        public=False,
    )


def _case(shape: Shape, window: Sizes, strides: Sizes | None = None, padding: Any = None) -> tuple[Shape, Attrs]:
    zeros = padding or ((0, 0),) * len(window)
    return shape, {"window": window, "strides": strides or window, "padding": zeros}


_CASES = (
    _case((2, 5, 2), (2,)),
    _case((2, 4, 5, 1), (2, 2)),
    _case((1, 3, 4, 2), (2, 2), (1, 2), ((0, 0), (1, 0))),
    _case((1, 5, 4, 1), (3, 2), (2, 1), ((1, 1), (0, 1))),
    _case((1, 2, 4, 2, 1), (2, 2, 2)),
)


def _pooled_shape(shape: Shape, attrs: Attrs) -> Shape:
    sizes = _outs(spatial(shape), attrs["window"], attrs["strides"], attrs["padding"])
    return (shape[0], *sizes, shape[-1])


_MOVES = "where another number of the window becomes the largest"

MAX_POOL: Op = _pooling(
    "max_pool",
    "the largest number of every window",
    _pooled("max_pool"),
    _max_pool,
    General(
        lambda g, node, k: MAX_UNPOOL(g, node.inputs[0], **node.attrs),
        lambda tangents, node: MAX_PICK(tangents[0], node.inputs[0], **node.attrs),
    ),
    "maxpool",
    _reduced(lambda _, x: x.max(axis=-1)),
    tuple(Case((shape,), attrs) for shape, attrs in _CASES),
    arity=1,
    gate="max: routes",
    structure="selects one",
    not_differentiable="at ties; the first of the window takes the gradient",
)
MAX_UNPOOL: Op = _pooling(
    "max_unpool",
    "every number of g at the place where x is largest in its window, the first of equals; zeros elsewhere",
    _unpooled,
    _max_unpool,
    Linear(lambda t, node, k: MAX_PICK(t, node.inputs[1], **node.attrs), (0,), joint=True),
    "maxunpool",
    _reference_unpool,
    tuple(Case((_pooled_shape(shape, attrs), shape), attrs) for shape, attrs in _CASES),
    arity=2,
    gate="selects",
    structure="places rows",
    not_differentiable=f"{_MOVES}, by x",
)
MAX_PICK: Op = _pooling(
    "max_pick",
    "of every window the number of t at the place where x is largest, the first of equals",
    _pooled("max_pick"),
    _max_pick,
    Linear(lambda g, node, k: MAX_UNPOOL(g, node.inputs[1], **node.attrs), (0,), joint=True),
    "maxpick",
    _reduced(lambda t, x: np.take_along_axis(t, x.argmax(axis=-1)[..., None], axis=-1)[..., 0]),
    tuple(Case((shape, shape), attrs) for shape, attrs in _CASES),
    arity=2,
    gate="max: routes",
    structure="selects rows",
    not_differentiable=f"{_MOVES}, by x",
)
WINDOW_SUM: Op = _pooling(
    "window_sum",
    "the sum of every window",
    _pooled("window_sum"),
    _window_sum,
    Linear(lambda g, node, k: WINDOW_COPY(g, spatial=spatial(node.inputs[0].shape), **node.attrs)),
    "sumpool",
    _reduced(lambda _, x: x.sum(axis=-1)),
    tuple(Case((shape,), attrs) for shape, attrs in _CASES),
    arity=1,
    gate="add: distributes",
    structure="windows of ones",
)
WINDOW_COPY: Op = _pooling(
    "window_copy",
    "every number of g in the whole of its window; where windows overlap they are added",
    _copied,
    _window_copy,
    Linear(
        lambda x, node, k: WINDOW_SUM(x, **{key: node.attrs[key] for key in ("window", "strides", "padding")}),
    ),
    "repeat",
    _reference_copy,
    tuple(Case((_pooled_shape(shape, attrs),), {**attrs, "spatial": spatial(shape)}) for shape, attrs in _CASES),
    arity=1,
    gate="copy: adds",
    structure="windows of ones",
)


# --- what users call ------------------------------------------------------------------------------


def _settings(x: Node, window: Any, strides: Any, padding: Any, what: str) -> dict[str, Any]:
    axes = axes_of(x, what)
    sizes, window = extents(x, axes, what), per_axis(window, axes, "the window")
    steps = window if strides is None else per_axis(strides, axes, "strides")
    zeros = paddings(padding, sizes, window, steps, (1,) * axes)
    if any(max(pair) >= k for pair, k in zip(zeros, window, strict=True)):
        raise ConfigurationError(
            f"{what}: a window would lie in the padding as a whole",
            given=f"padding {padding!r}, a window of {by(window)}",
            expected="a padding smaller than the window",
        )
    return {"window": window, "strides": steps, "padding": zeros}


@vocabulary
def max_pool(x: Any, window: Any = 2, strides: Any = None, padding: Any = "valid") -> Node:
    """The largest number of every window, for each channel by itself; of equal ones the first takes the gradient.

    Args:
        x: (m, length, c), (m, height, width, c) or with a depth.
        window: its size, one number or one for each axis.
        strides: how far it moves at each step; by default its own size, so that windows lie side by side.
        padding: ``"valid"``, ``"same"``, a number, or for each axis a number or a pair (before, after); what is added
            is −∞ and never the largest.

    Returns:
        (m, places, c); after ``"valid"`` a rest at the end that fills no window is left out.

    >>> import chainrule as cr
    >>> y = cr.max_pool(cr.input("x", ("m", 28, 28, 3)))
    >>> y.shape, str(y)
    ((m, 14, 14, 3), 'maxpool[2×2](x)')
    """
    x = lift(x)
    return MAX_POOL(x, **_settings(x, window, strides, padding, "max_pool"))


@vocabulary
def average_pool(x: Any, window: Any = 2, strides: Any = None, padding: Any = "valid") -> Node:
    """The mean of every window, for each channel by itself; what padding adds does not count.

    PyTorch counts padded zeros by default (``count_include_pad=True``), Keras does not.

    Args:
        x: (m, length, c), (m, height, width, c) or with a depth.
        window: its size, one number or one for each axis.
        strides: how far it moves at each step; by default its own size, so that windows lie side by side.
        padding: ``"valid"``, ``"same"``, a number, or for each axis a number or a pair (before, after).

    Returns:
        (m, places, c).

    >>> import chainrule as cr
    >>> print(cr.average_pool(cr.input("x", ("m", 28, 28, 3))))
    1/4 · sumpool[2×2](x)
    """
    x = lift(x)
    settings = _settings(x, window, strides, padding, "average_pool")
    total = WINDOW_SUM(x, **settings)
    if not any(map(any, settings["padding"])):
        return (1 / size_(math.prod(settings["window"]))) * total
    return total / WINDOW_SUM(broadcast_to(constant(1.0), (1, *x.shape[1:-1], 1)), **settings)


@vocabulary
def upsample(x: Any, size: Any = 2, interpolation: str = "nearest") -> Node:
    """Larger by whole factors: every number repeated, or those between them interpolated.

    Args:
        x: (m, length, c), (m, height, width, c) or with a depth.
        size: the factor, one number or one for each axis.
        interpolation: ``"nearest"`` repeats; ``"bilinear"`` draws straight lines between the middles of the old
            places, as TensorFlow and PyTorch (``align_corners=False``) do.

    Returns:
        (m, size · length, c).

    >>> import chainrule as cr
    >>> y = cr.upsample(cr.input("x", ("m", 7, 7, 3)))
    >>> y.shape, str(y)
    ((m, 14, 14, 3), 'repeat[2×2](x)')
    """
    (y,) = same_float([lift(x)])
    axes = axes_of(y, "upsample")
    sizes, factors = extents(y, axes, "upsample"), per_axis(size, axes, "size")
    if interpolation == "nearest":
        larger = tuple(n * k for n, k in zip(sizes, factors, strict=True))
        return WINDOW_COPY(y, spatial=larger, window=factors, strides=factors, padding=((0, 0),) * axes)
    if interpolation != "bilinear":
        raise ConfigurationError("no such interpolation", given=repr(interpolation), expected="'nearest' or 'bilinear'")
    letters = "mabcz"[: axes + 1] + "z"
    for axis, (n, factor) in enumerate(zip(sizes, factors, strict=True), start=1):
        spec = f"o{letters[axis]},{letters}->{letters.replace(letters[axis], 'o')}"
        y = einsum(spec, constant(_between(n, factor)), y)
    return y


def _between(n: int, factor: int) -> Any:
    """(factor · n, n): the weights of the two nearest old places for each new one."""
    at = np.clip((np.arange(factor * n) + 0.5) / factor - 0.5, 0, n - 1)
    return np.maximum(0.0, 1.0 - np.abs(at[:, None] - np.arange(n)))
