"""Layers, activations by name, losses, initialisers: functions from nodes to nodes."""

from chainrule.nn.activations import ACTIVATIONS, ParametricReLU, activation
from chainrule.nn.initializers import (
    INITIALIZERS,
    Constant,
    Initializer,
    Normal,
    Orthogonal,
    Scaled,
    Uniform,
    initial_value,
    initializer,
)
from chainrule.nn.layer import Layer
from chainrule.nn.layers import Activation, Dense, Flatten
from chainrule.nn.losses import (
    LOSSES,
    Loss,
    absolute_error,
    binary_cross_entropy,
    categorical_cross_entropy,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    loss,
    poisson,
    quantile,
    squared_error,
    sum_of_squared_residuals,
)
from chainrule.nn.model import Model, Sequential, as_model
from chainrule.nn.noise import Dropout, GaussianNoise
from chainrule.nn.normalization import (
    BatchNormalization,
    GroupNormalization,
    InstanceNormalization,
    LayerNormalization,
    RMSNormalization,
)

__all__ = [
    "ACTIVATIONS",
    "INITIALIZERS",
    "LOSSES",
    "Activation",
    "BatchNormalization",
    "Constant",
    "Dense",
    "Dropout",
    "Flatten",
    "GaussianNoise",
    "GroupNormalization",
    "Initializer",
    "InstanceNormalization",
    "Layer",
    "LayerNormalization",
    "Loss",
    "Model",
    "Normal",
    "Orthogonal",
    "ParametricReLU",
    "RMSNormalization",
    "Scaled",
    "Sequential",
    "Uniform",
    "absolute_error",
    "activation",
    "as_model",
    "binary_cross_entropy",
    "categorical_cross_entropy",
    "hinge",
    "huber",
    "initial_value",
    "initializer",
    "kl_divergence",
    "log_cosh",
    "loss",
    "poisson",
    "quantile",
    "squared_error",
    "sum_of_squared_residuals",
]
