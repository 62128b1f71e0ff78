"""Rules for stability: naive formulas that overflow or lose their digits become ones that do not."""

from __future__ import annotations

from chainrule.graph.node import Node
from chainrule.ops import abs as abs_
from chainrule.ops import (
    exp,
    expm1,
    log,
    log1p,
    log_softmax,
    logsumexp,
    power,
    sigmoid,
    softmax,
    softplus,
    sqrt,
    sum,
    tanh,
    xlogy,
)
from chainrule.rewrite.match import is_op, negated, number, one_plus, variable
from chainrule.rewrite.rewriter import rule


def z() -> Node:
    """The logit of the examples."""
    return variable("z")


_MOVED = ("slice", "gather", "reshape", "transpose", "flip", "broadcast_to")
"""Ops that move numbers, and change none."""


def stable_log(x: Node) -> Node | None:
    """A form of log x that neither overflows nor loses digits, where x has one."""
    if is_op(x, "sigmoid"):
        return -softplus(-x.inputs[0])
    if is_op(x, "subtract") and number(x.inputs[0]) == 1.0 and is_op(x.inputs[1], "sigmoid"):
        return -softplus(x.inputs[1].inputs[0])
    if is_op(x, "softmax"):
        return log_softmax(x.inputs[0], x.attrs["axis"])
    if is_op(x, "exp"):
        return x.inputs[0]
    if is_op(x, "sum") and is_op(x.inputs[0], "exp"):
        return logsumexp(x.inputs[0].inputs[0], x.attrs["axes"], x.attrs["keepdims"])
    if is_op(x, *_MOVED):
        whole = stable_log(x.inputs[0])
        return None if whole is None else x.op.make((whole, *x.inputs[1:]), x.attrs)
    rest = one_plus(x)
    if rest is not None:
        return softplus(rest.inputs[0]) if is_op(rest, "exp") else log1p(rest)
    return None


@rule(
    "log",
    "log σ(z) = −softplus(−z), log(1 − σ(z)) = −softplus(z), log softmax(z) = z − logsumexp(z), "
    "log Σ exp(z) = logsumexp(z), log(1 + exp(z)) = softplus(z), log(1 + x) = log1p(x), "
    "and so for a part of it: log softmax(z)[i] = (z − logsumexp(z))[i]",
    "stability",
    "log",
    lambda: (
        log(sigmoid(z()))
        + log(1 - sigmoid(z()))
        + log(softmax(z()))
        + log(1 + exp(z()))
        + log(sum(exp(z())))
        + log(1 + exp(-z()))
        + log(softmax(z())[:, :1])
    ),
)
def _log(node: Node) -> Node | None:
    return stable_log(node.inputs[0])


@rule(
    "y log",
    "y log σ(z) = −y softplus(−z), and so for every stable logarithm",
    "stability",
    "xlogy",
    lambda: xlogy(variable("y"), sigmoid(z())) + xlogy(variable("y"), softmax(z())),
)
def _xlogy(node: Node) -> Node | None:
    stable = stable_log(node.inputs[1])
    return None if stable is None else node.inputs[0] * stable


@rule("log1p of exp", "log(1 + exp(z)) = softplus(z)", "stability", "log1p", lambda: log1p(exp(z())))
def _log1p(node: Node) -> Node | None:
    return softplus(node.inputs[0].inputs[0]) if is_op(node.inputs[0], "exp") else None


@rule(
    "expm1",
    "exp(x) − 1 = expm1(x)",
    "stability",
    "subtract",
    lambda: exp(z()) - 1,
)
def _expm1(node: Node) -> Node | None:
    a, b = node.inputs
    return expm1(a.inputs[0]) if is_op(a, "exp") and number(b) == 1.0 else None


@rule(
    "sigmoid",
    "1/(1 + exp(−z)) = σ(z) = exp(z)/(1 + exp(z))",
    "stability",
    "divide",
    lambda: 1 / (1 + exp(-z())) + (lambda e: e / (e + 1))(exp(z())),
)
def _sigmoid(node: Node) -> Node | None:
    a, b = node.inputs
    e = one_plus(b)
    if e is None or not is_op(e, "exp"):
        return None
    x = e.inputs[0]
    if a is e:
        return sigmoid(x)
    if number(a) == 1.0:
        minus = negated(x)
        return sigmoid(-x if minus is None else minus)
    return None


@rule(
    "softmax",
    "exp(z)/Σ exp(z) = softmax(z)",
    "stability",
    "divide",
    lambda: (lambda e: e / sum(e, -1, keepdims=True) + e / sum(e, -1)[:, None])(exp(z())),
)
def _softmax(node: Node) -> Node | None:
    e, total = node.inputs
    axis = _axis_of(total, "sum", e) if is_op(e, "exp") else None
    return None if axis is None else softmax(e.inputs[0], axis)


@rule(
    "softmax by logsumexp",
    "exp(z − logsumexp(z)) = softmax(z), where the difference of large numbers has lost its digits",
    "stability",
    "exp",
    lambda: (lambda v: exp(v - logsumexp(v, -1, keepdims=True)) + exp(v - logsumexp(v, -1)[:, None]))(z()),
)
def _exp_of_difference(node: Node) -> Node | None:
    x = node.inputs[0]
    axis = _axis_of(x.inputs[1], "logsumexp", x.inputs[0]) if is_op(x, "subtract") else None
    return None if axis is None else softmax(x.inputs[0], axis)


def _axis_of(total: Node, reduction: str, operand: Node) -> int | None:
    """The one axis over which ``total`` is the reduction of the operand, spread along that axis again."""
    inner = total.inputs[0] if is_op(total, "reshape", "broadcast_to") else total
    if not is_op(inner, reduction) or inner.inputs[0] is not operand or len(inner.attrs["axes"]) != 1:
        return None
    (axis,) = inner.attrs["axes"]
    kept = tuple(1 if i == axis else s for i, s in enumerate(operand.shape))
    fits = total.shape == kept or (axis == 0 and total.shape == kept[1:])
    return axis if fits else None


def _naive_tanh(v: Node) -> Node:
    p, n = exp(v), exp(-v)
    return (p - n) / (p + n)


@rule(
    "tanh",
    "(exp(z) − exp(−z))/(exp(z) + exp(−z)) = tanh(z)",
    "stability",
    "divide",
    lambda: _naive_tanh(z()),
)
def _tanh(node: Node) -> Node | None:
    top, bottom = node.inputs
    if not (is_op(top, "subtract") and is_op(bottom, "add") and set(top.inputs) == set(bottom.inputs)):
        return None
    p, n = top.inputs
    if is_op(p, "exp") and is_op(n, "exp") and negated(n.inputs[0]) is p.inputs[0]:
        return tanh(p.inputs[0])
    return None


@rule("root of a square", "√(x²) = |x|", "stability", "sqrt", lambda: sqrt(power(z(), 2)))
def _sqrt(node: Node) -> Node | None:
    x = node.inputs[0]
    return abs_(x.inputs[0]) if is_op(x, "power") and number(x.inputs[1]) == 2.0 else None
