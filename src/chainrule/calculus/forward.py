"""Forward mode: how an output moves when inputs move along given directions (a Jacobian times a vector)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chainrule.calculus.reverse import THROUGH_BODY, zeros_like
from chainrule.errors import ShapeError
from chainrule.graph.dim import show
from chainrule.graph.node import Node, Origin, ancestors, deriving, describe
from chainrule.graph.op import Constant, Elementwise, General, Linear, ThroughBody, is_float
from chainrule.ops import broadcast_to, cast


def forward(outputs: Sequence[Node], directions: Mapping[Node, Node]) -> list[Node]:
    """The directional derivative of each output: Σ ∂y/∂x · direction of x, as nodes.

    Args:
        outputs: any nodes.
        directions: for each node that moves, its direction, of the same shape.

    Returns:
        One node per output, of the output's shape; zeros where nothing moves it.
    """
    for node, direction in directions.items():
        if node.shape != direction.shape:
            raise ShapeError(
                "a direction has the shape of what moves",
                given=f"{show(direction.shape)} for {describe(node)}",
                expected=show(node.shape),
            )
    tangents: dict[Node, Node] = dict(directions)
    for node in ancestors(*outputs):
        if node in tangents or not is_float(node.dtype):
            continue
        moving = [tangents.get(i) for i in node.inputs]
        if any(t is not None for t in moving):
            with deriving(Origin(node, node.op.name, "tangent")):
                tangent = push(moving, node)
                if tangent is not None:
                    tangents[node] = tangent
    return [tangents[y] if y in tangents else zeros_like(y) for y in outputs]


def push(moving: Sequence[Node | None], node: Node) -> Node | None:
    """The tangent of one node from those of its operands (None where an operand stands still)."""
    rule = node.op.calculus
    if isinstance(rule, Constant):
        return None
    if isinstance(rule, ThroughBody):
        return THROUGH_BODY["forward"](moving, node)  # type: ignore[no-any-return]
    if isinstance(rule, General):
        return _fit(rule.forward(moving, node), node)
    terms: list[Node] = []
    if isinstance(rule, Elementwise):
        for partial, t in zip(rule.partials, moving, strict=True):
            if t is not None:
                local = partial(node, *node.inputs, **node.attrs)
                assert local is not None
                terms.append(t * local)
    elif isinstance(rule, Linear):
        places = [k for k, t in enumerate(moving) if t is not None and node.op.differentiable_in(k)]
        if rule.joint and places:
            operands = [
                (t if t is not None else zeros_like(x)) if node.op.differentiable_in(k) else x
                for k, (x, t) in enumerate(zip(node.inputs, moving, strict=True))
            ]
            terms.append(node.op(*operands, **node.attrs))
        else:
            for k in places:
                operands = [moving[k] if i == k else x for i, x in enumerate(node.inputs)]  # type: ignore[misc]
                terms.append(node.op(*operands, **node.attrs))
    if not terms:
        return None
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return _fit(total, node)


def _fit(tangent: Node, node: Node) -> Node:
    tangent = cast(tangent, node.dtype)
    return tangent if tangent.shape == node.shape else broadcast_to(tangent, node.shape)
