"""Formula sheets: a line for every named quantity, aligned, with shapes and shared parts, as text and as LaTeX."""

import pytest

import chainrule as cr
from chainrule.graph.node import Scope, ancestors, inside
from chainrule.notation import Section, Sheet, line, section, unique_names


@pytest.fixture(name="network")
def _network():
    """Two layers, as the course writes them: Z1, A1, Z2."""
    x = cr.input("X", ("m", 2))
    with inside(Scope("Dense")):
        hidden = (x @ cr.parameter("W", (2, 3)) + cr.parameter("b", (3,))).named("Z")
        active = cr.tanh(hidden).named("A")
    with inside(Scope("Dense")):
        out = (active @ cr.parameter("W", (3, 1))).named("Z")
    return hidden, active, out


@pytest.fixture(name="names")
def _names(network):
    return unique_names(ancestors(network[-1]))


def test_a_line_is_the_name_the_formula_and_the_shape(network, names):
    lines = [line(node, names) for node in network]
    assert [(part.text, part.shape) for part in lines] == [
        ("Z1 = X W1 + b1", "(m, 3)"),
        ("A1 = tanh(Z1)", "(m, 3)"),
        ("Z2 = A1 W2", "(m, 1)"),
    ]
    assert lines[0].latex == "{Z^{[1]}} &= X {W^{[1]}} + {b^{[1]}}"


def test_an_update_has_an_arrow_and_the_name_of_what_is_updated():
    w, rate = cr.parameter("w", (2,)), cr.constant(0.1, name="α")
    new = w - rate * cr.input("dw", (2,))
    update = line(new, unique_names(ancestors(new)), symbol=w, arrow=True)
    assert (update.text, update.shape) == ("w ← w − α · dw", "(2,)")
    assert update.latex == r"w &\leftarrow w - \alpha \cdot dw"


def test_a_single_number_has_no_shape():
    J = cr.sum(cr.input("e", ("m",)) ** 2).named("J")
    assert line(J, unique_names(ancestors(J))).shape == ""


def test_signs_and_shapes_stand_below_each_other(network, names):
    J = cr.mean(network[-1] ** 2).named("cost")
    cost = line(J, unique_names(ancestors(J)))
    sheet = Sheet([section("Forward", network, names), Section("Cost", [cost], note="over all examples")])
    assert str(sheet) == (
        "Forward\n"
        "  Z1   = X W1 + b1   (m, 3)\n"
        "  A1   = tanh(Z1)    (m, 3)\n"
        "  Z2   = A1 W2       (m, 1)\n"
        "\n"
        "Cost\n"
        "  cost = 1/m · Σ Z2²\n"
        "  over all examples"
    )
    assert repr(sheet) == str(sheet)


def test_shared_parts_are_written_below_their_line():
    a, b = cr.input("a", ()), cr.input("b", ())
    part = cr.tanh(a * b + a / b + b / a + a - b)
    y = (part * cr.exp(part)).named("y")
    written = line(y, unique_names(ancestors(y)))
    assert written.text == "y = t1 · exp(t1)"
    assert written.notes == ("t1 = tanh(a · b + a/b + b/a + a − b)",)
    assert "t_{1} = " in written.latex
    assert (
        str(Sheet([Section("Forward", [written])])).splitlines()[2] == "      with t1 = tanh(a · b + a/b + b/a + a − b)"
    )


def test_a_sign_inside_a_formula_does_not_disturb_the_alignment():
    x, k = cr.input("x", (2,)), cr.input("k", (2,))
    mask = cr.where(cr.equal(x, k), x, -x).named("mask")
    names = unique_names(ancestors(mask))
    first, second = str(Sheet([Section("A", [line(mask, names), line(x * 2, names, symbol=x, arrow=True)])])).split(
        "\n"
    )[1:]
    assert first == "  mask = where(x = k, x, −x)   (2,)"
    assert second == "  x    ← x · 2                 (2,)"


def test_an_empty_section_is_left_out(network, names):
    sheet = Sheet([Section("Cost"), section("Forward", network, names)])
    assert "Cost" not in str(sheet) + sheet.latex()


def test_latex_of_a_sheet_is_one_aligned_environment(network, names):
    sheet = Sheet([section("Forward", network, names), section("Again", network[:1], names)])
    first, *rows, last = sheet.latex().split("\n")
    assert (first, last) == (r"\begin{aligned}", r"\end{aligned}")
    assert rows[0] == r"&\textbf{Forward} \\"
    assert rows[1] == r"{Z^{[1]}} &= X {W^{[1]}} + {b^{[1]}} && (m, 3) \\"
    assert [row.endswith(r" \\") for row in rows] == [True] * (len(rows) - 1) + [False]
    assert sheet._repr_latex_() == f"${sheet.latex()}$"
