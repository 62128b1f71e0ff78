"""The figures of one network per example, averaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainrule.explain.compare.figures import BLUE, GREY, RED, Drawing, look, sheet, styled

if TYPE_CHECKING:
    from chainrule.explain.compare.per_example import PerExampleComparison


@styled
def curve(found: PerExampleComparison) -> Drawing:
    """Left: the network of each example. Right: what comes of averaging, and one network on all."""
    c = found.curve
    figure, axes = sheet(1, 2, 11, 4.2, sharey=True)
    left, right = axes.flat
    for line in c.each:
        left.plot(c.x, line, color=GREY, linewidth=0.8, alpha=0.7)
    left.set_title("each network passes through its own example", fontsize="medium")
    for k, (name, line) in enumerate(c.ways.items()):
        right.plot(c.x, line, **look(k), linewidth=2, label=name)
    right.set_title("averaged", fontsize="medium")
    for one in (left, right):
        one.plot(c.x, c.y, color="#bbbbbb", linewidth=3, zorder=0, label="exp(x)")
        one.plot(*c.examples.T, "o", color=RED, markersize=4)
        one.set(xlabel="x", ylim=(-1.5, 8))
    right.legend(frameon=False, fontsize="small", loc="upper left")
    return figure


@styled
def groups(found: PerExampleComparison) -> Drawing:
    """Test error over the number of examples that each network is trained on, before they are averaged."""
    from chainrule.explain.compare.per_example import ALL, CONSTANT

    figure, axes = sheet(1, 1, 8.5, 4.4)
    (one,) = axes.flat
    sizes = list(next(iter(found.groups.values())))
    largest = max(sizes)
    for k, (name, by) in enumerate(found.groups.items()):
        spread = [s.deviation if len(s.values) > 1 else 0.0 for s in by.values()]
        label = name.replace("one per example", "one per group")
        one.errorbar(
            list(by), [s.mean for s in by.values()], yerr=spread, **look(k), marker="o", capsize=2, label=label
        )
    for name, colour in ((ALL, BLUE), (CONSTANT, GREY)):
        level = found.ways[name].test.mean
        one.axhline(level, color=colour, linewidth=0.8, linestyle=":")
        style = {"textcoords": "offset points", "fontsize": "small", "ha": "right", "color": colour}
        one.annotate(name, (largest, level), (0, 4), **style)
    one.set_xscale("log")
    one.set_xticks(sizes, list(map(str, sizes)))
    one.minorticks_off()
    one.set(xlabel="examples per network", ylabel="error (RMSE) on test rows")
    figure.legend(loc="outside lower center", frameon=False, fontsize="small", ncols=2)
    return figure
