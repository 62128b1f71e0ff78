"""What one unit does, and how units add up: curves over one input, surfaces over two.

What one learns: w scales the activation and, below 0, mirrors it; b shifts it by −b/w; the next layer weighs the bent
lines and adds them up. Two of them are enough for a medicine that helps in the right dose only, and with more of them
the error shrinks: that is the universal approximation theorem (Cybenko 1989) at work, on exp(x) over [−2, 2]. Straight
pieces between evenly laid out points are the baseline: with few units training finds better places for the bends, with
many of them it is training, not the number of units, that limits the network. Over two inputs the lines are planes, and
their sum is the crinkled surface on which irises are told apart.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import chainrule as cr
from chainrule import Dense, Sequential
from chainrule.data import load

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--short", action="store_true", help="fewer starts and epochs, to at most 8 units")
parser.add_argument("--out", type=Path, default=Path(), metavar="FOLDER", help="where the figures go")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)


def best(runs):
    """Of several starts the one that came lowest: with few units one may be dead from the beginning."""
    return min(runs, key=lambda run: run.history["loss"][-1])


# 1. A medicine: too little, the right dose, too much. Two units are enough.
dose, helps = np.array([0, 0.5, 1]), np.array([0, 1, 0])


def treat(seed):
    network = Sequential(Dense(2, "relu", kernel_initializer="he_normal"), Dense(1))
    return cr.fit(
        network, dose, helps, learning_rate=cr.CosineDecay(0.05, 1500), epochs=1500, batch_size=None, seed=seed
    )


run = best(treat(seed) for seed in range(3 if options.short else 6))
found = run.anatomy(dose, helps, names=["dose"])
print(found)
sums = found["Z2[0]"]
print("\nThe sum, piece by piece, at the right dose")
at = np.abs(found.cut.axes[0] - 0.5).argmin()
for name, so_far in zip(["bias", *sums.incoming_names], sums.running[:, at], strict=True):
    print(f"  {name:<8} {so_far:>8.3f}")
found.figure().savefig(options.out / "anatomy_dosage.png", dpi=150)

# 2. More units, more bends, less error. The baseline: straight pieces through points of exp itself.
x = np.linspace(-2, 2, 200)
between = (x[1:] + x[:-1]) / 2
epochs = 600 if options.short else 3000
print(f"\n{'exp(x) on [−2, 2]':<20}{'RMSE':>10}{'straight pieces, laid out evenly':>36}")
errors = {}
for units in [1, 2, 4, 8] if options.short else [1, 2, 4, 8, 16, 32]:
    rate = cr.CosineDecay(0.03, epochs)
    networks = [Sequential(Dense(units, "relu", kernel_initializer="he_normal"), Dense(1)) for _ in range(3)]
    runs = [
        cr.fit(net, x, np.exp(x), learning_rate=rate, epochs=epochs, batch_size=None, seed=seed)
        for seed, net in enumerate(networks)
    ]
    learned = best(runs).predict(between)[:, 0]
    bends = np.linspace(-2, 2, units + 2)
    laid_out = np.interp(between, bends, np.exp(bends))
    errors[units] = [np.sqrt(np.mean((y - np.exp(between)) ** 2)) for y in (learned, laid_out)]
    print(f"{f'{units} unit' + 's' * (units > 1):<20}{errors[units][0]:>10.4f}{errors[units][1]:>36.4f}")
figure, axes = plt.subplots(figsize=(5, 3.4), layout="constrained")
for k, (name, look) in enumerate({"learned": "o-", "straight pieces, laid out evenly": "s--"}.items()):
    axes.loglog(list(errors), [e[k] for e in errors.values()], look, color=["#0072b2", "#777777"][k], label=name)
axes.set(xlabel="ReLU units, or bends", ylabel="RMSE", title="exp(x) on [−2, 2]")
axes.set_xticks(list(errors), list(map(str, errors)))
axes.minorticks_off()
axes.legend(frameon=False)
figure.savefig(options.out / "anatomy_units.png", dpi=150)

# 3. Irises by petal and sepal width, both from 0 to 1: bent planes, a crinkled surface, and what is decided on it.
table = load("iris").table()
widths = table.select("petal width", "sepal width").to_numpy()
widths = (widths - widths.min(axis=0)) / np.ptp(widths, axis=0)
species = table["species"].to_list()


def learn(seed):
    network = Sequential(Dense(2, "relu"), Dense(3, "softmax"))
    return cr.fit(network, widths, species, learning_rate=0.02, epochs=150, seed=seed)


run = best(learn(seed) for seed in range(3))
names = ["petal width", "sepal width"]
found = run.anatomy(widths, species, names=names)
print("\nThree kinds of iris")
print(found)
boundary = run.boundary(widths, species, names=names)
print(f"\n{boundary}")
found.figure(output=1).savefig(options.out / "anatomy_iris.png", dpi=150)
boundary.figure().savefig(options.out / "anatomy_boundary.png", dpi=150)
