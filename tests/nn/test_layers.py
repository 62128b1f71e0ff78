"""Layers against NumPy and PyTorch: shapes, parameters, names, weights that are shared, and what is refused."""

import copy
import pickle

import numpy as np
import pytest
from scipy import special

import chainrule as cr
from chainrule import nn
from chainrule.errors import ConfigurationError, DTypeError, GraphError, ShapeError
from chainrule.graph import Graph
from chainrule.graph.node import ancestors
from chainrule.notation import unique_names

RNG = np.random.default_rng(0)


def numbers(parameters):
    """Random numbers for parameters, by node."""
    return {p: RNG.normal(size=p.shape) for p in parameters}


def names(output):
    """What the named quantities of a formula are called, in the order of the computation."""
    symbols = unique_names(ancestors(output))
    return [symbols[n].text for n in ancestors(output) if n.name]


# --- Dense --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("activation", "function"),
    [(None, lambda z: z), ("relu", lambda z: np.maximum(z, 0)), (cr.softmax, lambda z: special.softmax(z, axis=-1))],
    ids=["linear", "relu", "softmax"],
)
@pytest.mark.parametrize("rows", [(7,), (), (2, 3)], ids=["a row each", "one row", "rows of rows"])
def test_dense_is_a_weighted_sum_and_an_activation(activation, function, rows):
    layer = cr.Dense(3, activation)
    x = cr.input("x", (*rows, 4))
    y = layer(x)
    assert y.shape == (*rows, 3)
    values = numbers(layer.parameters)
    X = RNG.normal(size=(*rows, 4))
    found = cr.evaluate(y, {x: X} | values)
    np.testing.assert_allclose(found, function(X @ values[layer["W"]] + values[layer["b"]]), rtol=1e-12)


def test_dense_has_a_weight_for_every_input_and_unit_and_a_bias_for_every_unit():
    layer = cr.Dense(3, "tanh")
    assert layer.parameters == ()
    y = layer(cr.input("x", ("m", 4)))
    assert [(p.name, p.shape) for p in layer.parameters] == [("W", (4, 3)), ("b", (3,))]
    assert y.shape == (cr.Dim("m"), 3)


def test_dense_without_bias():
    layer = cr.Dense(3, use_bias=False)
    x = cr.input("x", ("m", 4))
    assert str(layer(x)) == "x W1"
    assert [p.name for p in layer.parameters] == ["W"]


def test_parameters_start_as_the_layer_says():
    layer = cr.Dense(3, kernel_initializer="he_normal", bias_initializer=0.5)
    layer(cr.input("x", ("m", 4)))
    assert layer["W"].attrs["initializer"] is nn.INITIALIZERS["he_normal"]
    assert layer["b"].attrs["initializer"] == nn.Constant(0.5)


def test_parameters_start_as_keras_has_it_where_nothing_is_said():
    layer = cr.Dense(3)
    layer(cr.input("x", ("m", 4)))
    assert layer["W"].attrs["initializer"] is nn.INITIALIZERS["glorot_uniform"]
    assert layer["b"].attrs["initializer"] is nn.INITIALIZERS["zeros"]


def test_what_an_activation_learns_belongs_to_its_layer():
    layer = cr.Dense(3, "parametric_relu")
    x = cr.input("x", ("m", 4))
    y = layer(x)
    assert [(p.name, p.shape) for p in layer.parameters] == [("W", (4, 3)), ("b", (3,)), ("α", (3,))]
    assert set(layer.parameters) == set(cr.Model(x, y).parameters)
    assert names(y) == ["x", "W1", "b1", "Z1", "α1", "A1"]


@pytest.mark.parametrize("kind", ["int", "bool"])
def test_whole_numbers_and_truth_values_are_turned_into_floats(kind):
    layer = cr.Dense(2)
    x = cr.input("x", ("m", 3), dtype=kind)
    X = RNG.integers(0, 2, size=(5, 3))
    y = layer(x)
    values = numbers(layer.parameters)
    found = cr.evaluate(y, {x: X} | values)
    np.testing.assert_allclose(found, X @ values[layer["W"]] + values[layer["b"]], rtol=1e-12)


# --- names --------------------------------------------------------------------------------------------


def test_quantities_have_the_names_of_the_course_numbered_by_layer():
    x = cr.input("X", ("m", 4))
    output = cr.Sequential(cr.Dense(3, "tanh"), cr.Dense(1))(x)
    assert names(output) == ["X", "W1", "b1", "Z1", "A1", "W2", "b2", "Z2"]
    assert str(output) == "A1 W2 + b2"


def test_a_layer_with_a_name_shows_it():
    x = cr.input("X", ("m", 4))
    layer = cr.Dense(3, "tanh", name="hidden")
    assert layer.name == "hidden"
    assert names(layer(x)) == ["X", "W_hidden", "b_hidden", "Z_hidden", "A_hidden"]


