"""A trace: forward and backward of one batch, node by node, with three derivatives on every edge.

Forward, every node gets its value from its operands. Backward, every edge carries an upstream derivative down
to an operand: ``downstream = upstream × local``. For an elementwise op the local derivative is a number for every
element; for a contraction it would be a large matrix, and the product that is used instead of it is named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from textwrap import indent, wrap
from typing import Any

import numpy as np

from chainrule.calculus import Edge, pull, push, reverse
from chainrule.engine import interpret
from chainrule.engine.draws import Key
from chainrule.engine.program import FIRST
from chainrule.errors import GraphError, near
from chainrule.explain.numbers import WIDE, brief, fitted, number, plain
from chainrule.explain.one_row import one_row
from chainrule.graph.body import has_body
from chainrule.graph.graph import Graph
from chainrule.graph.node import Node
from chainrule.graph.op import Elementwise, is_float
from chainrule.notation import Names, Picture, Symbol, repeats, svg, unique_names, write
from chainrule.ops import input as input_
from chainrule.rewrite import rewrite, unrolled
from chainrule.train import Run
from chainrule.train.labels import counted_steps, padding_aside
from chainrule.train.readings import READINGS
from chainrule.train.run import inputs_of
from chainrule.train.step import StepGraph

Array = np.ndarray[Any, Any]
MOST_ROWS = 80
"""A table of more nodes shows only the quantities that have a name; ``open`` shows the rest of a layer."""


@dataclass(frozen=True, eq=False)
class Moment:
    """A node in the forward pass, and what has come back to it in the backward pass.

    Attributes:
        node: the node itself.
        symbol: what it is called in the trace: its name, or n1, n2 … in the order of computation.
        formula: how it comes from its operands.
        gate: what it does to the derivative that flows back through it.
        value: its numbers.
        gradient: the derivative of the output by it, of its shape; None where nothing flows back.
        parts: the downstream derivatives that were added up to ``gradient``: one for each use of the node.
    """

    node: Node
    symbol: str
    formula: str
    gate: str
    value: Array
    gradient: Array | None
    parts: tuple[Array, ...] = ()

    def __str__(self) -> str:
        made = f" = {self.formula}" if self.node.inputs else ""
        lines = [f"{self.symbol}{made} = {brief(self.value)}   {self.gate}"]
        if self.gradient is not None and len(self.parts) > 1:
            lines.append(f"  used {len(self.parts)} times, copy adds: {summed(self.parts)} = {brief(self.gradient)}")
        elif self.gradient is not None:
            lines.append(f"  gradient {brief(self.gradient)}")
        return "\n".join(lines)

    __repr__ = __str__


@dataclass(frozen=True, eq=False)
class Passage:
    """What flows back over one edge, from a node to one of its operands.

    Attributes:
        node, operand: the two ends, and ``result``, ``by`` what they are called.
        upstream: the derivative of the output by the node.
        local: the local derivative of an elementwise op, in the shape of the node; None for a contraction.
        downstream: what this edge adds to the derivative by the operand.
        rule: the local derivative as a formula, or the product that is used instead of a matrix.
        numbers: the same with numbers plugged in, for the first element; "" where there is no local derivative.
        jacobian: the structure and the size of the Jacobian of this edge.
        error: |downstream − upstream × local|, relative; for a contraction checked along a random direction v:
            ⟨upstream, J v⟩ = ⟨downstream, v⟩. NaN where one of the numbers is not finite; in the trace of a row it is
            that of the whole batch.
    """

    node: Node
    operand: Node
    result: str
    by: str
    upstream: Array
    local: Array | None
    downstream: Array
    rule: str
    numbers: str
    jacobian: str
    error: float

    def __str__(self) -> str:
        lines = [f"{self.result} ← {self.by}   {self.node.op.gate}"]
        if self.local is None:
            lines.append(
                f"  downstream = {self.rule} = {brief(self.downstream)}, with upstream u = {brief(self.upstream)}"
            )
            lines.append(f"  that is used {self.jacobian}")
        else:
            lines.append(f"  local {self.derivative}")
            lines.append(f"  downstream = {'Σ ' if self.adds else ''}upstream × local = {product(self)}")
        return "\n".join(lines)

    __repr__ = __str__

    @property
    def adds(self) -> bool:
        """Whether the products are added up, for an operand that was repeated, as a bias over the rows."""
        return self.local is not None and self.local.size != self.downstream.size

    @property
    def derivative(self) -> str:
        """``∂A1/∂Z1 = 1 − A1² = 1 − 0.46² = 0.79 at [0, 0]``; the product where there is no local derivative."""
        if self.local is None:
            return f"{self.rule}   {self.jacobian}"
        plugged = "" if self.numbers == self.rule else f" = {self.numbers}"
        place = f" at {[0] * self.local.ndim}" if plugged and self.local.size > 1 else ""
        return f"∂{self.result}/∂{self.by} = {self.rule}{plugged}{place}"


@dataclass(frozen=True, eq=False)
class Return:
    """A node in the backward pass: what has come back to it, and what it hands on to its operands.

    Attributes:
        moment: the node, with its value and its gradient.
        edges: the way to each of its operands; none for a leaf.
        of: what the derivative is of.
    """

    moment: Moment
    edges: tuple[Passage, ...]
    of: str

    def __str__(self) -> str:
        here, flows = self.moment, brief(self.moment.gradient)
        made = f"copy adds {summed(here.parts)} = {flows}" if len(here.parts) > 1 else flows
        return "\n".join([f"∂{self.of}/∂{here.symbol} = {made}", *(indent(str(e), "  ") for e in self.edges)])

    __repr__ = __str__


def trace_run(
    run: Run, X: Any, Y: Any = None, *, as_written: bool = True, unroll: bool = False, objective: str | None = None
) -> Trace:
    """The trace of one training step of a run: one example and its label, or a batch of them.

    Args:
        run: the run, whose parameters are used.
        X: an example, or several in rows.
        Y: its label, or theirs; None where the cost compares with none.
        as_written, unroll: as in :func:`trace`.
        objective: the name of the cost, where several take turns; the first by default.
    """
    step, inputs = step_of(run, objective), run.model.inputs
    if (Y is not None and np.ndim(Y) == 0) or (len(inputs) == 1 and np.ndim(X) == inputs[0].ndim - 1):
        X = {k: np.asarray(v)[None] for k, v in X.items()} if isinstance(X, Mapping) else np.asarray(X)[None]
        Y = None if Y is None else np.asarray(Y)[None]
    feeds: dict[Node, Any] = dict(zip(inputs, inputs_of(run.model, X), strict=True)) | run.values
    rows = len(feeds[inputs[0]])
    if step.labels is not None:
        counted = counted_steps(run.model, [feeds[n] for n in inputs])
        feeds[step.labels] = run.labels.encode(padding_aside(Y, counted), run.model.output)
    if step.weights is not None:
        labels = np.zeros(rows) if step.labels is None else feeds[step.labels]
        feeds[step.weights] = np.ones(labels.shape[: step.weights.ndim])
    leaves = [n for n in (*inputs, *step.parameters) if is_float(n.dtype)]
    dtype, seed = run.settings.get("dtype"), run.settings.get("seed", 0)
    return trace(step.written_cost, feeds, wrt=leaves, as_written=as_written, unroll=unroll, dtype=dtype, seed=seed)


def step_of(run: Run, objective: str | None) -> StepGraph:
    """The step of an objective by its name, the first one by default."""
    names = [step.loss.name for step in run.steps]
    if objective is None:
        return run.step
    if objective not in names:
        raise GraphError("the run has no such objective", given=repr(objective), expected=", ".join(names))
    return run.steps[names.index(objective)]


def trace(
    output: Node,
    feeds: Mapping[Any, Any],
    *,
    wrt: Sequence[Node] | None = None,
    as_written: bool = True,
    unroll: bool = False,
    dtype: Any = None,
    seed: int = 0,
    step: int = 0,
) -> Trace:
    """Forward and backward of ``output``, node by node, with every number kept.

    Args:
        output: a single number, such as a cost.
        feeds: numbers for inputs and parameters, by node or by name.
        wrt: the leaves that the derivative is carried back to; all that hold floats by default.
        as_written: trace the formula as it stands; False traces its stable and simple form, which is what
            :func:`chainrule.compile` and training run.
        unroll: show what is repeated over time step by step, h₁, h₂ … instead of the loop as one node.
        dtype: the working precision; that of the numbers fed by default.
        seed, step: choose the numbers of draws.

    Errors: missing numbers, an output that is not a single number.

    >>> import chainrule as cr
    >>> x, y = cr.input("x", ()), cr.input("y", ())
    >>> found = cr.trace((x * y).named("f"), {x: 3.0, y: -2.0})
    >>> print(found.edges[0])
    f ← x   multiply: swaps
      local ∂f/∂x = y = −2
      downstream = upstream × local = 1 × −2 = −2
    """
    if not as_written:
        (output,) = rewrite([output]).outputs
    if unroll:
        (output,) = unrolled([output])
    return Trace(output, feeds, wrt, dtype, (seed % 2**32, step))


class Trace:
    """Every number of one forward and one backward pass; made by :func:`trace`.

    Attributes:
        output: the node that was traced.
        nodes: every node in the order of computation, a :class:`Moment` each.
        edges: every edge in the order of the backward pass, a :class:`Passage` each.

    With ``row`` they are those of one example among the others of its batch: its own values and derivatives, and what
    it adds to the derivatives by parameters. What belongs to no example alone, as the cost, is the whole batch's.
    """

    def __init__(
        self,
        output: Node,
        feeds: Mapping[Any, Any],
        wrt: Sequence[Node] | None,
        dtype: Any,
        key: Key = FIRST,
        row: int | None = None,
    ) -> None:
        self.output = output
        graph = Graph(output)
        leaves = [n for n in graph.leaves() if is_float(n.dtype)] if wrt is None else list(wrt)
        back = reverse(output, leaves)
        found = [n for e in back.edges for n in (e.upstream, e.local, e.downstream) if n is not None]
        values = interpret([*graph, *back.adjoints.values(), *found], feeds, dtype, key=key)
        self._values: Mapping[Node, Array] = {n: np.asarray(v) for n, v in values.items()}
        self._names = _names(graph)
        errors = _errors(back.edges, self._values)
        self._one_row = None if row is None else one_row(row, graph, back.edges, self._values, dtype)
        if self._one_row is not None:
            self._values = self._one_row.values
        self.edges = [self._passage(e, error) for e, error in zip(back.edges, errors, strict=True)]
        arriving: dict[Node, list[Array]] = {}
        for edge in self.edges:
            arriving.setdefault(edge.operand, []).append(edge.downstream)
        shown = [n for n in graph if n in self._names]
        self.nodes = [self._moment(n, back.adjoints.get(n), arriving.get(n, ())) for n in shown]
        self.rewind()

    def _moment(self, node: Node, adjoint: Node | None, parts: Sequence[Array]) -> Moment:
        (formula,), _ = write([node], names=self._names)
        formula = repeats(node, self._names) if has_body(node) else formula
        gradient = None if adjoint is None else self._values[adjoint]
        if self._one_row is not None and node in self._one_row.parts:
            parts = self._one_row.parts[node]
            gradient = np.asarray(sum(parts))
        return Moment(node, self._names[node].text, formula, node.op.gate, self._values[node], gradient, tuple(parts))

    def _passage(self, edge: Edge, error: float) -> Passage:
        node, operand = edge.node, edge.node.inputs[edge.position]
        value, symbol = self._values, self._names
        local = None if edge.local is None else np.broadcast_to(value[edge.local], value[node].shape)
        rule, numbers = _rule(edge, symbol, value)
        size = f"{value[node].size:,} × {value[operand].size:,}"
        upstream, downstream = value[edge.upstream], value[edge.downstream]
        if self._one_row is not None and edge in self._one_row.flows:
            upstream, downstream = self._one_row.flows[edge]
        return Passage(
            node=node,
            operand=operand,
            result=symbol[node].text,
            by=symbol[operand].text,
            upstream=upstream,
            local=local,
            downstream=downstream,
            rule=rule,
            numbers=numbers,
            jacobian=f"{node.op.structure}, {size}" if local is not None else f"in place of a Jacobian of {size}",
            error=error,
        )

    # --- looking ------------------------------------------------------------------------------------------

    @property
    def largest_error(self) -> float:
        """The largest error of ``downstream = upstream × local`` over all edges whose numbers are finite."""
        return max((e.error for e in self.edges if np.isfinite(e.error)), default=0.0)

    def __getitem__(self, key: Node | str) -> Moment:
        """A node's moment, by the node or by what it is called."""
        found = [m for m in self.nodes if m.node is key or m.symbol == key]
        if not found:
            known = [m.symbol for m in self.nodes]
            raise GraphError(
                "the trace has no such node",
                given=repr(key),
                expected=", ".join(known[:20]) + (" …" if len(known) > 20 else ""),
                hint=near(key, known) if isinstance(key, str) else "is it part of what was traced?",
            )
        return found[0]

    def between(self, result: Node | str, operand: Node | str) -> list[Passage]:
        """The edges from a node back to one of its operands: more than one where it is used twice."""
        up, down = self[result].node, self[operand].node
        found = [e for e in self.edges if e.node is up and e.operand is down]
        if not found:
            raise GraphError(
                "nothing flows back over such an edge",
                given=f"{self[result].symbol} ← {self[operand].symbol}",
                expected=", ".join(f"{e.result} ← {e.by}" for e in self.edges if e.node is up) or "no edge",
            )
        return found

    def step(self) -> Moment | Return | None:
        """The next thing that happens: one node forward until the output is reached, then one node back; then None."""
        return next(self._steps, None)

    def rewind(self) -> None:
        """Let :meth:`step` begin anew."""
        self._steps = iter(self)

    def __iter__(self) -> Iterator[Moment | Return]:
        yield from self.nodes
        of = self[self.output].symbol
        for moment in reversed(self.nodes):
            if moment.gradient is not None:
                yield Return(moment, tuple(self._edges_of.get(moment.node, ())), of)

    def __str__(self) -> str:
        return self.table()

    __repr__ = __str__

    def table(self, open: str | None = None) -> str:
        """All of it as text. A large graph shows its named quantities; ``open`` names a layer to show in full.

        Args:
            open: the number or the name of a layer, as in ``Z2`` or ``A_encoder``; "" shows everything.
        """
        shown = {m.node for m in self.nodes}
        if open is None and len(self.nodes) > MOST_ROWS:
            shown = {m.node for m in self.nodes if m.node.name}
        elif open:
            shown = self._layer(open)
        return "\n".join([*self._forward(shown), "", *self._backward(shown), *self._of_whom(shown)])

    def _of_whom(self, shown: set[Node]) -> list[str]:
        """Which numbers are the row's own, where a row is shown."""
        if self._one_row is None:
            return []
        names, row = self._names, self._one_row
        whole = [m.symbol for m in self.nodes if m.node in row.whole & shown]
        whole += [f"{names[e.node].text} ← {names[e.node.inputs[e.position]].text}" for e in row.aside]
        lines = ["  by a parameter it is what this row adds to the derivative; all rows make up that of the batch"]
        if whole:
            text = f"of the whole batch, for it belongs to no row: {', '.join(whole)}"
            lines += wrap(text, WIDE, initial_indent="  ", subsequent_indent="    ")
        return lines

    def _layer(self, name: str) -> set[Node]:
        layers = {m.node: self._names[m.node].layer for m in self.nodes}
        known = sorted(set(layers.values()) - {""})
        scopes = {n.scope for n, layer in layers.items() if layer == name}
        if not scopes:
            raise GraphError(
                "there is no such layer", given=repr(name), expected=", ".join(known) or "none", hint=near(name, known)
            )
        return {n for n in layers if n.scope in scopes}

    def _forward(self, shown: set[Node]) -> list[str]:
        moments = [m for m in self.nodes if m.node in shown]
        rows = [[f"  {m.symbol}", f"= {m.formula}" if m.node.inputs else "", "", m.gate] for m in moments]
        tables = (
            [("forward", "", "value", "gate")]
            + [(*row[:2], brief(m.value, most), row[3]) for row, m in zip(rows, moments, strict=True)]
            for most in (3, 2)
        )
        hidden = len(self.nodes) - len(moments)
        note = [f"  and {hidden:,} more nodes; open= shows those of a layer"] if hidden else []
        return [*fitted(tables), *note]

    def _backward(self, shown: set[Node]) -> list[str]:
        edges = [e for m in self.nodes if m.node in shown for e in self._edges_of.get(m.node, ())]
        contracted = any(e.local is None for e in edges)
        u = "; u is the upstream derivative" if contracted else ""
        head, *rest = self._checked
        return [*fitted(self._returns(shown, write) for write in (brief, few)), f"  {head}{u}", *rest]

    def _returns(self, shown: set[Node], write: Callable[[Array], str]) -> list[tuple[str, ...]]:
        """The rows of the backward table, with numbers written at more or less length."""
        rows: list[tuple[str, ...]] = [("backward", "upstream", "× local", "= downstream", "local derivative")]
        for m in reversed(self.nodes):
            if m.node not in shown:
                continue
            if len(m.parts) > 1 and m.gradient is not None:
                added = f"copy adds {len(m.parts)} derivatives"
                rows.append((f"  {m.symbol}", "", "", f"Σ {write(m.gradient)}", added))
            for e in self._edges_of.get(m.node, ()):
                local = "" if e.local is None else write(e.local)
                added = "Σ " if e.adds else ""
                rows.append(
                    (f"  {e.result} ← {e.by}", write(e.upstream), local, added + write(e.downstream), e.derivative)
                )
        return rows

    @property
    def _checked(self) -> list[str]:
        count, finite = len(self.edges), sum(np.isfinite(e.error) for e in self.edges)
        of, to = f"all {count:,}" if finite == count else f"{finite:,} of {count:,}", f"{self.largest_error:.0e}"
        rest = [] if finite == count else ["  the other edges have NaN or infinity: 0 × inf and inf − inf are NaN"]
        return [f"downstream = upstream × local on {of} edges" + (f", to {to}" if finite else ""), *rest]

    @cached_property
    def _edges_of(self) -> dict[Node, list[Passage]]:
        out: dict[Node, list[Passage]] = {}
        for e in self.edges:
            out.setdefault(e.node, []).append(e)
        return out

    def data(self) -> dict[str, Any]:
        """Everything as plain data, ready for JSON: lists, texts, numbers; ``"NaN"`` and ``"Infinity"`` are words."""
        return {
            "nodes": [
                {
                    "name": m.symbol,
                    "op": m.node.op.name,
                    "formula": m.formula,
                    "gate": m.gate,
                    "shape": list(m.value.shape),
                    "value": plain(m.value),
                    "gradient": plain(m.gradient),
                }
                for m in self.nodes
            ],
            "edges": [
                {
                    "from": e.result,
                    "to": e.by,
                    "upstream": plain(e.upstream),
                    "local": plain(e.local),
                    "downstream": plain(e.downstream),
                    "rule": e.rule,
                    "jacobian": e.jacobian,
                }
                for e in self.edges
            ],
        }

    def svg(self, open: str | None = None) -> Picture:
        """The graph from left to right: on every edge the value above and the derivative that flows back below.

        Args:
            open: in a large graph, which is folded, the number or the name of a layer to show node by node.
        """
        back: dict[tuple[Node, Node], Array] = {}
        for e in self.edges:
            key = (e.operand, e.node)
            back[key] = back[key] + e.downstream if key in back else e.downstream

        def note(operand: Node, users: Sequence[Node]) -> tuple[str, str]:
            parts = [back[operand, user] for user in users if (operand, user) in back]
            flows = sum(parts[1:], parts[0]) if parts else None if users else gradients.get(operand)
            return few(self._values[operand]), "" if flows is None else f"∂ {few(flows)}"

        gradients = {m.node: m.gradient for m in self.nodes}
        return svg(self.output, names=self._names, notes=note, opened=self._layer(open) if open else ())

    def _repr_svg_(self) -> str:
        return str(self.svg())


