"""Every optimizer: equal to Optax step by step, solves a parabola and Rosenbrock's valley, and compiles once."""

from dataclasses import replace

import jax
import numpy as np
import optax
import pytest

import chainrule as cr
from chainrule.engine import interpret
from chainrule.engine.xla import Epochs
from chainrule.engine.xla.plan import Plan, Turn
from chainrule.errors import ConfigurationError
from chainrule.optimize import OPTIMIZERS, CosineDecay, WarmUp, optimizer, update

RNG = np.random.default_rng(0)
CENTERED = "rmsprop, centered"
EVERY = pytest.mark.parametrize("name", OPTIMIZERS)


def made(name, **settings):
    """An optimizer by name; the centered RMSprop has one here."""
    return cr.RMSprop(centered=True, **settings) if name == CENTERED else OPTIMIZERS[name](**settings)


# --- step by step -------------------------------------------------------------------------------------

STEPS = 20
START = {"w": RNG.normal(size=(3, 2)), "b": RNG.normal(size=2)}
# Gradients of all sizes, and one that vanishes.
GRADIENTS = [
    {n: RNG.normal(size=v.shape) * 10.0 ** RNG.integers(-3, 3) for n, v in START.items()} for _ in range(STEPS)
]
GRADIENTS[4] = {n: np.zeros(v.shape) for n, v in START.items()}


def our_steps(rule):
    """The parameters after each of the steps."""
    parameters = {n: cr.parameter(n, v.shape) for n, v in START.items()}
    slopes = {n: cr.input(f"d{n}", v.shape) for n, v in START.items()}
    moved = update(rule, {parameters[n]: slopes[n] for n in START})
    new = {**moved.parameters, **moved.states}
    values = {parameters[n]: v for n, v in START.items()}
    values |= {s: np.full(s.shape, s.attrs["initial"]) for s in moved.states}
    out = []
    for g in GRADIENTS:
        found = interpret(list(new.values()), values | {slopes[n]: g[n] for n in START}, np.float64)
        values = {leaf: found[node] for leaf, node in new.items()}
        out.append({n: values[p] for n, p in parameters.items()})
    return out


def optax_steps(rule):
    with jax.enable_x64(True):
        values, state, out = START, rule.init(START), []
        for g in GRADIENTS:
            change, state = rule.update(g, state, values)
            values = optax.apply_updates(values, change)
            out.append({n: np.asarray(v) for n, v in values.items()})
    return out


def warmed_up(count):
    """Up to 0.1 in 5 steps and down along a cosine in 10; in double precision, other than Optax's own schedules."""
    t = count.astype(np.float64)
    return jax.numpy.where(t < 5, 0.1 * t / 5, 0.05 * (1 + jax.numpy.cos(np.pi * jax.numpy.minimum((t - 5) / 10, 1))))


PAIRS = {
    "gradient_descent": (cr.GradientDescent(0.1), optax.sgd(0.1)),
    "momentum": (cr.Momentum(0.1, momentum=0.8), optax.sgd(0.1, momentum=0.8)),
    "nesterov": (cr.Nesterov(0.1, momentum=0.8), optax.sgd(0.1, momentum=0.8, nesterov=True)),
    "adagrad": (cr.AdaGrad(0.1), optax.adagrad(0.1, initial_accumulator_value=0, eps=1e-7)),
    "adagrad as Optax starts it": (cr.AdaGrad(0.1, initial=0.1), optax.adagrad(0.1)),
    "rmsprop": (cr.RMSprop(0.1), optax.rmsprop(0.1, decay=0.9, eps=1e-8)),
    "rmsprop, ε to be seen": (cr.RMSprop(0.1, rho=0.7, epsilon=1e-2), optax.rmsprop(0.1, decay=0.7, eps=1e-2)),
    CENTERED: (
        cr.RMSprop(0.1, epsilon=1e-3, centered=True),
        optax.rmsprop(0.1, decay=0.9, eps=1e-3, centered=True),
    ),
    "adam": (cr.Adam(), optax.adam(0.001)),
    "adam, ε to be seen": (cr.Adam(0.1, beta_1=0.8, beta_2=0.9, epsilon=1e-2), optax.adam(0.1, 0.8, 0.9, 1e-2)),
    "adamw": (cr.AdamW(0.1), optax.adamw(0.1, weight_decay=0.01)),
    "weight decay in the gradient": (
        cr.GradientDescent(0.1, weight_decay=0.3),
        optax.chain(optax.add_decayed_weights(0.3), optax.sgd(0.1)),
    ),
    "weight decay in Adam's gradient": (
        cr.Adam(0.1, weight_decay=0.3),
        optax.chain(optax.add_decayed_weights(0.3), optax.adam(0.1)),
    ),
    "clipped by value": (cr.Momentum(0.1, clip_value=0.5), optax.chain(optax.clip(0.5), optax.sgd(0.1, 0.9))),
    "clipped by norm": (
        cr.Momentum(0.1, clip_norm=1.5),
        optax.chain(optax.clip_by_global_norm(1.5), optax.sgd(0.1, 0.9)),
    ),
    "clipped by value, then by norm, then decayed": (
        cr.Adam(0.1, clip_value=0.5, clip_norm=0.7, weight_decay=0.1),
        optax.chain(optax.clip(0.5), optax.clip_by_global_norm(0.7), optax.add_decayed_weights(0.1), optax.adam(0.1)),
    ),
    "a rate for each parameter": (
        cr.Momentum({"w": 0.3, "default": 0.02}),
        optax.partition({"w": optax.sgd(0.3, 0.9), "b": optax.sgd(0.02, 0.9)}, {"w": "w", "b": "b"}),
    ),
    "a rate that changes": (
        cr.AdamW(WarmUp(CosineDecay(0.1, 10), 5)),
        optax.adamw(warmed_up, weight_decay=0.01),
    ),
}


