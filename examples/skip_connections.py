"""Fifty layers, with and without a way around each: what reaches the first one.

What one learns: a layer multiplies the derivative that passes through it by its weights and slopes, and fifty of them
do so fifty times. With Glorot's start ReLU layers halve its square each time, and next to nothing reaches the first;
with He's the size survives. With a way around each layer, S ← S + g(Z) / √50, the derivative has a path on which it is
multiplied by 1 (the copy gate: the derivatives of both paths are added), and the first layer hears of the cost as well
as the last. Dense and convolutional layers alike. The root mean square of dZ in every layer is watched while it trains.
Three starts each: with Glorot's 8% of new digits are right (guessing), with He's 64% (dense, 54 to 75%) and 78%
(convolutional), with the way around 96% and 95%. Logistic regression has 96%: the way around undoes what depth had
spoilt; these digits need no depth.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

import chainrule as cr
from chainrule.explain.figures import drawing, look, style

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--short", action="store_true", help="twelve layers, few epochs, one start")
parser.add_argument("--out", type=Path, default=Path(), metavar="FOLDER", help="where the figure goes")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)
depth = 12 if options.short else 50
starts = range(1 if options.short else 3)
epochs = {"dense": 5, "convolutional": 2} if options.short else {"dense": 30, "convolutional": 12}

# 1. The data: digits of 8 × 8 pixels, a quarter of them held out.
images, digits = load_digits(return_X_y=True)
X, X_new, Y, Y_new = train_test_split((images - images.mean()) / images.std(), digits, test_size=0.25, random_state=0)
logistic = LogisticRegression(max_iter=2000).fit(X, Y)


# 2. The networks: 49 layers, each with a way around it or not, and a softmax.
def network(kind, initializer, skip):
    def layer():
        if kind == "dense":
            return cr.Dense(32, "relu", kernel_initializer=initializer)
        return cr.Conv2D(8, 3, padding="same", activation="relu", kernel_initializer=initializer)

    x = cr.input("X", ("m", 64))
    a = layer()(x if kind == "dense" else cr.Reshape((8, 8, 1))(x))
    for _ in range(depth - 2):
        a = (a + depth**-0.5 * layer()(a)).named("S") if skip else layer()(a)
    return cr.Model(x, cr.Dense(10, "softmax")(cr.Flatten()(a)))


variants = {
    "plain, Glorot's start": ("glorot_normal", False),
    "plain, He's start": ("he_normal", False),
    "skip, Glorot's start": ("glorot_normal", True),
}


# 3. Train, and watch how large dZ is in every layer.
def flow(run, when):
    """The root mean square of dZ in every layer."""
    return np.array([np.mean(run.watched[f"dZ{k}", "rms"][when]) for k in range(1, depth + 1)])


runs = {}
print(f"{depth} layers; digits held out; {len(starts)} starts")
print(f"{'':<38}{f'dZ1/dZ{depth} at step 1':>20}{'in the end':>12}{'loss':>8}{'accuracy':>10}{'from':>8}{'to':>8}")
for kind, count in epochs.items():
    for name, (initializer, skip) in variants.items():
        runs[kind, name] = some = [
            cr.fit(network(kind, initializer, skip), X, Y, optimizer=cr.Adam(0.001), epochs=count, batch_size=64,
                   validation_data=(X_new, Y_new), watch={"signals": "rms"}, every=10, seed=seed)
            for seed in starts
        ]  # fmt: skip
        ratios = [
            np.median([f[0] / f[-1] for f in (flow(r, when) for r in some)]) for when in (slice(0, 1), slice(-5, None))
        ]
        accuracy = [r.history["validation_accuracy"][-1] for r in some]
        loss = np.mean([r.history["loss"][-1] for r in some])
        print(f"{f'{kind}, {name}':<38}{ratios[0]:>20.0e}{ratios[1]:>12.0e}{loss:>8.3f}", end="")
        print(f"{np.mean(accuracy):>10.1%}{min(accuracy):>8.1%}{max(accuracy):>8.1%}", flush=True)
print(f"{'baseline: logistic regression':<78}{logistic.score(X_new, Y_new):>10.1%}")

# 4. The flow through the layers, and what came of it.
layers = np.arange(1, depth + 1)


def band(axes, x, values, k, label=None):
    """The mean of the starts, and their range."""
    axes.plot(x, values.mean(axis=0), **look(k), label=label)
    axes.fill_between(x, values.min(axis=0), values.max(axis=0), color=look(k)["color"], alpha=0.15, lw=0)


with style():
    figure = drawing(13, 3.8 * len(epochs) + 0.4)
    panels = figure.subplots(len(epochs), 3, squeeze=False)
    for (first, last, curves), (kind, count) in zip(panels, epochs.items(), strict=True):
        for k, name in enumerate(variants):
            some = runs[kind, name]
            for axes, when in ((first, slice(0, 1)), (last, slice(-5, None))):
                band(axes, layers, np.array([flow(run, when) for run in some]), k)
            accuracy = np.array([run.history["validation_accuracy"] for run in some])
            band(curves, np.arange(1, count + 1), accuracy, k, name if kind == "dense" else None)
        for axes, title in ((first, "at the first step"), (last, "in the end")):
            axes.set_yscale("log")
            axes.set(xlabel="layer", ylabel="root mean square of $dZ$", title=f"{kind}, {title}")
        curves.axhline(logistic.score(X_new, Y_new), color="#8c8c8c", linewidth=1)
        title = f"{kind}; grey: logistic regression"
        curves.set(xlabel="epoch", ylabel="accuracy, new digits", title=title, ylim=(0, 1.02))
    figure.legend(loc="outside lower center", ncols=4)
    figure.savefig(options.out / "skip_connections.png", dpi=110)
