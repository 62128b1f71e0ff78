"""Small questions about nodes that rules ask."""

from __future__ import annotations

from chainrule.graph.node import Node
from chainrule.ops import broadcast_to, cast, constant
from chainrule.ops import input as input_


def number(node: Node) -> float | None:
    """The value of an unnamed constant that is one number, also where it is repeated over a shape."""
    if node.op.name == "broadcast_to" or (node.op.name == "reshape" and node.inputs[0].shape == ()):
        return number(node.inputs[0])
    if node.op.name == "cast" and node.inputs[0].op.name == "constant":
        return number(node.inputs[0])
    if node.op.name != "constant" or node.name is not None or node.dtype == "bool":
        return None
    value = node.attrs["value"]
    if value.ndim == 0:
        return float(value)
    return float(value.flat[0]) if value.size and (value == value.flat[0]).all() else None


def is_op(node: Node, *names: str) -> bool:
    """Whether the node is made by one of these ops."""
    return node.op.name in names


def scalar(node: Node) -> Node | None:
    """The single number that a node is, or that it repeats over a shape."""
    if node.shape == ():
        return node
    if node.op.name in ("broadcast_to", "reshape") and node.inputs[0].shape == ():
        return node.inputs[0]
    return None


def negated(node: Node) -> Node | None:
    """x where the node is −x."""
    if node.op.name == "negative":
        return node.inputs[0]
    if node.op.name == "multiply" and number(node.inputs[0]) == -1.0:
        return node.inputs[1]
    if node.op.name == "multiply" and number(node.inputs[1]) == -1.0:
        return node.inputs[0]
    return None


def one_plus(node: Node) -> Node | None:
    """x where the node is 1 + x or x + 1."""
    if node.op.name == "add":
        a, b = node.inputs
        if number(a) == 1.0:
            return b
        if number(b) == 1.0:
            return a
    return None


def variable(name: str, shape: tuple[int, ...] = (2, 3)) -> Node:
    """An input for a rule's example."""
    return input_(name, shape)


def x() -> Node:
    """An operand of the rules' examples."""
    return variable("x")


def zero(node: Node) -> Node:
    """Zeros in the node's shape."""
    return broadcast_to(cast(constant(0.0), node.dtype), node.shape)


def s() -> Node:
    """A single number of the examples."""
    return variable("s", ())
