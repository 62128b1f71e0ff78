"""Named sizes: ``Dim("m")`` stands for a number of rows that is known only when numbers are fed.

A :class:`Dim` is a polynomial with integer coefficients in named sizes, so that ``2*m + 3`` (two
batches joined, three rows padded) is a size too. A size is an ``int`` or a ``Dim``; a shape is a tuple
of sizes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import index
from typing import Union

from chainrule.errors import ShapeError

Monomial = tuple[str, ...]
Size = Union[int, "Dim"]
Shape = tuple[Size, ...]


class Dim:
    """A named size, or a sum of products of named sizes.

    >>> m = Dim("m")
    >>> m, 2 * m + 3, m - 1, m - m, m * Dim("n")
    (m, 2m + 3, m - 1, 0, m n)
    """

    __slots__ = ("_hash", "terms")
    terms: tuple[tuple[Monomial, int], ...]

    def __init__(self, name: str) -> None:
        if not isinstance(name, str) or not name.isidentifier():
            raise ShapeError("a size cannot have this name", given=repr(name), expected="a name such as 'm'")
        self._set((((name,), 1),))

    def _set(self, terms: tuple[tuple[Monomial, int], ...]) -> None:
        self.terms = terms
        self._hash = hash(terms)

    @staticmethod
    def _of(terms: Mapping[Monomial, int]) -> Size:
        kept = tuple(sorted(((k, c) for k, c in terms.items() if c), key=lambda kc: (-len(kc[0]), kc[0])))
        if not kept:
            return 0
        if len(kept) == 1 and kept[0][0] == ():
            return kept[0][1]
        dim = object.__new__(Dim)
        dim._set(kept)
        return dim

    @property
    def names(self) -> frozenset[str]:
        """The named sizes that occur in it."""
        return frozenset(name for monomial, _ in self.terms for name in monomial)

    @property
    def is_name(self) -> bool:
        """True for a plain name such as ``m``."""
        return len(self.terms) == 1 and self.terms[0][1] == 1 and len(self.terms[0][0]) == 1

    def __add__(self, other: Size) -> Size:
        terms = dict(self.terms)
        for monomial, c in _terms(other):
            terms[monomial] = terms.get(monomial, 0) + c
        return Dim._of(terms)

    def __mul__(self, other: Size) -> Size:
        terms: dict[Monomial, int] = {}
        for a, ca in self.terms:
            for b, cb in _terms(other):
                key = tuple(sorted(a + b))
                terms[key] = terms.get(key, 0) + ca * cb
        return Dim._of(terms)

    def __neg__(self) -> Size:
        return self * -1

    def __sub__(self, other: Size) -> Size:
        return self + (other * -1)

    def __rsub__(self, other: Size) -> Size:
        return self * -1 + other

    __radd__ = __add__
    __rmul__ = __mul__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dim) and self.terms == other.terms

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        parts = []
        for monomial, c in self.terms:
            word = " ".join(monomial)
            factor = {1: "", -1: "-"}.get(c, str(c))
            parts.append(factor + word if word else str(c))
        return " + ".join(parts).replace("+ -", "- ")


def _terms(size: Size) -> tuple[tuple[Monomial, int], ...]:
    return size.terms if isinstance(size, Dim) else (((), index(size)),)


def as_size(value: object) -> Size:
    """A size from an ``int``, a name or a ``Dim``.

    >>> as_size("m"), as_size(3)
    (m, 3)
    """
    if isinstance(value, Dim):
        return value
    if isinstance(value, str):
        return Dim(value)
    try:
        number = value.__index__()  # type: ignore[attr-defined]
    except (AttributeError, TypeError):
        raise ShapeError(
            "not a size",
            given=repr(value),
            expected="a whole number, or a name such as 'm' for one known later",
        ) from None
    if number < 0:
        raise ShapeError("a size cannot be negative", given=number)
    return int(number)


def as_shape(value: object) -> Shape:
    """A shape from an ``int``, a name, or a sequence of them."""
    if isinstance(value, (str, int, Dim)):
        return (as_size(value),)
    if not isinstance(value, Iterable):
        raise ShapeError("not a shape", given=repr(value), expected="a tuple of sizes such as ('m', 2)")
    return tuple(as_size(v) for v in value)


def product(sizes: Iterable[Size]) -> Size:
    """The number of elements in a shape."""
    total: Size = 1
    for size in sizes:
        total = total * size
    return total


def definite(shape: Iterable[Size]) -> tuple[int, ...]:
    """A shape without named sizes, as integers; an error where a size is still a name."""
    return tuple(resolve(size, {}) for size in shape)


def quotient(total: Size, part: Size) -> Size | None:
    """``total / part`` where it is a whole size, else None.

    >>> quotient(6 * Dim("m"), 2), quotient(Dim("m"), 2)
    (3m, None)
    """
    divisor = _terms(part)
    if len(divisor) != 1 or divisor[0][1] == 0:
        return 1 if total == part else None
    if total == 0:
        return 0
    monomial, c = divisor[0]
    out: dict[Monomial, int] = {}
    for names, k in _terms(total):
        left = list(names)
        for name in monomial:
            if name not in left:
                return None
            left.remove(name)
        if k % c:
            return None
        out[tuple(left)] = k // c
    return Dim._of(out)


def resolve(size: Size, sizes: Mapping[str, int]) -> int:
    """The number that a size stands for, given the number for each name."""
    if isinstance(size, int):
        return size
    total = 0
    for monomial, c in size.terms:
        for name in monomial:
            try:
                c *= sizes[name]
            except KeyError:
                raise ShapeError(
                    f"the size {name} is not known",
                    hint=f"feed an input whose shape contains {name}, or pass sizes={{'{name}': …}}",
                ) from None
        total += c
    return total


def bind(shape: Shape, actual: tuple[int, ...], sizes: dict[str, int], what: str) -> None:
    """Learn named sizes from an array's shape, and check everything that is already known.

    Adds to ``sizes`` in place. Raises :class:`ShapeError` naming ``what`` where the array does not fit.
    """
    fits = len(shape) == len(actual)
    if fits:
        for size, number in zip(shape, actual, strict=True):
            if isinstance(size, Dim) and size.is_name and size.terms[0][0][0] not in sizes:
                sizes[size.terms[0][0][0]] = number
        known = [
            resolve(s, sizes) if isinstance(s, int) or s.names <= sizes.keys() else n
            for s, n in zip(shape, actual, strict=True)
        ]
        fits = known == list(actual)
    if not fits:
        bound = ", ".join(f"{k} = {v}" for k, v in sizes.items())
        raise ShapeError(
            f"the array for {what} has the wrong shape",
            given=show(actual),
            expected=show(shape) + (f"  with {bound}" if bound else ""),
        )


def show(shape: Iterable[Size]) -> str:
    """A shape as people write it: ``(m, 2)``.

    >>> show((Dim("m"), 2)), show((3,)), show(())
    ('(m, 2)', '(3,)', '()')
    """
    sizes = [str(s) for s in shape]
    return f"({sizes[0]},)" if len(sizes) == 1 else "(" + ", ".join(sizes) + ")"


def broadcast(*shapes: Shape) -> Shape | None:
    """The shape that NumPy's broadcasting gives, or None where the shapes do not fit.

    >>> broadcast((Dim("m"), 1), (3,))
    (m, 3)
    """
    wide = [s for s in shapes if s]
    if all(s == wide[0] for s in wide):  # with each other and with single numbers, as nearly always
        return wide[0] if wide else ()
    rank = max(len(s) for s in wide)
    out: list[Size] = [1] * rank
    for shape in shapes:
        offset = rank - len(shape)
        for i, size in enumerate(shape):
            if size == 1 or size == out[offset + i]:
                continue
            if out[offset + i] != 1:
                return None
            out[offset + i] = size
    return tuple(out)
