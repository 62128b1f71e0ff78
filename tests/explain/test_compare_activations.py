"""Activations compared: chance, the answer as it follows from planted numbers, tables, figures, bad input."""

import dataclasses
import io
import json

import numpy as np
import pytest
from scipy.stats import ttest_rel

import chainrule as cr
from chainrule.errors import ConfigurationError, DataError, ShapeError
from chainrule.explain.compare import compare_activations
from chainrule.explain.compare.activations import CRITERIA, _chosen, against
from chainrule.explain.compare.cost import Ratio
from chainrule.explain.compare.progress import Told
from chainrule.explain.compare.spread import Spread, clear_difference
from chainrule.explain.compare.tasks import task, with_outliers
from chainrule.nn.activations import ACTIVATIONS

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def found():
    return compare_activations(["linear", "relu", "softplus"], quick=True)


# --- chance ---------------------------------------------------------------------------------------------


def test_a_difference_is_clear_where_the_paired_t_test_says_so():
    for shift in (0.0, 0.2, 0.5, 1.0, 2.0):
        for seeds in (2, 3, 5, 10):
            a = RNG.normal(size=seeds)
            b = a + shift + 0.3 * RNG.normal(size=seeds)
            expected = ttest_rel(b, a).pvalue < 0.05
            assert bool(clear_difference(Spread.of(b), Spread.of(a))) == expected
    assert clear_difference(Spread((1.0, 1.0)), Spread((2.0, 2.0))) == -1
    assert clear_difference(Spread((1.0, 1.0)), Spread((1.0, 1.0))) == 0
    assert clear_difference(Spread((1.0,)), Spread((9.0,))) == 0


def test_numbers_over_different_seeds_are_not_compared():
    with pytest.raises(ConfigurationError, match="same seeds"):
        clear_difference(Spread((1.0, 2.0)), Spread((1.0,)))


def test_a_spread_is_written_to_the_digits_of_its_deviation():
    assert str(Spread((0.41, 0.45, 0.49))) == "0.450 ± 0.040"
    assert str(Spread((3.0,))) == "3"
    assert str(Spread((1e-9, 3e-9))) == "2.0e−09 ± 1e−09"


# --- the answer -----------------------------------------------------------------------------------------


def planted(report, **numbers):
    trials = {k: Spread.of(v) for k, v in numbers.items() if k != "cost"}
    cost = dataclasses.replace(report.cost, **numbers.get("cost", {}))
    return dataclasses.replace(report, cost=cost, trials=dataclasses.replace(report.trials, **trials))


def test_the_answer_follows_from_the_numbers(found):
    even = {"r2": (0.5, 0.6), "accuracy": (0.9, 0.8), "dead": (0, 0), "outliers": (1, 1), "moved": (1, 1)}
    same = dict.fromkeys(("layer", "layer_gradient", "forward"), Ratio(1.0, 1.0, 1.0))
    a = planted(found["softplus"], **even, accuracy_lost=(0, 0), cost=same)
    b = dataclasses.replace(a, name="relu")
    said = against(a, b)
    assert said.better("softplus") == said.better("relu") == ()
    assert said.answer.startswith("Neither softplus nor relu scores clearly better.\nNo clear difference in:")

    better = planted(a, r2=(0.7, 0.8), dead=(0.3, 0.3), cost={"layer": Ratio(1.5, 1.4, 1.6)})
    said = against(better, b)
    assert said.answer.startswith("Softplus scores clearly better (R² on test rows).")
    assert said.better("relu") == ("time of a layer forward", "units dead at the end of training")
    assert "relu is better in: time of a layer forward; units dead at the end of training." in said.answer

    said = against(b, better)  # whichever stands first
    assert said.answer.startswith("Softplus scores clearly better (R² on test rows).")


@pytest.mark.parametrize(
    ("ratio", "clear"),
    [(Ratio(1.09, 1.08, 1.1), False), (Ratio(1.11, 1.1, 1.12), True), (Ratio(1.5, 0.9, 2.0), False)],
)
def test_times_differ_by_a_tenth_in_most_rounds_or_not_at_all(found, ratio, clear):
    criterion = CRITERIA[0]
    a, b = (planted(found["relu"], cost={"layer": r}) for r in (Ratio(1.0, 1.0, 1.0), ratio))
    assert criterion.winner(a, b) is (a if clear else None)
    assert criterion.winner(b, a) is (a if clear else None)


def test_flat_slopes_are_shown_and_not_judged(found):
    row = next(r for r in found.against().rows if r.criterion.startswith("slopes flat"))
    assert (row.winner, row.judged) == (None, False)
    assert float(row.second.split()[0]) > float(row.first.split()[0])  # ReLU is the sparse one


# --- what a person sees ---------------------------------------------------------------------------------


def test_every_function_with_a_name_is_compared_by_default():
    assert {ACTIVATIONS[name] for name in _chosen(None, None)} == set(ACTIVATIONS.values())
    assert len(_chosen(None, None)) == len(set(ACTIVATIONS.values()))


