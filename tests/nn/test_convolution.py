"""Layers for sequences and images: their numbers, names, formulas, and that whatever works for Dense works for them."""

import math

import numpy as np
import pytest
from sklearn.datasets import load_digits

import chainrule as cr
from chainrule import nn
from chainrule.errors import ConfigurationError, ShapeError
from chainrule.graph.node import ancestors
from chainrule.notation import unique_names

RNG = np.random.default_rng(0)
SEQUENCE, IMAGE = cr.input("X", ("m", 12, 2)), cr.input("X", ("m", 8, 6, 2))


def names(output):
    """What the named quantities of a formula are called, in the order of the computation."""
    symbols = unique_names(ancestors(output))
    return [symbols[n].text for n in ancestors(output) if n.name]


def digits():
    images, labels = load_digits(return_X_y=True)
    return (images / 16).reshape(-1, 8, 8, 1), labels


def small_cnn():
    return cr.Sequential(
        cr.Conv2D(8, 3, padding="same", activation="relu"),
        cr.MaxPool2D(),
        cr.Conv2D(16, 3, padding="same", activation="relu"),
        cr.MaxPool2D(),
        cr.Flatten(),
        cr.Dense(10, "softmax"),
    )


# --- shapes, parameters, names ------------------------------------------------------------------------

LAYERS = [
    # layer, input, shape of W, shape of the result behind the examples, how it is written
    (cr.Conv1D(5, 3), SEQUENCE, (3, 2, 5), (10, 5), "X ∗ W1 + b1"),
    (cr.Conv1D(5, 3, padding="causal", dilation_rate=4), SEQUENCE, (3, 2, 5), (12, 5), "X ∗[dilation 4] W1 + b1"),
    (cr.Conv2D(4, (3, 2), 2, "same"), IMAGE, (3, 2, 2, 4), (4, 3, 4), "X ∗[stride 2] W1 + b1"),
    (cr.Conv2D(4, 3, groups=2, use_bias=False), IMAGE, (3, 3, 1, 4), (6, 4, 4), "X ∗[groups 2] W1"),
    (cr.Conv2D(4, 3, padding=((0, 2), (1, 1))), IMAGE, (3, 3, 2, 4), (8, 6, 4), "X ∗ W1 + b1"),
    (cr.Conv1DTranspose(5, 3, 2), SEQUENCE, (3, 5, 2), (25, 5), "X ∗[stride 1/2] W1ᵀ + b1"),
    (cr.Conv2DTranspose(5, 3, 2, "same"), IMAGE, (3, 3, 5, 2), (16, 12, 5), "X ∗[stride 1/2] W1ᵀ + b1"),
    (cr.Conv2DTranspose(4, 2, 3, groups=2), IMAGE, (2, 2, 2, 2), (24, 18, 4), None),
    (cr.Conv2DTranspose(4, 3, 2, 1, output_padding=1), IMAGE, (3, 3, 4, 2), (16, 12, 4), None),
    (cr.MaxPool1D(3), SEQUENCE, None, (4, 2), "maxpool[3](X)"),
    (cr.MaxPool2D((2, 3), 1), IMAGE, None, (7, 4, 2), "maxpool[2×3, stride 1](X)"),
    (cr.MaxPool2D(3, padding="same"), IMAGE, None, (3, 2, 2), "maxpool[3×3](X)"),
    (cr.AveragePool1D(), SEQUENCE, None, (6, 2), "1/2 · sumpool[2](X)"),
    (cr.AveragePool2D(), IMAGE, None, (4, 3, 2), "1/4 · sumpool[2×2](X)"),
    (cr.GlobalMaxPool1D(), SEQUENCE, None, (2,), "max₁(X)"),
    (cr.GlobalMaxPool2D(), IMAGE, None, (2,), "max₁ˏ₂(X)"),
    (cr.GlobalAveragePool1D(), SEQUENCE, None, (2,), "1/12 · Σ₁ X"),
    (cr.GlobalAveragePool2D(keepdims=True), IMAGE, None, (1, 1, 2), "1/48 · Σ₁ˏ₂ X"),
    (cr.UpSampling1D(3), SEQUENCE, None, (36, 2), "repeat[3](X)"),
    (cr.UpSampling2D((1, 2)), IMAGE, None, (8, 12, 2), "repeat[1×2](X)"),
    (cr.UpSampling2D(interpolation="bilinear"), IMAGE, None, (16, 12, 2), None),
]


