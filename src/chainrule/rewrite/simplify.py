"""Rules for simplicity: a derived formula reads like the one in the textbook."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from chainrule.graph.dim import Dim, product, quotient
from chainrule.graph.node import Node
from chainrule.graph.op import is_float
from chainrule.ops import (
    broadcast_to,
    cast,
    constant,
    distribution,
    einsum,
    exp,
    greater,
    greater_equal,
    less,
    less_equal,
    log,
    log_softmax,
    negative,
    one_hot,
    power,
    reshape,
    sin,
    size,
    softmax,
    sqrt,
    transpose,
    where,
    xlogy,
)
from chainrule.ops import input as input_
from chainrule.ops import max as max_
from chainrule.ops import sum as sum_
from chainrule.ops.contractions import EINSUM, contract, parse
from chainrule.ops.leaves import is_size
from chainrule.rewrite.match import is_op, number, scalar, variable
from chainrule.rewrite.rewriter import rule


def x() -> Node:
    """An operand of the examples."""
    return variable("x")


def zero(node: Node) -> Node:
    """Zeros in the node's shape."""
    return broadcast_to(cast(constant(0.0), node.dtype), node.shape)


def s() -> Node:
    """A single number of the examples."""
    return variable("s", ())


# --- neutral elements, signs, constants -----------------------------------------------------------

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


# --- single numbers move out to the front ---------------------------------------------------------


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


# --- broadcasting, shapes -------------------------------------------------------------------------


@rule(
    "needless broadcast",
    "an elementwise op repeats by itself",
    "simplicity",
    "add subtract multiply divide where maximum minimum",
    lambda: x() * broadcast_to(variable("r", (3,)), (2, 3)),
)
def _broadcast_operand(node: Node) -> Node | None:
    for k, operand in enumerate(node.inputs):
        if is_op(operand, "broadcast_to") and operand.name is None:
            fewer = tuple(operand.inputs[0] if i == k else n for i, n in enumerate(node.inputs))
            if node.op.make(fewer, node.attrs).shape == node.shape:
                return node.op.make(fewer, node.attrs)
    return None


@rule(
    "sum of a broadcast",
    "Σ over n repetitions of x is n x",
    "simplicity",
    "sum",
    lambda: sum_(broadcast_to(variable("r", (3,)), (2, 3)), 0) + sum_(broadcast_to(s(), (2, 3)), 1)[0],
)
def _sum_of_broadcast(node: Node) -> Node | None:
    operand, axes = node.inputs[0], node.attrs["axes"]
    if not is_op(operand, "broadcast_to") or not is_float(node.dtype):
        return None
    inner = operand.inputs[0]
    offset = operand.ndim - inner.ndim
    repeated = [a for a in axes if a < offset or (inner.shape[a - offset] == 1 and operand.shape[a] != 1)]
    if not repeated:
        return None
    count = size(product(operand.shape[a] for a in repeated))
    rest = tuple(a for a in axes if a not in repeated)
    shape = tuple(1 if a in repeated else n for a, n in enumerate(operand.shape))
    summed = (
        sum_(broadcast_to(reshape(inner, (1,) * offset + inner.shape), shape), rest, keepdims=True)
        if rest
        else broadcast_to(reshape(inner, (1,) * offset + inner.shape), shape)
    )
    return count * reshape(summed, node.shape)


@rule(
    "sum of a sum",
    "Σ Σ x over some axes and then others is one sum",
    "simplicity",
    "sum",
    lambda: sum_(sum_(variable("t", (2, 3, 4)), 1), 0),
)
def _sum_of_sum(node: Node) -> Node | None:
    inner = node.inputs[0]
    if not is_op(inner, "sum") or inner.name is not None or inner.attrs["keepdims"]:
        return None
    left = [i for i in range(inner.inputs[0].ndim) if i not in inner.attrs["axes"]]
    axes = tuple(sorted({*inner.attrs["axes"], *(left[a] for a in node.attrs["axes"])}))
    return reshape(sum_(inner.inputs[0], axes), node.shape)


