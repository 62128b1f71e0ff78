"""The classifier: kinds of labels, weights, losses, networks of one's own."""

import functools
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, make_multilabel_classification
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.multioutput import MultiOutputClassifier
from sklearn.utils.class_weight import compute_sample_weight

import chainrule as cr
from chainrule.errors import ChainruleError, ConfigurationError, DataError
from chainrule.estimators import NeuralClassifier

X, Y = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])
FAST = {"layers": (16,), "epochs": 60, "learning_rate": 0.02, "random_state": 0}


# --- what is predicted ------------------------------------------------------------------------------------


def test_without_hidden_layers_it_is_logistic_regression():
    """The same optimum as scikit-learn's, without a penalty in either: cross-entropy and predictions agree."""
    data, y = load_breast_cancer(return_X_y=True)
    data, y = data[:, [1, 7, 21]], y
    scaled = (data - data.mean(0)) / data.std(0)
    theirs = LogisticRegression(C=np.inf, tol=1e-8).fit(scaled, y)
    ours = NeuralClassifier((), weight_decay=0, batch_size=None, optimizer=cr.Adam(0.05), epochs=2000, random_state=0)
    found = ours.fit(data, y).predict_proba(data)
    assert found == pytest.approx(theirs.predict_proba(scaled), abs=1e-4)
    assert log_loss(y, found) == pytest.approx(log_loss(y, theirs.predict_proba(scaled)), abs=1e-7)


def test_the_default_decay_is_the_penalty_of_logistic_regression_and_leaves_biases_alone():
    """C = 1 in both; the mean probability of a rare class is its rate."""
    data, classes = load_breast_cancer(return_X_y=True)
    rows = np.r_[np.flatnonzero(classes == 1), np.flatnonzero(classes == 0)[:12]]
    data, y = data[rows][:, [1, 7, 21]], 1 - classes[rows]
    theirs = LogisticRegression(tol=1e-9).fit((data - data.mean(0)) / data.std(0), y)
    ours = NeuralClassifier((), batch_size=None, learning_rate=0.05, epochs=2000, random_state=0).fit(data, y)
    found = ours.predict_proba(data)
    assert found == pytest.approx(theirs.predict_proba((data - data.mean(0)) / data.std(0)), abs=1e-3)
    assert found[:, 1].mean() == pytest.approx(12 / len(y), rel=1e-3)


def test_texts_as_classes():
    model = NeuralClassifier(**FAST).fit(X, NAMES[Y])
    assert model.classes_.tolist() == NAMES.tolist()
    assert model.score(X, NAMES[Y]) > 0.95
    assert model.predict_proba(X).sum(axis=1) == pytest.approx(np.ones(150))
    assert (model.classes_[model.predict_proba(X).argmax(1)] == model.predict(X)).all()


def test_several_labels_at_once():
    x, y = make_multilabel_classification(300, n_features=12, n_classes=4, random_state=0)
    model = NeuralClassifier(**FAST).fit(x[:200], y[:200])
    base = MultiOutputClassifier(LogisticRegression()).fit(x[:200], y[:200])
    assert accuracy_score(y[200:].ravel(), model.predict(x[200:]).ravel()) > 0.97 * accuracy_score(
        y[200:].ravel(), base.predict(x[200:]).ravel()
    )
    assert ((model.predict_proba(x) > 0.5) == model.predict(x)).all()
    assert model.history_["label_accuracy"][-1] > 0.85
    sparse_labels = NeuralClassifier(**FAST).fit(x[:200], sparse.csr_matrix(y[:200]))
    assert (sparse_labels.predict(x) == model.predict(x)).all()


def test_several_columns_of_classes():
    both = np.stack([NAMES[Y], np.where(X[:, 1] > 3, "wide", "narrow")], axis=1)
    model = NeuralClassifier(**FAST).fit(X, both)
    assert [c.tolist() for c in model.classes_] == [NAMES.tolist(), ["narrow", "wide"]]
    assert (model.predict(X) == both).mean(axis=0).min() > 0.93
    first, second = model.predict_proba(X)
    assert first.shape == (150, 3)
    assert second.sum(axis=1) == pytest.approx(np.ones(150))
    assert len(model.predict_log_proba(X)) == 2


@pytest.mark.parametrize(
    "loss",
    [
        "binary_cross_entropy",
        "kl_divergence",
        "squared_error",
        "absolute_error",
        "huber",
        functools.partial(cr.categorical_cross_entropy, from_logits=True),
        lambda y_hat, y: (y_hat - y) ** 4,
    ],
)
@pytest.mark.parametrize("classes", [2, 3])
def test_any_loss(loss, classes):
    here = classes > Y
    model = NeuralClassifier(loss=loss, **FAST).fit(X[here], NAMES[Y[here]])
    assert model.score(X[here], NAMES[Y[here]]) > 0.9
    proba = model.predict_proba(X[here])
    assert proba.shape == (here.sum(), classes)
    assert proba.sum(axis=1) == pytest.approx(np.ones(here.sum()))


