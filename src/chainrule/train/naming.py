"""The names of the backward part: dZ for the derivative by Z, dW and db for what the update uses.

As in the course's formula sheet dZ belongs to the sum over the examples, and 1/m is written with dW and db.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from chainrule.graph.body import with_bodies
from chainrule.graph.graph import Graph, depends_on
from chainrule.graph.node import Node, Origin, ancestors, deriving
from chainrule.notation import Names, unique_names
from chainrule.verbs import Derivation, Label


def derivative_names(graph: Graph, wrt: Sequence[Node]) -> dict[Node, Label]:
    """A name for every derivative that is worth one: those by ``wrt``, and those by quantities on the way to them.

    In a layer it is each but A, whose derivative belongs to the layer that follows. Outside of layers it is each but
    the outputs and parts of the cost, behind which nothing is learned: the chain goes through them.
    """
    on_the_way = [
        n
        for n in graph
        if n.inputs
        and n.name
        and (n.name != "A" if n.scope else n not in graph.outputs and not _part_of_the_cost(n, graph, wrt))
    ]
    return {n: (f"d{n.name}", n.scope) for n in (*wrt, *on_the_way)}


def _part_of_the_cost(node: Node, graph: Graph, wrt: Sequence[Node]) -> bool:
    """Whether nothing that is learned stands in a quantity's own formula, nor is multiplied with it later."""
    own = ancestors(node, stop=lambda n: n is not node and bool(n.name))
    if node in wrt or any(n in wrt for n in own):
        return False
    behind, learned = depends_on(graph.outputs, [node]), depends_on(graph.outputs, wrt)
    products = (n for n in behind if n is not node and n.op.name not in ("add", "subtract"))
    return not any(i in learned and i not in behind for n in products for i in n.inputs)


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
        forms: the final form of a quantity, which is called as the quantity itself, unless it is another that has a
            name: B = 1 · A is A.
        named: what a derivative is by: with Z2.2 it is dZ2.2.
    """
    nodes = with_bodies(nodes)
    written: dict[Node, Node] = {}
    for node in nodes:
        form = forms.get(node, node)
        if node.name and form is not node and (not form.name or (form.name, form.scope) == (node.name, node.scope)):
            written.setdefault(form, node)
    return unique_names(nodes, written, named)
