"""A formula sheet: named quantities with their formulas and shapes, in sections, as text and as LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from chainrule.graph.dim import show
from chainrule.graph.node import Node
from chainrule.notation.columns import turned
from chainrule.notation.text import Names, padded, write
from chainrule.notation.text import columns as width_of


@dataclass(frozen=True)
class Line:
    """One line: what is defined, how, and the shape of it."""

    text: str
    latex: str
    shape: str
    arrow: bool = False
    notes: tuple[str, ...] = ()


@dataclass
class Section:
    """Lines under a title, and what else is to be said, as text and as LaTeX."""

    title: str
    lines: list[Line] = field(default_factory=list)
    note: str = ""
    latex_note: str = ""


@dataclass
class Sheet:
    """Sections of formulas. Prints as text; a notebook shows it as LaTeX."""

    sections: list[Section]

    def __str__(self) -> str:
        left = max(
            (width_of(line.text.split(" = ", 1)[0].split(" ← ", 1)[0]) for s in self.sections for line in s.lines),
            default=0,
        )
        rows: list[tuple[str, str]] = []
        for section in self.sections:
            if not section.lines:
                continue
            rows.append(("", ""))
            rows.append((section.title, ""))
            for line in section.lines:
                sign = " ← " if line.arrow else " = "
                name, formula = line.text.split(sign, 1)
                rows.append((f"  {padded(name, left)}{sign}{formula}", line.shape))
                rows += [(f"  {'':<{left}}   with {note}", "") for note in line.notes]
            if section.note:
                rows.append((f"  {section.note}", ""))
        width = max((width_of(a) for a, b in rows if b and width_of(a) <= 64), default=0)
        return "\n".join(f"{padded(a, width)}   {b}".rstrip() if b else a for a, b in rows[1:])

    __repr__ = __str__

    def latex(self) -> str:
        """All sections as one aligned environment."""
        rows = []
        for section in self.sections:
            if section.lines:
                rows.append(f"&\\textbf{{{section.title}}}")
                rows += [f"{line.latex} && {line.shape}" for line in section.lines]
                rows += [f"&{section.latex_note}"] if section.latex_note else []
        return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"

    def _repr_latex_(self) -> str:
        return f"${self.latex()}$"


def line(node: Node, names: Names, *, symbol: Node | None = None, arrow: bool = False, columns: bool = False) -> Line:
    """``name = formula`` of a node; ``symbol`` is what it is called when that is another node (w ← …).

    ``columns`` writes it in the course's notation, with examples in columns.
    """
    named = names[symbol if symbol is not None else node]
    if columns:
        node, names = turned(node, names)
    (text,), shared = write([node], names=names)
    (latex,), shared_latex = write([node], latex=True, names=names)
    sign, sign_latex = ("←", r"\leftarrow") if arrow else ("=", "=")
    latex_notes = "".join(f",\\; {a} = {b}" for a, b in shared_latex)
    return Line(
        f"{named.text} {sign} {text}",
        f"{named.latex} &{sign_latex} {latex}{latex_notes}",
        show(node.shape) if node.shape else "",
        arrow,
        tuple(f"{a} = {b}" for a, b in shared),
    )


def section(title: str, nodes: Sequence[Node], names: Names, columns: bool = False) -> Section:
    """A section with a line for each node."""
    return Section(title, [line(n, names, columns=columns) for n in nodes])
