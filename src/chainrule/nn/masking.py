"""Padding: which steps of a sequence count, noted beside the node that holds the sequence.

An embedding with ``mask_zero=True`` notes it, layers that keep the steps hand it on, and layers that look at several
steps at once (attention, recurrent layers, global pooling) and the cost leave out what does not count.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from chainrule.errors import ConfigurationError, ShapeError
from chainrule.graph.dim import Size, show
from chainrule.graph.node import Node
from chainrule.graph.op import lift
from chainrule.ops import broadcast_to, constant, cumsum, less_equal, not_equal

_MASKS: WeakKeyDictionary[Node, Node] = WeakKeyDictionary()


def with_mask(x: Node, mask: Node) -> Node:
    """x, with the note of which of its steps count: ``mask`` (m, T) for x (m, T, …)."""
    _MASKS[x] = mask
    return x


def mask_of(x: Node) -> Node | None:
    """Which steps of x count, (m, T), where that has been noted; None where all do.

    >>> import chainrule as cr
    >>> x = cr.Embedding(10, 4, mask_zero=True)(cr.input("X", ("m", 6), dtype="int"))
    >>> print(cr.mask_of(cr.Dense(8, "relu")(x)))
    X ≠ 0
    """
    return _MASKS.get(x)


def with_mask_of(x: Node, y: Node) -> Node:
    """y, with the note that x has, where y is made of x step by step: it has the same steps."""
    if x in _MASKS and y not in _MASKS and y.ndim > 2 and y.shape[:2] == x.shape[:2]:
        _MASKS[y] = _MASKS[x]
    return y


def counted(x: Node, mask: Any, lengths: Any = None) -> Node | None:
    """Which places of x (m, T, k) or (m, h, w, k) count, truth values (m, T) or (m, h, w); None where all do.

    Args:
        x: what is looked at.
        mask: not 0 where a place counts; where neither mask nor lengths are given, what has been noted of x.
        lengths: (m,), of sequences: the first so many steps count.
    """
    if mask is not None and lengths is not None:
        raise ConfigurationError("a mask, or lengths", given="both")
    if mask is None and lengths is None:
        return mask_of(x)
    given = lift(mask if lengths is None else lengths)
    wanted = x.shape[:-1] if lengths is None else x.shape[:1]
    if given.shape != wanted:
        raise ShapeError(
            "the mask does not fit the sequences" if lengths is None else "there is one length for each sequence",
            given=show(given.shape),
            expected=show(wanted),
        )
    if lengths is not None:
        return less_equal(numbered(x.shape[1]), given.reshape((*wanted, 1)))
    return given if given.dtype == "bool" else not_equal(given, 0)


def numbered(steps: Size) -> Node:
    """1, 2, … T."""
    return cumsum(broadcast_to(constant(1.0), (steps,)))
