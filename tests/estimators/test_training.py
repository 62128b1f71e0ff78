"""What both estimators do while they train: validation, early stopping, scores, going on, devices, precision."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.metrics import f1_score, roc_auc_score

import chainrule as cr
from chainrule.errors import ConfigurationError
from chainrule.estimators import NeuralClassifier, NeuralRegressor

X, Y = load_breast_cancer(return_X_y=True)
QUICK = {"layers": (8,), "learning_rate": 0.01, "random_state": 0}


def test_own_validation_examples_are_measured_and_do_not_teach():
    first, second = (slice(0, 400), slice(400, None))
    plain = NeuralClassifier(epochs=10, **QUICK).fit(X[first], Y[first])
    one = NeuralClassifier(epochs=10, **QUICK).fit(X[first], Y[first], validation_data=(X[second], Y[second]))
    two = NeuralClassifier(epochs=10, **QUICK).fit(X[first], Y[first], X_val=X[second], y_val=Y[second])
    assert one.history_["validation_accuracy"][-1] == pytest.approx(one.score(X[second], Y[second]))
    assert (one.history_.table == two.history_.table).all()
    assert plain.predict_proba(X) == pytest.approx(one.predict_proba(X), abs=1e-5)
    assert one.history_.figure().axes[0].get_ylabel() == "cost $J$"


def test_validation_examples_are_given_once_and_whole():
    with pytest.raises(ConfigurationError, match="X_val and y_val belong together"):
        NeuralClassifier().fit(X, Y, X_val=X)
    with pytest.raises(ConfigurationError, match="twice"):
        NeuralClassifier().fit(X, Y, X_val=X, y_val=Y, validation_data=(X, Y))
    with pytest.raises(ConfigurationError, match="is a pair"):
        NeuralClassifier().fit(X, Y, validation_data=X)


def test_early_stopping_keeps_the_best_and_holds_out_equal_shares():
    model = NeuralClassifier(epochs=400, early_stopping=5, layers=(50,), learning_rate=0.02, random_state=0).fit(X, Y)
    history = model.history_
    assert model.n_iter_ < 400
    assert history.best_epoch == 1 + np.argmin(history["validation_loss"])
    assert model.run_.settings["validation_rows"] == 57


def test_early_stopping_on_any_scorer():
    """Area under the curve and F1 are no means over examples: they are computed as scikit-learn does."""
    x, x_val, y, y_val = X[:300, :3], X[300:, :3], Y[:300], Y[300:]
    model = NeuralClassifier(epochs=60, early_stopping=8, scoring=["roc_auc", "f1"], **QUICK)
    model.fit(x, y, validation_data=(x_val, y_val))
    auc = model.history_["validation_roc_auc"]
    assert auc[model.history_.best_epoch - 1] == auc.max()
    assert auc.max() == pytest.approx(roc_auc_score(y_val, model.predict_proba(x_val)[:, 1]))
    panels = [axes.get_ylabel() for axes in model.history_.figure().axes]
    assert panels == ["cost $J$", "accuracy", "roc auc", "f1"]
    f1 = model.history_["validation_f1"][model.history_.best_epoch - 1]
    assert f1 == pytest.approx(f1_score(y_val, model.predict(x_val)))
    by_loss = NeuralClassifier(epochs=60, early_stopping=cr.EarlyStopping(5), scoring="roc_auc", **QUICK)
    by_loss.fit(x, y, validation_data=(x_val, y_val))
    assert by_loss.history_.best_epoch == 1 + np.argmin(by_loss.history_["validation_loss"])
    assert len(by_loss.history_["validation_roc_auc"]) == by_loss.n_iter_


def test_of_equal_scores_that_with_the_smaller_validation_loss_is_kept():
    """Of a few examples many epochs get the same share right; the earliest of them has learned least."""
    model = NeuralClassifier(epochs=40, early_stopping=5, scoring="accuracy", layers=(8,), random_state=0)
    model.fit(X[:300], Y[:300], validation_data=(X[300:320], Y[300:320]))
    score, loss = model.history_["validation_accuracy"], model.history_["validation_loss"]
    best = [np.lexsort((loss[:n], -score[:n]))[0] for n in range(1, len(loss) + 1)]
    assert model.history_.best_epoch == 1 + best[-1] > 1 + np.argmax(score)
    assert model.n_iter_ == next((n + 1 for n, b in enumerate(best) if n - b >= 5), 40)


def test_small_tables_make_several_steps_in_an_epoch():
    sizes = {20: 20, 50: 16, 112: 32, 331: 128, 569: 128}
    for rows, batch in sizes.items():
        model = NeuralRegressor(epochs=1, **QUICK).fit(X[:rows], X[:rows, 0])
        assert model.run_.settings["batch_size"] == batch


def test_early_stopping_on_a_metric_that_grows():
    def certainty(y_hat, y):
        return y * y_hat + (1 - y) * (1 - y_hat)

    stopping = cr.EarlyStopping(4, "validation_certainty", larger_is_better=True)
    model = NeuralClassifier(epochs=300, early_stopping=stopping, metrics=[certainty], **QUICK).fit(X, Y)
    assert model.history_.best_epoch == 1 + np.argmax(model.history_["validation_certainty"])
    assert model.history_.best_epoch > 5


def test_callbacks_see_the_run_and_end_it():
    seen = []

    def three(run):
        seen.append(run.history.epochs)
        return len(seen) == 3

    model = NeuralRegressor(callbacks=[three], **QUICK).fit(*load_diabetes(return_X_y=True))
    assert seen == [1, 2, 3]
    assert model.n_iter_ == 3


def test_progress_is_told(capsys):
    NeuralClassifier(epochs=20, progress=True, **QUICK).fit(X, Y)
    told = capsys.readouterr().err
    assert "epoch 20/20" in told
    assert "accuracy" in told
    NeuralClassifier(epochs=2, **QUICK).fit(X, Y)
    assert capsys.readouterr().err == ""


def test_warm_start_goes_on_from_the_parameters():
    cold = NeuralClassifier(epochs=30, warm_start=True, **QUICK).fit(X, Y)
    before = cold.history_["loss"][-1]
    warm = cold.fit(X, Y)
    assert warm.history_["loss"][0] < 1.1 * before
    assert warm.history_["loss"][-1] < before
    again = NeuralClassifier(epochs=30, **QUICK).fit(X, Y)
    assert again.history_["loss"][0] > 2 * before
    with pytest.raises(ValueError, match="previously unseen"):
        warm.fit(X, Y + 1)


def other(y_hat, y):
    return (y_hat - y) ** 4


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"layers": (9,)}, r"layers=\(9,\)"),
        ({"layers": 8}, "layers=8"),
        ({"activation": "tanh"}, "activation='tanh'"),
        ({"dropout": 0.1}, "dropout=0.1"),
        ({"loss": other, "layers": ()}, r"layers=\(\), loss=<function other"),
        ({"network": cr.Sequential(cr.Dense(1, "sigmoid"))}, "network=Sequential"),
    ],
)
def test_training_does_not_go_on_with_half_of_another_network(changed, told, tmp_path):
    model = NeuralClassifier(epochs=2, warm_start=True, **QUICK).fit(X, Y)
    before = model.predict_proba(X)
    for one in (model, pickle.loads(pickle.dumps(model)), NeuralClassifier.load(model.save(tmp_path / "model"))):
        one.set_params(**changed)
        with pytest.raises(
            ConfigurationError, match=f"(?s)given: +{told}.*expected: +.*fitted network.*warm_start=Fal"
        ):
            one.fit(X, Y)
        with pytest.raises(ConfigurationError, match=f"(?s)given: +{told}.*expected: +.*fitted network.*clone"):
            one.partial_fit(X, Y)
        assert (one.predict_proba(X) == before).all()
        one.set_params(**{k: NeuralClassifier(**QUICK).get_params()[k] for k in changed}, learning_rate=0.02).fit(X, Y)
    clone(model.set_params(**changed)).fit(X, Y)
    model.set_params(warm_start=False).fit(X, Y)


def test_partial_fit_learns_batch_by_batch_what_fit_learns_at_once():
    """The same batches in the same order: the optimizer's memory goes on, only the scales are learned on the way."""
    scaled = (X - X.mean(0)) / X.std(0)
    settings = {**QUICK, "standardize": False, "shuffle": False, "dtype": "float64", "weight_decay": 0.001}
    whole = NeuralClassifier(epochs=3, batch_size=100, **settings).fit(scaled, Y)
    parts = NeuralClassifier(**settings)
    for _ in range(3):
        for first in range(0, len(Y), 100):
            parts.partial_fit(scaled[first : first + 100], Y[first : first + 100], classes=[0, 1])
    assert parts.predict_proba(scaled) == pytest.approx(whole.predict_proba(scaled), rel=1e-9)
    assert parts.n_iter_ == 18


