"""A run: a trained network with its formulas, parameters and history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.engine.program import Program
from chainrule.errors import ConfigurationError, GraphError, ShapeError, near
from chainrule.graph.dim import show
from chainrule.graph.graph import Graph
from chainrule.graph.node import Node
from chainrule.nn import Model
from chainrule.nn.summary import Summary
from chainrule.notation import Sheet
from chainrule.rewrite import rewrite
from chainrule.train.first_bad import BadNumber
from chainrule.train.formulas import joined, step_formulas
from chainrule.train.history import History
from chainrule.train.labels import Labels, check_indices, counted_steps, examples, fits, padding_aside
from chainrule.train.readings import READINGS
from chainrule.train.step import StepGraph
from chainrule.train.watch import Watched

Array = np.ndarray[Any, Any]


class Named(dict[str, Array]):
    """Arrays by name; asked for one that is not there, it tells the near ones."""

    def __missing__(self, name: str) -> Array:
        raise GraphError(
            "the network has no such parameter", given=repr(name), expected=", ".join(self), hint=near(str(name), self)
        )


@dataclass(frozen=True, eq=False)
class Origin:
    """What a training was given, so that one can go back to its steps.

    Attributes:
        X, Y: the examples and labels; the user's own, not copies.
        settings: others that say what happened in each step, as :class:`Trainer` takes them.
        folder: where its checkpoints lie, if there are any.
    """

    X: Any
    Y: Any
    settings: Mapping[str, Any]
    folder: Path | None = None

    def in_folder(self, folder: Path) -> Origin:
        """The same, with checkpoints in a folder."""
        return replace(self, folder=folder)


@dataclass(eq=False)
class Run:
    """A trained network.

    Attributes:
        steps: the training step as one graph; several where several objectives took turns.
        parameters: the learned numbers by name: ``run.parameters["W1"]``.
        history: what every epoch reported; ``run.history["loss"]`` is an array.
        labels: how labels became numbers.
        settings: how it was trained.
        watched: what was sampled while it trained, where ``watch`` was given.
        first_bad: where training ended in NaN or infinity: the first such number, and what it arose from.
        states: what the network keeps beside its parameters, by name: running means and variances.
        origin: what it was trained on, or the folder of a run that was read; :meth:`at` goes back from there.
    """

    steps: tuple[StepGraph, ...]
    parameters: Mapping[str, Array]
    history: History
    labels: Labels
    settings: Mapping[str, Any] = field(default_factory=dict)
    watched: Watched | None = None
    first_bad: BadNumber | None = None
    states: Mapping[str, Array] = field(default_factory=dict)
    origin: Origin | None = None

    def __post_init__(self) -> None:
        self.parameters = Named(self.parameters)

    def __getstate__(self) -> dict[str, Any]:
        """Without the examples that it was trained on."""
        return self.__dict__ | {"origin": None}

    @property
    def step(self) -> StepGraph:
        """The training step as one graph, the first where several objectives took turns."""
        return self.steps[0]

    @property
    def model(self) -> Model:
        """The network as a graph."""
        return self.step.model

    @property
    def values(self) -> dict[Node, Array]:
        """The learned numbers, and the network's states, by node, ready to be fed."""
        found = {node: self.parameters[name] for name, node in self.step.parameter_names.items()}
        return found | {n: self.states[name] for step in self.steps for name, n in step.state_names.items()}

    def predict(self, X: Any, *, seed: int = 0) -> Any:
        """The prediction for each example: the network's output, for classes a probability (of a logit, σ or softmax).

        Args:
            X: examples in rows; for a network with several inputs a mapping by name or a sequence.
            seed: of the random numbers, where the network draws any.

        Returns:
            An array; a list of them for a network with several outputs.
        """
        arrays = inputs_of(self.model, X, self._needed)
        rows = len(arrays[0])
        size = self._rows_at_once
        parts = [self._outputs([a[i : i + size] for a in arrays], seed + i // size) for i in range(0, rows, size)]
        found = [np.concatenate(blocks) for blocks in zip(*parts, strict=True)]
        return found[0] if len(found) == 1 else found

    def decide(self, X: Any) -> Array:
        """The decision for each example: the label of the likelier class, or the predicted number."""
        return self.labels.decide(self.predict(X))

    def evaluate(self, X: Any, Y: Any) -> dict[str, float]:
        """The cost and the metrics on other examples, every example counting the same."""
        if self.step.labels is None:
            raise ConfigurationError("this run has no labels to be measured by", hint="cr.evaluate(cost, {…})")
        from chainrule.engine import interpret

        step, program = self.step, Program(self.step.validation)
        arrays = inputs_of(self.model, X)
        counted = counted_steps(self.model, arrays)
        arrays.append(self.labels.encode(padding_aside(Y, counted), self.model.output))
        rows, size = len(arrays[-1]), self._rows_at_once
        if len(arrays[0]) != rows:
            raise ShapeError("examples and labels differ in number", given=f"{len(arrays[0])} and {rows}")
        leaves, values = set(program.leaves), self.values
        totals = np.zeros(len(program.outputs))
        for first in range(0, rows, size):
            block = [np.asarray(a[first : first + size]) for a in arrays]
            feeds: dict[Node, Any] = dict(zip((*self.model.inputs, self.step.labels), block, strict=True)) | values
            if step.weights is not None:
                feeds[step.weights] = np.ones(block[-1].shape[: step.weights.ndim])
            found = interpret(program.outputs, {k: v for k, v in feeds.items() if k in leaves}, np.float64)
            share = 1.0 if step.losses.shape == () else len(block[0]) / rows
            if counted is not None and step.losses.shape[: counted.ndim] == step.model.output.shape[: counted.ndim]:
                share = counted[first : first + size].sum() / max(counted.sum(), 1)
            totals += [share * float(found[n]) for n in program.outputs]
        return dict(zip(("loss", *step.metrics), totals.tolist(), strict=True))

    def _outputs(self, arrays: Sequence[Array], seed: int) -> list[Array]:
        """Outputs of one block, padded to a power of two so that few programs are compiled."""
        rows = len(arrays[0])
        padded = 1 << max(rows - 1, 0).bit_length()
        filled = [np.concatenate([a, np.zeros((padded - rows, *a.shape[1:]), a.dtype)]) for a in arrays]
        feeds = dict(zip(self._needed, filled, strict=True)) | self.values
        return [np.asarray(v)[:rows] for v in self._compiled(feeds, seed=seed)]

    @cached_property
    def _rows_at_once(self) -> int:
        return Graph(self.step.validation).rows_at_once()

    @cached_property
    def _needed(self) -> tuple[Node, ...]:
        """The inputs that a prediction depends on; one that says how many are wanted where it depends on none."""
        needed = Graph(self.step.predictions).inputs
        return tuple(n for n in self.model.inputs if n in needed) or self.model.inputs[:1]

    @property
    def _compiled(self) -> Any:
        from chainrule.engine.xla import compile_nodes

        dtype, known = self.settings.get("dtype"), self.step.compiled
        if dtype not in known:
            known[dtype] = compile_nodes(rewrite(self.step.predictions).outputs, dtype)
        return known[dtype]

    def formulas(self, *, columns: bool = False) -> Sheet:
        """The whole training step as a formula sheet: forward, cost, backward, update.

        Args:
            columns: the course's notation, with examples in columns, instead of rows.
        """
        sheets = [step_formulas(step, columns=columns) for step in self.steps]
        return sheets[0] if len(sheets) == 1 else joined(sheets, [step.loss.name for step in self.steps])

    def trace(
        self,
        X: Any,
        Y: Any = None,
        *,
        as_written: bool = True,
        unroll: bool = False,
        objective: str | None = None,
    ) -> Any:
        """Forward and backward of one example or batch, node by node; see :func:`chainrule.trace`."""
        return READINGS["trace"](self, X, Y, as_written=as_written, unroll=unroll, objective=objective)

    def anatomy(self, X: Any = None, Y: Any = None, **where: Any) -> Any:
        """What every unit does over one or two inputs, and how the pieces add up; see :func:`chainrule.anatomy`."""
        return READINGS["anatomy"](self, X, Y, **where)

    def boundary(self, X: Any = None, Y: Any = None, **where: Any) -> Any:
        """Where the decision changes, over two inputs; see :func:`chainrule.boundary`."""
        return READINGS["boundary"](self, X, Y, **where)

    def surface(self, X: Any, Y: Any = None, along: Any = None, **settings: Any) -> Any:
        """The cost over two parameters or directions, with optimizers' paths; see :func:`chainrule.surface`."""
        return READINGS["surface"](self, X, Y, along, **settings)

    def why(self) -> Any:
        """Why it does not train as it should: what rules find; see :mod:`chainrule.explain.diagnosis`.

        The rules look at what was watched: ``cr.fit(…, watch=True)``.
        """
        return READINGS["why"](self)

    def at(self, step: int | None = None, X: Any = None, Y: Any = None, *, sample_weight: Any = None) -> Any:
        """A step of the training gone through again, bit for bit; see :mod:`chainrule.train.replay`.

        Args:
            step: its number, from 0; by default that of the first number that was not finite.
            X, Y, sample_weight: what it was trained on, for a run that was read from its folder.
        """
        return READINGS["at"](self, step, X, Y, sample_weight)

    @property
    def rewrites(self) -> str:
        """What was rewritten for stability: the rule, the formula before and after."""
        found = [str(s) for step in self.steps for s in step.rewriting.because("stability")]
        return "\n".join(dict.fromkeys(found)) or "nothing had to be rewritten"

    def summary(self) -> Summary:
        """The layers with their outputs, parameters and multiply–adds; prints as a table."""
        return self.model.summary()

    def save(self, folder: str | Path, also: Mapping[str, Any] | None = None) -> Path:
        """Write the run to a folder; see :mod:`chainrule.train.files`."""
        from chainrule.train.files import save

        return save(self, folder, also)

    def __reduce__(self) -> Any:
        """A run is pickled as the files of its folder: what it was made of is not."""
        from chainrule.train.files import packed, unpacked

        return unpacked, (packed(self),)

    def __repr__(self) -> str:
        epochs = self.history.epochs
        last = ""
        if epochs:
            row = self.history.row(self.history.best_epoch or -1)
            last = ", " + ", ".join(f"{k} {v:.4g}" for k, v in row.items())
        if self.history.diverged is not None:
            last = f", no longer finite in epoch {self.history.diverged}"
        return f"<Run: {self.model.parameter_count} parameters, {epochs} {'epoch' if epochs == 1 else 'epochs'}{last}>"


def inputs_of(model: Model, X: Any, only: Sequence[Node] | None = None) -> list[Array]:
    """Examples as one array for each input of the model (or for those of ``only``), checked against its shape."""
    inputs = model.inputs if only is None else only
    names = [str(n.name) for n in inputs]
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
    for node, value in zip(inputs, given, strict=True):
        array = examples(value, str(node.name))
        if len(array.shape) == 1 and node.ndim == 2:
            array = array[:, None]
        if not fits(array, node):
            raise ShapeError(
                f"the examples do not fit the network's input {node.name}",
                given=show(array.shape),
                expected=show(node.shape),
            )
        check_indices(model.graph, node, array)
        arrays.append(array)
    if any(len(a) != len(arrays[0]) for a in arrays):
        raise ShapeError("the inputs have different numbers of examples", given=[len(a) for a in arrays])
    return arrays
