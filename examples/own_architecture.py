"""An architecture, an activation and a loss of one's own: a network that says whether two digits are the same.

What one learns: a layer is a function from nodes to nodes, and a network is what one writes with them. Here a function
puts an image on a plane: two branches that join, a residual connection, an activation of one's own. It is called twice,
for two images, so that its weights are shared; the loss draws equal digits together and pushes others apart. All
gradients are derived from that text. The baseline is the distance between the pixels of two images, which the network
beats on the digits it knows, and does not on digits that it has never seen.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score

import chainrule as cr

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--short", action="store_true", help="fewer epochs")
parser.add_argument("--out", type=Path, default=Path(), metavar="FOLDER", help="where the graph and the figure go")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)
epochs = 15 if options.short else 80


# 1. The parts: an activation, the layers and what is done with them, a loss.
def wave(z):
    return z + cr.sin(z)


wavy, bent = cr.Dense(32, wave, name="wavy"), cr.Dense(32, "relu", name="bent")
mix, place = cr.Dense(64, wave, name="mix"), cr.Dense(2, name="place")


def on_the_plane(image):
    both = cr.concatenate([wavy(image), bent(image)], axis=1)
    return place(both + mix(both))


def contrastive(distance, same):
    """Equal digits belong together, others at a distance of 4 or more (Hadsell, Chopra and LeCun 2006)."""
    return same * distance**2 + (1 - same) * cr.maximum(4 - distance, 0) ** 2


# 2. The network: the same function twice, and the distance between the two places.
first, second = cr.input("first", ("m", 64)), cr.input("second", ("m", 64))
apart = on_the_plane(first) - on_the_plane(second)
distance = cr.sqrt(cr.sum(apart**2, axis=1) + 1e-6).named("distance")
network = cr.Model([first, second], distance)
picture = cr.svg(distance, limit=20).save(options.out / "own_architecture.svg")  # folded: a box for each layer
print(f"{network.parameter_count:,} parameters, each used twice; the graph is drawn in {picture}")

z, same = cr.input("z", ()), cr.input("same", ("m",))
print(f"\nwave(z) = {wave(z)}, its derivative: {cr.gradient(wave(z), z)}; all gradients against central differences:")
rng = np.random.default_rng(0)
at = {leaf: rng.normal(scale=0.3, size=leaf.shape) for leaf in network.parameters}
at |= {first: rng.random((6, 64)), second: rng.random((6, 64)), same: np.array([0.0, 1, 0, 1, 0, 1])}
print(cr.check_gradient(cr.mean(contrastive(distance, same)), network.parameters, at))

# 3. Pairs of images, half of them of the same digit. Some images are held out, and the 8 and the 9 altogether.
images, digits = load_digits(return_X_y=True)
images = images / 16
known, unseen = rng.permutation(np.flatnonzero(digits < 8)), np.flatnonzero(digits >= 8)
held_out, training = known[:400], known[400:]


def pairs(among, count):
    one, equal = rng.choice(among, count), rng.random(count) < 0.5
    other = [rng.choice(among[(digits[among] == digits[i]) == wanted]) for i, wanted in zip(one, equal, strict=True)]
    return [images[one], images[other]], equal.astype(float)


batches = -(-4_000 // 64)
rule = cr.Adam(cr.CosineDecay(0.003, epochs * batches))
run = cr.fit(network, *pairs(training, 4_000), loss=contrastive, optimizer=rule, epochs=epochs, batch_size=64)
print()
print(run.formulas())
print()
print(run.history)

# 4. How often is a pair of equal digits closer than a pair of different ones?
print(f"\n{'equal closer than different':<40}{'network':>10}{'pixels':>10}")
distances = {}
for name, among in {"0 to 7, images held out": held_out, "8 and 9, digits never seen": unseen}.items():
    (one, other), equal = pairs(among, 4_000)
    distances[name] = run.predict([one, other]), equal == 1
    pixels = np.linalg.norm(one - other, axis=1)
    print(f"{name:<40}{roc_auc_score(equal, -distances[name][0]):>10.1%}{roc_auc_score(equal, -pixels):>10.1%}")

# 5. The plane itself: one function of the graph, evaluated by itself.
image = cr.input("image", ("m", 64))
shown = np.concatenate([held_out, unseen])
x, y = cr.evaluate(on_the_plane(image), {image: images[shown]} | run.values).T
figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5), layout="constrained")
colours = ["#000000", "#e69f00", "#56b4e9", "#009e73", "#b8a900", "#0072b2", "#d55e00", "#cc79a7", "#999999", "#999999"]
for digit, colour in enumerate(colours):
    for i in np.flatnonzero(digits[shown] == digit)[:50]:
        left.text(x[i], y[i], str(digit), color=colour, fontsize=8, ha="center", va="center")
left.set(xlim=(x.min() - 0.5, x.max() + 0.5), ylim=(y.min() - 0.5, y.max() + 0.5), aspect="equal")
left.set(xlabel="first coordinate", ylabel="second coordinate", title="held-out digits; 8 and 9 (grey) are new")
far, equal = distances["0 to 7, images held out"]
bins = np.linspace(0, far.max(), 60)
right.hist(far[equal], bins, color="#0072b2", label="equal digits")
right.hist(far[~equal], bins, color="#d55e00", histtype="step", linewidth=2, hatch="///", label="different digits")
right.axvline(4, color="black", linestyle=":", label="as far as the loss pushes")
right.set(xlabel="distance on the plane", ylabel="pairs, of 4,000", title="0 to 7, images held out")
right.legend(frameon=False)
figure.savefig(options.out / "own_architecture.png", dpi=150)
