"""The figures of a comparison of losses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from chainrule.explain.compare.figures import BLUE, GREY, RED, Drawing, look, sheet, styled
from chainrule.explain.numbers import number

if TYPE_CHECKING:
    from chainrule.explain.compare.losses import LossComparison


@styled
def sigmoid(found: LossComparison) -> Drawing:
    """Loss, gradient and curvature of one example with the label 1, over the logit."""
    figure, axes = sheet(1, 3, 12, 3.6)
    titles = ("L, the loss", "∂L/∂z, the gradient", "∂²L/∂z², the curvature")
    for k, (one, title) in enumerate(zip(axes.flat, titles, strict=True), start=1):
        one.axhline(0, color="#cccccc", linewidth=0.8)
        for a, colour, dash in zip(found.after_sigmoid, (RED, BLUE), ("-", "--"), strict=True):
            one.plot(a.curve[0], a.curve[k], dash, color=colour, label=a.loss)
            if k == 3 and a.negative is not None:
                one.axvspan(-8, a.negative[1], color="#eeeeee", linewidth=0)
                one.annotate(
                    f"negative up to z = {number(round(a.negative[1], 3))}", (-7.8, 0.2), fontsize="small", color=GREY
                )
        one.set(xlabel="logit z", xlim=(-8, 8))
        one.set_title(title, fontsize="medium")
    axes.flat[0].legend(frameon=False, fontsize="small")
    figure.suptitle("One example with the label 1, ŷ = σ(z): on the left of each picture the prediction is wrong")
    return figure


@styled
def learning(found: LossComparison) -> Drawing:
    """Accuracy on test rows by epoch, from both starts."""
    starts = list(dict.fromkeys(t.start for t in found.trained))
    figure, axes = sheet(1, len(starts), 10, 3.6, sharey=True)
    for one, start in zip(axes.flat, starts, strict=True):
        for t, colour, dash in zip(
            (t for t in found.trained if t.start == start), (RED, BLUE), ("-", "--"), strict=True
        ):
            epochs = np.arange(1, len(t.curve) + 1)
            one.plot(epochs, t.curve, dash, color=colour, label=f"{t.loss}, α = {t.learning_rate:g}")
        one.set(xlabel="epoch")
        one.set_title(start, fontsize="medium")
    axes.flat[0].set_ylabel("accuracy on test rows")
    axes.flat[0].legend(frameon=False, fontsize="small", loc="lower right")
    return figure


@styled
def outliers(found: LossComparison) -> Drawing:
    """Error on clean test rows over the share of wrong labels."""
    figure, axes = sheet(1, 1, 7, 3.8)
    (one,) = axes.flat
    for k, w in enumerate(found.with_outliers):
        shares = [100 * share for share in w.errors]
        means = [e.mean for e in w.errors.values()]
        spread = [e.deviation if len(e.values) > 1 else 0.0 for e in w.errors.values()]
        one.errorbar(shares, means, yerr=spread, **look(k), marker="o", markersize=4, capsize=2, label=w.loss)
    one.set_xticks(shares)
    one.set(xlabel="wrong labels among the training examples, %", ylabel="mean absolute error on clean rows")
    one.legend(frameon=False, fontsize="small")
    return figure
