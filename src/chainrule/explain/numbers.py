"""How numbers and tables are written in explanations: short, aligned, with a true minus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.graph.dim import show
from chainrule.notation import columns, padded


def brief(array: Any, most: int = 3) -> str:
    """A number as it is, a few in brackets, many by the first, the last and the shape."""
    array = np.asarray(array)
    if array.ndim == 0:
        return number(array[()])
    flat = array.ravel()
    shown = [number(v) for v in (flat if flat.size <= most else flat[: most - 1])]
    if flat.size > most:
        shown += ["…", number(flat[-1])]
    return f"[{' '.join(shown)}]" + ("" if flat.size <= most else f" {show(array.shape)}")


def number(value: Any) -> str:
    """Four digits, with a true minus."""
    text = str(bool(value)) if isinstance(value, (bool, np.bool_)) else f"{float(value) + 0.0:.4g}"  # −0 is 0
    return text.replace("-", "−")


def aligned(rows: Sequence[Sequence[str]], gap: str = "   ") -> list[str]:
    """The rows of a table as lines, every column as wide as its widest cell."""
    widths = [max(columns(row[k]) for row in rows) for k in range(len(rows[0]) if rows else 0)]
    return [gap.join(padded(cell, w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
