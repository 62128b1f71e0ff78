"""A sweep: the same trainings as one by one, scikit-learn's scores on the same folds, ranking, halving, failures."""

import numpy as np
import pytest
from scipy import stats
from scipy.sparse import csr_matrix
from sklearn.metrics import accuracy_score
from sklearn.model_selection import KFold, StratifiedKFold

import chainrule as cr
from chainrule.errors import ConfigurationError, DataError, ShapeError
from chainrule.train import Candidate
from chainrule.train.sweeps.programs import Together

RNG = np.random.default_rng(0)
X = RNG.uniform(-2, 2, size=(80, 1))
Y = np.sin(2 * X[:, 0])
POINTS = RNG.normal(size=(90, 2))
CLASSES = np.array(["out", "in", "far"])[np.digitize((POINTS**2).sum(axis=1), [1, 3])]


def network(width=8, activation="tanh"):
    return cr.Sequential(cr.Dense(width, activation), cr.Dense(1))


def classifier(width=8):
    return cr.Sequential(cr.Dense(width, "relu"), cr.Dense(3, "softmax"))


SETTINGS = {"epochs": 60, "batch_size": 16}


@pytest.fixture(scope="module")
def ranking():
    choices = {"width": [1, 12], "activation": ["tanh", "linear"]}
    return cr.sweep(network, X, Y, choices, seeds=3, learning_rate=0.02, **SETTINGS)


def assert_same(run, alone):
    """The same training, up to the order of a sum: several at a time are another program."""
    np.testing.assert_allclose(run.history.table, alone.history.table, rtol=2e-4, atol=1e-6)
    assert run.parameters.keys() == alone.parameters.keys()
    for name, value in alone.parameters.items():
        np.testing.assert_allclose(run.parameters[name], value, rtol=2e-3, atol=1e-4)


# --- the same as alone --------------------------------------------------------------------------------------


def test_every_training_is_the_one_that_fit_would_have_made(ranking):
    for seed, run in zip(ranking.seeds, ranking["width 12, activation tanh"].runs, strict=True):
        alone = cr.fit(network(12), X, Y, validation_split=0.2, seed=seed, learning_rate=0.02, **SETTINGS)
        assert_same(run, alone)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_constants_of_the_optimizer_and_folds_are_numbers_that_one_program_is_fed(dtype):
    """Each candidate has its own, and none another's: in float64 to all but the last digits."""
    choices = {"learning_rate": [0.003, 0.02], "weight_decay": [1e-3, 0.1], "beta_1": [0.5, 0.9]}
    folds = list(StratifiedKFold(3, shuffle=True, random_state=1).split(POINTS, CLASSES))
    found = cr.sweep(classifier, POINTS, CLASSES, choices, folds=folds, epochs=8, batch_size=20, dtype=dtype)
    assert len(found) == 8
    for row in found.candidates:
        for (rows, held), run in zip(folds, row.runs, strict=True):
            alone = cr.fit(
                classifier(),
                POINTS[rows],
                CLASSES[rows],
                optimizer=cr.Adam(**row.choices),
                validation_data=(POINTS[held], CLASSES[held]),
                epochs=8,
                batch_size=20,
                dtype=dtype,
            )
            tolerance = {"rtol": 1e-9, "atol": 1e-12} if dtype == "float64" else {"rtol": 2e-4, "atol": 1e-5}
            np.testing.assert_allclose(run.history.table, alone.history.table, **tolerance)
            assert run.step.optimizer == cr.Adam(**row.choices)


def test_the_score_is_the_accuracy_of_scikit_learn_on_the_same_folds():
    found = cr.sweep(classifier, POINTS, CLASSES, {"learning_rate": [0.01, 0.05]}, folds=4, epochs=10)
    splits = StratifiedKFold(4, shuffle=True, random_state=0).split(POINTS, CLASSES)
    best = found.candidates[0]
    for (_, held), run, score in zip(splits, best.runs, best.scores, strict=True):
        assert score == pytest.approx(accuracy_score(CLASSES[held], run.decide(POINTS[held])), abs=1e-6)


