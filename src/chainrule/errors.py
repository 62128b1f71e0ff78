"""Every exception of chainrule: what went wrong, what was given, what was expected, and what to do.

All of them derive from :class:`ChainruleError`, and each also from the built-in exception that a
Python programmer would expect (``ValueError``, ``TypeError`` …), so both kinds of ``except`` work.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Self


class ChainruleError(Exception):
    """An error whose message teaches: the fact first, then given, expected and a hint, a line each.

    >>> print(ChainruleError("the shapes do not fit", given="(3, 2)", expected="(2, k)", hint="transpose it"))
    the shapes do not fit
      given:    (3, 2)
      expected: (2, k)
      hint:     transpose it
    """

    def __init__(
        self,
        what: str,
        *,
        given: object = None,
        expected: object = None,
        hint: str | None = None,
        where: object = None,
    ) -> None:
        self.what = what
        self.given = given
        self.expected = expected
        self.hint = hint
        self.where = where
        rows = (("given", given), ("expected", expected), ("where", where), ("hint", hint))
        lines = [f"  {label + ':':<9} {value}" for label, value in rows if value is not None]
        super().__init__("\n".join([what, *lines]))

    def within(self, place: str) -> Self:
        """The same error, its first line opened with the place that it is about.

        >>> print(DataError("there is no row", given="0 rows").within("b.csv"))
        b.csv: there is no row
          given:    0 rows
        """
        return type(self)(
            f"{place}: {self.what}", given=self.given, expected=self.expected, hint=self.hint, where=self.where
        )


class ShapeError(ChainruleError, ValueError):
    """Shapes that do not fit each other."""


class DTypeError(ChainruleError, TypeError):
    """An operand of the wrong kind: text for a number, a float for an index."""


class GraphError(ChainruleError, ValueError):
    """A graph that is not what the call needs: a missing feed, a cycle, a cost that is not a scalar."""


class DerivativeError(ChainruleError, ValueError):
    """A derivative that does not exist, or a gradient check that failed."""


class ConfigurationError(ChainruleError, ValueError):
    """A setting that is unknown or out of range."""


class DataError(ChainruleError, ValueError):
    """Data that cannot be used as it is: a missing column, text among numbers, infinities."""


class RunError(ChainruleError, ValueError):
    """A run folder that is incomplete, altered, or of a newer format."""


ALIASES = {
    "mse": "squared_error",
    "mean_squared_error": "squared_error",
    "mae": "absolute_error",
    "mean_absolute_error": "absolute_error",
    "bce": "binary_cross_entropy",
    "binary_crossentropy": "binary_cross_entropy",
    "cross_entropy": "categorical_cross_entropy",
    "crossentropy": "categorical_cross_entropy",
    "categorical_crossentropy": "categorical_cross_entropy",
    "sparse_categorical_crossentropy": "categorical_cross_entropy",
    "sgd": "gradient_descent",
    "swish": "silu",
}
"""What other libraries call the same thing."""


def near(name: str, known: Iterable[str], count: int = 3) -> str | None:
    """A hint naming the known names nearest to a misspelt one, or None.

    >>> near("relo", ["relu", "selu", "tanh"])
    "did you mean 'relu' or 'selu'?"
    """
    known = list(known)
    alias = ALIASES.get(name.lower())
    if alias in known:
        return f"did you mean '{alias}'?"
    lowered = {k.lower(): k for k in reversed(known)}
    matches = difflib.get_close_matches(name.lower(), list(lowered), n=count, cutoff=0.5)
    if not matches:
        return None
    return "did you mean " + " or ".join(f"'{lowered[m]}'" for m in matches) + "?"
