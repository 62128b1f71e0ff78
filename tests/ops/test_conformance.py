"""One standard for every op of the registry, so that a declaration is enough to be tested.

An op is tried on the cases that it declares, and on those of the tables below: whole numbers, ties, and the side that
is taken at a kink. Its oracles are the declared reference (NumPy, SciPy), differences of it, and JAX's derivatives.
"""

import dataclasses
import functools
import json
import math
import re
import zlib
from collections.abc import Mapping
from itertools import compress, product
from types import MappingProxyType
from typing import Any

import jax
import numpy as np
import pytest

import chainrule as cr
from chainrule.calculus import forward, reverse
from chainrule.engine import Kinds, interpret
from chainrule.engine.namespaces import NUMPY
from chainrule.engine.program import apply, float_dtype
from chainrule.engine.xla import compile_nodes
from chainrule.engine.xla.namespace import XLA
from chainrule.errors import ConfigurationError
from chainrule.graph import Graph, check_legal
from chainrule.graph.dim import resolve
from chainrule.graph.graph import LEAVES
from chainrule.graph.op import (
    ABSENT,
    NOWHERE,
    REGISTRY,
    VOCABULARY,
    Case,
    Constant,
    Elementwise,
    Linear,
    Op,
    ThroughBody,
    declare,
    is_float,
)
from chainrule.graph.serialize import from_data, to_data
from chainrule.rewrite import rewrite

COMPUTED = [
    name for name, op in REGISTRY.items() if name not in (*LEAVES, "draw") and not isinstance(op.calculus, ThroughBody)
]
"""Every op but the leaves, and the loop, which computes what its body does: tests/ops/test_loop.py."""
EVERY = pytest.mark.parametrize("name", COMPUTED)

TRUTH = Case((np.array([[True, False, True, False]]), np.array([[True], [False]])))
NUMBERS = Case((np.array([[0, 2, -3, 1]]), np.array([0.0, 2.0, 0.5, 7.0])))
WHOLE = Case((np.array([[3, -1, 2], [0, 4, -2]]), np.array([2, 1, 5])))
TIES = Case((np.array([[1.0, 3.0, 3.0], [-0.0, 0.0, -2.0]]),), {"axis": 1})
MIDDLE = Case(((2, 3, 4),), {"axes": (1,), "keepdims": True})
COUNTS = Case((np.array([[3, -1, 2], [0, 4, 2]]),), {"axes": (0,), "keepdims": False})
FAMILIES: list[tuple[str, list[Case]]] = [
    ("less less_equal greater greater_equal equal not_equal add subtract multiply", [NUMBERS, WHOLE]),
    ("maximum minimum", [WHOLE]),
    ("logical_and logical_or", [TRUTH, NUMBERS]),
    ("logical_not", [Case((np.array([True, False]),)), Case((np.array([0.0, 2.0]),))]),
    ("negative abs sign", [Case((np.array([[2, -3], [0, 1]]),))]),
    ("sum max min", [MIDDLE, COUNTS]),
    ("prod logsumexp", [MIDDLE]),
    ("argmax argmin rank", [TIES]),
    ("where", [Case((np.array([[True], [False]]), np.array([1, 2]), (2, 2)))]),
    ("cumsum", [Case((np.array([3, 1, 2]),), {"axis": 0, "reverse": False})]),
    ("cumsum", [Case(((2, 3),), {"axis": 0, "reverse": True})]),
    ("cast", [Case((np.array([0.0, 2.5, -1.5]),), {"to": "bool"}), Case(((2, 3),), {"to": "float64"})]),
    ("cast", [Case((np.array([3, -2]),), {"to": "float"}), Case((np.array([3, 0]),), {"to": "bool"})]),
    ("concatenate", [Case(((2, 3),), {"axis": 0}), Case((np.array([1, 2]), (3,)), {"axis": 0})]),
    ("einsum", [Case(((2, 3), (2, 3)), {"spec": "ij,ij->"}), Case(((4, 2, 3), (3,)), {"spec": "bij,j->bi"})]),
    ("flip", [Case(((2, 3, 4),), {"axes": (0, 2)})]),
    ("slice", [Case(((4, 5),), {"starts": (2, 0), "stops": (2, 4), "steps": (1, 2)})]),
    ("pad", [Case((np.array([[1, 2]]),), {"low": (0, 1), "high": (2, 0), "interior": (0, 0)})]),
    ("stop_gradient", [Case(((),))]),
    ("softmax log_softmax", [Case(((3,),), {"axis": 0})]),
    ("leaky_relu", [Case(((2, 3),), {"negative_slope": 0.3})]),
    ("thresholded_relu", [Case(((2, 3),), {"theta": 0.4})]),
    ("elu", [Case(((2, 3),), {"alpha": 0.5})]),
]
"""Cases besides the declared ones."""

