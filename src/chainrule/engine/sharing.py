"""Whether it pays that several devices share the rows of a batch: what a step costs, seen from its graph alone.

On a CPU, XLA computes one large product on all cores, but what is elementwise, and all that is inside a loop, on one.
Where each core is a device of its own and has its share of the rows, that work is done side by side; but every device
does the update for itself, gradients have to be added up between them, and they get in each other's way at every
operation. The prices below are what a step became dearer or cheaper by when two cores shared it, for the twenty
networks of ``python -m benchmarks devices``, which shows on any machine what is chosen and what it brings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from chainrule.graph.body import has_body, work
from chainrule.graph.dim import resolve
from chainrule.graph.graph import Graph
from chainrule.graph.node import Node

VIEWS = ("slice", "reshape", "transpose", "broadcast_to", "cast", "draw")
"""Ops that are no work of their own."""


@dataclass(frozen=True)
class Load:
    """What the rows of a batch make a step do.

    Attributes:
        numbers: that elementwise work and sums read or write, outside of loops, and ``looped`` inside.
        products: contractions outside of loops, and ``looped_products`` inside, counted at every time.
        operations: the elementwise ones and the sums outside of loops.
        carried: numbers that a step hands on: parameters and the optimizer's states.
        multiply_adds: of all contractions.
    """

    numbers: int
    looped: int
    products: int
    looped_products: int
    operations: int
    carried: int
    multiply_adds: int

    @property
    def seconds(self) -> float:
        """About how long a step takes, on one core of a processor of our time."""
        arithmetic = 1.2e-11 * self.multiply_adds + 2e-10 * (self.numbers + self.looped)
        return 8e-6 + 3e-6 * self.looped_products + arithmetic

    def saved(self, devices: int) -> float:
        """Microseconds that a step becomes shorter by, where two and more cores share it; negative where longer."""
        shared = 2 * (1 - 1 / devices)
        gain = shared * (2.5e-4 * self.numbers + 3.4e-4 * self.looped)
        price = 32 * self.products + 6 * self.operations + 5 * self.looped_products + 9e-4 * self.carried
        return gain - price


def load(outputs: Iterable[Node], carried: Iterable[Node], sizes: Mapping[str, int]) -> Load:
    """What a step does that computes these outputs, for definite sizes."""

    def numbers(*nodes: Node) -> int:
        return max((int(np.prod([resolve(s, sizes) for s in n.shape], initial=1)) for n in nodes), default=0)

    def grows(node: Node) -> bool:
        return any(not isinstance(size, int) for size in node.shape)

    found = {"numbers": 0, "looped": 0, "products": 0, "looped_products": 0, "operations": 0, "multiply_adds": 0}
    seen = set()
    for n in Graph(outputs):
        if has_body(n):
            if work(n) in seen:
                continue
            seen.add(work(n))
            times = int(resolve(n.attrs["length"], sizes))
            for inner in n.attrs["body"].nodes:
                if inner.op.multiply_adds(inner) != 0:
                    found["looped_products"] += times
                    found["multiply_adds"] += times * resolve(inner.op.multiply_adds(inner), sizes)
                elif inner.inputs and inner.op.name not in VIEWS and grows(inner):
                    found["looped"] += times * numbers(inner)
        elif n.op.multiply_adds(n) != 0:
            found["products"] += 1
            found["multiply_adds"] += resolve(n.op.multiply_adds(n), sizes)
        elif n.inputs and n.op.name not in VIEWS and any(map(grows, (n, *n.inputs))):
            found["operations"] += 1
            found["numbers"] += numbers(n, *n.inputs)
    return Load(**found, carried=sum(numbers(n) for n in carried))


def shares(load: Load, rows: int, devices: int) -> int:
    """Among how many of the devices the rows of a batch are divided: all that divide them evenly, or one."""
    count = max(d for d in range(1, devices + 1) if rows % d == 0)
    return count if load.saved(count) > 0 else 1
