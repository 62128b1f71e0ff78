"""Graph → text, LaTeX, SVG."""

from chainrule.graph.node import VIEWS
from chainrule.notation.sheet import Line, Section, Sheet, line, section
from chainrule.notation.text import Names, Symbol, latex, text, unique_names, write

VIEWS.update(text=text, latex=latex)

__all__ = [
    "Line",
    "Names",
    "Section",
    "Sheet",
    "Symbol",
    "latex",
    "line",
    "section",
    "text",
    "unique_names",
    "write",
]
