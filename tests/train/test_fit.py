"""Training, against closed forms, scikit-learn and training loops written out in NumPy."""

import os
import signal
import subprocess
import sys
from functools import partial, wraps
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import accuracy_score, log_loss, mean_absolute_error, mean_squared_error
from sklearn.utils.class_weight import compute_class_weight

import chainrule as cr
from chainrule.engine.xla import Epochs
from chainrule.errors import ChainruleError, ConfigurationError, DataError, DTypeError, GraphError, ShapeError

SRC = Path(__file__).parents[2] / "src"
RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
Y = X @ [[1.5], [-2.0], [0.5]] + 0.7 + RNG.normal(size=(60, 1))
TWO = (Y[:, 0] > 0.5).astype(int)  # noise in Y keeps these classes from being separable
THREE = np.digitize(Y[:, 0], [-0.5, 2.0])


def dense(*units_and_activations):
    return cr.Sequential(*(cr.Dense(n, g) for n, g in units_and_activations))


def linear():
    return dense((1, None))


def descent(network, X, Y, rate=0.1, **options):
    """Whole-batch gradient descent in float64, unless the options say otherwise."""
    usual = {"optimizer": cr.GradientDescent(rate), "batch_size": None, "dtype": "float64"}
    return cr.fit(network, X, Y, **usual | options)


def assert_same_parameters(a, b, **tolerance):
    assert a.parameters.keys() == b.parameters.keys()
    for name in a.parameters:
        np.testing.assert_allclose(a.parameters[name], b.parameters[name], **tolerance)


# what training ends at


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_linear_regression_ends_at_least_squares(dtype):
    run = descent(linear(), X, Y, epochs=500, dtype=dtype)
    solved = np.linalg.lstsq(np.column_stack([X, np.ones(60)]), Y, rcond=None)[0]
    np.testing.assert_allclose(np.vstack([run.parameters["W1"], run.parameters["b1"]]), solved, atol=1e-4)
    np.testing.assert_allclose(run.predict(X), LinearRegression().fit(X, Y).predict(X), atol=1e-4)
    assert run.parameters["W1"].dtype == run.predict(X).dtype == dtype


def test_a_sigmoid_ends_at_logistic_regression():
    run = descent(dense((1, "sigmoid")), X, TWO, rate=2, epochs=2000)
    theirs = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(X, TWO)
    np.testing.assert_allclose(run.parameters["W1"].T, theirs.coef_, atol=1e-4)
    np.testing.assert_allclose(run.parameters["b1"], theirs.intercept_, atol=1e-4)


