"""Ops that move numbers without changing them: transpose, reshape, broadcast, join, cut, pad, flip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.errors import DTypeError, ShapeError
from chainrule.graph.body import at_a_time, over_time, time_moved
from chainrule.graph.dim import Dim, Shape, Size, as_shape, broadcast, product, quotient, show
from chainrule.graph.node import VOCABULARY, Node, user_line
from chainrule.graph.op import (
    ABSENT,
    CALL,
    NOWHERE,
    POWER,
    Case,
    Linear,
    Op,
    Piece,
    Writer,
    declare,
    function,
    lift,
    misfit,
    same_kind,
    vocabulary,
)


def _same_dtype(inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> str:
    return inputs[0].dtype


def _operand(node: Node, args: Sequence[Piece], latex: bool) -> Piece:
    """Written as its operand: the numbers are the same."""
    return args[0]


def _mover(
    name: str,
    doc: str,
    shape: Any,
    forward: Any,
    transpose_rule: Any,
    write: Writer,
    reference: Any,
    cases: tuple[Case, ...],
    *,
    arity: int | None = 1,
    needs: tuple[str, ...] = (),
    gate: str = "pass",
    structure: str = "permutation",
    joint: bool = False,
    prepare: Any = tuple,
) -> Op:
    return declare(
        Op(
            name=name,
            arity=arity,
            doc=doc,
            shape=shape,
            dtype=_same_dtype,
            forward=forward,
            calculus=Linear(transpose_rule, joint=joint),
            write=write,
            gate=gate,
            structure=structure,
            facts=ABSENT,
            not_differentiable=NOWHERE,
            reference=reference,
            cases=cases,
            extremes=ABSENT,
            needs=needs,
            prepare=prepare,
        ),
        public=False,
    )


# --- transpose, reshape, broadcast ----------------------------------------------------------------


def _write_transpose(node: Node, args: Sequence[Piece], latex: bool) -> Piece:
    if time_moved(node) and over_time(at_a_time(node)):  # what is written is a step of it
        return args[0]
    if node.attrs["axes"] == tuple(reversed(range(node.ndim))):
        return Piece(args[0].at_least(CALL, latex) + (r"^{\top}" if latex else "ᵀ"), POWER)
    axes = ", ".join(str(a) for a in node.attrs["axes"])
    if latex:
        return Piece(f"\\operatorname{{transpose}}_{{{axes}}}\\left({args[0].text}\\right)", CALL)
    return Piece(f"transpose({args[0].text}, ({axes}))", CALL)


TRANSPOSE: Op = _mover(
    "transpose",
    "axes in another order",
    lambda inputs, attrs: tuple(inputs[0].shape[a] for a in attrs["axes"]),
    lambda xp, x, axes: xp.transpose(x, axes),
    lambda g, node, k: TRANSPOSE(g, axes=tuple(int(i) for i in np.argsort(node.attrs["axes"]))),
    _write_transpose,
    lambda x, axes: np.moveaxis(x, axes, range(x.ndim)),
    (Case(((2, 3),), {"axes": (1, 0)}), Case(((2, 3, 4),), {"axes": (2, 0, 1)})),
)


@vocabulary
def transpose(x: Any, axes: Sequence[int] | None = None) -> Node:
    """Axes in another order; all in reverse order by default."""
    x = lift(x)
    order = tuple(reversed(range(x.ndim))) if axes is None else tuple(int(a) % max(x.ndim, 1) for a in axes)
    if sorted(order) != list(range(x.ndim)):
        raise ShapeError("transpose needs every axis once", given=axes, expected=f"an order of {x.ndim} axes of {x!r}")
    return TRANSPOSE(x, axes=order) if order != tuple(range(x.ndim)) else x


RESHAPE = _mover(
    "reshape",
    "the same numbers, row by row, in another shape",
    lambda inputs, attrs: attrs["shape_to"],
    lambda xp, x, shape_to, shape: xp.reshape(x, shape),
    lambda g, node, k: reshape(g, node.inputs[0].shape),
    _operand,
    lambda x, shape_to: x.reshape(shape_to),
    (
        Case(((2, 3),), {"shape_to": (3, 2)}),
        Case(((2, 3),), {"shape_to": (6,)}),
        Case(((1, 3),), {"shape_to": (3,)}),
    ),
    needs=("shape",),
)


@vocabulary
def reshape(x: Any, shape: Any) -> Node:
    """The same numbers, row by row, in another shape; one size may be −1 and follows from the others.

    >>> import chainrule as cr
    >>> reshape(cr.input("x", ("m", 2, 3)), ("m", -1)).shape
    (m, 6)
    """
    x = lift(x)
    sizes: list[Any] = [shape] if isinstance(shape, (int, str, Dim)) else list(shape)
    total = product(x.shape)
    if -1 in [s for s in sizes if isinstance(s, int)]:
        at = sizes.index(-1)
        rest = product(as_shape([s for i, s in enumerate(sizes) if i != at]))
        missing = quotient(total, rest)
        if missing is None:
            raise _reshape_error(x, sizes)
        sizes[at] = missing
    target = as_shape(sizes)
    if product(target) != total:
        raise _reshape_error(x, sizes)
    return x if target == x.shape else RESHAPE(x, shape_to=target)


def _reshape_error(x: Node, sizes: Sequence[Any]) -> ShapeError:
    line = user_line()
    return ShapeError(
        "reshape keeps the number of elements",
        given=f"{x.name or x.op.name} {show(x.shape)} to {show(sizes)}",
        expected=f"{product(x.shape)} elements",
        where=f"{line[0]}, line {line[1]}" if line else None,
    )


def _broadcast_shape(inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> Shape:
    target: Shape = attrs["shape_to"]
    if broadcast(inputs[0].shape, target) != target:
        raise misfit("broadcast_to", inputs, expected=f"sizes that fit {show(target)} from the last axis, or 1")
    return target


BROADCAST_TO = _mover(
    "broadcast_to",
    "repeated along new axes and axes of size 1",
    _broadcast_shape,
    lambda xp, x, shape_to, shape: xp.broadcast_to(x, shape),
    lambda g, node, k: sum_to(g, node.inputs[0].shape),
    _operand,
    lambda x, shape_to: x + np.zeros(shape_to),
    (
        Case(((3,),), {"shape_to": (2, 3)}),
        Case(((2, 1),), {"shape_to": (4, 2, 3)}),
        Case(((),), {"shape_to": (2,)}),
    ),
    needs=("shape",),
    gate="copy: adds",
    structure="columns of ones",
)


@vocabulary
def broadcast_to(x: Any, shape: Any) -> Node:
    """Repeated along new axes and axes of size 1, as NumPy broadcasts."""
    x, target = lift(x), as_shape(shape)
    return x if x.shape == target else BROADCAST_TO(x, shape_to=target)


def sum_to(g: Node, shape: Shape) -> Node:
    """Summed over the axes along which ``shape`` was broadcast: what flows back through a broadcast."""
    if g.shape == shape:
        return g
    offset = g.ndim - len(shape)
    axes = tuple(range(offset)) + tuple(i + offset for i, s in enumerate(shape) if s == 1 and g.shape[i + offset] != 1)
    out: Node = VOCABULARY["sum"](g, axes, keepdims=False) if axes else g
    return reshape(out, shape)


# --- join -----------------------------------------------------------------------------------------


def _concatenated(inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> Shape:
    axis = attrs["axis"]
    first = inputs[0].shape
    for n in inputs[1:]:
        if n.ndim != len(first) or any(
            a != b for i, (a, b) in enumerate(zip(first, n.shape, strict=True)) if i != axis
        ):
            raise misfit("concatenate", inputs, expected=f"equal sizes in every axis but axis {axis}")
    total: Size = 0
    for n in inputs:
        total = n.shape[axis] + total
    return (*first[:axis], total, *first[axis + 1 :])


def _concatenate_transpose(g: Node, node: Node, k: int) -> Node:
    axis = node.attrs["axis"]
    start: Size = 0
    for n in node.inputs[:k]:
        start = n.shape[axis] + start
    return _cut(g, axis, start, start + node.inputs[k].shape[axis])


CONCATENATE = _mover(
    "concatenate",
    "operands one after the other along an axis",
    _concatenated,
    lambda xp, *xs, axis: xp.concatenate(xs, axis=axis),
    _concatenate_transpose,
    lambda node, args, latex: Piece(
        ("\\left[" if latex else "[") + "; ".join(a.text for a in args) + ("\\right]" if latex else "]")
    ),
    lambda *xs, axis: np.concatenate(xs, axis=axis),
    (Case(((2, 3), (2, 1)), {"axis": 1}), Case(((2, 3), (1, 3), (4, 3)), {"axis": 0})),
    arity=None,
    joint=True,
    structure="selects a block",
    prepare=same_kind,
)


@vocabulary
def concatenate(nodes: Sequence[Any], axis: int = 0) -> Node:
    """Operands one after the other along an axis."""
    lifted = [lift(n) for n in nodes]
    if not lifted:
        raise ShapeError("concatenate needs at least one operand", given="none")
    _check_axis(lifted[0], axis, "concatenate")
    return CONCATENATE(*lifted, axis=axis % lifted[0].ndim) if len(lifted) > 1 else lifted[0]


@vocabulary
def stack(nodes: Sequence[Any], axis: int = 0) -> Node:
    """Operands of one shape side by side along a new axis."""
    lifted = [lift(n) for n in nodes]
    if not lifted:
        raise ShapeError("stack needs at least one operand", given="none")
    if any(n.shape != lifted[0].shape for n in lifted):
        raise misfit("stack", lifted, expected="equal shapes")
    at = axis % (lifted[0].ndim + 1)
    return concatenate([reshape(n, (*n.shape[:at], 1, *n.shape[at:])) for n in lifted], at)


def _check_axis(x: Node, axis: int, what: str) -> None:
    if not -x.ndim <= axis < x.ndim:
        raise ShapeError(f"{what}: there is no axis {axis}", given=f"{x!r}")


# --- cut and pad ----------------------------------------------------------------------------------


def _sliced(inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> Shape:
    cuts = zip(attrs["starts"], attrs["stops"], attrs["steps"], strict=True)
    return tuple(_steps(stop - start, step) for start, stop, step in cuts)


def _steps(length: Size, step: int) -> Size:
    """How many steps there are, ⌈length / step⌉; of a named length where that is a size: m steps of 2 in 2m − 1."""
    if isinstance(length, int):
        return max(0, -(-length // step))
    for missing in range(step):
        steps = quotient(length + missing, step)
        if steps is not None:
            return steps
    raise ShapeError("a step over an axis of unknown size", given=f"size {length}, step {step}", expected="step 1")


def _slice_transpose(g: Node, node: Node, k: int) -> Node:
    low, high, interior = [], [], []
    for size, start, length, step in zip(
        node.inputs[0].shape, node.attrs["starts"], node.shape, node.attrs["steps"], strict=True
    ):
        covered = (length - 1) * step + 1 if step != 1 and length != 0 else length
        low.append(start)
        high.append(size - start - covered)
        interior.append(step - 1)
    return PAD(g, low=tuple(low), high=tuple(high), interior=tuple(interior))


def _write_slice(node: Node, args: Sequence[Piece], latex: bool) -> Piece:
    words = []
    for size, start, stop, step in zip(
        node.inputs[0].shape, node.attrs["starts"], node.attrs["stops"], node.attrs["steps"], strict=True
    ):
        whole = start == 0 and stop == size
        word = ":" if whole else str(start) if stop == start + 1 else f"{start}:{stop}"
        words.append(word + (f":{step}" if step != 1 else ""))
    while len(words) > 1 and words[-1] == ":":
        words.pop()
    base = args[0].at_least(POWER, latex)
    return Piece(f"{{{base}}}_{{[{', '.join(words)}]}}" if latex else f"{base}[{', '.join(words)}]")


def _slice(xp: Any, x: Any, starts: Any, stops: Any, steps: Any) -> Any:
    for size, start, stop in zip(x.shape, starts, stops, strict=True):
        if not 0 <= start <= stop <= size:  # of a named size that is known only now
            raise ShapeError(
                "the slice reaches beyond the axis",
                given=f"{start}:{stop}",
                expected=f"within 0:{size}, the axis' size",
            )
    return x[tuple(map(slice, starts, stops, steps))]


SLICE = _mover(
    "slice",
    "a regular part of every axis",
    _sliced,
    _slice,
    _slice_transpose,
    _write_slice,
    lambda x, starts, stops, steps: x[tuple(map(slice, starts, stops, steps))],
    (
        Case(((4, 5),), {"starts": (1, 0), "stops": (3, 5), "steps": (1, 1)}),
        Case(((4, 5),), {"starts": (0, 1), "stops": (4, 5), "steps": (2, 3)}),
    ),
    structure="selects a block",
    gate="selects",
)


def _padded(inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> Shape:
    out: list[Size] = []
    for size, low, high, gap in zip(inputs[0].shape, attrs["low"], attrs["high"], attrs["interior"], strict=True):
        inner = size if gap == 0 or size == 0 else size + (size - 1) * gap
        out.append(low + inner + high)
    return tuple(out)


def _write_pad(node: Node, args: Sequence[Piece], latex: bool) -> Piece:
    """``pad(x, ((1, 2), (0, 0)))``, as in NumPy; a third number is what lies between two rows."""
    widths = zip(node.attrs["low"], node.attrs["high"], node.attrs["interior"], strict=True)
    pairs = [str(w if w[2] else w[:2]) for w in widths]
    words = f"({', '.join(pairs)}{',' if len(pairs) == 1 else ''})"
    if latex:
        return Piece(f"\\operatorname{{pad}}\\left({args[0].text},\\; {words}\\right)", CALL)
    return Piece(f"pad({args[0].text}, {words})", CALL)


def _pad(xp: Any, x: Any, low: Any, high: Any, interior: Any) -> Any:
    if not any(interior):
        return xp.pad(x, tuple(zip(low, high, strict=True)))
    return xp.interior_pad(x, tuple(zip(low, high, interior, strict=True)))


def _pad_transpose(g: Node, node: Node, k: int) -> Node:
    starts, stops, steps = [], [], []
    for size, low, gap in zip(node.inputs[0].shape, node.attrs["low"], node.attrs["interior"], strict=True):
        starts.append(low)
        stops.append(low + ((size - 1) * (gap + 1) + 1 if gap and size != 0 else size))
        steps.append(gap + 1)
    return SLICE(g, starts=tuple(starts), stops=tuple(stops), steps=tuple(steps))


PAD = _mover(
    "pad",
    "zeros before, after and between the numbers of every axis",
    _padded,
    _pad,
    _pad_transpose,
    _write_pad,
    lambda x, low, high, interior: _reference_pad(x, low, high, interior),
    (
        Case(((2, 3),), {"low": (1, 0), "high": (0, 2), "interior": (0, 0)}),
        Case(((2, 3),), {"low": (0, 1), "high": (1, 0), "interior": (1, 2)}),
    ),
    structure="embeds a block",
    gate="embeds",
)


def _reference_pad(x: Any, low: Any, high: Any, interior: Any) -> Any:
    sizes = [a + n + (n - 1) * i + b for n, a, b, i in zip(x.shape, low, high, interior, strict=True)]
    out = np.zeros(sizes)
    for index in np.ndindex(*x.shape):
        out[tuple(a + j * (i + 1) for j, a, i in zip(index, low, interior, strict=True))] = x[index]
    return out


@vocabulary
def pad(x: Any, widths: Sequence[tuple[int, int]], value: float = 0.0) -> Node:
    """``value`` before and after the numbers of every axis: ``widths`` is a pair for each."""
    x = lift(x)
    if len(widths) != x.ndim or any(len(w) != 2 or min(w) < 0 for w in widths):
        raise ShapeError("pad needs a pair (before, after) for every axis", given=widths, expected=f"{x.ndim} pairs")
    attrs = {
        "low": tuple(w[0] for w in widths),
        "high": tuple(w[1] for w in widths),
        "interior": (0,) * x.ndim,
    }
    return PAD(x, **attrs) if value == 0 else PAD(x - value, **attrs) + value


FLIP: Op = _mover(
    "flip",
    "numbers in reverse order along axes",
    lambda inputs, attrs: inputs[0].shape,
    lambda xp, x, axes: xp.flip(x, axis=axes),
    lambda g, node, k: FLIP(g, axes=node.attrs["axes"]),
    function("flip"),
    lambda x, axes: x[tuple(slice(None, None, -1) if i in axes else slice(None) for i in range(x.ndim))],
    (Case(((2, 3),), {"axes": (1,)}),),
)


@vocabulary
def flip(x: Any, axis: int | Sequence[int] | None = None) -> Node:
    """Numbers in reverse order along the axes, all of them by default."""
    x = lift(x)
    axes = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    for a in axes:
        _check_axis(x, a, "flip")
    return FLIP(x, axes=tuple(sorted({a % x.ndim for a in axes})))


def _cut(x: Node, axis: int, start: Size, stop: Size) -> Node:
    starts: list[Size] = [0] * x.ndim
    stops: list[Size] = list(x.shape)
    starts[axis], stops[axis] = start, stop
    return SLICE(x, starts=tuple(starts), stops=tuple(stops), steps=(1,) * x.ndim)


# --- indexing as in NumPy -------------------------------------------------------------------------


@vocabulary
def getitem(x: Any, key: Any) -> Node:
    """``x[key]``: whole numbers, slices, ``None``, ``...``, and one array or node of whole numbers."""
    x = lift(x)
    keys = key if isinstance(key, tuple) else (key,)
    keys = tuple(np.asarray(k) if isinstance(k, list) else k for k in keys)
    used = [k for k in keys if k is not None and k is not Ellipsis]
    if len(used) > x.ndim:
        raise ShapeError("more indices than axes", given=f"{len(used)} for {x!r}", expected=f"at most {x.ndim}")
    if len([k for k in keys if k is Ellipsis]) > 1:
        raise ShapeError("more than one ... in an index", given=f"an index of {x!r}", expected="at most one ...")
    at = next((i for i, k in enumerate(keys) if k is Ellipsis), len(keys))
    keys = (*keys[:at], *[slice(None)] * (x.ndim - len(used)), *keys[at + 1 :])
    starts: list[Size] = []
    stops: list[Size] = []
    steps, flipped, shape, gathers = [], [], list[Any](), []
    axis = 0
    for k in keys:
        if k is None:
            shape.append(1)
            continue
        size = x.shape[axis]
        if isinstance(k, slice):
            start, stop, step, reverse = _slice_of(k, size)
            shape.append("keep")
        elif isinstance(k, Node) or (isinstance(k, np.ndarray) and k.ndim):
            start, stop, step, reverse = 0, size, 1, False
            gathers.append((len(shape), k))
            shape.append("keep")
        else:
            start = _index_of(k, size)
            stop, step, reverse = start + 1, 1, False
        starts.append(start)
        stops.append(stop)
        steps.append(step)
        if reverse:
            flipped.append(axis)
        axis += 1
    out = (
        x
        if (tuple(starts), tuple(stops)) == ((0,) * x.ndim, x.shape) and set(steps) <= {1}
        else SLICE(x, starts=tuple(starts), stops=tuple(stops), steps=tuple(steps))
    )
    if flipped:
        out = FLIP(out, axes=tuple(flipped))
    kept = iter(
        [
            s
            for s, k in zip(out.shape, [k for k in keys if k is not None], strict=True)
            if isinstance(k, (slice, Node)) or np.ndim(k)
        ]
    )
    out = reshape(out, tuple(next(kept) if s == "keep" else s for s in shape))
    if len(gathers) > 1:
        raise ShapeError(
            "only one axis can be indexed by an array", given=len(gathers), hint="gather one after the other"
        )
    for at, indices in gathers:
        out = VOCABULARY["gather"](out, indices, axis=at)
        if _stand_apart(keys):
            first = range(at, at + indices.ndim)
            out = transpose(out, (*first, *[i for i in range(out.ndim) if i not in first]))
    return out


def _stand_apart(keys: Sequence[Any]) -> bool:
    """Whether something lies between the numbers and arrays of an index: then NumPy puts their axes first."""
    chosen = [i for i, k in enumerate(keys) if k is not None and not isinstance(k, slice)]
    return len(chosen) <= chosen[-1] - chosen[0]


def _slice_of(k: slice, size: Size) -> tuple[Size, Size, int, bool]:
    step = 1 if k.step is None else int(k.step)
    if isinstance(size, int) and not isinstance(k.start, Dim) and not isinstance(k.stop, Dim):
        r = range(*slice(k.start, k.stop, step).indices(size))
        if step > 0:
            return r.start, max(r.start, r.stop), step, False
        ends = (r[-1], r[0] + 1) if len(r) else (0, 0)
        return ends[0], ends[1], -step, True
    if step == -1 and k.start is None and k.stop is None:
        return 0, size, 1, True
    if step != 1:
        raise ShapeError(
            "a step over an axis of unknown size",
            given=f"size {size}, step {step}",
            expected="step 1 or [::-1]",
        )
    start: Size = 0 if k.start is None else k.start
    stop: Size = size if k.stop is None else k.stop
    start = start + size if isinstance(start, int) and start < 0 else start
    stop = stop + size if isinstance(stop, int) and stop < 0 else stop
    return start, stop, 1, False


def _index_of(k: Any, size: Size) -> Size:
    try:
        i = int(k.__index__())
    except (AttributeError, TypeError):
        raise DTypeError(
            "not an index",
            given=repr(k)[:60],
            expected="a whole number, a slice, None, ..., or an array of whole numbers",
            hint="choose by condition with cr.where(condition, a, b)",
        ) from None
    if isinstance(k, bool):
        raise DTypeError("a truth value is not an index", given=k, hint="choose by condition with cr.where")
    if isinstance(size, int) and not -size <= i < size:
        raise ShapeError("the index is outside the axis", given=i, expected=f"from {-size} to {size - 1}")
    return i if i >= 0 else size + i
