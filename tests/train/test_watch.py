"""What is watched are the numbers of the training itself, against the same training written out in NumPy."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ConfigurationError, RunError
from chainrule.train import watch

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(10, 3)), RNG.normal(size=(10, 1))
ALPHA, BETA, BATCH, EPOCHS = 0.1, 0.9, 4, 3


def fit(**options):
    network = cr.Sequential(cr.Dense(5, "relu"), cr.Dense(4, "tanh"), cr.Dense(1))
    options = {"optimizer": cr.Momentum(ALPHA, BETA), "epochs": EPOCHS, "batch_size": BATCH, "shuffle": False} | options
    return cr.fit(network, X, Y, dtype="float64", **options)


def by_hand():
    """The quantities of every step: two hidden layers, squared error, momentum."""
    start = cr.Trainer(
        cr.Sequential(cr.Dense(5, "relu"), cr.Dense(4, "tanh"), cr.Dense(1)), X, Y, dtype="float64"
    ).run()
    p = {k: v.copy() for k, v in start.parameters.items()}
    v = {k: np.zeros_like(a) for k, a in p.items()}
    for _ in range(EPOCHS):
        for i in range(0, len(X), BATCH):
            x, y = X[i : i + BATCH], Y[i : i + BATCH]
            q = {"Z1": x @ p["W1"] + p["b1"]}
            q["A1"] = np.maximum(q["Z1"], 0)
            q["Z2"] = q["A1"] @ p["W2"] + p["b2"]
            q["A2"] = np.tanh(q["Z2"])
            q["Z3"] = q["A2"] @ p["W3"] + p["b3"]
            q["J"] = np.mean((q["Z3"] - y) ** 2)
            q["dZ3"] = 2 * (q["Z3"] - y)
            q["dZ2"] = q["dZ3"] @ p["W3"].T * (1 - q["A2"] ** 2)
            q["dZ1"] = q["dZ2"] @ p["W2"].T * (q["Z1"] > 0)
            for k, a in enumerate((x, q["A1"], q["A2"]), start=1):
                q[f"dW{k}"], q[f"db{k}"] = a.T @ q[f"dZ{k}"] / len(x), q[f"dZ{k}"].mean(axis=0)
            q |= {k: a.copy() for k, a in p.items()} | {f"v_{k}": a.copy() for k, a in v.items()}
            for k in p:
                v[k] = BETA * v[k] + q[f"d{k}"]
                q[f"Δ{k}"] = -ALPHA * v[k]
                p[k] = p[k] + q[f"Δ{k}"]
            yield q


STATISTICS = {
    "mean": np.mean,
    "rms": lambda a: np.sqrt(np.mean(a**2)),
    "min": np.min,
    "max": np.max,
    "zeros": lambda a: np.mean(a == 0),
    "histogram": lambda a: np.histogram(a, [-np.inf, *watch.EDGES, np.inf])[0] / np.size(a),
}
STEPS = list(by_hand())


@pytest.mark.parametrize("every", [1, 2, 4, 50])
def test_every_statistic_of_every_quantity_is_that_of_the_training_written_out(every):
    names = list(STEPS[0])
    run = fit(watch={name: list(STATISTICS) for name in names}, every=every)
    assert list(run.watched.steps) == list(range(0, 9, every))
    assert run.watched.steps_per_epoch == 3
    for name in names:
        for statistic, reference in STATISTICS.items():
            true = [reference(STEPS[i][name]) for i in run.watched.steps]
            np.testing.assert_allclose(run.watched[name, statistic], true, atol=1e-12, err_msg=f"{name} {statistic}")


def test_dead_and_saturated_units():
    run = fit(watch={"A1": ["dead", "saturated"], "A2": "saturated"})
    z = [q["Z1"] for q in STEPS]
    np.testing.assert_allclose(run.watched["A1", "dead"], [np.mean((a <= 0).all(axis=0)) for a in z])
    np.testing.assert_allclose(run.watched["A1", "saturated"], [np.mean(a <= 0) for a in z])
    np.testing.assert_allclose(run.watched["A2", "saturated"], [np.mean(1 - q["A2"] ** 2 < 0.01) for q in STEPS])


def test_units_that_are_planted_dead_and_saturated_are_counted():
    network = cr.Sequential(cr.Dense(4, "relu", bias_initializer=-100.0), cr.Dense(4, "tanh", bias_initializer=50.0))
    run = cr.fit(network, X, np.ones((10, 4)), epochs=1, watch=True)
    assert (run.watched["A1", "dead"] == 1).all()
    assert (run.watched["A2", "saturated"] == 1).all()


def test_watching_changes_nothing_in_the_training():
    plain, watched = fit(), fit(watch=["activations", "updates"], every=2)
    for name, value in plain.parameters.items():
        np.testing.assert_array_equal(watched.parameters[name], value)
    np.testing.assert_array_equal(watched.history.table, plain.history.table)
    assert plain.watched is None


def test_however_seldom_it_looks_a_step_does_not_pay_for_it():
    """What looking takes is work of its own; were it taken out of its loop, every step would make it."""

    def work_of_a_step(every):
        X, Y = np.random.default_rng(0).normal(size=(96, 4)), np.arange(96) % 3
        network = cr.Sequential(cr.Dense(8, "relu"), cr.Dense(8, "relu"), cr.Dense(3, "softmax"))
        made = cr.Trainer(network, X, Y, batch_size=8, watch=every is not None, every=every or 1, devices=1)
        parts = made.lowered().compile().as_text().split("\n\n")
        return max(part.count(" fusion(") for part in parts if "fused_computation" not in part.split("(")[0])

    steps = 96 // 8
    often, once, never = (work_of_a_step(every) for every in (steps // 3, 10 * steps, None))
    assert once <= often
    assert once < never + 10 < work_of_a_step(1)


def test_groups_and_quantities_with_their_usual_statistics():
    run = fit(watch=["gradients", "A1"])
    assert run.watched.quantities == ("dW1", "db1", "dW2", "db2", "dW3", "db3", "A1")
    assert run.watched.statistics("dW2") == ("mean", "rms", "min", "max", "zeros")
    assert run.watched.statistics("A1") == ("mean", "rms", "min", "max", "zeros", "dead", "saturated")
    assert set(run.watched["A1"]) == set(run.watched.statistics("A1"))


def test_what_a_diagnosis_needs_is_little():
    assert fit(watch=True).watched.keys == (
        *(("A1", "rms"), ("A1", "dead"), ("A2", "rms"), ("A2", "saturated")),
        *((q, "rms") for k in (1, 2, 3) for q in (f"W{k}", f"ΔW{k}")),
        *((q, "rms") for q in ("dZ3", "dZ2", "dZ1")),
        ("J", "mean"),
    )


def test_a_node_of_one_s_own_is_watched():
    x = cr.input("x", ("m", 3))
    h = cr.Dense(4, "tanh")(x)
    energy = cr.sum(h**2, axis=1).named("energy")
    run = cr.fit(cr.Model(x, cr.Dense(1)(h) + energy[:, None]), X, Y, epochs=1, watch={energy: "mean", h * 2: "max"})
    assert run.watched.keys == (("energy", "mean"), ("A1 · 2", "max"))
    assert (run.watched["energy", "mean"] > 0).all()
    assert (run.watched["A1 · 2", "max"] <= 2).all()


def test_a_rewritten_activation_is_watched_in_the_form_that_runs():
    network = cr.Sequential(cr.Dense(4, lambda z: 1 / (1 + cr.exp(-z)), kernel_initializer=1e6), cr.Dense(1))
    run = cr.fit(network, X, Y, epochs=1, watch={"A1": ["max", "saturated"]})
    assert np.isfinite(run.watched["A1", "max"]).all()
    assert (run.watched["A1", "saturated"] == 1).all()


def test_a_callback_sees_what_was_sampled_so_far():
    lengths = []
    fit(watch=["J"], callbacks=[lambda run: lengths.append(len(run.watched))])
    assert lengths == [3, 6, 9]


def test_the_table_has_a_line_for_every_number():
    text = str(fit(watch={"A1": ["rms", "histogram"], "J": "mean"}).watched)
    assert [line.split()[:2] for line in text.splitlines()[1:]] == [["A1", "rms"], ["J", "mean"]]
    assert text.splitlines()[0].split() == ["step", "0", "step", "2", "step", "4", "step", "6", "step", "8"]


def test_it_is_saved_with_the_run_and_read_again(tmp_path):
    run = fit(watch={"dW1": ["rms", "histogram"], "A1": "dead"}, every=2)
    again = cr.load(run.save(tmp_path / "run")).watched
    assert (again.keys, again.every, again.steps_per_epoch) == (run.watched.keys, 2, 3)
    for key in run.watched.keys:
        np.testing.assert_array_equal(again[key], run.watched[key])
    np.testing.assert_array_equal(again.steps, run.watched.steps)


def test_a_saved_run_whose_samples_were_lost_is_refused(tmp_path):
    folder = fit(watch=True).save(tmp_path / "run")
    (folder / "watched.safetensors").unlink()
    with pytest.raises(RunError, match=r"watched\.safetensors"):
        cr.load(folder)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"watch": ["A11"]}, ["no such quantity", "'A11'", "did you mean 'A1'"]),
        ({"watch": "gradient"}, ["no such quantity", "a group: activations", "did you mean 'gradients'"]),
        ({"watch": {"A1": "median"}}, ["no such statistic", "'median'", "mean, rms", "did you mean 'mean'"]),
        ({"watch": {"W1": "saturated"}}, ["activations only", "W1", "A1, A2"]),
        ({"watch": {"dW1": "dead"}}, ["activations only", "dW1", "A1, A2"]),
        ({"watch": True, "every": 0}, ["whole number of steps", "0"]),
        ({"watch": True, "every": 2.5}, ["whole number of steps", "2.5"]),
    ],
)
def test_what_cannot_be_watched_is_an_error(options, words):
    with pytest.raises(ConfigurationError) as caught:
        fit(**options)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("key", ["W9", ("A1", "rmse"), ("W1", "mean")])
def test_what_was_not_watched_is_an_error_that_lists_what_was(key):
    watched = fit(watch={"A1": ["rms"], "W1": ["rms"]}).watched
    with pytest.raises(ConfigurationError, match=r"(?s)was not watched.*A1: rms; W1: rms"):
        watched[key]
