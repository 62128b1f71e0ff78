"""The names of the backward part: dZ for the derivative by Z, dW and db for what the update uses.

As in the course's formula sheet dZ belongs to the sum over the examples, and 1/m is written with dW and db.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from chainrule.graph.body import with_bodies
from chainrule.graph.graph import Graph
from chainrule.graph.node import Node, Origin, deriving
from chainrule.notation import Names, unique_names
from chainrule.verbs import Derivation, Label


def derivative_names(graph: Graph, wrt: Sequence[Node]) -> dict[Node, Label]:
    """A name for every derivative that is worth one: those by ``wrt``, and those by quantities on the way to them.

    In a layer it is each but A, whose derivative belongs to the layer that follows; so it is outside of layers, but for
    the outputs.
    """
    on_the_way = [n for n in graph if n.inputs and n.name and (n.name != "A" if n.scope else n not in graph.outputs)]
    return {n: (f"d{n.name}", n.scope) for n in (*wrt, *on_the_way)}


def named_gradients(wrt: Sequence[Node], derivation: Derivation) -> dict[Node, Node]:
    """The gradient by each node; a number that nothing led to, as the gradient by b of b + b, has its name too."""
    out = {}
    for node, gradient in zip(wrt, derivation.gradients, strict=True):
        with deriving(Origin(node, "chain", "adjoint")):
            out[node] = gradient if gradient.name else gradient.named(f"d{node.name}", node.scope)
    return out


def names_as_written(nodes: Iterable[Node], forms: Mapping[Node, Node], named: Mapping[Node, Node]) -> Names:
    """A symbol for every named node.

    Args:
        nodes: operands before results.
        forms: the final form of a quantity, which is called as the quantity itself.
        named: what a derivative is by: with Z2.2 it is dZ2.2.
    """
    nodes = with_bodies(nodes)
    written: dict[Node, Node] = {}
    for node in nodes:
        if node.name and forms.get(node, node) is not node:
            written.setdefault(forms[node], node)
    return unique_names(nodes, written, named)
