"""Gates: one suite over all blocks with a gate (engines, gradients, trace, files), and each on a task of its own."""

import numpy as np
import pytest
from scipy.special import expit, softmax

import chainrule as cr
from chainrule.errors import ConfigurationError, GraphError, ShapeError

RNG = np.random.default_rng(0)


def numbers(parameters):
    return {p: 0.7 * RNG.normal(size=p.shape) for p in parameters}


def column(values):
    return np.asarray(values, float)[:, None]


# --- all blocks ---------------------------------------------------------------------------------------

BLOCKS = {
    "gate": (lambda: cr.Gate(3), 4 * 3 + 3),
    "glu": (lambda: cr.GLU(3), 2 * (4 * 3 + 3)),
    "swiglu": (lambda: cr.GLU(3, "silu"), 2 * (4 * 3 + 3)),
    "highway": (lambda: cr.Highway("tanh"), 2 * (4 * 4 + 4)),
    "residual": (lambda: cr.Residual(cr.Dense(4, "tanh")), 4 * 4 + 4),
    "gated residual": (lambda: cr.Residual(cr.Dense(4, "tanh"), gated=True), 4 * 4 + 4 + 1),
    "soft threshold": (lambda: cr.ThresholdGate(0.5, 0.3, hard=False), 4),
    "experts": (lambda: cr.MixtureOfExperts(3, 2, "tanh"), 4 * 3 + 3 + 3 * (4 * 2 + 2)),
    "two of three experts": (lambda: cr.MixtureOfExperts(3, 2, "tanh", top_k=2), 4 * 3 + 3 + 3 * (4 * 2 + 2)),
    "own experts": (lambda: cr.MixtureOfExperts([cr.Dense(2), cr.Dense(2, "tanh")]), 4 * 2 + 2 + 2 * (4 * 2 + 2)),
    "capsules": (lambda: cr.Sequential(cr.PrimaryCapsules(2), cr.Capsule(3, 2)), 2 * 3 * 2 * 2),
    "mixed": (lambda: cr.Dense(5, cr.MixedActivation(["softplus", "tanh", "sin"])), 4 * 5 + 5),
    "swish": (lambda: cr.Dense(3, cr.Swish()), 4 * 3 + 3 + 3),
    "adaptive": (lambda: cr.Dense(3, cr.AdaptiveActivation(["tanh", "sin"])), 4 * 3 + 3 + 3 * 2),
    "free and shared": (lambda: cr.Dense(3, cr.AdaptiveActivation(["tanh", "sin"], "free", True)), 4 * 3 + 3 + 2),
}
EVERY = pytest.mark.parametrize(("make", "count"), BLOCKS.values(), ids=BLOCKS)


@EVERY
def test_both_engines_agree_and_the_gradient_is_that_of_central_differences(make, count):
    x = cr.input("x", ("m", 4))
    block = make()
    y = block(x)
    model = cr.Model(x, y)
    assert (model.parameter_count, len(block.parameters)) == (count, len(model.parameters))
    feeds = numbers(model.parameters) | {x: RNG.normal(size=(5, 4))}
    J = cr.mean(y**2 + y)
    outputs = [y, *cr.gradient(J, [x, *model.parameters])]
    expected = cr.evaluate(outputs, feeds)
    for f, e in zip(cr.compile(outputs, dtype="float64")(feeds), expected, strict=True):
        np.testing.assert_allclose(f, e, rtol=1e-9, atol=1e-11)
    assert cr.check_gradient(J, [x, *model.parameters], feeds).largest_error < 1e-6


@EVERY
def test_it_is_trained_written_traced_and_saved(make, count, tmp_path):
    X = RNG.normal(size=(40, 4))
    network = cr.Sequential(make(), cr.Flatten(), cr.Dense(1))
    run = cr.fit(network, X, X[:, :1] * X[:, 1:2], epochs=3, learning_rate=0.01)
    again = cr.load(run.save(tmp_path / "run"))
    np.testing.assert_array_equal(again.predict(X), run.predict(X))
    assert str(again.formulas()) == str(run.formulas())
    assert run.trace(X[:2], X[:2, :1]).largest_error < 1e-5
    assert run.history["loss"][-1] < run.history["loss"][0]


