"""A search: the same trainings as one by one, their ranking, and its statistics against SciPy's."""

import numpy as np
import pytest
from scipy import stats

import chainrule as cr
from chainrule.errors import ConfigurationError
from chainrule.train import Candidate

RNG = np.random.default_rng(0)
X = RNG.uniform(-2, 2, size=(80, 1))
Y = np.sin(2 * X[:, 0])


def network(width, activation="tanh"):
    return cr.Sequential(cr.Dense(width, activation), cr.Dense(1))


SETTINGS = {"epochs": 60, "learning_rate": 0.02, "batch_size": 16}


@pytest.fixture(scope="module")
def ranking():
    return cr.search(cr.grid(network, width=[1, 12], activation=["tanh", "linear"]), X, Y, seeds=3, **SETTINGS)


def test_every_training_is_the_one_that_fit_would_have_made(ranking):
    """Side by side or alone: the same bits."""
    for seed, run in zip(ranking.seeds, ranking["width 12, activation tanh"].runs, strict=True):
        alone = cr.fit(network(12), X, Y, validation_split=0.2, seed=seed, **SETTINGS)
        np.testing.assert_array_equal(run.parameters["W1"], alone.parameters["W1"])
        assert run.history["validation_loss"][-1] == alone.history["validation_loss"][-1]


def test_the_best_comes_first(ranking):
    assert ranking.best == "width 12, activation tanh"
    means = [c.mean for c in ranking.candidates]
    assert means == sorted(means)
    assert ranking.monitor == "validation_loss"
    for c in ranking.candidates:
        assert [r.history["validation_loss"][-1] for r in c.runs] == list(c.scores)
        assert c.spread == pytest.approx(np.std(c.scores, ddof=1))


def test_how_far_one_is_behind_is_the_paired_t_interval_of_scipy(ranking):
    best = ranking.candidates[0]
    for other in ranking.candidates[1:]:
        gap, within = ranking.behind(other.name)
        expected = stats.ttest_rel(other.scores, best.scores).confidence_interval(0.95)
        assert (gap - within, gap + within) == pytest.approx(tuple(expected), rel=1e-9)
        assert (other.name in ranking.ties) == (expected.low <= 0)


def test_one_linear_layer_after_another_is_as_good_with_one_unit_as_with_twelve(ranking):
    """A law: they are the same family of functions, whatever the width."""
    gap, _ = ranking.behind("width 1, activation linear")
    other, _ = ranking.behind("width 12, activation linear")
    assert gap == pytest.approx(other, rel=0.05)


def test_classes_are_ranked_by_accuracy_and_the_larger_is_better():
    labels = (X[:, 0] > 0.3).astype(int)
    data = (X[::2], labels[::2])
    found = cr.search(
        [
            ("constant", lambda: cr.Sequential(cr.Dense(1, "sigmoid", kernel_initializer="zeros"))),
            ("steps", lambda: cr.Sequential(cr.Dense(8, "tanh"), cr.Dense(1, "sigmoid"))),
        ],
        X,
        labels,
        seeds=[5, 7],
        epochs=1,
        learning_rate=0.05,
        validation_data=data,
        workers=1,
    )
    assert found.monitor == "validation_accuracy"
    assert found.best == "steps"
    gap, _ = found.behind("constant")
    assert gap == pytest.approx(found["steps"].mean - found["constant"].mean)
    assert found.seeds == (5, 7)


def test_with_early_stopping_it_is_the_kept_epoch_that_counts():
    found = cr.search({"small": lambda: network(4)}, X, Y, seeds=1, early_stopping=3, **{**SETTINGS, "epochs": 300})
    (row,) = found.candidates
    assert row.scores[0] == row.runs[0].history["validation_loss"].min()
    assert np.isnan(row.spread)
    assert "nothing is known of the spread" in str(found)


def test_what_diverges_is_last_and_counted():
    found = cr.search(
        {"explodes": lambda: network(4, lambda z: cr.exp(50 * z**2)), "works": lambda: network(4)},
        X,
        Y,
        seeds=2,
        **SETTINGS,
    )
    assert [c.name for c in found.candidates] == ["works", "explodes"]
    assert np.isnan(found["explodes"].mean)
    assert "diverged: 2 of 2" in str(found)
    assert found.ties == ("works",)


def test_the_table_and_the_figure_say_the_same(ranking):
    lines = str(ranking).split("\n")
    assert [line.split("  ")[0] for line in lines[2:-1]] == [c.name for c in ranking.candidates]
    first = ranking.candidates[0]
    assert lines[2].split()[4:] == [
        f"{first.mean:.4f}", f"{first.spread:.4f}", str(first.parameter_count), f"{first.seconds:.1f}",
    ]  # fmt: skip
    axes = ranking.figure().axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()] == [c.name for c in ranking.candidates]
    dots = [line.get_xdata() for line in axes.lines if line.get_marker() == "o"]
    np.testing.assert_array_equal(dots, [c.scores for c in ranking.candidates])


def test_a_grid_has_every_combination_and_names_functions_by_their_name():
    made = []

    def note(**choices):
        made.append(choices)

    names = cr.grid(note, activation=[cr.tanh, "relu", cr.ParametricReLU], depth=[1, 2])
    assert list(names)[::2] == [
        "activation tanh, depth 1",
        "activation relu, depth 1",
        "activation ParametricReLU, depth 1",
    ]
    for factory in names.values():
        factory()
    assert len(made) == 6
    assert made[1] == {"activation": cr.tanh, "depth": 2}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: cr.search({}, X, Y), "there is no candidate"),
        (lambda: cr.search({"a": network(3)}, X, Y), "a function without arguments"),
        (lambda: cr.search([("a", lambda: network(1))] * 2, X, Y), "names of their own"),
        (lambda: cr.search({"a": lambda: network(1)}, X, Y, seeds=0), "at least 1"),
        (lambda: cr.search({"a": lambda: network(1)}, X, Y, epochs=1, monitor="validation_los"), "validation_loss"),
        (lambda: cr.grid(network), "no choice"),
        (lambda: cr.grid(network, width=[]), "values for every choice"),
    ],
)
def test_what_is_wrong_is_said(wrong, says):
    with pytest.raises(ConfigurationError, match=f"(?s){says}"):
        wrong()


def test_what_goes_wrong_in_one_training_names_the_candidate():
    with pytest.raises(cr.ChainruleError) as found:
        cr.search({"fine": lambda: network(1), "odd": lambda: network(2, "tanhh")}, X, Y, seeds=1, epochs=1)
    assert found.value.__notes__ == ["in the candidate 'odd', seed 0"]


def test_a_candidate_that_there_is_not(ranking):
    with pytest.raises(ConfigurationError, match=r"(?s)no such candidate.*width 12, activation tanh"):
        ranking["width 12, activation tan"]
    assert isinstance(ranking["width 1, activation tanh"], Candidate)
