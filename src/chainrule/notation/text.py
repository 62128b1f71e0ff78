"""Formulas as text and as LaTeX.

A formula is written from its leaves up, one piece per node, with brackets only where the binding asks for
them. Quantities that have a name are written by it; a large part that is used more than once is named
``t1, t2, …`` and written below the formula.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

from chainrule.graph.body import Body, asked, at_a_time, has_body, over_time, with_bodies
from chainrule.graph.graph import LEAVES
from chainrule.graph.node import Node, Scope, ancestors
from chainrule.graph.op import ATOM, Piece

LARGE = 24
"""A part of at least so many characters is not written twice."""

_GREEK = [
    "alpha",
    "beta",
    "gamma",
    "delta",
    "epsilon",
    "zeta",
    "eta",
    "theta",
    "iota",
    "kappa",
    "lambda",
    "mu",
    "nu",
    "xi",
    "pi",
    "rho",
    "sigma",
    "tau",
    "phi",
    "chi",
    "psi",
    "omega",
    "Gamma",
    "Delta",
    "Theta",
    "Lambda",
    "Xi",
    "Pi",
    "Sigma",
    "Phi",
    "Psi",
    "Omega",
]
_ESCAPED = str.maketrans({c: f"\\{c}" for c in " #$%&_{}"} | {"\\": r"\backslash ", "^": r"\hat{\ }", "~": r"\sim "})
"""What TeX reads as a command, in a name that a person chose."""
_LOWERED = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_LETTERS = dict(zip("αβγδεζηθικλμνξπρστφχψωΓΔΘΛΞΠΣΦΨΩ", _GREEK, strict=True))


@dataclass(frozen=True)
class Symbol:
    """How a quantity is called: ``dW1`` is ``dW``, the derivative of the cost by W, in layer 1.

    Attributes:
        base: the name itself.
        layer: the number of the layer it belongs to, or the layer's own name, or "".
        rank: tells apart two quantities that would otherwise have one name.
        time: of what is repeated over time the step that is meant: ``t``, ``t−1``, ``T``.
        tex: the base in LaTeX, where it is a formula and not a name.
    """

    base: str
    layer: str = ""
    rank: int = 1
    time: str = ""
    tex: str = ""

    @property
    def text(self) -> str:
        """``dW1``."""
        layer = self.layer if self.layer.isdigit() or not self.layer else f"_{self.layer}"
        again = f".{self.rank}" if self.rank > 1 else ""
        return self.base + layer + again + subscript(self.time)

    @property
    def latex(self) -> str:
        """``dW^{[1]}``: the layer in brackets, as in the course."""
        time = self.time.replace("−", "-")
        if self.tex:
            return f"\\left({self.tex}\\right)_{{{time}}}" if time else self.tex
        word, _, rest = self.base.translate(_LOWERED).partition("_")
        stem = word.rstrip("0123456789")
        digits, word = (word[len(stem) :], stem) if stem else ("", word)
        d, word = ("d", word[1:]) if len(word) == 2 and word[0] == "d" else ("", word)
        d, word = (r"\delta ", word[1:]) if len(word) == 2 and word[0] == "δ" else (d, word)
        if word in _LETTERS.values():
            out = f"\\{word}"
        elif word in _LETTERS:
            out = f"\\{_LETTERS[word]}"
        elif word in ("ŷ", "y\u0302"):
            out = r"\hat{y}"
        else:
            plain = word.translate(_ESCAPED)
            out = plain if len(word) == 1 else f"\\mathit{{{plain}}}"
        if out.endswith("\u0302}") or word.endswith("\u0302"):
            out = f"\\hat{{{word[:-1].translate(_ESCAPED)}}}"
        if rest == "hat":
            out, rest = f"\\hat{{{out}}}", ""
        subscript = rest.replace("_", " ").translate(_ESCAPED)
        below = ", ".join(x for x in (digits, subscript, f"({self.rank})" if self.rank > 1 else "") if x)
        if below:
            below = below if len(below) == 1 or below.isdigit() else f"\\mathrm{{{below}}}"
        if below or time:
            out += f"_{{{','.join(x for x in (below, time) if x)}}}"
        if self.layer:
            number = self.layer if self.layer.isdigit() else f"\\mathrm{{{self.layer.translate(_ESCAPED)}}}"
            return f"{{{d}{out}^{{[{number}]}}}}"  # braces, so that a power or a transpose can follow
        return d + out

    def written(self, latex: bool) -> str:
        """As text or as LaTeX."""
        return self.latex if latex else self.text


Names = dict[Node, Symbol]


def unique_names(
    nodes: Iterable[Node], same: Mapping[Node, Node] | None = None, derivatives: Mapping[Node, Node] | None = None
) -> Names:
    """A symbol for every named node: layers are numbered in order, W1, Z1, A1, W2 …; others keep their name.

    Two different quantities that would be called the same are told apart by a rank.

    Args:
        nodes: operands before results.
        same: leads from a node to another whose symbol it shares, because it is the same quantity in another form.
        derivatives: leads from a derivative to what it is by, whose number and rank it takes.
    """
    nodes, same, derivatives = with_bodies(nodes), same or {}, derivatives or {}
    first: dict[int, Node] = {}
    for n in nodes:
        if has_body(n):
            first.setdefault(id(n.attrs["body"]), n)
    loops, holes = first.values(), dict[Node, Node]()
    for loop in loops:
        holes = dict(zip(loop.attrs["body"].holes, loop.inputs, strict=True)) | holes
    repeated = {n for loop in loops for n in loop.attrs["body"].nodes}
    order = _layer_numbers(nodes, holes)
    ranks: dict[tuple[str, str, str], int] = {}
    taken: set[str] = set()
    out: Names = {}
    called = [n for n in nodes if n.name and n not in same and n not in holes]
    for node in sorted(called, key=lambda n: n in derivatives):
        layer = order[node.scope] if node.scope is not None and node.op.name != "constant" else ""
        base = str(node.name).rstrip("₀₁₂₃₄₅₆₇₈₉") if node.inputs else str(node.name)  # h₃, of what is written out
        time = "t" if node in repeated else str(node.name)[len(base) :].translate(_STEPS)
        key = base, layer, time
        of = out.get(derivatives.get(node, node))
        free = (Symbol(base, layer, rank, time) for rank in count(of.rank if of else ranks.get(key, 0) + 1))
        out[node] = next(symbol for symbol in free if symbol.text not in taken)  # a Z1 of the user's own is taken too
        ranks[key] = out[node].rank
        taken.add(out[node].text)
    out |= {node: out[other] for node, other in same.items()}
    for loop in loops:
        out |= {n: s for n, s in _of_loop(loop, out, order).items() if n not in out}
    for node in nodes:
        if has_body(node) and node not in out:
            out[node] = _of_result(node, out)
    return out


def _of_loop(loop: Node, names: Names, layers: Mapping[Scope, str]) -> Names:
    """The symbols of a body's holes: the state of the step before, the slices at time t, what is the same always."""
    body: Body = loop.attrs["body"]
    out: Names = {}
    for h, after in zip(body.states, body.new, strict=True):
        now = names.get(after) or Symbol(str(h.name), layers.get(h.scope, "") if h.scope else "")
        out[h] = replace(now, time="t+1" if body.backwards else "t−1")
    for h, sequence in zip(body.slices, body.sequences(loop.inputs), strict=True):
        source = at_a_time(sequence)
        if has_body(source):
            out[h] = _of_result(source, names | out)
        elif source in names:
            out[h] = replace(names[source], time="t")
        else:
            out[h] = Symbol(str(h.name), layers.get(h.scope, "") if h.scope else "", time="t")
    for h, fixed in zip(body.constants, body.fixed(loop.inputs), strict=True):
        out[h] = names[fixed] if fixed in names else _phrase(fixed, names)
    return out