@pytest.mark.parametrize(
    ("block", "text"),
    [
        (cr.GLU(3), "GLU(3, 'sigmoid')"),
        (cr.Highway(), "Highway('relu')"),
        (cr.Residual(cr.Dense(4), gated=True), "Residual(Dense(4, 'linear'), gated=True)"),
        (cr.MixtureOfExperts(3, 2, top_k=1), "MixtureOfExperts(3, top_k=1)"),
        (cr.Capsule(10, 16), "Capsule(10, 16, routings=3)"),
        (cr.MixedActivation(["relu", cr.tanh]), "MixedActivation(['relu', 'tanh'])"),
        (cr.TransformerEncoder(32, 2, dropout=0.1), "TransformerEncoder(32, 2, dropout=0.1)"),
        (cr.MultiHeadAttention(2, 4), "MultiHeadAttention(2, 4)"),
    ],
)
def test_a_block_is_written_as_it_is_made(block, text):
    assert repr(block) == text


# --- recurrent gates ----------------------------------------------------------------------------------


def test_recurrent_gates_are_their_formulas():
    g, a, b = RNG.random((3, 4)), RNG.normal(size=(3, 4)), RNG.normal(size=(3, 4))
    kept = [cr.forget_gate(g, a), cr.input_gate(g, a), cr.output_gate(g, a), cr.reset_gate(g, a)]
    found = [*kept, cr.update_gate(g, a, b)]
    expected = [g * a, g * a, g * np.tanh(a), g * a, g * a + (1 - g) * b]
    for f, e in zip(cr.evaluate(found), expected, strict=True):
        np.testing.assert_allclose(f, e, rtol=1e-12)


def test_an_update_gate_is_a_forget_and_an_input_gate_with_one_opening():
    z, h, n = (cr.input(name, ("m",)) for name in "zhn")
    two = cr.forget_gate(z, h) + cr.input_gate(1 - z, n)
    assert str(cr.simplify(cr.update_gate(z, h, n) - two).outputs[0]) == "0"


def test_the_step_of_an_lstm_made_of_gates_is_that_of_pytorch():
    torch = pytest.importorskip("torch")
    x, h, c = cr.input("x", ("m", 3)), cr.input("h", ("m", 4)), cr.input("c", ("m", 4))
    i, f, o = (cr.Gate(letter=letter) for letter in "ifo")
    g = cr.Gate(activation="tanh", letter="g")
    new = cr.forget_gate(f(x, h), c) + cr.input_gate(i(x, h), g(x, h))
    shown = cr.output_gate(o(x, h), new)
    gates = (i, f, g, o)
    values = numbers([p for gate in gates for p in gate.parameters])
    feeds = {x: RNG.normal(size=(5, 3)), h: RNG.normal(size=(5, 4)), c: RNG.normal(size=(5, 4))}
    peer = torch.nn.LSTMCell(3, 4, dtype=torch.float64)
    with torch.no_grad():
        peer.weight_ih.copy_(torch.tensor(np.concatenate([values[n["W"]].T for n in gates])))
        peer.weight_hh.copy_(torch.tensor(np.concatenate([values[n["U"]].T for n in gates])))
        peer.bias_ih.copy_(torch.tensor(np.concatenate([values[n["b"]] for n in gates])))
        peer.bias_hh.zero_()
    expected = peer(torch.tensor(feeds[x]), (torch.tensor(feeds[h]), torch.tensor(feeds[c])))
    for f_, e in zip(cr.evaluate([shown, new], feeds | values), expected, strict=True):
        np.testing.assert_allclose(f_, e.detach().numpy(), rtol=1e-10)


