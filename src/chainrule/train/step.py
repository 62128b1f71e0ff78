"""The training step as one graph: forward pass, cost, derived backward pass and update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from chainrule.errors import ConfigurationError, ShapeError
from chainrule.graph.dim import show
from chainrule.graph.graph import Graph
from chainrule.graph.node import Node, ancestors
from chainrule.nn import Loss, Model
from chainrule.nn.metrics import Metric
from chainrule.notation import Names, unique_names
from chainrule.ops import input as input_
from chainrule.ops import mean
from chainrule.optimize import Optimizer, Update, update
from chainrule.rewrite import Rewriting
from chainrule.train.naming import derivative_names, named_gradients, names_as_written
from chainrule.verbs import Derivation, derive


@dataclass(frozen=True)
class StepGraph:
    """Everything that happens in one step of training, as nodes of one graph.

    Attributes:
        model: the network.
        labels: the input that holds the labels Y.
        weights: the input that holds the weight of each example, or None.
        loss: what is minimised, and ``optimizer`` how.
        losses: L, the loss of each example.
        written_cost: J as it is written down, and ``cost`` the same in its stable form, which runs.
        gradients: for each parameter its gradient, named dW.
        derived: the named quantities of the backward part in the order of their computation, and what each is by.
        update: new parameters and states.
        metrics: the mean of each metric over the examples.
        derivation: how the gradient came about.
        rewriting: what was rewritten in all of it, and why.
        forms: the form in which a quantity of the network runs.
    """

    model: Model
    labels: Node
    weights: Node | None
    loss: Loss
    optimizer: Optimizer
    losses: Node
    written_cost: Node
    cost: Node
    gradients: Mapping[Node, Node]
    derived: Mapping[Node, Node]
    update: Update
    metrics: Mapping[str, Node]
    derivation: Derivation
    rewriting: Rewriting
    forms: Mapping[Node, Node]

    @cached_property
    def names(self) -> Names:
        """A symbol for every named quantity of the step; that of the network and the form that runs share one."""
        everything = [
            *self.model.outputs,
            self.cost,
            *self.update.parameters.values(),
            *self.update.states.values(),
        ]
        return names_as_written(ancestors(*everything), self.forms, self.derived)

    @cached_property
    def prediction(self) -> Node:
        """ŷ: the network's output, or the probability that it stands for where it is a logit."""
        return self.loss.prediction(self.model.output)

    @property
    def parameter_names(self) -> dict[str, Node]:
        """The parameters by the name under which they are shown and saved."""
        return {self.names[p].text: p for p in self.model.parameters}

    @cached_property
    def constants(self) -> tuple[Node, ...]:
        """The settings that have a symbol: α, β, ε."""
        outputs = [*self.update.parameters.values(), *self.update.states.values()]
        return tuple(n for n in Graph(outputs) if n.op.name == "constant" and n.name)


def labels_for(output: Node, loss: Loss, whole: bool = False) -> Node:
    """The input that holds the labels: class numbers, or numbers in the shape of the output."""
    if whole:
        return input_("Y", output.shape[:-1], dtype="int")
    return input_("Y", output.shape, distribution=loss.labels in ("classes", "distribution"))


def step_graph(
    model: Model,
    loss: Loss,
    rule: Optimizer,
    labels: Node,
    *,
    losses: Node | None = None,
    weighted: bool = False,
    metrics: Sequence[tuple[str, Metric]] = (),
) -> StepGraph:
    """Build the step: J = 1/m Σ L (each example times its weight, where weighted), ∂J/∂W, and the update.

    Args:
        model: the network.
        loss: what is minimised.
        rule: the optimizer.
        labels: the input that holds the labels.
        losses: the loss of each example, where it is a graph already (a saved run's).
        weighted: whether examples have weights.
        metrics: names and functions of what is reported beside the cost.

    Errors: a loss that does not fit the output's shape; a network without parameters.
    """
    if not model.parameters:
        raise ConfigurationError("the network has nothing to learn", given="no parameters", hint="add a Dense layer")
    output = model.output
    loss.check(output)
    losses = loss(output, labels) if losses is None else losses
    weights = input_("w", (output.shape[0],)) if weighted else None
    cost = _cost(losses, weights, loss, output)
    derivation = derive(cost, model.parameters, derivative_names(model.graph, model.parameters))
    gradients = named_gradients(model.parameters, derivation)
    named = unique_names(ancestors(*model.outputs))
    moved = update(rule, gradients, {p: named[p].text for p in model.parameters})
    prediction = loss.prediction(output)
    shown = {name: _mean_rows(m(prediction, labels), weights) for name, m in metrics}
    wanted = [
        cost,
        *gradients.values(),
        *moved.parameters.values(),
        *moved.states.values(),
        moved.rate,
        *shown.values(),
    ]
    rewriter = derivation.rewriter
    final = rewriter(wanted)
    out = iter(final.outputs)
    cost_ = next(out).named("J")
    gradients = {p: next(out) for p in gradients}
    parameters = {p: next(out) for p in moved.parameters}
    states = {s: next(out) for s in moved.states}
    rate = next(out)
    derived = {g: p for p, g in gradients.items()} | {rewriter.normal[d]: n for d, n in derivation.named.items()}
    return StepGraph(
        model=model,
        labels=labels,
        weights=weights,
        loss=loss,
        optimizer=rule,
        losses=losses,
        written_cost=cost,
        cost=cost_,
        gradients=gradients,
        derived={n: derived[n] for n in ancestors(*gradients.values()) if n in derived and n.inputs},
        update=Update(parameters, states, rate, moved.counter),
        metrics={name: next(out) for name in shown},
        derivation=derivation,
        rewriting=final,
        forms={n: rewriter.normal[n] for n in model.graph if n in rewriter.normal},
    )


def _cost(losses: Node, weights: Node | None, loss: Loss, output: Node) -> Node:
    if losses.shape == ():
        if weights is not None:
            raise ConfigurationError(
                f"{loss.name} is a sum over all examples: weights cannot be put on single ones",
                hint="use squared_error, or no sample_weight and class_weight",
            )
        return losses
    if losses.shape[:1] != output.shape[:1]:
        raise ShapeError(
            f"the loss {loss.name} does not give a number for each example",
            given=show(losses.shape),
            expected=f"a first axis {output.shape[0]}",
        )
    return _mean_rows(losses, weights)


def _mean_rows(values: Node, weights: Node | None) -> Node:
    """1/m Σ over the examples, each times its weight, and over what a single example has of them."""
    if weights is None:
        return mean(values)
    return mean(weights.reshape(weights.shape + (1,) * (values.ndim - 1)) * values)
