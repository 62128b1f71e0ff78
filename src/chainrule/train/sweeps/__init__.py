"""Sweeps: candidates from choices, trained side by side in few programs, ranked; with a folder to go on from."""

from chainrule.train.sweeps.choices import Between
from chainrule.train.sweeps.ranking import Candidate, Ranking
from chainrule.train.sweeps.sweep import sweep

__all__ = ["Between", "Candidate", "Ranking", "sweep"]
