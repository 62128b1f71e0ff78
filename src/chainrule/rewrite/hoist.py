"""Graph → graph before it runs: work leaves loops, and products that share an operand become one.

A loop is a chain: its steps wait for each other. What does not wait is taken out of it and done for all steps at once:
products of what is read (before the loop), and products that only outputs need (after it). What remains is brought
into few, large products: gates have weights of their own in the formulas, and one matrix where they run.

These passes look at all results of a loop together, so they are not rules of one node; and they are applied last, after
all that is shown has been derived. They change the order of the work, never what is computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chainrule.graph.body import EVERY, FINAL, Body, Result, has_body, over_time, work
from chainrule.graph.dim import Size
from chainrule.graph.graph import depends_on
from chainrule.graph.node import Node, ancestors
from chainrule.ops.batch import at_all_times
from chainrule.ops.contractions import EINSUM, LETTERS, parse
from chainrule.ops.loop import hole, results_of, sibling
from chainrule.ops.shaping import SLICE, concatenate
from chainrule.rewrite.rewriter import Rewriting, Rule, Step, structure

VIEWS = ("slice", "reshape", "transpose", "broadcast_to", "cast")
"""Ops that cost nothing inside a loop: what they look at leaves it whole."""


def _pass(name: str, law: str) -> Rule:
    return Rule(name, law, "speed", ("loop",), lambda node: None, lambda: hole("x", node_of_nothing()))


def node_of_nothing() -> Node:
    """An operand of no passes' example: they have no single node to show."""
    raise AssertionError("the passes over loops are tried on loops")


ONE_PRODUCT = _pass("one product", "x W₁, x W₂ are parts of x [W₁; W₂], and x₁ W₁ + x₂ W₂ is [x₁; x₂] [W₁; W₂]")
HOIST = _pass("out of the loop", "what does not need the state is computed for all steps at once")
SINK = _pass("after the loop", "what the state does not need is computed from all steps at once")


def fast(outputs: Sequence[Node]) -> Rewriting:
    """The outputs in the form in which they run fastest; where nothing is repeated, as they are."""
    if not any(map(has_body, ancestors(*outputs))):
        return Rewriting(tuple(outputs))
    log: list[Step] = []
    joined = _joined_after(outputs, log)
    new: dict[Node, Node] = {}
    order = ancestors(*joined)
    together: dict[Any, list[Node]] = {}
    for n in order:
        if has_body(n):
            together.setdefault(work(n), []).append(n)
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


# --- products of two operands, one of which is shared ---------------------------------------------------


@dataclass(frozen=True)
class _Product:
    """A contraction of two: where the one operand that may be joined with others stands, and along which axes.

    ``spec`` has letters in the order in which they occur, so that equal contractions have equal texts.
    """

    spec: str
    place: int
    axis: int
    out: int

    @staticmethod
    def free(node: Node, place: int) -> _Product | None:
        """The operand at ``place`` brings one letter of its own to the result: it can grow along it."""
        if node.op.name != "einsum" or len(node.inputs) != 2:
            return None
        spec = _spelled(node.attrs["spec"])
        words, result = parse(spec)
        own = [c for c in words[place] if c in result and c not in words[1 - place]]
        if len(own) != 1:
            return None
        return _Product(spec, place, words[place].index(own[0]), result.index(own[0]))

    @staticmethod
    def summed(node: Node, place: int) -> _Product | None:
        """One letter of both is summed: both can grow along it. ``axis`` is that of ``place``, ``out`` the other's."""
        if node.op.name != "einsum" or len(node.inputs) != 2:
            return None
        spec = _spelled(node.attrs["spec"])
        words, result = parse(spec)
        inner = [c for c in words[0] if c in words[1] and c not in result]
        if len(inner) != 1:
            return None
        return _Product(spec, place, words[place].index(inner[0]), words[1 - place].index(inner[0]))


def _spelled(spec: str) -> str:
    names: dict[str, str] = {}
    return "".join(c if c in ",->" else names.setdefault(c, LETTERS[len(names)]) for c in spec)


def _without(node: Node, axis: int) -> tuple[Size, ...]:
    return tuple(s for a, s in enumerate(node.shape) if a != axis)


def _cut(node: Node, axis: int, sizes: Sequence[Size]) -> list[Node]:
    """A node in pieces of these sizes along an axis."""
    out = []
    start: Size = 0
    for size in sizes:
        starts: list[Size] = [0] * node.ndim
        stops: list[Size] = list(node.shape)
        starts[axis], stops[axis] = start, start + size
        out.append(SLICE(node, starts=tuple(starts), stops=tuple(stops), steps=(1,) * node.ndim))
        start = start + size
    return out


