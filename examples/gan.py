"""Two adversaries: a generator that draws digits out of noise, and a discriminator that tells them from real ones.

What one learns: two costs over one graph. J_D is lowered by the discriminator's parameters alone, J_G by the
generator's alone, and the gradient that the generator learns from passes through the discriminator: dZ of an image that
it has judged. They take turns in every batch. The loss curves do not say whether the digits are good, as each is
measured by an opponent that changes; so they are measured by others: a classifier, trained on real digits, that says
how many of the new images it is sure of, how evenly they go over the ten digits (a generator may draw the same one for
ever), and how far their features lie from those of real images (the Fréchet distance). Beside them: noise, and pixels
that are as often black as in real digits, but independent. The classifier is sure of about 70% of the new digits, they
go over 9.9 of the ten kinds, and their distance is 8, that of independent pixels 144, of noise 622 (and 1.6 between
real digits and others).
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.model_selection import train_test_split

import chainrule as cr
from chainrule.explain.figures import drawing, look, style

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--short", action="store_true", help="a fifth of the digits, few epochs")
parser.add_argument("--out", type=Path, default=Path(), metavar="FOLDER", help="where the figure goes")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)
epochs = 15 if options.short else 150
latent = 32

try:
    mnist = cr.data.load("mnist")
except cr.ChainruleError as error:
    print(error)
    raise SystemExit(0) from None
pixels, digits = mnist.items.reshape(-1, 784), mnist.labels
images = (pixels / 255).astype(np.float32)
if options.short:
    images, digits = images[::5], digits[::5]
X, X_new, Y, Y_new = train_test_split(images, digits, test_size=0.2, stratify=digits, random_state=0)

# 1. The two, and what each wants.
x, z = cr.input("x", ("m", 784)), cr.draw("normal", ("m", latent), name="z")


def leaky(z):
    return cr.leaky_relu(z, negative_slope=0.2)


def block(units, name):
    return cr.Dense(units, name=name), cr.BatchNormalization(), cr.Activation(leaky)


G = cr.Sequential(*block(128, "G1"), *block(256, "G2"), cr.Dense(784, "sigmoid", name="G3"))
D = cr.Sequential(
    cr.Dense(256, leaky, name="D1"),
    cr.Dropout(0.3),
    cr.Dense(128, leaky, name="D2"),
    cr.Dropout(0.3),
    cr.Dense(1, name="D3"),
)
made = G(z)
real, fake = D(x), D(made)  # logits: positive means real
J_D = cr.mean(cr.softplus(-real) + cr.softplus(fake))  # −ln σ(real) − ln(1 − σ(fake))
J_G = cr.mean(cr.softplus(-fake))  # −ln σ(fake): not saturated where the discriminator is sure (Goodfellow et al. 2014)
objectives = [
    cr.Objective(J_D, D, cr.Adam(0.0002, beta_1=0.5), name="J_D"),
    cr.Objective(J_G, G, cr.Adam(0.001, beta_1=0.5), name="J_G"),
]

# 2. Train, and look at the same ten points of the latent space now and then.
stages = [e for e in (1, 5, 15, 50, 150) if e <= epochs]
looked = []


def look_at(run):
    if run.history.epochs in stages:
        looked.append(run.predict(np.zeros((10, 784)), seed=7))


run = cr.fit(cr.Model(x, made), X, loss=objectives, epochs=epochs, batch_size=64, callbacks=[look_at], seed=1)
sheet = str(run.formulas()).split("\n")
print("how the generator hears of the discriminator: the backward pass of J_G")
begin = next(i for i, line in enumerate(sheet) if "Backward of J_G" in line)
print("\n".join(sheet[begin : begin + 14]))
print()
print(run.history)

# 3. Measured by a classifier of real digits.
layers = cr.Sequential(cr.Dense(128, "relu"), cr.Dense(64, "relu"), cr.Dense(10, "softmax"))
judge = cr.fit(layers, X, Y, epochs=10 if options.short else 30, batch_size=64)
print(f"\nthe classifier is right on {np.mean(judge.decide(X_new) == Y_new):.1%} of real digits held out")
features = cr.compile(judge.model["A2"])


def measured(some):
    """The share that the classifier is sure of; how many digits there are, as exp(entropy); the Fréchet distance."""
    P = judge.predict(some)
    sure = P.max(axis=1) >= 0.95
    share = np.bincount(P[sure].argmax(axis=1), minlength=10) / max(sure.sum(), 1)
    kinds = np.exp(-np.sum(share * np.log(share, out=np.zeros(10), where=share > 0)))
    a, b = (np.asarray(features({"X": some} | judge.values), float) for some in (X_new, some))
    A, B = np.cov(a.T), np.cov(b.T)
    root = np.sum(np.sqrt(np.maximum(np.linalg.eigvals(A @ B).real, 0)))  # tr √(A B)
    distance = np.sum((a.mean(axis=0) - b.mean(axis=0)) ** 2) + np.trace(A + B) - 2 * root
    return sure.mean(), kinds if sure.any() else 0.0, float(distance)


count = len(X_new)
rng = np.random.default_rng(0)
new = run.predict(np.zeros((count, 784)), seed=3)
pixelwise = np.stack([rng.permutation(column)[:count] for column in X.T], axis=1)
candidates = {
    "real digits, of the training": X[:count],
    "the generator's digits": new,
    "independent pixels": pixelwise,
    "noise": rng.random((count, 784), dtype=np.float32),
}
print(f"\n{f'{count:,} images each':<32}{'sure (≥ 95%)':>14}{'kinds, of 10':>14}{'Fréchet distance':>18}")
for name, some in candidates.items():
    sure, kinds, distance = measured(some)
    print(f"{name:<32}{sure:>14.1%}{kinds:>14.1f}{distance:>18.1f}")


def nearest(some, among):
    """The distance to the nearest image, and which it is."""
    squares = np.sum(some**2, axis=1)[:, None] - 2 * some @ among.T + np.sum(among**2, axis=1)
    return np.sqrt(np.maximum(squares.min(axis=1), 0)), squares.argmin(axis=1)


far = {name: np.median(nearest(some, X)[0]) for name, some in {"generated": new, "held out": X_new}.items()}
print("\ndistance to the nearest image of the training (copies would have 0), median: "
      f"generated {far['generated']:.1f}, held out {far['held out']:.1f}")  # fmt: skip


# 4. Digits as they come about, new ones with their nearest real neighbour, the curves.
def tiles(pictures, across):
    """Small pictures side by side, as one."""
    framed = np.pad(pictures.reshape(-1, across, 28, 28), ((0, 0), (0, 0), (1, 1), (1, 1)))
    return framed.swapaxes(1, 2).reshape(-1, across * 30)


with style():
    figure = drawing(13, 7)
    panels = figure.subplots(2, 2, width_ratios=(1, 1.15))
    panels[0, 0].imshow(tiles(np.concatenate(looked), 10), cmap="gray_r")
    panels[0, 0].set_title("ten points of the latent space, after some epochs of training")
    for i, stage in enumerate(stages):
        panels[0, 0].text(-6, 30 * i + 15, str(stage), ha="right", va="center")
    some = rng.choice(count, 20, replace=False)
    neighbours = X[nearest(new[some], X)[1]]
    pairs = [new[some[:10]], neighbours[:10], new[some[10:]], neighbours[10:]]
    panels[1, 0].imshow(tiles(np.concatenate(pairs), 10), cmap="gray_r")
    panels[1, 0].set_title("new digits, and below each the real one that is nearest")
    panels[0, 1].imshow(tiles(new[:112], 16), cmap="gray_r")
    panels[0, 1].set_title("digits that nobody wrote")
    for axes in (panels[0, 0], panels[1, 0], panels[0, 1]):
        axes.set_axis_off()
    for k, name in enumerate(("J_D", "J_G")):
        panels[1, 1].plot(np.arange(1, epochs + 1), run.history[name], **look(k), label=f"${name}$")
    panels[1, 1].axhline(2 * np.log(2), **look(6), linewidth=1, label="$J_D$ of one that cannot tell: 2 ln 2")
    panels[1, 1].set(xlabel="epoch", title="the costs: each is measured by an opponent that learns")
    panels[1, 1].legend()
    figure.savefig(options.out / "gan.png", dpi=110)
