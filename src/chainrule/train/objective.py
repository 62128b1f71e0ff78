"""What is minimised: a loss beside labels, a cost of one's own, or several costs that take turns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from chainrule.errors import ConfigurationError, GraphError, near
from chainrule.graph.graph import Graph
from chainrule.graph.node import Node, describe
from chainrule.nn import Layer, Loss, Model
from chainrule.notation import unique_names


@dataclass(frozen=True, eq=False)
class Objective:
    """A cost as a formula of the network's quantities, the parameters that are to lower it, and how.

    Several objectives take turns: every batch makes a step for each, one after the other, each with the parameters
    as the one before has left them. So a generator and a discriminator are trained against each other.

    Attributes:
        cost: a single number, or a number for each example, of which the mean is taken.
        parameters: what it may change: layers, parameters or their names; all that it depends on by default.
        optimizer: by name or as an object, ``learning_rate`` beside a name.
        name: how formulas write it, and its column of the history.

    >>> import numpy as np, chainrule as cr
    >>> x, w = cr.input("x", ("m",)), cr.parameter("w", (), initializer=1.0)
    >>> toward_three = cr.Objective((w - 3 * x) ** 2, optimizer=cr.GradientDescent(0.5))
    >>> run = cr.fit(cr.Model(x, w * x), np.ones(8), loss=toward_three, epochs=1)
    >>> float(run.parameters["w"])
    3.0
    """

    cost: Node
    parameters: Any = None
    optimizer: Any = "adam"
    learning_rate: Any = None
    name: str = "J"

    def __post_init__(self) -> None:
        if not isinstance(self.cost, Node):
            raise GraphError(
                "a cost is a formula of the network's quantities",
                given=f"{type(self.cost).__name__}: {str(self.cost)[:60]}",
                expected="a node, such as cr.mean((y_hat - y) ** 2)",
            )


def own_objectives(loss: Any, optimizer: Any, learning_rate: Any) -> tuple[Objective, ...]:
    """The objectives that a user's ``loss`` names, none where it is a loss beside labels."""
    if isinstance(loss, Node):
        return (Objective(loss, optimizer=optimizer, learning_rate=learning_rate),)
    if isinstance(loss, Objective):
        return (loss,)
    if isinstance(loss, Iterable) and not isinstance(loss, str):
        found = tuple(loss)
        if not found or not all(isinstance(o, Objective) for o in found):
            raise ConfigurationError(
                "several costs are several objectives",
                given=repr(loss),
                expected="[cr.Objective(cost, parameters, optimizer), …]",
            )
        if len({o.name for o in found}) < len(found):
            raise ConfigurationError(
                "two objectives have one name",
                given=", ".join(o.name for o in found),
                hint="cr.Objective(…, name='J_D')",
            )
        return found
    return ()


def as_loss(objective: Objective) -> Loss:
    """The objective as a loss that needs no labels."""
    return Loss(objective.name, lambda y_hat, y: objective.cost, "none")


def check_inputs(model: Model, objectives: Sequence[Objective]) -> None:
    """Every input of a cost has to be one of the network's, or nothing would be fed to it."""
    for o in objectives:
        missing = [n for n in Graph(o.cost).inputs if n not in model.inputs]
        if missing:
            raise GraphError(
                f"the cost {o.name} needs an input that the model does not name",
                given=", ".join(str(n.name) for n in model.inputs) or "no input",
                expected="also " + ", ".join(describe(n) for n in missing),
                hint="cr.Model([x, …], outputs): labels are inputs too",
            )


def chosen_parameters(wanted: Any, graph: Graph, what: str) -> tuple[Node, ...]:
    """Parameters of a graph from layers, nodes and names, one or several.

    Errors: a name that is not there, with near names; a layer or node that is not part of the graph.
    """
    names = {symbol.text: n for n, symbol in unique_names(graph.nodes).items() if n.op.name == "parameter"}
    several = wanted if isinstance(wanted, Iterable) and not isinstance(wanted, (str, Node, Layer)) else [wanted]
    out: dict[Node, None] = {}
    for item in several:
        found: Sequence[Node]
        if isinstance(item, Layer):
            found = [p for p in item.parameters if p in graph.parameters]
        elif isinstance(item, Node):
            found = [item] if item in graph.parameters else []
        else:
            layer = [n for n in names.values() if n.scope is not None and n.scope.name == item]
            found = [names[item]] if item in names else layer
        if not found:
            known = [*names, *dict.fromkeys(str(n.scope.name) for n in names.values() if n.scope and n.scope.name)]
            raise ConfigurationError(
                f"{what}: no such parameter or layer in the network",
                given=repr(item),
                expected=", ".join(known),
                hint=near(item, known) if isinstance(item, str) else None,
            )
        out |= dict.fromkeys(found)
    return tuple(out)
