"""A network as it is in training, and as it is when it predicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from chainrule.errors import GraphError
from chainrule.graph.body import Body, has_body, with_bodies, with_body
from chainrule.graph.node import Node, ancestors, describe


@dataclass(frozen=True)
class Phase:
    """Formulas in one phase.

    Attributes:
        outputs: the formulas.
        table: for every node of the formulas as they were given, what it is in this phase.
        carried: for each state that is handed on, its next value.
    """

    outputs: tuple[Node, ...]
    table: Mapping[Node, Node]
    carried: Mapping[Node, Node] = field(default_factory=dict)


def in_phase(outputs: Sequence[Node], training: bool) -> Phase:
    """The formulas with every ``by_phase`` decided and every ``carry`` taken out; others stay the nodes they are."""
    chosen: dict[Node, Node] = {}
    bodies: dict[Body, tuple[Body, Mapping[Node, Node]]] = {}
    for node in ancestors(*outputs):
        if node.op.name == "by_phase":
            chosen[node] = _called(chosen[node.inputs[0 if training else 1]], node)
            continue
        chosen[node] = node.rebuilt(tuple(chosen[i] for i in node.inputs))
        if has_body(node):
            body: Body = node.attrs["body"]
            if body not in bodies:
                bodies[body] = _body_in_phase(body, training)
            chosen[node] = with_body(chosen[node], *bodies[body])
    bare: dict[Node, Node] = {}
    carried: dict[Node, Node] = {}
    for node in ancestors(*(chosen[n] for n in outputs)):
        if node.op.name == "carry":
            value, state, new = node.inputs
            if state.op.name != "state":
                raise GraphError("what is handed on goes to a state", given=describe(state), expected="cr.ops.state(…)")
            bare[node] = _called(bare[value], node)
            carried[state] = bare[new]
        else:
            bare[node] = node.rebuilt(tuple(bare[i] for i in node.inputs))
    table = {n: bare[m] for n, m in chosen.items() if m in bare}
    return Phase(tuple(table[n] for n in outputs), table, carried if training else {})


def _body_in_phase(body: Body, training: bool) -> tuple[Body, Mapping[Node, Node]]:
    """A body with every choice in it decided, and what its nodes are then."""
    if not any(n.op.name in ("by_phase", "carry") for n in with_bodies(body.nodes)):
        return body, {n: n for n in body.nodes}
    phase = in_phase(body.nodes, training)
    if phase.carried:
        raise GraphError(
            "inside a loop nothing can be handed on to the next step of training",
            given=", ".join(describe(s) for s in phase.carried),
            hint="apply a layer such as BatchNormalization before or after the recurrent one",
        )
    new, results = (tuple(phase.table[n] for n in part) for part in (body.new, body.results))
    return replace(body, new=new, results=results), phase.table


def _called(chosen: Node, node: Node) -> Node:
    """What is chosen, under the name of the choice where it has none."""
    if node.name is None or chosen.name is not None or not chosen.inputs:
        return chosen
    return chosen.named(node.name, node.scope)
