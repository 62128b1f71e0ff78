"""Convolution: three ops that are each other's derivatives, of sequences, images and volumes with channels last.

One sum with three factors is behind all of them, over examples i, places o, places k in the kernel, and channels:

    T(x, w, g) = Σ x[i, o·stride + k·dilation − padding, c] · w[k, c, n] · g[i, o, n].

It is linear in each factor. Its derivative by g is the convolution ``x ∗ w``, by x the transposed one ``g ∗ wᵀ``, and
by w the one that sums over the examples, ``xᵀ ∗ g``; the same that X W, G Wᵀ and Xᵀ G are for matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.errors import ConfigurationError
from chainrule.graph.dim import Shape, Size, product
from chainrule.graph.node import Node
from chainrule.graph.op import (
    ABSENT,
    CALL,
    MATMUL,
    NOWHERE,
    Case,
    Linear,
    Op,
    Piece,
    Writer,
    declare,
    lift,
    misfit,
    vocabulary,
)
from chainrule.ops.elementwise import first_dtype, same_float
from chainrule.ops.windows import Sizes, axes_of, by, extents, meetings, paddings, per_axis, places, spatial

Attrs = Mapping[str, Any]
SETTINGS = ("strides", "padding", "dilation", "groups")


def _settings(node: Node) -> dict[str, Any]:
    return {key: node.attrs[key] for key in SETTINGS}


# --- shapes ---------------------------------------------------------------------------------------


def _places(what: str, x: Node, sizes: Sizes, window: Sizes, attrs: Attrs) -> Sizes:
    return places(what, x, sizes, window, attrs["strides"], attrs["padding"], attrs["dilation"])


def _window(w: Node, axes: int, what: str) -> Sizes:
    """The kernel's sizes without those of its channels."""
    if w.ndim != axes + 2 or not all(isinstance(size, int) for size in w.shape):
        raise misfit(what, [w], expected=f"a kernel of {axes} sizes, channels in and channels out, all whole numbers")
    return tuple(size for size in w.shape[:-2] if isinstance(size, int))


def _grouped(what: str, groups: int, channels: Any, filters: Any) -> None:
    """Check that channels and filters fall into groups of one size."""
    if channels % groups or filters % groups:
        raise ConfigurationError(
            f"{what}: channels and filters are shared out evenly among the groups",
            given=f"{channels} channels and {filters} filters in {groups} groups",
            expected=f"both divisible by {groups}",
        )


def _convolved(inputs: tuple[Node, ...], attrs: Attrs) -> Shape:
    x, w = inputs
    axes, groups = len(attrs["strides"]), attrs["groups"]
    sizes, window = extents(x, axes, "convolution"), _window(w, axes, "convolution")
    _grouped("convolution", groups, x.shape[-1], w.shape[-1])
    if w.shape[-2] * groups != x.shape[-1]:
        raise misfit(
            "convolution",
            inputs,
            expected=f"a kernel for {x.shape[-1]} channels"
            + (f" in {groups} groups, {x.shape[-1] // groups} each" if groups > 1 else "")
            + f", not {w.shape[-2]}, in its last axis but one",
        )
    return (x.shape[0], *_places("convolution", x, sizes, window, attrs), w.shape[-1])


def _transposed(inputs: tuple[Node, ...], attrs: Attrs) -> Shape:
    g, w = inputs
    what, axes, groups = "convolution_transpose", len(attrs["strides"]), attrs["groups"]
    outs, window = extents(g, axes, what), _window(w, axes, what)
    channels = w.shape[-2] * groups
    if w.shape[-1] != g.shape[-1]:
        raise misfit(what, inputs, expected=f"a kernel whose last axis has the {g.shape[-1]} channels of the operand")
    _grouped(what, groups, channels, g.shape[-1])
    if _places(what, g, attrs["spatial"], window, attrs) != outs:
        raise misfit(what, inputs, expected=f"an operand that a convolution of {by(attrs['spatial'])} gives")
    return (g.shape[0], *attrs["spatial"], channels)


