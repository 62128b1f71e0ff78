"""The layers of a network as they stand in its graph: h W + b = Z, and what is made of Z."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from chainrule.errors import GraphError
from chainrule.graph.dim import definite
from chainrule.graph.graph import Graph
from chainrule.graph.node import Node, ancestors
from chainrule.graph.op import Elementwise
from chainrule.notation import Symbol
from chainrule.ops.contractions import as_product
from chainrule.rewrite import in_phase
from chainrule.train import Run


@dataclass(frozen=True)
class Layer:
    """Weighted sums of some units, and their activation.

    Attributes:
        source: h, what the sums are taken of, (m, k).
        weights: W, (k, n).
        bias: b, (n,), or None.
        product: h W, (m, n).
        sums: Z = h W + b, (m, n).
        output: A = g(Z), or Z itself where there is no g.
        name: how the output is called, and ``sum_name``, ``weight_name``, ``bias_name`` the others.
    """

    source: Node
    weights: Node
    bias: Node | None
    product: Node
    sums: Node
    output: Node
    name: str
    sum_name: str
    weight_name: str
    bias_name: str

    @property
    def units(self) -> int:
        """n, the number of units."""
        return definite(self.weights.shape)[1]

    @property
    def alone(self) -> bool:
        """Whether a unit's output comes from its own sum alone, unlike that of softmax."""
        between = [n for n in ancestors(self.output, stop=lambda n: n is self.sums) if n is not self.sums and n.inputs]
        return all(isinstance(n.op.calculus, Elementwise) for n in between)


def as_it_predicts(run: Run) -> tuple[Node, Node]:
    """The output of a network as it is when it predicts, and the prediction: the same, or the probability of a logit.

    Errors: a network with several outputs.
    """
    output = run.model.output
    found = in_phase([output, run.step.loss.prediction(output)], training=False).outputs
    return found[0], found[1]


def layers_of(run: Run, output: Node) -> tuple[Layer, ...]:
    """The layers under the output of a network, in the order of their computation.

    Whoever wrote the network, by layers or as a formula: a layer is a product of rows with a parameter, what a
    parameter is added to it, and the function of that alone.

    Errors: a network without such a product.
    """
    graph = Graph(output)
    found: list[Layer] = []
    for node in graph:
        if _is_product(node):
            found.append(_layer(run, graph, node, found))
    if not found:
        raise GraphError(
            "the network has no layer whose units could be shown",
            given=f"{output!r}",
            expected="h W + b with rows h (m, k) and a parameter W (k, n), such as Dense(n)",
        )
    return tuple(found)


def _is_product(node: Node) -> bool:
    if node.op.name != "einsum" or len(node.inputs) != 2:
        return False
    rows, weights = node.inputs
    in_order = as_product(node.attrs["spec"]) == (False, False, False)
    return in_order and rows.ndim == weights.ndim == 2 and weights.op.name == "parameter"


def _layer(run: Run, graph: Graph, product: Node, before: Sequence[Layer]) -> Layer:
    bias, sums = None, product
    users = graph.consumers[product]
    if len(users) == 1 and users[0].op.name == "add":
        others = [n for n in users[0].inputs if n is not product]
        if len(others) == 1 and others[0].op.name == "parameter" and others[0].shape == product.shape[1:]:
            bias, sums = others[0], users[0]
    output = _activated(graph, sums)
    names = run.step.names
    weights = names[product.inputs[1]]
    taken = {name for layer in before for name in (layer.name, layer.sum_name)}

    def called(node: Node | None, otherwise: str) -> str:
        if node is not None and node in names:
            return names[node].text
        number = weights.layer or str(len(before) + 1)
        ranked = (Symbol(otherwise, number, rank).text for rank in count(1))
        return next(name for name in ranked if name not in taken)

    return Layer(
        product.inputs[0],
        product.inputs[1],
        bias,
        product,
        sums,
        output,
        called(output, "A" if output is not sums else "Z"),
        called(sums, "Z"),
        called(product.inputs[1], "W"),
        called(bias, "b"),
    )


def _activated(graph: Graph, sums: Node) -> Node:
    """What the layer calls A; else what becomes of Z as long as it is a function of Z alone, element by element."""
    if sums.scope is not None:
        for node in graph:
            if node.name == "A" and node.scope is sums.scope and _leads_to(graph, sums, node):
                return node
    node = sums
    while len(users := set(graph.consumers[node])) == 1:
        (user,) = users
        rest = [n for n in user.inputs if n is not node]
        alone = all(n.op.name in ("parameter", "constant") for n in rest)
        if not isinstance(user.op.calculus, Elementwise) or user.shape != sums.shape or not alone:
            break
        node = user
    return node


def _leads_to(graph: Graph, start: Node, end: Node) -> bool:
    """Whether ``end`` is computed from ``start`` without another weighted sum in between."""
    waiting, seen = [start], {start}
    while waiting:
        node = waiting.pop()
        if node is end:
            return True
        for user in graph.consumers[node]:
            if user not in seen and not _is_product(user):
                seen.add(user)
                waiting.append(user)
    return False
