"""Comparisons, logic, and the choice between values: where, maximum, minimum, clip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.graph.node import Node
from chainrule.graph.op import (
    ABSENT,
    Case,
    Constant,
    Linear,
    Op,
    Piece,
    Writer,
    declare,
    function,
    infix,
    lift,
    same_kind,
    vocabulary,
)
from chainrule.ops.casting import cast
from chainrule.ops.elementwise import broadcast_shape, elementwise, numeric
from chainrule.ops.leaves import constant
from chainrule.ops.shaping import sum_to


def _comparison(name: str, doc: str, text: str, latex: str, fn: str) -> Op:
    return elementwise(
        name,
        doc,
        lambda xp, a, b: getattr(xp, fn)(a, b),
        Constant("true and false do not change gradually"),
        infix(text, latex, 5),
        getattr(np, fn),
        arity=2,
        not_differentiable="where a = b; 0 is taken",
        dtype=lambda inputs, attrs: "bool",
        prepare=same_kind,
    )


less = _comparison("less", "y = a < b", "<", "<", "less")
less_equal = _comparison("less_equal", "y = a ≤ b", "≤", r"\le", "less_equal")
greater = _comparison("greater", "y = a > b", ">", ">", "greater")
greater_equal = _comparison("greater_equal", "y = a ≥ b", "≥", r"\ge", "greater_equal")
equal = _comparison("equal", "y = a = b, element by element", "=", "=", "equal")
not_equal = _comparison("not_equal", "y = a ≠ b, element by element", "≠", r"\ne", "not_equal")


def _boolean(inputs: Sequence[Node]) -> tuple[Node, ...]:
    return tuple(n if n.dtype == "bool" else cast(n, "bool") for n in inputs)


def _logical(name: str, doc: str, write: Writer, fn: str, arity: int = 2) -> Op:
    return elementwise(
        name,
        doc,
        lambda xp, *args: getattr(xp, fn)(*args),
        Constant("true and false do not change gradually"),
        write,
        getattr(np, fn),
        arity=arity,
        not_differentiable="at the change; 0 is taken",
        dtype=lambda inputs, attrs: "bool",
        prepare=_boolean,
    )


logical_and = _logical("logical_and", "y = a and b", infix("∧", r"\wedge", 4), "logical_and")
logical_or = _logical("logical_or", "y = a or b", infix("∨", r"\vee", 3), "logical_or")
logical_not = _logical(
    "logical_not",
    "y = not x",
    lambda node, args, latex: Piece((r"\neg " if latex else "¬") + args[0].at_least(50, latex), 50),
    "logical_not",
    arity=1,
)


def indicator(condition: Node) -> Node:
    """1 where the condition holds, 0 elsewhere; written [condition]."""
    return cast(condition, "float")


def _where_prepare(inputs: Sequence[Node]) -> tuple[Node, ...]:
    return (*_boolean(inputs[:1]), *same_kind(inputs[1:]))


def _where_transpose(g: Node, node: Node, k: int) -> Node:
    zero = constant(0.0)
    routed = where(node.inputs[0], g, zero) if k == 1 else where(node.inputs[0], zero, g)
    return sum_to(routed, node.inputs[k].shape)


def _write_where(node: Node, args: Sequence[Piece], latex: bool) -> Piece:
    c, a, b = (p.text for p in args)
    if latex:
        return Piece(f"\\begin{{cases}}{a} & {c} \\\\ {b} & \\text{{otherwise}}\\end{{cases}}")
    return Piece(f"where({c}, {a}, {b})", 50)


where = declare(
    Op(
        name="where",
        arity=3,
        doc="y = a where the condition holds, b elsewhere",
        shape=broadcast_shape("where"),
        dtype=lambda inputs, attrs: inputs[1].dtype,
        forward=lambda xp, c, a, b: xp.where(c, a, b),
        calculus=Linear(_where_transpose, (1, 2), joint=True),
        write=_write_where,
        gate="switch: routes",
        structure="diagonal",
        facts=ABSENT,
        not_differentiable="where the condition changes",
        reference=np.where,
        cases=(
            Case((np.array([[True, False, True]]), (2, 3), (2, 3))),
            Case((np.array([True, False, False]), (2, 1), ())),
        ),
        extremes=ABSENT,
        prepare=_where_prepare,
    )
)


maximum = elementwise(
    "maximum",
    "y = the larger of a and b",
    lambda xp, a, b: xp.maximum(a, b),
    (lambda y, a, b: indicator(a >= b), lambda y, a, b: indicator(a < b)),
    function("max", r"\max"),
    np.maximum,
    not_differentiable="where a = b; the first operand takes the gradient",
    gate="max: routes",
    prepare=numeric,
)
minimum = elementwise(
    "minimum",
    "y = the smaller of a and b",
    lambda xp, a, b: xp.minimum(a, b),
    (lambda y, a, b: indicator(a <= b), lambda y, a, b: indicator(a > b)),
    function("min", r"\min"),
    np.minimum,
    not_differentiable="where a = b; the first operand takes the gradient",
    gate="min: routes",
    prepare=numeric,
)


@vocabulary
def clip(x: Any, low: Any = None, high: Any = None) -> Node:
    """Values limited to [low, high]: ``min(max(x, low), high)``; None is no limit. The gradient passes inside only."""
    out = lift(x) if low is None else maximum(x, low)
    return out if high is None else minimum(out, high)
