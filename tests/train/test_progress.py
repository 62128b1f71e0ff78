"""The progress line: live on a terminal, a few lines elsewhere, and a time left that the compiler does not spoil."""

import io
import re

import numpy as np
import pytest

from chainrule.train import History, progress
from chainrule.train.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def after(epochs):
    return History(["loss", "validation_accuracy"], np.tile([0.5, 0.25], (epochs, 1)))


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is set."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    return now


def seconds_left(line):
    found = re.search(r"(\d+) s left", line)
    return found and int(found[1])


def test_the_first_chunk_with_the_compilation_in_it_does_not_count(clock):
    stream = Terminal()
    show = Progress(100, stream)
    left = []
    for epoch, time in ((10, 60.0), (20, 61.0), (40, 63.0), (99, 68.9), (100, 69.0)):
        clock[0] = time  # a minute to compile, then ten epochs a second
        show.show(after(epoch))
        left.append(seconds_left(stream.getvalue().split("\r")[-1]))
    assert left == [None, 8, 6, None, None]


def test_on_a_terminal_the_line_is_written_over():
    stream = Terminal()
    show = Progress(100, stream)
    for epoch in (50, 100):
        show.show(after(epoch))
    assert "\n" not in stream.getvalue()
    show.end()
    assert stream.getvalue().endswith("\n")
    assert stream.getvalue().rstrip().split("\r") == [
        "",
        "epoch 50/100  loss 0.5  validation accuracy 0.25",
        "epoch 100/100  loss 0.5  validation accuracy 0.25",
    ]


def test_a_shorter_line_wipes_out_the_longer_one_before_it(clock):
    stream = Terminal()
    show = Progress(100, stream)
    for epoch, time in ((10, 0.0), (50, 50.0), (100, 100.0)):
        clock[0] = time
        show.show(after(epoch))
    *_, longer, last = stream.getvalue().split("\r")
    assert longer.endswith("s left")
    assert len(last) == len(longer)


@pytest.mark.parametrize(
    ("width", "line"),
    [
        (120, "epoch 9/99  loss 0.5  accuracy 0.7  validation loss 0.6  validation accuracy 0.8  9 s left"),
        (80, "epoch 9/99  loss 0.5  validation loss 0.6  validation accuracy 0.8  9 s left"),
        (60, "epoch 9/99  loss 0.5  validation loss 0.6  9 s left"),
        (50, "epoch 9/99  loss 0.5  validation loss 0.6"),
        (30, "epoch 9/99  loss 0.5"),
        (10, "epoch 9/9"),
    ],
)
def test_a_line_does_not_wrap_on_a_narrow_terminal(monkeypatch, clock, width, line):
    monkeypatch.setenv("COLUMNS", str(width))
    stream = Terminal()
    show = Progress(99, stream)
    columns = ["loss", "accuracy", "validation_loss", "validation_accuracy"]
    for epoch, clock[0] in ((4, 0.0), (9, 0.5)):
        show.show(History(columns, np.tile([0.5, 0.7, 0.6, 0.8], (epoch, 1))))
    assert stream.getvalue().split("\r")[-1].rstrip() == line


@pytest.mark.parametrize("step", [1, 7, 100])
def test_elsewhere_there_are_at_most_ten_lines(step):
    stream = io.StringIO()
    show = Progress(1000, stream)
    for epoch in range(step, 1001, step):
        show.show(after(epoch))
    show.end()
    lines = stream.getvalue().splitlines()
    assert 5 <= len(lines) <= 10
    assert "\r" not in stream.getvalue()
    assert lines[0].startswith(f"epoch {step}/1000  loss 0.5")


def test_without_an_epoch_nothing_is_written():
    stream = Terminal()
    Progress(10, stream).end()
    assert stream.getvalue() == ""
