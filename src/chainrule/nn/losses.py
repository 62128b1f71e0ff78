"""Losses: how far a prediction is from the label, for each example. The cost J is their mean.

Every loss takes ``(y_hat, y)``, prediction first, and returns a node; none of them broadcasts silently.
Losses of probabilities are written as in the textbook; the rewriting rules make them finite at any logit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from chainrule import ops
from chainrule.errors import ConfigurationError, DTypeError, ShapeError, near
from chainrule.graph.dim import show
from chainrule.graph.node import Node, user_line
from chainrule.graph.op import Operand, is_float, lift
from chainrule.ops import (
    abs,
    distribution,
    exp,
    log_softmax,
    maximum,
    one_hot,
    softplus,
    sum,
    where,
    xlogy,
)


def _pair(name: str, prediction: Any, label: Any) -> tuple[Node, Node]:
    """Prediction and label as floats of one shape."""
    y_hat, y = lift(prediction), lift(label)
    if y_hat.shape != y.shape:
        line = user_line()
        missing_axis = y_hat.ndim == y.ndim + 1 and y_hat.shape[-1] == 1 and y_hat.shape[:-1] == y.shape
        raise ShapeError(
            f"{name}: prediction and label have different shapes",
            given=f"{y_hat.name or 'prediction'} {show(y_hat.shape)} and {y.name or 'label'} {show(y.shape)}",
            expected="equal shapes: broadcasting would compare every prediction with every label",
            where=f"{line[0]}, line {line[1]}" if line else None,
            hint="y[:, None] adds the missing axis" if missing_axis else None,
        )
    if not is_float(y.dtype):
        y = ops.cast(y, "float")
    return y_hat, y


def squared_error(y_hat: Operand, y: Operand) -> Node:
    """L = (ŷ − y)², element by element. The negative log-likelihood of a normal error, up to ½ and a constant.

    The course writes ½ (ŷ − y)²; without the ½, as in scikit-learn's and Keras's metrics, J is the mean
    squared error.
    """
    y_hat, y = _pair("squared_error", y_hat, y)
    return (y_hat - y) ** 2


def sum_of_squared_residuals(y_hat: Operand, y: Operand) -> Node:
    """SSR = Σ (ŷ − y)² over everything: a cost by itself, not divided by m."""
    y_hat, y = _pair("sum_of_squared_residuals", y_hat, y)
    return sum((y_hat - y) ** 2)


def absolute_error(y_hat: Operand, y: Operand) -> Node:
    """L = |ŷ − y|, element by element."""
    y_hat, y = _pair("absolute_error", y_hat, y)
    return abs(y_hat - y)


def huber(y_hat: Operand, y: Operand, delta: float = 1.0) -> Node:
    """L = ½ e² for |e| ≤ δ, δ (|e| − ½ δ) beyond, e = ŷ − y.  Source: Huber 1964."""
    y_hat, y = _pair("huber", y_hat, y)
    if not 0 < delta < math.inf:
        raise ConfigurationError("huber: delta is a positive number", given=delta)
    error = y_hat - y
    return where(abs(error) <= delta, 0.5 * error**2, delta * (abs(error) - 0.5 * delta))


def log_cosh(y_hat: Operand, y: Operand) -> Node:
    """L = ln cosh(ŷ − y): squared near 0, absolute far out; its derivative is tanh(ŷ − y)."""
    y_hat, y = _pair("log_cosh", y_hat, y)
    return ops.log_cosh(y_hat - y)


def binary_cross_entropy(y_hat: Operand, y: Operand, from_logits: bool = False) -> Node:
    """L = −(y ln ŷ + (1 − y) ln(1 − ŷ)), element by element; y in [0, 1].

    Args:
        y_hat: probabilities, or logits z with ŷ = σ(z) when ``from_logits``.
        y: labels 0 and 1, or probabilities.

    The negative log-likelihood of a coin that shows 1 with probability ŷ.
    """
    y_hat, y = _pair("binary_cross_entropy", y_hat, y)
    if from_logits:
        return y * softplus(-y_hat) + (1 - y) * softplus(y_hat)
    return -(xlogy(y, y_hat) + xlogy(1 - y, 1 - y_hat))


def categorical_cross_entropy(y_hat: Operand, y: Operand, from_logits: bool = False) -> Node:
    """L = −Σ_k y_k ln ŷ_k over the classes (the last axis): one number for each example.

    Args:
        y_hat: probabilities that sum to one, shape (m, K), or logits when ``from_logits``.
        y: class numbers 0 … K−1 as integers, shape (m,); or one-hot rows or probabilities, shape (m, K).
    """
    y_hat, y = lift(y_hat), lift(y)
    if not y_hat.ndim:
        raise ShapeError(
            "categorical_cross_entropy needs an axis of classes", given=show(y_hat.shape), expected="(m, K)"
        )
    if y.dtype == "int" and y.shape == y_hat.shape[:-1]:
        labels = one_hot(y, y_hat.shape[-1])
    else:
        if y.ndim == y_hat.ndim - 1 and y.dtype != "int":
            raise DTypeError(
                "categorical_cross_entropy: class numbers are integers",
                given=f"{y!r}",
                hint="declare the labels with dtype='int', or give one-hot rows",
            )
        labels = distribution(_pair("categorical_cross_entropy", y_hat, y)[1])
    if from_logits:
        return -sum(labels * log_softmax(y_hat), axis=-1)
    return -sum(xlogy(labels, y_hat), axis=-1)


def hinge(y_hat: Operand, y: Operand) -> Node:
    """L = max(0, 1 − y ŷ), labels −1 and +1, ŷ any number; the loss of the support vector machine."""
    y_hat, y = _pair("hinge", y_hat, y)
    return maximum(1 - y * y_hat, 0.0)


def kl_divergence(y_hat: Operand, y: Operand) -> Node:
    """L = Σ_k y_k ln(y_k / ŷ_k) over the last axis: how much ŷ differs from the distribution y."""
    y_hat, y = _pair("kl_divergence", y_hat, y)
    labels = distribution(y)
    return sum(xlogy(labels, labels) - xlogy(labels, y_hat), axis=-1)


def poisson(y_hat: Operand, y: Operand, from_logits: bool = False) -> Node:
    """L = ŷ − y ln ŷ, for counts y with expectation ŷ > 0 (or ŷ = eᶻ when ``from_logits``)."""
    y_hat, y = _pair("poisson", y_hat, y)
    return exp(y_hat) - y * y_hat if from_logits else y_hat - xlogy(y, y_hat)


def quantile(y_hat: Operand, y: Operand, q: float = 0.5) -> Node:
    """L = q e for e ≥ 0, (q − 1) e below, e = y − ŷ: least at the q-quantile.  Source: Koenker and Bassett 1978."""
    y_hat, y = _pair("quantile", y_hat, y)
    if not 0 < q < 1:
        raise ConfigurationError("quantile: q lies between 0 and 1", given=q)
    error = y - y_hat
    return where(error >= 0, q * error, (q - 1) * error)


@dataclass(frozen=True)
class Loss:
    """A loss and what training needs to know of it.

    Attributes:
        name: its name.
        function: ``(y_hat, y) → node``.
        labels: what labels it takes: ``"number"``, ``"binary"``, ``"classes"``, ``"distribution"``, ``"sign"``
            or ``"count"``.
        output: the activation that the last layer should have, or None for any.
        logits: the last layer is linear, and ``output`` is part of the loss.
    """

    name: str
    function: Callable[[Node, Node], Node]
    labels: str
    output: str | None = None
    logits: bool = False

    def __call__(self, y_hat: Node, y: Node) -> Node:
        """The loss of every example."""
        return self.function(y_hat, y)

    def prediction(self, output: Node) -> Node:
        """ŷ from the network's output: the same, or a probability (an expected count) where that is a logit."""
        if not self.logits:
            return output
        links: Mapping[str | None, Callable[[Node], Node]]
        links = {"sigmoid": ops.sigmoid, "softmax": ops.softmax, "softplus": exp}
        return links[self.output](output)

    def check(self, output: Node) -> None:
        """Refuse an output that can leave [0, 1] where the loss takes the logarithm of probabilities."""
        if self.logits or self.output not in ("sigmoid", "softmax"):
            return
        low, high = getattr(output.op.facts, "range", (0.0, 1.0))
        if output.name == "Z" or low < 0 or high > 1:
            last = "linear" if output.name == "Z" else output.op.name
            raise ConfigurationError(
                f"{self.name} takes probabilities",
                given=f"a last layer that is {last}",
                expected=f"the activation {self.output!r}: the logarithm of it is computed from Z, and loses nothing",
                hint=f"Dense(…, {self.output!r}); or functools.partial(cr.{self.name}, from_logits=True)"
                if self.name in ("binary_cross_entropy", "categorical_cross_entropy")
                else f"Dense(…, {self.output!r})",
            )


