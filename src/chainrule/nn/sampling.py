"""Sampling gates: in training a quantity is drawn so that the derivative passes; in prediction nothing is."""

from __future__ import annotations

from typing import Any

from chainrule.errors import ConfigurationError, ShapeError
from chainrule.graph.dim import show
from chainrule.graph.node import Node
from chainrule.nn.gates import straight_through
from chainrule.nn.layer import as_float
from chainrule.ops import argmax, by_phase, draw, exp, one_hot, softmax


def gaussian_sample(mean: Any, log_variance: Any) -> Node:
    """z = μ + e^(½ ln σ²) ∘ ε in training, μ when it predicts: the derivative passes to μ and σ, ε is only a number.

    Args:
        mean: μ, (m, d).
        log_variance: ln σ², of the same shape: any number is one.

    Source: Kingma and Welling, Auto-encoding variational Bayes, 2014 (the reparameterisation).

    >>> import chainrule as cr
    >>> mu, s = cr.input("μ", ("m", 2)), cr.input("s", ("m", 2))
    >>> print(cr.in_training(cr.gaussian_sample(mu, s)))
    μ + exp(0.5 · s) ∘ ε
    """
    mu, log_variance = as_float(mean), as_float(log_variance)
    if mu.shape != log_variance.shape:
        raise ShapeError("there is a variance for every mean", given=f"{show(mu.shape)} and {show(log_variance.shape)}")
    return by_phase(mu + exp(0.5 * log_variance) * draw("normal", mu.shape), mu).named("z")


def gumbel_softmax(logits: Any, temperature: float = 1.0, hard: bool = False) -> Node:
    """A = softmax((z + G)/τ) in training, softmax(z/τ) when it predicts: one of several, drawn as softmax(z) says.

    Args:
        logits: z, (…, n).
        temperature: τ: the smaller, the closer to one of several; the larger, the smaller the derivative's variance.
        hard: the value is exactly one of several, onehot(argmax A), with the derivative of A (straight-through).

    Sources: Jang, Gu and Poole 2017; Maddison, Mnih and Teh 2017.

    >>> import chainrule as cr
    >>> cr.evaluate(cr.gumbel_softmax([1.0, 3.0, 2.0], hard=True))
    array([0., 1., 0.])
    """
    if not temperature > 0:
        raise ConfigurationError("a temperature is positive", given=temperature)
    z = as_float(logits)
    if not z.shape:
        raise ShapeError("one of several needs an axis of these", given=show(z.shape))

    def chosen(scores: Node) -> Node:
        soft = softmax(scores / temperature)
        return straight_through(one_hot(argmax(soft), z.shape[-1]), soft) if hard else soft

    return by_phase(chosen(z + draw("gumbel", z.shape)), chosen(z)).named("A")