SHAPES = {1: [((),), ((2, 1, 3),)], 2: [((), (3,)), ((4, 1, 2), (3, 1)), ((2, 1), (1, 3))]}
"""Shapes besides the declared ones, for elementwise ops with so many operands."""


# --- samples --------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Sample:
    """An op on leaves with numbers, and its derivatives: as nodes, so that both engines can be asked for them.

    Attributes:
        by: the operands that anything flows back to.
        upstream: the derivative that comes from above, a leaf.
        back: what flows back to each of ``by``.
        ways: the directions in which ``by`` move, leaves.
        moved: how the result moves then.
        feeds: numbers for every leaf.
        sizes: numbers for the names of sizes.
    """

    op: Op
    attrs: Mapping[str, Any]
    leaves: tuple[cr.Node, ...]
    node: cr.Node
    by: tuple[cr.Node, ...]
    upstream: cr.Node
    back: tuple[cr.Node, ...]
    ways: tuple[cr.Node, ...]
    moved: cr.Node
    feeds: Mapping[cr.Node, Any]
    sizes: Mapping[str, int]

    @property
    def outputs(self) -> tuple[cr.Node, ...]:
        return (self.node, *self.back, self.moved)

    @property
    def step(self) -> float:
        """For differences: in a linear function any step is exact."""
        return 1.0 if isinstance(self.op.calculus, Linear) else 1e-6

    def reference(self, moved: Mapping[cr.Node, Any] = MappingProxyType({})) -> Any:
        """What the op should give, some leaves moved elsewhere."""
        return self.op.reference(*(moved.get(n, self.feeds[n]) for n in self.leaves), **self.attrs)

    def value(self, node: cr.Node, moved: Mapping[cr.Node, Any] = MappingProxyType({}), dtype: Any = "float64") -> Any:
        """A node's numbers, some leaves moved elsewhere."""
        return interpret([node], {**self.feeds, **moved}, dtype, self.sizes)[node]

    def __str__(self) -> str:
        return f"{self.op.name} of {', '.join(str(n.shape) for n in self.leaves)} with {dict(self.attrs)}"


NAMED = {2: cr.Dim("m"), 3: cr.Dim("n"), 4: cr.Dim("k"), 5: cr.Dim("l"), 6: cr.Dim("m") * cr.Dim("n")}
SIZES = {"m": 2, "n": 3, "k": 4, "l": 5}
SETTINGS_WITH_SIZES = ("shape_to", "size", "depth")
ONLY_EXAMPLES = {
    "convolution": (1, 0),
    "convolution_transpose": (1, 0),
    "convolution_kernel": (1, 1),
    **dict.fromkeys(["max_pool", "max_unpool", "max_pick", "window_sum", "window_copy"], (1, 1)),
}
"""Ops that slide windows: how many sizes of each operand may be names."""


def symbolic(value: Any) -> Any:
    """Sizes as names."""
    return tuple(map(symbolic, value)) if isinstance(value, tuple) else NAMED.get(value, value)


def sample(op: Op, case: Case, number: int, names: bool = False) -> Sample:
    """An op tried on a case, with sizes as numbers or as names."""
    rng = np.random.default_rng([zlib.crc32(op.name.encode()), number])
    arrays = [a if isinstance(a, np.ndarray) else rng.uniform(*case.domain, a) for a in case.operands]
    attrs = {k: symbolic(v) if names and k in SETTINGS_WITH_SIZES else v for k, v in case.attrs.items()}
    kinds = {"b": "bool", "i": "int", "f": "float"}
    may = ONLY_EXAMPLES.get(op.name, (None,) * len(arrays))
    leaves = tuple(
        cr.input(letter, symbolic(a.shape[:n]) + a.shape[len(a.shape[:n]) :] if names else a.shape, kinds[a.dtype.kind])
        for letter, a, n in zip("abcdefgh", arrays, may, strict=False)
    )
    node = op(*leaves, **attrs)
    flows = [is_float(n.dtype) and is_float(node.dtype) and op.differentiable_in(k) for k, n in enumerate(leaves)]
    by = tuple(compress(leaves, flows))
    upstream = cr.input("g", node.shape, node.dtype if is_float(node.dtype) else "float")
    ways = tuple(cr.input(f"d{n.name}", n.shape) for n in by)
    back = reverse(node, by, seed=upstream).adjoints
    sizes = SIZES if names else {}
    feeds = dict(zip(leaves, arrays, strict=True))
    for leaf in (upstream, *ways):
        feeds[leaf] = rng.normal(size=[resolve(size, sizes) for size in leaf.shape])
    (moved,) = forward([node], dict(zip(by, ways, strict=True)))
    return Sample(op, attrs, leaves, node, by, upstream, tuple(back[n] for n in by), ways, moved, feeds, sizes)