@pytest.mark.parametrize(
    "settings",
    [
        {"sample_weight": np.linspace(0.5, 1.5, 80)},
        {"watch": ["W1"]},
        {"early_stopping": 3},
        {"shuffle": False},
        {"batch_size": None},
        {"optimizer": cr.GradientDescent(cr.WarmUp(cr.CosineDecay(0.1, 40), 10))},
        {"optimizer": cr.Momentum({"W1": 0.01, "default": 0.02})},
        {"optimizer": cr.Adam(0.02, clip_norm=0.5)},
        {"optimizer": cr.Adam(0.02, beta_1=0.0, weight_decay=0.02)},
    ],
    ids=lambda s: next(iter(s)),
)
def test_whatever_is_set_it_is_the_training_of_fit(settings):
    shared = {"epochs": 20, "batch_size": 16, **settings}
    found = cr.sweep(network, X, Y, {"width": [3, 5]}, **shared)
    for row in found.candidates:
        assert_same(row.runs[0], cr.fit(network(row.choices["width"]), X, Y, validation_split=0.2, **shared))


def test_dropout_draws_as_it_does_alone():
    def dropped():
        return cr.Sequential(cr.Dense(16, "tanh"), cr.Dropout(0.5), cr.Dense(1))

    found = cr.sweep(dropped, X, Y, {"learning_rate": [0.01, 0.03]}, seeds=2, epochs=5)
    for row in found.candidates:
        for seed, run in enumerate(row.runs):
            rate = row.choices["learning_rate"]
            assert_same(run, cr.fit(dropped(), X, Y, validation_split=0.2, seed=seed, learning_rate=rate, epochs=5))


def test_several_inputs_and_a_loss_that_is_a_formula():
    x, y = cr.input("x", ("m", 1)), cr.input("y", ("m", 1))
    model = cr.Model([x, y], cr.Dense(4, "tanh")(x))
    cost = cr.mean((cr.Dense(1)(model.outputs[0]) - y) ** 2)
    data = {"x": X, "y": Y[:, None]}
    found = cr.sweep(model, data, None, {"learning_rate": [0.01, 0.1]}, loss=cost, folds=2, epochs=4)
    assert found.monitor.startswith("validation")
    for row in found.candidates:
        assert np.isfinite(row.scores).all()


# --- the ranking --------------------------------------------------------------------------------------------


def test_the_best_comes_first(ranking):
    assert ranking.best == "width 12, activation tanh"
    means = [c.mean for c in ranking.candidates]
    assert means == sorted(means)
    assert ranking.monitor == "validation_loss"
    assert ranking.best_choices == {"width": 12, "activation": "tanh"}
    for c in ranking.candidates:
        assert [r.history["validation_loss"][-1] for r in c.runs] == list(c.scores)
        assert c.spread == pytest.approx(np.std(c.scores, ddof=1))
        assert c.parameter_count == c.runs[0].model.parameter_count


def test_how_far_one_is_behind_is_the_paired_t_interval_of_scipy():
    """Where all are validated on the same examples."""
    held = {"validation_data": (X[60:], Y[60:])}
    found = cr.sweep(network, X[:60], Y[:60], {"width": [1, 2, 12]}, seeds=3, epochs=20, learning_rate=0.02, **held)
    best = found.candidates[0]
    for other in found.candidates[1:]:
        gap, within = found.behind(other.name)
        expected = stats.ttest_rel(other.scores, best.scores).confidence_interval(0.95)
        assert (gap - within, gap + within) == pytest.approx(tuple(expected), rel=1e-9)
        assert (other.name in found.ties) == (expected.low <= 0)


@pytest.mark.parametrize(
    ("held_out", "factor"), [({"folds": 3}, 1 + 3 / 2), ({"validation_split": 0.2, "seeds": 4}, 1 + 4 * 0.2 / 0.8)]
)
def test_the_interval_is_wider_where_the_trainings_share_examples(held_out, factor):
    """Nadeau and Bengio 2003: the variance times 1 + n · n₂/n₁."""
    found = cr.sweep(network, X[:60], Y[:60], {"width": [1, 3]}, epochs=5, **held_out)
    gap, within = found.behind(found.candidates[1].name)
    plain = stats.ttest_rel(found.candidates[1].scores, found.candidates[0].scores).confidence_interval(0.95)
    assert within == pytest.approx((plain.high - plain.low) / 2 * np.sqrt(factor))
    assert gap == pytest.approx((plain.high + plain.low) / 2)


