"""The training step as one graph: forward pass, cost, derived backward pass and update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from chainrule.engine.program import draws_of
from chainrule.errors import ConfigurationError, DerivativeError, ShapeError
from chainrule.graph.body import with_bodies
from chainrule.graph.dim import product, show
from chainrule.graph.graph import Graph, depends_on
from chainrule.graph.node import Node, ancestors
from chainrule.graph.op import Constant
from chainrule.nn import Loss, Model, mask_of
from chainrule.nn.metrics import Metric
from chainrule.notation import Names, unique_names
from chainrule.ops import cast, maximum, mean, size
from chainrule.ops import input as input_
from chainrule.ops import sum as sum_
from chainrule.optimize import Optimizer, Update, update
from chainrule.rewrite import Rewriting, in_phase, rewrite
from chainrule.train.naming import derivative_names, named_gradients, names_as_written
from chainrule.verbs import Derivation, derive


@dataclass(frozen=True)
class StepGraph:
    """Everything that happens in one step of training, as nodes of one graph.

    Attributes:
        model: the network as it was written, and ``training`` as it is while it trains.
        labels: the input that holds the labels Y, or None where the cost needs none.
        weights: the input that holds the weight of each example, or None.
        loss: what is minimised, and ``optimizer`` how.
        losses: L, the loss of each example, as it was written.
        written_cost: J as it is written down, and ``cost`` the same in its stable form, which runs.
        gradients: for each parameter that is learned its gradient, named dW.
        derived: the named quantities of the backward part in the order of their computation, and what each is by.
        update: new parameters and states.
        carried: for each state of the network its next value.
        metrics: the mean of each metric over the examples.
        validation: cost and metrics of the network as it predicts.
        derivation: how the gradient came about.
        rewriting: what was rewritten in all of it, and why.
        forms: the form in which a quantity of the network runs.
        beside: formulas that share names with this step, such as the costs of other objectives.
    """

    model: Model
    training: Model
    labels: Node | None
    weights: Node | None
    loss: Loss
    optimizer: Optimizer
    losses: Node
    written_cost: Node
    cost: Node
    gradients: Mapping[Node, Node]
    derived: Mapping[Node, Node]
    update: Update
    carried: Mapping[Node, Node]
    metrics: Mapping[str, Node]
    validation: tuple[Node, ...]
    derivation: Derivation
    rewriting: Rewriting
    forms: Mapping[Node, Node]
    beside: tuple[Node, ...] = ()

    @cached_property
    def names(self) -> Names:
        """A symbol for every named quantity of the step; that of the network and the form that runs share one."""
        everything = [
            *self.training.outputs,
            *self.beside,
            self.cost,
            *self.update.parameters.values(),
            *self.update.states.values(),
            *self.carried.values(),
        ]
        return names_as_written(ancestors(*everything), self.forms, self.derived)

    @cached_property
    def predictions(self) -> tuple[Node, ...]:
        """ŷ: the network's outputs, or the probability that one stands for where it is a logit."""
        single = len(self.model.outputs) == 1
        outputs = [self.loss.prediction(self.model.output)] if single else self.model.outputs
        return in_phase(outputs, training=False).outputs

    @cached_property
    def compiled(self) -> dict[Any, Any]:
        """The predictions compiled, by precision: runs of one training share them."""
        return {}

    @property
    def learned(self) -> tuple[Node, ...]:
        """The parameters that this step changes."""
        return tuple(self.gradients)

    @cached_property
    def parameters(self) -> tuple[Node, ...]:
        """Every parameter of the network and of its cost, learned or not, in the order of the computation."""
        return tuple(n for n in self._names_of("parameter"))

    @cached_property
    def parameter_names(self) -> dict[str, Node]:
        """The parameters by the name under which they are shown and saved."""
        return {self.names[p].text: p for p in self.parameters}

    @cached_property
    def state_names(self) -> dict[str, Node]:
        """The network's states by the name under which they are shown and saved."""
        return {self.names[s].text: s for s in self.carried}

    def _names_of(self, kind: str) -> list[Node]:
        graph = Graph([*self.model.outputs, self.written_cost, *self.beside])
        return [n for n in graph.leaves(kind) if n in self.names]

    @cached_property
    def draws(self) -> tuple[Node, ...]:
        """The random numbers of a step, in an order that all its parts share."""
        return draws_of(Graph([*self.model.outputs, self.losses, *self.beside]))

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
    labels: Node | None,
    *,
    losses: Node | None = None,
    learned: Sequence[Node] | None = None,
    weighted: int = 0,
    metrics: Sequence[tuple[str, Metric]] = (),
    beside: Sequence[Node] = (),
) -> StepGraph:
    """Build the step: J = 1/m Σ L (each example times its weight, where weighted), ∂J/∂W, and the update.

    Steps that the output's mask leaves out (:func:`chainrule.mask_of`) do not count: J is the mean over the others.

    Args:
        model: the network.
        loss: what is minimised.
        rule: the optimizer.
        labels: the input that holds the labels, or None where the cost needs none.
        losses: the loss of each example, where it is a graph already (a saved run's, a cost of the user's own).
        learned: the parameters to change; all that the cost depends on by default.
        weighted: 1 where every example has a weight, 2 where every step of it has one, 0 where none has.
        metrics: names and functions of what is reported beside the cost.
        beside: formulas that share names with this step.

    Errors: a loss that does not fit the output's shape; a network without parameters.
    """
    if losses is None:
        loss.check(model.output)
        assert labels is not None
        losses = loss(model.output, labels)
    written = {name: m(loss.prediction(model.output), labels) for name, m in metrics} if labels is not None else {}
    first = model.output if len(model.outputs) == 1 else losses
    weights = input_("w", first.shape[:weighted]) if weighted else None
    mask = mask_of(first) if labels is not None else None
    count = None if mask is None else cast(mask, "float")
    phase = in_phase([*model.outputs, losses, *written.values(), *beside], training=True)
    training = Model(model.inputs, phase.outputs[: len(model.outputs)])
    losses_now, *shown_now = phase.outputs[len(model.outputs) : len(model.outputs) + 1 + len(written)]
    cost = _cost(losses_now, weights, count, loss, first)
    parameters = tuple(p for p in Graph(cost).parameters if learned is None or p in learned)
    if not parameters:
        raise ConfigurationError("the network has nothing to learn", given="no parameters", hint="add a Dense layer")
    whole = Graph([*training.outputs, cost])
    derivation = derive(cost, parameters, derivative_names(whole, parameters))
    _check_that_something_flows(cost, parameters, derivation)
    gradients = named_gradients(parameters, derivation)
    context = phase.outputs[len(model.outputs) + 1 + len(written) :]
    named = unique_names(ancestors(*training.outputs, *context, cost))
    moved = update(rule, gradients, {p: named[p].text for p in parameters})
    shown = {name: _mean_rows(m, weights, count) for name, m in zip(written, shown_now, strict=True)}
    wanted = [
        cost,
        *gradients.values(),
        *moved.parameters.values(),
        *moved.states.values(),
        moved.rate,
        *shown.values(),
        *phase.carried.values(),
    ]
    rewriter = derivation.rewriter
    final = rewriter(wanted)
    out = iter(final.outputs)
    cost_ = next(out).named("J")
    gradients = {p: next(out) for p in gradients}
    new_parameters = {p: next(out) for p in moved.parameters}
    states = {s: next(out) for s in moved.states}
    rate = next(out)
    shown = {name: next(out) for name in shown}
    carried = {s: next(out) for s in phase.carried}
    derived = {g: p for p, g in gradients.items()} | {rewriter.normal[d]: n for d, n in derivation.named.items()}
    forms = {n: rewriter.normal[n] for n in with_bodies(whole) if n in rewriter.normal}
    forms |= {n: forms[m] for n, m in phase.table.items() if m in forms}
    later = in_phase([losses, *written.values()], training=False)
    same = later.outputs == (losses_now, *shown_now)
    validation = (cost_, *shown.values())
    if not same:
        predicted = [
            _cost(later.outputs[0], weights, count, loss, first),
            *(_mean_rows(m, weights, count) for m in later.outputs[1:]),
        ]
        validation = rewrite(predicted).outputs
    return StepGraph(
        model=model,
        training=training,
        labels=labels,
        weights=weights,
        loss=loss,
        optimizer=rule,
        losses=losses,
        written_cost=cost,
        cost=cost_,
        gradients=gradients,
        derived={n: derived[n] for n in ancestors(*gradients.values()) if n in derived and n.inputs},
        update=Update(new_parameters, states, rate, moved.counter),
        carried=carried,
        metrics=shown,
        validation=validation,
        derivation=derivation,
        rewriting=final,
        forms=forms,
        beside=tuple(context),
    )