def test_the_report_has_every_activation_in_every_table(found):
    text = str(found)
    for table in (found.shapes(), found.costs(), found.scores()):
        lines = table.split("\n")
        assert table in text
        assert [line.split()[0] for line in lines] == ["activation", "linear", "relu", "softplus"]
        head = lines[0].index(lines[0].split("   ")[1].strip())
        assert all(line[head] != " " and line[head - 1] == " " for line in lines)
    assert "Softplus against ReLU" in text
    assert found.against().answer in text


def test_units_are_watched_where_a_unit_is_a_function_of_its_own_sum(found):
    relu, softplus = found["relu"].trials, found["softplus"].trials
    assert relu.units.epochs[0] == 0
    assert 0.2 < relu.flat.mean < 0.8
    assert softplus.dead.values == (0.0, 0.0)
    assert found["linear"].trials.units is None is found["linear"].trials.dead


def test_networks_have_learned_something(found):
    for report in found:
        assert report.trials.accuracy.mean > 0.85
        assert report.trials.r2.mean > 0.2
        assert report.trials.loss[-1] < report.trials.loss[0] / 3


def test_records_are_flat_and_figures_have_the_data(found, tmp_path):
    files = found.save(tmp_path / "new" / "folder")
    names = {file.name for file in files}
    assert names == {"report.txt", "records.json", "shapes.png", "depth.png", "scores.png", "units.png"}
    records = json.loads((tmp_path / "new" / "folder" / "records.json").read_text("utf-8"))
    assert [r["activation"] for r in records] == list(found.reports)
    assert records[1]["range"] == [0.0, "inf"]
    curve = found.figure("shapes").axes[1].lines[1]
    assert np.array_equal(curve.get_xdata(), found["relu"].shape.curve[0])
    assert len(found.figure("units").axes[0].lines) == 2


def test_the_same_seeds_give_the_same_numbers(found):
    again = compare_activations(["softplus"], quick=True)["softplus"]
    assert again.trials == found["softplus"].trials
    assert again.signal == found["softplus"].signal


def test_own_functions_and_own_data_are_compared():
    X = RNG.normal(size=(90, 3))
    labels = np.where(X[:, 0] > 0, "up", "down")

    def bent(z):
        return cr.maximum(z, 0.5 * z)

    found = compare_activations(
        [bent], regression=(X, X[:, 0] ** 2), classification=(X, labels), seeds=2, epochs=30, quick=False
    )
    assert found["bent"].trials.accuracy.mean > 0.8
    assert found["bent"].shape.slope.low == 0.5
    assert "your data" in str(found)


# --- bad input ------------------------------------------------------------------------------------------


def test_a_name_that_there_is_not_is_told_with_near_ones(found):
    with pytest.raises(ConfigurationError, match="'relu'"):
        compare_activations(["relo"])
    with pytest.raises(ConfigurationError, match="'softplus'"):
        found.against("softplu")
    with pytest.raises(ConfigurationError, match="'depth'"):
        found.figure("dept")
    with pytest.raises(ConfigurationError, match="at least 1"):
        compare_activations(seeds=0)
    with pytest.raises(ConfigurationError, match="nothing to compare"):
        compare_activations([])


def test_data_that_do_not_fit_are_refused():
    X = RNG.normal(size=(20, 2))
    with pytest.raises(ShapeError, match="do not fit"):
        task((X, np.zeros(19)), "diabetes", regression=True)
    with pytest.raises(DataError, match="not all equal"):
        task((X, np.zeros(20)), "diabetes", regression=True)
    with pytest.raises(DataError, match="one class"):
        task((X, np.zeros(20)), "digits", regression=False)
    with pytest.raises(DataError, match="pair"):
        task(X, "digits", regression=False)
    with pytest.raises(DataError, match="not finite"):
        task((X * np.nan, np.arange(20)), "digits", regression=True)


def test_outliers_spoil_the_share_that_is_asked_for_and_no_test_row():
    split = task(None, "diabetes", regression=True).split(0)
    spoilt = with_outliers(split, 0.05, 5.0, 3.0, 0)
    moved = (spoilt.Y != split.Y)[:, 0]
    assert moved.sum() == round(0.05 * len(split.Y))
    assert np.allclose(np.abs(spoilt.Y - split.Y)[moved], 3)
    assert np.allclose(spoilt.X[moved], 5 * split.X[moved])
    assert spoilt.X_test is split.X_test
    assert (with_outliers(split, 0.05, 1.0, 3.0, 0, upwards=True).Y >= split.Y).all()


def test_progress_tells_ten_lines_where_it_cannot_write_over():
    stream = io.StringIO()
    told = Told(25, True, stream)
    for k in range(25):
        told(f"step {k}")
    told.end()
    assert stream.getvalue().startswith("1/25  step 0\n4/25  step 3\n")
    assert stream.getvalue().count("\n") == 9
