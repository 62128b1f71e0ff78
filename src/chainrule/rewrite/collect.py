"""One rule that is larger than the others: collect like terms.

A region of sums, differences, products, quotients and whole powers is read as a polynomial in what stands
between them; like terms are added, common factors taken out. The region is replaced only where that makes
it shorter: ``−y (1 − ŷ) + (1 − y) ŷ`` becomes ``ŷ − y``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chainrule.graph.node import Node
from chainrule.graph.op import is_float
from chainrule.ops import constant, sigmoid, size
from chainrule.rewrite.match import number, variable
from chainrule.rewrite.rewriter import rule

MOST_TERMS = 12
MOST_FACTORS = 12
MOST_DEPTH = 24
MOST_PATTERNS = 1 << 14


@dataclass(frozen=True)
class Term:
    """coefficient · Π factor^power."""

    coefficient: float
    factors: tuple[tuple[Node, int], ...] = ()

    def times(self, other: Term) -> Term:
        """The product of two terms."""
        powers = dict(self.factors)
        for node, p in other.factors:
            powers[node] = powers.get(node, 0) + p
        return Term(self.coefficient * other.coefficient, tuple((n, p) for n, p in powers.items() if p))


def _terms(node: Node, depth: int, memo: dict[Node, list[Term]], sigmoids: dict[object, Node]) -> list[Term]:
    """The node as a sum of terms; what is named, or too long, stands for itself."""
    if node in memo:
        return memo[node]
    atom = [Term(1.0, ((node, 1),))]
    out = atom
    op, inputs = node.op.name, node.inputs
    value = number(node)
    if value is not None:
        out = [Term(value)] if value else []
    elif depth and (node.name is not None or depth > MOST_DEPTH):
        out = atom
    elif op == "negative":
        out = [Term(-t.coefficient, t.factors) for t in _terms(inputs[0], depth + 1, memo, sigmoids)]
    elif op in ("add", "subtract"):
        sign = 1 if op == "add" else -1
        right = [Term(sign * t.coefficient, t.factors) for t in _terms(inputs[1], depth + 1, memo, sigmoids)]
        out = _combined(_terms(inputs[0], depth + 1, memo, sigmoids) + right)
        if len(out) > MOST_TERMS or any(_is_long(i, memo) for i in inputs):
            halves = [_whole(i, depth + 1, memo, sigmoids) for i in inputs]
            halves[1] = Term(sign * halves[1].coefficient, halves[1].factors)
            out = atom if depth else _combined(halves)  # of a long sum only what stands before its halves
    elif op == "multiply":
        out = (
            _product(_terms(inputs[0], depth + 1, memo, sigmoids), _terms(inputs[1], depth + 1, memo, sigmoids)) or atom
        )
    elif op == "sigmoid":
        out = _logistic(node, sigmoids)
    elif op == "divide":
        below = _terms(inputs[1], depth + 1, memo, sigmoids)
        single = len(below) == 1 and bool(below[0].coefficient)
        divisor = below[0] if single else Term(1.0, ((inputs[1], 1),))  # of a sum as a whole
        inverse = Term(1 / divisor.coefficient, tuple((n, -p) for n, p in divisor.factors))
        out = _product(_terms(inputs[0], depth + 1, memo, sigmoids), [inverse]) or atom
    elif op == "power":
        exponent, base = number(inputs[1]), _terms(inputs[0], depth + 1, memo, sigmoids)
        if exponent is not None and exponent.is_integer() and 0 < abs(exponent) <= 4 and len(base) == 1:
            p = int(exponent)
            out = [Term(base[0].coefficient ** p, tuple((n, q * p) for n, q in base[0].factors))]
    elif op == "broadcast_to" and inputs[0].shape == ():
        out = _terms(inputs[0], depth + 1, memo, sigmoids)
    elif op == "size" and not isinstance(node.attrs["size"], int):
        names = node.attrs["size"].terms
        if len(names) == 1:  # 10 m is the number 10 times the size m
            monomial, c = names[0]
            out = [Term(float(c))]
            for name in monomial:
                out = _product(out, [Term(1.0, ((_size(name), 1),))])
    if not out and value is None and op not in ("add", "subtract", "multiply"):
        out = atom
    if len(out) > MOST_TERMS or any(len(t.factors) > MOST_FACTORS for t in out):
        out = atom
    if depth:
        memo[node] = out
    return out


def _is_long(node: Node, memo: dict[Node, list[Term]]) -> bool:
    """Whether it is a sum that is too long to be read, and so stands for itself."""
    sum_ = node.op.name in ("add", "subtract") and node.name is None
    return sum_ and memo.get(node) == [Term(1.0, ((node, 1),))]


def _whole(node: Node, depth: int, memo: dict[Node, list[Term]], sigmoids: dict[object, Node]) -> Term:
    """The node as one term: a number in front, and the rest as it stands."""
    front, rest = (node.inputs if node.op.name == "multiply" else (None, node)) if node.name is None else (None, node)
    before = _terms(front, depth, memo, sigmoids) if front is not None and front.shape == () else []
    return before[0].times(Term(1.0, ((rest, 1),))) if len(before) == 1 else Term(1.0, ((node, 1),))


READ = {"add", "subtract", "negative", "multiply", "divide", "power", "sigmoid", "broadcast_to"}
"""The ops that a region is made of."""


def _pattern(root: Node) -> tuple[Any, ...]:
    """All that is read of a region, with places instead of nodes: of equal patterns the same is found."""
    place, order, out = {root: 0}, [(root, 0)], []
    for node, depth in order:
        plain = depth == 0 or node.name is None or node.op.name == "negative"  # σ(z) where z = −w is 1 − σ(w)
        inner = plain and depth <= MOST_DEPTH + 1 and node.op.name in READ
        for i in node.inputs if inner else ():
            if i not in place:
                place[i] = len(order)
                order.append((i, depth + 1))
        inputs = tuple(place[i] for i in node.inputs) if inner else bool(node.inputs)
        out.append((node.op.name, node.name is None, node.shape == (), number(node), node.attrs.get("size"), inputs))
    return tuple(out)


_sizes: dict[str, Node] = {}


def _size(name: str) -> Node:
    return _sizes.setdefault(name, size(name))


def _logistic(node: Node, seen: dict[object, Node]) -> list[Term]:
    """σ(−z) is 1 − σ(z): both are written by the one that is met first."""
    z = node.inputs[0]
    here, there = _side(z)
    if here in seen:
        return [Term(1.0, ((seen[here], 1),))]
    if there not in seen and z.op.name == "negative":
        seen[there] = sigmoid(z.inputs[0])
    if there in seen:
        return [Term(1.0), Term(-1.0, ((seen[there], 1),))]
    seen[here] = node
    return [Term(1.0, ((node, 1),))]


def _side(z: Node) -> tuple[object, object]:
    """What z is and what −z is, comparable."""
    if z.op.name == "negative":
        return ("−", z.inputs[0]), z.inputs[0]
    if z.op.name == "subtract" and z.name is None:
        return z.inputs, z.inputs[::-1]
    return z, ("−", z)


_shortest: set[tuple[Any, ...]] = set()
"""Patterns that are as short as they can be written: an optimizer's formula is met once for every parameter."""


