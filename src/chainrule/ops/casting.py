"""Casts between kinds of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.graph.node import Node
from chainrule.graph.op import (
    ABSENT,
    FLOATS,
    NOWHERE,
    Case,
    Linear,
    Op,
    Piece,
    declare,
    lift,
    vocabulary,
)
from chainrule.ops.leaves import check_dtype, constant


def _write_cast(node: Node, args: Sequence[Piece], latex: bool) -> Piece:
    source, target = node.inputs[0].dtype, node.dtype
    if source == "bool":  # an Iverson bracket: 1 where it holds, 0 elsewhere
        return Piece(f"\\left[{args[0].text}\\right]" if latex else f"[{args[0].text}]")
    if target in FLOATS or source in FLOATS or target in ("int", "bool"):
        return Piece(f"\\text{{{target}}}({args[0].text})" if latex else f"{target}({args[0].text})", 50)
    return args[0]


CAST = declare(
    Op(
        name="cast",
        arity=1,
        doc="The same values in another kind of number.",
        shape=lambda inputs, attrs: inputs[0].shape,
        dtype=lambda inputs, attrs: str(attrs["to"]),
        forward=lambda xp, x, to, dtype: xp.astype(x, dtype),
        calculus=Linear(lambda g, node, k: cast(g, node.inputs[0].dtype)),
        write=_write_cast,
        gate="pass",
        structure="identity",
        facts=ABSENT,
        not_differentiable=NOWHERE,
        reference=lambda x, to: x.astype({"int": np.int64, "bool": bool, "float": float}.get(to, to)),
        cases=(
            Case(((2, 3),), {"to": "float32"}),
            Case(((2, 3),), {"to": "int"}),
            Case((np.array([[True, False]]),), {"to": "float"}),
        ),
        extremes=ABSENT,
        needs=("dtype",),
    ),
    public=False,
)


@vocabulary
def cast(x: Any, dtype: Any) -> Node:
    """The same values as ``"float"`` (the run's precision), ``"int"``, ``"bool"`` or a fixed float.

    Between floats the gradient passes; from and to integers and booleans there is none.
    """
    node, target = lift(x), check_dtype(dtype)
    if node.dtype == target:
        return node
    if node.op.name == "constant" and node.name is None and target not in FLOATS:
        kinds = {"int": np.int64, "bool": np.bool_, "float": np.float64}
        return constant(node.attrs["value"].astype(kinds[target]), dtype=target)
    return CAST.make((node,), {"to": target})