@pytest.mark.parametrize("classes", [2, 3])
def test_hinge_has_margins_and_no_probabilities(classes):
    here = classes > Y
    model = NeuralClassifier(loss="hinge", **FAST).fit(X[here], Y[here])
    assert not hasattr(model, "predict_proba")
    margins = model.decision_function(X[here])
    decided = (margins > 0).astype(int) if classes == 2 else margins.argmax(1)
    assert (decided == model.predict(X[here])).all()
    assert model.score(X[here], Y[here]) > 0.9
    assert not hasattr(NeuralClassifier(), "decision_function")
    with pytest.raises(AttributeError, match="no attribute 'predict_proba'") as error:
        model.predict_proba(X)
    assert "margins, not probabilities" in str(error.value.__cause__)


# --- weights ----------------------------------------------------------------------------------------------


def test_a_weight_of_two_is_the_example_twice():
    rng = np.random.default_rng(0)
    weights = rng.integers(0, 4, 150)
    weighted = NeuralClassifier(random_state=0, batch_size=None).fit(X, Y, sample_weight=weights)
    repeated = NeuralClassifier(random_state=0, batch_size=None).fit(X.repeat(weights, 0), Y.repeat(weights))
    assert weighted.predict_proba(X) == pytest.approx(repeated.predict_proba(X), rel=1e-9)


def test_class_weight_is_a_weight_for_each_of_its_examples():
    rare = np.r_[0:50, 50:60]
    x, y = X[50:][rare, :2], Y[50:][rare]  # two columns in which the classes overlap
    by_class = NeuralClassifier(class_weight="balanced", **FAST).fit(x, y).predict_proba(x)
    by_row = NeuralClassifier(**FAST).fit(x, y, compute_sample_weight("balanced", y)).predict_proba(x)
    assert (by_class == by_row).all()
    plain = NeuralClassifier(**FAST).fit(x, y).predict_proba(x)
    assert by_class[:, 1].mean() > plain[:, 1].mean() + 0.05
    given = NeuralClassifier(class_weight={1: 0.6, 2: 3.0}, **FAST).fit(x, y).predict_proba(x)
    assert given == pytest.approx(by_class, abs=1e-9)


# --- input ------------------------------------------------------------------------------------------------


def test_frames_lists_and_sparse_tables_give_the_same():
    columns = ["a", "b", "c", "d"]
    base = NeuralClassifier(**FAST).fit(X, Y).predict_proba(X)
    for frame in (pd.DataFrame(X, columns=columns), pl.DataFrame(X, schema=columns)):
        model = NeuralClassifier(**FAST).fit(frame, pd.Series(Y))
        assert model.feature_names_in_.tolist() == columns
        assert model.predict_proba(frame) == pytest.approx(base, rel=1e-9)
        with pytest.raises(ValueError, match="feature names should match"):
            model.predict(pd.DataFrame(X, columns=list("abcx")))
    assert (NeuralClassifier(**FAST).fit(X.tolist(), Y.tolist()).predict_proba(X) == base).all()
    for kind in (sparse.csr_matrix, sparse.csc_array, sparse.coo_matrix):
        assert NeuralClassifier(**FAST).fit(kind(X), Y).predict_proba(kind(X)) == pytest.approx(base, rel=1e-9)


def test_a_wide_sparse_table_is_never_written_out(monkeypatch):
    """Rows are made when they are needed, and what is learned is what a dense table teaches."""
    from chainrule.estimators import features

    rng = np.random.default_rng(0)
    x = sparse.random(400, 60, 0.1, "csr", rng=rng)
    y = (np.asarray(x[:, :5].sum(axis=1)).ravel() > 0.2).astype(int)
    settings = {**FAST, "dtype": "float32", "batch_size": 32}
    dense = NeuralClassifier(**settings).fit(x.toarray(), y)
    monkeypatch.setattr(features, "MOST_NUMBERS", 100)
    monkeypatch.setattr(features, "BLOCK", 60 * 70)
    lazy = NeuralClassifier(**settings).fit(x, y)
    assert isinstance(lazy._features(x, "float32"), features.WrittenOut)
    assert lazy.scaler_.mean_ == pytest.approx(dense.scaler_.mean_)
    assert lazy.predict_proba(x) == pytest.approx(dense.predict_proba(x.toarray()), abs=1e-3)
    assert lazy.score(x, y) > 0.9


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_a_number_is_named_as_scikit_learn_does(bad):
    x = X.copy()
    x[3, 1] = bad
    with pytest.raises(ValueError, match=r"Input X contains (NaN|infinity)"):
        NeuralClassifier().fit(x, Y)
    model = NeuralClassifier(**FAST).fit(X, Y)
    with pytest.raises(ValueError, match=r"Input X contains (NaN|infinity)"):
        model.predict(x)
    y = Y.astype(float)
    y[0] = bad
    with pytest.raises(ValueError, match=r"Input y contains (NaN|infinity)"):
        NeuralClassifier().fit(X, y)


