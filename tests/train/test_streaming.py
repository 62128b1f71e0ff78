"""Examples that are read when they are needed train as those in memory do."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.data.lazy import Lazy
from chainrule.engine.xla import streaming as engine
from chainrule.graph.graph import Graph

RNG = np.random.default_rng(0)
X = RNG.normal(size=(103, 4)).astype(np.float32)
Y = (X[:, 0] * X[:, 1] > 0).astype(int)


class Counted(Lazy):
    """Rows of an array that note how many are held at once."""

    def __init__(self, array):
        self.array, self.most = array, 0

    @property
    def shape(self):
        return self.array.shape

    def read(self, row):
        return self.array[row]

    def __getitem__(self, rows):
        found = super().__getitem__(rows)
        self.most = max(self.most, len(found)) if found.ndim == self.ndim else self.most
        return found


def train(x, network=None, **options):
    network = network or cr.Sequential(cr.Dense(8, "tanh"), cr.Dropout(0.2), cr.Dense(1, "sigmoid"))
    return cr.fit(network, x, Y, **{"epochs": 5, "batch_size": 16, "seed": 3} | options)


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr(engine, "BLOCK_NUMBERS", 200)  # 32 rows of four numbers and a label


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"validation_split": 0.2, "early_stopping": 2},
        {"watch": True, "every": 3},
        {"watch": ["W1"], "every": 1},
        {"sample_weight": np.linspace(0.5, 2, 103)},
        {"batch_size": None},
        {"shuffle": False, "batch_size": 200},
    ],
    ids=str,
)
def test_the_training_is_that_of_the_same_examples_in_memory(options):
    lazy, whole = train(Counted(X), **options), train(X, **options)
    for name in whole.parameters:
        np.testing.assert_allclose(lazy.parameters[name], whole.parameters[name], rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(lazy.history.table, whole.history.table, rtol=2e-5)
    assert lazy.history.best_epoch == whole.history.best_epoch
    if whole.watched:
        np.testing.assert_array_equal(lazy.watched.steps, whole.watched.steps)
        for key in whole.watched.keys:
            np.testing.assert_allclose(lazy.watched[key], whole.watched[key], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(lazy.predict(Counted(X)), whole.predict(X), rtol=1e-4, atol=1e-6)


def test_only_a_few_batches_are_in_memory_at_a_time():
    examples = Counted(X)
    train(examples)
    assert examples.most == 32


def test_what_is_fed_later_is_read_when_it_is_needed_too():
    """Other examples, more of them: as in memory."""

    def fed(kind):
        trainer = cr.Trainer(cr.Sequential(cr.Dense(4, "tanh"), cr.Dense(1, "sigmoid")), kind(X[:40]), Y[:40], seed=3)
        trainer.run_epochs(1)
        more = kind(X)
        trainer.feed(more, Y)
        trainer.run_epochs(2)
        return trainer.run(), more

    (lazy, more), (whole, _) = fed(Counted), fed(np.array)
    assert more.most == 32
    np.testing.assert_allclose(lazy.history.table, whole.history.table, rtol=2e-5)
    np.testing.assert_allclose(lazy.parameters["W1"], whole.parameters["W1"], rtol=2e-5, atol=1e-6)


def test_validation_examples_are_read_block_by_block_too(monkeypatch):
    monkeypatch.setattr(Graph, "rows_at_once", lambda self: 20)
    held = Counted(X[:50])
    lazy = train(Counted(X), validation_data=(held, Y[:50]), early_stopping=2)
    whole = train(X, validation_data=(X[:50], Y[:50]), early_stopping=2)
    assert held.most == 20
    np.testing.assert_allclose(lazy.history.table, whole.history.table, rtol=2e-5)
    np.testing.assert_allclose(lazy.parameters["W1"], whole.parameters["W1"], rtol=2e-5, atol=1e-6)


def test_validation_examples_may_be_the_only_ones_that_are_read():
    lazy = train(X, validation_data=(Counted(X[:50]), Y[:50]))
    whole = train(X, validation_data=(X[:50], Y[:50]))
    np.testing.assert_allclose(lazy.history.table, whole.history.table, rtol=2e-5)


def test_a_bad_number_in_a_later_block_of_the_validation_is_found(monkeypatch):
    monkeypatch.setattr(Graph, "rows_at_once", lambda self: 20)
    spoilt = X[:50].copy()
    spoilt[30] = 3e38
    network = cr.Sequential(cr.Dense(4, kernel_initializer=5.0), cr.Dense(1))
    with pytest.warns(cr.TrainingWarning, match="arose in the validation"):
        run = cr.fit(network, Counted(X), X[:, 0], epochs=2, validation_data=(Counted(spoilt), X[:50, 0]))
    assert run.history.diverged == 1


def test_a_memory_map_is_not_read_whole(tmp_path):
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    np.testing.assert_allclose(train(mapped).parameters["W1"], train(X).parameters["W1"], rtol=2e-5, atol=1e-6)


def test_numbers_that_are_not_finite_end_the_training_as_in_memory():
    spoilt = X.copy()
    spoilt[50, 2] = 3e38
    network = cr.Sequential(cr.Dense(4, kernel_initializer=5.0), cr.Dense(1, "sigmoid"))
    with pytest.warns(cr.TrainingWarning) as caught:
        run = train(Counted(spoilt), network)
    assert run.history.diverged == 1
    assert "not finite arose in batch" in str(caught[0].message)
    assert all(np.isfinite(v).all() for v in run.parameters.values())


def test_an_unreadable_example_is_an_error_that_names_it():
    class Broken(Counted):
        def read(self, row):
            if row == 77:
                raise cr.errors.DataError("the file cannot be read", given="77.png")
            return super().read(row)

    with pytest.raises(cr.errors.DataError, match=r"(?s)cannot be read.*77\.png"):
        train(Broken(X))