READINGS["trace"] = trace_run


# --- how it is found ------------------------------------------------------------------------------------


def _names(graph: Graph) -> Names:
    """A symbol for every node: its name, or n1, n2 … in the order of computation; numbers stand for themselves."""
    names = unique_names(graph)
    taken = {s.text for s in names.values()}
    numbers = (Symbol(f"n{k}") for k in range(1, len(graph) + len(taken) + 1))
    free = (s for s in numbers if s.text not in taken)
    for node in graph:
        if node not in names and node.op.name not in ("constant", "size"):
            names[node] = next(free)
    if graph.outputs[0].name is None and graph.outputs[0].inputs and "J" not in taken and graph.outputs[0].shape == ():
        names[graph.outputs[0]] = Symbol("J")
    return names


def _stand_ins(node: Node, names: Names) -> list[Node]:
    """The operands as leaves of their names, so that a rule can be written without what stands behind them."""
    made: dict[Node, Node] = {}
    for n in node.inputs:
        made.setdefault(n, input_(names[n].text, n.shape, dtype=n.dtype) if n in names else n)
    return [made[n] for n in node.inputs]


def _rule(edge: Edge, names: Names, values: Mapping[Node, Array]) -> tuple[str, str]:
    """The local derivative, or the product that is used instead, in the names of the trace; and in its numbers."""
    node, operands = edge.node, _stand_ins(edge.node, names)
    calculus = node.op.calculus
    if not isinstance(calculus, Elementwise):
        u = input_("u", node.shape, dtype=node.dtype)
        here = node.rebuilt(tuple(operands))
        _, downstream = pull(u, here, edge.position)
        return _written(downstream, {here: names[node]}), ""
    y = input_(names[node].text, node.shape, dtype=node.dtype)
    partial = calculus.partials[edge.position]
    assert partial is not None
    local = partial(y, *operands, **node.attrs)
    assert local is not None
    assert edge.local is not None
    result = number(_first(values[edge.local]))
    plugged = _plugged_in(node, partial, values)
    return _written(local, {}), result if plugged in (result, f"({result})") else f"{plugged} = {result}"


