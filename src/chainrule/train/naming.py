"""The names of the backward part: dZ for the derivative by Z, dW and db for what the update uses.

As in the course's formula sheet dZ belongs to the sum over the examples, and 1/m is written with dW and db.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from chainrule.graph.graph import Graph
from chainrule.graph.node import Node, Origin, Scope, ancestors, deriving
from chainrule.graph.op import Linear
from chainrule.ops import constant
from chainrule.rewrite.match import number
from chainrule.verbs import Derivation

Label = tuple[str, Scope | None]


def named_gradients(
    graph: Graph, parameters: Sequence[Node], derivation: Derivation
) -> tuple[dict[Node, Node], set[str]]:
    """The gradient of each parameter, with its name and those of the dZ on the way, and all these names.

    In a layer it is Z whose derivative has a name; of the quantities outside of layers it is each that has one.
    """
    labels: dict[Node, Label] = {}
    for z in graph:
        worth = z.inputs and (z.name == "Z" if z.scope is not None else z.name and z not in graph.outputs)
        adjoint = derivation.adjoint(z) if worth else None
        if adjoint is not None:
            adjoint = _without_front(adjoint)
            if adjoint.inputs and adjoint.name is None:
                labels.setdefault(adjoint, (f"d{z.name}", z.scope))
    gradients = derivation.gradients
    factor = _common_factor(gradients, labels)
    for parameter, g in zip(parameters, gradients, strict=True):
        if g.inputs and g not in labels and g.name is None:
            labels[g] = (f"d{parameter.name}", parameter.scope)

    out = {}
    for parameter, g in zip(parameters, _rebuilt(gradients, labels, factor), strict=True):
        with deriving(Origin(parameter, "chain", "adjoint")):
            out[parameter] = g if g.name else g.named(f"d{parameter.name}", parameter.scope)
    return out, {name for name, _ in labels.values()} | {str(g.name) for g in out.values()}


def _front(node: Node) -> Node | None:
    """The scalar in front: c/m of c/m · x."""
    return node.inputs[0] if node.op.name == "multiply" and node.inputs[0].shape == () else None


def _without_front(node: Node) -> Node:
    return node if _front(node) is None else node.inputs[1]


def _common_factor(gradients: Sequence[Node], bodies: Iterable[Node]) -> float:
    """The number c where every gradient is c/m times what is linear in the dZ; else 1.

    It belongs to the loss, as the 2 of a square, and so into dZ = 2 (Z − Y).
    """
    fronts = [_front(g) for g in gradients]
    if any(f is None or f.op.name != "divide" for f in fronts):
        return 1.0
    factors = {number(f.inputs[0]) for f in fronts if f is not None}
    degree = _degrees([_without_front(g) for g in gradients], set(bodies))
    linear = all(degree[_without_front(g)] == 1 for g in gradients)
    return next(iter(factors)) or 1.0 if len(factors) == 1 and linear else 1.0


def _degrees(roots: Sequence[Node], bodies: set[Node]) -> dict[Node, int | None]:
    """In which power of the bodies each node goes: 0 for not at all, 1 for linearly, None for no single one."""
    degree: dict[Node, int | None] = {}
    for node in ancestors(*roots):
        of = [degree[i] for i in node.inputs]
        rule = node.op.calculus
        if node in bodies:
            degree[node] = 1
        elif not any(d != 0 for d in of):
            degree[node] = 0
        elif None in of:
            degree[node] = None
        elif node.op.name in ("multiply", "einsum"):
            degree[node] = sum(d for d in of if d)
        elif node.op.name == "divide":
            degree[node] = of[0] if of[1] == 0 else None
        elif node.op.name in ("add", "subtract", "negative") or isinstance(rule, Linear):
            taken = of if not isinstance(rule, Linear) or rule.positions is None else [of[k] for k in rule.positions]
            degree[node] = taken[0] if len(set(taken)) == 1 else None
        else:
            degree[node] = None
    return degree


def _rebuilt(gradients: Sequence[Node], labels: dict[Node, Label], factor: float) -> list[Node]:
    """The gradients with the labels, and with a common factor moved from their fronts into the first dZ."""
    first = _innermost(gradients, [n for n in labels if n not in gradients]) if factor != 1.0 else set()
    fresh: dict[Node, Any] = {}
    for node in ancestors(*gradients):
        new = node.rebuilt(tuple(fresh[i] for i in node.inputs))
        if factor != 1.0 and node in gradients:
            with deriving(node.origin):
                new = (1.0 / fresh[node.inputs[0].inputs[1]]) * fresh[node.inputs[1]]
        elif node in first:
            with deriving(node.origin):
                new = constant(factor) * new
        fresh[node] = new.named(*labels[node]) if node in labels else new
    return [fresh[g] for g in gradients]


def _innermost(roots: Sequence[Node], bodies: Sequence[Node]) -> set[Node]:
    """Those of the bodies that need no other."""
    above: set[Node] = set()
    first: set[Node] = set()
    for node in ancestors(*roots):
        if any(i in above for i in node.inputs):
            above.add(node)
        elif node in bodies:
            above.add(node)
            first.add(node)
    return first
