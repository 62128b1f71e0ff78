"""Anatomy: every curve against the closed form in NumPy, sums against the prediction, cuts, figures, errors."""

import re
from functools import partial

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ConfigurationError, GraphError

RNG = np.random.default_rng(0)
LOGITS = partial(cr.binary_cross_entropy, from_logits=True)
x = np.linspace(-2, 2, 40)
GRID = np.linspace(-2, 2, 401)


def relu(z):
    return np.maximum(z, 0)


@pytest.fixture(scope="module")
def shallow():
    """Three ReLU units and a sum."""
    return cr.fit(cr.Sequential(cr.Dense(3, "relu"), cr.Dense(1)), x, np.exp(x), epochs=30, learning_rate=0.02)


@pytest.fixture(scope="module")
def deep():
    return cr.fit(cr.Sequential(cr.Dense(4, "tanh"), cr.Dense(3, "relu"), cr.Dense(1)), x, np.sin(x), epochs=20)


@pytest.fixture(scope="module")
def wide():
    """Five inputs, three classes."""
    X = RNG.normal(size=(90, 5))
    kinds = np.where(X[:, 1] > 0.5, "a", np.where(X[:, 3] > 0, "b", "c"))
    return cr.fit(cr.Sequential(cr.Dense(6, "relu"), cr.Dense(3, "softmax")), X, kinds, epochs=200), X, kinds


# --- one input --------------------------------------------------------------------------------------------


def test_a_unit_is_its_activation_of_w_x_plus_b(shallow):
    found, p = cr.anatomy(shallow, x), shallow.parameters
    for j in range(3):
        curve = relu(p["W1"][0, j] * GRID + p["b1"][j])
        np.testing.assert_allclose(found[f"A1[{j}]"].value, curve, atol=1e-6)
        np.testing.assert_allclose(found["Z2[0]"].weighted[j], p["W2"][j, 0] * curve, atol=1e-6)


def test_the_running_sum_goes_from_the_bias_to_the_prediction(shallow):
    unit, p = cr.anatomy(shallow, x)["Z2[0]"], shallow.parameters
    curves = [np.full(401, p["b2"][0])]
    for j in range(3):
        curves.append(curves[-1] + p["W2"][j, 0] * relu(p["W1"][0, j] * GRID + p["b1"][j]))
    np.testing.assert_allclose(unit.running, curves, atol=1e-5)
    np.testing.assert_allclose(unit.running[-1], shallow.predict(GRID)[:, 0], atol=1e-5)


def test_w_scales_and_mirrors_and_b_shifts(shallow):
    found, p = cr.anatomy(shallow, span=(-2, 2)), shallow.parameters
    for j in range(3):
        w, b = p["W1"][0, j], p["b1"][j]
        wanted = [relu(GRID), relu(abs(w) * GRID), *([relu(w * GRID)] if w < 0 else []), relu(w * GRID + b)]
        stages = found[f"A1[{j}]"].stages
        np.testing.assert_allclose([s.curve for s in stages], wanted, atol=1e-6)
        assert ("mirrors" in " ".join(s.words for s in stages)) == (w < 0)
        assert f"−b/w = {-b / w:.4g}".replace("-", "−") in stages[-1].words


def test_deeper_layers_take_what_the_layer_before_gives(deep):
    found, p = cr.anatomy(deep, x), deep.parameters
    A1 = np.tanh(GRID[:, None] @ p["W1"] + p["b1"])
    Z2 = A1 @ p["W2"] + p["b2"]
    unit = found["A2[1]"]
    np.testing.assert_allclose(found["A1"].values, A1, atol=1e-6)
    np.testing.assert_allclose(unit.incoming, A1.T, atol=1e-6)
    np.testing.assert_allclose(unit.weighted, (A1 * p["W2"][:, 1]).T, atol=1e-6)
    np.testing.assert_allclose(unit.running[-1], Z2[:, 1], atol=1e-6)
    np.testing.assert_allclose(unit.value, relu(Z2[:, 1]), atol=1e-6)
    assert unit.incoming_names == ("A1[0]", "A1[1]", "A1[2]", "A1[3]")
    assert unit.outgoing == {"W3[1, 0]": pytest.approx(float(p["W3"][1, 0]))}
    assert unit.stages == ()


def test_a_network_written_as_a_formula_has_layers_too():
    X = cr.input("X", ("m", 1))
    W, b, V = cr.parameter("W", (1, 2)), cr.parameter("b", (2,)), cr.parameter("V", (2, 1))
    run = cr.fit(cr.Model(X, cr.softplus(X @ W + b) @ V), x, x**2, epochs=3)
    found, p = run.anatomy(x), run.parameters
    curve = np.logaddexp(0, p["W"][0, 1] * GRID + p["b"][1])
    names = [layer.name for layer in found.layers]
    np.testing.assert_allclose(found[f"{names[0]}[1]"].value, curve, atol=1e-6)
    np.testing.assert_allclose(found.unit(2).running[-1], run.predict(GRID)[:, 0], atol=1e-5)
    assert found.unit(2).bias_name == ""