def _joined_after(outputs: Sequence[Node], log: list[Step]) -> tuple[Node, ...]:
    """Σ_t a_tᵀ b_t and Σ_t a_tᵀ c_t, b and c of one loop, as one product with [b; c], which the loop gives."""
    order = ancestors(*outputs)
    groups: dict[Any, list[tuple[Node, _Product]]] = {}
    for n in order:
        for place in (0, 1):
            found = _Product.free(n, place)
            if found is not None and over_time(n.inputs[place]) and found.axis > 0:
                s, other = n.inputs[place], n.inputs[1 - place]
                if not (over_time(other) and work(other) == work(s)):
                    key = (other, found, work(s), _without(s, found.axis), s.dtype)
                    groups.setdefault(key, []).append((n, found))
    parts: dict[Any, dict[tuple[int, ...], int]] = {}  # for each work the groups of quantities, and the axis to join
    member: dict[Node, tuple[Any, tuple[int, ...], _Product, list[Node]]] = {}
    for (_, found, of, *_), members in groups.items():
        quantities = {n: n.inputs[found.place].attrs["result"][1] for n, _ in members}
        nodes = sorted(quantities, key=quantities.__getitem__)
        if len(set(quantities.values())) < 2 or len(set(quantities.values())) < len(nodes):
            continue
        if any(n in member for n in nodes):
            continue
        places = tuple(quantities[n] for n in nodes)
        if parts.setdefault(of, {}).setdefault(places, found.axis - 1) == found.axis - 1:
            member |= dict.fromkeys(nodes, (of, places, found, nodes))
    if not member:
        return tuple(outputs)
    sums = _sums_of(order, parts)
    bodies: dict[Any, tuple[Body, dict[tuple[int, ...], Node]]] = {}
    for of, sets in parts.items():
        body: Body = of[2]
        whole = {p: concatenate([body.nodes[k] for k in p], axis) for p, axis in sets.items()}
        grown = Body(
            body.states, body.slices, body.constants, body.new, (*body.results, *whole.values()), body.backwards
        )
        bodies[of] = grown, whole
    new: dict[Node, Node] = {}
    for n in order:
        if n in new:
            continue
        made = n.rebuilt(tuple(new[i] for i in n.inputs))
        if has_body(n) and work(n) in bodies:
            made = made.op.make(made.inputs, {**made.attrs, "body": bodies[work(n)][0]}).named(n.name, n.scope)
        elif n in sums:
            of, places, summed = sums[n]
            body, whole = bodies[of]
            every = sibling(new[n.inputs[0]], (EVERY, body.number[whole[places]]))
            along = parts[of][places] + 1
            axis = along - (0 if n.attrs["keepdims"] else sum(a < along for a in n.attrs["axes"]))
            total = n.op.make((every,), n.attrs)
            sizes = [body.nodes[k].shape[parts[of][places]] for k in places]
            pieces = dict(zip(places, _cut(total, axis, sizes), strict=True))
            for m in summed:
                piece = pieces[m.inputs[0].attrs["result"][1]]
                new[m] = piece.named(m.name, m.scope) if m.name else piece
            continue
        elif n in member:
            of, places, found, nodes = member[n]
            body, whole = bodies[of]
            every = sibling(new[n.inputs[found.place]], (EVERY, body.number[whole[places]]))
            operands = [new[i] for i in n.inputs]
            operands[found.place] = every
            product = EINSUM(*operands, spec=found.spec)
            pieces = _cut(product, found.out, [m.shape[found.out] for m in nodes])
            for m, piece in zip(nodes, pieces, strict=True):
                new[m] = piece.named(m.name, m.scope) if m.name else piece
                log.append(Step(ONE_PRODUCT, m, piece))
            continue
        new[n] = made
    return tuple(new[n] for n in outputs)


def _sums_of(order: Sequence[Node], parts: Mapping[Any, Mapping[tuple[int, ...], int]]) -> dict[Node, Any]:
    """Sums of quantities of a loop that are joined for a product anyway: they are parts of the sum of the whole."""
    groups: dict[Any, list[Node]] = {}
    for n in order:
        if n.op.name == "sum" and over_time(n.inputs[0]):
            of, place = work(n.inputs[0]), n.inputs[0].attrs["result"][1]
            for places, axis in parts.get(of, {}).items():
                if place in places and axis + 1 not in n.attrs["axes"]:
                    groups.setdefault((of, places, n.attrs["axes"], n.attrs["keepdims"]), []).append(n)
                    break
    return {n: (of, places, nodes) for (of, places, *_), nodes in groups.items() for n in nodes}