def test_a_softmax_ends_at_multinomial_regression():
    run = descent(dense((3, "softmax")), X, THREE, rate=2, epochs=5000)
    theirs = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(X, THREE)
    centred = run.parameters["W1"] - run.parameters["W1"].mean(axis=1, keepdims=True)
    np.testing.assert_allclose(centred.T, theirs.coef_ - theirs.coef_.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(run.predict(X), theirs.predict_proba(X), atol=1e-4)


# the way there


def tanh_network_trained_in_numpy(start, X, Y, rate, epochs, batch):
    """W2ᵀ tanh(W1ᵀ x + b1) + b2 on squared error, the gradients worked out by hand."""
    W1, b1, W2, b2 = (start[name].copy() for name in ("W1", "b1", "W2", "b2"))
    losses = []
    for _ in range(epochs):
        total = 0.0
        for i in range(0, len(X), batch):
            x, y = X[i : i + batch], Y[i : i + batch]
            a = np.tanh(x @ W1 + b1)
            error = a @ W2 + b2 - y
            total += (error**2).sum()
            dZ2 = 2 * error / len(x)
            dZ1 = dZ2 @ W2.T * (1 - a**2)
            W2, b2 = W2 - rate * a.T @ dZ2, b2 - rate * dZ2.sum(axis=0)
            W1, b1 = W1 - rate * x.T @ dZ1, b1 - rate * dZ1.sum(axis=0)
        losses.append(total / len(X))
    return {"W1": W1, "b1": b1, "W2": W2, "b2": b2}, losses


@pytest.mark.parametrize("batch", [None, 20, 1, 16, 59, 100])
def test_every_step_is_that_of_a_loop_in_numpy(batch):
    network, rows = dense((4, "tanh"), (1, None)), len(X)
    start = cr.Trainer(network, X, Y, dtype="float64").run().parameters
    run = descent(network, X, Y, epochs=3, batch_size=batch, shuffle=False)
    parameters, losses = tanh_network_trained_in_numpy(start, X, Y, 0.1, 3, min(batch or rows, rows))
    for name, value in parameters.items():
        np.testing.assert_allclose(run.parameters[name], value, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(run.history["loss"], losses, rtol=1e-12)


def minus(y_hat, y):
    """A loss whose gradient by the weight is −x wherever the weight is: the weight adds up what was seen."""
    return 0 * y - y_hat


def add_up(x, **options):
    network = cr.Sequential(cr.Dense(1, use_bias=False, kernel_initializer="zeros"))
    return descent(network, x, 0 * x, rate=1, loss=minus, batch_size=1, **options)


def test_shuffled_or_not_every_example_is_seen_once_in_every_epoch():
    powers = 2.0 ** np.arange(20)
    for shuffle in (False, True):
        run = add_up(powers, epochs=3, shuffle=shuffle)
        assert run.parameters["W1"] == 3 * (2**20 - 1)


def test_the_order_changes_from_epoch_to_epoch_and_with_the_seed():
    def weights(start, epochs=1, **options):
        run = descent(start, X, Y, batch_size=1, epochs=epochs, **options)
        return run, run.parameters["W1"]

    network = linear()
    fixed, in_order = weights(network, shuffle=False)
    first, shuffled = weights(network)
    assert (in_order != shuffled).any()
    assert (weights(first)[1] != weights(first, seed=1)[1]).any()
    # Going on from the first epoch repeats its order; the second epoch of one training has its own.
    np.testing.assert_allclose(weights(network, 2, shuffle=False)[1], weights(fixed, shuffle=False)[1], rtol=1e-12)
    assert not np.allclose(weights(network, 2)[1], weights(first)[1], rtol=1e-6)


def test_a_split_shares_the_examples_out():
    powers = 2.0 ** np.arange(12)
    run = add_up(powers, epochs=1, validation_split=0.25)
    trained_on = int(run.parameters["W1"][0, 0])
    held_out = -3 * run.history["validation_loss"][0] / trained_on
    assert trained_on.bit_count() == run.settings["rows"] == 9
    assert run.settings["validation_rows"] == 3
    assert trained_on + held_out == 2**12 - 1
    other = add_up(powers, epochs=1, validation_split=0.25, seed=1)
    assert other.parameters["W1"] != run.parameters["W1"]


# what is reported


@pytest.mark.parametrize("rows", [7, 5000])  # of validation; blocks are of 4,096
def test_losses_and_metrics_are_those_of_scikit_learn(rows):
    network, seen = dense((3, "softmax")), []
    x = np.random.default_rng(1).normal(size=(rows, 3))
    y = np.arange(rows) % 3
    run = descent(
        network, X, THREE, epochs=4, validation_data=(x, y), callbacks=[lambda run: seen.append(run.parameters)]
    )

    def probabilities(parameters, x):
        e = np.exp(x @ parameters["W1"] + parameters["b1"])
        return e / e.sum(axis=1, keepdims=True)

    for row, p in zip(run.history.table, seen, strict=True):
        found = probabilities(p, x)
        assert row[2:] == pytest.approx([log_loss(y, found), accuracy_score(y, found.argmax(axis=1))], rel=1e-12)
    # On the training rows of a whole batch: with the parameters that the epoch began with.
    for row, p in zip(run.history.table[1:], seen, strict=False):
        found = probabilities(p, X)
        assert row[:2] == pytest.approx(
            [log_loss(THREE, found), accuracy_score(THREE, found.argmax(axis=1))], rel=1e-12
        )
    assert run.history.columns == ("loss", "accuracy", "validation_loss", "validation_accuracy")


def test_metrics_by_name_and_of_ones_own():
    def largest(y_hat, y):
        return cr.maximum(y_hat, y)

    run = descent(
        linear(), X, Y, epochs=1, validation_data=(X, Y), metrics=["absolute_error", "squared_error", largest]
    )
    predicted, row = run.predict(X), run.history.row(-1)
    assert row["validation_absolute_error"] == pytest.approx(mean_absolute_error(Y, predicted))
    assert row["validation_squared_error"] == row["validation_loss"] == pytest.approx(mean_squared_error(Y, predicted))
    assert row["validation_largest"] == pytest.approx(np.maximum(Y, predicted).mean())


def test_a_sum_over_the_examples_is_summed_over_batches_too():
    run = descent(
        linear(), X, Y, loss="sum_of_squared_residuals", rate=1e-9, epochs=2, batch_size=16, validation_data=(X, Y)
    )
    residuals = ((run.predict(X) - Y) ** 2).sum()
    np.testing.assert_allclose(run.history.table, residuals, rtol=1e-4)


# early stopping

NOISE = np.random.default_rng(2).integers(0, 2, size=(2, 60))  # nothing to learn: validation soon gets worse


def overfit(epochs, **options):
    network = dense((16, "tanh"), (1, "sigmoid"))
    held_out = (np.random.default_rng(3).normal(size=(60, 3)), NOISE[1])
    options = {"learning_rate": 0.02, "validation_data": held_out, "dtype": "float64"} | options
    return cr.fit(network, X, NOISE[0], epochs=epochs, **options)


@pytest.fixture(scope="module")
def watched():
    """A training without early stopping, and the parameters after each of its epochs."""
    kept = []
    run = overfit(60, callbacks=[lambda run: kept.append(run.parameters)])
    return run.history, kept


def where_it_should_stop(values, patience, min_delta):
    """(epochs that are run, best epoch), both from 1; smaller is better."""
    best, best_epoch = np.inf, 0
    for epoch, value in enumerate(values, 1):
        if value < best - min_delta:
            best, best_epoch = value, epoch
        if epoch - best_epoch >= patience:
            return epoch, best_epoch
    return len(values), best_epoch


@pytest.mark.parametrize(
    "stopping",
    [
        cr.EarlyStopping(1),
        cr.EarlyStopping(7),
        cr.EarlyStopping(7, min_delta=0.02),
        cr.EarlyStopping(9, monitor="validation_accuracy"),
        cr.EarlyStopping(3, monitor="loss"),
        cr.EarlyStopping(1000),
    ],
    ids=str,
)
def test_early_stopping_stops_where_it_should_and_restores_the_best(watched, stopping):
    history, kept = watched
    values = history[stopping.monitor] * (-1 if "accuracy" in stopping.monitor else 1)
    epochs, best = where_it_should_stop(values, stopping.patience, stopping.min_delta)
    run = overfit(60, early_stopping=stopping)
    assert (run.history.epochs, run.history.best_epoch) == (epochs, best)
    np.testing.assert_allclose(run.history.table, history.table[:epochs], rtol=1e-10)
    for name, value in kept[best - 1].items():
        np.testing.assert_allclose(run.parameters[name], value, rtol=1e-8)
    assert bool(run.history.stopped) == (epochs < 60)
    if epochs < 60:
        assert f"after epoch {epochs}:" in run.history.stopped
        assert f"best in epoch {best}," in run.history.stopped


def test_a_number_is_the_patience_of_early_stopping(watched):
    history, _ = watched
    epochs, best = where_it_should_stop(history["validation_loss"], 4, 0.0)
    run = overfit(60, early_stopping=4)
    assert (run.history.epochs, run.history.best_epoch) == (epochs, best)


# weights


@pytest.mark.parametrize(
    ("last", "labels"),
    [((1, None), Y), ((1, "sigmoid"), TWO), ((3, "softmax"), THREE)],
    ids=["numbers", "two", "three"],
)
def test_a_weight_is_a_number_of_copies(last, labels):
    copies = np.arange(60) % 4  # some examples do not count at all
    network = dense((4, "tanh"), last)
    weighted = descent(network, X, labels, epochs=5, sample_weight=copies)
    repeated = descent(network, np.repeat(X, copies, axis=0), np.repeat(labels, copies, axis=0), epochs=5)
    assert_same_parameters(weighted, repeated, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(weighted.history.table, repeated.history.table, rtol=1e-12)


def test_class_weights_are_weights_of_the_examples():
    names = np.array(["low", "middle", "high"])[THREE]
    network = dense((3, "softmax"))
    balanced = compute_class_weight("balanced", classes=np.unique(names), y=names)
    for given, weights in (
        ({"low": 3, "high": 0.5}, {"low": 3, "middle": 1, "high": 0.5}),
        ("balanced", dict(zip(np.unique(names), balanced, strict=True))),
    ):
        by_class = descent(network, X, names, epochs=5, class_weight=given)
        by_example = descent(network, X, names, epochs=5, sample_weight=[weights[n] for n in names])
        assert_same_parameters(by_class, by_example, rtol=1e-12)


def test_weighted_logistic_regression_ends_where_that_of_scikit_learn_does():
    weights = np.random.default_rng(4).uniform(size=60)
    run = descent(dense((1, "sigmoid")), X, TWO, rate=2, epochs=2000, sample_weight=weights, class_weight={1: 3})
    theirs = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000, class_weight={0: 1, 1: 3}).fit(X, TWO, weights)
    np.testing.assert_allclose(run.parameters["W1"].T, theirs.coef_, atol=1e-4)


# the same seed gives the same bits

DROPPED_INTO_A_PROCESS = """
import numpy as np, chainrule as cr
rows = np.random.default_rng(5).normal(size=(50, 4))
network = cr.Sequential(cr.Dense(8, "relu"), cr.Dense(1))
run = cr.fit(network, rows, rows[:, 0] * rows[:, 1], epochs=5, batch_size=8, validation_split=0.2, seed={seed})
digits = run.history.table.tobytes() + b"".join(v.tobytes() for v in run.parameters.values())
"""


def test_the_same_seed_gives_the_same_bits_here_and_in_another_process():
    def here(seed):
        names = {}
        exec(DROPPED_INTO_A_PROCESS.format(seed=seed), names)
        return names["digits"]

    code = DROPPED_INTO_A_PROCESS.format(seed=3) + "print(digits.hex())"
    environment = os.environ | {"PYTHONPATH": str(SRC), "PYTHONHASHSEED": "123"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert here(3) == here(3) == bytes.fromhex(done.stdout)
    assert here(3) != here(4)


# how it ends


def test_a_giant_learning_rate_stops_at_that_epoch_and_keeps_the_last_finite_parameters():
    options = {"rate": 1e8, "dtype": "float32", "shuffle": False}
    with pytest.warns(cr.TrainingWarning, match="no longer finite") as caught:
        run = descent(linear(), X, Y, epochs=50, **options)
    last = run.history.diverged
    assert 1 < last == run.history.epochs < 50
    assert np.isfinite(run.history["loss"]).tolist() == [True] * (last - 1) + [False]
    before = descent(linear(), X, Y, epochs=last - 1, **options)
    assert_same_parameters(run, before, rtol=0)
    assert np.isfinite(run.predict(X)).all()
    for part in (f"in epoch {last}", f"those of epoch {last - 1}", "a smaller learning rate (0.1 instead of 1e+08)"):
        assert part in str(caught[0].message)
    assert caught[0].filename == __file__


def test_a_training_that_diverges_at_once_keeps_the_start():
    network = linear()
    start = cr.Trainer(network, X, Y).run()
    with pytest.warns(cr.TrainingWarning, match="those of the start"):
        run = descent(network, X, Y, rate=3e38, epochs=3, dtype="float32")
    assert_same_parameters(run, start, rtol=0)


def test_early_stopping_keeps_the_best_of_a_training_that_diverges():
    with pytest.warns(cr.TrainingWarning, match="no longer finite"):
        run = descent(linear(), X, Y, rate=1e8, dtype="float32", validation_data=(X, Y), early_stopping=20)
    first = descent(linear(), X, Y, rate=1e8, dtype="float32", epochs=1)
    assert run.history.best_epoch == 1
    assert_same_parameters(run, first, rtol=0)


def test_callbacks_see_the_run_after_every_epoch_and_may_end_it():
    seen = []

    def note(run):
        seen.append((run.history.epochs, run.history["loss"][-1], run.parameters["b1"].item()))
        return run.history.epochs == 4

    run = descent(linear(), X, Y, epochs=10, callbacks=[note])
    whole = descent(linear(), X, Y, epochs=4)
    assert [epoch for epoch, _, _ in seen] == [1, 2, 3, 4]
    assert [loss for _, loss, _ in seen] == whole.history["loss"].tolist()
    assert len({b for _, _, b in seen}) == 4
    assert_same_parameters(run, whole, rtol=0)
    assert run.history.stopped == "stopped by a callback"


def interrupt(run):
    raise KeyboardInterrupt


def press_ctrl_c(run):
    signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("end", [interrupt, press_ctrl_c])
def test_an_interruption_returns_what_was_trained_so_far(end):
    handler = signal.getsignal(signal.SIGINT)
    run = descent(linear(), X, Y, epochs=100, callbacks=[lambda run: end(run) if run.history.epochs == 3 else None])
    assert run.history.stopped == "interrupted after epoch 3"
    assert_same_parameters(run, descent(linear(), X, Y, epochs=3), rtol=0)
    assert signal.getsignal(signal.SIGINT) is handler


def test_ctrl_c_to_a_process_that_trains():
    code = (
        "import chainrule as cr; X = [[0.0], [1.0]]\n"
        "run = cr.fit(cr.Sequential(cr.Dense(1)), X, X, epochs=10**9, progress=True)\n"
        "print(run.history.stopped, run.history.epochs)"
    )
    environment = os.environ | {"PYTHONPATH": str(SRC)}
    process = subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr.readline().startswith("epoch ")  # it trains
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    *words, epochs = out.split()
    assert " ".join(words) == f"interrupted after epoch {epochs}"


# going on, several inputs


def test_a_run_can_be_trained_further():
    network = dense((4, "tanh"), (1, None))
    in_two = descent(descent(network, X, Y, epochs=7), X, Y, epochs=5)
    at_once = descent(network, X, Y, epochs=12)
    assert_same_parameters(in_two, at_once, rtol=1e-12)
    assert in_two.history.epochs == 5


def test_several_inputs_by_name_or_in_order():
    a, b = cr.input("a", ("m", 2)), cr.input("b", ("m", 1))
    network = cr.Model([a, b], cr.Dense(1)(cr.concatenate([a, b], axis=-1)))
    left, right = X[:, :2], X[:, 2:]
    named = descent(network, {"b": right, "a": left}, Y, epochs=500)
    listed = descent(network, [left, right], Y, epochs=500)
    expected = LinearRegression().fit(X, Y).predict(X)
    np.testing.assert_allclose(named.predict({"a": left, "b": right}), expected, atol=1e-4)
    np.testing.assert_array_equal(named.predict([left, right]), listed.predict([left, right]))
    with pytest.raises(GraphError, match=r"(?s)missing.*given: +a\n.*expected: a, b"):
        cr.fit(network, {"a": left}, Y)
    with pytest.raises(GraphError, match="one array of examples for every input"):
        cr.fit(network, [left], Y)
    with pytest.raises(ShapeError, match="different numbers of examples"):
        cr.fit(network, [left, right[:-1]], Y)


@pytest.mark.parametrize(
    "network",
    [
        cr.Sequential(cr.Dense(1, kernel_initializer="zeros")),
        cr.Dense(1, kernel_initializer="zeros"),
        cr.Dense(1, kernel_initializer="zeros")(cr.input("x", ("m", 3))),
    ],
    ids=["Sequential", "function", "node"],
)
def test_whatever_computes_the_output_is_a_network(network):
    run = descent(network, X, Y, epochs=1)
    np.testing.assert_allclose(run.parameters["W1"], 0.2 * X.T @ Y / 60, rtol=1e-12)


# an epoch is one program


@pytest.fixture
def traced(monkeypatch):
    """How often a training program was traced, that is compiled."""
    count = []
    program = Epochs._program

    @wraps(program)
    def counted(*given, **how):
        count.append(1)
        return program(*given, **how)

    monkeypatch.setattr(Epochs, "_program", counted)
    return count


def test_all_epochs_of_a_training_are_one_program(traced):
    trainer = cr.Trainer(dense((4, "tanh"), (1, None)), X, Y, batch_size=16, validation_data=(X, Y))
    for epochs in (trainer.chunk, trainer.chunk, 7):
        trainer.advance(epochs)
    assert trainer.history.epochs == 2 * trainer.chunk + 7
    assert len(traced) == 1


def test_the_first_call_is_short_since_nobody_has_drawn_its_orders(traced):
    trainer = cr.Trainer(dense((4, "tanh"), (1, None)), X, Y, batch_size=16)
    assert trainer.chunk > 100
    first, later = trainer.at_once(10**6), trainer.chunk
    assert first == later // 8
    trainer.advance(first, ahead=later)
    assert trainer.at_once(10**6) == later
    assert trainer.at_once(3) == 3
    one_by_one = cr.Trainer(dense((4, "tanh"), (1, None)), X, Y, batch_size=16)
    one_by_one.run_epochs(first)
    np.testing.assert_array_equal(trainer.history["loss"], one_by_one.history["loss"])


def test_callbacks_and_another_learning_rate_of_a_schedule_compile_nothing_more(traced):
    schedule = cr.ExponentialDecay(0.1, steps=3)
    cr.fit(linear(), X, Y, optimizer=cr.Adam(schedule), epochs=5, callbacks=[lambda run: None])
    assert len(traced) == 1


# what cannot be trained


def but(array, place, value):
    changed = np.array(array, dtype=float)
    changed[place] = value
    return changed


@pytest.mark.parametrize(
    ("x", "y", "error", "says"),
    [
        (X, Y[:-1], ShapeError, "60 examples, 59 labels"),
        (but(X, (4, 1), np.nan), Y, DataError, "NaN.*nan in row 4, column 1"),
        (but(X, (9, 2), -np.inf), Y, DataError, "infinity.*-inf in row 9, column 2"),
        (X, but(Y, 7, np.inf), DataError, "Y contains an infinity.*row 7"),
        (X[:0], Y[:0], DataError, "X has no rows"),
        (X, [], DataError, "no labels"),
        (X[:, :, None], Y, ShapeError, r"input X.*\(60, 3, 1\).*\(m, 3\)"),
        (X[:, :2], Y, ShapeError, r"\(60, 2\).*\(m, 3\)"),
        (X, np.ones((60, 2)), ShapeError, r"labels.*\(60, 2\).*\(m, 1\)"),
        (X.astype(complex), Y, DataError, "complex128"),
        ([["a", 1, 2]] * 2, [1, 2], DataError, "'a' in row 0"),
        ([[1, 2, 3], [1, 2]], [1, 2], DataError, "rows of one length"),
        (5.0, Y, DataError, "a single number"),
    ],
)
def test_examples_and_labels_that_do_not_fit(x, y, error, says):
    with pytest.raises(error, match=f"(?s){says}"):
        cr.fit(cr.Sequential(cr.Dense(1, input_dim=3)).model(), x, y, epochs=1)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"batch_size": 0}, ConfigurationError, "batch_size is a whole number of at least 1.*0"),
        ({"batch_size": 2.5}, ConfigurationError, "batch_size.*2.5"),
        ({"epochs": 0}, ConfigurationError, "epochs is a whole number"),
        ({"epochs": -3}, ConfigurationError, "-3"),
        ({"epochs": True}, ConfigurationError, "True"),
        ({"loss": "squarederror"}, ConfigurationError, "did you mean 'squared_error'"),
        ({"optimizer": "adamm"}, ConfigurationError, "did you mean 'adam'"),
        ({"metrics": ["acuracy"]}, ConfigurationError, "did you mean 'accuracy'"),
        ({"learning_rate": -1}, ConfigurationError, "positive number.*-1"),
        ({"learning_rate": np.nan}, ConfigurationError, "positive number.*nan"),
        ({"optimizer": cr.Adam(), "learning_rate": 0.1}, ConfigurationError, "given twice"),
        ({"dtype": "int32"}, DTypeError, "float32, float64"),
        ({"validation_split": 1.5}, ConfigurationError, "1.5"),
        ({"validation_split": 0.999}, DataError, "too few examples to hold some out.*60"),
        ({"validation_data": X}, ConfigurationError, r"a pair \(X, Y\)"),
        ({"validation_data": (X, Y[:3])}, ShapeError, "60 examples, 3 labels"),
        ({"validation_data": (X[:, :2], Y)}, ShapeError, r"\(60, 2\)"),
        ({"early_stopping": 3}, ConfigurationError, "validation_loss.*validation_split=0.2"),
        (
            {"early_stopping": cr.EarlyStopping(3, "val_loss"), "validation_split": 0.2},
            ConfigurationError,
            "val_loss.*did you mean 'validation_loss'",
        ),
        ({"validation_data": (X, Y), "validation_split": 0.2}, ConfigurationError, "two ways to say one thing"),
        ({"callbacks": [3]}, ConfigurationError, "a callback is a function.*3"),
        ({"loss": "mse"}, ConfigurationError, "did you mean 'squared_error'"),
        ({"optimizer": "sgd"}, ConfigurationError, "did you mean 'gradient_descent'"),
        ({"loss": "bce"}, ConfigurationError, "did you mean 'binary_cross_entropy'"),
        ({"loss": "binary_cross_entropy"}, DataError, "labels between 0 and 1"),
        ({"sample_weight": [1, 2]}, ShapeError, r"\(2,\).*\(60,\)"),
        ({"sample_weight": -np.ones(60)}, DataError, "not negative.*row 0"),
        ({"sample_weight": np.zeros(60)}, DataError, "all weights are zero"),
        ({"sample_weight": np.full(60, np.nan)}, DataError, "sample_weight contains NaN"),
        ({"class_weight": "balanced"}, ConfigurationError, "class_weight needs classes"),
        ({"sample_weight": np.ones(60), "loss": "sum_of_squared_residuals"}, ConfigurationError, "use squared_error"),
    ],
)
def test_settings_that_cannot_be(options, error, says):
    with pytest.raises(error, match=f"(?s){says}"):
        cr.fit(linear(), X, Y, **{"epochs": 1} | options)


