"""Reverse mode: from a cost back to everything that it depends on, as new nodes of the graph.

At every node the derivative that comes from above (upstream) is carried to each operand (downstream). For
an elementwise op ``downstream = upstream · local``; for a contraction the Jacobian is never built, the
product with it is again a contraction. Where a quantity is used twice, its derivatives are added: the copy
gate.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from chainrule.errors import DerivativeError
from chainrule.graph.body import work
from chainrule.graph.graph import depends_on
from chainrule.graph.node import Node, Origin, ancestors, deriving, describe
from chainrule.graph.op import Constant, Elementwise, General, Linear, ThroughBody, is_float
from chainrule.ops import broadcast_to, cast, constant
from chainrule.ops.shaping import sum_to

NO_NAMES: Mapping[Node, str] = MappingProxyType({})
THROUGH_BODY: dict[str, Callable[..., Any]] = {}
"""How derivatives go through a body that is repeated, ``"reverse"`` and ``"forward"``: entered by ``loops.py``."""


@dataclass(frozen=True)
class Edge:
    """What flows back over one edge, from a node to its operand number ``position``.

    ``local`` is the local derivative of an elementwise op, and None where it would be a matrix that is not
    built. ``together`` is what comes from above for every result of the same work, that of ``node`` among them.
    """

    node: Node
    position: int
    upstream: Node
    local: Node | None
    downstream: Node
    together: tuple[tuple[Node, Node], ...] = ()


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
    return sweep({output: seed}, wrt)


def sweep(seeds: Mapping[Node, Node], wrt: Iterable[Node], names: Mapping[Node, str] = NO_NAMES) -> Backward:
    """Carry derivatives back from several nodes at once, to ``wrt`` and all nodes between.

    Args:
        seeds: for each node that the derivative comes from, the upstream derivative to start from.
        wrt: the nodes to differentiate by.
        names: what the derivatives by some nodes are called.
    """
    order = ancestors(*seeds)
    active = {n for n in depends_on(tuple(seeds), wrt) if is_float(n.dtype)}
    backward = Backward(next(iter(seeds)))
    incoming: dict[Node, list[Node]] = {n: [g] for n, g in seeds.items() if n in active}
    waiting: dict[Hashable, dict[Node, Node]] = {}
    first = {work(n): n for n in reversed(order) if n.op.results is not None}
    for node in reversed(order):
        places = [k for k, i in enumerate(node.inputs) if i in active and node.op.differentiable_in(k)]
        if node in active and node in incoming:
            upstream = _added(node, incoming.pop(node))
            if node in names and upstream.inputs and upstream.name is None:
                upstream = upstream.named(names[node], node.scope)
            backward.adjoints[node] = upstream
            if node.op.results is not None:
                waiting.setdefault(work(node), {})[node] = upstream
            else:
                for k in places:
                    with deriving(Origin(node, node.op.name, "downstream")):
                        local, downstream = pull(upstream, node, k)
                    backward.edges.append(_edge(incoming, node, k, upstream, local, downstream))
        # Several results of one piece of work flow back together, once all that uses them has been met.
        if node.op.results is not None and first[work(node)] is node and work(node) in waiting:
            upstreams = waiting.pop(work(node))
            with deriving(Origin(node, node.op.name, "downstream")):
                back = THROUGH_BODY["reverse"](upstreams, places)
            one = next(iter(upstreams))
            for k, downstream in back.items():
                backward.edges.append(
                    _edge(incoming, one, k, upstreams[one], None, downstream, tuple(upstreams.items()))
                )
    return backward


def _edge(
    incoming: dict[Node, list[Node]],
    node: Node,
    position: int,
    upstream: Node,
    local: Node | None,
    downstream: Node,
    together: tuple[tuple[Node, Node], ...] = (),
) -> Edge:
    """Note what flows back over an edge, for the operand as well."""
    operand = node.inputs[position]
    with deriving(Origin(node, node.op.name, "downstream")):
        downstream = cast(downstream, operand.dtype)
    incoming.setdefault(operand, []).append(downstream)
    return Edge(node, position, upstream, local, downstream, together or ((node, upstream),))


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
    if isinstance(rule, ThroughBody):
        return None, THROUGH_BODY["reverse"]({node: upstream}, [position])[position]
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