def test_partial_fit_takes_in_scales_and_batches_of_any_size():
    model = NeuralRegressor(**QUICK)
    x, y = load_diabetes(return_X_y=True)
    for size in (7, 100, 1, 334):
        model.partial_fit(x[:size], y[:size])
        x, y = x[size:], y[size:]
    x, y = load_diabetes(return_X_y=True)
    assert model.scaler_.mean_ == pytest.approx(x.mean(axis=0), abs=1e-9)
    assert model.target_scaler_.scale_ == pytest.approx(y.std())


def test_partial_fit_needs_all_classes_at_first():
    with pytest.raises(ValueError, match="two classes"):
        NeuralClassifier().partial_fit(X[:3], [1, 1, 1])
    model = NeuralClassifier(**QUICK).partial_fit(X[:3], [1, 1, 1], classes=[0, 1])
    with pytest.raises(ConfigurationError, match="not those of the first call"):
        model.partial_fit(X, Y, classes=[1, 2])
    with pytest.raises(ValueError, match="previously unseen"):
        NeuralClassifier().partial_fit(X, Y, classes=[1, 2])


def test_precision():
    small, large = NeuralClassifier(epochs=2), NeuralClassifier(epochs=2, batch_size=64)
    assert small.fit(X[:30], Y[:30]).run_.settings["dtype"] == "float64"
    assert large.fit(X, Y).run_.settings["dtype"] == "float32"
    wide = NeuralClassifier(epochs=2, dtype="float64").fit(X, Y)
    assert wide.run_.parameters["W1"].dtype == np.float64
    assert wide.predict_proba(X).dtype == np.float64