@rule(
    "factor out of a sum",
    "Σ_j a_i b_ij = a_i Σ_j b_ij",
    "simplicity",
    "sum",
    lambda: sum_(variable("a", (2, 1)) * x(), 1) + sum_(x() * variable("a", (2, 1)), 1),
)
def _factor_out(node: Node) -> Node | None:
    product_, axes = node.inputs[0], node.attrs["axes"]
    if not is_op(product_, "multiply") or product_.name is not None:
        return None
    for k in (0, 1):
        factor, rest = product_.inputs[k], product_.inputs[1 - k]
        offset = product_.ndim - factor.ndim
        fixed = factor.shape != () and all(a < offset or factor.shape[a - offset] == 1 for a in axes)
        if fixed and rest.shape == product_.shape:
            kept = sum_(rest, axes, keepdims=True)
            return reshape((factor * kept) if k == 0 else (kept * factor), node.shape)
    return None


@rule("sum of one", "Σ over an axis of size 1 is x", "simplicity", "sum", lambda: sum_(variable("c", (3, 1)), 1))
def _sum_of_one(node: Node) -> Node | None:
    operand, axes = node.inputs[0], node.attrs["axes"]
    real = tuple(a for a in axes if operand.shape[a] != 1)
    return reshape(sum_(operand, real), node.shape) if len(real) < len(axes) else None


@rule(
    "sum of probabilities",
    "softmax, one-hot rows and distributions sum to one",
    "simplicity",
    "sum",
    lambda: sum_(softmax(x()), -1) + sum_(one_hot(constant([0, 2]), 3), -1),
)
def _sum_of_probabilities(node: Node) -> Node | None:
    p, axes = node.inputs[0], node.attrs["axes"]
    axis = p.attrs.get("axis", p.ndim - 1)
    known = is_op(p, "softmax", "one_hot", "distribution") or bool(p.attrs.get("distribution"))
    return broadcast_to(constant(1.0), node.shape) if known and axes == (axis,) else None


@rule(
    "softmax of equals",
    "softmax(c) = 1/n for a number c",
    "simplicity",
    "softmax",
    lambda: x() * softmax(broadcast_to(constant(0.0), (2, 3))) + softmax(broadcast_to(constant(4.0), (3,)))[0],
)
def _softmax_of_equals(node: Node) -> Node | None:
    if number(node.inputs[0]) is None:
        return None
    n = node.shape[node.attrs["axis"]]
    return broadcast_to(constant(1 / n) if isinstance(n, int) else 1 / size(n), node.shape)


@rule(
    "shifted softmax",
    "softmax(z − c) = softmax(z) for a c that is the same along the axis",
    "simplicity",
    "softmax log_softmax",
    lambda: (lambda v: softmax(v - max_(v, 1, keepdims=True)) + log_softmax(v - s()))(x()),
)
def _shifted_softmax(node: Node) -> Node | None:
    shifted = node.inputs[0]
    if not is_op(shifted, "subtract") or shifted.name is not None:
        return None
    scores, shift = shifted.inputs
    axis = node.attrs["axis"] - (node.ndim - shift.ndim)
    same = scores.shape == node.shape and (axis < 0 or shift.shape[axis] == 1)
    return node.op.make((scores,), node.attrs) if same else None


@rule(
    "reshape",
    "a shape given twice counts once",
    "simplicity",
    "reshape",
    lambda: reshape(reshape(x(), (6,)), (3, 2)) + reshape(broadcast_to(s(), (6,)), (3, 2)),
)
def _reshape(node: Node) -> Node | None:
    operand = node.inputs[0]
    if operand.shape == node.shape:
        return operand
    if is_op(operand, "reshape") and operand.name is None:
        return reshape(operand.inputs[0], node.shape)
    if is_op(operand, "broadcast_to") and operand.inputs[0].shape == ():
        return broadcast_to(operand.inputs[0], node.shape)
    return None


@rule(
    "broadcast",
    "repeated twice is repeated once",
    "simplicity",
    "broadcast_to",
    lambda: broadcast_to(broadcast_to(s(), (3,)), (2, 3)) + broadcast_to(reshape(s(), (1, 1)), (2, 3)),
)
def _broadcast(node: Node) -> Node | None:
    operand = node.inputs[0]
    if operand.shape == node.shape:
        return operand
    if is_op(operand, "broadcast_to"):
        return broadcast_to(operand.inputs[0], node.shape)
    if is_op(operand, "reshape") and operand.inputs[0].shape == ():
        return broadcast_to(operand.inputs[0], node.shape)
    return None


