"""Traces: every op's edges against central differences and its own Jacobian, the notes' example, folding, errors."""

import json
from dataclasses import replace

import numpy as np
import pytest

import chainrule as cr
from chainrule.calculus import reverse
from chainrule.engine import interpret
from chainrule.errors import ChainruleError, GraphError
from chainrule.explain import Moment, Passage
from chainrule.explain.trace import _contraction_errors, _elementwise_error
from chainrule.graph.op import ABSENT, REGISTRY, Constant, is_float

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


def test_steps_go_forward_node_by_node_and_then_back_edge_by_edge():
    found = cr.trace(f, POINT)
    seen = [found.step() for _ in range(12)]
    assert [s.symbol for s in seen if isinstance(s, Moment)] == ["x", "y", "q", "z", "r", "f"]
    assert [type(s) for s in seen] == [Moment] * 6 + [Passage] * 6
    assert (seen[6].result, seen[6].by) == ("f", "q")
    assert found.step() is None
    found.rewind()
    assert found.step() is seen[0]


def test_the_local_derivative_is_written_with_the_numbers_plugged_in():
    v = cr.input("v", ())
    found = cr.trace(cr.tanh(v).named("a"), {v: 0.5})
    assert str(found.between("a", "v")[0]).split("\n")[1] == "  local ∂a/∂v = 1 − a² = 1 − 0.4621² = 0.7864"


def test_a_contraction_names_the_product_and_the_size_of_the_matrix_that_is_not_built():
    X, W = cr.input("X", ("m", 3)), cr.parameter("W", (3, 2))
    found = cr.trace(cr.sum((X @ W).named("Z")), {X: np.ones((4, 3)), W: np.ones((3, 2))})
    back_to_x, back_to_w = found.between("Z", "X")[0], found.between("Z", "W")[0]
    assert (back_to_x.rule, back_to_x.jacobian) == ("u Wᵀ", "in place of a Jacobian of 8 × 12")
    assert (back_to_w.rule, back_to_w.jacobian) == ("Xᵀ u", "in place of a Jacobian of 8 × 6")
    assert back_to_x.local is None


# --- every op -------------------------------------------------------------------------------------------


def cases():
    for name in sorted(REGISTRY):
        op = REGISTRY[name]
        if op.cases is ABSENT or isinstance(op.calculus, Constant) or name == "cast":  # which rounds to float32
            continue
        yield pytest.param(op, op.cases[0], id=name)


@pytest.mark.parametrize(("op", "case"), list(cases()))
def test_every_op_has_its_edges_checked_against_central_differences(op, case):
    rng = np.random.default_rng(1)
    leaves, feeds = [], {}
    for k, operand in enumerate(case.operands):
        ready = isinstance(operand, np.ndarray)
        array = operand if ready else rng.uniform(*case.domain, operand)
        kind = {"i": "int", "b": "bool"}.get(array.dtype.kind, "float")
        leaves.append(cr.input(f"a{k}", array.shape, dtype=kind))
        feeds[leaves[-1]] = array
    node = op(*leaves, **case.attrs).named("y")
    weights = rng.normal(size=node.shape)
    J = cr.sum(node * weights)
    found = cr.trace(J, feeds)
    assert found.largest_error < 1e-12
    for leaf in leaves:
        moment = found[leaf]
        if not is_float(leaf.dtype) or not leaf.shape or moment.gradient is None:
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
    assert len(found.svg()) < 400_000


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
