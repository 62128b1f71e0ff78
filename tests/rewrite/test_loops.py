"""Rewriting inside loops, and what leaves them before they run: the numbers stay, the work changes its place."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.engine import interpret
from chainrule.graph import Graph
from chainrule.graph.body import has_body, over_time, work
from chainrule.rewrite import fast, in_phase, rewrite
from chainrule.rewrite.hoist import AFTER, BEFORE, ONE_PRODUCT, ONE_SUM

RNG = np.random.default_rng(0)
M, T, K, N = 3, 6, 4, 5


def bodies(outputs):
    return [n.attrs["body"] for n in {work(n): n for n in Graph(outputs) if has_body(n)}.values()]


def products(nodes):
    return sum(n.op.name == "einsum" for n in nodes)


def step_of(layer):
    """Cost and gradients of a small network, in stable form, and numbers for them."""
    x, y = cr.input("X", (M, T, K)), cr.input("y", (M, 1))
    out = layer(x)
    out = out if out.ndim == 2 else cr.mean(out, axis=1)
    cost = cr.mean((cr.Dense(1)(out) - y) ** 2)
    wrt = [*Graph(cost).parameters, x]
    outputs = rewrite([cost, *cr.gradient(cost, wrt)]).outputs
    feeds = {p: RNG.normal(0, 0.5, p.shape) for p in Graph(cost).parameters}
    return outputs, feeds | {x: RNG.normal(size=(M, T, K)), y: RNG.normal(size=(M, 1))}


NETWORKS = {
    "RNN": lambda: cr.RNN(N),
    "LSTM": lambda: cr.LSTM(N),
    "GRU": lambda: cr.GRU(N, return_sequences=True),
    "GRU, reset before": lambda: cr.GRU(N, reset_after=False),
    "both directions": lambda: cr.Bidirectional(cr.LSTM(N, return_sequences=True, truncate=3)),
    "two in a row": lambda: cr.Sequential(cr.LSTM(N, return_sequences=True), cr.GRU(N)),
    "no bias": lambda: cr.LSTM(N, use_bias=False),
}


@pytest.mark.parametrize("network", NETWORKS)
def test_what_runs_gives_the_same_numbers(network):
    outputs, feeds = step_of(NETWORKS[network]())
    fast_ = fast(outputs)
    before, after = interpret(outputs, feeds), interpret(fast_.outputs, feeds)
    for a, b in zip(outputs, fast_.outputs, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(after[b], before[a], rtol=1e-12, atol=1e-14)
    assert {s.rule.reason for s in fast_.log} == {"speed"}


@pytest.mark.parametrize(("network", "gates"), [("RNN", 1), ("LSTM", 4), ("GRU", 3)])
def test_one_product_stays_in_a_step_forwards_and_backwards(network, gates):
    outputs, _ = step_of(NETWORKS[network]())
    assert all(products(body.nodes) >= 2 * gates for body in bodies(outputs))
    there, back = bodies(fast(outputs).outputs)
    assert [products(there.nodes), products(back.nodes)] == [1, 1]


def test_weight_gradients_of_all_gates_are_one_product_after_the_loop():
    outputs, _ = step_of(cr.LSTM(N))
    runs = fast(outputs).outputs

    def after(nodes):
        return [n for n in Graph(nodes) if n.op.name == "einsum" and any(map(over_time, n.inputs)) and n.ndim == 2]

    assert (len(after(outputs)), len(after(runs))) == (8, 2)
    assert sorted(n.shape for n in after(runs)) == [(K, 4 * N), (N, 4 * N)]


def test_what_is_read_is_multiplied_before_the_loop_and_what_is_put_out_after_it():
    W, U, V = cr.parameter("W", (K, N)), cr.parameter("U", (N, N)), cr.parameter("V", (N, 2))
    x = cr.input("x", ("T", K))

    def step(h, x):
        h = cr.tanh(x @ W + U @ h)
        return h, cr.exp(h @ V)

    _, y = cr.loop(step, cr.constant(np.zeros(N)), x)
    (y,) = rewrite([y]).outputs
    ran = fast([y])
    (body,) = bodies(ran.outputs)
    assert products(body.nodes) == 1
    assert {s.rule.name for s in ran.log} == {"before the loop", "after the loop"}
    feeds = {
        W: RNG.normal(size=(K, N)),
        U: RNG.normal(size=(N, N)),
        V: RNG.normal(size=(N, 2)),
        x: RNG.normal(size=(7, K)),
    }
    np.testing.assert_allclose(interpret(ran.outputs, feeds)[ran.outputs[0]], interpret([y], feeds)[y], rtol=1e-12)


@pytest.mark.parametrize("done", [ONE_PRODUCT, ONE_SUM, BEFORE, AFTER], ids=lambda rule: rule.name)
def test_the_example_of_a_pass_shows_it(done):
    (before,) = rewrite([done.example()]).outputs
    ran = fast([before])
    assert done in [s.rule for s in ran.log]
    feeds = {n: RNG.normal(size=n.shape) for n in Graph(before).inputs}
    np.testing.assert_allclose(interpret(ran.outputs, feeds)[ran.outputs[0]], interpret([before], feeds)[before])


def test_state_that_nothing_wanted_needs_is_left_out():
    x = cr.input("x", (4,))
    (a, _), _ = cr.loop(lambda s, x: ((s[0] + x, cr.sin(s[0] + s[1])), ()), (0.0, 0.0), x)
    (body,) = bodies(fast([a]).outputs)
    assert len(body.states) == 1


def test_without_loops_nothing_is_touched():
    x = cr.input("x", (2, 3))
    y = cr.sum(x @ x.T)
    assert fast([y]).outputs == (y,)


def test_bodies_are_stabilised_and_simplified():
    z = cr.input("z", (4,))
    _, y = cr.loop(lambda s, z: (s + z, -cr.log(1 - cr.sigmoid(z))), 0.0, z)
    found = rewrite([y])
    assert "log" in {s.rule.name for s in found.because("stability")}
    assert np.isfinite(interpret(found.outputs, {z: [1e4, -1e4, 0, 1]})[found.outputs[0]]).all()


def test_what_a_step_does_not_use_it_does_not_read():
    x, y = cr.input("x", (4,)), cr.input("y", (4,))
    last, _ = cr.loop(lambda s, r: (s + r[0] + 0 * r[1], ()), 0.0, (x, y))
    (found,) = rewrite([last]).outputs
    assert Graph(found).inputs == (x,)


def test_dropout_inside_a_step_holds_while_it_trains_and_has_one_mask_for_all_times():
    x = cr.input("x", (50, 4))
    layer = cr.Dropout(0.5)
    _, y = cr.loop(lambda h, x: ((h + layer(x)).named("h"), layer(x)), cr.constant(np.zeros(4)), x)
    numbers = {x: np.ones((50, 4))}
    assert (cr.evaluate(y, numbers) == 1).all()
    (masked,) = in_phase([y], training=True).outputs
    found = cr.evaluate(masked, numbers, seed=3)
    assert set(np.unique(found)) <= {0, 2}
    assert (found == found[0]).all()


def test_equal_loops_become_one():
    x = cr.input("x", (4,))
    a, b = (cr.loop(lambda s, x: (cr.tanh(s + x), ()), 0.0, x)[0] for _ in range(2))
    assert a.attrs["body"] == b.attrs["body"]
    assert len(bodies(rewrite([a + 1, b * 2]).outputs)) == 1
    c, _ = cr.loop(lambda s, x: (cr.tanh(s - x), ()), 0.0, x)
    assert a.attrs["body"] != c.attrs["body"]


def test_a_second_rewriting_changes_nothing():
    outputs, _ = step_of(cr.GRU(N))
    assert rewrite(outputs).log == []