def cases(op: Op) -> list[Case]:
    """The declared cases and the others; an op without any fails, with the way to mend it."""
    if op.cases is ABSENT or not op.cases or op.reference is ABSENT:
        pytest.fail(
            f"{op.name} cannot be tested: give its declaration a reference in NumPy or SciPy, and cases=(Case(shapes, "
            "settings, domain), …), its operands' shapes (or arrays), settings and the range to draw numbers from"
        )
    more = [case for names, cases in FAMILIES if op.name in names.split() for case in cases]
    if is_elementwise(op):
        first = op.cases[0]
        more += [Case(shapes, first.attrs, first.domain) for shapes in SHAPES[len(first.operands)]]
    return [*op.cases, *more]


def is_elementwise(op: Op) -> bool:
    return isinstance(op.calculus, Elementwise)


@functools.cache
def samples(name: str, names: bool = False) -> list[Sample]:
    return [sample(REGISTRY[name], case, i, names) for i, case in enumerate(cases(REGISTRY[name]))]


def close(found: Any, expected: Any, s: Sample, rtol: float = 1e-12, atol: float = 1e-13) -> None:
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol, err_msg=str(s))


def test_an_op_without_samples_fails_and_is_told_how_to_add_them():
    bare = dataclasses.replace(REGISTRY["tanh"], name="bare", cases=ABSENT)
    with pytest.raises(pytest.fail.Exception, match=r"bare cannot be tested: .*cases=\(Case\("):
        cases(bare)


def test_the_table_of_further_cases_names_ops():
    assert {name for names, _ in FAMILIES for name in names.split()} <= set(COMPUTED)


# --- value, shape and kind of number --------------------------------------------------------------------


@EVERY
def test_its_value_is_that_of_the_reference(name):
    for s in samples(name):
        close(s.value(s.node), s.reference(), s)


@EVERY
@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_shape_and_kind_of_number_are_what_numpy_gives(name, precision):
    kinds = Kinds(precision, np.int64)
    for s in samples(name):
        operands = [s.value(n, dtype=precision) for n in s.node.inputs]
        told = {"dtype": kinds.of(s.node.dtype), "shape": s.node.shape}
        found = s.op.forward(NUMPY, *operands, **{**s.attrs, **{need: told[need] for need in s.op.needs}})
        assert (found.shape, found.dtype) == (s.node.shape, kinds.of(s.node.dtype)), s


@EVERY
def test_sizes_may_be_names(name):
    for definite, named in zip(samples(name), samples(name, names=True), strict=True):
        for expected, node in zip(definite.outputs, named.outputs, strict=True):
            assert node.dtype == expected.dtype, named
            assert tuple(resolve(size, SIZES) for size in node.shape) == expected.shape, named
            close(named.value(node), definite.value(expected), named)


# --- both engines ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module", name="compiled", params=["float32", "float64"])
def _compiled(request):
    """Every sample's value and derivatives as one program."""
    every = [s for name in COMPUTED for s in samples(name)]
    program = compile_nodes([n for s in every for n in s.outputs], request.param)
    found = iter(program({leaf: array for s in every for leaf, array in s.feeds.items()}))
    return request.param, {id(s): [next(found) for _ in s.outputs] for s in every}


@EVERY
def test_numpy_and_xla_agree_on_value_and_derivatives(name, compiled):
    dtype, values = compiled
    rtol, atol = {"float32": (1e-5, 2e-6), "float64": (1e-11, 1e-13)}[dtype]
    for s in samples(name):
        for node, found in zip(s.outputs, values[id(s)], strict=True):
            expected = s.value(node, dtype=dtype)
            assert found.dtype.kind == expected.dtype.kind, s
            assert found.dtype == expected.dtype or node.dtype == "int", s
            close(found, expected, s, rtol, atol)