def test_a_branch_around_a_layer_comes_in_with_it():
    X = cr.input("X", ("m", 1))
    h = cr.Dense(3, "tanh")(X)
    run = cr.fit(cr.Model(X, cr.Dense(1)(cr.Dense(3, "relu")(h) + h)), x, x, epochs=3)
    unit, p = cr.anatomy(run, x).unit(3), run.parameters
    A1 = np.tanh(GRID[:, None] @ p["W1"] + p["b1"])
    np.testing.assert_allclose(unit.incoming.T, relu(A1 @ p["W2"] + p["b2"]) + A1, atol=1e-6)
    np.testing.assert_allclose(unit.running[-1], run.predict(GRID)[:, 0], atol=1e-5)


@pytest.mark.parametrize(("last", "loss"), [(None, "squared_error"), ("sigmoid", None), (None, LOGITS)])
def test_the_prediction_is_that_of_the_run(last, loss):
    network = cr.Sequential(cr.Dense(2, "tanh"), cr.Dense(1, last))
    run = cr.fit(network, x, (x > 0.5) * 1.0, loss=loss, epochs=5)
    np.testing.assert_allclose(cr.anatomy(run, x).prediction, run.predict(GRID), atol=1e-6)


def test_data_are_arrays_by_name(shallow):
    found = cr.anatomy(shallow, span=(0, 1), points=7)
    assert {name: array.shape for name, array in found.data.items()} == {
        "x": (7,),
        "Z1": (7, 3),
        "A1": (7, 3),
        "Z2": (7, 1),
    }
    assert {"x", "running", "A1[0]"} <= set(found["A1[0]"].data)
    assert "Z2[0] = " in str(found)


# --- two inputs and cuts ----------------------------------------------------------------------------------


def test_over_two_inputs_the_pieces_are_planes_with_a_bend():
    X = RNG.normal(size=(60, 2))
    run = cr.fit(cr.Sequential(cr.Dense(2, "relu"), cr.Dense(1)), X, X.prod(axis=1), epochs=5)
    found, p = cr.anatomy(run, span=((-1, 1), (-2, 2)), points=21), run.parameters
    a, b = np.meshgrid(np.linspace(-1, 1, 21), np.linspace(-2, 2, 21))
    plane = p["W1"][0, 0] * a + p["W1"][1, 0] * b + p["b1"][0]
    assert found.cut.shape == (21, 21)
    np.testing.assert_allclose(found["A1[0]"].value.reshape(21, 21), relu(plane), atol=1e-6)
    rows = np.column_stack([a.ravel(), b.ravel()])
    np.testing.assert_allclose(found["Z2[0]"].running[-1], run.predict(rows)[:, 0], atol=1e-5)


def test_the_columns_that_do_not_vary_stand_at_the_mean_or_where_they_are_told_to(wide):
    run, X, _ = wide
    found = cr.anatomy(run, X, vary=(3, 1), at={0: 2.0}, points=5)
    rows = np.tile(X.mean(axis=0), (25, 1))
    rows[:, 0] = 2.0
    a, b = (np.linspace(X[:, k].min(), X[:, k].max(), 5) for k in (3, 1))
    rows[:, 3], rows[:, 1] = (m.ravel() for m in np.meshgrid(a, b))
    np.testing.assert_allclose(found.prediction, run.predict(rows), atol=1e-6)
    named = cr.anatomy(run, X, vary=("d", "b"), at={"a": 2.0}, names=list("abcde"), points=5)
    np.testing.assert_allclose(named.prediction, found.prediction)


def test_softmax_is_the_matter_of_a_whole_row(wide):
    run, X, _ = wide
    unit = cr.anatomy(run, X, vary=1, points=9)["A2[2]"]
    assert unit.formula == "softmax(Z2)[2]"
    np.testing.assert_allclose(unit.value, cr.anatomy(run, X, vary=1, points=9).prediction[:, 2])


# --- figures ----------------------------------------------------------------------------------------------


def test_the_figure_shows_the_curves(shallow):
    found = cr.anatomy(shallow, x, np.exp(x))
    units, weighted, sums = found.figure().axes
    lines = lambda axes: [line.get_ydata() for line in axes.lines if len(line.get_xdata()) == 401]  # noqa: E731
    np.testing.assert_array_equal(lines(units), found["A1"].values.T)
    np.testing.assert_array_equal(lines(weighted), found["Z2[0]"].weighted)
    np.testing.assert_array_equal(lines(sums), found["Z2[0]"].running)
    np.testing.assert_array_equal(sums.lines[-1].get_ydata(), np.exp(x))
    assert {axes.get_xlabel() for axes in (units, weighted, sums)} == {"$x$"}
    assert len({str(line._unscaled_dash_pattern) for line in units.lines[1:]}) == 3  # told apart without colour


