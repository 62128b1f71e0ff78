"""Three kinds of iris told apart by four lengths: from a table to probabilities, on flowers held out of the training.

What one learns: a table goes in, names and all; a softmax at the end of the network turns three numbers into
probabilities, and the decision is the largest of them. Every flower is predicted once, by a network that has not seen
it (five folds). Scikit-learn's logistic regression on the same folds is the baseline: with 150 flowers as tidy as
these a network decides no better. It is surer, because the other's weights are held small by a penalty, and most of
the flowers that it gets wrong are among those that it was least sure of.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import polars as pl
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from chainrule.train.table import fit_table

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--short", action="store_true", help="the same: nothing here takes long")
parser.add_argument("--out", type=Path, default=Path(), metavar="FOLDER", help="where the figure goes")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)

# 1. A table as it would come from a file (chainrule.data.read_table): four columns of numbers, one of names.
iris = load_iris()
names, species = iris.target_names, iris.target_names[iris.target]
lengths = pl.DataFrame(iris.data, schema=iris.feature_names)
table = lengths.with_columns(species=species)
print(table[[0, 50, 100]])


# 2. Five times: train on four fifths of the flowers, ask for the rest.
def train(table):
    return fit_table(table, "species", layers=(8,), activation="tanh", learning_rate=0.02, test=0)


def train_linear(table):
    model = make_pipeline(StandardScaler(), LogisticRegression())
    return model.fit(table.drop("species").to_numpy(), table["species"].to_numpy())


P = {"network": np.zeros((150, 3)), "logistic regression": np.zeros((150, 3))}
for known, held_out in StratifiedKFold(5, shuffle=True, random_state=0).split(lengths, species):
    network = train(table[known])
    answers = network.predict(lengths[held_out])
    P["network"][held_out] = answers.drop("species")
    P["logistic regression"][held_out] = train_linear(table[known]).predict_proba(lengths[held_out].to_numpy())
print("\nwhat the last of the five networks says of some flowers that it has not seen")
print(answers[::6])
print(f"\nits formulas, after {network.run.history.epochs} epochs")
print(network.run.formulas())

# 3. What was right, and how sure it was.
decided = {name: names[p.argmax(axis=1)] for name, p in P.items()}
print(f"\n{'150 flowers, all held out once':<32}{'accuracy':>10}{'log loss':>10}")
print(f"{'always the same kind':<32}{1 / 3:>10.1%}{np.log(3):>10.3f}")
for name, p in P.items():
    print(f"{name:<32}{accuracy_score(species, decided[name]):>10.1%}{log_loss(species, p):>10.3f}")
for name in P:
    print(f"\n{name:<24}decided" + "".join(f"{kind:>12}" for kind in names))
    for kind, counts in zip(names, confusion_matrix(species, decided[name]), strict=True):
        print(f"{'really ' + kind:<31}" + "".join(f"{count:>12}" for count in counts))
print("\nthe flowers that the network was least sure of")
for i in P["network"].max(axis=1).argsort()[:8]:
    said = ", ".join(f"{kind} {p:.2f}" for kind, p in zip(names, P["network"][i], strict=True))
    print(f"  {said:<48}{'right' if species[i] == decided['network'][i] else 'wrong'}, it is {species[i]}")

# 4. The probabilities over the petals' plane, of models that have seen all flowers; sepals at their mean.
petal = [np.linspace(0.5, 7.2, 150), np.linspace(0, 2.7, 120)]
plane = np.stack(np.meshgrid(*petal), axis=-1).reshape(-1, 2)
flowers = np.column_stack([np.tile(iris.data[:, :2].mean(axis=0), (len(plane), 1)), plane])
surfaces = {
    "network": train(table).predict(pl.DataFrame(flowers, schema=iris.feature_names)).drop("species").to_numpy(),
    "logistic regression": train_linear(table).predict_proba(flowers),
}
colours, markers = np.array([[0, 114, 178], [230, 159, 0], [0, 158, 115]]) / 255, "os^"
figure, panels = plt.subplots(1, 2, figsize=(11, 4.6), sharey=True, layout="constrained")
for axes, (name, surface) in zip(panels, surfaces.items(), strict=True):
    shades = 1 - 0.6 * surface @ (1 - colours)
    axes.pcolormesh(*petal, shades.reshape(120, 150, 3), rasterized=True)
    largest = surface.max(axis=1).reshape(120, 150)
    axes.contour(*petal, largest, [0.6, 0.9], colors="black", linestyles=["dotted", "solid"], linewidths=1)
    for k, kind in enumerate(names):
        of_kind = iris.data[species == kind, 2:].T
        axes.plot(*of_kind, markers[k], color=colours[k] * 0.8, markeredgecolor="white", label=kind)
    wrong = iris.data[species != decided[name], 2:].T
    axes.plot(*wrong, "o", color="black", markerfacecolor="none", markersize=13, label="wrong when held out")
    axes.set(xlabel="length of a petal, cm", title=name)
panels[0].plot([], [], "k:", label="likeliest kind has 60%")
panels[0].plot([], [], "k-", linewidth=1, label="likeliest kind has 90%")
panels[0].set_ylabel("width of a petal, cm")
panels[0].legend(loc="upper left", fontsize="small")
figure.savefig(options.out / "iris.png", dpi=150)
