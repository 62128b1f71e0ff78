"""Formulas in the course's column notation: every example is a column, and so every matrix is transposed.

``Z = X W + b`` with examples in rows becomes ``Z = W X + b`` with examples in columns. Nothing is derived anew:
the same node is written with each matrix in it turned round. Images and other arrays of more than two axes stay as
they are, in the course too: (m, height, width, channels).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chainrule.graph.dim import Shape
from chainrule.graph.node import Node, ancestors
from chainrule.notation.text import Names
from chainrule.ops import broadcast_to, einsum, reshape
from chainrule.ops import input as input_
from chainrule.ops import sum as sum_
from chainrule.ops.contractions import LETTERS, parse


def turned(node: Node, names: Names) -> tuple[Node, Names]:
    """The formula of a node in column notation, and the symbols of the quantities in it.

    Matrices are transposed; a vector over units stands upright, one over examples lies.
    """
    order = ancestors(node, stop=lambda n: n in names and n is not node)
    columns: dict[Node, Node] = {}
    symbols: Names = {}
    for n in order:
        if n in names and (n is not node or not n.inputs):
            columns[n] = input_(names[n].text, turned_shape(n.shape), dtype=n.dtype)
            symbols[columns[n]] = names[n]
        elif n.inputs:
            columns[n] = _turned(n, [columns[i] for i in n.inputs])
        else:
            columns[n] = _upright(n)
    return columns[node], symbols


def turned_shape(shape: Shape) -> Shape:
    """The shape in column notation: (m, n) becomes (n, m), n numbers of units (n, 1), of examples (1, m)."""
    if len(shape) == 1:
        return (shape[0], 1) if isinstance(shape[0], int) else (1, shape[0])
    return shape[::-1] if len(shape) == 2 else shape


def _turned(node: Node, operands: Sequence[Node]) -> Node:
    made = _by_op(node, operands) if max(n.ndim for n in (node, *node.inputs)) <= 2 else None
    if made is None or made.shape != turned_shape(node.shape):
        made = _upright(
            node.op.make(tuple(_laid(c, n) for c, n in zip(operands, node.inputs, strict=True)), node.attrs)
        )
    return made


def _by_op(node: Node, operands: Sequence[Node]) -> Node | None:
    """The op for turned operands, where it is known; otherwise it is written with transposes."""
    flat = node.ndim == 2 or all(i.ndim == 2 for i in node.inputs)
    attrs: Mapping[str, Any] = node.attrs
    if node.op.name == "einsum":
        return einsum(_turned_spec(node), *reversed(operands))
    if node.op.name == "sum" and node.inputs[0].ndim == 2 and flat:
        axes = tuple(sorted(1 - a for a in attrs["axes"]))
        return sum_(operands[0], axis=axes, keepdims=node.ndim > 0)
    if node.op.name == "broadcast_to":
        return broadcast_to(operands[0], turned_shape(node.shape))
    if node.op.name == "transpose" and node.ndim == 2:
        return operands[0].T
    if set(attrs) == {"axis"} and node.ndim == 2 and node.inputs[0].ndim == 2:
        return node.op.make(tuple(operands), {"axis": 1 - attrs["axis"] % 2})
    if not {"axis", "axes", "shape", "spec"} & set(attrs) and "shape" not in node.op.needs:
        return node.op.make(tuple(operands), attrs)
    return None


def _turned_spec(node: Node) -> str:
    """(A B)ᵀ = Bᵀ Aᵀ: the order of the product is turned round as well; a vector gets a second axis of size 1."""
    letters, out = parse(node.attrs["spec"])
    one = next(c for c in LETTERS if c not in node.attrs["spec"])

    def turn(term: str, n: Node) -> str:
        return term[::-1] if n.ndim != 1 else term + one if isinstance(n.shape[0], int) else one + term

    operands = [turn(term, n) for term, n in zip(letters, node.inputs, strict=True)]
    return f"{','.join(reversed(operands))}->{turn(out, node)}"


def _upright(node: Node) -> Node:
    """A node in rows as it stands in columns."""
    return node.T if node.ndim == 2 else reshape(node, turned_shape(node.shape)) if node.ndim == 1 else node


def _laid(column: Node, row: Node) -> Node:
    """A turned operand back in rows."""
    return column.T if row.ndim == 2 else reshape(column, row.shape) if row.ndim == 1 else column