@EVERY
def test_simplifying_changes_no_number(name):
    for s in samples(name):
        for before, after in zip(s.outputs, rewrite(s.outputs).outputs, strict=True):
            assert (after.shape, after.dtype) == (before.shape, before.dtype), s
            close(s.value(after), s.value(before), s, atol=1e-12)


# --- derivatives ----------------------------------------------------------------------------------------


def differences(s: Sample, leaf: cr.Node, h: float | None = None) -> Any:
    """Central differences of Σ g · y, y the reference, by every entry of an operand."""
    at, g, h = s.feeds[leaf], s.feeds[s.upstream], h or s.step
    out = np.empty(at.shape)
    for index in np.ndindex(*at.shape):
        step = np.zeros(at.shape)
        step[index] = h
        up, down = s.reference({leaf: at + step}), s.reference({leaf: at - step})
        out[index] = np.sum(g * (up - down)) / (2 * h)
    return out


@EVERY
def test_reverse_mode_is_central_differences_of_the_reference(name):
    for s in samples(name):
        for leaf, downstream in zip(s.by, s.back, strict=True):
            close(s.value(downstream), differences(s, leaf), s, rtol=1e-7, atol=1e-8)


@EVERY
def test_where_nothing_flows_back_the_reference_does_not_change(name):
    if REGISTRY[name].not_differentiable.startswith("everywhere"):
        return
    for s in samples(name):
        for leaf in s.leaves if is_float(s.node.dtype) else ():
            if is_float(leaf.dtype) and leaf not in s.by:
                close(differences(s, leaf, 1e-6), 0, s)  # a larger step may lead to where another number is picked


@pytest.fixture(scope="module", name="oracle")
def _oracle():
    """jax.vjp and jax.jvp of every op's own forward, as one program."""
    every = [s for name in COMPUTED for s in samples(name) if s.by]
    kinds = Kinds(float_dtype("float64"), np.int64)

    def derivatives(s: Sample, numbers: Any) -> Any:
        fed = dict(zip(s.feeds, numbers, strict=True))

        def f(*arrays: Any) -> Any:
            moved = fed | dict(zip(s.by, arrays, strict=True))
            operands = [moved[n].astype(kinds.of(i.dtype)) for n, i in zip(s.leaves, s.node.inputs, strict=True)]
            return apply(XLA, s.node, operands, kinds, {})

        at, ways = [fed[n] for n in s.by], [fed[n] for n in s.ways]
        y, pull = jax.vjp(f, *at)
        return *pull(fed[s.upstream].astype(y.dtype)), jax.jvp(f, at, ways)[1]

    def program(numbers: Any) -> Any:
        return [derivatives(s, of) for s, of in zip(every, numbers, strict=True)]

    with jax.enable_x64(True):
        found = jax.jit(program)([list(s.feeds.values()) for s in every])
    return {id(s): list(map(np.asarray, of)) for s, of in zip(every, found, strict=True)}


@EVERY
def test_reverse_and_forward_mode_are_those_of_jax(name, oracle):
    for s in (s for s in samples(name) if s.by):
        rtol, atol = (1e-6, 1e-7) if s.node.dtype == "float32" else (1e-12, 1e-13)
        for node, expected in zip((*s.back, s.moved), oracle[id(s)], strict=True):
            close(s.value(node), expected, s, rtol, atol)


@EVERY
def test_the_gradient_of_the_gradient_is_central_differences_of_the_gradient(name):
    for s in (s for s in samples(name) if s.by):
        rng = np.random.default_rng(2)
        total = functools.reduce(cr.add, [cr.sum(rng.normal(size=n.shape) * n) for n in s.back])
        adjoints = reverse(total, [*s.by, s.upstream]).adjoints
        for leaf in (*s.by, s.upstream):
            way = rng.normal(size=leaf.shape)
            up, down = (s.value(total, {leaf: s.feeds[leaf] + h * way}) for h in (s.step, -s.step))
            found = np.sum(s.value(adjoints[leaf]) * way) if leaf in adjoints else 0.0
            close(found, (up - down) / (2 * s.step), s, rtol=1e-6, atol=1e-7)


# --- extremes -------------------------------------------------------------------------------------------


def at_extremes(op: Op) -> Sample:
    """An elementwise op at all pairs of its extremes; another one along the axis of its first case."""
    case, numbers = op.cases[0], np.array(op.extremes)
    if len(case.operands) > 1:
        return sample(op, Case(tuple(np.meshgrid(*[numbers] * len(case.operands))), case.attrs), 0)
    return sample(op, Case((np.resize(numbers, (len(numbers), 3)),), case.attrs), 0)


