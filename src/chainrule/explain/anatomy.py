"""The anatomy of a network: what each unit does to its inputs, and how the bent pieces add up to the output.

Every number is read off the network's own graph, by interpreting its nodes: for a weighted curve all units but one are
fed as zero, for a running sum all but the first few.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.engine import interpret
from chainrule.errors import ConfigurationError, near
from chainrule.explain.cut import Cut, cut
from chainrule.explain.layers import Layer, as_it_predicts, layers_of
from chainrule.explain.numbers import aligned, number
from chainrule.graph.node import Node
from chainrule.notation import Symbol, write
from chainrule.train import Run
from chainrule.train.readings import READINGS
from chainrule.train.run import inputs_of

if TYPE_CHECKING:
    from chainrule.explain.figures import Drawing

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class LayerCurves:
    """All units of a layer over the cut.

    Attributes:
        name: how the layer's output is called, A1, and ``sum_name`` its weighted sums, Z1.
        formula: the output from the sums: ReLU(Z1).
        sums: Z, (points, n).
        values: A, (points, n).
    """

    name: str
    sum_name: str
    formula: str
    sums: Array
    values: Array


@dataclass(frozen=True)
class Stage:
    """One step from the bare activation to what a unit makes of it: a formula in x, and its curve."""

    formula: str
    words: str
    curve: Array


@dataclass(frozen=True)
class Unit:
    """One unit over the cut: what comes in, its weighted sum piece by piece, and what goes out.

    Attributes:
        name: A1[0], and ``sum_name`` Z1[0].
        formula: ReLU(Z1[0]).
        cut: where it was looked at.
        incoming: what comes in, (k, points), and ``incoming_names`` how each is called.
        weights: a number for each, and ``weight_names`` how it is called.
        bias: b, and ``bias_name``; 0 and "" where there is none.
        weighted: each weight times what comes in, (k, points).
        running: the sum so far, (k + 1, points): from the bias alone to the whole sum Z.
        value: A = g(Z), (points,).
        outgoing: the weights with which the next layer takes it, by name; none for the last layer.
        stages: for a unit of the one input x: how the activation g(x) becomes g(w x + b).
    """

    name: str
    sum_name: str
    formula: str
    cut: Cut
    incoming_names: tuple[str, ...]
    incoming: Array
    weight_names: tuple[str, ...]
    weights: Array
    bias_name: str
    bias: float
    weighted: Array
    running: Array
    value: Array
    outgoing: dict[str, float]
    stages: tuple[Stage, ...] = ()

    @property
    def data(self) -> dict[str, Array]:
        """The curves as arrays by name."""
        axes = dict(zip(self.cut.labels, self.cut.axes, strict=True))
        weighted = {
            f"{w} {h}": curve for w, h, curve in zip(self.weight_names, self.incoming_names, self.weighted, strict=True)
        }
        stages = {stage.formula: stage.curve for stage in self.stages}
        return {**axes, **weighted, "running": self.running, self.sum_name: self.running[-1]} | {
            self.name: self.value,
            **stages,
        }

    def figure(self) -> Drawing:
        """The unit, step by step, as a Matplotlib figure."""
        from chainrule.explain.anatomy_figures import draw_unit

        return draw_unit(self)

    def _repr_png_(self) -> bytes:
        return self.figure()._repr_png_()

    def __str__(self) -> str:
        terms = [
            f"{number(w)} · {h}".replace("· x", "x") for w, h in zip(self.weights, self.incoming_names, strict=True)
        ]
        shown = terms if len(terms) <= 6 else [*terms[:5], f"… {len(terms) - 5} more"]
        bias = [number(self.bias)] if self.bias_name else []
        total = " + ".join([*shown, *bias]).replace("+ −", "− ")
        lines = [f"{self.name} = {self.formula}"] if self.formula != self.sum_name else []
        lines.append(f"{self.sum_name} = {total}")
        lines += [f"  {line}" for line in aligned([(stage.formula, stage.words) for stage in self.stages])]
        for name, weight in list(self.outgoing.items())[:4]:
            turned = "upside down, " if weight < 0 else ""
            lines.append(f"  goes on {turned}times {name} = {number(weight)}")
        return "\n".join(lines)

    __repr__ = __str__


@dataclass(frozen=True)
class Anatomy:
    """A network over a cut of its inputs: every unit of every layer, and the sums that lead to the output.

    Attributes:
        cut: where it was looked at.
        layers: the layers in order.
        prediction_name: ŷ, or what the network calls its output.
        prediction: what ``run.predict`` gives, (points, outputs).
        examples: the examples and labels to compare with, where they were given.
    """

    cut: Cut
    layers: tuple[LayerCurves, ...]
    prediction_name: str
    prediction: Array
    examples: tuple[Array, Array | None] | None = None
    _parts: Any = field(default=None, repr=False, compare=False)

    def __getitem__(self, name: str) -> Any:
        """A layer by the name of its output, ``"A1"``, or a unit, ``"A1[0]"``."""
        by_name = {n: i for i, layer in enumerate(self.layers) for n in (layer.sum_name, layer.name)}
        matched = re.fullmatch(r"\s*(.+?)\s*(?:\[\s*(-?\d+)\s*\])?\s*", name) if isinstance(name, str) else None
        if matched is None or matched[1] not in by_name:
            raise ConfigurationError(
                "there is no such unit or layer",
                given=repr(name),
                expected=", ".join(
                    f"{layer.name}[0]" + (f" … {layer.name}[{n - 1}]" if (n := layer.values.shape[1]) > 1 else "")
                    for layer in self.layers
                ),
                hint=near(matched[1] if matched else str(name), by_name),
            )
        index = by_name[matched[1]]
        return self.layers[index] if matched[2] is None else self.unit(index + 1, int(matched[2]))

    def unit(self, layer: int, unit: int = 0) -> Unit:
        """A unit by the number of its layer, from 1, and its own, from 0.

        Errors: a layer or a unit that the network has not.
        """
        if not 1 <= layer <= len(self.layers):
            raise ConfigurationError("there is no such layer", given=layer, expected=f"1 to {len(self.layers)}")
        curves = self.layers[layer - 1]
        units = curves.values.shape[1]
        if not 0 <= unit < units:
            raise ConfigurationError(
                f"{curves.name} has no such unit", given=unit, expected=f"0 to {units - 1}" if units > 1 else "0"
            )
        made: Unit = self._parts.unit(self, layer - 1, unit)
        return made

    @property
    def data(self) -> dict[str, Array]:
        """The curves as arrays by name: the axes, Z and A of every layer, and the prediction."""
        out = dict(zip(self.cut.labels, self.cut.axes, strict=True))
        for layer in self.layers:
            out[layer.sum_name] = layer.sums
            out[layer.name] = layer.values
        return out | {self.prediction_name: self.prediction}

    def figure(self, output: int = 0) -> Drawing:
        """The units of every layer, the weighted curves and their running sum up to an output, as a figure.

        Args:
            output: the unit of the last layer that the sums lead to, from 0.
        """
        from chainrule.explain.anatomy_figures import draw_anatomy

        return draw_anatomy(self, output)

    def _repr_png_(self) -> bytes:
        return self.figure()._repr_png_()

    def __str__(self) -> str:
        lines = [self.cut.over]
        for k, layer in enumerate(self.layers, 1):
            count = layer.values.shape[1]
            made = f" = {layer.formula}" if layer.formula != layer.name else ""
            lines.append(f"layer {k}: {layer.name}{made}, {count} unit{'s' * (count > 1)}")
        last = self.layers[-1]
        units = [self.unit(1, j) for j in range(min(self.layers[0].values.shape[1], 6))]
        lines += [str(u) for u in units]
        if len(self.layers) > 1:
            lines += [str(self.unit(len(self.layers), k)) for k in range(min(last.values.shape[1], 3))]
        return "\n".join(lines)

    __repr__ = __str__


def anatomy(
    run: Run,
    X: Any = None,
    Y: Any = None,
    *,
    vary: Any = None,
    at: Any = None,
    span: Any = None,
    names: Sequence[str] | None = None,
    points: int | None = None,
) -> Anatomy:
    """What every unit of a trained network does, over one or two of its inputs.

    A layer makes of its inputs h the sums Z = h W + b, and of these A = g(Z). Over one input x a unit is the curve
    g(w x + b): w scales the activation and, below 0, mirrors it; b shifts it by −b/w. The next layer weighs the curves
    and adds them up. Over two inputs the curves are bent planes, and their sum is a crinkled surface.

    Args:
        run: the trained network, of one input with examples in rows.
        X: examples, which say over which range; they are drawn beside the output.
        Y: their labels, to be drawn.
        vary: one or two columns of the examples, by number (from 0) or name; all where there are no more.
        at: where the others stand: a row of numbers, or a mapping from columns to numbers; the mean of X by default.
        span: from where to where, ``(low, high)`` or a pair for each column; the range of X by default.
        names: what the columns are called; x, or x[0], x[1] … by default.
        points: values on each axis.

    Returns:
        An :class:`Anatomy`: ``found["A1"]`` is a layer, ``found["A1[0]"]`` a unit, ``found.data`` the arrays,
        ``found.figure()`` a figure.

    Errors: more than two inputs and no choice among them; unknown columns, layers or units.

    >>> import numpy as np, chainrule as cr
    >>> x = np.linspace(0, 1, 20)
    >>> run = cr.fit(cr.Sequential(cr.Dense(2, "relu"), cr.Dense(1)), x, abs(x - 0.5), epochs=1)
    >>> found = anatomy(run, span=(0, 1), points=5)
    >>> found["A1"].values.shape, found["Z2[0]"].weighted.shape
    ((5, 2), (2, 5))
    """
    counts = (401, 81) if points is None else (points, points)
    where = cut(run, X, vary=vary, at=at, span=span, names=names, points=counts)
    output, prediction = as_it_predicts(run)
    parts = _Parts(run, layers_of(run, output), prediction)
    values = parts.values(where.rows)
    curves = tuple(
        LayerCurves(p.name, p.sum_name, parts.formula(p), values[p.sums], values[p.output]) for p in parts.layers
    )
    name = "ŷ" if prediction is not output else parts.layers[-1].name if output is parts.layers[-1].output else "ŷ"
    examples = None
    if X is not None:
        rows = inputs_of(run.model, X)[0].astype(float)
        examples = rows, None if Y is None else run.labels.encode(Y, run.model.output)
    return Anatomy(where, curves, name, values[prediction], examples, parts)


@dataclass(frozen=True)
class _Parts:
    """Where the numbers come from: the run and the nodes of its layers."""

    run: Run
    layers: tuple[Layer, ...]
    prediction: Node

    def values(self, rows: Array) -> dict[Node, Array]:
        """Every node of the network for these examples."""
        wanted = [n for p in self.layers for n in (p.source, p.sums, p.output)]
        found = interpret([*wanted, self.prediction], {self.run.model.inputs[0]: rows} | self.run.values, np.float64)
        return {n: np.asarray(v) for n, v in found.items()}

    def formula(self, layer: Layer, sums: Symbol | None = None) -> str:
        """The output of a layer from its sums."""
        if layer.output is layer.sums:
            return sums.text if sums else layer.sum_name
        names = dict(self.run.step.names)
        names.pop(layer.output, None)
        (formula,), _ = write([layer.output], names={**names, layer.sums: sums or Symbol(layer.sum_name)})
        return formula

    def unit(self, found: Anatomy, index: int, unit: int) -> Unit:
        """One unit, its sum taken apart."""
        layer = self.layers[index]
        values = self.values(found.cut.rows)
        incoming = values[layer.source]
        width = incoming.shape[1]
        weighted, running = [], [self._masked(layer, incoming, [], layer.sums)[:, unit]]
        for j in range(width):
            weighted.append(self._masked(layer, incoming, [j], layer.product)[:, unit])
            running.append(self._masked(layer, incoming, range(j + 1), layer.sums)[:, unit])
        weights = self.run.values[layer.weights][:, unit].astype(float)
        bias = 0.0 if layer.bias is None else float(self.run.values[layer.bias][unit])
        outgoing = {
            f"{p.weight_name}[{unit}, {k}]": float(self.run.values[p.weights][unit, k])
            for p in self.layers
            if p.source is layer.output
            for k in range(p.units)
        }
        name, sum_name = f"{layer.name}[{unit}]", f"{layer.sum_name}[{unit}]"
        return Unit(
            name,
            sum_name,
            self.formula(layer, Symbol(sum_name)) if layer.alone else f"{self.formula(layer)}[{unit}]",
            found.cut,
            self._names_of(layer.source, found, width),
            incoming.T,
            tuple(f"{layer.weight_name}[{j}, {unit}]" for j in range(width)),
            weights,
            "" if layer.bias is None else f"{layer.bias_name}[{unit}]",
            bias,
            np.array(weighted),
            np.array(running),
            values[layer.output][:, unit],
            outgoing,
            self._stages(layer, unit, found.cut) if layer.source is self.run.model.inputs[0] and width == 1 else (),
        )

    def _masked(self, layer: Layer, incoming: Array, kept: Sequence[int], node: Node) -> Array:
        """A node of the layer where all that comes in is zero but for some columns."""
        fed = np.zeros_like(incoming)
        fed[:, list(kept)] = incoming[:, list(kept)]
        feeds = {layer.source: fed, **self._numbers(layer)}
        return np.asarray(interpret([node], feeds, np.float64)[node])

    def _numbers(self, layer: Layer) -> dict[Node, Array]:
        return {n: self.run.values[n] for n in (layer.weights, layer.bias) if n is not None}

    def _names_of(self, source: Node, found: Anatomy, width: int) -> tuple[str, ...]:
        if source is self.run.model.inputs[0]:
            return found.cut.names
        name = next((p.name for p in self.layers if p.output is source), None)
        symbols = self.run.step.names
        name = name or (symbols[source].text if source in symbols else "h")
        return tuple(f"{name}[{j}]" for j in range(width))

    def _stages(self, layer: Layer, unit: int, where: Cut) -> tuple[Stage, ...]:
        """g(x), g(|w| x), g(w x), g(w x + b): the same nodes with other numbers fed."""
        numbers = self._numbers(layer)
        w = float(numbers[layer.weights][0, unit])
        b = 0.0 if layer.bias is None else float(numbers[layer.bias][unit])
        flat = {} if layer.bias is None else {layer.bias: np.zeros_like(numbers[layer.bias])}
        positive = {layer.weights: np.abs(numbers[layer.weights])}
        x = self.run.model.inputs[0]

        def curve(feeds: dict[Node, Array]) -> Array:
            fed = {**self.run.values, **numbers, **feeds}
            return np.asarray(interpret([layer.output], fed, np.float64)[layer.output])[:, unit]

        def g(inside: str) -> str:
            return self.formula(layer, Symbol(inside))

        size = number(abs(w))
        bare = np.repeat(where.rows, layer.units, axis=1)
        stages = [
            Stage(g("x"), "the bare activation", curve({layer.sums: bare})),
            Stage(g(f"{size} x"), f"|w| = {size} scales x", curve({x: where.rows, **positive, **flat})),
        ]
        if w < 0:
            mirrored = curve({x: where.rows, **flat})
            stages.append(Stage(g(f"{number(w)} x"), "w < 0 mirrors it", mirrored))
        if layer.bias is not None:
            by = f"by −b/w = {number(-b / w)}" if w else "along z, since w = 0"
            inside = f"{number(w)} x {'−' if b < 0 else '+'} {number(abs(b))}"
            stages.append(Stage(g(inside), f"b = {number(b)} shifts it {by}", curve({x: where.rows})))
        return tuple(stages)


READINGS["anatomy"] = anatomy
