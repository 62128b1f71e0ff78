"""New values written over the old ones: a large array that a step changes is not copied first.

XLA writes a new value where the old one lies if all that reads the old one comes before. On the CPU it goes by what is
computed from what, and the signal that goes back through a weight matrix is not a part of that matrix's own gradient.
So each new value is made to wait for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce
from operator import or_
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from chainrule.engine.program import Program
from chainrule.graph.node import Node
from chainrule.graph.op import is_float
from chainrule.ops.batch import is_elementwise

Readers = Mapping[Node, tuple[Node, ...]]


def late_readers(program: Program, leaves: Iterable[Node]) -> Readers:
    """What reads each of these leaves, but for what is computed from it element by element."""
    if jax.default_backend() != "cpu":
        return {}
    users = program.graph.consumers
    out = {}
    for leaf in leaves:
        found = [n for n in users.get(leaf, ()) if is_float(n.dtype) and not is_elementwise(n.op)]
        if leaf.ndim > 1 and found:
            out[leaf] = tuple(dict.fromkeys(found))
    return out


def waiting(readers: Readers, carry: Mapping[Node, Node], values: Mapping[Node, Any]) -> dict[Node, Any]:
    """The next values of leaves, the same numbers, each not before everything that reads the present one."""
    out = {}
    for leaf, found in readers.items():
        # No number is larger than infinity; XLA does not know it.
        never = reduce(or_, (_first(values[n]) > jnp.inf for n in found))
        out[carry[leaf]] = lax.select(never, values[leaf], values[carry[leaf]])
    return out


def _first(a: Any) -> Any:
    return lax.reshape(lax.slice(a, (0,) * a.ndim, (1,) * a.ndim), ())
