"""The update part of the step: decay, clipping, rates for each parameter, and the formulas as they are shown."""

import re

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.engine import interpret
from chainrule.errors import ConfigurationError
from chainrule.optimize import update
from chainrule.train.formulas import step_formulas
from chainrule.train.step import labels_for, step_graph

RNG = np.random.default_rng(0)
W, B = RNG.normal(size=(3, 2)), RNG.normal(size=2)
DW, DB = RNG.normal(size=(3, 2)), RNG.normal(size=2)


def moved(rule, dW=DW, dB=DB):
    """How the parameters move in the first step of an optimizer."""
    w, b = cr.parameter("w", W.shape), cr.parameter("b", B.shape)
    g, h = cr.input("g", W.shape), cr.input("h", B.shape)
    change = update(rule, {w: g, b: h})
    feeds = {w: W, b: B, g: dW, h: dB} | {s: np.full(s.shape, s.attrs["initial"]) for s in change.states}
    found = interpret(list(change.parameters.values()), feeds, np.float64)
    return found[change.parameters[w]] - W, found[change.parameters[b]] - B


def assert_moves(rule, *expected, **gradients):
    for found, e in zip(moved(rule, **gradients), expected, strict=True):
        np.testing.assert_allclose(found, e, rtol=1e-12, atol=1e-15)


# --- decay and clipping -------------------------------------------------------------------------------


def test_weight_decay_is_a_part_of_the_gradient():
    # λ w is the gradient of ½ λ w².
    assert_moves(cr.GradientDescent(0.1, weight_decay=0.3), -0.1 * (DW + 0.3 * W), -0.1 * (DB + 0.3 * B))


def test_the_decay_of_adam_is_divided_by_the_size_of_the_gradient_that_of_adamw_is_not():
    # After one step m̂ = g and v̂ = g².
    def adam(g):
        return g / (np.abs(g) + 1e-8)

    assert_moves(cr.Adam(0.1, weight_decay=0.3), -0.1 * adam(DW + 0.3 * W), -0.1 * adam(DB + 0.3 * B))
    assert_moves(cr.AdamW(0.1, weight_decay=0.3), -0.1 * (adam(DW) + 0.3 * W), -0.1 * (adam(DB) + 0.3 * B))


@pytest.mark.parametrize("decays", [{"w": 0.3}, {"default": 0.3, "b": 0.0}])
def test_a_weight_decay_of_its_own_for_a_parameter(decays):
    def adam(g):
        return g / (np.abs(g) + 1e-8)

    assert_moves(cr.GradientDescent(0.1, weight_decay=decays), -0.1 * (DW + 0.3 * W), -0.1 * DB)
    assert_moves(cr.AdamW(0.1, weight_decay=decays), -0.1 * (adam(DW) + 0.3 * W), -0.1 * adam(DB))
    assert_moves(
        cr.GradientDescent(0.1, weight_decay={"b": 0.2, "default": 0.3}), -0.1 * (DW + 0.3 * W), -0.1 * (DB + 0.2 * B)
    )


def test_a_weight_decay_for_a_parameter_that_is_not_there_or_below_zero():
    with pytest.raises(ConfigurationError, match=r"(?s)weight decay is given for a parameter.*given: +v"):
        moved(cr.GradientDescent(weight_decay={"v": 0.1}))
    with pytest.raises(ConfigurationError, match="weight_decay is a number of at least 0"):
        cr.Adam(weight_decay={"w": -0.1})


def test_clipping_by_value_limits_every_number_of_a_gradient():
    assert_moves(cr.GradientDescent(0.1, clip_value=0.2), -0.1 * np.clip(DW, -0.2, 0.2), -0.1 * np.clip(DB, -0.2, 0.2))


@pytest.mark.parametrize("limit", [0.5, 100.0])
def test_clipping_by_norm_scales_all_gradients_together(limit):
    norm = np.sqrt((DW**2).sum() + (DB**2).sum())
    scale = min(1, limit / norm)
    assert_moves(cr.GradientDescent(0.1, clip_norm=limit), -0.1 * scale * DW, -0.1 * scale * DB)
    length = np.sqrt(sum((d**2).sum() for d in moved(cr.GradientDescent(1.0, clip_norm=limit))))
    np.testing.assert_allclose(length, min(limit, norm), rtol=1e-12)