def _of_result(node: Node, names: Names) -> Symbol:
    """A loop's result is called as the quantity of the body that it is, at the last step or at step t."""
    quantity = asked(node)
    if over_time(node):
        return names[quantity] if quantity in names else _phrase(quantity, names | _of_loop(node, names, {}))
    at = "1" if node.attrs["body"].backwards else "T"
    return replace(names.get(quantity, Symbol(quantity.name or "y")), time=at)


def _phrase(node: Node, names: Names) -> Symbol:
    """A short formula in the place of a name."""
    known = {n: s for n, s in names.items() if n is not node}
    (text,), _ = write([node], names=known)
    (tex,), _ = write([node], latex=True, names=known)
    return Symbol(f"({text})" if " " in text else text, tex=f"\\left({tex}\\right)" if " " in text else tex)


_SUBSCRIPTS = {"": "", "t": "ₜ", "t−1": "ₜ₋₁", "t+1": "ₜ₊₁"}
_STEPS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_BELOW = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def subscript(time: str) -> str:
    """A step as it stands below a name: ₜ, ₜ₋₁, ₃, _T."""
    if time.isdigit():
        return time.translate(_BELOW)
    return _SUBSCRIPTS.get(time, f"_{time}" if len(time) < 2 else f"_{{{time}}}")


