"""Figures of the anatomy of a network: curves over one input, surfaces over two."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from chainrule.explain.figures import (
    COLOURS,
    GREY,
    INK,
    Drawing,
    drawing,
    label_ends,
    look,
    shades,
    space,
    style,
    symbol,
)

if TYPE_CHECKING:
    from chainrule.explain.anatomy import Anatomy, Unit

Array = np.ndarray[Any, Any]
MOST_LABELS = 12
"""More curves than that in a panel are not named one by one."""
MOST_SURFACES = 5
"""At most so many surfaces stand in a row."""


def draw_anatomy(found: Anatomy, output: int = 0) -> Drawing:
    """The units of every layer, the weighted curves, and their running sum up to an output."""
    last = found.unit(len(found.layers), output)
    with style():
        return (_curves if len(found.cut.axes) == 1 else _surfaces)(found, last, output)


def draw_unit(unit: Unit) -> Drawing:
    """One unit, step by step."""
    with style():
        if len(unit.cut.axes) == 2:
            return _unit_surfaces(unit)
        return _stages(unit) if unit.stages else _unit_curves(unit)


# --- over one input ---------------------------------------------------------------------------------------


def _curves(found: Anatomy, last: Unit, output: int) -> Drawing:
    x = found.cut.axes[0]
    panels: list[Callable[[Axes], None]] = []
    for layer in found.layers[:-1]:
        names = [f"{layer.name}[{j}]" for j in range(layer.values.shape[1])]
        panels.append(
            _lines_panel(x, layer.values.T, names, f"units: {symbol(layer.name)} = {_mathematics(layer.formula)}")
        )
    panels.append(_weighted_panel(x, last))
    bends = last.formula != last.sum_name or found.prediction_name == "ŷ"
    panels.append(_running_panel(x, last, None if bends else _points_of(found, output)))
    if bends:
        panels.append(_output_panel(found, last, output))
    return _row(panels, found)


def _row(panels: Sequence[Callable[[Axes], None]], found: Any) -> Drawing:
    across = min(len(panels), 3 if len(panels) != 4 else 2)
    down = -(-len(panels) // across)
    figure = drawing(4.1 * across, 3.3 * down)
    for k, (panel, axes) in enumerate(
        zip(panels, np.ravel(figure.subplots(down, across, squeeze=False)), strict=False)
    ):
        axes.set_xlabel(symbol(found.cut.labels[0]))
        axes.set_xlim(found.cut.axes[0][0], found.cut.axes[0][-1])
        panel(axes)
        title = axes.get_title()
        axes.set_title("")
        axes.set_title(f"({'abcdefghijkl'[k]}) {title}", loc="left")
    for axes in figure.axes[len(panels) :]:
        axes.set_axis_off()
    _note_elsewhere(figure, found)
    return figure


def _note_elsewhere(figure: Drawing, found: Any) -> None:
    if found.cut.elsewhere:
        figure.supxlabel(f"at {found.cut.elsewhere}", fontsize=9, color=GREY)


def _lines_panel(x: Array, curves: Array, names: Sequence[str], title: str) -> Callable[[Axes], None]:
    def draw(axes: Axes) -> None:
        axes.axhline(0, color="#cccccc", linewidth=0.8, zorder=0)
        for k, curve in enumerate(curves):
            axes.plot(x, curve, **look(k))
        if len(curves) <= MOST_LABELS:
            ends = [float(c[-1]) for c in curves]
            label_ends(axes, x[-1], ends, [symbol(n) for n in names], [look(k)["color"] for k in range(len(curves))])
        axes.set_title(title)

    return draw


def _weighted_panel(x: Array, unit: Unit) -> Callable[[Axes], None]:
    names = [f"{_short(w)} {symbol(h)}" for w, h in zip(unit.weights, unit.incoming_names, strict=True)]
    weight = unit.weight_names[0].split("[")[0]
    return _lines_panel(x, unit.weighted, names, f"each times its weight {symbol(weight)}")


def _running_panel(x: Array, unit: Unit, examples: tuple[Array, Array] | None = None) -> Callable[[Axes], None]:
    def draw(axes: Axes) -> None:
        axes.axhline(0, color="#cccccc", linewidth=0.8, zorder=0)
        count = len(unit.running)
        for k, (curve, colour) in enumerate(zip(unit.running, shades(count), strict=True)):
            whole = k == count - 1
            axes.plot(
                x,
                curve,
                color=INK if whole else colour,
                linewidth=2.4 if whole else 1.3,
                linestyle="-" if whole else (0, (5, 1.5)),
            )
        texts = [symbol(unit.bias_name) if unit.bias_name else "0", *(f"+ {symbol(h)}" for h in unit.incoming_names)]
        texts[-1] = symbol(unit.sum_name)
        colours = [*shades(count)[:-1], INK]
        if count <= MOST_LABELS:
            label_ends(axes, x[-1], [float(c[-1]) for c in unit.running], texts, colours)
        else:
            label_ends(axes, x[-1], [float(unit.running[-1, -1])], [texts[-1]], [INK])
        if examples is not None:
            _dots(axes, *examples)
        axes.set_title("added one after the other")

    return draw


def _output_panel(found: Anatomy, last: Unit, output: int) -> Callable[[Axes], None]:
    def draw(axes: Axes) -> None:
        x = found.cut.axes[0]
        bent = last.formula != last.sum_name
        value = last.value if bent else found.prediction[:, min(output, found.prediction.shape[1] - 1)]
        name = last.name if bent else "ŷ"
        axes.plot(x, value, color=INK, linewidth=2.4)
        points = _points_of(found, output)
        if points is not None:
            _dots(axes, *points)
        label_ends(axes, x[-1], [float(value[-1])], [symbol(name)], [INK])
        axes.set_title(f"{symbol(name)} = {_mathematics(last.formula)}" if bent else "the prediction")

    return draw


def _points_of(found: Anatomy, output: int) -> tuple[Array, Array] | None:
    if found.examples is None or found.examples[1] is None:
        return None
    rows, labels = found.examples
    assert labels is not None
    y = labels[:, min(output, labels.shape[1] - 1)] if labels.ndim == 2 else (labels == output).astype(float)
    return rows[:, found.cut.varied[0]], y


def _dots(axes: Axes, x: Array, y: Array) -> None:
    few = len(x) <= 60
    axes.plot(
        x,
        y,
        "o",
        color=COLOURS[1],
        markersize=7 if len(x) <= 10 else 5 if few else 3,
        markeredgecolor="white",
        markeredgewidth=0.7,
        zorder=4 if len(x) <= 10 else 1.5,
        alpha=1 if few else 0.6,
        clip_on=not few,
    )


def _stages(unit: Unit) -> Drawing:
    """From the bare activation to what the unit adds to the next layer's sum."""
    x = unit.cut.axes[0]
    across = len(unit.stages)
    figure = drawing(2.9 * across + 0.4, 3.2)
    panels = np.ravel(figure.subplots(1, across, sharey=True, squeeze=False))
    for k, (axes, stage) in enumerate(zip(panels, unit.stages, strict=True)):
        axes.axhline(0, color="#cccccc", linewidth=0.8, zorder=0)
        if k:
            axes.plot(x, unit.stages[k - 1].curve, color=GREY, linestyle=(0, (5, 2)), linewidth=1.2)
        axes.plot(x, stage.curve, color=COLOURS[0], linewidth=2.2)
        axes.set(xlabel=symbol(unit.cut.labels[0]), xlim=(x[0], x[-1]))
        axes.set_title(f"{_mathematics(stage.formula)}\n{_words(stage.words)}", loc="left")
    panels[0].set_ylabel(symbol(unit.name))
    return figure