def test_a_gradient_of_zero_has_no_direction_to_be_clipped_in():
    assert_moves(cr.GradientDescent(0.1, clip_norm=0.5), 0, 0, dW=0 * DW, dB=0 * DB)


def test_what_is_clipped_is_the_gradient_of_the_cost_without_the_decay():
    rule = cr.GradientDescent(0.1, clip_value=0.2, weight_decay=0.3)
    assert_moves(rule, -0.1 * (np.clip(DW, -0.2, 0.2) + 0.3 * W), -0.1 * (np.clip(DB, -0.2, 0.2) + 0.3 * B))


# --- learning rates -----------------------------------------------------------------------------------


@pytest.mark.parametrize("rates", [{"w": 0.5, "b": 0.1}, {"w": 0.5, "default": 0.1}, {"b": 0.1, "default": 0.5}])
def test_every_parameter_has_a_rate_of_its_own(rates):
    assert_moves(cr.GradientDescent(rates), -0.5 * DW, -0.1 * DB)


def test_rates_go_by_the_names_that_formulas_show():
    hidden, last = cr.Dense(2), cr.Dense(1)
    x = cr.input("X", ("m", 2))
    last(hidden(x))
    parameters = [*hidden.parameters, *last.parameters]
    names = dict(zip(parameters, ["W1", "b1", "W2", "b2"], strict=True))
    gradients = {p: cr.input(f"d{names[p]}", p.shape) for p in parameters}
    change = update(cr.GradientDescent({"W2": 0.5, "default": 0.1}), gradients, names)
    ones = {node: np.ones(node.shape) for node in [*parameters, *gradients.values()]}
    found = interpret(list(change.parameters.values()), ones | {change.counter: 0}, np.float64)
    steps = {names[p]: float(1 - found[node].ravel()[0]) for p, node in change.parameters.items()}
    assert steps == pytest.approx({"W1": 0.1, "b1": 0.1, "W2": 0.5, "b2": 0.1})


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        ({"v": 0.1}, "(?s)for a parameter that is not there.*given: +v.*expected: +b, default, w"),
        ({"dfault": 0.1}, "did you mean 'default'"),
        ({"w": 0.1}, "(?s)some parameters have no learning rate.*given: +b.*under 'default'"),
        ({}, "(?s)some parameters have no learning rate.*given: +w, b"),
    ],
)
def test_a_rate_for_a_parameter_that_is_not_there_or_none_for_one_that_is(rates, message):
    with pytest.raises(ConfigurationError, match=message):
        moved(cr.GradientDescent(rates))


# --- nodes --------------------------------------------------------------------------------------------


def test_the_counter_counts_steps_in_whole_numbers():
    w = cr.parameter("w", ())
    change = update(cr.Adam(), {w: cr.input("g", ())})
    assert (change.counter.name, change.counter.shape, change.counter.dtype) == ("t", (), "int")
    assert change.states[change.counter].dtype == "int"
    assert str(change.states[change.counter]) == "t + 1"


def test_states_belong_to_the_layer_of_their_parameter():
    layer = cr.Dense(2)
    layer(cr.input("X", ("m", 3)))
    change = update(cr.Adam(), {p: cr.input("g", p.shape) for p in layer.parameters})
    slots = [s for s in change.states if s is not change.counter]
    assert [s.name for s in slots] == ["m_W", "v_W", "m_b", "v_b"]
    assert {s.scope for s in slots} == {layer.scope}


@pytest.mark.parametrize("dtype", ["float16", "float64"])
@pytest.mark.parametrize(
    "rule", [cr.Adam(cr.CosineDecay(0.1, 10), clip_norm=1.0, weight_decay=0.1), cr.RMSprop(centered=True)]
)
def test_a_parameter_of_a_fixed_precision_keeps_it(rule, dtype):
    w, b = cr.parameter("w", (2,), dtype=dtype), cr.parameter("b", (2,))
    change = update(rule, {w: cr.input("g", (2,), dtype=dtype), b: cr.input("h", (2,))})
    for leaf, new in {**change.parameters, **change.states}.items():
        assert new.dtype == leaf.dtype
    assert change.parameters[w].dtype == dtype
    assert change.parameters[b].dtype == "float"


def test_without_parameters_only_steps_are_counted():
    change = update(cr.Adam(), {})
    assert (dict(change.parameters), list(change.states)) == ({}, [change.counter])


