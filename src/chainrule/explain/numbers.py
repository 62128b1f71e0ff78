"""How numbers and tables are written in explanations: short, aligned, with a true minus."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from chainrule.graph.dim import show
from chainrule.notation import columns, padded

Array = np.ndarray[Any, Any]
WIDE = 100
"""So many columns a terminal has."""


def brief(array: Any, most: int = 3) -> str:
    """A number as it is, a few in brackets, many by the first, the last and the shape.

    Of those between them the first that is not finite is shown as well, or that differs where all shown are equal.
    """
    array = np.asarray(array)
    if array.ndim == 0:
        return number(array[()])
    flat = array.ravel()
    shown = [number(v) for v in (flat if flat.size <= most else flat[: most - 1])]
    if flat.size > most:
        seen, hidden = flat[[*range(most - 1), -1]], flat[most - 1 : -1]
        odd = ~np.isfinite(hidden) & np.isfinite(seen).all()
        if not odd.any() and (seen == seen[0]).all():
            odd = hidden != seen[0]
        shown += [*(["…", number(hidden[odd][0])] if odd.any() else []), "…", number(flat[-1])]
    return f"[{' '.join(shown)}]" + ("" if flat.size <= most else f" {show(array.shape)}")


def number(value: Any) -> str:
    """Four digits, with a true minus."""
    text = str(bool(value)) if isinstance(value, (bool, np.bool_)) else f"{float(value) + 0.0:.4g}"  # −0 is 0
    return text.replace("-", "−")


def plain(array: Array | None) -> Any:
    """An array as lists for JSON, which knows no NaN and no infinity: they are words."""
    if array is None or np.isfinite(array).all():
        return None if array is None else array.tolist()
    words = array.astype(object)
    for word, where in (("NaN", np.isnan(array)), ("Infinity", array == np.inf), ("-Infinity", array == -np.inf)):
        words[where] = word
    return words.tolist()


def fitted(tables: Iterable[Sequence[Sequence[str]]], wide: int = WIDE) -> list[str]:
    """The first of these tables that is no wider; else the last, where what does not fit is a line further down."""
    rows: Sequence[Sequence[str]] = ()
    for rows in tables:
        lines = aligned(rows)
        if max(map(columns, lines)) <= wide:
            return lines
    out = []
    under = " " * (max(columns(row[0]) for row in rows) + 3)
    for line, row in zip(lines, rows, strict=True):
        below = columns(line) > wide and len(row) > 1
        out += [line.removesuffix(row[-1]).rstrip(), under + row[-1]] if below else [line]
    return out


def aligned(rows: Sequence[Sequence[str]], gap: str = "   ") -> list[str]:
    """The rows of a table as lines, every column as wide as its widest cell."""
    widths = [max(columns(row[k]) for row in rows) for k in range(len(rows[0]) if rows else 0)]
    return [gap.join(padded(cell, w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
