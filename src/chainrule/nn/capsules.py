"""Capsules: groups of units whose direction says what is there, whose length how surely; routed by agreement."""

from __future__ import annotations

from typing import Any

from chainrule.errors import ConfigurationError, ShapeError
from chainrule.graph.node import Node, describe
from chainrule.nn.initializers import Stacked, initializer
from chainrule.nn.layer import Layer, as_float, positive
from chainrule.ops import broadcast_to, constant, einsum, reshape, softmax, sqrt
from chainrule.ops import sum as sum_

TINY = 1e-7
"""Added under the root, so that the length 0 has a derivative."""


def squash(s: Any) -> Node:
    """v = |s|²/(1 + |s|²) · s/|s| = |s|/(1 + |s|²) · s: the same direction, with a length between 0 and 1.

    Source: Sabour, Frosst and Hinton, Dynamic routing between capsules, 2017, equation 1.

    >>> import chainrule as cr
    >>> cr.evaluate(cr.squash([3.0, 4.0])).round(4)
    array([0.5769, 0.7692])
    """
    s = as_float(s)
    square = sum_(s**2, -1, keepdims=True)
    v: Node = sqrt(square + TINY) / (1 + square) * s
    return v


def capsule_lengths(v: Any) -> Node:
    """|v| of each capsule, (m, J, d) → (m, J): how surely the thing is there."""
    v = as_float(v)
    return sqrt(sum_(v**2, -1) + TINY)


class PrimaryCapsules(Layer):
    """u = squash(x), with the channels of x parted into capsules: (m, …, c) becomes (m, I, d).

    Args:
        dim: the size d of a capsule; it has to divide the channels.
        name: the layer's name.

    Source: Sabour et al. 2017, section 4: it follows a convolution.
    """

    def __init__(self, dim: int, name: str | None = None) -> None:
        super().__init__(name)
        self.dim = positive(dim, "the size of a capsule")

    def apply(self, x: Node) -> Node:
        """The capsules."""
        channels = self.width_of(x)
        if channels % self.dim:
            raise ConfigurationError(
                "the channels cannot be parted into capsules",
                given=f"{channels} channels of {describe(x)}, capsules of {self.dim}",
                expected="a size that divides the channels",
            )
        return squash(reshape(x, (x.shape[0], -1, self.dim))).named("u", self.scope)

    def __repr__(self) -> str:
        return f"PrimaryCapsules({self.dim})"


class Capsule(Layer):
    """v_j = squash(Σ_i c_ij û_j|i): capsules that send what they see to those that agree with it.

    û_j|i = W_ij u_i;  b_ij = 0; then, ``routings`` times: c_i = softmax(b_i),  s_j = Σ_i c_ij û_j|i,
    v_j = squash(s_j),  b_ij ← b_ij + û_j|i · v_j.

    Args:
        num: the number J of capsules.
        dim: the size of each.
        routings: how often the agreement is asked.
        kernel_initializer: how each W_ij starts.
        kinds: how many kinds of capsules there are at every place, where those of a kind share their W at all places,
            W (kinds, J, d, dim): capsule i has the matrix i mod kinds, so a thing that has moved sends the same votes.
            ``PrimaryCapsules(d)`` of c channels makes c/d kinds. None gives every capsule a matrix of its own.
        name: the layer's name.

    ``layer.openness`` is C (m, I, J), the coupling of the last round; rows sum to one.

    Shapes: u (m, I, d), W (I, J, d, dim), v (m, J, dim).

    Errors: capsules that cannot be parted into kinds.

    Sources: Sabour et al. 2017, procedure 1; Hinton, Sabour and Frosst, Matrix capsules with EM routing, 2018,
    section 4, for matrices that places share.
    """

    def __init__(
        self,
        num: int,
        dim: int,
        routings: int = 3,
        kernel_initializer: Any = "glorot_uniform",
        kinds: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.num = positive(num, "the number of capsules")
        self.dim = positive(dim, "the size of a capsule")
        self.routings = positive(routings, "routings")
        self.kernel_initializer = Stacked(initializer(kernel_initializer))
        self.kinds = positive(kinds, "the number of kinds") if kinds is not None else None
        self.openness: Node | None = None

    def build(self, x: Node) -> None:
        """Make W."""
        if x.ndim != 3 or not isinstance(x.shape[1], int):
            raise ShapeError(
                "Capsule takes capsules", given=describe(x), expected="(m, I, d)", hint="cr.PrimaryCapsules(d) first"
            )
        kinds = self.kinds or x.shape[1]
        if x.shape[1] % kinds:
            raise ConfigurationError(
                "the capsules cannot be parted into kinds",
                given=f"{x.shape[1]} capsules of {describe(x)}, {kinds} kinds",
                expected="a number that divides them",
            )
        self.parameter("W", (kinds, self.num, self.width_of(x), self.dim), self.kernel_initializer)

    def apply(self, x: Node) -> Node:
        """v."""
        if self.kinds is None:
            votes = einsum("mid,ijdk->mijk", x, self["W"]).named("û", self.scope)
        else:
            places = reshape(x, (x.shape[0], -1, self.kinds, self.width_of(x)))
            votes = einsum("mpid,ijdk->mpijk", places, self["W"]).named("û", self.scope)
            votes = reshape(votes, (*x.shape[:2], self.num, self.dim))
        logits = broadcast_to(constant(0.0), votes.shape[:3])
        for round_ in range(1, self.routings + 1):
            self.openness = c = softmax(logits).named("C", self.scope)
            v = squash(einsum("mij,mijk->mjk", c, votes).named("s", self.scope)).named("v", self.scope)
            if round_ < self.routings:
                logits = logits + einsum("mijk,mjk->mij", votes, v)
        return v

    def __repr__(self) -> str:
        return f"Capsule({self.num}, {self.dim}, routings={self.routings})"
