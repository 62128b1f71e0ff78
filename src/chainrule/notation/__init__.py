"""Graph → text, LaTeX, SVG."""

from chainrule.graph.node import VIEWS
from chainrule.notation.text import Names, Symbol, latex, text, unique_names, write

VIEWS.update(text=text, latex=latex)

__all__ = ["Names", "Symbol", "latex", "text", "unique_names", "write"]