def test_gradients_of_a_network_are_written_with_its_names():
    X, Y = cr.input("X", ("m", 4)), cr.input("Y", ("m", 1))
    hidden, last = cr.Dense(3, "tanh"), cr.Dense(1)
    J = cr.mean(cr.squared_error(last(hidden(X)), Y))
    assert str(cr.gradient(J, last["W"])) == "2/m · A1ᵀ (Z2 − Y)"
    assert str(cr.gradient(J, hidden["W"])) == "2/m · Xᵀ ((Z2 − Y) W2ᵀ ∘ (1 − A1²))"


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (cr.Dense(10, "relu"), "Dense(10, 'relu')"),
        (cr.Dense(1), "Dense(1, 'linear')"),
        (cr.Dense(1, cr.relu), "Dense(1, 'relu')"),
        (cr.Activation("tanh"), "Activation('tanh')"),
        (cr.ParametricReLU(), "ParametricReLU()"),
        (cr.Sequential(cr.Dense(2), cr.Flatten()), "Sequential(Dense(2, 'linear'), Flatten())"),
    ],
)
def test_a_layer_is_written_as_it_is_made(layer, text):
    assert repr(layer) == text


# --- shared weights -----------------------------------------------------------------------------------


def test_a_layer_that_is_called_twice_has_one_set_of_weights_and_their_gradients_add():
    layer = cr.Dense(3, "tanh")
    a, b = cr.input("a", ("m", 2)), cr.input("b", ("m", 2))
    J = cr.sum(layer(a) * layer(b) ** 2)
    W, bias = layer.parameters
    values = numbers(layer.parameters)
    A, B, w, c = RNG.normal(size=(5, 2)), RNG.normal(size=(5, 2)), values[W], values[bias]
    dW, db = cr.evaluate(cr.gradient(J, [W, bias]), {a: A, b: B} | values)
    f, g = np.tanh(A @ w + c), np.tanh(B @ w + c)
    through_a, through_b = g**2 * (1 - f**2), 2 * f * g * (1 - g**2)
    np.testing.assert_allclose(dW, A.T @ through_a + B.T @ through_b, rtol=1e-12)
    np.testing.assert_allclose(db, (through_a + through_b).sum(axis=0), rtol=1e-12)


def test_a_layer_in_its_own_input_is_differentiated_through_both():
    torch = pytest.importorskip("torch")
    layer = cr.Dense(3, "sigmoid")
    x = cr.input("x", ("m", 3))
    J = cr.mean(layer(layer(layer(x))))
    values = numbers(layer.parameters)
    X = RNG.normal(size=(4, 3))
    found = cr.evaluate(cr.gradient(J, list(layer.parameters)), {x: X} | values)
    peers = [torch.tensor(values[p], requires_grad=True) for p in layer.parameters]
    h = torch.tensor(X)
    for _ in range(3):
        h = torch.sigmoid(h @ peers[0] + peers[1])
    h.mean().backward()
    for f, peer in zip(found, peers, strict=True):
        np.testing.assert_allclose(f, peer.grad.numpy(), rtol=1e-12)


def test_weights_are_shared_between_batches_of_any_size_but_not_of_another_width():
    layer = cr.Dense(3)
    layer(cr.input("a", ("m", 2)))
    layer(cr.input("b", (5, 2)))
    assert len(layer.parameters) == 2
    with pytest.raises(ShapeError, match=r"(?s)Dense\(3, 'linear'\).*another width.*given: +\(m, 4\).*2 in the last"):
        layer(cr.input("c", ("m", 4)))


# --- other layers -------------------------------------------------------------------------------------


def test_an_activation_is_a_layer_of_its_own_too():
    x = cr.input("x", ("m", 3))
    X = RNG.normal(size=(4, 3))
    a = cr.Activation("sigmoid")(x)
    assert names(a) == ["x", "A1"]
    np.testing.assert_allclose(cr.evaluate(a, {x: X}), special.expit(X), rtol=1e-12)
    assert cr.Activation("linear")(x) is x


def test_an_activation_layer_learns_what_its_activation_learns():
    layer = cr.Activation("parametric_relu")
    y = layer(cr.input("x", ("m", 3)))
    assert [p.shape for p in layer.parameters] == [(3,)]
    assert set(layer.parameters) <= set(ancestors(y))


def test_flatten_makes_a_row_of_every_example():
    x = cr.input("x", ("m", 2, 3, 4))
    y = cr.Flatten()(x)
    assert y.shape == (cr.Dim("m"), 24)
    X = RNG.normal(size=(5, 2, 3, 4))
    np.testing.assert_array_equal(cr.evaluate(y, {x: X}), X.reshape(5, 24))


