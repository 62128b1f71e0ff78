"""Rules for simplicity: what is repeated, summed, reshaped and turned, and contractions of such."""

from __future__ import annotations

from chainrule.graph.dim import product
from chainrule.graph.node import Node
from chainrule.graph.op import is_float
from chainrule.ops import (
    broadcast_to,
    cast,
    constant,
    greater,
    greater_equal,
    less,
    less_equal,
    log_softmax,
    one_hot,
    reshape,
    sin,
    size,
    softmax,
    transpose,
)
from chainrule.ops import max as max_
from chainrule.ops import sum as sum_
from chainrule.ops.contractions import EINSUM, contract, parse
from chainrule.rewrite.match import is_op, number, s, variable, x
from chainrule.rewrite.rewriter import rule


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