@pytest.mark.parametrize(("ours", "theirs"), PAIRS.values(), ids=PAIRS.keys())
def test_every_step_is_that_of_optax(ours, theirs):
    for mine, other in zip(our_steps(ours), optax_steps(theirs), strict=True):
        for n in START:
            np.testing.assert_allclose(mine[n], other[n], rtol=1e-10, atol=1e-13)


def test_every_optimizer_by_name_is_compared():
    assert set(OPTIMIZERS) <= set(PAIRS)


# --- whole problems -----------------------------------------------------------------------------------

RATES = {
    "gradient_descent": 2e-3,
    "momentum": 1e-3,
    "nesterov": 1e-3,
    "adagrad": 0.5,
    "rmsprop": 1e-3,
    CENTERED: 1e-3,
    "adam": 0.02,
    "adamw": 0.02,
}
CENTRE, BENDS = np.array([1.0, -2.0, 0.5]), np.array([0.5, 1.0, 20.0])


class Problem:
    """Rosenbrock's valley and a parabola side by side, under training in one compiled program.

    (1 − x)² + 100 (y − x²)² has its minimum at x = y = 1 (Rosenbrock 1960).
    """

    def __init__(self, rule, dtype):
        self.w, self.u = cr.parameter("w", (2,)), cr.parameter("u", (3,))
        x, y = self.w[0], self.w[1]
        cost = (1 - x) ** 2 + 100 * (y - x**2) ** 2 + cr.sum(BENDS * (self.u - CENTRE) ** 2)
        moved = update(rule, dict(zip([self.w, self.u], cr.gradient(cost, [self.w, self.u]), strict=True)))
        plan = Plan(
            turns=(Turn({**moved.parameters, **moved.states}, (cost,)),),
            examples=(cr.input("row", ("m",)),),
            validation=(),
            totals=False,
            constants={},
            batch_size=1,
        )
        start = {leaf: np.full(leaf.shape, leaf.attrs.get("initial", 0.0)) for leaf in plan.carry}
        self.epochs = Epochs(plan, start, [np.zeros(1)], dtype=dtype)

    def advance(self, steps):
        self.epochs.run(np.zeros((steps, 1), np.int32), steps)
        return self.epochs.values()


@pytest.fixture
def compiled():
    """The programs that jax has traced or compiled so far."""
    events = []

    def note(event, seconds, **_):
        if event.startswith("/jax/core/compile"):
            events.append(event)

    jax.monitoring.register_event_duration_secs_listener(note)
    yield events
    jax.monitoring.unregister_event_duration_listener(note)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", RATES)
def test_a_parabola_and_rosenbrocks_valley_are_solved_in_one_program_in_its_precision(name, dtype, compiled):
    rule = made(name, learning_rate=RATES[name])
    # A decay would move the minimum.
    problem = Problem(replace(rule, weight_decay=0.0), dtype)
    problem.advance(5000)
    assert compiled
    compiled.clear()
    values = problem.advance(5000)
    assert compiled == []
    assert {v.dtype.name for leaf, v in values.items() if leaf.name != "t"} == {dtype}
    assert values[next(leaf for leaf in values if leaf.name == "t")] == 10000
    np.testing.assert_allclose(values[problem.w], [1, 1], atol=1e-2)
    np.testing.assert_allclose(values[problem.u], CENTRE, atol=1e-2)


def test_every_optimizer_by_name_has_problems_to_solve():
    assert set(OPTIMIZERS) <= set(RATES)


def test_a_centered_rmsprop_outlives_a_gradient_that_does_not_change():
    # Then E − M² is 0 but for rounding, which in single precision leaves it below −ε for these gradients.
    w, g = cr.parameter("w", (1000,)), cr.input("g", (1000,))
    moved = update(cr.RMSprop(0.01, centered=True), {w: g})
    new = {**moved.parameters, **moved.states}
    constant = np.linspace(0.1, 1000, 1000, dtype=np.float32)
    values = {leaf: np.zeros(leaf.shape, np.float32) for leaf in new}
    for _ in range(200):
        found = interpret(list(new.values()), values | {g: constant}, np.float32)
        values = {leaf: found[node] for leaf, node in new.items()}
    mean_square, mean = (next(v for leaf, v in values.items() if leaf.name == n) for n in ("E_w", "M_w"))
    assert (mean_square - mean**2 + np.float32(1e-8) < 0).any()
    assert np.isfinite(values[w]).all()


