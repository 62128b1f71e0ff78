"""Arithmetic: sums, products, quotients, and the sign, size and whole part of a number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chainrule.graph.node import Node
from chainrule.graph.op import ABSENT, ADD, MULTIPLY, NEGATIVE, Constant, Op, Piece, function
from chainrule.ops.elementwise import elementwise, numeric
from chainrule.ops.leaves import constant, is_size


def write_add(node: Node, args: Sequence[Piece], latex: bool) -> Piece:
    """a + b, and a − b where b is negative."""
    a, b = args
    if b.strength == NEGATIVE and b.text.startswith(("−", "-")):
        return Piece(f"{a.text} {'-' if latex else '−'} {b.text[1:].lstrip()}", ADD)
    return Piece(f"{a.at_least(ADD, latex)} + {b.at_least(ADD, latex)}", ADD)


def _write_subtract(node: Node, args: Sequence[Piece], latex: bool) -> Piece:
    a, b = args
    return Piece(f"{a.at_least(ADD, latex)} {'-' if latex else '−'} {b.at_least(MULTIPLY, latex)}", ADD)


def _write_negative(node: Node, args: Sequence[Piece], latex: bool) -> Piece:
    return Piece(("-" if latex else "−") + args[0].at_least(MULTIPLY, latex), NEGATIVE, args[0].open)


def write_multiply(node: Node, args: Sequence[Piece], latex: bool) -> Piece:
    """a · b where one is a single number, a ∘ b element by element."""
    if args[0].below is not None and not args[1].open:
        return write_divide(node, (args[1], args[0].below), latex)
    scalar = any(n.shape == () for n in node.inputs)
    dot = (" \\cdot " if latex else " · ") if scalar else (" \\circ " if latex else " ∘ ")
    a, b = args
    strength = NEGATIVE if a.strength == NEGATIVE and not a.open else MULTIPLY  # −a · b is −(a · b)
    left, right = a.followed(strength, latex), b.at_least(MULTIPLY, latex)
    return Piece(left + dot + right, strength, b.open and b.strength >= MULTIPLY)


def write_divide(node: Node, args: Sequence[Piece], latex: bool) -> Piece:
    """a/b on one line, a fraction in LaTeX."""
    a, b = args
    below = b if a.text == "1" and not is_size(node.inputs[1]) else None  # 1/m stays in front of its sum
    if latex:
        return Piece(f"\\frac{{{a.text}}}{{{b.text}}}", MULTIPLY, below=below)
    return Piece(f"{a.followed(MULTIPLY, latex)}/{b.at_least(MULTIPLY + 6, latex)}", MULTIPLY, below=below)


add = elementwise(
    "add",
    "y = a + b",
    lambda xp, a, b: xp.add(a, b),
    (lambda y, a, b: constant(1.0), lambda y, a, b: constant(1.0)),
    write_add,
    lambda a, b: a + b,
    gate="add: distributes",
    prepare=numeric,
)
subtract = elementwise(
    "subtract",
    "y = a − b",
    lambda xp, a, b: xp.subtract(a, b),
    (lambda y, a, b: constant(1.0), lambda y, a, b: constant(-1.0)),
    _write_subtract,
    lambda a, b: a - b,
    gate="add: distributes",
    prepare=numeric,
)
multiply = elementwise(
    "multiply",
    "y = a · b",
    lambda xp, a, b: xp.multiply(a, b),
    (lambda y, a, b: b, lambda y, a, b: a),
    write_multiply,
    lambda a, b: a * b,
    gate="multiply: swaps",
    prepare=numeric,
)
divide = elementwise(
    "divide",
    "y = a / b",
    lambda xp, a, b: xp.true_divide(a, b),
    (lambda y, a, b: 1 / b, lambda y, a, b: -y / b),
    write_divide,
    lambda a, b: a / b,
    not_differentiable="at b = 0",
    domain=(0.5, 2.0),
    extremes=ABSENT,
    gate="divide: swaps",
)
negative = elementwise(
    "negative",
    "y = −x",
    lambda xp, x: xp.negative(x),
    lambda y, x: constant(-1.0),
    _write_negative,
    lambda x: -x,
    gate="flips the sign",
    prepare=numeric,
)


abs_ = elementwise(
    "abs",
    "y = |x|",
    lambda xp, x: xp.abs(x),
    lambda y, x: sign(x),
    lambda node, args, latex: Piece(f"\\left|{args[0].text}\\right|" if latex else f"|{args[0].text}|"),
    np.abs,
    not_differentiable="at 0; 0 is taken",
    prepare=numeric,
)
sign: Op = elementwise(
    "sign",
    "y = −1, 0 or 1, as x is negative, zero or positive",
    lambda xp, x: xp.sign(x),
    Constant("sign is constant on both sides of 0"),
    function("sign"),
    np.sign,
    not_differentiable="at 0; 0 is taken",
    prepare=numeric,
)
floor = elementwise(
    "floor",
    "y = the largest whole number ≤ x",
    lambda xp, x: xp.floor(x),
    Constant("floor is constant between whole numbers"),
    lambda node, args, latex: Piece(f"\\left\\lfloor {args[0].text} \\right\\rfloor" if latex else f"⌊{args[0].text}⌋"),
    np.floor,
    not_differentiable="at whole numbers; 0 is taken",
)