EXTREME = [name for name in COMPUTED if REGISTRY[name].extremes is not ABSENT]


@pytest.fixture(scope="module", name="extremes")
def _extremes():
    """Every op at its extremes, and its value and derivatives in single precision, as one program."""
    every = [at_extremes(REGISTRY[name]) for name in EXTREME]
    feeds = {leaf: array for s in every for leaf, array in s.feeds.items()}
    found = iter(compile_nodes([n for s in every for n in s.outputs], "float32")(feeds))
    return {s.op.name: (s, [next(found) for _ in s.outputs]) for s in every}


@pytest.mark.parametrize("name", EXTREME)
def test_at_the_extremes_value_and_derivatives_are_finite_and_right_in_single_precision(name, extremes):
    s, compiled = extremes[name]
    with np.errstate(all="ignore"):  # of the reference, which may be naive
        expected = s.reference()
    known = np.isfinite(expected)
    for y in (s.value(s.node, dtype="float32"), compiled[0]):
        close(y[known], expected[known], s, rtol=2e-6, atol=1e-6)
    for node, found in zip(s.outputs, compiled, strict=True):
        expected = s.value(node, dtype="float32")
        assert np.isfinite(expected).all(), s
        close(found, expected, s, rtol=1e-5, atol=1e-6)


# --- declared facts -------------------------------------------------------------------------------------

FACTS = [name for name in COMPUTED if REGISTRY[name].facts is not ABSENT]
WITH_FACTS = pytest.mark.parametrize("name", [name for name in FACTS if is_elementwise(REGISTRY[name])])
INTEGERS = np.arange(-3.0, 4.0)
"""Where these functions have their kinks, if they have any."""
AT_ITS_EDGE = {"log1p": [np.nextafter(-1.0, 0.0)]}
"""The last number inside a domain, where the declared extremes leave it out."""


def curve(name: str, xs: Any) -> tuple[Any, Any, Any]:
    """Value, slope and curvature at these x; of what an op takes besides x, −1 and 1 are tried, a row for each."""
    op, x = REGISTRY[name], cr.input("x", (len(xs),))
    rows = []
    for others in product([-1.0, 1.0], repeat=len(op.cases[0].operands) - 1):
        nodes = [op(x, *others)]
        for _ in range(2):
            adjoints = reverse(nodes[-1], [x], seed=cr.broadcast_to(1.0, x.shape)).adjoints
            nodes.append(adjoints.get(x, cr.broadcast_to(0.0, x.shape)))
        values = interpret(nodes, {x: np.asarray(xs)})
        rows.append([values[n] for n in nodes])
    return tuple(np.array(rows).swapaxes(0, 1))


def everywhere(op: Op) -> Any:
    """Points over the whole of an op's domain, the middle of it densely."""
    low, high = max(min(op.extremes), -8), min(max(op.extremes), 8)
    return np.unique(np.concatenate([op.extremes, AT_ITS_EDGE.get(op.name, []), np.linspace(low, high, 2001)]))


@pytest.mark.parametrize("name", FACTS)
def test_the_range_is_what_is_reached_and_no_more(name):
    op = REGISTRY[name]
    s = at_extremes(op)
    y = curve(name, everywhere(op))[0] if is_elementwise(op) else s.value(s.node)
    for bound, reached, outwards in zip(op.facts.range, (y.min(), y.max()), (-1, 1), strict=True):
        if np.isfinite(bound):
            assert reached == pytest.approx(bound, abs=2e-4)
            assert outwards * (reached - bound) <= 1e-5  # the digits that a bound is written with
        else:
            assert outwards * reached > 20


@WITH_FACTS
def test_it_falls_nowhere_exactly_where_it_is_declared_monotone(name):
    op = REGISTRY[name]
    y, slope, _ = curve(name, everywhere(op))
    assert (slope >= 0).all() == op.facts.monotone
    assert (np.diff(y) >= 0).all() == op.facts.monotone


@WITH_FACTS
def test_its_slope_dies_on_the_declared_sides_and_no_other(name):
    op = REGISTRY[name]
    sides = {
        side: np.abs(curve(name, end * np.linspace(0.9, 1, 50))[1]).max() < 1e-3
        for side, end in (("left", min(op.extremes)), ("right", max(op.extremes)))
    }
    words = {(True, True): "both", (True, False): "left", (False, True): "right", (False, False): "nowhere"}
    assert words[sides["left"], sides["right"]] == op.facts.saturates


