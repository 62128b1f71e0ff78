"""What the figures of the comparisons share: a sheet of axes, and dots with their spread."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from chainrule.explain.compare.spread import Spread
from chainrule.explain.figures import COLOURS, GREY, Drawing, drawing, look, style

__all__ = ["BLUE", "GREY", "RED", "Drawing", "dots", "look", "sheet", "styled"]
BLUE, RED = COLOURS[:2]
Found = TypeVar("Found")


def styled(draw: Callable[[Found], Drawing]) -> Callable[[Found], Drawing]:
    """The same function of a comparison, drawing in the style of all figures."""

    @functools.wraps(draw)
    def drawn(found: Found) -> Drawing:
        with style():
            return draw(found)

    return drawn


def sheet(rows: int, columns: int, width: float, height: float, **options: Any) -> tuple[Drawing, Any]:
    """A figure of this size in inches, and an array of its axes (rows, columns)."""
    figure = drawing(width, height)
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def dots(axes: Any, names: Sequence[str], spreads: Mapping[str, Spread], marked: Sequence[str] = ()) -> None:
    """For each name, from top to bottom, the numbers of the seeds, their mean and standard deviation."""
    for k, name in enumerate(names):
        if name not in spreads:
            continue
        spread = spreads[name]
        colour = RED if name in marked else BLUE
        axes.plot(spread.values, [k] * len(spread.values), "|", color=GREY, markersize=6)
        deviation = spread.deviation if len(spread.values) > 1 else 0.0
        axes.errorbar(spread.mean, k, xerr=deviation, fmt="o", color=colour, markersize=5, capsize=2)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), names)
    axes.grid(axis="y", color="#eeeeee")
    axes.set_axisbelow(True)