# --- formulas -----------------------------------------------------------------------------------------

# As the course and the papers write them, with the names of the first layer.
FORMULAS = {
    "gradient descent": (cr.GradientDescent(), ["W1 ← W1 − α · dW1"]),
    "momentum": (cr.Momentum(), ["v_W1 ← β · v_W1 + dW1", "W1 ← W1 − α · v_W1"]),
    "nesterov": (cr.Nesterov(), ["v_W1 ← β · v_W1 + dW1", "W1 ← W1 − α · (dW1 + β · v_W1)"]),
    "adagrad": (cr.AdaGrad(), ["G_W1 ← G_W1 + dW1²", "W1 ← W1 − α · dW1/√(G_W1 + ε)"]),
    "rmsprop": (cr.RMSprop(), ["E_W1 ← ρ · E_W1 + (1 − ρ) · dW1²", "W1 ← W1 − α · dW1/√(E_W1 + ε)"]),
    "rmsprop, centered": (
        cr.RMSprop(centered=True),
        [
            "E_W1 ← ρ · E_W1 + (1 − ρ) · dW1²",
            "M_W1 ← ρ · M_W1 + (1 − ρ) · dW1",
            "W1 ← W1 − α · dW1/√(max(E_W1 − M_W1², 0) + ε)",
        ],
    ),
    "adam": (
        cr.Adam(),
        [
            "m_W1 ← β₁ · m_W1 + (1 − β₁) · dW1",
            "v_W1 ← β₂ · v_W1 + (1 − β₂) · dW1²",
            "m̂_W1 = m_W1/(1 − β₁^t)",
            "v̂_W1 = v_W1/(1 − β₂^t)",
            "W1 ← W1 − α · m̂_W1/(√v̂_W1 + ε)",
        ],
    ),
    "adamw": (cr.AdamW(), ["W1 ← W1 − α · (m̂_W1/(√v̂_W1 + ε) + λ · W1)"]),
    "weight decay": (cr.GradientDescent(weight_decay=0.1), ["W1 ← W1 − α · (dW1 + λ · W1)"]),
    "weight decay, none of b": (
        cr.GradientDescent(0.1, weight_decay={"W1": 0.2}),
        ["W1 ← W1 − α · (dW1 + λ · W1)", "likewise b1 without λ; α = 0.1, λ = 0.2"],
    ),
    "decays of their own": (
        cr.AdamW(0.1, weight_decay={"W1": 0.2, "b1": 0.3}),
        ["W1 ← W1 − α · (m̂_W1/(√v̂_W1 + ε) + λ · W1)"],
    ),
    "clipped by norm": (
        cr.Momentum(clip_norm=1.0),
        ["s = min(c/√(Σ dW1² + db1²), 1)", "v_W1 ← β · v_W1 + s · dW1", "W1 ← W1 − α · v_W1"],
    ),
    "clipped by norm, with weight decay": (
        cr.RMSprop(clip_norm=1.0, weight_decay=0.1),
        [
            "s = min(c/√(Σ dW1² + db1²), 1)",
            "g_W1 = s · dW1 + λ · W1",
            "E_W1 ← ρ · E_W1 + (1 − ρ) · g_W1²",
            "W1 ← W1 − α · g_W1/√(E_W1 + ε)",
        ],
    ),
    "a rate that changes": (
        cr.GradientDescent(cr.ExponentialDecay(0.1, 100)),
        ["α_t = α · 0.96^((t − 1)/100)", "W1 ← W1 − α_t · dW1"],  # here t is the step, counted from 1
    ),
}


@pytest.mark.parametrize(("rule", "lines"), FORMULAS.values(), ids=FORMULAS.keys())
def test_the_formula_sheet_shows_the_update_as_it_is_written_in_books(rule, lines):
    x = cr.input("X", ("m", 3))
    model = cr.Model(x, cr.Dense(1)(x))
    loss = nn.loss("squared_error")
    sheet = str(step_formulas(step_graph(model, loss, rule, labels_for(model.output, loss))))
    shown = [re.sub(r" +", " ", line).strip() for line in sheet.partition("Update")[2].splitlines()]
    shown = [re.sub(r" \([\d, ]*\)$", "", line) for line in shown]  # without shapes
    assert [line for line in shown if line in lines] == lines
    assert shown[0] == f"({type(rule).__name__})"