def _product(a: list[Term], b: list[Term]) -> list[Term]:
    if len(a) * len(b) > MOST_TERMS:
        return []
    return _combined([s.times(t) for s in a for t in b])


def _combined(terms: list[Term]) -> list[Term]:
    sums: dict[frozenset[tuple[Node, int]], Term] = {}
    for t in terms:
        key = frozenset(t.factors)
        before = sums.get(key)
        sums[key] = t if before is None else Term(before.coefficient + t.coefficient, before.factors)
    return [t for t in sums.values() if t.coefficient]


def _cost(node: Node, atoms: set[Node]) -> float:
    """The work in a region: numbers count little, arrays much; what is shared counts once."""
    total, stack, seen = 0.0, [node], set[Node]()
    while stack:
        n = stack.pop()
        if n in seen or n in atoms or not n.inputs:
            continue
        seen.add(n)
        plain = all(not i.inputs for i in n.inputs)  # a fraction of sizes and numbers is read as one number
        total += (0 if plain else 1) if n.shape == () else 0 if n.op.name == "broadcast_to" else 10
        by = n.inputs[1] if n.op.name == "divide" else None
        total += by is not None and n.shape != () == by.shape and number(by) is None  # x/m is written 1/m · x
        total += sum(0.1 for i in n.inputs if n.shape != () == i.shape and number(i) is None)  # 1/m written twice
        stack.extend(n.inputs)
    return total


