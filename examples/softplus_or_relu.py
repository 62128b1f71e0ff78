"""Softplus or ReLU? Two activations, and the line between them, measured on real data and held against each other.

What one learns: which differences between activations are there before any training (range, slope, cost, what is left
of a gradient after fifty layers), which show while a network learns (units that are dead, slopes that are flat), and
which can still be told from chance when everything has been trained several times. Each start gives another score, so
a difference counts only where it is larger than what the seeds make of it. The linear network is the baseline.
"""

import argparse
from pathlib import Path

import chainrule as cr

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--short", action="store_true", help="two seeds and few epochs")
parser.add_argument("--out", type=Path, default=Path(), metavar="FOLDER", help="where the figures go")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)

# 1. What is known of the two before any training: softplus is the smooth ReLU, and its slope is the sigmoid.
z = cr.input("z", ())
print(f"{'z':>20} {cr.softplus(z)!s:>12} {cr.relu(z)!s:>12}")
print(f"{'slope':>20} {cr.gradient(cr.softplus(z), z)!s:>12} {cr.gradient(cr.relu(z), z)!s:>12}")
for at in (-10.0, -1.0, 0.0, 1.0, 10.0):
    slopes = cr.evaluate([cr.gradient(cr.softplus(z), z), cr.gradient(cr.relu(z), z)], {z: at})
    print(f"{f'slope at {at:g}':>20} {float(slopes[0]):>12.5f} {float(slopes[1]):>12.5f}")

# 2. Everything else is measured.
found = cr.compare_activations(["linear", "relu", "softplus"], seeds=5, quick=options.short)
print(f"\n{found}")

# 3. The numbers are plain data: here the differences that every seed shows in the same direction.
relu, softplus = found["relu"].trials, found["softplus"].trials
print("\nsoftplus minus relu, seed by seed")
for name in ("r2", "accuracy", "outliers", "moved", "accuracy_lost"):
    pairs = zip(getattr(softplus, name).values, getattr(relu, name).values, strict=True)
    print(f"  {name:<14}", *(f"{a - b:+8.3f}" for a, b in pairs))

for name in ("depth", "units", "scores"):
    found.figure(name).savefig(options.out / f"softplus_or_relu_{name}.png", dpi=150)
