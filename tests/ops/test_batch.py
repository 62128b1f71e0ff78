"""One op for all steps at once, against the op at every step, for every op of the registry that has samples."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.engine import interpret
from chainrule.graph.op import ABSENT, REGISTRY, ThroughBody
from chainrule.ops.batch import RULES, at_all_times, is_elementwise

STEPS = 3
WITH_CASES = [
    n
    for n, op in REGISTRY.items()
    if op.cases is not ABSENT and op.arity != 0 and not isinstance(op.calculus, ThroughBody)
]
CAST_FIRST = {"logical_and", "logical_or", "logical_not", "gather"}
"""Ops whose samples are cast before, which is a node of its own; gather is tried below."""


def operands(case, timed, rng):
    """Leaves and numbers: of all steps where ``timed``, of one otherwise."""
    kinds = {"b": "bool", "i": "int", "f": "float"}
    one, leaves, feeds = [], [], {}
    for k, (given, of_all) in enumerate(zip(case.operands, timed, strict=True)):
        array = given if isinstance(given, np.ndarray) else rng.uniform(*case.domain, given)
        kind = kinds[array.dtype.kind]
        one.append(cr.input(f"a{k}", array.shape, kind))
        if of_all:
            spread = (
                rng.permuted(np.stack([array] * STEPS), axis=None) if kind == "float" else np.stack([array] * STEPS)
            )
            leaves.append(cr.input(f"A{k}", spread.shape, kind))
            feeds[leaves[-1]] = spread
        else:
            leaves.append(one[-1])
            feeds[one[-1]] = array
    return one, leaves, feeds


@pytest.mark.parametrize("name", WITH_CASES)
@pytest.mark.parametrize("which", ["all", "first", "last"])
def test_it_is_the_op_at_every_step(name, which):
    rng = np.random.default_rng(0)
    op = REGISTRY[name]
    done = 0
    for case in op.cases:
        n = len(case.operands)
        timed = [which == "all" or (k == 0 if which == "first" else k == n - 1) for k in range(n)]
        one, leaves, feeds = operands(case, timed, rng)
        node = op(*one, **case.attrs)
        if list(node.inputs) != one:
            continue  # the op casts its operands: in a loop the casts are nodes of their own
        batched = at_all_times(node, leaves, timed, STEPS)
        if batched is None:
            continue
        done += 1
        found = interpret([batched], feeds)[batched]
        for t in range(STEPS):
            at = {
                i: feeds[leaf][t] if of_all else feeds[leaf] for i, leaf, of_all in zip(one, leaves, timed, strict=True)
            }
            np.testing.assert_allclose(found[t], interpret([node], at)[node], rtol=1e-12, atol=1e-14, err_msg=str(case))
    assert done or name in CAST_FIRST or not (is_elementwise(op) or name in RULES)


def test_an_index_that_changes_with_time_picks_from_a_table_that_does_not():
    table, index = cr.input("E", (5, 2)), cr.input("i", (3,), "int")
    every = cr.input("I", (STEPS, 3), "int")
    batched = at_all_times(cr.gather(table, index), [table, every], [False, True], STEPS)
    E, i = np.arange(10.0).reshape(5, 2), np.array([[0, 1, 4], [2, 2, 2], [3, 0, 1]])
    np.testing.assert_array_equal(cr.evaluate(batched, {table: E, every: i}), E[i])
