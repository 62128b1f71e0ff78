"""Run a graph: ``interpret`` in NumPy for looking, ``xla`` compiled for training."""

from chainrule.engine.interpret import interpret
from chainrule.engine.program import Kinds, Program

__all__ = ["Kinds", "Program", "interpret"]