def _words(text: str) -> str:
    text = text.replace("|w|", "$|w|$").replace("−b/w", "$-b/w$").replace("w < 0", "$w < 0$")
    return re.sub(r"^b =", "$b$ =", re.sub(r"\bx$", "$x$", text))


def _unit_curves(unit: Unit) -> Drawing:
    x = unit.cut.axes[0]
    panels = [_weighted_panel(x, unit), _running_panel(x, unit)]
    if unit.formula != unit.sum_name:

        def bent(axes: Axes) -> None:
            axes.axhline(0, color="#cccccc", linewidth=0.8, zorder=0)
            axes.plot(x, unit.running[-1], color=GREY, linestyle=(0, (5, 2)), linewidth=1.3)
            axes.plot(x, unit.value, color=INK, linewidth=2.4)
            ends = [float(unit.running[-1, -1]), float(unit.value[-1])]
            label_ends(axes, x[-1], ends, [symbol(unit.sum_name), symbol(unit.name)], [GREY, INK])
            axes.set_title(f"{symbol(unit.name)} = {_mathematics(unit.formula)}")

        panels.append(bent)
    return _row(panels, unit)


# --- over two inputs --------------------------------------------------------------------------------------


Surface = tuple[str, Array, bool]
"""A title, the heights, and whether it is a whole sum rather than a part of one."""


