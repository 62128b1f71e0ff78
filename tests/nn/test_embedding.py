"""Embeddings against PyTorch, positions against the paper's formula, padding that is noted, and what is refused."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ConfigurationError, DataError, DTypeError, ShapeError

RNG = np.random.default_rng(0)
X = RNG.integers(0, 20, (64, 6))


def test_value_and_gradient_are_those_of_pytorch():
    torch = pytest.importorskip("torch")
    layer, x, g = cr.Embedding(20, 4), cr.input("X", (64, 6), dtype="int"), RNG.normal(size=(64, 6, 4))
    y = layer(x)
    W = RNG.normal(size=(20, 4))
    feeds = {x: X, layer["W"]: W}
    w = torch.tensor(W, requires_grad=True)
    expected = torch.nn.functional.embedding(torch.tensor(X), w)
    (expected * torch.tensor(g)).sum().backward()
    outputs = [y, cr.gradient(cr.sum(y * g), layer["W"])]
    for found in (cr.evaluate(outputs, feeds), cr.compile(outputs, dtype="float64")(feeds)):
        np.testing.assert_allclose(found[0], expected.detach().numpy(), rtol=1e-12)
        np.testing.assert_allclose(found[1], w.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_the_gradient_is_a_scatter_and_never_a_table_of_ones():
    """Its work does not grow with the vocabulary: nothing of the size (numbers, vocabulary) is ever made."""
    layer = cr.Embedding(50_000, 8)
    x = cr.input("X", ("m", 6), dtype="int")
    dW = cr.gradient(cr.sum(layer(x) ** 2), layer["W"])
    assert str(dW) == "2 · scatter(A1, X)"
    assert [n.op.name for n in cr.Graph(dW) if 50_000 in n.shape[1:]] == []


def test_a_network_that_begins_with_an_embedding_takes_whole_numbers():
    network = cr.Sequential(cr.Embedding(20, 4), cr.Flatten(), cr.Dense(1, "sigmoid"))
    run = cr.fit(network, X, (X == 3).any(axis=1).astype(float), epochs=40, learning_rate=0.02, seed=1)
    assert run.model.inputs[0].dtype == "int"
    assert run.evaluate(X, (X == 3).any(axis=1).astype(float))["accuracy"] > 0.95
    assert run.step.parameter_names.keys() == {"W1", "W2", "b2"}
    assert "A1   = W1[X]" in str(run.formulas())
    assert run.model.summary().layers[0].shape[1:] == (6, 4)


def test_a_function_that_takes_whole_numbers_says_so():
    layer = cr.Embedding(20, 2)
    outer = cr.Sequential(cr.Sequential(layer), cr.Flatten())
    assert outer.model((6,)).inputs[0].dtype == "int"
    assert cr.nn.as_model(layer, (6,)).inputs[0].dtype == "int"
    assert cr.nn.as_model(cr.Dense(2), (6,)).inputs[0].dtype == "float"


def test_it_takes_sequences_of_another_length_with_the_same_weights():
    layer = cr.Embedding(20, 4)
    a = layer(cr.input("a", ("m", 6), dtype="int"))
    b = layer(cr.input("b", ("m", 9), dtype="int"))
    assert (a.shape[1:], b.shape[1:], len(layer.parameters)) == ((6, 4), (9, 4), 1)


@pytest.mark.parametrize(("number", "words"), [(20, "input_dim = 21"), (-1, "from 0 to 19")])
def test_a_number_that_is_not_in_the_table_is_refused_with_its_place(number, words):
    network = cr.Sequential(cr.Embedding(20, 4), cr.Flatten(), cr.Dense(1))
    bad = X.copy()
    bad[5, 2] = number
    with pytest.raises(DataError, match=rf"(?s){number} in row 5, step 2.*from 0 to 19") as caught:
        cr.fit(network, bad, X[:, 0], epochs=1)
    assert words in str(caught.value)
    run = cr.fit(network, X, X[:, 0], epochs=1)
    with pytest.raises(DataError, match="row 5, step 2"):
        run.predict(bad)


def test_floats_are_refused_where_rows_are_picked():
    with pytest.raises(DTypeError, match=r"(?s)embedding takes whole numbers.*dtype='int'"):
        cr.Embedding(20, 4)(cr.input("x", ("m", 6)))
    with pytest.raises(DTypeError, match=r"takes whole numbers"):
        cr.fit(cr.Sequential(cr.Embedding(20, 4), cr.Flatten(), cr.Dense(1)), X + 0.5, X[:, 0], epochs=1)


def test_token_numbers_are_no_inputs_that_lack_a_scale():
    network = cr.Sequential(cr.Embedding(5000, 4), cr.Flatten(), cr.Dense(1))
    run = cr.fit(network, X * 200, X[:, 0] / 20, epochs=2, watch=True)
    assert "not scaled" not in str(run.why()).split("found nothing")[0]


# --- padding ------------------------------------------------------------------------------------------


def test_padding_is_handed_on_by_what_keeps_the_steps_and_ends_where_they_end():
    x = cr.input("X", ("m", 6), dtype="int")
    h = cr.Embedding(20, 4, mask_zero=True)(x)
    for layer in (cr.Dense(8, "relu"), cr.Dropout(0.1), cr.LayerNormalization(), cr.PositionalEncoding()):
        h = layer(h)
        assert str(cr.mask_of(h)) == "X ≠ 0"
    assert str(cr.mask_of(cr.Sequential(cr.relu, cr.Dense(3))(h))) == "X ≠ 0"
    assert cr.mask_of(cr.Flatten()(h)) is None
    assert cr.mask_of(cr.Embedding(20, 4)(x)) is None


@pytest.mark.parametrize("layer", [cr.LSTM(3), cr.Bidirectional(cr.GRU(3)), cr.RNN(3, go_backwards=True)])
def test_recurrent_layers_leave_padding_out(layer):
    short, long = (cr.input("X", ("m", n), dtype="int") for n in (3, 6))
    embedding = cr.Embedding(20, 4, mask_zero=True)
    a, b = layer(embedding(short)), layer(embedding(long))
    values = {p: RNG.normal(size=p.shape) for p in (*embedding.parameters, *layer.parameters)}
    tokens = RNG.integers(1, 20, (5, 3))
    found = cr.evaluate(a, {short: tokens, **values})
    np.testing.assert_allclose(cr.evaluate(b, {long: np.pad(tokens, ((0, 0), (0, 3))), **values}), found, rtol=1e-12)


def test_sequences_of_states_have_the_padding_of_what_they_are_made_of():
    h = cr.Embedding(20, 4, mask_zero=True)(cr.input("X", ("m", 6), dtype="int"))
    for layer in (cr.LSTM(3, return_sequences=True), cr.Bidirectional(cr.GRU(3, return_sequences=True))):
        h = layer(h)
        assert str(cr.mask_of(h)) == "X ≠ 0"
    assert cr.mask_of(cr.LSTM(3, return_sequences=True, go_backwards=True)(h)) is None


# --- positions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [6, 7])
@pytest.mark.parametrize("steps", [5, "T"])
def test_the_waves_are_those_of_the_paper(width, steps):
    x = cr.input("x", ("m", steps, width))
    values = RNG.normal(size=(2, 5, width))
    expected = np.zeros((5, width))
    for t in range(5):
        for i in range(width):
            angle = t / 10000 ** (2 * (i // 2) / width)
            expected[t, i] = np.sin(angle) if i % 2 == 0 else np.cos(angle)
    y = cr.PositionalEncoding()(x)
    np.testing.assert_allclose(cr.evaluate(y, {x: values}), values + expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(cr.compile(y)({x: values}), values + expected, rtol=1e-5, atol=1e-5)


def test_learned_positions_are_a_row_for_each_step():
    layer = cr.PositionEmbedding(9)
    x = cr.input("x", ("m", 5, 4))
    J = cr.sum(layer(x) ** 2)
    values, P = RNG.normal(size=(3, 5, 4)), RNG.normal(size=(9, 4))
    dP = cr.evaluate(cr.gradient(J, layer["P"]), {x: values, layer["P"]: P})
    np.testing.assert_allclose(dP[:5], 2 * (values + P[:5]).sum(axis=0), rtol=1e-12)
    assert not dP[5:].any()


@pytest.mark.parametrize("layer", [cr.PositionEmbedding(5), cr.PositionalEncoding(max_length=5)])
def test_a_sequence_longer_than_the_models_length_is_refused_with_both(layer):
    with pytest.raises(ShapeError, match=r"(?s)longer than the model's length.*6 steps.*at most 5"):
        layer(cr.input("x", ("m", 6, 4)))


def test_a_sequence_that_turns_out_longer_when_it_is_fed_is_refused_too():
    layer, x = cr.PositionEmbedding(5), cr.input("x", ("m", "T", 4))
    y, P = layer(x), np.ones((5, 4))
    assert cr.evaluate(y, {x: np.zeros((2, 5, 4)), layer["P"]: P}).shape == (2, 5, 4)
    with pytest.raises(ShapeError, match=r"(?s)0:6.*0:5"):
        cr.evaluate(y, {x: np.zeros((2, 6, 4)), layer["P"]: P})


@pytest.mark.parametrize(("sizes", "words"), [((0, 3), "input_dim"), ((3, 2.5), "output_dim")])
def test_sizes_are_whole_numbers(sizes, words):
    with pytest.raises(ConfigurationError, match=words):
        cr.Embedding(*sizes)


# --- whole numbers in a row ---------------------------------------------------------------------------


def test_arange_counts_a_known_and_a_named_axis():
    assert cr.evaluate(cr.arange(4)).tolist() == [0, 1, 2, 3]
    x = cr.input("x", ("m",))
    found = cr.compile(cr.arange("m") * x)({x: np.ones(3)})
    assert found.tolist() == [0, 1, 2]
    assert str(cr.arange(4)) == "[0, …, 3]"
    assert str(cr.arange("m")) == "[0, …, m − 1]"