def test_labels_never_seen_are_named():
    model = NeuralClassifier(**FAST)
    with pytest.raises(DataError, match="previously unseen labels: \\['lily'\\]"):
        model.fit(X, NAMES[Y], X_val=X[:2], y_val=["lily", "setosa"])
    model.partial_fit(X, NAMES[Y])
    with pytest.raises(DataError, match="previously unseen labels: \\['lily', 'rose'\\]"):
        model.partial_fit(X[:3], ["rose", "setosa", "lily"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss": "poisson"}, "for counts"),
        ({"loss": "cross"}, "no such loss"),
        ({"layers": (5, 5), "activation": ["relu"]}, "differ in number"),
        ({"network": cr.Sequential(cr.Dense(4, "softmax"))}, "last layer does not fit"),
        ({"network": cr.Sequential(cr.Dense(3))}, "does not end in probabilities"),
        ({"optimizer": cr.Adam(), "learning_rate": 0.1}, "twice"),
        ({"batch_size": 0}, "batch_size"),
        ({"epochs": 0}, "epochs"),
        ({"device": "gpu:9"}, "no such device"),
        ({"scoring": "f2"}, "no such scorer"),
        ({"dtype": "int8"}, "'float32' or 'float64'"),
        ({"validation_split": 1.5}, "share of the examples"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ChainruleError, match=message):
        NeuralClassifier(**settings).fit(X, Y)


def test_one_class_is_none():
    with pytest.raises(DataError, match="at least two classes"):
        NeuralClassifier().fit(X[:50], Y[:50])
    with pytest.raises(NotFittedError):
        NeuralClassifier().predict(X)


# --- networks of one's own --------------------------------------------------------------------------------


def test_a_convolutional_network_on_images():
    images, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))[:600]
    images, y = images.reshape(-1, 8, 8, 1)[order], y[order]
    network = cr.Sequential(
        cr.Conv2D(8, 3, activation="relu"), cr.MaxPool2D(2), cr.Flatten(), cr.Dropout(0.2), cr.Dense(10, "softmax")
    )
    model = NeuralClassifier(network=network, epochs=15, learning_rate=0.01, batch_size=32, random_state=0)
    model.fit(images[:500], y[:500])
    assert len(model.scaler_.mean_) == 1  # of a channel, not of each of its places
    assert model.score(images[500:], y[500:]) > 0.9
    assert network.layers[0].parameters == ()  # what was given is as it was


@pytest.mark.parametrize("kind", ["function", "model", "node", "sequential"])
def test_every_kind_of_network(kind):
    x = cr.input("X", ("m", 4))
    hidden, last = cr.Dense(8, "tanh"), cr.Dense(3, "softmax")
    network = {
        "function": lambda x: cr.Dense(3, "softmax")(cr.Dense(8, "tanh")(x)),
        "model": cr.Model(x, last(hidden(x))),
        "node": last(hidden(x)),
        "sequential": cr.Sequential(hidden, last),
    }[kind]
    model = NeuralClassifier(network=network, epochs=80, learning_rate=0.02, random_state=0).fit(X, Y)
    assert model.run_.model.parameter_count == 4 * 8 + 8 + 8 * 3 + 3
    assert model.score(X, Y) > 0.95


def test_whole_numbers_that_a_network_looks_up_are_left_as_they_are():
    rng = np.random.default_rng(0)
    words = rng.integers(0, 20, (300, 6))
    y = (words == 7).any(axis=1).astype(int)
    network = cr.Sequential(cr.Embedding(20, 8), cr.GlobalMaxPool1D(), cr.Dense(1, "sigmoid"))
    model = NeuralClassifier(network=network, epochs=100, learning_rate=0.02, batch_size=32, random_state=0)
    assert model.fit(words, y).score(words, y) == 1.0
    assert not hasattr(model, "scaler_")


def test_the_formulas_of_the_trained_network_are_there():
    model = NeuralClassifier(**FAST).fit(X, Y)
    assert "dZ2  = A2 − Y" in str(model.run_.formulas()).replace("\u2009", " ") or "dZ2" in str(model.run_.formulas())
    assert model.run_.trace(model.scaler_.transform(X[:1]), [0]) is not None


def test_the_same_state_is_the_same_bits():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        a, b = (NeuralClassifier(dropout=0.1, epochs=5, random_state=3).fit(X, Y).predict_proba(X) for _ in range(2))
    c = NeuralClassifier(dropout=0.1, epochs=5, random_state=4).fit(X, Y).predict_proba(X)
    assert (a == b).all()
    assert (a != c).any()


def test_configuration_errors_are_value_errors():
    assert issubclass(ConfigurationError, ValueError)


def test_labels_of_an_unknown_number_are_named():
    several = np.eye(3, dtype=int)[np.arange(30) % 3]
    model = NeuralClassifier(epochs=2).fit(np.ones((30, 4)), several)
    with pytest.raises(DataError, match=r"(?s)not 0 and 1.*\(30, 3\) with 2, 3.*\(m, 3 labels\), of 0 and 1"):
        model.partial_fit(np.ones((30, 4)), several + 2)
