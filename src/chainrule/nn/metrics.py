"""Metrics: what one reads beside the cost, for each example, as formulas. Training reports their mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from chainrule.errors import ConfigurationError, near
from chainrule.graph.node import Node
from chainrule.nn.losses import absolute_error, squared_error
from chainrule.ops import argmax, cast, equal

Metric = Callable[[Node, Node], Node]


def accuracy(y_hat: Node, y: Node) -> Node:
    """1 where the decision is the label: the largest of several outputs, or an output above one half."""
    if y.dtype == "int" and y.ndim == y_hat.ndim - 1:
        return cast(equal(argmax(y_hat, -1), y), "float")
    if y_hat.shape[-1] == 1:
        return cast(equal(y_hat > 0.5, y > 0.5), "float")
    return cast(equal(argmax(y_hat, -1), argmax(y, -1)), "float")


METRICS: Mapping[str, Metric] = {
    "accuracy": accuracy,
    "absolute_error": absolute_error,
    "squared_error": squared_error,
}
"""The metrics by name."""


def metric(value: Any) -> tuple[str, Metric]:
    """A metric's name and function, from its name or from a function ``(y_hat, y) → node``."""
    if isinstance(value, str):
        if value not in METRICS:
            raise ConfigurationError(
                "no such metric", given=repr(value), expected=", ".join(METRICS), hint=near(value, METRICS)
            )
        return value, METRICS[value]
    if callable(value):
        return str(getattr(value, "__name__", "metric")), value
    raise ConfigurationError("not a metric", given=repr(value), expected="a name or a function (y_hat, y) → node")
