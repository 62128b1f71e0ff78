"""Nodes as plain rows that pickle takes, however long the chain; what belongs together is pickled at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule.graph.node import Node, ancestors

Row = tuple[Any, ...]


def rows_of(outputs: Sequence[Node]) -> tuple[list[Row], list[int]]:
    """A row for every node that the outputs need, operands by their numbers, and the numbers of the outputs.

    Where a node comes from, in a derivation or in the user's code, is left behind.
    """
    nodes = ancestors(*outputs)
    number = {n: i for i, n in enumerate(nodes)}
    rows = [(n.op, tuple(number[i] for i in n.inputs), dict(n.attrs), n.shape, n.dtype, n.name, n.scope) for n in nodes]
    return rows, [number[n] for n in outputs]


def nodes_of(pickled: tuple[Sequence[Row], Sequence[int]]) -> list[Node]:
    """The outputs of such rows."""
    rows, outputs = pickled
    nodes: list[Node] = []
    for op, operands, *rest in rows:
        nodes.append(Node(op, tuple(nodes[i] for i in operands), *rest))
    return [nodes[i] for i in outputs]


def one(pickled: tuple[Sequence[Row], Sequence[int]]) -> Node:
    """The only output of such rows."""
    return nodes_of(pickled)[0]
