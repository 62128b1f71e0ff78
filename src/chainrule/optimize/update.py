"""The update part of the training step: new parameters and new states, from gradients, as nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from chainrule.errors import ConfigurationError, near
from chainrule.graph.node import Node, inside
from chainrule.ops import cast, clip, constant, minimum, sqrt, state, sum
from chainrule.optimize.optimizers import AdamW, Optimizer
from chainrule.optimize.schedules import Schedule, alpha


@dataclass(frozen=True)
class Update:
    """What a training step hands to the next one.

    Attributes:
        parameters: for each parameter its new value.
        states: for each state its new value; among them the step counter ``t``.
        rate: the learning rate of the step.
        counter: the state that counts the steps.
    """

    parameters: Mapping[Node, Node]
    states: Mapping[Node, Node]
    rate: Node
    counter: Node


def update(rule: Optimizer, gradients: Mapping[Node, Node], names: Mapping[Node, str] | None = None) -> Update:
    """The update formulas of an optimizer for parameters with these gradients.

    Args:
        rule: the optimizer.
        gradients: for each parameter its gradient.
        names: what the parameters are called, for learning rates given by name.
    """
    names = names or {p: str(p.name) for p in gradients}
    counter = state("t", (), dtype="int")
    counted = counter + 1
    t = cast(counted, "float")
    rates = _rates(rule, list(gradients), names, t - 1)
    clipped = _clipped(rule, gradients)
    parameters: dict[Node, Node] = {}
    states: dict[Node, Node] = {counter: counted}
    rules = _own_decays(rule, list(gradients), names)
    for w, g in clipped.items():
        rule = rules[w]
        decays = bool(rule.weight_decay) and not isinstance(rule, AdamW)
        if decays:
            g = g + constant(rule.weight_decay, name="λ") * w
        if decays + (rule.clip_value is not None) + (rule.clip_norm is not None) > 1:
            g = g.named(f"g_{w.name}", w.scope)  # what is done to a gradient is written once
        slots = {}
        for slot, start in rule.states().items():
            if w.scope is not None:
                with inside(w.scope):
                    slots[slot] = state(f"{slot}_{w.name}", w.shape, w.dtype, start)
            else:
                slots[slot] = state(f"{slot}_{w.name}", w.shape, w.dtype, start)
        new_w, new_slots = rule.step(w, g, slots, rates[w], t)
        # Whatever settings and schedules made of it, what is handed on is of the kind that came.
        parameters[w] = cast(new_w, w.dtype)
        states.update({slots[slot]: cast(new_slots[slot], w.dtype) for slot in slots})
    rate = next(iter(rates.values())) if rates else constant(0.0)
    return Update(parameters, states, rate, counter)


def _rates(rule: Optimizer, parameters: Sequence[Node], names: Mapping[Node, str], t: Node) -> dict[Node, Node]:
    given = rule.learning_rate
    if isinstance(given, Mapping):
        _check_names(given, names, "a learning rate")
        missing = [names[p] for p in parameters if names[p] not in given and "default" not in given]
        if missing:
            raise ConfigurationError(
                "some parameters have no learning rate",
                given=", ".join(missing),
                hint="add one under 'default'",
            )
        usual = alpha(given["default"]) if "default" in given else None
        own = {p: alpha(given[names[p]], f"α_{names[p]}") for p in parameters if names[p] in given}
        return {p: own.get(p, usual) for p in parameters}  # type: ignore[misc]
    shared = given(t) if isinstance(given, Schedule) else alpha(given)
    if shared.inputs:
        shared = shared.named("α_t")
    return dict.fromkeys(parameters, shared)


def _own_decays(rule: Optimizer, parameters: Sequence[Node], names: Mapping[Node, str]) -> dict[Node, Optimizer]:
    """For each parameter the rule with the weight decay that is its own."""
    given = rule.weight_decay
    if not isinstance(given, Mapping):
        return dict.fromkeys(parameters, rule)
    _check_names(given, names, "a weight decay")
    usual = given.get("default", 0.0)
    return {p: replace(rule, weight_decay=given.get(names[p], usual)) for p in parameters}


def _check_names(given: Mapping[str, float], names: Mapping[Node, str], what: str) -> None:
    known = set(names.values()) | {"default"}
    for name in given:
        if name not in known:
            raise ConfigurationError(
                f"{what} is given for a parameter that is not there",
                given=name,
                expected=", ".join(sorted(known)),
                hint=near(name, known),
            )


def _clipped(rule: Optimizer, gradients: Mapping[Node, Node]) -> dict[Node, Node]:
    out = dict(gradients)
    if rule.clip_value is not None:
        limit = float(rule.clip_value)
        out = {w: clip(g, -limit, limit) for w, g in out.items()}
    if rule.clip_norm is not None and out:
        squares = [sum(g**2) for g in out.values()]
        total = squares[0]
        for s in squares[1:]:
            total = total + s
        # A norm of 0 divides to infinity, of which min takes 1.
        scale = minimum(constant(rule.clip_norm, name="c") / sqrt(total), 1.0).named("s")
        out = {w: scale * g for w, g in out.items()}
    return out
