"""The contraction: one op under matrix products, dot and outer products, batched or not.

``C = einsum("ij,jk->ik", A, B)`` multiplies and sums over the letters that the result lacks. Its derivative
with respect to any operand is again a contraction: of the upstream derivative and the other operands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.errors import ConfigurationError, ShapeError
from chainrule.graph.body import at_a_time, over_time, time_moved
from chainrule.graph.dim import Shape, Size, product
from chainrule.graph.node import Node
from chainrule.graph.op import (
    ABSENT,
    ATOM,
    CALL,
    MATMUL,
    MULTIPLY,
    NOWHERE,
    Case,
    Linear,
    Op,
    Piece,
    declare,
    lift,
    misfit,
    vocabulary,
)
from chainrule.ops.elementwise import same_float
from chainrule.ops.leaves import eye
from chainrule.ops.reductions import sum as sum_
from chainrule.ops.shaping import reshape, transpose

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def parse(spec: str) -> tuple[list[str], str]:
    """The operands' letters and the result's, of ``"ij,jk->ik"``."""
    left, _, right = spec.partition("->")
    return left.split(","), right


def _shape(inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> Shape:
    operands, result = parse(attrs["spec"])
    sizes: dict[str, Size] = {}
    for letters, node in zip(operands, inputs, strict=True):
        if len(letters) != node.ndim:
            raise misfit(f"einsum {attrs['spec']}", inputs, expected="one letter for every axis")
        for letter, size in zip(letters, node.shape, strict=True):
            if sizes.setdefault(letter, size) != size:
                raise misfit(
                    f"einsum {attrs['spec']}",
                    inputs,
                    expected=f"equal sizes for axis {letter}, not {sizes[letter]} and {size}",
                )
    return tuple(sizes[letter] for letter in result)


def _multiply_adds(node: Node) -> Size:
    operands, _ = parse(node.attrs["spec"])
    pairs = [
        pair for letters, n in zip(operands, node.inputs, strict=True) for pair in zip(letters, n.shape, strict=True)
    ]
    return product(dict(pairs).values())


def _transpose(g: Node, node: Node, k: int) -> Node:
    operands, result = parse(node.attrs["spec"])
    others = [(letters, x) for i, (letters, x) in enumerate(zip(operands, node.inputs, strict=True)) if i != k]
    # In a product A B of two, keep their order: dA = g Bᵀ and dB = Aᵀ g.
    terms = [*others, (result, g)] if k else [(result, g), *others]
    return contract([letters for letters, _ in terms], operands[k], [x for _, x in terms])


def as_product(spec: str) -> tuple[bool, bool, bool] | None:
    """Of a contraction that is a matrix product: whether A, B are transposed and whether they change places."""
    operands, out = parse(spec)
    if len(operands) != 2:
        return None
    a, b = operands
    summed = [letter for letter in a if letter in b and letter not in out]
    if len(summed) != 1 or not (1 <= len(a) <= 2 and 1 <= len(b) <= 2):
        return None
    s = summed[0]
    rest = a.replace(s, "") + b.replace(s, "")
    swapped = out != rest
    if swapped and out != b.replace(s, "") + a.replace(s, ""):
        return None
    if swapped:
        a, b = b, a
    return len(a) == 2 and a[0] == s, len(b) == 2 and b[1] == s, swapped


def _write(node: Node, args: Sequence[Piece], latex: bool) -> Piece:
    return _write_over_time(node, args, latex) or _write_spec(node, node.attrs["spec"], args, latex)


def _write_over_time(node: Node, args: Sequence[Piece], latex: bool) -> Piece | None:
    """A product at every step t of a loop, or summed up over the steps: Σₜ xₜᵀ dzₜ."""
    operands, out = parse(node.attrs["spec"])
    stacked = [over_time(at_a_time(n)) for n in node.inputs]
    times = {w[time_moved(n)] for w, n, s in zip(operands, node.inputs, stacked, strict=True) if s}
    if len(times) != 1 or len(operands) != 2:
        return None
    (time,) = times
    pieces = [
        Piece(a.at_least(ATOM, latex) + ("_t" if latex else "ₜ"), ATOM) if time in w and not s else a
        for a, w, s in zip(args, operands, stacked, strict=True)
    ]
    spec = ",".join(w.replace(time, "") for w in operands) + "->" + out.replace(time, "")
    product = _write_spec(node, spec, pieces, latex)
    if time in out:
        return product
    inner = product.at_least(MULTIPLY, latex)
    return Piece(f"\\sum_t {inner}" if latex else f"Σₜ {inner}", MULTIPLY, open=True)


def _write_spec(node: Node, spec: str, args: Sequence[Piece], latex: bool) -> Piece:
    operands, out = parse(spec)
    known = as_product(spec)
    top = r"^{\top}" if latex else "ᵀ"
    if known is not None:
        left_t, right_t, swapped = known
        a, b = (args[1], args[0]) if swapped else (args[0], args[1])
        la = operands[1] if swapped else operands[0]
        left = a.at_least(CALL, latex) + top if left_t else a.at_least(MATMUL, latex)
        right = b.at_least(CALL, latex) + top if right_t else b.at_least(MATMUL + 1, latex)
        if len(la) == 1 and len(out) == 0:  # a dot product of two vectors
            left = a.at_least(CALL, latex) + top
        return Piece(f"{left} {right}", MATMUL)
    if len(operands) == 2 and _is_outer(operands[0], operands[1], out):
        return Piece(f"{args[0].at_least(MATMUL, latex)} {args[1].at_least(CALL, latex)}{top}", MATMUL)
    blocks = _as_matrices(operands, out)
    if blocks is not None:
        left_t, right_t, swapped = blocks
        a, b = (args[1], args[0]) if swapped else (args[0], args[1])
        left = a.at_least(CALL, latex) + top if left_t else a.at_least(MATMUL, latex)
        right = b.at_least(CALL, latex) + top if right_t else b.at_least(MATMUL + 1, latex)
        return Piece(f"{left} {right}", MATMUL)
    inner = ", ".join(p.text for p in args)
    if latex:
        return Piece(f"\\operatorname{{einsum}}_{{{','.join(operands)} \\to {out}}}\\left({inner}\\right)", CALL)
    return Piece(f"einsum[{spec.replace('->', '→')}]({inner})", CALL)


def _is_outer(a: str, b: str, out: str) -> bool:
    """Whether it is a bᵀ of two vectors, also for each of the axes that both have: ``mi,mj->mij``."""
    each = "".join(letter for letter in a if letter in b)
    return a[:-1] == b[:-1] == each and a != b and out == a + b[-1]


def _as_matrices(operands: list[str], out: str) -> tuple[bool, bool, bool] | None:
    """As :func:`as_product`, where every letter stands for several axes, and under axes that all three have.

    X W of rows along several axes, Xᵀ dZ summed over all of these, Q Kᵀ for each example and head. What is not kept
    apart is read as one axis: the letters of A alone, those of B alone, those that are summed.
    """
    if len(operands) != 2:
        return None
    each = set(operands[0]) & set(operands[1]) & set(out)
    a, b, c = ("".join(letter for letter in word if letter not in each) for word in (*operands, out))
    summed = "".join(letter for letter in a if letter in b)
    rows, columns = (word.replace(summed, "") for word in (a, b))
    swapped = c != rows + columns
    if not summed or not rows + columns or c not in (rows + columns, columns + rows):
        return None
    if a not in (rows + summed, summed + rows) or b not in (summed + columns, columns + summed):
        return None
    left_t, right_t = a != rows + summed, b != summed + columns
    if swapped:  # (A B)ᵀ = Bᵀ Aᵀ
        left_t, right_t = not right_t, not left_t
    return left_t, right_t, swapped


EINSUM = declare(
    Op(
        name="einsum",
        arity=None,
        doc="products summed over the letters that the result lacks: C_ik = Σ_j A_ij B_jk",
        shape=_shape,
        dtype=lambda inputs, attrs: inputs[0].dtype,
        forward=lambda xp, *xs, spec: xp.einsum(spec, *xs),
        calculus=Linear(_transpose),
        write=_write,
        gate="multiply: swaps, and adds over the sum",
        structure="contraction",
        facts=ABSENT,
        not_differentiable=NOWHERE,
        reference=lambda *xs, spec: np.einsum(spec, *xs),
        cases=(
            Case(((2, 3), (3, 4)), {"spec": "ij,jk->ik"}),
            Case(((3, 2), (3, 4)), {"spec": "ji,jk->ik"}),
            Case(((2, 3), (4, 3)), {"spec": "ij,kj->ik"}),
            Case(((2, 3), (3, 4)), {"spec": "ij,jk->ki"}),
            Case(((3,), (3,)), {"spec": "i,i->"}),
            Case(((3,), (2,)), {"spec": "i,j->ij"}),
            Case(((5, 2, 3), (5, 3, 4)), {"spec": "bij,bjk->bik"}),
            Case(((2, 3), (3, 4), (4, 2)), {"spec": "ij,jk,ki->j"}),
        ),
        extremes=ABSENT,
        prepare=same_float,
        multiply_adds=_multiply_adds,
    ),
    public=False,
)


def contract(operands: Sequence[str], result: str, nodes: Sequence[Node]) -> Node:
    """The contraction in its normal form.

    A letter of one operand alone, not in the result, is summed first; a single number stands in front as a factor.
    """
    operands, nodes = list(operands), list(nodes)
    for i, letters in enumerate(operands):
        elsewhere = set(result).union(*(set(o) for j, o in enumerate(operands) if j != i))
        alone = tuple(k for k, letter in enumerate(letters) if letter not in elsewhere)
        if alone:
            nodes[i] = sum_(nodes[i], alone)
            operands[i] = "".join(letter for k, letter in enumerate(letters) if k not in alone)
    numbers = [n for letters, n in zip(operands, nodes, strict=True) if not letters]
    arrays = [n for letters, n in zip(operands, nodes, strict=True) if letters]
    operands = [letters for letters in operands if letters]
    if len(arrays) > 1:
        found: Node | None = EINSUM(*arrays, spec=",".join(operands) + "->" + result)
    else:
        found = transpose(arrays[0], tuple(operands[0].index(letter) for letter in result)) if arrays else None
    for number in reversed(numbers):
        found = number if found is None else number * found
    assert found is not None
    return found


@vocabulary
def einsum(spec: str, *operands: Any) -> Node:
    """Products summed over the letters that the result lacks, as in NumPy: ``einsum("ij,jk->ik", A, B)``.

    A letter may stand twice in one operand (a diagonal) and only in one operand (a plain sum). The result's
    letters may be left out; then they are those that occur once, in alphabetical order.

    >>> import chainrule as cr
    >>> A, B = cr.parameter("A", (2, 3)), cr.parameter("B", (3, 4))
    >>> print(einsum("ij,jk->ki", A, B))
    Bᵀ Aᵀ
    """
    nodes = [lift(o) for o in operands]
    text = spec.replace(" ", "")
    if "." in text:
        raise ConfigurationError("einsum: '...' is not supported", given=spec, hint="write a letter for every axis")
    left, arrow, result = text.partition("->")
    terms = left.split(",")
    if not all(c.isalpha() or c == "," for c in left + result):
        raise ConfigurationError("einsum: not a letter", given=spec, expected="such as 'ij,jk->ik'")
    if len(terms) != len(nodes):
        raise ConfigurationError(
            "einsum: one group of letters for every operand", given=f"{spec} for {len(nodes)} operands"
        )
    if not arrow:
        result = "".join(sorted(c for c in set(left) - {","} if left.count(c) == 1))
    for letter in result:
        if letter not in left or result.count(letter) > 1:
            raise ConfigurationError(
                f"einsum: the result's letter {letter} must occur once, and in an operand", given=spec
            )
    for letters, node in zip(terms, nodes, strict=True):
        if len(letters) != node.ndim:
            raise misfit(f"einsum {spec}", nodes, expected=f"one letter for every axis, not '{letters}' for {node!r}")
    return contract(*_without_repeats(terms, result, nodes))


def _without_repeats(terms: list[str], result: str, nodes: list[Node]) -> tuple[list[str], str, list[Node]]:
    """A letter that stands twice in one operand becomes two, tied by an identity matrix."""
    fresh = (c for c in LETTERS if c not in "".join(terms))
    out_terms, out_nodes = [], []
    ties: list[tuple[str, Node]] = []
    for letters, node in zip(terms, nodes, strict=True):
        seen = ""
        for letter, size in zip(letters, node.shape, strict=True):
            if letter in seen:
                new = next(fresh)
                ties.append((letter + new, eye(size)))
                seen += new
            else:
                seen += letter
        out_terms.append(seen)
        out_nodes.append(node)
    return out_terms + [t for t, _ in ties], result, out_nodes + [n for _, n in ties]


@vocabulary
def matmul(a: Any, b: Any) -> Node:
    """The matrix product ``a @ b``, with NumPy's rules for vectors and for leading (batch) axes."""
    a, b = lift(a), lift(b)
    if not a.ndim or not b.ndim:
        raise misfit("matmul", (a, b), expected="at least one axis each", hint="use * to multiply by a number")
    inner_a, inner_b = a.shape[-1], b.shape[-2 if b.ndim > 1 else -1]
    if inner_a != inner_b:
        raise misfit(
            "matmul (a @ b)",
            (a, b),
            expected=f"the last size of {a.name or 'a'} equal to the {'first' if b.ndim <= 2 else 'last but one'} size "
            f"of {b.name or 'b'}",
            hint=_matmul_hint(a, b),
        )
    lead_a, lead_b = a.shape[:-2], b.shape[:-2]
    a, b, letters_a, letters_b, lead = _batch_letters(a, b, lead_a, lead_b)
    core_a = "x" if a.ndim - len(letters_a) == 1 else "wx"
    core_b = "x" if b.ndim - len(letters_b) == 1 else "xy"
    result = lead + core_a.replace("x", "") + core_b.replace("x", "")
    return contract([letters_a + core_a, letters_b + core_b], result, [a, b])


