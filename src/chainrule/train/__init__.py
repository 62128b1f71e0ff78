"""Training: the step graph, the epoch loop, history, files."""

from chainrule.train.files import load, save
from chainrule.train.fit import EarlyStopping, Trainer, TrainingWarning, fit
from chainrule.train.formulas import formulas
from chainrule.train.history import History
from chainrule.train.objective import Objective
from chainrule.train.run import Run
from chainrule.train.search import Candidate, Ranking, grid, search
from chainrule.train.step import StepGraph, step_graph
from chainrule.train.table import TableRun, fit_folder, fit_table, load_table

__all__ = [
    "Candidate",
    "EarlyStopping",
    "History",
    "Objective",
    "Ranking",
    "Run",
    "StepGraph",
    "TableRun",
    "Trainer",
    "TrainingWarning",
    "fit",
    "fit_folder",
    "fit_table",
    "formulas",
    "grid",
    "load",
    "load_table",
    "save",
    "search",
    "step_graph",
]
