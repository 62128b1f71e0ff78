"""A small network learns exp(x) on [−2, 2]: a curve put together from straight pieces.

What one learns: layers of weighted sums alone stay a straight line, however many there are; with a ReLU between them
every unit adds a bend, and the sum of the bent lines follows the curve. A cubic polynomial, fitted by NumPy with four
numbers, is the baseline: it is hard to beat here, and a falling learning rate is what it takes. Neither of them knows
anything outside the range that it has seen.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import chainrule as cr
from chainrule import Dense, Sequential

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--short", action="store_true", help="the same: nothing here takes long")
parser.add_argument("--out", type=Path, default=Path(), metavar="FOLDER", help="where the figure goes")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)

X = np.linspace(-2, 2, 100)
y = np.exp(X)


# 1. The network: once as in a first course, and once without the bends.
def network(activation):
    model = Sequential()
    model.add(Dense(units=10, activation=activation, input_dim=1))
    model.add(Dense(units=5, activation=activation))
    model.add(Dense(units=1, activation="linear"))
    return model


def train(activation, learning_rate):
    return cr.fit(network(activation), X, y, optimizer=cr.RMSprop(learning_rate), epochs=200, dtype="float64")


steps = 200 * 4  # 200 epochs of 100 examples, 32 at a time
runs = {
    "no bends: linear activations": train("linear", 0.01),
    "ReLU, learning rate 0.01": train("relu", 0.01),
    "ReLU, learning rate falling to 0": train("relu", cr.CosineDecay(0.01, steps)),
}
print(runs["ReLU, learning rate 0.01"].formulas())

# 2. How good they are, at points between those of the training, and where they have never been.
curves = {name: lambda x, run=run: run.predict(x)[:, 0] for name, run in runs.items()}
curves["cubic polynomial"] = np.poly1d(np.polyfit(X, y, 3))
curves["straight line"] = np.poly1d(np.polyfit(X, y, 1))
sizes = {name: run.model.parameter_count for name, run in runs.items()} | {"cubic polynomial": 4, "straight line": 2}
between = (X[1:] + X[:-1]) / 2
print(f"\n{'exp(x) by':<34}{'numbers learned':>16}{'RMSE on [−2, 2]':>18}{'error at x = 3':>17}")
for name in sorted(curves, key=sizes.get):
    rmse = np.sqrt(np.mean((curves[name](between) - np.exp(between)) ** 2))
    beyond = curves[name](np.array([3.0]))[0] - np.exp(3)
    print(f"{name:<34}{sizes[name]:>16}{rmse:>18.3f}{beyond:>17.2f}")

# 3. Where it bends: wherever one of the 15 units begins or ceases to be active.
best = runs["ReLU, learning rate falling to 0"]
x = np.linspace(-3, 3, 6001)
sums = [node for node in best.model.graph if node.name == "Z"]
Z1, Z2, _ = cr.evaluate(sums, {best.model.inputs[0]: x[:, None]} | best.values)
active = np.hstack([Z1 > 0, Z2 > 0])
bends = x[1:][(active[1:] != active[:-1]).any(axis=1)]
inside = bends[abs(bends) < 2]
print(f"\nThe best network is made of {len(inside) + 1} straight pieces on [−2, 2]; it bends at", end=" ")
print(*(f"{bend:.2f}" for bend in inside), sep=", ")

blue, red, green, grey = "#0072b2", "#d55e00", "#009e73", "#777777"
looks = {
    "no bends: linear activations": {"color": green, "linestyle": ":"},
    "ReLU, learning rate 0.01": {"color": red, "linestyle": "--"},
    "ReLU, learning rate falling to 0": {"color": blue, "linestyle": "-"},
    "cubic polynomial": {"color": grey, "linestyle": "-."},
}
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
left.plot(x, np.exp(x), color="black", linewidth=5, alpha=0.2, label="exp(x)")
for name, look in looks.items():
    left.plot(x, curves[name](x), **look, label=name)
    if name in runs:
        right.semilogy(np.arange(1, 201), runs[name].history["loss"], **look, linewidth=1, label=name)
    if name != "no bends: linear activations":
        middle.plot(x, curves[name](x) - np.exp(x), **look, label=name)
left.plot(inside, curves["ReLU, learning rate falling to 0"](inside), "o", color=blue, label="a unit begins or ceases")
left.set(xlabel="x", ylabel="y", ylim=(-4, 21), title="the curve, learned between the grey bands")
middle.set(xlabel="x", ylabel="ŷ − exp(x)", ylim=(-0.45, 0.45), title="the error")
right.set(xlabel="epoch", ylabel="J, mean squared error", title="loss during training")
for each in (left, middle):
    for band in ((-3, -2), (2, 3)):
        each.axvspan(*band, color="#eeeeee", zorder=0)
    each.set_xlim(-3, 3)
for each in (left, middle, right):
    each.legend(frameon=False, fontsize="small")
figure.savefig(options.out / "exp_curve.png", dpi=150)
