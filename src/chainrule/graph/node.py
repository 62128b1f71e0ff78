"""A node of the computation graph: immutable, with its shape, kind, name and the user's line that made it.

Operators and methods on nodes mirror NumPy's. They look their op up in the registry, and the views
(text, LaTeX, SVG) in ``VIEWS``, so that this file stays below the rooms that provide them.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from chainrule.errors import DTypeError, ShapeError
from chainrule.graph.dim import Shape, Size, show

if TYPE_CHECKING:
    from chainrule.graph.op import Op

PACKAGE = str(Path(__file__).parent.parent) + os.sep
VOCABULARY: dict[str, Callable[..., Any]] = {}
"""Every function from nodes to nodes by its name: what operators and methods call."""
VIEWS: dict[str, Callable[..., Any]] = {}
"""How a node is shown; filled by the room ``notation``."""


@dataclass(frozen=True)
class Scope:
    """The layer that a node belongs to: ``kind`` of layer, and a ``name`` where the user gave one."""

    kind: str
    name: str | None = None

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


@dataclass(frozen=True)
class Origin:
    """Where a node of the backward part comes from: the forward node, the rule, and the part it plays."""

    forward: Node
    rule: str
    part: str


_origin: ContextVar[Origin | None] = ContextVar("origin", default=None)
_scope: ContextVar[Scope | None] = ContextVar("scope", default=None)


class deriving:  # noqa: N801 - a context, entered for every rule that is tried: a generator takes twice as long
    """Nodes made inside carry this origin."""

    __slots__ = ("origin", "token")

    def __init__(self, origin: Origin | None) -> None:
        self.origin = origin

    def __enter__(self) -> None:
        self.token = _origin.set(self.origin)

    def __exit__(self, *_: object) -> None:
        _origin.reset(self.token)


@contextlib.contextmanager
def inside(scope: Scope) -> Iterator[None]:
    """Nodes made inside belong to this layer."""
    token = _scope.set(scope)
    try:
        yield
    finally:
        _scope.reset(token)


class Node:
    """One quantity of a computation: an op applied to other nodes.

    Attributes:
        op: what is computed.
        inputs: the operands.
        attrs: the op's settings that are not nodes (axes, target shape …).
        shape: a tuple of integers and named sizes.
        dtype: ``"bool"``, ``"int"``, ``"float"`` (the run's working precision), or a fixed float such as
            ``"float16"``.
        name: the name of the quantity, or None.
        scope: the layer it belongs to, or None.
        source: file and line of the user's code that made it.
        origin: for the backward part, the forward node and the rule that it comes from.

    Two nodes are equal only when they are the same object; use :func:`chainrule.equal` to compare values.
    """

    __slots__ = (
        "__weakref__",
        "attrs",
        "dtype",
        "inputs",
        "name",
        "op",
        "origin",
        "scope",
        "shape",
        "source",
    )
    __array_ufunc__ = None  # an ndarray on the left leaves its operators to ours

    op: Op
    inputs: tuple[Node, ...]
    attrs: Mapping[str, Any]
    shape: Shape
    dtype: str
    name: str | None
    scope: Scope | None
    source: tuple[str, int] | None
    origin: Origin | None

    def __init__(
        self,
        op: Op,
        inputs: tuple[Node, ...],
        attrs: Mapping[str, Any],
        shape: Shape,
        dtype: str,
        name: str | None = None,
        scope: Scope | None = None,
        source: tuple[str, int] | None = None,
        origin: Origin | None = None,
    ) -> None:
        put = object.__setattr__
        put(self, "op", op)
        put(self, "inputs", inputs)
        put(self, "attrs", attrs if isinstance(attrs, MappingProxyType) else MappingProxyType(dict(attrs)))
        put(self, "shape", shape)
        put(self, "dtype", dtype)
        put(self, "name", name)
        put(self, "scope", scope if scope is not None else _scope.get())
        if origin is None:
            origin = _origin.get()
        put(self, "origin", origin)
        if source is None:  # what is derived belongs to the line of what it is derived from
            source = user_line() if origin is None else origin.forward.source
        put(self, "source", source)

    def __setattr__(self, key: str, value: object) -> None:
        raise AttributeError(f"a node is immutable; make a new one instead of setting {key!r}")

    def __delattr__(self, key: str) -> None:
        raise AttributeError(f"a node is immutable; {key!r} stays")

    def __deepcopy__(self, memo: Any) -> Node:
        return self  # what cannot change is its own copy

    def __copy__(self) -> Node:
        return self

    def __reduce__(self) -> Any:
        from chainrule.graph.pickling import one, rows_of

        return one, (rows_of((self,)),)

    def rebuilt(self, inputs: tuple[Node, ...]) -> Node:
        """The same op on other operands of the same shapes."""
        if all(a is b for a, b in zip(inputs, self.inputs, strict=True)):
            return self
        return Node(
            self.op,
            inputs,
            self.attrs,
            self.shape,
            self.dtype,
            self.name,
            self.scope,
            self.source,
            self.origin,
        )

    def named(self, name: str | None, scope: Scope | None = None) -> Node:
        """The same quantity under a name."""
        return Node(
            self.op,
            self.inputs,
            self.attrs,
            self.shape,
            self.dtype,
            name,
            scope or self.scope,
            self.source,
            self.origin,
        )

    # --- what NumPy users expect -------------------------------------------------------------------

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def T(self) -> Node:
        """The transpose: all axes in reverse order."""
        return _call("transpose", self)

    def __add__(self, other: Any) -> Node:
        return _call("add", self, other)

    def __radd__(self, other: Any) -> Node:
        return _call("add", other, self)

    def __sub__(self, other: Any) -> Node:
        return _call("subtract", self, other)

    def __rsub__(self, other: Any) -> Node:
        return _call("subtract", other, self)

    def __mul__(self, other: Any) -> Node:
        return _call("multiply", self, other)

    def __rmul__(self, other: Any) -> Node:
        return _call("multiply", other, self)

    def __truediv__(self, other: Any) -> Node:
        return _call("divide", self, other)

    def __rtruediv__(self, other: Any) -> Node:
        return _call("divide", other, self)

    def __pow__(self, other: Any) -> Node:
        return _call("power", self, other)

    def __rpow__(self, other: Any) -> Node:
        return _call("power", other, self)

    def __matmul__(self, other: Any) -> Node:
        return _call("matmul", self, other)

    def __rmatmul__(self, other: Any) -> Node:
        return _call("matmul", other, self)

    def __neg__(self) -> Node:
        return _call("negative", self)

    def __pos__(self) -> Node:
        return self

    def __abs__(self) -> Node:
        return _call("abs", self)

    def __lt__(self, other: Any) -> Node:
        return _call("less", self, other)

    def __le__(self, other: Any) -> Node:
        return _call("less_equal", self, other)

    def __gt__(self, other: Any) -> Node:
        return _call("greater", self, other)

    def __ge__(self, other: Any) -> Node:
        return _call("greater_equal", self, other)

    def __and__(self, other: Any) -> Node:
        return _call("logical_and", self, other)

    def __or__(self, other: Any) -> Node:
        return _call("logical_or", self, other)

    def __invert__(self) -> Node:
        return _call("logical_not", self)

    def __getitem__(self, key: Any) -> Node:
        return _call("getitem", self, key)

    def sum(self, axis: Any = None, keepdims: bool = False) -> Node:
        """Sum over axes; see :func:`chainrule.sum`."""
        return _call("sum", self, axis=axis, keepdims=keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Node:
        """Mean over axes; see :func:`chainrule.mean`."""
        return _call("mean", self, axis=axis, keepdims=keepdims)

    def max(self, axis: Any = None, keepdims: bool = False) -> Node:
        """Largest value over axes; see :func:`chainrule.max`."""
        return _call("max", self, axis=axis, keepdims=keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> Node:
        """Smallest value over axes; see :func:`chainrule.min`."""
        return _call("min", self, axis=axis, keepdims=keepdims)

    def prod(self, axis: Any = None, keepdims: bool = False) -> Node:
        """Product over axes; see :func:`chainrule.prod`."""
        return _call("prod", self, axis=axis, keepdims=keepdims)

    def argmax(self, axis: int = -1) -> Node:
        """Position of the largest value; see :func:`chainrule.argmax`."""
        return _call("argmax", self, axis=axis)

    def argmin(self, axis: int = -1) -> Node:
        """Position of the smallest value; see :func:`chainrule.argmin`."""
        return _call("argmin", self, axis=axis)

    def cumsum(self, axis: int = -1) -> Node:
        """Running sum; see :func:`chainrule.cumsum`."""
        return _call("cumsum", self, axis=axis)

    def reshape(self, *shape: Any) -> Node:
        """The same elements in another shape; see :func:`chainrule.reshape`."""
        return _call("reshape", self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> Node:
        """Axes in another order; see :func:`chainrule.transpose`."""
        if len(axes) == 1 and not isinstance(axes[0], int):
            axes = tuple(axes[0] or ())
        return _call("transpose", self, axes or None)

    def astype(self, dtype: Any) -> Node:
        """The same values in another kind of number; see :func:`chainrule.cast`."""
        return _call("cast", self, dtype)

    def clip(self, low: Any = None, high: Any = None) -> Node:
        """Values limited to [low, high]; see :func:`chainrule.clip`."""
        return _call("clip", self, low, high)

    def dot(self, other: Any) -> Node:
        """Matrix product; see :func:`chainrule.matmul`."""
        return _call("matmul", self, other)

    def __bool__(self) -> bool:
        raise DTypeError(
            "a node has no truth value: it is a formula, and its numbers are fed later",
            given=describe(self),
            hint="choose by number with cr.where(condition, a, b); compare formulas by identity with 'is'",
        )

    def __float__(self) -> float:
        raise DTypeError(
            "a node is a formula and has no value yet",
            given=describe(self),
            hint="cr.evaluate(node, {input: numbers, …}) gives its value",
        )

    def __iter__(self) -> Iterator[Node]:
        if not self.shape or not isinstance(self.shape[0], int):
            raise ShapeError(
                "only a first axis of a known size can be iterated over",
                given=describe(self),
                hint="use sums, slices or cr.gather over the whole axis",
            )
        return (self[i] for i in range(self.shape[0]))

    # --- views ---------------------------------------------------------------------------------------

    def __str__(self) -> str:
        return str(VIEWS["text"](self)) if "text" in VIEWS else object.__repr__(self)

    def __repr__(self) -> str:
        return f"<{describe(self)}>"

    def latex(self) -> str:
        """The formula in LaTeX."""
        return str(VIEWS["latex"](self))

    def svg(self) -> str:
        """The graph of the formula as an SVG picture: a text that a notebook shows and that ``.save(path)`` writes."""
        picture: str = VIEWS["svg"](self)
        return picture

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"


def _call(name: str, *args: Any, **kwargs: Any) -> Node:
    node = VOCABULARY[name](*args, **kwargs)
    assert isinstance(node, Node)
    return node


def user_line() -> tuple[str, int] | None:
    """File and line of the innermost frame outside this package."""
    frame = sys._getframe(1)
    while frame is not None:
        filename = frame.f_code.co_filename
        if not filename.startswith(PACKAGE):
            return filename, frame.f_lineno
        frame = frame.f_back  # type: ignore[assignment]
    return None


def describe(node: Node) -> str:
    """A node in a few words, for messages: name or op, shape, and the user's line."""
    word = node.name if node.name else node.op.name
    at = f", made at {Path(node.source[0]).name}:{node.source[1]}" if node.source else ""
    return f"{word}: {node.dtype} {show(node.shape)}{at}"


def ancestors(*outputs: Node, stop: Callable[[Node], bool] | None = None) -> list[Node]:
    """Every node that the outputs need, operands before results, each once; none beyond those that ``stop``.

    Nodes are immutable, so a graph has no cycles by construction; the walk keeps its own stack, so that
    depth has no limit.
    """
    order: list[Node] = []
    seen: set[Node] = set()
    stack = [(node, False) for node in reversed(outputs)]
    while stack:
        node, expanded = stack.pop()
        if expanded:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            if stop is None or not stop(node):
                stack.extend((i, False) for i in reversed(node.inputs) if i not in seen)
    return order


def number_of_elements(node: Node) -> Size:
    """How many numbers the node holds."""
    total: Size = 1
    for size in node.shape:
        total = total * size
    return total
