"""Jacobians of functions of several variables, of a layer, a chain of layers, of tensors: as formula, in numbers.

A row belongs to an output, a column to what it is differentiated by. A chain of nodes has as its Jacobian the
product of the local Jacobians, in the order of the backward pass. A large Jacobian is never built: the products with
it, ``J v`` and ``uᵀ J``, are formulas of their own.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce
from itertools import pairwise
from typing import Any

import numpy as np

from chainrule.calculus import forward, reverse
from chainrule.engine import interpret
from chainrule.errors import DerivativeError, GraphError, ShapeError
from chainrule.explain.matrix import Block, Matrix, check_size
from chainrule.explain.numbers import aligned
from chainrule.graph.dim import show
from chainrule.graph.graph import Graph, depends_on
from chainrule.graph.node import Node, ancestors, describe
from chainrule.graph.op import Constant, Elementwise, is_float
from chainrule.notation import Names, Symbol, unique_names, write
from chainrule.ops import constant
from chainrule.ops import input as input_
from chainrule.ops.contractions import as_product, parse
from chainrule.rewrite import rewrite
from chainrule.verbs import as_nodes, gradient

Array = np.ndarray[Any, Any]
LARGEST_DETERMINANT = 6
"""The determinant of more rows has too many terms to be written."""
STRUCTURES = ("zero", "identity", "diagonal", "permuted", "selecting", "dense")
"""From the simplest to the most general; the product of two has the more general structure of both."""
ONE_IN_A_ROW = ("identity", "diagonal", "permuted")
"""Those of which a row has one number, and so has a column."""


def jacobian(outputs: Node | Sequence[Node], wrt: Node | Sequence[Node]) -> Jacobian:
    """∂y/∂x: a row for every element of the outputs, a column for every element of what they depend on.

    Args:
        outputs: a node of any shape, or several.
        wrt: a node, or several: leaves, or quantities in the middle.

    Returns:
        A :class:`Jacobian`, which prints as a formula: entry by entry for single numbers, as a product of local
        Jacobians for tensors. ``.at(feeds)`` gives the numbers.

    >>> import chainrule as cr
    >>> x, y = cr.input("x", ()), cr.input("y", ())
    >>> J = cr.jacobian([x**2 * y, cr.sin(x)], [x, y])
    >>> print(J)
             x           y
    x² · y   2 · y · x   x²
    sin(x)   cos(x)      0
    >>> print(J.determinant())
    −x² · cos(x)
    """
    above, below = as_nodes(outputs, "an output"), as_nodes(wrt, "what a Jacobian is taken by")
    for node in below:
        if not is_float(node.dtype):
            raise DerivativeError("there is no derivative by whole numbers and truth values", given=describe(node))
    return Jacobian(above, below)


def hessian(cost: Node, wrt: Node | Sequence[Node]) -> Jacobian:
    """The second derivatives of a single number: the Jacobian of its gradient.

    >>> import chainrule as cr
    >>> x, y = cr.input("x", ()), cr.input("y", ())
    >>> print(cr.hessian(x**2 * y, [x, y]))
        x       y
    x   2 · y   2 · x
    y   2 · x   0
    """
    below = as_nodes(wrt, "what second derivatives are taken by")
    return Jacobian(tuple(gradient(cost, below)), below, rows_of=below)


def hessian_vector(cost: Node, wrt: Node, vector: Node) -> Node:
    """H v, the second derivatives times a direction, without building H: forward mode over reverse mode."""
    (product,) = rewrite(forward([gradient(cost, wrt)], {wrt: vector})).outputs
    return product


@dataclass(frozen=True)
class Jacobian:
    """The derivative of outputs by nodes; made by :func:`jacobian`.

    Attributes:
        outputs, wrt: what is differentiated, and by what.
        rows_of: the nodes that name the rows; the outputs themselves, or for second derivatives ``wrt``.
        given: what the nodes are called, where that is settled.
    """

    outputs: tuple[Node, ...]
    wrt: tuple[Node, ...]
    rows_of: tuple[Node, ...] = ()
    given: Names = field(default_factory=dict, repr=False)

    @property
    def scalars(self) -> bool:
        """Whether all outputs and all it is differentiated by are single numbers."""
        return all(n.shape == () for n in (*self.outputs, *self.wrt))

    @cached_property
    def names(self) -> Names:
        """What the nodes are called."""
        return self.given or unique_names(ancestors(*self.outputs, *self.wrt, *self.rows_of))

    @property
    def _rows(self) -> tuple[Node, ...]:
        return self.rows_of or self.outputs

    @property
    def title(self) -> str:
        """``∂A2/∂X``."""
        above, below = (", ".join(map(self._title, nodes)) for nodes in (self.outputs, self.wrt))
        return f"∂{_bracketed(above)}/∂{_bracketed(below)}"

    @property
    def formula(self) -> str:
        """The product of the local Jacobians, from one output back to one node."""
        self._one_by_one("one formula")
        return _chain(self.outputs[0], self.wrt[0], self.names)[0]

    def _one_by_one(self, what: str) -> None:
        if len(self.outputs) != 1 or len(self.wrt) != 1:
            raise GraphError(
                f"only a Jacobian of one output by one node has {what}",
                given=f"{len(self.outputs)} outputs by {len(self.wrt)}",
                hint="take that of each pair: cr.jacobian(y, x)",
            )

    @cached_property
    def entries(self) -> list[list[Node]]:
        """For single numbers: the entry of every row and column as a formula."""
        if not self.scalars:
            raise ShapeError(
                "only a Jacobian of single numbers by single numbers has its entries as formulas",
                given=f"{' and '.join(show(n.shape) for n in self.outputs)} by "
                f"{' and '.join(show(n.shape) for n in self.wrt)}",
                hint="print it for its formula; .at(feeds) gives the numbers",
            )
        return [[_derivative(y, x) for x in self.wrt] for y in self.outputs]

    def __getitem__(self, place: tuple[int, int]) -> Node:
        """The entry in a row and a column, as a formula."""
        i, j = place
        rows, columns = len(self.outputs), len(self.wrt)
        if not (-rows <= i < rows and -columns <= j < columns):
            raise GraphError("the Jacobian has no such entry", given=f"[{i}, {j}]", expected=f"{rows} × {columns}")
        return self.entries[i][j]

    def determinant(self) -> Node:
        """The determinant of a square Jacobian of single numbers, as a formula."""
        rows, columns = len(self.entries), len(self.wrt)
        if rows != columns:
            raise ShapeError("only a square Jacobian has a determinant", given=f"{rows} × {columns}")
        if rows > LARGEST_DETERMINANT and self.structure == "dense":
            raise ShapeError(
                "the formula of this determinant would have too many terms",
                given=f"{rows} × {columns}: {math.factorial(rows):,} products",
                expected=f"at most {LARGEST_DETERMINANT} rows",
                hint="jacobian.at(feeds).determinant() is its number",
            )
        (found,) = rewrite([_determinant(self.entries)]).outputs
        return found

    @property
    def structure(self) -> str:
        """How it is filled: zero, identity, diagonal, permuted, selecting (of zeros and ones), or dense."""
        if self.scalars:
            return _structure_of_entries(self.entries)
        found = [_chain(y, x, self.names) for y in self.outputs for x in self.wrt]
        return max((s for _, s in found), key=STRUCTURES.index) if len(found) == 1 else "dense"

    @property
    def note(self) -> str:
        """Why there is no derivative, where that is so."""
        reasons = [y.op.calculus.reason for y in self.outputs if isinstance(y.op.calculus, Constant) and y.inputs]
        return "; ".join(dict.fromkeys(reasons))

    def __str__(self) -> str:
        if self.scalars:
            head = ["", *(self.names[x].text if x in self.names else str(x) for x in self.wrt)]
            rows = [head]
            for y, row in zip(self._rows, self.entries, strict=True):
                rows.append([self._title(y), *(self._written(e) for e in row)])
            return "\n".join(aligned(rows))
        lines = []
        for y in self.outputs:
            for x in self.wrt:
                formula, structure = _chain(y, x, self.names)
                size = f"{show(y.shape)} by {show(x.shape)}"
                lines.append(f"∂{_bracketed(self._title(y))}/∂{self._title(x)} = {formula}   {structure}, {size}")
        return "\n".join([*lines, *([self.note] if self.note else [])])

    __repr__ = __str__

    def latex(self) -> str:
        """A matrix of the entries, or the product of local Jacobians."""
        if not self.scalars:
            pairs = [(y, x) for y in self.outputs for x in self.wrt]
            return r" \\ ".join(_chain(y, x, self.names, latex=True)[0] for y, x in pairs)
        rows = [" & ".join(self._written(e, latex=True) for e in row) for row in self.entries]
        return r"\begin{pmatrix}" + r" \\ ".join(rows) + r"\end{pmatrix}"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"

    def _title(self, node: Node) -> str:
        return self.names[node].text if node in self.names else self._written(node)

    def _written(self, node: Node, latex: bool = False) -> str:
        (text,), _ = write([node], latex=latex, names=self.names | unique_names(Graph(node)))
        return text

    # --- as a product -------------------------------------------------------------------------------------

    @cached_property
    def factors(self) -> tuple[Jacobian, ...]:
        """The local Jacobians that it is the product of, from the output back: ∂A2/∂Z2, ∂Z2/∂A1, ∂A1/∂Z1, ∂Z1/∂X.

        It is cut at the quantities that every way from the output goes through, those with a name if any has one.
        """
        self._one_by_one("a product of factors")
        (y,), (x,) = self.outputs, self.wrt
        cuts = _on_every_way(y, x)
        named = [n for n in cuts if n.name]
        stations = [y, *reversed(named or cuts), x]
        return tuple(Jacobian((a,), (b,), given=self.names) for a, b in pairwise(stations))

    def chain(self, feeds: Mapping[Any, Any], dtype: Any = np.float64) -> Chain:
        """Every factor in numbers, their product, and the whole Jacobian to compare it with.

        >>> import chainrule as cr
        >>> x = cr.input("x", (2,))
        >>> print(cr.jacobian(cr.exp(cr.sin(x).named("s")), x).chain({x: [0.0, 1.0]}))
        ∂exp(s)/∂x = ∂exp(s)/∂s · ∂s/∂x
          ∂exp(s)/∂s = diag(exp(s))   2 × 2   diagonal
          ∂s/∂x      = diag(cos(x))   2 × 2   diagonal
        their product is the whole Jacobian, to 0e+00
        """
        matrices = [f.at(feeds, dtype) for f in self.factors]
        return Chain(self, self.factors, tuple(matrices), reduce(operator.matmul, matrices), self.at(feeds, dtype))

    # --- in numbers ---------------------------------------------------------------------------------------

    def at(self, feeds: Mapping[Any, Any], dtype: Any = np.float64) -> Matrix:
        """The numbers at a point. Of a Jacobian with one number in a row (diagonal, permuted) only those are kept.

        Args:
            feeds: numbers for every leaf, by node or by name.
            dtype: the working precision, float64 by default.

        Errors: more than 20 million numbers; then :meth:`times` and :meth:`transposed_times` give the products
        with it, which is what training uses.
        """
        values = interpret([*self.outputs, *self.wrt], feeds, dtype)
        above = tuple((self._title(n), np.shape(values[y])) for n, y in zip(self._rows, self.outputs, strict=True))
        below = tuple((self._title(x), np.shape(values[x])) for x in self.wrt)
        if len(above) == len(below) == 1 and self.structure in ONE_IN_A_ROW:
            return self._sparse(feeds, values, dtype, above, below)
        rows = sum(np.size(values[y]) for y in self.outputs)
        columns = sum(np.size(values[x]) for x in self.wrt)
        check_size(rows, columns)
        build = self._by_columns if columns < rows else self._by_rows
        return Matrix(build(feeds, values, dtype, rows, columns), above, below)

    def _sparse(
        self, feeds: Mapping[Any, Any], values: Any, dtype: Any, above: tuple[Block, ...], below: tuple[Block, ...]
    ) -> Matrix:
        """J 1 has the one number of every row; J times the numbers of the columns tells where it stands."""
        (y,), (x,) = self.outputs, self.wrt
        v = input_("v", x.shape, dtype=x.dtype)
        (moved,) = forward([y], {x: v})

        def times(vector: Array) -> Array:
            got = interpret([moved, y], {**feeds, v: vector.reshape(np.shape(values[x]))}, dtype)
            return np.array(np.broadcast_to(got[moved], np.shape(values[y])), float).ravel()

        size = np.size(values[x])
        entries = times(np.ones(size))
        if self.structure != "permuted":
            return Matrix(entries, above, below, np.arange(size))
        places = np.full(size, -1)
        there = entries != 0
        places[there] = np.rint(times(np.arange(1.0, size + 1))[there] / entries[there]).astype(int) - 1
        places[~there] = np.setdiff1d(np.arange(size), places[there])  # a zero may stand anywhere
        return Matrix(entries, above, below, places)

    def _by_rows(self, feeds: Mapping[Any, Any], values: Any, dtype: Any, rows: int, columns: int) -> Array:
        out, at = np.zeros((rows, columns)), 0
        for y in self.outputs:
            if not is_float(y.dtype):
                at += np.size(values[y])
                continue
            u = input_("u", y.shape, dtype=y.dtype)
            found = reverse(y, self.wrt, seed=u).adjoints
            reached = [found[x] for x in self.wrt if x in found]
            for unit in _units(np.shape(values[y])):
                got = interpret(reached, {**feeds, u: unit}, dtype) if reached else {}
                parts = [got[found[x]] if x in found else np.zeros(np.shape(values[x])) for x in self.wrt]
                out[at] = np.concatenate([np.ravel(p) for p in parts])
                at += 1
        return out

    def _by_columns(self, feeds: Mapping[Any, Any], values: Any, dtype: Any, rows: int, columns: int) -> Array:
        out, at = np.zeros((rows, columns)), 0
        for x in self.wrt:
            v = input_("v", x.shape, dtype=x.dtype)
            moved = forward(self.outputs, {x: v})
            for unit in _units(np.shape(values[x])):
                got = interpret([*moved, *self.outputs], {**feeds, v: unit}, dtype)
                parts = [np.broadcast_to(got[t], np.shape(values[y])) for t, y in zip(moved, self.outputs, strict=True)]
                out[:, at] = np.concatenate([np.ravel(p) for p in parts])
                at += 1
        return out

    def times(self, *vectors: Node) -> list[Node]:
        """J v: how the outputs move when ``wrt`` move along the vectors, without building J. One node per output."""
        if len(vectors) != len(self.wrt):
            raise GraphError("one vector for every node of wrt", given=len(vectors), expected=len(self.wrt))
        return list(rewrite(forward(self.outputs, dict(zip(self.wrt, vectors, strict=True)))).outputs)

    def transposed_times(self, *vectors: Node) -> list[Node]:
        """uᵀ J: upstream derivatives of the outputs, carried back to ``wrt``. One node per node of ``wrt``."""
        if len(vectors) != len(self.outputs):
            raise GraphError("one vector for every output", given=len(vectors), expected=len(self.outputs))
        total: list[Node] = [constant(0.0) for _ in self.wrt]
        for y, u in zip(self.outputs, vectors, strict=True):
            found = reverse(y, self.wrt, seed=u).adjoints
            total = [t + found[x] if x in found else t for t, x in zip(total, self.wrt, strict=True)]
        return list(rewrite(total).outputs)


@dataclass(frozen=True, eq=False)
class Chain:
    """A Jacobian as the product of local ones, in numbers; made by :meth:`Jacobian.chain`.

    Attributes:
        jacobian: the whole as a formula, and ``factors`` its factors.
        matrices: the factors in numbers.
        product: what they give, multiplied with each other.
        whole: the Jacobian, computed in one go.
    """

    jacobian: Jacobian
    factors: tuple[Jacobian, ...]
    matrices: tuple[Matrix, ...]
    product: Matrix
    whole: Matrix

    @property
    def error(self) -> float:
        """The largest difference between the product and the whole, relative to the largest number."""
        a, b = self.product, self.whole
        same = a.places is not None and b.places is not None
        a, b = (a.entries, b.entries) if same else (a.array, b.array)  # type: ignore[assignment]
        return float(np.max(np.abs(a - b), initial=0.0) / max(1.0, float(np.max(np.abs(b), initial=0.0))))  # type: ignore[operator]

    def __str__(self) -> str:
        titles = [f.title for f in self.factors]
        rows = [
            [f"  {f.title}", f"= {f.formula}", f"{m.shape[0]:,} × {m.shape[1]:,}", m.structure]
            for f, m in zip(self.factors, self.matrices, strict=True)
        ]
        head = f"{self.jacobian.title} = {' · '.join(titles)}" if len(titles) > 1 else self.jacobian.title
        return "\n".join([head, *_formulas_aligned(rows), f"their product is the whole Jacobian, to {self.error:.0e}"])

    __repr__ = __str__


def _formulas_aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """A table whose first two columns are an equation."""
    left = max(len(row[0]) for row in rows)
    return aligned([[f"{row[0]:<{left}} {row[1]}", *row[2:]] for row in rows])


def _bracketed(text: str) -> str:
    return f"({text})" if " " in text else text


def _units(shape: tuple[int, ...]) -> Iterator[Array]:
    """Every array of this shape with a single 1."""
    for k in range(math.prod(shape)):
        unit = np.zeros(math.prod(shape))
        unit[k] = 1.0
        yield unit.reshape(shape)


def _derivative(y: Node, x: Node) -> Node:
    return constant(0.0) if not is_float(y.dtype) else gradient(y, x)


def _determinant(entries: Sequence[Sequence[Node]]) -> Node:
    """By the first row (Laplace), without what is multiplied by 0."""
    if len(entries) == 1:
        return entries[0][0]
    total: Node = constant(0.0)
    for j, entry in enumerate(entries[0]):
        if entry.op.name == "constant" and not np.any(entry.attrs["value"]):
            continue
        minor = [[e for k, e in enumerate(row) if k != j] for row in entries[1:]]
        term = entry * _determinant(minor)
        total = total + term if j % 2 == 0 else total - term
    return total


def _structure_of_entries(entries: Sequence[Sequence[Node]]) -> str:
    filled = np.array(
        [[not (e.op.name == "constant" and not np.any(e.attrs["value"])) for e in row] for row in entries]
    )
    ones = np.array([[e.op.name == "constant" and np.all(e.attrs["value"] == 1) for e in row] for row in entries])
    if not filled.any():
        return "zero"
    square = filled.shape[0] == filled.shape[1]
    if square and not filled[~np.eye(len(filled), dtype=bool)].any():
        return "identity" if np.diag(ones).all() else "diagonal"
    return "permuted" if square and (filled.sum(0) <= 1).all() and (filled.sum(1) <= 1).all() else "dense"


# --- the formula of a chain ------------------------------------------------------------------------------


def _chain(y: Node, x: Node, names: Names, latex: bool = False) -> tuple[str, str]:
    """The product of the local Jacobians from y back to x, summed over the ways, and the structure of it."""
    if y is x:
        return "I", "identity"
    if not is_float(y.dtype) or y not in depends_on([y], [x]):
        return "0", "zero"
    active = {n for n in depends_on([y], [x]) if is_float(n.dtype)}
    ways: dict[Node, list[tuple[str, str]]] = {y: [("", "identity")]}
    for node in reversed(ancestors(y)):
        if node not in ways or node is x:
            continue
        for position, operand in enumerate(node.inputs):
            if operand not in active or not node.op.differentiable_in(position):
                continue
            local, structure = _local(node, position, names, latex)
            for front, before in ways[node]:
                whole = f"{front} {local}" if front and local else front or local
                ways.setdefault(operand, []).append((whole, max(before, structure, key=STRUCTURES.index)))
    found = ways.get(x, [])
    if not found:
        return "0", "zero"
    formula = " + ".join(w or "I" for w, _ in found[:4]) + (f" + … ({len(found)} ways)" if len(found) > 4 else "")
    if len(found) == 1:
        return formula, found[0][1]
    return formula, "diagonal" if all(s in ("identity", "diagonal") for _, s in found) else "dense"


def _on_every_way(y: Node, x: Node) -> list[Node]:
    """The quantities between x and y that every way from one to the other goes through, in their order."""
    active = {n for n in depends_on([y], [x]) if is_float(n.dtype)}
    order = [n for n in ancestors(y) if n in active]

    def flows(node: Node) -> list[Node]:
        return [i for k, i in enumerate(node.inputs) if i in active and node.op.differentiable_in(k)]

    up = {n: int(n is x) for n in order}
    for n in order:
        if n is not x:
            up[n] = sum(up[i] for i in flows(n))
    down = {n: int(n is y) for n in order}
    for n in reversed(order):
        if n is not x:
            for i in flows(n):
                down[i] += down[n]
    total = up.get(y, 0)
    return [n for n in order if n not in (x, y) and total and up[n] * down[n] == total]


def _local(node: Node, position: int, names: Names, latex: bool) -> tuple[str, str]:
    """One node's Jacobian by one operand, for one example, as text; and its structure."""
    if isinstance(node.op.calculus, Elementwise):
        return _diagonal(node, position, names, latex)
    if node.op.name == "softmax":
        s = names[node].written(latex) if node in names else "s"
        return (f"{s}_i(\\delta_{{ij}} - {s}_j)" if latex else f"{s}ᵢ(δᵢⱼ − {s}ⱼ)"), "dense"
    if node.op.name == "einsum":
        return _factor(node, position, names, latex), "dense"
    if node.op.structure == "identity" or node.op.name == "reshape":  # the numbers stay in their order
        return "", "identity"
    if node.op.structure == "permutation":
        return (r"\mathrm{P}" if latex else "P"), "permuted"
    if node.op.structure.startswith(("selects", "embeds", "places")):
        return (r"\mathrm{S}" if latex else "S"), "selecting"
    word = {"columns of ones": "1", "rows of ones": r"1^{\top}" if latex else "1ᵀ"}.get(node.op.structure)
    if word is None:
        word = rf"\partial\mathrm{{{node.op.name.replace('_', ' ')}}}" if latex else f"∂{node.op.name}"
    return word, "dense"


