"""The network of an estimator: hidden layers and an output that fits the task, or the user's own."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from chainrule.errors import ConfigurationError
from chainrule.nn import Dense, Dropout, Model, Sequential, as_model
from chainrule.notation import unique_names


def hidden_and(output: Dense, layers: Any, activation: Any, dropout: float, shape: Sequence[int]) -> Model:
    """Hidden layers, each followed by dropout, and the output layer.

    Args:
        output: the last layer.
        layers: units of the hidden layers; a number for one.
        activation: of the hidden layers; one, or one for each.
        dropout: the share of every hidden layer's outputs that is set to 0 in training.
        shape: of one example.
    """
    units = [layers] if hasattr(layers, "__index__") else list(layers)
    several = isinstance(activation, (list, tuple))
    chosen = list(activation) if several else [activation] * len(units)
    if len(chosen) != len(units):
        raise ConfigurationError(
            "activations and hidden layers differ in number",
            given=f"{len(chosen)} and {len(units)}",
            expected="an activation for every hidden layer, or one for all",
        )
    parts: list[Any] = []
    for width, g in zip(units, chosen, strict=True):
        parts.append(Dense(width, g))
        if dropout:
            parts.append(Dropout(dropout))
    return Sequential(*parts, output).model(shape)


def own(network: Any, shape: Sequence[int]) -> Model:
    """The user's network as a graph; what the user holds stays as it is."""
    return as_model(copy.deepcopy(network), shape)


def biases(model: Model) -> list[str]:
    """The names of biases, and of all other parameters that are a row of numbers, such as the gains of a norm."""
    names = unique_names(model.graph.nodes)
    return [names[p].text for p in model.parameters if p.ndim < 2]