def _plugged_in(node: Node, partial: Callable[..., Node | None], values: Mapping[Node, Array]) -> str:
    """A local derivative with the numbers of the first element in it."""
    operands = dict.fromkeys((node, *node.inputs))
    plain = {n: n for n in operands if n.op.name == "constant" and not n.shape}  # so that x^(2 − 1) is x
    leaves = {n: input_(f"#{k}", (), dtype=n.dtype) for k, n in enumerate(operands) if n not in plain}
    stand_for = plain | leaves
    local = partial(stand_for[node], *(stand_for[n] for n in node.inputs), **node.attrs)
    assert local is not None
    return _written(local, {leaf: Symbol(_bracketed(_first(values[n]))) for n, leaf in leaves.items()})


def _written(formula: Node, names: Names) -> str:
    """A formula of leaves; with ``names`` for some of them."""
    (simple,) = rewrite([formula]).outputs
    known = unique_names(Graph(simple)) | names
    (text,), shared = write([simple], names=known)
    if simple in known and not simple.inputs:
        text = known[simple].text
    return text + "".join(f", {name} = {part}" for name, part in shared)


def _errors(edges: Sequence[Edge], values: Mapping[Node, Array]) -> list[float]:
    """How far each edge is from ``downstream = upstream × local``."""
    with np.errstate(all="ignore"):
        contracted = _contraction_errors([e for e in edges if e.local is None], values)
        return [_elementwise_error(e, e.local, values) if e.local is not None else contracted[e] for e in edges]


