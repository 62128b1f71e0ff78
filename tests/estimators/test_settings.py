"""Settings that would be misread: what was given, what was expected, what to do."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

import chainrule as cr
from chainrule.errors import ChainruleError, ConfigurationError
from chainrule.estimators import NeuralClassifier, NeuralRegressor
from chainrule.estimators.checks import check_settings

X, Y = load_breast_cancer(return_X_y=True)
X, Y = X[:60], Y[:60]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"network": cr.Sequential}, "network=cr.Sequential\\(cr.Dense"),
        ({"early_stopping": "yes"}, "early_stopping='yes'.*a patience in epochs"),
        ({"early_stopping": 0}, "early_stopping=0.*a patience in epochs"),
        ({"early_stopping": 2.5}, "early_stopping=2.5.*a patience in epochs"),
        ({"layers": None}, "layers=None.*layers=\\(\\) is none"),
        ({"layers": "100"}, "layers='100'.*one for each hidden layer"),
        ({"layers": (8, 0)}, "layers=\\(8, 0\\).*one for each hidden layer"),
        ({"layers": True}, "layers=True.*one for each hidden layer"),
        ({"dtype": "float23"}, "dtype='float23'.*'float32' or 'float64'"),
        ({"dtype": "int32"}, "dtype='int32'.*'float32' or 'float64'"),
        ({"callbacks": print}, "callbacks=.*callbacks=\\[function\\]"),
        ({"callbacks": [None]}, "callbacks=.*callbacks=\\[function\\]"),
        ({"dropout": "0.5"}, "dropout='0.5'.*0 ≤ dropout < 1"),
        ({"dropout": 1.5}, "dropout=1.5.*0 ≤ dropout < 1"),
        ({"validation_split": "a"}, "validation_split='a'.*a share of the examples"),
        ({"weight_decay": "a"}, "weight_decay='a'.*a number of at least 0"),
        ({"weight_decay": -1}, "weight_decay=-1\n.*a number of at least 0"),
        ({"standardize": "no"}, "standardize='no'.*True, False or 'auto'"),
        ({"standardize": "false"}, "standardize='false'.*True, False or 'auto'"),
        ({"standardize": None}, "standardize=None.*True, False or 'auto'"),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", [NeuralClassifier, NeuralRegressor])
def test_what_a_setting_may_be(kind, settings, message):
    for learn in (kind(**settings).fit, kind(**settings).partial_fit):
        with pytest.raises(ConfigurationError, match=f"(?s)given: .*{message}"):
            learn(X, Y)


@pytest.mark.parametrize(
    "settings",
    [
        {"layers": 8},
        {"layers": [8, np.int64(4)]},
        {"layers": np.array([8, 4])},
        {"layers": ()},
        {"early_stopping": np.int64(3)},
        {"early_stopping": False},
        {"early_stopping": cr.EarlyStopping(3)},
        {"standardize": np.False_},
        {"dropout": np.float32(0.5), "weight_decay": np.float64(0), "validation_split": 0},
        {"weight_decay": {"default": 0.01, "b1": 0}},
        {"dtype": np.float32},
        {"callbacks": [print]},
    ],
    ids=str,
)
def test_what_is_meant_is_taken(settings):
    check_settings(NeuralClassifier(**settings).get_params())


def test_the_column_of_a_score_is_named():
    stopping = cr.EarlyStopping(10, "roc_auc")
    with pytest.raises(ConfigurationError, match=r"(?s)monitor='roc_auc'.*monitor='validation_roc_auc'"):
        NeuralClassifier(early_stopping=stopping, scoring="roc_auc").fit(X, Y)


def test_a_class_that_the_first_call_lacked():
    model = NeuralClassifier(layers=(4,)).partial_fit(X, Y)
    with pytest.raises(ChainruleError, match=r"(?s)unseen labels: \[2\].*classes="):
        model.partial_fit(X, np.where(Y == 1, 2, Y))


def test_a_weight_of_a_class_below_zero():
    with pytest.raises(ConfigurationError, match=r"(?s)given: +class_weight=\{0: -1\}.*at least 0"):
        NeuralClassifier(class_weight={0: -1}).fit(X, Y)