def test_a_state_with_one_gate_keeps_what_was_marked_and_its_gate_opens_for_the_mark():
    steps = 6
    marks = np.eye(steps)[RNG.integers(0, steps, 400)]
    X = np.stack([RNG.normal(size=(400, steps)), marks], axis=2)
    Y = column((X[:, :, 0] * marks).sum(axis=1))
    x = cr.input("X", ("m", steps, 2))
    cell, h, opened = cr.UpdateOnly(), cr.ops.broadcast_to(0.0, ("m", 8)), []
    for t in range(steps):
        h = cell(x[:, t], h)
        opened.append(cell.openness)
    model = cr.Model(x, cr.Dense(1)(h))
    run = cr.fit(model, X, Y, epochs=60, learning_rate=0.02)
    assert run.history["loss"][-1] < 0.05 * np.var(Y)
    z = np.stack(cr.evaluate(opened, {x: X, **run.values}), axis=1).mean(axis=2)  # how much of the state is kept
    assert z[marks == 0].mean() > z[marks == 1].mean() + 0.1


def test_feedback_tells_the_lower_layer_only_what_its_input_asks_for():
    X, H = RNG.normal(size=(400, 1)), RNG.normal(size=(400, 2))
    Y = column(np.where(X[:, 0] > 0, H[:, 0] - H[:, 1], 0))
    x, h = cr.input("x", ("m", 1)), cr.input("h", ("m", 2))
    layer = cr.Feedback(1)
    run = cr.fit(cr.Model([x, h], layer(x, h)), {"x": X, "h": H}, Y, epochs=150, learning_rate=0.05)
    G = cr.evaluate(layer.openness, {x: X, h: H, **run.values})
    assert run.history["loss"][-1] < 0.1 * np.var(Y)
    assert G[X > 1].mean() > 0.9 > 0.1 > G[X < -1].mean()


# --- units ----------------------------------------------------------------------------------------------


def test_a_linear_gate_multiplies_which_a_sum_cannot():
    X = RNG.normal(size=(400, 2))
    Y = X[:, :1] * X[:, 1:]
    gated = cr.fit(cr.Sequential(cr.GLU(4, "linear"), cr.Dense(1)), X, Y, epochs=100, learning_rate=0.03)
    plain = cr.fit(cr.Sequential(cr.Dense(8), cr.Dense(1)), X, Y, epochs=100, learning_rate=0.03)
    assert gated.history["loss"][-1] < 1e-3 < 0.5 < plain.history["loss"][-1]


def test_glu_is_that_of_pytorch():
    torch = pytest.importorskip("torch")
    layer, x = cr.GLU(3), cr.input("x", ("m", 4))
    y, values, X = layer(x), None, RNG.normal(size=(5, 4))
    values = numbers(layer.parameters)
    halves = [X @ values[layer[w]] + values[layer[b]] for w, b in (("W", "b"), ("V", "c"))]
    expected = torch.nn.functional.glu(torch.tensor(np.concatenate(halves, axis=1)), dim=1)
    np.testing.assert_allclose(cr.evaluate(y, values | {x: X}), expected.numpy(), rtol=1e-12)


def test_a_highway_begins_as_a_road_past_the_layer():
    X = RNG.normal(size=(300, 4))
    network = cr.Sequential(*(cr.Highway("tanh") for _ in range(4)), cr.Dense(1))
    run = cr.fit(network, X, np.sin(2 * X[:, :1]), epochs=40, learning_rate=0.01, watch=["T1"])
    opened = run.watched["T1", "mean"]
    assert 0.05 < opened[0] < 0.25  # σ(−2) is 0.12
    assert opened[-1] > opened[0]
    assert run.history["loss"][-1] < 0.2 * run.history["loss"][0]


