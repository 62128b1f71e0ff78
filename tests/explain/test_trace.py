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
from chainrule.explain.numbers import brief
from chainrule.explain.trace import Trace, _contraction_errors, _elementwise_error, few
from chainrule.graph.graph import LEAVES
from chainrule.graph.op import ABSENT, REGISTRY, is_float
from chainrule.notation import columns

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


def test_json_knows_no_nan_so_it_is_a_word():
    x = cr.input("x", (4,))
    trace = cr.trace(cr.sum(cr.log(x) * x), {x: [0.0, 1.0, np.inf, np.nan]})
    text = json.dumps(trace.data(), allow_nan=False)
    (logarithm,) = (n for n in json.loads(text)["nodes"] if n["op"] == "log")
    assert logarithm["value"] == ["-Infinity", 0.0, "Infinity", "NaN"]


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


# --- a row of a batch -------------------------------------------------------------------------------------


def rows_and_batch(J, feeds, rows):
    return [Trace(J, feeds, None, None, row=k) for k in range(rows)], Trace(J, feeds, None, None)


def test_a_row_shows_what_it_adds_to_the_derivatives_by_parameters():
    rng = np.random.default_rng(0)
    x, y = cr.input("X", ("m", 3)), cr.input("Y", ("m", 1))
    W, b, V = cr.parameter("W", (3, 4)), cr.parameter("b", (4,)), cr.parameter("V", (4, 1))
    J = (cr.mean((cr.tanh(x @ W + b) @ V - y) ** 2)).named("J")
    feeds = {n: rng.normal(size=s) for n, s in ((x, (5, 3)), (y, (5, 1)), (W, (3, 4)), (b, (4,)), (V, (4, 1)))}
    rows, batch = rows_and_batch(J, feeds, 5)
    for k, row in enumerate(rows):  # by hand
        a = np.tanh(feeds[x][k] @ feeds[W] + feeds[b])
        dz2 = 2 / 5 * (a @ feeds[V] - feeds[y][k])
        dz1 = dz2 * feeds[V][:, 0] * (1 - a**2)
        np.testing.assert_allclose(row["V"].gradient, np.outer(a, dz2), rtol=1e-12)
        np.testing.assert_allclose(row["b"].gradient, dz1, rtol=1e-12)
        np.testing.assert_allclose(row["W"].gradient, np.outer(feeds[x][k], dz1), rtol=1e-12)
        (edge,) = [e for e in row.edges if e.by == "b"]
        np.testing.assert_allclose(edge.upstream.sum(axis=0), edge.downstream)
        assert f"of the whole batch, for it belongs to no row: {', '.join(batch_only(row))}" in str(row)
    for name in ("W", "b", "V"):
        np.testing.assert_allclose(sum(r[name].gradient for r in rows), batch[name].gradient, rtol=1e-12)


def batch_only(row):
    return [m.symbol for m in row.nodes if m.node.op.name == "sum" or m.symbol == "J"]


def test_the_parts_of_the_rows_go_through_what_is_made_from_a_parameter_and_leave_a_penalty_aside():
    rng = np.random.default_rng(1)
    x, W = cr.input("X", ("m", 3)), cr.parameter("W", (3, 3))
    J = (cr.sum(cr.tanh(x @ W) @ cr.transpose(W)) + 0.1 * cr.sum(W**2)).named("J")
    feeds = {x: rng.normal(size=(6, 3)), W: rng.normal(size=(3, 3))}
    rows, batch = rows_and_batch(J, feeds, 6)
    np.testing.assert_allclose(sum(r["W"].gradient for r in rows) + 0.2 * feeds[W], batch["W"].gradient, rtol=1e-12)
    for row in rows:
        np.testing.assert_allclose(sum(row["W"].parts), row["W"].gradient)
        penalty = next(m.symbol for m in row.nodes if m.node.op.name == "power")
        assert f"{penalty} ← W" in str(row).splitlines()[-1]


def test_a_row_of_a_recurrent_network_is_taken_out_of_steps_that_come_first():
    rng = np.random.default_rng(2)
    X = rng.normal(size=(12, 5, 2))
    run = cr.fit(cr.Sequential(cr.RNN(3), cr.Dense(1)), X, X.sum((1, 2)), epochs=1, batch_size=6, dtype="float64")
    moment = run.at(step=1)
    rows, batch = [moment.trace(k) for k in range(6)], moment.trace()
    for name in run.parameters:
        np.testing.assert_allclose(sum(r[name].gradient for r in rows), batch[name].gradient, atol=1e-12)
    assert all(m.value.shape == (5, 1, 2) for r in rows for m in r.nodes if m.node.op.name == "transpose")


# --- numbers that are none --------------------------------------------------------------------------------


def test_what_is_not_finite_is_said_not_to_have_been_checked():
    x, w = cr.input("x", (4,)), cr.parameter("w", (1,))
    J = cr.sum(cr.log(x) * w).named("J")
    found = cr.trace(J, {x: np.array([1.0, 2.0, 0.0, 3.0]), w: np.array([0.0])})
    bad = [(e.result, e.by) for e in found.edges if np.isnan(e.error)]
    log = next(m.symbol for m in found.nodes if m.node.op.name == "log")
    assert (log, "x") in bad
    assert any(by == "w" for _, by in bad)
    text = str(found)
    assert f"on {len(found.edges) - len(bad)} of {len(found.edges)} edges, to 0e+00" in text
    assert "0 × inf and inf − inf are NaN" in text
    assert "[0 0.6931 … −inf … 1.099] (4,)" in text  # the bad one is not hidden
    assert found.largest_error == 0


def test_a_product_that_is_added_up_says_so():
    x, b = cr.input("x", (2, 2)), cr.parameter("b", (2,))
    found = cr.trace(cr.sum((x * b) ** 2).named("J"), {x: np.ones((2, 2)), b: np.array([1.0, 2.0])})
    (edge,) = [e for e in found.edges if e.by == "b"]
    assert "downstream = Σ upstream × local = " in str(edge)
    assert "Σ [4 8]" in str(found)


@pytest.mark.parametrize("width", [1, 3, 200])
def test_the_table_fits_a_terminal_of_100_columns(width):
    rng = np.random.default_rng(3)
    X = 1e-5 * rng.normal(size=(30, width))
    run = cr.fit(cr.Sequential(cr.Dense(width, "tanh"), cr.Dense(width, "tanh"), cr.Dense(1)), X, X.sum(1), epochs=1)
    for text in (str(run.trace(X[:9], X[:9].sum(1))), str(run.at(step=0).trace(3))):
        assert max(map(columns, text.splitlines())) <= 100
        assert "∂A1/∂Z1 = 1 − A1²" in text


def test_a_number_that_differs_is_not_hidden_among_equal_ones():
    assert brief(np.array([0, 0, 0, 5, 0, 7, 0])) == "[0 0 … 5 … 0] (7,)"
    assert brief(np.array([0, 1, 0, 5, 0])) == "[0 1 … 0] (5,)"
    assert brief(np.array([np.inf, 1, np.nan, 2])) == "[inf 1 … 2] (4,)"
    assert brief(np.zeros(9), 2) == "[0 … 0] (9,)"
