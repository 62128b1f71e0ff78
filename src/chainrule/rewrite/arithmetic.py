"""Rules for simplicity: what does nothing, signs, numbers, fractions and powers."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from chainrule.graph.dim import Dim, quotient
from chainrule.graph.node import Node
from chainrule.graph.op import is_float
from chainrule.ops import (
    broadcast_to,
    constant,
    exp,
    log,
    negative,
    power,
    sin,
    size,
    sqrt,
)
from chainrule.ops import input as input_
from chainrule.ops import sum as sum_
from chainrule.ops.leaves import is_size
from chainrule.rewrite.match import is_op, number, s, scalar, variable, x, zero
from chainrule.rewrite.rewriter import rule

_FOLD = "abs add cos divide exp log maximum minimum multiply negative power sin sqrt subtract"


@rule(
    "fold constants",
    "a formula of numbers is a number",
    "simplicity",
    _FOLD,
    lambda: x() * (constant(2.0) * constant(3.0)),
)
def _fold(node: Node) -> Node | None:
    if any(i.op.name != "constant" or i.name is not None or i.attrs["value"].size > 64 for i in node.inputs):
        return None
    with np.errstate(all="ignore"):
        value = node.op.forward(np, *(i.attrs["value"].astype(float) for i in node.inputs))
    return constant(value, dtype=node.dtype) if np.isfinite(value).all() else None


@rule(
    "neutral elements",
    "x + 0 = x, x − 0 = x, 1 · x = x, x/1 = x",
    "simplicity",
    "add subtract multiply divide",
    lambda: (0 + x()) * 1 + (x() - 0) / 1 + (1 * x() + 0),
)
def _neutral(node: Node) -> Node | None:
    a, b = node.inputs
    nothing = 0 if is_op(node, "add", "subtract") else 1
    if number(b) == nothing:
        return a
    return b if number(a) == nothing and is_op(node, "add", "multiply") else None


@rule(
    "add",
    "x + x = 2 x, (x + y) + y = x + 2 y, x + (−y) = x − y",
    "simplicity",
    "add",
    lambda: (lambda v: (v + v) + (-x()) + (-x() + x()) + ((s() + v) + v))(x()),
)
def _add(node: Node) -> Node | None:
    a, b = node.inputs
    if a is b and is_float(node.dtype):
        return 2.0 * a
    if is_op(b, "negative") and b.name is None:
        return a - b.inputs[0]
    if is_op(a, "negative") and a.name is None:
        return b - a.inputs[0]
    if is_op(a, "add") and a.name is None and a.inputs[1] is b and is_float(node.dtype):
        return a.inputs[0] + 2.0 * b
    return None


@rule(
    "subtract",
    "x − x = 0, 0 − x = −x, x − (−y) = x + y, −x − y = −(x + y), (x − y) − y = x − 2 y",
    "simplicity",
    "subtract",
    lambda: (lambda v: (0 - x()) + (x() - (-x())) + (-x() - x()) + ((s() - v) - v))(x()),
)
def _subtract(node: Node) -> Node | None:
    a, b = node.inputs
    if a is b:
        return zero(node)
    if number(a) == 0:
        return -b
    if is_op(b, "negative") and b.name is None:
        return a + b.inputs[0]
    if is_op(a, "negative") and a.name is None:
        return -(a.inputs[0] + b)
    if is_op(a, "subtract") and a.name is None and a.inputs[1] is b and is_float(node.dtype):
        return a.inputs[0] - 2.0 * b
    return None


@rule(
    "negative",
    "−(−x) = x, −(x − y) = y − x",
    "simplicity",
    "negative",
    lambda: -negative(x()) - (x() - variable("y")) * 1 + (-(s() * (x() - 1))),
)
def _negative(node: Node) -> Node | None:
    a = node.inputs[0]
    if is_op(a, "negative") and a.name is None:
        return a.inputs[0]
    if is_op(a, "subtract") and a.name is None:
        return a.inputs[1] - a.inputs[0]
    if is_op(a, "multiply") and a.name is None:
        p, q = a.inputs
        if is_op(q, "subtract") and q.name is None and p.shape == ():
            return p * (q.inputs[1] - q.inputs[0])
        value = number(p)
        if value is not None and p.shape == ():
            return constant(-value) * q
    return None


@rule(
    "multiply",
    "0 · x = 0, (−x) y = −(x y), x x = x², (x y) y = x y²",
    "simplicity",
    "multiply",
    lambda: x() * -x() + 0 * x() + (lambda v: v * v + sin(v) * v * v)(x()),
)
def _multiply(node: Node) -> Node | None:
    a, b = node.inputs
    for p, q in ((a, b), (b, a)):
        value = number(p)
        if value == 0:
            return zero(node)
        if value == -1:
            return -q
    if is_op(a, "negative") and a.name is None:
        return -(a.inputs[0] * b)
    if is_op(b, "negative") and b.name is None:
        return -(a * b.inputs[0])
    if a is b and is_float(a.dtype):
        return a**2
    if is_op(a, "multiply") and a.name is None and b in a.inputs and b.shape == a.shape and is_float(b.dtype):
        return a.inputs[0 if b is a.inputs[1] else 1] * b**2
    return None


@rule(
    "product with a fraction",
    "x (1/y) = x/y; for single numbers (x/y) z = x z/y and (x/y) (z/w) = x z/(y w)",
    "simplicity",
    "multiply",
    lambda: (
        x() * (1 / (x() ** 2 + 1))
        + (s() / (s() ** 2 + 1)) * sin(s())
        + (s() / (s() ** 2 + 1)) * (sin(s()) / (s() ** 2 + 2))
        + 3 * (2 / size("m")) * sum_(input_("x", ("m",)))
    ),
)
def _fraction(node: Node) -> Node | None:
    """A mean is left alone: 1/m · Σ x; so is whatever else stands before a sum."""
    a, b = node.inputs
    for fraction, other in ((b, a), (a, b)):
        if not is_op(fraction, "divide") or fraction.name is not None or is_op(other, "sum"):
            continue
        above, below = fraction.inputs
        whole = node.shape == ()
        if number(above) is not None and number(other) is not None and whole:
            return constant(float(number(above) * number(other))) / below  # type: ignore[operator]  # neither is None
        if whole and _of_a_mean(a) and _of_a_mean(b):
            top = constant(float(number(a.inputs[0]) * number(b.inputs[0])))  # type: ignore[operator]
            return top / (a.inputs[1] * b.inputs[1])
        if is_size(below) or other.shape != node.shape or below.shape == () != node.shape or not is_float(node.dtype):
            continue
        if whole and is_op(other, "divide") and other.name is None:
            return None if is_size(other.inputs[1]) else (a.inputs[0] * b.inputs[0]) / (a.inputs[1] * b.inputs[1])
        if number(above) == 1:
            return other / below
        if whole and number(other) is None:
            return ((above * other) if fraction is a else (other * above)) / below
    return None


@rule(
    "product of sizes",
    "4 · m = 4m, and a power of a size is a size",
    "simplicity",
    "multiply power",
    lambda: (size(4) * size("m") + size("m") ** 2) * sum_(input_("x", ("m",))),
)
def _sizes(node: Node) -> Node | None:
    a, b = node.inputs
    if is_op(node, "power"):
        square = is_op(a, "size") and a.name is None and number(b) == 2
        return size(a.attrs["size"] * a.attrs["size"]) if square else None
    both = is_op(a, "size") and is_op(b, "size") and a.name is None and b.name is None
    return size(a.attrs["size"] * b.attrs["size"]) if both else None


@rule(
    "divide",
    "0/x = 0, (−x)/y = −(x/y), x/x = 1, x/2 = 0.5 x, x/y/z = x/(y z)",
    "simplicity",
    "divide",
    lambda: (-x()) / 2 + 0 / (x() ** 2 + 1) + (lambda v: v / v)(x()) + 1 / s() / s(),
)
def _divide(node: Node) -> Node | None:
    a, b = node.inputs
    below = number(b)
    if number(a) == 0:
        return zero(node)
    if a is b:
        return broadcast_to(constant(1.0), node.shape)
    if is_op(a, "negative") and a.name is None:
        return -(a.inputs[0] / b)
    if is_op(b, "negative") and b.name is None:
        return -(a / b.inputs[0])
    if below is not None and below != 0 and number(a) is None and np.log2(abs(below)) % 1 == 0:
        return constant(1 / below) * a
    if is_op(a, "divide") and a.name is None and (scalar(b) is None or node.shape == ()):
        return a.inputs[0] / (a.inputs[1] * b)
    return None


@rule(
    "fraction of a size",
    "0.5/m = 1/(2 m), 2/(4 m) = 1/(2 m), 0.1/(2 m) = 0.05/m",
    "simplicity",
    "divide",
    lambda: (0.5 / size("m") + 2 / size(4 * Dim("m")) + 0.1 / size(2 * Dim("m"))) * sum_(input_("x", ("m",))),
)
def _size_fraction(node: Node) -> Node | None:
    above, below = node.inputs
    value, count = number(above), below.attrs.get("size")
    if not value or not isinstance(count, Dim) or not is_op(below, "size") or below.name is not None:
        return None
    share = Fraction(value)
    if share.denominator > 1024:  # a decimal such as 0.1 stays one
        common = math.gcd(*(c for _, c in count.terms))
        return None if common == 1 else constant(value / common) / size(quotient(count, common))
    common = math.gcd(share.numerator, *(c for _, c in count.terms))
    if common == 1 == share.denominator:
        return None
    return constant(float(share.numerator // common)) / (size(share.denominator) * size(quotient(count, common)))


@rule(
    "number of a mean",
    "3 (1/m · x) = 1/m · 3 x = 3/m · x, (1/m · x)/2 = 1/(2 m) · x",
    "simplicity",
    "multiply divide",
    lambda: (lambda v: 3 * (1 / size("m") * v) + 1 / size("m") * (3 * v) + (1 / size("m") * v) / 3)(
        sum_(input_("x", ("m",)))
    ),
)
def _mean_number(node: Node) -> Node | None:
    a, b = node.inputs
    for count, product_ in ((a, b), (b, a)):
        if product_.name is not None or not is_op(product_, "multiply") or node.shape != ():
            continue
        front, rest = product_.inputs
        if _of_a_mean(front) and number(count) is not None and (product_ is a or is_op(node, "multiply")):
            above, below = front.inputs
            times = number(count) if is_op(node, "multiply") else 1 / number(count)  # type: ignore[operator]
            return constant(float(number(above) * times)) / below * rest  # type: ignore[operator]  # both are numbers
        if _of_a_mean(count) and _of_a_mean(front) and is_op(node, "multiply"):
            return (count * front) * rest
        if _of_a_mean(count) and number(front) is not None and is_op(node, "multiply"):
            above, below = count.inputs
            return constant(float(number(above) * number(front))) / below * rest  # type: ignore[operator]
    return None


def _of_a_mean(node: Node) -> bool:
    """Whether it is 1/m, or another number in place of 1."""
    return (
        is_op(node, "divide") and node.name is None and number(node.inputs[0]) is not None and is_size(node.inputs[1])
    )


@rule(
    "power",
    "x¹ = x, x⁰ = 1, (xᵃ)ᵇ = xᵃᵇ for whole a, b, x⁻¹ = 1/x, (1/x)ᵃ = 1/xᵃ, (√x)² = x",
    "simplicity",
    "power",
    lambda: (
        power(power(x(), 2), 3) + x() ** 1 + x() ** 0 + (x() + 4) ** -1 + (1 / (x() + 4)) ** 2 + sqrt(x() ** 2 + 1) ** 2
    ),
)
def _power(node: Node) -> Node | None:
    a, b = node.inputs
    p = number(b)
    if p == 1:
        return a
    if p == 0:
        return broadcast_to(constant(1.0), node.shape)
    if p == -1:
        return 1 / a
    if p is not None and is_op(a, "power") and a.name is None:
        q = number(a.inputs[1])
        if q is not None and p.is_integer() and q.is_integer():
            return a.inputs[0] ** (p * q)
    if p == 2 and is_op(a, "sqrt") and a.name is None:
        return a.inputs[0]
    if p is not None and p > 0 and is_op(a, "divide") and a.name is None and number(a.inputs[0]) == 1:
        return 1 / a.inputs[1] ** p
    return None


@rule("exp of log", "exp(log x) = x", "simplicity", "exp", lambda: exp(log(x() ** 2)))
def _exp(node: Node) -> Node | None:
    return node.inputs[0].inputs[0] if is_op(node.inputs[0], "log") else None
