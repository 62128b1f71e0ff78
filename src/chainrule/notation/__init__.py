"""Graph → text, LaTeX, SVG."""

from chainrule.graph.node import VIEWS
from chainrule.notation.sheet import Line, Section, Sheet, line, section
from chainrule.notation.svg import Picture, svg
from chainrule.notation.text import Names, Symbol, columns, latex, padded, repeats, text, unique_names, write

VIEWS.update(text=text, latex=latex, svg=svg)

__all__ = [
    "Line",
    "Names",
    "Picture",
    "Section",
    "Sheet",
    "Symbol",
    "columns",
    "latex",
    "line",
    "padded",
    "repeats",
    "section",
    "svg",
    "text",
    "unique_names",
    "write",
]
