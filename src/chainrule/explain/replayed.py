"""The trace of a step that was gone through again: with the batch, the weights and the random numbers of that step."""

from __future__ import annotations

from typing import Any

from chainrule.errors import DataError
from chainrule.explain.trace import Trace, step_of
from chainrule.graph.node import Node
from chainrule.graph.op import is_float
from chainrule.rewrite import rewrite
from chainrule.train import ReplayedStep
from chainrule.train.readings import READINGS


def trace_step(
    moment: ReplayedStep, row: int | None = None, *, as_written: bool = True, objective: str | None = None
) -> Trace:
    """Forward and backward of a step, node by node; of a row alone its numbers as they were among the others."""
    run = moment.run
    if row is not None and not 0 <= row < len(moment.rows):
        raise DataError("there is no such row in the batch", given=row, expected=f"0 to {len(moment.rows) - 1}")
    step = step_of(run, objective)
    leaves = [*run.model.inputs, *(n for n in (step.labels, step.weights) if n is not None)]
    feeds: dict[Node, Any] = {n: moment.examples[str(n.name)] for n in leaves} | run.values
    feeds |= dict(zip(run.step.draws, moment.draws.values(), strict=True))
    output = step.written_cost if as_written else rewrite([step.written_cost]).outputs[0]
    wrt = [n for n in (*run.model.inputs, *step.parameters) if is_float(n.dtype)]
    return Trace(output, feeds, wrt, run.settings.get("dtype"), row=row)


READINGS["trace_step"] = trace_step
