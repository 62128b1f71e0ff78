"""Kept and read again: pickles, and a folder that executes nothing."""

import copy
import json
import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes, load_iris

import chainrule as cr
from chainrule.errors import RunError
from chainrule.estimators import NeuralClassifier, NeuralRegressor

X, Y = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])
QUICK = {"layers": (8,), "epochs": 20, "learning_rate": 0.02, "random_state": 0}


def doubled(y_hat, y):
    return 2 * (y_hat - y) ** 2


def fitted():
    frame = pd.DataFrame(X, columns=list("abcd"))
    both = np.stack([NAMES[Y], np.where(X[:, 1] > 3, "wide", "narrow")], axis=1)
    own = cr.Sequential(cr.Dense(5, "tanh"), cr.BatchNormalization(), cr.Dropout(0.1), cr.Dense(3, "softmax"))
    x, y = load_diabetes(return_X_y=True)
    yield "texts", NeuralClassifier(**QUICK).fit(frame, NAMES[Y]), frame
    yield "objects", NeuralClassifier(**QUICK).fit(X, NAMES[Y].astype(object)), X
    yield "truth", NeuralClassifier(class_weight={True: 2, False: 1}, **QUICK).fit(X, Y == 1), X
    yield "columns", NeuralClassifier(**QUICK).fit(X, both), X
    yield "labels", NeuralClassifier(**QUICK).fit(X, np.eye(3, dtype=int)[Y]), X
    yield "own network", NeuralClassifier(network=own, epochs=5, optimizer=cr.RMSprop(0.01)).fit(X, Y), X
    yield "hinge", NeuralClassifier(loss="hinge", early_stopping=cr.EarlyStopping(3), **QUICK).fit(X, Y), X
    yield "numbers", NeuralRegressor(loss=doubled, metrics=[doubled], **QUICK).fit(x, y), x
    yield "several numbers", NeuralRegressor(loss="huber", dtype="float64", **QUICK).fit(x, np.stack([y, -y], 1)), x
    yield "in parts", NeuralClassifier(**QUICK).partial_fit(X, Y).partial_fit(X, Y), X


CASES = {name: (model, x) for name, model, x in fitted()}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def same(a, b, x):
    assert np.array_equal(a.predict(x), b.predict(x))
    assert a.predict(x).dtype == b.predict(x).dtype
    for method in ("predict_proba", "decision_function"):
        if hasattr(a, method):
            for one, other in zip(getattr(a, method)(x), getattr(b, method)(x), strict=True):
                assert np.array_equal(one, other)
    assert (a.history_.table == b.history_.table).all()


def test_pickled_and_copied(case):
    model, x = case
    same(model, pickle.loads(pickle.dumps(model)), x)
    same(model, copy.deepcopy(model), x)


@pytest.mark.filterwarnings("ignore:.*cannot be kept in a folder")
def test_saved_and_loaded(case, tmp_path):
    model, x = case
    read = type(model).load(model.save(tmp_path / "model"))
    same(model, read, x)
    assert (
        getattr(read, "feature_names_in_", None) is getattr(model, "feature_names_in_", None)
        or (read.feature_names_in_ == model.feature_names_in_).all()
    )
    assert read.n_features_in_ == model.n_features_in_
    kept = {k for k, v in model.get_params().items() if isinstance(v, (int, float, str, tuple, dict, cr.EarlyStopping))}
    assert {k: read.get_params()[k] for k in kept} == {k: model.get_params()[k] for k in kept}
    run = cr.load(tmp_path / "model")  # the folder is a run's as well
    assert str(run.formulas()) == str(model.run_.formulas())


