"""scikit-learn's own checks of an estimator, all of them, none expected to fail."""

import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import estimator_checks_generator

from chainrule.estimators import NeuralClassifier, NeuralRegressor


def all_checks():
    for estimator in (NeuralClassifier(), NeuralRegressor()):
        for made, check in estimator_checks_generator(estimator):
            name = getattr(check, "func", check).__name__
            options = "".join(f"-{v}" for v in getattr(check, "keywords", {}).values())
            yield pytest.param(made, check, id=f"{type(estimator).__name__}-{name}{options}")


@pytest.mark.parametrize(("estimator", "check"), list(all_checks()))
@pytest.mark.filterwarnings("default")  # the checks themselves ignore and provoke warnings
def test_scikit_learn_check(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    "estimator",
    [
        NeuralClassifier(dropout=0.2, early_stopping=3, epochs=30),
        NeuralClassifier(loss="hinge"),
        NeuralClassifier(dtype="float32", batch_size=None, optimizer="rmsprop"),
        NeuralRegressor(loss="huber", activation="tanh", layers=(20, 10)),
    ],
    ids=["dropout and early stopping", "hinge", "float32", "huber"],
)
@pytest.mark.filterwarnings("default")
def test_the_checks_hold_for_other_settings(estimator):
    some = {
        "check_fit_idempotent",
        "check_estimators_pickle",
        "check_methods_subset_invariance",
        "check_estimators_nan_inf",
        "check_classifiers_classes",
        "check_dict_unchanged",
    }
    ran = set()
    for made, check in estimator_checks_generator(estimator):
        name = getattr(check, "func", check).__name__
        if name in some:
            check(clone(made))
            ran.add(name)
    assert len(ran) >= 5