@pytest.mark.parametrize("name", ["A1[0]", "A2[0]", "Z3[0]"])
def test_a_unit_has_a_figure_and_a_notebook_shows_it(deep, name):
    unit = cr.anatomy(deep, x)[name]
    assert unit._repr_png_().startswith(b"\x89PNG")


def test_figures_over_two_inputs(wide):
    run, X, kinds = wide
    found = cr.anatomy(run, X, kinds, vary=(1, 3), points=9)
    assert len(found.figure(output=2).axes) == 5 + 5 + 2
    assert found._repr_png_().startswith(b"\x89PNG")
    assert found["A1[4]"]._repr_png_().startswith(b"\x89PNG")


# --- errors -----------------------------------------------------------------------------------------------


def test_thirty_inputs_and_no_choice():
    X = RNG.normal(size=(200, 30))
    run = cr.fit(cr.Sequential(cr.Dense(1)), X, 3 * X[:, 4] - 5 * X[:, 17], epochs=60, learning_rate=0.05)
    with pytest.raises(ConfigurationError) as error:
        run.anatomy(X)
    assert "30 inputs" in str(error.value)
    assert "435 two-dimensional cuts" in str(error.value)
    assert "vary=(17, 4)" in str(error.value)
    with pytest.raises(ConfigurationError, match="435 two-dimensional cuts"):
        run.anatomy()


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ({}, ["over which inputs"]),
        ({"span": (1, 0)}, ["smaller to a larger", "1 to 0"]),
        ({"span": 3}, ["pair"]),
        ({"span": (0, 1), "vary": 1}, ["no such column", "0 to 0"]),
        ({"span": (0, 1), "names": ["a", "b"]}, ["a name for each", "2 names"]),
    ],
)
def test_where_it_cannot_look(shallow, words, parts):
    with pytest.raises(ConfigurationError) as error:
        cr.anatomy(shallow, **words)
    for part in parts:
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ({"vary": (0, 1, 2)}, "1 column or 2 columns"),
        ({"vary": (1, 1)}, "different columns"),
        ({"vary": "petal width"}, "did you mean 'petal_width'"),
        ({"vary": 5}, "0 to 4"),
        ({"vary": True}, "no such column"),
        ({"vary": 0, "at": [1, 2]}, "2 numbers"),
        ({"vary": 0, "at": {"nothing": 1}}, "no such column"),
    ],
)
def test_columns_that_there_are_not(wide, words, part):
    with pytest.raises(ConfigurationError, match=re.escape(part)):
        cr.anatomy(wide[0], wide[1], names=["petal_width", "b", "c", "d", "e"], **words)


def test_a_number_for_each_column_that_stands(wide):
    with pytest.raises(ConfigurationError, match="where do the other columns stand"):
        cr.anatomy(wide[0], vary=0, span=(0, 1))


@pytest.mark.parametrize("name", ["A7[0]", "B1", "A1[3]", "A1[-1]", 3])
def test_units_that_there_are_not(shallow, name):
    with pytest.raises(ConfigurationError, match="no such"):
        cr.anatomy(shallow, x)[name]


def test_layers_that_there_are_not(shallow):
    with pytest.raises(ConfigurationError, match="1 to 2"):
        cr.anatomy(shallow, x).unit(3)


def test_networks_that_have_no_units():
    X = cr.input("X", ("m", 1))
    run = cr.fit(cr.Model(X, X * cr.parameter("w", (1,))), x, x, epochs=1)
    with pytest.raises(GraphError, match="no layer"):
        cr.anatomy(run, x)
    several = cr.Model([X, cr.input("Y2", ("m", 1))], cr.Dense(1)(X))
    run = cr.fit(several, [x, x], x, epochs=1)
    with pytest.raises(GraphError, match="one input"):
        cr.anatomy(run, x)


# --- networks that are otherwise in training --------------------------------------------------------------


def test_dropout_and_normalisation_are_as_in_prediction():
    network = cr.Sequential(
        cr.Dense(4, "relu"), cr.Dropout(0.3), cr.BatchNormalization(), cr.Dense(3, "tanh"), cr.Dense(1)
    )
    run = cr.fit(network, x, np.exp(x), epochs=5)
    found, p = cr.anatomy(run, x), run.parameters
    np.testing.assert_allclose(found.unit(3).running[-1], run.predict(GRID)[:, 0], atol=1e-5)
    np.testing.assert_allclose(found["A1[2]"].value, relu(p["W1"][0, 2] * GRID + p["b1"][2]), atol=1e-6)
    assert [layer.name for layer in found.layers] == ["A1", "A4", "Z5"]
    surface = run.surface(x, np.exp(x), ("W1[0, 0]", "b4[1]"), points=3)
    assert surface.centre_loss == pytest.approx(run.evaluate(x, np.exp(x))["loss"], rel=1e-10)
