"""How an elementwise op is declared: ``y_i = f(a_i, b_i, …)`` with one local derivative per operand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from chainrule.graph.dim import Shape, broadcast
from chainrule.graph.node import Node
from chainrule.graph.op import (
    ABSENT,
    NOWHERE,
    Case,
    Constant,
    Elementwise,
    Op,
    Writer,
    declare,
    is_float,
    misfit,
    same_kind,
)
from chainrule.ops.casting import cast

Partial = Callable[..., Node | None]
BIG = (-1e4, -30.0, -1.0, -0.0, 0.0, 1.0, 30.0, 1e4)
"""Logits at which value and derivative have to be finite in float32."""


def broadcast_shape(op_name: str) -> Callable[[tuple[Node, ...], Mapping[str, Any]], Shape]:
    """The shape rule of elementwise ops: NumPy's broadcasting."""

    def rule(inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> Shape:
        shape = broadcast(*(n.shape for n in inputs))
        if shape is None:
            raise misfit(
                op_name,
                inputs,
                expected="equal sizes, or 1, counted from the last axis",
                hint="a missing axis can be added with x[:, None] or cr.reshape",
            )
        return shape

    return rule


def first_dtype(inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> str:
    """The kind of number of the first operand."""
    return inputs[0].dtype


def same_float(inputs: Sequence[Node]) -> tuple[Node, ...]:
    """The operands as floats of one precision."""
    return tuple(n if is_float(n.dtype) else cast(n, "float") for n in same_kind(inputs))


def numeric(inputs: Sequence[Node]) -> tuple[Node, ...]:
    """The operands as numbers of one kind; booleans count as 0 and 1."""
    return tuple(cast(n, "int") if n.dtype == "bool" else n for n in same_kind(inputs))


def elementwise(
    name: str,
    doc: str,
    forward: Callable[..., Any],
    partials: Partial | tuple[Partial, ...] | Constant,
    write: Writer,
    reference: Callable[..., Any],
    *,
    facts: Any = ABSENT,
    not_differentiable: str = NOWHERE,
    domain: tuple[float, float] = (-2.0, 2.0),
    extremes: Any = BIG,
    gate: str = "scale by the slope",
    arity: int = 1,
    attrs: Mapping[str, Any] | None = None,
    dtype: Callable[..., str] = first_dtype,
    prepare: Callable[[Sequence[Node]], tuple[Node, ...]] = same_float,
) -> Op:
    """Declare ``y_i = f(a_i, …)`` with a local derivative ``(y, a, …) → node`` for each operand."""
    if isinstance(partials, Constant):
        calculus: Any = partials
        gate, structure = "blocks", "zero"
    else:
        calculus = Elementwise(partials if isinstance(partials, tuple) else (partials,))
        arity, structure = len(calculus.partials), "diagonal"
    shapes: tuple[tuple[Any, ...], ...] = (
        (((2, 3),),) if arity == 1 else (((2, 3),) * arity, ((2, 3), (3,))[:arity], ((2, 1), (4, 2, 3))[:arity])
    )
    return declare(
        Op(
            name=name,
            arity=arity,
            doc=doc,
            shape=broadcast_shape(name),
            dtype=dtype,
            forward=forward,
            calculus=calculus,
            write=write,
            gate=gate,
            structure=structure,
            facts=facts,
            not_differentiable=not_differentiable,
            reference=reference,
            cases=tuple(Case(s, attrs or {}, domain) for s in shapes if len(s) == arity),
            extremes=extremes,
            prepare=prepare,
        )
    )