@pytest.mark.parametrize(("layer", "x", "kernel", "shape", "text"), LAYERS, ids=[repr(case[0]) for case in LAYERS])
def test_shapes_parameters_and_formula(layer, x, kernel, shape, text):
    y = layer(x)
    assert y.shape == (cr.Dim("m"), *shape)
    feeds = {p: RNG.normal(size=p.shape) for p in layer.parameters} | {x: RNG.normal(size=(3, *x.shape[1:]))}
    assert cr.evaluate(y, feeds).shape == (3, *shape)
    assert [p.shape for p in layer.parameters if p.name == "W"] == ([] if kernel is None else [kernel])
    assert [p.shape for p in layer.parameters if p.name == "b"] == ([(shape[-1],)] if "b1" in str(y) else [])
    assert text is None or str(y) == text


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (cr.Conv2D(8, 3, padding="same", activation="relu"), "Conv2D(8, 3×3, 'relu', padding 'same')"),
        (cr.Conv1D(8, 5, 2, dilation_rate=3, groups=4), "Conv1D(8, 5, 'linear', strides 2, dilation 3, 4 groups)"),
        (cr.Conv2DTranspose(8, (3, 2), 2), "Conv2DTranspose(8, 3×2, 'linear', strides 2×2)"),
        (cr.MaxPool2D(), "MaxPool2D(2×2)"),
        (cr.AveragePool1D(3, 1, "same"), "AveragePool1D(3, strides 1, padding 'same')"),
        (cr.GlobalAveragePool2D(), "GlobalAveragePool2D()"),
        (cr.UpSampling2D((2, 3)), "UpSampling2D(2×3)"),
    ],
)
def test_a_layer_is_written_as_it_is_made(layer, text):
    assert repr(layer) == text


def test_quantities_have_the_names_of_the_course():
    net = cr.Sequential(
        cr.Conv2D(4, 3, activation="tanh"), cr.MaxPool2D(), cr.UpSampling2D(), cr.Conv2D(1, 1, name="last")
    )
    assert names(net(IMAGE)) == ["X", "W1", "b1", "Z1", "A1", "P2", "U3", "W_last", "b_last", "Z_last"]


def test_parameters_start_as_the_layer_says_and_as_keras_has_it_where_nothing_is_said():
    layer = cr.Conv2D(4, 3, kernel_initializer="he_normal", bias_initializer=0.5)
    plain = cr.Conv2D(4, 3)
    layer(IMAGE), plain(IMAGE)
    assert layer["W"].attrs["initializer"] is nn.INITIALIZERS["he_normal"]
    assert layer["b"].attrs["initializer"] == nn.Constant(0.5)
    assert plain["W"].attrs["initializer"] is nn.INITIALIZERS["glorot_uniform"]
    kernel = nn.initial_value((5, 5, 64, 32), "he_normal", 0, 0)
    assert kernel.std() == pytest.approx(math.sqrt(2 / (5 * 5 * 64)), rel=0.02)  # a unit has 5 · 5 · 64 inputs


def test_what_an_activation_learns_belongs_to_its_layer():
    layer = cr.Conv2D(4, 3, activation="parametric_relu")
    y = layer(IMAGE)
    assert [(p.name, p.shape) for p in layer.parameters] == [("W", (3, 3, 2, 4)), ("b", (4,)), ("α", (4,))]
    assert names(y) == ["X", "W1", "b1", "Z1", "α1", "A1"]


def test_a_layer_that_is_called_twice_shares_its_filters_over_images_of_any_size():
    layer = cr.Conv2D(4, 3)
    larger = cr.input("L", ("m", 11, 9, 2))
    assert (layer(IMAGE).shape[1:], layer(larger).shape[1:]) == ((6, 4, 4), (9, 7, 4))
    assert len(layer.parameters) == 2
    with pytest.raises(ShapeError, match=r"(?s)Conv2D\(4, 3×3, 'linear'\).*another width.*2 in the last axis"):
        layer(cr.input("c", ("m", 8, 6, 3)))


def test_a_network_of_them_is_that_of_pytorch():
    torch = pytest.importorskip("torch", reason="PyTorch is the peer of this test")
    net = cr.Sequential(
        cr.Conv2D(6, 3, padding=1, activation="relu"),
        cr.MaxPool2D(),
        cr.Conv2D(4, 3, strides=2, padding=1, activation="tanh"),
        cr.Conv2DTranspose(3, 3, strides=2, padding=1, output_padding=1),
        cr.GlobalAveragePool2D(),
        cr.Dense(2),
    )
    x, images = cr.input("X", (5, 8, 8, 2)), RNG.normal(size=(5, 8, 8, 2))
    J = cr.sum(net(x) ** 2)
    values = {p: RNG.normal(size=p.shape) for p in net.parameters}
    peers = {p: torch.tensor(v, requires_grad=True) for p, v in values.items()}
    W1, b1, W2, b2, W3, b3, W4, b4 = peers.values()
    f = torch.nn.functional
    h = torch.relu(f.conv2d(torch.tensor(images).movedim(-1, 1), W1.permute(3, 2, 0, 1), b1, padding=1))
    h = torch.tanh(f.conv2d(f.max_pool2d(h, 2), W2.permute(3, 2, 0, 1), b2, stride=2, padding=1))
    h = f.conv_transpose2d(h, W3.permute(3, 2, 0, 1), b3, stride=2, padding=1, output_padding=1)
    (((h.mean(dim=(2, 3)) @ W4 + b4) ** 2).sum()).backward()
    for found, peer in zip(
        cr.evaluate(cr.gradient(J, list(values)), {x: images} | values), peers.values(), strict=True
    ):
        np.testing.assert_allclose(found, peer.grad.numpy(), rtol=1e-10, atol=1e-12)