def _check_that_something_flows(cost: Node, parameters: Sequence[Node], derivation: Derivation) -> None:
    """Refuse a cost whose derivative by every parameter is zero wherever it exists, as behind argmax."""
    if any(derivation.adjoint(p) is not None for p in parameters):
        return
    moved = depends_on([cost], parameters)
    rules = {n.op.name: n.op.calculus for n in ancestors(cost) if n in moved and n.inputs}
    reasons = [f"{name}: {rule.reason}" for name, rule in rules.items() if isinstance(rule, Constant)]
    if not reasons:  # it is zero because terms cancel, which is not for us to judge
        return
    raise DerivativeError(
        "no parameter can lower the cost: its derivative by each of them is zero",
        given="; ".join(reasons),
        expected="a way from the cost back to a parameter",
        hint="a decision such as argmax is made from the trained network: run.decide(X)",
    )


def _cost(losses: Node, weights: Node | None, count: Node | None, loss: Loss, output: Node) -> Node:
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
    if weights is not None and losses.shape[: weights.ndim] != weights.shape:
        raise ConfigurationError(
            f"{loss.name} gives no loss for each step: weights cannot be put on single steps",
            given=f"losses {show(losses.shape)}, weights {show(weights.shape)}",
            expected="a weight for each example",
        )
    return _mean_rows(losses, weights, count)


def _mean_rows(values: Node, weights: Node | None, count: Node | None) -> Node:
    """1/m Σ over the examples, each times its weight, and over what a single example has of them.

    With a mask it is 1/Σ M Σ M ∘ …; at least 1 is divided by, as a batch may be all padding.
    """
    if count is None or values.shape[: count.ndim] != count.shape:
        return mean(values if weights is None else _along(weights, values) * values)
    each = count if weights is None else count * _along(weights, count)
    over = sum_(each)
    if values.ndim > count.ndim:
        over = size(product(values.shape[count.ndim :])) * over
    return 1 / maximum(over, 1.0) * sum_(_along(each, values) * values)


def _along(few: Node, values: Node) -> Node:
    """Numbers (m,) or (m, T) beside values that have more axes behind."""
    return few.reshape(few.shape + (1,) * (values.ndim - few.ndim))
