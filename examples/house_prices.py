"""House prices in Ames, Iowa: from a table of 2,930 sales to a network that one can save, load and question.

What one learns: what ``chainrule train`` does, step by step in Python. Rows are held out before anything is learned;
numbers are scaled, categories become columns of 0 and 1; training stops when the validation rows no longer gain by it,
and goes back to the best epoch. The baseline is a linear model on the same columns. Which columns matter is asked of
the loaded network: shuffle one column among the held-out houses, and see how much worse it predicts.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import chainrule as cr
from chainrule import data

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--short", action="store_true", help="shuffle every column once instead of ten times")
parser.add_argument("--out", type=Path, default=Path(), metavar="FOLDER", help="where the run and the figure go")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)
shuffles = 1 if options.short else 10

# 1. Read. For a file of one's own: data.read_table("houses.csv").
sales = data.ames()
print(f"{sales.height:,} sales, {sales.width} columns; some of them:")
print(sales["Neighborhood", "Gr_Liv_Area", "Bedroom_AbvGr", "Year_Built", "Garage_Type", "Sale_Price"].head(3))

# 2. Hold out a fifth of the houses, and prepare the others.
parts = data.split(sales.height, validation=0, test=0.2)
known, held_out = sales[parts.train], sales[parts.test]
houses = data.prepare(known, "Sale_Price", validation=0.2, test=0)
print(f"\n{houses.task}: {len(houses.X_train):,} houses to train on,", end=" ")
print(f"{len(houses.X_validation)} to validate on,", end=" ")
print(f"{held_out.height} held out; {houses.X_train.shape[1]} inputs")
print(*(f"  {note}" for note in houses.notes), sep="\n")

# 3. Train. The weight decay is the one, of 0, 0.001, 0.01 and 0.1, with the least validation loss.
network = cr.Sequential(cr.Dense(64, "relu"), cr.Dense(32, "relu"), cr.Dense(1))
run = cr.fit(
    network,
    houses.X_train,
    houses.y_train,
    optimizer=cr.Adam(0.001, weight_decay=0.01),
    epochs=300,
    validation_data=(houses.X_validation, houses.y_validation),
    early_stopping=cr.EarlyStopping(patience=20),
)
print("\nmean squared error of standardised prices")
print(run.history)

# 4. Compare, in dollars, on houses that neither has seen.
prices = held_out["Sale_Price"].to_numpy()
inputs = houses.encoder.transform(held_out)
linear = data.baseline("regression", houses.X_train, houses.y_train, inputs)[0]
dollars = {
    "network": houses.target.decode(run.predict(inputs)),
    "linear model": houses.target.decode(linear),
    "always the mean": np.full(len(prices), known["Sale_Price"].mean()),
}
scores = {name: data.report("regression", prices, predicted) for name, predicted in dollars.items()}
print(f"\n{'on the houses held out':<24}" + "".join(f"{name:>17}" for name in scores))
for metric in scores["network"]:
    digits = 3 if metric == "R²" else 0
    print(f"{metric:<24}" + "".join(f"{score[metric]:>17,.{digits}f}" for score in scores.values()))
worst = int(np.argmax(np.abs(dollars["network"] - prices)))
place = prices[worst] / 1000, dollars["network"][worst] / 1000
print("worst: predicted ${1:,.0f},000, sold for ${0:,.0f},000;".format(*place), end=" ")
print(f"sale condition '{held_out['Sale_Condition'][worst]}', a house not finished when it was assessed")

# 5. Save network and preparation together, load them as another program would, and predict.
folder = run.save(options.out / "house_prices", also={"preprocessing": houses.preprocessing.save})
loaded = cr.load_table(folder)
same = np.array_equal(loaded.predict(held_out)["Sale_Price"].to_numpy(), dollars["network"])
print(f"\nsaved in {folder}; the loaded network predicts the same, bit for bit: {same}")


# 6. Which columns matter? Shuffle one at a time.
def harm(column):
    """By how many dollars the mean error grows when this column's values are dealt out anew."""
    shuffled = (held_out.with_columns(held_out[column].shuffle(seed=i)) for i in range(shuffles))
    errors = [np.abs(loaded.predict(table)["Sale_Price"].to_numpy() - prices).mean() for table in shuffled]
    return np.mean(errors) - scores["network"]["MAE"]


used = [column.name for column in loaded.preprocessing.encoder.columns]
harms = {column: harm(column) for column in used}
top = sorted(harms, key=harms.get, reverse=True)[:12]
print(f"\nthe network errs by ${scores['network']['MAE']:,.0f} on average; shuffling a column adds")
print(*(f"  {column:<16} ${harms[column]:>6,.0f}" for column in top), sep="\n")

blue, grey, black = "#0072b2", "#999999", "#000000"
figure, (left, right) = plt.subplots(1, 2, figsize=(11.5, 4.8), layout="constrained")
left.plot(prices / 1000, dollars["linear model"] / 1000, "x", color=grey, markersize=4, label="linear model")
left.plot(prices / 1000, dollars["network"] / 1000, "o", color=blue, markersize=4, alpha=0.7, label="network")
left.axline((0, 0), slope=1, color=black, linewidth=1)
left.set(
    xlabel="sold for, in $1,000",
    ylabel="predicted, in $1,000",
    title=f"{held_out.height} houses held out of the training",
)
left.legend(frameon=False, loc="lower right")
right.barh(top[::-1], [harms[column] for column in top[::-1]], color=blue)
right.set(xlabel="growth of the mean error when shuffled, $", title="which columns matter to the network")
left.annotate("not finished when it was assessed", place, (8, 0), textcoords="offset points", va="center")
figure.savefig(options.out / "house_prices.png", dpi=150)
