"""Traces: every op's edges against central differences and its own Jacobian, the notes' example, folding, errors."""

import json
from dataclasses import replace

import numpy as np
import pytest

import chainrule as cr
from chainrule.calculus import reverse
from chainrule.engine import interpret
from chainrule.errors import ChainruleError, GraphError
from chainrule.explain import Moment, Return
from chainrule.explain.trace import _contraction_errors, _elementwise_error, few
from chainrule.graph.graph import LEAVES
from chainrule.graph.op import ABSENT, REGISTRY, is_float

x, y, z = (cr.input(name, ()) for name in "xyz")
q, r = (x + y).named("q"), cr.maximum(y, z).named("r")
f = (q * r).named("f")
POINT = {x: 1.0, y: 2.0, z: 0.0}


def edges(trace):
    return {(e.result, e.by): (float(e.upstream), float(e.local), float(e.downstream)) for e in trace.edges}


# --- the example of every course ----------------------------------------------------------------------


def test_three_derivatives_on_every_edge():
    # f = (x + y) max(y, z) at (1, 2, 0): df/dq = r = 2, df/dr = q = 3; worked by hand
    assert edges(cr.trace(f, POINT)) == {
        ("f", "q"): (1, 2, 2),
        ("f", "r"): (1, 3, 3),
        ("r", "y"): (3, 1, 3),
        ("r", "z"): (3, 0, 0),
        ("q", "x"): (2, 1, 2),
        ("q", "y"): (2, 1, 2),
    }


def test_where_a_value_is_used_twice_its_derivatives_are_added():
    moment = cr.trace(f, POINT)["y"]
    assert (float(moment.gradient), sorted(map(float, moment.parts))) == (5, [2, 3])
    assert "used 2 times, copy adds: 3 + 2 = 5" in str(moment)


def test_gates_say_what_they_do():
    found = cr.trace(f, POINT)
    assert [found[n].gate for n in "qrf"] == ["add: distributes", "max: routes", "multiply: swaps"]


def test_steps_go_one_node_forward_and_then_one_node_back():
    found = cr.trace(f, POINT)
    seen = [found.step() for _ in range(12)]
    assert [s.symbol for s in seen[:6]] == ["x", "y", "q", "z", "r", "f"]
    assert [type(s) for s in seen] == [Moment] * 6 + [Return] * 6
    assert [s.moment.symbol for s in seen[6:]] == ["f", "r", "z", "q", "y", "x"]
    assert [e.by for e in seen[6].edges] == ["q", "r"]
    assert str(seen[7]) == (
        "∂f/∂r = 3\n"
        "  r ← y   max: routes\n    local ∂r/∂y = [y ≥ z] = [2 ≥ 0] = 1\n"
        "    downstream = upstream × local = 3 × 1 = 3\n"
        "  r ← z   max: routes\n    local ∂r/∂z = [y < z] = [2 < 0] = 0\n"
        "    downstream = upstream × local = 3 × 0 = 0"
    )
    assert repr(seen[10]) == "∂f/∂y = copy adds 3 + 2 = 5"
    assert found.step() is None
    found.rewind()
    assert found.step() is seen[0]


def test_the_local_derivative_is_written_with_the_numbers_plugged_in():
    v, w = cr.input("v", ()), cr.input("w", (2, 2))
    found = cr.trace(cr.tanh(v).named("a"), {v: 0.5})
    assert str(found.between("a", "v")[0]).split("\n")[1] == "  local ∂a/∂v = 1 − a² = 1 − 0.4621² = 0.7864"
    many = cr.trace(cr.sum(cr.sigmoid(w).named("a")), {w: [[-1.0, 2.0], [0.0, 3.0]]})
    assert cr.trace((v**2).named("a"), {v: 3.0}).edges[0].derivative == "∂a/∂v = 2 · v = 2 · 3 = 6"
    assert "∂a/∂w = a ∘ (1 − a) = 0.2689 · (1 − 0.2689) = 0.1966 at [0, 0]" in str(many)


def test_a_contraction_names_the_product_and_the_size_of_the_matrix_that_is_not_built():
    X, W = cr.input("X", ("m", 3)), cr.parameter("W", (3, 2))
    found = cr.trace(cr.sum((X @ W).named("Z")), {X: np.ones((4, 3)), W: np.ones((3, 2))})
    back_to_x, back_to_w = found.between("Z", "X")[0], found.between("Z", "W")[0]
    assert (back_to_x.rule, back_to_x.jacobian) == ("u Wᵀ", "in place of a Jacobian of 8 × 12")
    assert (back_to_w.rule, back_to_w.jacobian) == ("Xᵀ u", "in place of a Jacobian of 8 × 6")
    assert back_to_x.local is None


# --- every op -------------------------------------------------------------------------------------------


def cases():
    for name in sorted(set(REGISTRY) - set(LEAVES)):
        op = REGISTRY[name]
        for k, case in enumerate(op.cases if op.cases is not ABSENT else ()):
            yield pytest.param(op, case, id=f"{name}-{k}")


