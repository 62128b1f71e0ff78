"""Every schedule against its closed form and Optax's at every step, as an optimizer follows it, and as it prints."""

import numpy as np
import optax
import pytest

import chainrule as cr
from chainrule.engine import interpret
from chainrule.errors import ConfigurationError
from chainrule.optimize import Constant, Schedule, update

STEPS = np.arange(131)  # beyond the end of those that end, which is at 100 or 120


def fall(part):
    """Half a cosine, from 1 at 0 to 0 at 1 and after."""
    return (1 + np.cos(np.pi * np.clip(part, 0, 1))) / 2


def one_cycle(t):
    rise, drop = 0.02 + (0.5 - 0.02) * (1 - fall(t / 30)), 2e-6 + (0.5 - 2e-6) * fall((t - 30) / 70)
    return np.where(t < 30, rise, drop)


SCHEDULES = {
    "constant": (Constant(0.5), lambda t: 0.5 + 0 * t, optax.constant_schedule(0.5)),
    "step": (
        cr.StepDecay(0.5, 20, 0.3),
        lambda t: 0.5 * 0.3 ** (t // 20),
        optax.exponential_decay(0.5, 20, 0.3, staircase=True),
    ),
    "exponential": (
        cr.ExponentialDecay(0.5, 20, 0.9),
        lambda t: 0.5 * 0.9 ** (t / 20),
        optax.exponential_decay(0.5, 20, 0.9),
    ),
    "cosine": (cr.CosineDecay(0.5, 100), lambda t: 0.5 * fall(t / 100), optax.cosine_decay_schedule(0.5, 100)),
    "cosine to a floor": (
        cr.CosineDecay(0.5, 100, final=0.1),
        lambda t: 0.05 + 0.45 * fall(t / 100),
        optax.cosine_decay_schedule(0.5, 100, alpha=0.1),
    ),
    "warm-up": (
        cr.WarmUp(0.5, 20),
        lambda t: 0.5 * np.minimum(t / 20, 1),
        optax.warmup_constant_schedule(0.0, 0.5, 20),
    ),
    "warm-up, then cosine": (
        cr.WarmUp(cr.CosineDecay(0.5, 100), 20),
        lambda t: np.where(t < 20, 0.5 * t / 20, 0.5 * fall((t - 20) / 100)),
        optax.warmup_cosine_decay_schedule(0.0, 0.5, 20, 120),
    ),
    "warm-up, then steps": (
        cr.WarmUp(cr.StepDecay(0.5, 30), 10),
        lambda t: np.where(t < 10, 0.5 * t / 10, 0.5 * 0.5 ** ((t - 10) // 30)),
        optax.join_schedules(
            [optax.linear_schedule(0.0, 0.5, 10), optax.exponential_decay(0.5, 30, 0.5, staircase=True)], [10]
        ),
    ),
    "one cycle": (cr.OneCycle(0.5, 100), one_cycle, optax.cosine_onecycle_schedule(100, 0.5)),
}
EVERY = pytest.mark.parametrize(("schedule", "formula", "peer"), SCHEDULES.values(), ids=SCHEDULES.keys())


def rates(schedule, dtype="float64"):
    """The learning rate at every step."""
    t = cr.input("t", ("steps",))
    return np.broadcast_to(cr.evaluate(schedule(t), {t: STEPS}, dtype=dtype), STEPS.shape)


# --- values -------------------------------------------------------------------------------------------


def test_every_schedule_has_a_closed_form_here():
    kinds = {type(schedule) for schedule, _, _ in SCHEDULES.values()}
    assert kinds == {kind for kind in Schedule.__subclasses__() if kind.__module__ == Schedule.__module__}


@EVERY
def test_the_rate_at_every_step_is_the_closed_form(schedule, formula, peer):
    np.testing.assert_allclose(rates(schedule), formula(STEPS), rtol=1e-12, atol=1e-16)
    np.testing.assert_allclose(rates(schedule, "float32"), formula(STEPS), rtol=2e-6, atol=1e-7)


@EVERY
def test_the_rate_at_every_step_is_that_of_optax(schedule, formula, peer):
    np.testing.assert_allclose(rates(schedule), [float(peer(t)) for t in STEPS], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("schedule", "at"),
    [
        (Constant(0.5), {0: 0.5, 10**6: 0.5}),
        (cr.StepDecay(0.5, 20), {0: 0.5, 19: 0.5, 20: 0.25, 39: 0.25, 40: 0.125}),
        (cr.ExponentialDecay(0.5, 20, 0.9), {0: 0.5, 20: 0.45, 40: 0.405}),
        (cr.CosineDecay(0.5, 100, 0.1), {0: 0.5, 50: 0.275, 100: 0.05, 10**6: 0.05}),
        (cr.WarmUp(0.5, 20), {0: 0, 10: 0.25, 20: 0.5, 10**6: 0.5}),
        (cr.OneCycle(0.5, 100), {0: 0.02, 15: 0.26, 30: 0.5, 100: 2e-6, 10**6: 2e-6}),
        (cr.OneCycle(0.5, 100, warm=0.5, start=10, final=100), {0: 0.05, 50: 0.5, 100: 5e-4}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Schedule) else "",
)
def test_where_a_schedule_starts_turns_and_ends(schedule, at):
    assert {t: schedule.at(t) for t in at} == pytest.approx(at)


@EVERY
def test_an_optimizer_takes_the_first_step_with_the_first_rate(schedule, formula, peer):
    w, g = cr.parameter("w", ()), cr.input("g", ())
    moved = update(cr.GradientDescent(schedule), {w: g})
    new = {**moved.parameters, **moved.states}
    values, path = {w: 0.0, moved.counter: 0}, [0.0]
    for _ in range(35):
        found = interpret([*new.values(), moved.rate], values | {g: 1.0}, np.float64)
        values = {leaf: found[node] for leaf, node in new.items()}
        path.append(float(values[w]))
    assert values[moved.counter] == 35
    np.testing.assert_allclose(-np.diff(path), formula(np.arange(35)), rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(found[moved.rate], formula(np.arange(35))[-1], rtol=1e-9)


# --- as formulas --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schedule", "text"),
    [
        (Constant(0.5), "α"),
        (cr.StepDecay(0.5, 20), "α · 0.5^⌊t/20⌋"),
        (cr.ExponentialDecay(0.5, 20), "α · 0.96^(t/20)"),
        (cr.CosineDecay(0.5, 100, 0.1), "α · (0.1 + 0.9 · 0.5 · (1 + cos(π · min(t/100, 1))))"),
    ],
    ids=["constant", "step", "exponential", "cosine"],
)
def test_a_schedule_prints_as_its_formula(schedule, text):
    assert str(schedule(cr.input("t", ()))) == text


def test_a_warm_up_prints_both_of_its_parts():
    assert str(cr.simplify(cr.WarmUp(0.5, 20)(cr.input("t", ()))).outputs[0]) == "where(t < 20, α · t/20, α)"


def test_a_rate_that_changes_is_a_quantity_of_the_update():
    w = cr.parameter("w", ())
    moved = update(cr.GradientDescent(cr.StepDecay(0.5, 20)), {w: cr.input("g", ())})
    assert moved.rate.name == "α_t"
    assert str(moved.parameters[w]) == "w − α_t · g"
    assert str(update(cr.GradientDescent(0.5), {w: cr.input("g", ())}).parameters[w]) == "w − α · g"


# --- what is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Constant(0), "a learning rate is a positive number"),
        (lambda: cr.StepDecay(-0.1, 20), "a learning rate is a positive number"),
        (lambda: cr.WarmUp("fast", 20), "a learning rate is a positive number"),
        (lambda: cr.WarmUp(-1, 20), "a learning rate is a positive number"),
        (lambda: cr.StepDecay(0.1, 0), "(?s)steps is at least one step.*given: +0"),
        (lambda: cr.ExponentialDecay(0.1, 0), "steps is at least one step"),
        (lambda: cr.CosineDecay(0.1, -5), "(?s)steps is at least one step.*given: +-5"),
        (lambda: cr.WarmUp(0.1, 0), "steps is at least one step"),
        (lambda: cr.OneCycle(0.1, 0), "steps is at least one step"),
        (lambda: cr.StepDecay(0.1, 20, rate=0), "(?s)rate is a positive number.*given: +0"),
        (lambda: cr.ExponentialDecay(0.1, 20, rate=-0.5), "rate is a positive number"),
        (lambda: cr.OneCycle(0.1, 20, warm=1.5), "(?s)lies between 0 and 1.*given: +1.5"),
    ],
)
def test_a_setting_out_of_range_is_refused_where_the_schedule_is_made(make, message):
    with pytest.raises(ConfigurationError, match=message):
        make()
