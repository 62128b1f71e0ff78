"""Kinds of labels: how they become numbers, and outputs decisions again."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics import log_loss

import chainrule as cr
from chainrule.errors import ChainruleError, ConfigurationError, DataError, ShapeError

X = np.random.default_rng(0).normal(size=(30, 2))
CODES = np.digitize(X[:, 0], [-0.4, 0.4])  # 0, 1, 2, plain to see in X
TWO = (X[:, 0] > 0).astype(int)


def trained(units, activation, labels, epochs=60, **options):
    network = cr.Sequential(cr.Dense(units, activation))
    return cr.fit(network, X, labels, optimizer=cr.Adam(0.1), epochs=epochs, **options)


# several classes


@pytest.fixture(scope="module")
def by_code():
    return trained(3, "softmax", CODES)


@pytest.mark.parametrize(
    "names",
    [
        ("low", "middle", "top"),
        (10, 20, 30),
        (-1, 0, 1),
        (0.5, 1.5, 2.0),
    ],
)
@pytest.mark.parametrize("form", [list, np.asarray, lambda y: np.asarray(y)[:, None], lambda y: np.array(y, object)])
def test_classes_of_any_name_train_alike_and_are_decided_by_name(by_code, names, form):
    labels = form([names[c] for c in CODES])
    run = trained(3, "softmax", labels)
    np.testing.assert_array_equal(run.history.table, by_code.history.table)
    decided = run.decide(X)
    assert decided.tolist() == [names[c] for c in run.predict(X).argmax(axis=1)]
    assert (decided == np.asarray(names)[CODES]).mean() > 0.9


def test_one_hot_rows_are_classes_too(by_code):
    run = trained(3, "softmax", np.eye(3)[CODES])
    np.testing.assert_allclose(run.history.table, by_code.history.table, rtol=1e-4)
    np.testing.assert_array_equal(run.decide(X), by_code.decide(X))


def test_probabilities_are_learned_as_they_are():
    shares = np.random.default_rng(1).dirichlet([1, 1, 1], size=30)
    run = trained(3, "softmax", shares, epochs=1, batch_size=None, validation_data=(X, shares))
    p = run.predict(X).astype(float)
    assert run.history["validation_loss"][-1] == pytest.approx(-(shares * np.log(p)).sum(axis=1).mean(), rel=1e-5)


def test_a_class_number_that_does_not_occur_keeps_its_output():
    run = trained(5, "softmax", np.where(CODES == 2, 4, CODES))
    assert run.predict(X).shape == (30, 5)
    assert set(run.decide(X)) == {0, 1, 4}


# two classes


@pytest.mark.parametrize("names", [("no", "yes"), (False, True), (1, 2), (-1, 1), (0.0, 1.0)])
def test_two_classes_of_any_name(names):
    run = trained(1, "sigmoid", [names[c] for c in TWO])
    decided = run.decide(X)
    assert decided.shape == (30,)
    assert decided.tolist() == [names[int(p > 0.5)] for p in run.predict(X)[:, 0]]
    assert (decided == np.asarray(names)[TWO]).mean() > 0.9
    assert run.history["accuracy"][-1] > 0.9


def test_a_share_between_zero_and_one_is_a_label_of_two_classes():
    shares = np.random.default_rng(2).uniform(size=30)
    run = trained(1, "sigmoid", shares, epochs=1, validation_data=(X, shares))
    p = run.predict(X)[:, 0].astype(float)
    expected = -(shares * np.log(p) + (1 - shares) * np.log(1 - p)).mean()
    assert run.history["validation_loss"][-1] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("dtype", [int, float, bool])
def test_several_yes_or_no_questions_at_once(dtype):
    questions = np.column_stack([TWO, 1 - TWO, X[:, 1] > 0]).astype(dtype)
    run = trained(3, "sigmoid", questions)
    assert (run.decide(X) == questions).mean() > 0.9
    p = run.predict(X)
    expected = np.mean([log_loss(questions[:, k], p[:, k], labels=[0, 1]) for k in range(3)])
    assert run.evaluate(X, questions)["loss"] == pytest.approx(expected, rel=1e-5)


# other labels


def test_signs():
    run = trained(1, "linear", 2 * TWO - 1, loss="hinge")
    np.testing.assert_array_equal(run.decide(X), np.where(run.predict(X)[:, 0] >= 0, 1, -1))


@pytest.mark.parametrize("form", [list, np.asarray, lambda y: np.asarray(y)[:, None]])
def test_a_number_for_each_example_is_a_list_or_a_column(form):
    numbers = (X @ [1.0, 2.0]).tolist()
    run = trained(1, "linear", form(numbers), epochs=1)
    assert run.predict(X).shape == (30, 1)
    np.testing.assert_array_equal(run.decide(X), run.predict(X))


def test_several_numbers_for_each_example():
    numbers = X @ [[1.0, 2.0], [3.0, 4.0]]
    assert trained(2, "linear", numbers).predict(X) == pytest.approx(numbers, abs=2)


# what cannot be learned


@pytest.mark.parametrize(
    ("units", "activation", "labels", "options", "error", "says"),
    [
        (2, "softmax", CODES, {}, ShapeError, "more classes than outputs.*0, 1, 2.*Dense\\(3, 'softmax'\\)"),
        (4, "softmax", ["a", "b", "c"] * 10, {}, ShapeError, "fewer classes than outputs.*Dense\\(3, 'softmax'\\)"),
        (1, "softmax", CODES, {}, ShapeError, "an output for each class.*binary_cross_entropy"),
        (3, "softmax", np.ones((30, 3)), {}, DataError, "does not sum to one.*row 0 sums to 3"),
        (3, "softmax", np.eye(2)[TWO], {}, ShapeError, r"\(30, 2\).*\(m, 3\)"),
        (2, "softmax", [None, "b"] * 15, {}, DataError, "label is missing.*None in row 0; 15"),
        (2, "softmax", [1.0, np.nan] * 15, {}, DataError, "label is missing.*nan in row 1; 15"),
        (2, "softmax", [b"a", b"b"] * 15, {}, DataError, r"b'a', a bytes.*astype\(str\)"),
        (1, "sigmoid", ["a", "b", "c"] * 10, {}, DataError, "two classes apart.*3 labels.*Dense\\(3, 'softmax'\\)"),
        (1, "sigmoid", ["a"] * 30, {}, DataError, "1 labels: 'a'.*two labels"),
        (1, "sigmoid", X[:, 0] * 9, {}, DataError, "between 0 and 1.*squared_error"),
        (2, "sigmoid", ["a", "b"] * 15, {}, ShapeError, r"\(30,\).*\(m, 2\)"),
        (1, "linear", ["a", "b"] * 15, {}, DataError, "'a' in row 0.*encode text"),
        (1, "linear", TWO, {"loss": "hinge"}, DataError, "−1 and \\+1.*0, 1.*2 \\* y - 1"),
        (1, "softplus", -TWO, {"loss": "poisson"}, DataError, "takes counts.*-1"),
        (1, "linear", 5, {}, DataError, "no labels"),
        (2, "softmax", TWO, {"class_weight": {2: 1}}, ConfigurationError, "not there.*2.*0, 1"),
        (2, "softmax", TWO, {"class_weight": {1: -1}}, ConfigurationError, "at least 0.*1: -1"),
        (2, "softmax", TWO, {"class_weight": "balance"}, ConfigurationError, "'balance'.*'balanced' or a mapping"),
        (2, "softmax", TWO, {"class_weight": 3}, ConfigurationError, "3.*'balanced' or a mapping"),
    ],
)
def test_labels_that_do_not_fit(units, activation, labels, options, error, says):
    with pytest.raises(error, match=f"(?s){says}"):
        trained(units, activation, labels, epochs=1, **options)


def test_a_label_that_training_has_not_seen():
    run = trained(2, "softmax", ["a", "b"] * 15, epochs=1)
    with pytest.raises(ChainruleError, match=r"(?s)not seen.*'c'.*'a', 'b'"):
        run.evaluate(X[:2], ["a", "c"])
    with pytest.raises(ChainruleError, match="not seen"):
        trained(2, "softmax", ["a", "b"] * 15, epochs=1, validation_data=(X[:2], ["a", "c"]))


def test_a_sparse_matrix_is_called_one():
    with pytest.raises(DataError, match=r"(?s)X is a sparse matrix.*csr_matrix, \(20, 20\).*toarray"):
        cr.fit(cr.Sequential(cr.Dense(1)), sparse.csr_matrix(np.eye(20)), np.ones(20))


def test_class_numbers_for_a_loss_of_numbers_are_told_what_to_do():
    network = cr.Sequential(cr.Dense(3, "softmax"))
    with pytest.raises(ShapeError, match=r"(?s)\(m, 3\).*categorical_cross_entropy.*Dense\(1\)"):
        cr.fit(network, np.eye(20), np.arange(20) % 3, loss="squared_error")


def test_one_hot_rows_where_training_had_a_label_each_are_told():
    x, y = np.random.default_rng(0).normal(size=(12, 4)), np.arange(12) % 3
    run = cr.fit(cr.Sequential(cr.Dense(3, "softmax")), x, y, epochs=1)
    with pytest.raises(ShapeError, match="one label for each example") as error:
        run.evaluate(x, np.eye(3)[y])
    assert error.value.given == "(12, 3), a number for each class"
    assert error.value.expected == "(m,): 0, 1, 2"