def _kernel_shape(inputs: tuple[Node, ...], attrs: Attrs) -> Shape:
    x, g = inputs
    what, axes, groups = "convolution_kernel", len(attrs["strides"]), attrs["groups"]
    sizes, outs = extents(x, axes, what), extents(g, axes, what)
    _grouped(what, groups, x.shape[-1], g.shape[-1])
    if x.shape[0] != g.shape[0] or _places(what, x, sizes, attrs["window"], attrs) != outs:
        raise misfit(what, inputs, expected=f"the places of a window of {by(attrs['window'])}, and as many examples")
    return (*attrs["window"], x.shape[-1] // groups, g.shape[-1])


# --- notation -------------------------------------------------------------------------------------


def _pace(sizes: Sizes, latex: bool, below: bool = False) -> str:
    """One number where all are equal, else one for each axis; 1/2 for the steps of a transposed convolution."""
    words = [f"1/{s}" if below and s > 1 else str(s) for s in (sizes if len(set(sizes)) > 1 else sizes[:1])]
    return (r" \times " if latex else "×").join(words)


def _star(turned: int | None, swapped: bool = False, below: bool = False) -> Writer:
    """``x ∗ w``, with what is not usual: ``x ∗[stride 2] w``. Operand number ``turned`` is written transposed."""

    def write(node: Node, args: Sequence[Piece], latex: bool) -> Piece:
        strides, dilation = node.attrs["strides"], node.attrs["dilation"]
        if swapped:  # of the sum over places, the stride becomes the dilation and the other way round
            strides, dilation = dilation, strides
        words = []
        if max(strides) > 1:
            words.append(("stride", _pace(strides, latex, below)))
        if max(dilation) > 1:
            words.append(("dilation", _pace(dilation, latex)))
        if node.attrs["groups"] > 1:
            words.append(("groups", str(node.attrs["groups"])))
        top = r"^{\top}" if latex else "ᵀ"
        a, b = (
            piece.at_least(CALL, latex) + top if k == turned else piece.at_least(MATMUL + 1, latex)
            for k, piece in enumerate(args)
        )
        if latex:
            below_star = ",\\, ".join(f"\\mathrm{{{word}}}\\,{number}" for word, number in words)
            star = r"\ast" + (f"_{{{below_star}}}" if words else "")
        else:
            star = "∗" + (f"[{', '.join(f'{word} {number}' for word, number in words)}]" if words else "")
        return Piece(f"{a} {star} {b}", MATMUL)

    return write


# --- references -----------------------------------------------------------------------------------


def _per_group(array: Any, groups: int, group: int) -> Any:
    """The channels of one group, in the last axis."""
    size = array.shape[-1] // groups
    return array[..., group * size : (group + 1) * size]


def _reference(x: Any, w: Any, strides: Any, padding: Any, dilation: Any, groups: int) -> Any:
    window = w.shape[:-2]
    outs = [
        (n + low + high - d * (k - 1) - 1) // s + 1
        for n, (low, high), k, d, s in zip(x.shape[1:-1], padding, window, dilation, strides, strict=True)
    ]
    y = np.zeros((len(x), *outs, w.shape[-1]))
    for out, at, met in meetings(x.shape[1:-1], outs, window, strides, padding, dilation):
        for group in range(groups):
            part = _per_group(x[(slice(None), *met)], groups, group) @ _per_group(w[at], groups, group)
            _per_group(y, groups, group)[(slice(None), *out)] += part
    return y


def _reference_transpose(g: Any, w: Any, spatial: Any, strides: Any, padding: Any, dilation: Any, groups: int) -> Any:
    x = np.zeros((len(g), *spatial, w.shape[-2] * groups))
    for out, at, met in meetings(spatial, g.shape[1:-1], w.shape[:-2], strides, padding, dilation):
        for group in range(groups):
            part = _per_group(g[(slice(None), *out)], groups, group) @ _per_group(w[at], groups, group).T
            _per_group(x, groups, group)[(slice(None), *met)] += part
    return x


def _reference_kernel(x: Any, g: Any, window: Any, strides: Any, padding: Any, dilation: Any, groups: int) -> Any:
    w = np.zeros((*window, x.shape[-1] // groups, g.shape[-1]))
    for out, at, met in meetings(x.shape[1:-1], g.shape[1:-1], window, strides, padding, dilation):
        for group in range(groups):
            part = _per_group(x[(slice(None), *met)], groups, group).T @ _per_group(
                g[(slice(None), *out)], groups, group
            )
            _per_group(w, groups, group)[at] += part
    return w


# --- the three ops --------------------------------------------------------------------------------


def _usual(axes: int, **changes: Any) -> dict[str, Any]:
    usual = {"strides": (1,) * axes, "padding": ((0, 0),) * axes, "dilation": (1,) * axes, "groups": 1}
    return usual | changes


def _bilinear(
    name: str,
    doc: str,
    shape: Callable[[tuple[Node, ...], Attrs], Shape],
    transpose: Callable[[Node, Node, int], Node],
    write: Writer,
    reference: Callable[..., Any],
    cases: tuple[Case, ...],
    multiply_adds: Callable[[Node], Size],
) -> Op:
    return declare(
        Op(
            name=name,
            arity=2,
            doc=doc,
            shape=shape,
            dtype=first_dtype,
            forward=lambda xp, a, b, **settings: getattr(xp, name)(a, b, **settings),
            calculus=Linear(transpose),
            write=write,
            gate="multiply: swaps, and adds over the sum",
            structure="contraction",
            facts=ABSENT,
            not_differentiable=NOWHERE,
            reference=reference,
            cases=cases,
            extremes=ABSENT,
            prepare=same_float,
            multiply_adds=multiply_adds,
        ),
        public=False,
    )


def _products(g: Shape, w: Shape) -> Size:
    """A product for every number of g and every weight of its filter, those that meet padding among them."""
    return product((*g, *w[:-1]))


def _by_x(g: Node, w: Node, x: Node, node: Node) -> Node:
    return CONVOLUTION_TRANSPOSE(g, w, spatial=spatial(x.shape), **_settings(node))


def _by_w(x: Node, g: Node, w: Node, node: Node) -> Node:
    return CONVOLUTION_KERNEL(x, g, window=tuple(w.shape[:-2]), **_settings(node))


def _convolution_transpose(g: Node, node: Node, k: int) -> Node:
    x, w = node.inputs
    return _by_w(x, g, w, node) if k else _by_x(g, w, x, node)


def _transposed_transpose(x: Node, node: Node, k: int) -> Node:
    g, w = node.inputs
    return _by_w(x, g, w, node) if k else CONVOLUTION(x, w, **_settings(node))


def _kernel_transpose(w: Node, node: Node, k: int) -> Node:
    x, g = node.inputs
    return CONVOLUTION(x, w, **_settings(node)) if k else _by_x(g, w, x, node)


CONVOLUTION: Op = _bilinear(
    "convolution",
    "x ∗ w: at every place, the sum of a window of x times the kernel",
    _convolved,
    _convolution_transpose,
    _star(None),
    _reference,
    (
        Case(((2, 4, 1), (3, 1, 2)), _usual(1)),
        Case(((2, 5, 2), (2, 2, 3)), _usual(1, strides=(2,), padding=((1, 2),))),
        Case(((2, 3, 4, 2), (2, 3, 2, 2)), _usual(2)),
        Case(((1, 4, 3, 2), (2, 2, 1, 4)), _usual(2, strides=(2, 1), padding=((0, 1), (1, 1)), groups=2)),
        Case(((2, 5, 4, 1), (2, 2, 1, 1)), _usual(2, dilation=(2, 3), padding=((1, 0), (0, 0)))),
        Case(((1, 3, 2, 3, 1), (2, 2, 2, 1, 2)), _usual(3)),
    ),
    lambda node: _products(node.shape, node.inputs[1].shape),
)
CONVOLUTION_TRANSPOSE: Op = _bilinear(
    "convolution_transpose",
    "g ∗ wᵀ: every number of g puts the kernel, times itself, into its window",
    _transposed,
    _transposed_transpose,
    _star(1, below=True),
    _reference_transpose,
    (
        Case(((2, 2, 2), (3, 1, 2)), _usual(1, spatial=(4,))),
        Case(((2, 4, 3), (2, 2, 3)), _usual(1, strides=(2,), padding=((1, 2),), spatial=(5,))),
        Case(((2, 2, 2, 2), (2, 3, 2, 2)), _usual(2, spatial=(3, 4))),
        Case(
            ((1, 2, 4, 4), (2, 2, 1, 4)),
            _usual(2, strides=(2, 1), padding=((0, 1), (1, 1)), groups=2, spatial=(4, 3)),
        ),
        Case(((2, 4, 1, 1), (2, 2, 1, 1)), _usual(2, dilation=(2, 3), padding=((1, 0), (0, 0)), spatial=(5, 4))),
    ),
    lambda node: _products(node.inputs[0].shape, node.inputs[1].shape),
)
CONVOLUTION_KERNEL: Op = _bilinear(
    "convolution_kernel",
    "xᵀ ∗ g: what each place of the kernel meets in x, times g, summed over places and examples",
    _kernel_shape,
    _kernel_transpose,
    _star(0, swapped=True),
    _reference_kernel,
    (
        Case(((2, 4, 1), (2, 2, 2)), _usual(1, window=(3,))),
        Case(((2, 5, 2), (2, 4, 3)), _usual(1, strides=(2,), padding=((1, 2),), window=(2,))),
        Case(((2, 3, 4, 2), (2, 2, 2, 2)), _usual(2, window=(2, 3))),
        Case(
            ((1, 4, 3, 2), (1, 2, 4, 4)),
            _usual(2, strides=(2, 1), padding=((0, 1), (1, 1)), groups=2, window=(2, 2)),
        ),
        Case(((1, 3, 8, 8), (1, 2, 7, 2)), _usual(2, window=(2, 2))),
        Case(((2, 5, 4, 1), (2, 4, 1, 1)), _usual(2, dilation=(2, 3), padding=((1, 0), (0, 0)), window=(2, 2))),
    ),
    lambda node: _products(node.inputs[1].shape, node.shape),
)


# --- what users call ------------------------------------------------------------------------------


@vocabulary
def convolution(
    x: Any, w: Any, *, strides: Any = 1, padding: Any = "valid", dilation: Any = 1, groups: int = 1
) -> Node:
    """x ∗ w: at every place, the sum of a window of x times the kernel.

    As everywhere in this field the kernel is not turned round: y[o] = Σ_k x[o·stride + k·dilation − padding] w[k].

    Args:
        x: (m, length, c), (m, height, width, c) or (m, depth, height, width, c).
        w: the kernel: its sizes, then c / groups, then the number of filters n.
        strides: how far the window moves at each step, one number or one for each axis.
        padding: ``"valid"`` for none, ``"same"`` for as many places as x has, divided by the stride and rounded up;
            ``"causal"`` for zeros before a sequence; a number, or for each axis a number or a pair (before, after).
        dilation: how far apart the numbers are that the kernel meets.
        groups: so many convolutions side by side, each of its share of channels and filters; c of them is depthwise.

    Returns:
        (m, places, n).

    Errors: a kernel that is larger than x, channels that do not fit, axes of x whose size is a name.

    >>> import chainrule as cr
    >>> x, w = cr.input("x", ("m", 28, 28, 1)), cr.parameter("w", (3, 3, 1, 32))
    >>> y = cr.convolution(x, w, padding="same", strides=2)
    >>> y.shape, str(y), str(cr.gradient(cr.sum(y**2), w))
    ((m, 14, 14, 32), 'x ∗[stride 2] w', '2 · xᵀ ∗[dilation 2] (x ∗[stride 2] w)')

    Source: Dumoulin and Visin, A guide to convolution arithmetic for deep learning, 2016.
    """
    x, w = lift(x), lift(w)
    axes = axes_of(x, "convolution")
    sizes, window = extents(x, axes, "convolution"), _window(w, axes, "convolution")
    settings = _common(axes, strides, dilation, groups)
    zeros = paddings(padding, sizes, window, settings["strides"], settings["dilation"])
    return CONVOLUTION(x, w, padding=zeros, **settings)


@vocabulary
def convolution_transpose(
    x: Any,
    w: Any,
    *,
    strides: Any = 1,
    padding: Any = "valid",
    dilation: Any = 1,
    groups: int = 1,
    output_padding: Any = None,
) -> Node:
    """x ∗ wᵀ: every number of x puts the kernel, times itself, into its window; the derivative of a convolution.

    It leads from the places of a convolution back to its input, and so from small images to larger ones.

    Args:
        x: (m, length, n), (m, height, width, n) or with a depth.
        w: the kernel of the convolution that it turns round: its sizes, then channels out / groups, then n.
        strides: the step from one window to the next in the result.
        padding: of that convolution: ``"valid"``, ``"same"`` (then the result has stride times the size), or numbers.
        dilation: how far apart the numbers are that the kernel meets.
        groups: so many side by side, each of its share of channels.
        output_padding: how many rows are added at the end, for each axis, where the stride leaves that open; by default
            none after ``"same"`` and numbers, and as many as the stride is longer than the kernel after ``"valid"``.

    Returns:
        (m, sizes, channels out).

    >>> import chainrule as cr
    >>> x, w = cr.input("x", ("m", 7, 7, 64)), cr.parameter("w", (3, 3, 32, 64))
    >>> y = cr.convolution_transpose(x, w, padding="same", strides=2)
    >>> y.shape, str(y)
    ((m, 14, 14, 32), 'x ∗[stride 1/2] wᵀ')

    Sources: Zeiler et al., Deconvolutional networks, 2010; Dumoulin and Visin 2016.
    """
    x, w = lift(x), lift(w)
    axes = axes_of(x, "convolution_transpose")
    outs, window = extents(x, axes, "convolution_transpose"), _window(w, axes, "convolution_transpose")
    settings = _common(axes, strides, dilation, groups)
    steps, spread = settings["strides"], settings["dilation"]
    if padding == "same":
        sizes = tuple(n * s for n, s in zip(outs, steps, strict=True))
        zeros = paddings("same", sizes, window, steps, spread)
        open_ends = (0,) * axes
    else:
        zeros = paddings(padding, outs, window, steps, spread)
        reaches = [d * (k - 1) + 1 for k, d in zip(window, spread, strict=True)]
        sizes = tuple(
            (n - 1) * s + r - low - high for n, s, r, (low, high) in zip(outs, steps, reaches, zeros, strict=True)
        )
        open_ends = tuple(max(s - r, 0) if padding == "valid" else 0 for s, r in zip(steps, reaches, strict=True))
    if output_padding is not None:
        open_ends = per_axis(output_padding, axes, "output_padding", least=0)
        if padding == "same" or any(end >= s for end, s in zip(open_ends, steps, strict=True)):
            raise ConfigurationError(
                "output_padding adds less than a stride, to a padding given in numbers or 'valid'",
                given=f"output_padding {output_padding!r}, strides {by(steps)}, padding {padding!r}",
                hint="padding='same' gives stride times the size",
            )
    sizes = tuple(n + more for n, more in zip(sizes, open_ends, strict=True))
    if min(sizes) < 1:
        raise ConfigurationError(
            "convolution_transpose: nothing is left of the result",
            given=f"padding {padding!r}, a kernel of {by(window)}, {by(outs)} places",
            expected="a padding smaller than the kernel",
        )
    return CONVOLUTION_TRANSPOSE(x, w, spatial=sizes, padding=zeros, **settings)


def _common(axes: int, strides: Any, dilation: Any, groups: Any) -> dict[str, Any]:
    return {
        "strides": per_axis(strides, axes, "strides"),
        "dilation": per_axis(dilation, axes, "dilation"),
        "groups": per_axis(groups, 1, "groups")[0],
    }
