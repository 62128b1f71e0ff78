"""Reductions over axes: sum, mean, max, min, prod, logsumexp, argmax, argmin, running sums."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, SupportsIndex

import numpy as np
import scipy

from chainrule.errors import ShapeError
from chainrule.graph.body import over_time
from chainrule.graph.dim import Dim, Shape, Size, product, show
from chainrule.graph.node import Node
from chainrule.graph.op import (
    ABSENT,
    CALL,
    MULTIPLY,
    NOWHERE,
    Calculus,
    Case,
    Constant,
    General,
    Linear,
    Op,
    Piece,
    Writer,
    declare,
    function,
    is_float,
    lift,
    vocabulary,
)
from chainrule.ops.casting import cast
from chainrule.ops.choice import equal, indicator, where
from chainrule.ops.functions import exp
from chainrule.ops.leaves import eye, size
from chainrule.ops.shaping import broadcast_to, reshape

Axis = int | Sequence[int] | None


def normal_axes(x: Node, axis: Axis, what: str) -> tuple[int, ...]:
    """The axes as sorted, non-negative numbers; all of them for None."""
    if axis is None:
        return tuple(range(x.ndim))
    axes = tuple(axis) if isinstance(axis, Iterable) else (axis,)
    for a in axes:
        if not isinstance(a, SupportsIndex) or not -x.ndim <= a < x.ndim:
            raise ShapeError(
                f"{what}: there is no axis {a}",
                given=f"{x!r}",
                expected=f"axes from {-x.ndim} to {x.ndim - 1}" if x.ndim else "no axis: it is a single number",
            )
    out = tuple(sorted({int(a) % x.ndim for a in axes}))
    if len(out) != len(axes):
        raise ShapeError(f"{what}: an axis is named twice", given=axes)
    return out


def reduced_shape(inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> Shape:
    """The shape without the axes that are reduced, or with size 1 in their place."""
    axes, shape = attrs["axes"], inputs[0].shape
    if attrs["keepdims"]:
        return tuple(1 if i in axes else s for i, s in enumerate(shape))
    return tuple(s for i, s in enumerate(shape) if i not in axes)


def expand(g: Node, node: Node) -> Node:
    """A reduced quantity spread over the operand's shape again."""
    operand, axes = node.inputs[0], node.attrs["axes"]
    kept = tuple(1 if i in axes else s for i, s in enumerate(operand.shape))
    return broadcast_to(reshape(g, kept), operand.shape)


def _float_or_int(inputs: Sequence[Node]) -> tuple[Node, ...]:
    return tuple(cast(n, "int") if n.dtype == "bool" else n for n in inputs)


def _as_float(inputs: Sequence[Node]) -> tuple[Node, ...]:
    return tuple(n if is_float(n.dtype) else cast(n, "float") for n in inputs)


def _write_reduction(text: str, latex: str) -> Writer:
    def write(node: Node, args: Sequence[Piece], in_latex: bool) -> Piece:
        shape, axes = node.inputs[0].shape, set(node.attrs["axes"])
        front = ""
        if over_time(node.inputs[0]) and text == "Σ" and 0 in axes:  # the first axis is the steps of a loop
            shape, axes, front = shape[1:], {a - 1 for a in axes if a}, "\\sum_t " if in_latex else "Σₜ "
        examples = {i for i, s in enumerate(shape) if isinstance(s, Dim)}
        # A sum over all that is there, or over the examples, needs no index; any other names its axes.
        every = axes == examples or axes >= {i for i, s in enumerate(shape) if s != 1}
        index = "" if every else ",".join(str(a) for a in sorted(axes))
        inner = args[0].at_least(MULTIPLY, in_latex)
        if front and not axes:
            return Piece(front + inner, MULTIPLY, open=True)
        if in_latex:
            if axes == examples and len(axes) == 1:
                index = f"i=1}}^{{{shape[axes.copy().pop()]}"
            return Piece(f"{front}{latex}{f'_{{{index}}}' if index else ''} {inner}", MULTIPLY, open=True)
        subscript = index.translate(str.maketrans("0123456789,", "₀₁₂₃₄₅₆₇₈₉ˏ"))
        if text == "Σ":
            return Piece(f"{front}Σ{subscript} {inner}", MULTIPLY, open=True)
        return Piece(f"{text}{subscript}({args[0].text})", CALL)

    return write