def _diagonal(node: Node, position: int, names: Names, latex: bool) -> tuple[str, str]:
    rule, operand = node.op.calculus, node.inputs[position]
    assert isinstance(rule, Elementwise)
    partial = rule.partials[position]
    assert partial is not None
    local = partial(node, *node.inputs, **node.attrs)
    assert local is not None
    value = local.attrs["value"] if local.op.name == "constant" else None
    kind = "diagonal" if operand.shape == node.shape else "dense"
    if value is not None and np.all(value == 1):
        return ("" if kind == "diagonal" else "1"), "identity" if kind == "diagonal" else kind
    leaves = {n: input_(names[n].text, n.shape, dtype=n.dtype) for n in {node, *node.inputs} if n in names}
    operands = tuple(leaves.get(i, i) for i in node.inputs)
    local = partial(leaves[node] if node in leaves else node.rebuilt(operands), *operands, **node.attrs)
    assert local is not None
    (simple,) = rewrite([local]).outputs
    (text,), _ = write([simple], latex=latex, names={leaf: names[n] for n, leaf in leaves.items()})
    if node.shape == () or kind == "dense":
        return _bracketed(text), kind
    return (f"\\operatorname{{diag}}\\left({text}\\right)" if latex else f"diag({text})"), kind


def _factor(node: Node, position: int, names: Names, latex: bool) -> str:
    """The matrix that an operand of a product is multiplied by, as it stands in front of a column of numbers."""
    top = r"^{\top}" if latex else "ᵀ"
    product = as_product(node.attrs["spec"])
    others = [n for k, n in enumerate(node.inputs) if k != position]
    if product is None or len(others) != 1:
        return r"\partial\mathrm{einsum}" if latex else "∂einsum"
    (other,) = others
    (text,), _ = write([other], latex=latex, names=names | ({} if other in names else {other: Symbol("A")}))
    letters, out = parse(node.attrs["spec"])
    if len(letters[position]) == 2 and position == 1:  # one more row of the weights for every unit
        return rf"\left(I \otimes {text}{top}\right)" if latex else f"(I ⊗ {text}{top})"
    if len(letters[1 - position]) == 1:
        return f"{text}{top}"
    # Examples are rows: z = x W is zᵀ = Wᵀ xᵀ for one of them.
    turned = letters[1 - position][0] in letters[position] and letters[1 - position][0] not in out
    return f"{text}{top}" if turned else text