def test_what_was_read_can_go_on_learning(tmp_path):
    own = cr.Sequential(cr.Dense(5, "tanh"), cr.Dense(3, "softmax"))
    model = NeuralClassifier(network=own, optimizer=cr.RMSprop(0.01), epochs=5, random_state=0).fit(X, Y)
    read = NeuralClassifier.load(model.save(tmp_path / "model"))
    assert read.get_params()["optimizer"] == cr.RMSprop(0.01)
    assert read.set_params(epochs=60).fit(X, Y).score(X, Y) > 0.9
    unpickled = pickle.loads(pickle.dumps(model)).partial_fit(X, Y)
    assert unpickled.history_["loss"][0] < model.history_["loss"][-1] * 1.05


@pytest.mark.parametrize("again", [lambda m: pickle.loads(pickle.dumps(m)), copy.deepcopy], ids=["pickled", "copied"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_partial_fit_goes_on_as_if_it_had_not_been_put_away(again, dtype):
    """Bit for bit: the optimizer's memory, the step's number and the order of the rows go on."""
    parts = [slice(k, None, 3) for k in range(3)]
    stays, goes = (NeuralClassifier(dtype=dtype, dropout=0.1, batch_size=20, **QUICK) for _ in range(2))
    for part in parts * 2:
        stays.partial_fit(X[part], Y[part])
        goes = again(again(goes.partial_fit(X[part], Y[part])))
    assert (stays.predict_proba(X) == goes.predict_proba(X)).all()
    assert (stays.history_.table == goes.history_.table).all()
    assert goes.n_iter_ == 6


@pytest.mark.parametrize(
    "settings",
    [
        {"learning_rate": cr.CosineDecay(0.02, 100)},
        {"optimizer": cr.Adam(0.02), "weight_decay": 0.1, "learning_rate": None},
        {"optimizer": cr.Adam(0.02, weight_decay=0.1), "learning_rate": None},
        {"optimizer": cr.Adam(0.02, weight_decay={"W1": 0.1}), "learning_rate": None},
    ],
    ids=str,
)
def test_what_was_read_learns_as_before_and_other_layers_too(settings, tmp_path):
    model = NeuralClassifier(**QUICK | settings).fit(X, Y)
    read = NeuralClassifier.load(model.save(tmp_path / "model"))
    assert (read.fit(X, Y).predict_proba(X) == model.predict_proba(X)).all()
    read.set_params(layers=()).fit(X, Y)


def test_functions_are_named_that_a_folder_cannot_keep(tmp_path):
    model = NeuralClassifier(callbacks=[lambda run: False], scoring=lambda e, x, y: e.score(x, y), **QUICK)
    model.set_params(epochs=1).fit(X, Y)
    model.save(tmp_path / "model")
    with pytest.warns(cr.TrainingWarning, match="callbacks, scoring cannot be kept"):
        NeuralClassifier.load(tmp_path / "model")


def test_a_folder_that_was_altered_or_is_none(tmp_path):
    model = NeuralClassifier(**QUICK).fit(X, Y)
    folder = model.save(tmp_path / "model")
    with pytest.raises(RunError, match="another estimator"):
        NeuralRegressor.load(folder)
    file = folder / "estimator" / "estimator.json"
    content = json.loads(file.read_text())
    content["scales"]["scaler_"]["mean"][0] += 1
    file.write_text(json.dumps(content))
    with pytest.raises(RunError, match="damaged or was altered"):
        NeuralClassifier.load(folder)
    model.run_.save(tmp_path / "run")
    with pytest.raises(RunError, match="not an estimator's"):
        NeuralClassifier.load(tmp_path / "run")
    with pytest.raises(RunError, match="no such run"):
        NeuralClassifier.load(tmp_path / "nowhere")


def test_reading_executes_no_code(tmp_path, monkeypatch):
    folder = NeuralClassifier(**QUICK).fit(X, NAMES[Y]).save(tmp_path / "model")
    for forbidden in ("pickle.loads", "pickle.load", "builtins.eval"):
        monkeypatch.setattr(forbidden, lambda *a, **k: pytest.fail("code was read"))
    assert not [f for f in folder.rglob("*") if f.suffix in (".pkl", ".joblib", ".npy")]
    NeuralClassifier.load(folder)
