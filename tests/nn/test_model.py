"""Networks: layers in a row, and any graph between inputs and outputs; their gradients are PyTorch's."""

import numpy as np
import pytest
from scipy import special

import chainrule as cr
from chainrule import nn
from chainrule.errors import ConfigurationError, GraphError, ShapeError

RNG = np.random.default_rng(0)


def numbers(parameters):
    """Random numbers for parameters, by node."""
    return {p: RNG.normal(size=p.shape) for p in parameters}


# --- gradients ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu", "parametric_relu"])
@pytest.mark.parametrize("loss", ["binary_cross_entropy", "categorical_cross_entropy", "squared_error"])
def test_every_gradient_of_a_network_of_two_layers_is_pytorchs(activation, loss):
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    last, classes, peer_loss = {
        "binary_cross_entropy": ("sigmoid", (9, 3), lambda z, y: F.binary_cross_entropy_with_logits(z, y)),
        "categorical_cross_entropy": ("softmax", (9,), lambda z, y: F.cross_entropy(z, y)),
        "squared_error": (None, (9, 3), lambda z, y: F.mse_loss(z, y)),
    }[loss]
    whole = loss == "categorical_cross_entropy"
    X = RNG.normal(size=(9, 4))
    Y = RNG.integers(0, 3 if whole else 2, size=classes)
    x, y = cr.input("x", ("m", 4)), cr.input("y", ("m", *classes[1:]), dtype="int" if whole else "float")
    network = cr.Sequential(cr.Dense(5, activation), cr.Dense(3, last))
    J = cr.mean(nn.LOSSES[loss](network(x), y))
    values = numbers(network.parameters)
    found = cr.evaluate(cr.gradient(J, list(network.parameters)), {x: X, y: Y} | values)

    peers = {p: torch.tensor(v, requires_grad=True) for p, v in values.items()}
    W1, b1, *alpha, W2, b2 = peers.values()
    z = torch.tensor(X) @ W1 + b1
    h = F.prelu(z, *alpha) if alpha else getattr(F, activation)(z)
    cost = peer_loss(h @ W2 + b2, torch.tensor(Y) if whole else torch.tensor(Y, dtype=torch.float64))
    cost.backward()
    for gradient, peer in zip(found, peers.values(), strict=True):
        np.testing.assert_allclose(gradient, peer.grad.numpy(), rtol=1e-10, atol=1e-15)


# --- Sequential ---------------------------------------------------------------------------------------


def test_the_snippet_of_the_course():
    X = np.linspace(-2, 2, 100)
    y = np.exp(X)
    model = cr.Sequential()
    model.add(cr.Dense(units=10, activation="relu", input_dim=1))
    model.add(cr.Dense(units=5, activation="relu"))
    model.add(cr.Dense(units=1, activation="linear"))
    assert [p.shape for p in model.model().parameters] == [(1, 10), (10,), (10, 5), (5,), (5, 1), (1,)]
    assert model.model().parameter_count == 81
    run = cr.fit(model, X, y, optimizer=cr.Adam(0.01), epochs=200, seed=0)
    line = np.polyval(np.polyfit(X, y, 1), X)
    assert np.mean((run.predict(X)[:, 0] - y) ** 2) < 0.1 * np.mean((line - y) ** 2)  # it bends


@pytest.mark.parametrize(
    "network",
    [
        cr.Sequential(cr.Dense(3), cr.relu, cr.Dense(2)),
        cr.Sequential([cr.Dense(3), cr.relu, cr.Dense(2)]),
        cr.Sequential(cr.Sequential(cr.Dense(3), cr.Activation("relu")), cr.Dense(2)),
    ],
    ids=["arguments", "a list", "nested"],
)
def test_layers_in_a_row_are_composed(network):
    x = cr.input("x", ("m", 4))
    y = network(x)
    values = numbers(network.parameters)
    W1, b1, W2, b2 = values.values()
    X = RNG.normal(size=(6, 4))
    np.testing.assert_allclose(cr.evaluate(y, {x: X} | values), np.maximum(X @ W1 + b1, 0) @ W2 + b2, rtol=1e-12)


