"""``chainrule explain`` and ``chainrule why``: every number of one row, and what rules find."""

import json
import re

import numpy as np
import polars as pl
import pytest

import chainrule as cr

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def table():
    x, kind = RNG.normal(size=(80, 2)), RNG.choice(["a", "b", "c"], 80)
    return pl.DataFrame({"height": x[:, 0], "width": x[:, 1], "kind": kind, "price": 100 + 20 * x[:, 0] - 5 * x[:, 1]})


@pytest.fixture(scope="module")
def run(table, trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("explain")
    table.write_csv(folder / "t.csv")
    trained(folder / "t.csv", "--target", "price", "--layers", "3", "--epochs", "12", "-o", folder / "run")
    return folder / "run"


def test_the_row_s_own_numbers_are_shown_forward_and_backward(chainrule, run, table):
    answer = chainrule("explain", run, "--row", 7)
    assert answer.code == 0, answer.err
    loaded = cr.load_table(run)
    target = loaded.preprocessing.target
    predicted = (float(loaded.predict(table[6:7])["price"][0]) - target.mean) / target.scale
    label = (table["price"][6] - target.mean) / target.scale
    forward = answer.out.partition("\nbackward")[0]
    values = dict(re.findall(r"^  (Z2|Y|J)\b.*  \[?(−?[\d.]+)\]?  ", forward, re.MULTILINE))
    shown = {name: float(value.replace("−", "-")) for name, value in values.items()}
    assert shown["Z2"] == pytest.approx(predicted, abs=2e-3)
    assert shown["Y"] == pytest.approx(label, abs=2e-3)
    assert shown["J"] == pytest.approx((predicted - label) ** 2, abs=5e-3)
    assert re.search(r"downstream = upstream × local on all \d+ edges", answer.out)


def test_another_table_s_row_and_a_picture(chainrule, run, table, tmp_path):
    table[10:20].write_csv(tmp_path / "other.csv")
    there = chainrule("explain", run, tmp_path / "other.csv", "--row", 1, "--svg", tmp_path / "row.svg")
    here = chainrule("explain", run, "--row", 11)
    assert there.code == 0
    assert there.out.partition("\n")[2].startswith(here.out.partition("\n")[2])
    assert "<svg" in (tmp_path / "row.svg").read_text("utf-8")
    assert there.out.endswith(f"drawn in {tmp_path / 'row.svg'}\n")


def test_a_layer_that_is_not_there_writes_nothing(chainrule, run, tmp_path):
    answer = chainrule("explain", run, "--open", "9", "--json", tmp_path / "row.json")
    assert (answer.code, answer.out) == (2, "")
    assert "there is no such layer" in answer.err
    assert not (tmp_path / "row.json").exists()


def test_every_number_as_plain_data(chainrule, run, tmp_path):
    assert chainrule("explain", run, "--row", 3, "--json", tmp_path / "row.json").code == 0
    nodes = {n["name"]: n for n in json.loads((tmp_path / "row.json").read_text("utf-8"))["nodes"]}
    weights = cr.load_table(run).run.parameters["W2"]
    np.testing.assert_allclose(nodes["W2"]["value"], weights, rtol=1e-6)
    assert np.shape(nodes["W2"]["gradient"]) == weights.shape


def test_the_formulas_in_the_course_s_notation(chainrule, run):
    answer = chainrule("formulas", run, "--columns")
    assert "dW2  = 1/m · dZ2 A1ᵀ" in answer.out
    assert "Z1   = W1 X + b1" in answer.out


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--row", "81"], ["no such row", "81", "a row from 1 to 80"]),
        (["--row", "0"], ["no such row", "a row from 1 to 80"]),
        (["--open", "Densee"], ["Densee"]),
        (["nowhere.csv"], ["no file", "nowhere.csv"]),
    ],
)
def test_what_cannot_be_explained_is_an_error(chainrule, run, words, parts):
    answer = chainrule("explain", run, *words)
    assert answer.code == 2
    for part in parts:
        assert part in answer.err


def test_a_table_without_the_target_has_no_derivatives(chainrule, run, table, tmp_path):
    table.drop("price").write_csv(tmp_path / "new.csv")
    answer = chainrule("explain", run, tmp_path / "new.csv")
    assert answer.code == 2
    assert "no column 'price'" in answer.err


def test_why_names_the_columns_of_the_table(chainrule, trained, table, tmp_path):
    leaking = table.with_columns(tax=table["price"] * 0.2)
    leaking.write_csv(tmp_path / "t.csv")
    trained(tmp_path / "t.csv", "--target", "price", "--layers", "3", "--epochs", "12", "-o", tmp_path / "run")
    answer = chainrule("why", tmp_path / "run")
    assert answer.code == 0
    assert "target leakage: tax" in answer.out
    assert "100 % of the label" in answer.out


def test_why_of_a_run_of_arrays(chainrule, tmp_path):
    X = RNG.normal(size=(50, 2))
    cr.fit(cr.Sequential(cr.Dense(1)), X, X.sum(axis=1), epochs=3).save(tmp_path / "run")
    answer = chainrule("why", tmp_path / "run")
    assert "nothing was watched: train with watch=True" in answer.out