def test_one_linear_layer_after_another_is_as_good_with_one_unit_as_with_twelve(ranking):
    """A law: they are the same family of functions, whatever the width."""
    gap, _ = ranking.behind("width 1, activation linear")
    other, _ = ranking.behind("width 12, activation linear")
    assert gap == pytest.approx(other, rel=0.05)


def test_classes_are_ranked_by_accuracy_and_the_larger_is_better():
    labels = (X[:, 0] > 0.3).astype(int)
    found = cr.sweep(
        {
            "constant": lambda: cr.Sequential(cr.Dense(1, "sigmoid", kernel_initializer="zeros")),
            "steps": lambda: cr.Sequential(cr.Dense(8, "tanh"), cr.Dense(1, "sigmoid")),
        },
        X,
        labels,
        seeds=[5, 7],
        epochs=1,
        learning_rate=0.05,
        validation_data=(X[::2], labels[::2]),
        workers=1,
    )
    assert found.monitor == "validation_accuracy"
    assert found.best == "steps"
    gap, _ = found.behind("constant")
    assert gap == pytest.approx(found["steps"].mean - found["constant"].mean)
    assert found.seeds == (5, 7)


def rightly(y_hat, y):
    return cr.cast(cr.equal(cr.argmax(y_hat, axis=-1), y), "float")


def test_by_a_metric_of_ones_own_they_are_ranked_as_it_is_said():
    settings = {"metrics": ["accuracy", rightly], "folds": 3, "epochs": 30, "learning_rate": 0.03}
    choices, column = {"width": [1, 16]}, "validation_rightly"
    usual = cr.sweep(classifier, POINTS, CLASSES, choices, **settings)
    found = cr.sweep(classifier, POINTS, CLASSES, choices, monitor=column, larger_is_better=True, **settings)
    assert [c.name for c in found.candidates] == [c.name for c in usual.candidates] == ["width 16", "width 1"]
    np.testing.assert_allclose(found.candidates[0].scores, usual.candidates[0].scores)
    assert found.behind("width 1") == pytest.approx(usual.behind("width 1"))
    upside_down = cr.sweep(classifier, POINTS, CLASSES, choices, monitor=column, larger_is_better=False, **settings)
    assert upside_down.best == "width 1"
    with pytest.raises(ConfigurationError, match=r"(?s)not known.*validation_rightly.*larger_is_better=True"):
        cr.sweep(classifier, POINTS, CLASSES, choices, monitor=column, **settings)


def test_halving_gives_up_those_that_are_behind_in_a_metric_that_grows():
    settings = {"metrics": [rightly], "monitor": "validation_rightly", "larger_is_better": True}
    found = cr.sweep(
        classifier, POINTS, CLASSES, {"width": [1, 16]}, folds=3, epochs=40, halving=2, learning_rate=0.03, **settings
    )
    assert (found.best, found["width 1"].stopped) == ("width 16", 10)


def test_what_is_wrong_with_the_column_is_said_after_the_first_training(monkeypatch):
    ended = []
    monkeypatch.setattr(Together, "end", lambda self, t, end=Together.end: (ended.append(t), end(self, t)))
    with pytest.raises(ConfigurationError, match="did you mean 'validation_loss'"):
        cr.sweep(network, X, Y, {"width": [1, 2, 3, 4, 5]}, seeds=4, epochs=1, monitor="validation_los", workers=1)
    assert len(ended) == 1


def test_losses_of_different_kinds_are_not_compared():
    choices = {"loss": ["squared_error", "huber"]}
    with pytest.raises(ConfigurationError, match=r"(?s)different kinds.*validation_absolute_error"):
        cr.sweep(network, X, Y, choices, epochs=2)
    metric = {"metrics": ["absolute_error"], "monitor": "validation_absolute_error"}
    assert len(cr.sweep(network, X, Y, choices, epochs=2, **metric)) == 2