def traced(op, case):
    """An op on leaves with numbers, added up with weights to a single number, and its trace."""
    rng = np.random.default_rng(1)
    feeds = {}
    for k, operand in enumerate(case.operands):
        array = operand if isinstance(operand, np.ndarray) else np.asarray(rng.uniform(*case.domain, operand))
        feeds[cr.input(f"a{k}", array.shape, {"i": "int", "b": "bool"}.get(array.dtype.kind, "float"))] = array
    node = op(*feeds, **case.attrs).named("y")
    J = cr.sum(cr.cast(node, "float") * rng.normal(size=node.shape)).named("J")
    return J, feeds, cr.trace(J, feeds)


def test_every_op_has_a_case_to_be_traced():
    """But for leaves, random numbers, which are a leaf of the trace as well, and loops (train/test_recurrent.py)."""
    assert {p.values[0].name for p in cases()} == set(REGISTRY) - {*LEAVES, "draw", "loop"}
    noise, w = cr.draw("normal", (3,)).named("noise"), cr.parameter("w", (3,))
    found = cr.trace(cr.sum(w * noise).named("J"), {w: np.ones(3)})
    np.testing.assert_array_equal(found["w"].gradient, found["noise"].value)
    assert found["noise"].value.std() > 0


@pytest.mark.parametrize(("op", "case"), list(cases()))
def test_every_op_can_be_traced_in_every_way(op, case):
    _, feeds, found = traced(op, case)
    assert found.largest_error < (1e-6 if op.name == "cast" else 1e-12)  # a cast may round to float32
    assert [s.symbol for s in found if isinstance(s, Moment)] == [m.symbol for m in found.nodes]
    assert found["y"].gate == op.gate
    np.testing.assert_allclose(found["y"].value, op.reference(*feeds.values(), **case.attrs), rtol=1e-6, atol=1e-12)
    for edge in found.edges:
        assert edge.derivative in str(found)
        assert str(edge.downstream.tolist()) in json.dumps(found.data())
    assert str(found.svg()).startswith("<svg")
    for k, leaf in enumerate(feeds):
        flows = op.differentiable_in(k) and is_float(leaf.dtype) and is_float(found["y"].node.dtype)
        assert (found[leaf].gradient is not None) == flows


@pytest.mark.parametrize(("op", "case"), list(cases()))
def test_every_op_has_its_edges_checked_against_central_differences(op, case):
    J, feeds, found = traced(op, case)
    for leaf in feeds:
        moment = found[leaf]
        if moment.gradient is None or op.name == "cast":  # which rounds to float32
            continue
        numeric = np.zeros(leaf.shape)
        for index in np.ndindex(*leaf.shape):
            sides = []
            for h in (1e-6, -1e-6):
                moved = np.array(feeds[leaf], float)
                moved[index] += h
                sides.append(float(cr.evaluate(J, {**feeds, leaf: moved}, as_written=True)))
            numeric[index] = (sides[0] - sides[1]) / 2e-6
        np.testing.assert_allclose(moment.gradient, numeric, rtol=1e-5, atol=1e-6)


def test_a_wrong_edge_would_be_seen():
    X, W = cr.input("X", (2, 2)), cr.parameter("W", (2, 2))
    J = cr.sum(cr.tanh(X @ W))
    back = reverse(J, [X, W])
    numbers = {X: np.eye(2), W: np.full((2, 2), 0.5)}
    nodes = [n for e in back.edges for n in (e.upstream, e.local, e.downstream, e.node) if n is not None]
    values = interpret(nodes, numbers)
    product = next(e for e in back.edges if e.node.op.name == "einsum")
    slope = next(e for e in back.edges if e.node.op.name == "tanh")
    for edge, error in (
        (product, lambda e: _contraction_errors([e], values)[e]),
        (slope, lambda e: _elementwise_error(e, e.local, values)),
    ):
        assert error(edge) < 1e-15
        wrong = replace(edge, downstream=-edge.downstream)
        values[wrong.downstream] = -values[edge.downstream]
        assert error(wrong) > 0.1


# --- a network --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run():
    X = np.random.default_rng(0).normal(size=(40, 2))
    Y = np.where(X[:, 0] > X[:, 1], "left", "right")
    net = cr.Sequential(cr.Dense(3, "tanh"), cr.Dense(1, "sigmoid"))
    return cr.fit(net, X, Y, epochs=2, dtype="float64"), X, Y