@pytest.mark.parametrize("gated", [False, True])
def test_a_derivative_passes_many_layers_beside_a_residual_connection(gated):
    x = cr.input("x", ("m", 4))

    def deep(wrap):
        h = x
        for _ in range(30):
            h = wrap(cr.Dense(4, "sigmoid"))(h)
        model = cr.Model(x, h)
        feeds = {p: cr.nn.initial_value(p.shape, p.attrs["initializer"], 0, i) for i, p in enumerate(model.parameters)}
        return np.abs(cr.evaluate(cr.gradient(cr.mean(h), x), feeds | {x: np.ones((2, 4))})).max()

    assert deep(lambda layer: layer) < 1e-15
    assert deep(lambda layer: cr.Residual(layer, gated=gated)) > 0.05


def test_a_gated_residual_begins_as_the_identity_and_learns_how_much_it_adds():
    X = RNG.normal(size=(200, 1))
    layer = cr.Residual(lambda h: cr.sin(3 * h), gated=True)
    run = cr.fit(cr.Sequential(layer), X, X + 0.5 * np.sin(3 * X), epochs=100, learning_rate=0.05, watch={"α1": "mean"})
    assert layer.openness.name == "α"
    assert run.watched["α1", "mean"][0] == 0
    assert float(run.parameters["α1"]) == pytest.approx(0.5, abs=1e-3)


def test_a_threshold_is_learned():
    X = RNG.uniform(-2, 2, size=(500, 1))
    layer = cr.ThresholdGate(initial=0.2, softness=0.2)
    run = cr.fit(cr.Sequential(layer), X, np.where(X > 1.0, X, 0), epochs=100, learning_rate=0.02)
    assert run.parameters["θ1"][0] == pytest.approx(1.0, abs=0.03)
    found = cr.evaluate(layer.openness, {run.model.inputs[0]: X, **run.values})
    np.testing.assert_allclose(found, run.parameters["θ1"] < X, atol=1e-6)


def test_straight_through_has_the_value_of_one_and_the_derivative_of_the_other():
    z = cr.input("z", (4,))
    y = cr.straight_through(cr.cast(z > 0, "float"), cr.sigmoid(z))
    Z = RNG.normal(size=4)
    value, slope = cr.evaluate([y, cr.gradient(cr.sum(y), z)], {z: Z})
    np.testing.assert_allclose(value, Z > 0, atol=1e-15)
    np.testing.assert_allclose(slope, expit(Z) * expit(-Z), rtol=1e-12)


# --- sampling -------------------------------------------------------------------------------------------


def test_a_gaussian_sample_has_its_moments_and_its_derivatives():
    mu, s = cr.input("μ", ("m", 2)), cr.input("s", ("m", 2))
    z = cr.in_training(cr.gaussian_sample(mu, s))
    feeds = {mu: np.full((5000, 2), 3.0), s: np.full((5000, 2), np.log(0.25))}
    found = cr.evaluate(z, feeds, seed=1)
    assert (found.mean(), found.std()) == (pytest.approx(3, abs=0.02), pytest.approx(0.5, rel=0.02))
    (epsilon,) = (n for n in cr.Graph(z) if n.op.name == "draw")
    e = RNG.normal(size=(5000, 2))
    by_mu, by_s = cr.evaluate(cr.gradient(cr.sum(z), [mu, s]), feeds | {epsilon: e})
    np.testing.assert_allclose(by_mu, np.ones((5000, 2)))
    np.testing.assert_allclose(by_s, 0.5 * 0.5 * e, rtol=1e-12)
    np.testing.assert_array_equal(cr.evaluate(cr.gaussian_sample(mu, s), feeds), feeds[mu])


def test_mean_and_variance_of_a_sample_are_learned():
    """E (z − 3)² − ½ ln σ² is least at μ = 3, σ² = ½."""
    x, mu, s = cr.input("x", ("m", 1)), cr.parameter("μ", (1,)), cr.parameter("s", (1,))
    mean, log_variance = mu * x, s * x
    z = cr.gaussian_sample(mean, log_variance)
    cost = ((z - 3) ** 2 - 0.5 * log_variance)[:, 0]
    run = cr.fit(cr.Model(x, z), np.ones((2000, 1)), loss=cost, batch_size=500, epochs=150, learning_rate=0.03)
    assert float(run.parameters["μ"][0]) == pytest.approx(3, abs=0.05)
    assert float(np.exp(run.parameters["s"][0])) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("hard", [False, True])
