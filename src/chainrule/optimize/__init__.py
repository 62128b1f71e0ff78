"""Update rules and schedules, written in ops: they are part of the graph and can be shown too."""

from chainrule.optimize.optimizers import (
    OPTIMIZERS,
    AdaGrad,
    Adam,
    AdamW,
    GradientDescent,
    Momentum,
    Nesterov,
    Optimizer,
    RMSprop,
    optimizer,
)
from chainrule.optimize.schedules import (
    Constant,
    CosineDecay,
    ExponentialDecay,
    OneCycle,
    Schedule,
    StepDecay,
    WarmUp,
)
from chainrule.optimize.update import Update, update

__all__ = [
    "OPTIMIZERS",
    "AdaGrad",
    "Adam",
    "AdamW",
    "Constant",
    "CosineDecay",
    "ExponentialDecay",
    "GradientDescent",
    "Momentum",
    "Nesterov",
    "OneCycle",
    "Optimizer",
    "RMSprop",
    "Schedule",
    "StepDecay",
    "Update",
    "WarmUp",
    "optimizer",
    "update",
]
