"""The first bad number: where in a training that ended in NaN or infinity the first of them arose, and from what.

The epoch that went wrong is gone through again, step by step, from where it began; the step that spoils a number is
then interpreted node by node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.engine import interpret
from chainrule.engine.draws import Key
from chainrule.graph.dim import show
from chainrule.graph.node import Node, ancestors
from chainrule.notation import write
from chainrule.train.step import StepGraph

Array = np.ndarray[Any, Any]
HUGE = 1e12
"""Numbers larger than this come from steps that were too long, or from inputs that were not scaled."""


@dataclass(frozen=True)
class BadNumber:
    """The first number of a training that was not finite.

    Attributes:
        epoch, batch: where it arose, from 1; batch None: in the validation after the epoch.
        quantity: its formula, with a name where it has one.
        value: inf, -inf or nan, and where in the array.
        operands: what it was made from, with the numbers there.
        growth: how a parameter had grown, where it had.
        advice: what would avoid it.
    """

    epoch: int
    batch: int | None
    quantity: str
    value: str
    operands: tuple[tuple[str, str], ...]
    growth: str
    advice: str

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> BadNumber:
        """The reverse of :func:`dataclasses.asdict`."""
        return cls(**{**data, "operands": tuple(map(tuple, data["operands"]))})

    def __str__(self) -> str:
        place = "in the validation" if self.batch is None else f"in batch {self.batch}"
        lines = [
            f"the first number that was not finite arose {place} of epoch {self.epoch}:",
            f"  {self.quantity} = {self.value}",
            *(["  where " + ", ".join(f"{text} = {value}" for text, value in self.operands)] if self.operands else []),
            *([f"  {self.growth}"] if self.growth else []),
            f"  {self.advice}",
        ]
        return "\n".join(lines)


def first_bad(
    step: StepGraph,
    epoch: int,
    batch: int | None,
    feeds: Mapping[Node, Array],
    initial: Mapping[Node, Array],
    dtype: Any,
    key: Key,
) -> BadNumber | None:
    """Interpret one step and find the first number that is not finite; None where NumPy finds none.

    Args:
        step: the step.
        epoch, batch: which one it was.
        feeds: the numbers of all its leaves.
        initial: those with which the training began.
        dtype: the precision in which it ran.
        key: the seed and the step that draws were filled from.
    """
    outputs = step.validation if batch is None else _everything(step)
    values = interpret(outputs, feeds, dtype, key=key, draws=step.draws)
    source = _source(outputs, values)
    if source is None:
        return None
    value = np.asarray(values[source])
    index = tuple(int(i) for i in np.argwhere(~np.isfinite(value))[0])
    symbol = step.names.get(source)
    formula = write([source], names=step.names)[0][0]
    grown = _growth(step, feeds, initial)
    return BadNumber(
        epoch,
        batch,
        f"{symbol.text} = {formula}" if symbol and source.inputs else symbol.text if symbol else formula,
        _number(value[index]) + (f" at {list(index)} of {show(value.shape)}" if index else ""),
        tuple((_called(n, step), _at(values[n], value, index)) for n in _made_from(source, step)),
        grown,
        _advice(step, source, [np.asarray(values[i]) for i in source.inputs], bool(grown)),
    )


def updated(step: StepGraph, feeds: Mapping[Node, Array], dtype: Any, key: Key) -> dict[Node, Array]:
    """What a step hands on, for the objective that has its turn next."""
    new = {**step.update.parameters, **step.update.states, **step.carried}
    values = interpret(new.values(), feeds, dtype, key=key, draws=step.draws)
    return {leaf: values[node] for leaf, node in new.items()}


def _everything(step: StepGraph) -> tuple[Node, ...]:
    moved = (*step.update.parameters.values(), *step.update.states.values(), *step.carried.values())
    return (step.cost, *step.gradients.values(), *moved, *step.metrics.values())


def _made_from(node: Node, step: StepGraph) -> list[Node]:
    """The operands of a node, and the named quantities in its formula."""
    named = [n for n in ancestors(node, stop=lambda n: n is not node and n in step.names) if n in step.names]
    return [n for n in dict.fromkeys((*node.inputs, *named)) if n is not node and n.op.name not in ("constant", "size")]


def _called(node: Node, step: StepGraph) -> str:
    return step.names[node].text if node in step.names else write([node], names=step.names)[0][0]


def _source(outputs: Sequence[Node], values: Mapping[Node, Any]) -> Node | None:
    """The first node that is not finite though its operands are, of those that spoil an output."""
    bad = {n for n, v in values.items() if np.asarray(v).dtype.kind == "f" and not np.isfinite(v).all()}
    guilty = {n for n in outputs if n in bad}
    order = [n for n in ancestors(*outputs) if n in bad]
    for node in reversed(order):
        if node in guilty:
            guilty |= {i for i in node.inputs if i in bad}
    return next((n for n in order if n in guilty and not any(i in bad for i in n.inputs)), None)


def _number(value: Any) -> str:
    return f"{float(value):.6g}".replace("-", "−")


def _at(operand: Any, result: Array, index: tuple[int, ...]) -> str:
    """The operand's number that belongs to an element of the result, or from where to where its numbers go."""
    operand = np.asarray(operand)
    try:
        spread = np.broadcast_to(operand, result.shape)
    except ValueError:
        return f"{_number(operand.min())} to {_number(operand.max())}, {show(operand.shape)}"
    return _number(spread[index])


def _growth(step: StepGraph, feeds: Mapping[Node, Array], initial: Mapping[Node, Array]) -> str:
    sizes = [(p, float(np.abs(initial[p]).max()), float(np.abs(feeds[p]).max())) for p in step.learned]
    worst = max(sizes, key=lambda s: s[2] / (s[1] + 1e-3), default=None)
    if worst is None or not worst[2] > 100 * max(worst[1], 1.0):
        return ""
    name = step.names[worst[0]].text
    return f"the largest number of {name} had grown from {_number(worst[1])} to {_number(worst[2])} since the start"


def _advice(step: StepGraph, node: Node, operands: Sequence[Array], grown: bool) -> str:
    """What would avoid it, by the op, and by what its operands are."""
    op, rate = node.op.name, step.optimizer.learning_rate
    largest = max((float(np.abs(a).max()) for a in operands if a.size and a.dtype.kind == "f"), default=0.0)
    smaller = "a smaller learning rate"
    if isinstance(rate, (int, float)):
        smaller += f" ({min(rate / 10, 0.1):g} instead of {rate:g})"
    if grown:
        return f"the steps were too long: try {smaller}, or clip_norm=1"
    if op in ("log", "log1p", "xlogy"):
        return (
            "the logarithm needs a number above 0: write cr.log(cr.maximum(p, 1e-7)), or let p be cr.sigmoid(z) or "
            "cr.softmax(z) in the same formula, whose logarithm is computed from z"
        )
    if op == "divide" and not np.all(operands[1]):
        return "nothing can be divided by 0: add a small number to what it is divided by, such as 1e-7"
    if op in ("exp", "expm1"):
        return (
            "the exponential of a number above 88 is too large for float32: use cr.softmax, cr.sigmoid, cr.softplus or "
            "cr.logsumexp, which do not need it, or dtype='float64'"
        )
    if largest > HUGE:
        return f"what it is made from is too large: scale the inputs (mean 0, spread 1), or try {smaller}"
    if op in ("sqrt", "power", "divide"):
        return "it has no finite value there: keep its operand away from that, as in cr.maximum(x, 1e-7)"
    return f"try {smaller}, or clip_norm=1"
