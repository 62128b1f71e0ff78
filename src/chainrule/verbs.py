"""What one does with a formula: derive its gradient, simplify it, evaluate it, compile it, check it.

The rooms below do not know each other; the verbs join them. Every verb first brings the formula into its
stable and simple form, so that what is derived, shown and computed is one and the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from chainrule.calculus import Backward, check_differentiable, compare, forward, reverse, zeros_like
from chainrule.engine import interpret
from chainrule.engine.program import check_mapping
from chainrule.errors import DerivativeError, GraphError
from chainrule.graph.dim import Dim, Size, product, quotient, show
from chainrule.graph.graph import LEAVES, Graph
from chainrule.graph.node import Node, Scope, ancestors, deriving, describe
from chainrule.notation import unique_names
from chainrule.ops import constant, mark, size
from chainrule.rewrite import Rewriter, Rewriting, fast, in_phase, rewrite

if TYPE_CHECKING:
    from chainrule.engine.xla import Compiled

Feeds = Mapping[Any, Any]
Label = tuple[str, Scope | None]
"""A name, and the layer that it belongs to."""


def as_nodes(formulas: object, what: str) -> tuple[Node, ...]:
    """One formula or several as a tuple of nodes; anything else is an error that says what the verb takes."""
    several = formulas if isinstance(formulas, Iterable) and not isinstance(formulas, (str, Node)) else [formulas]
    nodes = tuple(several)
    for node in nodes:
        if not isinstance(node, Node):
            raise GraphError(
                f"{what} is not a node",
                given=f"{type(node).__name__}: {str(node)[:60]}",
                expected="an input, a parameter, or a formula of them",
            )
    return nodes


@dataclass(frozen=True)
class Derivation:
    """A cost and its gradient: the forward part in stable form, the derived backward part, and the log.

    Attributes:
        output: the cost, stable and simplified.
        gradients: one node for each node that was differentiated by.
        named: what each derivative is by that has got a name.
        backward: upstream, local and downstream derivative of every edge, before simplification.
        forms: the final form of every node of the forward part and of every adjoint.
        rewriter: what brought them there, with its log; it goes on where more is built on the gradients.
    """

    output: Node
    gradients: tuple[Node, ...]
    named: Mapping[Node, Node]
    backward: Backward
    forms: Mapping[Node, Node]
    rewriter: Rewriter

    def adjoint(self, node: Node) -> Node | None:
        """The derivative of the cost by a node of the forward part, in its final form."""
        stable = self.forms.get(node, node)
        raw = self.backward.adjoints.get(stable, self.backward.adjoints.get(node))
        return None if raw is None else self.forms.get(raw, raw)


def derive(output: Node, wrt: Sequence[Node], labels: Mapping[Node, Label] | None = None) -> Derivation:
    """Derive the gradient of a cost by ``wrt``.

    ``labels`` gives a name to the derivatives by some quantities. They are derived from the cost backwards, so each
    is written with the names of those before it. The 1/m of a mean is not part of a name, but for those of ``wrt``:
    with dZ = 2 (Z − Y) it is dW = 1/m xᵀ dZ.
    """
    check_differentiable(output, wrt)
    phase = in_phase([output], training=False)
    (output,), wrt = phase.outputs, [phase.table.get(n, n) for n in wrt]
    labels = {phase.table.get(n, n): label for n, label in (labels or {}).items()}
    marked = _marked([output], wrt)
    rewriter = Rewriter()
    stable = rewriter.normal_form(marked[output])
    targets = [rewriter.normal_form(marked[n]) for n in wrt]
    wanted: dict[Node, Node] = {}
    for node in labels or {}:
        wanted.setdefault(rewriter.normal_form(marked.get(node, node)), node)
    backward = reverse(stable, targets)
    named: dict[Node, Node] = {}
    for node, raw in backward.adjoints.items():
        rewriter.normal_form(raw)
        if labels and node in wanted:
            derivative = _named(rewriter, raw, labels[wanted[node]], whole=node in targets)
            named |= {derivative: wanted[node]} if derivative is not None else {}
    raw_gradients = [backward.adjoints[t] if t in backward.adjoints else zeros_like(t) for t in targets]
    final = [stable, *map(rewriter.normal_form, raw_gradients)]
    forms = rewriter.normal | {n: rewriter.normal[m] for n, m in marked.items() if m in rewriter.normal}
    if back := _originals(targets, wrt):
        replaced = _replaced(final, back)
        final = [replaced[n] for n in final]
        named = {replaced.get(n, n): by for n, by in named.items()}
        forms = {n: replaced.get(form, form) for n, form in forms.items()}
    stable, *gradients = final
    return Derivation(stable, tuple(gradients), named, backward, forms, rewriter)


def _named(rewriter: Rewriter, adjoint: Node, label: Label, whole: bool) -> Node | None:
    """A derivative with a name, which does not hold the 1/m in front of it unless it is ``whole``.

    It is None where the derivative is a number, a leaf or a quantity that has a name already.
    """
    form = rewriter.normal[adjoint]
    with deriving(form.origin):
        outside, inside = (None, form) if whole else _mean_in_front(form)
        inside = rewriter.normal_form(inside)
        if not inside.inputs or inside.name:
            return None
        named = rewriter.name(inside, *label)
        whole_form = named if outside is None else rewriter.normal_form(outside * named)
        rewriter.normal[adjoint] = rewriter.normal[form] = whole_form
    return named


LINEAR = ("negative", "sum", "reshape", "broadcast_to", "transpose", "slice", "pad")
"""Ops of one operand that a number in front of the operand moves through."""
PRODUCTS = ("multiply", "einsum")
MOST_DEEP = 40


def _mean_in_front(node: Node) -> tuple[Node | None, Node]:
    """1/m and c · x, of c/m · x; 1/m and ½ x, of 1/(2m) · x; 1/m and x + y, of 1/m · x + 1/m · y.

    It is None and the whole of anything else. A size that is no product of names stays whole: 1/(m − 1).
    """
    below: dict[Node, list[Size] | None] = {}
    sizes = _below(node, below) or []
    names = {product(Dim(name) for name in sorted(n.names)) for n in sizes if isinstance(n, Dim) and len(n.terms) == 1}
    for m in sorted(names, key=lambda n: (len(n.names) if isinstance(n, Dim) else 0, str(n))):
        if all(quotient(n, m) is not None for n in sizes):
            return 1.0 / size(m), _times(node, m, below, {})
    if len(set(sizes)) == 1 and isinstance(sizes[0], Dim):
        return 1.0 / size(sizes[0]), _times(node, sizes[0], below, {})
    return None, node


def _below(node: Node, memo: dict[Node, list[Size] | None], deep: int = 0) -> list[Size] | None:
    """What the terms of a sum are divided by, where it is sizes; None where a term is not, or has a name.

    A sum may be a factor of a product, element by element or of matrices, and then it is the product's.
    """
    if node in memo:
        return memo[node]
    memo[node] = found = None
    if node.name is not None or deep > MOST_DEEP:
        return None
    if node.op.name in LINEAR:
        found = _below(node.inputs[0], memo, deep + 1)
    elif node.op.name in ("add", "subtract"):
        parts = [_below(i, memo, deep + 1) for i in node.inputs]
        found = None if None in parts else list(dict.fromkeys(n for part in parts for n in part or ()))
    elif (inside := _size_in(_denominator(node))) is not None:
        found = [inside[0]]
    elif node.op.name in PRODUCTS:
        found = next((part for i in node.inputs if (part := _below(i, memo, deep + 1))), None)
    memo[node] = found
    return found


def _denominator(node: Node) -> Node:
    """m, of c/m · x; the node itself where it is something else."""
    front = node.inputs[0] if node.op.name == "multiply" else node
    fraction = front.op.name == "divide" and front.shape == () and front.name is None and front is not node
    return front.inputs[1] if fraction else node


def _size_in(below: Node) -> tuple[Size, Node | None] | None:
    """m and c, of a number c m that something is divided by; c is None where it is 1, the whole None without an m."""
    if below.op.name == "size":
        return below.attrs["size"], None
    if below.op.name == "multiply" and below.name is None:
        for part, other in (below.inputs, below.inputs[::-1]):
            found = _size_in(part)
            if found is not None:
                return found[0], other if found[1] is None else other * found[1]
    return None


def _times(node: Node, m: Size, below: Mapping[Node, list[Size] | None], memo: dict[Node, Node]) -> Node:
    """The terms of a sum times m, of which each is divided by a multiple."""
    if node in memo:
        return memo[node]
    found = _size_in(_denominator(node))
    if found is not None:
        count, beside = found
        above, rest = node.inputs[0].inputs[0], node.inputs[1]
        above = above if beside is None else above / beside
        left = quotient(count, m)
        if isinstance(left, int):
            out = above * rest if left == 1 else (above / constant(float(left))) * rest
        else:
            out = (above / size(left)) * rest
    else:
        places: Sequence[int] = range(len(node.inputs))
        if node.op.name in PRODUCTS:  # one factor alone
            places = [next(k for k, i in enumerate(node.inputs) if below.get(i))]
        operands = [_times(n, m, below, memo) if k in places else n for k, n in enumerate(node.inputs)]
        out = node.op.make(tuple(operands), node.attrs)
    memo[node] = out
    return out


def _marked(outputs: Sequence[Node], wrt: Sequence[Node]) -> dict[Node, Node]:
    """Every node of a graph anew, with a mark on the quantities of ``wrt``, which no rule then looks through."""
    new: dict[Node, Node] = {}
    middle = {n for n in wrt if n.inputs}
    for node in ancestors(*outputs, *wrt):
        new[node] = node.rebuilt(tuple(new[i] for i in node.inputs))
        if node in middle:
            new[node] = mark(new[node].named(None)).named(node.name, node.scope)
    return new


def _originals(targets: Sequence[Node], wrt: Sequence[Node]) -> dict[Node, Node]:
    """The quantity that was marked, for its mark and for what stands under the mark."""
    middle = [(t, n) for t, n in zip(targets, wrt, strict=True) if n.inputs]
    return {part: n for t, n in middle for part in (t, *t.inputs) if part.inputs}


def _replaced(roots: Sequence[Node], table: Mapping[Node, Node]) -> dict[Node, Node]:
    """Every node of a graph anew, with some replaced by others."""
    new: dict[Node, Node] = {}
    for node in ancestors(*roots):
        new[node] = table[node] if node in table else node.rebuilt(tuple(new[i] for i in node.inputs))
    return new


@overload
def gradient(output: Node, wrt: Node) -> Node: ...
@overload
def gradient(output: Node, wrt: Sequence[Node]) -> list[Node]: ...
def gradient(output: Node, wrt: Node | Sequence[Node]) -> Node | list[Node]:
    """The derivative of a cost by nodes, as formulas: ∂J/∂W for each W, of the shape of W.

    Args:
        output: the cost, a single number.
        wrt: a node or several: parameters, inputs, or quantities in the middle of the formula.

    Returns:
        A node, or one for each. It is derived once, symbolically, after the cost has been brought into its
        stable form, and simplified; the gradient of a gradient works.

    Errors: :class:`DerivativeError` when ``output`` is not a single number, or no float.

    >>> import chainrule as cr
    >>> x = cr.input("x", ())
    >>> print(cr.gradient(3 * x**2 + 2 * x + 1, x))
    6 · x + 2
    """
    (cost,) = as_nodes([output], "the cost")
    found = derive(cost, as_nodes(wrt, "what a gradient is taken by")).gradients
    return found[0] if isinstance(wrt, Node) else list(found)


def directional(outputs: Node | Sequence[Node], directions: Mapping[Node, Node]) -> Any:
    """How outputs move when nodes move along directions: forward mode, Σ ∂y/∂x · direction, simplified."""
    nodes = as_nodes(outputs, "an output")
    check_mapping(directions, "directions are", "its direction")
    moving, along = as_nodes(directions, "what moves"), as_nodes(directions.values(), "a direction")
    marked = _marked(nodes, moving)
    rewriter = Rewriter()
    targets = [rewriter.normal_form(marked[n]) for n in moving]
    stable = [rewriter.normal_form(marked[n]) for n in nodes]
    tangents = forward(stable, dict(zip(targets, along, strict=True)))
    simple = [rewriter.normal_form(t) for t in tangents]
    replaced = _replaced(simple, _originals(targets, moving))
    found = [replaced[t] for t in simple]
    return found[0] if isinstance(outputs, Node) else list(found)


def simplify(formula: Node | Sequence[Node]) -> Rewriting:
    """The formula in its stable and simple form, with the log of what was rewritten, into what, and why.

    >>> import chainrule as cr
    >>> z = cr.input("z", ())
    >>> print(cr.simplify(-cr.log(1 - cr.sigmoid(z))).outputs[0])
    softplus(z)
    """
    return rewrite(as_nodes(formula, "a formula"))


@overload
def in_training(formulas: Node) -> Node: ...
@overload
def in_training(formulas: Sequence[Node]) -> list[Node]: ...
def in_training(formulas: Node | Sequence[Node]) -> Node | list[Node]:
    """A formula as it is while the network trains: with dropout's masks, with the statistics of the batch.

    Everything else (:func:`evaluate`, :func:`compile`, :func:`gradient`) reads a formula as it predicts.
    """
    found = in_phase(as_nodes(formulas, "a formula"), training=True).outputs
    return found[0] if isinstance(formulas, Node) else list(found)


def evaluate(
    outputs: Node | Sequence[Node],
    feeds: Feeds | None = None,
    *,
    dtype: Any = None,
    sizes: Mapping[str, int] | None = None,
    as_written: bool = False,
    seed: int = 0,
    step: int = 0,
) -> Any:
    """The numbers behind formulas, in NumPy.

    Args:
        outputs: a node, or several.
        feeds: arrays for inputs and parameters, by node or by name.
        dtype: the working precision (``"float32"``, ``np.float64`` …); by default that of the floats fed,
            float64 where there is none.
        sizes: numbers for named sizes that no fed array tells: ``{"m": 5}``.
        as_written: compute the formula as it stands, without its stable form.
        seed, step: choose the numbers of draws.

    Returns:
        An array, or a list of them.

    >>> import chainrule as cr
    >>> x = cr.input("x", ("m",))
    >>> float(cr.evaluate(cr.mean(x), {x: [1.0, 2.0, 6.0]}))
    3.0
    """
    nodes = as_nodes(outputs, "an output")
    feeds = {} if feeds is None else feeds
    check_mapping(feeds)
    fed_inside = any(isinstance(k, Node) and k.inputs for k in feeds)
    if not as_written and not fed_inside:
        nodes = rewrite(nodes).outputs
    used = set(Graph(nodes).leaves(*LEAVES, "draw"))
    known = {k: v for k, v in feeds.items() if not isinstance(k, Node) or k in used or k.inputs}
    values = interpret(nodes, known | _for_sizes(feeds, known), dtype, sizes, (seed % 2**32, step))
    found = [np.asarray(values[n]) for n in nodes]
    return found[0] if isinstance(outputs, Node) else found


def _for_sizes(feeds: Feeds, known: Feeds) -> dict[Any, Any]:
    """Leaves that dropped out of the simplified formula are still fed: their shapes tell the named sizes."""
    return {k: v for k, v in feeds.items() if isinstance(k, Node) and k not in known}


def compile(outputs: Node | Sequence[Node], *, dtype: Any = None) -> Compiled:
    """Compile formulas through XLA; the result is called with the same mapping as :func:`evaluate`.

    Args:
        outputs: a node, or several: they become one program, in which equal parts are computed once.
        dtype: the working precision, float32 by default.
    """
    from chainrule.engine.xla import compile_nodes

    stable = rewrite(as_nodes(outputs, "an output")).outputs
    return compile_nodes(fast(stable).outputs, dtype, isinstance(outputs, Node))


@dataclass(frozen=True)
class GradientCheck:
    """The result of a gradient check: for each node how many entries were compared and the largest error."""

    rows: tuple[tuple[str, str, int, int, float], ...]
    tolerance: float

    @property
    def largest_error(self) -> float:
        """The largest relative error over all entries."""
        return max((row[4] for row in self.rows), default=0.0)

    def __str__(self) -> str:
        lines = [f"{'by':<12}{'shape':<14}{'entries':>8}{'kinks':>7}{'largest relative error':>25}"]
        lines += [f"{name:<12}{shape:<14}{n:>8}{kinks:>7}{error:>25.2e}" for name, shape, n, kinks, error in self.rows]
        return "\n".join(lines)


def check_gradient(
    output: Node,
    wrt: Node | Sequence[Node],
    feeds: Feeds,
    *,
    tolerance: float = 1e-6,
    entries: int = 200,
    gradients: Sequence[Node] | None = None,
) -> GradientCheck:
    """Check the derived gradient against central differences, in float64.

    Args:
        output: the cost.
        wrt: the nodes to check, leaves that numbers are fed to.
        feeds: numbers for every leaf.
        tolerance: the largest relative error allowed, |symbolic − numerical| / max(1, |numerical|).
        entries: at most so many entries of each array are compared, drawn at random.
        gradients: the derivatives to check; by default they are derived.

    Returns:
        A :class:`GradientCheck` that prints as a table. At a kink (ReLU at 0) any value between the
        one-sided derivatives is right.

    Errors: :class:`DerivativeError` naming the first entry that is wrong, with both numbers.
    """
    nodes = as_nodes(wrt, "what a gradient is taken by")
    check_mapping(feeds)
    for node in nodes:
        if node.inputs:
            raise GraphError("only leaves can be checked: their numbers are moved a little", given=f"{node!r}")
    (cost,) = as_nodes([output], "the cost")
    symbolic = derive(cost, nodes).gradients if gradients is None else as_nodes(gradients, "a derivative")
    if [g.shape for g in symbolic] != [n.shape for n in nodes]:
        raise GraphError(
            "there is one derivative for each node, of its shape",
            given=", ".join(show(g.shape) for g in symbolic) or "none",
            expected=", ".join(f"{show(n.shape)} for {n.name}" for n in nodes),
        )
    names = {n.name: n for n in nodes}
    exact = {names.get(k, k) if isinstance(k, str) else k: v for k, v in feeds.items()}
    exact = {k: np.asarray(v, np.float64) if np.asarray(v).dtype.kind == "f" else v for k, v in exact.items()}
    missing = [n for n in nodes if n not in exact]
    if missing:
        raise GraphError("numbers are missing", expected="feeds for " + "; ".join(describe(n) for n in missing))
    values = evaluate(symbolic, exact, dtype=np.float64)
    stable = rewrite([cost]).outputs[0]
    symbols = unique_names(ancestors(cost, *nodes))
    rows = []
    for node, value in zip(nodes, values, strict=True):
        name = symbols[node].text
        found = compare(_cost_of(stable, exact, node), np.asarray(exact[node], np.float64), value, entries=entries)
        largest = 0.0
        for index, derived, difference in found:
            low, high = sorted((difference.left, difference.right))
            numerical = min(max(derived, low), high) if difference.kink else difference.value
            error = abs(derived - numerical) / max(1.0, abs(numerical))
            largest = max(largest, error)
            if not error <= tolerance:
                raise DerivativeError(
                    f"the derivative by {name}{list(index)} is wrong",
                    given=f"derived {derived:.10g}",
                    expected=f"{numerical:.10g} by central differences (relative error {error:.1e} > {tolerance:.0e})",
                )
        kinks = sum(bool(d.kink) for _, _, d in found)
        rows.append((name, show(node.shape), len(found), kinks, largest))
    return GradientCheck(tuple(rows), tolerance)


def _cost_of(output: Node, feeds: Mapping[Any, Any], moved: Node) -> Callable[[Any], float]:
    def cost(array: Any) -> float:
        return float(interpret([output], {**feeds, moved: array}, np.float64)[output])

    return cost