def test_a_network_is_a_sequence_of_its_layers():
    layers = [cr.Dense(3), cr.relu]
    network = cr.Sequential(*layers)
    assert list(network) == layers
    assert len(network) == 2


def test_a_layer_that_stands_twice_in_a_row_is_counted_once():
    shared = cr.Dense(3, "tanh")
    network = cr.Sequential(shared, shared)
    assert network.model((3,)).parameter_count == 12
    assert network.parameters == shared.parameters


def test_the_graph_of_a_network_is_made_once_and_anew_after_a_layer_is_added():
    network = cr.Sequential(cr.Dense(3))
    first = network.model((2,))
    assert network.model((2,)) is first
    weights = network.parameters
    network.add(cr.Dense(1))
    second = network.model((2,))
    assert [m.output.shape[-1] for m in (first, second)] == [3, 1]
    assert second.parameters[:2] == weights


@pytest.mark.parametrize("layer", ["dense", 3, None])
def test_only_a_function_can_be_added(layer):
    with pytest.raises(ConfigurationError, match=r"(?s)a layer is a function from node to node.*Dense\(10, 'relu'\)"):
        cr.Sequential().add(layer)


def test_a_class_in_place_of_a_layer_is_refused_with_a_hint():
    with pytest.raises(ConfigurationError, match=r"hint: +make one by calling its class"):
        cr.Sequential(cr.Dense)


def test_a_layer_returns_a_node():
    with pytest.raises(GraphError, match=r"(?s)the layer .*lambda.* does not return a node.*NoneType"):
        cr.Sequential(lambda x: None, cr.Dense(1))(cr.input("x", ("m", 2)))


def test_an_empty_network_computes_nothing():
    with pytest.raises(ConfigurationError, match=r"(?s)the network has no layers.*network\.add"):
        cr.Sequential()(cr.input("x", ("m", 2)))


@pytest.mark.parametrize("layers", [[], [cr.Dense(3)], [cr.relu]])
def test_without_input_dim_the_number_of_inputs_is_asked_for(layers):
    with pytest.raises(ShapeError, match=r"(?s)number of inputs is not known yet.*input_dim=4"):
        cr.Sequential(*layers).model()


# --- Model --------------------------------------------------------------------------------------------


def test_a_skip_connection_adds_what_came_in_and_both_ways_are_differentiated():
    x = cr.input("x", ("m", 3))
    layer = cr.Dense(3, "tanh")
    model = cr.Model(x, layer(x) + x)
    assert model.parameter_count == 12
    values = numbers(model.parameters)
    W, b = values.values()
    X = RNG.normal(size=(5, 3))
    h = np.tanh(X @ W + b)
    np.testing.assert_allclose(cr.evaluate(model.output, {x: X} | values), h + X, rtol=1e-12)
    dx = cr.evaluate(cr.gradient(cr.sum(model.output), x), {x: X} | values)
    np.testing.assert_allclose(dx, (1 - h**2) @ W.T + 1, rtol=1e-12)


def test_two_inputs_are_joined_and_two_outputs_branch():
    a, b = cr.input("a", ("m", 2)), cr.input("b", ("m", 3))
    trunk, price, kind = cr.Dense(4, "tanh"), cr.Dense(1), cr.Dense(3, "softmax")
    h = trunk(cr.concatenate([a, b], axis=1))
    model = cr.Model([a, b], [price(h), kind(h)])
    assert (model.inputs, len(model.outputs)) == ((a, b), 2)
    assert model.parameters == (*trunk.parameters, *price.parameters, *kind.parameters)
    values = numbers(model.parameters)
    W, c, W1, c1, W2, c2 = values.values()
    A, B = RNG.normal(size=(5, 2)), RNG.normal(size=(5, 3))
    feeds = {a: A, b: B} | values
    H = np.tanh(np.hstack([A, B]) @ W + c)
    one, two = cr.evaluate(model.outputs, feeds)
    np.testing.assert_allclose(one, H @ W1 + c1, rtol=1e-12)
    np.testing.assert_allclose(two, special.softmax(H @ W2 + c2, axis=1), rtol=1e-12)
    # What the trunk learns from both is the sum of what it learns from each.
    costs = [cr.sum(o**2) for o in model.outputs]
    alone = [cr.evaluate(cr.gradient(J, trunk["W"]), feeds) for J in costs]
    np.testing.assert_allclose(cr.evaluate(cr.gradient(costs[0] + costs[1], trunk["W"]), feeds), sum(alone), rtol=1e-12)


