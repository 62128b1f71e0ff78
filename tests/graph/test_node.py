"""Nodes: immutable, told apart by identity, and knowing their name, their layer and the line that made them."""

import inspect
import os
import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ConfigurationError, ShapeError
from chainrule.graph import Origin, Scope, ancestors, describe
from chainrule.graph.node import PACKAGE, deriving, inside

FIELDS = ("op", "inputs", "attrs", "shape", "dtype", "scope", "source", "origin")


def line():
    """The line that called this."""
    return inspect.currentframe().f_back.f_lineno


# --- immutable, and told apart by identity ----------------------------------------------------------------


def test_the_same_formula_written_twice_is_two_nodes():
    x = cr.input("x", (3,))
    assert x + 1 != x + 1
    assert len({x, x, cr.input("x", (3,))}) == 2


def test_settings_cannot_be_changed():
    total = cr.sum(cr.input("x", (3, 4)), axis=1)
    with pytest.raises(TypeError):
        total.attrs["axes"] = (0,)
    settings = {"axes": (1,), "keepdims": False}
    made = total.op.make(total.inputs, settings)
    settings["axes"] = (0,)
    assert made.attrs["axes"] == (1,)


def test_numbers_in_a_formula_are_a_copy_that_cannot_be_changed():
    numbers = np.array([1.0, 2.0])
    c = cr.constant(numbers)
    numbers[0] = 9
    assert cr.evaluate(c).tolist() == [1, 2]
    with pytest.raises(ValueError, match="read-only"):
        c.attrs["value"][0] = 9


# --- names ------------------------------------------------------------------------------------------------


def test_a_name_makes_another_node_of_the_same_quantity():
    h = cr.tanh(cr.input("x", (3,)))
    named = h.named("A")
    assert (h.name, named.name, named.named(None).name) == (None, "A", None)
    assert all(getattr(named, field) == getattr(h, field) for field in FIELDS)


def test_the_same_op_on_other_operands_is_still_the_same_quantity():
    x, other = cr.input("x", (3,)), cr.input("x", (3,))
    with inside(Scope("Dense")):
        h = cr.tanh(x).named("A")
    assert h.rebuilt((x,)) is h
    again = h.rebuilt((other,))
    assert again.inputs == (other,)
    assert all(getattr(again, field) == getattr(h, field) for field in ("name", *FIELDS) if field != "inputs")


@pytest.mark.parametrize("make", [cr.input, cr.parameter], ids=["input", "parameter"])
@pytest.mark.parametrize("name", ["", None, 3])
def test_a_leaf_has_a_name(make, name):
    with pytest.raises(ConfigurationError, match=r"a leaf needs a name\n  given:"):
        make(name, (2,))


# --- layers -----------------------------------------------------------------------------------------------


def test_nodes_belong_to_the_innermost_layer_that_they_are_made_in():
    outer, inner = Scope("Sequential"), Scope("Dense", "first")
    x = cr.input("x", (2,))
    with inside(outer):
        before = x + 1
        with inside(inner):
            within = x + 1
        after = x + 1
    assert [n.scope for n in (x, before, within, after, x + 1)] == [None, outer, inner, outer, None]


def test_an_error_ends_the_layer_too():
    with pytest.raises(ZeroDivisionError), inside(Scope("Dense")):
        _ = 1 / 0
    assert cr.input("x", ()).scope is None


def test_a_layer_is_left_alone_by_other_threads():
    found = []
    with inside(Scope("Dense")):
        thread = threading.Thread(target=lambda: found.append(cr.input("x", ()).scope))
        thread.start()
        thread.join()
    assert found == [None]


def test_two_layers_of_one_kind_and_name_are_two():
    assert Scope("Dense") != Scope("Dense")
    assert len({Scope("Dense"), Scope("Dense")}) == 2


# --- the user's line --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda x: (x * 2, line()),
        lambda x: (2 / x, line()),
        lambda x: (x[0], line()),
        lambda x: (x.sum(), line()),
        lambda x: (cr.softmax(x), line()),
        lambda x: (cr.huber(x, x), line()),
        lambda x: (cr.Dense(3, "gelu")(x[None]), line()),
        lambda x: (cr.parameter("W", (2,)), line()),
    ],
)
def test_a_node_knows_the_line_that_made_it(make):
    node, number = make(cr.input("x", (4,)))
    assert node.source == (__file__, number)


def test_a_derivative_belongs_to_the_line_of_what_it_is_derived_from():
    x = cr.input("x", (4,))
    h, number = cr.tanh(x), line()
    cost = cr.sum(h * h)
    dx = cr.gradient(cost, x)
    assert any(n.source == (__file__, number) for n in ancestors(dx) if n.origin is not None)
    assert all(n.source[0] == __file__ for n in ancestors(dx))


def test_nodes_made_while_deriving_know_from_what():
    x = cr.input("x", ())
    origin = Origin(x, "tanh", "local")
    with deriving(origin):
        local = 1 - x
    assert (local.origin, local.source) == (origin, x.source)
    assert (x + 1).origin is None


def test_a_package_that_lies_behind_a_link_is_not_the_users_code(tmp_path):
    (tmp_path / "link").symlink_to(Path(cr.__file__).parents[1], target_is_directory=True)
    script = tmp_path / "script.py"
    script.write_text("import chainrule\n\nx = chainrule.input('x', ())\nprint(*(x + 1).source)")
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "link")}
    shown = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=True)
    assert shown.stdout.split() == [str(script), "4"]


def test_a_neighbour_of_the_package_is_the_users_code():
    filename = PACKAGE.rstrip("/\\") + "_of_mine.py"
    made = {}
    exec(compile("import chainrule\n\nx = chainrule.input('x', ())", filename, "exec"), made)
    assert made["x"].source == (filename, 3)


def test_an_error_names_op_shapes_names_and_the_line():
    x, W = cr.input("x", ("m", 3)), cr.parameter("W", (2, 3))
    before = line()
    with pytest.raises(ShapeError) as caught:
        x @ W
    for part in ("matmul", "x (m, 3)", "W (2, 3)", f"{__file__}, line {before + 2}"):
        assert part in str(caught.value)


def test_a_node_in_a_few_words():
    x = cr.input("x", ("m", 2))
    assert repr(x) == f"<x: float (m, 2), made at test_node.py:{x.source[1]}>"
    assert describe(x > 0).startswith("greater: bool (m, 2), made at test_node.py:")


# --- what a node needs ------------------------------------------------------------------------------------


def test_operands_come_before_results_and_each_node_once():
    x = cr.input("x", ())
    h = x
    for _ in range(60):  # 2^60 paths lead from the last to the first
        h = h * h
    nodes = ancestors(h)
    assert len(nodes) == len(set(nodes)) == 61
    assert all(a in b.inputs for a, b in pairwise(nodes))


def test_operands_come_in_the_order_in_which_they_are_written():
    a, b, c = (cr.input(name, ()) for name in "abc")
    assert [n.name for n in ancestors((a * b) + c, a) if not n.inputs] == ["a", "b", "c"]
    assert [n.name for n in ancestors(c, (b * a)) if not n.inputs] == ["c", "b", "a"]


def test_the_walk_ends_where_it_is_told_to():
    x = cr.input("x", ())
    h = cr.exp(cr.sin(x))
    y = h + 1
    assert [n.op.name for n in ancestors(y, stop=lambda n: n is h)] == ["exp", "constant", "add"]
