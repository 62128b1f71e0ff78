"""The interpreter: a graph in NumPy, one node at a time, keeping every value. For looking, exactly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.engine.draws import Key
from chainrule.engine.namespaces import NUMPY
from chainrule.engine.program import FIRST, Feeds, Kinds, Program, as_array, fed_array, float_dtype, learn_sizes
from chainrule.graph.node import Node
from chainrule.graph.op import is_float


def interpret(
    outputs: Iterable[Node],
    feeds: Feeds,
    dtype: Any = None,
    sizes: Mapping[str, int] | None = None,
    key: Key = FIRST,
    draws: Sequence[Node] | None = None,
) -> dict[Node, Any]:
    """The value of every node that the outputs need.

    Args:
        outputs: what to compute.
        feeds: numbers for inputs, parameters and states, by node or by name. A node in the middle can be
            fed as well: then nothing before it is computed.
        dtype: the working precision; by default that of the floats fed, float64 where none is.
        sizes: numbers for named sizes that no fed array tells.
        key: the seed and the step that draws are filled from.
        draws: those of the whole that the outputs are a part of.

    Errors: a missing feed, an array of the wrong shape or kind.
    """
    program = Program(outputs, draws)
    matched = program.match(feeds)
    kinds = Kinds(float_dtype(dtype) if dtype is not None else precision_of(matched), np.int64)
    fed = {n: as_array(n, v, kinds) for n, v in matched.items()}
    with np.errstate(all="ignore"):
        return program.run(NUMPY, fed, kinds, learn_sizes(fed, sizes), key)


def precision_of(fed: Mapping[Node, Any]) -> Any:
    """The widest float type among the arrays fed, float64 where there is none."""
    types = [fed_array(n, v).dtype for n, v in fed.items() if is_float(n.dtype)]
    floats = [t for t in types if t.kind == "f" and t.itemsize >= 2]
    return np.result_type(*floats) if floats else np.dtype(np.float64)