def test_one_of_several_is_drawn_as_often_as_softmax_says(hard):
    z = cr.input("z", ("m", 3))
    Z = np.tile([0.5, -1.0, 1.0], (20_000, 1))
    sample = cr.gumbel_softmax(z, 0.5, hard)
    found = cr.evaluate(cr.in_training(sample), {z: Z}, seed=2)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(np.bincount(found.argmax(axis=1)) / 20_000, softmax(Z[0]), atol=0.01)
    assert (np.isin(found.round(12), (0, 1)).all()) == hard
    predicted = cr.evaluate(sample, {z: Z[:1]})[0]
    np.testing.assert_allclose(predicted, [0, 0, 1] if hard else softmax(Z[0] / 0.5), atol=1e-12)


def test_a_hard_sample_has_the_derivative_of_the_soft_one():
    z, Z, g = cr.input("z", (2, 3)), RNG.normal(size=(2, 3)), RNG.normal(size=(2, 3))
    ways = [cr.in_training(cr.gumbel_softmax(z, 0.7, hard)) for hard in (True, False)]
    draws = [next(n for n in cr.Graph(way) if n.op.name == "draw") for way in ways]
    G = RNG.gumbel(size=(2, 3))
    slopes = [
        cr.evaluate(cr.gradient(cr.sum(g * way), z), {z: Z, draw: G}) for way, draw in zip(ways, draws, strict=True)
    ]
    np.testing.assert_allclose(*slopes, rtol=1e-12)


def test_a_choice_is_learned_through_hard_samples():
    x, logits = cr.input("x", ("m", 1)), cr.parameter("z", (3,))
    choice = cr.gumbel_softmax(x * logits, 0.5, hard=True)
    cost = choice @ cr.constant([3.0, 1.0, 2.0])
    run = cr.fit(cr.Model(x, choice), np.ones((256, 1)), loss=cost, epochs=60, learning_rate=0.1)
    assert run.parameters["z"].argmax() == 1
    assert softmax(run.parameters["z"])[1] > 0.9


# --- switching ------------------------------------------------------------------------------------------


def test_experts_and_their_gate_are_their_formula():
    layer, x = cr.MixtureOfExperts(3, 2, "tanh", top_k=2), cr.input("x", ("m", 4))
    y = layer(x)
    values, X = numbers(layer.parameters), RNG.normal(size=(6, 4))
    scores = X @ values[layer["W_G"]] + values[layer["b_G"]]
    kept = np.where(scores >= np.sort(scores, axis=1)[:, 1:2], scores, -np.inf)
    answers = np.tanh(np.einsum("mi,ein->men", X, values[layer["W"]]) + values[layer["b"]])
    expected = (softmax(kept, axis=1)[:, :, None] * answers).sum(axis=1)
    found, gate = cr.evaluate([y, layer.openness], values | {x: X})
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert ((gate > 0).sum(axis=1) == 2).all()


def test_of_equal_scores_exactly_k_count():
    layer, x = cr.MixtureOfExperts(4, 1, top_k=2), cr.input("x", ("m", 2))
    layer(x)
    zeros = {p: np.zeros(p.shape) for p in layer.parameters}
    assert cr.evaluate(layer.openness, zeros | {x: np.ones((3, 2))}).tolist() == [[0.5, 0.5, 0, 0]] * 3