@WITH_FACTS
def test_slope_and_curvature_jump_nowhere_exactly_where_it_is_declared_smooth(name):
    op = REGISTRY[name]
    inside = INTEGERS[(min(op.extremes) < INTEGERS) & (max(op.extremes) > INTEGERS)]
    below, above = curve(name, inside - 1e-7), curve(name, inside + 1e-7)
    jumps = max(np.abs(a - b).max() for a, b in zip(below, above, strict=True))
    assert (jumps < 1e-4) == op.facts.smooth


# --- structure and gate ---------------------------------------------------------------------------------


def jacobian(s: Sample, leaf: cr.Node) -> Any:
    """∂y/∂x by reverse mode, a row for each element of y."""
    back, size = s.back[s.by.index(leaf)], math.prod(s.node.shape)
    rows = [s.value(back, {s.upstream: one.reshape(s.node.shape)}).ravel() for one in np.eye(size)]
    return np.array(rows).reshape(size, math.prod(leaf.shape))


def one_in_every_row(jac: Any) -> bool:
    return bool(np.isin(jac, (0, 1)).all() and (jac.sum(axis=1) == 1).all())


def one_in_every_column(jac: Any) -> bool:
    return one_in_every_row(jac.T)


def diagonal(jac: Any, s: Sample, leaf: cr.Node) -> bool:
    """Element i of the result hangs on that element alone that is broadcast to it."""
    numbers = np.arange(math.prod(leaf.shape)).reshape(leaf.shape)
    return not jac[np.broadcast_to(numbers, s.node.shape).ravel()[:, None] != numbers.ravel()].any()


def same_line(s: Sample) -> Any:
    """Whether two elements differ in their place along the axis only."""
    rest = np.delete(np.indices(s.node.shape).reshape(s.node.ndim, -1), s.attrs["axis"], axis=0)
    return (rest[:, :, None] == rest[:, None, :]).all(axis=0)


def masked_line(jac: Any, s: Sample, leaf: cr.Node) -> bool:
    counts = np.broadcast_to(s.feeds[s.leaves[1]], s.node.shape).ravel()
    several = same_line(s) @ counts.astype(int) > 1  # of a single place the weight is always 1
    return bool(((jac != 0) == (same_line(s) & counts & counts[:, None] & several)).all())


def triangle(s: Sample) -> Any:
    ones = np.ones((math.prod(s.node.shape),) * 2)
    return np.triu(ones) if s.attrs["reverse"] else np.tril(ones)


def times_factor_is_product(jac: Any, s: Sample, leaf: cr.Node) -> bool:
    """∂y/∂x · x = y for a factor x of the product y, and 0 for all others."""
    products = jac * s.feeds[leaf].ravel()
    return bool(np.where(jac != 0, np.isclose(products, s.value(s.node).reshape(-1, 1)), products == 0).all())


STRUCTURES: dict[str, Any] = {
    "diagonal": diagonal,
    "identity": lambda jac, s, leaf: (jac == np.eye(len(jac))).all(),
    "permutation": lambda jac, s, leaf: one_in_every_row(jac) and one_in_every_column(jac),
    "selects one": lambda jac, s, leaf: one_in_every_row(jac),
    "selects rows": lambda jac, s, leaf: one_in_every_row(jac),
    "places rows": lambda jac, s, leaf: one_in_every_column(jac),
    "selects a block": lambda jac, s, leaf: one_in_every_row(jac) or one_in_every_column(jac),
    "embeds a block": lambda jac, s, leaf: one_in_every_column(jac),
    "columns of ones": lambda jac, s, leaf: one_in_every_row(jac),  # each element goes to many places
    "rows of ones": lambda jac, s, leaf: one_in_every_column(jac),  # each place takes many elements
    "triangle of ones": lambda jac, s, leaf: (jac == same_line(s) * triangle(s)).all(),
    "rows of softmax weights": lambda jac, s, leaf: (jac >= 0).all() and np.allclose(jac.sum(axis=1), 1),
    "rows of products": times_factor_is_product,
    "dense along the axis": lambda jac, s, leaf: ((jac != 0) == same_line(s)).all(),
    "windows of ones": lambda jac, s, leaf: (
        np.isin(jac, (0, 1)).all() and np.allclose(jac @ s.feeds[leaf].ravel(), s.value(s.node).ravel())
    ),
    "dense along the axis, where the mask is true": masked_line,
    "contraction": lambda jac, s, leaf: np.allclose(jac @ s.feeds[leaf].ravel(), s.value(s.node).ravel()),
}


