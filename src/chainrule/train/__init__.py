"""Training: the step graph, the epoch loop, history, files."""

from chainrule.train.files import load, save
from chainrule.train.fit import EarlyStopping, Trainer, TrainingWarning, fit
from chainrule.train.formulas import formulas
from chainrule.train.history import History
from chainrule.train.run import Run
from chainrule.train.step import StepGraph, step_graph

__all__ = [
    "EarlyStopping",
    "History",
    "Run",
    "StepGraph",
    "Trainer",
    "TrainingWarning",
    "fit",
    "formulas",
    "load",
    "save",
    "step_graph",
]
