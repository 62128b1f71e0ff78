"""How low and how high a formula of one number can be while that number moves, by interval arithmetic.

The interval is cut into many pieces; on each, every op gives the range of its results from the ranges of its
operands. What is so found holds for every number of the interval, not only for those that were tried.
Source: Moore, Interval Analysis, 1966.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from chainrule.graph.node import Node, ancestors
from chainrule.graph.op import ABSENT

Array = np.ndarray[Any, Any]
Range = tuple[Array, Array]
"""For every piece the lowest and the highest number."""
PIECES = 2000


def bounds(
    formula: Node, moving: Node, low: float, high: float, feeds: Mapping[Node, Any]
) -> tuple[float, float] | None:
    """The lowest and the highest that a formula of single numbers can be; None where an op has no rule here.

    Args:
        formula: a single number.
        moving: the leaf that goes from ``low`` to ``high``.
        feeds: numbers for the other leaves.
    """
    edges = np.linspace(low, high, PIECES + 1)
    found: dict[Node, Range] = {}
    with np.errstate(all="ignore"):
        for node in ancestors(formula):
            if node is moving:
                found[node] = edges[:-1], edges[1:]
                continue
            value = node.attrs.get("value") if node.op.name == "constant" else feeds.get(node)
            if value is not None and np.ndim(value) == 0:
                found[node] = (np.full(PIECES, float(value)),) * 2
                continue
            made = _range(node, [found[i] for i in node.inputs if i in found]) if node.shape == () else None
            if made is None or len(found.keys() & set(node.inputs)) < len(set(node.inputs)):
                return None
            found[node] = made
    below, above = found[formula]
    return None if np.isnan(below).any() or np.isnan(above).any() else (float(below.min()), float(above.max()))


def _range(node: Node, of: list[Range]) -> Range | None:
    """The range of a node from those of its operands."""
    name = node.op.name
    if name in RULES:
        return RULES[name](*of)
    facts = node.op.facts
    if facts is not ABSENT and getattr(facts, "monotone", False) and len(of) == 1:
        return tuple(np.asarray(node.op.reference(end, **node.attrs), float) for end in of[0])  # type: ignore[return-value]
    return None


def _hull(*ends: Array) -> Range:
    return np.min(ends, axis=0), np.max(ends, axis=0)


def _multiply(a: Range, b: Range) -> Range:
    return _hull(*(np.where((x == 0) | (y == 0), 0.0, x * y) for x in a for y in b))


def _divide(a: Range, b: Range) -> Range:
    low, high = _multiply(a, (1 / b[1], 1 / b[0]))
    through = (b[0] <= 0) & (b[1] >= 0)
    return np.where(through, -np.inf, low), np.where(through, np.inf, high)


def _power(a: Range, b: Range) -> Range | None:
    exponent = float(b[0][0])
    if (b[0] != exponent).any() or (b[1] != exponent).any():
        return None
    if exponent < 0:
        positive = _power(a, (-b[1], -b[0]))
        one = np.ones(len(b[0]))
        return positive and _divide((one, one), positive)
    low, high = _hull(a[0] ** exponent, a[1] ** exponent)  # not a number below 0, unless the exponent is whole
    even = exponent % 2 == 0
    return np.where(even & (a[0] < 0) & (a[1] > 0), 0.0, low), high


def _wave(a: Range, peak: float) -> Range:
    """A sine or cosine, which is 1 at ``peak`` and −1 half a turn later."""
    low, high = _hull(np.cos(a[0] - peak), np.cos(a[1] - peak))
    turn = 2 * np.pi

    def passes(at: float) -> Any:
        return np.floor((a[1] - at) / turn) > np.floor((a[0] - at) / turn)

    return np.where(passes(peak + np.pi), -1.0, low), np.where(passes(peak), 1.0, high)


def _same(a: Range) -> Range:
    return a


RULES: dict[str, Callable[..., Range | None]] = {
    "add": lambda a, b: (a[0] + b[0], a[1] + b[1]),
    "subtract": lambda a, b: (a[0] - b[1], a[1] - b[0]),
    "negative": lambda a: (-a[1], -a[0]),
    "multiply": _multiply,
    "einsum": lambda *of: _multiply(*of) if len(of) == 2 else None,  # of single numbers it is their product
    "divide": _divide,
    "power": _power,
    "abs": lambda a: (np.where((a[0] < 0) & (a[1] > 0), 0.0, _hull(abs(a[0]), abs(a[1]))[0]), _hull(*map(abs, a))[1]),
    "maximum": lambda a, b: (np.maximum(a[0], b[0]), np.maximum(a[1], b[1])),
    "minimum": lambda a, b: (np.minimum(a[0], b[0]), np.minimum(a[1], b[1])),
    "sin": lambda a: _wave(a, np.pi / 2),
    "cos": lambda a: _wave(a, 0.0),
    "sum": _same,
    "mark": _same,
    "cast": _same,
    "reshape": _same,
    "broadcast_to": _same,
}
"""What is not here is monotone, so that its range lies between its ends, or has no rule."""
