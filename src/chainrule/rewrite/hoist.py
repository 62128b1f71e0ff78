"""Graph → graph before it runs: work leaves loops, and products that share an operand become one.

A loop is a chain: its steps wait for each other. What does not wait is taken out of it and done for all steps at once:
products of what is read before the loop, and products that only outputs need after it. What remains is brought into
few, large products: gates have weights of their own in the formulas, and one matrix where they run.

These passes look at all results of a loop together, so they are not rules for one node; and they are applied last,
after all that is shown has been derived. They change the order of the work, never what is computed.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from chainrule.graph.body import EVERY, FINAL, Body, Result, has_body, work
from chainrule.graph.dim import Size
from chainrule.graph.graph import depends_on
from chainrule.graph.node import Node, ancestors
from chainrule.ops import constant, loop, tanh
from chainrule.ops.batch import at_all_times
from chainrule.ops.contractions import EINSUM
from chainrule.ops.loop import hole, results_of
from chainrule.ops.shaping import concatenate
from chainrule.rewrite.match import variable
from chainrule.rewrite.products import Summed, cut, free, multiplied, summed, together_after, without
from chainrule.rewrite.rewriter import Rewriting, Rule, Step, structure

VIEWS = ("slice", "reshape", "transpose", "broadcast_to", "cast")
"""Ops that cost nothing inside a loop: what they look at is taken out whole, and they stay."""


def _example() -> Node:
    """A loop in which each pass finds something to do."""
    W, V, U = variable("W", (3, 2)), variable("V", (3, 2)), variable("U", (2, 2))
    h, y = loop(
        lambda h, x: (h := tanh(x @ W) * tanh(x @ V + h @ U + tanh(h) @ U), h @ U),
        constant(np.ones(2)),
        variable("x", (4, 3)),
    )
    node: Node = h + y[0]
    return node


def _pass(name: str, law: str) -> Rule:
    return Rule(name, law, "speed", ("loop",), lambda node: None, _example)


ONE_PRODUCT = _pass("one product", "x W₁ and x W₂ are parts of x [W₁; W₂]")
ONE_SUM = _pass("one sum of products", "a U + b V is [a, b] [U; V]")
BEFORE = _pass("before the loop", "what does not need the state is computed for all steps at once")
AFTER = _pass("after the loop", "what the state does not need is computed from all steps at once")


def fast(outputs: Sequence[Node]) -> Rewriting:
    """The outputs in the form in which they run fastest; where nothing is repeated, as they are."""
    if not any(map(has_body, ancestors(*outputs))):
        return Rewriting(tuple(outputs))
    joined, became = together_after(outputs)
    log = [Step(ONE_PRODUCT, a, b) for a, b in became]
    order = ancestors(*joined)
    together: dict[Any, list[Node]] = {}
    for n in order:
        if has_body(n):
            together.setdefault(work(n), []).append(n)
    new: dict[Node, Node] = {}
    for n in order:
        if n in new:
            continue
        if has_body(n):
            results = together[work(n)]
            made = _Loop.of(results, [new[i] for i in n.inputs], log).results()
            new |= {r: m.named(r.name, r.scope) if r.name else m for r, m in zip(results, made, strict=True)}
        else:
            new[n] = n.rebuilt(tuple(new[i] for i in n.inputs))
    return Rewriting(tuple(new[n] for n in joined), log)


Outside = dict[Node, tuple[Node, bool] | None]
"""For nodes of a step what they are outside of the loop, and whether that has time in front; None where it waits."""


@dataclass
class _Loop:
    """A loop while it is rewritten.

    Attributes:
        wanted: the results that it has to give, of ``body`` as it was.
        states: the leaves of the states that are kept; ``start`` is what fills them, ``after`` what follows.
        sequences: what fills the leaves that are read slice by slice, and ``fixed`` the others.
        every: the quantities that are wanted of every step.
    """

    body: Body
    length: Size
    wanted: list[Result]
    states: list[Node]
    start: list[Node]
    after: list[Node]
    sequences: dict[Node, Node]
    fixed: dict[Node, Node]
    every: list[Node]
    log: list[Step]

    @classmethod
    def of(cls, results: Sequence[Node], operands: Sequence[Node], log: list[Step]) -> _Loop:
        """The loop of some results; state that nothing wanted depends on is left out."""
        body: Body = results[0].attrs["body"]
        wanted: list[Result] = [n.attrs["result"] for n in results]
        every = [body.nodes[k] for kind, k in dict.fromkeys(wanted) if kind == EVERY]
        kept = {k for kind, k in wanted if kind == FINAL}
        while True:
            found = set(ancestors(*every, *(body.new[i] for i in kept)))
            more = {i for i, s in enumerate(body.states) if s in found} - kept
            if not more:
                break
            kept |= more
        at, initial = sorted(kept), body.initial(operands)
        return cls(
            body=body,
            length=results[0].attrs["length"],
            wanted=wanted,
            states=[body.states[i] for i in at],
            start=[initial[i] for i in at],
            after=[body.new[i] for i in at],
            sequences=dict(zip(body.slices, body.sequences(operands), strict=True)),
            fixed=dict(zip(body.constants, body.fixed(operands), strict=True)),
            every=every,
            log=log,
        )

    def results(self) -> list[Node]:
        """The nodes that give what is wanted."""
        self.one_sum()
        self.one_product()
        self.before()
        late = self.later()
        kept = list(dict.fromkeys(n for part in late for n in part.leaves))
        live = set(ancestors(*self.after, *kept))
        made = Body(
            tuple(self.states),
            tuple(h for h in self.sequences if h in live),
            tuple(h for h in self.fixed if h in live),
            tuple(self.after),
            tuple(kept),
            self.body.backwards,
        )
        operands = (*self.start, *(self.sequences[h] for h in made.slices), *(self.fixed[h] for h in made.constants))
        every: list[Result] = [(EVERY, made.number[n]) for n in kept]
        leaves = dict(zip(kept, results_of(made, operands, self.length, every), strict=True))
        places = dict.fromkeys(k for kind, k in self.wanted if kind == EVERY)
        whole = dict(zip(places, (part.build(leaves) for part in late), strict=True))
        final = results_of(made, operands, self.length, [(FINAL, i) for i in range(len(self.states))])
        last = {self.body.states.index(s): n for s, n in zip(self.states, final, strict=True)}
        return [last[k] if kind == FINAL else whole[k] for kind, k in self.wanted]

    def order(self) -> list[Node]:
        """The nodes of the step."""
        return ancestors(*self.after, *self.every)

    def replace(self, changed: Mapping[Node, Node]) -> None:
        """Put other nodes in the place of some; they are made of nodes of the step, or are leaves."""
        new: dict[Node, Node] = {}
        interned: dict[Any, Node] = {}
        for n in self.order():
            now = changed.get(n, n)
            for m in ancestors(now, stop=new.__contains__):
                if m not in new:
                    again = m.rebuilt(tuple(new[i] for i in m.inputs))
                    new[m] = interned.setdefault(structure(again), again)
            new[n] = new[now]
        self.after = [new[n] for n in self.after]
        self.every = [new[n] for n in self.every]

    # --- one product instead of several ---------------------------------------------------------------------

    def constant_operand(self, n: Node) -> int | None:
        """Where in a product of two the operand stands that is the same at every step, if the other is not."""
        if n.op.name != "einsum" or len(n.inputs) != 2:
            return None
        places = [k for k, i in enumerate(n.inputs) if i in self.fixed]
        return places[0] if len(places) == 1 else None

    def side_by_side(self, leaves: Sequence[Node], axis: int) -> Node:
        """A leaf that stands for some constants side by side."""
        whole = concatenate([self.fixed[h] for h in leaves], axis)
        leaf = hole("; ".join(str(h.name) for h in leaves), whole)
        self.fixed[leaf] = whole
        return leaf

    def one_sum(self) -> None:
        """a U + b V … as one product of [a, b …], where the weights U, V … are the same at every step."""
        order = self.order()
        users: dict[Node, list[Node]] = {}
        for n in order:
            for i in n.inputs:
                users.setdefault(i, []).append(n)
        ends = {*self.after, *self.every}
        waits = depends_on([*self.after, *self.every], self.states)  # the others leave the loop

        def inner(n: Node) -> bool:
            """A sum that only another sum needs."""
            by = users.get(n, [])
            return _adds(n) and n not in ends and n.name is None and len(by) == 1 and _adds(by[0])

        changed: dict[Node, Node] = {}
        for root in order:
            if not _adds(root) or inner(root):
                continue
            terms = list(root.inputs)
            while any(map(inner, terms)):
                terms = [i for t in terms for i in (t.inputs if inner(t) else (t,))]
            groups: dict[Any, list[Node]] = {}
            for t in terms:
                place = self.constant_operand(t)
                found = summed(t, place) if place is not None else None
                if found is not None and len(users[t]) == 1 and t not in ends and t in waits:
                    weight, other = t.inputs[found.place], t.inputs[1 - found.place]
                    key = found, without(weight, found.axis), without(other, found.other), t.dtype
                    groups.setdefault(key, []).append(t)
            several = [(found, some) for (found, *_), some in groups.items() if len(some) > 1]
            if several:
                joined = {t for _, some in several for t in some}
                made = [self._one_of(found, some) for found, some in several]
                whole = reduce(operator.add, [t for t in terms if t not in joined] + made)
                changed[root] = whole.named(root.name, root.scope) if root.name else whole
        self.note(ONE_SUM, changed)

    def _one_of(self, found: Summed, products: Sequence[Node]) -> Node:
        """The product that is the sum of some."""
        place = found.place
        products = sorted(products, key=lambda p: self.body.number[p.inputs[1 - place]])
        weights = self.side_by_side([p.inputs[place] for p in products], found.axis)
        others = concatenate([p.inputs[1 - place] for p in products], found.other)
        return EINSUM(*((others, weights) if place else (weights, others)), spec=found.spec)

    def one_product(self) -> None:
        """x W₁, x W₂ … as parts of x [W₁; W₂ …]."""
        groups: dict[Any, list[Node]] = {}
        inside = set(ancestors(*self.after))
        for n in self.order():
            place = self.constant_operand(n)
            found = free(n, place) if place is not None else None
            if found is not None:  # what the state needs, and what can be done after the loop, stay apart
                weight, other = n.inputs[found.place], n.inputs[1 - found.place]
                groups.setdefault((other, found, without(weight, found.axis), n.dtype, n in inside), []).append(n)
        changed: dict[Node, Node] = {}
        for (other, found, *_), nodes in groups.items():
            if len(nodes) > 1:
                whole = self.side_by_side([n.inputs[found.place] for n in nodes], found.axis)
                product = multiplied(found, whole, other)
                pieces = cut(product, found.out, [n.shape[found.out] for n in nodes])
                changed |= {n: p.named(n.name, n.scope) if n.name else p for n, p in zip(nodes, pieces, strict=True)}
        self.note(ONE_PRODUCT, changed)

    def note(self, rule: Rule, changed: Mapping[Node, Node]) -> None:
        """Replace some nodes and say so."""
        if changed:
            self.log += [Step(rule, a, b) for a, b in changed.items()]
            self.replace(changed)

    # --- out of the loop ------------------------------------------------------------------------------------

    def outside(self, n: Node, known: Outside) -> tuple[Node, bool] | None:
        """What does not need the state, computed outside of the loop."""
        for m in ancestors(n, stop=known.__contains__):
            if m in known:
                continue
            if m in self.sequences:
                known[m] = self.sequences[m], True
            elif m in self.fixed:
                known[m] = self.fixed[m], False
            elif not m.inputs:
                known[m] = None if m in self.states else (m, False)
            else:
                known[m] = self._at_all_times(m, [known[i] for i in m.inputs])
        return known[n]

    def _at_all_times(self, m: Node, operands: Sequence[tuple[Node, bool] | None]) -> tuple[Node, bool] | None:
        there = [o for o in operands if o is not None]
        if has_body(m) or len(there) < len(operands):
            return None
        nodes, timed = [n for n, _ in there], [t for _, t in there]
        if not any(timed):
            return m.op.make(tuple(nodes), m.attrs), False
        made = at_all_times(m, nodes, timed, self.length)
        return None if made is None else (made, True)

    def before(self) -> None:
        """Products of what is read are computed before the loop, for all steps at once."""
        waits = depends_on([*self.after, *self.every], self.states)
        used = {i for n in self.order() if n in waits for i in n.inputs} | {*self.after, *self.every}
        changed: dict[Node, Node] = {}
        known: Outside = {}
        for n in self.order():
            if n not in used or n in waits:
                continue
            seen = n
            while seen.op.name in VIEWS:
                seen = seen.inputs[0]
            if seen in changed or not _multiplies([seen]):
                continue
            found = self.outside(seen, known)
            if found is not None:
                whole, timed = found
                leaf = hole(seen.name or "p", seen, scope=seen.scope)
                (self.sequences if timed else self.fixed)[leaf] = whole
                changed[seen] = leaf
        self.note(BEFORE, changed)

    def later(self) -> list[_Late]:
        """Products that only outputs need are computed after the loop, from all steps at once."""
        inside = set(ancestors(*self.after))
        waits = depends_on([*self.after, *self.every], self.states)
        out = []
        for n in self.every:
            after = [m for m in ancestors(n, stop=inside.__contains__) if m not in inside and m.inputs]
            leaves = tuple(dict.fromkeys(i for m in after for i in m.inputs if i in inside and i in waits))
            late = _Late(n, leaves, self)
            if n in self.sequences or (n not in inside and _multiplies(after) and late.possible()):
                out.append(late)
                self.log += [] if n in self.sequences else [Step(AFTER, n, n)]
            else:
                out.append(_Late(n, (n,), self))
        return out


def _multiplies(nodes: Sequence[Node]) -> bool:
    """Whether a product is among what some nodes are made of."""
    return any(m.op.name == "einsum" for m in ancestors(*nodes))


@dataclass
class _Late:
    """A quantity of every step: and what the loop has to give for it."""

    node: Node
    leaves: tuple[Node, ...]
    loop: _Loop

    def possible(self) -> bool:
        """Whether it can be computed after the loop."""
        return self._built({n: hole("x", n, (self.loop.length, *n.shape)) for n in self.leaves}) is not None

    def build(self, leaves: Mapping[Node, Node]) -> Node:
        """The quantity, made of what the loop gives."""
        made = self._built(leaves)
        assert made is not None
        return made

    def _built(self, leaves: Mapping[Node, Node]) -> Node | None:
        found = self.loop.outside(self.node, {n: (leaves[n], True) for n in self.leaves})
        return found[0] if found is not None and found[1] else None


def _adds(node: Node) -> bool:
    """A sum of two of one shape."""
    return node.op.name == "add" and all(i.shape == node.shape for i in node.inputs)
