"""The declaration of an op: everything that is known about one kind of node, in one place.

From its declaration an op gains differentiation in both modes, execution in NumPy and XLA, notation, its
gate label and its conformance tests. The registry refuses a declaration that leaves a field open; what an
op really lacks is declared :data:`ABSENT`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final, TypeVar

import numpy as np

from chainrule.errors import ConfigurationError, DTypeError, ShapeError, near
from chainrule.graph.dim import Shape, Size, show
from chainrule.graph.node import VOCABULARY, Node, user_line


class _Mark:
    def __init__(self, word: str) -> None:
        self.word = word

    def __repr__(self) -> str:
        return self.word


ABSENT: Final = _Mark("ABSENT")
"""A field that this op has not, on purpose."""
MISSING: Final = _Mark("MISSING")
NOWHERE: Final = "nowhere"
"""For an op that is differentiable everywhere."""

FLOATS = ("bfloat16", "float16", "float32", "float64")
DTYPES = ("bool", "int", "float", *FLOATS)


# --- how an op is differentiated ------------------------------------------------------------------


@dataclass(frozen=True)
class Elementwise:
    """``y_i = f(a_i, b_i, …)``: one local derivative per operand, given ``(y, a, b, …)``, as nodes.

    The Jacobian is diagonal, so that ``downstream = upstream · local`` element by element.
    """

    partials: tuple[Callable[..., Node | None], ...]


@dataclass(frozen=True)
class Linear:
    """Linear in each of the operands named by ``positions`` (all of them when None), the others held fixed.

    ``transpose(g, node, k)`` carries an upstream derivative back to operand ``k``. ``joint`` says that the op
    is linear in its operands taken together (concatenation), not only in each (a matrix product): then the
    forward-mode rule is the op itself, otherwise the sum over operands of the op with that one replaced.
    """

    transpose: Callable[[Node, Node, int], Node]
    positions: tuple[int, ...] | None = None
    joint: bool = False


@dataclass(frozen=True)
class General:
    """Any other rule: ``reverse(g, node, k)`` for operand k, ``forward(tangents, node)`` for all of them."""

    reverse: Callable[[Node, Node, int], Node]
    forward: Callable[[Sequence[Node | None], Node], Node]


@dataclass(frozen=True)
class Constant:
    """The derivative is zero wherever it exists, for the reason given."""

    reason: str


@dataclass(frozen=True)
class ThroughBody:
    """The derivative is that of the body that is repeated: ``calculus/loops.py`` makes of it a loop again."""


Calculus = Elementwise | Linear | General | Constant | ThroughBody


# --- how an op is written -------------------------------------------------------------------------

ADD, NEGATIVE, MULTIPLY, MATMUL, POWER, CALL, ATOM = 10, 15, 20, 25, 40, 50, 100
"""Binding strengths, from loose to tight."""


@dataclass(frozen=True)
class Piece:
    """A written expression.

    Attributes:
        text: the expression.
        strength: how tightly it binds.
        open: whether it takes in what follows: Σ x what it is multiplied by.
        below: s, of 1/s: 1/s · x is written x/s.
    """

    text: str
    strength: int = ATOM
    open: bool = False
    below: Piece | None = None

    def at_least(self, strength: int, latex: bool) -> str:
        """The text, in brackets where it binds more loosely than asked."""
        if self.strength >= strength:
            return self.text
        return f"\\left({self.text}\\right)" if latex else f"({self.text})"

    def followed(self, strength: int, latex: bool) -> str:
        """The same for an operand that something follows: what is open is closed by brackets."""
        return self.at_least(ATOM + 1 if self.open else strength, latex)


Writer = Callable[[Node, Sequence[Piece], bool], Piece]
"""``write(node, pieces of the operands, latex?)``."""


def function(text: str, latex: str | None = None) -> Writer:
    """Written as a function of its operands: ``tanh(z)``. One of two words is bracketed: ``(log softmax(z))[1]``."""
    strength = MATMUL + 1 if " " in text else CALL
    command = latex if latex is not None else f"\\operatorname{{{text}}}"

    def write(node: Node, args: Sequence[Piece], in_latex: bool) -> Piece:
        inner = ", ".join(a.text for a in args)
        return Piece(f"{command}\\left({inner}\\right)" if in_latex else f"{text}({inner})", strength)

    return write


def infix(text: str, latex: str, strength: int) -> Writer:
    """Written between two operands: ``a < b``."""

    def write(node: Node, args: Sequence[Piece], in_latex: bool) -> Piece:
        a, b = (p.at_least(strength + 1, in_latex) for p in args)
        return Piece(f"{a} {latex if in_latex else text} {b}", strength)

    return write


# --- facts and test material ----------------------------------------------------------------------


@dataclass(frozen=True)
class Facts:
    """What is known about an elementwise function of one variable.

    Attributes:
        range: smallest and largest value (limits included).
        monotone: it never falls.
        saturates: where its derivative goes to 0: ``"both"``, ``"left"``, ``"right"`` or ``"nowhere"``.
        smooth: it has derivatives of every order.
    """

    range: tuple[float, float]
    monotone: bool
    saturates: str
    smooth: bool


@dataclass(frozen=True)
class Case:
    """Operands to try an op on: shapes (or ready arrays), a domain to draw numbers from, and settings."""

    operands: tuple[Any, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    domain: tuple[float, float] = (-2.0, 2.0)


@dataclass(frozen=True, eq=False)
class Op:
    """One kind of node.

    Attributes:
        name: what it is called; also the name of the function that users call, where there is one.
        arity: the number of operands, or None for any number.
        doc: one line with the formula.
        shape: ``shape(inputs, attrs)`` → shape of the result; raises where the operands do not fit.
        dtype: ``dtype(inputs, attrs)`` → kind of number of the result.
        forward: ``forward(xp, *arrays, **attrs)``, written against an array namespace.
        calculus: how it is differentiated.
        write: how it is written, as text and as LaTeX.
        gate: what it does to the gradient that flows back through it, in a word.
        structure: the structure of its Jacobian.
        facts: what is known of the function, or ABSENT.
        not_differentiable: where it has no derivative and what is taken there.
        reference: the same in NumPy or SciPy, independent of ``forward``.
        cases: operands for the conformance suite.
        extremes: inputs at which value and derivative must be finite in float32.
        needs: what ``forward`` wants to be told besides: the result's ``"dtype"`` or ``"shape"``, or how to ``"run"``
            a body.
        results: where one piece of work has several results: ``results(xp, arrays, wanted, **attrs)`` gives those that
            are wanted. Nodes of the same operands differ in the setting ``result``, and are computed at once.
        prepare: brings the operands to a common kind of number before the node is made.
        multiply_adds: how many products are summed up in one node of it; 0 but for contractions and convolutions.
    """

    name: str = MISSING  # type: ignore[assignment]
    arity: int | None = MISSING  # type: ignore[assignment]
    doc: str = MISSING  # type: ignore[assignment]
    shape: Callable[[tuple[Node, ...], Mapping[str, Any]], Shape] = MISSING  # type: ignore[assignment]
    dtype: Callable[[tuple[Node, ...], Mapping[str, Any]], str] = MISSING  # type: ignore[assignment]
    forward: Callable[..., Any] = MISSING  # type: ignore[assignment]
    calculus: Calculus = MISSING  # type: ignore[assignment]
    write: Writer = MISSING  # type: ignore[assignment]
    gate: str = MISSING  # type: ignore[assignment]
    structure: str = MISSING  # type: ignore[assignment]
    facts: Any = MISSING
    not_differentiable: str = MISSING  # type: ignore[assignment]
    reference: Any = MISSING
    cases: Any = MISSING
    extremes: Any = MISSING
    needs: tuple[str, ...] = ()
    results: Callable[..., Sequence[Any]] | None = None
    prepare: Callable[[Sequence[Node]], tuple[Node, ...]] = tuple
    multiply_adds: Callable[[Node], Size] = lambda node: 0

    @property
    def __doc__(self) -> str:  # type: ignore[override]
        return self.doc

    @property
    def __name__(self) -> str:
        return self.name

    def __call__(self, *inputs: Any, **attrs: Any) -> Node:
        """Apply the op: operands are nodes, numbers or arrays."""
        return self.make(self.prepare([lift(i) for i in inputs]), attrs)

    def make(self, inputs: tuple[Node, ...], attrs: Mapping[str, Any], name: str | None = None) -> Node:
        """The node of this op on these operands, after checking that they fit."""
        if self.arity is not None and len(inputs) != self.arity:
            raise ConfigurationError(
                f"{self.name} takes {self.arity} operand{'s' if self.arity != 1 else ''}", given=len(inputs)
            )
        return Node(self, inputs, attrs, self.shape(inputs, attrs), self.dtype(inputs, attrs), name)

    def differentiable_in(self, position: int) -> bool:
        """Whether anything can flow back to this operand."""
        rule = self.calculus
        if isinstance(rule, Constant):
            return False
        if isinstance(rule, Linear):
            return rule.positions is None or position in rule.positions
        return True

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def __reduce__(self) -> Any:
        """There is one op of a name: copied and pickled, it is found again."""
        return lookup, (self.name,)


REGISTRY: dict[str, Op] = {}
"""Every op by its name."""


def declare(op: Op, public: bool = True) -> Op:
    """Enter an op into the registry, and its function into the vocabulary."""
    open_fields = [f.name for f in fields(op) if getattr(op, f.name) is MISSING]
    if open_fields:
        raise ConfigurationError(
            f"the declaration of {op.name} is not complete",
            given=f"no {', '.join(open_fields)}",
            expected="every field, or ABSENT for what the op has not",
        )
    if op.name in REGISTRY:
        raise ConfigurationError(f"an op named {op.name} is declared already", hint="choose another name")
    REGISTRY[op.name] = op
    if public:
        VOCABULARY[op.name] = op
    return op


def lookup(name: str) -> Op:
    """The op of this name."""
    if name not in REGISTRY:
        raise ConfigurationError(
            "no op of this name is declared",
            given=repr(name),
            hint=near(name, REGISTRY) or "declare it before the graph that uses it is read",
        )
    return REGISTRY[name]


F = TypeVar("F", bound=Callable[..., Any])


def vocabulary(fn: F) -> F:
    """Enter a function from nodes to nodes into the vocabulary, under its own name."""
    VOCABULARY[fn.__name__] = fn
    return fn


# --- numbers among nodes --------------------------------------------------------------------------


def is_float(dtype: str) -> bool:
    """Whether a kind of number is a float."""
    return dtype == "float" or dtype in FLOATS


def kind_of(array: np.ndarray[Any, Any]) -> str:
    """The kind of number in an array: bool, int or float."""
    kinds = {"b": "bool", "i": "int", "u": "int", "f": "float", "V": "float"}
    if array.dtype.kind not in kinds:
        raise DTypeError(
            "an operand is not made of numbers",
            given=f"an array of {array.dtype}" if array.ndim else repr(array.item()),
            expected="numbers or booleans",
            hint="turn labels into integer codes first",
        )
    return kinds[array.dtype.kind]


def promote(*dtypes: str) -> str:
    """The kind that holds all of these: bool < int < fixed floats by width < the working float."""
    if "float" in dtypes:
        return "float"
    fixed = [d for d in dtypes if d in FLOATS]
    if fixed:
        widest = max(fixed, key=FLOATS.index)
        return "float32" if {"bfloat16", "float16"} <= set(fixed) and widest == "float16" else widest
    return "int" if "int" in dtypes else "bool"


Operand = Node | float | Sequence[Any] | np.ndarray[Any, Any]
"""What can stand in a formula: a node, a number, an array."""


def lift(value: Any) -> Node:
    """A node from a node, a number or an array."""
    if isinstance(value, Node):
        return value
    node = VOCABULARY["constant"](value)
    assert isinstance(node, Node)
    return node


def same_kind(inputs: Sequence[Node]) -> tuple[Node, ...]:
    """The operands cast to the kind that holds all of them; plain numbers take the others' precision."""
    if len({n.dtype for n in inputs}) == 1:
        return tuple(inputs)
    strong = [n.dtype for n in inputs if not (n.op.name == "constant" and n.shape == () and is_float(n.dtype))]
    floats = [d for d in strong if is_float(d)]
    target = promote(*floats) if floats else promote(*(n.dtype for n in inputs))
    return tuple(n if n.dtype == target else VOCABULARY["cast"](n, target) for n in inputs)


def misfit(op_name: str, inputs: Sequence[Node], expected: str | None = None, hint: str | None = None) -> ShapeError:
    """The error for operands that do not fit: op, every operand's name and shape, the user's line."""
    line = user_line()
    return ShapeError(
        f"the shapes do not fit in {op_name}",
        given=" and ".join(f"{n.name or n.op.name} {show(n.shape)}" for n in inputs),
        expected=expected,
        where=f"{line[0]}, line {line[1]}" if line else None,
        hint=hint,
    )