def _layer_numbers(nodes: Sequence[Node], holes: Mapping[Node, Node]) -> dict[Scope, str]:
    """Layers in the order of the computation: the one whose first result lies deepest comes last.

    What is made of nothing that is fed (the waves of a positional encoding) says nothing about where its layer is.
    """
    depth: dict[Node, int] = {}
    first: dict[Scope, int] = {}
    fed: set[Node] = set()
    for node in nodes:
        operands = (holes[node],) if node in holes else node.inputs
        if has_body(node):
            operands = (*operands, *node.attrs["body"].new)
        depth[node] = 1 + max((depth.get(i, 0) for i in operands), default=-1)
        if node.op.name in LEAVES or any(i in fed for i in operands):
            fed.add(node)
        if node.scope is not None and node.inputs and node.name and node in fed:
            first[node.scope] = min(first.get(node.scope, depth[node]), depth[node])
        elif node.scope is not None:
            first.setdefault(node.scope, 1 << 60)
    ordered = sorted(first, key=lambda s: first[s])
    return {s: s.name or str(1 + sum(t.name is None for t in ordered[:i])) for i, s in enumerate(ordered)}


def write(
    roots: Sequence[Node],
    latex: bool = False,
    names: Names | None = None,
) -> tuple[list[str], list[tuple[str, str]]]:
    """The formulas of some nodes, and the definitions of shared parts that they refer to.

    Args:
        roots: what to write; each is written out even if it has a name.
        latex: LaTeX instead of text.
        names: symbols by node; by default every named node has its own.
    """
    names = unique_names(ancestors(*roots)) if names is None else names
    order = ancestors(*roots, stop=lambda n: n in names and n not in roots)  # a name is not gone through
    uses: dict[Node, int] = {}
    for node in order:
        if node in roots or node not in names:
            for operand in node.inputs:
                uses[operand] = uses.get(operand, 0) + 1
    pieces: dict[Node, Piece] = {}
    definitions: list[tuple[str, str]] = []
    taken = {symbol.text for symbol in names.values()}
    free = (symbol for symbol in map(Symbol, (f"t{k}" for k in count(1))) if symbol.text not in taken)
    for node in order:
        root = node in roots
        if node in names and (not (root and node.inputs) or (has_body(node) and node.name is None)):
            pieces[node] = Piece(names[node].written(latex), ATOM)
            continue
        piece = node.op.write(node, [pieces[i] for i in node.inputs], latex)
        if uses.get(node, 0) > 1 and node.inputs and len(piece.text) >= LARGE and not root:
            name = next(free).written(latex)
            definitions.append((name, piece.text))
            piece = Piece(name, ATOM)
        pieces[node] = piece
    return [pieces[r].text for r in roots], definitions


def steps(nodes: Iterable[Node], names: Names) -> list[Node]:
    """The named quantities of the bodies that are repeated among these nodes, in the order of the computation."""
    inner = set(with_bodies(nodes)) - set(nodes)
    return [n for n in with_bodies(nodes) if n in inner and n.name and n.inputs and n in names]


def repeats(node: Node, names: Names) -> str:
    """What a loop repeats, in short: ``loop(f1ₜ, i1ₜ, …, h1ₜ)``, the named quantities of its step."""
    symbols = [names[n].text for n in node.attrs["body"].named if n in names]
    return f"loop({', '.join(symbols)})"


def text(node: Node) -> str:
    """The formula of a node, with shared parts below it, and with the step of what is repeated."""
    order = ancestors(node)
    names = unique_names(order)
    (formula,), shared = write([node], names=names)
    for n in steps(order, names):
        (part,), more = write([n], names=names)
        shared += [(names[n].text, part), *more]
    if not shared:
        return formula
    width = max(columns(name) for name, _ in shared)
    return formula + "\n  where\n" + "\n".join(f"  {padded(name, width)} = {part}" for name, part in shared)


def latex(node: Node) -> str:
    """The formula of a node in LaTeX, with shared parts below it."""
    order = ancestors(node)
    names = unique_names(order)
    (formula,), shared = write([node], latex=True, names=names)
    for n in steps(order, names):
        (part,), more = write([n], latex=True, names=names)
        shared += [(names[n].latex, part), *more]
    if not shared:
        return formula
    rows = [formula, *(f"\\text{{where }} {name} = {part}" for name, part in shared)]
    return "\\begin{aligned}" + r" \\ ".join("& " + row for row in rows) + "\\end{aligned}"


def columns(text: str) -> int:
    """How many characters wide a text is shown: a hat above a letter takes no room of its own."""
    return sum(not unicodedata.combining(c) for c in text)


def padded(text: str, width: int) -> str:
    """The text, filled with blanks up to a width."""
    return text + " " * (width - columns(text))
