"""Switching: a gate that chooses, for every example, which of several networks answers: mixture of experts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from chainrule.errors import ConfigurationError, GraphError
from chainrule.graph.node import Node
from chainrule.nn.activations import activation as activation_by_name
from chainrule.nn.initializers import Stacked, initializer
from chainrule.nn.layer import Layer, positive
from chainrule.ops import (
    by_phase,
    draw,
    einsum,
    indicator,
    less,
    masked_softmax,
    mean,
    rank,
    softmax,
    softplus,
    stack,
)

LETTERS = "abcdfgh"


class MixtureOfExperts(Layer):
    """A = Σ_e G_e f_e(x) with G = softmax(x W_G + b_G): a gate weighs the answers of experts.

    With ``top_k`` only the k experts with the largest scores count, G = softmax(H) over those (with k = 1, where that
    would always be 1, G is the one's share among all); with ``noisy`` noise is added to the scores in training,
    H = x W_G + b_G + ε ∘ softplus(x W_N), so that all get their turn.

    Args:
        experts: how many Dense experts, or a list of layers and functions that give equal shapes.
        units: of each Dense expert.
        activation: of each Dense expert.
        top_k: how many experts count for an example; None for all.
        noisy: whether there is noise.
        name: the layer's name.

    ``layer.openness`` is G (…, E). :func:`balance` of it keeps the gate from always taking the same.

    Shapes: x (…, k), W (E, k, n), b (E, n), G (…, E), A (…, n). Every expert answers for every example: what the gate
    leaves out is not taken, but it is computed.

    Sources: Jacobs et al. 1991; Shazeer et al., The sparsely-gated mixture-of-experts layer, 2017; Fedus, Zoph and
    Shazeer, Switch transformers, 2022, for k = 1.
    """

    def __init__(
        self,
        experts: int | Sequence[Callable[[Node], Node]],
        units: int | None = None,
        activation: Any = "relu",
        top_k: int | None = None,
        noisy: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        own = isinstance(experts, Sequence)
        self.experts: tuple[Any, ...] = tuple(experts) if isinstance(experts, Sequence) else ()
        self.count = len(self.experts) if own else positive(experts, "the number of experts")
        if own and (not self.experts or not all(callable(e) for e in self.experts)):
            raise ConfigurationError("an expert is a function of a node", given=repr(experts))
        if own != (units is None):
            raise ConfigurationError(
                "units belongs to Dense experts", given=f"{experts!r}, units={units}", expected="a number, and units"
            )
        self.units = positive(units, "the number of units") if units is not None else None
        self.activation = activation
        self.top_k = positive(top_k, "top_k") if top_k is not None else None
        if self.top_k is not None and self.top_k > self.count:
            raise ConfigurationError("top_k chooses among the experts", given=top_k, expected=f"at most {self.count}")
        self.noisy = bool(noisy)
        self.openness: Node | None = None
        self._function = activation_by_name(activation)

    @property
    def parts(self) -> tuple[Any, ...]:
        """The experts."""
        return self.experts

    def build(self, x: Node) -> None:
        """Make the gate's parameters, and those of Dense experts."""
        width = self.width_of(x)
        self.parameter("W_G", (width, self.count), "zeros" if self.noisy else "glorot_uniform")
        self.parameter("b_G", (self.count,), "zeros")
        if self.noisy:
            self.parameter("W_N", (width, self.count), "zeros")
        if self.units is not None:
            self.parameter("W", (self.count, width, self.units), Stacked(initializer(None)))
            self.parameter("b", (self.count, self.units), "zeros")

    def apply(self, x: Node) -> Node:
        """Σ_e G_e f_e(x)."""
        scores = x @ self["W_G"] + self["b_G"]
        if self.noisy:
            noise = draw("normal", scores.shape) * softplus(x @ self["W_N"])
            scores = by_phase(scores + noise, scores).named("H", self.scope)
        self.openness = g = self._gate(scores).named("G", self.scope)
        lead = LETTERS[: x.ndim - 1]
        return einsum(f"{lead}e,{lead}en->{lead}n", g, self._answers(x, lead)).named("A", self.scope)

    def _gate(self, scores: Node) -> Node:
        """G: a softmax over the experts that count; of one alone its share among all, which has a derivative."""
        if self.top_k is None:
            return softmax(scores)
        counted = less(rank(scores), self.top_k).named("M", self.scope)
        return softmax(scores) * indicator(counted) if self.top_k == 1 else masked_softmax(scores, counted)

    def _answers(self, x: Node, lead: str) -> Node:
        if self.units is not None:
            z = einsum(f"{lead}i,ein->{lead}en", x, self["W"]) + self["b"]
            return self._function(z.named("Z", self.scope))
        answers = [expert(x) for expert in self.experts]
        if any(not isinstance(a, Node) for a in answers):
            raise GraphError("an expert does not return a node", given=", ".join(type(a).__name__ for a in answers))
        return stack(answers, axis=x.ndim - 1)

    def __repr__(self) -> str:
        return f"MixtureOfExperts({self.count}{f', top_k={self.top_k}' if self.top_k else ''})"


def balance(openness: Node) -> Node:
    """Var/mean² of how much each expert is asked over a batch: 0 where all are asked equally; a cost to add.

    Args:
        openness: G, (m, E), as ``layer.openness``.

    Source: Shazeer et al. 2017, section 4 (L_importance, without its weight).
    """
    asked = mean(openness, tuple(range(openness.ndim - 1)))
    middle = mean(asked)
    return mean((asked - middle) ** 2) / middle**2