def test_a_layer_of_ones_own_says_what_to_make_and_what_to_compute():
    class Scale(cr.Layer):
        """Every input times a number of its own."""

        def build(self, x):
            self.parameter("s", (self.width_of(x),), 1.0)

        def apply(self, x):
            return (x * self["s"]).named("Z", self.scope)

    x = cr.input("x", ("m", 3))
    layer = Scale()
    y = cr.Dense(2)(layer(x))
    assert names(y)[:3] == ["x", "s1", "Z1"]
    s = layer["s"]
    np.testing.assert_allclose(cr.evaluate(cr.gradient(cr.sum(layer(x)), s), {x: np.ones((4, 3)), s: [1, 2, 3]}), 4)


# --- what is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize("units", [0, -1, 2.5, "3", True, None])
def test_the_number_of_units_is_a_whole_number_of_at_least_one(units):
    with pytest.raises(ConfigurationError, match="the number of units is a whole number of at least 1"):
        cr.Dense(units)


def test_the_number_of_units_may_be_numpys():
    assert cr.Dense(np.int64(3))(cr.input("x", (2,))).shape == (3,)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cr.Dense(3, "relo"), "did you mean 'relu'"),
        (lambda: cr.Activation("relo"), "did you mean 'relu'"),
        (lambda: cr.Dense(3, kernel_initializer="he"), "no such initializer"),
        (lambda: cr.Dense(3, bias_initializer="zero"), "did you mean 'zeros'"),
        (lambda: cr.Dense(3, input_dim=0), "input_dim is a whole number of at least 1"),
        (lambda: cr.Dense(3, input_dim=4)(cr.input("x", ("m", 2))), r"(?s)input_dim.*given: +4.*expected: +2"),
    ],
)
def test_a_setting_that_is_unknown_or_does_not_fit_is_refused(make, message):
    with pytest.raises(ConfigurationError, match=message):
        make()


@pytest.mark.parametrize("shape", [(), (4, "m"), ("m",)])
def test_dense_needs_a_known_number_of_inputs(shape):
    with pytest.raises(ShapeError, match=r"(?s)Dense needs a last axis of known size.*x: float.*such as \(m, 4\)"):
        cr.Dense(3)(cr.input("x", shape))


def test_a_layer_is_called_with_a_node_or_numbers():
    assert cr.Dense(3)(np.ones((2, 4))).shape == (2, 3)
    with pytest.raises(DTypeError, match=r"(?s)not a node.*str: text"):
        cr.Dense(3)("text")


@pytest.mark.parametrize("layer", [cr.Dense(3, lambda z: None), cr.Activation(lambda z: None)])
def test_an_activation_returns_a_node(layer):
    with pytest.raises(GraphError, match=r"(?s)activation <lambda> does not return a node.*NoneType"):
        layer(cr.input("x", ("m", 2)))


# --- shapes -------------------------------------------------------------------------------------------


def test_reshape_gives_every_example_another_shape_and_flatten_undoes_it():
    x = cr.input("x", ("m", 12))
    pictures = cr.Reshape((3, -1, 2))(x)
    assert pictures.shape == (x.shape[0], 3, 2, 2)
    rows = RNG.normal(size=(5, 12))
    np.testing.assert_array_equal(cr.evaluate(pictures, {x: rows}), rows.reshape(5, 3, 2, 2))
    np.testing.assert_array_equal(cr.evaluate(cr.Flatten()(pictures), {x: rows}), rows)
    with pytest.raises(ShapeError, match="12"):
        cr.Reshape((5, 3))(x)


def test_the_copy_of_a_layer_has_weights_of_its_own_until_the_layer_has_made_them():
    new = cr.Dense(3, "parametric_relu")
    copied = copy.deepcopy(new)
    x = cr.input("x", ("m", 2))
    assert copied.scope is not new.scope
    assert not set(Graph(copied(x)).parameters) & set(Graph(new(x)).parameters)
    shared = copy.deepcopy(new)
    assert Graph(shared(x)).parameters == Graph(new(x)).parameters


def test_a_pickled_network_computes_the_same_and_keeps_how_it_starts():
    network = cr.Sequential(cr.Dense(3, "relu", kernel_initializer="he_normal"), cr.Dropout(0.5), cr.Dense(1), cr.tanh)
    network.model((2,))  # its layers have made their weights
    read = pickle.loads(pickle.dumps(network))
    here, there = network.model((2,)), read.model((2,))
    assert str(there.output) == str(here.output)
    assert there.parameters[0].attrs["initializer"] == here.parameters[0].attrs["initializer"]
    assert there.parameters == read.model((2,)).parameters
