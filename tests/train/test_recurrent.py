"""A network with a recurrent layer goes all the way: trained, printed, watched, traced, saved and read again."""

import numpy as np
import pytest

import chainrule as cr

T = 12


@pytest.fixture(scope="module", name="waves")
def _waves():
    """Sines from anywhere on, and whether they are the faster ones."""
    rng = np.random.default_rng(0)
    speed, start = rng.uniform(0.2, 1, (300, 1)), rng.uniform(0, 6, (300, 1))
    return np.sin(start + speed * np.arange(T))[:, :, None], (speed[:, 0] > 0.6).astype(int)


@pytest.fixture(scope="module", name="run")
def _run(waves):
    net = cr.Sequential(cr.LSTM(8), cr.Dense(1, "sigmoid"))
    watched = ["f1", "h1", "dW_f1", "W_f1"]
    return cr.fit(net, *waves, epochs=30, batch_size=32, optimizer=cr.Adam(0.02), seed=1, watch=watched)


def test_it_learns(run):
    assert run.history["accuracy"][-1] > 0.95


@pytest.mark.parametrize(
    "layer", [cr.RNN, cr.GRU, lambda n: cr.Bidirectional(cr.GRU(n)), lambda n: cr.LSTM(n, truncate=5)]
)
def test_the_cost_falls_with_every_kind_of_layer(waves, layer):
    net = cr.Sequential(layer(6), cr.Dense(1, "sigmoid"))
    run = cr.fit(net, *waves, epochs=12, batch_size=32, optimizer=cr.Adam(0.02), seed=1)
    assert run.history["loss"][-1] < 0.8 * run.history["loss"][0]


def test_sequences_whose_length_the_network_does_not_say(waves):
    x, y = cr.input("x", ("m", "T", 1)), cr.input("y", ("m", "T"))
    every = cr.Dense(1)(cr.GRU(4, return_sequences=True)(x))[:, :, 0]
    X = waves[0]
    run = cr.fit(cr.Model([x, y], every), {"x": X, "y": X[:, :, 0] ** 2}, loss=cr.mean((every - y) ** 2), epochs=3)
    assert run.history["loss"][-1] < run.history["loss"][0]
    assert run.predict({"x": X[:, :5]}).shape == (300, 5)


def test_a_step_of_training_is_the_gradient_in_numpy(waves):
    X, Y = (a[:32] for a in waves)
    net = cr.Sequential(cr.GRU(4), cr.Dense(1, "sigmoid"))
    run = cr.fit(net, X, Y, epochs=1, batch_size=None, optimizer=cr.GradientDescent(0.5), seed=0, dtype="float64")
    start = cr.fit(net, X, Y, epochs=1, batch_size=None, optimizer=cr.GradientDescent(1e-300), seed=0, dtype="float64")
    step = run.step
    feeds = start.values | {step.model.inputs[0]: X, step.labels: Y[:, None]}
    for p, g in step.gradients.items():
        np.testing.assert_allclose(run.values[p], start.values[p] - 0.5 * cr.evaluate(g, feeds), atol=1e-12)


def test_what_is_saved_predicts_the_same(run, waves, tmp_path):
    run.save(tmp_path / "run")
    again = cr.load(tmp_path / "run")
    np.testing.assert_array_equal(again.predict(waves[0]), run.predict(waves[0]))
    assert str(again.formulas()) == str(run.formulas())


def test_examples_of_another_number_are_predicted(run, waves):
    np.testing.assert_allclose(run.predict(waves[0][:7]), run.predict(waves[0])[:7], atol=1e-6)


def test_gates_are_watched_over_all_times(run, waves):
    assert run.watched["f1", "min"].min() > 0
    assert run.watched["f1", "max"].max() < 1
    assert 0.5 < run.watched["f1", "mean"][0] < 0.9, "a forget gate starts open: its bias is 1"


def test_the_trace_of_an_example_carries_every_derivative_back(run, waves):
    X, Y = waves
    whole, steps = run.trace(X[0], Y[0]), run.trace(X[0], Y[0], unroll=True)
    assert max(whole.largest_error, steps.largest_error) < 1e-5
    np.testing.assert_allclose(whole["W_f1"].gradient, steps["W_f1"].gradient, rtol=1e-4, atol=1e-9)
    assert whole["h1_T"].formula == "loop(f1ₜ, i1ₜ, g1ₜ, c1ₜ, o1ₜ, h1ₜ)"
    assert steps["f1₁₂"].value.shape == (1, 8)
    assert steps["c1₃"].formula.startswith("n")
    assert "f1₁₂" in str(steps)


