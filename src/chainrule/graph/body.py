"""A body: what is repeated over time, a graph of its own with holes for state, slices and constants.

A node that repeats a body has it among its settings; what it reads is plugged into the holes. Every quantity of the
body has a value at every step, so each can be asked for: the nodes that ask for different ones have the same operands,
and one piece of work serves them all.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np

from chainrule.graph.node import Node, ancestors
from chainrule.graph.pickling import nodes_of, rows_of

FINAL, EVERY = "final", "every"
"""What is asked of a body: a state after the last step, or a quantity at every step, stacked along a first axis."""
Result = tuple[str, int]
"""``("final", i)`` for state i, ``("every", j)`` for node j of the body."""


@dataclass(frozen=True, eq=False)
class Body:
    """One step of something repeated. Two bodies are equal when they compute the same under the same names.

    Attributes:
        states: leaves that stand for the state before the step.
        slices: leaves that stand for what the step reads of each sequence.
        constants: leaves that stand for what is the same at every step.
        new: the state after the step, one node for each of ``states``.
        results: further quantities of the step that belong to it: outputs, and what has a name.
        backwards: the last slices are read first.
    """

    states: tuple[Node, ...]
    slices: tuple[Node, ...]
    constants: tuple[Node, ...]
    new: tuple[Node, ...]
    results: tuple[Node, ...] = ()
    backwards: bool = False

    @cached_property
    def holes(self) -> tuple[Node, ...]:
        """The leaves in the order of the operands that are plugged into them."""
        return (*self.states, *self.slices, *self.constants)

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """Every node of the body: the holes, then operands before results."""
        return tuple(ancestors(*self.holes, *self.new, *self.results))

    @cached_property
    def number(self) -> Mapping[Node, int]:
        """The place of each node among ``nodes``."""
        return {n: i for i, n in enumerate(self.nodes)}

    @cached_property
    def named(self) -> tuple[Node, ...]:
        """The quantities of the step that have a name, in the order of the computation."""
        holes = set(self.holes)
        return tuple(n for n in self.nodes if n.name and n.inputs and n not in holes)

    def initial(self, operands: Sequence[Any]) -> tuple[Any, ...]:
        """Of a loop's operands those that the state starts from."""
        return tuple(operands[: len(self.states)])

    def sequences(self, operands: Sequence[Any]) -> tuple[Any, ...]:
        """Of a loop's operands those that are read slice by slice."""
        return tuple(operands[len(self.states) : len(self.states) + len(self.slices)])

    def fixed(self, operands: Sequence[Any]) -> tuple[Any, ...]:
        """Of a loop's operands those that are the same at every step."""
        return tuple(operands[len(self.states) + len(self.slices) :])

    @cached_property
    def key(self) -> Hashable:
        """What makes two bodies equal."""
        rows = tuple(
            (n.op.name, tuple(self.number[i] for i in n.inputs), n.name, n.shape, n.dtype, _comparable(n.attrs))
            for n in self.nodes
        )
        ends = tuple(self.number[n] for n in (*self.new, *self.results))
        return rows, ends, len(self.states), len(self.slices), self.backwards

    @cached_property
    def _hash(self) -> int:
        return hash(self.key)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, Body) and self._hash == other._hash and self.key == other.key

    def __reduce__(self) -> Any:
        parts = (self.states, self.slices, self.constants, self.new, self.results)
        return _unpickled, (rows_of([n for part in parts for n in part]), [len(p) for p in parts], self.backwards)

    def __repr__(self) -> str:
        return f"<body of {len(self.nodes)} nodes, {len(self.states)} of them states>"


def _unpickled(rows: Any, lengths: Sequence[int], backwards: bool) -> Body:
    nodes = iter(nodes_of(rows))
    states, slices, constants, new, results = (tuple(islice(nodes, n)) for n in lengths)
    return Body(states, slices, constants, new, results, backwards)


def _comparable(attrs: Mapping[str, Any]) -> Hashable:
    def plain(value: Any) -> Hashable:
        if isinstance(value, np.ndarray):
            return value.dtype.str, value.shape, value.tobytes()
        return value  # type: ignore[no-any-return]

    return tuple(sorted((k, plain(v)) for k, v in attrs.items() if k != "initializer"))


def has_body(node: Node) -> bool:
    """Whether the node repeats a body."""
    return "body" in node.attrs


def work(node: Node) -> Hashable:
    """What a node shares with those that ask for other results of the same work."""
    return node.op.name, node.inputs, node.attrs["body"], node.attrs["length"]


def asked(node: Node) -> Node:
    """The quantity of the body that the node gives: the state after the step, or that of every step."""
    body: Body = node.attrs["body"]
    kind, place = node.attrs["result"]
    quantity: Node = body.new[place] if kind == FINAL else body.nodes[place]
    return quantity


def with_body(node: Node, body: Body, table: Mapping[Node, Node]) -> Node:
    """The node with another body of the same holes; ``table`` says what became of the nodes of the one it had."""
    old: Body = node.attrs["body"]
    if body is old:
        return node
    kind, place = node.attrs["result"]
    if kind == EVERY:
        quantity = table[old.nodes[place]]
        if quantity not in body.number:
            body = replace(body, results=(*body.results, quantity))
        place = body.number[quantity]
    attrs = {**node.attrs, "body": body, "result": (kind, place)}
    return Node(node.op, node.inputs, attrs, node.shape, node.dtype, node.name, node.scope, node.source, node.origin)


def over_time(node: Node) -> bool:
    """Whether the node's first axis is the steps of a loop."""
    return has_body(node) and bool(node.attrs["result"][0] == EVERY)


def with_bodies(nodes: Iterable[Node]) -> list[Node]:
    """The nodes, each body's nodes before those that repeat it; each once."""
    out: dict[Node, None] = {}
    seen: set[int] = set()
    for node in nodes:
        if has_body(node) and id(node.attrs["body"]) not in seen:
            body: Body = node.attrs["body"]
            seen.add(id(body))
            out |= dict.fromkeys(with_bodies(body.nodes))
        out[node] = None
    return list(out)


def time_moved(node: Node) -> bool:
    """Whether a transpose puts the first axis, time, elsewhere and keeps the others in order, or puts it first."""
    if node.op.name != "transpose":
        return False
    axes = node.attrs["axes"]
    return bool(axes == (1, 0, *range(2, len(axes))))


def at_a_time(sequence: Node) -> Node:
    """What a sequence is without being turned so that time comes first."""
    while time_moved(sequence) and sequence.name is None:
        sequence = sequence.inputs[0]
    return sequence
