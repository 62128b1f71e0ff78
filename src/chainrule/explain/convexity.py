"""Convex or not, and why: by rules over the formula, and by looking for a point that refutes it.

The rules are those of disciplined convex programming (Grant, Boyd and Ye 2006): sums of convex functions are convex,
a convex rising function of a convex one is convex, and so on. Where they prove nothing, second derivatives are
computed at many points of the region: one negative curvature is a witness against convexity. Where none is found, and
one number moves, interval arithmetic may show that there is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chainrule.engine import interpret
from chainrule.errors import ConfigurationError, DerivativeError, GraphError
from chainrule.explain.intervals import bounds
from chainrule.explain.jacobian import hessian
from chainrule.explain.numbers import brief, number
from chainrule.graph.dim import definite
from chainrule.graph.graph import depends_on
from chainrule.graph.node import Node, ancestors, describe
from chainrule.notation import unique_names, write
from chainrule.rewrite import rewrite
from chainrule.verbs import as_nodes, gradient

Array = np.ndarray[Any, Any]
CONSTANT, AFFINE, CONVEX, CONCAVE, UNKNOWN = "constant", "affine", "convex", "concave", "unknown"
RISING, FALLING, NEITHER = 1, -1, 0
SHAPES: Mapping[str, tuple[str, int]] = {
    "exp": (CONVEX, RISING),
    "expm1": (CONVEX, RISING),
    "softplus": (CONVEX, RISING),
    "relu": (CONVEX, RISING),
    "elu": (CONVEX, RISING),
    "abs": (CONVEX, NEITHER),
    "logsumexp": (CONVEX, RISING),
    "max": (CONVEX, RISING),
    "maximum": (CONVEX, RISING),
    "min": (CONCAVE, RISING),
    "minimum": (CONCAVE, RISING),
    "log": (CONCAVE, RISING),
    "log1p": (CONCAVE, RISING),
    "sqrt": (CONCAVE, RISING),
    "log_softmax": (CONCAVE, NEITHER),
}
"""Functions that are convex or concave wherever they are defined, and whether they rise."""
LINEAR = (
    "sum",
    "reshape",
    "broadcast_to",
    "transpose",
    "slice",
    "getitem",
    "concatenate",
    "cast",
    "flip",
    "mark",
    "pad",
)
MOST_PARAMETERS = 64
"""The second derivatives of more numbers are not looked at."""
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Convexity:
    """What :func:`convexity` found.

    Attributes:
        verdict: ``"convex"``, ``"not convex"`` or ``"undecided"``.
        why: the rule that proves it, or the point that refutes it, in words.
        witness: for "not convex": numbers for each node of ``wrt``.
        direction: and the direction in which the curvature is negative there.
        curvature: and the second derivative in that direction; where intervals prove it, what it is nowhere below.
    """

    verdict: str
    why: str
    witness: Mapping[Node, Array] = field(default_factory=dict)
    direction: Mapping[Node, Array] = field(default_factory=dict)
    curvature: float | None = None

    def __str__(self) -> str:
        return f"{self.verdict}: {self.why}"

    __repr__ = __str__

    def __bool__(self) -> bool:
        return self.verdict == "convex"


def convexity(
    cost: Node,
    wrt: Node | Sequence[Node],
    region: tuple[float, float] | Mapping[Node, Any] = (-5.0, 5.0),
    feeds: Mapping[Node, Any] | None = None,
    *,
    points: int = 400,
    seed: int = 0,
) -> Convexity:
    """Whether a cost is convex in some of its leaves.

    Args:
        cost: a single number.
        wrt: the leaves that move, of known sizes.
        region: the interval in which every number of them moves; or for each node an interval ``(low, high)``, or an
            array: the one point to look at.
        feeds: numbers for all other leaves, such as the examples.
        points: how many points are tried in the search for a witness.
        seed: of these points.

    Returns:
        A :class:`Convexity` that prints its verdict and its reason.

    >>> import chainrule as cr
    >>> x, y, w = cr.input("x", ()), cr.input("y", ()), cr.parameter("w", ())
    >>> data = {x: 1.0, y: 1.0}
    >>> print(cr.convexity(cr.binary_cross_entropy(cr.sigmoid(w * x), y), w, feeds=data))
    convex: every step of y · softplus(−w · x) + (1 − y) · softplus(w · x) keeps it so: softplus is convex
    >>> print(cr.convexity((cr.sigmoid(w * x) - y) ** 2, w, feeds=data).verdict)
    not convex
    """
    leaves = as_nodes(wrt, "what moves")
    _check(cost, leaves)
    known = dict(feeds or {})
    at_a_point = isinstance(region, Mapping) and all(np.ndim(region[n]) == n.ndim for n in leaves if n in region)
    if not at_a_point:
        proof = _by_rules(cost, leaves, known)
        if proof is not None:
            return proof
    intervals = _intervals(leaves, region)
    rng = np.random.default_rng(seed)
    worst = _search(cost, leaves, intervals, known, 1 if at_a_point else points, rng)
    if worst.curvature is not None and worst.curvature < -TOLERANCE:
        return worst
    if at_a_point:
        return Convexity("convex", f"at this point every second derivative is at least {number(worst.curvature)}")
    return _by_intervals(cost, leaves, intervals, known) or Convexity(
        "undecided",
        f"no rule proves it, and at {points} points of the region no curvature was below {number(worst.curvature)}",
    )


def _check(cost: Node, leaves: Sequence[Node]) -> None:
    if cost.shape != ():
        raise DerivativeError("convexity is asked of a single number", given=describe(cost), hint="cr.mean(…) of it")
    for leaf in leaves:
        if leaf.inputs:
            raise GraphError("what moves is an input or a parameter", given=describe(leaf))
        definite(leaf.shape)


# --- by rules -------------------------------------------------------------------------------------------


def _by_rules(cost: Node, leaves: Sequence[Node], feeds: Mapping[Node, Any]) -> Convexity | None:
    """Convex where the rules prove it."""
    (stable,) = rewrite([cost]).outputs
    moving = depends_on([stable], leaves)
    if stable not in moving:
        return Convexity("convex", "it does not depend on what moves")
    fixed = [n for n in ancestors(stable) if n not in moving]
    try:
        numbers = interpret(fixed, {k: v for k, v in feeds.items() if k in fixed}, np.float64)
    except GraphError:  # without numbers for the others nothing is known of their signs
        numbers = {n: n.attrs["value"] for n in fixed if n.op.name == "constant"}
    found: dict[Node, str] = {}
    used: list[str] = []
    for node in ancestors(stable):
        found[node] = (
            CONSTANT if node not in moving else AFFINE if not node.inputs else _curvature(node, found, numbers)
        )
        if node.op.name in SHAPES and found[node] in (CONVEX, CONCAVE):
            used.append(f"{node.op.name} is {SHAPES[node.op.name][0]}")
        elif node.op.name == "power" and found[node] == CONVEX:
            used.append("a square is convex")
    (text,), _ = write([stable], names={**unique_names(ancestors(stable))})
    if found[stable] == AFFINE:
        return Convexity("convex", f"{text} is affine")
    if found[stable] != CONVEX:
        return None
    return Convexity("convex", f"every step of {text} keeps it so: {', '.join(dict.fromkeys(used))}")


def _curvature(node: Node, found: Mapping[Node, str], numbers: Mapping[Node, Any]) -> str:
    of = [found[i] for i in node.inputs]
    name = node.op.name
    if name in ("add", *LINEAR):
        return _together(of)
    if name == "subtract":
        return _together([of[0], _flipped(of[1])])
    if name == "negative":
        return _flipped(of[0])
    if name == "where" and of[0] == CONSTANT:
        return _together(of[1:])
    if name in ("multiply", "einsum", "divide"):
        return _scaled(node, of, numbers)
    if name == "power":
        exponent = numbers.get(node.inputs[1])
        even = exponent is not None and np.ndim(exponent) == 0 and float(exponent) in (2.0, 4.0, 6.0)
        return CONVEX if even and of[0] == AFFINE else UNKNOWN
    if name in SHAPES:
        shape, rises = SHAPES[name]
        fits = (AFFINE, CONSTANT) if rises == NEITHER else (AFFINE, CONSTANT, shape)
        return shape if all(o in fits for o in of) else UNKNOWN
    return UNKNOWN


def _together(of: Sequence[str]) -> str:
    """The curvature of a sum."""
    kinds = {o for o in of if o != CONSTANT}
    kinds = kinds - {AFFINE} or kinds
    return kinds.pop() if len(kinds) == 1 else CONSTANT if not kinds else UNKNOWN


def _flipped(kind: str) -> str:
    return {CONVEX: CONCAVE, CONCAVE: CONVEX}.get(kind, kind)


def _scaled(node: Node, of: Sequence[str], numbers: Mapping[Node, Any]) -> str:
    """A product with what stands still: its sign decides."""
    moving = [k for k, o in enumerate(of) if o != CONSTANT]
    if len(moving) != 1 or (node.op.name == "divide" and moving[0] == 1):
        return UNKNOWN
    kind = of[moving[0]]
    if kind in (AFFINE, UNKNOWN):
        return kind
    others = [numbers.get(n) for k, n in enumerate(node.inputs) if k != moving[0]]
    if any(o is None for o in others):
        return UNKNOWN
    if all(np.all(np.asarray(o) >= 0) for o in others):
        return kind
    return _flipped(kind) if len(others) == 1 and np.all(np.asarray(others[0]) <= 0) else UNKNOWN


# --- by intervals ---------------------------------------------------------------------------------------


def _by_intervals(
    cost: Node,
    leaves: Sequence[Node],
    intervals: Mapping[Node, tuple[Array, Array]],
    feeds: Mapping[Node, Any],
) -> Convexity | None:
    """Convex where one number moves and its second derivative can nowhere be below 0."""
    (leaf, *others) = leaves
    if others or leaf.shape != ():
        return None
    low, high = (float(end) for end in intervals[leaf])
    second = gradient(gradient(cost, leaf), leaf)
    found = bounds(second, leaf, low, high, feeds)
    if found is None or not found[0] >= -TOLERANCE:
        return None
    return Convexity(
        "convex",
        f"from {number(low)} to {number(high)} the second derivative {second} is nowhere below {number(found[0])}, "
        "by interval arithmetic",
        curvature=found[0],
    )


# --- by looking -----------------------------------------------------------------------------------------


def _intervals(leaves: Sequence[Node], region: Any) -> dict[Node, tuple[Array, Array]]:
    """For each leaf the lowest and the highest numbers."""
    out = {}
    for leaf in leaves:
        shape = definite(leaf.shape)
        given = region[leaf] if isinstance(region, Mapping) and leaf in region else region
        if isinstance(given, Mapping):
            raise ConfigurationError(f"the region says nothing of {leaf.name}", expected="an interval or an array")
        if isinstance(given, tuple) or np.shape(given) != shape:
            low, high = (float(v) for v in given)
            if not low <= high:
                raise ConfigurationError("an interval goes from low to high", given=given)
            out[leaf] = np.full(shape, low), np.full(shape, high)
        else:
            out[leaf] = np.asarray(given, float), np.asarray(given, float)
    return out


def _search(
    cost: Node,
    leaves: Sequence[Node],
    intervals: Mapping[Node, tuple[Array, Array]],
    feeds: Mapping[Node, Any],
    points: int,
    rng: np.random.Generator,
) -> Convexity:
    """The most negative curvature among random points."""
    second = hessian(cost, leaves)
    sizes = [int(np.prod(definite(n.shape))) for n in leaves]
    if sum(sizes) > MOST_PARAMETERS:
        raise ConfigurationError(
            "too many numbers move at once",
            given=f"{sum(sizes):,}",
            expected=f"at most {MOST_PARAMETERS}",
            hint="ask for the parameters of one unit, with the others in feeds",
        )
    worst = Convexity("undecided", "", curvature=None)
    for _ in range(points):
        at = {n: rng.uniform(low, high) if np.any(high > low) else low for n, (low, high) in intervals.items()}
        matrix = second.at({**feeds, **at}).array
        if not np.isfinite(matrix).all():
            continue
        values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
        if worst.curvature is None or values[0] < worst.curvature:
            parts = np.split(vectors[:, 0], np.cumsum(sizes)[:-1])
            direction = {n: p.reshape(definite(n.shape)) for n, p in zip(leaves, parts, strict=True)}
            worst = Convexity("not convex", _words(at, direction, values[0]), at, direction, float(values[0]))
    if worst.curvature is None:
        raise ConfigurationError(
            "the second derivatives are not finite anywhere in the region", given=f"{points} points"
        )
    return worst


def _words(at: Mapping[Node, Array], direction: Mapping[Node, Array], curvature: float) -> str:
    where = ", ".join(f"{n.name} = {brief(np.round(v, 4))}" for n, v in at.items())
    along = ", ".join(f"{n.name} {brief(v)}" for n, v in direction.items())
    single = sum(v.size for v in direction.values()) == 1
    return f"at {where} the second derivative is {number(curvature)}" + ("" if single else f" along {along}")