def test_weights_of_the_examples_go_with_them_into_the_folds():
    weights = RNG.uniform(0.1, 3, size=len(X))
    folds = list(StratifiedKFold(2, shuffle=True, random_state=0).split(X, Y > 0))
    found = cr.sweep(network, X, Y, {"width": [3]}, folds=folds, sample_weight=weights, epochs=5)
    for (rows, held), run in zip(folds, found.candidates[0].runs, strict=True):
        alone = cr.fit(
            network(3), X[rows], Y[rows], sample_weight=weights[rows], validation_data=(X[held], Y[held]), epochs=5
        )
        assert_same(run, alone)


def test_with_early_stopping_it_is_the_kept_epoch_that_counts():
    found = cr.sweep(network, X, Y, early_stopping=3, learning_rate=0.02, **{**SETTINGS, "epochs": 300})
    (row,) = found.candidates
    assert row.name == "as it is"
    assert row.scores[0] == row.runs[0].history["validation_loss"].min()
    assert row.epochs < 300
    assert np.isnan(row.spread)
    assert "nothing is known of the spread" in str(found)


def test_the_table_and_the_figure_say_the_same(ranking):
    lines = str(ranking).split("\n")
    assert [line.split("  ")[0] for line in lines[2:-1]] == [c.name for c in ranking.candidates]
    first = ranking.candidates[0]
    assert lines[2].split()[4:] == [
        f"{first.mean:.4f}", f"{first.spread:.4f}", "60", str(first.parameter_count), f"{first.seconds:.1f}",
    ]  # fmt: skip
    axes = ranking.figure().axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()] == [c.name for c in ranking.candidates]
    dots = [line.get_xdata() for line in axes.lines if line.get_marker() == "o"]
    np.testing.assert_array_equal(dots, [c.scores for c in ranking.candidates])
    assert [row["mean"] for row in ranking.data()] == [c.mean for c in ranking.candidates]
    assert ranking.data()[0]["width"] == 12


def test_a_candidate_that_there_is_not(ranking):
    with pytest.raises(ConfigurationError, match=r"(?s)no such candidate.*width 12, activation tanh"):
        ranking["width 12, activation tan"]
    assert isinstance(ranking["width 1, activation tanh"], Candidate)


# --- the hopeless, and what fails ---------------------------------------------------------------------------


def test_halving_gives_up_the_worse_at_a_ninth_and_a_third_and_finds_the_same_winner():
    rates = [float(r) for r in np.geomspace(1e-6, 0.03, 9)]
    found = cr.sweep(network, X, Y, {"learning_rate": rates}, halving=3, epochs=45)
    full = cr.sweep(network, X, Y, {"learning_rate": rates}, epochs=45)
    assert sorted(c.epochs for c in found.candidates) == [5] * 6 + [15] * 2 + [45]
    assert found.best == full.best
    assert found[found.best].mean == pytest.approx(full[full.best].mean, rel=1e-4)
    at_5 = {c.name: c.histories[0]["validation_loss"][4] for c in full.candidates}
    went_on = {c.name for c in found.candidates if c.epochs > 5}
    assert went_on == set(sorted(at_5, key=at_5.__getitem__)[:3])
    assert "given up after epoch 5" in str(found)
    assert all(c.runs[0].history.epochs == c.epochs for c in found.candidates)


