"""What the benchmarks' figures rest on: the loss that all are checked by, the ratio, and the check itself."""

from dataclasses import dataclass

import numpy as np
import pytest
from benchmarks.measure import Result, race
from benchmarks.peers import PEERS
from benchmarks.report import README, write
from benchmarks.workloads import iris, small
from sklearn.metrics import log_loss, mean_squared_error


@pytest.mark.parametrize("make", [small, iris])
def test_the_loss_in_numpy_is_the_one_of_the_library_that_trained(make):
    workload = make().short()
    peer = PEERS["sklearn"](workload)
    peer.train(2)
    if workload.classes:
        expected = log_loss(workload.Y, peer.model.predict_proba(workload.X))
    else:
        expected = mean_squared_error(workload.Y, peer.model.predict(workload.X))
    assert workload.loss(peer.parameters()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["chainrule", "jax", "jax-one-call"])
def test_a_peer_learns_and_goes_on_where_it_was(name):
    workload = iris()
    peer = PEERS[name](workload)
    losses = []
    for _ in range(3):
        peer.train(20)
        losses.append(workload.loss(peer.parameters()))
    assert workload.untrained_loss() > losses[0] > losses[1] > losses[2]


def test_steps_count_the_smaller_last_batch():
    workload = small()
    assert workload.steps == workload.epochs * 32  # 31 batches of 32 rows and one of 8


def test_the_ratio_is_taken_within_each_round():
    ours = Result("ours", [1.0, 2.0, 4.0], 0.1)
    assert Result("other", [3.0, 2.0, 8.0], 0.1).ratio(ours) == (2.0, 1.5, 2.5)


@dataclass
class Clock:
    """A contestant that trains nothing and notes its turns."""

    title: str
    loss: float
    turns: list[str]

    def start(self):
        return 1.0, self.loss

    def turn(self):
        self.turns.append(self.title)
        return 0.5


def test_the_order_of_the_turns_is_reversed_in_every_second_round(monkeypatch):
    monkeypatch.setattr("benchmarks.measure.PAUSE", 0)
    turns = []
    results = race([Clock("a", 0.1, turns), Clock("b", 0.1, turns)], iris(), rounds=3)
    assert turns == ["a", "b", "b", "a", "a", "b"]
    assert [r.seconds for r in results] == [[0.5] * 3] * 2


@pytest.mark.parametrize("loss", [0.01, 0.3, 2.0, np.nan])
def test_who_learns_something_else_is_not_timed(loss):
    with pytest.raises(SystemExit, match="they do not do the same"):
        race([Clock("ours", 0.1, []), Clock("other", loss, [])], iris(), rounds=1)


def test_results_are_written_into_their_place_in_the_readme(tmp_path, monkeypatch):
    before = README.read_text("utf-8")
    copy = tmp_path / "README.md"
    copy.write_text(before, "utf-8")
    monkeypatch.setattr("benchmarks.report.README", copy)
    for text in ("first\n", "ours \\1\n"):
        write(text)
    head, rest = before.split("<!-- results -->\n")
    tail = rest.split("<!-- /results -->")[1]
    assert copy.read_text("utf-8") == f"{head}<!-- results -->\nours \\1\n<!-- /results -->{tail}"
