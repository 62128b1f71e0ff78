"""Costs of one's own, several that take turns, parameters that rest: against the same in NumPy."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ConfigurationError, GraphError, ShapeError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
Y = X @ [1.0, -2.0, 0.5] + 0.3


def linear():
    x, y = cr.input("x", ("m", 3)), cr.input("y", ("m",))
    w, b = cr.parameter("w", (3,), initializer="zeros"), cr.parameter("b", (), initializer="zeros")
    return x, y, x @ w + b


def test_a_cost_of_ones_own_is_the_loss_by_name():
    x, y, y_hat = linear()
    options = {"optimizer": cr.GradientDescent(0.1), "epochs": 5, "batch_size": 8, "seed": 3}
    own = cr.fit(cr.Model([x, y], y_hat), {"x": X, "y": Y}, loss=(y_hat - y) ** 2, **options)
    named = cr.fit(cr.Model(x, y_hat), X, Y, loss="squared_error", **options)
    np.testing.assert_allclose(own.parameters["w"], named.parameters["w"], rtol=1e-6)
    np.testing.assert_allclose(own.history["loss"], named.history["loss"], rtol=1e-5)
    np.testing.assert_allclose(own.predict({"x": X}), named.predict(X), rtol=1e-6)
    mean = cr.fit(cr.Model([x, y], y_hat), {"x": X, "y": Y}, loss=cr.mean((y_hat - y) ** 2), **options)
    np.testing.assert_allclose(mean.parameters["w"], named.parameters["w"], rtol=1e-6)


def test_objectives_take_turns_each_after_the_other():
    """u ← u − α ∂/∂u (u − v)²/2, then v with the new u: against the same two lines in Python."""
    x, u, v = cr.input("x", ("m",)), cr.parameter("u", (), initializer=4.0), cr.parameter("v", (), initializer=-1.0)
    first = cr.Objective(0.5 * (u - v) ** 2, u, cr.GradientDescent(0.3), name="J_u")
    second = cr.Objective(0.5 * (v - 2 * u) ** 2, v, cr.GradientDescent(0.1), name="J_v")
    run = cr.fit(cr.Model(x, u * x + v), np.ones(6), loss=[first, second], epochs=2, batch_size=2)
    a, b, costs = 4.0, -1.0, []
    for _ in range(6):
        costs.append([0.5 * (a - b) ** 2])
        a -= 0.3 * (a - b)
        costs[-1].append(0.5 * (b - 2 * a) ** 2)
        b -= 0.1 * (b - 2 * a)
    assert run.parameters["u"] == pytest.approx(a, rel=1e-6)
    assert run.parameters["v"] == pytest.approx(b, rel=1e-6)
    np.testing.assert_allclose(run.history["J_u"], np.mean(np.reshape(costs, (2, 3, 2)), axis=1)[:, 0], rtol=1e-5)
    np.testing.assert_allclose(run.history["J_v"], np.mean(np.reshape(costs, (2, 3, 2)), axis=1)[:, 1], rtol=1e-5)


def adversaries():
    z, x = cr.draw("normal", ("m", 2), name="z"), cr.input("x", ("m", 2))
    G = cr.Sequential(cr.Dense(8, "tanh"), cr.Dense(2))
    D = cr.Sequential(cr.Dense(16, "leaky_relu"), cr.Dense(1))
    fake = G(z)
    real, made_up = D(x), D(fake)
    J_D = cr.mean(cr.softplus(-real) + cr.softplus(made_up))
    costs = [
        cr.Objective(J_D, D, cr.Adam(0.01, beta_1=0.5), name="J_D"),
        cr.Objective(cr.mean(cr.softplus(-made_up)), G, cr.Adam(0.003, beta_1=0.5), name="J_G"),
    ]
    return cr.Model(x, fake), costs


def test_two_adversaries_learn_where_the_data_lie(tmp_path):
    model, costs = adversaries()
    points = RNG.normal(size=(256, 2)) * 0.5 + [3, -2]
    run = cr.fit(model, points, loss=costs, epochs=300, seed=1)
    made = run.predict(np.zeros((500, 2)), seed=4)
    np.testing.assert_allclose(made.mean(axis=0), [3, -2], atol=0.6)
    assert made.std(axis=0).min() > 0.05
    assert run.history.columns == ("J_D", "J_G")
    sheet = str(run.formulas())
    assert "Backward of J_D" in sheet
    assert "Backward of J_G" in sheet
    again = cr.load(run.save(tmp_path / "run"))
    np.testing.assert_array_equal(again.predict(np.zeros((5, 2))), run.predict(np.zeros((5, 2))))
    assert str(again.formulas()) == sheet
    assert run.trace(points[0], objective="J_G").largest_error < 1e-5


def test_each_objective_moves_its_own_parameters_only():
    model, costs = adversaries()
    options = {"epochs": 1, "batch_size": None, "seed": 2}
    both = cr.fit(model, X[:, :2], loss=costs, **options)
    alone = cr.fit(model, X[:, :2], loss=costs[:1], **options)
    start = cr.fit(model, X[:, :2], loss=costs, frozen=["W1", "b1", "W2", "b2", "W3"], epochs=1)
    moved = {n for n in both.parameters if not np.array_equal(alone.parameters[n], both.parameters[n])}
    of_the_generator = {both.step.names[p].text for p in both.steps[1].learned}
    assert moved == of_the_generator
    assert {both.step.names[p].text for p in both.steps[0].learned}.isdisjoint(of_the_generator)
    assert "W3" not in {start.step.names[p].text for s in start.steps for p in s.learned}


def test_frozen_parameters_stay_as_they_are(tmp_path):
    first = cr.Dense(4, "tanh", name="first")
    network = cr.Sequential(first, cr.Dense(1))
    before = cr.fit(network, X, Y, epochs=1)
    for frozen in ("first", first, ["W_first", "b_first"], [first["W"], first["b"]]):
        run = cr.fit(before, X, Y, epochs=2, frozen=frozen)
        for name in ("W_first", "b_first"):
            np.testing.assert_array_equal(run.parameters[name], before.parameters[name])
        assert not np.array_equal(run.parameters["W1"], before.parameters["W1"])
    assert "dW_first" not in str(run.formulas())
    again = cr.load(run.save(tmp_path / "run"))
    np.testing.assert_array_equal(again.predict(X), run.predict(X))


def test_several_outputs_are_predicted_together():
    x, y = cr.input("x", ("m", 3)), cr.input("y", ("m", 1))
    h = cr.Dense(5, "tanh")(x)
    size, sign = cr.Dense(1)(h), cr.Dense(1, "sigmoid")(h)
    cost = cr.mean((size - y) ** 2) + cr.mean(cr.binary_cross_entropy(sign, cr.cast(y > 0, "float")))
    run = cr.fit(cr.Model([x, y], [size, sign]), {"x": X, "y": Y[:, None]}, loss=cost, epochs=100, learning_rate=0.02)
    sizes, signs = run.predict({"x": X})
    assert np.corrcoef(sizes[:, 0], Y)[0, 1] > 0.97
    assert np.mean((signs[:, 0] > 0.5) == (Y > 0)) > 0.9


def test_weights_of_examples_and_validation_of_a_cost_of_ones_own():
    x, y, y_hat = linear()
    model, loss = cr.Model([x, y], y_hat), (y_hat - y) ** 2
    feeds = {"x": X, "y": Y}
    run = cr.fit(model, feeds, loss=loss, epochs=3, sample_weight=np.linspace(0, 2, 40), validation_data=feeds)
    assert run.history["validation_loss"][-1] == pytest.approx(np.mean((run.predict({"x": X}) - Y) ** 2), rel=1e-5)


def linear_fit(**options):
    x, y, y_hat = linear()
    options = {"loss": (y_hat - y) ** 2, "X": {"x": X, "y": Y}} | options
    return cr.fit(cr.Model([x, y], y_hat), **options)


def missing_input():
    x, y, y_hat = linear()
    return cr.fit(cr.Model(x, y_hat), X, loss=(y_hat - y) ** 2)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: linear_fit(Y=Y), ConfigurationError, "Y belongs to a loss that compares.*labels are inputs"),
        (lambda: linear_fit(metrics=["accuracy"]), ConfigurationError, "metrics belongs to a loss"),
        (lambda: linear_fit(sample_weight=np.ones(5)), ShapeError, r"one weight for each example.*\(5,\).*\(40,\)"),
        (missing_input, GraphError, r"cost J needs an input.*also y: float \(m,\)"),
        (lambda: linear_fit(frozen="weights"), ConfigurationError, "frozen: no such parameter.*'weights'.*w, b"),
        (lambda: linear_fit(frozen=["w", "b"]), ConfigurationError, "nothing to learn"),
        (lambda: linear_fit(loss=[3]), ConfigurationError, "several costs are several objectives"),
        (lambda: cr.Objective(3.0), GraphError, "a cost is a formula.*float: 3.0"),
        (lambda: linear_fit().evaluate({"x": X, "y": Y}, Y), ConfigurationError, "no labels to be measured by"),
    ],
)
def test_what_cannot_be_minimised(call, error, says):
    with pytest.raises(error, match=f"(?s){says}"):
        call()
