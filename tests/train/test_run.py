"""A trained network in use: outputs, decisions, scores, and what it says about itself."""

import pickle

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss

import chainrule as cr
from chainrule.errors import ChainruleError
from chainrule.train.table import readers

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
NAMES = np.array(["high", "low", "middle"])
LABELS = NAMES[np.digitize(X[:, 0], [-0.4, 0.4])]


@pytest.fixture(scope="module")
def run():
    network = cr.Sequential(cr.Dense(4, "tanh"), cr.Dense(3, "softmax"))
    return cr.fit(network, X, LABELS, optimizer=cr.Adam(0.05), epochs=30)


def probabilities(run, x):
    p = {name: value.astype(float) for name, value in run.parameters.items()}
    e = np.exp(np.tanh(x @ p["W1"] + p["b1"]) @ p["W2"] + p["b2"])
    return e / e.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("rows", [1, 2, 5, 64, 65])
def test_outputs_are_those_of_the_network_worked_out_by_hand(run, rows):
    x = np.random.default_rng(rows).normal(size=(rows, 3))
    np.testing.assert_allclose(run.predict(x), probabilities(run, x), rtol=1e-5)


def test_many_rows_are_predicted_in_blocks(run, monkeypatch):
    whole = run.evaluate(X, NAMES[[0, 1] * 20])
    monkeypatch.setitem(vars(run), "_rows_at_once", 16)  # 40 rows: two blocks and half a one
    np.testing.assert_allclose(run.predict(X), probabilities(run, X), rtol=1e-5)
    assert run.evaluate(X, NAMES[[0, 1] * 20]) == pytest.approx(whole, rel=1e-12)


def test_a_decision_is_the_label_of_the_likeliest_class(run):
    np.testing.assert_array_equal(run.decide(X), NAMES[probabilities(run, X).argmax(axis=1)])


def test_scores_on_other_examples_are_those_of_scikit_learn(run):
    x, y = RNG.normal(size=(25, 3)), RNG.choice(NAMES, 25)
    p = probabilities(run, x)
    expected = {"loss": log_loss(y, p, labels=NAMES), "accuracy": accuracy_score(y, NAMES[p.argmax(axis=1)])}
    assert run.evaluate(x, y) == pytest.approx(expected, rel=1e-5)


def test_scores_count_every_example_the_same_though_training_did_not(run):
    weighted = cr.fit(run, X, LABELS, epochs=1, sample_weight=np.arange(40))
    p = probabilities(weighted, X)
    assert weighted.evaluate(X, LABELS)["loss"] == pytest.approx(log_loss(LABELS, p, labels=NAMES), rel=1e-5)


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (X[:, :2], r"\(40, 2\).*\(m, 3\)"),
        (X[0], r"\(3, 1\).*\(m, 3\)"),
        (X[:0], "no rows"),
        (np.full((2, 3), np.nan), "X contains NaN"),
        ([["a", "b", "c"]], "'a' in row 0"),
    ],
)
def test_examples_that_cannot_be_predicted(run, x, says):
    with pytest.raises(ChainruleError, match=f"(?s){says}"):
        run.predict(x)


def test_what_a_run_says_about_itself(run):
    assert [line.split() for line in str(run.summary()).split("\n")] == [
        ["layer", "output", "parameters", "multiply–adds"],
        ["1", "Dense", "(m,", "4)", "16", "W1", "(3,", "4),", "b1", "(4,)", "12"],
        ["2", "Dense", "(m,", "3)", "15", "W2", "(4,", "3),", "b2", "(3,)", "12"],
        ["total", "31", "24"],
    ]
    assert repr(run).startswith("<Run: 31 parameters, 30 epochs, loss ")
    assert {**run.settings, "optimizer": ""} == {
        "loss": "categorical_cross_entropy",
        "optimizer": "",
        "batch_size": 32,
        "rows": 40,
        "validation_rows": 0,
        "seed": 0,
        "shuffle": True,
        "dtype": "float32",
        "devices": 1,
        "epochs": 30,
    }


def test_what_was_rewritten_can_be_read(run):
    assert "log" in run.rewrites
    plain = cr.fit(cr.Sequential(cr.Dense(1)), X, X[:, 0], epochs=1)
    assert plain.rewrites == "nothing had to be rewritten"


@pytest.mark.parametrize(
    ("shape", "kinds"),
    [
        ((9, 5), []),
        ((9, 28, 28, 1), ["Conv2D", "MaxPool2D"] * 2 + ["Flatten", "Dropout"]),
        ((9, 8, 40, 3), ["Conv2D", "MaxPool2D", "Flatten", "Dropout"]),
        ((9, 64, 64, 3), ["Conv2D", "MaxPool2D"] * 3 + ["Flatten", "Dropout"]),
        ((9, 30, 12), ["Conv1D", "MaxPool1D", "Conv1D", "GlobalMaxPool1D", "Dropout"]),
    ],
)
def test_what_reads_an_example_suits_its_shape(shape, kinds):
    layers = readers(shape)
    assert [type(layer).__name__ for layer in layers] == kinds
    assert cr.Sequential(*layers, cr.Dense(2)).model(shape[1:]).output.shape == (cr.Dim("m"), 2)


def test_a_parameter_that_is_not_there_is_an_error_with_near_names():
    run = cr.fit(cr.Sequential(cr.Dense(2, "tanh"), cr.Dense(1)), np.ones((4, 2)), np.ones(4), epochs=1)
    with pytest.raises(ChainruleError, match=r"(?s)no such parameter.*'w1'.*W1, b1, W2, b2.*did you mean 'W1'"):
        run.parameters["w1"]
    assert "w1" not in run.parameters
    assert run.parameters.get("w1") is None


def test_a_pickled_run_is_the_run():
    x, y = np.random.default_rng(0).normal(size=(30, 3)), np.arange(30) % 3
    network = cr.Sequential(cr.Dense(4, "relu"), cr.BatchNormalization(), cr.Dropout(0.2), cr.Dense(3, "softmax"))
    run = cr.fit(network, x, y, epochs=3, watch=True, optimizer=cr.Adam(cr.StepDecay(0.1, 2, 0.5)))
    read = pickle.loads(pickle.dumps(run))
    assert (read.predict(x) == run.predict(x)).all()
    assert str(read.formulas()) == str(run.formulas())
    assert (read.history.table == run.history.table).all()
    assert str(read.why()) == str(run.why())