def _reduction(
    name: str,
    doc: str,
    forward: Callable[..., Any],
    calculus: Calculus,
    write: Writer,
    reference: Callable[..., Any],
    *,
    gate: str,
    structure: str,
    not_differentiable: str = NOWHERE,
    extremes: Any = ABSENT,
    prepare: Callable[[Sequence[Node]], tuple[Node, ...]] = _as_float,
    cases: tuple[Case, ...] = (
        Case(((2, 3),), {"axes": (0, 1), "keepdims": False}),
        Case(((2, 3),), {"axes": (1,), "keepdims": True}),
        Case(((4, 2, 3),), {"axes": (0, 2), "keepdims": False}),
    ),
) -> Op:
    return declare(
        Op(
            name=name,
            arity=1,
            doc=doc,
            shape=reduced_shape,
            dtype=lambda inputs, attrs: inputs[0].dtype,
            forward=lambda xp, x, axes, keepdims: forward(xp, x, axes, keepdims),
            calculus=calculus,
            write=write,
            gate=gate,
            structure=structure,
            facts=ABSENT,
            not_differentiable=not_differentiable,
            reference=reference,
            cases=cases,
            extremes=extremes,
            prepare=prepare,
        ),
        public=False,
    )


def _reduce(op: Op, x: Any, axis: Axis, keepdims: bool) -> Node:
    x = lift(x)
    axes = normal_axes(x, axis, op.name)
    return op(x, axes=axes, keepdims=bool(keepdims)) if axes else op.prepare([x])[0]


SUM = _reduction(
    "sum",
    "Σ x over axes",
    lambda xp, x, axes, keepdims: xp.sum(x, axis=axes, keepdims=keepdims, dtype=x.dtype),
    Linear(lambda g, node, k: expand(g, node)),
    _write_reduction("Σ", r"\sum"),
    lambda x, axes, keepdims: np.sum(x, axis=axes, keepdims=keepdims),
    gate="add: distributes",
    structure="rows of ones",
    prepare=_float_or_int,
)


def _extreme_mask(node: Node) -> tuple[Node, Node]:
    mask = indicator(equal(node.inputs[0], expand(node, node)))
    return mask, SUM(mask, axes=node.attrs["axes"], keepdims=node.attrs["keepdims"])


def _extreme_reverse(g: Node, node: Node, k: int) -> Node:
    mask, count = _extreme_mask(node)
    return mask * expand(g / count, node)


def _extreme_forward(tangents: Sequence[Node | None], node: Node) -> Node:
    mask, count = _extreme_mask(node)
    assert tangents[0] is not None
    return SUM(mask * tangents[0], axes=node.attrs["axes"], keepdims=node.attrs["keepdims"]) / count


MAX = _reduction(
    "max",
    "the largest x over axes",
    lambda xp, x, axes, keepdims: xp.max(x, axis=axes, keepdims=keepdims),
    General(_extreme_reverse, _extreme_forward),
    _write_reduction("max", r"\max"),
    lambda x, axes, keepdims: np.max(x, axis=axes, keepdims=keepdims),
    gate="max: routes",
    structure="selects one",
    not_differentiable="at ties; the gradient is shared equally",
    prepare=_float_or_int,
)
MIN = _reduction(
    "min",
    "the smallest x over axes",
    lambda xp, x, axes, keepdims: xp.min(x, axis=axes, keepdims=keepdims),
    General(_extreme_reverse, _extreme_forward),
    _write_reduction("min", r"\min"),
    lambda x, axes, keepdims: np.min(x, axis=axes, keepdims=keepdims),
    gate="min: routes",
    structure="selects one",
    not_differentiable="at ties; the gradient is shared equally",
    prepare=_float_or_int,
)