def _batch_letters(a: Node, b: Node, lead_a: Shape, lead_b: Shape) -> tuple[Node, Node, str, str, str]:
    """Letters for the leading axes; axes of size 1 are dropped, since they are repeated anyway."""
    rank = max(len(lead_a), len(lead_b))
    lead = LETTERS[:rank]
    sizes_a, sizes_b = (1,) * (rank - len(lead_a)) + lead_a, (1,) * (rank - len(lead_b)) + lead_b
    keep_a, keep_b = "", ""
    for letter, sa, sb in zip(lead, sizes_a, sizes_b, strict=True):
        if sa != sb and sa != 1 and sb != 1:
            raise misfit("matmul (a @ b)", (a, b), expected="leading axes of equal size, or 1")
        keep_a += letter if sa != 1 or sb == 1 else ""
        keep_b += letter if sb != 1 or sa == 1 else ""
    if rank == 0:
        return a, b, "", "", ""
    kept_a = tuple(s for letter, s in zip(lead, sizes_a, strict=True) if letter in keep_a)
    kept_b = tuple(s for letter, s in zip(lead, sizes_b, strict=True) if letter in keep_b)
    core_a, core_b = a.shape[len(lead_a) :], b.shape[len(lead_b) :]
    return reshape(a, kept_a + core_a), reshape(b, kept_b + core_b), keep_a, keep_b, lead


def _matmul_hint(a: Node, b: Node) -> str | None:
    if b.ndim == 2 and a.ndim and a.shape[-1] == b.shape[1]:
        return f"{b.name or 'b'}.T fits"
    if a.ndim == 2 and b.ndim and a.shape[0] == b.shape[0]:
        return f"{a.name or 'a'}.T fits"
    return None


@vocabulary
def dot(a: Any, b: Any) -> Node:
    """The product of two vectors or matrices: the same as ``a @ b``."""
    return matmul(a, b)


@vocabulary
def outer(a: Any, b: Any) -> Node:
    """The outer product of two vectors: C_ij = a_i b_j."""
    a, b = lift(a), lift(b)
    if a.ndim != 1 or b.ndim != 1:
        raise ShapeError("outer takes two vectors", given=f"{a!r} and {b!r}")
    return contract(["i", "j"], "ij", [a, b])
