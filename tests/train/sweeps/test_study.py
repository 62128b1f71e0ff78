"""Candidates that Optuna proposes: it is told the scores that the ranking has, and another machine goes on."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ConfigurationError

optuna = pytest.importorskip("optuna")
optuna.logging.set_verbosity(optuna.logging.WARNING)

RNG = np.random.default_rng(0)
X = RNG.uniform(-2, 2, size=(60, 1))
Y = np.sin(2 * X[:, 0])
CHOICES = {
    "activation": ["tanh", "linear"],
    "learning_rate": cr.Between(1e-5, 0.1, log=True),
    "width": cr.Between(1, 8),
}


def network(activation, width):
    return cr.Sequential(cr.Dense(width, activation), cr.Dense(1))


def study(**settings):
    return optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0), **settings)


def test_the_study_is_told_the_scores_of_the_ranking():
    asked = study()
    found = cr.sweep(network, X, Y, CHOICES, trials=7, study=asked, epochs=5, workers=2)
    assert len(asked.trials) == 7
    scores = sorted(t.value for t in asked.trials)
    np.testing.assert_allclose(scores, [c.mean for c in found.candidates])
    assert asked.best_params == found.best_choices
    assert all(1 <= t.params["width"] <= 8 for t in asked.trials)


def test_a_study_of_a_metric_of_ones_own_is_maximized():
    def nearness(y_hat, y):
        return -cr.mean(cr.abs(y_hat - y), axis=1)

    asked = study(direction="maximize")
    settings = {"metrics": [nearness], "monitor": "validation_nearness", "larger_is_better": True}
    found = cr.sweep(network, X, Y, CHOICES, trials=3, study=asked, epochs=5, **settings)
    assert asked.best_value == pytest.approx(found.candidates[0].mean)


def test_with_a_storage_two_machines_work_on_one_study(tmp_path):
    place = {"storage": f"sqlite:///{tmp_path / 'study.db'}", "study_name": "s", "load_if_exists": True}
    for count in (2, 4):
        cr.sweep(network, X, Y, CHOICES, trials=2, study=study(**place), epochs=2, workers=1)
        assert len(study(**place).trials) == count


def test_a_candidate_that_fails_is_told_as_failed():
    asked = study()
    choices = {"activation": ["tanh", "tanhh"], "width": [2, 3]}
    cr.sweep(network, X, Y, choices, trials=8, study=asked, epochs=2, workers=1)
    states = {t.params["activation"]: t.state.name for t in asked.trials}
    assert states == {"tanh": "COMPLETE", "tanhh": "FAIL"}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"study": "mine", "trials": 3}, "create_study"),
        ({"study": study(), "trials": None}, "trials=30"),
        ({"study": study(direction="maximize"), "trials": 1}, "given: +direction='maximize'.*direction='minimize'"),
    ],
)
def test_what_is_wrong_is_said(settings, says):
    with pytest.raises(ConfigurationError, match=f"(?s){says}"):
        cr.sweep(network, X, Y, CHOICES, epochs=1, **settings)
