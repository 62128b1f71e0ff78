"""Linear, polynomial, logistic and softmax regression: one neuron or one layer, each beside scikit-learn's solution.

What one learns: all four are a weighted sum trained by gradient descent. They differ in what follows the sum (nothing,
σ, softmax) and in the loss, which is the negative log-likelihood of a normal error, of a coin, or of a die. The
decision comes after the training: a threshold on ŷ trades false alarms for missed cases. The data are 442 diabetes
patients: body mass index, nine other measurements, and a score of how far the disease had come a year later.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy import stats
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import accuracy_score, precision_score, r2_score, recall_score
from sklearn.preprocessing import scale

import chainrule as cr

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--short", action="store_true", help="fewer epochs: fewer digits in common with scikit-learn")
parser.add_argument("--out", type=Path, default=Path(), metavar="FOLDER", help="where the figure goes")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)
epochs = 1_500 if options.short else 5_000

# 1. The data: ten standardised measurements; a number, a yes or no, and one of three classes to predict.
measurements, progression = load_diabetes(return_X_y=True, scaled=False)
X, Y = scale(measurements), scale(progression)
bmi = X[:, [2]]
powers = scale(bmi ** [1, 2, 3])
worse = (progression > np.median(progression)).astype(int)
third = np.searchsorted(np.quantile(progression, [1 / 3, 2 / 3]), progression)


# 2. Seven fits, ours and theirs.
def fit(units, activation, X, Y):
    """One layer, trained on the whole batch until hardly anything moves any more."""
    rule = cr.Nesterov(0.02 if activation == "linear" else 0.2, momentum=0.98)
    layer = cr.Sequential(cr.Dense(units, activation))
    return cr.fit(layer, X, Y, optimizer=rule, epochs=epochs, batch_size=None, dtype="float64")


def probabilities(X, Y):
    return LogisticRegression(C=np.inf, tol=1e-12, max_iter=100_000).fit(X, Y).predict_proba(X)


fits = {
    "linear": (fit(1, "linear", bmi, Y), bmi, Y, LinearRegression().fit(bmi, Y).predict(bmi)),
    "cubic": (fit(1, "linear", powers, Y), powers, Y, np.polyval(np.polyfit(bmi[:, 0], Y, 3), bmi[:, 0])),
    "logistic": (fit(1, "sigmoid", bmi, worse), bmi, worse, probabilities(bmi, worse)[:, 1]),
    "softmax": (fit(3, "softmax", bmi, third), bmi, third, probabilities(bmi, third)),
    "linear, all ten": (fit(1, "linear", X, Y), X, Y, LinearRegression().fit(X, Y).predict(X)),
    "logistic, all ten": (fit(1, "sigmoid", X, worse), X, worse, probabilities(X, worse)[:, 1]),
    "softmax, all ten": (fit(3, "softmax", X, third), X, third, probabilities(X, third)),
}
for name in ("linear", "logistic", "softmax"):
    sheet = fits[name][0].formulas()
    print(f"{name} regression")
    print(*(f"  {line.text}" for section in sheet.sections[:3] for line in section.lines), sep="\n")

print(f"\n{'fit':<20}{'J':>9}   {'largest |ŷ − theirs|':>20}   score on these patients (baseline)")
for name, (run, inputs, labels, theirs) in fits.items():
    difference = np.abs(run.predict(inputs).reshape(theirs.shape) - theirs).max()
    if labels is Y:
        score = f"R² {r2_score(Y, run.predict(inputs)):.3f} (always the mean: 0)"
    else:
        right, commonest = accuracy_score(labels, run.decide(inputs)), np.bincount(labels).max() / len(labels)
        score = f"accuracy {right:.3f} (always the commonest class: {commonest:.3f})"
    print(f"{name:<20}{run.history['loss'][-1]:9.5f}   {difference:>20.0e}   {score}")

# 3. The least cost is the largest likelihood: the same number from SciPy's distributions.
p = {name: run.predict(inputs) for name, (run, inputs, _, _) in fits.items()}
normal = -stats.norm(p["linear"][:, 0]).logpdf(Y).mean()
coin = -stats.bernoulli(p["logistic"][:, 0]).logpmf(worse).mean()
die = -stats.multinomial(1, p["softmax"]).logpmf(np.eye(3)[third]).mean()
J = {name: run.history["loss"][-1] for name, (run, *_) in fits.items()}
print("\n−1/m · log-likelihood of the labels, beside the cost")
print(f"  normal error around ŷ, σ = 1   {normal:.6f}   ½ J + ½ log 2π   {(J['linear'] + np.log(2 * np.pi)) / 2:.6f}")
print(f"  coin with P(1) = ŷ             {coin:.6f}   J                {J['logistic']:.6f}")
print(f"  die with P(k) = ŷₖ             {die:.6f}   J                {J['softmax']:.6f}")

# 4. The decision: whoever is above the threshold is called in.
print("\nlogistic regression on all ten measurements, decided by a threshold on ŷ")
print("  threshold   called in   of those really worse   of the worse called in")
for threshold in (0.2, 0.35, 0.5, 0.65, 0.8):
    alarm = p["logistic, all ten"][:, 0] > threshold
    print(f"  {threshold:9.2f}   {alarm.sum():9}   {precision_score(worse, alarm):21.1%}", end="")
    print(f"   {recall_score(worse, alarm):22.1%}")

# 5. What the four look like over the body mass index, with the shares observed in ten groups of equal size.
kg_per_m2 = measurements[:, 2]
order = np.argsort(kg_per_m2)
groups = np.array_split(order, 10)
centres = [kg_per_m2[group].mean() for group in groups]
blue, red, green = "#0072b2", "#d55e00", "#009e73"
figure, axes = plt.subplots(1, 3, figsize=(12, 4), layout="constrained")


def curve(axes, y_hat, theirs, colour, style, label):
    axes.plot(kg_per_m2[order], y_hat[order], style, color=colour, linewidth=2, label=label)
    axes.plot(kg_per_m2[order][::40], theirs[order][::40], "o", color="black", markerfacecolor="none", markersize=7)


mean, deviation = progression.mean(), progression.std()
axes[0].scatter(kg_per_m2, progression, s=8, color="#bbbbbb")
for name, colour, style in (("linear", blue, "-"), ("cubic", red, "--")):
    y_hat, theirs = p[name][:, 0] * deviation + mean, fits[name][3] * deviation + mean
    curve(axes[0], y_hat, theirs, colour, style, f"{name} regression")
curve(axes[1], p["logistic"][:, 0], fits["logistic"][3], blue, "-", "logistic regression")
axes[1].plot(centres, [worse[group].mean() for group in groups], "s", color=blue)
axes[1].axhline(0.5, color="black", linestyle=":", linewidth=1)
for k, (name, colour, style) in enumerate((("little", green, "-."), ("middling", blue, "-"), ("far", red, "--"))):
    curve(axes[2], p["softmax"][:, k], fits["softmax"][3][:, k], colour, style, name)
    axes[2].plot(centres, [(third[group] == k).mean() for group in groups], "s", color=colour)
axes[0].set(ylabel="score after a year", title="a number: squared error")
axes[1].set(ylabel="P(worse than the median)", title="yes or no: σ and binary cross-entropy", ylim=(0, 1))
axes[2].set(ylabel="P(third)", title="classes: softmax and cross-entropy", ylim=(0, 1))
for each, place in zip(axes, ("upper left", "upper left", "upper center"), strict=True):
    each.set(xlabel="body mass index, kg/m²")
    if each is not axes[0]:
        each.plot([], [], "s", color="#bbbbbb", label="observed share")
    each.plot([], [], "o", color="black", markerfacecolor="none", label="scikit-learn, NumPy")
    each.legend(frameon=False, fontsize="small", loc=place)
figure.savefig(options.out / "regressions.png", dpi=150)
