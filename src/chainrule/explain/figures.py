"""How figures look: one style, readable in print and without colours, and shown by a notebook on its own."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

Array = np.ndarray[Any, Any]

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b58900", "#56b4e9", "#444444", "#8a5a2b")
"""Told apart by people who see colours differently (Okabe and Ito 2008), the yellow and the black moderated."""
DASHES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (2, 1.5)), (0, (7, 2, 1.5, 2)), (0, (4, 1, 1, 1, 1, 1)), (0, (1, 1)))
"""A second mark beside the colour."""
MARKERS = "os^DvPX*"
GREY = "#8c8c8c"
INK = "#222222"
DPI = 160
STYLE: dict[Any, Any] = {
    "axes.edgecolor": "#555555",
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10.5,
    "axes.titlepad": 8,
    "axes.labelsize": 10,
    "font.size": 10,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
}


class Drawing(Figure):
    """A Matplotlib figure that a notebook shows by itself; ``savefig`` writes it as PNG, SVG or PDF."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=DPI)
        return buffer.getvalue()


def drawing(width: float, height: float) -> Drawing:
    """An empty figure of this size in inches."""
    return Drawing(figsize=(width, height), layout="constrained")


def style() -> Any:
    """The setting under which figures are drawn."""
    return matplotlib.rc_context(STYLE)


def look(k: int) -> dict[str, Any]:
    """Colour and dashes of the k-th line."""
    return {"color": COLOURS[k % len(COLOURS)], "linestyle": DASHES[k % len(DASHES)]}


def shades(count: int) -> list[Any]:
    """Colours from light to dark, for what comes one after the other."""
    ramp = matplotlib.colormaps["Blues"](np.linspace(0.45, 1.0, max(count, 1)))
    return [tuple(c) for c in ramp]


def label_ends(axes: Axes, x: float, ends: Sequence[float], texts: Sequence[str], colours: Sequence[Any]) -> None:
    """Write the name of every line at its right end, one below the other where they come close."""
    room = 0.085 * 3.2 / axes.get_figure().get_size_inches()[1] * _rows(axes)  # type: ignore[union-attr]
    heights = [float(_height(axes, x, end)) for end in ends]  # as shares of the axes', which may be logarithmic
    order = sorted(range(len(ends)), key=lambda k: heights[k])
    place = [float(np.clip(heights[k], 0, 1)) for k in order]
    for _ in range(200):  # push apart, both ways, until all have room
        moved = False
        for i in range(len(place) - 1):
            lack = room - (place[i + 1] - place[i])
            if lack > 1e-9 * room:
                place[i] -= lack / 2
                place[i + 1] += lack / 2
                moved = True
        if not moved:
            break
    for i in range(len(place)):  # none below the axes
        place[i] = max(place[i], 0 if i == 0 else place[i - 1] + room * (1 - 1e-9))
    for k, y in zip(order, place, strict=True):
        axes.annotate(
            texts[k],
            (x, ends[k]),
            (1.03, y),
            textcoords="axes fraction",
            va="center",
            ha="left",
            fontsize=9,
            color=colours[k],
            annotation_clip=False,
        )


def mark_end(axes: Axes, x: float) -> None:
    """A line where the numbers ceased to be finite; words alone in axes that show none."""
    if axes.images or any(np.isfinite(np.asarray(line.get_ydata(), float)).any() for line in axes.lines):
        axes.axvline(x, color=GREY, linestyle=(0, (1, 1.5)), linewidth=1.2)
        axes.text(x, 0.5, "NaN or infinity", transform=axes.get_xaxis_transform(), **_ASIDE, rotation=90)
    else:
        axes.text(0.5, 0.5, "no finite number", transform=axes.transAxes, **_ASIDE)
        axes.set_yticks([])


_ASIDE: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 8, "color": GREY, "backgroundcolor": "white"}


def _height(axes: Axes, x: float, y: float) -> float:
    return float(axes.transLimits.transform(axes.transScale.transform((x, y)))[1])


def _rows(axes: Axes) -> int:
    spec = axes.get_subplotspec()
    return 1 if spec is None else int(spec.get_gridspec().nrows)


def symbol(name: str) -> str:
    """A name as mathematics: A1[0] is a⁽¹⁾ with the index 0, x[2] is x with the index 2; others stay as they are."""
    matched = re.fullmatch(r"([dΔ]?)([A-Za-zŷ])(\d*)(?:\[([\d, ]+)\])?", name)
    if matched is None:
        return name.replace("_", " ") if "$" not in name else name
    change, letter, layer, index = matched.groups()
    letter = change.replace("Δ", r"\Delta ") + {"ŷ": r"\hat{y}"}.get(letter, letter)
    above = f"^{{[{layer}]}}" if layer else ""
    below = f"_{{{index.replace(' ', '')}}}" if index else ""
    return f"${letter}{above}{below}$"


def space(figure: Figure, position: Any) -> Any:
    """Axes in space, seen from a corner, with thin panes."""
    axes: Any = figure.add_subplot(position, projection="3d")
    axes.view_init(elev=24, azim=-62)
    axes.set_box_aspect((1, 1, 0.78), zoom=1.0)
    for pane in (axes.xaxis, axes.yaxis, axes.zaxis):
        pane.set_pane_color((1, 1, 1, 0))
        pane._axinfo["grid"].update(color="#dddddd", linewidth=0.6)
        pane.set_major_locator(matplotlib.ticker.MaxNLocator(4))
    axes.tick_params(pad=0, labelsize=8)
    return axes