def _logsumexp(xp: Any, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    top = xp.max(x, axis=axes, keepdims=True)
    top = xp.where(xp.isfinite(top), top, xp.zeros_like(top))
    y = xp.log(xp.sum(xp.exp(x - top), axis=axes, keepdims=True)) + top
    return y if keepdims else xp.squeeze(y, axis=axes)


def _logsumexp_weights(node: Node) -> Node:
    return exp(node.inputs[0] - expand(node, node))


LOGSUMEXP = _reduction(
    "logsumexp",
    "ln Σ e^x over axes, without overflow",
    _logsumexp,
    General(
        lambda g, node, k: expand(g, node) * _logsumexp_weights(node),
        lambda t, node: SUM(_logsumexp_weights(node) * t[0], axes=node.attrs["axes"], keepdims=node.attrs["keepdims"]),
    ),
    _write_reduction("logsumexp", r"\log\sum\exp"),
    lambda x, axes, keepdims: scipy.special.logsumexp(x, axis=axes, keepdims=keepdims),
    gate="soft max: shares",
    structure="rows of softmax weights",
    extremes=(-1e4, -1.0, 0.0, 1.0, 1e4),
)


def _other_factors(node: Node) -> Node:
    """For every element the product of all the others along the one reduced axis, zeros among them or not.

    The derivative of a product is a product: element i of the operand is replaced by 1 in row i.
    """
    x, (axis,) = node.inputs[0], node.attrs["axes"]
    n = x.shape[axis]
    # rows: which element is left out, on a new axis before `axis`
    rows = (*x.shape[:axis], n, *x.shape[axis:])
    spread = broadcast_to(reshape(x, (*x.shape[:axis], 1, *x.shape[axis:])), rows)
    left_out = reshape(eye(n), (n, n) + (1,) * (x.ndim - axis - 1)) > 0.5
    return PROD(where(left_out, 1.0, spread), axes=(axis + 1,), keepdims=False)


PROD = _reduction(
    "prod",
    "Π x over axes",
    lambda xp, x, axes, keepdims: xp.prod(x, axis=axes, keepdims=keepdims),
    General(
        lambda g, node, k: expand(g, node) * _other_factors(node),
        lambda t, node: SUM(_other_factors(node) * t[0], axes=node.attrs["axes"], keepdims=node.attrs["keepdims"]),
    ),
    _write_reduction("Π", r"\prod"),
    lambda x, axes, keepdims: np.prod(x, axis=axes, keepdims=keepdims),
    gate="multiply: swaps",
    structure="rows of products",
    cases=(  # the rule is written for one axis; the function below reduces several one after the other
        Case(((2, 3),), {"axes": (1,), "keepdims": True}),
        Case(((4, 2, 3),), {"axes": (0,), "keepdims": False}),
        Case((np.array([[0.0, 2.0, 3.0], [0.0, 0.0, 1.0]]),), {"axes": (1,), "keepdims": False}),
    ),
)


@vocabulary
def sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Node:
    """Σ x over the axes (all of them by default)."""
    return _reduce(SUM, x, axis, keepdims)


@vocabulary
def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Node:
    """1/n Σ x over the axes, n the number of elements that are added.

    >>> import chainrule as cr
    >>> print(mean(cr.input("x", ("m",))))
    1/m · Σ x
    """
    x = lift(x)
    axes = normal_axes(x, axis, "mean")
    if not axes:
        return _as_float([x])[0]
    count: Size = product(x.shape[a] for a in axes)
    if count == 0:
        raise ShapeError("the mean of nothing is not defined", given=f"{x!r}", expected="an axis with elements")
    return (1 / size(count)) * sum(_as_float([x])[0], axes, keepdims)


@vocabulary
def max(x: Any, axis: Axis = None, keepdims: bool = False) -> Node:
    """The largest x over the axes; at ties the gradient is shared equally."""
    return _reduce(MAX, x, axis, keepdims)


@vocabulary
def min(x: Any, axis: Axis = None, keepdims: bool = False) -> Node:
    """The smallest x over the axes; at ties the gradient is shared equally."""
    return _reduce(MIN, x, axis, keepdims)


@vocabulary
def prod(x: Any, axis: Axis = None, keepdims: bool = False) -> Node:
    """Π x over the axes; its gradient is exact where factors are zero."""
    out = lift(x)
    for a in reversed(normal_axes(out, axis, "prod")):
        out = PROD(out, axes=(a,), keepdims=bool(keepdims))
    return out


@vocabulary
def logsumexp(x: Any, axis: Axis = None, keepdims: bool = False) -> Node:
    """ln Σ e^x over the axes, without overflow."""
    return _reduce(LOGSUMEXP, x, axis, keepdims)


# --- positions ------------------------------------------------------------------------------------


def _position(name: str, doc: str, fn: str) -> Op:
    return declare(
        Op(
            name=name,
            arity=1,
            doc=doc,
            shape=lambda inputs, attrs: tuple(s for i, s in enumerate(inputs[0].shape) if i != attrs["axis"]),
            dtype=lambda inputs, attrs: "int",
            forward=lambda xp, x, axis: getattr(xp, fn)(x, axis=axis),
            calculus=Constant(
                "a position jumps from one whole number to the next: its derivative is zero almost everywhere. "
                "Train with softmax, decide with argmax"
            ),
            write=lambda node, args, latex: Piece(
                f"\\operatorname{{{name}}}\\left({args[0].text}\\right)" if latex else f"{name}({args[0].text})",
                CALL,
            ),
            gate="blocks",
            structure="zero",
            facts=ABSENT,
            not_differentiable="at ties; 0 is taken",
            reference=lambda x, axis: getattr(np, fn)(x, axis=axis),
            cases=(Case(((2, 3),), {"axis": 1}), Case(((4, 2, 3),), {"axis": 0})),
            extremes=ABSENT,
        ),
        public=False,
    )


ARGMAX = _position("argmax", "the position of the largest x along an axis", "argmax")
ARGMIN = _position("argmin", "the position of the smallest x along an axis", "argmin")


def _rank(xp: Any, x: Any, axis: int) -> Any:
    return xp.argsort(xp.argsort(-x, axis=axis, stable=True), axis=axis, stable=True)


def _reference_rank(x: Any, axis: int) -> Any:
    lines = np.moveaxis(x, axis, -1)
    larger = (lines[..., None, :] > lines[..., :, None]).sum(axis=-1)
    equal_before = np.tril(lines[..., None, :] == lines[..., :, None], -1).sum(axis=-1)
    return np.moveaxis(larger + equal_before, -1, axis)


RANK = declare(
    Op(
        name="rank",
        arity=1,
        doc="the place of each x in the order from the largest to the smallest along an axis, 0 first",
        shape=lambda inputs, attrs: inputs[0].shape,
        dtype=lambda inputs, attrs: "int",
        forward=_rank,
        calculus=Constant("a place in an order jumps from one whole number to the next"),
        write=function("rank"),
        gate="blocks",
        structure="zero",
        facts=ABSENT,
        not_differentiable="at ties; 0 is taken",
        reference=_reference_rank,
        cases=(Case(((2, 3),), {"axis": 1}), Case(((4, 2, 3),), {"axis": 0})),
        extremes=ABSENT,
        prepare=_float_or_int,
    ),
    public=False,
)


@vocabulary
def rank(x: Any, axis: int = -1) -> Node:
    """The place of each x in the order from the largest to the smallest along an axis; of equal ones the first leads.

    >>> import chainrule as cr
    >>> cr.evaluate(cr.rank([3.0, 9.0, 1.0, 9.0]))
    array([2, 0, 3, 1])
    """
    x = lift(x)
    return RANK(x, axis=normal_axes(x, axis, "rank")[0])


@vocabulary
def argmax(x: Any, axis: int = -1) -> Node:
    """The position of the largest x along an axis, an integer: used to decide, not to train."""
    x = lift(x)
    return ARGMAX(x, axis=normal_axes(x, axis, "argmax")[0])


@vocabulary
def argmin(x: Any, axis: int = -1) -> Node:
    """The position of the smallest x along an axis, an integer."""
    x = lift(x)
    return ARGMIN(x, axis=normal_axes(x, axis, "argmin")[0])


# --- running sums ---------------------------------------------------------------------------------


def _cumsum(xp: Any, x: Any, axis: int, reverse: bool) -> Any:
    if not reverse:
        return xp.cumsum(x, axis=axis, dtype=x.dtype)
    return xp.flip(xp.cumsum(xp.flip(x, axis=axis), axis=axis, dtype=x.dtype), axis=axis)


CUMSUM: Op = declare(
    Op(
        name="cumsum",
        arity=1,
        doc="y_i = x_1 + … + x_i along an axis (from the end when reversed)",
        shape=lambda inputs, attrs: inputs[0].shape,
        dtype=lambda inputs, attrs: inputs[0].dtype,
        forward=_cumsum,
        calculus=Linear(lambda g, node, k: CUMSUM(g, axis=node.attrs["axis"], reverse=not node.attrs["reverse"])),
        write=lambda node, args, latex: Piece(
            f"\\operatorname{{cumsum}}\\left({args[0].text}\\right)" if latex else f"cumsum({args[0].text})",
            CALL,
        ),
        gate="add: distributes",
        structure="triangle of ones",
        facts=ABSENT,
        not_differentiable=NOWHERE,
        reference=lambda x, axis, reverse: (
            np.cumsum(x, axis) if not reverse else np.sum(x, axis, keepdims=True) - np.cumsum(x, axis) + x
        ),
        cases=(Case(((2, 3),), {"axis": 1, "reverse": False}), Case(((4, 3),), {"axis": 0, "reverse": True})),
        extremes=ABSENT,
        prepare=_float_or_int,
    ),
    public=False,
)


@vocabulary
def cumsum(x: Any, axis: int = -1, reverse: bool = False) -> Node:
    """The running sum along an axis, from the end when ``reverse``."""
    x = lift(x)
    if not x.shape:
        raise ShapeError("cumsum needs an axis to run along", given=show(x.shape))
    return CUMSUM(x, axis=normal_axes(x, axis, "cumsum")[0], reverse=bool(reverse))