def build(terms: list[Term], node: Node) -> Node:
    """A sum of terms as nodes: common factors in front, positive terms first."""
    if not terms:
        return constant(0.0)
    if len(terms) == 1:
        return _monomial(terms[0])
    common = dict(terms[0].factors)
    for t in terms[1:]:
        powers = dict(t.factors)
        for n in list(common):
            p = powers.get(n, 0)
            if p * common[n] <= 0:
                del common[n]
            else:
                common[n] = min(common[n], p, key=abs)
    for n, p in list(common.items()):  # a x² + b x stays a polynomial in x, σ² − σ becomes σ (σ − 1)
        left = [dict(t.factors)[n] - p for t in terms]
        if any(left) and not any(len(t.factors) == 1 and not q for t, q in zip(terms, left, strict=True)):
            del common[n]
    shared = abs(terms[0].coefficient) if len({abs(t.coefficient) for t in terms}) == 1 else 1.0
    inverse = Term(1 / shared, tuple((n, -p) for n, p in common.items()))
    rest = [t.times(inverse) for t in terms]
    rest.sort(key=lambda t: t.coefficient < 0)
    total = _monomial(rest[0])
    for t in rest[1:]:
        total = total - _monomial(Term(-t.coefficient, t.factors)) if t.coefficient < 0 else total + _monomial(t)
    front = Term(shared, tuple(common.items()))
    return total if front == Term(1.0) else _product_of(front, total)


def _monomial(term: Term) -> Node:
    return _product_of(term, None)


def _product_of(term: Term, last: Node | None) -> Node:
    """scalar part · array part (· last)."""
    sign, c = (-1, -term.coefficient) if term.coefficient < 0 else (1, term.coefficient)
    numbers = [(n, p) for n, p in term.factors if n.shape == () and not n.inputs]
    arrays = [(n, p) for n, p in term.factors if (n, p) not in numbers]
    arrays.sort(key=lambda np: np[0].shape != ())
    front = _fraction(c, numbers)
    body = _fraction(1.0, arrays)
    if last is not None:
        body = last if body is None else body * last
    out = front if body is None else body if front is None else front * body
    if out is None:
        out = constant(1.0)
    return -out if sign < 0 else out


def _fraction(c: float, factors: list[tuple[Node, int]]) -> Node | None:
    above: Node | None = constant(c) if c != 1.0 else None
    below: Node | None = None
    for n, p in factors:
        f = n if abs(p) == 1 else n ** abs(p)
        if p > 0:
            above = f if above is None else above * f
        else:
            below = f if below is None else below * f
    if below is not None:
        return (constant(1.0) if above is None else above) / below
    return above


@rule(
    "collect",
    "like terms are added and cancelled, common factors taken out",
    "simplicity",
    "add subtract multiply divide",
    lambda: (lambda y, p, s: -y * (1 - p) + (1 - y) * p + s * y + s * p)(
        variable("y"), variable("p"), variable("s", ())
    ),
)
def collect(node: Node) -> Node | None:
    """The region that ends in this node, collected, where that is shorter."""
    if not is_float(node.dtype):
        return None
    pattern = _pattern(node)
    if pattern in _shortest:
        return None
    memo: dict[Node, list[Term]] = {}
    terms = _terms(node, 0, memo, {})
    atoms = {n for t in terms for n, _ in t.factors} | {n for n, t in memo.items() if t == [Term(1.0, ((n, 1),))]}
    if terms != [Term(1.0, ((node, 1),))]:
        built = build(terms, node)
        if _cost(built, atoms) < _cost(node, atoms) - 0.05:  # sums of 0.1 are not exact
            return built
    if len(_shortest) > MOST_PATTERNS:
        _shortest.clear()
    _shortest.add(pattern)
    return None
