"""Padding: which steps of a sequence count, noted beside the node that holds the sequence.

An embedding with ``mask_zero=True`` notes it, layers that keep the steps hand it on, and layers that look at several
steps at once (attention) leave out what does not count.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

from chainrule.graph.node import Node

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
