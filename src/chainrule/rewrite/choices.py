"""Rules for simplicity: comparisons, choices, masks, and probabilities."""

from __future__ import annotations

from chainrule.graph.node import Node
from chainrule.ops import (
    cast,
    constant,
    distribution,
    exp,
    sin,
    where,
    xlogy,
)
from chainrule.ops import sum as sum_
from chainrule.rewrite.match import is_op, number, s, x, zero
from chainrule.rewrite.rewriter import rule


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
