"""More data, a larger network: where the curves of classical models flatten, and those of networks go on.

What one learns: the figure that every course on deep learning begins with, measured. A logistic regression, a support
vector machine and three networks learn to read digits from ever larger shares of 4,000 images (MNIST); 1,000 others say
how well. With 50 images size is worth little: 65% for all, 68% for the large network. With 4,000 the linear model has
89.6%, the networks 91.0%, 93.7% and 95.5% in the order of their size. A support vector machine with a Gaussian kernel
is no straw man: up to 1,500 images it keeps up with the large network (93.5% and 93.3%), with 4,000 it has 94.7%. Every
point is a mean over several draws of the share, all models get the same draws, and the bars are their standard
deviation. Each network makes the same number of steps, whatever the share.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

import chainrule as cr
from chainrule.explain.figures import drawing, label_ends, look, style

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--short", action="store_true", help="two sizes, one draw")
parser.add_argument("--out", type=Path, default=Path(), metavar="FOLDER", help="where the figure goes")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)
sizes = (100, 400) if options.short else (50, 100, 250, 600, 1500, 4000)
draws = 1 if options.short else 3
steps = 200 if options.short else 1500

try:
    mnist = cr.data.load("mnist")
except cr.ChainruleError as error:
    print(error)
    raise SystemExit(0) from None
pixels, digits = mnist.items.reshape(-1, 784), mnist.labels
X, X_new, Y, Y_new = train_test_split(pixels / 255, digits, test_size=1000, stratify=digits, random_state=0)


# 1. The models: the larger the network, the more dropout. Settings of the classical ones are scikit-learn's own.
def network(*widths, dropout):
    def train(X, Y, seed):
        layers = [layer for width in widths for layer in (cr.Dense(width, "relu"), cr.Dropout(dropout))]
        batch = min(64, len(X))
        epochs = -(-steps // -(-len(X) // batch))
        rate = cr.Adam(cr.CosineDecay(0.002, steps))
        run = cr.fit(cr.Sequential(*layers, cr.Dense(10, "softmax")), X, Y, optimizer=rate, epochs=epochs,
                     batch_size=batch, seed=seed)  # fmt: skip
        return run.decide

    return train


models = {
    "logistic regression": lambda X, Y, seed: LogisticRegression(max_iter=300).fit(X, Y).predict,
    "support vector machine": lambda X, Y, seed: SVC().fit(X, Y).predict,
    "small network": network(16, dropout=0),
    "medium network": network(64, dropout=0.2),
    "large network": network(512, 512, dropout=0.5),
}

# 2. All of them on the same shares.
accuracy = {name: np.zeros((len(sizes), draws)) for name in models}
print(f"{'accuracy on 1,000 others':<26}" + "".join(f"{size:>12,}" for size in sizes) + "  images to learn from")
for name, train in models.items():
    for i, size in enumerate(sizes):
        for seed in range(draws):
            some = slice(None)
            if size < len(X):
                some, _ = train_test_split(np.arange(len(X)), train_size=size, stratify=Y, random_state=seed)
            accuracy[name][i, seed] = np.mean(train(X[some], Y[some], seed)(X_new) == Y_new)
    cells = (f"{a.mean():>7.1%} ±{a.std(ddof=min(1, draws - 1)):>3.1%}" for a in accuracy[name])
    print(f"{name:<26}" + "".join(f"{cell:>12}" for cell in cells), flush=True)
print(f"{'always the same digit':<26}{np.bincount(Y_new).max() / len(Y_new):>7.1%}")

# 3. The figure.
with style():
    figure = drawing(8, 4.8)
    axes = figure.subplots()
    for k, values in enumerate(accuracy.values()):
        axes.errorbar(sizes, values.mean(axis=1), values.std(axis=1, ddof=min(1, draws - 1)), **look(k), capsize=2)
    axes.set_xscale("log")
    axes.set(xlabel="images to learn from", ylabel="accuracy on 1,000 others", xticks=sizes)
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.set_xticks([], minor=True)
    axes.set_ylim(top=1.02)
    ends = [values[-1].mean() for values in accuracy.values()]
    label_ends(axes, sizes[-1], ends, list(accuracy), [look(k)["color"] for k in range(len(models))])
    figure.savefig(options.out / "data_and_size.png", dpi=110)
