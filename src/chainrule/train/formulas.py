"""The formula sheet of a training step: forward, loss, backward and update, read off its graph."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from chainrule.errors import GraphError
from chainrule.graph.body import Body, at_a_time, has_body, over_time, time_moved, with_bodies
from chainrule.graph.dim import show
from chainrule.graph.graph import Graph
from chainrule.graph.node import Node, Scope, ancestors, describe
from chainrule.notation import Line, Names, Section, Sheet, Symbol, line
from chainrule.notation.columns import turned_shape
from chainrule.ops import input as input_
from chainrule.ops import mark, transpose
from chainrule.ops.contractions import EINSUM, parse
from chainrule.ops.leaves import number_text
from chainrule.rewrite import Rewriter, in_phase
from chainrule.train.naming import derivative_names, named_gradients, names_as_written
from chainrule.train.step import StepGraph
from chainrule.verbs import derive


def formulas(cost: Node, wrt: Sequence[Node] | None = None, *, columns: bool = False) -> Sheet:
    """The formula sheet of a cost: every named quantity forward, the cost, and the derived backward part.

    Args:
        cost: a single number.
        wrt: what to differentiate by; the cost's parameters by default, its inputs where there are none.
        columns: the course's notation, with examples in columns, instead of rows.

    >>> import chainrule as cr
    >>> x, y, w, b = cr.input("x", ("m", 2)), cr.input("y", ("m",)), cr.parameter("w", (2,)), cr.parameter("b", ())
    >>> print(cr.formulas(cr.mean((x @ w + b - y) ** 2)))
    Cost
      J  = 1/m · Σ (x w + b − y)²
    <BLANKLINE>
    Backward
      dw = 2/m · xᵀ (x w + b − y)   (2,)
      db = 2/m · Σ (x w + b − y)
    """
    (cost,) = in_phase([cost], training=True).outputs
    graph = Graph(cost)
    by = tuple(wrt or graph.parameters or graph.inputs)
    for node in by:
        if node.name is None:
            raise GraphError(
                "what is differentiated by has no name to be shown under",
                given=describe(node),
                hint='name it when it is made: h = (x @ W + b).named("h")',
            )
    if not by:
        raise GraphError("there is nothing to differentiate by", given="no parameter and no input in the formula")
    derivation = derive(cost, by, derivative_names(graph, by))
    gradients = {n: _under_its_name(g, n) for n, g in named_gradients(by, derivation).items()}
    forward = [n for n in with_bodies(graph) if n.name and n.inputs and n is not cost]
    backward = _derived(gradients.values(), {*gradients.values(), *derivation.named}, [derivation.output])
    names = names_as_written(ancestors(cost, *gradients.values()), derivation.forms, derivation.named)
    names.setdefault(cost, Symbol("J"))
    return Sheet(
        [
            Section("Forward", _lines(forward, graph, names, columns)),
            Section("Cost", [_cost_line(cost, names, columns)]),
            Section("Backward", _lines(_last_first(forward, backward), ancestors(*gradients.values()), names, columns)),
        ]
    )


def step_formulas(step: StepGraph, *, columns: bool = False) -> Sheet:
    """Every named quantity of the step with its formula and shape.

    Nothing here is written by hand: the forward part is what the layers made, the backward part is derived
    from it, and the update is the optimizer's rule with the names of the parameters.
    """
    names = dict(step.names)
    cost = step.written_cost
    whole = ancestors(*step.training.outputs, cost)
    forward = [n for n in with_bodies(whole) if n.name and n.inputs and n is not cost]
    for k, output in enumerate(step.training.outputs):
        if output not in forward and output.inputs and output is not cost:
            names[output] = Symbol("ŷ" if len(step.training.outputs) == 1 else f"ŷ{k + 1}")
            forward.append(output)
    title = step.loss.name if step.labels is None else "J"
    names[cost] = names[step.cost] = Symbol(title)
    states = {new: names[state] for state, new in step.carried.items()}
    handed_on = [line(new, names, symbol=s, arrow=True, columns=columns) for s, new in step.carried.items()]
    gradients = step.gradients.values()
    backward = _last_first(forward, _derived(gradients, set(step.derived), [step.cost]))
    sections = [
        Section("Forward", _lines(forward, whole, names, columns)),
        Section("Cost", [_cost_line(cost, names, columns)]),
        Section("Backward", _lines(backward, ancestors(*gradients), names, columns)),
        *_update(step, names | states, columns),
        Section("Handed on to the next step", handed_on),
    ]
    return Sheet([s for s in sections if s.lines])


def joined(sheets: Sequence[Sheet], titles: Sequence[str]) -> Sheet:
    """The sheets of objectives that take turns as one: what is forward for all of them once, then each in its turn."""
    out: list[Section] = []
    seen: set[str] = set()
    for sheet, title in zip(sheets, titles, strict=True):
        for s in sheet.sections:
            lines = [x for x in s.lines if x.text not in seen]
            if s.title == "Forward":
                seen |= {x.text for x in lines}
            name = s.title if s.title == "Forward" and not out else f"{s.title} of {title}"
            if lines:
                out.append(Section(name, lines, s.note, s.latex_note))
    return Sheet(out)


TIDY = (
    "fold constants",
    "negative",
    "multiply",
    "number of a mean",
    "product of sizes",
    "fraction of a size",
    "scalar out",
    "sum of a sum",
    "comparison with zero",
)
"""Rules that put signs and numbers in front of a sum, and leave the formula itself as somebody wrote it."""


NEUTRAL = ("neutral elements", "softmax of equals")
"""Rules that leave out what does nothing: x + 0, 1 · x, and the softmax of zeros."""


def _cost_line(cost: Node, names: Names, columns: bool) -> Line:
    """J as its loss says it, not in the stable form that runs, with signs and numbers in front of the sum."""
    return _tidied(cost, names, (*NEUTRAL, *TIDY), columns) or line(cost, names, columns=columns)


def _tidied(node: Node, names: Names, rules: Sequence[str], columns: bool = False) -> Line | None:
    """The line of a quantity once some rules have changed its formula; None where they find nothing to change."""
    copies: dict[Node, Node] = {}
    for n in ancestors(node, stop=lambda n: n in names and n is not node):
        if n in names and n is not node and n.inputs:  # a quantity with a name is written by it
            copies[n] = input_(str(n.name), n.shape, n.dtype)
        else:
            copies[n] = n.rebuilt(tuple(copies[i] for i in n.inputs))
    whole = copies[node].named(None) if node.inputs else node
    rewriting = Rewriter(names=rules)([whole])
    if not rewriting.log:
        return None
    symbols = {copies[n]: names[n] for n in copies if n in names and n is not node} | {node: names[node]}
    return line(rewriting.outputs[0], symbols, symbol=node, columns=columns)


def _derived(gradients: Iterable[Node], named: set[Node], forward: Sequence[Node]) -> list[Node]:
    """The named derivatives, and those within a step of what is repeated backwards in time."""
    order = ancestors(*gradients)
    known = {id(n.attrs["body"]) for n in with_bodies(ancestors(*forward)) if has_body(n)}
    loops = [n for n in order if has_body(n) and id(n.attrs["body"]) not in known]
    steps = {n for loop in loops for n in loop.attrs["body"].named}
    return [n for n in with_bodies(order) if (n in named or n in steps) and n.inputs]


def _lines(shown: Sequence[Node], nodes: Iterable[Node], names: Names, columns: bool) -> list[Line]:
    """A line for each quantity; before those of a repeated step, what its state starts from and what it reads."""
    loops = {id(n.attrs["body"]): n for n in reversed(with_bodies(nodes)) if has_body(n)}.values()
    first: dict[Node, list[Line]] = {}
    for loop in loops:
        body: Body = loop.attrs["body"]
        within = next((n for n in shown if n in body.named), None)
        if within is not None:
            first[within] = [*_starts(loop, names, columns), *_read(loop, names, columns)]
    return [
        x
        for n in shown
        for x in (*first.get(n, ()), _tidied(n, names, NEUTRAL, columns) or line(n, names, columns=columns))
    ]


def _starts(loop: Node, names: Names, columns: bool) -> list[Line]:
    """What the state starts from, where that is not zero."""
    body: Body = loop.attrs["body"]
    time = "T+1" if body.backwards else "0"
    out = []
    for h, start in zip(body.states, body.initial(loop.inputs), strict=True):
        inner = start.inputs[0] if start.op.name == "broadcast_to" else start
        if inner.op.name != "constant" or inner.name or inner.attrs["value"].any():
            shown = mark(start)
            out.append(line(shown, names | {shown: replace(names[h], time=time)}, columns=columns))
    return out


def _read(loop: Node, names: Names, columns: bool) -> list[Line]:
    """What a step reads of a sequence that has no name: its part at time t."""
    body: Body = loop.attrs["body"]
    out = []
    for h, sequence in zip(body.slices, body.sequences(loop.inputs), strict=True):
        source = at_a_time(sequence)
        if source.inputs and source not in names and not over_time(source):
            shown = mark(_examples_first(sequence))
            of_all = line(shown, names | {shown: names[h]}, columns=columns)
            text, latex = (part.split("= ", 1) for part in (of_all.text, of_all.latex))
            shape = show(turned_shape(h.shape) if columns else h.shape) if h.shape else ""
            out.append(
                Line(f"{text[0]}= ({text[1]})ₜ", f"{latex[0]}= \\left({latex[1]}\\right)_t", shape, False, of_all.notes)
            )
    return out


def _examples_first(sequence: Node) -> Node:
    """A sequence (T, m, …) as (m, T, …), as what it is made of is written."""
    if sequence.ndim < 2:
        return sequence
    if time_moved(sequence):
        return sequence.inputs[0]
    if sequence.op.name == "multiply" and sequence.inputs[0].shape == ():
        return sequence.inputs[0] * _examples_first(sequence.inputs[1])
    if sequence.op.name == "einsum":
        operands, result = parse(sequence.attrs["spec"])
        return EINSUM(*sequence.inputs, spec=",".join(operands) + f"->{result[1]}{result[0]}{result[2:]}")
    return transpose(sequence, (1, 0, *range(2, sequence.ndim)))


def _under_its_name(gradient: Node, by: Node) -> Node:
    """The gradient called dW, also where it is a quantity that has a name of its own, or a number."""
    if gradient.name == f"d{by.name}":
        return gradient
    return mark(gradient).named(f"d{by.name}", by.scope)


def _last_first(forward: Iterable[Node], backward: Sequence[Node]) -> list[Node]:
    """Layer by layer from the last to the first: dZ, then dW, then db."""
    ranks: dict[Scope | None, int] = {scope: i for i, scope in enumerate(dict.fromkeys(n.scope for n in forward))}
    order = {n: i for i, n in enumerate(backward)}
    waiting = sorted(backward, key=lambda n: (-ranks.get(n.scope, -1), order[n]))
    needs = {n: {i for i in with_bodies(ancestors(*n.inputs)) if i in order} for n in waiting}
    out: list[Node] = []
    while waiting:  # nothing is used before its line
        out.append(next(n for n in waiting if needs[n] <= set(out)))
        waiting.remove(out[-1])
    return out


def _update(step: StepGraph, names: Names, columns: bool) -> list[Section]:
    """The rule, written for the first parameter and each of its states; the others move likewise."""
    parameters = list(step.update.parameters)
    if not parameters:
        return []
    first = parameters[0]
    new = step.update.parameters[first]
    states = {s: new for s, new in step.update.states.items() if s.shape == first.shape and _belongs(s, first)}
    counter = step.update.counter
    after = {**names, **{new: names[state] for state, new in states.items()}}
    after[step.update.states[counter]] = names.get(counter, Symbol("t"))
    done = {*step.derived, *ancestors(*step.training.outputs, *step.forms.values()), *states.values(), new}
    between = [
        n
        for n in ancestors(*states.values(), new)
        if n.name and n.inputs and n not in done and n.scope in (None, first.scope)
    ]
    early = [n for n in between if not set(states.values()) & set(ancestors(n))]
    lines = [line(n, after, columns=columns) for n in early]
    lines += [line(n, names, symbol=state, arrow=True, columns=columns) for state, n in states.items()]
    lines += [line(n, after, columns=columns) for n in between if n not in early]
    lines.append(line(new, after, symbol=first, arrow=True, columns=columns))
    usual = _own_settings(step, first, names)
    settings = [(names[c], float(c.attrs["value"])) for c in step.constants if c in names]

    def note(latex: bool) -> str:
        def other(p: Node) -> str:
            own = _own_settings(step, p, names)
            with_, without, and_ = [rf"\text{{{w}}}" if latex else w for w in (" with ", " without ", " and ")]
            more = and_.join(s.written(latex) for s in own if s not in usual)
            kinds = {s.base[0] for s in own}
            less = and_.join(s.written(latex) for s in usual if s.base[0] not in kinds)
            return names[p].written(latex) + (with_ + more if more else "") + (without + less if less else "")

        likewise = r"\text{likewise } " if latex else "likewise "
        comma, semicolon = (r",\; ", r";\quad ") if latex else (", ", "; ")
        others = comma.join(map(other, parameters[1:]))
        values = comma.join(f"{s.written(latex)} = {number_text(v, latex)}" for s, v in settings)
        return semicolon.join(x for x in (likewise + others if others else "", values) if x)

    title = f"Update ({type(step.optimizer).__name__})"
    return [Section(title, lines, note(latex=False), note(latex=True))]


def _own_settings(step: StepGraph, parameter: Node, names: Names) -> list[Symbol]:
    """Learning rate and weight decay by which a parameter moves: α and λ, or some of its own."""
    needed = set(ancestors(step.update.parameters[parameter]))
    return [names[c] for c in step.constants if c in needed and str(c.name).startswith(("α", "λ"))]


def _belongs(state: Node, parameter: Node) -> bool:
    return state.scope is parameter.scope and str(state.name).endswith(f"_{parameter.name}")