@rule("transpose", "(xᵀ)ᵀ = x", "simplicity", "transpose", lambda: transpose(transpose(x())))
def _transpose(node: Node) -> Node | None:
    operand, axes = node.inputs[0], node.attrs["axes"]
    if axes == tuple(range(node.ndim)):
        return operand
    if is_op(operand, "transpose") and operand.name is None:
        return transpose(operand.inputs[0], tuple(operand.attrs["axes"][a] for a in axes))
    if is_op(operand, "einsum") and operand.name is None:
        letters, result = parse(operand.attrs["spec"])
        return EINSUM(*operand.inputs, spec=",".join(letters) + "->" + "".join(result[a] for a in axes))
    if is_op(operand, "broadcast_to") and operand.inputs[0].shape == ():
        return broadcast_to(operand.inputs[0], node.shape)
    return None


@rule(
    "product of a transpose",
    "a contraction reads a transposed operand as it lies",
    "speed",
    "einsum",
    lambda: transpose(x()) @ x(),
)
def _einsum_transpose(node: Node) -> Node | None:
    letters, result = parse(node.attrs["spec"])
    for k, operand in enumerate(node.inputs):
        if is_op(operand, "transpose") and operand.name is None:
            axes = operand.attrs["axes"]
            inner = [""] * len(axes)
            for position, axis in enumerate(axes):
                inner[axis] = letters[k][position]
            operands = [operand.inputs[0] if i == k else n for i, n in enumerate(node.inputs)]
            letters = ["".join(inner) if i == k else word for i, word in enumerate(letters)]
            return EINSUM(*operands, spec=",".join(letters) + "->" + result)
    return None


@rule(
    "product with repetitions",
    "a repeated operand is contracted before it is repeated",
    "speed",
    "einsum",
    lambda: (
        x() @ broadcast_to(variable("r", (1, 4)), (3, 4))
        + variable("v", (3,)) @ broadcast_to(s(), (3,))
        + x() @ broadcast_to(variable("c", (3, 1)), (3, 4))
    ),
)
def _einsum_broadcast(node: Node) -> Node | None:
    letters, result = parse(node.attrs["spec"])
    for k, operand in enumerate(node.inputs):
        if not is_op(operand, "broadcast_to") or operand.name is not None:
            continue
        inner = operand.inputs[0]
        offset = operand.ndim - inner.ndim
        repeated = [
            a for a in range(operand.ndim) if a < offset or (inner.shape[a - offset] == 1 and operand.shape[a] != 1)
        ]
        others = set("".join(w for i, w in enumerate(letters) if i != k))
        if not repeated:
            continue
        core = reshape(inner, tuple(n for a, n in enumerate(operand.shape) if a not in repeated))
        words = list(letters)
        words[k] = "".join(c for a, c in enumerate(letters[k]) if a not in repeated)
        only_here = {letters[k][a] for a in repeated} - others  # along these the result itself is repeated
        kept = "".join(c for c in result if c not in only_here)
        product_ = contract(words, kept, [core if i == k else n for i, n in enumerate(node.inputs)])
        shape = tuple(1 if c in only_here else n for c, n in zip(result, node.shape, strict=True))
        return broadcast_to(reshape(product_, shape), node.shape) if only_here else product_
    return None


@rule(
    "needless cast",
    "a cast to the kind that it is; a repeated number is cast before it is repeated",
    "simplicity",
    "cast",
    lambda: sin(x()) * cast(broadcast_to(constant(2), (2, 3)), "float"),
)
def _cast(node: Node) -> Node | None:
    operand = node.inputs[0]
    if operand.dtype == node.dtype:
        return operand
    if is_op(operand, "broadcast_to") and number(operand) is not None:
        value = number(operand)
        return broadcast_to(cast(constant(float(value or 0.0)), node.dtype), node.shape)
    return None


_TURNED = {greater: less, greater_equal: less_equal, less: greater, less_equal: greater_equal}


@rule(
    "comparison with zero",
    "x − y ≥ 0 is x ≥ y, 1 − x ≥ 0 is x ≤ 1, and so for >, <, ≤",
    "simplicity",
    " ".join(op.name for op in _TURNED),
    lambda: cast(x() - variable("y") > 0, "float") + cast(1 - x() * variable("y") >= 0, "float"),
)
def _comparison(node: Node) -> Node | None:
    difference, bound = node.inputs
    if number(bound) != 0 or not is_op(difference, "subtract") or difference.name is not None:
        return None
    a, b = difference.inputs
    turned = _TURNED[node.op](b, a) if number(a) is not None else node.op(a, b)
    return turned if turned.shape == node.shape else None


# --- choices and masks ----------------------------------------------------------------------------


