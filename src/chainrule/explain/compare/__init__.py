"""Comparisons by measurement: activations, optimizers, losses, and one network per example."""

from chainrule.explain.compare.activations import ActivationComparison, compare_activations
from chainrule.explain.compare.losses import LossComparison, compare_losses
from chainrule.explain.compare.optimizers import OptimizerComparison, compare_optimizers
from chainrule.explain.compare.per_example import PerExampleComparison, compare_per_example

__all__ = [
    "ActivationComparison",
    "LossComparison",
    "OptimizerComparison",
    "PerExampleComparison",
    "compare_activations",
    "compare_losses",
    "compare_optimizers",
    "compare_per_example",
]
