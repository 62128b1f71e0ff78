"""Reverse mode: from a cost back to everything that it depends on, as new nodes of the graph.

At every node the derivative that comes from above (upstream) is carried to each operand (downstream). For
an elementwise op ``downstream = upstream · local``; for a contraction the Jacobian is never built, the
product with it is again a contraction. Where a quantity is used twice, its derivatives are added: the copy
gate.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from chainrule.errors import DerivativeError
from chainrule.graph.graph import depends_on
from chainrule.graph.node import Node, Origin, ancestors, deriving, describe
from chainrule.graph.op import Constant, Elementwise, General, Linear, is_float
from chainrule.ops import broadcast_to, cast, constant
from chainrule.ops.shaping import sum_to


@dataclass(frozen=True)
class Edge:
    """What flows back over one edge, from a node to its operand number ``position``.

    ``local`` is the local derivative of an elementwise op, and None where it would be a matrix that is not
    built.
    """

    node: Node
    position: int
    upstream: Node
    local: Node | None
    downstream: Node


@dataclass
class Backward:
    """The backward part of a graph: the derivative of ``output`` by every node it depends on."""

    output: Node
    adjoints: dict[Node, Node] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)


def reverse(output: Node, wrt: Iterable[Node], seed: Node | None = None) -> Backward:
    """The derivatives of a scalar ``output`` by ``wrt`` and all nodes between, as nodes.

    Args:
        output: a scalar, or anything when ``seed`` gives the upstream derivative to start from.
        wrt: the nodes to differentiate by.
        seed: the upstream derivative of the output, 1 by default.

    Returns:
        A :class:`Backward`; ``adjoints[node]`` has the shape of the node.

    Source: Griewank and Walther, Evaluating Derivatives, 2nd ed., ch. 3.
    """
    if seed is None:
        if output.shape != ():
            raise DerivativeError(
                "a gradient belongs to a single number",
                given=describe(output),
                expected="a cost of shape ()",
                hint="take cr.mean(…) or cr.sum(…) of it first",
            )
        seed = constant(1.0)
    wrt = tuple(wrt)
    active = {n for n in depends_on([output], wrt) if is_float(n.dtype)}
    backward = Backward(output)
    incoming: dict[Node, list[Node]] = {output: [seed]} if output in active else {}
    for node in reversed(ancestors(output)):
        if node not in active or node not in incoming:
            continue
        upstream = _added(node, incoming.pop(node))
        backward.adjoints[node] = upstream
        for position, operand in enumerate(node.inputs):
            if operand not in active or not node.op.differentiable_in(position):
                continue
            with deriving(Origin(node, node.op.name, "downstream")):
                local, downstream = pull(upstream, node, position)
                if downstream.dtype != operand.dtype:
                    downstream = cast(downstream, operand.dtype)
            backward.edges.append(Edge(node, position, upstream, local, downstream))
            incoming.setdefault(operand, []).append(downstream)
    return backward


def pull(upstream: Node, node: Node, position: int) -> tuple[Node | None, Node]:
    """The local derivative (for elementwise ops) and the downstream one, for one operand of a node."""
    rule = node.op.calculus
    if isinstance(rule, Elementwise):
        with deriving(Origin(node, node.op.name, "local")):
            local = rule.partials[position](node, *node.inputs, **node.attrs)
        assert local is not None
        return local, sum_to(_scaled(upstream, local), node.inputs[position].shape)
    if isinstance(rule, Linear):
        return None, rule.transpose(upstream, node, position)
    if isinstance(rule, General):
        return None, rule.reverse(upstream, node, position)
    raise DerivativeError(f"{node.op.name} has no derivative", given=describe(node), hint=rule.reason)


def _scaled(g: Node, local: Node) -> Node:
    """g · local, without writing a factor of one."""
    if local.op.name == "constant" and local.shape == () and local.name is None:
        value = float(local.attrs["value"])
        if value == 1.0:
            return g
        if value == -1.0:
            return -g
    return g * local


def _added(node: Node, terms: Sequence[Node]) -> Node:
    with deriving(Origin(node, "copy", "sum")):
        total, *others = reversed(terms)  # uses are met from the last to the first; a sum reads from the first
        for term in others:
            total = total + term
        return total if total.shape == node.shape else broadcast_to(total, node.shape)


def zeros_like(node: Node) -> Node:
    """Zeros of the node's shape, whatever its sizes."""
    return broadcast_to(cast(constant(0.0), node.dtype), node.shape)


def check_differentiable(output: Node, wrt: Sequence[Node]) -> None:
    """Raise :class:`DerivativeError` where a node is no float, with the reason why there is no derivative."""
    for node in (output, *wrt):
        if not is_float(node.dtype):
            rule = node.op.calculus
            raise DerivativeError(
                "there is no derivative of or by whole numbers and truth values",
                given=describe(node),
                hint=rule.reason if isinstance(rule, Constant) and node.inputs else None,
            )