# --- one loop -------------------------------------------------------------------------------------------


@dataclass
class _Loop:
    """A loop while it is rewritten: its state, what fills the other holes, and the quantities that are wanted.

    Attributes:
        body: as it was, and ``length`` and ``wanted``, its results.
        states: the leaves of the states that are kept, ``start`` what fills them, ``after`` what follows.
        sequences: what fills the leaves that are read slice by slice, and ``fixed`` the others.
        every: the quantities that are wanted of every step.
        taken: those that have been taken out of the loop.
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
    taken: dict[int, Node] = field(default_factory=dict)

    @classmethod
    def of(cls, results: Sequence[Node], operands: Sequence[Node], log: list[Step]) -> _Loop:
        """The loop of some results; state that nothing wanted depends on is left out."""
        body: Body = results[0].attrs["body"]
        wanted: list[Result] = [n.attrs["result"] for n in results]
        places = [k for kind, k in dict.fromkeys(wanted) if kind == EVERY]
        need = {body.nodes[k] for k in places}
        kept = {k for kind, k in wanted if kind == FINAL}
        while True:
            found = set(ancestors(*need, *(body.new[i] for i in kept)))
            more = {i for i, s in enumerate(body.states) if s in found} - kept
            if not more:
                break
            kept |= more
        at = sorted(kept)
        initial = body.initial(operands)
        return cls(
            body,
            results[0].attrs["length"],
            wanted,
            [body.states[i] for i in at],
            [initial[i] for i in at],
            [body.new[i] for i in at],
            dict(zip(body.slices, body.sequences(operands), strict=True)),
            dict(zip(body.constants, body.fixed(operands), strict=True)),
            [body.nodes[k] for k in places],
            log,
        )

    def results(self) -> list[Node]:
        """The nodes that give what is wanted."""
        finals = {self.body.states.index(s): i for i, s in enumerate(self.states)}
        places = [k for kind, k in dict.fromkeys(self.wanted) if kind == EVERY]
        self.one_product()
        self.hoist()
        self.one_sum()
        stacked = self.sink()
        nodes = [n for n in dict.fromkeys(x for s in stacked for x in s.leaves)]
        live = set(ancestors(*self.after, *nodes))
        made = Body(
            tuple(self.states),
            tuple(h for h in self.sequences if h in live),
            tuple(h for h in self.fixed if h in live),
            tuple(self.after),
            tuple(nodes),
            self.body.backwards,
        )
        operands = (
            *self.start,
            *(self.sequences[h] for h in made.slices),
            *(self.fixed[h] for h in made.constants),
        )
        asked_for: list[Result] = [(EVERY, made.number[n]) for n in nodes]
        last: list[Result] = [(FINAL, i) for i in range(len(self.states))]
        leaves = dict(zip(nodes, results_of(made, operands, self.length, asked_for), strict=True))
        final = results_of(made, operands, self.length, last)
        whole = dict(zip(places, (s.build(leaves) for s in stacked), strict=True))
        return [final[finals[k]] if kind == FINAL else whole[k] for kind, k in self.wanted]

    # --- passes ---------------------------------------------------------------------------------------------

    def rebuild(self, changed: Mapping[Node, Node], made: dict[Node, Node] | None = None) -> dict[Node, Node]:
        """Every node of the step anew, some replaced by others; equal nodes become one."""
        new = dict(changed) if made is None else made
        interned: dict[Any, Node] = {}
        for n in ancestors(*self.after, *self.every, stop=new.__contains__):
            if n not in new:
                again = n.rebuilt(tuple(new[i] for i in n.inputs))
                new[n] = interned.setdefault(structure(again), again)
        self.after = [new[n] for n in self.after]
        self.every = [new[n] for n in self.every]
        return new

    def order(self) -> list[Node]:
        """The nodes of the step."""
        return ancestors(*self.after, *self.every)

    def constant_operand(self, n: Node) -> int | None:
        """Where in a product of two the operand stands that is the same at every step, if the other is not."""
        if n.op.name != "einsum" or len(n.inputs) != 2:
            return None
        places = [k for k, i in enumerate(n.inputs) if i in self.fixed]
        return places[0] if len(places) == 1 else None

    def joined_constants(self, leaves: Sequence[Node], axis: int) -> Node:
        """A leaf that stands for some constants side by side."""
        whole = concatenate([self.fixed[h] for h in leaves], axis)
        for known, filled in self.fixed.items():
            if structure(filled) == structure(whole):
                return known
        leaf = hole("; ".join(str(h.name) for h in leaves), whole)
        self.fixed[leaf] = whole
        return leaf

    def one_product(self) -> None:
        """x W₁, x W₂ … as parts of x [W₁; W₂ …]."""
        groups: dict[Any, list[Node]] = {}
        inside = set(ancestors(*self.after))
        for n in self.order():
            place = self.constant_operand(n)
            found = _Product.free(n, place) if place is not None else None
            if found is not None:  # what the state needs, and what can be done after the loop, stay apart
                constant = n.inputs[found.place]
                key = (n.inputs[1 - found.place], found, _without(constant, found.axis), n.dtype, n in inside)
                groups.setdefault(key, []).append(n)
        member: dict[Node, tuple[_Product, list[Node]]] = {}
        for (_, found, *_), nodes in groups.items():
            if len(nodes) > 1:
                member |= dict.fromkeys(nodes, (found, nodes))
        new: dict[Node, Node] = {}
        for n in self.order():
            if n in new:
                continue
            if n not in member:
                new[n] = n.rebuilt(tuple(new[i] for i in n.inputs))
                continue
            found, nodes = member[n]
            operands = [new[i] if i in new else i for i in n.inputs]
            operands[found.place] = self.joined_constants([m.inputs[found.place] for m in nodes], found.axis)
            product = EINSUM(*operands, spec=found.spec)
            for m, piece in zip(nodes, _cut(product, found.out, [m.shape[found.out] for m in nodes]), strict=True):
                new[m] = piece.named(m.name, m.scope) if m.name else piece
                self.log.append(Step(ONE_PRODUCT, m, piece))
        self.rebuild({}, new)

    def outside(self, n: Node, memo: dict[Node, tuple[Node, bool] | None]) -> tuple[Node, bool] | None:
        """What does not need the state, computed outside of the loop; and whether it has time in front."""
        for m in ancestors(n, stop=memo.__contains__):
            if m in memo:
                continue
            if m in self.sequences:
                memo[m] = self.sequences[m], True
            elif m in self.fixed:
                memo[m] = self.fixed[m], False
            elif not m.inputs:
                memo[m] = None if m in self.states else (m, False)
            else:
                memo[m] = self._all_times(m, [memo[i] for i in m.inputs])
        return memo[n]

    def _all_times(self, m: Node, operands: Sequence[tuple[Node, bool] | None]) -> tuple[Node, bool] | None:
        if has_body(m) or any(o is None for o in operands):
            return None
        nodes, timed = zip(*(o for o in operands if o is not None), strict=True)
        if not any(timed):
            return m.op.make(tuple(nodes), m.attrs), False
        made = at_all_times(m, list(nodes), list(timed), self.length)
        return None if made is None else (made, True)

    def hoist(self) -> None:
        """Products of what is read are computed before the loop, for all steps at once."""
        order = self.order()
        waits = depends_on([*self.after, *self.every], self.states)
        used = {i for n in order if n in waits for i in n.inputs if i not in waits}
        used |= {n for n in (*self.after, *self.every) if n not in waits}
        changed: dict[Node, Node] = {}
        memo: dict[Node, tuple[Node, bool] | None] = {}
        for n in order:
            if n not in used or n in waits:
                continue
            while n.op.name in VIEWS:
                n = n.inputs[0]
            if n in changed or not n.inputs or not _multiplies(n):
                continue
            found = self.outside(n, memo)
            if found is not None:
                whole, timed = found
                leaf = hole(n.name or "p", n, scope=n.scope)
                (self.sequences if timed else self.fixed)[leaf] = whole
                changed[n] = leaf
                self.log.append(Step(HOIST, n, whole))
        if changed:
            self.rebuild(changed)

    def one_sum(self) -> None:
        """x₁ W₁ + x₂ W₂ … as one product [x₁; x₂ …] [W₁; W₂ …]."""
        order = self.order()
        uses: dict[Node, int] = {}
        for n in order:
            for i in n.inputs:
                uses[i] = uses.get(i, 0) + 1
        number = {n: k for k, n in enumerate(order)}
        inner = {i for n in order if n.op.name == "add" for i in n.inputs if i.op.name == "add" and uses[i] == 1}
        changed: dict[Node, Node] = {}
        for n in order:
            if n.op.name != "add" or n in inner:
                continue
            terms, stack = list[Node](), [n]
            while stack:
                t = stack.pop()
                if t is n or (t in inner and t.shape == n.shape):
                    stack += reversed(t.inputs)
                else:
                    terms.append(t)
            groups: dict[Any, list[Node]] = {}
            for t in terms:
                place = self.constant_operand(t)
                found = _Product.summed(t, place) if place is not None and uses[t] == 1 else None
                if found is not None and t.shape == n.shape:
                    other = t.inputs[1 - found.place]
                    key = (found, _without(t.inputs[found.place], found.axis), _without(other, found.out), other.dtype)
                    groups.setdefault(key, []).append(t)
            for (found, *_), members in groups.items():
                if len(members) < 2:
                    continue
                members.sort(key=lambda t: number[t.inputs[1 - found.place]])
                read = concatenate([t.inputs[1 - found.place] for t in members], found.out)
                whole = self.joined_constants([t.inputs[found.place] for t in members], found.axis)
                operands = (whole, read) if found.place == 0 else (read, whole)
                terms = [EINSUM(*operands, spec=found.spec), *(t for t in terms if t not in members)]
            if len(terms) and any(t not in number for t in terms):
                total = terms[0]
                for t in terms[1:]:
                    total = total + t
                changed[n] = total.named(n.name, n.scope) if n.name else total
                self.log.append(Step(ONE_PRODUCT, n, changed[n]))
        if changed:
            self.replace_late(changed)

    def replace_late(self, changed: Mapping[Node, Node]) -> None:
        """Replace nodes by others that are made of the step's own nodes, which are replaced as well."""
        new: dict[Node, Node] = {}
        interned: dict[Any, Node] = {}

        def made(n: Node) -> Node:
            again = n.rebuilt(tuple(new[i] for i in n.inputs))
            return interned.setdefault(structure(again), again)

        everything = {n: changed.get(n, n) for n in self.order()}
        for n in ancestors(*self.after, *self.every):
            for m in ancestors(everything[n], stop=new.__contains__):
                if m not in new:
                    new[m] = made(m)
            new[n] = new[everything[n]]
        self.after = [new[n] for n in self.after]
        self.every = [new[n] for n in self.every]

    def sink(self) -> list[_Stacked]:
        """Products that only outputs need are computed after the loop, from all steps at once."""
        inside = set(ancestors(*self.after))
        waits = depends_on([*self.after, *self.every], self.states)
        memo: dict[Node, tuple[Node, bool] | None] = {}
        out = []
        for n in self.every:
            if n in self.sequences:
                out.append(_Stacked(n, (), self))
                continue
            late = [m for m in ancestors(n, stop=inside.__contains__) if m not in inside and m.inputs]
            if n in inside or not any(m.op.name == "einsum" for m in late):
                out.append(_Stacked(n, (n,), self))
                continue
            leaves = {i for m in late for i in m.inputs if i in inside or not i.inputs}
            kept = tuple(i for i in ancestors(n) if i in leaves and i in waits)
            try_it = _Stacked(n, kept, self, memo)
            if try_it.possible():
                out.append(try_it)
                self.log.append(Step(SINK, n, n))
            else:
                out.append(_Stacked(n, (n,), self))
        return out


def _multiplies(n: Node) -> bool:
    """Whether a product is among what a node is made of."""
    return any(m.op.name == "einsum" for m in ancestors(n))


@dataclass
class _Stacked:
    """A quantity of every step: what the loop has to give for it, and what is done with that afterwards."""

    node: Node
    leaves: tuple[Node, ...]
    loop: _Loop
    memo: dict[Node, tuple[Node, bool] | None] = field(default_factory=dict)

    def possible(self) -> bool:
        """Whether it can be computed after the loop."""
        stand_ins = {n: hole("l", n, (self.loop.length, *n.shape)) for n in self.leaves}
        return self._built(stand_ins) is not None

    def _built(self, leaves: Mapping[Node, Node]) -> Node | None:
        memo: dict[Node, tuple[Node, bool] | None] = {n: (leaf, True) for n, leaf in leaves.items()}
        found = self.loop.outside(self.node, memo)
        return found[0] if found is not None and found[1] else None

    def build(self, leaves: Mapping[Node, Node]) -> Node:
        """The quantity, made of what the loop gives."""
        made = self._built({n: leaves[n] for n in self.leaves})
        assert made is not None
        return made