def test_a_model_is_a_function_with_its_weights_for_other_operands():
    x = cr.input("x", ("m", 2))
    model = cr.Model(x, cr.Dense(3, "tanh")(x))
    other = cr.input("other", ("k", 2))
    y = model(2 * other)
    assert y.shape == (cr.Dim("k"), 3)
    assert cr.Model(other, y).parameters == model.parameters
    values = numbers(model.parameters)
    X = RNG.normal(size=(4, 2))
    W, b = values.values()
    np.testing.assert_allclose(cr.evaluate(y, {other: X} | values), np.tanh(2 * X @ W + b), rtol=1e-12)


def test_the_number_of_parameters_counts_every_number_once():
    x = cr.input("x", ("m", 20))
    network = cr.Sequential(cr.Dense(32, "relu"), cr.Dense(32, "relu", use_bias=False), cr.Dense(1))
    assert cr.Model(x, network(x)).parameter_count == 20 * 32 + 32 + 32 * 32 + 32 + 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda a, b: cr.Model(a, a + b), r"(?s)input that the model does not name.*given: +a.*expected: +also b"),
        (lambda a, b: cr.Model([], a), "the inputs of a model are nodes"),
        (lambda a, b: cr.Model(None, a), r"(?s)the inputs of a model are nodes.*None"),
        (lambda a, b: cr.Model(a, "a"), "the outputs of a model are nodes"),
        (lambda a, b: cr.Model([a, b], [a, b]).output, r"(?s)several outputs.*given: +2"),
        (lambda a, b: cr.Model(a, a)(a, b), r"(?s)one operand for every input.*given: +2.*expected: +1"),
    ],
)
def test_a_model_names_every_input_and_only_nodes(make, message):
    with pytest.raises(GraphError, match=message):
        make(cr.input("a", ("m", 2)), cr.input("b", ("m", 2)))


def test_a_model_is_not_called_with_another_width():
    x = cr.input("x", ("m", 2))
    with pytest.raises(ShapeError, match=r"other \(m, 3\) and W1? \(2, 4\)"):
        cr.Model(x, cr.Dense(4)(x))(cr.input("other", ("m", 3)))


# --- what counts as a network -------------------------------------------------------------------------


def test_a_network_is_a_sequential_a_model_a_node_or_a_function():
    x = cr.input("x", ("m", 2))
    layer = cr.Dense(3)
    model = nn.Model(x, layer(x))
    network = cr.Sequential(layer)
    assert nn.as_model(model, (2,)) is model
    assert nn.as_model(network, (2,)) is network.model((2,))
    for value in (layer(x), layer, lambda z: layer(z)):
        made = nn.as_model(value, (2,))
        assert made.parameters == layer.parameters
        assert made.output.shape == (cr.Dim("m"), 3)


def test_a_formula_of_two_inputs_is_not_a_network_by_itself():
    with pytest.raises(GraphError, match=r"(?s)one input.*given: +a, b.*cr\.Model\(inputs, output\)"):
        nn.as_model(cr.input("a", ("m", 2)) + cr.input("b", ("m", 2)), (2,))


def test_anything_else_is_refused():
    with pytest.raises(ConfigurationError, match=r"(?s)not a network.*given: +int.*Sequential"):
        nn.as_model(3, (2,))


# looking into a network and changing it


def three():
    x = cr.input("x", ("m", 4))
    h = cr.Dense(8, "relu", name="hidden")(x)
    return x, h, cr.Model(x, cr.Dense(2)(cr.Dropout(0.5)(h)))