LOSSES: Mapping[str, Loss] = {
    loss.name: loss
    for loss in (
        Loss("squared_error", squared_error, "number", "linear"),
        Loss("sum_of_squared_residuals", sum_of_squared_residuals, "number", "linear"),
        Loss("absolute_error", absolute_error, "number", "linear"),
        Loss("huber", huber, "number", "linear"),
        Loss("log_cosh", log_cosh, "number", "linear"),
        Loss("binary_cross_entropy", binary_cross_entropy, "binary", "sigmoid"),
        Loss("categorical_cross_entropy", categorical_cross_entropy, "classes", "softmax"),
        Loss("hinge", hinge, "sign", "linear"),
        Loss("kl_divergence", kl_divergence, "distribution", "softmax"),
        Loss("poisson", poisson, "count", "softplus"),
        Loss("quantile", quantile, "number", "linear"),
    )
}
"""The losses by name."""


def loss(value: Any) -> Loss:
    """A loss from its name, a :class:`Loss`, or a function ``(y_hat, y) → node`` (a ``partial`` of one too)."""
    if isinstance(value, Loss):
        return value
    if isinstance(value, str):
        if value not in LOSSES:
            raise ConfigurationError(
                "no such loss", given=repr(value), expected=", ".join(LOSSES), hint=near(value, LOSSES)
            )
        return LOSSES[value]
    if callable(value):
        inner = value.func if isinstance(value, partial) else value
        known = next((known for known in LOSSES.values() if known.function is inner), None)
        if known is None:
            return Loss(str(getattr(inner, "__name__", "loss")), value, "any")
        logits = bool(value.keywords.get("from_logits")) if isinstance(value, partial) else False
        return Loss(known.name, value, known.labels, known.output, logits)
    raise ConfigurationError("not a loss", given=repr(value), expected="a name or a function (y_hat, y) → node")
