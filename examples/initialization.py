"""How the weights start: zeros, too small, too large, Glorot and He in a network of ten hidden layers.

What one learns: a layer multiplies the spread of what it is given by about √(n/2) · σ, with n inputs to a ReLU unit and
weights of spread σ, and the backward pass does the same with the derivatives. Ten layers raise that to the tenth
power: signals die out, or explode, before the first step, unless σ = √(2/n) (He). With zeros nothing can ever move
but the last bias. What the network then learns of handwritten digits follows from where it started.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

import chainrule as cr
from chainrule import nn

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--short", action="store_true", help="fewer epochs")
parser.add_argument("--out", type=Path, default=Path(), metavar="FOLDER", help="where the figure goes")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)
epochs = 20 if options.short else 40
depth, width = 10, 64

# 1. The data: handwritten digits, a quarter of them held out; and the network, however it starts.
images, digits = load_digits(return_X_y=True)
X, X_new, Y, Y_new = train_test_split((images - images.mean()) / images.std(), digits, test_size=0.25, random_state=0)


def network(start):
    hidden = (cr.Dense(width, "relu", kernel_initializer=start) for _ in range(depth))
    return cr.Sequential(*hidden, cr.Dense(10, "softmax", kernel_initializer=start))


def spread_per_layer(model, parameters):
    """The standard deviation of the activations of each hidden layer, and of ∂J/∂A, over all examples."""
    activations = [node for node in model.graph if node.name == "A"][:-1]
    labels = cr.input("labels", ("m",), dtype="int")
    J = cr.mean(cr.categorical_cross_entropy(model.output, labels))
    slopes = cr.gradient(J, activations)
    values = cr.evaluate([*activations, *slopes], {model.inputs[0]: X, labels: Y, **parameters})
    spreads = [value.std() for value in values]
    return spreads[:depth], spreads[depth:]


# 2. Look before the first step, then train.
starts = {
    "zeros": "zeros",
    "too small: σ = 0.02": nn.Normal(0.02),
    "too large: σ = 0.5": nn.Normal(0.5),
    "Glorot: σ = √(1/n)": "glorot_normal",
    "He: σ = √(2/n)": "he_normal",
}
print(f"{depth} hidden layers of {width} ReLU units; n = {width}")
print(f"{'':<22}{'spread of A':>20}{'spread of ∂J/∂A':>20}{'loss after':>14}{'accuracy on':>14}")
print(f"{'weights':<22}{'layer 1':>10}{'10':>10}{'layer 1':>10}{'10':>10}{f'{epochs} epochs':>14}{'new digits':>14}")
spreads, losses = {}, {}
for name, start in starts.items():
    trainer = cr.Trainer(network(start), X, Y, optimizer=cr.GradientDescent(0.02))
    before = trainer.run()
    spreads[name] = forward, backward = spread_per_layer(before.model, before.values)
    trainer.run_epochs(epochs)
    losses[name] = trainer.history["loss"]
    accuracy = trainer.run().evaluate(X_new, Y_new)["accuracy"]
    print(f"{name:<22}" + "".join(f"{s:>10.0e}" for s in (forward[0], forward[-1], backward[0], backward[-1])), end="")
    print(f"{losses[name][-1]:>14.4f}{accuracy:>14.1%}   {trainer.history.stopped.split('.')[0]}".rstrip())
linear = LogisticRegression(max_iter=1000).fit(X, Y)
cost = log_loss(Y, linear.predict_proba(X))
print(f"{'baseline: logistic regression':<62}{cost:>14.4f}{linear.score(X_new, Y_new):>14.1%}")

# 3. Layer by layer, and epoch by epoch.
looks = {
    "zeros": {"color": "#999999", "marker": "s", "linestyle": "-", "linewidth": 4},
    "too small: σ = 0.02": {"color": "#e69f00", "marker": "v", "linestyle": "--"},
    "too large: σ = 0.5": {"color": "#d55e00", "marker": "^", "linestyle": "--"},
    "Glorot: σ = √(1/n)": {"color": "#56b4e9", "marker": "o", "linestyle": "-"},
    "He: σ = √(2/n)": {"color": "#0072b2", "marker": "D", "linestyle": "-"},
}
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13.5, 4.4), layout="constrained")
layers = np.arange(1, depth + 1)
for name, look in looks.items():
    forward, backward = spreads[name]
    if name != "zeros":  # which has no place on a logarithmic scale
        left.semilogy(layers, forward, **look)
        middle.semilogy(layers, backward, **look)
    right.plot(np.arange(1, len(losses[name]) + 1), losses[name], **look, markersize=4, label=name)
left.set(xlabel="hidden layer", ylabel="standard deviation of A", title="activations, before training")
middle.set(xlabel="hidden layer", ylabel="standard deviation of ∂J/∂A", title="derivatives, before training")
right.set(xlabel="epoch", ylabel="J, cross-entropy", title="training")
right.legend(frameon=False, fontsize="small", loc="center right")
right.annotate("guessing: ln 10", (epochs, np.log(10)), (0, -14), textcoords="offset points", ha="right")
left.text(0.05, 0.05, "zeros: 0 in every layer", color="#777777", transform=left.transAxes)
figure.savefig(options.out / "initialization.png", dpi=150)
