"""``chainrule demo``, against scikit-learn on the same rows."""

import re

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

import chainrule as cr
from chainrule.data import Preprocessing, ames, split


@pytest.fixture(scope="module")
def demo(tmp_path_factory, chainrule):
    folder = tmp_path_factory.mktemp("demo") / "run"
    answer = chainrule("demo", "-o", folder)
    assert answer.code == 0, answer.err
    return folder, answer


def test_it_trains_on_the_real_sales(demo):
    assert "Ames, Iowa: 2,930 house sales" in demo[1].out
    assert "target Sale_Price: regression; 1,758 training, 586 validation, 586 test rows" in demo[1].out


def test_a_progress_line_has_loss_and_validation_loss(demo):
    assert re.search(r"epoch \d+/300  loss \d\.\d+  validation loss \d\.\d+", demo[1].err)


def test_it_prints_the_formulas_and_where_the_run_is(demo):
    folder, answer = demo
    assert str(cr.load(folder).formulas()) in answer.out
    assert f"saved in {folder} after " in answer.out


def test_the_network_and_a_linear_model_are_compared_on_the_same_held_out_rows(demo, chainrule, tmp_path):
    folder, answer = demo
    table, parts = ames(), split(2930, 0.2, 0.2, 0)
    table.write_parquet(tmp_path / "ames.parquet")
    chainrule("predict", folder, tmp_path / "ames.parquet", "-o", tmp_path / "p.parquet")
    network = pl.read_parquet(tmp_path / "p.parquet")["Sale_Price"].to_numpy()
    x, y = Preprocessing.load(folder / "preprocessing").encoder.transform(table), table["Sale_Price"].to_numpy()
    linear = Ridge(1e-3).fit(x[parts.train].astype(float), y[parts.train]).predict(x)
    for name, metric in (("RMSE", root_mean_squared_error), ("MAE", mean_absolute_error), ("R²", r2_score)):
        found = [metric(y[parts.test], model[parts.test]) for model in (network, linear)]
        np.testing.assert_allclose(answer.scores[name], found, rtol=1e-3)
    assert answer.scores["MAE"][0] < answer.scores["MAE"][1]
