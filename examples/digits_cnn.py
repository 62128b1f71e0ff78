"""Handwritten digits as images: filters that slide over them, beside a dense network that sees 784 numbers.

What one learns: a dense layer has a weight for every pixel and does not know which are neighbours; a filter has a
few weights and uses them at every place, so that what it finds at one place it knows at all others. Pooling keeps the
strongest answer of four places. The derivatives are convolutions again: dW = Xᵀ ∗ dZ and dX = dZ ∗ Wᵀ, with the same
letters as for matrices. 5,000 digits of MNIST, a quarter of them held out; both networks are trained in the same way.
"""

import argparse
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import train_test_split

import chainrule as cr

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--short", action="store_true", help="a fifth of the digits, three epochs")
parser.add_argument("--out", type=Path, default=Path(), metavar="FOLDER", help="where the figure goes")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)

# 1. Images are (m, height, width, channels): these have one channel, the darkness of the ink, from 0 to 1.
try:
    mnist = cr.data.load("mnist")
except cr.ChainruleError as error:
    print(error)
    raise SystemExit(0) from None
images, digits = mnist.items[..., None] / 255, mnist.labels
if options.short:
    images, digits = images[::5], digits[::5]
X, X_test, Y, Y_test = train_test_split(images, digits, test_size=0.25, stratify=digits, random_state=0)
print(f"{len(X):,} images to learn from, {len(X_test):,} held out, each {28} × {28}")

# 2. Two networks.
networks = {
    "dense": cr.Sequential(
        cr.Flatten(),
        cr.Dense(128, "relu"),
        cr.Dense(10, "softmax"),
    ),
    "convolutional": cr.Sequential(
        cr.Conv2D(32, 5, padding="same", activation="relu"),
        cr.MaxPool2D(),
        cr.Conv2D(64, 3, padding="same", activation="relu"),
        cr.MaxPool2D(),
        cr.Flatten(),
        cr.Dense(128, "relu"),
        cr.Dense(10, "softmax"),
    ),
}

# 3. Both trained alike: Adam, batches of 64, the learning rate falling to nothing along a cosine.
epochs = 3 if options.short else 15
steps = epochs * -(-len(X) // 64)
runs, seconds = {}, {}
for name, network in networks.items():
    begin = time.perf_counter()
    rate = cr.CosineDecay(0.002, steps)
    runs[name] = cr.fit(network, X, Y, optimizer=cr.Adam(rate), epochs=epochs, batch_size=64, seed=0)
    seconds[name] = time.perf_counter() - begin
cnn = runs["convolutional"]
print("\nthe convolutional network's formulas")
print(cnn.formulas())

# 4. How many of the digits held out they tell.
decided = {name: run.decide(X_test) for name, run in runs.items()}
print(f"\n{'':<16}{'parameters':>12}{'seconds':>9}{'accuracy, seen':>16}{'held out':>10}{'wrong':>7}")
for name, run in runs.items():
    seen, held_out = np.mean(run.decide(X) == Y), np.mean(decided[name] == Y_test)
    wrong = int(np.sum(decided[name] != Y_test))
    print(f"{name:<16}{run.model.parameter_count:>12,}{seconds[name]:>9.0f}{seen:>16.1%}{held_out:>10.1%}{wrong:>7}")

# 5. What the filters have become, what they answer to one digit, and where the network is wrong.
input_, A1 = cnn.model.inputs[0], next(node for node in cnn.model.graph if node.name == "A")
shown = int(np.flatnonzero((Y_test == 5) & (decided["convolutional"] == 5))[0])
answers = cr.evaluate(A1, {input_: X_test[shown : shown + 1]} | cnn.values)[0]
filters = cnn.parameters["W1"][:, :, 0]
P = cnn.predict(X_test)
wrong = np.flatnonzero(decided["convolutional"] != Y_test)
wrong = wrong[np.argsort(-P[wrong].max(axis=1))][:32]  # the surest first


def mosaic(axes, pictures, title, **style):
    """Small pictures in rows of eight."""
    axes.set_title(title, loc="left")
    axes.axis("off")
    for i, picture in enumerate(pictures):
        place = axes.inset_axes((i % 8 / 8, 1 - (i // 8 + 1) / 4, 0.115, 0.22))
        place.imshow(picture, **style)
        place.set(xticks=[], yticks=[])
        yield place


figure, panels = plt.subplots(1, 3, figsize=(15, 3.6), layout="constrained")
limit = np.abs(filters).max()
red_and_blue = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}
list(
    mosaic(
        panels[0], np.moveaxis(filters, -1, 0), "32 filters W1: red where ink counts for, blue against", **red_and_blue
    )
)
list(mosaic(panels[1], np.moveaxis(answers, -1, 0), "what each answers to this digit, A1", cmap="gray_r"))
mistakes = mosaic(panels[2], X_test[wrong, :, :, 0], f"{len(wrong)} of its mistakes: true → taken for", cmap="gray_r")
for i, place in zip(wrong, mistakes, strict=True):
    place.set_title(f"{Y_test[i]} → {decided['convolutional'][i]}", fontsize=7, pad=1)
figure.savefig(options.out / "digits_cnn.png", dpi=150)
