"""Numerical differences, to check the symbolic derivative with: central, in float64, aware of kinks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
STEP = float(np.finfo(np.float64).eps) ** (1 / 3)
"""The step that balances truncation (h²) and rounding (ε/h): the cube root of the machine's epsilon."""


@dataclass(frozen=True)
class Difference:
    """One numerical derivative: the central difference, and the two one-sided ones around a kink."""

    value: float
    left: float
    right: float
    kink: bool


def central_difference(f: Callable[[float], float], x: float, h: float | None = None) -> Difference:
    """``f'(x) ≈ (f(x + h) − f(x − h)) / 2h``, with smaller steps where a kink lies inside ±h.

    At a kink the one-sided derivatives stay apart however small the step; then ``kink`` is True and any
    value between ``left`` and ``right`` is a fair derivative.

    >>> round(central_difference(lambda x: 3 * x**2 + 2 * x + 1, 1.0).value, 6)
    8.0
    >>> central_difference(abs, 0.0).kink
    True
    """
    h = STEP * max(1.0, abs(x)) if h is None else h
    here = f(x)
    found: list[Difference] = []
    for _ in range(4):
        up, down = f(x + h), f(x - h)
        right, left = (up - here) / h, (here - down) / h
        value = (up - down) / (2 * h)
        scale = max(1.0, abs(left), abs(right))
        noise = 64 * np.finfo(np.float64).eps * max(abs(up), abs(down), abs(here)) / h
        found.append(Difference(value, left, right, abs(right - left) > 1e-3 * scale + noise))
        if not found[-1].kink:
            return found[-1]
        h /= 8
    # A smooth bend shrinks its gap with h, a kink keeps it.
    gaps = [abs(d.right - d.left) for d in found]
    return Difference(found[-1].value, found[-1].left, found[-1].right, gaps[-1] > 0.3 * gaps[0])


def compare(
    f: Callable[[Array], float],
    at: Array,
    symbolic: Array,
    *,
    entries: int,
    seed: int = 0,
) -> list[tuple[tuple[int, ...], float, Difference]]:
    """Numerical derivatives of ``f`` by the entries of an array, at most ``entries`` of them, drawn at random.

    Returns for each entry its index, the symbolic derivative and the numerical one.
    """
    every = list(np.ndindex(*at.shape))
    if len(every) > entries:
        chosen = np.random.default_rng(seed).choice(len(every), entries, replace=False)
        every = [every[i] for i in sorted(chosen)]
    out = []
    for index in every:

        def along(value: float, index: tuple[int, ...] = index) -> float:
            moved = at.copy()
            moved[index] = value
            return f(moved)

        out.append((index, float(symbolic[index]), central_difference(along, float(at[index]))))
    return out
