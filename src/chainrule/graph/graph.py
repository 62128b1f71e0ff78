"""A graph: some outputs and everything that they need, in an order in which it can be computed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

from chainrule.errors import GraphError
from chainrule.graph.dim import product, resolve
from chainrule.graph.node import Node, ancestors, describe

LEAVES = ("input", "parameter", "state")
"""The leaves that numbers are fed to. A ``draw`` may be fed as well; else the engine fills it."""


class Graph:
    """An immutable view of the nodes between the leaves and some outputs.

    >>> import chainrule as cr
    >>> x = cr.input("x", (3,))
    >>> [n.op.name for n in Graph(cr.sum(x * x))]
    ['input', 'multiply', 'sum']
    """

    def __init__(self, outputs: Node | Iterable[Node]) -> None:
        several = outputs if isinstance(outputs, Iterable) and not isinstance(outputs, Node) else (outputs,)
        self.outputs: tuple[Node, ...] = tuple(several)
        for node in self.outputs:
            if not isinstance(node, Node):
                raise GraphError("an output of a graph is a node", given=repr(node))

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """Every node, operands before results."""
        return tuple(ancestors(*self.outputs))

    @cached_property
    def consumers(self) -> dict[Node, tuple[Node, ...]]:
        """For each node the nodes that use it, once per use."""
        users: dict[Node, list[Node]] = {n: [] for n in self.nodes}
        for node in self.nodes:
            for operand in node.inputs:
                users[operand].append(node)
        return {n: tuple(u) for n, u in users.items()}

    def leaves(self, *kinds: str) -> tuple[Node, ...]:
        """The nodes that numbers are fed to: of these kinds (input, parameter, state), or of all."""
        return tuple(n for n in self.nodes if n.op.name in (kinds or LEAVES))

    @property
    def inputs(self) -> tuple[Node, ...]:
        """The inputs: x, y."""
        return self.leaves("input")

    @property
    def parameters(self) -> tuple[Node, ...]:
        """The parameters: what is learned."""
        return self.leaves("parameter")

    def rows_at_once(self, most: int = 4096, numbers: int = 1 << 24) -> int:
        """So many examples, a power of two, that no quantity of them holds more than so many numbers."""
        growing = [product(n.shape) for n in self.nodes if not all(isinstance(size, int) for size in n.shape)]
        widest = max((resolve(size, defaultdict(lambda: 1)) for size in growing), default=1)
        return max(1, min(most, 1 << (max(1, numbers // max(1, widest)).bit_length() - 1)))

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)


def depends_on(outputs: Sequence[Node], leaves: Iterable[Node]) -> set[Node]:
    """The nodes between these leaves and the outputs: what a derivative has to go through."""
    active = set(leaves)
    for node in ancestors(*outputs):
        if node not in active and any(i in active for i in node.inputs):
            active.add(node)
    return active


def check_legal(graph: Graph) -> None:
    """Check every node against its op's declaration: arity, operands, shape and kind of number.

    Raises :class:`GraphError` naming the first node whose stored facts differ from the declared rules.
    """
    for node in graph:
        made = node.op.make(node.inputs, node.attrs)
        for what in ("shape", "dtype"):
            stored, ruled = getattr(node, what), getattr(made, what)
            if stored != ruled:
                raise GraphError(
                    f"a node's {what} is not what its op's rule says",
                    given=f"{describe(node)} ({node.op.name}: {stored})",
                    expected=ruled,
                )
