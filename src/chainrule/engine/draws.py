"""Random numbers from a counter: the same bits in NumPy and through XLA, for any draw of any step.

A draw's numbers are a function of (seed, step, which draw it is, which of its numbers), and of nothing else, so that
nothing has to be kept to see them again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.graph.dim import resolve
from chainrule.graph.node import Node

Key = tuple[Any, Any]
"""The seed and the number of the step, each 32 bits."""
ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


def threefry(xp: Any, key: Key, counter: tuple[Any, Any]) -> tuple[Any, Any]:
    """Threefry-2x32 with 20 rounds: two words of random bits for every counter.

    Source: Salmon et al., Parallel random numbers: as easy as 1, 2, 3, SC 2011.
    """
    first, second = key
    keys = (first, second, first ^ second ^ np.uint32(0x1BD11BDA))
    x, y = counter[0] + keys[0], counter[1] + keys[1]
    for group in range(5):
        for r in ROTATIONS[group % 2]:
            x = x + y
            y = ((y << np.uint32(r)) | (y >> np.uint32(32 - r))) ^ x
        x = x + keys[(group + 1) % 3]
        y = y + keys[(group + 2) % 3] + np.uint32(group + 1)
    return x, y


def sample(xp: Any, draw: Node, number: int, key: Key, dtype: Any, sizes: Mapping[str, int]) -> Any:
    """The numbers of a draw, the ``number``-th of its graph, under a key."""
    shape = tuple(resolve(s, sizes) for s in draw.shape)
    count = math.prod(shape)
    half = (count + 1) // 2
    seed, step = (xp.reshape(xp.asarray(k, dtype=np.uint32), (1,)) for k in key)
    counters = xp.arange(half, dtype=np.uint32), xp.full(half, number, np.uint32)
    x, y = threefry(xp, (seed, step), counters)
    kind = draw.attrs["law"]
    if kind == "normal":  # Box and Muller 1958: two words, two numbers
        radius, angle = xp.sqrt(-2 * xp.log(_unit(x))), 2 * math.pi * _unit(y)
        numbers = xp.concatenate([radius * xp.cos(angle), radius * xp.sin(angle)])[:count]
    elif kind == "permutation":
        numbers = xp.argsort(xp.concatenate([x, y])[:count], stable=True)
    else:
        numbers = _unit(xp.concatenate([x, y])[:count])
    if kind == "bernoulli":
        numbers = numbers < draw.attrs["probability"]
    elif kind == "gumbel":
        numbers = -xp.log(-xp.log(numbers))
    return xp.reshape(numbers, shape).astype(dtype)


def _unit(bits: Any) -> Any:
    """Numbers between 0 and 1, neither of them reached: the upper 23 bits, and a half."""
    return ((bits >> np.uint32(9)).astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-23)
