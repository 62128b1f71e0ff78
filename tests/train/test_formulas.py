"""The formula sheet: textbook forms, and that the formulas shown are those that run."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.graph import Graph
from chainrule.optimize import OPTIMIZERS
from chainrule.train.naming import derivative_names
from chainrule.verbs import derive

X = np.random.default_rng(0).normal(size=(12, 3))
CODES = np.arange(12) % 4


def one_step(last, labels, **options):
    """A network 3-2-last, before and after one step on the whole batch."""
    network = cr.Sequential(cr.Dense(2, "tanh"), cr.Dense(*last))
    options = {"batch_size": None, "dtype": "float64", "shuffle": False} | options
    return cr.Trainer(network, X, labels, **options).run(), cr.fit(network, X, labels, epochs=1, **options)


def section(sheet, title):
    """The formulas under a title."""
    (found,) = [s for s in sheet.sections if s.title == title]
    return [line.text for line in found.lines]


@pytest.mark.parametrize(
    ("last", "labels", "cost", "derivative"),
    [
        ((4, "softmax"), np.eye(4)[CODES], None, "dZ2 = A2 − Y"),
        ((1, "sigmoid"), CODES % 2, "J = −1/m · Σ (Y ∘ log(A2) + (1 − Y) ∘ log(1 − A2))", "dZ2 = A2 − Y"),
        ((1, "linear"), CODES, "J = 1/m · Σ (Z2 − Y)²", "dZ2 = 2 · (Z2 − Y)"),
    ],
)
def test_the_textbook_forms(last, labels, cost, derivative):
    run, _ = one_step(last, labels)
    sheet = run.formulas()
    assert section(sheet, "Forward")[:3] == ["Z1 = X W1 + b1", "A1 = tanh(Z1)", "Z2 = A1 W2 + b2"]
    if cost:
        assert section(sheet, "Cost") == [cost]
    assert section(sheet, "Backward") == [
        derivative,
        "dW2 = 1/m · A1ᵀ dZ2",
        "db2 = 1/m · Σ dZ2",
        "dZ1 = dZ2 W2ᵀ ∘ (1 − A1²)",
        "dW1 = 1/m · Xᵀ dZ1",
        "db1 = 1/m · Σ dZ1",
    ]


@pytest.mark.parametrize(
    ("loss", "last", "labels", "cost", "derivative"),
    [
        ("sum_of_squared_residuals", (1,), CODES, "Σ (Z2 − Y)²", "2 · (Z2 − Y)"),
        ("absolute_error", (1,), CODES, "1/m · Σ |Z2 − Y|", "sign(Z2 − Y)"),
        (
            "huber",
            (1,),
            CODES,
            "1/m · Σ where(|Z2 − Y| ≤ 1, 0.5 · (Z2 − Y)², |Z2 − Y| − 0.5)",
            "where(|Z2 − Y| ≤ 1, Z2 − Y, sign(Z2 − Y))",
        ),
        ("log_cosh", (1,), CODES, "1/m · Σ log cosh(Z2 − Y)", "tanh(Z2 − Y)"),
        ("hinge", (1,), CODES % 2 * 2 - 1, "1/m · Σ max(1 − Y ∘ Z2, 0)", "−[Y ∘ Z2 ≤ 1] ∘ Y"),
        (
            "quantile",
            (1,),
            CODES,
            "1/m · Σ where(Y ≥ Z2, 0.5 · (Y − Z2), −0.5 · (Y − Z2))",
            "where(Y ≥ Z2, −0.5, 0.5)",
        ),
        ("poisson", (1, "softplus"), CODES, "1/m · Σ (A2 − Y ∘ log(A2))", "(1 − Y/A2) ∘ σ(Z2)"),
        ("categorical_cross_entropy", (4, "softmax"), CODES, "−1/m · Σ onehot(Y) ∘ log(A2)", "A2 − onehot(Y)"),
        ("kl_divergence", (4, "softmax"), np.eye(4)[CODES], "1/m · Σ (Y ∘ log(Y) − Y ∘ log(A2))", "A2 − Y"),
    ],
)
def test_every_loss_and_its_derivative_read_as_in_the_textbook(loss, last, labels, cost, derivative):
    sheet = one_step(last, labels, loss=loss)[0].formulas()
    assert section(sheet, "Cost") == [f"J = {cost}"]
    assert section(sheet, "Backward")[0] == f"dZ2 = {derivative}"
    mean = "" if loss == "sum_of_squared_residuals" else "1/m · "
    assert section(sheet, "Backward")[1:3] == [f"dW2 = {mean}A1ᵀ dZ2", f"db2 = {mean}Σ dZ2"]


def test_the_backward_part_that_is_shown_has_the_numbers_of_backpropagation_by_hand():
    start, _ = one_step((4, "softmax"), CODES)
    p, Y = start.parameters, np.eye(4)[CODES]
    A1 = np.tanh(X @ p["W1"] + p["b1"])
    e = np.exp(A1 @ p["W2"] + p["b2"])
    dZ2 = e / e.sum(axis=1, keepdims=True) - Y
    dZ1 = dZ2 @ p["W2"].T * (1 - A1**2)
    expected = {
        "dZ2": dZ2,
        "dW2": A1.T @ dZ2 / 12,
        "db2": dZ2.mean(axis=0),
        "dZ1": dZ1,
        "dW1": X.T @ dZ1 / 12,
        "db1": dZ1.mean(axis=0),
    }
    step = start.step
    feeds = {step.model.inputs[0]: X, step.labels: CODES} | start.values
    shown = {step.names[n].text: cr.evaluate(n, feeds) for n in step.derived}
    assert sorted(shown) == sorted(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(shown[name], value, atol=1e-12)


def test_the_update_that_is_shown_is_the_one_that_runs():
    start, end = one_step((1, "linear"), CODES, optimizer=cr.Momentum(0.05, momentum=0.8))
    assert section(start.formulas(), "Update (Momentum)") == [
        "v_W1 ← β · v_W1 + dW1",
        "W1 ← W1 − α · v_W1",
    ]
    assert "likewise b1, W2, b2; α = 0.05, β = 0.8" in str(start.formulas())
    step = start.step
    feeds = {step.model.inputs[0]: X, step.labels: CODES[:, None]} | start.values
    for parameter, gradient in step.gradients.items():
        name = step.names[parameter].text
        moved = start.parameters[name] - 0.05 * cr.evaluate(gradient, feeds)  # v begins at 0
        np.testing.assert_allclose(end.parameters[name], moved, atol=1e-12)


def test_rates_of_their_own_stand_beside_the_parameters_that_have_them():
    rates = {"W1": 0.1, "b2": 0.01, "default": 0.5}
    run, _ = one_step((1, "linear"), CODES, optimizer=cr.GradientDescent(rates))
    assert section(run.formulas(), "Update (GradientDescent)") == ["W1 ← W1 − α_W1 · dW1"]
    note = str(run.formulas()).splitlines()[-1]
    assert note.strip() == "likewise b1 with α, W2 with α, b2 with α_b2; α_W1 = 0.1, α = 0.5, α_b2 = 0.01"


def test_the_sheet_is_latex_too():
    run, _ = one_step((1, "sigmoid"), CODES % 2)
    latex = run.formulas().latex()
    assert latex.startswith(r"\begin{aligned}")
    assert latex.endswith(r"\end{aligned}")
    assert latex.count("{") == latex.count("}")
    assert r"\text{likewise } {b^{[1]}},\; {W^{[2]}},\; {b^{[2]}};\quad \alpha = 0.001" in latex
    for part in (r"\textbf{Forward}", r"\textbf{Cost}", r"\textbf{Backward}", r"\textbf{Update (Adam)}", r"\leftarrow"):
        assert part in latex


def test_weights_of_the_examples_stand_in_the_cost():
    run, _ = one_step((1, "linear"), CODES, sample_weight=np.arange(12))
    assert section(run.formulas(), "Cost") == ["J = 1/m · Σ w ∘ (Z2 − Y)²"]


# --- column notation, and any cost -----------------------------------------------------------------------


def test_the_course_s_sheet_in_the_course_s_notation():
    run, _ = one_step((1, "sigmoid"), CODES % 2)
    sheet = run.formulas(columns=True)
    assert section(sheet, "Forward") == ["Z1 = W1 X + b1", "A1 = tanh(Z1)", "Z2 = W2 A1 + b2", "A2 = σ(Z2)"]
    assert section(sheet, "Backward") == [
        "dZ2 = A2 − Y",
        "dW2 = 1/m · dZ2 A1ᵀ",
        "db2 = 1/m · Σ dZ2",
        "dZ1 = W2ᵀ dZ2 ∘ (1 − A1²)",
        "dW1 = 1/m · dZ1 Xᵀ",
        "db1 = 1/m · Σ dZ1",
    ]
    shapes = {line.text.split(" = ")[0]: line.shape for s in sheet.sections[:3] for line in s.lines}
    assert (shapes["Z1"], shapes["dW1"], shapes["db1"]) == ("(2, m)", "(2, 3)", "(2, 1)")


def test_the_sheet_of_any_cost():
    x, y, z = (cr.input(n, ()) for n in "xyz")
    q, r = (x + y).named("q"), cr.maximum(y, z).named("r")
    sheet = cr.formulas((q * r).named("f"))
    assert section(sheet, "Forward") == ["q = x + y", "r = max(y, z)"]
    assert section(sheet, "Cost") == ["f = q · r"]
    assert section(sheet, "Backward") == ["dx = r", "dy = r + q · [y ≥ z]", "dz = q · [y < z]"]


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "gelu", "softplus", "elu"])
@pytest.mark.parametrize("layers", [2, 5])
def test_a_deep_network_s_sheet_has_one_short_line_for_every_quantity(layers, activation):
    network = cr.Sequential(*(cr.Dense(3, activation) for _ in range(layers - 1)), cr.Dense(4, "softmax"))
    run = cr.Trainer(network, X, CODES).run()
    backward = section(run.formulas(), "Backward")
    assert [line.split(" = ")[0] for line in backward] == [
        f"d{q}{k}" for k in range(layers, 0, -1) for q in ("Z", "W", "b")
    ]
    assert backward[0] == f"dZ{layers} = A{layers} − onehot(Y)"
    assert max(map(len, backward)) < 110


def test_a_cost_without_parameters_and_inputs_is_an_error():
    with pytest.raises(cr.ChainruleError, match="nothing to differentiate by"):
        cr.formulas(cr.constant(1.0) * 2)


# --- a quantity and the form in which it runs have one name -------------------------------------------------


@pytest.mark.parametrize(
    ("activation", "slope"),
    [
        (lambda z: 1 / (1 + cr.exp(-z)), "dZ2 W2ᵀ ∘ A1 ∘ (1 − A1)"),  # runs as σ(z)
        (lambda z: z + cr.sin(z) ** 2, "dZ2 W2ᵀ ∘ (2 · sin(Z1) ∘ cos(Z1) + 1)"),
        (lambda z: z / (1 + cr.abs(z) * 0.5), "dZ2 W2ᵀ/(1 + 0.5 · |Z1|) ∘ (1 − 0.5 · A1 ∘ sign(Z1))"),
    ],
)
def test_an_activation_that_is_rewritten_keeps_its_name(activation, slope):
    network = cr.Sequential(cr.Dense(2, activation), cr.Dense(1))
    sheet = cr.Trainer(network, X, CODES).run().formulas()
    assert section(sheet, "Backward") == [
        "dZ2 = 2 · (Z2 − Y)",
        "dW2 = 1/m · A1ᵀ dZ2",
        "db2 = 1/m · Σ dZ2",
        f"dZ1 = {slope}",
        "dW1 = 1/m · Xᵀ dZ1",
        "db1 = 1/m · Σ dZ1",
    ]
    update = section(sheet, "Update (Adam)")
    assert [line.split()[0] for line in update] == ["m_W1", "v_W1", "m̂_W1", "v̂_W1", "W1"]


def test_a_layer_called_twice_has_two_derivatives_by_its_sums():
    x, shared = cr.input("x", ("m", 3)), cr.Dense(3, "relu")
    model = cr.Model(x, cr.Dense(1)(shared(shared(x))))
    sheet = cr.Trainer(model, X, CODES).run().formulas()
    assert section(sheet, "Backward") == [
        "dZ2 = 2 · (Z2 − Y)",
        "dW2 = 1/m · A1.2ᵀ dZ2",
        "db2 = 1/m · Σ dZ2",
        "dZ1.2 = dZ2 W2ᵀ ∘ [Z1.2 > 0]",
        "dZ1 = dZ1.2 W1ᵀ ∘ [Z1 > 0]",
        "dW1 = 1/m · (xᵀ dZ1 + A1ᵀ dZ1.2)",
        "db1 = 1/m · (Σ dZ1 + Σ dZ1.2)",
    ]


def test_the_cost_is_written_as_it_was_with_numbers_and_signs_in_front_and_quantities_by_their_names():
    x, y, W = cr.input("x", ("m", 2)), cr.input("y", ("m", 1)), cr.parameter("W", (2, 1))
    lam, z = cr.constant(0.1, name="λ"), (x @ W).named("z")
    p = (1 / (1 + cr.exp(-z))).named("p")
    likelihood = cr.mean(-(y * cr.log(p) + (1 - y) * cr.log(1 - p)))
    for cost, written in [
        (likelihood + lam / 2 * cr.sum(W**2), "−1/m · Σ (y ∘ log(p) + (1 − y) ∘ log(1 − p)) + λ/2 · Σ W²"),
        (cr.mean(0.5 * (z - y) ** 2), "1/(2m) · Σ (z − y)²"),
        (cr.mean((z - y) ** 2) / 2, "1/(2m) · Σ (z − y)²"),
        (cr.sum((y - z) ** 2 / (2 * lam**2)), "Σ (y − z)²/(2 · λ²)"),
        (-cr.sum(y * z), "−Σ y ∘ z"),
    ]:
        assert section(cr.formulas(cost), "Cost") == [f"J = {written}"]


def test_polynomial_regression_keeps_its_polynomial():
    x, y, a, b, c = cr.input("x", ("m",)), cr.input("y", ("m",)), *(cr.parameter(n, ()) for n in "abc")
    sheet = cr.formulas(cr.mean((a * x**2 + b * x + c - y) ** 2))
    assert section(sheet, "Backward") == [
        "da = 2/m · Σ (a · x² + b · x + c − y) ∘ x²",
        "db = 2/m · Σ (a · x² + b · x + c − y) ∘ x",
        "dc = 2/m · Σ (a · x² + b · x + c − y)",
    ]


def test_batch_normalisation_backwards_is_that_of_its_paper():
    """Ioffe and Szegedy 2015, section 3, of whose formulas each holds m · ∂J; 1/m stands with dW and db."""
    network = cr.Sequential(cr.Dense(6), cr.BatchNormalization(), cr.Dense(1))
    backward = section(cr.Trainer(network, X, CODES).run().formulas(), "Backward")
    assert backward[4:7] + backward[8:] == [
        "dx̂2 = dZ3 W3ᵀ ∘ γ2",
        "dV2 = −0.5 · (Σ dx̂2 ∘ x̂2/√(V2 + 0.001))/√(V2 + 0.001)",
        "dμ2 = −Σ (2/m · dV2 ∘ (Z1 − μ2) + dx̂2/√(V2 + 0.001))",
        "dZ1 = 1/m · dμ2 + 2/m · dV2 ∘ (Z1 − μ2) + dx̂2/√(V2 + 0.001)",
        "dW1 = 1/m · Xᵀ dZ1",
        "db1 = 1/m · Σ dZ1",
    ]


def test_the_example_of_the_notes_for_a_single_example():
    x, y, w, b = cr.input("x", (2,)), cr.input("y", ()), cr.parameter("w", (2,)), cr.parameter("b", ())
    z = (w @ x + b).named("z")
    sheet = cr.formulas(cr.binary_cross_entropy(cr.sigmoid(z).named("a"), y).named("L"))
    assert section(sheet, "Cost") == ["L = −(y · log(a) + (1 − y) · log(1 − a))"]
    assert section(sheet, "Backward") == ["dz = a − y", "dw = dz · x", "db = dz"]


def test_numbers_that_everybody_knows_are_written_by_what_they_are():
    sheet = cr.Trainer(cr.Sequential(cr.Dense(2, "gelu"), cr.Dense(1)), X, CODES).run().formulas()
    assert section(sheet, "Backward")[3] == ("dZ1 = dZ2 W2ᵀ ∘ (0.5 · (1 + erf(Z1/√2)) + Z1 ∘ exp(−0.5 · Z1²)/√(2π))")
    assert r"\frac{{Z^{[1]}}}{\sqrt{2}}" in sheet.latex()


def test_two_branches_with_one_layer_have_a_derivative_each():
    """The second branch's derivative is the first one's negative, and has a name all the same."""
    a, b, layer = cr.input("a", ("m", 3)), cr.input("b", ("m", 3)), cr.Dense(2)
    distance = cr.sqrt(cr.sum((layer(a) - layer(b)) ** 2, axis=1) + 1e-6).named("distance")
    sheet = cr.formulas(cr.mean(distance**3))
    assert section(sheet, "Backward") == [
        "dZ1 = 3 · distance ∘ (Z1 − Z1.2)",
        "dZ1.2 = −3 · distance ∘ (Z1 − Z1.2)",
        "dW1 = 1/m · (aᵀ dZ1 + bᵀ dZ1.2)",
        "db1 = 1/m · (Σ dZ1 + Σ dZ1.2)",
    ]


def test_a_term_without_examples_stands_beside_the_mean_over_them():
    x, y, W = cr.input("x", ("m", 2)), cr.input("y", ("m", 1)), cr.parameter("W", (2, 1))
    h = (x @ W).named("h")
    sheet = cr.formulas(cr.mean((h - y) ** 2) + 0.1 * cr.sum(W**2))
    assert section(sheet, "Backward") == ["dh = 2 · (h − y)", "dW = 1/m · xᵀ dh + 0.2 · W"]


def test_the_numbers_of_named_derivatives_are_those_of_the_plain_gradient():
    rng = np.random.default_rng(1)
    x, y, W, V = cr.input("x", ("m", 3)), cr.input("y", ("m", 2)), cr.parameter("W", (3, 4)), cr.parameter("V", (4, 2))
    h = (cr.tanh(x @ W) + cr.tanh(-(x @ W)) ** 2).named("h")
    cost = 3 * cr.mean((cr.softplus(-(h @ V).named("q")) - y) ** 2) + cr.mean(h)
    derivation = derive(cost, [W, V], derivative_names(Graph(cost), [W, V]))
    assert {n.name for n in derivation.named} == {"dq", "dh", "dW", "dV"}
    feeds = {x: rng.normal(size=(5, 3)), y: rng.normal(size=(5, 2))}
    feeds |= {W: rng.normal(size=(3, 4)), V: rng.normal(size=(4, 2))}
    cr.check_gradient(cost, [W, V], feeds, gradients=derivation.gradients)


def test_what_has_no_name_cannot_head_a_line():
    x, W = cr.input("x", ("m", 2)), cr.parameter("W", (2,))
    with pytest.raises(cr.ChainruleError, match="no name to be shown under"):
        cr.formulas(cr.mean(x @ W), [x @ W])


# --- as short as in a textbook -------------------------------------------------------------------------------

SLOPES = {
    "tanh": "(1 − A1²)",
    "sigmoid": "A1 ∘ (1 − A1)",
    "relu": "[Z1 > 0]",
    "leaky_relu": "([Z1 > 0] + 0.01 · [Z1 ≤ 0])",
    "elu": "([Z1 > 0] + [Z1 ≤ 0] ∘ (A1 + 1))",
    "softplus": "σ(Z1)",
    "softsign": "1/(1 + |Z1|)²",
    "silu": "(A1 + σ(Z1) ∘ (1 − A1))",
    "gelu": "(Φ(Z1) + Z1 ∘ φ(Z1))",
}
"""The derivative of each activation as it is found in books, in our letters."""
ENDS = {
    "sigmoid and binary cross-entropy": (1, "sigmoid", cr.binary_cross_entropy, "(A2 − Y)"),
    "softmax and categorical cross-entropy": (3, "softmax", cr.categorical_cross_entropy, "(A2 − Y)"),
    "linear and squared error": (2, None, cr.squared_error, "(Z2 − Y)"),
    "sigmoid and squared error": (1, "sigmoid", cr.squared_error, "(A2 − Y) ∘ A2 ∘ (1 − A2)"),
    "tanh and squared error": (1, "tanh", cr.squared_error, "(A2 − Y) ∘ (1 − A2²)"),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("activation", SLOPES)
def test_a_gradient_is_one_line_of_at_most_twice_a_textbook_s(activation, end):
    units, last, loss, delta = ENDS[end]
    x = cr.input("X", ("m", 3))
    hidden, output = cr.Dense(4, activation), cr.Dense(units, last)
    y = cr.input("Y", ("m", units), distribution=units == 3)
    J = cr.mean(loss(output(hidden(x)), y))
    textbook = {
        output["W"]: f"1/m · A1ᵀ {delta}",
        hidden["W"]: f"1/m · Xᵀ ({delta} W2ᵀ ∘ {SLOPES[activation]})",
        hidden["b"]: f"1/m · Σ {delta} W2ᵀ ∘ {SLOPES[activation]}",
    }
    for parameter, book in textbook.items():
        ours = str(cr.gradient(J, parameter))
        assert "\n" not in ours
        assert len(ours) <= 2 * len(book), f"{ours}\n{book}"
    if activation in ("tanh", "softplus") and "cross-entropy" in end:
        assert str(cr.gradient(J, hidden["W"])) == textbook[hidden["W"]]


@pytest.mark.parametrize("depth", [2, 4, 8])
def test_a_gradient_grows_by_a_term_for_every_layer_that_it_goes_through(depth):
    x, y = cr.input("X", ("m", 3)), cr.input("Y", ("m", 1))
    layers = [cr.Dense(4, "tanh") for _ in range(depth - 1)]
    out = x
    for layer in layers:
        out = layer(out)
    J = cr.mean(cr.binary_cross_entropy(cr.Dense(1, "sigmoid")(out), y))
    book = f"(A{depth} − Y) W{depth}ᵀ ∘ (1 − A{depth - 1}²)"
    for k in range(depth - 1, 1, -1):
        book = f"({book}) W{k}ᵀ ∘ (1 − A{k - 1}²)"
    assert str(cr.gradient(J, layers[0]["W"])) == f"1/m · Xᵀ ({book})"


def test_a_network_written_out_as_one_formula_has_one_line_too():
    """Where other tools print over two thousand characters or fifty lines."""
    x, y = cr.input("X", ("m", 3)), cr.input("Y", ("m", 1))
    W1, b1, W2, b2 = (cr.parameter(n, s) for n, s in (("W1", (3, 4)), ("b1", (4,)), ("W2", (4, 1)), ("b2", (1,))))
    J = cr.mean(cr.binary_cross_entropy(cr.sigmoid(cr.tanh(x @ W1 + b1) @ W2 + b2), y))
    assert str(cr.gradient(J, W1)) == "1/m · Xᵀ ((σ(tanh(X W1 + b1) W2 + b2) − Y) W2ᵀ ∘ (1 − tanh(X W1 + b1)²))"


UPDATES = {
    "gradient_descent": ["W1 ← W1 − α · dW1"],
    "momentum": ["v_W1 ← β · v_W1 + dW1", "W1 ← W1 − α · v_W1"],
    "nesterov": ["v_W1 ← β · v_W1 + dW1", "W1 ← W1 − α · (dW1 + β · v_W1)"],
    "adagrad": ["G_W1 ← G_W1 + dW1²", "W1 ← W1 − α · dW1/√(G_W1 + ε)"],
    "rmsprop": ["E_W1 ← ρ · E_W1 + (1 − ρ) · dW1²", "W1 ← W1 − α · dW1/√(E_W1 + ε)"],
    "adam": [
        "m_W1 ← β₁ · m_W1 + (1 − β₁) · dW1",
        "v_W1 ← β₂ · v_W1 + (1 − β₂) · dW1²",
        "m̂_W1 = m_W1/(1 − β₁^t)",
        "v̂_W1 = v_W1/(1 − β₂^t)",
        "W1 ← W1 − α · m̂_W1/(√v̂_W1 + ε)",
    ],
}
UPDATES["adamw"] = [*UPDATES["adam"][:-1], "W1 ← W1 − α · (m̂_W1/(√v̂_W1 + ε) + λ · W1)"]


@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_s_update_is_that_of_its_paper_in_both_notations(name, columns):
    run, _ = one_step((1, "linear"), CODES, optimizer=name)
    sheet = run.formulas(columns=columns)
    (update,) = [s for s in sheet.sections if s.title.startswith("Update")]
    assert [line.text for line in update.lines] == UPDATES[name]
    assert {line.shape for line in update.lines} == {"(2, 3)" if columns else "(3, 2)"}


@pytest.mark.parametrize("layers", [3, 14, 25])
def test_in_a_chain_of_unnamed_residual_sums_every_derivative_is_that_of_the_sum_over_the_examples(layers):
    x, y = cr.input("x", ("m", 4)), cr.input("y", ("m", 2))
    h = x
    for _ in range(layers):
        h = h + cr.Dense(4, "tanh")(h)
    for cost in (cr.mean((cr.Dense(2)(h) - y) ** 2), cr.mean(h**2)):
        lines = {
            a.strip(): b for a, b in (row.split(" = ", 1) for row in str(cr.formulas(cost)).split("\n") if " = " in row)
        }
        assert not [row for name, row in lines.items() if name.startswith("dZ") and "/m" in row]
        assert all(row.startswith("1/m · ") for name, row in lines.items() if name.startswith("dW"))
        W = next(p for p in Graph(cost).parameters if p.name == "W")
        feeds = {
            n: np.random.default_rng(0).normal(size=[5 if s == cr.Dim("m") else s for s in n.shape]) / 4
            for n in Graph(cost).leaves()
        }
        cr.check_gradient(cost, W, feeds, entries=8)


def test_the_chain_goes_through_named_parts_of_the_cost():
    x, y = cr.input("x", ("m", 4)), cr.input("y", ("m", 3))
    A = cr.Dense(3, "tanh")(x)
    E = (A - y).named("E")
    sheet = str(cr.formulas(cr.mean(E**2)))
    assert "dE" not in sheet
    assert "dZ1 = 2/3 · E ∘ (1 − A1²)" in sheet
    L = cr.sum((A - y) ** 2, axis=-1).named("L")
    assert "dZ1 = 2 · exp(L) ∘ (A1 − y) ∘ (1 − A1²)" in str(cr.formulas(cr.mean(cr.exp(L))))
    h = cr.tanh(x @ cr.parameter("V", (4, 3))).named("h")  # what is learned behind it makes it part of the network
    assert "dh" in str(cr.formulas(cr.mean((h @ cr.parameter("U", (3, 3)) - y) ** 2)))
    assert "dL  = x u" in str(cr.formulas(cr.mean(L * (x @ cr.parameter("u", (4,))))))


def test_what_does_nothing_is_not_written():
    x, y = cr.input("x", ("m", 4)), cr.input("y", ("m", 3))
    A = cr.Dense(3, "tanh")(x)
    assert "Z2  = A1 W2 + b2" in str(cr.formulas(cr.mean(cr.Dense(2)(1.0 * A + 0) ** 2)))
    sheet = str(cr.formulas(cr.mean(((1.0 * A).named("B") - y) ** 2)))
    for line in ("A1  = tanh(Z1)", "B   = A1", "dZ1 = 2/3 · (A1 − y) ∘ (1 − A1²)"):
        assert line in sheet
    sheet = str(cr.formulas(cr.mean(cr.Capsule(3, 2)(cr.input("u", ("m", 5, 4))) ** 2)))
    assert "C1    = 1/3 " in sheet
    assert "C1.2  = softmax(û1 v1) " in sheet


def test_a_network_over_time_in_columns():
    x, y = cr.input("X", ("m", 6, 4)), cr.input("Y", ("m", 6, 2))
    cost = cr.mean((cr.Dense(2)(cr.LSTM(3, return_sequences=True)(x)) - y) ** 2)
    sheet = " ".join(str(cr.formulas(cost, columns=True)).split())
    for line in (
        "f1ₜ = σ(W_f1 Xₜ + U_f1 h1ₜ₋₁ + b_f1) (3, m)",
        "Z2 = h1ₜ W2ᵀ + b2 (m, 6, 2)",
        "dW2 = 1/m · Σₜ dZ2ₜ h1ₜᵀ (2, 3)",
        "u_h1ₜ = (1/m · dZ2 W2)ₜ (3, m)",
        "dW_f1 = Σₜ dz_f1ₜ Xₜᵀ (3, 4)",
        "dU_f1 = Σₜ dz_f1ₜ h1ₜ₋₁ᵀ (3, 3)",
        "db_f1 = Σₜ Σ dz_f1ₜ (3, 1)",
    ):
        assert line in sheet
    assert "einsum" not in sheet
    assert "ᵀ)ᵀ" not in sheet


def test_attention_in_columns():
    sheet = str(cr.formulas(cr.mean(cr.MultiHeadAttention(2)(cr.input("X", ("m", 6, 8))) ** 2), columns=True))
    for line in ("Q1    = X W_Q1ᵀ + b_Q1", "dH1   = dZ1 W_O1 ", "dW_Q1 = 1/m · dQ1ᵀ X ", "dW_O1 = 1/m · dZ1ᵀ H1 "):
        assert line in sheet
    assert "ᵀ)ᵀ" not in sheet
