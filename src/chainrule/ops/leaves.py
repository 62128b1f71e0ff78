"""Leaves, where numbers enter a graph: inputs, parameters, state, constants and sizes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from chainrule.errors import ConfigurationError, DTypeError, near
from chainrule.graph.dim import Shape, Size, as_shape, as_size
from chainrule.graph.node import Node, Scope
from chainrule.graph.op import (
    ABSENT,
    ADD,
    ATOM,
    DTYPES,
    MULTIPLY,
    NEGATIVE,
    NOWHERE,
    POWER,
    Case,
    Constant,
    Linear,
    Op,
    Piece,
    declare,
    is_float,
    kind_of,
    vocabulary,
)


def _attr_shape(inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> Shape:
    shape: Shape = attrs["shape"]
    return shape


def _attr_dtype(inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> str:
    return str(attrs["dtype"])


def _fed(xp: Any, **attrs: Any) -> Any:
    raise AssertionError("a leaf is fed, never computed")


def _write_name(node: Node, args: Sequence[Piece], latex: bool) -> Piece:
    return Piece(node.name or "?")


def _leaf(name: str, doc: str) -> Op:
    return declare(
        Op(
            name=name,
            arity=0,
            doc=doc,
            shape=_attr_shape,
            dtype=_attr_dtype,
            forward=_fed,
            calculus=Constant("it is a leaf: nothing stands before it"),
            write=_write_name,
            gate="leaf",
            structure="none",
            facts=ABSENT,
            not_differentiable="a leaf has no operand",
            reference=ABSENT,
            cases=ABSENT,
            extremes=ABSENT,
        ),
        public=False,
    )


INPUT = _leaf("input", "Numbers that are fed: examples and labels.")
PARAMETER = _leaf("parameter", "Numbers that are learned.")
STATE = _leaf("state", "Numbers that a training step hands to the next one.")
DRAW = _leaf("draw", "Random numbers, filled in by the engine: from the seed, the step, and which draw it is.")


def check_dtype(dtype: Any) -> str:
    """A kind of number by its name, or by Python's or NumPy's type."""
    name = getattr(dtype, "__name__", None) or getattr(dtype, "name", dtype)
    word = {"int32": "int", "int64": "int", "double": "float64"}.get(str(name), name)
    if word not in DTYPES:
        raise DTypeError(
            "no such kind of number",
            given=repr(dtype),
            expected=", ".join(DTYPES),
            hint=near(str(dtype), DTYPES),
        )
    return str(word)


def _named_leaf(op: Op, name: str, shape: Any, dtype: str, scope: Scope | None = None, **attrs: Any) -> Node:
    if not isinstance(name, str) or not name:
        raise ConfigurationError("a leaf needs a name", given=repr(name), expected="a name such as 'x'")
    attrs = {"shape": as_shape(shape), "dtype": check_dtype(dtype), **attrs}
    return Node(op, (), attrs, attrs["shape"], attrs["dtype"], name, scope)


@vocabulary
def input(name: str, shape: Any, dtype: str = "float", *, distribution: bool = False) -> Node:
    """A quantity whose numbers are fed: examples, labels.

    Args:
        name: how formulas write it.
        shape: sizes, integers or names: ``("m", 2)`` is any number of rows of two.
        dtype: ``"float"`` (the precision of the run), ``"int"``, ``"bool"``, or a fixed float.
        distribution: every row (last axis) is a probability distribution: it sums to one. Formulas may
            then be simplified with that fact, and numbers fed are checked for it.

    >>> x = input("x", ("m", 2))
    >>> x.shape, x.dtype
    ((m, 2), 'float')
    """
    node = _named_leaf(INPUT, name, shape, dtype, distribution=bool(distribution))
    if distribution and not (node.shape and is_float(node.dtype)):
        raise ConfigurationError("a distribution is a float array with at least one axis", given=f"{node!r}")
    return node


@vocabulary
def parameter(name: str, shape: Any, *, initializer: Any = None, dtype: str = "float") -> Node:
    """A quantity that is learned.

    Args:
        name: how formulas write it.
        shape: integers only, since a parameter does not grow with the batch.
        initializer: how ``fit`` fills it (default: Glorot for matrices, zeros for vectors).
        dtype: ``"float"`` or a fixed float.
    """
    node = _named_leaf(PARAMETER, name, shape, dtype, initializer=initializer)
    if not all(isinstance(s, int) for s in node.shape):
        raise ConfigurationError(
            f"the parameter {name} has a size that is not a number",
            given=str(node.shape),
            expected="integers: what is learned has the same shape for every batch",
        )
    return node


@vocabulary
def state(name: str, shape: Any, dtype: str = "float", initial: float = 0.0) -> Node:
    """A quantity that a training step hands to the next one, such as a momentum; it starts at ``initial``."""
    return _named_leaf(STATE, name, shape, dtype, initial=float(initial))


# --- constants ------------------------------------------------------------------------------------


KNOWN = {
    math.pi: ("π", r"\pi"),
    math.sqrt(2): ("√2", r"\sqrt{2}"),
    math.sqrt(0.5): ("1/√2", r"\frac{1}{\sqrt{2}}"),
    math.sqrt(2 * math.pi): ("√(2π)", r"\sqrt{2 \pi}"),
    math.sqrt(2 / math.pi): ("√(2/π)", r"\sqrt{\frac{2}{\pi}}"),
}
"""Numbers that are written by what they are, as text and in LaTeX."""


def number_text(value: float, latex: bool = False) -> str:
    """A number as people write it: 3, 0.5, 2/3, 1e−8."""
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if value in KNOWN:
        return KNOWN[value][latex]
    fraction = Fraction(value).limit_denominator(12) if math.isfinite(value) else None
    if fraction is not None and fraction.denominator % 3 == 0 and value == float(fraction):  # 2/3, not 0.666667
        p, q = fraction.as_integer_ratio()
        return f"{'-' if p < 0 else ''}\\frac{{{abs(p)}}}{{{q}}}" if latex else f"{p}/{q}"
    text = f"{value:.6g}"
    if latex and "inf" in text:
        return text.replace("inf", r"\infty")
    if latex and "e" in text:
        mantissa, exponent = text.split("e")
        times = "" if mantissa in ("1", "-1") else f"{mantissa} \\cdot "
        return ("-" if mantissa == "-1" else "") + times + f"10^{{{int(exponent)}}}"
    return text.replace("e-0", "e-").replace("e+0", "e").replace("e+", "e").replace("inf", "∞") if not latex else text


def _write_constant(node: Node, args: Sequence[Piece], latex: bool) -> Piece:
    value: np.ndarray[Any, Any] = node.attrs["value"]
    if value.ndim == 0:
        number = value.item()
        text = number_text(number, latex)
        compound = any(sign in text for sign in ("/", "frac", "cdot")) and not text.startswith(("√", "\\sqrt"))
        strength = NEGATIVE if text.startswith("-") else MULTIPLY if compound else POWER if "^" in text else ATOM
        below = Piece(number_text(math.sqrt(2), latex)) if number == math.sqrt(0.5) else None  # x/√2, not 1/√2 · x
        return Piece(text if latex else text.replace("-", "−"), strength, below=below)
    if value.size <= 6 and value.ndim == 1:
        return Piece("[" + ", ".join(number_text(v, latex) for v in value) + "]")
    if value.size and (value == value.flat[0]).all():
        return Piece(number_text(value.flat[0].item(), latex))
    sizes = "×".join(str(s) for s in value.shape)
    return Piece(f"\\text{{constant {sizes}}}" if latex else f"[constant {sizes}]")


CONSTANT = declare(
    Op(
        name="constant",
        arity=0,
        doc="Numbers that are part of the formula.",
        shape=lambda inputs, attrs: tuple(attrs["value"].shape),
        dtype=_attr_dtype,
        forward=lambda xp, value, dtype: xp.asarray(value, dtype=dtype),
        calculus=Constant("a constant does not change"),
        write=_write_constant,
        gate="leaf",
        structure="none",
        facts=ABSENT,
        not_differentiable="a leaf has no operand",
        reference=lambda value, dtype: value,
        cases=(Case((), {"value": np.array([1.5, -2.0]), "dtype": "float"}),),
        extremes=ABSENT,
        needs=("dtype",),
    ),
    public=False,
)


@vocabulary
def constant(value: Any, name: str | None = None, dtype: str | None = None) -> Node:
    """Numbers that are part of the formula; with a ``name``, formulas write that instead of the digits."""
    try:
        array = np.array(value)
    except ValueError as error:
        raise DTypeError("an operand is not an array of numbers", given=type(value).__name__, hint=str(error)) from None
    if array.dtype == object or array.dtype.kind in "USOMmc":
        raise DTypeError(
            "an operand is not a node, a number or an array of numbers",
            given=f"{type(value).__name__}: {str(value)[:60]}",
            expected="a node, a number or an array of floats, integers or booleans",
        )
    kind = check_dtype(dtype) if dtype else kind_of(array)
    array.setflags(write=False)
    return CONSTANT.make((), {"value": array, "dtype": kind}, name)


# --- sizes ----------------------------------------------------------------------------------------


def _write_size(node: Node, args: Sequence[Piece], latex: bool) -> Piece:
    size: Size = node.attrs["size"]
    if isinstance(size, int) or size.is_name:
        return Piece(str(size))
    text = re.sub(r"\b(\w+) \1\b", r"\1^{2}" if latex else r"\1²", str(size))
    text = text if latex else text.replace("-", "−")
    power = re.fullmatch(r"[^\W\d]\w*(²|\^\{2\})", text)
    return Piece(text, POWER if power else MULTIPLY if len(size.terms) == 1 else ADD)


SIZE = declare(
    Op(
        name="size",
        arity=0,
        doc="The number of elements along an axis, as a number: m.",
        shape=lambda inputs, attrs: (),
        dtype=lambda inputs, attrs: "float",
        forward=lambda xp, size, dtype: xp.asarray(size, dtype=dtype),
        calculus=Constant("a size does not change"),
        write=_write_size,
        gate="leaf",
        structure="none",
        facts=ABSENT,
        not_differentiable="a leaf has no operand",
        reference=lambda size: float(size),
        cases=(Case((), {"size": 3}),),
        extremes=ABSENT,
        needs=("dtype",),
    ),
    public=False,
)


@vocabulary
def size(value: Any) -> Node:
    """A size as a number in a formula: ``size("m")`` is m, the number of rows fed."""
    return SIZE.make((), {"size": as_size(value)})


def is_size(node: Node) -> bool:
    """Whether a number is made of sizes and constants: m, 4m, m − 1."""
    stack, sizes = [node], False
    while stack:
        n = stack.pop()
        if n.shape != () or not (n.inputs or n.op.name in ("size", "constant")):
            return False
        sizes = sizes or n.op.name == "size"
        stack.extend(n.inputs)
    return sizes


EYE = declare(
    Op(
        name="eye",
        arity=0,
        doc="The identity matrix.",
        shape=lambda inputs, attrs: (attrs["size"], attrs["size"]),
        dtype=lambda inputs, attrs: "float",
        forward=lambda xp, size, dtype: xp.eye(size, dtype=dtype),
        calculus=Constant("a constant does not change"),
        write=lambda node, args, latex: Piece("I"),
        gate="leaf",
        structure="none",
        facts=ABSENT,
        not_differentiable="a leaf has no operand",
        reference=lambda size: np.identity(size),
        cases=(Case((), {"size": 3}),),
        extremes=ABSENT,
        needs=("dtype",),
    ),
    public=False,
)


@vocabulary
def eye(n: Any) -> Node:
    """The n × n identity matrix."""
    return EYE.make((), {"size": as_size(n)})


def _write_arange(node: Node, args: Sequence[Piece], latex: bool) -> Piece:
    last = str(node.attrs["size"] - 1)
    return Piece(f"[0, \\dots, {last}]" if latex else f"[0, …, {last.replace('-', '−')}]")


ARANGE = declare(
    Op(
        name="arange",
        arity=0,
        doc="The whole numbers 0, 1, … n − 1.",
        shape=lambda inputs, attrs: (attrs["size"],),
        dtype=lambda inputs, attrs: "int",
        forward=lambda xp, size, dtype: xp.arange(size, dtype=dtype),
        calculus=Constant("a constant does not change"),
        write=_write_arange,
        gate="leaf",
        structure="none",
        facts=ABSENT,
        not_differentiable="a leaf has no operand",
        reference=lambda size: np.array(list(range(size))),
        cases=(Case((), {"size": 3}),),
        extremes=ABSENT,
        needs=("dtype",),
    ),
    public=False,
)


@vocabulary
def arange(n: Any, name: str | None = None) -> Node:
    """The whole numbers 0, 1, … n − 1; ``n`` may be a named size, and ``name`` is how formulas write them."""
    return ARANGE.make((), {"size": as_size(n)}, name)


# --- the identity, with something said about it ---------------------------------------------------


def _same_shape(inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> Shape:
    return inputs[0].shape


def _same_dtype(inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> str:
    return inputs[0].dtype


def _identity(name: str, doc: str, calculus: Any, not_differentiable: str, write: Any = None) -> Op:
    passes = not isinstance(calculus, Constant)
    return declare(
        Op(
            name=name,
            arity=1,
            doc=doc,
            shape=_same_shape,
            dtype=_same_dtype,
            forward=lambda xp, x: x,
            calculus=calculus,
            write=write or (lambda node, args, latex: args[0]),
            gate="pass" if passes else "blocks",
            structure="identity" if passes else "zero",
            facts=ABSENT,
            not_differentiable=not_differentiable,
            reference=lambda x: x,
            cases=(Case(((2, 3),)),),
            extremes=ABSENT,
        )
    )


MARK = _identity(
    "mark",
    "The quantity itself; no rewriting rule looks through a mark.",
    Linear(lambda g, node, k: g),
    NOWHERE,
)

STOP_GRADIENT = _identity(
    "stop_gradient",
    "The quantity itself, held fixed by differentiation.",
    Constant("stop_gradient holds its operand fixed"),
    "everywhere; 0 is taken",
    lambda node, args, latex: Piece(
        f"\\operatorname{{stop}}\\left({args[0].text}\\right)" if latex else f"stop({args[0].text})", 50
    ),
)
