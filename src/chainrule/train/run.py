"""A run: a trained network with its formulas, parameters and history."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.engine.program import Program
from chainrule.errors import GraphError, ShapeError
from chainrule.graph.dim import definite, show
from chainrule.graph.node import Node
from chainrule.nn import Model
from chainrule.notation import Sheet
from chainrule.rewrite import rewrite
from chainrule.train.first_bad import BadNumber
from chainrule.train.formulas import step_formulas
from chainrule.train.history import History
from chainrule.train.labels import Labels, examples, fits
from chainrule.train.step import StepGraph
from chainrule.train.watch import Watched

Array = np.ndarray[Any, Any]
LARGEST_BLOCK = 4096
"""Rows that are predicted at once."""
READINGS: dict[str, Callable[..., Any]] = {}
"""How a run is explained; filled by the room ``explain``, which stands above this one."""


@dataclass(eq=False)
class Run:
    """A trained network.

    Attributes:
        step: the training step as one graph.
        parameters: the learned numbers by name: ``run.parameters["W1"]``.
        history: what every epoch reported; ``run.history["loss"]`` is an array.
        labels: how labels became numbers.
        settings: how it was trained.
        watched: what was sampled while it trained, where ``watch`` was given.
        first_bad: where training ended in NaN or infinity: the first such number, and what it arose from.
    """

    step: StepGraph
    parameters: Mapping[str, Array]
    history: History
    labels: Labels
    settings: Mapping[str, Any] = field(default_factory=dict)
    watched: Watched | None = None
    first_bad: BadNumber | None = None

    @property
    def model(self) -> Model:
        """The network as a graph."""
        return self.step.model

    @property
    def values(self) -> dict[Node, Array]:
        """The learned numbers by node, ready to be fed."""
        return {node: self.parameters[name] for name, node in self.step.parameter_names.items()}

    def predict(self, X: Any) -> Array:
        """The prediction for each example: the network's output, for classes a probability (of a logit, σ or softmax).

        Args:
            X: examples in rows; for a network with several inputs a mapping by name or a sequence.
        """
        arrays = inputs_of(self.model, X)
        rows = len(arrays[0])
        blocks = [self._outputs([a[i : i + LARGEST_BLOCK] for a in arrays]) for i in range(0, rows, LARGEST_BLOCK)]
        return np.concatenate(blocks)

    def decide(self, X: Any) -> Array:
        """The decision for each example: the label of the likelier class, or the predicted number."""
        return self.labels.decide(self.predict(X))

    def evaluate(self, X: Any, Y: Any) -> dict[str, float]:
        """The cost and the metrics on other examples, every example counting the same."""
        outputs = {"loss": self.step.losses, **self.step.metrics}
        arrays = inputs_of(self.model, X)
        y = self.labels.encode(Y, self.model.output)
        feeds = dict(zip(self.model.inputs, arrays, strict=True)) | {self.step.labels: y} | self.values
        if self.step.weights is not None:
            feeds[self.step.weights] = np.ones(len(y))
        program = Program(rewrite(list(outputs.values())).outputs)
        from chainrule.engine import interpret

        found = interpret(program.outputs, {k: v for k, v in feeds.items() if k in program.graph.nodes}, np.float64)
        return {k: float(np.mean(found[n])) for k, n in zip(outputs, program.outputs, strict=True)}

    def _outputs(self, arrays: Sequence[Array]) -> Array:
        """Outputs of one block, padded to a power of two so that few programs are compiled."""
        rows = len(arrays[0])
        padded = 1 << max(rows - 1, 0).bit_length()
        filled = [np.concatenate([a, np.zeros((padded - rows, *a.shape[1:]), a.dtype)]) for a in arrays]
        feeds = dict(zip(self.model.inputs, filled, strict=True)) | self.values
        out: Array = np.asarray(self._compiled(feeds))[:rows]
        return out

    @property
    def _compiled(self) -> Any:
        if not hasattr(self, "_forward"):
            from chainrule.engine.xla import compile_nodes

            output = rewrite([self.step.prediction]).outputs[0]
            self._forward = compile_nodes([output], self.settings.get("dtype"), single=True)
        return self._forward

    def formulas(self, *, columns: bool = False) -> Sheet:
        """The whole training step as a formula sheet: forward, cost, backward, update.

        Args:
            columns: the course's notation, with examples in columns, instead of rows.
        """
        return step_formulas(self.step, columns=columns)

    def trace(self, X: Any, Y: Any, *, as_written: bool = True) -> Any:
        """Forward and backward of one example or batch, node by node; see :func:`chainrule.trace`."""
        return READINGS["trace"](self, X, Y, as_written=as_written)

    def why(self) -> Any:
        """Why it does not train as it should: what rules find; see :mod:`chainrule.explain.diagnosis`.

        The rules look at what was watched: ``cr.fit(…, watch=True)``.
        """
        return READINGS["why"](self)

    @property
    def rewrites(self) -> str:
        """What was rewritten for stability: the rule, the formula before and after."""
        return "\n".join(str(s) for s in self.step.rewriting.because("stability")) or "nothing had to be rewritten"

    def summary(self) -> str:
        """Parameters with their shapes and counts, a line each."""
        rows = [
            (name, show(node.shape), math.prod(definite(node.shape)))
            for name, node in self.step.parameter_names.items()
        ]
        width = max((len(name) for name, _, _ in rows), default=9)
        lines = [f"{name:<{width}}  {shape:<12} {count:>10,}" for name, shape, count in rows]
        return "\n".join([*lines, f"{'parameters':<{width + 14}} {sum(r[2] for r in rows):>10,}"])

    def save(self, folder: str | Path, also: Mapping[str, Any] | None = None) -> Path:
        """Write the run to a folder; see :mod:`chainrule.train.files`."""
        from chainrule.train.files import save

        return save(self, folder, also)

    def __repr__(self) -> str:
        epochs = self.history.epochs
        last = ""
        if epochs:
            row = self.history.row(self.history.best_epoch or -1)
            last = ", " + ", ".join(f"{k} {v:.4g}" for k, v in row.items())
        return f"<Run: {self.model.parameter_count} parameters, {epochs} epochs{last}>"


def inputs_of(model: Model, X: Any) -> list[Array]:
    """Examples as one array for each input of the model, checked against its shape."""
    names = [str(n.name) for n in model.inputs]
    if len(names) == 1:
        given = [X[names[0]] if isinstance(X, Mapping) and names[0] in X else X]
    elif isinstance(X, Mapping):
        missing = [n for n in names if n not in X]
        if missing:
            raise GraphError(
                "examples are missing for an input", given=", ".join(map(str, X)), expected=", ".join(names)
            )
        given = [X[n] for n in names]
    else:
        given = list(X)
        if len(given) != len(names):
            raise GraphError("one array of examples for every input", given=len(given), expected=", ".join(names))
    arrays = []
    for node, value in zip(model.inputs, given, strict=True):
        array = examples(value, str(node.name))
        if array.ndim == 1 and node.ndim == 2:
            array = array[:, None]
        if not fits(array, node):
            raise ShapeError(
                f"the examples do not fit the network's input {node.name}",
                given=show(array.shape),
                expected=show(node.shape),
            )
        arrays.append(array)
    if any(len(a) != len(arrays[0]) for a in arrays):
        raise ShapeError("the inputs have different numbers of examples", given=[len(a) for a in arrays])
    return arrays
