"""Training: the step graph, the epoch loop, history, files, going on and going back."""

from chainrule.train.checkpoints import Checkpoints
from chainrule.train.files import load, save
from chainrule.train.fit import fit
from chainrule.train.formulas import formulas
from chainrule.train.history import History, TrainingWarning
from chainrule.train.objective import Objective
from chainrule.train.rate_test import RateTest, find_learning_rate
from chainrule.train.replay import ReplayedStep
from chainrule.train.resume import resume
from chainrule.train.run import Run
from chainrule.train.step import StepGraph, step_graph
from chainrule.train.sweeps import Between, Candidate, Ranking, sweep
from chainrule.train.table import TableRun, fit_folder, fit_table, load_table
from chainrule.train.trainer import EarlyStopping, Trainer

__all__ = [
    "Between",
    "Candidate",
    "Checkpoints",
    "EarlyStopping",
    "History",
    "Objective",
    "Ranking",
    "RateTest",
    "ReplayedStep",
    "Run",
    "StepGraph",
    "TableRun",
    "Trainer",
    "TrainingWarning",
    "find_learning_rate",
    "fit",
    "fit_folder",
    "fit_table",
    "formulas",
    "load",
    "load_table",
    "resume",
    "save",
    "step_graph",
    "sweep",
]
