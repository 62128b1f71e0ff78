"""Labels at every step of a sequence: class numbers (m, T) for outputs (m, T, K), with padding left out."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import DataError, ShapeError

rng = np.random.default_rng(0)
ROWS, STEPS, WORDS = 48, 6, 7
LENGTHS = rng.integers(2, STEPS + 1, ROWS)
THERE = np.arange(STEPS) < LENGTHS[:, None]
X = np.where(THERE, rng.integers(1, WORDS, (ROWS, STEPS)), 0)
Y = np.where(X > 4, 2, 0) + (np.roll(X, 1, axis=1) > 3)  # a word, and the one before it
Y = np.minimum(Y, 2)
NAMES = np.array(["noun", "verb", "other"])


def tagger(units=3, activation="softmax", mask_zero=True):
    return cr.Sequential(
        cr.Embedding(WORDS, 8, mask_zero=mask_zero),
        cr.GRU(8, return_sequences=True),
        cr.Dense(units, activation),
    )


def trained(labels=Y, epochs=1, network=None, **options):
    settings = {"optimizer": cr.Adam(0.03), "batch_size": 16} | options
    return cr.fit(network or tagger(), X, labels, epochs=epochs, **settings)


STILL = cr.GradientDescent(1e-12)


def test_a_class_for_every_step_is_learned():
    run = trained(epochs=60, validation_split=0.2)
    assert run.decide(X).shape == (ROWS, STEPS)
    assert (run.decide(X) == Y)[THERE].mean() > 0.95
    assert run.history["validation_accuracy"][-1] > 0.8


def test_padding_does_not_count():
    torch = pytest.importorskip("torch")
    run = trained(Y)
    ignored = torch.tensor(np.where(THERE, Y, -100)).reshape(-1)
    log_p = torch.log(torch.tensor(run.predict(X), dtype=torch.float64)).reshape(-1, 3)
    found = run.evaluate(X, Y)
    assert found["loss"] == pytest.approx(float(torch.nn.functional.nll_loss(log_p, ignored)), rel=1e-5)
    assert found["accuracy"] == pytest.approx((run.decide(X) == Y)[THERE].mean())
    whole = trained(Y, batch_size=None, optimizer=STILL, validation_data=(X, Y))
    assert whole.history["loss"][0] == pytest.approx(whole.evaluate(X, Y)["loss"], rel=1e-5)
    assert whole.history["validation_loss"][0] == pytest.approx(whole.evaluate(X, Y)["loss"], rel=1e-5)


@pytest.mark.parametrize("other", [-100, 2])
def test_whatever_label_stands_at_padding_is_not_looked_at(other):
    same, different = trained(Y), trained(np.where(THERE, Y, other), validation_data=(X, np.where(THERE, Y, other)))
    for name, value in same.parameters.items():
        np.testing.assert_array_equal(different.parameters[name], value)
    assert different.history["validation_loss"][0] == pytest.approx(same.evaluate(X, Y)["loss"], rel=1e-5)
    assert different.evaluate(X, np.where(THERE, Y, -1)) == pytest.approx(same.evaluate(X, Y))


def test_the_gradient_with_padding_is_that_of_central_differences():
    run = trained(Y, sample_weight=rng.uniform(0.5, 2, ROWS))
    step = run.step
    feeds = {step.model.inputs[0]: X, step.labels: Y, step.weights: rng.uniform(0.5, 2, ROWS), **run.values}
    cr.check_gradient(step.written_cost, step.learned, feeds, tolerance=1e-6, entries=20)


def test_names_of_classes():
    labels = np.where(THERE, NAMES[Y], "")
    run = trained(labels, epochs=60)
    assert set(run.labels.classes) == set(NAMES)
    assert (run.decide(X) == NAMES[Y])[THERE].mean() > 0.95


def test_a_run_that_was_read_leaves_padding_out_as_before(tmp_path):
    run = trained(Y, sample_weight=THERE.astype(float))
    again = cr.load(run.save(tmp_path / "run"))
    assert again.evaluate(X, np.where(THERE, Y, -1)) == pytest.approx(run.evaluate(X, Y))
    more = cr.fit(again, X, np.where(THERE, Y, -1), epochs=1)
    assert more.history["loss"][0] < run.history["loss"][0]


def test_a_weight_of_zero_for_single_steps_is_a_mask():
    masked = trained(Y, batch_size=None)
    weighted = trained(Y, network=tagger(mask_zero=False), sample_weight=THERE, batch_size=None)
    assert weighted.history["loss"][0] == pytest.approx(masked.history["loss"][0], rel=1e-5)  # padding stands last


def test_balanced_classes_do_not_count_padding():
    rare = np.where(THERE, (X == 1).astype(int), 1)  # class 1 stands at all padding, and at few words
    run = trained(rare, network=tagger(2), class_weight="balanced", batch_size=None)
    p = trained(rare, network=tagger(2), optimizer=STILL).predict(X)
    true = rare[THERE]
    weight = (len(true) / (2 * np.bincount(true)))[true]
    losses = -np.log(np.take_along_axis(p, rare[..., None], -1)[..., 0][THERE])
    assert run.history["loss"][0] == pytest.approx((weight * losses).sum() / weight.sum(), rel=1e-4)


@pytest.mark.parametrize("form", [lambda y: y, lambda y: y[..., None], lambda y: y == 1, lambda y: NAMES[y]])
def test_yes_or_no_at_every_step(form):
    two = (X > 3).astype(int)
    run = trained(form(two), network=tagger(1, "sigmoid"), epochs=40)
    decided = run.decide(X)
    assert decided.shape == (ROWS, STEPS)
    assert (decided == form(two).reshape(ROWS, STEPS))[THERE].mean() > 0.95


def test_a_number_at_every_step():
    run = trained(X.astype(float) ** 2, network=tagger(1, "linear"), loss="squared_error")
    off = (run.predict(X)[..., 0] - X.astype(float) ** 2)[THERE]
    assert run.evaluate(X, X.astype(float) ** 2)["loss"] == pytest.approx((off**2).mean(), rel=1e-5)


def test_one_hot_rows_at_every_step_are_classes_too():
    codes, rows = trained(Y), trained(np.eye(3)[Y])
    assert rows.history["loss"][0] == pytest.approx(codes.history["loss"][0], rel=1e-5)


def test_what_it_prints():
    sheet = str(trained(Y).formulas())
    assert "J      = −1/max(Σ [M1], 1) · Σ [M1] ∘ Σ₂ onehot(Y) ∘ log(A3)" in sheet
    assert "dZ3    = [M1] ∘ (A3 − onehot(Y))/max(Σ [M1], 1)" in sheet


def test_a_batch_of_padding_alone_does_no_harm():
    run = cr.fit(tagger(), np.zeros((4, STEPS), int), np.zeros((4, STEPS), int), epochs=1)
    assert run.history["loss"][0] == 0
    assert run.history.diverged is None


def test_a_trace_and_a_diagnosis():
    run = trained(Y, watch=True)
    assert {"class imbalance", "target leakage"} <= set(run.why().silent)
    assert run.watched.facts["counts"] == np.bincount(Y[THERE]).tolist()
    assert "onehot(Y)" in str(run.trace(X[0], np.where(THERE, Y, -1)[0]))


@pytest.mark.parametrize(
    ("network", "labels", "options", "error", "says"),
    [
        (tagger(), Y[:, 0], {}, ShapeError, r"\(48,\).*\(m, 6, 3\) or \(m, 6\).*after a pooling"),
        (tagger(), Y[:, :5], {}, ShapeError, r"\(48, 5\).*\(m, 6, 3\) or \(m, 6\)"),
        (tagger(), [[1, 2], [0]] * 24, {}, DataError, r"rows of one length.*mask_zero"),
        (tagger(2), Y, {}, ShapeError, r"more classes than outputs.*0, 1, 2"),
        (tagger(), Y, {"sample_weight": np.ones((48, 5))}, ShapeError, r"each of its steps.*\(48, 5\).*\(48, 6\)"),
        (tagger(), Y, {"sample_weight": np.where(THERE, -1, 1)}, DataError, "not negative.*-1 in row 0"),
        (
            cr.Sequential(cr.Embedding(WORDS, 4), cr.LSTM(4), cr.Dense(3, "softmax")),
            Y,
            {},
            ShapeError,
            r"\(48, 6\).*\(m, 3\).*return_sequences=True",
        ),
    ],
)
def test_labels_that_do_not_fit_the_steps(network, labels, options, error, says):
    with pytest.raises(error, match=f"(?s){says}"):
        trained(labels, network=network, **options)
