"""One node for all steps at once: what an op computes at every step, as one op with time as its first axis.

A contraction gets a letter for time, an elementwise op repeats along it, and the axes of a reduction move up by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from chainrule.graph.dim import Size
from chainrule.graph.node import Node
from chainrule.graph.op import Elementwise, Op
from chainrule.ops.contractions import LETTERS, contract, parse
from chainrule.ops.shaping import broadcast_to, reshape

Batched = Callable[[Node, Sequence[Node], Sequence[bool], Size], Node | None]
"""``(node, operands, whether each has time in front, number of steps)`` → the node with time in front."""


def at_all_times(node: Node, operands: Sequence[Node], timed: Sequence[bool], length: Size) -> Node | None:
    """The node for all steps at once, or None where it is not known how.

    Args:
        node: what is computed at one step.
        operands: those of all steps, or those that are the same at every step.
        timed: which of them have time as their first axis; at least one.
        length: the number of steps.

    >>> import chainrule as cr
    >>> x, W = cr.input("x", ("m", 3)), cr.parameter("W", (3, 4))
    >>> X = cr.input("X", ("T", "m", 3))
    >>> at_all_times(x @ W, [X, W], [True, False], cr.Dim("T")).shape
    (T, m, 4)
    """
    rule = _elementwise if is_elementwise(node.op) else RULES.get(node.op.name)
    return None if rule is None else rule(node, operands, timed, length)


def is_elementwise(op: Op) -> bool:
    """Whether an op repeats its operands along axes of size 1, and so along time."""
    return isinstance(op.calculus, Elementwise) or op.name in _ALSO_ELEMENTWISE


_ALSO_ELEMENTWISE = frozenset(
    [
        "sign",
        "floor",
        "less",
        "less_equal",
        "greater",
        "greater_equal",
        "equal",
        "not_equal",
        "logical_and",
        "logical_or",
        "logical_not",
        "where",
    ]
)


def _spread(operand: Node, has_time: bool, rank: int, length: Size) -> Node:
    """An operand with axes of size 1 behind time, so that it has so many after it."""
    if not has_time or operand.ndim - 1 == rank:
        return operand
    return reshape(operand, (length, *(1,) * (rank - operand.ndim + 1), *operand.shape[1:]))


def _elementwise(node: Node, operands: Sequence[Node], timed: Sequence[bool], length: Size) -> Node:
    spread = [_spread(o, t, node.ndim, length) for o, t in zip(operands, timed, strict=True)]
    return node.op.make(tuple(spread), node.attrs)


def _einsum(node: Node, operands: Sequence[Node], timed: Sequence[bool], length: Size) -> Node | None:
    words, result = parse(node.attrs["spec"])
    time = next((c for c in LETTERS if c not in node.attrs["spec"]), None)
    if time is None:
        return None
    return contract([time + w if t else w for w, t in zip(words, timed, strict=True)], time + result, operands)


def _broadcast_to(node: Node, operands: Sequence[Node], timed: Sequence[bool], length: Size) -> Node:
    return broadcast_to(_spread(operands[0], True, node.ndim, length), (length, *node.shape))


def _concatenate(node: Node, operands: Sequence[Node], timed: Sequence[bool], length: Size) -> Node:
    every = [o if t else broadcast_to(o, (length, *o.shape)) for o, t in zip(operands, timed, strict=True)]
    return node.op.make(tuple(every), {"axis": node.attrs["axis"] + 1})


def _gather(node: Node, operands: Sequence[Node], timed: Sequence[bool], length: Size) -> Node | None:
    return node.op.make(tuple(operands), node.attrs) if timed == [False, True] and node.attrs["axis"] == 0 else None


def _with(settings: Callable[[Mapping[str, Any], Size], Mapping[str, Any]]) -> Batched:
    """The same op of one operand, with other settings."""
    return lambda node, operands, timed, length: node.op.make(tuple(operands), settings(node.attrs, length))


def _axes(attrs: Mapping[str, Any], length: Size) -> Mapping[str, Any]:
    return {**attrs, "axes": tuple(a + 1 for a in attrs["axes"])}


def _axis(attrs: Mapping[str, Any], length: Size) -> Mapping[str, Any]:
    return {**attrs, "axis": attrs["axis"] + 1}


_same = _with(lambda attrs, length: attrs)
RULES: dict[str, Batched] = {
    "einsum": _einsum,
    "broadcast_to": _broadcast_to,
    "concatenate": _concatenate,
    "gather": _gather,
    "reshape": _with(lambda attrs, length: {"shape_to": (length, *attrs["shape_to"])}),
    "transpose": _with(lambda attrs, length: {"axes": (0, *(a + 1 for a in attrs["axes"]))}),
    "slice": _with(
        lambda attrs, length: {
            "starts": (0, *attrs["starts"]),
            "stops": (length, *attrs["stops"]),
            "steps": (1, *attrs["steps"]),
        }
    ),
    "pad": _with(lambda attrs, length: {k: (0, *v) for k, v in attrs.items()}),
    **dict.fromkeys(["cast", "one_hot", "mark", "stop_gradient", "distribution"], _same),
    **dict.fromkeys(["flip", "sum", "max", "min", "prod", "logsumexp"], _with(_axes)),
    **dict.fromkeys(["softmax", "log_softmax", "argmax", "argmin", "cumsum"], _with(_axis)),
}
