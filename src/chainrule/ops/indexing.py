"""Picking by whole numbers: gather, its transpose scatter-add, and one-hot rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.errors import DTypeError, ShapeError
from chainrule.graph.dim import Shape, as_size
from chainrule.graph.node import Node
from chainrule.graph.op import (
    ABSENT,
    CALL,
    NOWHERE,
    Case,
    Constant,
    Linear,
    Op,
    Piece,
    declare,
    function,
    lift,
    misfit,
    vocabulary,
)


def _indices(node: Node, what: str) -> Node:
    if node.dtype != "int":
        raise DTypeError(
            f"{what} picks by whole numbers",
            given=f"{node!r}",
            expected="dtype 'int'",
            hint="choose by condition with cr.where(condition, a, b)"
            if node.dtype == "bool"
            else "declare the input with dtype='int', or cast it",
        )
    return node


def _gathered(inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> Shape:
    x, indices = inputs
    axis = attrs["axis"]
    return x.shape[:axis] + indices.shape + x.shape[axis + 1 :]


GATHER = declare(
    Op(
        name="gather",
        arity=2,
        doc="the slices of x along an axis that the indices name",
        shape=_gathered,
        dtype=lambda inputs, attrs: inputs[0].dtype,
        forward=lambda xp, x, indices, axis: xp.take(x, indices, axis=axis),
        calculus=Linear(
            lambda g, node, k: SCATTER_ADD(
                g, node.inputs[1], axis=node.attrs["axis"], size=node.inputs[0].shape[node.attrs["axis"]]
            ),
            (0,),
            joint=True,
        ),
        write=lambda node, args, latex: Piece(
            f"{{{args[0].at_least(50, latex)}}}_{{[{args[1].text}]}}"
            if latex
            else f"{args[0].at_least(50, latex)}[{args[1].text}]",
            CALL,
        ),
        gate="selects",
        structure="selects rows",
        facts=ABSENT,
        not_differentiable=NOWHERE,
        reference=lambda x, indices, axis: np.take(x, indices, axis=axis),
        cases=(
            Case(((4, 3), np.array([3, 0, 0])), {"axis": 0}),
            Case(((2, 4), np.array([[3, 1], [1, 1]])), {"axis": 1}),
        ),
        extremes=ABSENT,
    ),
    public=False,
)


def _scattered(inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> Shape:
    g, indices = inputs
    axis = attrs["axis"]
    if g.shape[axis : axis + indices.ndim] != indices.shape:
        raise misfit("scatter_add", inputs, expected=f"the shape of the indices from axis {axis}")
    return (*g.shape[:axis], attrs["size"], *g.shape[axis + indices.ndim :])


def _scatter_add(xp: Any, g: Any, indices: Any, axis: int, size: int, shape: tuple[int, ...]) -> Any:
    where = (slice(None),) * axis + (indices,)
    return xp.add_at(xp.zeros(shape, dtype=g.dtype), where, g)


def _reference_scatter(g: Any, indices: Any, axis: int, size: int) -> Any:
    flat = indices.reshape(-1)
    moved = np.moveaxis(g, range(axis, axis + indices.ndim), range(indices.ndim)).reshape(len(flat), -1)
    out = np.zeros((size, moved.shape[1]))
    for row, i in enumerate(flat):
        out[i] += moved[row]
    rest = g.shape[:axis] + g.shape[axis + indices.ndim :]
    return np.moveaxis(out.reshape(size, *rest), 0, axis)


SCATTER_ADD: Op = declare(
    Op(
        name="scatter_add",
        arity=2,
        doc="zeros, with each slice of g added at the place that its index names",
        shape=_scattered,
        dtype=lambda inputs, attrs: inputs[0].dtype,
        forward=_scatter_add,
        calculus=Linear(lambda g, node, k: GATHER(g, node.inputs[1], axis=node.attrs["axis"]), (0,), joint=True),
        write=function("scatter"),
        gate="copy: adds",
        structure="places rows",
        facts=ABSENT,
        not_differentiable=NOWHERE,
        reference=_reference_scatter,
        cases=(
            Case(((3, 2), np.array([3, 0, 0])), {"axis": 0, "size": 4}),
            Case(((2, 2, 2), np.array([[3, 1], [1, 1]])), {"axis": 1, "size": 5}),
        ),
        extremes=ABSENT,
        needs=("shape",),
    ),
    public=False,
)


@vocabulary
def gather(x: Any, indices: Any, axis: int = 0) -> Node:
    """The slices of ``x`` along an axis that the whole numbers in ``indices`` name; as ``numpy.take``.

    The gradient of a slice that is picked twice is the sum of both.
    """
    x, indices = lift(x), _indices(lift(indices), "gather")
    if not -x.ndim <= axis < x.ndim:
        raise ShapeError(f"gather: there is no axis {axis}", given=f"{x!r}")
    size = x.shape[axis]
    if indices.op.name == "constant" and isinstance(size, int):
        values = indices.attrs["value"]
        outside = values[(values >= size) | (values < -size)]
        if outside.size:
            raise ShapeError("gather: an index is outside the axis", given=int(outside[0]), expected=f"below {size}")
        indices = lift(np.where(values < 0, values + size, values))
    return GATHER(x, indices, axis=axis % x.ndim)


def _one_hot(xp: Any, indices: Any, depth: int, dtype: Any) -> Any:
    return xp.astype(indices[..., None] == xp.arange(depth), dtype)


def _reference_one_hot(indices: Any, depth: int) -> Any:
    out = np.zeros((*indices.shape, depth))
    for at in np.ndindex(*indices.shape):
        out[at][indices[at]] = 1
    return out


def _write_one_hot(node: Node, args: Sequence[Piece], latex: bool) -> Piece:
    return Piece(f"\\operatorname{{onehot}}\\left({args[0].text}\\right)" if latex else f"onehot({args[0].text})", CALL)


ONE_HOT = declare(
    Op(
        name="one_hot",
        arity=1,
        doc="rows with a 1 at the index and 0 elsewhere",
        shape=lambda inputs, attrs: (*inputs[0].shape, attrs["depth"]),
        dtype=lambda inputs, attrs: "float",
        forward=_one_hot,
        calculus=Constant("its operand is a whole number"),
        write=_write_one_hot,
        gate="blocks",
        structure="zero",
        facts=ABSENT,
        not_differentiable="its operand is a whole number",
        reference=_reference_one_hot,
        cases=(Case((np.array([2, 0, 1]),), {"depth": 3}), Case((np.array([[2, 0]]),), {"depth": 4})),
        extremes=ABSENT,
        needs=("dtype",),
    ),
    public=False,
)


@vocabulary
def one_hot(indices: Any, depth: Any) -> Node:
    """Rows of length ``depth`` with a 1 at the index and 0 elsewhere; an index outside gives a row of zeros."""
    return ONE_HOT(_indices(lift(indices), "one_hot"), depth=as_size(depth))


def _write_same(node: Node, args: Sequence[Piece], latex: bool) -> Piece:
    return args[0]


DISTRIBUTION = declare(
    Op(
        name="distribution",
        arity=1,
        doc="x, known to sum to one along the last axis",
        shape=lambda inputs, attrs: inputs[0].shape,
        dtype=lambda inputs, attrs: inputs[0].dtype,
        forward=lambda xp, x: x,
        calculus=Linear(lambda g, node, k: g),
        write=_write_same,
        gate="pass",
        structure="identity",
        facts=ABSENT,
        not_differentiable=NOWHERE,
        reference=lambda x: x,
        cases=(Case(((2, 3),)),),
        extremes=ABSENT,
    ),
    public=False,
)


@vocabulary
def distribution(x: Any) -> Node:
    """``x`` itself, with the promise that it sums to one along the last axis.

    Formulas are simplified with that fact: the gradient of cross-entropy after softmax is ``ŷ − y`` and not
    ``ŷ Σy − y``.
    """
    x = lift(x)
    if not x.shape:
        raise ShapeError("a distribution needs an axis to sum over", given=f"{x!r}")
    known = x.op.name in ("one_hot", "distribution", "softmax") or x.attrs.get("distribution")
    return x if known else DISTRIBUTION(x)