def test_device():
    here = NeuralClassifier(epochs=2, device="cpu", **QUICK).fit(X, Y)
    anywhere = NeuralClassifier(epochs=2, **QUICK).fit(X, Y)
    assert (here.predict_proba(X) == anywhere.predict_proba(X)).all()
    with pytest.raises(ConfigurationError, match="no such device"):
        NeuralClassifier(device="tpu").fit(X, Y)


def test_divergence_is_told_and_leaves_finite_parameters():
    model = NeuralRegressor((20,), loss="squared_error", optimizer=cr.GradientDescent(1e4), epochs=50, random_state=0)
    with pytest.warns(cr.TrainingWarning, match="no longer finite"):
        model.fit(*load_diabetes(return_X_y=True))
    assert np.isfinite(model.predict(load_diabetes().data)).all()


def test_training_and_prediction_run_on_the_device_that_was_chosen():
    """Two devices of the CPU's, in a process of its own."""
    program = """
import jax, numpy as np
from chainrule.estimators import NeuralClassifier
name = lambda device: f"{device.platform}:{device.id}"
seen = []
model = NeuralClassifier((4,), epochs=2, device="cpu:1", callbacks=[lambda run: seen.append(
    {name(d) for a in jax.live_arrays() for d in a.devices()}) and None])
model.fit(np.eye(4), [0, 1, 0, 1])
print(sorted(seen[0]), [name(d) for d in jax.devices()])
"""
    flags = {"PYTHONPATH": str(Path(cr.__file__).parents[1])}
    flags |= {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=os.environ | flags, check=True
    )
    assert told.stdout.startswith("['cpu:1'] ['cpu:0', 'cpu:1'")


def test_a_scorer_takes_the_place_of_the_column_of_its_name():
    """Named as a metric of the training's own, which is written once."""
    model = NeuralClassifier(epochs=3, scoring="accuracy", **QUICK).fit(X, Y, validation_data=(X[:30], Y[:30]))
    assert len(set(model.history_.columns)) == len(model.history_.columns)
    assert model.history_["validation_accuracy"][-1] == model.score(X[:30], Y[:30])


def test_a_scorer_that_does_not_fit_the_labels_says_so():
    three = np.arange(len(X)) % 3
    with pytest.raises(ConfigurationError, match=r"(?s)the scorer roc_auc does not fit.*multi_class.*'roc_auc_ovr'"):
        NeuralClassifier(epochs=2, scoring="roc_auc", **QUICK).fit(X, three)
