"""Products that share an operand are parts of one product: x W₁ and x W₂ of x [W₁; W₂].

What is known here is which products can be joined and how their parts are cut out again; ``hoist.py`` uses it inside
loops. For the products after a loop it is done here: Σ_t a_tᵀ b_t and Σ_t a_tᵀ c_t are parts of Σ_t a_tᵀ [b_t; c_t],
where the loop itself puts b and c side by side.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from chainrule.graph.body import EVERY, has_body, over_time, work
from chainrule.graph.dim import Size
from chainrule.graph.node import Node, ancestors
from chainrule.ops.contractions import EINSUM, LETTERS, parse
from chainrule.ops.loop import sibling
from chainrule.ops.shaping import SLICE, concatenate


@dataclass(frozen=True)
class Product:
    """A contraction of two operands, one of which can grow along an axis.

    Attributes:
        spec: its letters in the order in which they occur, so that equal contractions have equal texts.
        place: which operand can grow.
        axis: along which of its axes.
        out: the axis of the result that grows with it.
    """

    spec: str
    place: int
    axis: int
    out: int


def free(node: Node, place: int) -> Product | None:
    """The operand at ``place`` brings one letter of its own to the result, which grows with it."""
    if node.op.name != "einsum" or len(node.inputs) != 2:
        return None
    spec = _spelled(node.attrs["spec"])
    words, result = parse(spec)
    own = [c for c in words[place] if c in result and c not in words[1 - place]]
    return Product(spec, place, words[place].index(own[0]), result.index(own[0])) if len(own) == 1 else None


@dataclass(frozen=True)
class Summed:
    """A contraction of two operands over one letter: several that are added up are one, of longer operands.

    Attributes:
        spec: its letters, as of a :class:`Product`.
        place: of the operand that is looked at.
        axis: its axis that is summed over.
        other: that of the other operand.
    """

    spec: str
    place: int
    axis: int
    other: int


def summed(node: Node, place: int) -> Summed | None:
    """The product sums over one letter, as seen from the operand at ``place``."""
    if node.op.name != "einsum" or len(node.inputs) != 2:
        return None
    spec = _spelled(node.attrs["spec"])
    words, result = parse(spec)
    letters = [c for c in words[0] if c in words[1] and c not in result]
    if len(letters) != 1:
        return None
    return Summed(spec, place, words[place].index(letters[0]), words[1 - place].index(letters[0]))


def _spelled(spec: str) -> str:
    names: dict[str, str] = {}
    return "".join(c if c in ",->" else names.setdefault(c, LETTERS[len(names)]) for c in spec)


def multiplied(product: Product, grown: Node, other: Node) -> Node:
    """The product of an operand that has grown with the other one."""
    return EINSUM(*((other, grown) if product.place else (grown, other)), spec=product.spec)


def without(node: Node, axis: int) -> tuple[Size, ...]:
    """The shape but for one axis: what has to be equal for two nodes to be joined along it."""
    return tuple(s for a, s in enumerate(node.shape) if a != axis)


def cut(node: Node, axis: int, sizes: Iterable[Size]) -> list[Node]:
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


# --- after a loop ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Set:
    """Quantities of a loop, by their places in its body, that are put side by side along an axis."""

    of: Any
    places: tuple[int, ...]
    axis: int

    @property
    def whole(self) -> Node:
        """They side by side, as a quantity of the body."""
        return concatenate([self.of[2].nodes[k] for k in self.places], self.axis)


def together_after(outputs: Sequence[Node]) -> tuple[tuple[Node, ...], list[tuple[Node, Node]]]:
    """Products (and sums) of several quantities of a loop as parts of one of all of them; and what became of which."""
    order = ancestors(*outputs)
    sets, products = _products(order)
    if not sets:
        return tuple(outputs), []
    sums = _sums(order, sets)
    bodies = {}
    for of in dict.fromkeys(s.of for s in sets):
        wholes = [s.whole for s in sets if s.of == of]
        grown = replace(of[2], results=(*of[2].results, *wholes))
        bodies[of] = grown, dict(zip((s for s in sets if s.of == of), wholes, strict=True))
    new: dict[Node, Node] = {}
    log: list[tuple[Node, Node]] = []

    def every(of_set: _Set, quantity: Node) -> Node:
        body, wholes = bodies[of_set.of]
        return sibling(new[quantity], (EVERY, body.number[wholes[of_set]]))

    def parts(nodes: Sequence[Node], made: Node, axis: int, sizes: Sequence[Size]) -> None:
        for n, piece in zip(nodes, cut(made, axis, sizes), strict=True):
            new[n] = piece.named(n.name, n.scope) if n.name else piece
            log.append((n, new[n]))

    for n in order:
        if n in new:
            continue
        if n in products:
            found, of_set, nodes = products[n]
            other = new[n.inputs[1 - found.place]]
            made = multiplied(found, every(of_set, n.inputs[found.place]), other)
            parts(nodes, made, found.out, [m.shape[found.out] for m in nodes])
        elif n in sums:
            of_set, nodes = sums[n]
            made = n.op.make((every(of_set, n.inputs[0]),), n.attrs)
            along = of_set.axis + 1
            axis = along - (0 if n.attrs["keepdims"] else sum(a < along for a in n.attrs["axes"]))
            parts(nodes, made, axis, [m.inputs[0].shape[along] for m in nodes])
        else:
            made = n.rebuilt(tuple(new[i] for i in n.inputs))
            if has_body(n) and work(n) in bodies:
                made = n.op.make(made.inputs, {**n.attrs, "body": bodies[work(n)][0]}).named(n.name, n.scope)
            new[n] = made
    return tuple(new[n] for n in outputs), log


def _place(stacked: Node) -> int:
    place: int = stacked.attrs["result"][1]
    return place


def _products(order: Sequence[Node]) -> tuple[list[_Set], dict[Node, tuple[Product, _Set, list[Node]]]]:
    """The products that can be joined, in groups that share an operand, and the sets of quantities in them."""
    groups: dict[Any, dict[int, Node]] = {}
    for n in order:
        for place in (0, 1):
            found = free(n, place)
            if found is None or found.axis == 0 or not over_time(n.inputs[place]):
                continue
            quantity, other = n.inputs[place], n.inputs[1 - place]
            if not (over_time(other) and work(other) == work(quantity)):
                key = (other, found, work(quantity), without(quantity, found.axis), quantity.dtype)
                groups.setdefault(key, {}).setdefault(_place(quantity), n)
    sets: dict[_Set, None] = {}
    out: dict[Node, tuple[Product, _Set, list[Node]]] = {}
    for (_, found, of, *_), members in groups.items():
        places = tuple(sorted(members))
        nodes = [members[k] for k in places]
        if len(nodes) > 1 and not any(n in out for n in nodes):
            of_set = _Set(of, places, found.axis - 1)
            sets[of_set] = None
            out |= dict.fromkeys(nodes, (found, of_set, nodes))
    return list(sets), out


def _sums(order: Sequence[Node], sets: Sequence[_Set]) -> dict[Node, tuple[_Set, list[Node]]]:
    """The sums of all quantities of a set, over other axes than the one along which they are joined."""
    groups: dict[Any, dict[int, Node]] = {}
    for n in order:
        if n.op.name == "sum" and over_time(n.inputs[0]):
            key = (work(n.inputs[0]), n.attrs["axes"], n.attrs["keepdims"])
            groups.setdefault(key, {}).setdefault(_place(n.inputs[0]), n)
    out: dict[Node, tuple[_Set, list[Node]]] = {}
    for (of, axes, _), members in groups.items():
        for s in sets:
            nodes = [members[k] for k in s.places if k in members]
            if (
                s.of == of
                and s.axis + 1 not in axes
                and len(nodes) == len(s.places)
                and not any(n in out for n in nodes)
            ):
                out |= dict.fromkeys(nodes, (s, nodes))
    return out
