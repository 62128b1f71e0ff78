"""What differs between training and prediction, and what a step of training hands on beside the parameters."""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.graph.node import Node
from chainrule.graph.op import ABSENT, NOWHERE, Case, Linear, Op, Piece, declare, function, misfit, same_kind
from chainrule.ops.elementwise import broadcast_shape
from chainrule.ops.leaves import constant
from chainrule.ops.shaping import broadcast_to, sum_to


def _other_phase(g: Node, node: Node, k: int) -> Node:
    """Outside of training it is the second operand that counts."""
    operand = node.inputs[k]
    return sum_to(g, operand.shape) if k == 1 else broadcast_to(constant(0.0), operand.shape)


by_phase = declare(
    Op(
        name="by_phase",
        arity=2,
        doc="y = a while it trains, b otherwise: a dropout's mask, the statistics of a batch",
        shape=broadcast_shape("by_phase"),
        dtype=lambda inputs, attrs: inputs[1].dtype,
        forward=lambda xp, a, b: xp.broadcast_to(b, xp.broadcast_shapes(a.shape, b.shape)),
        calculus=Linear(_other_phase, joint=True),
        write=function("training or prediction", r"\operatorname{training\ or\ prediction}"),
        gate="switch: routes",
        structure="diagonal",
        facts=ABSENT,
        not_differentiable=NOWHERE,
        reference=lambda a, b: a * 0 + b,
        cases=(Case(((2, 3), (2, 3))), Case(((2, 3), (3,)))),
        extremes=ABSENT,
        prepare=same_kind,
    )
)


def _carry_prepare(inputs: Sequence[Node]) -> tuple[Node, ...]:
    if len(inputs) == 3 and inputs[2].shape != inputs[1].shape:
        raise misfit("carry", inputs[1:], expected="the new state in the shape of the old")
    return tuple(inputs)


def _write_carry(node: Node, args: Sequence[Piece], latex: bool) -> Piece:
    value, state, new = (a.text for a in args)
    if latex:
        return Piece(f"{value} \\text{{ with }} {state} \\leftarrow {new}", 1)
    return Piece(f"{value} with {state} ← {new}", 1)


carry = declare(
    Op(
        name="carry",
        arity=3,
        doc="y = x, while a step of training hands ``new`` on as the next ``state``",
        shape=lambda inputs, attrs: inputs[0].shape,
        dtype=lambda inputs, attrs: inputs[0].dtype,
        forward=lambda xp, x, state, new: x,
        calculus=Linear(lambda g, node, k: g, positions=(0,)),
        write=_write_carry,
        gate="pass",
        structure="identity",
        facts=ABSENT,
        not_differentiable=NOWHERE,
        reference=lambda x, state, new: x,
        cases=(Case(((2, 3), (3,), (3,))),),
        extremes=ABSENT,
        prepare=_carry_prepare,
    )
)