@pytest.mark.parametrize("top_k", [None, 1])
def test_each_expert_learns_its_part(top_k):
    X = RNG.uniform(-2, 2, size=(400, 1))
    Y = np.where(X < 0, 2 * X + 3, -3 * X)
    layer = cr.MixtureOfExperts(2, 1, "linear", top_k=top_k, noisy=top_k is not None)
    run = cr.fit(cr.Sequential(layer), X, Y, epochs=300, learning_rate=0.03, seed=3)
    line = cr.fit(cr.Sequential(cr.Dense(1)), X, Y, epochs=300, learning_rate=0.03)
    assert run.evaluate(X, Y)["loss"] < 0.15 * line.evaluate(X, Y)["loss"]
    G = cr.evaluate(layer.openness, {run.model.inputs[0]: X, **run.values})
    below, above = G[X[:, 0] < -0.5].mean(axis=0), G[X[:, 0] > 0.5].mean(axis=0)
    assert below.argmax() != above.argmax()
    assert min(below.max(), above.max()) > 0.9


def test_noise_is_in_training_only():
    layer, x = cr.MixtureOfExperts(3, 2, noisy=True), cr.input("x", ("m", 4))
    y = layer(x)
    feeds = numbers(layer.parameters) | {x: RNG.normal(size=(5, 4))}
    assert not np.allclose(*(cr.evaluate(cr.in_training(y), feeds, seed=s) for s in (1, 2)))
    np.testing.assert_array_equal(*(cr.evaluate(y, feeds, seed=s) for s in (1, 2)))


def test_balance_is_the_squared_coefficient_of_variation():
    G = RNG.dirichlet([1, 2, 3], size=10)
    asked = G.sum(axis=0)
    assert float(cr.evaluate(cr.balance(cr.constant(G)))) == pytest.approx(asked.var() / asked.mean() ** 2, rel=1e-12)


# --- what does not fit ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: cr.Residual(cr.Dense(3))(x), ShapeError, r"\(m, 4\).*\(m, 3\).*equal shapes"),
        (lambda x: cr.Residual(3), ConfigurationError, "function of a node"),
        (lambda x: cr.Residual(lambda h: 3)(x), GraphError, "does not return a node"),
        (lambda x: cr.GLU(0), ConfigurationError, "number of units"),
        (lambda x: cr.ThresholdGate(softness=0), ConfigurationError, "softness"),
        (lambda x: cr.gumbel_softmax(x, 0), ConfigurationError, "temperature"),
        (lambda x: cr.gaussian_sample(x, x[:, :2]), ShapeError, r"\(m, 4\) and \(m, 2\)"),
        (lambda x: cr.MixtureOfExperts(3), ConfigurationError, "units=None"),
        (lambda x: cr.MixtureOfExperts([cr.Dense(2)], 3), ConfigurationError, "units"),
        (lambda x: cr.MixtureOfExperts(3, 2, top_k=4), ConfigurationError, "given: +4.*at most 3"),
        (lambda x: cr.MixtureOfExperts([3, 4]), ConfigurationError, "function of a node"),
        (lambda x: cr.PrimaryCapsules(3)(x), ConfigurationError, "4 channels.*capsules of 3"),
        (lambda x: cr.Capsule(3, 2)(x), ShapeError, r"\(m, I, d\)"),
        (lambda x: cr.MixedActivation("relu"), ConfigurationError, "list of at least 1"),
        (lambda x: cr.MixedActivation(["relu", "tanh"], [1, 2])(x), ConfigurationError, "4 units, groups of 1, 2"),
        (lambda x: cr.MixedActivation(["relu"] * 5)(x), ConfigurationError, "4 units"),
        (lambda x: cr.AdaptiveActivation(["relu", "tanh"], "hard"), ConfigurationError, "'softmax' or 'free'"),
        (lambda x: cr.AdaptiveActivation(["relu"]), ConfigurationError, "at least 2"),
        (lambda x: (g := cr.Gate(2), g(x), g(x, x)), ShapeError, "other widths"),
        (lambda x: cr.Gate(2)(), ConfigurationError, "one to six"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_sizes(call, error, words):
    with pytest.raises(error, match=f"(?s){words}"):
        call(cr.input("x", ("m", 4)))
