"""Graph → graph: a loop as the steps that it takes, one after the other, for looking at each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule.errors import ShapeError
from chainrule.graph.body import EVERY, FINAL, Body, has_body, work
from chainrule.graph.node import Node, ancestors
from chainrule.ops.shaping import stack

SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def unrolled(outputs: Sequence[Node]) -> tuple[Node, ...]:
    """The outputs with every loop written out step by step; the quantities of step 3 are called h₃, c₃.

    The number of steps has to be a number. A long loop becomes a large graph: this is for tracing an example.

    >>> import chainrule as cr
    >>> x, a = cr.input("x", (3,)), cr.parameter("a", ())
    >>> h, _ = cr.loop(lambda h, x: (cr.tanh(a * h + x), ()), 0.0, x)
    >>> [n.name for n in cr.Graph(unrolled([h])) if n.op.name == "tanh"]
    ['s₁', 's₂', 's₃']
    """
    if not any(map(has_body, ancestors(*outputs))):
        return tuple(outputs)
    new: dict[Node, Node] = {}
    runs: dict[Any, tuple[dict[int, dict[Node, Node]], list[Node]]] = {}
    for n in ancestors(*outputs):
        operands = tuple(new[i] for i in n.inputs)
        if not has_body(n):
            new[n] = n.rebuilt(operands)
            continue
        body: Body = n.attrs["body"]
        if work(n) not in runs:
            runs[work(n)] = _steps(body, operands, n.attrs["length"])
        steps, final = runs[work(n)]
        kind, place = n.attrs["result"]
        if kind == FINAL:
            made = final[place]
        else:
            assert kind == EVERY
            made = stack([steps[t][body.nodes[place]] for t in sorted(steps)])
        new[n] = made.named(n.name, n.scope) if n.name else made
    return unrolled([new[n] for n in outputs])  # again where a step has a loop of its own


def _steps(body: Body, operands: Sequence[Node], length: Any) -> tuple[dict[int, dict[Node, Node]], list[Node]]:
    """The nodes of every step, by the time, and the state after the last one."""
    if not isinstance(length, int):
        raise ShapeError(
            "a loop of unknown length cannot be written out",
            given=f"{length} steps",
            expected="a number",
            hint=f"make the input with a number in place of {length}",
        )
    state = list(body.initial(operands))
    fixed = dict(zip(body.constants, body.fixed(operands), strict=True))
    out: dict[int, dict[Node, Node]] = {}
    for t in reversed(range(length)) if body.backwards else range(length):
        step = dict(zip(body.states, state, strict=True)) | fixed
        step |= {h: s[t] for h, s in zip(body.slices, body.sequences(operands), strict=True)}
        for n in body.nodes:
            if n in step:
                continue
            again = n.rebuilt(tuple(step[i] for i in n.inputs))
            step[n] = again.named(n.name + str(t + 1).translate(SUBSCRIPTS), n.scope) if n.name and n.inputs else again
        out[t] = step
        state = [step[n] for n in body.new]
    return out, state
