"""The loop: values against plain Python, derivatives against central differences, in both engines."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.calculus import forward, reverse
from chainrule.engine import interpret
from chainrule.engine.xla import compile_nodes
from chainrule.errors import ChainruleError, ConfigurationError, GraphError, ShapeError
from chainrule.graph import Graph, check_legal
from chainrule.graph.body import has_body, work
from chainrule.graph.serialize import from_data, to_data
from chainrule.rewrite import fast, rewrite, unrolled

RNG = np.random.default_rng(0)
M, T, K, N = 2, 5, 3, 4
FORMS = {
    "as written": lambda outputs: tuple(outputs),
    "simplified": lambda outputs: rewrite(outputs).outputs,
    "as it runs": lambda outputs: fast(rewrite(outputs).outputs).outputs,
    "step by step": lambda outputs: unrolled(outputs),
    "read from a file": lambda outputs: from_data(to_data(outputs)),
}
EVERY_FORM = pytest.mark.parametrize("form", FORMS)


def loops(*outputs):
    """A node of every piece of work that is a loop."""
    return list({work(n): n for n in Graph(outputs) if has_body(n)}.values())


class Elman:
    """A recurrent network with everything that can be differentiated by."""

    def __init__(self, backwards=False, times=T, rows=M):
        self.x = cr.input("x", (times, rows, K))
        self.W, self.U, self.b = (cr.parameter(n, s) for n, s in (("W", (K, N)), ("U", (N, N)), ("b", (N,))))
        self.h0 = cr.parameter("h0", (M, N))
        start = cr.broadcast_to(self.h0[:1], (rows, N))

        def step(h, x):
            h = cr.tanh(x @ self.W + h @ self.U + self.b).named("h")
            return h, (h * 2).named("y")

        self.last, self.every = cr.loop(step, start, self.x, reverse=backwards)
        self.leaves = (self.x, self.W, self.U, self.b, self.h0)
        sizes = ((T, M, K), (K, N), (N, N), (N,), (M, N))
        self.feeds = {n: RNG.normal(size=s) for n, s in zip(self.leaves, sizes, strict=True)}

    def expected(self, backwards=False):
        x, W, U, b, h0 = (self.feeds[n] for n in self.leaves)
        h, out = np.tile(h0[:1], (M, 1)), np.zeros((T, M, N))
        for t in reversed(range(T)) if backwards else range(T):
            h = np.tanh(x[t] @ W + h @ U + b)
            out[t] = 2 * h
        return h, out


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("sizes", [(T, M), ("T", "m")])
def test_values_are_those_of_a_plain_loop(backwards, sizes):
    net = Elman(backwards, *sizes)
    for found, expected in zip(
        cr.evaluate([net.last, net.every], net.feeds, as_written=True), net.expected(backwards), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-13)


@EVERY_FORM
@pytest.mark.parametrize("which", ["last", "every", "both"])
def test_the_gradient_is_central_differences(form, which):
    net = Elman()
    cost = cr.constant(0.0)
    if which != "every":
        cost = cost + cr.sum(cr.sin(net.last))
    if which != "last":
        cost = cost + cr.mean(net.every**2)
    adjoints = reverse(cost, net.leaves).adjoints
    found = FORMS[form]([adjoints[n] for n in net.leaves])
    names = {n.name: v for n, v in net.feeds.items()}
    values = interpret(found, names if form == "read from a file" else net.feeds)
    exact = [cr.constant(values[n]) for n in found]
    checked = cr.check_gradient(cost, net.leaves, net.feeds, gradients=exact, tolerance=1e-6)
    assert [row[2] for row in checked.rows] == [30, 12, 16, 4, 8]


@EVERY_FORM
def test_the_gradient_of_the_gradient_is_central_differences(form):
    net = Elman()
    cost = cr.mean(net.every**2) + cr.sum(net.last)
    first = reverse(cost, (net.U, net.x)).adjoints
    steep = cr.sum(first[net.U] ** 2) + cr.sum(cr.cos(first[net.x]))
    second = reverse(steep, net.leaves).adjoints
    found = FORMS[form]([second[n] for n in net.leaves])
    names = {n.name: v for n, v in net.feeds.items()}
    values = interpret(found, names if form == "read from a file" else net.feeds)
    cr.check_gradient(steep, net.leaves, net.feeds, gradients=[cr.constant(values[n]) for n in found], tolerance=1e-5)


@EVERY_FORM
def test_forward_and_reverse_mode_agree(form):
    net = Elman()
    cost = cr.mean(net.every**2) + cr.sum(cr.sin(net.last))
    adjoints = reverse(cost, net.leaves).adjoints
    ways = {n: cr.input(f"d{n.name}", n.shape) for n in net.leaves}
    feeds = {**net.feeds, **{way: RNG.normal(size=net.feeds[n].shape) for n, way in ways.items()}}
    (moved,) = FORMS[form](forward([cost], ways))
    names = {n.name: v for n, v in feeds.items()}
    found = interpret([moved], names if form == "read from a file" else feeds)[moved]
    values = interpret([adjoints[n] for n in net.leaves], feeds)
    expected = sum(np.sum(values[adjoints[n]] * feeds[ways[n]]) for n in net.leaves)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_where_only_one_operand_moves_the_others_have_no_tangent():
    net = Elman()
    way = cr.input("db", (N,))
    (moved,) = forward([net.every], {net.b: way})
    (loop,) = loops(moved)
    assert [len(loop.attrs["body"].states), len(loop.attrs["body"].slices)] == [2, 1]
    h = 1e-6
    feeds = {**net.feeds, way: RNG.normal(size=N)}
    up, down = (
        interpret([net.every], {**net.feeds, net.b: net.feeds[net.b] + s * h * feeds[way]})[net.every] for s in (1, -1)
    )
    np.testing.assert_allclose(interpret([moved], feeds)[moved], (up - down) / (2 * h), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("form", ["as written", "simplified", "as it runs"])
def test_numpy_and_xla_agree(dtype, form):
    net = Elman()
    cost = cr.mean(net.every**2) + cr.sum(net.last)
    adjoints = reverse(cost, net.leaves).adjoints
    outputs = FORMS[form]([net.last, net.every, *(adjoints[n] for n in net.leaves)])
    expected = interpret(outputs, net.feeds, dtype)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    for node, found in zip(outputs, compile_nodes(outputs, dtype)(net.feeds), strict=True):
        assert found.dtype == dtype
        np.testing.assert_allclose(found, expected[node], rtol=tolerance, atol=tolerance)


def test_all_results_of_a_loop_are_one_run_of_its_body():
    calls = []

    def step(s, x):
        calls.append(x)
        return s + x, (s, s * x)

    x = cr.input("x", (4,))
    total, (before, product) = cr.loop(step, 0.0, x)
    assert len(calls) == 1
    assert len(loops(total, before, product)) == 1
    seen = []

    class Counting(type(interpret.__globals__["NUMPY"])):
        def scan(self, *args):
            seen.append(args)
            return super().scan(*args)

    from chainrule.engine.program import Kinds, Program

    program = Program([total, before, product])
    values = program.run(Counting(), {x: np.arange(4.0)}, Kinds(np.float64, np.int64), {})
    assert len(seen) == 1
    np.testing.assert_array_equal(values[product], [0, 0, 2, 9])


def test_a_weight_gradient_is_one_product_after_the_loop():
    net = Elman()
    dW, dU, db = cr.gradient(cr.mean(net.every**2) + cr.sum(net.last), [net.W, net.U, net.b])
    assert str(dU).splitlines()[0] == "Σₜ hₜ₋₁ᵀ dz_hₜ"
    assert dW.op.name == dU.op.name == "einsum"
    assert db.op.name == "sum"
    bodies = [n.attrs["body"] for n in loops(dW, dU, db)]
    assert [b.backwards for b in bodies] == [False, True]
    assert [len(b.states) for b in bodies] == [1, 1], "nothing is added up inside"


def test_what_is_no_product_is_added_up_in_the_loop():
    x, a = cr.input("x", (T,)), cr.parameter("a", (T,))
    last, _ = cr.loop(lambda s, x: (cr.sin(a * s + x), ()), 0.3, x)
    cost = cr.sum(last)
    gradient = reverse(cost, [a]).adjoints[a]
    feeds = {x: RNG.normal(size=T), a: RNG.normal(size=T)}
    assert max(len(n.attrs["body"].states) for n in loops(gradient)) == 2
    cr.check_gradient(cost, a, feeds, gradients=[gradient])


def test_a_loop_inside_a_loop():
    x, a = cr.input("x", (4, 3)), cr.parameter("a", (2,))

    def outer(s, row):
        last, _ = cr.loop(lambda h, y: (cr.tanh(h * y + s), ()), s, row)
        return last, last

    _, every = cr.loop(outer, a, x)
    cost = cr.sum(every**2)
    feeds = {x: RNG.normal(size=(4, 3)), a: RNG.normal(size=2)}
    cr.check_gradient(cost, [a, x], feeds)
    (expected,) = cr.evaluate([cost], feeds)
    for form in FORMS.values():
        (node,) = form([cost])
        leaves = {n.name: v for n, v in feeds.items()}
        np.testing.assert_allclose(interpret([node], leaves)[node], expected)


def test_several_states_by_name_and_outputs_as_they_are_returned():
    x = cr.input("x", (5,))
    state, outputs = cr.loop(
        lambda s, x: ({"a": s["b"], "b": s["a"] + s["b"] + 0 * x["k"]}, {"seen": s["a"]}),
        {"a": 0.0, "b": 1.0},
        {"k": x},
    )
    numbers = cr.evaluate([state["a"], state["b"], outputs["seen"]], {x: np.ones(5)})
    assert [n.tolist() for n in numbers] == [5, 8, [0, 1, 1, 2, 3]]


def test_without_sequences_the_length_is_named():
    last, _ = cr.loop(lambda s: (2 * s, ()), 1.0, length=10)
    assert cr.evaluate(last) == 1024
    last, _ = cr.loop(lambda s: (2 * s, ()), 1.0, length="k")
    assert cr.evaluate(last, sizes={"k": 3}) == 8


def test_a_whole_number_may_be_state():
    count, _ = cr.loop(lambda n, x: (n + cr.cast(x > 0, "int"), ()), cr.constant(0), cr.input("x", (4,)))
    assert count.dtype == "int"
    assert cr.evaluate(count, {"x": [1.0, -1.0, 2.0, 0.0]}) == 2


def test_what_does_not_need_the_step_is_not_part_of_it():
    W, x = cr.parameter("W", (3, 3)), cr.input("x", (4, 3))
    last, _ = cr.loop(lambda h, x: (cr.tanh(x + cr.exp(W).T @ h), ()), cr.constant(np.zeros(3)), x)
    body = last.attrs["body"]
    assert "exp" not in [n.op.name for n in body.nodes]
    assert [n.op.name for n in last.inputs][-1] == "transpose"


def test_a_thousand_steps_and_a_program_whose_size_does_not_grow_with_them():
    import jax

    from chainrule.engine.program import Program
    from chainrule.engine.xla.compile import kinds_for, trace

    sizes = []
    for steps in (10, 1000):
        x, a = cr.input("x", (steps,)), cr.parameter("a", ())
        last, _ = cr.loop(lambda h, x, a=a: (cr.tanh(a * h + x), ()), 0.0, x)
        gradient = cr.gradient(last, a)
        sizes.append(len(Graph(gradient)))
        program, kinds = Program([gradient]), kinds_for("float32")
        text = jax.jit(lambda x_, a_, p=program, k=kinds, x=x, a=a: trace(p, {x: x_, a: a_}, k)).lower(
            np.zeros(steps, np.float32), np.float32(0.5)
        )
        sizes.append(len(text.as_text().splitlines()))
        feeds = {x: RNG.normal(size=steps), a: 0.5}
        cr.check_gradient(last, a, feeds)
        np.testing.assert_allclose(
            cr.compile(gradient, dtype="float64")(feeds), cr.evaluate(gradient, feeds), rtol=1e-10
        )
    assert sizes[:2] == sizes[2:]


def test_a_loop_is_legal_and_reads_back_from_plain_data():
    net = Elman()
    dU = cr.gradient(cr.sum(net.last), net.U)
    check_legal(Graph(dU))
    (again,) = from_data(to_data([dU]))
    assert str(again) == str(dU)
    assert {n.attrs["body"] for n in loops(again)} == {n.attrs["body"] for n in loops(dU)}


# --- how it is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda x: cr.loop(lambda s, x: s, 0.0, x), GraphError, "returns the state after it, and its outputs"),
        (lambda x: cr.loop(lambda s, x: ((s, s), ()), 0.0, x), GraphError, "returns each state"),
        (lambda x: cr.loop(lambda s, x: (cr.stack([s, s]), ()), x[0], x), ShapeError, "not after the step what it was"),
        (lambda x: cr.loop(lambda s: (s, ()), 0.0), ShapeError, "number of steps"),
        (lambda x: cr.loop(lambda s, x: (s, ()), 0.0, (x, x[1:])), ShapeError, "all of one length"),
        (lambda x: cr.loop(lambda s, x: (s, ()), 0.0, x, length=7), ShapeError, "number of steps"),
        (lambda x: cr.loop(lambda s, x: (s + x, ()), cr.constant(0), x), ShapeError, "kind of number"),
        (lambda x: unrolled(cr.loop(lambda s, x: (s + x, ()), 0.0, cr.input("y", ("T",)))[:1]), ShapeError, "unknown"),
    ],
)
def test_what_cannot_be_repeated_is_refused(make, error, says):
    with pytest.raises(error, match=says) as caught:
        make(cr.input("x", (4,)))
    assert isinstance(caught.value, ChainruleError)


def test_other_sizes_need_another_body():
    net = Elman()
    with pytest.raises(ShapeError, match="does not fit its body"):
        net.last.op.make((net.last.inputs[0], cr.input("x", (T, 7, K)), *net.last.inputs[2:]), net.last.attrs)
    with pytest.raises(ConfigurationError, match="an operand for each hole"):
        net.last.op.make(net.last.inputs[:-1], net.last.attrs)
