"""The figure of a sweep: every score of every candidate, best on top."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from chainrule.train.readings import READINGS
from chainrule.train.sweeps.ranking import Ranking

if TYPE_CHECKING:
    from chainrule.explain.figures import Drawing

MOST = 40
"""More rows than that do not go into a figure; the best are shown."""


def draw_ranking(ranking: Ranking) -> Drawing:
    """A row for each candidate: its scores as dots, mean and standard deviation as a bar; a row that diverged is empty.

    Candidates that may equal the best, as far as the trainings show, are blue, the others grey; of those that were
    given up the dots are hollow.
    """
    from chainrule.explain.figures import COLOURS, GREY, drawing, style

    rows = ranking.candidates[:MOST]
    ties = ranking.ties
    with style():
        figure = drawing(7.2, 1.1 + 0.27 * len(rows))
        axes = figure.subplots()
        for place, row in enumerate(rows):
            colour = COLOURS[0] if row.name in ties else GREY
            inside = "none" if row.stopped is not None else colour
            ys = np.full(len(row.scores), place)
            axes.plot(row.scores, ys, "o", color=colour, markerfacecolor=inside, markersize=4, alpha=0.55, mew=0.8)
            axes.errorbar(
                row.mean, place, xerr=np.nan_to_num(row.spread), fmt="|", color=colour, markersize=11, linewidth=1.6
            )
        axes.set_yticks(range(len(rows)), [row.name for row in rows])
        axes.set(ylim=(len(rows) - 0.4, -0.6), xlabel=ranking.monitor.replace("_", " "))
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        finite = np.concatenate([row.scores[np.isfinite(row.scores)] for row in rows])
        if len(finite) and not ranking.monitor.endswith("accuracy") and finite.max() > 30 * finite.min() > 0:
            axes.set_xscale("log")
        axes.set_title(_title(ranking), loc="left")
    return figure


def _title(ranking: Ranking) -> str:
    count = len(ranking.candidates[0].scores)
    if count == 1:
        each = "one training each"
    else:
        each = f"{ranking.folds} folds" if ranking.folds else f"{len(ranking.seeds)} seeds"
        each += " each; blue: may equal the best"
    if any(row.stopped is not None for row in ranking.candidates):
        each += "; hollow: given up"
    if any(not np.isfinite(row.scores).any() for row in ranking.candidates[:MOST]):
        each += "; empty: failed or diverged"
    return each if len(ranking) <= MOST else f"the best {MOST} of {len(ranking)}; {each}"


READINGS["ranking"] = draw_ranking