@EVERY
def test_its_jacobian_has_the_declared_structure(name):
    op = REGISTRY[name]
    if op.arity == 0 or isinstance(op.calculus, Constant):
        assert op.structure == ("none" if op.arity == 0 else "zero")
        assert op.gate == ("leaf" if op.arity == 0 else "blocks")
        return
    for s in samples(name):
        for leaf in s.by:
            assert STRUCTURES[op.structure](jacobian(s, leaf), s, leaf), s


# --- where there is no derivative -----------------------------------------------------------------------

INF = np.inf
TIED = np.array([[[1.0], [3.0], [3.0]]])
KINKS = [
    # op, operands at the kink, the derivative by each of them, the words of the declaration
    ("abs", [0.0], [0], "0 is taken"),
    ("relu", [0.0], [0], "0 is taken"),
    ("leaky_relu", [0.0], [0.01], "the left slope"),
    ("parametric_relu", [0.0, 0.25], [0.25, 0], "the left slope"),
    ("thresholded_relu", [1.0], [0], "0 is taken"),
    ("elu", [0.0], [1], "the left slope"),
    ("selu", [0.0], [1.0507009873554805 * 1.6732632423543772], "the left slope"),
    ("hard_sigmoid", [-3.0], [0], "0 is taken"),
    ("hard_sigmoid", [3.0], [0], "0 is taken"),
    ("hard_tanh", [-1.0], [0], "0 is taken"),
    ("hard_tanh", [1.0], [0], "0 is taken"),
    ("maximum", [2.0, 2.0], [1, 0], "the first operand takes"),
    ("minimum", [2.0, 2.0], [1, 0], "the first operand takes"),
    ("max", [np.array([1.0, 3.0, 3.0])], [[0, 0.5, 0.5]], "shared equally"),
    ("min", [np.array([1.0, 1.0, 1.0])], [[1 / 3, 1 / 3, 1 / 3]], "shared equally"),
    ("max_pool", [TIED], [[[[0], [1], [0]]]], "the first of the window takes"),
    ("max_unpool", [np.ones((1, 1, 1)), TIED], [[[[1]]], None], "becomes the largest"),
    ("max_pick", [np.ones((1, 3, 1)), TIED], [[[[0], [1], [0]]], None], "becomes the largest"),
    ("where", [True, 2.0, 3.0], [None, 1, 0], "where the condition changes"),
    ("where", [False, 2.0, 3.0], [None, 0, 1], "where the condition changes"),
    ("log", [0.0], [INF], "at 0"),
    ("log1p", [-1.0], [INF], "at −1"),
    ("sqrt", [0.0], [INF], "at 0"),
    ("power", [0.0, 0.5], [INF, 0], "at x = 0 for p < 1"),
    ("power", [0.0, 2.0], [0, 0], "at x = 0 for p < 1"),
    ("power", [-2.0, 3.0], [12, np.nan], "only in x, with a whole p"),
    ("divide", [1.0, 0.0], [INF, -INF], "at b = 0"),
    ("ratio", [1.0, 0.0], [INF, -INF], "at b = 0 for a ≠ 0"),
    ("xlogy", [1.0, 0.0], [-INF, INF], "at b = 0 for a ≠ 0"),
    ("xlogy", [0.0, 0.0], [-INF, 0], "at b = 0 for a ≠ 0"),
]


@pytest.mark.parametrize(("name", "operands", "derivatives", "words"), KINKS)
def test_at_a_kink_the_declared_derivative_is_taken(name, operands, derivatives, words):
    op = REGISTRY[name]
    assert words in op.not_differentiable
    attrs = {"axes": (0,), "keepdims": False} if np.ndim(operands[0]) else {}
    if np.ndim(operands[0]) == 3:
        attrs = {"window": (3,), "strides": (3,), "padding": ((0, 0),)}
    s = sample(op, Case(tuple(np.array(o) for o in operands), attrs), 0)
    for leaf, back, expected in zip(s.by, s.back, [d for d in derivatives if d is not None], strict=True):
        np.testing.assert_allclose(s.value(back, {s.upstream: np.ones(s.node.shape)}), expected, err_msg=leaf.name)


