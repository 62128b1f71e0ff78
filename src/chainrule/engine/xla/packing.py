"""Small arrays that are updated by the same formula, kept and updated as one.

An optimizer makes the same of every parameter: m ← β₁ m + (1 − β₁) G, v ← …, θ ← …. For small arrays the calling of
each such piece of work takes longer than the work. So the parameters of one formula lie one after the other in a flat
array while the program runs, likewise their moments and gradients, and the formula is computed once for all of them.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jax import lax

from chainrule.engine.program import Program
from chainrule.graph.dim import Shape, definite
from chainrule.graph.node import Node, ancestors, number_of_elements
from chainrule.graph.op import is_float
from chainrule.ops.batch import is_elementwise

SMALL = 1 << 14
"""Arrays of at most so many numbers are packed."""
MOST = 8
"""So many families lie together at most. XLA compiles a piece of code for every place in a flat array, but only once
for flat arrays that are alike, as those of a deep network are: with 8 of its families in each it compiles fastest. And
it joins 12 gradients in twice the time of 10."""
LONGEST = 200
"""A formula of more nodes than this is no update rule."""

Values = Mapping[Node, Any]


@dataclass(frozen=True)
class Group:
    """Families of leaves, such as a parameter and its moments, that go on by one formula.

    Attributes:
        leaves: for each role in the family (parameter, first moment, …) the leaves of all families.
        sources: for each array that the formula is about, such as the gradient, those of all families.
        scalars: single numbers in it, such as the learning rate; the same for all.
        formula: the next values of the first family, one for each role.
        following: for each role the next values of all families.
    """

    leaves: tuple[tuple[Node, ...], ...]
    sources: tuple[tuple[Node, ...], ...]
    scalars: tuple[Node, ...]
    formula: Program
    following: tuple[tuple[Node, ...], ...]


class Packing:
    """Which leaves of what is carried lie together.

    Args:
        leaves: all that is carried, in the order in which it is given.
        carries: for each turn the leaves that it changes and their next values.
        pack: whether to pack at all.
    """

    def __init__(self, leaves: Sequence[Node], carries: Sequence[Values], pack: bool = True) -> None:
        self.leaves = tuple(leaves)
        self.groups = [_groups(carry, carries) if pack else () for carry in carries]
        self.rows = tuple(row for groups in self.groups for group in groups for row in group.leaves)
        self._packed = {leaf for row in self.rows for leaf in row}
        self.rest = tuple(leaf for leaf in self.leaves if leaf not in self._packed)

    def wanted(self, turn: int, carry: Values) -> tuple[Node, ...]:
        """What a turn has to compute so that :meth:`advance` can do the rest."""
        rest = [new for leaf, new in carry.items() if leaf not in self._packed]
        return (*rest, *(n for group in self.groups[turn] for row in (*group.sources, group.scalars) for n in row))

    def pack(self, arrays: Iterable[Any]) -> tuple[Any, ...]:
        """What is carried, with the packed leaves joined: flat arrays first, then the rest."""
        by_leaf = dict(zip(self.leaves, arrays, strict=True))
        return (*(_joined(by_leaf[leaf] for leaf in row) for row in self.rows), *(by_leaf[n] for n in self.rest))

    def values(self, packed: Sequence[Any], wanted: Container[Node] | None = None) -> dict[Node, Any]:
        """The value of every leaf, or of those that are wanted: each piece of a flat array is work for XLA."""
        out = dict(zip(self.rest, packed[len(self.rows) :], strict=True))
        for row, array in zip(self.rows, packed, strict=False):
            out |= parted(row, array, wanted)
        return out

    def unpack(self, packed: Sequence[Any]) -> tuple[Any, ...]:
        """What is carried, an array for every leaf."""
        values = self.values(packed)
        return tuple(values[leaf] for leaf in self.leaves)

    def lying(self, turn: int, nodes: Iterable[Node]) -> dict[int, tuple[Node, ...]]:
        """In which flat arrays next values lie that are among these nodes: the place of each, and all that is in it."""
        wanted = set(nodes)
        rows = [(row, new) for g in self.groups[turn] for row, new in zip(g.leaves, g.following, strict=True)]
        return {self.rows.index(row): new for row, new in rows if wanted.intersection(new)}

    def advance(
        self,
        turn: int,
        carry: Values,
        packed: Sequence[Any],
        values: dict[Node, Any],
        run: Any,
        wanted: Container[Node] | None = None,
    ) -> tuple[Any, ...]:
        """What is carried after a turn. The next values of packed leaves are entered among ``values``.

        Args:
            turn: its number.
            carry: the next value of each leaf that it changes.
            packed: what is carried before it.
            values: what it has computed.
            run: computes a program from what is fed to it.
            wanted: the next values that are entered; all of them by default.
        """
        new: dict[tuple[Node, ...] | Node, Any] = dict(zip((*self.rows, *self.rest), packed, strict=True))
        for group in self.groups[turn]:
            fed = {n: values[n] for n in group.scalars} | {row[0]: new[row] for row in group.leaves}
            fed |= {row[0]: _joined(values[n] for n in row) for row in group.sources}
            found = run(group.formula, fed)
            for row, following in zip(group.leaves, group.following, strict=True):
                new[row] = found[following[0]]
                values |= parted(following, new[row], wanted)
        new |= {leaf: values[carry[leaf]] for leaf in self.rest if leaf in carry}
        return tuple(new.values())


def _joined(arrays: Iterable[Any]) -> Any:
    return jnp.concatenate([a.reshape(-1) for a in arrays])


def parted(nodes: Sequence[Node], array: Any, wanted: Container[Node] | None = None) -> dict[Node, Any]:
    """The pieces of a flat array, in the shapes of these nodes; all of them, or those that are wanted."""
    out, start = {}, 0
    for node in nodes:
        shape = definite(node.shape)
        end = start + math.prod(shape)
        if wanted is None or node in wanted:
            out[node] = lax.reshape(lax.slice(array, (start,), (end,)), shape)
        start = end
    return out


@dataclass(frozen=True)
class _Family:
    """Leaves of one shape whose next values depend on one another, and the formula of these without its names."""

    leaves: tuple[Node, ...]
    sources: tuple[Node, ...]
    following: tuple[Node, ...]
    pattern: tuple[Any, ...]


def _groups(carry: Values, carries: Sequence[Values]) -> tuple[Group, ...]:
    """The families of a turn that go on by one formula, where there are several; so many together at most."""
    same: dict[Any, list[_Family]] = {}
    moving = {n: new for n, new in carry.items() if new is not n and sum(n in c for c in carries) == 1}
    for family in _families(moving):
        same.setdefault(family.pattern, []).append(family)
    together = (f[k : k + MOST] for f in same.values() for k in range(0, len(f), MOST))
    return tuple(
        Group(
            tuple(zip(*(f.leaves for f in families), strict=True)),
            tuple(zip(*(f.sources for f in families), strict=True)),
            tuple(n for n in families[0].pattern if isinstance(n, Node)),
            Program(families[0].following),
            tuple(zip(*(f.following for f in families), strict=True)),
        )
        for families in together
        if len(families) > 1
    )


def _families(carry: Values) -> Iterable[_Family]:
    """The packable families: each leaf with those that its next value depends on, element by element."""
    together: dict[Node, list[Node]] = {}
    place = {leaf: k for k, leaf in enumerate(carry)}
    for leaf, new in carry.items():
        size = number_of_elements(leaf)
        if leaf.shape == () or not is_float(leaf.dtype) or not isinstance(size, int) or size > SMALL:
            continue
        near = [n for n in _formula(leaf.shape, new) if n in carry]
        family = list(dict.fromkeys([leaf, *(m for n in near for m in together.get(n, [n]))]))
        together |= dict.fromkeys(family, family)
    for family in {id(f): f for f in together.values()}.values():
        leaves = tuple(sorted(family, key=place.__getitem__))  # in one order in all families
        found = _family(leaves, tuple(carry[leaf] for leaf in leaves))
        if found is not None:
            yield found


def _formula(shape: Shape, *following: Node) -> list[Node]:
    """What these are computed from, element by element, and down to what is not."""
    return ancestors(*following, stop=lambda n: not _within(n, shape))


def _within(node: Node, shape: Shape) -> bool:
    """Whether a node is part of a formula that is computed for every element by itself."""
    return bool(node.inputs) and node.shape == shape and (is_elementwise(node.op) or node.op.name == "cast")


def _family(leaves: tuple[Node, ...], following: tuple[Node, ...]) -> _Family | None:
    """A family and its pattern: the formula with numbers in place of leaves and sources."""
    shape = leaves[0].shape
    if any(leaf.shape != shape for leaf in leaves):
        return None
    order = _formula(shape, *following)
    if len(order) > LONGEST or not all(n.shape in ((), shape) for n in order):
        return None
    place = {n: k for k, n in enumerate(order)}
    sources: list[Node] = []
    pattern: list[Any] = [len(leaves), *(place[n] for n in following)]
    for node in order:
        if node.shape == ():
            pattern.append(node)
        elif node in leaves:
            pattern.append(leaves.index(node))
        elif _within(node, shape):
            pattern.append((node.op.name, node.dtype, tuple(node.attrs.items()), *(place[i] for i in node.inputs)))
        else:
            pattern.append(node.dtype)
            sources.append(node)
    return _Family(leaves, tuple(sources), following, (*pattern, *(leaf.dtype for leaf in leaves)))