@pytest.mark.parametrize(
    ("network", "says"),
    [
        (3, "not a network.*int.*Sequential"),
        (cr.Sequential(), "no layers"),
        (cr.relu, "nothing to learn.*add a Dense layer"),
    ],
)
def test_networks_that_cannot_be_trained(network, says):
    with pytest.raises(ChainruleError, match=f"(?s){says}"):
        cr.fit(network, X, X)


# logits


def test_a_network_of_logits_predicts_probabilities_and_decides_at_one_half():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(200, 2)) + 0.5
    truth = (points.sum(axis=1) > 0.8).astype(int)
    options = {"epochs": 30, "learning_rate": 0.05}
    logits = cr.fit(
        cr.Sequential(cr.Dense(1)), points, truth, loss=partial(cr.binary_cross_entropy, from_logits=True), **options
    )
    plain = cr.fit(cr.Sequential(cr.Dense(1, "sigmoid")), points, truth, **options)
    np.testing.assert_allclose(logits.predict(points), plain.predict(points), atol=1e-4)
    np.testing.assert_array_equal(logits.decide(points), plain.decide(points))
    assert logits.history["accuracy"][-1] == pytest.approx(plain.history["accuracy"][-1], abs=0.02)
    z = points @ logits.parameters["W1"] + logits.parameters["b1"]
    np.testing.assert_allclose(logits.predict(points), 1 / (1 + np.exp(-z)), rtol=1e-4)