@EVERY
def test_where_an_op_has_no_derivative_a_kink_or_a_reason_is_given(name):
    op = REGISTRY[name]
    if isinstance(op.calculus, Constant):
        assert op.not_differentiable != NOWHERE
        assert len(op.calculus.reason.split()) > 3, "a reason is a sentence"
    else:
        listed = name in [kink[0] for kink in KINKS]
        assert listed == (op.not_differentiable != NOWHERE), "KINKS lists what is taken at each kink"


# --- notation and plain data ----------------------------------------------------------------------------

PAIRS = {")": "(", "]": "[", "}": "{", "⌋": "⌊"}


def balanced(text: str) -> bool:
    open_ones = []
    for sign in text:
        if sign in PAIRS.values():
            open_ones.append(sign)
        elif sign in PAIRS and (not open_ones or open_ones.pop() != PAIRS[sign]):
            return False
    return not open_ones and text.count("|") % 2 == 0


@EVERY
def test_it_is_written_as_text_and_as_latex(name):
    for s in samples(name):
        for node in s.outputs:
            text, latex = str(node), node.latex()
            assert text.strip(), s
            assert balanced(text), text
            assert balanced(latex), latex
            assert len(re.findall(r"\\left\b", latex)) == len(re.findall(r"\\right\b", latex)), latex
            assert latex.count(r"\begin") == latex.count(r"\end"), latex
            assert not re.search(r"[^\x00-\x7f]", latex), latex
        for leaf in s.leaves:
            assert leaf.name in str(s.node), s
            assert leaf.name in s.node.latex(), s


@EVERY
def test_it_is_stored_as_plain_data_and_read_again(name):
    for s in (*samples(name), *samples(name, names=True)):
        check_legal(Graph(s.outputs))
        data = json.loads(json.dumps(to_data(s.outputs), allow_nan=False))
        again = from_data(data)
        assert to_data(again) == data
        for before, after in zip(s.outputs, again, strict=True):
            assert (str(after), after.shape, after.dtype) == (str(before), before.shape, before.dtype)
        leaves = {n.name: n for n in Graph(again).leaves()}
        feeds = {leaves[n.name]: array for n, array in s.feeds.items() if n.name in leaves}
        close(interpret(again, feeds, "float64", s.sizes)[again[0]], s.value(s.node), s)


# --- the registry ---------------------------------------------------------------------------------------


@pytest.fixture(name="fresh")
def _fresh():
    """What an op of the user's own has to say; gone from the registry afterwards."""
    known = REGISTRY["tanh"]
    yield {f.name: getattr(known, f.name) for f in dataclasses.fields(known)} | {"name": "tanh_again"}
    REGISTRY.pop("tanh_again", None)
    VOCABULARY.pop("tanh_again", None)


def test_a_complete_declaration_is_all_that_an_op_needs(fresh):
    op = declare(Op(**fresh))
    assert REGISTRY["tanh_again"] is VOCABULARY["tanh_again"] is op
    assert (op.__name__, op.__doc__) == ("tanh_again", fresh["doc"])
    x = cr.input("x", ())
    np.testing.assert_allclose(cr.evaluate(cr.gradient(op(x), x), {x: 0.3}), 1 - np.tanh(0.3) ** 2)


OPTIONAL = ("needs", "prepare", "multiply_adds", "results")


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(Op) if f.name not in OPTIONAL])
def test_a_declaration_with_a_field_left_open_is_refused_by_name(fresh, field):
    del fresh[field]
    with pytest.raises(ConfigurationError, match=rf"(?s)not complete.*given: +no {field}\b.*ABSENT"):
        declare(Op(**fresh))
    assert "tanh_again" not in REGISTRY


def test_every_open_field_is_named_and_what_an_op_lacks_is_declared_absent(fresh):
    del fresh["facts"], fresh["extremes"]
    with pytest.raises(ConfigurationError, match="no facts, extremes"):
        declare(Op(**fresh))
    assert declare(Op(**fresh, facts=ABSENT, extremes=ABSENT), public=False).facts is ABSENT
    assert "tanh_again" not in VOCABULARY


def test_a_name_is_given_once(fresh):
    with pytest.raises(ConfigurationError, match="an op named tanh is declared already"):
        declare(Op(**fresh | {"name": "tanh"}))


@pytest.mark.parametrize("operands", [(), (1.0, 2.0)])
def test_an_op_takes_as_many_operands_as_it_declares(operands):
    with pytest.raises(ConfigurationError, match=rf"(?s)tanh takes 1 operand\n.*given: +{len(operands)}"):
        cr.tanh(*operands)
