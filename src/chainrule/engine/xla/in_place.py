"""New values written over the old ones: a large array that a step changes is not copied first.

XLA writes a new value where the old one lies if all that reads the old one comes before. On the CPU it goes by what is
computed from what, and the signal that goes back through a weight matrix is not a part of that matrix's own gradient.
So each new value is made to wait for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from chainrule.engine.program import Program
from chainrule.graph.node import Node
from chainrule.graph.op import is_float

Readers = Mapping[Node, tuple[Node, ...]]


def late_readers(program: Program, leaves: Iterable[Node]) -> Readers:
    """What reads each of these leaves, but for what is computed from it element by element."""
    if jax.default_backend() != "cpu":
        return {}
    users = program.graph.consumers
    readers = {leaf: tuple(n for n in users.get(leaf, ()) if n.shape != leaf.shape) for leaf in leaves if leaf.ndim > 1}
    return {leaf: tuple(n for n in found if is_float(n.dtype)) for leaf, found in readers.items() if found}


def waiting(readers: Readers, carry: Mapping[Node, Node], values: Mapping[Node, Any]) -> dict[Node, Any]:
    """The next values of leaves, the same numbers, each not before everything that reads the present one."""
    out = {}
    for leaf, found in readers.items():
        # No number is larger than infinity; XLA does not know it.
        never = jnp.stack([values[n].reshape(-1)[0] > jnp.inf for n in found]).any()
        out[carry[leaf]] = jnp.where(never, values[leaf], values[carry[leaf]])
    return out