def _surfaces(found: Anatomy, last: Unit, output: int) -> Drawing:
    rows = [
        [(symbol(f"{layer.name}[{j}]"), layer.values[:, j], False) for j in range(layer.values.shape[1])]
        for layer in found.layers[:-1]
    ]
    weighted, total = _parts(last), _total(last)
    if last.formula == last.sum_name and found.prediction_name == "ŷ":
        total.append((symbol("ŷ"), found.prediction[:, min(output, found.prediction.shape[1] - 1)], True))
    rows.append(weighted)
    if len(weighted) + 1 > MOST_SURFACES:
        return _grid([*rows, total], found)
    rows[-1] = [*weighted, total[-1]]
    if len(total) > 1 and len(rows) > 1:  # units and sum above, weighted units and output below
        rows[-2] = [*rows[-2], total[0]]
    elif len(total) > 1:
        rows[-1] = [*weighted, *total]
    return _grid(rows, found)


def _unit_surfaces(unit: Unit) -> Drawing:
    weighted, total = _parts(unit), _total(unit)
    return _grid([weighted + total] if len(weighted + total) <= 4 else [weighted, total], unit)


def _parts(unit: Unit) -> list[Surface]:
    titles = [f"{_short(w)} {symbol(h)}" for w, h in zip(unit.weights, unit.incoming_names, strict=True)]
    return [(title, curve, False) for title, curve in zip(titles, unit.weighted, strict=True)]


def _total(unit: Unit) -> list[Surface]:
    total: list[Surface] = [(f"sum: {symbol(unit.sum_name)}", unit.running[-1], True)]
    if unit.formula != unit.sum_name:
        total.append((f"{symbol(unit.name)} = {_mathematics(unit.formula)}", unit.value, True))
    return total


def _grid(rows: Sequence[Sequence[Surface]], found: Any) -> Drawing:
    shown = [
        [*[part for part in row if not part[2]][:MOST_SURFACES], *[part for part in row if part[2]]] for row in rows
    ]
    across, down = max(map(len, shown)), len(shown)
    figure = drawing(max(3.3 * across, 6.5), 3.1 * down)
    grid = figure.add_gridspec(down, across)
    first, second = np.meshgrid(*found.cut.axes)
    for r, (row, all_) in enumerate(zip(shown, rows, strict=True)):
        alike = np.array([values for _, values, whole in row if not whole])
        for c, (title, values, whole) in enumerate(row):
            axes = space(figure, grid[r, c])
            height = values.reshape(found.cut.shape)
            axes.plot_surface(
                first,
                second,
                height,
                cmap="cividis" if whole else "Blues",
                linewidth=0.2,
                edgecolor="#33333366",
                rcount=41,
                ccount=41,
                **({} if whole else {"vmin": alike.min() - 0.6 * np.ptp(alike), "vmax": alike.max()}),
            )
            if not whole and np.ptp(alike) > 0:  # one scale, so that what adds little looks little
                axes.set_zlim(alike.min(), alike.max())
            axes.set_xlabel(symbol(found.cut.labels[0]), labelpad=-2)
            axes.set_ylabel(symbol(found.cut.labels[1]), labelpad=-2)
            more = f"   ({len(row)} of {len(all_)} shown)" if c == 0 and len(all_) > len(row) else ""
            axes.set_title(title + more, y=0.98)
    _note_elsewhere(figure, found)
    return figure


# --- how formulas are written in figures ------------------------------------------------------------------


def _short(value: float) -> str:
    return f"{value:.2g}".replace("-", "−") if abs(value) < 100 else f"{value:.0f}".replace("-", "−")


def _mathematics(formula: str) -> str:
    """A formula of the text notation with its symbols as mathematics."""
    named = re.sub(r"[A-Za-z]\d+(?:\[\d+(?:, \d+)?\])?", lambda m: symbol(m[0]), formula)
    return re.sub(r"(?<![\w$])x(?![\w$])", "$x$", named)