@pytest.mark.parametrize(
    ("last", "loss", "labels", "words"),
    [
        (cr.Dense(1), "binary_cross_entropy", [0, 1], "a last layer that is linear.*'sigmoid'"),
        (cr.Dense(1, "tanh"), "binary_cross_entropy", [0, 1], "a last layer that is tanh.*'sigmoid'"),
        (cr.Dense(3), "categorical_cross_entropy", [0, 1, 2], "a last layer that is linear.*'softmax'.*from_logits"),
        (cr.Dense(3, "relu"), "kl_divergence", np.eye(3), "a last layer that is relu.*'softmax'"),
    ],
)
def test_a_loss_of_probabilities_needs_them(last, loss, labels, words):
    with pytest.raises(ConfigurationError, match=f"(?s)takes probabilities.*{words}"):
        cr.fit(cr.Sequential(last), np.ones((len(labels), 2)), labels, loss=loss)


def test_a_network_of_logits_for_several_classes(tmp_path):
    rng = np.random.default_rng(0)
    points, truth = rng.normal(size=(90, 3)), np.repeat(["a", "b", "c"], 30)
    loss = partial(cr.categorical_cross_entropy, from_logits=True)
    run = cr.fit(cr.Sequential(cr.Dense(3)), points, truth, loss=loss, epochs=3)
    z = points @ run.parameters["W1"] + run.parameters["b1"]
    e = np.exp(z - z.max(axis=1, keepdims=True))
    np.testing.assert_allclose(run.predict(points), e / e.sum(axis=1, keepdims=True), rtol=1e-4)
    again = cr.load(run.save(tmp_path / "run"))
    np.testing.assert_array_equal(again.predict(points), run.predict(points))