def _elementwise_error(edge: Edge, local: Node, values: Mapping[Node, Array]) -> float:
    downstream = values[edge.downstream]
    return _relative(_sum_to(values[edge.upstream] * values[local], downstream.shape), downstream)


def _contraction_errors(edges: Sequence[Edge], values: Mapping[Node, Array]) -> dict[Edge, float]:
    """⟨upstream, J v⟩ against ⟨downstream, v⟩ for a random direction v, with J v by forward mode."""
    rng = np.random.default_rng(0)
    fed = {n: values[n] for e in edges for n in (e.node, *e.node.inputs)}
    directions: dict[Edge, Array] = {}
    tangents: dict[Edge, list[tuple[Node, Node]]] = {}  # upstream, and how the node moves
    for edge in edges:
        operand = edge.node.inputs[edge.position]
        v = input_("v", operand.shape, dtype=operand.dtype)
        moving = [v if k == edge.position else None for k in range(len(edge.node.inputs))]
        moves = [(upstream, push(moving, node)) for node, upstream in edge.together]
        tangents[edge] = [(upstream, tangent) for upstream, tangent in moves if tangent is not None]
        fed[v] = directions[edge] = np.asarray(rng.normal(size=values[operand].shape))
    moved = interpret([t for pairs in tangents.values() for _, t in pairs], fed, np.float64) if edges else {}
    return {
        e: _relative(sum(np.sum(values[u] * moved[t]) for u, t in pairs), np.sum(values[e.downstream] * directions[e]))
        for e, pairs in tangents.items()
    }


