"""In scikit-learn's own house: pipelines, searches, calibration, routing, frames, and how an estimator is shown."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.ensemble import BaggingRegressor, VotingClassifier
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils import estimator_html_repr

import chainrule as cr
from chainrule.estimators import NeuralClassifier, NeuralRegressor

X, Y = load_breast_cancer(return_X_y=True)
QUICK = {"layers": (8,), "epochs": 20, "learning_rate": 0.02, "random_state": 0}


def test_cross_validation_in_a_pipeline():
    pipe = make_pipeline(StandardScaler(), NeuralClassifier(**QUICK))
    scores = cross_val_score(pipe, X, Y, cv=3)
    linear = cross_val_score(make_pipeline(StandardScaler(), LogisticRegression()), X, Y, cv=3)
    assert scores.mean() > linear.mean() - 0.02
    assert cross_val_predict(pipe, X, Y, cv=3, method="predict_proba").shape == (569, 2)


def test_a_grid_search_over_settings_networks_and_optimizers():
    networks = [cr.Sequential(cr.Dense(u, "tanh"), cr.Dense(1, "sigmoid")) for u in (1, 4)]
    search = GridSearchCV(
        NeuralClassifier(**QUICK),
        [
            {"layers": [(), (16,)], "dropout": [0.0, 0.1]},
            {"network": networks},
            {"optimizer": [cr.Adam(0.01), cr.Momentum(0.1)], "learning_rate": [None]},
        ],
        cv=2,
    ).fit(X, Y)
    assert len(search.cv_results_["params"]) == 8
    assert search.best_score_ > 0.94
    assert not np.isnan(search.cv_results_["mean_test_score"]).any()


def test_a_search_in_several_processes():
    """Networks, losses and optimizers go to other processes and come back trained."""
    search = GridSearchCV(
        NeuralClassifier(network=cr.Sequential(cr.Dense(4, "relu"), cr.Dense(1, "sigmoid")), epochs=10, random_state=0),
        {"optimizer": [cr.Adam(0.02), cr.RMSprop(0.02)]},
        cv=2,
        n_jobs=2,
    )
    search.fit(X, Y)
    alone = clone(search.best_estimator_).fit(X, Y)
    assert (alone.predict_proba(X) == search.best_estimator_.predict_proba(X)).all()


def test_calibrated_probabilities():
    raw = NeuralClassifier((100,), epochs=200, weight_decay=0, random_state=0)  # trained until it is too sure
    x, x_test, y, y_test = X[:300, :6], X[300:, :6], Y[:300], Y[300:]
    for method in ("sigmoid", "isotonic"):
        calibrated = CalibratedClassifierCV(raw, method=method, cv=3).fit(x, y)
        assert calibrated.predict_proba(x_test).shape == (269, 2)
        assert brier_score_loss(y_test, calibrated.predict_proba(x_test)[:, 1]) < 0.1


def test_in_ensembles_and_inspection():
    voting = VotingClassifier(
        [("a", NeuralClassifier(**QUICK)), ("b", LogisticRegression(max_iter=5000))], voting="soft"
    )
    assert voting.fit(X, Y).score(X, Y) > 0.94
    bagging = BaggingRegressor(NeuralRegressor(**QUICK), n_estimators=2, random_state=0).fit(X, Y)
    assert bagging.score(X, Y) > 0.5
    model = NeuralClassifier(**QUICK).fit(X[:, :4], Y)
    assert permutation_importance(model, X[:100, :4], Y[:100], n_repeats=2, random_state=0).importances.shape == (4, 2)


@pytest.mark.parametrize("library", [pd, pl], ids=["pandas", "polars"])
def test_mixed_columns_of_a_frame(library):
    rng = np.random.default_rng(0)
    size, town = rng.uniform(50, 150, 200), rng.choice(["Ames", "Boone"], 200)
    frame = library.DataFrame({"size": size, "town": town})
    price = 1000 * size + 50_000 * (town == "Ames")
    columns = make_column_transformer((OneHotEncoder(sparse_output=False), ["town"]), ("passthrough", ["size"]))
    name = library.__name__
    pipe = make_pipeline(columns, NeuralRegressor(**QUICK | {"epochs": 200})).set_output(transform=name)
    assert pipe.fit(frame, price).score(frame, price) > 0.99
    assert pipe[-1].feature_names_in_.tolist() == [
        "onehotencoder__town_Ames",
        "onehotencoder__town_Boone",
        "passthrough__size",
    ] or pipe[-1].feature_names_in_[-1].endswith("size")


def test_weights_and_validation_examples_are_routed():
    with sklearn.config_context(enable_metadata_routing=True):
        network = NeuralClassifier(**QUICK).set_fit_request(sample_weight=True, X_val=True, y_val=True)
        pipe = Pipeline(
            [("scale", StandardScaler().set_fit_request(sample_weight=False)), ("network", network)],
            transform_input=["X_val"],
        )
        weights = np.where(Y == 1, 1.0, 3.0)
        pipe.fit(X[:400], Y[:400], sample_weight=weights[:400], X_val=X[400:], y_val=Y[400:])
        weighted = NeuralClassifier(**QUICK).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        scores = cross_val_score(weighted, X, Y, cv=2, params={"sample_weight": weights})
    scaled = StandardScaler().fit(X[:400])
    alone = NeuralClassifier(**QUICK).fit(
        scaled.transform(X[:400]), Y[:400], weights[:400], X_val=scaled.transform(X[400:]), y_val=Y[400:]
    )
    assert (pipe.predict_proba(X) == alone.predict_proba(scaled.transform(X))).all()
    assert (pipe[-1].history_.table == alone.history_.table).all()
    assert scores.shape == (2,)


def test_it_is_shown_with_what_was_set():
    assert repr(NeuralClassifier(dropout=0.2, loss="hinge")) == "NeuralClassifier(dropout=0.2, loss='hinge')"
    page = estimator_html_repr(make_pipeline(StandardScaler(), NeuralRegressor(layers=(3, 2))))
    assert "NeuralRegressor" in page
    assert "layers" in page


def test_a_clone_is_as_new_and_shares_nothing_that_learns():
    network = cr.Sequential(cr.Dense(4, "relu"), cr.Dense(3, "softmax"))
    x, y = load_iris(return_X_y=True)
    model = NeuralClassifier(network=network, epochs=3, random_state=0).fit(x, y)
    copy = clone(model)
    assert not hasattr(copy, "run_")
    assert copy.network is not network
    assert copy.fit(x[:, :2], y).run_.parameters["W1"].shape == (2, 4)
    assert model.run_.parameters["W1"].shape == (4, 4)


def test_no_warning_is_left_to_the_user():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        NeuralClassifier(early_stopping=True, scoring="accuracy", **QUICK).fit(pd.DataFrame(X).rename(columns=str), Y)