# --- states -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "slots"),
    [
        ("gradient_descent", {}),
        ("momentum", {"v": 0}),
        ("nesterov", {"v": 0}),
        ("adagrad", {"G": 0}),
        ("rmsprop", {"E": 0}),
        (CENTERED, {"E": 0, "M": 0}),
        ("adam", {"m": 0, "v": 0}),
        ("adamw", {"m": 0, "v": 0}),
    ],
)
def test_what_is_remembered_has_the_shape_of_its_parameter_and_starts_at_zero(name, slots):
    assert made(name).states() == slots
    w = cr.parameter("w", (3, 2), dtype="float64")
    moved = update(made(name), {w: cr.input("g", (3, 2), dtype="float64")})
    states = [s for s in moved.states if s is not moved.counter]
    assert [s.name for s in states] == [f"{slot}_w" for slot in slots]
    for node in [*states, *(moved.states[s] for s in states), moved.parameters[w]]:
        assert (node.shape, node.dtype) == (w.shape, w.dtype)


# --- settings -----------------------------------------------------------------------------------------


@EVERY
@pytest.mark.parametrize("rate", [0, -0.1, np.nan, np.inf, "fast", None, {"w": -1.0}])
def test_a_learning_rate_is_a_positive_number(name, rate):
    with pytest.raises(ConfigurationError, match=r"(?s)a learning rate is a positive number.*such as 0\.01"):
        OPTIMIZERS[name](rate)


@pytest.mark.parametrize("rate", [1, np.float32(0.1), np.int64(1)])
def test_a_learning_rate_may_be_numpys(rate):
    assert cr.Adam(rate).learning_rate == rate


@pytest.mark.parametrize(
    ("make", "setting"),
    [
        (cr.Momentum, "momentum"),
        (cr.Nesterov, "momentum"),
        (cr.RMSprop, "rho"),
        (cr.Adam, "beta_1"),
        (cr.AdamW, "beta_2"),
    ],
)
@pytest.mark.parametrize("value", [1, 1.5, -0.1, np.nan])
def test_what_is_kept_of_the_past_is_less_than_all_of_it(make, setting, value):
    with pytest.raises(ConfigurationError, match=rf"(?s){setting} lies in \[0, 1\).*given: +{value}"):
        make(**{setting: value})


@EVERY
@pytest.mark.parametrize(
    ("setting", "values"),
    [("clip_value", (0, -1, np.nan)), ("clip_norm", (0, -1, np.nan)), ("weight_decay", (-1, np.nan))],
)
def test_limits_are_positive_and_a_decay_is_not_negative(name, setting, values):
    for value in values:
        with pytest.raises(ConfigurationError, match=rf"(?s){setting} is a (positive )?number.*given: +{value}"):
            OPTIMIZERS[name](**{setting: value})


@pytest.mark.parametrize("make", [cr.AdaGrad, cr.RMSprop, cr.Adam, cr.AdamW])
def test_epsilon_is_not_negative(make):
    with pytest.raises(ConfigurationError, match="epsilon is a number of at least 0"):
        make(epsilon=-1e-8)


# --- by name ------------------------------------------------------------------------------------------


@EVERY
def test_an_optimizer_is_given_by_its_name_its_class_or_as_an_object(name):
    made = OPTIMIZERS[name]
    assert optimizer(name) == optimizer(made) == optimizer(made()) == made()
    assert optimizer(name, 0.5) == optimizer(made, 0.5) == made(0.5)


@pytest.mark.parametrize(("name", "made"), [("RMSprop", cr.RMSprop()), ("Gradient-Descent", cr.GradientDescent())])
def test_capitals_and_hyphens_in_a_name_do_not_matter(name, made):
    assert optimizer(name) == made


def test_a_learning_rate_beside_an_object_that_has_one_is_refused():
    with pytest.raises(ConfigurationError, match=r"(?s)given twice.*given: +0\.1 beside Adam.*hint: +Adam\(0\.1\)"):
        optimizer(cr.Adam(0.5), 0.1)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("adm", "did you mean 'adam'"),
        ("rms_prop", "did you mean 'rmsprop'"),
        ("nothing like it", "(?s)no such optimizer.*given: +'nothing like it'.*expected: gradient_descent, "),
        (3, "(?s)no such optimizer.*given: +3"),
    ],
)
def test_an_unknown_optimizer_is_refused_and_near_names_are_named(value, message):
    with pytest.raises(ConfigurationError, match=message):
        optimizer(value)


def test_what_an_optimizer_has_of_its_own_follows_the_learning_rate():
    assert cr.Momentum(0.1, 0.8).momentum == 0.8  # as in Keras and PyTorch
    assert cr.Adam(0.1, 0.8, 0.9).beta_1 == 0.8
    assert cr.RMSprop(0.1, 0.8).rho == 0.8
    with pytest.raises(TypeError, match="positional"):
        cr.GradientDescent(0.1, 0.01)