def test_a_summary_counts_what_every_filter_multiplies_at_every_place():
    net = cr.Sequential(
        cr.Conv2D(32, 5, padding="same", activation="relu"),
        cr.MaxPool2D(),
        cr.Conv2D(64, 3, groups=2),
        cr.Conv2DTranspose(8, 3, strides=2, use_bias=False),
        cr.GlobalAveragePool2D(),
        cr.Dense(10),
    )
    summary = cr.Model(x := cr.input("X", ("m", 28, 28, 1)), net(x)).summary()
    work = [28 * 28 * 32 * 25, 12 * 12 * 64 * 9 * 16, 12 * 12 * 64 * 9 * 8, 80]
    assert [layer.multiply_adds for layer in summary.layers if layer.multiply_adds] == work
    assert [layer.parameter_count for layer in summary.layers if layer.parameter_count] == [832, 9280, 4608, 90]


# --- what comes by itself -----------------------------------------------------------------------------


@pytest.fixture(scope="module", name="run")
def _run():
    X, Y = digits()
    return cr.fit(small_cnn(), X[:300], Y[:300], optimizer=cr.Adam(0.005), epochs=8, seed=0, watch=True)


def test_the_formula_sheet_reads_like_that_of_dense_layers(run):
    sheet = " ".join(str(run.formulas()).split())
    for line in [
        "Z1 = X ∗ W1 + b1 (m, 8, 8, 8)",
        "P2 = maxpool[2×2](A1) (m, 4, 4, 8)",
        "dP4 = dZ5 W5ᵀ (m, 2, 2, 16)",
        "dZ3 = maxunpool[2×2](dP4, A3) ∘ [Z3 > 0] (m, 4, 4, 16)",
        "dW3 = 1/m · P2ᵀ ∗ dZ3 (3, 3, 8, 16)",
        "dP2 = dZ3 ∗ W3ᵀ (m, 4, 4, 8)",
        "dW1 = 1/m · Xᵀ ∗ dZ1 (3, 3, 1, 8)",
    ]:
        assert line in sheet
    assert "Z5 = W5 P4ᵀ + b5 (10, m)" in " ".join(str(run.formulas(columns=True)).split())


def test_its_gradient_is_that_of_central_differences():
    X, Y = digits()
    net = cr.Sequential(cr.Conv2D(2, 3, activation="tanh"), cr.MaxPool2D(), cr.Flatten(), cr.Dense(3, "softmax"))
    x, y = cr.input("X", ("m", 8, 8, 1)), cr.input("Y", ("m",), dtype="int")
    J = cr.mean(cr.categorical_cross_entropy(net(x), y))
    values = {p: RNG.normal(size=p.shape) for p in net.parameters}
    assert cr.check_gradient(J, list(values), {x: X[:3], y: Y[:3] % 3} | values).largest_error < 1e-6


def test_a_trace_shows_every_edge(run):
    X, Y = digits()
    trace = run.trace(X[:2], Y[:2])
    assert trace.largest_error < 1e-6
    table = str(trace)
    for words in ("u ∗ W3ᵀ", "P2ᵀ ∗ u", "maxunpool[2×2](u, A1)", "max: routes"):
        assert words in table


def test_it_is_watched_and_diagnosed(run):
    for name, statistic in (("W1", "rms"), ("dZ1", "rms"), ("A1", "dead"), ("P2", "rms"), ("ΔW3", "rms")):
        assert np.isfinite(run.watched[name, statistic]).all()
    assert run.watched["A1", "dead"].max() <= 0.5
    assert "dead units" in str(run.why())


def test_a_filter_is_dead_where_it_gives_nothing_at_any_place_of_any_image():
    X, Y = digits()
    layer = cr.Conv2D(4, 3, activation="relu", bias_initializer=lambda rng, shape: np.array([-99.0, 0, -99.0, 0]))
    net = cr.Sequential(layer, cr.GlobalAveragePool2D(), cr.Dense(10, "softmax"))
    run = cr.fit(net, X[:64], Y[:64], epochs=1, watch=["A1"])
    np.testing.assert_allclose(run.watched["A1", "dead"], 0.5)


