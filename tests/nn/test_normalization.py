"""Normalising layers against NumPy's means and PyTorch's layers, values and gradients."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ConfigurationError, ShapeError
from chainrule.nn.normalization import Normalization

RNG = np.random.default_rng(0)
X = RNG.normal(2, 3, size=(6, 4, 5, 8))
γ, β = RNG.normal(1, 0.2, 8), RNG.normal(0, 0.2, 8)
LAYERS = {
    "batch": (lambda: cr.BatchNormalization(), (0, 1, 2)),
    "layer": (lambda: cr.LayerNormalization(), (3,)),
    "instance": (lambda: cr.InstanceNormalization(), (1, 2)),
}


def built(layer, rows="m"):
    x = cr.input("x", (rows, *X.shape[1:]))
    return x, cr.in_training(layer(x))


@pytest.mark.parametrize("name", LAYERS)
def test_its_output_has_mean_zero_and_deviation_one(name):
    make, axes = LAYERS[name]
    layer = make()
    x, y = built(layer)
    found = cr.evaluate(y, {x: X, layer["γ"]: np.ones(8), layer["β"]: np.zeros(8)})
    np.testing.assert_allclose(found.mean(axis=axes), 0, atol=1e-12)
    np.testing.assert_allclose(found.std(axis=axes), 1, atol=1e-3)


def test_groups_share_mean_and_deviation():
    layer = cr.GroupNormalization(2)
    x, y = built(layer)
    found = cr.evaluate(y, {x: X, layer["γ"]: np.ones(8), layer["β"]: np.zeros(8)}).reshape(6, 4, 5, 2, 4)
    np.testing.assert_allclose(found.mean(axis=(1, 2, 4)), 0, atol=1e-12)
    np.testing.assert_allclose(found.std(axis=(1, 2, 4)), 1, atol=1e-3)


def torch_layers():
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")
    nn = torch.nn

    def last_to_second(layer):
        return lambda a: layer(a.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)

    made = {
        "batch": (cr.BatchNormalization(), nn.BatchNorm2d(8, eps=1e-3), last_to_second),
        "layer": (cr.LayerNormalization(), nn.LayerNorm(8, eps=1e-3), lambda layer: layer),
        "group": (cr.GroupNormalization(4), nn.GroupNorm(4, 8, eps=1e-3), last_to_second),
        "instance": (cr.InstanceNormalization(), nn.InstanceNorm2d(8, eps=1e-3, affine=True), last_to_second),
        "rms": (cr.RMSNormalization(), nn.RMSNorm(8, eps=1e-6), lambda layer: layer),
    }
    return torch, made


@pytest.mark.parametrize("name", ["batch", "layer", "group", "instance", "rms"])
def test_values_and_gradients_are_those_of_pytorch(name):
    torch, made = torch_layers()
    ours, theirs, turned = made[name]
    x, y = built(ours, 6)
    upstream = RNG.normal(size=X.shape)
    leaves = {x: X, ours["γ"]: γ} | ({ours["β"]: β} if "β" in ours._parameters else {})
    cost = cr.sum(cr.constant(upstream) * y)
    found = cr.evaluate([y, *cr.gradient(cost, list(leaves))], leaves)
    theirs = theirs.double()
    with torch.no_grad():
        theirs.weight.copy_(torch.tensor(γ))
        if getattr(theirs, "bias", None) is not None:
            theirs.bias.copy_(torch.tensor(β))
    a = torch.tensor(X, requires_grad=True)
    out = turned(theirs)(a)
    (out * torch.tensor(upstream)).sum().backward()
    bias = getattr(theirs, "bias", None)
    expected = [out.detach(), a.grad, theirs.weight.grad, *([bias.grad] if bias is not None else [])]
    for ours_, theirs_ in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours_, theirs_.numpy(), rtol=1e-7, atol=1e-9)


def test_running_averages_are_those_of_the_batches():
    """ρ μ_run + (1 − ρ) μ, batch by batch, in NumPy."""
    data = RNG.normal(3, 2, size=(24, 3))
    network = cr.Sequential(cr.BatchNormalization(0.8), cr.Dense(1))
    run = cr.fit(network, data, data[:, 0], epochs=2, batch_size=10, shuffle=False, optimizer=cr.GradientDescent(1e-6))
    mu, variance = np.zeros(3), np.ones(3)
    for _ in range(2):
        for rows in (data[:10], data[10:20], data[20:]):
            mu = 0.8 * mu + 0.2 * rows.mean(axis=0)
            variance = 0.8 * variance + 0.2 * rows.var(axis=0)
    np.testing.assert_allclose(run.states["μ_run1"], mu, rtol=1e-5)
    np.testing.assert_allclose(run.states["V_run1"], variance, rtol=1e-5)
    normal = (data - mu) / np.sqrt(variance + 1e-3) * run.parameters["γ1"] + run.parameters["β1"]
    expected = normal @ run.parameters["W2"] + run.parameters["b2"]
    np.testing.assert_allclose(run.predict(data), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(run.predict(data[:1]), expected[:1], rtol=1e-4, atol=1e-5)


def trained():
    data = RNG.normal(size=(64, 5))
    network = cr.Sequential(cr.Dense(4), cr.BatchNormalization(0.9), cr.Activation("relu"), cr.Dense(1))
    return data, cr.fit(
        network, data, data[:, :2].sum(axis=1), epochs=20, watch=True, validation_data=(data, data[:, 0])
    )


def test_a_normalised_network_is_saved_written_traced_and_goes_on(tmp_path):
    data, run = trained()
    again = cr.load(run.save(tmp_path / "run"))
    np.testing.assert_array_equal(again.predict(data), run.predict(data))
    sheet = str(run.formulas())
    for line in (
        "μ2     = 1/m · Σ Z1 ",
        "V2     = 1/m · Σ (Z1 − μ2)² ",
        "x̂2     = (Z1 − μ2)/√(V2 + 0.001) ",
        "A2     = γ2 ∘ x̂2 + β2 ",
        "μ_run2 ← 0.9 · μ_run2 + 0.1 · μ2 ",
    ):
        assert line in sheet, sheet
    assert str(again.formulas()) == sheet
    assert run.trace(data[:5], data[:5, 0]).largest_error < 1e-4
    further = cr.fit(run, data, data[:, 0], epochs=1, optimizer=cr.GradientDescent(1e-9), batch_size=None)
    expected = 0.9 * run.states["μ_run2"] + 0.1 * (data @ run.parameters["W1"] + run.parameters["b1"]).mean(axis=0)
    np.testing.assert_allclose(further.states["μ_run2"], expected, rtol=1e-4, atol=1e-6)


def test_a_deep_network_of_small_weights_trains_only_with_it():
    data = RNG.normal(size=(200, 4))
    labels = (data[:, 0] * data[:, 1] > 0).astype(int)

    def accuracy(normalised):
        layers = []
        for _ in range(8):
            layers += [cr.Dense(16, kernel_initializer=cr.nn.Normal(0.02))]
            layers += [cr.BatchNormalization(), cr.relu] if normalised else [cr.relu]
        network = cr.Sequential(*layers, cr.Dense(1, "sigmoid"))
        return cr.fit(network, data, labels, epochs=60, learning_rate=0.01).history["accuracy"][-1]

    assert accuracy(normalised=False) < 0.65
    assert accuracy(normalised=True) > 0.8


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: cr.BatchNormalization(1.5), ConfigurationError, "momentum is a share.*1.5"),
        (lambda: cr.LayerNormalization(0), ConfigurationError, "positive number"),
        (lambda: built(cr.GroupNormalization(3)), ShapeError, r"8 channels of \(m, 4, 5, 8\), 3 groups"),
        (lambda: cr.GroupNormalization(0), ConfigurationError, "groups is a whole number"),
    ],
)
def test_what_cannot_be_normalised(make, error, says):
    with pytest.raises(error, match=f"(?s){says}"):
        make()


def test_the_base_is_abstract():
    with pytest.raises(NotImplementedError):
        built(Normalization(1e-3, True, True, None))
