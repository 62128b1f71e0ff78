"""Random numbers: leaves that the engine fills from a seed and the number of the step.

A draw is a quantity like any other: it has a name, a shape and, in every step, a value that one can look at or feed
by hand. Both engines fill it with the same numbers.
"""

from __future__ import annotations

from itertools import count
from typing import Any

from chainrule.errors import ConfigurationError, near
from chainrule.graph.dim import as_shape
from chainrule.graph.node import Node
from chainrule.graph.op import vocabulary
from chainrule.ops.leaves import DRAW

DISTRIBUTIONS = {"uniform": "u", "normal": "ε", "bernoulli": "B", "gumbel": "G", "permutation": "π"}
"""What can be drawn, and what it is called by default."""
_streams = count()


@vocabulary
def draw(distribution: str, shape: Any, *, probability: float = 0.5, name: str | None = None) -> Node:
    """Random numbers, drawn anew in every step.

    Args:
        distribution: ``"uniform"`` between 0 and 1, ``"normal"`` with mean 0 and deviation 1, ``"bernoulli"`` (1 with
            the given probability, else 0), ``"gumbel"`` (−log(−log u)), or ``"permutation"``, the whole numbers from 0
            in random order.
        shape: sizes, integers or names; a permutation has one axis.
        probability: of a 1, for Bernoulli draws.
        name: how formulas write it; by default u, ε, B, G or π.

    The numbers depend on the seed of the run, the number of the step, and which draw of the network it is, on nothing
    else: they are the same in NumPy and through XLA, in float32 and float64, and can be seen again at any time.
    ``cr.evaluate(…, seed=1, step=5)`` chooses them; fed like an input, a draw has the numbers it is fed.

    Source: the counter-based generator Threefry-2x32 of Salmon et al., Parallel random numbers, SC 2011.

    >>> import chainrule as cr
    >>> mask = cr.draw("bernoulli", (8,), probability=0.5)
    >>> cr.evaluate(mask, seed=1)
    array([0., 1., 1., 0., 0., 1., 0., 0.])
    """
    if distribution not in DISTRIBUTIONS:
        raise ConfigurationError(
            "no such distribution to draw from",
            given=repr(distribution),
            expected=", ".join(DISTRIBUTIONS),
            hint=near(str(distribution), DISTRIBUTIONS),
        )
    if not 0 <= probability <= 1:
        raise ConfigurationError("a probability lies between 0 and 1", given=probability)
    sizes = as_shape(shape)
    whole = distribution == "permutation"
    if whole and len(sizes) != 1:
        raise ConfigurationError("a permutation has one axis", given=str(sizes), expected="such as ('m',)")
    attrs = {
        "shape": sizes,
        "dtype": "int" if whole else "float",
        "law": distribution,
        "probability": float(probability),
        "stream": next(_streams),
    }
    return DRAW.make((), attrs, name or DISTRIBUTIONS[distribution])