def test_it_is_saved_and_read_and_predicts_the_same(run, tmp_path):
    X, _ = digits()
    again = cr.load(run.save(tmp_path / "run"))
    np.testing.assert_array_equal(again.predict(X[:50]), run.predict(X[:50]))
    assert str(again.formulas()) == str(run.formulas())
    assert again.model.parameter_count == run.model.parameter_count == 1898


def test_numpy_and_xla_predict_the_same(run):
    X, _ = digits()
    numpy = cr.evaluate(run.model.output, {run.model.inputs[0]: X[:20]} | run.values)
    np.testing.assert_allclose(run.predict(X[:20]), numpy, rtol=1e-4, atol=1e-6)


def test_a_small_cnn_tells_digits_apart_better_than_a_dense_network_of_its_size():
    X, Y = digits()

    def score(net, seed):
        run = cr.fit(net, X[:1200], Y[:1200], optimizer=cr.Adam(0.005), epochs=30, seed=seed)
        assert 1880 < run.model.parameter_count < 1900
        return np.mean(run.decide(X[1200:]) == Y[1200:])

    cnn = [score(small_cnn(), seed) for seed in range(3)]
    dense = [score(cr.Sequential(cr.Flatten(), cr.Dense(25, "relu"), cr.Dense(10, "softmax")), k) for k in range(3)]
    assert np.mean(cnn) > np.mean(dense) + 0.01


def test_a_sequence_is_learned_by_what_comes_before():
    """The sum of the last four numbers, at every place, from causal convolutions."""
    X = RNG.normal(size=(256, 20, 1))
    padded = np.pad(X, ((0, 0), (3, 0), (0, 0)))
    Y = sum(padded[:, k : k + 20] for k in range(4))
    run = cr.fit(cr.Conv1D(1, 4, padding="causal"), X, Y, loss="squared_error", optimizer=cr.Adam(0.05), epochs=30)
    np.testing.assert_allclose(run.parameters["W1"].ravel(), 1, atol=0.01)


# --- what is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: cr.Conv2D(0, 3), ConfigurationError, "the number of filters is a whole number of at least 1"),
        (lambda: cr.Conv2D(4, (3, 3, 3)), ConfigurationError, r"(?s)kernel_size.*2 of them.*\(3, 3, 3\)"),
        (lambda: cr.Conv2D(4, 3, "relu"), ConfigurationError, r"(?s)strides.*activation='relu'"),
        (lambda: cr.Conv2D(4, 3, activation="relo"), ConfigurationError, "did you mean 'relu'"),
        (lambda: cr.Conv2D(4, 3, padding="sam")(IMAGE), ConfigurationError, "not a padding"),
        (
            lambda: cr.Conv2D(4, 3, groups=3)(IMAGE),
            ConfigurationError,
            r"(?s)2 channels and 4 filters in 3 groups.*divisible by 3",
        ),
        (lambda: cr.Conv2D(4, 9)(IMAGE), ShapeError, r"(?s)a window of 9×9 over X of 8×6.*at most 8×6"),
        (lambda: cr.Conv2D(4, 3)(SEQUENCE), ShapeError, r"(?s)Conv2D takes images.*X \(m, 12, 2\).*X\[\.\.\., None\]"),
        (lambda: cr.Conv1D(4, 3)(IMAGE), ShapeError, r"(?s)Conv1D takes sequences.*X \(m, 8, 6, 2\).*length, channels"),
        (lambda: cr.Conv2D(4, 3)(cr.input("X", ("m", 784))), ShapeError, r"(?s)X \(m, 784\).*X\.reshape"),
        (lambda: cr.Conv2D(4, 3)(cr.input("X", ("m", "h", 6, 2))), ShapeError, r"(?s)whole numbers for height"),
        (lambda: cr.MaxPool2D(9)(IMAGE), ShapeError, r"(?s)max_pool.*9×9 over X of 8×6"),
        (lambda: cr.MaxPool1D()(IMAGE), ShapeError, "MaxPool1D takes sequences with channels"),
        (lambda: cr.GlobalMaxPool2D()(SEQUENCE), ShapeError, "GlobalMaxPool2D takes images with channels"),
        (lambda: cr.UpSampling2D(0), ConfigurationError, "size: a whole number of at least 1"),
        (lambda: cr.UpSampling2D(2, "cubic")(IMAGE), ConfigurationError, "no such interpolation"),
        (
            lambda: cr.fit(small_cnn(), np.zeros((20, 8, 8)), np.arange(20) % 10, epochs=1),
            ShapeError,
            r"(?s)Conv2D takes images with channels.*X \(m, 8, 8\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_its_sizes(make, error, says):
    with pytest.raises(error, match=says):
        make()
