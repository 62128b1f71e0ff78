"""The formula sheet: textbook forms, and that the formulas shown are those that run."""

import numpy as np
import pytest

import chainrule as cr

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
        ((1, "sigmoid"), CODES % 2, "J = 1/m · Σ (−(Y ∘ log(A2) + (1 − Y) ∘ log(1 − A2)))", "dZ2 = A2 − Y"),
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
    shown = {step.names[n].text: cr.evaluate(n, feeds) for n in step.backward}
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


def test_the_sheet_is_latex_too():
    run, _ = one_step((1, "sigmoid"), CODES % 2)
    latex = run.formulas().latex()
    assert latex.startswith(r"\begin{aligned}")
    assert latex.endswith(r"\end{aligned}")
    assert latex.count("{") == latex.count("}")
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