def test_a_trace_of_all_states_and_the_last_checks_both_at_once():
    x, W = cr.input("x", (3, 2)), cr.parameter("W", (2, 2))
    last, every = cr.loop(lambda h, x: (h := (cr.tanh(x + h @ W)).named("h"), h), cr.constant(np.zeros(2)), x)
    found = cr.trace(cr.sum(last) + cr.sum(every**2), {x: np.ones((3, 2)), W: np.array([[0.1, 0.4], [-0.3, 0.7]])})
    assert found.largest_error < 1e-12


FORWARD = """
Forward
  f1ₜ       = σ(Xₜ W_f1 + h1ₜ₋₁ U_f1 + b_f1)
  i1ₜ       = σ(Xₜ W_i1 + h1ₜ₋₁ U_i1 + b_i1)
  g1ₜ       = tanh(Xₜ W_g1 + h1ₜ₋₁ U_g1 + b_g1)
  c1ₜ       = f1ₜ ∘ c1ₜ₋₁ + i1ₜ ∘ g1ₜ
  o1ₜ       = σ(Xₜ W_o1 + h1ₜ₋₁ U_o1 + b_o1)
  h1ₜ       = o1ₜ ∘ tanh(c1ₜ)
  Z2        = h1_T W2 + b2
  A2        = σ(Z2)
"""
BACKWARD = """
  δh1_{T+1} = 1/m · dZ2 W2ᵀ
  dc1ₜ      = δh1ₜ₊₁ ∘ o1ₜ ∘ (1 − tanh(c1ₜ)²) + δc1ₜ₊₁
  δc1ₜ      = dc1ₜ ∘ f1ₜ
  df1ₜ      = dc1ₜ ∘ c1ₜ₋₁
  dz_f1ₜ    = df1ₜ ∘ f1ₜ ∘ (1 − f1ₜ)
"""
WEIGHTS = """
  dW_f1     = Σₜ Xₜᵀ dz_f1ₜ
  dU_f1     = Σₜ h1ₜ₋₁ᵀ dz_f1ₜ
  db_f1     = Σₜ Σ dz_f1ₜ
"""


def without_shapes(sheet):
    return "\n".join(line.split("   (")[0].rstrip() for line in str(sheet).splitlines()) + "\n"


def test_the_sheet_reads_as_the_paper_does(run):
    sheet = without_shapes(run.formulas())
    for part in (FORWARD.lstrip(), BACKWARD.lstrip("\n"), WEIGHTS.lstrip("\n")):
        assert part in sheet
    x, y = cr.input("X", ("m", T, 1)), cr.input("Y", ("m", 1))
    probability = cr.Dense(1, "sigmoid")(cr.LSTM(8)(x))
    assert FORWARD.lstrip() in without_shapes(cr.formulas(cr.mean(cr.binary_cross_entropy(probability, y))))


def test_the_sheet_of_layers_in_a_row_numbers_them_and_names_each_quantity_once():
    x, y = cr.input("X", ("m", T, 2)), cr.input("Y", ("m", T, 1))
    h = cr.GRU(3, return_sequences=True)(cr.RNN(4, return_sequences=True)(x))
    sheet = without_shapes(cr.formulas(cr.mean((cr.Dense(1)(h) - y) ** 2)))
    for line in (
        "h1ₜ    = tanh(Xₜ W1 + h1ₜ₋₁ U1 + b1)",
        "z2ₜ    = σ(h1ₜ W_z2 + h2ₜ₋₁ U_z2 + b_z2)",
        "n2ₜ    = tanh(h1ₜ W_n2 + b_n2 + r2ₜ ∘ (h2ₜ₋₁ U_n2 + b_u2))",
        "h2ₜ    = (1 − z2ₜ) ∘ n2ₜ + z2ₜ ∘ h2ₜ₋₁",
        "Z3     = h2ₜ W3 + b3",
        "u_h2ₜ  = (1/m · dZ3 W3ᵀ)ₜ",
        "dh2ₜ   = δh2ₜ₊₁ + u_h2ₜ",
        "dW1    = Σₜ Xₜᵀ dz_h1ₜ",
    ):
        assert f"  {line}\n" in sheet, sheet
    left = [line.split(" = ")[0].strip() for line in sheet.splitlines() if " = " in line]
    assert len(left) == len(set(left))


def test_the_sheet_in_latex_has_its_subscripts(run):
    latex = run.formulas().latex()
    assert (
        r"{f_{t}^{[1]}} &= \sigma\left(X_{t} {W_{f}^{[1]}} + {h_{t-1}^{[1]}} {U_{f}^{[1]}} + {b_{f}^{[1]}}\right)"
        in latex
    )
    assert r"{dW_{f}^{[1]}} &= \sum_t X_t^{\top} {dz_{f,t}^{[1]}}" in latex