def _sum_to(array: Array, shape: tuple[int, ...]) -> Array:
    """The sum over the axes along which an operand of this shape was repeated."""
    array = array.sum(axis=tuple(range(array.ndim - len(shape))))
    repeated = tuple(k for k, size in enumerate(shape) if size == 1 and array.shape[k] != 1)
    return np.asarray(array.sum(axis=repeated, keepdims=True))


def _relative(a: Any, b: Any) -> float:
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("nan")
    difference = np.abs(np.asarray(a, np.float64) - np.asarray(b, np.float64))
    scale = np.maximum(1.0, np.abs(np.asarray(b, np.float64)))
    return float(np.max(difference / scale, initial=0.0))


# --- how numbers are written ----------------------------------------------------------------------------


def few(array: Array) -> str:
    """At most two numbers, for the edge of a picture."""
    return brief(array, 2).partition(" (")[0]


def _bracketed(value: Any) -> str:
    text = number(value)
    return f"({text})" if text.startswith("−") else text


def _first(array: Array) -> Any:
    return array.ravel()[0] if array.size else np.nan


def summed(parts: Sequence[Array]) -> str:
    """``a + b + c``."""
    return " + ".join(brief(p) for p in parts)


def product(edge: Passage) -> str:
    """``2 × 3 = 6``."""
    assert edge.local is not None
    return f"{'Σ ' if edge.adds else ''}{brief(edge.upstream)} × {brief(edge.local)} = {brief(edge.downstream)}"
