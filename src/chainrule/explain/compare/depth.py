"""What is left of the backward signal after many layers of one activation, before training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.explain.compare.spread import Spread
from chainrule.graph.dim import definite
from chainrule.graph.graph import Graph
from chainrule.nn import Dense, initial_value
from chainrule.ops import input as input_
from chainrule.ops import sum as sum_
from chainrule.verbs import evaluate, gradient

DEPTHS = (1, 5, 20, 50)
WIDTH, ROWS = 64, 128
HE, GLOROT, LECUN = "he_normal", "glorot_normal", "lecun_normal"
SUITABLE: Mapping[str, str] = {
    **dict.fromkeys(("relu", "leaky_relu", "parametric_relu", "thresholded_relu"), HE),
    **dict.fromkeys(("elu", "gelu", "gelu_tanh", "silu", "mish", "softplus"), HE),
    "selu": LECUN,
}
"""The start that is usual with an activation: He et al. 2015 for ReLU and its relatives, LeCun et al. 1998 for SELU
(Klambauer et al. 2017), and Glorot and Bengio 2010 for all others."""


def suitable(name: str) -> str:
    """The initializer that suits an activation."""
    return SUITABLE.get("silu" if name == "swish" else name, GLOROT)


def signal_left(
    chosen: Any, initializer: str, depths: Sequence[int] = DEPTHS, seeds: Sequence[int] = (0, 1, 2)
) -> dict[int, Spread]:
    """rms ∂J/∂A some layers before the last, over rms ∂J/∂A of the last: one number for each depth and seed.

    The network has as many layers as the largest depth, of 64 units each. Its inputs are normal, and so is the
    derivative that it is given at the last layer, so that nothing but the layers shapes the signal.
    """
    deepest = max(depths)
    x, upstream = input_("X", ("m", WIDTH)), input_("G", ("m", WIDTH))
    signals = [x]
    for _ in range(deepest):
        signals.append(Dense(WIDTH, chosen, kernel_initializer=initializer)(signals[-1]))
    J = sum_(signals[-1] * upstream)
    slopes = gradient(J, [signals[deepest - d] for d in (0, *depths)])
    parameters = Graph(J).parameters
    out: dict[int, list[float]] = {d: [] for d in depths}
    for seed in seeds:
        rng = np.random.default_rng(seed)
        feeds = {n: rng.standard_normal((ROWS, WIDTH)) for n in (x, upstream)}
        for k, p in enumerate(parameters):
            feeds[p] = initial_value(definite(p.shape), p.attrs["initializer"], seed, k)
        last, *earlier = (_rms(g) for g in evaluate(slopes, feeds, dtype=np.float64))
        for d, size in zip(depths, earlier, strict=True):
            out[d].append(size / last)
    return {d: Spread.of(values) for d, values in out.items()}


def _rms(values: Any) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
