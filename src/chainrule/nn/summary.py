"""A network at a glance: for each layer its output, what it learns, and how much it computes."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from chainrule.graph.body import has_body
from chainrule.graph.body import work as work_of
from chainrule.graph.dim import Size, definite, resolve, show
from chainrule.graph.graph import Graph
from chainrule.graph.node import Node, Scope
from chainrule.notation import columns, padded, unique_names


@dataclass(frozen=True)
class LayerSummary:
    """One layer.

    Attributes:
        name: its number or its name; "" for what belongs to no layer.
        kind: what it is: Dense, Dropout …
        shape: of its output.
        parameters: each with its shape.
        parameter_count: how many numbers it learns.
        multiply_adds: how many products it sums up for one example.
    """

    name: str
    kind: str
    shape: tuple[Size, ...]
    parameters: tuple[tuple[str, tuple[Size, ...]], ...]
    parameter_count: int
    multiply_adds: int


@dataclass(frozen=True)
class Summary:
    """A network's layers in the order of the computation. Prints as a table."""

    layers: tuple[LayerSummary, ...]

    @property
    def parameter_count(self) -> int:
        """How many numbers are learned."""
        return sum(layer.parameter_count for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        """How many products are summed up for one example, forward."""
        return sum(layer.multiply_adds for layer in self.layers)

    def __iter__(self) -> Iterator[LayerSummary]:
        return iter(self.layers)

    def __str__(self) -> str:
        rows = [("layer", "", "output", "parameters", "", "multiply–adds")]
        for layer in self.layers:
            learned = ", ".join(f"{name} {show(shape)}" for name, shape in layer.parameters)
            counts = f"{layer.parameter_count:,}", learned, f"{layer.multiply_adds:,}"
            rows.append((layer.name, layer.kind, show(layer.shape), *counts))
        rows.append(("total", "", "", f"{self.parameter_count:,}", "", f"{self.multiply_adds:,}"))
        widths = [max(columns(row[k]) for row in rows) for k in range(6)]
        right = (3, 5)
        lines = []
        for row in rows:
            cells = [
                " " * (w - columns(cell)) + cell if k in right else padded(cell, w)
                for k, (cell, w) in enumerate(zip(row, widths, strict=True))
            ]
            lines.append("  ".join(cells).rstrip())
        return "\n".join(lines)

    __repr__ = __str__


def summarise(outputs: Sequence[Node]) -> Summary:
    """The layers of a graph. Nodes that belong to no layer stand together at the end, where they learn or multiply."""
    graph = Graph(outputs)
    names = unique_names(graph.nodes)
    members: dict[Scope | None, list[Node]] = {}
    for node in graph:
        members.setdefault(node.scope, []).append(node)
    place = {node: k for k, node in enumerate(graph)}
    layers: list[tuple[Any, LayerSummary]] = []
    for scope, nodes in members.items():
        made = [n for n in nodes if n.inputs]
        learned = [n for n in nodes if n.op.name == "parameter"]
        once = {work_of(n) if has_body(n) else n: n for n in made}  # the results of a loop are one piece of work
        work = sum(map(_for_one_example, once.values()))
        if not learned and not work and (scope is None or not made):
            continue
        last = _output(made, graph) if made else nodes[-1]
        layer = LayerSummary(
            name=next((names[n].layer for n in nodes if n in names and names[n].layer), "") if scope else "",
            kind=scope.kind if scope else "",
            shape=last.shape,
            parameters=tuple((names[p].text, p.shape) for p in learned),
            parameter_count=sum(math.prod(definite(p.shape)) for p in learned),
            multiply_adds=work,
        )
        layers.append(((scope is None, place[last]), layer))
    return Summary(tuple(layer for _, layer in sorted(layers, key=lambda pair: pair[0])))


def _output(made: Sequence[Node], graph: Graph) -> Node:
    """The last node of a layer that something outside of it uses."""
    inside = set(made)
    used = [n for n in made if n in graph.outputs or any(user not in inside for user in graph.consumers[n])]
    return (used or made)[-1]


def _for_one_example(node: Node) -> int:
    return resolve(node.op.multiply_adds(node), defaultdict(lambda: 1))
