"""The formula sheet of a training step: forward, loss, backward and update, read off its graph."""

from __future__ import annotations

from chainrule.graph.node import Node, ancestors
from chainrule.notation import Line, Names, Section, Sheet, Symbol, line, section
from chainrule.ops.leaves import number_text
from chainrule.train.step import StepGraph


def formulas(step: StepGraph) -> Sheet:
    """Every named quantity of the step with its formula and shape.

    Nothing here is written by hand: the forward part is what the layers made, the backward part is derived
    from it, and the update is the optimizer's rule with the names of the parameters.
    """
    names = dict(step.names)
    forward = [n for n in ancestors(*step.model.outputs) if n.name and n.inputs]
    output = step.model.output
    if output not in forward and output.inputs:
        names[output] = Symbol("ŷ")
        forward.append(output)
    sections = [
        section("Forward", forward, names),
        Section("Cost", [_cost(step, names)]),
        section("Backward", _backward(step), names),
        *_update(step, names),
    ]
    return Sheet(sections)


def _cost(step: StepGraph, names: Names) -> Line:
    cost = step.written_cost
    return line(cost, {**names, cost: names[step.cost]})


def _backward(step: StepGraph) -> list[Node]:
    """Layer by layer from the last to the first: dZ, then dW, then db."""
    ranks = {
        scope: i for i, scope in enumerate(dict.fromkeys(n.scope for n in step.model.graph if n.name and n.inputs))
    }
    order = {n: i for i, n in enumerate(step.backward)}
    waiting = sorted(step.backward, key=lambda n: (-ranks.get(n.scope, -1), order[n]))
    needs = {n: {i for i in ancestors(*n.inputs) if i in order} for n in waiting}
    out: list[Node] = []
    while waiting:  # nothing is used before its line
        out.append(next(n for n in waiting if needs[n] <= set(out)))
        waiting.remove(out[-1])
    return out


def _update(step: StepGraph, names: Names) -> list[Section]:
    """The rule, written for the first parameter and each of its states; the others move likewise."""
    parameters = list(step.update.parameters)
    if not parameters:
        return []
    first = parameters[0]
    states = {s: new for s, new in step.update.states.items() if s.shape == first.shape and _belongs(s, first)}
    after = {**names}
    lines = []
    for state, new in states.items():
        lines.append(line(new, names, symbol=state, arrow=True))
        after[new] = names[state]
    counter = step.update.counter
    after[step.update.states[counter]] = names.get(counter, Symbol("t"))
    done = {*step.backward, *ancestors(*step.model.outputs)}
    new = step.update.parameters[first]
    between = [n for n in ancestors(new) if n.name and n.inputs and n not in done and n.scope in (None, first.scope)]
    lines += [line(n, after) for n in between]
    lines.append(line(new, after, symbol=first, arrow=True))
    others = ", ".join(names[p].text for p in parameters[1:])
    settings = ", ".join(
        f"{names[c].text} = {number_text(float(c.attrs['value']))}" for c in step.constants if c in names
    )
    note = "; ".join(x for x in (f"likewise {others}" if others else "", settings) if x)
    title = f"Update ({type(step.optimizer).__name__})"
    return [Section(title, lines, note)]


def _belongs(state: Node, parameter: Node) -> bool:
    return state.scope is parameter.scope and str(state.name).endswith(f"_{parameter.name}")
