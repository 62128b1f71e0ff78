"""Python does not look for garbage in a graph that is being built."""

import gc
import threading

import numpy as np
import pytest

import chainrule as cr
from chainrule.graph.building import building


@pytest.fixture(autouse=True)
def the_collector_is_on():
    gc.enable()
    yield
    gc.enable()


def test_the_collector_waits_until_the_outermost_ends():
    with building():
        with building():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_an_error_ends_it():
    with pytest.raises(ZeroDivisionError), building():
        1 / 0  # noqa: B018
    assert gc.isenabled()


def test_where_it_was_off_it_stays_off():
    gc.disable()
    with building():
        pass
    assert not gc.isenabled()


def test_it_goes_on_when_the_last_of_several_threads_is_done():
    inside, leave = threading.Event(), threading.Event()

    def other():
        with building():
            inside.set()
            leave.wait()

    thread = threading.Thread(target=other)
    with building():
        thread.start()
        inside.wait()
    assert not gc.isenabled()
    leave.set()
    thread.join()
    assert gc.isenabled()


def test_nothing_is_looked_for_while_a_deep_network_is_derived_and_traced():
    found = []
    gc.callbacks.append(lambda phase, about: found.append(about["generation"]) if phase == "start" else None)
    try:
        network = cr.Sequential(*(cr.Dense(4, "tanh") for _ in range(60)), cr.Dense(1))
        begin = len(found)
        trainer = cr.Trainer(network, np.ones((8, 2)), np.ones((8, 1)))
        trainer.lowered()
        # Some tens of thousands of objects are made, and 700 of them would be enough to look for some that are none.
        assert len(found) - begin < 10
    finally:
        gc.callbacks.pop()
