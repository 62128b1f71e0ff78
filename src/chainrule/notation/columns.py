"""Formulas in the course's column notation: every example is a column, and so every matrix is transposed.

``Z = X W + b`` with examples in rows becomes ``Z = W X + b`` with examples in columns. Nothing is derived anew:
the same node is written with each matrix in it turned round. Images and other arrays of more than two axes stay as
they are, in the course too: (m, height, width, channels). So do whole sequences, ``Q = X Wᵀ + b``, but not what a loop
computes at a step: ``h_t = tanh(W x_t + U h_{t−1} + b)``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chainrule.graph.body import at_a_time, over_time, time_moved
from chainrule.graph.dim import Shape
from chainrule.graph.node import Node, ancestors
from chainrule.notation.text import Names
from chainrule.ops import broadcast_to, einsum, reshape
from chainrule.ops import input as input_
from chainrule.ops import sum as sum_
from chainrule.ops.contractions import EINSUM, LETTERS, parse


def turned(node: Node, names: Names) -> tuple[Node, Names]:
    """The formula of a node in column notation, and the symbols of the quantities in it.

    Matrices are transposed; a vector over units stands upright, one over examples lies.
    """
    order = ancestors(node, stop=lambda n: n in names and n is not node)
    columns: dict[Node, Node] = {}
    symbols: Names = {}
    for n in order:
        if n in names and (n is not node or not n.inputs):
            whole = over_time(n)  # what is repeated over time says itself how it is written
            columns[n] = n if whole else input_(names[n].text, turned_shape(n.shape), dtype=n.dtype)
            symbols[columns[n]] = names[n]
        elif n.inputs:
            operands = [columns[i] for i in n.inputs]
            summed = _summed_over_time(n, operands, symbols)
            columns[n] = _turned(n, operands) if summed is None else summed
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
        laid = [_laid(c, n) for c, n in zip(operands, node.inputs, strict=True)]
        made = _upright(_product(node.attrs["spec"], laid) if node.op.name == "einsum" else _made(node, laid))
    return made


def _made(node: Node, operands: Sequence[Node]) -> Node:
    return node.op.make(tuple(operands), node.attrs)


def _product(spec: str, operands: Sequence[Node]) -> Node:
    """A contraction that reads a transposed matrix as it lies: A Wᵀ with W, not (Wᵀ)ᵀ."""
    letters, out = parse(spec)
    plain, words = list(operands), list(letters)
    for k, n in enumerate(operands):
        if n.op.name == "transpose" and n.ndim == 2 and n.name is None:
            plain[k], words[k] = n.inputs[0], words[k][::-1]
    return EINSUM(*plain, spec=f"{','.join(words)}->{out}")


def _summed_over_time(node: Node, operands: Sequence[Node], symbols: Names) -> Node | None:
    """Σₜ dzₜ xₜᵀ for Σₜ xₜᵀ dzₜ: a product of two named sequences at each step, turned, and added up."""
    if node.op.name != "einsum" or node.ndim != 2 or len(operands) != 2:
        return None
    words, out = parse(node.attrs["spec"])
    stacked = [over_time(at_a_time(n)) for n in node.inputs]
    times = {w[time_moved(n)] for w, n, s in zip(words, node.inputs, stacked, strict=True) if s}
    time = next(iter(times), "")
    if len(times) != 1 or time in out or any(time not in w or len(w) != 3 for w in words):
        return None
    parts: list[Node] = []
    for operand in operands:
        source = at_a_time(operand)
        if source not in symbols:
            return None
        first, last = (source.shape[0], source.shape[1]) if over_time(source) else source.shape[1::-1]
        part = Node(source.op, source.inputs, source.attrs, (first, source.shape[2], last), source.dtype)
        symbols[part] = symbols[source]
        parts.append(part)
    turned_words = [time + w.replace(time, "")[::-1] for w in words]
    return EINSUM(*reversed(parts), spec=f"{','.join(reversed(turned_words))}->{out[::-1]}")


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
        return _upright(operands[0])
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
    if node.ndim == 2 and node.name is None and node.op.name == "transpose":
        return node.inputs[0]
    if node.ndim == 2 and node.name is None and node.op.name == "einsum":  # (A B)ᵀ = Bᵀ Aᵀ
        letters, out = parse(node.attrs["spec"])
        return EINSUM(*node.inputs, spec=f"{','.join(letters)}->{out[::-1]}")
    return node.T if node.ndim == 2 else reshape(node, turned_shape(node.shape)) if node.ndim == 1 else node


def _laid(column: Node, row: Node) -> Node:
    """A turned operand back in rows."""
    return _upright(column) if row.ndim == 2 else reshape(column, row.shape) if row.ndim == 1 else column