@rule(
    "where",
    "a choice between equals is no choice; where(c, 1, 0) = [c]; where(c, s x, s y) = s where(c, x, y)",
    "simplicity",
    "where",
    lambda: where(x() > 0, s(), s()) + where(x() > 1, 1.0, 0.0) + where(x() > 2, s() * x(), s() * sin(x())),
)
def _where(node: Node) -> Node | None:
    condition, a, b = node.inputs
    if a is b or (number(a) is not None and number(a) == number(b)):
        return a
    if number(a) == 1 and number(b) == 0 and condition.shape == node.shape:
        return cast(condition, node.dtype)
    (over_a, under_a, rest_a), (over_b, under_b, rest_b) = _scaled(a), _scaled(b)
    under = under_b if under_a is None else under_a
    if under is None or any(u is not under and number(i) != 0 for u, i in ((under_a, a), (under_b, b))):
        return None
    return (1.0 / under) * where(condition, over_a * rest_a, over_b * rest_b)


@rule(
    "number times a choice",
    "2 where(c, 1, −3) = where(c, 2, −6), −where(c, 1, −3) = where(c, −1, 3)",
    "simplicity",
    "multiply negative",
    lambda: 2 * where(x() > 0, 1.0, -3.0) - where(x() > 1, 1.0, -3.0) * 1 + (-where(x() > 2, 1.0, -3.0)),
)
def _number_times_choice(node: Node) -> Node | None:
    factor, choice = (constant(-1.0), *node.inputs) if is_op(node, "negative") else node.inputs
    if number(factor) is None or not is_op(choice, "where") or choice.name is not None or choice.shape != node.shape:
        return None
    condition, *values = choice.inputs
    if any(number(v) is None for v in values) or 0 in map(number, values):
        return None
    return where(condition, *(constant(number(factor) * number(v)) for v in values))  # type: ignore[operator]


def _scaled(node: Node) -> tuple[Node, Node | None, Node]:
    """p, s, x of (p/s) x; s is None where nothing divides."""
    front, rest = node, constant(1.0)
    if is_op(node, "multiply") and node.inputs[0].shape == () and node.name is None:
        front, rest = node.inputs
    if rest.shape == () and number(front) is not None:  # c · p/s
        front, rest = rest, front
    if front.shape == () and is_op(front, "divide") and front.name is None:
        return front.inputs[0], front.inputs[1], rest
    return constant(1.0), None, node


@rule(
    "two masks",
    "where(c, x, 0) p + where(c, 0, y) q = where(c, x p, y q)",
    "simplicity",
    "add subtract",
    lambda: (lambda v: where(v > 0, s(), 0.0) * sin(v) + where(v > 0, 0.0, 1.0) * v)(x()),
)
def _two_masks(node: Node) -> Node | None:
    first, second = (_masked(i) for i in node.inputs)
    if first is None or second is None or first[0] is not second[0] or first[1] == second[1]:
        return None
    p, q = first[2], second[2] if is_op(node, "add") else -second[2]
    return where(first[0], p, q) if first[1] else where(first[0], q, p)


def _masked(node: Node) -> tuple[Node, bool, Node] | None:
    """c, whether it counts where c holds, and x, of a product x with a mask."""
    factors, stack = [], [node]
    while stack:
        n = stack.pop()
        if is_op(n, "multiply") and n.name is None:
            stack += reversed(n.inputs)
        else:
            factors.append(n)
    for k, mask in enumerate(factors):
        value: Node | None = None
        if is_op(mask, "cast") and mask.inputs[0].dtype == "bool":
            condition, side, value = mask.inputs[0], True, constant(1.0)
        elif is_op(mask, "where") and 0 in (number(mask.inputs[1]), number(mask.inputs[2])):
            condition, side = mask.inputs[0], number(mask.inputs[2]) == 0
            value = mask.inputs[1 if side else 2]
        if value is not None and mask.shape == node.shape:
            for factor in factors[:k] + factors[k + 1 :]:
                value = factor if number(value) == 1 else value * factor
            return condition, side, value
    return None


@rule("y log of itself", "y log 1 = 0", "simplicity", "xlogy", lambda: xlogy(x() ** 2, constant(1.0)))
def _xlogy(node: Node) -> Node | None:
    return zero(node) if number(node.inputs[1]) == 1 else None


@rule(
    "marks",
    "a distribution is its operand",
    "simplicity",
    "distribution",
    lambda: distribution((lambda e: e / sum_(e, -1, keepdims=True))(exp(x()))),
)
def _distribution(node: Node) -> Node | None:
    return node.inputs[0] if is_op(node.inputs[0], "distribution", "softmax", "one_hot") else None
