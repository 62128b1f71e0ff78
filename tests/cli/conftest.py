"""The command line as a user meets it, in this process."""

import contextlib
import io
import re
import traceback
from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest
from sklearn.datasets import load_diabetes, load_iris

from chainrule.cli import main

COLOURS = re.compile(r"\x1b\[[\d;]*m")


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str

    @property
    def scores(self):
        """The table of scores: {metric: (network, linear model)}."""
        heading, *rows = re.split(r"\nOn [\d,]+ held-out rows?\n", self.out)[1].split("\n")
        assert re.split(r"\s{2,}", heading.strip()) == ["network", "linear model"]
        cells = [re.split(r"\s{2,}", row) for row in rows[: rows.index("")]]
        return {name: tuple(float(v.replace(",", "")) for v in values) for name, *values in cells}


def command(*words):
    """What ``chainrule WORDS`` answers."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(word) for word in words])
            code = 0
        except SystemExit as end:
            code = end.code
        except Exception:
            traceback.print_exc()  # as Python itself would
            code = 1
    return Answer(code, COLOURS.sub("", out.getvalue()), COLOURS.sub("", err.getvalue()))


@pytest.fixture(scope="session")
def chainrule():
    return command


@pytest.fixture(scope="session")
def trained():
    """``chainrule train``, which has to succeed."""

    def train(*words):
        answer = command("train", *words)
        assert answer.code == 0, answer.err
        return answer

    return train


@pytest.fixture(scope="session")
def iris():
    data = load_iris()
    names = [str(data.target_names[code]) for code in data.target]
    features = {name.removesuffix(" (cm)"): data.data[:, i] for i, name in enumerate(data.feature_names)}
    return pl.DataFrame({**features, "species": names})


@pytest.fixture(scope="session")
def diabetes():
    data = load_diabetes()
    return pl.DataFrame({**dict(zip(data.feature_names, data.data.T, strict=True)), "progress": data.target})


@pytest.fixture(scope="session")
def line():
    """y = 2 x + 1, 60 rows."""
    x = np.random.default_rng(0).normal(size=60).round(3)
    return pl.DataFrame({"x": x, "y": 2 * x + 1})


@pytest.fixture(scope="session")
def iris_run(tmp_path_factory, iris):
    """The folder of a run on iris.csv, which lies beside it."""
    folder = tmp_path_factory.mktemp("iris")
    iris.write_csv(folder / "iris.csv")
    words = ["--layers", "8", "--learning-rate", "0.02", "--epochs", "30", "-o", folder / "run"]
    assert command("train", folder / "iris.csv", "--target", "species", *words).code == 0
    return folder / "run"


@pytest.fixture(scope="session")
def diabetes_run(tmp_path_factory, diabetes):
    """The folder of a run on diabetes.parquet, which lies beside it."""
    folder = tmp_path_factory.mktemp("diabetes")
    diabetes.write_parquet(folder / "diabetes.parquet")
    words = ["--layers", "6,5", "--activation", "tanh,relu", "--epochs", "5", "-o", folder / "run"]
    assert command("train", folder / "diabetes.parquet", "--target", "progress", *words).code == 0
    return folder / "run"