def test_a_summary_counts_as_one_does_by_hand():
    summary = three()[2].summary()
    assert [layer.kind for layer in summary] == ["Dense", "Dropout", "Dense"]
    assert [layer.parameter_count for layer in summary] == [4 * 8 + 8, 0, 8 * 2 + 2]
    assert [layer.multiply_adds for layer in summary] == [4 * 8, 0, 8 * 2]
    assert (summary.parameter_count, summary.multiply_adds) == (58, 48)
    assert str(summary).splitlines()[1].split()[:5] == ["hidden", "Dense", "(m,", "8)", "40"]


def test_weights_that_are_used_twice_are_counted_once_and_work_twice():
    x, layer = cr.input("x", ("m", 4)), cr.Dense(4)
    summary = cr.Model(x, layer(layer(x))).summary()
    assert (summary.parameter_count, summary.multiply_adds) == (20, 32)


def test_a_sequential_network_is_summarised_when_its_input_is_known():
    network = cr.Sequential(cr.Dense(3, input_dim=2), cr.Dense(1))
    assert network.summary().parameter_count == 13
    assert cr.Sequential(cr.Dense(3)).summary((5,)).parameter_count == 18


def test_layers_are_found_replaced_and_taken_out():
    network = cr.Sequential(cr.Dense(3, "relu", name="first"), cr.Dense(2, name="second"), cr.Dense(1))
    assert network["first"] is network[0]
    network["second"] = cr.Dense(5, name="wider")
    assert [getattr(layer, "units", None) for layer in network] == [3, 5, 1]
    assert network.pop().units == 1
    assert len(network[:1]) == 1
    for key, says in (("wide", "did you mean 'wider'"), (7, "0 to 1, or first, wider")):
        with pytest.raises(ConfigurationError, match=f"(?s)no such layer.*{says}"):
            network[key]


def test_a_quantity_is_found_by_its_name_and_another_put_in_its_place():
    x, _, model = three()
    smooth = model.replace("A_hidden", cr.tanh)
    assert str(smooth["A_hidden"]) == "ReLU(Z_hidden)"
    ones = {n: np.ones(n.shape) if n.ndim > 1 else np.zeros(n.shape) for n in smooth.parameters}
    found = cr.evaluate(smooth.output, ones | {x: np.ones((3, 4))})
    np.testing.assert_allclose(found, 8 * np.tanh(4))
    with pytest.raises(GraphError, match=r"(?s)no such quantity.*did you mean 'A_hidden'"):
        model["A_hiden"]
    with pytest.raises(ShapeError, match=r"(?s)another shape.*\(m, 4\).*\(m, 8\)"):
        model.replace("A_hidden", x)


def test_a_trained_network_is_cut_and_its_head_replaced():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 4))
    first = cr.fit(cr.Sequential(cr.Dense(6, "tanh", name="body"), cr.Dense(1)), X, X[:, 0], epochs=5)
    features = first.model["A_body"]
    second = cr.Model(first.model.inputs, cr.Dense(3, "softmax")(features))
    run = cr.fit(second, X, rng.integers(0, 3, 50), start=first, frozen="body", epochs=2)
    np.testing.assert_array_equal(run.parameters["W_body"], first.parameters["W_body"])
    by_name = cr.fit(second, X, rng.integers(0, 3, 50), start={"W_body": np.zeros((4, 6))}, frozen="body", epochs=1)
    assert not by_name.parameters["W_body"].any()
    with pytest.raises(ConfigurationError, match=r"(?s)parameter that the network has not.*did you mean 'W_body'"):
        cr.fit(second, X, rng.integers(0, 3, 50), start={"W_bod": 0})
    with pytest.raises(ShapeError, match=r"(?s)another shape.*\(\).*\(4, 6\)"):
        cr.fit(second, X, rng.integers(0, 3, 50), start={"W_body": 0})


def test_a_kind_of_network_is_not_a_network():
    with pytest.raises(ConfigurationError, match=r"(?s)a kind of network.*Sequential\(…\)"):
        cr.fit(cr.Sequential, np.eye(4), np.ones(4))


def test_a_function_whose_argument_is_missing_is_told_so():
    def network(width):
        return cr.Sequential(cr.Dense(width), cr.Dense(1))

    with pytest.raises(ConfigurationError, match="is an argument missing of the function"):
        cr.sweep(network, np.eye(4), np.ones(4))
