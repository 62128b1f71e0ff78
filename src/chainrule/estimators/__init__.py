"""scikit-learn estimators: a network that fits, predicts, and fits into pipelines and searches."""

from chainrule.estimators.classifier import NeuralClassifier
from chainrule.estimators.regressor import NeuralRegressor

__all__ = ["NeuralClassifier", "NeuralRegressor"]
