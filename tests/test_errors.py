"""Errors that teach: what was given, what was expected, where, and what to do; each also a built-in one."""

import ast
import copy
import pickle
from pathlib import Path

import pytest

from chainrule import errors
from chainrule.errors import ChainruleError, DataError, near

SRC = Path(errors.__file__).parent
BUILT_IN = {
    "ShapeError": ValueError,
    "DTypeError": TypeError,
    "GraphError": ValueError,
    "DerivativeError": ValueError,
    "ConfigurationError": ValueError,
    "DataError": ValueError,
    "RunError": ValueError,
}
ERRORS = [thing for thing in vars(errors).values() if isinstance(thing, type) and issubclass(thing, Exception)]


# --- kinds of errors --------------------------------------------------------------------------------------


def test_every_kind_of_error_is_listed_here():
    assert {e.__name__ for e in ERRORS} == {"ChainruleError", *BUILT_IN}


@pytest.mark.parametrize("name", BUILT_IN)
def test_both_kinds_of_except_catch_it(name):
    error = getattr(errors, name)
    for caught in (ChainruleError, BUILT_IN[name]):
        with pytest.raises(caught, match="it does not fit"):
            raise error("it does not fit")
    assert error.__doc__


def raised():
    """Every place in the package where one of these errors is made, as (place, keywords)."""
    for file in sorted(SRC.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) in BUILT_IN:
                yield f"{file.relative_to(SRC)}:{node.lineno}", {keyword.arg for keyword in node.keywords}


def test_every_error_says_more_than_that_something_is_wrong():
    places = dict(raised())
    assert len(places) > 100
    assert [place for place, said in places.items() if not said & {"given", "expected", "hint"}] == []


# --- the message ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "lines"),
    [
        ({}, []),
        ({"given": "(3, 2)"}, ["  given:    (3, 2)"]),
        ({"expected": "(2, k)"}, ["  expected: (2, k)"]),
        ({"where": "a.py, line 3"}, ["  where:    a.py, line 3"]),
        ({"hint": "transpose it"}, ["  hint:     transpose it"]),
        (
            {"hint": "h", "where": "w", "expected": "e", "given": "g"},
            ["  given:    g", "  expected: e", "  where:    w", "  hint:     h"],
        ),
        ({"given": 0, "expected": (), "where": Path("run")}, ["  given:    0", "  expected: ()", "  where:    run"]),
        ({"given": None, "hint": None}, []),
    ],
)
@pytest.mark.parametrize("kind", ERRORS)
def test_the_fact_comes_first_then_a_line_for_everything_that_is_known(kind, parts, lines):
    error = kind("it does not fit", **parts)
    assert str(error).split("\n") == ["it does not fit", *lines]
    for part in ("given", "expected", "where", "hint"):
        assert getattr(error, part) == parts.get(part)


@pytest.mark.parametrize("kind", ERRORS)
@pytest.mark.parametrize("again", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))], ids=["copy", "pickle"])
def test_it_survives_the_way_to_another_process(kind, again):
    error = kind("it does not fit", given=(3, 2), hint="transpose it")
    other = again(error)
    assert type(other) is kind
    assert str(other) == str(error)
    assert vars(other) == vars(error)


def test_the_place_is_put_in_front_and_the_rest_stays():
    error = DataError("there is no row", given="0 rows", expected="at least 1", where="line 1", hint="add one")
    within = error.within("b.csv")
    assert type(within) is DataError
    assert str(within) == "b.csv: " + str(error)
    assert str(error).startswith("there is no row\n")
    assert within.within("a.zip").what == "a.zip: b.csv: there is no row"


# --- near names -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("adma", ["Adam", "AdamW", "RMSprop"], "did you mean 'Adam' or 'AdamW'?"),
        ("PRICE", ["price", "size"], "did you mean 'price'?"),
        ("x", ["price", "size"], None),
        ("price", [], None),
        ("", ["price"], None),
        ("relo", (name for name in ["tanh", "relu"]), "did you mean 'relu'?"),
        ("aa", ["aab", "aac", "aad", "aae"], "did you mean 'aae' or 'aad' or 'aac'?"),
        ("Price", ["price", "PRICE"], "did you mean 'price'?"),
    ],
)
def test_a_misspelt_name_is_told_the_nearest_known_ones(name, known, hint):
    assert near(name, known) == hint