def test_in_validation_every_example_counts_the_same():
    """However the held-out examples are given, and whatever the weights in training."""
    X, Y = np.random.default_rng(0).normal(size=(50, 2)), np.arange(50) % 2
    weights = np.linspace(0.1, 5, 50)
    network = cr.Sequential(cr.Dense(1, "sigmoid"))
    run = cr.fit(network, X, Y, epochs=2, sample_weight=weights, validation_split=0.4, shuffle=False)
    held = run.history["validation_loss"][-1]
    order = np.random.Generator(np.random.Philox(key=np.array([0, 1 << 48], np.uint64))).permutation(50)
    rows = np.sort(order[:20])
    assert held == pytest.approx(run.evaluate(X[rows], Y[rows])["loss"], rel=1e-5)


def test_a_network_that_ends_in_argmax_is_refused_and_told_to_train_with_softmax():
    x = cr.input("x", ("m", 3))
    decided = cr.cast(cr.argmax(cr.Dense(4)(x), axis=1), "float")[:, None]
    with pytest.raises(ChainruleError, match=r"(?s)no parameter can lower the cost.*argmax.*Train with softmax"):
        cr.fit(cr.Model(x, decided), np.ones((5, 3)), np.ones(5), epochs=1)


def test_a_training_that_is_fed_in_parts_is_the_training_on_the_whole():
    """Batches of the same rows in the same order, in one call or fed one by one: the optimizer remembers."""
    whole = cr.Trainer(dense((4, "tanh"), (1, None)), X, Y, batch_size=20, shuffle=False, seed=1)
    whole.run_epochs(2)
    parts = cr.Trainer(dense((4, "tanh"), (1, None)), X[:20], Y[:20], batch_size=20, shuffle=False, seed=1)
    for k in range(6):
        rows = slice(20 * (k % 3), 20 * (k % 3) + 20)
        if k:
            parts.feed(X[rows], Y[rows])
        parts.advance(1)
    for name, value in whole.run().parameters.items():
        assert parts.run().parameters[name] == pytest.approx(value, rel=1e-5)
    parts.feed(X, Y)  # three batches at once
    parts.advance(1)
    whole.run_epochs(1)
    assert parts.history.epochs == 7
    assert parts.history["loss"][-1] == pytest.approx(whole.history["loss"][-1], rel=1e-5)
    with pytest.raises(ShapeError, match="as those before"):
        parts.feed(X, Y, np.ones(60))
    with pytest.raises(ShapeError, match="differ in number"):
        parts.feed(X, Y[:3])


@pytest.mark.parametrize("grows", [True, False])
def test_early_stopping_on_a_number_that_should_grow(grows):
    def distance(y_hat, y):
        return abs(y_hat - y)

    stopping = cr.EarlyStopping(3, "validation_distance", larger_is_better=grows)
    run = cr.fit(
        dense((1, None)), X, Y, validation_data=(X, Y), metrics=[distance], early_stopping=stopping, epochs=50, seed=0
    )
    found = run.history["validation_distance"]
    assert run.history.best_epoch == 1 + (np.argmax(found) if grows else np.argmin(found))
    assert (run.history.epochs == 4) == grows  # it falls from the first epoch on
    with pytest.raises(ConfigurationError, match=r"(?s)not known.*validation_distance.*larger_is_better"):
        cr.fit(
            dense((1, None)),
            X,
            Y,
            validation_data=(X, Y),
            metrics=[distance],
            early_stopping=cr.EarlyStopping(3, "validation_distance"),
            epochs=2,
        )


def test_a_type_that_there_is_not():
    with pytest.raises(cr.errors.DTypeError, match=r"(?s)float23.*float32"):
        cr.fit(dense((1, None)), X, Y, dtype="float23")
