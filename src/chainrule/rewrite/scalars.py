"""Rules for simplicity: single numbers move out to the front."""

from __future__ import annotations

from chainrule.graph.node import Node
from chainrule.ops import (
    einsum,
    transpose,
)
from chainrule.ops import sum as sum_
from chainrule.rewrite.match import is_op, number, s, scalar, variable, x
from chainrule.rewrite.rewriter import rule


@rule(
    "scalar first",
    "(s x) y = s (x y), x s = s x, s (t x) = (s t) x",
    "simplicity",
    "multiply",
    lambda: (s() * x()) * x() + x() * s() + s() * (s() * x()),
)
def _scalar_first(node: Node) -> Node | None:
    a, b = node.inputs
    if a.shape == () == b.shape:
        if number(b) is not None and number(a) is None:
            return b * a
        for p, q in ((a, b), (b, a)):
            if number(p) is None and is_op(q, "multiply") and q.name is None and number(q.inputs[0]) is not None:
                return q.inputs[0] * (p * q.inputs[1])
        return None
    ra, rb = scalar(a), scalar(b)
    if ra is not None and a.shape != ():  # a number repeated over a shape multiplies as a number
        return ra * b if b.shape == node.shape else None
    if rb is not None:
        return rb * a if a.shape == node.shape else None
    if a.shape == () and is_op(b, "multiply") and b.inputs[0].shape == () and b.name is None:
        return (a * b.inputs[0]) * b.inputs[1]
    for p, q in ((a, b), (b, a)):
        if p.shape != () and q.shape != () and is_op(p, "multiply") and p.inputs[0].shape == () and p.name is None:
            other = p.inputs[1]
            return p.inputs[0] * (other * q if p is a else q * other)
    return None


@rule(
    "divided by a scalar",
    "x/s = (1/s) x,  (s x)/y = s (x/y)",
    "simplicity",
    "divide",
    lambda: x() / (s() ** 2 + 1) + (s() * x()) / (x() ** 2 + 1),
)
def _divide_scalar(node: Node) -> Node | None:
    a, b = node.inputs
    rb = scalar(b)
    if rb is not None and number(b) is None and a.shape == node.shape and a.shape != ():
        return (1 / rb) * a
    if is_op(a, "multiply") and a.name is None and a.inputs[0].shape == () and node.shape != ():
        return a.inputs[0] * (a.inputs[1] / b)
    return None


_LINEAR = (
    "einsum sum transpose reshape broadcast_to slice pad cumsum flip gather scatter_add convolution "
    "convolution_transpose convolution_kernel max_unpool max_pick window_sum window_copy"
)


@rule(
    "scalar out",
    "f(s x) = s f(x) and f(−x) = −f(x) for a linear f",
    "simplicity",
    _LINEAR,
    lambda: sum_(s() * x(), 0) + sum_(transpose(-x()), 1) + einsum("ij,j->i", s() * x(), variable("v", (3,)))[0],
)
def _scalar_out(node: Node) -> Node | None:
    for k, operand in enumerate(node.inputs):
        if operand.name is not None or not node.op.differentiable_in(k):
            continue
        factor: Node | None = None
        if is_op(operand, "negative"):
            inner = operand.inputs[0]
        elif is_op(operand, "multiply") and operand.inputs[0].shape == () and operand.inputs[1].shape == operand.shape:
            if operand.shape == ():
                continue
            factor, inner = operand.inputs
        else:
            continue
        rest = tuple(inner if i == k else n for i, n in enumerate(node.inputs))
        moved = node.op.make(rest, node.attrs)
        return -moved if factor is None else factor * moved
    return None