def test_the_trace_of_a_run_has_the_course_s_derivatives(run):
    trained, X, Y = run
    found = trained.trace(X[:8], Y[:8])
    A1, A2, m = found["A1"].value, found["A2"].value, 8
    dZ2 = (A2 - (Y[:8, None] == "right")) / m
    np.testing.assert_allclose(found["Z2"].gradient, dZ2, atol=1e-12)
    np.testing.assert_allclose(found["W2"].gradient, A1.T @ dZ2, atol=1e-12)
    dZ1 = dZ2 @ trained.parameters["W2"].T * (1 - A1**2)
    np.testing.assert_allclose(found["Z1"].gradient, dZ1, atol=1e-12)
    np.testing.assert_allclose(found["W1"].gradient, X[:8].T @ dZ1, atol=1e-12)
    np.testing.assert_allclose(found["X"].gradient, dZ1 @ trained.parameters["W1"].T, atol=1e-12)


def test_one_example_is_a_batch_of_one(run):
    trained, X, Y = run
    one, row = trained.trace(X[3], Y[3]), trained.trace(X[3:4], Y[3:4])
    np.testing.assert_array_equal(one["W1"].gradient, row["W1"].gradient)


def test_the_stable_form_has_the_same_gradients(run):
    trained, X, Y = run
    written, stable = trained.trace(X[:5], Y[:5]), trained.trace(X[:5], Y[:5], as_written=False)
    assert "softplus" in str(stable)
    assert "softplus" not in str(written)
    np.testing.assert_allclose(written["W1"].gradient, stable["W1"].gradient, rtol=1e-10)


def test_the_data_are_ready_for_json(run):
    trained, X, Y = run
    data = json.loads(json.dumps(trained.trace(X[3], Y[3]).data()))
    by_name = {n["name"]: n for n in data["nodes"]}
    assert by_name["W1"]["shape"] == [2, 3]
    assert {e["from"] for e in data["edges"]} <= set(by_name)


def test_the_picture_has_every_value_above_and_every_derivative_below():
    picture = cr.trace(f, POINT).svg()
    above = [part.split("</text>")[0].split(">")[-1] for part in picture.split('class="above"')[1:]]
    under = [part.split("</text>")[0].split(">")[-1] for part in picture.split('class="under"')[1:]]
    assert sorted(above) == ["0", "1", "2", "2", "2", "3", "6"]  # the last is f itself, under its box
    assert sorted(under) == ["∂ 0", "∂ 1", "∂ 2", "∂ 2", "∂ 2", "∂ 3", "∂ 3"]
    assert "text.above{fill:#1d4ed8}" in picture


def test_a_network_of_thousands_of_nodes_is_folded_and_a_layer_is_opened_on_request():
    a = x_in = cr.input("x", ("m", 4))
    for _ in range(300):
        a = cr.Dense(4, "tanh")(a)
    model = cr.Model(x_in, a)
    rng = np.random.default_rng(0)
    feeds = {x_in: rng.normal(size=(1, 4)), **{p: rng.normal(size=p.shape) for p in model.parameters}}
    found = cr.trace(cr.mean(a**2), feeds)
    assert len(found.nodes) > 1500
    assert found.largest_error < 1e-12
    folded, opened = str(found), found.table(open="7")
    assert "Z300" in folded
    assert "A6 W7" not in folded
    assert "A6 W7" in opened
    assert "Z8" not in opened
    picture, opened = found.svg(), found.svg(open="7")
    for words in ("Dense 4 … Dense 297", "Dense 300"):
        assert words in picture
    assert "A6 W7" not in picture
    for words in ("A6 W7", "A7 = tanh(Z7)", "Dense 6<", "Dense 8<", "Dense 10 … Dense 297"):
        assert words in opened
    assert len(opened) < 40_000
    with pytest.raises(GraphError, match="no such layer"):
        found.svg(open="301")


def test_what_flows_back_between_folded_boxes_is_the_sum_over_its_uses():
    x_in = cr.input("x", ("m", 2))
    a = cr.Dense(2, "tanh")(x_in)
    for _ in range(50):
        a = cr.Dense(2, lambda z: cr.tanh(z) * z + z)(a)
    model = cr.Model(x_in, a)
    feeds = {x_in: np.ones((1, 2)), **{p: np.full(p.shape, 0.5) for p in model.parameters}}
    found = cr.trace(cr.mean(model.output**2), feeds)
    assert few(found["x"].gradient) in found.svg()
    assert "quantities" not in found.svg()


# --- bad input ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda t: t["qq"], "no such node.*'qq'.*x, y, q, z, r, f.*'q'"),
        (lambda t: t.between("f", "x"), "nothing flows back.*f ← x.*f ← q, f ← r"),
        (lambda t: t.table(open="9"), "no such layer.*'9'"),
    ],
)
def test_asking_for_what_is_not_there(ask, says):
    with pytest.raises(GraphError, match=f"(?s){says}"):
        ask(cr.trace(f, POINT))


def test_missing_numbers_and_outputs_that_are_no_single_number():
    with pytest.raises(ChainruleError, match="numbers are missing"):
        cr.trace(f, {x: 1.0})
    v = cr.input("v", (3,))
    with pytest.raises(ChainruleError, match="single number"):
        cr.trace(cr.tanh(v), {v: np.zeros(3)})
