"""The derivative of a loop is a loop.

Backwards in time: the derivative by the state, δh, is carried from the last step to the first; the values that it
needs are read from the loop itself, which keeps them at every step. What a step adds to the derivative by a constant
(a weight matrix) is not added up in the loop where it is a product: then it is one product over all steps, after it.

    dz_t = … δh_t …        in the loop
    dW = Σ_t x_tᵀ dz_t     one product of all x with all dz

Source: Werbos, Backpropagation through time, 1990.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from chainrule.calculus.forward import forward
from chainrule.calculus.reverse import THROUGH_BODY, sweep, zeros_like
from chainrule.graph.body import EVERY, FINAL, Body, asked
from chainrule.graph.graph import depends_on
from chainrule.graph.node import Node, Scope, ancestors
from chainrule.graph.op import Elementwise, is_float
from chainrule.ops.contractions import LETTERS, contract, parse
from chainrule.ops.loop import hole, results_of, sibling
from chainrule.ops.reductions import sum as sum_

MOVERS = ("cast", "reshape", "transpose", "broadcast_to", "distribution", "mark")
"""Ops that only move numbers: the sum over time can be taken before them."""


def pull_loop(upstreams: Mapping[Node, Node], positions: Sequence[int]) -> dict[int, Node]:
    """What flows back to some operands of a loop, from all of its results that something comes to from above."""
    node = next(iter(upstreams))
    body: Body = node.attrs["body"]
    by = _moved(body, [body.holes[k] for k in positions])
    carried = [i for i, s in enumerate(body.states) if s in by and is_float(s.dtype)]
    at = [body.states[i] for i in carried]
    back = _Backwards(node, [hole(f"δ{s.name}", s, scope=s.scope) for s in at])
    seeds: dict[Node, Node] = {}

    def arrives(at: Node, derivative: Node) -> None:
        seeds[at] = seeds[at] + derivative if at in seeds else derivative

    for i, from_later in zip(carried, back.states, strict=True):
        arrives(body.new[i], from_later)
    for n, g in upstreams.items():
        if n.attrs["result"][0] == EVERY:
            arrives(asked(n), back.slice_of(g, f"u_{asked(n).name or 'y'}", asked(n).scope))
    adjoints = sweep(seeds, by, _names(body)).adjoints if seeds else {}
    at_end = {n.attrs["result"][1]: g for n, g in upstreams.items() if n.attrs["result"][0] == FINAL}
    initial = [at_end.get(i, zeros_like(body.states[i])) for i in carried]
    new = [adjoints.get(s, zeros_like(s)) for s in at]

    wanted = [body.holes[k] for k in positions]
    states, slices = set(body.states), set(body.slices)
    every = [adjoints[h] for h in wanted if h in slices and h in adjoints]
    sums = {h: back.summed(adjoints[h]) for h in wanted if h not in states | slices and h in adjoints}
    found = back.run(new, initial, [*every, *(n for s in sums.values() for n in s.needs)], sums)
    out: dict[int, Node] = {}
    for k, h in zip(positions, wanted, strict=True):
        if h in states:
            out[k] = found.final[carried.index(body.states.index(h))]
        elif h not in adjoints:
            out[k] = zeros_like(node.inputs[k])
        else:
            out[k] = found.every[adjoints[h]] if h in slices else found.total[h]
    return out


def _moved(body: Body, holes: Collection[Node]) -> set[Node]:
    """The holes that move when some do: a state moves when its next value does."""
    moved = set(holes)
    while True:
        active = depends_on(body.new, moved)
        more = {s for s, n in zip(body.states, body.new, strict=True) if n in active} - moved
        if not more:
            return {h for h in moved if is_float(h.dtype)}
        moved |= more


def _names(body: Body) -> dict[Node, str]:
    """What the derivatives within a step are called: dc by c, δh by the h before, dz_f by the z of f = σ(z)."""
    out = {s: f"δ{s.name}" for s in body.states}
    for n in body.named:
        out[n] = f"d{n.name}"
        (*others, inner) = n.inputs
        if isinstance(n.op.calculus, Elementwise) and not others and inner.inputs and inner.name is None:
            out[inner] = f"dz_{n.name}"
    return out


@dataclass(frozen=True)
class _Sum:
    """A sum over time: how it is made of what is kept at every step, and the rest, which is added up in the loop."""

    needs: tuple[Node, ...]
    rest: Node | None
    terms: tuple[tuple[int, Node], ...]


@dataclass(frozen=True)
class _Found:
    final: Sequence[Node]
    every: Mapping[Node, Node]
    total: Mapping[Node, Node]


@dataclass
class _Backwards:
    """The loop that goes back through time, while it is made: its holes, and the sequences that fill them."""

    node: Node
    states: list[Node]
    slices: dict[Node, Node] = field(default_factory=dict)

    @property
    def body(self) -> Body:
        """The body that is gone back through."""
        body: Body = self.node.attrs["body"]
        return body

    def slice_of(self, sequence: Node, name: str, scope: Scope | None) -> Node:
        """A hole for the slices of a sequence."""
        leaf = hole(name, sequence, sequence.shape[1:], scope)
        self.slices[leaf] = sequence
        return leaf

    def kept(self, n: Node) -> Node:
        """The values that a node of the forward body takes, as a sequence."""
        if n in self.body.slices:
            return self.node.inputs[len(self.body.states) + self.body.slices.index(n)]
        return sibling(self.node, (EVERY, self.body.number[n]))

    def summed(self, term: Node) -> _Sum:
        """Take the sum over time of a node apart: products are made after the loop, the rest is added up in it."""
        terms: list[tuple[int, Node]] = []
        rest: Node | None = None
        stack = [(1, term)]
        while stack:
            sign, n = stack.pop()
            if n.op.name in ("add", "subtract") and all(i.shape == n.shape for i in n.inputs):
                stack += [(sign if n.op.name == "add" else -sign, n.inputs[1]), (sign, n.inputs[0])]
            elif n.op.name == "negative":
                stack.append((-sign, n.inputs[0]))
            elif _reduces(n):
                terms.append((sign, n))
            else:
                part = n if sign > 0 else -n
                rest = part if rest is None else rest + part
        needs = tuple(i for _, n in terms for i in _below(n).inputs)
        return _Sum(needs, rest, tuple(terms))

    def run(
        self, new: Sequence[Node], initial: Sequence[Node], kept: Sequence[Node], sums: Mapping[Node, _Sum]
    ) -> _Found:
        """Make the loop and what stands after it: derivatives by initial states, at every step, and summed up."""
        rests = {h: s.rest for h, s in sums.items() if s.rest is not None}
        own = {n for n in kept if n not in self.body.number and n not in self.body.constants}
        roots = [*new, *own, *rests.values()]
        inside: dict[Node, Node] = {}
        read = dict(self.slices)
        constants: list[Node] = []
        order = ancestors(*roots, stop=lambda n: n in self.body.number)
        for n in order:
            if n in self.body.constants:
                constants.append(n)
                inside[n] = n
            elif n not in self.body.number or not (n.inputs or n in self.body.holes):
                inside[n] = n.rebuilt(tuple(inside[i] for i in n.inputs))
            else:  # a value of the step forward: it is read
                inside[n] = hole(n.name or "r", n, scope=n.scope)
                read[inside[n]] = self.kept(n)
        totals = [hole(f"Σ{h.name}", h, scope=h.scope) for h in rests]
        added = [(t + inside[r]).named(t.name, t.scope) for t, r in zip(totals, rests.values(), strict=True)]
        after = [*(inside[n] for n in new), *added]
        named = [*added, *(inside[n] for n in order if n.name and n.inputs and n not in self.body.number)]
        results = tuple(dict.fromkeys([*(inside[n] for n in kept if n in own), *named]))
        backwards = not self.body.backwards
        made = Body((*self.states, *totals), tuple(read), tuple(constants), tuple(after), results, backwards)
        fixed = dict(zip(self.body.constants, self.body.fixed(self.node.inputs), strict=True))
        operands = (*initial, *(zeros_like(t) for t in totals), *read.values(), *(fixed[c] for c in constants))
        length = self.node.attrs["length"]
        finals = results_of(made, operands, length, [(FINAL, i) for i in range(len(after))])
        every: dict[Node, Node] = {}
        for n in kept:
            if n in own:
                (every[n],) = results_of(made, operands, length, [(EVERY, made.number[inside[n]])])
            elif n in self.body.constants:
                every[n] = fixed[n]
            else:
                every[n] = self.kept(n)
        adding = dict(zip(rests, finals[len(self.states) :], strict=True))
        total = {h: _total(s, every, self.body.constants, adding.get(h)) for h, s in sums.items()}
        return _Found(finals[: len(self.states)], every, total)


def _below(n: Node) -> Node:
    """The product or sum under ops that only move numbers."""
    while n.op.name in MOVERS:
        n = n.inputs[0]
    return n


def _reduces(n: Node) -> bool:
    """Whether the sum over time of a node can be taken together with a sum that it is itself."""
    below = _below(n)
    return is_float(below.dtype) and below.op.name in ("einsum", "sum") and all(is_float(i.dtype) for i in below.inputs)


def _total(parts: _Sum, every: Mapping[Node, Node], constants: Sequence[Node], rest: Node | None) -> Node:
    total = rest
    for sign, n in parts.terms:
        below = _below(n)
        if below.op.name == "sum":
            axes = (0, *(a + 1 for a in below.attrs["axes"]))
            over = sum_(every[below.inputs[0]], axes)
            over = over.reshape(below.shape)
        else:
            letters, result = parse(below.attrs["spec"])
            time = next(c for c in LETTERS if c not in below.attrs["spec"])
            timed = [w if i in constants else time + w for w, i in zip(letters, below.inputs, strict=True)]
            over = contract(timed, result, [every[i] for i in below.inputs])
        movers = []
        while n is not below:
            movers.append(n)
            n = n.inputs[0]
        for mover in reversed(movers):
            over = mover.op.make((over,), mover.attrs)
        if total is None:
            total = over if sign > 0 else -over
        else:
            total = total + over if sign > 0 else total - over
    assert total is not None
    return total


def push_loop(moving: Sequence[Node | None], node: Node) -> Node | None:
    """How a loop's result moves: the tangents of the state are carried beside it."""
    body: Body = node.attrs["body"]
    moved = _moved(body, [h for h, t in zip(body.holes, moving, strict=True) if t is not None])
    ways = {h: hole(f"{h.name}'", h, scope=h.scope) for h in body.holes if h in moved}
    active = depends_on(body.nodes, ways)
    at = [n for n in body.nodes if n in active and is_float(n.dtype)]
    if asked(node) not in active or not is_float(node.dtype):
        return None
    tangents = dict(zip(at, forward(at, ways), strict=True))
    states = [s for s in body.states if s in ways]
    slices = [s for s in body.slices if s in ways]
    constants = [c for c in body.constants if c in ways]
    after = dict(zip(body.states, body.new, strict=True))
    new = (*body.new, *(tangents.get(after[s], zeros_like(s)) for s in states))
    made = Body(
        (*body.states, *(ways[s] for s in states)),
        (*body.slices, *(ways[s] for s in slices)),
        (*body.constants, *(ways[c] for c in constants)),
        new,
        (*body.results, *(t for t in tangents.values())),
        body.backwards,
    )
    moves = dict(zip(body.holes, moving, strict=True))
    given = dict(zip(body.holes, node.inputs, strict=True))

    def way(h: Node) -> Node:
        move = moves[h]
        return zeros_like(given[h]) if move is None else move

    operands = (
        *body.initial(node.inputs),
        *(way(s) for s in states),
        *body.sequences(node.inputs),
        *(way(s) for s in slices),
        *body.fixed(node.inputs),
        *(way(c) for c in constants),
    )
    kind, place = node.attrs["result"]
    if kind == FINAL:
        if body.states[place] not in ways:
            return None
        wanted = (FINAL, len(body.states) + states.index(body.states[place]))
    else:
        wanted = (EVERY, made.number[tangents[body.nodes[place]]])
    (out,) = results_of(made, operands, node.attrs["length"], [wanted])
    return out


THROUGH_BODY.update(reverse=pull_loop, forward=push_loop)
