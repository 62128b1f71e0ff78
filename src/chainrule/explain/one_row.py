"""One row of a batch in a trace: its own numbers, and its part of the derivatives that are added up over the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.calculus import Edge
from chainrule.engine import interpret
from chainrule.graph.dim import Dim
from chainrule.graph.graph import Graph, depends_on
from chainrule.graph.node import Node

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class OneRow:
    """What one row has of a forward and a backward pass over a batch.

    Attributes:
        values: every node's numbers: of the row where there are some for each row, else of the batch.
        flows: upstream and downstream of each edge to what all rows share, such as a parameter, as far as they are
            this row's: those of all rows add up to the batch's.
        parts: the downstream ones by operand.
        whole: what is computed from the rows and has no numbers for each of them, as a cost.
        aside: the edges over which something comes that is no row's, as from a penalty, to what has parts.
    """

    values: Mapping[Node, Array]
    flows: Mapping[Edge, tuple[Array, Array]]
    parts: Mapping[Node, Sequence[Array]]
    whole: frozenset[Node]
    aside: tuple[Edge, ...]


def one_row(row: int, graph: Graph, edges: Sequence[Edge], values: Mapping[Node, Array], dtype: Any) -> OneRow:
    """Take a row out of the numbers of a batch."""
    inputs = [n for n in graph.inputs if n.shape and isinstance(n.shape[0], Dim)]
    counts = {n.shape[0] for n in inputs}
    axes = {n: k for n in values for k, size in reversed([*enumerate(n.shape)]) if size in counts}
    own = {n: np.take(v, [row], axes[n]) if n in axes else v for n, v in values.items()}
    of_batch = depends_on(graph.outputs, inputs)

    # What flows back is linear in the upstream: with the numbers of this row alone it is this row's part.
    shared = [e for e in edges if not {e.node.inputs[e.position]} & (of_batch | axes.keys())]
    direct = [e for e in shared if all(sum(s in counts for s in n.shape) == 1 for n, _ in e.together)]
    found = interpret([e.downstream for e in direct], {n: own[n] for e in direct for n in _ends(e)}, dtype)
    flows = {e: (own[e.upstream], np.asarray(found[e.downstream])) for e in direct}
    parts: dict[Node, list[Array]] = {}
    for e in shared:
        if e not in flows and e.node in parts:
            upstream = np.asarray(sum(parts[e.node]))
            fed = {n: own[n] for n in _ends(e)} | {e.upstream: upstream}
            flows[e] = upstream, np.asarray(interpret([e.downstream], fed, dtype)[e.downstream])
        if e in flows:
            parts.setdefault(e.node.inputs[e.position], []).append(flows[e][1])
    aside = tuple(e for e in shared if e not in flows and e.node.inputs[e.position] in parts)
    return OneRow(own, flows, parts, frozenset(of_batch - axes.keys()), aside)


def _ends(edge: Edge) -> set[Node]:
    """The nodes that what flows back over an edge is computed from."""
    return {*edge.node.inputs, *(n for pair in edge.together for n in pair)}
