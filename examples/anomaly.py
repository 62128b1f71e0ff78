"""What does not belong: an autoencoder that knows normal examples only, and is bad at copying others.

What one learns: a network that has to pass an example through few units learns what examples of its kind have in
common. What it cannot rebuild is unlike them: the squared error of the copy is a score of strangeness, with no example
of the strange needed. A narrow layer that is linear finds the plane of PCA; nonlinear layers bend it. Measured by the
area under the ROC curve (the share of pairs of one strange and one normal example, both new, that the score puts in the
right order), beside PCA with as many numbers and an isolation forest: for each of the ten digits as the normal one
(5,000 images of MNIST), and for tumours, where the benign ones are normal. Digits: 0.950 on average, as PCA, the forest
0.857. Tumours: 0.938, PCA 0.934, the forest 0.960. The error of a copy is a good score of strangeness; that layers bend
adds next to nothing to it here, and where each measurement means something by itself, trees are better still.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score, roc_curve
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import chainrule as cr
from chainrule.explain.figures import drawing, look, style

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--short", action="store_true", help="two digits, few epochs")
parser.add_argument("--out", type=Path, default=Path(), metavar="FOLDER", help="where the figure goes")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)
epochs = 30 if options.short else 150


# 1. Three scores of strangeness, each learned from normal examples alone. What is strange has a high one.
def autoencoder(normal, narrow, hidden):
    """Copy the example through a few units, from a noisy version of it, so that copying number by number is no use."""
    x = cr.input("x", ("m", normal.shape[1]))
    around = cr.Sequential(
        cr.GaussianNoise(0.3),
        cr.Dense(hidden, "tanh"),
        cr.Dense(narrow),
        cr.Dense(hidden, "tanh"),
        cr.Dense(normal.shape[1]),
    )
    copy = around(x)
    error = cr.mean((copy - x) ** 2, axis=1)
    run = cr.fit(cr.Model(x, [copy, error]), normal, loss=error, epochs=epochs, batch_size=32, learning_rate=0.002)
    return run.predict


def pca(normal, narrow):
    plane = PCA(narrow, random_state=0).fit(normal)
    return lambda some: np.mean((plane.inverse_transform(plane.transform(some)) - some) ** 2, axis=1)


def forest(normal):
    trees = IsolationForest(random_state=0).fit(normal)
    return lambda some: -trees.score_samples(some)


def compare(normal, new, strange, narrow, hidden):
    """The scores of new examples by each, and how well they order them."""
    copies = autoencoder(normal, narrow, hidden)
    scores = {
        "autoencoder": copies(new)[1],
        "PCA": pca(normal, narrow)(new),
        "isolation forest": forest(normal)(new),
    }
    return {name: (score, roc_auc_score(strange, score)) for name, score in scores.items()}, copies


# 2. Digits: 400 images of the normal one to learn from; 100 new ones of it, and 100 of each other one.
try:
    mnist = cr.data.load("mnist")
except cr.ChainruleError as error:
    print(error)
    raise SystemExit(0) from None
pixels, digits = mnist.items.reshape(-1, 784), mnist.labels
images = pixels / 127.5 - 1
X, X_new, Y, Y_new = train_test_split(images, digits, test_size=0.2, stratify=digits, random_state=0)
methods = ("autoencoder", "PCA", "isolation forest")
print(f"{'area under the ROC curve':<32}" + "".join(f"{name:>18}" for name in methods))
areas, kept = [], {}
for digit in (2, 8) if options.short else range(10):
    results, copies = compare(X[digit == Y], X_new, Y_new != digit, narrow=16, hidden=64)
    kept[digit] = results, copies
    areas.append([results[name][1] for name in methods])
    print(f"{f'normal: the digit {digit}':<32}" + "".join(f"{area:>18.3f}" for area in areas[-1]))
print(f"{'mean':<32}" + "".join(f"{area:>18.3f}" for area in np.mean(areas, axis=0)))

# 3. Tumours: 30 measurements of each; 357 are benign, of which 250 are learned from, several times anew.
tumours = load_breast_cancer()
benign = tumours.target == 1
rows = []
for seed in range(1 if options.short else 5):
    known, rest = train_test_split(np.flatnonzero(benign), train_size=250, random_state=seed)
    new = np.concatenate([rest, np.flatnonzero(~benign)])
    scale = StandardScaler().fit(tumours.data[known])
    results, _ = compare(
        scale.transform(tumours.data[known]), scale.transform(tumours.data[new]), ~benign[new], narrow=4, hidden=32
    )
    rows.append([results[name][1] for name in methods])
print(f"{'normal: benign tumours':<32}" + "".join(f"{area:>18.3f}" for area in np.mean(rows, axis=0)))
if len(rows) > 1:
    print(f"{'  ± between 5 splits':<32}" + "".join(f"{s:>18.3f}" for s in np.std(rows, axis=0, ddof=1)))

# 4. What was found strange, with the copy that the network made of it.
digit = 8
results, copies = kept[digit]
copied, error = copies(X_new)
strange = Y_new != digit
strangest, least = np.argsort(-error * ~strange)[:10], np.argsort(np.where(strange, error, np.inf))[:10]
with style():
    figure = drawing(13, 4.4)
    pictures, roc, spread = figure.subplots(1, 3, width_ratios=(1.5, 1, 1))
    some = np.flatnonzero(strange)[:: strange.sum() // 10][:10]
    grid = [
        (X_new[some], "strange"), (copied[some], "copies"),
        (X_new[strangest], "normal, most error"), (copied[strangest], "copies"),
        (X_new[least], "strange, least error"), (copied[least], "copies"),
    ]  # fmt: skip
    for k, (shown, name) in enumerate(grid):
        for i, image in enumerate(shown):
            place = pictures.inset_axes((i / 10, 1 - (k + 1) / 6 - 0.01 * (k % 2 == 0), 0.095, 0.155))
            place.imshow(image.reshape(28, 28), cmap="gray_r", vmin=-1, vmax=1)
            place.set_axis_off()
        pictures.text(-0.02, 1 - (k + 0.5) / 6, name, ha="right", va="center", fontsize=9)
    pictures.set_axis_off()
    pictures.set_title(f"normal is the {digit}", loc="left")
    for k, (name, (score, area)) in enumerate(results.items()):
        false, true, _ = roc_curve(strange, score)
        roc.plot(false, true, **look(k), label=f"{name}, area {area:.3f}")
    roc.set(xlabel="share of normal images called strange", ylabel="share of strange images found", aspect="equal")
    roc.legend(loc="lower right", fontsize="small")
    bins = np.linspace(0, np.quantile(error, 0.995), 40)
    spread.hist(error[~strange], bins, density=True, color=look(0)["color"], alpha=0.8, label=f"the {digit}")
    spread.hist(error[strange], bins, density=True, histtype="step", color=look(1)["color"], linewidth=1.8,
                label="other digits")  # fmt: skip
    spread.set(xlabel="mean squared error of the copy", yticks=[])
    spread.spines["left"].set_visible(False)
    spread.legend()
    figure.savefig(options.out / "anomaly.png", dpi=110)