def test_what_diverges_is_last_and_counted():
    found = cr.sweep(
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


def test_a_candidate_that_fails_alone_is_a_row_with_its_reason():
    choices = {"activation": ["tanh", "tanhh"], "learning_rate": [0.01, -1.0]}
    found = cr.sweep(network, X, Y, choices, epochs=2)
    assert [bool(c.failed) for c in found.candidates] == [False, True, True, True]
    assert found["activation tanhh, learning rate 0.01"].failed.startswith("no such activation")
    assert "failed: a learning rate is a positive number (-1.0)" in str(found)
    assert found["activation tanhh, learning rate 0.01"].runs == ()
    figure = found.figure()
    figure.draw_without_rendering()
    assert figure.axes[0].get_title(loc="left").endswith("; empty: failed or diverged")


def test_a_function_that_raises_is_a_row_as_well():
    def odd(width):
        if width == 2:
            raise KeyError("no width of two")
        return network(width)

    found = cr.sweep(odd, X, Y, {"width": [1, 2]}, seeds=2, epochs=2)
    assert found["width 2"].failed == "KeyError: 'no width of two'"
    assert found.best == "width 1"


def test_a_count_of_seeds_may_be_a_number_of_numpy():
    assert cr.sweep(network, X, Y, {"width": [1]}, seeds=np.int64(2), epochs=1).seeds == (0, 1)


def test_where_all_fail_for_one_reason_it_is_the_error():
    with pytest.raises(cr.errors.ShapeError, match=r"(?s)every candidate.*examples and labels differ in number"):
        cr.sweep(network, X, Y[:50], {"width": [1, 2]}, epochs=2)


def test_where_every_candidate_fails_on_some_fold_it_is_the_error():
    """The last class is in the first fold alone: who is not trained on it cannot be judged by it."""
    order = np.argsort(CLASSES)
    with pytest.raises(cr.errors.ChainruleError, match="every candidate of the sweep failed"):
        cr.sweep(classifier, POINTS[order], CLASSES[order], {"width": [3, 8]}, folds=KFold(3), epochs=2)


def test_examples_that_cannot_be_dealt_into_folds_are_told_as_fit_tells_them():
    choices = {"width": [1, 8]}
    with pytest.raises(ShapeError, match=r"(?s)differ in number.*80 examples, 79 labels"):
        cr.sweep(network, X, Y[:-1], choices, folds=3, **SETTINGS)
    with pytest.raises(DataError, match="sparse matrix"):
        cr.sweep(network, csr_matrix(X), Y, choices, folds=2, **SETTINGS)


def test_where_all_diverge_the_error_says_so():
    with pytest.raises(ConfigurationError, match=r"(?s)every candidate.*diverged.*smaller learning rates"):
        cr.sweep(network, X, Y, {"learning_rate": [1e20, 1e25]}, optimizer="gradient_descent", epochs=20)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: cr.sweep({}, X, Y), "needs values"),
        (lambda: cr.sweep({"a": network(3)}, X, Y), "a function that makes it"),
        (lambda: cr.sweep(network, X, Y, seeds=0), "at least 1"),
        (lambda: cr.sweep(network, X, Y, seeds=2.0), r"given: +2.0\n +expected: 3, or"),
        (lambda: cr.sweep(network, X, Y, seeds="ab"), "different whole numbers"),
        (lambda: cr.sweep(network, X, Y, workers=-1), "workers is a whole number of at least 1"),
        (lambda: cr.sweep(network, X, Y, epochs=1, monitor="validation_los"), "validation_loss"),
        (lambda: cr.sweep(network, X, Y, {"widht": [1, 2]}), "did you mean 'width'"),
        (lambda: cr.sweep(network, X, Y, {"seed": [1, 2]}), "all candidates share it"),
        (lambda: cr.sweep(network, X, Y, {"width": 3}), "several values"),
        (lambda: cr.sweep(network, X, Y, {"width": []}), "needs values"),
        (lambda: cr.sweep(network, X, Y, {"learning_rate": cr.Between(0.1, 1.0)}), "trials=30"),
        (lambda: cr.sweep(network, X, Y, batchsize=3), "did you mean 'batch_size'"),
        (lambda: cr.sweep(network, X, Y, halving=1), "2 or more"),
        (lambda: cr.sweep(network, X, Y, seed=5), r"a sweep has seeds.*seeds=\[5\]"),
        (lambda: cr.sweep(network, X, Y, folds=3, validation_data=(X, Y)), "two ways"),
        (lambda: cr.sweep(network, X, Y, folds=81), "81 of 80 rows"),
        (lambda: cr.sweep(network, X, Y, [1, 2]), "a mapping"),
    ],
)
def test_what_is_wrong_is_said(wrong, says):
    with pytest.raises(ConfigurationError, match=f"(?s){says}"):
        wrong()
