"""Naive formulas at their extremes: what NumPy makes of them, and what chainrule rewrites them into.

What one learns: log(1 + exp(z)) is right on paper and infinite at z = 1000; cross-entropy after a sigmoid loses its
digits long before that, and its slope becomes 0/0. There are equal formulas that do not overflow. Chainrule finds them
by named rules, says which, and it is these that it differentiates, shows and runs. The truth beside the numbers is
computed with 100 digits by Python's ``decimal``.
"""

import argparse
from decimal import Decimal, getcontext
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import chainrule as cr
from chainrule.calculus import reverse

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--short", action="store_true", help="fewer points in the figure")
parser.add_argument("--out", type=Path, default=Path(), metavar="FOLDER", help="where the figure goes")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)
getcontext().prec = 100


# 1. Formulas as one writes them down, the same in exact arithmetic, and where to look. The two classes of the softmax
#    have the logits z and 0, and the label is the second of them.
def softplus(z):
    return (1 + z.exp()).ln()


def sigmoid(z):
    return 1 / (1 + (-z).exp())


def tanh(z):
    return (z.exp() - (-z).exp()) / (z.exp() + (-z).exp())


z = cr.input("z", ())
e = cr.exp(-z)
logits, label = cr.stack([z, 0.0]).named("logits"), cr.constant([0.0, 1.0], name="label")
p = cr.exp(logits) / cr.sum(cr.exp(logits))
written = {
    "softplus": (cr.log(1 + cr.exp(z)), softplus, (-50, 1, 1000)),
    "log-sum-exp": (cr.log(cr.sum(cr.exp(logits))), softplus, (1, 1000)),
    "sigmoid": (cr.exp(z) / (1 + cr.exp(z)), sigmoid, (1, 1000)),
    "hyperbolic tangent": ((cr.exp(z) - e) / (cr.exp(z) + e), tanh, (1, 1000)),
    "cross-entropy after σ": (-cr.log(1 - 1 / (1 + e)), softplus, (-50, 1, 30, 1000)),
    "cross-entropy after softmax": (-cr.sum(label * cr.log(p)), softplus, (1, 30, 1000)),
    "exp(z) − 1": (cr.exp(z) - 1, lambda z: z.exp() - 1, (1e-20, 1)),
    "log(1 + z)": (cr.log(1 + z), lambda z: (1 + z).ln(), (1e-20, 1)),
    "root of a square": (cr.sqrt(z**2), abs, (-1e-200, -1e200)),
}
print("what is written, and what it becomes, by which rules (exp(z) − 1 and log(1 + z) become functions of their own)")
for name, (formula, *_) in written.items():
    rewriting = cr.simplify(formula)
    rules = ", ".join(step.rule.name for step in rewriting.because("stability"))
    print(f"  {name:<28}{formula}  →  {rewriting.outputs[0]}   ({rules})")


# 2. The numbers, and the slopes: of what is written (reverse), and of what it becomes (gradient).
def print_numbers(title, rows):
    print(f"\n{title:<28}{'z':>8}{'as written':>24}{'rewritten':>24}{'truth':>24}")
    for name, naive, stable, exact, places in rows:
        for at in map(float, places):
            numbers = cr.evaluate(naive, {z: at}, as_written=True), cr.evaluate(stable, {z: at}), exact(Decimal(at))
            print(f"{name:<28}{at:>8g}" + "".join(f"{float(number):>24.16g}" for number in numbers))


def slope(name, exact, places):
    formula = written[name][0]
    return name, reverse(formula, [z]).adjoints[z], cr.gradient(formula, z), exact, places


print_numbers("value", [(name, formula, formula, exact, places) for name, (formula, exact, places) in written.items()])
slopes = [
    slope("softplus", sigmoid, (-50, 1000)),
    slope("cross-entropy after σ", sigmoid, (-1000, 30, 1000)),
    slope("cross-entropy after softmax", sigmoid, (-50, 1000)),
    slope("root of a square", lambda z: z / abs(z), (-1e-200, -1e200)),
]
print_numbers("slope", slopes)

# 3. It is not only the extremes: digits are lost on the way there, and in single precision sooner.
shown = {
    "softplus": np.linspace(-60, 120, 61 if options.short else 361),
    "cross-entropy after σ": np.linspace(-60, 120, 61 if options.short else 361),
    "exp(z) − 1": np.logspace(-20, 1, 61 if options.short else 211),
}
looks = {
    ("float32", True): {"color": "#e69f00", "marker": "s", "markersize": 3, "linestyle": "none"},
    ("float64", True): {"color": "#d55e00", "marker": "x", "markersize": 4, "linestyle": "none"},
    ("float32", False): {"color": "#56b4e9", "linestyle": "--"},
    ("float64", False): {"color": "#0072b2", "linestyle": "-"},
}
figure, panels = plt.subplots(1, 3, figsize=(13, 4.2), sharey=True, layout="constrained")
for axes, (name, places) in zip(panels, shown.items(), strict=True):
    formula, exact, _ = written[name]
    for (dtype, naive), look in looks.items():
        errors = []
        for at in places.astype(dtype):
            value = float(cr.evaluate(formula, {z: at}, dtype=dtype, as_written=naive))
            truth = exact(Decimal(float(at)))
            errors.append(float(abs(Decimal(value) / truth - 1)) if np.isfinite(value) else 10.0)
        label = f"{'as written' if naive else 'rewritten'}, {dtype}"
        axes.semilogy(places, np.maximum(errors, 1e-18), **look, label=label)
    axes.set_xlabel("z")
    axes.set_title(name if name == str(formula) else f"{name}: {formula}", fontsize="medium")
panels[2].set_xscale("log")
panels[0].set_ylabel("relative error (top: infinite)")
panels[1].legend(frameon=False, fontsize="small", loc="center right")
figure.savefig(options.out / "stable_formulas.png", dpi=150)
